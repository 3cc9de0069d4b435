//! What a decision needs before it is written: under which key each row goes, which locks keep
//! another session from making the same entity, what must not have appeared meanwhile.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Key;
use super::entity::Entity;
use super::working_set::{Address, WorkingSet};
use crate::pg::lock::Group;

/// Locks a key set has: what is to be created takes those its keys fall on, however many it is.
const STRIPES: u32 = 32;

impl<'a> WorkingSet<'a> {
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
                // The key that a stub was known by counts, also if it gets another.
                for identifiers in [&entity.identifiers, &entity.row_identifiers] {
                    let key = self.key(entity.ty, set, identifiers);
                    if let (false, Some(key)) = (key_set.is_unique, key) {
                        created.push((entity.ty, set, key, entity.stub));
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
        self.keys().any(is_shared) || self.entities.iter().any(is_lost)
    }
}

/// A hash that is the same in every session.
pub fn hash<T: Hash + ?Sized>(value: &T) -> u32 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish() as u32
}
