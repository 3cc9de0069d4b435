//! The entities of a chunk, found and made, by their keys; with a journal, so that an event that
//! fails, or changes nothing, is undone whole.

use std::rc::Rc;

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::jsonb::{Object, Tree, Value, encode};
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::Key;
use super::entity::{Change, Entity, Removal};
use super::entity_type::{EntityType, Purpose, create_hint};
use super::layout::IdSource;
use super::request::identifier_text;
use super::resolve::Row;

/// A key of a key set of a type.
pub type Address<'a> = (usize, usize, Key<'a>);

/// Entities under a key, nearly always one.
pub type Indexes = SmallVec<[usize; 1]>;

/// The entities of a chunk, by their keys.
pub struct WorkingSet<'a> {
    pub types: Vec<Rc<EntityType>>,
    pub entities: Vec<Entity<'a>>,
    arena: &'a Bump,
    by_key: HashMap<Address<'a>, Indexes>,
    by_id: HashMap<(usize, &'a str), usize>,
    journal: Vec<Undo<'a>>,
    epoch: usize,
    /// Whether outcomes tell what changed.
    pub tells_changes: bool,
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
            tells_changes: false,
        }
    }

    pub fn arena(&self) -> &'a Bump {
        self.arena
    }

    /// Makes room for entities that were found. To grow one by one took 1 to 2 % of the
    /// instructions of a batch that changes nothing.
    pub fn reserve(&mut self, found: usize) {
        self.entities.reserve(found);
        self.by_key.reserve(found);
        self.by_id.reserve(found);
    }

    /// Adds an entity that was found under `key`.
    pub fn add_found(&mut self, address: Address<'a>, row: &Row<'a>) {
        let (ty, ..) = address;
        let index = *self.by_id.entry((ty, row.id)).or_insert_with(|| {
            self.entities.push(Entity {
                stub: row.stub,
                is_deleted: row.is_deleted,
                was_stub: row.stub,
                was_deleted: row.is_deleted,
                place: row.place,
                ..Entity::new(ty, row.id)
            });
            self.entities.len() - 1
        });
        if let (Some(attributes), None) = (row.attributes(), self.entities[index].attributes) {
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

    /// Whether any row is written, locked or removed by its key. If none is, everything was seen in
    /// one snapshot.
    pub fn writes_any(&self) -> bool {
        self.entities.iter().any(|entity| entity.write || entity.removal.is_some())
    }

    /// Whether an entity with this id was found.
    pub fn has_id(&self, id: &str) -> bool {
        self.entities.iter().any(|entity| entity.id == id)
    }

    /// Whether an entity is known under the key.
    pub fn knows(&self, address: Address<'a>) -> bool {
        !self.under(address).is_empty()
    }

    /// The entities under a key.
    pub fn under(&self, address: Address<'a>) -> &[usize] {
        self.by_key.get(&address).map_or(&[], |found| found)
    }

    /// The keys there are, with the entities under each.
    pub fn keys(&self) -> impl Iterator<Item = (&Address<'a>, &Indexes)> {
        self.by_key.iter()
    }

    /// The one entity under a key; a live one counts before soft-deleted ones.
    pub fn find(&self, address: Address<'a>) -> Result<Option<usize>, Error> {
        let found = self.under(address);
        let live = || found.iter().filter(|index| !self.entities[**index].is_deleted);
        match (found, live().count()) {
            ([], _) => Ok(None),
            ([one], _) => Ok(Some(*one)),
            (_, 1) => Ok(live().next().copied()),
            // Deleted ones may share a key that live ones may not: the one deleted last counts.
            ([last, ..], 0) if self.is_unique_but_deleted(address) => Ok(Some(*last)),
            _ => Err(self.ambiguous(address)),
        }
    }

    /// Whether a unique index of a registered table guards the key, but leaves deleted rows out.
    fn is_unique_but_deleted(&self, (ty, set, _): Address<'a>) -> bool {
        let set = self.types[ty].key_sets.get(set);
        set.is_some_and(|set| set.is_for_upserts && !set.is_unique && set.is_indexed)
    }

    /// The error for a key that several entities have.
    pub fn ambiguous(&self, (ty, set, _): Address<'a>) -> Error {
        let ty = &self.types[ty];
        let attributes: Vec<&str> =
            ty.key_sets[set].attributes.iter().map(String::as_str).collect();
        let message =
            format!("several entities of \"{}\" match ({})", ty.slug, attributes.join(", "));
        let mend = match ty.layout.is_managed {
            true => create_hint(&ty.slug, &attributes, Purpose::Upserts),
            false => format!("CREATE UNIQUE INDEX ON {} …", ty.name),
        };
        Error::new(Code::UniqueIdMultipleMatches, message)
            .hint(format!("Merge or delete the duplicates; a unique index prevents them: {mend}"))
    }

    /// The key that identifiers make in a key set, if it is complete.
    pub fn key(&self, ty: usize, set: usize, identifiers: &[Option<&'a str>]) -> Option<Key<'a>> {
        let positions = &self.types[ty].positions[set];
        let texts: Option<Vec<&str>> =
            positions.iter().map(|at| identifiers.get(*at).copied().flatten()).collect();
        texts.map(|texts| &*self.arena.alloc_slice_copy(&texts))
    }

    /// Adds an entity that is to be created, known by `address`.
    pub fn add_new(&mut self, ty: usize, stub: bool, address: Address<'a>) -> usize {
        let (_, set, key) = address;
        let id = match self.types[ty].layout.id_source {
            IdSource::Uuid => uuid::Uuid::now_v7().to_string(),
            // Until it is written.
            _ => format!("(new {})", self.entities.len() + 1),
        };
        let id = self.arena.alloc_str(&id);
        let mut identifiers = vec![None; self.types[ty].identifiers.len()];
        for (at, text) in self.types[ty].positions[set].iter().zip(key) {
            identifiers[*at] = Some(*text);
        }
        self.entities.push(Entity {
            is_new: true,
            stub,
            via: Some((set, key)),
            epoch: self.epoch,
            ..Entity::new(ty, id)
        });
        let index = self.entities.len() - 1;
        self.rename(index, identifiers);
        index
    }

    /// Adds an entity that is removed, found by none of the events' keys.
    pub fn add_removed(
        &mut self,
        ty: usize,
        id: &'a str,
        attributes: Option<Object<'a>>,
        removal: Removal,
    ) -> usize {
        self.entities.push(Entity {
            is_deleted: true,
            row_attributes: attributes,
            attributes: attributes.filter(|_| removal == Removal::Delete),
            ..Entity::new(ty, id)
        });
        self.entities.len() - 1
    }

    /// Gives an entity other identifiers, and so other keys.
    pub fn rename(&mut self, index: usize, identifiers: Vec<Option<&'a str>>) {
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

    /// Puts attributes or a patch into the arena.
    pub fn keep(&self, tree: &Tree<'a>) -> Result<Object<'a>, Error> {
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

    /// Starts an event; what it does can be undone.
    pub fn begin_event(&mut self) -> usize {
        self.epoch += 1;
        self.journal.clear();
        self.entities.len()
    }

    /// Remembers the entity as it was before this event.
    pub fn touch(&mut self, index: usize) {
        if self.entities[index].epoch != self.epoch {
            let before = Box::new(self.entities[index].clone());
            self.journal.push(Undo::Entity(index, before));
            self.entities[index].epoch = self.epoch;
        }
    }

    /// What the event that was begun last made of an entity.
    pub fn change(&self, index: usize) -> Change<'a> {
        let before = self.journal.iter().find_map(|undo| match undo {
            Undo::Entity(of, entity) if *of == index => Some(entity),
            _ => None,
        });
        let entity = &self.entities[index];
        let before = before.map_or(Some(entity).filter(|it| !it.is_new), |before| Some(before));
        Change { before: before.and_then(|it| it.version()), after: entity.version() }
    }

    /// Undoes what was done since [`WorkingSet::begin_event`] returned `before`.
    pub fn undo(&mut self, before: usize) {
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
}
