//! Statements that delete and purge entities, and find what links to them.

use std::rc::Rc;

use pgrx::pg_sys::{self, Oid};

use super::Query;
use crate::pg::PgError;
use crate::pg::spi::{Planning, Statement};
use crate::store::entity_type::{EntityType, KeySet};
use crate::store::layout::Kind;

impl EntityType {
    /// `(ids, key text[], …, now timestamptz)` → id of those deleted.
    pub fn delete_by_key(&self, set: usize) -> Result<Rc<Statement>, PgError> {
        let set = &self.key_sets[set];
        let mut types = self.ids_and_keys(set);
        types.push(pg_sys::TIMESTAMPTZOID);
        let (id, _) = self.layout.id_types();
        self.kept_with(set, Query::DeleteByKey, &types, &[id], || {
            let sets = self.deletion(types.len());
            self.by_key(set, include_str!("../../../sql/queries/delete_softly.sql"), sets)
        })
    }

    /// `(ids, key text[], …)` → id of those purged.
    pub fn purge_by_key(&self, set: usize) -> Result<Rc<Statement>, PgError> {
        let set = &self.key_sets[set];
        let (id, _) = self.layout.id_types();
        self.kept_with(set, Query::PurgeByKey, &self.ids_and_keys(set), &[id], || {
            self.by_key(set, include_str!("../../../sql/queries/purge_by_key.sql"), String::new())
        })
    }

    fn ids_and_keys(&self, set: &KeySet) -> Vec<Oid> {
        let mut types = vec![pg_sys::TEXTARRAYOID; 1 + set.columns.len()];
        types[0] = self.layout.id_types().1;
        types
    }

    fn by_key(&self, set: &KeySet, template: &str, sets: String) -> String {
        let values = [
            ("{keys}", set.parameters(2)),
            ("{names}", set.names()),
            ("{match}", set.matches("k.k")),
            ("{sets}", sets),
        ];
        self.fill(template, &values)
    }

    /// `(ids, now timestamptz)` → id of those deleted.
    pub fn delete_by_id(&self) -> Result<Rc<Statement>, PgError> {
        let (id, ids) = self.layout.id_types();
        let types = [ids, pg_sys::TIMESTAMPTZOID];
        self.kept(Query::DeleteById, &types, &[id], Planning::ByIndex, || {
            self.fill(
                include_str!("../../../sql/queries/delete_by_id.sql"),
                &[("{sets}", self.deletion(2))],
            )
        })
    }

    /// `(ids)` → id of those purged.
    pub fn purge_by_id(&self) -> Result<Rc<Statement>, PgError> {
        let (id, ids) = self.layout.id_types();
        self.kept(Query::PurgeById, &[ids], &[id], Planning::ByIndex, || {
            self.fill(include_str!("../../../sql/queries/purge_by_id.sql"), &[])
        })
    }

    /// `(before timestamptz, most bigint)` → id of those deleted before, locked.
    pub fn purge_deleted(&self) -> Result<Rc<Statement>, PgError> {
        let (id, _) = self.layout.id_types();
        let types = [pg_sys::TIMESTAMPTZOID, pg_sys::INT8OID];
        self.kept(Query::PurgeDeleted, &types, &[id], Planning::ByIndex, || {
            let deleted = self.layout.deleted_at.clone().unwrap_or_default();
            self.fill(
                include_str!("../../../sql/queries/purge_deleted.sql"),
                &[("{deleted_column}", deleted)],
            )
        })
    }

    /// `(ids text[])` → id of the entities that link to one of `target` with these ids, or by a
    /// relation in jsonb to one of any type.
    pub fn linking(&self, target: Option<&str>) -> Result<Rc<Statement>, PgError> {
        let (id, _) = self.layout.id_types();
        let types = [pg_sys::TEXTARRAYOID];
        self.kept(
            Query::Linking(target.map(str::to_owned)),
            &types,
            &[id],
            Planning::ByAnyIndex,
            || match self.layout.is_managed {
                true => {
                    let links = self.layout.links_to("k.id", target);
                    let template = include_str!("../../../sql/queries/find_linking.sql");
                    self.fill(template, &[("{links_to}", links)])
                }
                false => {
                    let links = self.layout.links_to_any("$1", target);
                    let template = include_str!("../../../sql/queries/scan_linking.sql");
                    self.fill(template, &[("{links_to}", links)])
                }
            },
        )
    }

    /// `(ids, slug of the targets text, their ids jsonb, references too boolean, now
    /// timestamptz)`.
    pub fn unlink(&self) -> Result<Rc<Statement>, PgError> {
        let (_, ids) = self.layout.id_types();
        let (slug, list, refs) = (pg_sys::TEXTOID, pg_sys::JSONBOID, pg_sys::BOOLOID);
        let types = [ids, slug, list, refs, pg_sys::TIMESTAMPTZOID];
        self.kept(Query::Unlink, &types, &[], Planning::ByIndex, || {
            let whole = self
                .layout
                .attributes
                .iter()
                .map(|name| (name, format!("erp._unlink(t.{name}, $2, $3, $4)")));
            let of_jsonb = self.layout.columns.iter().filter(|column| column.kind == Kind::Jsonb);
            let columns = of_jsonb.filter(|column| !column.is_generated).map(|column| {
                let name = &column.name;
                let value = format!(
                    "(erp._unlink(pg_catalog.jsonb_build_object('a', t.{name}), $2, $3, $4) \
                     OPERATOR(pg_catalog.->) 'a')"
                );
                (name, value)
            });
            let unlinked: Vec<(&String, String)> = whole.chain(columns).collect();
            let each = |one: &dyn Fn(&str, &str) -> String| {
                unlinked.iter().map(|(name, value)| one(name, value)).collect::<Vec<_>>()
            };
            let mut sets = each(&|name, value| format!("{name} = {value}"));
            sets.extend(self.layout.updated_at.as_ref().map(|name| format!("{name} = $5")));
            // IS DISTINCT FROM would look for its operator in the search_path.
            let changes = each(&|name, value| {
                format!("NOT COALESCE(t.{name} OPERATOR(pg_catalog.=) {value}, t.{name} IS NULL)")
            });
            let values = [("{sets}", sets.join(", ")), ("{changes}", changes.join(" OR "))];
            self.fill(include_str!("../../../sql/queries/unlink.sql"), &values)
        })
    }

    /// `(candidates, listed, anchor text)` → id, attributes, whether stub, whether deleted, of the
    /// candidates that the anchor lists or that link to it.
    pub fn scope_by_link(
        &self,
        anchor: &str,
        only_live: bool,
        lock: bool,
    ) -> Result<Rc<Statement>, PgError> {
        let (id, ids) = self.layout.id_types();
        let query = Query::ScopeByLink { anchor: anchor.to_owned(), only_live, lock };
        let types = [ids, ids, pg_sys::TEXTOID];
        self.kept(query, &types, &in_scope(id), Planning::ByIndex, || {
            let values = [
                ("{links_to}", self.layout.links_to("$3", Some(anchor))),
                ("{live}", self.live(only_live)),
                ("{lock}", for_update(lock)),
            ];
            self.fill(include_str!("../../../sql/queries/scope_by_link.sql"), &values)
        })
    }

    /// `(excepted ids, key text, …)` → id, attributes, whether stub, whether deleted.
    pub fn scope_by_key(
        &self,
        set: usize,
        only_live: bool,
        lock: bool,
    ) -> Result<Rc<Statement>, PgError> {
        let set = &self.key_sets[set];
        let (id, ids) = self.layout.id_types();
        let mut types = vec![pg_sys::TEXTOID; 1 + set.columns.len()];
        types[0] = ids;
        let query = Query::ScopeByKey { only_live, lock };
        self.kept_with(set, query, &types, &in_scope(id), || {
            let matches =
                set.columns.iter().zip(2..).map(|(column, n)| column.matches(&format!("${n}")));
            let values = [
                ("{match}", matches.collect::<Vec<_>>().join(" AND ")),
                ("{live}", self.live(only_live)),
                ("{lock}", for_update(lock)),
            ];
            self.fill(include_str!("../../../sql/queries/scope_by_key.sql"), &values)
        })
    }

    fn live(&self, only_live: bool) -> String {
        match only_live {
            true => format!("NOT ({})", self.layout.is_deleted()),
            false => "true".to_owned(),
        }
    }

    /// What a soft deletion sets; the time is parameter `now`.
    fn deletion(&self, now: usize) -> String {
        let times = [&self.layout.deleted_at, &self.layout.updated_at];
        let sets = times.into_iter().flatten().map(|name| format!("{name} = ${now}"));
        sets.collect::<Vec<_>>().join(", ")
    }
}

/// The columns of entities in a scope.
fn in_scope(id: Oid) -> [Oid; 4] {
    [id, pg_sys::JSONBOID, pg_sys::BOOLOID, pg_sys::BOOLOID]
}

fn for_update(lock: bool) -> String {
    if lock { "FOR UPDATE".to_owned() } else { String::new() }
}
