//! Which table a slug is bound to, and by which keys its entities are found.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::jsonb::{Object, Value};
use erp_engine::mapping::nearest;
use hashbrown::HashMap;
use pgrx::pg_sys::{self, Datum, Oid};

use super::layout::{Column, Layout};
use super::statements::Kept;
use crate::error::Failure;
use crate::pg::index::Index;
use crate::pg::spi::{Access, Planning, Statement, in_latest_snapshot, in_system_path};
use crate::pg::{PgError, attempt, raw, writer};

/// What a relation does about a target that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    Create,
    Skip,
    Error,
}

/// A slug bound to a table.
#[derive(Clone)]
pub struct EntityType {
    pub slug: String,
    pub table: Oid,
    pub on_missing: OnMissing,
    pub layout: Rc<Layout>,
    /// Those that are prepared, then others that a mapping uses.
    pub key_sets: Vec<Rc<KeySet>>,
    /// For each key set, where its attributes stand in `identifiers`.
    pub positions: Vec<Vec<usize>>,
    /// The attributes of all key sets, each once.
    pub identifiers: Vec<String>,
    /// The table's qualified name, quoted.
    pub(super) name: String,
    pub(super) statements: Rc<Kept>,
    /// What is kept for writing rows without statements.
    pub(super) writing: Rc<RefCell<writer::Kept>>,
    /// Key sets that are not prepared, but were asked for.
    others: Rc<RefCell<Vec<Rc<KeySet>>>>,
}

/// Identifiers that together name an entity.
pub struct KeySet {
    pub attributes: Vec<String>,
    /// Whether at most one entity has a key, because a unique index says so.
    pub is_unique: bool,
    /// Whether it was prepared for upserts: at most one entity that is not deleted has a key.
    pub is_for_upserts: bool,
    /// Whether it was prepared: it has an index, and at most one stub has a key.
    pub is_indexed: bool,
    /// A number that is the same in every session.
    pub hash: u32,
    pub(super) columns: Vec<KeyColumn>,
    pub(super) statements: Kept,
    /// See [`EntityType::index`].
    pub(super) index: OnceCell<Option<Index>>,
    /// See [`EntityType::guard_of`].
    pub(super) stub_index: OnceCell<Option<Oid>>,
}

/// Where a table has an identifier. Names are quoted.
#[derive(Clone)]
pub enum KeyColumn {
    /// In a text column of its own.
    Text(String),
    /// In a column of another type.
    Typed { name: String, ty: String, equals: String },
    /// In the jsonb of its attributes.
    Attribute { column: String, attribute: String },
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

/// Key sets kept at most of a type that are not prepared.
const MAX_OTHERS: usize = 16;

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
        self.key_sets.iter().position(|set| set.is_of(attributes))
    }

    /// The same type, with a key set of these attributes that no index serves. `None` when the
    /// table has no place for one of them.
    pub fn with_key_set(&self, attributes: &[&str]) -> Option<EntityType> {
        let known = self.others.borrow().iter().find(|set| set.is_of(attributes)).cloned();
        let set = match known {
            Some(known) => known,
            None => {
                let columns: Option<_> =
                    attributes.iter().map(|attribute| self.key_column(attribute)).collect();
                let set = Rc::new(KeySet::new(attributes.iter(), columns?, false, false));
                let mut others = self.others.borrow_mut();
                if others.len() >= MAX_OTHERS {
                    others.clear();
                }
                others.push(set.clone());
                set
            }
        };
        let mut extended = self.clone();
        extended.add(set);
        Some(extended)
    }

    fn add(&mut self, set: Rc<KeySet>) {
        let positions = set.attributes.iter().map(|attribute| {
            let known = self.identifiers.iter().position(|known| known == attribute);
            known.unwrap_or_else(|| {
                self.identifiers.push(attribute.clone());
                self.identifiers.len() - 1
            })
        });
        self.positions.push(positions.collect());
        self.key_sets.push(set);
    }

    fn key_column(&self, attribute: &str) -> Option<KeyColumn> {
        if let Some(known) = self.column_of(attribute) {
            return Some(known);
        }
        let column = self.layout.attributes.clone()?;
        Some(KeyColumn::Attribute { column, attribute: attribute.to_owned() })
    }

    /// The column that keeps an identifier, if it has one of its own.
    pub(super) fn column_of(&self, attribute: &str) -> Option<KeyColumn> {
        if let Some(column) = self.layout.column(attribute) {
            return Some(KeyColumn::of(column));
        }
        self.key_sets.iter().filter(|set| set.is_indexed).find_map(|set| {
            let at = set.attributes.iter().position(|known| known == attribute)?;
            Some(set.columns[at].clone())
        })
    }
}

/// What entities are found for by a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Upserts,
    Relations,
}

/// The call that binds `slug`, or gives it one more key set.
pub fn create_hint(slug: &str, unique_ids: &[&str], purpose: Purpose) -> String {
    let ids: Vec<String> = unique_ids.iter().map(|id| quoted(id)).collect();
    let for_upsert = if purpose == Purpose::Relations { ", for_upsert => false" } else { "" };
    format!("SELECT erp_create_entity({}, ARRAY[{}]{for_upsert});", quoted(slug), ids.join(", "))
}

/// A string literal, for hints.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
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
    let text = "SELECT slug FROM erp.entity_type ORDER BY slug";
    let statement = Statement::prepare(text, &[], &[pg_sys::TEXTOID], Planning::ByIndex)?;
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
                pg_sys::JSONBOID,
            ];
            let new = Statement::prepare(text, &[pg_sys::TEXTOID], &columns, Planning::ByIndex)?;
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
    let Some(Value::Object(told)) = row.jsonb(6, &arena)? else { return Ok(None) };
    let is_managed = matches!(told.get("is_managed"), Some(Value::Bool(true)));
    check_missing(slug, name, is_managed, told)?;
    let columns = if is_managed { None } else { columns(slug, &arena)? };
    let layout = Layout::of(told, columns);
    let mut ty = EntityType {
        slug: slug.to_owned(),
        table,
        on_missing,
        layout: Rc::new(layout),
        key_sets: Vec::new(),
        positions: Vec::new(),
        identifiers: Vec::new(),
        name: name.to_owned(),
        statements: Rc::default(),
        writing: Rc::default(),
        others: Rc::default(),
    };
    if let Some(Value::Array(sets)) = row.jsonb(4, &arena)? {
        for set in sets.iter() {
            let set = KeySet::of(set, &ty.layout);
            ty.add(Rc::new(set));
        }
    }
    Ok(Some(ty))
}

/// Error: `ENTITY_TYPE_UNKNOWN` when the table has lost columns that the binding names.
fn check_missing(
    slug: &str,
    table: &str,
    is_managed: bool,
    told: Object<'_>,
) -> Result<(), Failure> {
    let Some(Value::Array(missing)) = told.get("missing") else { return Ok(()) };
    let missing: Vec<String> =
        missing.iter().filter_map(Value::as_str).map(|name| format!("\"{name}\"")).collect();
    let columns = if missing.len() == 1 { "column" } else { "columns" };
    let message =
        format!("the table {table} of \"{slug}\" has no {columns} {} any more", missing.join(", "));
    let hint = match is_managed {
        true => "Give the table its columns back: erp_toolkit made them.".to_owned(),
        false => format!(
            "If they were renamed, register the table again: SELECT erp_register_entity({}, {}, …);",
            quoted(slug),
            quoted(table)
        ),
    };
    Err(Error::new(Code::EntityTypeUnknown, message).hint(hint).into())
}

/// The columns of a registered table.
fn columns<'a>(slug: &str, arena: &'a Bump) -> Result<Option<Value<'a>>, Failure> {
    let text = include_str!("../../sql/queries/entity_columns.sql");
    let types = ([pg_sys::TEXTOID], [pg_sys::JSONBOID]);
    let argument = crate::jsonb::datum(slug.as_bytes())?;
    // Whoever applies the next event may have another search path than whoever applies this one.
    in_system_path(|| {
        let statement = Statement::prepare(text, &types.0, &types.1, Planning::ByIndex)?;
        let rows = statement.execute(&[argument], Access::Read)?;
        let row = rows.iter().next();
        Ok(row.map(|row| row.jsonb(1, arena)).transpose()?.flatten())
    })
}

impl KeyColumn {
    fn of(column: &Column) -> KeyColumn {
        let (name, ty) = (column.name.clone(), column.ty.clone());
        KeyColumn::Typed { name, ty, equals: column.equals.clone() }
    }
}

impl KeySet {
    fn new<'n>(
        attributes: impl Iterator<Item = &'n (impl AsRef<str> + 'n)>,
        columns: Vec<KeyColumn>,
        is_unique: bool,
        is_indexed: bool,
    ) -> KeySet {
        let attributes: Vec<String> = attributes.map(|name| name.as_ref().to_owned()).collect();
        let hash = super::guard::hash(&attributes);
        KeySet {
            hash,
            attributes,
            columns,
            is_unique,
            is_for_upserts: is_unique,
            is_indexed,
            statements: Kept::default(),
            index: OnceCell::new(),
            stub_index: OnceCell::new(),
        }
    }

    /// Reads what `entity_type.sql` tells.
    fn of(set: Value<'_>, layout: &Layout) -> KeySet {
        let member = |name: &str| set.as_object().and_then(|set| set.get(name));
        let names = |name: &str| -> Vec<&str> {
            let list = member(name).and_then(Value::as_array);
            list.into_iter().flat_map(|list| list.iter()).filter_map(Value::as_str).collect()
        };
        let columns = names("columns").into_iter().map(|name| {
            match layout.columns.iter().find(|column| column.name == name) {
                Some(column) => KeyColumn::of(column),
                None => KeyColumn::Text(name.to_owned()),
            }
        });
        let is = |name: &str| matches!(member(name), Some(Value::Bool(true)));
        let is_unique = is("is_unique") && is("is_whole");
        let set = KeySet::new(names("attributes").iter(), columns.collect(), is_unique, true);
        KeySet { is_for_upserts: is("is_unique"), ..set }
    }

    /// Whether it is of exactly these attributes, in any order.
    fn is_of(&self, attributes: &[&str]) -> bool {
        self.attributes.len() == attributes.len()
            && self.attributes.iter().all(|name| attributes.contains(&name.as_str()))
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
            let types = pg_sys::SysCacheIdentifier::TYPEOID as i32;
            pg_sys::CacheRegisterSyscacheCallback(types, Some(type_changed), Datum::null());
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

/// A type was renamed, perhaps, or another one made: only columns of users' tables name types.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn type_changed(_argument: Datum, _cache: i32, _hash: u32) {
    let _ = CHANGES.try_with(|changes| changes.set(changes.get() + 1));
    let concerns_us = TYPES.try_with(|types| match types.try_borrow() {
        Ok(types) => types.values().any(|known| !known.layout.is_managed),
        Err(_) => true,
    });
    if concerns_us.unwrap_or(true) {
        let _ = IS_STALE.try_with(|stale| stale.set(true));
    }
}

/// Makes every session read the bindings again once this transaction commits. `table` is
/// `erp.entity_type`.
pub fn invalidate(table: Oid) -> Result<(), PgError> {
    IS_STALE.set(true);
    // SAFETY: no pointers.
    unsafe { attempt(|| raw::CacheInvalidateRelcacheByRelid(table)) }
}
