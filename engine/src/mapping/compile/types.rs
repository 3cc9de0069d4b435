//! Whether a mapping stores an attribute in one form everywhere: a stub that a relation makes is
//! to have the form that the attribute's fields give it.

use std::collections::HashMap;

use super::Compiler;
use super::check::At;
use crate::mapping::Identifier;
use crate::value_type::ValueType;

/// The types of attributes, where they are mapped and where relations look them up.
#[derive(Default)]
pub(super) struct Types {
    fields: Vec<(String, String, ValueType)>,
    identifiers: Vec<Use>,
}

/// An identifier of a relation's target.
struct Use {
    schema: String,
    attribute: String,
    value_type: Option<ValueType>,
    pointer: String,
}

impl Types {
    /// Notes a field that has a type.
    pub(super) fn field(
        &mut self,
        schema: Option<&str>,
        attribute: Option<&str>,
        value_type: Option<ValueType>,
    ) {
        if let (Some(schema), Some(attribute), Some(ty)) = (schema, attribute, value_type) {
            self.fields.push((schema.to_owned(), attribute.to_owned(), ty));
        }
    }

    /// Notes an identifier of a relation's target.
    pub(super) fn identifier(
        &mut self,
        schema: Option<&str>,
        identifier: &Identifier,
        at: &At<'_>,
    ) {
        if let Some(schema) = schema {
            self.identifiers.push(Use {
                schema: schema.to_owned(),
                attribute: identifier.attribute.clone(),
                value_type: identifier.value_type,
                pointer: at.pointer(),
            });
        }
    }
}

impl Compiler {
    /// Warns of identifiers whose stubs would have another form than their attribute.
    pub(super) fn type_conflicts(&mut self) {
        let types = std::mem::take(&mut self.types);
        let mut stored: HashMap<(&str, &str), Vec<ValueType>> = HashMap::new();
        for (schema, attribute, ty) in &types.fields {
            let known = stored.entry((schema, attribute)).or_default();
            if !known.contains(ty) {
                known.push(*ty);
            }
        }
        for used in types.identifiers {
            let (schema, attribute) = (&*used.schema, &*used.attribute);
            let known = stored.get(&(schema, attribute)).map_or(&[][..], Vec::as_slice);
            let Some(ty) = known.iter().find(|ty| Some(**ty) != used.value_type) else { continue };
            let how = match used.value_type {
                Some(other) => format!("with \"_type\": \"{}\"", other.name()),
                None => "without \"_type\"".to_owned(),
            };
            let message = format!(
                "\"{attribute}\" of \"{schema}\" is mapped with \"_type\": \"{0}\", and looked up \
                 {how}",
                ty.name()
            );
            let hint = format!("Write \"_type\": \"{}\" here as well.", ty.name());
            self.warning_at("TYPE_CONFLICT", used.pointer, message, Some(hint));
        }
    }
}
