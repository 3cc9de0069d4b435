//! What the events of a chunk do, decided in memory, in their order, on the entities found.
//!
//! Pure: no SQL here. Each event is done whole or undone whole; what it changes is kept as
//! patches, which the writer has evaluated again on the locked rows.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::identifier::key;
use erp_engine::jsonb::{Object, Tree, Value, encode};
use erp_engine::map::{Attribute, Relation};
use erp_engine::merge::{compose, is_operation, merge};
use hashbrown::{HashMap, HashSet};

use super::Key;
use super::entity_type::{EntityType, OnMissing, Purpose, create_hint};
use super::request::{Link, Request, Upsert, identifier_text};
use crate::error::Failure;
use crate::pg::lock::Group;

/// An entity that a chunk touches.
#[derive(Clone)]
pub struct Entity<'a> {
    pub ty: usize,
    /// Proposed, for a new entity.
    pub id: &'a str,
    pub is_new: bool,
    pub stub: bool,
    pub is_deleted: bool,
    /// Whether its row in the table is a stub.
    pub was_stub: bool,
    was_deleted: bool,
    /// The attributes of its row.
    row_attributes: Option<Object<'a>>,
    /// The attributes as they will be; `None` when nothing but the id was read.
    pub attributes: Option<Object<'a>>,
    /// What the type's identifiers will be.
    identifiers: Vec<Option<&'a str>>,
    /// What they are in the table.
    row_identifiers: Vec<Option<&'a str>>,
    /// What is to be written, to be applied in turn.
    pub patches: Vec<Object<'a>>,
    /// The key under which it was upserted first, or created.
    pub via: Option<(usize, Key<'a>)>,
    /// Entities that its patches link to.
    pub links: Vec<usize>,
    /// Whether its row is to be locked, and written if it changes.
    pub write: bool,
    /// Whether an event changes it.
    pub is_changed: bool,
    /// The event that touched it last, for the journal.
    epoch: usize,
}

/// What happened to one entity in one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Created,
    Updated,
    Unchanged,
    Stubbed,
    Completed,
    Restored,
}

impl Entity<'_> {
    /// Whether its row will be another one than it is, all events taken together.
    pub fn differs_from_row(&self) -> bool {
        let same = |(now, row): (Object<'_>, Object<'_>)| now.bytes() == row.bytes();
        let is_same = self.attributes.zip(self.row_attributes).is_some_and(same);
        !is_same || self.was_stub != self.stub || self.was_deleted != self.is_deleted
    }
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Updated => "updated",
            Action::Unchanged => "unchanged",
            Action::Stubbed => "stubbed",
            Action::Completed => "completed",
            Action::Restored => "restored",
        }
    }
}

/// A row of an event's outcome.
pub struct Outcome<'a> {
    pub entity: usize,
    pub action: Action,
    pub identifiers: Vec<(&'a str, Value<'a>)>,
}

/// A key of a key set of a type.
pub type Address<'a> = (usize, usize, Key<'a>);

/// The entities of a chunk, by their keys.
pub struct WorkingSet<'a> {
    pub types: Vec<Rc<EntityType>>,
    pub entities: Vec<Entity<'a>>,
    arena: &'a Bump,
    by_key: HashMap<Address<'a>, Vec<usize>>,
    by_id: HashMap<(usize, &'a str), usize>,
    journal: Vec<Undo<'a>>,
    epoch: usize,
}

enum Undo<'a> {
    Entity(usize, Box<Entity<'a>>),
    Entered(Address<'a>, usize),
    Left(Address<'a>, usize),
}

impl<'a> WorkingSet<'a> {
    pub fn new(types: Vec<Rc<EntityType>>, arena: &'a Bump) -> WorkingSet<'a> {
        WorkingSet {
            types,
            entities: Vec::new(),
            arena,
            by_key: HashMap::new(),
            by_id: HashMap::new(),
            journal: Vec::new(),
            epoch: 0,
        }
    }

    /// Adds an entity that was found under `key`.
    pub fn add_found(
        &mut self,
        address: Address<'a>,
        id: &'a str,
        stub: bool,
        is_deleted: bool,
        attributes: Option<Object<'a>>,
    ) {
        let (ty, ..) = address;
        let index = *self.by_id.entry((ty, id)).or_insert_with(|| {
            self.entities.push(Entity {
                ty,
                id,
                is_new: false,
                stub,
                is_deleted,
                was_stub: stub,
                was_deleted: is_deleted,
                row_attributes: None,
                attributes: None,
                identifiers: Vec::new(),
                row_identifiers: Vec::new(),
                patches: Vec::new(),
                via: None,
                links: Vec::new(),
                write: false,
                is_changed: false,
                epoch: 0,
            });
            self.entities.len() - 1
        });
        if let (Some(attributes), None) = (attributes, self.entities[index].attributes) {
            let identifiers = self.types[ty].identifiers.iter();
            self.entities[index].identifiers = identifiers
                .map(|name| {
                    attributes.get(name).and_then(|value| identifier_text(value, self.arena))
                })
                .collect::<Vec<_>>();
            self.entities[index].row_identifiers = self.entities[index].identifiers.clone();
            self.entities[index].attributes = Some(attributes);
            self.entities[index].row_attributes = Some(attributes);
        }
        let at = self.by_key.entry(address).or_default();
        if !at.contains(&index) {
            at.push(index);
        }
    }

    /// Whether an entity with this id was found.
    pub fn has_id(&self, id: &str) -> bool {
        self.entities.iter().any(|entity| entity.id == id)
    }

    /// Whether an entity is known under the key.
    pub fn knows(&self, address: Address<'a>) -> bool {
        self.by_key.get(&address).is_some_and(|found| !found.is_empty())
    }

    /// Does what one event asks for, or nothing of it when it fails.
    pub fn apply(&mut self, request: &Request<'a>) -> Result<Vec<Outcome<'a>>, Failure> {
        self.epoch += 1;
        self.journal.clear();
        let before = self.entities.len();
        let result = self.event(request);
        let changes = match &result {
            Ok(outcomes) => outcomes.iter().any(|outcome| outcome.action != Action::Unchanged),
            Err(_) => false,
        };
        if !changes {
            self.undo(before);
        }
        result.map_err(Failure::from)
    }

    fn event(&mut self, request: &Request<'a>) -> Result<Vec<Outcome<'a>>, Error> {
        // The event's own entities come first, so that relations find them in any order.
        let mut actions = Vec::with_capacity(request.updates.len());
        for upsert in &request.updates {
            actions.push(self.identify(upsert)?);
        }
        let mut outcomes = Vec::with_capacity(actions.len());
        let mut stubs = Vec::new();
        for (upsert, (entity, action)) in request.updates.iter().zip(actions) {
            let is_changed = self.patch(entity, upsert, &mut stubs)?;
            let action = match action {
                Action::Unchanged if is_changed => Action::Updated,
                action => action,
            };
            let identifiers = upsert.update.unique_identifiers.clone();
            outcomes.push(Outcome { entity, action, identifiers });
        }
        outcomes.append(&mut stubs);
        for outcome in &outcomes {
            let entity = &mut self.entities[outcome.entity];
            entity.write = true;
            entity.is_changed |= outcome.action != Action::Unchanged;
        }
        Ok(outcomes)
    }

    /// The entity that an update is about: found, a stub that it completes, or a new one.
    fn identify(&mut self, upsert: &Upsert<'a>) -> Result<(usize, Action), Error> {
        let address = (upsert.ty, upsert.set, upsert.key);
        let (index, action) = match self.find(address)? {
            Some(index) => {
                self.touch(index);
                let entity = &mut self.entities[index];
                let action = match (entity.stub, entity.is_deleted) {
                    (true, _) => Action::Completed,
                    (false, true) => Action::Restored,
                    (false, false) => Action::Unchanged,
                };
                (index, action)
            }
            None => match self.stub_to_complete(upsert)? {
                Some(index) => {
                    self.touch(index);
                    (index, Action::Completed)
                }
                None => (self.add_new(upsert.ty, false, address), Action::Created),
            },
        };
        let entity = &mut self.entities[index];
        entity.stub = false;
        entity.is_deleted = false;
        entity.via.get_or_insert((upsert.set, upsert.key));
        let mut identifiers = entity.identifiers.clone();
        for (known, said) in identifiers.iter_mut().zip(&upsert.identifiers) {
            if let Some(said) = said {
                *known = *said;
            }
        }
        self.rename(index, identifiers);
        Ok((index, action))
    }

    /// The one entity under a key; a live one counts before soft-deleted ones.
    fn find(&self, address: Address<'a>) -> Result<Option<usize>, Error> {
        let found = self.by_key.get(&address).map_or(&[][..], Vec::as_slice);
        let live = || found.iter().filter(|index| !self.entities[**index].is_deleted);
        match (found, live().count()) {
            ([], _) => Ok(None),
            ([one], _) => Ok(Some(*one)),
            (_, 1) => Ok(live().next().copied()),
            _ => Err(self.ambiguous(address)),
        }
    }

    fn ambiguous(&self, (ty, set, _): Address<'a>) -> Error {
        let ty = &self.types[ty];
        let attributes: Vec<&str> =
            ty.key_sets[set].attributes.iter().map(String::as_str).collect();
        let message =
            format!("several entities of \"{}\" match ({})", ty.slug, attributes.join(", "));
        Error::new(Code::UniqueIdMultipleMatches, message).hint(format!(
            "Merge or delete the duplicates; a unique index prevents them: {}",
            create_hint(&ty.slug, &attributes, Purpose::Upserts)
        ))
    }

    /// The stub that the update's attributes match by the stub's own key.
    fn stub_to_complete(&self, upsert: &Upsert<'a>) -> Result<Option<usize>, Error> {
        let mut stubs: Vec<usize> = Vec::new();
        for (set, key) in self.other_keys(upsert) {
            let address = (upsert.ty, set, key);
            for index in self.by_key.get(&address).into_iter().flatten() {
                if self.entities[*index].stub && !stubs.contains(index) {
                    stubs.push(*index);
                }
            }
            if stubs.len() > 1 {
                return Err(self.ambiguous(address));
            }
        }
        Ok(stubs.pop())
    }

    /// The keys that an update has in the key sets it is not upserted by.
    pub fn other_keys(&self, upsert: &Upsert<'a>) -> Vec<(usize, Key<'a>)> {
        let said: Vec<Option<&str>> =
            upsert.identifiers.iter().map(|said| said.flatten()).collect();
        (0..self.types[upsert.ty].key_sets.len())
            .filter(|set| *set != upsert.set)
            .filter_map(|set| Some((set, self.key(upsert.ty, set, &said)?)))
            .collect()
    }

    fn key(&self, ty: usize, set: usize, identifiers: &[Option<&'a str>]) -> Option<Key<'a>> {
        let positions = &self.types[ty].key_sets[set].positions;
        let texts: Option<Vec<&str>> =
            positions.iter().map(|at| identifiers.get(*at).copied().flatten()).collect();
        texts.map(|texts| &*self.arena.alloc_slice_copy(&texts))
    }

    fn add_new(&mut self, ty: usize, stub: bool, address: Address<'a>) -> usize {
        let (_, set, key) = address;
        let id = self.arena.alloc_str(&uuid::Uuid::now_v7().to_string());
        let mut identifiers = vec![None; self.types[ty].identifiers.len()];
        for (at, text) in self.types[ty].key_sets[set].positions.iter().zip(key) {
            identifiers[*at] = Some(*text);
        }
        self.entities.push(Entity {
            ty,
            id,
            is_new: true,
            stub,
            is_deleted: false,
            was_stub: false,
            was_deleted: false,
            row_attributes: None,
            attributes: None,
            identifiers: Vec::new(),
            row_identifiers: Vec::new(),
            patches: Vec::new(),
            via: Some((set, key)),
            links: Vec::new(),
            write: false,
            is_changed: false,
            epoch: self.epoch,
        });
        let index = self.entities.len() - 1;
        self.rename(index, identifiers);
        index
    }

    /// Gives an entity other identifiers, and so other keys.
    fn rename(&mut self, index: usize, identifiers: Vec<Option<&'a str>>) {
        let ty = self.entities[index].ty;
        if self.entities[index].identifiers == identifiers {
            return;
        }
        let old = std::mem::replace(&mut self.entities[index].identifiers, identifiers);
        for set in 0..self.types[ty].key_sets.len() {
            let before = self.key(ty, set, &old);
            let after = self.key(ty, set, &self.entities[index].identifiers);
            if before == after {
                continue;
            }
            if let Some(key) = before {
                self.by_key.entry((ty, set, key)).or_default().retain(|at| *at != index);
                self.journal.push(Undo::Left((ty, set, key), index));
            }
            if let Some(key) = after {
                let at = self.by_key.entry((ty, set, key)).or_default();
                if !at.contains(&index) {
                    at.push(index);
                    self.journal.push(Undo::Entered((ty, set, key), index));
                }
            }
        }
    }

    /// Applies an update's attributes. Whether they change anything.
    fn patch(
        &mut self,
        index: usize,
        upsert: &Upsert<'a>,
        stubs: &mut Vec<Outcome<'a>>,
    ) -> Result<bool, Error> {
        let mut members = Vec::with_capacity(upsert.update.attributes.len());
        for ((name, attribute), targets) in upsert.update.attributes.iter().zip(&upsert.targets) {
            let value = match attribute {
                Attribute::Value(value) => {
                    Tree::Value(self.same_identifier(index, upsert, name, *value))
                }
                Attribute::Relation(relation) => {
                    match self.resolve(index, name, relation, targets, stubs)? {
                        Some(resolved) => resolved,
                        None => continue,
                    }
                }
            };
            members.push((*name, value));
        }
        let patch = self.keep(&Tree::Object(members))?;
        let slug = self.types[upsert.ty].slug.clone();
        let in_place =
            |error: Error| Error { message: format!("{slug}: {}", error.message), ..error };
        let attributes = self.entities[index].attributes;
        let is_changed = match (attributes, has_operations(patch)) {
            (None, false) => {
                self.entities[index].attributes = Some(patch);
                true
            }
            (current, _) => match merge(current, patch).map_err(in_place)? {
                Some(merged) => {
                    self.entities[index].attributes = Some(self.keep(&merged)?);
                    true
                }
                None => false,
            },
        };
        self.add_patch(index, patch)?;
        Ok(is_changed)
    }

    /// The identifier as it stands already, when it is the same key in another form: `7` and
    /// `"7"`. That is no change.
    fn same_identifier(
        &self,
        index: usize,
        upsert: &Upsert<'a>,
        name: &str,
        value: Value<'a>,
    ) -> Value<'a> {
        let is_identifier = || upsert.update.entity.unique_ids.iter().any(|id| id == name);
        let current = self.entities[index].attributes.and_then(|attributes| attributes.get(name));
        match current {
            Some(current) if is_identifier() && key(current) == key(value) => current,
            _ => value,
        }
    }

    fn add_patch(&mut self, index: usize, patch: Object<'a>) -> Result<(), Error> {
        let composed = match self.entities[index].patches.last() {
            Some(last) => compose(*last, patch),
            None => None,
        };
        match composed {
            Some(composed) => {
                let composed = self.keep(&composed)?;
                let patches = &mut self.entities[index].patches;
                patches.pop();
                patches.push(composed);
            }
            None => self.entities[index].patches.push(patch),
        }
        Ok(())
    }

    /// A relation with the ids of its targets, missing ones made stubs; `None` when every
    /// target is missing and left out.
    fn resolve(
        &mut self,
        from: usize,
        attribute: &str,
        relation: &Relation<'a>,
        targets: &[Link<'a>],
        stubs: &mut Vec<Outcome<'a>>,
    ) -> Result<Option<Tree<'a>>, Error> {
        let mut items = Vec::with_capacity(targets.len());
        for link in targets {
            let address = (link.ty, link.set, link.key);
            let found =
                self.find(address).map_err(|error| self.in_attribute(from, attribute, error))?;
            let to = match (found, self.types[link.ty].on_missing) {
                (Some(index), _) => index,
                (None, OnMissing::Create) => self.add_stub(link, stubs)?,
                (None, OnMissing::Skip) => continue,
                (None, OnMissing::Error) => return Err(self.missing(from, attribute, link)),
            };
            if !self.entities[from].links.contains(&to) {
                self.entities[from].links.push(to);
            }
            let id = Value::String(self.entities[to].id);
            items.push(link.target.item("entity_id", id.into()));
        }
        if items.is_empty() && !targets.is_empty() {
            return Ok(None);
        }
        let operation = Tree::Object(vec![(relation.operation.name(), Tree::Array(items))]);
        Ok(Some(Tree::Object(vec![("$relation", operation)])))
    }

    fn add_stub(&mut self, link: &Link<'a>, stubs: &mut Vec<Outcome<'a>>) -> Result<usize, Error> {
        let index = self.add_new(link.ty, true, (link.ty, link.set, link.key));
        let attributes = self.keep(&erp_engine::map::members(&link.target.identifiers))?;
        self.entities[index].attributes = Some(attributes);
        self.entities[index].patches.push(attributes);
        let identifiers = link.target.identifiers.clone();
        stubs.push(Outcome { entity: index, action: Action::Stubbed, identifiers });
        Ok(index)
    }

    fn in_attribute(&self, from: usize, attribute: &str, error: Error) -> Error {
        let slug = &self.types[self.entities[from].ty].slug;
        Error { message: format!("{slug}.{attribute}: {}", error.message), ..error }
    }

    fn missing(&self, from: usize, attribute: &str, link: &Link<'a>) -> Error {
        let ty = &self.types[link.ty];
        let message = format!(
            "no entity of \"{}\" matches ({})",
            ty.slug,
            ty.key_sets[link.set].attributes.join(", ")
        );
        let error = Error::new(Code::EntityReferenceNotFound, message);
        self.in_attribute(from, attribute, error).hint(format!(
            "Apply the event that creates it first, or let relations create it: UPDATE \
             erp.entity_type SET on_missing = 'create' WHERE slug = '{}';",
            ty.slug.replace('\'', "''")
        ))
    }

    fn keep(&self, tree: &Tree<'a>) -> Result<Object<'a>, Error> {
        let too_large = |_| {
            Error::new(
                Code::AttributeTypeMismatch,
                "the entity's attributes are larger than jsonb can hold",
            )
        };
        let bytes = encode(tree).map_err(too_large)?;
        let value = Value::from_datum(self.arena.alloc_slice_copy(&bytes));
        Ok(value.as_object().expect("a tree of members is encoded as an object"))
    }

    /// Remembers the entity as it was before this event.
    fn touch(&mut self, index: usize) {
        if self.entities[index].epoch != self.epoch {
            let before = Box::new(self.entities[index].clone());
            self.journal.push(Undo::Entity(index, before));
            self.entities[index].epoch = self.epoch;
        }
    }

    fn undo(&mut self, before: usize) {
        while let Some(undo) = self.journal.pop() {
            match undo {
                Undo::Entity(index, entity) => self.entities[index] = *entity,
                Undo::Entered(address, index) => {
                    self.by_key.entry(address).or_default().retain(|at| *at != index);
                }
                Undo::Left(address, index) => {
                    self.by_key.entry(address).or_default().push(index);
                }
            }
        }
        self.entities.truncate(before);
    }

    /// The locks that what is to be created needs, so that no two sessions create an entity
    /// and a stub of it at once: neither sees the other's, and no unique index holds both.
    /// By relation and key; stripes bound their number.
    pub fn locks(&self) -> Vec<((u32, u32), Group)> {
        self.unguarded()
            .into_iter()
            .map(|(ty, set, key, is_stub)| {
                let ty = &self.types[ty];
                let stripe = ty.key_sets[set].hash & !(STRIPES - 1) | hash(key) & (STRIPES - 1);
                ((ty.table.to_u32(), stripe), if is_stub { Group::B } else { Group::A })
            })
            .collect()
    }

    /// What is to be created under a key that no unique index guards, or to be a stub no longer:
    /// type, key set, key, and whether it is a stub.
    pub fn unguarded(&self) -> Vec<(usize, usize, Key<'a>, bool)> {
        let mut created = Vec::new();
        let appears = |entity: &&Entity<'a>| entity.is_new || entity.was_stub && !entity.stub;
        for entity in self.entities.iter().filter(|entity| entity.write).filter(appears) {
            for (set, key_set) in self.types[entity.ty].key_sets.iter().enumerate() {
                let key = self.key(entity.ty, set, &entity.identifiers);
                if let (false, Some(key)) = (key_set.is_unique, key) {
                    created.push((entity.ty, set, key, entity.stub));
                }
            }
        }
        created
    }

    /// The unique keys that rows which are there are to get: type, key set, key.
    pub fn gained(&self) -> Vec<Address<'a>> {
        let mut gained = Vec::new();
        for entity in self.entities.iter().filter(|entity| !entity.is_new && entity.write) {
            for (set, key_set) in self.types[entity.ty].key_sets.iter().enumerate() {
                let was = self.key(entity.ty, set, &entity.row_identifiers);
                match self.key(entity.ty, set, &entity.identifiers) {
                    Some(key) if key_set.is_unique && was != Some(key) => {
                        gained.push((entity.ty, set, key));
                    }
                    _ => {}
                }
            }
        }
        gained
    }

    /// The entities that a value names by id are to exist.
    pub fn check_given(
        &self,
        request: &Request<'a>,
        existing: &HashSet<(usize, &'a str)>,
    ) -> Result<(), Error> {
        for upsert in &request.updates {
            for given in &upsert.given {
                if !existing.contains(&(given.ty, given.id)) {
                    let message = format!(
                        "{}.{}: an item of a relation names an entity of \"{}\" that does not exist",
                        self.types[upsert.ty].slug, given.attribute, self.types[given.ty].slug
                    );
                    return Err(Error::new(Code::EntityReferenceNotFound, message)
                        .hint("Let the mapping find it by its identifiers, with \"relations\"."));
                }
            }
        }
        Ok(())
    }

    /// The key under which an entity can be upserted. A row that is there has the key already,
    /// and gives up no key by which others are upserted: those are written by id, first.
    pub fn key_to_write(&self, entity: &Entity<'a>) -> Option<(usize, Key<'a>)> {
        let ty = &self.types[entity.ty];
        let (via, key) = entity.via?;
        let is_unique = |set: &usize| ty.key_sets[*set].is_unique;
        let unique_sets = || (0..ty.key_sets.len()).filter(is_unique);
        let will_be = |set| self.key(entity.ty, set, &entity.identifiers);
        if entity.is_new && entity.stub {
            return Some((via, key));
        }
        if entity.is_new {
            let mut sets = std::iter::once(via).filter(is_unique).chain(unique_sets());
            return sets.find_map(|set| Some((set, will_be(set)?)));
        }
        let was = |set| self.key(entity.ty, set, &entity.row_identifiers);
        let keeps = |set| was(set).is_none() || was(set) == will_be(set);
        let is_upserted = is_unique(&via)
            && !ty.is_written_by_id
            && was(via) == Some(key)
            && unique_sets().all(keeps);
        is_upserted.then_some((via, key))
    }

    /// Whether two entities would have the same key of a unique key set, or one that is new
    /// none at all: only the tables can tell what comes of it, an event at a time.
    pub fn is_entangled(&self) -> bool {
        let is_shared = |((ty, set, _), found): (&Address<'a>, &Vec<usize>)| {
            let is_unique = self.types[*ty].key_sets[*set].is_unique;
            is_unique
                && found.iter().filter(|index| self.entities[**index].write).count() > 0
                && found.len() > 1
        };
        let is_lost = |entity: &Entity<'a>| {
            entity.is_new && entity.write && self.key_to_write(entity).is_none()
        };
        self.by_key.iter().any(is_shared) || self.entities.iter().any(is_lost)
    }
}

const STRIPES: u32 = 32;

/// A hash that is the same in every session.
pub fn hash<T: Hash + ?Sized>(value: &T) -> u32 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish() as u32
}

/// Whether a patch holds an operation, not values alone.
pub fn has_operations(patch: Object<'_>) -> bool {
    patch.iter().any(|(_, value)| is_operation(value))
}
