//! Which table a slug is bound to, by which keys its entities are found, and the statements
//! kept for it.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::jsonb::Value;
use erp_engine::mapping::nearest;
use hashbrown::HashMap;
use pgrx::pg_sys::{self, Datum, Oid};

use crate::error::Failure;
use crate::pg::spi::{Access, Statement, in_latest_snapshot};
use crate::pg::{PgError, attempt, raw};

/// What a relation does about a target that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    Create,
    Skip,
    Error,
}

/// A slug bound to a managed table.
pub struct EntityType {
    pub slug: String,
    pub table: Oid,
    pub on_missing: OnMissing,
    pub key_sets: Vec<KeySet>,
    /// Whether rows that are there are updated by id alone. `INSERT … ON CONFLICT` proposes a row
    /// of the patch's attributes, which a policy, a trigger or a NOT NULL column of the user's
    /// may refuse although the row as it will be is fine.
    pub is_written_by_id: bool,
    /// The attributes of all key sets, each once.
    pub identifiers: Vec<String>,
    /// The table's qualified name, quoted.
    name: String,
    find_by_id: OnceCell<Rc<Statement>>,
    update_by_id: OnceCell<Rc<Statement>>,
    relink: OnceCell<Rc<Statement>>,
}

/// Identifiers that together name an entity.
pub struct KeySet {
    pub attributes: Vec<String>,
    /// Where each attribute stands in [`EntityType::identifiers`].
    pub positions: Vec<usize>,
    /// Whether at most one entity has a key: entities are upserted by it. Otherwise only
    /// relations look entities up by it, and at most one *stub* has a key.
    pub is_unique: bool,
    /// A number that is the same in every session.
    pub hash: u32,
    /// Quoted.
    columns: Vec<String>,
    find: OnceCell<Rc<Statement>>,
    find_with_attributes: OnceCell<Rc<Statement>>,
    find_stubs: OnceCell<Rc<Statement>>,
    insert: OnceCell<Rc<Statement>>,
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

thread_local! {
    static TYPES: RefCell<HashMap<String, Rc<EntityType>>> = RefCell::default();
    static BINDING: RefCell<Option<Rc<Statement>>> = const { RefCell::new(None) };
    static IS_STALE: Cell<bool> = const { Cell::new(false) };
    /// How often anything was told to have changed.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static WATCHES: Cell<bool> = const { Cell::new(false) };
    /// `erp.entity_type`, once a type was read from it.
    static BINDING_TABLE: Cell<Oid> = const { Cell::new(pg_sys::InvalidOid) };
}

/// Types kept at most; beyond that all are read again.
const MAX_TYPES: usize = 1_000;

impl EntityType {
    /// The type bound to `slug`, `None` when there is none. Its binding and its table are the
    /// current ones: what is kept is dropped when another session changes either.
    pub fn find(slug: &str) -> Result<Option<Rc<EntityType>>, Failure> {
        watch_for_changes();
        if IS_STALE.replace(false) {
            TYPES.with_borrow_mut(HashMap::clear);
        }
        if let Some(known) = TYPES.with_borrow(|types| types.get(slug).cloned()) {
            return Ok(Some(known));
        }
        // What is committed now, not what an older snapshot shows: the notice of a change may have
        // come and gone. A change that is told while the binding is read may be missed by it.
        let changes = CHANGES.get();
        let Some(loaded) = in_latest_snapshot(|| load(slug))? else { return Ok(None) };
        let loaded = Rc::new(loaded);
        if CHANGES.get() != changes {
            return Ok(Some(loaded));
        }
        TYPES.with_borrow_mut(|types| {
            if types.len() >= MAX_TYPES {
                types.clear();
            }
            types.insert(slug.to_owned(), loaded.clone());
        });
        Ok(Some(loaded))
    }

    /// The type bound to `slug`. Error: `ENTITY_TYPE_UNKNOWN`.
    pub fn get(
        slug: &str,
        unique_ids: &[&str],
        purpose: Purpose,
    ) -> Result<Rc<EntityType>, Failure> {
        if let Some(known) = EntityType::find(slug)? {
            return Ok(known);
        }
        let message = format!("no table is bound to \"{slug}\"");
        let arena = Bump::new();
        let mend = match unique_ids {
            [] => "SELECT slug FROM erp.entity_type; lists those there are.".to_owned(),
            _ => create_hint(slug, unique_ids, purpose),
        };
        let hint = or_near(slug, &slugs(&arena)?, mend);
        Err(Error::new(Code::EntityTypeUnknown, message).hint(hint).into())
    }

    /// The key set of exactly these attributes, in any order.
    pub fn key_set(&self, attributes: &[&str]) -> Option<usize> {
        self.key_sets.iter().position(|set| {
            set.attributes.len() == attributes.len()
                && set.attributes.iter().all(|name| attributes.contains(&name.as_str()))
        })
    }

    /// The error for a key set that does not exist, or not for this use.
    pub fn not_prepared(&self, attributes: &[&str], purpose: Purpose) -> Error {
        let wanted = match purpose {
            Purpose::Upserts => "upserts",
            Purpose::Relations => "relations",
        };
        let message = format!(
            "\"{}\" is not prepared for {wanted} by ({})",
            self.slug,
            attributes.join(", ")
        );
        Error::new(Code::EntityTypeUnknown, message)
            .hint(create_hint(&self.slug, attributes, purpose))
    }

    /// `(attribute text, key text, …)` → id, attributes, created, updated and deleted time of the
    /// entities that have all the keys. Attributes that are no identifiers are compared one by
    /// one.
    pub fn find_by_identifiers(&self, attributes: &[&str]) -> Result<Rc<Statement>, PgError> {
        let column = |attribute: &str| {
            let at = |set: &KeySet| set.attributes.iter().position(|known| known == attribute);
            self.key_sets.iter().find_map(|set| Some(set.columns[at(set)?].as_str()))
        };
        let matches = attributes.iter().enumerate().map(|(i, attribute)| {
            let (name, key) = (2 * i + 1, 2 * i + 2);
            match column(attribute) {
                Some(column) => format!("t.{column} OPERATOR(pg_catalog.=) ${key}"),
                None => format!(
                    "erp._identifier(t.attributes OPERATOR(pg_catalog.->) ${name}) \
                     OPERATOR(pg_catalog.=) ${key}"
                ),
            }
        });
        let matches: Vec<String> = std::iter::once("true".to_owned()).chain(matches).collect();
        let text = self.fill(
            include_str!("../../sql/queries/find.sql"),
            &[("{match}", &matches.join(" AND "))],
        );
        let columns = [
            pg_sys::TEXTOID,
            pg_sys::JSONBOID,
            pg_sys::TIMESTAMPTZOID,
            pg_sys::TIMESTAMPTZOID,
            pg_sys::TIMESTAMPTZOID,
        ];
        Statement::prepare(&text, &vec![pg_sys::TEXTOID; 2 * attributes.len()], &columns)
    }

    /// `(ids uuid[])` → id of those there are.
    pub fn find_by_id(&self) -> Result<Rc<Statement>, PgError> {
        self.kept(&self.find_by_id, &[pg_sys::UUIDARRAYOID], &[pg_sys::UUIDOID], || {
            self.fill(include_str!("../../sql/queries/find_by_id.sql"), &[])
        })
    }

    /// `(ids uuid[], patches jsonb[], is_stub boolean[], now timestamptz)` → id of those written.
    pub fn update_by_id(&self) -> Result<Rc<Statement>, PgError> {
        self.kept(&self.update_by_id, &ROWS, &[pg_sys::UUIDOID], || {
            self.fill(include_str!("../../sql/queries/update_by_id.sql"), &[])
        })
    }

    /// `(ids uuid[], map jsonb)`.
    pub fn relink(&self) -> Result<Rc<Statement>, PgError> {
        self.kept(&self.relink, &[pg_sys::UUIDARRAYOID, pg_sys::JSONBOID], &[], || {
            self.fill(include_str!("../../sql/queries/relink.sql"), &[])
        })
    }

    /// `(key text[], …)` → position of the key from 1, id, stub, is deleted, attributes.
    pub fn find_by_key(&self, set: usize, find: Find) -> Result<Rc<Statement>, PgError> {
        let set = &self.key_sets[set];
        let slot = match find {
            Find::Entities => &set.find,
            Find::WithAttributes => &set.find_with_attributes,
            Find::Stubs => &set.find_stubs,
        };
        let types = vec![pg_sys::TEXTARRAYOID; set.columns.len()];
        let columns =
            [pg_sys::INT8OID, pg_sys::UUIDOID, pg_sys::BOOLOID, pg_sys::BOOLOID, pg_sys::JSONBOID];
        self.kept(slot, &types, &columns, || self.find_by_key_text(set, find))
    }

    fn find_by_key_text(&self, set: &KeySet, find: Find) -> String {
        let each = |one: &dyn Fn(usize) -> String, join: &str| {
            (0..set.columns.len()).map(one).collect::<Vec<_>>().join(join)
        };
        let mut matches =
            each(&|i| format!("t.{} OPERATOR(pg_catalog.=) k.k{i}", set.columns[i]), " AND ");
        if find == Find::Stubs {
            matches.push_str(" AND t.stub");
        }
        let attributes = match find {
            Find::Entities => "NULL::pg_catalog.jsonb",
            Find::WithAttributes | Find::Stubs => "t.attributes",
        };
        let pick = match set.is_unique {
            true => "LIMIT 1",
            false => "ORDER BY t.deleted_at IS NOT NULL, t.id LIMIT 100",
        };
        let keys = each(&|i| format!("pg_catalog.unnest(${})", i + 1), ", ");
        self.fill(
            include_str!("../../sql/queries/find_by_key.sql"),
            &[
                ("{keys}", &keys),
                ("{names}", &each(&|i| format!("k{i}"), ", ")),
                ("{attributes}", attributes),
                ("{match}", &matches),
                ("{pick}", pick),
            ],
        )
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
        self.kept(&set.insert, &types, &columns, || {
            let returned: Vec<String> =
                set.columns.iter().map(|name| format!("t.{name}")).collect();
            self.fill(
                template,
                &[("{columns}", &set.columns.join(", ")), ("{returned}", &returned.join(", "))],
            )
        })
    }

    fn kept(
        &self,
        slot: &OnceCell<Rc<Statement>>,
        types: &[Oid],
        columns: &[Oid],
        text: impl FnOnce() -> String,
    ) -> Result<Rc<Statement>, PgError> {
        if let Some(statement) = slot.get() {
            return Ok(statement.clone());
        }
        let statement = Statement::prepare(&text(), types, columns)?;
        Ok(slot.get_or_init(|| statement).clone())
    }

    /// A statement of `sql/queries`, its places filled in one pass: a name may look like one.
    fn fill(&self, template: &str, values: &[(&str, &str)]) -> String {
        let places = || values.iter().copied().chain([("{table}", self.name.as_str())]);
        // Errors show the statement; its comments are for its readers here.
        let lines: Vec<&str> = template.lines().filter(|line| !line.starts_with("--")).collect();
        let (mut text, mut rest) = (String::new(), &*lines.join("\n"));
        while let Some(at) = rest.find('{') {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            let (place, value) = places()
                .find(|(place, _)| rest.starts_with(place))
                .expect("a place in a statement has a value");
            text.push_str(value);
            rest = &rest[place.len()..];
        }
        text + rest
    }
}

/// The arrays of rows to be written, and the time.
const ROWS: [Oid; 4] =
    [pg_sys::UUIDARRAYOID, pg_sys::JSONBARRAYOID, pg_sys::BOOLARRAYOID, pg_sys::TIMESTAMPTZOID];

/// What entities are found for by a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Upserts,
    Relations,
}

/// The call that binds `slug`, or gives it one more key set.
pub fn create_hint(slug: &str, unique_ids: &[&str], purpose: Purpose) -> String {
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let ids: Vec<String> = unique_ids.iter().map(|id| literal(id)).collect();
    let for_upsert = if purpose == Purpose::Relations { ", for_upsert => false" } else { "" };
    format!("SELECT erp_create_entity({}, ARRAY[{}]{for_upsert});", literal(slug), ids.join(", "))
}

/// The hint `mend`, after the slug of `known` that `slug` may have been meant to be.
pub fn or_near(slug: &str, known: &[&str], mend: String) -> String {
    match nearest(slug, known.iter().copied().filter(|known| *known != slug)) {
        Some(near) => format!("Did you mean \"{near}\"? Otherwise: {mend}"),
        None => mend,
    }
}

/// Every slug that is bound.
pub fn slugs(arena: &Bump) -> Result<Vec<&str>, Failure> {
    let text = "SELECT slug FROM erp.entity_type ORDER BY slug LIMIT 1000";
    let statement = Statement::prepare(text, &[], &[pg_sys::TEXTOID])?;
    let rows = statement.execute(&[], Access::Read)?;
    let slugs = rows.iter().filter_map(|row| row.text(1, arena).transpose());
    Ok(slugs.collect::<Result<_, _>>()?)
}

fn load(slug: &str) -> Result<Option<EntityType>, Failure> {
    let statement = match BINDING.with_borrow(Clone::clone) {
        Some(kept) => kept,
        None => {
            let text = include_str!("../../sql/queries/entity_type.sql");
            let columns = [
                pg_sys::OIDOID,
                pg_sys::TEXTOID,
                pg_sys::TEXTOID,
                pg_sys::JSONBOID,
                pg_sys::OIDOID,
                pg_sys::BOOLOID,
            ];
            let new = Statement::prepare(text, &[pg_sys::TEXTOID], &columns)?;
            BINDING.set(Some(new.clone()));
            new
        }
    };
    let arena = Bump::new();
    let argument = crate::jsonb::datum(slug.as_bytes())?;
    let rows = statement.execute(&[argument], Access::Read)?;
    let Some(row) = rows.iter().next() else { return Ok(None) };
    let (Some(table), Some(name)) = (row.oid(1), row.text(2, &arena)?) else { return Ok(None) };
    BINDING_TABLE.set(row.oid(5).unwrap_or(pg_sys::InvalidOid));
    let on_missing = match row.text(3, &arena)? {
        Some("skip") => OnMissing::Skip,
        Some("error") => OnMissing::Error,
        _ => OnMissing::Create,
    };
    let mut identifiers = Vec::new();
    let key_sets = match row.jsonb(4, &arena)? {
        Some(Value::Array(sets)) => sets.iter().map(|set| key_set(set, &mut identifiers)).collect(),
        _ => Vec::new(),
    };
    Ok(Some(EntityType {
        slug: slug.to_owned(),
        table,
        on_missing,
        is_written_by_id: row.bool(6),
        key_sets,
        identifiers,
        name: name.to_owned(),
        find_by_id: OnceCell::new(),
        update_by_id: OnceCell::new(),
        relink: OnceCell::new(),
    }))
}

fn key_set(set: Value<'_>, identifiers: &mut Vec<String>) -> KeySet {
    let member = |name: &str| set.as_object().and_then(|set| set.get(name));
    let names = |name: &str| -> Vec<String> {
        let list = member(name).and_then(Value::as_array);
        list.into_iter()
            .flat_map(|list| list.iter())
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let attributes = names("attributes");
    let positions = attributes
        .iter()
        .map(|attribute| {
            identifiers.iter().position(|known| known == attribute).unwrap_or_else(|| {
                identifiers.push(attribute.clone());
                identifiers.len() - 1
            })
        })
        .collect();
    KeySet {
        hash: super::guard::hash(&attributes),
        attributes,
        positions,
        is_unique: matches!(member("is_unique"), Some(Value::Bool(true))),
        columns: names("columns"),
        find: OnceCell::new(),
        find_with_attributes: OnceCell::new(),
        find_stubs: OnceCell::new(),
        insert: OnceCell::new(),
    }
}

/// Has PostgreSQL tell when a table changes: a binding (see [`invalidate`]) or an entity table.
fn watch_for_changes() {
    if !WATCHES.get() {
        // SAFETY: the callback lives as long as the library, which is never unloaded.
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), Datum::null());
            let schemas = pg_sys::SysCacheIdentifier::NAMESPACEOID as i32;
            pg_sys::CacheRegisterSyscacheCallback(schemas, Some(schema_changed), Datum::null());
        }
        WATCHES.set(true);
    }
}

/// Called by PostgreSQL at any moment: notes the fact and nothing else.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn relation_changed(_argument: Datum, relation: Oid) {
    let _ = CHANGES.try_with(|changes| changes.set(changes.get() + 1));
    let concerns_us = || {
        TYPES.try_with(|types| match types.try_borrow() {
            Ok(types) => types.values().any(|known| known.table == relation),
            Err(_) => true,
        })
    };
    let is_binding = BINDING_TABLE.try_with(Cell::get).is_ok_and(|known| known == relation);
    if relation == pg_sys::InvalidOid || is_binding || concerns_us().unwrap_or(true) {
        let _ = IS_STALE.try_with(|stale| stale.set(true));
    }
}

/// A schema was renamed, perhaps.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn schema_changed(_argument: Datum, _cache: i32, _hash: u32) {
    let _ = CHANGES.try_with(|changes| changes.set(changes.get() + 1));
    let _ = IS_STALE.try_with(|stale| stale.set(true));
}

/// Makes every session read the bindings again once this transaction commits. `table` is
/// `erp.entity_type`.
pub fn invalidate(table: Oid) -> Result<(), PgError> {
    IS_STALE.set(true);
    // SAFETY: no pointers.
    unsafe { attempt(|| raw::CacheInvalidateRelcacheByRelid(table)) }
}
