//! Entity updates with their tables and keys: what a chunk of events asks for, checked.

use std::rc::Rc;

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::identifier::{applicable_key, key};
use erp_engine::jsonb::Value;
use erp_engine::map::{Attribute, EntityUpdate, Mapped, Target};
use erp_engine::merge::relation_items;
use hashbrown::HashMap;

use super::Key;
use super::entity_type::{EntityType, Purpose};
use crate::error::Failure;

/// The entity types that a chunk touches, each once.
#[derive(Default)]
pub struct Types<'a> {
    pub all: Vec<Rc<EntityType>>,
    by_slug: HashMap<&'a str, usize>,
}

/// What one event asks for.
pub struct Request<'a> {
    pub updates: Vec<Upsert<'a>>,
}

/// One entity update, with its table and key.
pub struct Upsert<'a> {
    pub ty: usize,
    pub set: usize,
    pub key: Key<'a>,
    /// What the update says of the type's identifiers: `None` where it says nothing.
    pub identifiers: Vec<Option<Option<&'a str>>>,
    pub update: EntityUpdate<'a>,
    /// For each attribute that is a relation, its targets; empty for other attributes.
    pub targets: Vec<Vec<Link<'a>>>,
    /// Entities that a value names itself, without being looked up.
    pub given: Vec<Given<'a>>,
}

/// An entity that the value of an attribute names by type and id.
pub struct Given<'a> {
    pub attribute: &'a str,
    pub ty: usize,
    pub id: &'a str,
}

/// A relation's target, with its table and key.
pub struct Link<'a> {
    pub ty: usize,
    pub set: usize,
    pub key: Key<'a>,
    pub target: Target<'a>,
}

impl<'a> Types<'a> {
    fn get(
        &mut self,
        slug: &'a str,
        unique_ids: &[&str],
        purpose: Purpose,
    ) -> Result<usize, Failure> {
        if let Some(known) = self.by_slug.get(slug) {
            return Ok(*known);
        }
        self.all.push(EntityType::get(slug, unique_ids, purpose)?);
        self.by_slug.insert(slug, self.all.len() - 1);
        Ok(self.all.len() - 1)
    }
}

/// Checks what one event maps to. Errors: `ENTITY_TYPE_UNKNOWN`, `MISSING_UNIQUE_IDENTIFIERS`,
/// `ATTRIBUTE_TYPE_MISMATCH`.
pub fn request<'a>(
    mapped: Vec<Mapped<'a>>,
    types: &mut Types<'a>,
    arena: &'a Bump,
) -> Result<Request<'a>, Failure> {
    let mut updates = Vec::with_capacity(mapped.len());
    for mapped in mapped {
        if let Mapped::Update(update) = mapped {
            updates.push(upsert(update, types, arena)?);
        }
    }
    Ok(Request { updates })
}

fn upsert<'a>(
    update: EntityUpdate<'a>,
    types: &mut Types<'a>,
    arena: &'a Bump,
) -> Result<Upsert<'a>, Failure> {
    let entity = update.entity;
    let names: Vec<&str> = entity.unique_ids.iter().map(String::as_str).collect();
    let ty = types.get(&entity.schema, &names, Purpose::Upserts)?;
    let bound = types.all[ty].clone();
    let set = bound
        .key_set(&names)
        .filter(|set| bound.key_sets[*set].is_unique)
        .ok_or_else(|| bound.not_prepared(&names, Purpose::Upserts))?;
    let key = key_of(&bound, set, &update.unique_identifiers, arena)?;
    let identifiers = bound
        .identifiers
        .iter()
        .map(|identifier| {
            let mapped = update.attributes.iter().find(|(name, _)| name == identifier);
            mapped.map(|(_, attribute)| match attribute {
                Attribute::Value(value) => identifier_text(*value, arena),
                Attribute::Relation(_) => None,
            })
        })
        .collect();
    let mut given = Vec::new();
    let mut targets = Vec::with_capacity(update.attributes.len());
    for (name, attribute) in &update.attributes {
        targets.push(match attribute {
            Attribute::Value(value) => {
                given_links(entity.schema.as_str(), name, *value, types, &mut given)?;
                Vec::new()
            }
            Attribute::Relation(relation) => relation
                .targets
                .iter()
                .map(|target| {
                    link(target.clone(), types, arena)
                        .map_err(|failure| failure.within(&format!("{}.{name}", entity.schema)))
                })
                .collect::<Result<_, Failure>>()?,
        });
    }
    Ok(Upsert { ty, set, key, identifiers, update, targets, given })
}

fn link<'a>(
    target: Target<'a>,
    types: &mut Types<'a>,
    arena: &'a Bump,
) -> Result<Link<'a>, Failure> {
    let names: Vec<&str> = target.identifiers.iter().map(|(name, _)| *name).collect();
    let ty = types.get(target.schema, &names, Purpose::Relations)?;
    let bound = types.all[ty].clone();
    let set =
        bound.key_set(&names).ok_or_else(|| bound.not_prepared(&names, Purpose::Relations))?;
    let key = key_of(&bound, set, &target.identifiers, arena)?;
    Ok(Link { ty, set, key, target })
}

fn key_of<'a>(
    ty: &EntityType,
    set: usize,
    identifiers: &[(&'a str, Value<'a>)],
    arena: &'a Bump,
) -> Result<Key<'a>, Error> {
    let texts = ty.key_sets[set]
        .attributes
        .iter()
        .map(|attribute| {
            let value = identifiers.iter().find(|(name, _)| name == attribute).map(|(_, v)| *v);
            Ok(in_arena(applicable_key(&ty.slug, attribute, value)?, arena))
        })
        .collect::<Result<Vec<&'a str>, Error>>()?;
    Ok(arena.alloc_slice_copy(&texts))
}

/// The text under which an attribute's value is looked up; `None` when it names nothing.
pub fn identifier_text<'a>(value: Value<'a>, arena: &'a Bump) -> Option<&'a str> {
    key(value).map(|text| in_arena(text, arena))
}

fn in_arena<'a>(text: std::borrow::Cow<'a, str>, arena: &'a Bump) -> &'a str {
    match text {
        std::borrow::Cow::Borrowed(text) => text,
        std::borrow::Cow::Owned(text) => arena.alloc_str(&text),
    }
}

/// The entities that a value which is a relation already names by id.
fn given_links<'a>(
    schema: &str,
    attribute: &'a str,
    value: Value<'a>,
    types: &mut Types<'a>,
    given: &mut Vec<Given<'a>>,
) -> Result<(), Failure> {
    let wrong = |what: &str| {
        Error::new(Code::EntityReferenceNotFound, format!("{schema}.{attribute}: {what}"))
    };
    for item in relation_items(value).unwrap_or_default() {
        let member = |name: &str| item.as_object().and_then(|item| item.get(name));
        let (Some(Value::String(slug)), Some(Value::String(id))) =
            (member("_schema"), member("entity_id"))
        else {
            return Err(wrong("an item of a relation needs \"entity_id\" and \"_schema\"").into());
        };
        if EntityType::find(slug)?.is_none() {
            return Err(wrong("an item of a relation names an entity type that is unknown").into());
        }
        given.push(Given { attribute, ty: types.get(slug, &[], Purpose::Relations)?, id });
    }
    Ok(())
}
