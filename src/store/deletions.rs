//! Deleting and purging the entities that events name: each must still have the key by which it
//! was found.

use hashbrown::HashSet;
use pgrx::pg_sys::Datum;

use super::apply::Stop;
use super::entity::Removal;
use super::write::{Keyed, Table, Written};
use crate::error::Failure;
use crate::pg::spi::{Access, Statement};
use crate::pg::{PgError, array};

impl<'a> Table<'_, 'a> {
    /// Deletes entities softly.
    pub fn delete(&self, written: &mut Written<'a>) -> Result<(), Stop> {
        for (set, rows) in self.removed(Removal::Delete).into_iter().enumerate() {
            let ids = rows.iter().map(|row| written.id(self.entities, row.index));
            let ids: Vec<&str> = ids.collect();
            self.by_key(set, &rows, &ids, written, |arguments| {
                arguments.push(self.now);
                match set < self.ty.key_sets.len() {
                    true => self.ty.delete_by_key(set),
                    false => self.ty.delete_by_id(),
                }
            })?;
        }
        Ok(())
    }

    /// Purges entities; returns the ids of those that were there.
    pub fn purge(&self, written: &mut Written<'a>) -> Result<Vec<&'a str>, Stop> {
        let mut purged = Vec::new();
        for (set, rows) in self.removed(Removal::Purge).into_iter().enumerate() {
            let ids = rows.iter().map(|row| written.id(self.entities, row.index));
            let ids: Vec<&str> = ids.collect();
            purged.extend(self.by_key(set, &rows, &ids, written, |_| {
                match set < self.ty.key_sets.len() {
                    true => self.ty.purge_by_key(set),
                    false => self.ty.purge_by_id(),
                }
            })?);
        }
        Ok(purged)
    }

    /// The entities to be removed, by the key set they were found by, in the order of their keys.
    fn removed(&self, how: Removal) -> Vec<Vec<Keyed<'a>>> {
        // The last one: those named by their id.
        let mut by_set: Vec<Vec<Keyed<'a>>> =
            (0..=self.ty.key_sets.len()).map(|_| Vec::new()).collect();
        for (index, entity) in self.entities.entities.iter().enumerate() {
            if let Some((removal, set, key)) = entity.removal
                && (removal, entity.ty) == (how, self.of)
            {
                by_set[set.min(self.ty.key_sets.len())].push(Keyed { index, key });
            }
        }
        by_set.iter_mut().for_each(|rows| rows.sort_by_key(|row| row.key));
        by_set
    }

    /// Executes a statement on rows that are to have their keys still. Returns the ids of those
    /// that have; the others another session has changed, so that nothing happens to them.
    fn by_key(
        &self,
        set: usize,
        rows: &[Keyed<'a>],
        ids: &[&'a str],
        written: &mut Written<'a>,
        statement: impl FnOnce(&mut Vec<Datum>) -> Result<std::rc::Rc<Statement>, PgError>,
    ) -> Result<Vec<&'a str>, Failure> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut arguments = vec![self.ty.layout.ids(self.arena, ids.iter().copied())];
        let columns = self.ty.key_sets.get(set).map_or(0, |set| set.attributes.len());
        arguments.extend(
            (0..columns).map(|column| {
                array::of_text(self.arena, rows.iter().map(move |row| row.key[column]))
            }),
        );
        let found = statement(&mut arguments)?.execute(&arguments, Access::Write)?;
        let found: HashSet<&'a str> = self.ty.layout.ids_in(&found, self.arena)?;
        for (row, id) in rows.iter().zip(ids) {
            match found.contains(id) {
                // Also if the event's upsert of it left it as it was.
                true => written.untouched.remove(&row.index),
                false => written.untouched.insert(row.index),
            };
        }
        Ok(found.into_iter().collect())
    }
}
