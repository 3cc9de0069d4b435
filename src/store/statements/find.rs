//! Statements that look entities up, cast values, and lock rows.

use std::rc::Rc;

use pgrx::pg_sys;

use super::{Count, Find, Query};
use crate::pg::PgError;
use crate::pg::spi::{Planning, Statement};
use crate::store::entity_type::EntityType;
use crate::store::layout::Column;

impl EntityType {
    /// `(attribute text, key text, …)` → id, attributes, created, updated and deleted time of the
    /// entities that have all the keys. Attributes that are no identifiers are compared one by
    /// one.
    pub fn find_by_identifiers(&self, attributes: &[&str]) -> Result<Rc<Statement>, PgError> {
        let matches = attributes.iter().enumerate().map(|(i, attribute)| {
            let (name, key) = (2 * i + 1, 2 * i + 2);
            match self.column_of(attribute) {
                Some(column) => column.matches(&format!("${key}")),
                None => format!(
                    "erp._identifier({} OPERATOR(pg_catalog.->) ${name}) \
                     OPERATOR(pg_catalog.=) ${key}",
                    self.layout.attributes()
                ),
            }
        });
        let matches: Vec<String> = std::iter::once("true".to_owned()).chain(matches).collect();
        let text = self.fill(
            include_str!("../../../sql/queries/find.sql"),
            &[
                ("{match}", matches.join(" AND ")),
                ("{created_at}", time(&self.layout.created_at)),
                ("{updated_at}", time(&self.layout.updated_at)),
                ("{deleted_at}", time(&self.layout.deleted_at)),
            ],
        );
        let at = pg_sys::TIMESTAMPTZOID;
        let columns = [pg_sys::TEXTOID, pg_sys::JSONBOID, at, at, at];
        let types = vec![pg_sys::TEXTOID; 2 * attributes.len()];
        Statement::prepare(&text, &types, &columns, Planning::ByIndex)
    }

    /// `(ids)` → attributes, stub, is deleted, created and updated time of those there are.
    pub fn find_now(&self) -> Result<Rc<Statement>, PgError> {
        let (_, ids) = self.layout.id_types();
        let (is, time_of) = (pg_sys::BOOLOID, pg_sys::TIMESTAMPTZOID);
        let columns = [pg_sys::JSONBOID, is, is, time_of, time_of];
        self.kept(Query::FindNow, &[ids], &columns, Planning::ByIndex, || {
            let times = [
                ("{created_at}", time(&self.layout.created_at)),
                ("{updated_at}", time(&self.layout.updated_at)),
            ];
            self.fill(include_str!("../../../sql/queries/find_now.sql"), &times)
        })
    }

    /// `(ids)` → id, stub, is deleted, attributes of those there are.
    pub fn find_by_id(&self) -> Result<Rc<Statement>, PgError> {
        let (id, ids) = self.layout.id_types();
        let columns = [id, pg_sys::BOOLOID, pg_sys::BOOLOID, pg_sys::JSONBOID];
        self.kept(Query::FindById, &[ids], &columns, Planning::ByIndex, || {
            self.fill(include_str!("../../../sql/queries/find_by_id.sql"), &[])
        })
    }

    /// The column of a key set whose rows are found by `column = ANY (keys)`, and tell their key:
    /// one of ours, of text and unique. That takes three quarters of the time of a join with the
    /// keys, half of it when the key is one.
    pub fn text_column(&self, set: usize) -> Option<&str> {
        let set = &self.key_sets[set];
        match &set.columns[..] {
            [only] if set.is_unique && self.layout.is_managed => only.name(),
            _ => None,
        }
    }

    /// `(key text[], …)` → position of the key from 1, or the key where there is a
    /// [`EntityType::text_column`]; id, stub, is deleted, attributes.
    pub fn find_by_key(
        &self,
        at: usize,
        find: Find,
        count: Count,
    ) -> Result<Rc<Statement>, PgError> {
        let set = &self.key_sets[at];
        let types = vec![pg_sys::TEXTARRAYOID; set.columns.len()];
        let (id, _) = self.layout.id_types();
        let key = if self.text_column(at).is_some() { pg_sys::TEXTOID } else { pg_sys::INT8OID };
        let columns = [key, id, pg_sys::BOOLOID, pg_sys::BOOLOID, pg_sys::JSONBOID];
        self.kept_with(set, Query::FindByKey(find, count), &types, &columns, || {
            let and_stub = match find {
                Find::Stubs => format!(" AND {}", self.layout.is_stub()),
                _ => String::new(),
            };
            let attributes = match find {
                Find::Entities => "NULL::pg_catalog.jsonb".to_owned(),
                Find::WithAttributes | Find::Stubs => self.layout.attributes(),
            };
            if let Some(column) = self.text_column(at) {
                let values = [
                    ("{column}", column.to_owned()),
                    ("{attributes}", attributes),
                    ("{and_stub}", and_stub),
                ];
                return self.fill(include_str!("../../../sql/queries/find_by_text.sql"), &values);
            }
            let matches = set.matches("k.k") + &and_stub;
            let pick = match set.is_unique {
                true => "LIMIT 1".to_owned(),
                false => {
                    // Those that are not deleted, then the one deleted last.
                    let deleted = self.layout.deleted_at.as_ref();
                    let last = deleted.map(|name| format!("t.{name} DESC NULLS FIRST, "));
                    format!("ORDER BY {}t.{} LIMIT 100", last.unwrap_or_default(), self.layout.id)
                }
            };
            let template = match set.is_indexed {
                true => include_str!("../../../sql/queries/find_by_key.sql"),
                false => include_str!("../../../sql/queries/scan_by_key.sql"),
            };
            let values = [
                ("{rows}", count.numbered_rows(1..=set.columns.len())),
                ("{names}", set.names()),
                ("{attributes}", attributes),
                ("{match}", matches),
                ("{pick}", pick),
            ];
            self.fill(template, &values)
        })
    }

    /// `(values jsonb[])` → position of the value from 1, the value as the column has it.
    pub fn cast(&self, column: &Column) -> Result<Rc<Statement>, PgError> {
        let columns = [pg_sys::INT8OID, pg_sys::JSONBOID];
        let query = Query::Cast(column.ty.clone());
        self.kept(query, &[pg_sys::JSONBARRAYOID], &columns, Planning::ByIndex, || {
            let values = [("{type}", column.ty.clone())];
            self.fill(include_str!("../../../sql/queries/cast.sql"), &values)
        })
    }

    /// `(ids)` → id, attributes, whether it is a stub; locked.
    pub fn lock_by_id(&self) -> Result<Rc<Statement>, PgError> {
        let (id, ids) = self.layout.id_types();
        let columns = [id, pg_sys::JSONBOID, pg_sys::BOOLOID];
        self.kept(Query::LockById, &[ids], &columns, Planning::ByIndex, || {
            self.fill(include_str!("../../../sql/queries/lock_by_id.sql"), &[])
        })
    }

    /// `(keys text[])` → the ids that they are, as text, in their order.
    pub fn id_texts(&self) -> Result<Rc<Statement>, PgError> {
        let (types, columns) = ([pg_sys::TEXTARRAYOID], [pg_sys::TEXTOID]);
        self.kept(Query::IdTexts, &types, &columns, Planning::Free, || {
            self.fill(include_str!("../../../sql/queries/id_texts.sql"), &[])
        })
    }
}

/// The time that a column of the row `t` holds, if there is one.
fn time(column: &Option<String>) -> String {
    match column {
        Some(name) => format!("t.{name}::pg_catalog.timestamptz"),
        None => "NULL::pg_catalog.timestamptz".to_owned(),
    }
}
