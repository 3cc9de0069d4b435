//! Whether attributes have a place in a registered table, and why not.

use erp_engine::error::{Code, Error};
use erp_engine::jsonb::Value;
use erp_engine::map::{Attribute, EntityUpdate, Relation};
use erp_engine::mapping::{Field, Operation};
use erp_engine::merge::relation_items;

use super::entity_type::EntityType;
use super::layout::Kind;

/// Why an attribute has no place in a registered table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no column for it, nor one for attributes without a column.
    Unbound,
    Generated,
    /// A relation, to a column that is no jsonb.
    NoJsonb,
    /// A list whose items are linked to, to a column that is no jsonb.
    NoList,
    /// What is stored in the form of a type, to a column that is no jsonb.
    Typed,
    /// To a foreign key, what is no relation.
    NoRelation,
    /// To a foreign key, a relation that appends.
    Appended,
    Tagged,
    OtherType,
    Several,
}

impl Refused {
    /// The code that `erp_validate` tells.
    pub fn code(self) -> &'static str {
        match self {
            Refused::Unbound => "ATTRIBUTE_UNBOUND",
            Refused::Generated => "ATTRIBUTE_GENERATED",
            Refused::Typed => "TYPE_UNSUPPORTED",
            _ => "RELATION_UNSUPPORTED",
        }
    }

    /// What is wrong, after the attribute's name.
    pub fn message(self) -> &'static str {
        match self {
            Refused::Unbound => "the table has no column for it",
            Refused::Generated => "its column is generated and cannot be written",
            Refused::NoJsonb => "links need a jsonb column, or a relation to one a foreign key",
            Refused::NoList => "a list whose items are linked to needs a jsonb column",
            Refused::Typed => {
                "what has a \"_type\" is stored as a list, which needs a jsonb column"
            }
            Refused::NoRelation => "its column is a foreign key, which only a relation can set",
            Refused::Appended => "its column is a foreign key, to which nothing can be appended",
            Refused::Tagged => "its column is a foreign key, which keeps no \"_tags\"",
            Refused::OtherType => "its column is a foreign key to entities of another type",
            Refused::Several => "its column is a foreign key, which keeps one entity, not several",
        }
    }

    pub fn hint(self) -> &'static str {
        match self {
            Refused::Unbound | Refused::NoList | Refused::Typed => {
                "Add a column of that name, or register the table with columns => '{\"attribute\": \
                 \"column\"}' or with attributes_column => 'a jsonb column'."
            }
            Refused::Generated => "Leave the attribute out of the mapping.",
            Refused::NoJsonb | Refused::NoRelation => {
                "Register the table with relations => '{\"attribute\": {\"column\": …, \
                 \"entity_schema\": …}}'."
            }
            Refused::Appended | Refused::Tagged | Refused::OtherType | Refused::Several => {
                "Keep the relation in a jsonb column, or map one entity without \"_tags\" to it."
            }
        }
    }

    pub fn error(self, ty: &EntityType, attribute: &str) -> Error {
        let message = format!("{}.{attribute}: {}", ty.slug, self.message());
        Error::new(Code::AttributeTypeMismatch, message).hint(self.hint())
    }
}

/// The attributes are to have a place in a registered table. Error: `ATTRIBUTE_TYPE_MISMATCH`.
pub fn check_columns(ty: &EntityType, update: &EntityUpdate<'_>) -> Result<(), Error> {
    if ty.layout.is_managed {
        return Ok(());
    }
    for (name, attribute) in &update.attributes {
        let typed = update.entity.fields.iter().filter(|field| field.attribute == *name);
        let typed = typed.filter_map(self::typed).next();
        let kind = ty.layout.column(name).map(|column| &column.kind);
        let refused = match (kind, attribute) {
            (Some(Kind::Reference(to)), Attribute::Relation(relation)) => reference(to, relation),
            (Some(Kind::Reference(to)), Attribute::Value(value)) if typed.is_none() => {
                given_reference(to, *value)
            }
            (_, Attribute::Value(_)) => place(ty, name, typed),
            (_, Attribute::Relation(_) | Attribute::RelationRef(_)) => {
                place(ty, name, Some(Refused::NoJsonb))
            }
        };
        if let Some(refused) = refused {
            return Err(refused.error(ty, name));
        }
    }
    Ok(())
}

/// Why the table has no place for an attribute; `without_jsonb` tells why, if a column that is no
/// jsonb cannot keep it.
pub fn place(ty: &EntityType, attribute: &str, without_jsonb: Option<Refused>) -> Option<Refused> {
    match ty.layout.column(attribute) {
        _ if ty.layout.is_managed => None,
        None => ty.layout.attributes.is_none().then_some(Refused::Unbound),
        Some(column) if column.is_generated => Some(Refused::Generated),
        Some(column) if column.kind == Kind::Jsonb => None,
        Some(_) => without_jsonb,
    }
}

/// Why a column that is no jsonb cannot keep what a source gives: the form of a type.
pub fn typed(field: &Field) -> Option<Refused> {
    field.value_type.map(|_| Refused::Typed)
}

fn reference(to: &str, relation: &Relation<'_>) -> Option<Refused> {
    match &*relation.targets {
        _ if relation.operation != Operation::Set => Some(Refused::Appended),
        [] => None,
        [one] if one.tags.is_some() => Some(Refused::Tagged),
        [one] if one.schema != to => Some(Refused::OtherType),
        [_] => None,
        _ => Some(Refused::Several),
    }
}

fn given_reference(to: &str, value: Value<'_>) -> Option<Refused> {
    let items = match value {
        Value::Null => return None,
        value => relation_items(value),
    };
    fn member<'v>(item: Value<'v>, name: &str) -> Option<Value<'v>> {
        item.as_object()?.get(name)
    }
    match items.as_deref() {
        None => Some(Refused::NoRelation),
        Some([]) => None,
        Some([one]) if member(*one, "_tags").is_some() => Some(Refused::Tagged),
        Some([one]) if member(*one, "_schema").and_then(Value::as_str) != Some(to) => {
            Some(Refused::OtherType)
        }
        Some([_]) => None,
        Some(_) => Some(Refused::Several),
    }
}
