//! Fields and what they hold: sources, relations, identifiers.

use std::collections::BTreeSet;

use super::Compiler;
use super::check::At;
use crate::expr::{Failure, Jsonata, Path};
use crate::identifier::ENTITY_ID;
use crate::jsonb::{Object, Value};
use crate::mapping::{
    Constant, Enabled, Field, FieldValue, Identifier, Operation, RelationItem, RelationItems,
    Relations, Source,
};
use crate::value_type::ValueType;

const FIELD_KEYS: &[&str] = &[
    "attribute",
    "constant",
    "jsonataExpression",
    "field",
    "relations",
    "relation_refs",
    "enabled",
    "_type",
];
const RELATIONS_KEYS: &[&str] = &["operation", "items", "jsonataExpression"];
const ITEM_KEYS: &[&str] = &["entity_schema", "unique_ids", "_tags"];
const IDENTIFIER_KEYS: &[&str] = &["attribute", "constant", "jsonataExpression", "field", "_type"];

/// What fields have to know of their entry.
#[derive(Clone, Copy)]
pub(super) struct Entry<'e> {
    pub schema: Option<&'e str>,
    /// Whether its entities are found by their own id, where that is known.
    pub is_by_id: Option<bool>,
}

/// What identifiers with sources are for.
#[derive(Clone, Copy)]
pub(super) enum Identifiers<'e> {
    /// The target of a relation, an entity of this schema.
    Target(Option<&'e str>),
    /// The anchor of a scope.
    Scope,
    /// Attributes that are compared.
    Query,
}

impl Compiler {
    pub(super) fn fields(
        &mut self,
        object: Object<'_>,
        entry: Entry<'_>,
        at: &At<'_>,
    ) -> Option<Vec<Field>> {
        let value = self.required(object, "fields", at)?;
        let at = at.key("fields");
        let fields = self.array(value, &at, "\"fields\"")?;
        let compiled = fields
            .into_iter()
            .enumerate()
            .filter_map(|(i, field)| self.field(field, entry, &at.index(i)))
            .collect();
        Some(compiled)
    }

    fn field(&mut self, field: Value<'_>, entry: Entry<'_>, at: &At<'_>) -> Option<Field> {
        let object = self.object(field, at, "an entry of \"fields\"")?;
        self.unknown_keys(object, FIELD_KEYS, at);
        let attribute = self.required_name(object, "attribute", at);
        if attribute.as_deref() == Some(ENTITY_ID) {
            self.own_id(object, entry, at);
        }
        let enabled = self.enabled(object, at);
        let (value, value_type) = match object.get("relations") {
            Some(relations) => {
                self.shadowed(object, "relations", IDENTIFIER_KEYS, at);
                self.shadowed(object, "relations", &["relation_refs"], at);
                let relations = self.relations(relations, &at.key("relations"));
                (relations.map(FieldValue::Relations), Some(None))
            }
            None if object.get("relation_refs").is_some() => {
                self.shadowed(object, "relation_refs", IDENTIFIER_KEYS, at);
                let refs = self.relation_refs(object, at);
                (refs.map(FieldValue::RelationRefs), Some(None))
            }
            None => {
                let value_type = self.value_type(object, at);
                self.types.field(entry.schema, attribute.as_deref(), value_type.flatten());
                let source = self.source(object, at, "relations");
                (source.map(FieldValue::Source), value_type)
            }
        };
        let pointer = at.pointer();
        Some(Field {
            attribute: attribute?,
            enabled: enabled?,
            value: value?,
            value_type: value_type?,
            pointer,
        })
    }

    /// A field whose attribute is `_id` tells which entity is meant; it is no attribute.
    fn own_id(&mut self, object: Object<'_>, entry: Entry<'_>, at: &At<'_>) {
        if entry.is_by_id == Some(false) {
            self.error_with_hint(
                "ATTRIBUTE_RESERVED",
                &at.key("attribute"),
                "\"_id\" is the entity's own id, which no field can set",
                Some("To find the entity by it, write \"unique_ids\": [\"_id\"].".into()),
            );
        }
        let unfit = ["relations", "relation_refs", "_type"];
        for key in unfit.into_iter().filter(|key| object.get(key).is_some()) {
            let message = format!("\"_id\" is the entity's own id, which takes no \"{key}\"");
            self.error("ATTRIBUTE_RESERVED", &at.key(key), message);
        }
    }

    /// The source that counts when several stand there: `constant`, then `jsonataExpression`,
    /// then `field`.
    pub(super) fn source(
        &mut self,
        object: Object<'_>,
        at: &At<'_>,
        other: &str,
    ) -> Option<Source> {
        if let Some(constant) = object.get("constant") {
            self.shadowed(object, "constant", &["jsonataExpression", "field"], at);
            return self.constant(constant, &at.key("constant")).map(Source::Constant);
        }
        if object.get("jsonataExpression").is_some() {
            self.shadowed(object, "jsonataExpression", &["field"], at);
            return self.optional_jsonata(object, at).map(Source::Jsonata);
        }
        let Some(field) = object.get("field") else {
            let or_other = if other.is_empty() { String::new() } else { format!(", \"{other}\"") };
            let message = format!(
                "a value needs one of \"field\", \"jsonataExpression\", \"constant\"{or_other}"
            );
            self.error("SOURCE_MISSING", at, message);
            return None;
        };
        let at = at.key("field");
        let field = self.string(field, &at, "\"field\"")?;
        if !field.starts_with('$') {
            return Some(Source::Key(field.to_owned()));
        }
        match Path::compile(field) {
            Ok(path) => Some(Source::Path(path)),
            Err(failure) => {
                self.error("PATH_INVALID", &at, failure.message);
                None
            }
        }
    }

    fn shadowed(&mut self, object: Object<'_>, winner: &str, losers: &[&str], at: &At<'_>) {
        for loser in losers.iter().filter(|loser| **loser != "attribute") {
            if object.get(loser).is_some() {
                let message = format!("\"{loser}\" is ignored beside \"{winner}\"");
                self.warning("KEY_UNUSED", &at.key(loser), message, None);
            }
        }
    }

    fn relations(&mut self, relations: Value<'_>, at: &At<'_>) -> Option<Relations> {
        let object = self.object(relations, at, "\"relations\"")?;
        self.unknown_keys(object, RELATIONS_KEYS, at);
        let operation = self.operation(object, at);
        let items = match (object.get("items"), object.get("jsonataExpression")) {
            (Some(items), expression) => {
                if expression.is_some() {
                    self.shadowed(object, "items", &["jsonataExpression"], at);
                }
                self.relation_items(items, &at.key("items"))
            }
            (None, Some(_)) => self.optional_jsonata(object, at).map(RelationItems::Expression),
            (None, None) => {
                let message = "relations need \"items\" or \"jsonataExpression\"";
                self.error("SOURCE_MISSING", at, message);
                None
            }
        };
        Some(Relations { operation: operation?, items: items? })
    }

    /// The object's `operation`; `_set` when it names none.
    pub(super) fn operation(&mut self, object: Object<'_>, at: &At<'_>) -> Option<Operation> {
        let Some(value) = object.get("operation") else { return Some(Operation::Set) };
        self.word(value, &at.key("operation"), "\"operation\"", &Operation::ALL)
    }

    fn relation_items(&mut self, items: Value<'_>, at: &At<'_>) -> Option<RelationItems> {
        let items = self.array(items, at, "\"items\"")?;
        let compiled = items
            .into_iter()
            .enumerate()
            .filter_map(|(i, item)| self.relation_item(item, &at.index(i)))
            .collect();
        Some(RelationItems::Listed(compiled))
    }

    fn relation_item(&mut self, item: Value<'_>, at: &At<'_>) -> Option<RelationItem> {
        let object = self.object(item, at, "an entry of \"items\"")?;
        self.unknown_keys(object, ITEM_KEYS, at);
        let schema = self.required_name(object, "entity_schema", at);
        let of = Identifiers::Target(schema.as_deref());
        let unique_ids = self.identifiers(object, "unique_ids", of, at);
        let tags = match object.get("_tags") {
            None => None,
            Some(tags) => {
                let at = at.key("_tags");
                for (i, tag) in self.array(tags, &at, "\"_tags\"")?.into_iter().enumerate() {
                    self.string(tag, &at.index(i), "a tag");
                }
                Some(self.constant(tags, &at)?)
            }
        };
        Some(RelationItem { schema: schema?, tags, unique_ids: unique_ids? })
    }

    /// A list of `{"attribute", "field" | "jsonataExpression" | "constant", "_type"?}`, not empty.
    pub(super) fn identifiers(
        &mut self,
        object: Object<'_>,
        key: &str,
        of: Identifiers<'_>,
        at: &At<'_>,
    ) -> Option<Vec<Identifier>> {
        let value = self.required(object, key, at)?;
        let at = at.key(key);
        let items = self.array(value, &at, &format!("\"{key}\""))?;
        if items.is_empty() {
            let message = format!("\"{key}\" must name at least one attribute");
            self.error("VALUE_INVALID", &at, message);
            return None;
        }
        let stands_alone = items.len() == 1;
        let mut seen = BTreeSet::new();
        let mut identifiers = Vec::new();
        for (i, item) in items.into_iter().enumerate() {
            let at = at.index(i);
            let Some(identifier) = self.identifier(item, &at) else { continue };
            if identifier.attribute == ENTITY_ID {
                match of {
                    Identifiers::Query => self.error(
                        "ATTRIBUTE_RESERVED",
                        &at.key("attribute"),
                        "\"_id\" is the entity's own id, which no query compares",
                    ),
                    _ if !stands_alone => self.not_alone(&at),
                    _ => {}
                }
                if identifier.value_type.is_some() {
                    let message = "\"_id\" is the entity's own id, which takes no \"_type\"";
                    self.error("ATTRIBUTE_RESERVED", &at.key("_type"), message);
                }
            }
            if !seen.insert(identifier.attribute.clone()) {
                let message = format!("\"{}\" is named twice", identifier.attribute);
                self.error("VALUE_INVALID", &at, message);
                continue;
            }
            if let Identifiers::Target(schema) = of {
                self.types.identifier(schema, &identifier, &at);
            }
            identifiers.push(identifier);
        }
        Some(identifiers)
    }

    /// Told where `_id` is one of several identifiers.
    pub(super) fn not_alone(&mut self, at: &At<'_>) {
        let hint = "It is the entity's own id: name nothing beside it, or leave it out.";
        self.error_with_hint("VALUE_INVALID", at, "\"_id\" stands alone", Some(hint.into()));
    }

    fn identifier(&mut self, identifier: Value<'_>, at: &At<'_>) -> Option<Identifier> {
        let object = self.object(identifier, at, "a unique identifier")?;
        self.unknown_keys(object, IDENTIFIER_KEYS, at);
        let attribute = self.required_name(object, "attribute", at);
        let value_type = self.value_type(object, at);
        let source = self.source(object, at, "");
        Some(Identifier { attribute: attribute?, source: source?, value_type: value_type? })
    }

    /// The object's `_type`; the inner `None` when it has none.
    fn value_type(&mut self, object: Object<'_>, at: &At<'_>) -> Option<Option<ValueType>> {
        let Some(value) = object.get("_type") else { return Some(None) };
        self.word(value, &at.key("_type"), "\"_type\"", &ValueType::ALL).map(Some)
    }

    pub(super) fn enabled(&mut self, object: Object<'_>, at: &At<'_>) -> Option<Enabled> {
        let at = at.key("enabled");
        match object.get("enabled") {
            None | Some(Value::Bool(true)) => Some(Enabled::Always),
            Some(Value::Bool(false)) => Some(Enabled::Never),
            Some(Value::String(source)) => self.jsonata(source, &at).map(Enabled::When),
            Some(other) => {
                let message = format!(
                    "\"enabled\" must be true, false or a JSONata expression, not {}",
                    other.type_name()
                );
                self.error("TYPE_MISMATCH", &at, message);
                None
            }
        }
    }

    /// The object's `jsonataExpression`, if there is one.
    pub(super) fn optional_jsonata(&mut self, object: Object<'_>, at: &At<'_>) -> Option<Jsonata> {
        let at = at.key("jsonataExpression");
        let source = self.string(object.get("jsonataExpression")?, &at, "\"jsonataExpression\"")?;
        self.jsonata(source, &at)
    }

    fn jsonata(&mut self, source: &str, at: &At<'_>) -> Option<Jsonata> {
        self.longest_expression = self.longest_expression.max(source.len());
        match Jsonata::compile_within(source, self.max_length) {
            Ok(expression) => Some(expression),
            Err(failure) => {
                let setting =
                    |limit| format!("The setting erp_toolkit.expression_{limit} decides.");
                let (message, hint) = (syntax_message(&failure), failure.limit.map(setting));
                self.error_with_hint("EXPRESSION_INVALID", at, message, hint);
                None
            }
        }
    }

    fn constant(&mut self, value: Value<'_>, at: &At<'_>) -> Option<Constant> {
        /// Far below what a stack takes, where a value is written as text.
        const MAX_NESTING: usize = 1_000;
        if nests_deeper(value, MAX_NESTING) {
            let message = format!("the value nests more than {MAX_NESTING} levels deep");
            self.error("VALUE_INVALID", at, message);
            return None;
        }
        let constant = Constant::new(value);
        if constant.is_err() {
            self.error("VALUE_INVALID", at, "the value is too large");
        }
        constant.ok()
    }
}

/// Not recursive: takes any nesting.
fn nests_deeper(value: Value<'_>, most: usize) -> bool {
    let mut pending = vec![(value, 0)];
    while let Some((value, depth)) = pending.pop() {
        if depth > most {
            return true;
        }
        match value {
            Value::Array(array) => pending.extend(array.iter().map(|item| (item, depth + 1))),
            Value::Object(object) => {
                pending.extend(object.iter().map(|(_, member)| (member, depth + 1)));
            }
            _ => {}
        }
    }
    false
}

fn syntax_message(failure: &Failure) -> String {
    let code = failure.code.as_deref().map(|code| format!("{code}: ")).unwrap_or_default();
    let position = failure.position.map(|at| format!(" (at position {at})")).unwrap_or_default();
    format!("{code}{}{position}", failure.message)
}
