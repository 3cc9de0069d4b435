//! A compiled mapping: the document's wrong states cannot be written down here.
//!
//! The rules are those of *ERP Integration Mapping v2.0*. What the document says is checked
//! once, in [`compile`]; mapping an event only reads these types.

mod compile;
mod problem;
mod source;
mod uses;

use std::collections::BTreeMap;

use crate::error::{Code, Error, Result};
use crate::expr::Jsonata;
use crate::identifier::ENTITY_ID;
use crate::value_type::ValueType;

pub use compile::{Compiled, compile, compile_within};
pub use problem::{Problem, Severity, nearest};
pub use source::{Constant, Source};
pub use uses::{KeySetUse, key_set_uses, key_set_uses_of};

/// A mapping document, compiled.
#[derive(Debug)]
pub struct Mapping {
    events: Events,
    longest_expression: usize,
}

#[derive(Debug)]
enum Events {
    /// The bare form: it fits any event name.
    Any(Event),
    Named(BTreeMap<String, Event>),
}

/// What one event does: its entries, in order.
#[derive(Debug, Default)]
pub struct Event {
    pub entities: Vec<Entity>,
}

/// One entry of `entities`.
#[derive(Debug)]
pub struct Entity {
    pub schema: String,
    /// Attributes that together identify an entity; never empty. `_id`, which stands alone, is the
    /// entity's own id.
    pub unique_ids: Vec<String>,
    pub mode: Mode,
    /// Present in the prune-scope modes, and only there.
    pub scope: Option<Scope>,
    /// Yields the items; without it the payload is the only item.
    pub items: Option<Jsonata>,
    pub enabled: Enabled,
    pub fields: Vec<Field>,
    /// Where the entry stands in the document, as a JSON Pointer.
    pub pointer: String,
}

impl Entity {
    /// Whether entities are found by their own id: none is created then.
    pub fn is_by_id(&self) -> bool {
        self.unique_ids == [ENTITY_ID]
    }
}

/// What is done with the entities of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Upsert,
    Delete,
    Purge,
    UpsertPruneScopeDelete,
    UpsertPruneScopePurge,
}

impl Mode {
    /// The modes by their names in a document.
    pub const ALL: [(&'static str, Mode); 5] = [
        ("upsert", Mode::Upsert),
        ("delete", Mode::Delete),
        ("purge", Mode::Purge),
        ("upsert-prune-scope-delete", Mode::UpsertPruneScopeDelete),
        ("upsert-prune-scope-purge", Mode::UpsertPruneScopePurge),
    ];

    /// The mode's name in a document.
    pub fn name(self) -> &'static str {
        Mode::ALL.iter().find(|(_, mode)| *mode == self).map_or("upsert", |(name, _)| name)
    }

    /// Whether entities may go for good.
    pub fn purges(self) -> bool {
        matches!(self, Mode::Purge | Mode::UpsertPruneScopePurge)
    }

    /// What becomes of each entity that the entry yields.
    pub fn of_updates(self) -> Mode {
        match self {
            Mode::UpsertPruneScopeDelete | Mode::UpsertPruneScopePurge => Mode::Upsert,
            mode => mode,
        }
    }
}

/// Which entities a prune looks at. Its sources read the original payload.
#[derive(Debug)]
pub enum Scope {
    /// Entities related, in either direction, to the one that the identifiers name.
    Relations { schema: String, unique_ids: Vec<Identifier> },
    /// Entities on which all attributes match.
    Query(Vec<Identifier>),
}

/// Whether an entry or a field counts.
#[derive(Debug)]
pub enum Enabled {
    Always,
    Never,
    When(Jsonata),
}

/// One entry of `fields`.
#[derive(Debug)]
pub struct Field {
    pub attribute: String,
    pub enabled: Enabled,
    pub value: FieldValue,
    /// The form in which the value of a source is stored.
    pub value_type: Option<ValueType>,
    /// Where it stands in the document, as a JSON Pointer.
    pub pointer: String,
}

/// Where a field's value comes from.
#[derive(Debug)]
pub enum FieldValue {
    Source(Source),
    Relations(Relations),
    RelationRefs(RelationRefs),
}

/// Links to other entities.
#[derive(Debug)]
pub struct Relations {
    pub operation: Operation,
    pub items: RelationItems,
}

#[derive(Debug)]
pub enum RelationItems {
    Listed(Vec<RelationItem>),
    /// Yields items of the same form.
    Expression(Jsonata),
}

/// One link: which entity, found by which identifiers.
#[derive(Debug)]
pub struct RelationItem {
    pub schema: String,
    pub tags: Option<Constant>,
    pub unique_ids: Vec<Identifier>,
}

/// Links to items of lists that other entities have.
#[derive(Debug)]
pub struct RelationRefs {
    pub operation: Operation,
    pub items: Vec<RelationRefItem>,
}

/// Links to what a target's attribute gets: which entity, found by which identifiers, and the
/// value of the attribute.
#[derive(Debug)]
pub struct RelationRefItem {
    pub schema: String,
    pub unique_ids: Vec<Identifier>,
    /// Kept with the link.
    pub path: String,
    pub attribute: String,
    pub operation: Operation,
    pub source: Source,
}

/// An identifier and where its value comes from.
#[derive(Debug)]
pub struct Identifier {
    pub attribute: String,
    pub source: Source,
    /// The form in which the attribute is stored.
    pub value_type: Option<ValueType>,
}

/// How a list joins what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Set,
    /// At the end, duplicates kept.
    Append,
    /// At the end, without what is there already.
    AppendUnique,
}

impl Operation {
    /// The operations by their names; `_append_all` is another name of `_append`.
    pub const ALL: [(&'static str, Operation); 4] = [
        ("_set", Operation::Set),
        ("_append", Operation::Append),
        ("_append_unique", Operation::AppendUnique),
        ("_append_all", Operation::Append),
    ];

    /// The operation named `name`.
    pub fn named(name: &str) -> Option<Operation> {
        Operation::ALL.iter().find(|(known, _)| *known == name).map(|(_, operation)| *operation)
    }

    /// The operation's (first) name.
    pub fn name(self) -> &'static str {
        Operation::ALL.iter().find(|(_, known)| *known == self).map_or("_set", |(name, _)| name)
    }
}

impl Mapping {
    /// What the event named `name` does. Names compare exactly.
    pub fn event(&self, name: &str) -> Result<&Event> {
        let known = match &self.events {
            Events::Any(event) => return Ok(event),
            Events::Named(events) => events,
        };
        known.get(name).ok_or_else(|| {
            let message = format!("the mapping has no event \"{name}\"");
            let names: Vec<String> = known.keys().map(|name| format!("\"{name}\"")).collect();
            let hint = match (nearest(name, known.keys().map(String::as_str)), names.len()) {
                (_, 0) => "The mapping has no events.".to_owned(),
                (Some(near), 11..) => format!("Did you mean \"{near}\"?"),
                (_, 11..) => format!("The mapping has {} events.", names.len()),
                _ => format!("The mapping's events are {}.", names.join(", ")),
            };
            Error::new(Code::EventNotConfigured, message).hint(hint)
        })
    }

    /// The length of its longest expression, in bytes.
    pub fn longest_expression(&self) -> usize {
        self.longest_expression
    }

    /// Every event with its name; the bare form has one, without a name.
    pub fn events(&self) -> impl Iterator<Item = (Option<&str>, &Event)> {
        let (any, named) = match &self.events {
            Events::Any(event) => (Some((None, event)), None),
            Events::Named(events) => (None, Some(events)),
        };
        let named = named.into_iter().flatten().map(|(name, event)| (Some(name.as_str()), event));
        any.into_iter().chain(named)
    }
}
