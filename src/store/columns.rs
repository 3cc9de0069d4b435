//! Why an attribute cannot be written to a registered table.

use erp_engine::error::{Code, Error};

use super::entity_type::EntityType;

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
