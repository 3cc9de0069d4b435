//! What a decision needs before it is written: under which key each row goes, which locks keep
//! another session from making the same entity, what must not have appeared meanwhile.

use std::hash::{DefaultHasher, Hash, Hasher};

use erp_engine::mapping::{Event, Mode, key_set_uses_of};

use super::Key;
use super::entity::Entity;
use super::entity_type::EntityType;
use super::request::{BY_ID, Request, Types};
use super::working_set::{Address, Indexes, WorkingSet};
use crate::error::Failure;
use crate::pg::lock::Group;

/// Locks a key set has: what is to be created takes those its keys fall on, however many it is.
const STRIPES: u32 = 32;

/// The lock of a type that calls which link to its entities share, and calls that purge some
/// take alone: no link is made to what is being purged.
const LINKS: u32 = u32::MAX;

/// How the row of an entity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// New, under a key that a unique index guards.
    ByKey(usize, Key<'a>),
    /// There, known by its id.
    ById,
    /// New, under keys that locks guard.
    Insert,
}

/// A key that no unique index guards, of an entity that appears.
pub struct Unguarded<'a> {
    pub address: Address<'a>,
    pub group: Group,
}

/// A lock of a table, by what it is about.
pub type Lock = ((u32, u32), Group);

/// The locks that must be held before anything is looked up: against links to what is purged.
pub fn link_locks(types: &Types<'_>, requests: &[&Request<'_>]) -> Vec<Lock> {
    let mut locks = Vec::new();
    let mut add = |ty: usize, key, group| locks.push(((types.all[ty].table.to_u32(), key), group));
    for request in requests {
        for update in &request.updates {
            update.targets.iter().flatten().for_each(|link| add(link.ty, LINKS, Group::A));
            // Two calls that add items to one entity's list, which may not be there yet.
            for link in update.ref_targets().filter(|link| link.set != BY_ID) {
                let set = &types.all[link.ty].key_sets[link.set];
                add(link.ty, stripe(set.hash, link.key), Group::Both);
            }
            update.given.iter().for_each(|given| add(given.ty, LINKS, Group::A));
            if update.mode() == Mode::Purge {
                add(update.ty, LINKS, Group::Both);
            }
        }
        for prune in &request.prunes {
            if prune.entity.mode.purges() {
                add(prune.ty, LINKS, Group::Both);
            }
        }
    }
    locks
}

/// The locks against links to what is purged that any event of a batch may need. Taken one event
/// after the other they would be in no order.
pub fn link_locks_of_batch(event: &Event) -> Result<Vec<Lock>, Failure> {
    let purged = event.entities.iter().filter(|entity| entity.mode.purges());
    let purged = purged.map(|entity| (entity.schema.clone(), Group::Both));
    let linked = key_set_uses_of(event).into_iter().filter(|used| !used.is_upserted);
    let linked = linked.map(|used| (used.schema, Group::A));
    let mut locks = Vec::new();
    for (slug, group) in purged.chain(linked) {
        if let Some(ty) = EntityType::find(&slug)? {
            locks.push(((ty.table.to_u32(), LINKS), group));
        }
    }
    Ok(locks)
}

/// The lock of a key in a key set.
fn stripe(set: u32, key: Key<'_>) -> u32 {
    set & !(STRIPES - 1) | hash(key) & (STRIPES - 1)
}

/// The lock under which entities of a type are purged.
pub fn purge_lock(ty: &EntityType) -> Lock {
    ((ty.table.to_u32(), LINKS), Group::Both)
}

impl<'a> WorkingSet<'a> {
    /// The locks that what is to be created needs, so that no two sessions create an entity
    /// and a stub of it at once: neither sees the other's, and no unique index holds both.
    /// By relation and key; stripes bound their number.
    pub fn locks(&self) -> Vec<Lock> {
        self.unguarded()
            .into_iter()
            .map(|Unguarded { address: (ty, set, key), group }| {
                let ty = &self.types[ty];
                ((ty.table.to_u32(), stripe(ty.key_sets[set].hash, key)), group)
            })
            .collect()
    }

    /// The keys that no unique index guards, of what is to be created or to be a stub no longer.
    /// Under a key that relations alone use, an entity goes with entities and a stub with stubs;
    /// what was upserted by such a key goes with none.
    pub fn unguarded(&self) -> Vec<Unguarded<'a>> {
        let mut created = Vec::new();
        let appears = |entity: &&Entity<'a>| entity.is_new || entity.was_stub && !entity.stub;
        for entity in self.entities.iter().filter(|entity| entity.write).filter(appears) {
            for (set, key_set) in self.types[entity.ty].key_sets.iter().enumerate() {
                let is_via = entity.is_new && entity.via.is_some_and(|(via, _)| via == set);
                let group = match (key_set.is_unique, key_set.is_indexed, entity.stub) {
                    // New rows of registered tables are simply inserted.
                    (_, true, _) if !self.types[entity.ty].layout.is_managed => Group::Both,
                    (true, ..) => continue,
                    (_, false, _) if is_via => Group::Both,
                    // Only those who use the key set can tell that it matters.
                    (_, false, _) => continue,
                    (_, true, true) => Group::B,
                    (_, true, false) if is_via => Group::Both,
                    (_, true, false) => Group::A,
                };
                // The key that a stub was known by counts, also if it gets another.
                for identifiers in [&entity.identifiers, &entity.row_identifiers] {
                    if let Some(key) = self.key(entity.ty, set, identifiers) {
                        created.push(Unguarded { address: (entity.ty, set, key), group });
                    }
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

    /// How an entity is written.
    pub fn way(&self, entity: &Entity<'a>) -> Way<'a> {
        let ty = &self.types[entity.ty];
        // A row that is there is known by its id. INSERT … ON CONFLICT would make the whole row
        // once more, generated columns included: batches of changes ran at 0.75 of their speed,
        // single calls at 0.85.
        let (Some((via, key)), true) = (entity.via, entity.is_new) else { return Way::ById };
        if !ty.layout.is_managed {
            return Way::Insert;
        }
        let is_unique = |set: &usize| ty.key_sets[*set].is_unique;
        let unique_sets = || (0..ty.key_sets.len()).filter(is_unique);
        let will_be = |set| self.key(entity.ty, set, &entity.identifiers);
        if entity.stub && ty.key_sets[via].is_indexed {
            return Way::ByKey(via, key);
        }
        // Found by a key that is not unique it is nobody else's: one that has a unique key of its
        // is in the way.
        if !is_unique(&via) {
            return Way::Insert;
        }
        let mut sets = std::iter::once(via).chain(unique_sets());
        let found = sets.find_map(|set| Some((set, will_be(set)?)));
        found.map_or(Way::Insert, |(set, key)| Way::ByKey(set, key))
    }

    /// The key by which a row was found, if it has an index: it must have the key still.
    pub fn found_by(&self, entity: &Entity<'a>) -> Option<(usize, Key<'a>)> {
        let (set, key) = entity.via?;
        let is_kept = self.types[entity.ty].key_sets[set].is_indexed
            && self.key(entity.ty, set, &entity.row_identifiers) == Some(key);
        is_kept.then_some((set, key))
    }

    /// Whether the row gives up a key by which others are upserted, or, being a stub, known: then
    /// another may be given it, and this one goes first.
    pub fn gives_up_key(&self, entity: &Entity<'a>) -> bool {
        let ty = &self.types[entity.ty];
        let is_guarded = |set: &usize| ty.key_sets[*set].is_unique || entity.was_stub;
        (0..ty.key_sets.len()).filter(is_guarded).any(|set| {
            let was = self.key(entity.ty, set, &entity.row_identifiers);
            was.is_some() && was != self.key(entity.ty, set, &entity.identifiers)
        })
    }

    /// Whether two entities would have the same key of a unique key set, or one that is new
    /// none at all: only the tables can tell what comes of it, an event at a time.
    pub fn is_entangled(&self) -> bool {
        let is_shared = |((ty, set, _), found): (&Address<'a>, &Indexes)| {
            // An id is no key set, and no two entities have it.
            let key_set = self.types[*ty].key_sets.get(*set);
            key_set.is_some_and(|set| set.is_unique)
                && found.iter().filter(|index| self.entities[**index].write).count() > 0
                && found.len() > 1
        };
        let has_key = |entity: &Entity<'a>| {
            (0..self.types[entity.ty].key_sets.len())
                .any(|set| self.key(entity.ty, set, &entity.identifiers).is_some())
        };
        let is_lost = |entity: &Entity<'a>| {
            let had_unique =
                || entity.via.is_some_and(|(via, _)| self.types[entity.ty].key_sets[via].is_unique);
            entity.is_new
                && entity.write
                && self.types[entity.ty].layout.is_managed
                && (!has_key(entity) || had_unique() && self.way(entity) == Way::Insert)
        };
        self.keys().any(is_shared) || self.entities.iter().any(is_lost)
    }
}

/// A hash that is the same in every session.
pub fn hash<T: Hash + ?Sized>(value: &T) -> u32 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish() as u32
}
