//! Statements that create and update entities: of managed tables, and of users' own.

use std::rc::Rc;

use pgrx::pg_sys;

use super::{Count, Query, ROWS, Shape};
use crate::pg::PgError;
use crate::pg::spi::{Planning, Statement};
use crate::store::entity_type::{EntityType, KeyColumn};

impl EntityType {
    /// `(ids uuid[], attributes jsonb[], stub boolean[], now timestamptz [, patches jsonb])` →
    /// id and key of those written. Without the patches for a set that is not unique.
    pub fn insert(&self, set: usize, count: Count) -> Result<Rc<Statement>, PgError> {
        let set = &self.key_sets[set];
        let (template, types) = match set.is_unique {
            true => (
                include_str!("../../../sql/queries/upsert.sql"),
                [&ROWS[..], &[pg_sys::JSONBOID]].concat(),
            ),
            false => (include_str!("../../../sql/queries/insert_stubs.sql"), ROWS.to_vec()),
        };
        let mut columns = vec![pg_sys::TEXTOID; 1 + set.columns.len()];
        columns[0] = pg_sys::UUIDOID;
        self.kept_with(set, Query::Insert(count), &types, &columns, || {
            let names: Vec<&str> = set.columns.iter().filter_map(KeyColumn::name).collect();
            let returned: Vec<String> = names.iter().map(|name| format!("t.{name}")).collect();
            self.fill(
                template,
                &[
                    ("{rows}", count.rows(1..=3)),
                    ("{columns}", names.join(", ")),
                    ("{returned}", returned.join(", ")),
                ],
            )
        })
    }

    /// `(ids uuid[], attributes jsonb[], stub boolean[], now timestamptz)` → id of those written.
    pub fn insert_new(&self, count: Count) -> Result<Rc<Statement>, PgError> {
        let query = Query::InsertNew(count);
        self.kept(query, &ROWS, &[pg_sys::UUIDOID], Planning::ByIndex, || {
            let values = [("{rows}", count.rows(1..=3))];
            self.fill(include_str!("../../../sql/queries/insert_new.sql"), &values)
        })
    }

    /// `(ids uuid[], patches jsonb[], is_stub boolean[], now timestamptz, is_upserted boolean[])`
    /// → id of those written.
    pub fn update_by_id(&self, count: Count) -> Result<Rc<Statement>, PgError> {
        let types = [&ROWS[..], &[ROWS[2]]].concat();
        let query = Query::UpdateById(count);
        self.kept(query, &types, &[pg_sys::UUIDOID], Planning::ByIndex, || {
            let values = [("{rows}", count.rows([1, 2, 3, 5]))];
            self.fill(include_str!("../../../sql/queries/update_by_id.sql"), &values)
        })
    }

    /// `(ids uuid[], patches jsonb[])` → id of those that are locked.
    pub fn lock_unchanged(&self, count: Count) -> Result<Rc<Statement>, PgError> {
        let query = Query::LockUnchanged(count);
        self.kept(query, &ROWS[..2], &[pg_sys::UUIDOID], Planning::ByIndex, || {
            let values = [("{rows}", count.rows(1..=2))];
            self.fill(include_str!("../../../sql/queries/lock_unchanged.sql"), &values)
        })
    }

    /// As [`EntityType::update_by_id`], with `(…, key text[], …)` behind: the key that each must
    /// still have.
    pub fn update_by_key(&self, set: usize, count: Count) -> Result<Rc<Statement>, PgError> {
        let set = &self.key_sets[set];
        let texts = vec![pg_sys::TEXTARRAYOID; set.columns.len()];
        let types = [&ROWS[..], &[ROWS[2]], &texts].concat();
        let keys = types.len() + 1 - texts.len()..=types.len();
        self.kept_with(set, Query::UpdateByKey(count), &types, &[pg_sys::UUIDOID], || {
            let values = [
                ("{rows}", count.rows([1, 2, 3, 5].into_iter().chain(keys))),
                ("{names}", set.names()),
                ("{match}", set.matches("i.k")),
            ];
            self.fill(include_str!("../../../sql/queries/update_by_key.sql"), &values)
        })
    }

    /// `(ids uuid[], map jsonb)`.
    pub fn relink(&self) -> Result<Rc<Statement>, PgError> {
        let types = [pg_sys::UUIDARRAYOID, pg_sys::JSONBOID];
        self.kept(Query::Relink, &types, &[], Planning::ByIndex, || {
            self.fill(include_str!("../../../sql/queries/relink.sql"), &[])
        })
    }

    /// `(ids, columns jsonb[], stub boolean[], now timestamptz)`.
    pub fn insert_columns(&self, shape: &Shape, count: Count) -> Result<Rc<Statement>, PgError> {
        let (_, ids) = self.layout.id_types();
        let types = [ids, ROWS[1], ROWS[2], ROWS[3]];
        self.kept(Query::InsertColumns(shape.clone(), count), &types, &[], Planning::Free, || {
            let layout = &self.layout;
            let mut set = vec![(layout.id.as_str(), layout.id_given("i.id"))];
            set.extend(self.shaped(shape));
            set.extend(layout.stub.as_deref().map(|name| (name, "i.stub".to_owned())));
            for time in [&layout.created_at, &layout.updated_at].into_iter().flatten() {
                set.push((time, "$4".to_owned()));
            }
            let (columns, given): (Vec<&str>, Vec<String>) = set.into_iter().unzip();
            let values = [
                ("{rows}", count.numbered_rows(1..=3)),
                ("{columns}", columns.join(", ")),
                ("{values}", given.join(", ")),
                ("{record}", self.record(shape)),
            ];
            self.fill(include_str!("../../../sql/queries/insert_columns.sql"), &values)
        })
    }

    /// `(ids, columns jsonb[], now timestamptz)` → id of those written.
    pub fn update_columns(&self, shape: &Shape, count: Count) -> Result<Rc<Statement>, PgError> {
        let (id, ids) = self.layout.id_types();
        let types = [ids, ROWS[1], ROWS[3]];
        self.kept(
            Query::UpdateColumns(shape.clone(), count),
            &types,
            &[id],
            Planning::ByIndex,
            || {
                let layout = &self.layout;
                let mut set: Vec<(&str, String)> = self.shaped(shape).collect();
                if shape.revives {
                    set.extend(layout.stub.as_deref().map(|name| (name, "false".to_owned())));
                    set.extend(layout.deleted_at.as_deref().map(|name| (name, "NULL".to_owned())));
                }
                set.extend(layout.updated_at.as_deref().map(|name| (name, "$3".to_owned())));
                // A statement has to set something; the id is as it was.
                if set.is_empty() {
                    set.push((layout.id.as_str(), format!("t.{}", layout.id)));
                }
                let sets: Vec<String> =
                    set.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
                let values = [
                    ("{rows}", count.rows(1..=2)),
                    ("{sets}", sets.join(", ")),
                    ("{record}", self.record(shape)),
                ];
                self.fill(include_str!("../../../sql/queries/update_columns.sql"), &values)
            },
        )
    }

    /// The columns of a shape and what they get.
    fn shaped<'s>(&'s self, shape: &'s Shape) -> impl Iterator<Item = (&'s str, String)> {
        let column = |at: &usize| (self.layout.columns[*at].name.as_str(), format!("r.c{at}"));
        let rest = self.layout.attributes.as_deref().filter(|_| shape.has_rest);
        shape.columns.iter().map(column).chain(rest.map(|name| (name, "r.rest".to_owned())))
    }

    /// The columns that `jsonb_to_record` gives for a shape.
    fn record(&self, shape: &Shape) -> String {
        let columns = shape.columns.iter();
        let mut record: Vec<String> =
            columns.map(|at| format!("c{at} {}", self.layout.columns[*at].ty)).collect();
        record.push("rest pg_catalog.jsonb".to_owned());
        record.join(", ")
    }
}
