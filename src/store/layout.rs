//! Which columns of a table its entities are kept in.

use bumpalo::Bump;
use erp_engine::jsonb::{Object, Value};
use pgrx::pg_sys::{self, Datum, Oid};
use uuid::Uuid;

use crate::pg::spi::{Row, Rows};
use crate::pg::{PgError, array};

/// The columns of an entity table. Names are quoted, types are qualified.
pub struct Layout {
    /// Whether the extension made the table, so that its columns are as it made them.
    pub is_managed: bool,
    pub id: String,
    pub id_kind: IdKind,
    /// What gives a new entity its id.
    pub id_source: IdSource,
    /// The jsonb column of the attributes that have no column of their own.
    pub attributes: Option<String>,
    pub stub: Option<String>,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
    pub deleted_at: Option<String>,
    /// Attributes in columns of their own; none in managed tables.
    pub columns: Vec<Column>,
    /// How many tables the table's foreign keys reach: those are written before it.
    pub rank: u64,
}

/// What an entity's id is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdKind {
    Uuid,
    /// Of the type of that name; an id is its text.
    Other(String),
}

/// What gives a new entity its id, unless the event gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdSource {
    /// A fresh uuid of version 7.
    Uuid,
    /// The default, or the sequence, of the column of that number.
    Default(i16),
    /// An attribute.
    Attribute(String),
}

/// A column that keeps an attribute.
#[derive(Debug)]
pub struct Column {
    pub attribute: String,
    pub name: String,
    /// Of a domain, the type beneath it.
    pub ty: String,
    pub kind: Kind,
    /// The operator by which its type's values are equal.
    pub equals: String,
    pub is_id: bool,
    pub is_generated: bool,
}

/// What a column can keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Text,
    Boolean,
    Integer,
    Numeric,
    Jsonb,
    Array,
    Other,
    /// The id of the one entity of that type that a relation links to.
    Reference(String),
}

impl Layout {
    /// Reads what `entity_type.sql` tells, and `entity_columns.sql` of a registered table.
    pub fn of(told: Object<'_>, columns: Option<Value<'_>>) -> Layout {
        let name = |key: &str| told.get(key).and_then(Value::as_str).map(str::to_owned);
        let list = columns.and_then(Value::as_array);
        let listed = || list.into_iter().flat_map(|list| list.iter()).filter_map(Value::as_object);
        let columns: Vec<Column> = listed().map(Column::of).collect();
        let id = columns.iter().find(|column| column.is_id);
        let default = listed().find_map(|column| match column.get("default") {
            Some(Value::Number(number)) => number.canonical().parse().ok(),
            _ => None,
        });
        let is_uuid = id.is_none_or(|id| id.ty == "pg_catalog.uuid");
        Layout {
            is_managed: matches!(told.get("is_managed"), Some(Value::Bool(true))),
            id: name("id").unwrap_or_default(),
            id_kind: match id {
                Some(id) if !is_uuid => IdKind::Other(id.ty.clone()),
                _ => IdKind::Uuid,
            },
            id_source: match (default, id) {
                (Some(default), _) => IdSource::Default(default),
                (None, Some(id)) if !is_uuid => IdSource::Attribute(id.attribute.clone()),
                (None, _) => IdSource::Uuid,
            },
            attributes: name("attributes"),
            stub: name("stub"),
            created_at: name("created_at"),
            updated_at: name("updated_at"),
            deleted_at: name("deleted_at"),
            rank: match told.get("rank") {
                Some(Value::Number(rank)) => rank.canonical().parse().unwrap_or(0),
                _ => 0,
            },
            columns,
        }
    }

    /// The column that keeps an attribute.
    pub fn column(&self, attribute: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.attribute == attribute)
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
            IdKind::Uuid => Ok(row.uuid(column).map(|id| text_of(id, arena))),
            IdKind::Other(_) => row.text(column, arena),
        }
    }

    /// The ids in the first column of a result. Callers let go of the rows before they execute what
    /// may fail: PostgreSQL frees them then.
    pub fn ids_in<'a, C: FromIterator<&'a str>>(
        &self,
        rows: &Rows,
        arena: &'a Bump,
    ) -> Result<C, PgError> {
        rows.iter().filter_map(|row| self.id(&row, 1, arena).transpose()).collect()
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

    /// The text that an id has which somebody wrote; `None` for what is surely none of the
    /// table's.
    pub fn canonical_id<'a>(&self, given: &str, arena: &'a Bump) -> Option<&'a str> {
        match &self.id_kind {
            IdKind::Uuid => Some(text_of(Uuid::parse_str(given).ok()?, arena)),
            IdKind::Other(ty) => match ty.as_str() {
                "pg_catalog.int2" => given.parse::<i16>().ok().map(|id| id.to_string()),
                "pg_catalog.int4" => given.parse::<i32>().ok().map(|id| id.to_string()),
                "pg_catalog.int8" => given.parse::<i64>().ok().map(|id| id.to_string()),
                _ => Some(given.to_owned()),
            }
            .map(|id| &*arena.alloc_str(&id)),
        }
    }

    /// Whether the key of a value is the text that the id has in results: that of 1.1 is 1.10 in
    /// a numeric(4, 2).
    pub fn ids_are_keys(&self) -> bool {
        match &self.id_kind {
            IdKind::Uuid => true,
            IdKind::Other(ty) => {
                ["int2", "int4", "int8", "text"].iter().any(|plain| ty.ends_with(plain))
                    && ty.starts_with("pg_catalog.")
            }
        }
    }

    /// The type of ids in the table.
    pub fn id_type(&self) -> &str {
        match &self.id_kind {
            IdKind::Uuid => "pg_catalog.uuid",
            IdKind::Other(ty) => ty,
        }
    }

    /// Whether the row `t` links to the entity whose id is the text `id`: by a relation in jsonb
    /// or, if `target` names its type, by a foreign key.
    pub fn links_to(&self, id: &str, target: Option<&str>) -> String {
        let contains =
            |ids: &str| format!("{ids} OPERATOR(pg_catalog.@>) pg_catalog.jsonb_build_array({id})");
        if self.is_managed {
            return contains("t.links");
        }
        let refers = |column: &Column| {
            format!("t.{} OPERATOR(pg_catalog.=) {id}::{}", column.name, column.ty)
        };
        self.links(target, &contains, &refers)
    }

    /// As [`Layout::links_to`], to one of the ids in the array of texts `ids`; of a registered
    /// table, whose links may have no index: then each row is looked at once, however many ids
    /// there are.
    pub fn links_to_any(&self, ids: &str, target: Option<&str>) -> String {
        let has_any = |links: &str| format!("{links} OPERATOR(pg_catalog.?|) {ids}");
        let refers = |column: &Column| {
            format!("t.{} OPERATOR(pg_catalog.=) ANY ({ids}::{}[])", column.name, column.ty)
        };
        self.links(target, &has_any, &refers)
    }

    /// Whether a link of a registered table's row is one that is asked for: among ids in jsonb, or
    /// in a foreign key to `target`.
    fn links(
        &self,
        target: Option<&str>,
        among: &dyn Fn(&str) -> String,
        refers: &dyn Fn(&Column) -> String,
    ) -> String {
        let in_jsonb = |column: &str| among(&format!("erp._links(t.{column})"));
        let rest = self.attributes.iter().map(|name| in_jsonb(name));
        let columns = self.columns.iter().filter_map(|column| match &column.kind {
            Kind::Jsonb => Some(in_jsonb(&column.name)),
            Kind::Reference(to) if Some(to.as_str()) == target => Some(refers(column)),
            _ => None,
        });
        let all: Vec<String> = rest.chain(columns).collect();
        if all.is_empty() { "false".into() } else { format!("({})", all.join(" OR ")) }
    }

    /// Whether relations are kept in jsonb.
    pub fn has_links(&self) -> bool {
        self.attributes.is_some() || self.columns.iter().any(|column| column.kind == Kind::Jsonb)
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
        if self.is_managed {
            return "t.attributes".into();
        }
        let empty = "'{}'::pg_catalog.jsonb";
        let rest = self.attributes.as_ref();
        let mut parts =
            vec![rest.map_or(empty.into(), |name| format!("COALESCE(t.{name}, {empty})"))];
        // A function takes a hundred arguments at most.
        for columns in self.columns.chunks(50) {
            let members: Vec<String> = columns
                .iter()
                .map(|column| format!("{}, {}", literal(&column.attribute), column.value()))
                .collect();
            parts.push(format!("pg_catalog.jsonb_build_object({})", members.join(", ")));
        }
        format!("({})", parts.join(" OPERATOR(pg_catalog.||) "))
    }
}

impl Column {
    fn of(told: Object<'_>) -> Column {
        let name = |key: &str| {
            told.get(key).and_then(Value::as_str).map(str::to_owned).unwrap_or_default()
        };
        let is = |key: &str| matches!(told.get(key), Some(Value::Bool(true)));
        let ty = name("type");
        let kind = match (told.get("relation"), is("has_modifier")) {
            (Some(Value::String(target)), _) => Kind::Reference(target.to_owned()),
            _ if is("is_array") => Kind::Array,
            (_, true) => Kind::Other,
            _ => match ty.as_str() {
                "pg_catalog.text" | "pg_catalog.\"varchar\"" | "pg_catalog.varchar" => Kind::Text,
                "pg_catalog.bool" => Kind::Boolean,
                "pg_catalog.int2" | "pg_catalog.int4" | "pg_catalog.int8" => Kind::Integer,
                "pg_catalog.numeric" | "pg_catalog.\"numeric\"" => Kind::Numeric,
                "pg_catalog.jsonb" => Kind::Jsonb,
                _ => Kind::Other,
            },
        };
        Column {
            attribute: name("attribute"),
            name: name("name"),
            ty,
            kind,
            equals: match name("equals") {
                none if none.is_empty() => "OPERATOR(pg_catalog.=)".to_owned(),
                equals => equals,
            },
            is_id: is("is_id"),
            is_generated: is("is_generated"),
        }
    }

    /// The attribute's value in the row `t`, as jsonb.
    fn value(&self) -> String {
        let name = &self.name;
        match &self.kind {
            Kind::Reference(target) => format!(
                "CASE WHEN t.{name} IS NOT NULL THEN pg_catalog.jsonb_build_object('$relation', \
                 pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('entity_id', \
                 t.{name}::pg_catalog.text, '_schema', {}))) END",
                literal(target)
            ),
            _ => format!("pg_catalog.to_jsonb(t.{name})"),
        }
    }
}

/// The id as text.
pub fn text_of(id: Uuid, arena: &Bump) -> &str {
    arena.alloc_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

/// The id of an entity whose ids are uuids.
pub fn uuid(id: &str) -> Uuid {
    Uuid::parse_str(id).expect("ids of tables with uuids are uuids")
}

/// A string literal, whatever `standard_conforming_strings` is.
pub fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
