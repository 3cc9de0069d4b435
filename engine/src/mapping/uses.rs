//! Which identifiers a mapping finds entities by: what its tables must be prepared for.

use super::{Entity, Event, FieldValue, Identifier, Mapping, RelationItems, Scope};
use crate::identifier::ENTITY_ID;

/// A set of identifiers of one entity type that a mapping uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySetUse {
    pub schema: String,
    pub unique_ids: Vec<String>,
    /// Whether entities are upserted by it; otherwise relations look them up.
    pub is_upserted: bool,
    /// Where the mapping uses it, as a JSON Pointer.
    pub pointer: String,
}

/// The key sets that the mapping uses, in its order, repetitions included. Of relations that an
/// expression yields, those that its text names. An entity's own id needs no preparation.
pub fn key_set_uses(mapping: &Mapping) -> Vec<KeySetUse> {
    mapping.events().flat_map(|(_, event)| key_set_uses_of(event)).collect()
}

/// The key sets that one event uses.
pub fn key_set_uses_of(event: &Event) -> Vec<KeySetUse> {
    event.entities.iter().flat_map(of_entity).collect()
}

fn names(identifiers: &[Identifier]) -> Vec<String> {
    identifiers.iter().map(|id| id.attribute.clone()).collect()
}

fn of_entity(entity: &Entity) -> Vec<KeySetUse> {
    let looked_up = |schema: &str, unique_ids: Vec<String>, pointer: String| KeySetUse {
        schema: schema.to_owned(),
        unique_ids,
        is_upserted: false,
        pointer,
    };
    let mut uses = vec![KeySetUse {
        schema: entity.schema.clone(),
        unique_ids: entity.unique_ids.clone(),
        is_upserted: true,
        pointer: entity.pointer.clone(),
    }];
    if let Some(Scope::Relations { schema, unique_ids }) = &entity.scope {
        uses.push(looked_up(schema, names(unique_ids), format!("{}/scope", entity.pointer)));
    }
    for field in &entity.fields {
        match &field.value {
            FieldValue::Source(_) => {}
            FieldValue::Relations(relations) => match &relations.items {
                RelationItems::Listed(items) => {
                    for (j, item) in items.iter().enumerate() {
                        let pointer = format!("{}/relations/items/{j}", field.pointer);
                        uses.push(looked_up(&item.schema, names(&item.unique_ids), pointer));
                    }
                }
                RelationItems::Expression(expression) => {
                    for (schema, names) in expression.relation_targets() {
                        let pointer = format!("{}/relations", field.pointer);
                        uses.push(looked_up(&schema, names, pointer));
                    }
                }
            },
            FieldValue::RelationRefs(refs) => {
                for (j, item) in refs.items.iter().enumerate() {
                    let pointer = format!("{}/relation_refs/items/{j}", field.pointer);
                    uses.push(looked_up(&item.schema, names(&item.unique_ids), pointer));
                }
            }
        }
    }
    uses.retain(|used| used.unique_ids != [ENTITY_ID]);
    uses
}
