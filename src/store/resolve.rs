//! Finding the entities that a chunk of events asks for: all keys of a key set in one
//! statement, everything in one snapshot.

use std::collections::BTreeMap;

use bumpalo::Bump;
use erp_engine::jsonb::{Object, Value};
use hashbrown::HashSet;
use pgrx::pg_sys::Datum;

use super::Key;
use super::by_index::find_by_index;
use super::direct::Direct;
use super::entity::{Entity, State, Version};
use super::entity_type::EntityType;
use super::guard::Unguarded;
use super::request::{BY_ID, Request, ScopeRequest, Types};
use super::statements::{Count, Find};
use super::working_set::{Address, WorkingSet};
use super::write::order;
use crate::error::Failure;
use crate::pg::array;
use crate::pg::lock::Group;
use crate::pg::spi::{Access, in_latest_snapshot, in_one_snapshot, keeps_one_snapshot};
use crate::pg::writer::Place;

/// What was found.
pub struct Found<'a> {
    pub entities: WorkingSet<'a>,
    pub seen: Seen<'a>,
}

/// What a decision is made of: rows by the keys they were found under, and entities that values
/// name by type and id, as far as they exist.
pub struct Seen<'a> {
    rows: Vec<(Address<'a>, Row<'a>)>,
    pub given: HashSet<(usize, &'a str)>,
}

impl Seen<'_> {
    /// Whether another look saw the same: then it leads to the same decision.
    pub fn is_same(&mut self, other: &mut Seen<'_>) -> bool {
        self.rows.sort_unstable_by_key(|(address, row)| (*address, row.id));
        other.rows.sort_unstable_by_key(|(address, row)| (*address, row.id));
        let same_row = |((a, row), (b, other)): (&(Address<'_>, Row<'_>), &(_, Row<'_>))| {
            a == b && row.is_same(other)
        };
        self.given == other.given
            && self.rows.len() == other.rows.len()
            && self.rows.iter().zip(&other.rows).all(same_row)
    }
}

/// A row that was found under a key.
pub struct Row<'a> {
    pub key: Key<'a>,
    pub id: &'a str,
    pub(super) stub: bool,
    pub is_deleted: bool,
    pub(super) attributes: Option<Value<'a>>,
    /// Where it stands, if it was found through an index.
    pub(super) place: Option<Place>,
}

impl<'a> Row<'a> {
    pub fn attributes(&self) -> Option<Object<'a>> {
        self.attributes.and_then(Value::as_object)
    }

    /// Whether it is the row of an entity, neither stub nor deleted.
    pub fn is_live(&self) -> bool {
        !self.stub && !self.is_deleted
    }

    /// The entity as the row has it.
    pub fn version(&self) -> Option<Version<'a>> {
        let attributes = self.attributes.and_then(Value::as_object)?;
        Some(Version { attributes, state: State::of(self.stub, self.is_deleted) })
    }

    /// Whether it is the row of an entity with these attributes.
    pub fn is_entity(&self, attributes: Option<Value<'_>>) -> bool {
        self.is_live() && same(self.attributes, attributes)
    }

    fn is_same(&self, other: &Row<'_>) -> bool {
        same(self.attributes, other.attributes)
            && (self.id, self.stub, self.is_deleted) == (other.id, other.stub, other.is_deleted)
    }
}

fn same(a: Option<Value<'_>>, b: Option<Value<'_>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.same(b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// Finds what `requests` ask for.
pub fn resolve<'a>(
    types: &Types<'a>,
    requests: &[&Request<'a>],
    arena: &'a Bump,
) -> Result<Found<'a>, Failure> {
    in_one_snapshot(|| {
        let mut entities = WorkingSet::new(types.all.clone(), arena);
        let mut rows = Vec::new();
        let upserted = upserted(requests);
        let linked = linked(requests, &upserted);
        for (find, keys) in [(Find::WithAttributes, upserted), (Find::Entities, linked)] {
            add(&mut entities, &mut rows, find, keys, arena)?;
        }
        let stubs = completable(requests, &entities);
        add(&mut entities, &mut rows, Find::Stubs, stubs, arena)?;
        let given = given(types, requests, arena)?;
        Ok(Found { entities, seen: Seen { rows, given } })
    })
}

/// Locks the rows of the entities whose lists get items that are linked to, or all that are written
/// where changes are told, tables in the order in which they are written. Whether there was any that
/// was not `locked`, and may no longer be what was decided on.
pub fn lock_found<'a>(
    entities: &WorkingSet<'a>,
    locked: &mut HashSet<(usize, &'a str)>,
    now: Datum,
    arena: &'a Bump,
) -> Result<bool, Failure> {
    let mut is_any = false;
    for ty in order(entities) {
        let decides = |entity: &Entity<'a>| {
            entity.has_items || entities.tells_changes && (entity.write || entity.removal.is_some())
        };
        let mut is_new = |entity: &Entity<'a>| {
            entity.ty == ty && !entity.is_new && decides(entity) && locked.insert((ty, entity.id))
        };
        let rows = entities.entities.iter().enumerate().filter(|(_, entity)| is_new(entity));
        let rows: Vec<usize> = rows.map(|(index, _)| index).collect();
        let left = lock_as_seen(entities, ty, rows, now, arena)?;
        if !left.is_empty() {
            let bound = &entities.types[ty];
            let ids = left.iter().map(|index| entities.entities[*index].id);
            let argument = bound.layout.ids(arena, ids);
            bound.lock_by_id()?.execute(&[argument], Access::Write)?;
            is_any = true;
        }
    }
    Ok(is_any)
}

/// Locks rows of a type that are as they were seen. Returns the others.
fn lock_as_seen<'a>(
    entities: &WorkingSet<'a>,
    ty: usize,
    rows: Vec<usize>,
    now: Datum,
    arena: &'a Bump,
) -> Result<Vec<usize>, Failure> {
    let bound = &entities.types[ty];
    if rows.is_empty() || !bound.layout.is_managed {
        return Ok(rows);
    }
    let mut kept = bound.writing.try_borrow_mut().ok();
    let mut direct = Direct::open(entities, bound, kept.as_mut(), now, arena)?;
    let left = direct.lock(rows)?;
    direct.close()?;
    Ok(left)
}

/// In a transaction that keeps one snapshot, an entity may have appeared since: under a key that
/// no unique index guards, where what is to be created would be its double; or under a key that
/// a row is to get, where the unique index would refuse it. Then the transaction cannot be
/// serialized.
pub fn check_unseen<'a>(entities: &WorkingSet<'a>, arena: &'a Bump) -> Result<(), Failure> {
    if !keeps_one_snapshot() {
        return Ok(());
    }
    let unguarded = entities.unguarded().into_iter().map(|Unguarded { address, group }| {
        let (ty, set, key) = address;
        (ty, set, key, if group == Group::A { Find::Stubs } else { Find::Entities })
    });
    let gained = entities.gained().into_iter().map(|(ty, set, key)| (ty, set, key, Find::Entities));
    for (ty, set, key, find) in unguarded.chain(gained) {
        let ty = &entities.types[ty];
        let appeared =
            in_latest_snapshot(|| find_by_key(ty, set, find, &[key], Access::Read, arena))?;
        if appeared.iter().any(|row| !entities.has_id(row.id)) {
            let message = "could not serialize access: another session created the entity";
            return Err(Failure::Contended { message: message.into() });
        }
    }
    Ok(())
}

/// In a transaction that keeps one snapshot, an entity that is linked to may have been purged
/// since. The locks that links take are held: what is there now stays.
pub fn check_linked<'a>(
    entities: &WorkingSet<'a>,
    requests: &[&Request<'a>],
    arena: &'a Bump,
) -> Result<(), Failure> {
    if !keeps_one_snapshot() {
        return Ok(());
    }
    let mut linked: BTreeMap<usize, HashSet<&'a str>> = BTreeMap::new();
    let written = entities.entities.iter().filter(|entity| entity.write);
    let targets = written.flat_map(|entity| &entity.links).map(|to| &entities.entities[*to]);
    for target in targets.filter(|target| !target.is_new) {
        linked.entry(target.ty).or_default().insert(target.id);
    }
    let updates = requests.iter().flat_map(|request| &request.updates);
    for given in updates.flat_map(|update| &update.given) {
        linked.entry(given.ty).or_default().insert(given.id);
    }
    for (ty, ids) in linked {
        let ids: Vec<&str> = ids.into_iter().collect();
        let there = in_latest_snapshot(|| existing_ids(&entities.types[ty], &ids, arena))?;
        if there.len() < ids.len() {
            let message = "could not serialize access: another session purged the entity";
            return Err(Failure::Contended { message: message.into() });
        }
    }
    Ok(())
}

/// Keys by type and key set, in byte order, each once.
type Keys<'a> = BTreeMap<(usize, usize), Vec<Key<'a>>>;

/// Puts keys in order that were added in any, which is cheaper than to keep them so.
fn sorted(mut keys: Keys<'_>) -> Keys<'_> {
    for keys in keys.values_mut() {
        keys.sort_unstable();
        keys.dedup();
    }
    keys
}

/// Keys of entities that may change, or that a prune reads the relations of.
fn upserted<'a>(requests: &[&Request<'a>]) -> Keys<'a> {
    let mut keys = Keys::new();
    for request in requests {
        for update in &request.updates {
            keys.entry((update.ty, update.set)).or_default().push(update.key);
            for link in update.ref_targets() {
                keys.entry((link.ty, link.set)).or_default().push(link.key);
            }
        }
        for prune in &request.prunes {
            if let ScopeRequest::Related { anchor: (ty, set, key) } = prune.scope {
                keys.entry((ty, set)).or_default().push(key);
            }
        }
    }
    sorted(keys)
}

/// Keys of entities that are linked to, and not `upserted`.
fn linked<'a>(requests: &[&Request<'a>], upserted: &Keys<'a>) -> Keys<'a> {
    let mut keys = Keys::new();
    let updates = requests.iter().flat_map(|request| &request.updates);
    for link in updates.flat_map(|update| update.targets.iter().flatten()) {
        let of = (link.ty, link.set);
        if upserted.get(&of).is_none_or(|known| known.binary_search(&link.key).is_err()) {
            keys.entry(of).or_default().push(link.key);
        }
    }
    sorted(keys)
}

/// The keys by which a stub may be known that an update, which found nothing, completes.
fn completable<'a>(requests: &[&Request<'a>], entities: &WorkingSet<'a>) -> Keys<'a> {
    let mut keys = Keys::new();
    for update in requests.iter().flat_map(|request| &request.updates) {
        // Most types have one key set alone, and no other key.
        let has_others = entities.types[update.ty].key_sets.len() > 1;
        if has_others && !entities.knows((update.ty, update.set, update.key)) {
            for (set, key) in entities.other_keys(update) {
                keys.entry((update.ty, set)).or_default().push(key);
            }
        }
    }
    sorted(keys)
}

fn add<'a>(
    entities: &mut WorkingSet<'a>,
    seen: &mut Vec<(Address<'a>, Row<'a>)>,
    find: Find,
    keys: Keys<'a>,
    arena: &'a Bump,
) -> Result<(), Failure> {
    for ((ty, set), keys) in keys {
        let bound = entities.types[ty].clone();
        let rows = match set {
            BY_ID => find_by_id(&bound, &keys, Access::Read, arena)?,
            _ => find_by_key(&bound, set, find, &keys, Access::Read, arena)?,
        };
        entities.reserve(rows.len());
        seen.reserve(rows.len());
        for row in rows {
            let address = (ty, set, row.key);
            entities.add_found(address, &row);
            seen.push((address, row));
        }
    }
    Ok(())
}

/// The entities that have one of the ids, which are keys of their own.
pub fn find_by_id<'a>(
    ty: &EntityType,
    keys: &[Key<'a>],
    access: Access,
    arena: &'a Bump,
) -> Result<Vec<Row<'a>>, Failure> {
    let ids: Vec<&str> =
        keys.iter().filter_map(|key| ty.layout.canonical_id(key[0], arena)).collect();
    let argument = ty.layout.ids(arena, ids.iter().copied());
    let rows = ty.find_by_id()?.execute(&[argument], access)?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows.iter() {
        let Some(id) = ty.layout.id(&row, 1, arena)? else { continue };
        found.push(Row {
            key: arena.alloc_slice_copy(&[id]),
            id,
            stub: row.bool(2),
            is_deleted: row.bool(3),
            attributes: row.jsonb(4, arena)?,
            place: None,
        });
    }
    Ok(found)
}

/// The entities that have one of `keys`.
pub fn find_by_key<'a>(
    ty: &EntityType,
    set: usize,
    find: Find,
    keys: &[Key<'a>],
    access: Access,
    arena: &'a Bump,
) -> Result<Vec<Row<'a>>, Failure> {
    // Prepared in any case: so the role's right to use the schema has been checked.
    let statement = ty.find_by_key(set, find, Count::of(keys.len()))?;
    if access == Access::Read
        && let Some(found) = find_by_index(ty, set, find, keys, arena)?
    {
        return Ok(found);
    }
    let columns = ty.key_sets[set].attributes.len();
    let arguments: Vec<_> = (0..columns)
        .map(|column| array::of_text(arena, keys.iter().map(move |key| key[column])))
        .collect();
    let rows = statement.execute(&arguments, access)?;
    let mut found = Vec::with_capacity(rows.len());
    let is_told = ty.text_column(set).is_some();
    for row in rows.iter() {
        let key = match is_told {
            true => row.text(1, arena)?.map(|key| &*arena.alloc_slice_copy(&[key])),
            false => row.i64(1).map(|n| keys[n as usize - 1]),
        };
        let (Some(key), Some(id)) = (key, ty.layout.id(&row, 2, arena)?) else { continue };
        found.push(Row {
            key,
            id,
            stub: row.bool(3),
            is_deleted: row.bool(4),
            attributes: row.jsonb(5, arena)?,
            place: None,
        });
    }
    Ok(found)
}

fn given<'a>(
    types: &Types<'a>,
    requests: &[&Request<'a>],
    arena: &'a Bump,
) -> Result<HashSet<(usize, &'a str)>, Failure> {
    let mut asked: BTreeMap<usize, HashSet<&'a str>> = BTreeMap::new();
    let updates = requests.iter().flat_map(|request| &request.updates);
    for given in updates.flat_map(|upsert| &upsert.given) {
        asked.entry(given.ty).or_default().insert(given.id);
    }
    let mut existing = HashSet::new();
    for (ty, ids) in asked {
        let ids: Vec<&str> = ids.into_iter().collect();
        existing.extend(existing_ids(&types.all[ty], &ids, arena)?.into_iter().map(|id| (ty, id)));
    }
    Ok(existing)
}

/// Those of `ids` that are entities.
fn existing_ids<'a>(
    ty: &EntityType,
    ids: &[&'a str],
    arena: &'a Bump,
) -> Result<Vec<&'a str>, Failure> {
    // What is no id of the table's kind names nothing.
    let canonical: Vec<(&str, &str)> =
        ids.iter().filter_map(|id| Some((ty.layout.canonical_id(id, arena)?, *id))).collect();
    let argument = ty.layout.ids(arena, canonical.iter().map(|(id, _)| *id));
    let rows = ty.find_by_id()?.execute(&[argument], Access::Read)?;
    let found: HashSet<&str> = ty.layout.ids_in(&rows, arena)?;
    Ok(canonical.into_iter().filter(|(id, _)| found.contains(id)).map(|(_, id)| id).collect())
}
