//! Which identifiers a mapping finds entities by: what its tables must be prepared for.

use super::{Entity, FieldValue, Mapping, RelationItems, Scope};
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
    let entities = mapping.events().flat_map(|(_, event)| &event.entities);
    entities.flat_map(of_entity).collect()
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
        let names = unique_ids.iter().map(|id| id.attribute.clone()).collect();
        uses.push(looked_up(schema, names, format!("{}/scope", entity.pointer)));
    }
    for field in &entity.fields {
        let FieldValue::Relations(relations) = &field.value else { continue };
        let pointer = format!("{}/relations", field.pointer);
        match &relations.items {
            RelationItems::Listed(items) => {
                for (j, item) in items.iter().enumerate() {
                    let names = item.unique_ids.iter().map(|id| id.attribute.clone()).collect();
                    uses.push(looked_up(&item.schema, names, format!("{pointer}/items/{j}")));
                }
            }
            RelationItems::Expression(expression) => {
                for (schema, names) in expression.relation_targets() {
                    uses.push(looked_up(&schema, names, pointer.clone()));
                }
            }
        }
    }
    uses.retain(|used| used.unique_ids != [ENTITY_ID]);
    uses
}
