//! Writing the entities of a managed table row by row, without statements. What a row would need a
//! statement for is left, and told: a row that another session has changed since it was seen, a key
//! that another session has taken, a table that is no longer as it was made.

use std::cell::RefMut;

use bumpalo::Bump;
use pgrx::pg_sys::{self, Datum, Oid};

use super::entity::Entity;
use super::entity_type::EntityType;
use super::layout::uuid;
use super::working_set::WorkingSet;
use super::write::{Keyed, Written, as_new};
use crate::error::Failure;
use crate::pg::PgError;
use crate::pg::array::varlena;
use crate::pg::writer::{Kept, Writer};

/// The columns that are written, as they stand in every managed table; those of new rows are first.
const COLUMNS: [(&str, Oid); 6] = [
    ("id", pg_sys::UUIDOID),
    ("attributes", pg_sys::JSONBOID),
    ("stub", pg_sys::BOOLOID),
    ("created_at", pg_sys::TIMESTAMPTZOID),
    ("updated_at", pg_sys::TIMESTAMPTZOID),
    ("deleted_at", pg_sys::TIMESTAMPTZOID),
];
const ID: usize = 0;
const ATTRIBUTES: usize = 1;
const STUB: usize = 2;
const CREATED_AT: usize = 3;
const UPDATED_AT: usize = 4;
const DELETED_AT: usize = 5;
/// How many are those of new rows.
const GIVEN: usize = 5;

/// A table that is written so, or none.
pub struct Direct<'k, 'a> {
    writer: Option<Writer<'k>>,
    entities: &'k WorkingSet<'a>,
    ty: &'k EntityType,
    now: Datum,
    arena: &'a Bump,
}

impl<'k, 'a> Direct<'k, 'a> {
    /// `kept` is what the type keeps for it.
    pub fn open(
        entities: &'k WorkingSet<'a>,
        ty: &'k EntityType,
        kept: Option<&'k mut RefMut<'_, Kept>>,
        now: Datum,
        arena: &'a Bump,
    ) -> Result<Direct<'k, 'a>, PgError> {
        let open = |kept: &'k mut RefMut<'_, Kept>| Writer::open(ty.table, &COLUMNS, GIVEN, kept);
        let writer = kept.map(open).transpose()?.flatten();
        Ok(Direct { writer, entities, ty, now, arena })
    }

    pub fn close(self) -> Result<(), PgError> {
        self.writer.map_or(Ok(()), Writer::close)
    }

    /// Updates rows that are there. Returns those that are left, in their order.
    pub fn update(
        &mut self,
        mut rows: Vec<usize>,
        written: &mut Written<'a>,
    ) -> Result<Vec<usize>, Failure> {
        let (entities, arena, now) = (self.entities, self.arena, self.now);
        let Some(writer) = &mut self.writer else { return Ok(rows) };
        rows.sort_by_key(|index| entities.entities[*index].id);
        until_one_is_left(rows, |index| {
            let entity = &entities.entities[*index];
            let (Some(place), Some(attributes), Some(_)) =
                (entity.place, entity.attributes, entity.row_attributes)
            else {
                return Ok(false);
            };
            let mut values = vec![
                (ATTRIBUTES, Some(varlena(arena, attributes.bytes()))),
                (STUB, Some((entity.was_stub && !entity.is_upserted).into())),
                (UPDATED_AT, Some(now)),
            ];
            if entity.is_upserted {
                values.push((DELETED_AT, None));
            }
            let is_done = writer.update(place, &values)?;
            if is_done {
                written.as_decided.insert(*index);
            }
            Ok(is_done)
        })
    }

    /// Locks rows as they were seen, for what is decided on them. Returns those that are left.
    pub fn lock(&mut self, rows: Vec<usize>) -> Result<Vec<usize>, Failure> {
        self.lock_those(rows, |_| true)
    }

    /// Locks rows that stay as they are. Returns those that are left.
    pub fn lock_unchanged(&mut self, rows: Vec<usize>) -> Result<Vec<usize>, Failure> {
        self.lock_those(rows, |entity| {
            entity.row_attributes.is_some() && !entity.was_stub && !entity.was_deleted
        })
    }

    fn lock_those(
        &mut self,
        mut rows: Vec<usize>,
        are: impl Fn(&Entity<'a>) -> bool,
    ) -> Result<Vec<usize>, Failure> {
        let entities = self.entities;
        let Some(writer) = &mut self.writer else { return Ok(rows) };
        rows.sort_by_key(|index| entities.entities[*index].id);
        until_one_is_left(rows, |index| {
            let entity = &entities.entities[*index];
            match entity.place.filter(|_| are(entity)) {
                Some(place) => Ok(writer.lock(place)?),
                None => Ok(false),
            }
        })
    }

    /// Creates entities that no other session can be creating too. Returns those that are left.
    pub fn insert_new(
        &mut self,
        mut rows: Vec<usize>,
        written: &mut Written<'a>,
    ) -> Result<Vec<usize>, Failure> {
        rows.sort_by_key(|index| self.entities.entities[*index].id);
        until_one_is_left(rows, |index| self.insert_one(*index, None, written))
    }

    /// Creates entities under keys of a set, unless another session has. Returns those that are left.
    pub fn insert(
        &mut self,
        set: usize,
        mut rows: Vec<Keyed<'a>>,
        written: &mut Written<'a>,
    ) -> Result<Vec<Keyed<'a>>, Failure> {
        let Some(writer) = &self.writer else { return Ok(rows) };
        // As the statements, so that rights do not hang on who was there first.
        let may = writer.may_update() || !self.ty.key_sets[set].is_unique;
        if rows.is_empty() || !may {
            return Ok(rows);
        }
        let Some(index) = self.ty.guard_of(set)? else { return Ok(rows) };
        rows.sort_by_key(|row| row.key);
        until_one_is_left(rows, |row| self.insert_one(row.index, Some(index), written))
    }

    fn insert_one(
        &mut self,
        index: usize,
        unless: Option<Oid>,
        written: &mut Written<'a>,
    ) -> Result<bool, Failure> {
        let Some(writer) = &mut self.writer else { return Ok(false) };
        let entity = &self.entities.entities[index];
        let id: &[u8; 16] = self.arena.alloc(uuid(entity.id).into_bytes());
        let attributes = as_new(entity)?;
        let values = [
            (ID, Some(Datum::from(id.as_ptr()))),
            (ATTRIBUTES, Some(varlena(self.arena, &attributes))),
            (STUB, Some(entity.stub.into())),
            (CREATED_AT, Some(self.now)),
            (UPDATED_AT, Some(self.now)),
        ];
        let is_done = writer.insert(&values, unless)?;
        if is_done {
            written.created.insert(index);
            written.as_decided.insert(index);
        }
        Ok(is_done)
    }
}

/// Does something to each row, in order, until it cannot be done. Returns that row and all behind it:
/// who waits for another session holds nothing that stands behind, so that they do not wait in a
/// circle.
fn until_one_is_left<T>(
    rows: Vec<T>,
    mut does: impl FnMut(&T) -> Result<bool, Failure>,
) -> Result<Vec<T>, Failure> {
    let mut rows = rows.into_iter();
    while let Some(row) = rows.next() {
        if !does(&row)? {
            return Ok(std::iter::once(row).chain(rows).collect());
        }
    }
    Ok(Vec::new())
}
