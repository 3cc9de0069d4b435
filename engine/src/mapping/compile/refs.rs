//! `relation_refs`: links to items of lists that other entities have.

use super::Compiler;
use super::check::At;
use super::field::Identifiers;
use crate::identifier::ENTITY_ID;
use crate::jsonb::{Object, Value};
use crate::mapping::{Identifier, RelationRefItem, RelationRefs};

const REFS_KEYS: &[&str] = &["operation", "items"];
const ITEM_KEYS: &[&str] = &["entity_schema", "unique_ids", "path", "value"];
const VALUE_KEYS: &[&str] = &["attribute", "operation", "constant", "jsonataExpression", "field"];

impl Compiler {
    /// The field's `relation_refs`.
    pub(super) fn relation_refs(&mut self, field: Object<'_>, at: &At<'_>) -> Option<RelationRefs> {
        let at = at.key("relation_refs");
        let object = self.object(field.get("relation_refs")?, &at, "\"relation_refs\"")?;
        self.unknown_keys(object, REFS_KEYS, &at);
        let operation = self.operation(object, &at);
        let items = self.required(object, "items", &at)?;
        let at = at.key("items");
        let items = self
            .array(items, &at, "\"items\"")?
            .into_iter()
            .enumerate()
            .filter_map(|(i, item)| self.relation_ref(item, &at.index(i)))
            .collect();
        Some(RelationRefs { operation: operation?, items })
    }

    fn relation_ref(&mut self, item: Value<'_>, at: &At<'_>) -> Option<RelationRefItem> {
        let object = self.object(item, at, "an entry of \"items\"")?;
        self.unknown_keys(object, ITEM_KEYS, at);
        let schema = self.required_name(object, "entity_schema", at);
        let of = Identifiers::Target(schema.as_deref());
        let unique_ids = self.identifiers(object, "unique_ids", of, at);
        let path = self.required_name(object, "path", at);
        let value = self.required(object, "value", at)?;
        let at = at.key("value");
        let value = self.object(value, &at, "\"value\"")?;
        self.unknown_keys(value, VALUE_KEYS, &at);
        let attribute = self.required_name(value, "attribute", &at);
        if let Some(attribute) = &attribute {
            self.holds_list(attribute, unique_ids.as_deref(), &at.key("attribute"));
        }
        let operation = self.operation(value, &at);
        let source = self.source(value, &at, "");
        Some(RelationRefItem {
            schema: schema?,
            unique_ids: unique_ids?,
            path: path?,
            attribute: attribute?,
            operation: operation?,
            source: source?,
        })
    }

    /// What identifies the target cannot hold the list that is linked to, unless it is one.
    fn holds_list(&mut self, attribute: &str, ids: Option<&[Identifier]>, at: &At<'_>) {
        if attribute == ENTITY_ID {
            let message = "\"_id\" is the entity's own id, which no field can set";
            return self.error("ATTRIBUTE_RESERVED", at, message);
        }
        let is_scalar = |id: &Identifier| id.attribute == attribute && id.value_type.is_none();
        if ids.is_some_and(|ids| ids.iter().any(is_scalar)) {
            let message = format!("\"{attribute}\" identifies the entity: it holds no list");
            self.error("VALUE_INVALID", at, message);
        }
    }
}
