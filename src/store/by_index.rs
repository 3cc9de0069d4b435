//! Finding the entities of a managed table by the index of a key set, without a statement. A call
//! that leaves an entity as it is takes two thirds of the instructions, one that changes it nine
//! tenths; batches that change nothing take a tenth less.

use std::cmp::Reverse;

use bumpalo::Bump;
use pgrx::pg_sys::{self, Oid};

use super::Key;
use super::entity_type::EntityType;
use super::layout::text_of;
use super::resolve::Row;
use super::statements::Find;
use crate::error::Failure;
use crate::jsonb;
use crate::pg::PgError;
use crate::pg::index::Index;
use crate::pg::spi::uuid;

/// Entities that are told of a key that is not unique, as `find_by_key.sql` does.
const MOST: usize = 100;

/// The columns that are read, as they stand in every managed table.
const COLUMNS: [(&str, Oid); 4] = [
    ("id", pg_sys::UUIDOID),
    ("stub", pg_sys::BOOLOID),
    ("deleted_at", pg_sys::TIMESTAMPTZOID),
    ("attributes", pg_sys::JSONBOID),
];

/// The entities that have one of `keys`, as the active snapshot sees them; `None` when a statement
/// is to look.
pub fn find_by_index<'a>(
    ty: &EntityType,
    set: usize,
    find: Find,
    keys: &[Key<'a>],
    arena: &'a Bump,
) -> Result<Option<Vec<Row<'a>>>, Failure> {
    let Some(index) = ty.index(set)? else { return Ok(None) };
    let is_unique = ty.key_sets[set].is_unique && index.is_unique;
    let most = if is_unique { 1 } else { MOST + 1 };
    let mut rows = Vec::with_capacity(keys.len());
    let mut deleted = Vec::new();
    let is_done = index.look_up(keys, most, arena, |at, row| {
        let Some(id) = row.datum(0) else { return Ok(()) };
        // SAFETY: the columns are of these types.
        let (id, attributes) = unsafe {
            let attributes = row.datum(3).filter(|_| find != Find::Entities);
            (uuid(id), attributes.map(|datum| jsonb::read(datum, arena)).transpose()?)
        };
        let deleted_at = row.datum(2).map(|time| time.value() as i64);
        let row = Row {
            key: keys[at],
            id: text_of(id, arena),
            stub: row.datum(1).is_some_and(|stub| stub.value() != 0),
            is_deleted: deleted_at.is_some(),
            attributes,
            place: Some(row.place()),
        };
        if most > 1 {
            deleted.push((at, deleted_at));
        }
        rows.push(row);
        Ok(())
    })?;
    if !is_done || deleted.chunk_by(|(a, _), (b, _)| a == b).any(|rows| rows.len() > MOST) {
        return Ok(None);
    }
    if most > 1 {
        rows = in_order(rows, &deleted);
    }
    rows.retain(|row| row.stub || find != Find::Stubs);
    Ok(Some(rows))
}

/// Of each key those that are not deleted, then the one deleted last.
fn in_order<'a>(rows: Vec<Row<'a>>, deleted: &[(usize, Option<i64>)]) -> Vec<Row<'a>> {
    let mut rows: Vec<_> = rows.into_iter().zip(deleted).collect();
    rows.sort_by_key(|(row, (at, deleted_at))| {
        (*at, deleted_at.is_some(), Reverse(*deleted_at), row.id)
    });
    rows.into_iter().map(|(row, _)| row).collect()
}

impl EntityType {
    /// The index of a key set, in a managed table that is as it was made.
    pub(super) fn index(&self, set: usize) -> Result<Option<&Index>, PgError> {
        let key_set = &self.key_sets[set];
        if let Some(known) = key_set.index.get() {
            return Ok(known.as_ref());
        }
        let found = match self.indexed_columns(set) {
            Some(names) => Index::of(self.table, &names, &COLUMNS)?,
            None => None,
        };
        Ok(key_set.index.get_or_init(|| found).as_ref())
    }

    /// The unique index that keeps two entities from having a key of a key set; where that is none
    /// to upsert by, two stubs.
    pub(super) fn guard_of(&self, set: usize) -> Result<Option<Oid>, PgError> {
        let key_set = &self.key_sets[set];
        if key_set.is_unique {
            return Ok(self.index(set)?.filter(|index| index.is_unique).map(|index| index.oid));
        }
        if let Some(known) = key_set.stub_index.get() {
            return Ok(*known);
        }
        let found = match self.indexed_columns(set) {
            Some(names) => Index::of_flagged(self.table, &names, "stub")?,
            None => None,
        };
        Ok(*key_set.stub_index.get_or_init(|| found))
    }

    /// The columns of a key set, in a managed table.
    fn indexed_columns(&self, set: usize) -> Option<Vec<String>> {
        let key_set = &self.key_sets[set];
        if !self.layout.is_managed || !key_set.is_indexed {
            return None;
        }
        key_set.columns.iter().map(|column| column.name().map(unquoted)).collect()
    }
}

/// A name as `quote_ident` was given it.
fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(name) => name.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}
