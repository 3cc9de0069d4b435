//! Entity updates with their tables and keys: what a chunk of events asks for, checked.

use std::ptr;
use std::rc::Rc;

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::identifier::{ENTITY_ID, applicable_key, key};
use erp_engine::jsonb::Value;
use erp_engine::map::{Attribute, EntityUpdate, Mapped, Prune, Target};
use erp_engine::mapping::{Entity, Mode, Scope};
use erp_engine::merge::{list_operation, relation_items};
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::Key;
use super::columns::{Refused, check_columns, place};
use super::entity_type::{EntityType, Purpose};
use super::layout::Kind;
use super::working_set::Address;
use crate::error::Failure;

/// The entity types that a chunk touches, each once.
#[derive(Default)]
pub struct Types<'a> {
    pub all: Vec<Rc<EntityType>>,
    by_slug: HashMap<&'a str, usize>,
    /// Entries of the mapping that were gathered, the first few, with their types and key sets once
    /// they are known: they are the same for each event.
    entries: Vec<(&'a Entity, Option<(usize, usize)>)>,
}

/// Entries whose types and key sets are kept at most: they are gone through for each update.
const MAX_ENTRIES: usize = 32;

/// Stands for a key set: entities named by their own id, which is the key.
pub const BY_ID: usize = usize::MAX;

/// What one event asks for.
pub struct Request<'a> {
    pub updates: Vec<Update<'a>>,
    pub prunes: Vec<PruneRequest<'a>>,
}

/// One entity update, with its table and key.
pub struct Update<'a> {
    pub ty: usize,
    pub set: usize,
    pub key: Key<'a>,
    /// What the update says of the type's identifiers: `None` where it says nothing.
    pub identifiers: Vec<Option<Option<&'a str>>>,
    pub update: EntityUpdate<'a>,
    /// For each attribute that links to entities, its targets; empty for other attributes.
    pub targets: Vec<Vec<Link<'a>>>,
    /// Entities that a value names itself, without being looked up.
    pub given: Vec<Given<'a>>,
}

/// Entities of a type that are to go, unless the event upserts them.
pub struct PruneRequest<'a> {
    pub entity: &'a Entity,
    pub ty: usize,
    pub scope: ScopeRequest<'a>,
}

/// Which entities a prune looks at.
pub enum ScopeRequest<'a> {
    /// Those related to the entity with this key.
    Related { anchor: Address<'a> },
    /// Those that have this key.
    Matching { set: usize, key: Key<'a> },
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

impl<'a> Update<'a> {
    /// Upsert, delete or purge.
    pub fn mode(&self) -> Mode {
        self.update.entity.mode.of_updates()
    }

    /// The entities whose lists get items that are linked to.
    pub fn ref_targets(&self) -> impl Iterator<Item = &Link<'a>> {
        let attributes = self.update.attributes.iter().zip(&self.targets);
        attributes
            .filter(|((_, attribute), _)| matches!(attribute, Attribute::RelationRef(_)))
            .flat_map(|(_, targets)| targets)
    }
}

impl<'a> Types<'a> {
    /// Finds the types that `mapped` touches, with the key sets that it uses. What is not there
    /// is left to [`request`] to report.
    pub fn gather(&mut self, mapped: &[Mapped<'a>]) -> Result<(), Failure> {
        for mapped in mapped {
            match mapped {
                Mapped::Update(update) => {
                    if !self.entries.iter().any(|(entry, _)| ptr::eq(*entry, update.entity)) {
                        self.use_key(&update.entity.schema, &names(&update.entity.unique_ids))?;
                        if self.entries.len() < MAX_ENTRIES {
                            self.entries.push((update.entity, None));
                        }
                    }
                    for target in update.attributes.iter().flat_map(|(_, it)| targets(it)) {
                        self.use_key(target.schema, &names_of(&target.identifiers))?;
                    }
                }
                Mapped::Prune(prune) => {
                    self.use_key(scoped_schema(prune), &names_of(&prune.values))?;
                }
            }
        }
        Ok(())
    }

    fn use_key(&mut self, slug: &'a str, unique_ids: &[&str]) -> Result<(), Failure> {
        let ty = match self.by_slug.get(slug) {
            Some(known) => *known,
            None => match EntityType::find(slug)? {
                Some(found) => self.add(slug, found),
                None => return Ok(()),
            },
        };
        if unique_ids != [ENTITY_ID]
            && self.all[ty].key_set(unique_ids).is_none()
            && let Some(extended) = self.all[ty].with_key_set(unique_ids)
        {
            self.all[ty] = Rc::new(extended);
        }
        Ok(())
    }

    /// The type that was gathered for a slug.
    pub fn position(&self, slug: &str) -> Option<usize> {
        self.by_slug.get(slug).copied()
    }

    fn add(&mut self, slug: &'a str, ty: Rc<EntityType>) -> usize {
        self.all.push(ty);
        self.by_slug.insert(slug, self.all.len() - 1);
        self.all.len() - 1
    }

    fn get(
        &mut self,
        slug: &'a str,
        unique_ids: &[&str],
        purpose: Purpose,
    ) -> Result<usize, Failure> {
        match self.by_slug.get(slug) {
            Some(known) => Ok(*known),
            None => Ok(self.add(slug, EntityType::get(slug, unique_ids, purpose)?)),
        }
    }

    /// The type and key set of an entry that was gathered.
    fn of_entry(&mut self, entry: &'a Entity) -> Result<(usize, usize), Failure> {
        let at = self.entries.iter().position(|(known, _)| ptr::eq(*known, entry));
        if let Some((_, Some(of))) = at.map(|at| self.entries[at]) {
            return Ok(of);
        }
        let of = self.key_set(&entry.schema, &names(&entry.unique_ids), Purpose::Upserts)?;
        if let Some(at) = at {
            self.entries[at].1 = Some(of);
        }
        Ok(of)
    }

    /// The type and key set for identifiers that have been gathered.
    fn key_set(
        &mut self,
        slug: &'a str,
        unique_ids: &[&str],
        purpose: Purpose,
    ) -> Result<(usize, usize), Failure> {
        if unique_ids == [ENTITY_ID] {
            return Ok((self.get(slug, &[], purpose)?, BY_ID));
        }
        let ty = self.get(slug, unique_ids, purpose)?;
        let bound = &self.all[ty];
        let set = bound.key_set(unique_ids).ok_or_else(|| no_place(bound, unique_ids))?;
        Ok((ty, set))
    }
}

/// The error of identifiers that a registered table has no place for.
fn no_place(ty: &EntityType, unique_ids: &[&str]) -> Error {
    let unbound = unique_ids.iter().find(|name| ty.column_of(name).is_none());
    Refused::Unbound.error(ty, unbound.copied().unwrap_or_default())
}

/// The entities that an attribute links to.
fn targets<'m, 'a>(attribute: &'m Attribute<'a>) -> Vec<&'m Target<'a>> {
    match attribute {
        Attribute::Value(_) => Vec::new(),
        Attribute::Relation(relation) => relation.targets.iter().collect(),
        Attribute::RelationRef(refs) => refs.targets.iter().map(|item| &item.target).collect(),
    }
}

/// The names of a key's attributes: few, and asked for with each update.
type Names<'n> = SmallVec<[&'n str; 4]>;

fn names(unique_ids: &[String]) -> Names<'_> {
    unique_ids.iter().map(String::as_str).collect()
}

fn names_of<'a>(identifiers: &[(&'a str, Value<'a>)]) -> Names<'a> {
    identifiers.iter().map(|(name, _)| *name).collect()
}

/// The type of the entities that the scope's values are of.
pub fn scoped_schema<'a>(prune: &Prune<'a>) -> &'a str {
    match &prune.entity.scope {
        Some(Scope::Relations { schema, .. }) => schema,
        _ => &prune.entity.schema,
    }
}

/// Checks what one event maps to. Errors: `ENTITY_TYPE_UNKNOWN`, `MISSING_UNIQUE_IDENTIFIERS`,
/// `ATTRIBUTE_TYPE_MISMATCH`.
pub fn request<'a>(
    mapped: Vec<Mapped<'a>>,
    types: &mut Types<'a>,
    arena: &'a Bump,
) -> Result<Request<'a>, Failure> {
    let mut request = Request { updates: Vec::with_capacity(mapped.len()), prunes: Vec::new() };
    for mapped in mapped {
        match mapped {
            Mapped::Update(update) => request.updates.push(self::update(update, types, arena)?),
            Mapped::Prune(prune) => request.prunes.push(self::prune(&prune, types, arena)?),
        }
    }
    Ok(request)
}

fn update<'a>(
    update: EntityUpdate<'a>,
    types: &mut Types<'a>,
    arena: &'a Bump,
) -> Result<Update<'a>, Failure> {
    let entity = update.entity;
    let (ty, set) = types.of_entry(entity)?;
    let bound = types.all[ty].clone();
    let key = key_of(&bound, set, &update.unique_identifiers, arena)?;
    if entity.mode.of_updates() != Mode::Upsert {
        // What goes is found by its key; the rest of it does not matter.
        check_deletable(&bound, entity.mode)?;
        let (identifiers, targets, given) = Default::default();
        return Ok(Update { ty, set, key, identifiers, update, targets, given });
    }
    let identifiers = bound
        .identifiers
        .iter()
        .map(|identifier| {
            let mapped = update.attributes.iter().find(|(name, _)| name == identifier);
            mapped.and_then(|(_, attribute)| match attribute {
                // What it comes to is known when it is applied.
                Attribute::Value(value) if list_operation(*value).is_some() => None,
                Attribute::Value(value) => Some(identifier_text(*value, arena)),
                Attribute::Relation(_) | Attribute::RelationRef(_) => Some(None),
            })
        })
        .collect();
    check_columns(&bound, &update)?;
    let mut given = Vec::new();
    let mut targets = Vec::with_capacity(update.attributes.len());
    for (name, attribute) in &update.attributes {
        targets.push(match attribute {
            Attribute::Value(value) => {
                given_links(entity.schema.as_str(), name, *value, types, &mut given)?;
                Vec::new()
            }
            attribute => self::targets(attribute)
                .into_iter()
                .map(|target| link(target.clone(), types, arena))
                .collect::<Result<Vec<_>, Failure>>()
                .and_then(|links| check_lists(attribute, &links, types).map(|()| links))
                .map_err(|failure| failure.within(&format!("{}.{name}", entity.schema)))?,
        });
    }
    Ok(Update { ty, set, key, identifiers, update, targets, given })
}

/// The lists that get items to link to are to have a place in their tables.
fn check_lists(
    attribute: &Attribute<'_>,
    links: &[Link<'_>],
    types: &Types<'_>,
) -> Result<(), Failure> {
    let Attribute::RelationRef(refs) = attribute else { return Ok(()) };
    for (item, link) in refs.targets.iter().zip(links) {
        let ty = &types.all[link.ty];
        if let Some(refused) = place(ty, item.value.attribute, Some(Refused::NoList)) {
            return Err(refused.error(ty, item.value.attribute).into());
        }
    }
    Ok(())
}

/// Soft deletion needs a column that tells it.
fn check_deletable(ty: &EntityType, mode: Mode) -> Result<(), Error> {
    let is_soft = matches!(mode, Mode::Delete | Mode::UpsertPruneScopeDelete);
    if !is_soft || ty.layout.deleted_at.is_some() {
        return Ok(());
    }
    let message = format!(
        "\"{}\" cannot be deleted softly: its table has no column for the time of deletion",
        ty.slug
    );
    Err(Error::new(Code::EntityTypeUnknown, message).hint(
        "Register the table with deleted_at_column => …, or use mode \"purge\" or \
         \"upsert-prune-scope-purge\".",
    ))
}

fn prune<'a>(
    prune: &Prune<'a>,
    types: &mut Types<'a>,
    arena: &'a Bump,
) -> Result<PruneRequest<'a>, Failure> {
    let entity = prune.entity;
    let (ty, _) = types.of_entry(entity)?;
    check_deletable(&types.all[ty], entity.mode)?;
    let (of, set) =
        types.key_set(scoped_schema(prune), &names_of(&prune.values), Purpose::Relations)?;
    let key = key_of(&types.all[of], set, &prune.values, arena)
        .map_err(|error| Failure::from(error).within(&format!("{}.scope", entity.schema)))?;
    let scope = match &entity.scope {
        Some(Scope::Relations { .. }) => ScopeRequest::Related { anchor: (of, set, key) },
        _ => ScopeRequest::Matching { set, key },
    };
    Ok(PruneRequest { entity, ty, scope })
}

fn link<'a>(
    target: Target<'a>,
    types: &mut Types<'a>,
    arena: &'a Bump,
) -> Result<Link<'a>, Failure> {
    let (ty, set) =
        types.key_set(target.schema, &names_of(&target.identifiers), Purpose::Relations)?;
    let bound = types.all[ty].clone();
    let mut typed = target.types.iter().filter_map(|(name, _)| bound.layout.column(name));
    if let Some(column) = typed.find(|column| column.kind != Kind::Jsonb) {
        return Err(Refused::Typed.error(&bound, &column.attribute).into());
    }
    let key = key_of(&bound, set, &target.identifiers, arena)?;
    Ok(Link { ty, set, key, target })
}

fn key_of<'a>(
    ty: &EntityType,
    set: usize,
    identifiers: &[(&'a str, Value<'a>)],
    arena: &'a Bump,
) -> Result<Key<'a>, Error> {
    if set == BY_ID {
        let id = identifiers.first().map(|(_, id)| *id);
        let id = applicable_key(&ty.slug, ENTITY_ID, id)?;
        // What can be no id of the table's names no entity.
        let id = ty.layout.canonical_id(&id, arena).unwrap_or_else(|| arena.alloc_str(&id));
        return Ok(arena.alloc_slice_copy(&[id]));
    }
    let texts = ty.key_sets[set]
        .attributes
        .iter()
        .map(|attribute| {
            let value = identifiers.iter().find(|(name, _)| name == attribute).map(|(_, v)| *v);
            Ok(in_arena(applicable_key(&ty.slug, attribute, value)?, arena))
        })
        .collect::<Result<Names<'a>, Error>>()?;
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
