//! Which columns of a table its entities are kept in.

use bumpalo::Bump;
use erp_engine::jsonb::{Object, Value};
use pgrx::pg_sys::{self, Datum, Oid};
use uuid::Uuid;

use crate::pg::spi::Row;
use crate::pg::{PgError, array};

/// The columns of an entity table. Names are quoted, types are qualified.
pub struct Layout {
    /// Whether the extension made the table, so that its columns are as it made them.
    pub is_managed: bool,
    pub id: String,
    pub id_kind: IdKind,
    /// The jsonb column of the attributes that have no column of their own.
    pub attributes: Option<String>,
    pub stub: Option<String>,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
    pub deleted_at: Option<String>,
    /// Attributes in columns of their own; none in managed tables.
    pub columns: Vec<Column>,
}

/// What an entity's id is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdKind {
    Uuid,
    /// Of the type of that name; an id is its text.
    Other(String),
}

/// A column that keeps an attribute.
#[derive(Debug)]
pub struct Column {
    pub attribute: String,
    pub name: String,
}

impl Layout {
    /// Reads what `entity_type.sql` tells.
    pub fn of(told: Object<'_>) -> Layout {
        let name = |key: &str| match told.get(key) {
            Some(Value::String(name)) => Some(name.to_owned()),
            _ => None,
        };
        let id_type = name("id_type").unwrap_or_default();
        Layout {
            is_managed: matches!(told.get("is_managed"), Some(Value::Bool(true))),
            id: name("id").unwrap_or_default(),
            id_kind: match &*id_type {
                "pg_catalog.uuid" => IdKind::Uuid,
                _ => IdKind::Other(id_type),
            },
            attributes: name("attributes"),
            stub: name("stub"),
            created_at: name("created_at"),
            updated_at: name("updated_at"),
            deleted_at: name("deleted_at"),
            columns: Vec::new(),
        }
    }

    /// The type of ids in results, and of arrays of ids in arguments.
    pub fn id_types(&self) -> (Oid, Oid) {
        match self.id_kind {
            IdKind::Uuid => (pg_sys::UUIDOID, pg_sys::UUIDARRAYOID),
            IdKind::Other(_) => (pg_sys::TEXTOID, pg_sys::TEXTARRAYOID),
        }
    }

    /// The id of the row `t` as results have it.
    pub fn id_result(&self) -> String {
        match self.id_kind {
            IdKind::Uuid => format!("t.{}", self.id),
            IdKind::Other(_) => format!("t.{}::pg_catalog.text", self.id),
        }
    }

    /// `id`, an element of an array of ids, as the table has it.
    pub fn id_given(&self, id: &str) -> String {
        match &self.id_kind {
            IdKind::Uuid => id.to_owned(),
            IdKind::Other(ty) => format!("{id}::{ty}"),
        }
    }

    /// The id in a result's column.
    pub fn id<'a>(
        &self,
        row: &Row<'_>,
        column: i32,
        arena: &'a Bump,
    ) -> Result<Option<&'a str>, PgError> {
        match self.id_kind {
            IdKind::Uuid => Ok(row.uuid(column).map(|id| {
                &*arena.alloc_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            })),
            IdKind::Other(_) => row.text(column, arena),
        }
    }

    /// An array of ids, as an argument.
    pub fn ids<'v>(
        &self,
        arena: &Bump,
        ids: impl ExactSizeIterator<Item = &'v str> + Clone,
    ) -> Datum {
        match self.id_kind {
            IdKind::Uuid => array::of_uuid(arena, ids.map(uuid)),
            IdKind::Other(_) => array::of_text(arena, ids),
        }
    }

    /// The text that an id has which somebody wrote; `None` for what is no id of the table's kind.
    pub fn canonical_id<'a>(&self, given: &str, arena: &'a Bump) -> Option<&'a str> {
        match &self.id_kind {
            IdKind::Uuid => {
                let id = Uuid::parse_str(given).ok()?;
                Some(arena.alloc_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer())))
            }
            IdKind::Other(_) => Some(arena.alloc_str(given)),
        }
    }

    /// The type of ids in the table.
    pub fn id_type(&self) -> &str {
        match &self.id_kind {
            IdKind::Uuid => "pg_catalog.uuid",
            IdKind::Other(ty) => ty,
        }
    }

    /// Whether the row `t` links to the entity whose id is the text `id`.
    pub fn links_to(&self, id: &str) -> String {
        format!("t.links OPERATOR(pg_catalog.@>) pg_catalog.jsonb_build_array({id})")
    }

    /// Whether relations are kept in jsonb.
    pub fn has_links(&self) -> bool {
        self.attributes.is_some()
    }

    /// Whether the row `t` is a stub.
    pub fn is_stub(&self) -> String {
        self.stub.as_ref().map_or("false".into(), |name| format!("t.{name}"))
    }

    /// Whether the row `t` is deleted softly.
    pub fn is_deleted(&self) -> String {
        let name = self.deleted_at.as_ref();
        name.map_or("false".into(), |name| format!("t.{name} IS NOT NULL"))
    }

    /// The attributes of the row `t` as jsonb.
    pub fn attributes(&self) -> String {
        let rest = self.attributes.as_ref().map(|name| format!("t.{name}"));
        rest.unwrap_or_else(|| "'{}'::pg_catalog.jsonb".into())
    }
}

/// The id of a managed entity.
pub fn uuid(id: &str) -> Uuid {
    Uuid::parse_str(id).expect("ids of managed tables are uuids")
}

/// A string literal, whatever `standard_conforming_strings` is.
pub fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
