//! An event's payload to entity updates: pure data, no table touched.

mod place;
mod refs;
mod shown;
mod target;

use crate::error::{Code, Error, Result};
use crate::expr::Context;
use crate::identifier::{ENTITY_ID, is_blank};
use crate::jsonb::Value;
use crate::mapping::{Enabled, Entity, Event, Field, FieldValue, Operation, Scope};

use crate::value_type::{self, ValueType};
use place::Place;
use refs::relation_refs;
use target::relation;

pub use shown::members;

/// What an entry yields, in order.
#[derive(Debug, Clone)]
pub enum Mapped<'a> {
    Update(EntityUpdate<'a>),
    /// Follows the updates of an entry in a prune-scope mode.
    Prune(Prune<'a>),
}

/// What an event does to one entity.
#[derive(Debug, Clone)]
pub struct EntityUpdate<'a> {
    pub entity: &'a Entity,
    /// Those of the entity's `unique_ids` that have a value: attributes, or `_id` alone.
    pub unique_identifiers: Vec<(&'a str, Value<'a>)>,
    /// Attributes that are not missing, each once, in the order of the fields.
    pub attributes: Vec<(&'a str, Attribute<'a>)>,
}

/// What an attribute becomes.
#[derive(Debug, Clone)]
pub enum Attribute<'a> {
    /// A value, or an array operation.
    Value(Value<'a>),
    Relation(Relation<'a>),
    RelationRef(RelationRefList<'a>),
}

/// A relation before its targets are looked up.
#[derive(Debug, Clone)]
pub struct Relation<'a> {
    pub operation: Operation,
    pub targets: Vec<Target<'a>>,
}

/// An entity that a relation links to.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    pub schema: &'a str,
    pub identifiers: Vec<(&'a str, Value<'a>)>,
    pub tags: Option<Value<'a>>,
    /// The identifiers that are stored in the form of a type.
    pub types: Vec<(&'a str, ValueType)>,
}

/// Links to items of lists, before the targets that have them are looked up.
#[derive(Debug, Clone)]
pub struct RelationRefList<'a> {
    pub operation: Operation,
    pub targets: Vec<RefTarget<'a>>,
}

/// An entity, what one of its attributes gets, and the path that is kept with links to it.
#[derive(Debug, Clone)]
pub struct RefTarget<'a> {
    pub target: Target<'a>,
    pub path: &'a str,
    pub value: RefValue<'a>,
}

/// What a target's attribute gets.
#[derive(Debug, Clone)]
pub struct RefValue<'a> {
    pub attribute: &'a str,
    pub operation: Operation,
    /// Objects, each an item to link to.
    pub items: Vec<Value<'a>>,
}

impl<'a> Target<'a> {
    /// The values of its identifiers and its tags.
    fn values(&self) -> impl Iterator<Item = Value<'a>> {
        self.identifiers.iter().map(|(_, value)| *value).chain(self.tags)
    }

    /// The id that the mapping names the target by, if it does: then nothing else identifies it,
    /// and it is never created.
    pub fn entity_id(&self) -> Option<Value<'a>> {
        match self.identifiers[..] {
            [(ENTITY_ID, id)] => Some(id),
            _ => None,
        }
    }
}

/// Which entities of the entry's schema are to go, unless the same event upserts them.
#[derive(Debug, Clone)]
pub struct Prune<'a> {
    pub entity: &'a Entity,
    /// The values of the scope's identifiers, or of its query.
    pub values: Vec<(&'a str, Value<'a>)>,
}

/// Maps `payload`. Errors: `MAPPING_EXPRESSION_FAILED`, `EXPRESSION_LIMIT_EXCEEDED`,
/// `ATTRIBUTE_TYPE_MISMATCH` for an identifier that no double can hold.
pub fn map<'a>(
    event: &'a Event,
    payload: Value<'a>,
    context: &Context<'a>,
) -> Result<Vec<Mapped<'a>>> {
    let mut mapped = Vec::new();
    for entity in &event.entities {
        map_entity(entity, payload, context, &mut mapped)?;
    }
    Ok(mapped)
}

fn map_entity<'a>(
    entity: &'a Entity,
    payload: Value<'a>,
    context: &Context<'a>,
    mapped: &mut Vec<Mapped<'a>>,
) -> Result<()> {
    if matches!(entity.enabled, Enabled::Never) {
        return Ok(());
    }
    let Some(items) = items(entity, payload, context)? else { return Ok(()) };
    let place = Place { entity, attribute: None };
    place.check_entities(mapped.len() + items.len(), context)?;
    for item in items {
        place.check(context)?;
        mapped.push(Mapped::Update(update(entity, item, context)?));
    }
    if let Some(prune) = prune(entity, payload, context)? {
        mapped.push(Mapped::Prune(prune));
    }
    Ok(())
}

/// The items of an entry; `None` when it is disabled. Whether it is enabled is decided on the
/// whole result of the pre-processing.
fn items<'a>(
    entity: &'a Entity,
    payload: Value<'a>,
    context: &Context<'a>,
) -> Result<Option<Vec<Value<'a>>>> {
    let place = Place { entity, attribute: None };
    let whole = match &entity.items {
        None => Some(payload),
        Some(expression) => place.evaluate(expression, Some(payload), context)?,
    };
    if !place.is_enabled(&entity.enabled, whole, context)? {
        return Ok(None);
    }
    Ok(Some(match (whole, &entity.items) {
        (Some(Value::Array(items)), Some(_)) => items.iter().collect(),
        (Some(Value::Null), Some(_)) | (None, _) => Vec::new(),
        (Some(item), _) => vec![item],
    }))
}

fn update<'a>(
    entity: &'a Entity,
    item: Value<'a>,
    context: &Context<'a>,
) -> Result<EntityUpdate<'a>> {
    let mut attributes: Vec<(&'a str, Attribute<'a>)> = Vec::with_capacity(entity.fields.len());
    for field in &entity.fields {
        let place = Place { entity, attribute: Some(&field.attribute) };
        place.check(context)?;
        let Some(value) = attribute(&place, field, item, context)? else { continue };
        place.count_yielded(&value, context)?;
        match attributes.iter_mut().find(|(name, _)| *name == field.attribute) {
            Some((_, earlier)) => *earlier = value,
            None => attributes.push((&field.attribute, value)),
        }
    }
    let mut unique_identifiers = Vec::with_capacity(entity.unique_ids.len());
    for id in &entity.unique_ids {
        let mapped = attributes.iter().find(|(name, _)| name == id);
        if let Some((_, Attribute::Value(value))) = mapped
            && let Some(value) = identifying(entity, id, *value)
        {
            check_exact(&entity.schema, id, value)?;
            unique_identifiers.push((id.as_str(), value));
        }
    }
    if entity.is_by_id() {
        attributes.retain(|(name, _)| *name != ENTITY_ID);
    }
    Ok(EntityUpdate { entity, unique_identifiers, attributes })
}

/// What the value of an attribute identifies the entity by.
fn identifying<'a>(entity: &Entity, id: &str, value: Value<'a>) -> Option<Value<'a>> {
    let is_typed =
        || entity.fields.iter().any(|field| field.attribute == id && field.value_type.is_some());
    let value = match value {
        Value::Array(_) | Value::Object(_) if is_typed() => value_type::identifying(value)?,
        value => value,
    };
    (!is_blank(value)).then_some(value)
}

fn attribute<'a>(
    place: &Place<'a>,
    field: &'a Field,
    item: Value<'a>,
    context: &Context<'a>,
) -> Result<Option<Attribute<'a>>> {
    if !place.is_enabled(&field.enabled, Some(item), context)? {
        return Ok(None);
    }
    match &field.value {
        FieldValue::Source(source) => {
            let value = place.value(source, item, context)?;
            let value = match (value, field.value_type) {
                (Some(value), Some(ty)) => Some(place.stored(ty, value, context)?),
                (value, _) => value,
            };
            Ok(value.map(Attribute::Value))
        }
        FieldValue::Relations(relations) => relation(place, relations, item, context),
        FieldValue::RelationRefs(refs) => relation_refs(place, refs, item, context),
    }
}

fn prune<'a>(
    entity: &'a Entity,
    payload: Value<'a>,
    context: &Context<'a>,
) -> Result<Option<Prune<'a>>> {
    let identifiers = match &entity.scope {
        None => return Ok(None),
        Some(Scope::Relations { unique_ids, .. }) => unique_ids,
        Some(Scope::Query(query)) => query,
    };
    let place = Place { entity, attribute: None };
    let values = place.identifiers(&entity.schema, identifiers, payload, context)?;
    Ok(values.map(|values| Prune { entity, values }))
}

/// A number that an expression computed beyond 2^53 names nothing for certain.
fn check_exact(schema: &str, attribute: &str, value: Value<'_>) -> Result<()> {
    match value {
        Value::Number(number) if number.is_inexact() => {
            let message = format!(
                "{schema}: unique identifier {attribute} is a number that an expression \
                 computed beyond 2^53, where digits are lost"
            );
            Err(Error::new(Code::AttributeTypeMismatch, message).hint(
                "Let no expression compute with the identifier (a copied one stays exact), or \
                     have the ERP send it as a string.",
            ))
        }
        _ => Ok(()),
    }
}
