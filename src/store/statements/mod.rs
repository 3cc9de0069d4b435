//! The statements of an entity type: their text, parameters and columns. Each is prepared once
//! and kept with the type, or with the key set that it is about.

mod find;
mod remove;
mod write;

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;
use pgrx::pg_sys::{self, Oid};

use super::entity_type::{EntityType, KeyColumn, KeySet};
use super::layout::literal;
use crate::pg::PgError;
use crate::pg::spi::{Planning, Statement};

/// A statement that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Query {
    /// To the type so named.
    Cast(String),
    FindById,
    FindNow,
    FindByKey(Find, Count),
    UpdateById(Count),
    UpdateByKey(Count),
    IdTexts,
    LockById,
    LockUnchanged(Count),
    InsertColumns(Shape, Count),
    UpdateColumns(Shape, Count),
    /// Entities, or stubs, that a unique index guards.
    Insert(Count),
    /// Entities that none guards.
    InsertNew(Count),
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

/// How many rows a statement is given, as arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Count {
    /// Its plan has nothing to join: writing it takes about a tenth less time.
    One,
    Many,
}

impl Count {
    pub fn of(rows: usize) -> Count {
        if rows == 1 { Count::One } else { Count::Many }
    }

    /// What to select from: the rows that the parameters hold.
    fn rows(self, parameters: impl IntoIterator<Item = usize>) -> String {
        let each = parameters.into_iter().map(|n| match self {
            Count::One => format!("(${n})[1]"),
            Count::Many => format!("pg_catalog.unnest(${n})"),
        });
        let each = each.collect::<Vec<_>>().join(", ");
        match self {
            Count::One => format!("(SELECT {each})"),
            Count::Many => format!("ROWS FROM ({each})"),
        }
    }

    /// As [`Count::rows`], with their numbers from 1 behind.
    fn numbered_rows(self, parameters: impl IntoIterator<Item = usize>) -> String {
        let rows = self.rows(parameters);
        match self {
            Count::One => format!("(SELECT r.*, 1::pg_catalog.int8 FROM {rows} AS r)"),
            Count::Many => format!("{rows} WITH ORDINALITY"),
        }
    }
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
pub(super) const ROWS: [Oid; 4] =
    [pg_sys::UUIDARRAYOID, pg_sys::JSONBARRAYOID, pg_sys::BOOLARRAYOID, pg_sys::TIMESTAMPTZOID];

impl EntityType {
    pub(super) fn kept(
        &self,
        query: Query,
        types: &[Oid],
        columns: &[Oid],
        planning: Planning,
        text: impl FnOnce() -> String,
    ) -> Result<Rc<Statement>, PgError> {
        kept(&self.statements, query, types, columns, planning, text)
    }

    pub(super) fn kept_with(
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
    pub(super) fn fill(&self, template: &str, values: &[(&str, String)]) -> String {
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
    pub(super) fn parameters(&self, first: usize) -> String {
        let arrays =
            (first..first + self.columns.len()).map(|n| format!("pg_catalog.unnest(${n})"));
        arrays.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn names(&self) -> String {
        (0..self.columns.len()).map(|i| format!("k{i}")).collect::<Vec<_>>().join(", ")
    }

    /// The row `t` has the key whose texts are `prefix` and a number.
    pub(super) fn matches(&self, prefix: &str) -> String {
        let each = self.columns.iter().enumerate();
        let matches = each.map(|(i, column)| column.matches(&format!("{prefix}{i}")));
        matches.collect::<Vec<_>>().join(" AND ")
    }
}

impl KeyColumn {
    /// The row `t` has the identifier whose text is `key`.
    pub(super) fn matches(&self, key: &str) -> String {
        match self {
            KeyColumn::Text(name) => format!("t.{name} OPERATOR(pg_catalog.=) {key}"),
            KeyColumn::Typed { name, ty, equals } => format!("t.{name} {equals} {key}::{ty}"),
            KeyColumn::Attribute { column, attribute } => format!(
                "erp._identifier(t.{column} OPERATOR(pg_catalog.->) {}) OPERATOR(pg_catalog.=) {key}",
                literal(attribute)
            ),
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        match self {
            KeyColumn::Text(name) | KeyColumn::Typed { name, .. } => Some(name),
            KeyColumn::Attribute { .. } => None,
        }
    }
}
