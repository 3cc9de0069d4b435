//! The statements of an entity type: their text, parameters and columns. Each is prepared once
//! and kept with the type, or with the key set that it is about.

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;
use pgrx::pg_sys::{self, Oid};

use super::entity_type::{EntityType, KeyColumn, KeySet};
use super::layout::{Column, IdSource, Kind, literal};
use crate::pg::PgError;
use crate::pg::spi::{Planning, Statement};

/// A statement that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Query {
    /// To the type so named.
    Cast(String),
    FindById,
    FindByKey(Find),
    UpdateById,
    NextIds,
    IdTexts,
    LockById,
    InsertColumns(Shape),
    UpdateColumns(Shape),
    /// Entities, or stubs, that a unique index guards.
    Insert,
    /// Entities that none guards.
    InsertNew,
    Relink,
    DeleteByKey,
    DeleteById,
    PurgeByKey,
    PurgeById,
    PurgeDeleted,
    /// Entities that link to one of the type so named; without a name, by jsonb alone.
    Linking(Option<String>),
    Unlink,
    ScopeByLink {
        anchor: String,
        only_live: bool,
        lock: bool,
    },
    ScopeByKey {
        only_live: bool,
        lock: bool,
    },
}

/// The columns of a registered table that a statement writes, by their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    pub columns: Vec<usize>,
    /// Whether the jsonb column of the other attributes is one of them.
    pub has_rest: bool,
    /// Whether the entity is a stub or deleted no longer.
    pub revives: bool,
}

impl Shape {
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty() && !self.has_rest && !self.revives
    }
}

/// What to look for by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Find {
    /// Entities, to link to.
    Entities,
    /// Entities with their attributes, to change.
    WithAttributes,
    /// Stubs with their attributes, to complete.
    Stubs,
}

/// Statements kept at most of one type: events may give any combination of columns.
const MAX_STATEMENTS: usize = 200;

/// Statements that are kept.
pub type Kept = RefCell<HashMap<Query, Rc<Statement>>>;

/// The arrays of rows to be written, and the time.
const ROWS: [Oid; 4] =
    [pg_sys::UUIDARRAYOID, pg_sys::JSONBARRAYOID, pg_sys::BOOLARRAYOID, pg_sys::TIMESTAMPTZOID];

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
        let time = |column: &Option<String>| match column {
            Some(name) => format!("t.{name}::pg_catalog.timestamptz"),
            None => "NULL::pg_catalog.timestamptz".to_owned(),
        };
        let text = self.fill(
            include_str!("../../sql/queries/find.sql"),
            &[
                ("{match}", matches.join(" AND ")),
                ("{created_at}", time(&self.layout.created_at)),
                ("{updated_at}", time(&self.layout.updated_at)),
                ("{deleted_at}", time(&self.layout.deleted_at)),
            ],
        );
        let time = pg_sys::TIMESTAMPTZOID;
        let columns = [pg_sys::TEXTOID, pg_sys::JSONBOID, time, time, time];
        let types = vec![pg_sys::TEXTOID; 2 * attributes.len()];
        Statement::prepare(&text, &types, &columns, Planning::ByIndex)
    }

    /// `(values jsonb[])` → position of the value from 1, the value as the column has it.
    pub fn cast(&self, column: &Column) -> Result<Rc<Statement>, PgError> {
        let columns = [pg_sys::INT8OID, pg_sys::JSONBOID];
        let query = Query::Cast(column.ty.clone());
        self.kept(query, &[pg_sys::JSONBARRAYOID], &columns, Planning::ByIndex, || {
            let values = [("{type}", column.ty.clone())];
            self.fill(include_str!("../../sql/queries/cast.sql"), &values)
        })
    }

    /// `(count bigint)` → ids, as text.
    pub fn next_ids(&self) -> Result<Rc<Statement>, PgError> {
        let columns = [pg_sys::TEXTOID];
        self.kept(Query::NextIds, &[pg_sys::INT8OID], &columns, Planning::Free, || {
            let default = match &self.layout.id_source {
                IdSource::Default(default) => default.clone(),
                IdSource::Uuid | IdSource::Attribute(_) => "NULL".to_owned(),
            };
            self.fill(include_str!("../../sql/queries/next_ids.sql"), &[("{default}", default)])
        })
    }

    /// `(keys text[])` → the ids that they are, as text, in their order.
    pub fn id_texts(&self) -> Result<Rc<Statement>, PgError> {
        let (types, columns) = ([pg_sys::TEXTARRAYOID], [pg_sys::TEXTOID]);
        self.kept(Query::IdTexts, &types, &columns, Planning::Free, || {
            self.fill(include_str!("../../sql/queries/id_texts.sql"), &[])
        })
    }

    /// `(ids)` → id, attributes, whether it is a stub; locked.
    pub fn lock_by_id(&self) -> Result<Rc<Statement>, PgError> {
        let (id, ids) = self.layout.id_types();
        let columns = [id, pg_sys::JSONBOID, pg_sys::BOOLOID];
        self.kept(Query::LockById, &[ids], &columns, Planning::ByIndex, || {
            self.fill(include_str!("../../sql/queries/lock_by_id.sql"), &[])
        })
    }

    /// `(ids, columns jsonb[], stub boolean[], now timestamptz)`.
    pub fn insert_columns(&self, shape: &Shape) -> Result<Rc<Statement>, PgError> {
        let (_, ids) = self.layout.id_types();
        let types = [ids, ROWS[1], ROWS[2], ROWS[3]];
        self.kept(Query::InsertColumns(shape.clone()), &types, &[], Planning::Free, || {
            let layout = &self.layout;
            let mut set = vec![(layout.id.as_str(), layout.id_given("i.id"))];
            set.extend(self.shaped(shape));
            set.extend(layout.stub.as_deref().map(|name| (name, "i.stub".to_owned())));
            for time in [&layout.created_at, &layout.updated_at].into_iter().flatten() {
                set.push((time, "$4".to_owned()));
            }
            let (columns, given): (Vec<&str>, Vec<String>) = set.into_iter().unzip();
            let values = [
                ("{columns}", columns.join(", ")),
                ("{values}", given.join(", ")),
                ("{record}", self.record(shape)),
            ];
            self.fill(include_str!("../../sql/queries/insert_columns.sql"), &values)
        })
    }

    /// `(ids, columns jsonb[], now timestamptz)` → id of those written.
    pub fn update_columns(&self, shape: &Shape) -> Result<Rc<Statement>, PgError> {
        let (id, ids) = self.layout.id_types();
        let types = [ids, ROWS[1], ROWS[3]];
        self.kept(Query::UpdateColumns(shape.clone()), &types, &[id], Planning::ByIndex, || {
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
            let values = [("{sets}", sets.join(", ")), ("{record}", self.record(shape))];
            self.fill(include_str!("../../sql/queries/update_columns.sql"), &values)
        })
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

    /// `(ids)` → id, stub, is deleted, attributes of those there are.
    pub fn find_by_id(&self) -> Result<Rc<Statement>, PgError> {
        let (id, ids) = self.layout.id_types();
        let columns = [id, pg_sys::BOOLOID, pg_sys::BOOLOID, pg_sys::JSONBOID];
        self.kept(Query::FindById, &[ids], &columns, Planning::ByIndex, || {
            self.fill(include_str!("../../sql/queries/find_by_id.sql"), &[])
        })
    }

    /// `(ids uuid[], patches jsonb[], is_stub boolean[], now timestamptz, is_upserted boolean[])`
    /// → id of those written.
    pub fn update_by_id(&self) -> Result<Rc<Statement>, PgError> {
        let types = [&ROWS[..], &[ROWS[2]]].concat();
        self.kept(Query::UpdateById, &types, &[pg_sys::UUIDOID], Planning::ByIndex, || {
            self.fill(include_str!("../../sql/queries/update_by_id.sql"), &[])
        })
    }

    /// `(ids uuid[], map jsonb)`.
    pub fn relink(&self) -> Result<Rc<Statement>, PgError> {
        let types = [pg_sys::UUIDARRAYOID, pg_sys::JSONBOID];
        self.kept(Query::Relink, &types, &[], Planning::ByIndex, || {
            self.fill(include_str!("../../sql/queries/relink.sql"), &[])
        })
    }

    /// `(key text[], …)` → position of the key from 1, id, stub, is deleted, attributes.
    pub fn find_by_key(&self, set: usize, find: Find) -> Result<Rc<Statement>, PgError> {
        let set = &self.key_sets[set];
        let types = vec![pg_sys::TEXTARRAYOID; set.columns.len()];
        let (id, _) = self.layout.id_types();
        let columns = [pg_sys::INT8OID, id, pg_sys::BOOLOID, pg_sys::BOOLOID, pg_sys::JSONBOID];
        self.kept_with(set, Query::FindByKey(find), &types, &columns, || {
            let mut matches = set.matches("k.k");
            if find == Find::Stubs {
                matches.push_str(&format!(" AND {}", self.layout.is_stub()));
            }
            let attributes = match find {
                Find::Entities => "NULL::pg_catalog.jsonb".to_owned(),
                Find::WithAttributes | Find::Stubs => self.layout.attributes(),
            };
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
                true => include_str!("../../sql/queries/find_by_key.sql"),
                false => include_str!("../../sql/queries/scan_by_key.sql"),
            };
            let values = [
                ("{keys}", set.parameters(1)),
                ("{names}", set.names()),
                ("{attributes}", attributes),
                ("{match}", matches),
                ("{pick}", pick),
            ];
            self.fill(template, &values)
        })
    }

    /// `(ids uuid[], attributes jsonb[], stub boolean[], now timestamptz [, patches jsonb])` →
    /// id and key of those written. Without the patches for a set that is not unique.
    pub fn insert(&self, set: usize) -> Result<Rc<Statement>, PgError> {
        let set = &self.key_sets[set];
        let (template, types) = match set.is_unique {
            true => (
                include_str!("../../sql/queries/upsert.sql"),
                [&ROWS[..], &[pg_sys::JSONBOID]].concat(),
            ),
            false => (include_str!("../../sql/queries/insert_stubs.sql"), ROWS.to_vec()),
        };
        let mut columns = vec![pg_sys::TEXTOID; 1 + set.columns.len()];
        columns[0] = pg_sys::UUIDOID;
        self.kept_with(set, Query::Insert, &types, &columns, || {
            let names: Vec<&str> = set.columns.iter().filter_map(KeyColumn::name).collect();
            let returned: Vec<String> = names.iter().map(|name| format!("t.{name}")).collect();
            self.fill(
                template,
                &[("{columns}", names.join(", ")), ("{returned}", returned.join(", "))],
            )
        })
    }

    /// `(ids uuid[], attributes jsonb[], stub boolean[], now timestamptz)` → id of those written.
    pub fn insert_new(&self) -> Result<Rc<Statement>, PgError> {
        self.kept(Query::InsertNew, &ROWS, &[pg_sys::UUIDOID], Planning::ByIndex, || {
            self.fill(include_str!("../../sql/queries/insert_new.sql"), &[])
        })
    }

    /// `(ids, key text[], …, now timestamptz)` → id of those deleted.
    pub fn delete_by_key(&self, set: usize) -> Result<Rc<Statement>, PgError> {
        let set = &self.key_sets[set];
        let mut types = self.ids_and_keys(set);
        types.push(pg_sys::TIMESTAMPTZOID);
        let (id, _) = self.layout.id_types();
        self.kept_with(set, Query::DeleteByKey, &types, &[id], || {
            let sets = self.deletion(types.len());
            self.by_key(set, include_str!("../../sql/queries/delete_softly.sql"), sets)
        })
    }

    /// `(ids, key text[], …)` → id of those purged.
    pub fn purge_by_key(&self, set: usize) -> Result<Rc<Statement>, PgError> {
        let set = &self.key_sets[set];
        let (id, _) = self.layout.id_types();
        self.kept_with(set, Query::PurgeByKey, &self.ids_and_keys(set), &[id], || {
            self.by_key(set, include_str!("../../sql/queries/purge_by_key.sql"), String::new())
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
                include_str!("../../sql/queries/delete_by_id.sql"),
                &[("{sets}", self.deletion(2))],
            )
        })
    }

    /// `(ids)` → id of those purged.
    pub fn purge_by_id(&self) -> Result<Rc<Statement>, PgError> {
        let (id, ids) = self.layout.id_types();
        self.kept(Query::PurgeById, &[ids], &[id], Planning::ByIndex, || {
            self.fill(include_str!("../../sql/queries/purge_by_id.sql"), &[])
        })
    }

    /// `(before timestamptz, most bigint)` → id of those deleted before, locked.
    pub fn purge_deleted(&self) -> Result<Rc<Statement>, PgError> {
        let (id, _) = self.layout.id_types();
        let types = [pg_sys::TIMESTAMPTZOID, pg_sys::INT8OID];
        self.kept(Query::PurgeDeleted, &types, &[id], Planning::ByIndex, || {
            let deleted = self.layout.deleted_at.clone().unwrap_or_default();
            self.fill(
                include_str!("../../sql/queries/purge_deleted.sql"),
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
                    let template = include_str!("../../sql/queries/find_linking.sql");
                    self.fill(template, &[("{links_to}", links)])
                }
                false => {
                    let links = self.layout.links_to_any("$1", target);
                    let template = include_str!("../../sql/queries/scan_linking.sql");
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
                    "erp._unlink(pg_catalog.jsonb_build_object('a', t.{name}), $2, $3, $4) \
                     OPERATOR(pg_catalog.->) 'a'"
                );
                (name, value)
            });
            let unlinked: Vec<(&String, String)> = whole.chain(columns).collect();
            let each = |one: &dyn Fn(&str, &str) -> String| {
                unlinked.iter().map(|(name, value)| one(name, value)).collect::<Vec<_>>()
            };
            let mut sets = each(&|name, value| format!("{name} = {value}"));
            sets.extend(self.layout.updated_at.as_ref().map(|name| format!("{name} = $5")));
            let changes = each(&|name, value| format!("t.{name} IS DISTINCT FROM {value}"));
            let values = [("{sets}", sets.join(", ")), ("{changes}", changes.join(" OR "))];
            self.fill(include_str!("../../sql/queries/unlink.sql"), &values)
        })
    }

    /// `(candidates, listed, anchor text)` → id, attributes of the candidates that the anchor
    /// lists or that link to it.
    pub fn scope_by_link(
        &self,
        anchor: &str,
        only_live: bool,
        lock: bool,
    ) -> Result<Rc<Statement>, PgError> {
        let (id, ids) = self.layout.id_types();
        let query = Query::ScopeByLink { anchor: anchor.to_owned(), only_live, lock };
        let types = [ids, ids, pg_sys::TEXTOID];
        self.kept(query, &types, &[id, pg_sys::JSONBOID], Planning::ByIndex, || {
            let values = [
                ("{links_to}", self.layout.links_to("$3", Some(anchor))),
                ("{live}", self.live(only_live)),
                ("{lock}", for_update(lock)),
            ];
            self.fill(include_str!("../../sql/queries/scope_by_link.sql"), &values)
        })
    }

    /// `(excepted ids, key text, …)` → id, attributes.
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
        self.kept_with(set, query, &types, &[id, pg_sys::JSONBOID], || {
            let matches =
                set.columns.iter().zip(2..).map(|(column, n)| column.matches(&format!("${n}")));
            let values = [
                ("{match}", matches.collect::<Vec<_>>().join(" AND ")),
                ("{live}", self.live(only_live)),
                ("{lock}", for_update(lock)),
            ];
            self.fill(include_str!("../../sql/queries/scope_by_key.sql"), &values)
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

    fn kept(
        &self,
        query: Query,
        types: &[Oid],
        columns: &[Oid],
        planning: Planning,
        text: impl FnOnce() -> String,
    ) -> Result<Rc<Statement>, PgError> {
        kept(&self.statements, query, types, columns, planning, text)
    }

    fn kept_with(
        &self,
        set: &KeySet,
        query: Query,
        types: &[Oid],
        columns: &[Oid],
        text: impl FnOnce() -> String,
    ) -> Result<Rc<Statement>, PgError> {
        let planning = if set.is_indexed { Planning::ByIndex } else { Planning::Free };
        kept(&set.statements, query, types, columns, planning, text)
    }

    /// A statement of `sql/queries`, its places filled in one pass: a name may look like one.
    fn fill(&self, template: &str, values: &[(&str, String)]) -> String {
        let layout = &self.layout;
        let own = [
            ("{table}", self.name.clone()),
            ("{id}", layout.id_result()),
            ("{id_column}", layout.id.clone()),
            ("{id_type}", layout.id_type().to_owned()),
            ("{k.id}", layout.id_given("k.id")),
            ("{i.id}", layout.id_given("i.id")),
            ("{is_stub}", layout.is_stub()),
            ("{is_deleted}", layout.is_deleted()),
            ("{attributes}", layout.attributes()),
            ("{deleted_column}", layout.deleted_at.clone().unwrap_or_default()),
        ];
        let given = values.iter().map(|(place, value)| (*place, value.as_str()));
        let places: Vec<(&str, &str)> =
            given.chain(own.iter().map(|(place, value)| (*place, value.as_str()))).collect();
        // Errors show the statement; its comments are for its readers here.
        let lines: Vec<&str> = template.lines().filter(|line| !line.starts_with("--")).collect();
        let (mut text, mut rest) = (String::new(), &*lines.join("\n"));
        while let Some(at) = rest.find('{') {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            let (place, value) = places
                .iter()
                .find(|(place, _)| rest.starts_with(place))
                .expect("a place in a statement has a value");
            text.push_str(value);
            rest = &rest[place.len()..];
        }
        text + rest
    }
}

fn for_update(lock: bool) -> String {
    if lock { "FOR UPDATE".to_owned() } else { String::new() }
}

fn kept(
    slots: &Kept,
    query: Query,
    types: &[Oid],
    columns: &[Oid],
    planning: Planning,
    text: impl FnOnce() -> String,
) -> Result<Rc<Statement>, PgError> {
    if let Some(statement) = slots.borrow().get(&query) {
        return Ok(statement.clone());
    }
    let statement = Statement::prepare(&text(), types, columns, planning)?;
    let mut slots = slots.borrow_mut();
    if slots.len() >= MAX_STATEMENTS {
        slots.clear();
    }
    slots.insert(query, statement.clone());
    Ok(statement)
}

impl KeySet {
    /// The arrays of keys, which begin at parameter `first`.
    fn parameters(&self, first: usize) -> String {
        let arrays =
            (first..first + self.columns.len()).map(|n| format!("pg_catalog.unnest(${n})"));
        arrays.collect::<Vec<_>>().join(", ")
    }

    fn names(&self) -> String {
        (0..self.columns.len()).map(|i| format!("k{i}")).collect::<Vec<_>>().join(", ")
    }

    /// The row `t` has the key whose texts are `prefix` and a number.
    fn matches(&self, prefix: &str) -> String {
        let each = self.columns.iter().enumerate();
        let matches = each.map(|(i, column)| column.matches(&format!("{prefix}{i}")));
        matches.collect::<Vec<_>>().join(" AND ")
    }
}

impl KeyColumn {
    /// The row `t` has the identifier whose text is `key`.
    fn matches(&self, key: &str) -> String {
        match self {
            KeyColumn::Text(name) => format!("t.{name} OPERATOR(pg_catalog.=) {key}"),
            KeyColumn::Typed { name, ty, equals } => format!("t.{name} {equals} {key}::{ty}"),
            KeyColumn::Attribute { column, attribute } => format!(
                "erp._identifier(t.{column} OPERATOR(pg_catalog.->) {}) OPERATOR(pg_catalog.=) {key}",
                literal(attribute)
            ),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            KeyColumn::Text(name) | KeyColumn::Typed { name, .. } => Some(name),
            KeyColumn::Attribute { .. } => None,
        }
    }
}
