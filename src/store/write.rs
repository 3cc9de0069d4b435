//! The statements that carry a decision out, one a table and key set.
//!
//! Order keeps sessions from waiting for each other in a circle: tables by their foreign keys and
//! numbers, in a table first the rows that are there, then each key set, keys in byte order.
//! Rows are always proposed with fresh ids: a proposed id that exists already would be a
//! primary-key error instead of a conflict. Tried with eight sessions on few keys.

use std::collections::BTreeMap;

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::jsonb::{Object, Tree, Value, encode};
use erp_engine::merge::{has_operations, links_uniquely, merge};
use hashbrown::{HashMap, HashSet};
use pgrx::pg_sys::Datum;
use uuid::Uuid;

use super::Key;
use super::apply::Stop;
use super::changes::Unlinked;
use super::direct::Direct;
use super::entity::Entity;
use super::entity_type::EntityType;
use super::guard::Way;
use super::layout::uuid;
use super::registered::{Ids, Registered, assign_ids};
use super::resolve::{Row, find_by_id, find_by_key};
use super::statements::{Count, Find};
use super::working_set::WorkingSet;
use crate::error::Failure;
use crate::pg::array;
use crate::pg::spi::{Access, Rows};

/// What became of the entities that were written.
#[derive(Default)]
pub struct Written<'a> {
    /// Of entities whose row has another id than was expected: the id it has.
    pub ids: HashMap<usize, &'a str>,
    /// Entities that were created.
    pub created: HashSet<usize>,
    /// Entities that were to stay as they were, and had been changed meanwhile.
    pub changed: HashSet<usize>,
    /// Entities that were there and stayed as they were: another session had made the change,
    /// or a trigger of the table kept it from being made.
    pub untouched: HashSet<usize>,
    /// Entities whose rows are as was decided, but for the ids that others got: no default and no
    /// trigger of the table had a say.
    pub as_decided: HashSet<usize>,
    /// Entities that lost items of their relations, where changes are told.
    pub unlinked: Vec<Unlinked<'a>>,
}

impl<'a> Written<'a> {
    /// The id of an entity that was written.
    pub fn id(&self, entities: &WorkingSet<'a>, index: usize) -> &'a str {
        self.ids.get(&index).copied().unwrap_or(entities.entities[index].id)
    }
}

/// Writes what has changed, and deletes softly. `now` is a timestamptz.
pub fn write<'a>(
    entities: &WorkingSet<'a>,
    now: Datum,
    arena: &'a Bump,
) -> Result<Written<'a>, Stop> {
    let mut written = Written::default();
    assign_ids(entities, &mut written, Ids::Made, arena)?;
    for ty in order(entities) {
        let table = Table::new(entities, ty, now, arena);
        let (mut by_id, mut unchanged, mut new) = (Vec::new(), Vec::new(), Vec::new());
        let mut by_set: Vec<Vec<Keyed<'a>>> =
            table.ty.key_sets.iter().map(|_| Vec::new()).collect();
        let of_table = |entity: &Entity<'_>| entity.ty == ty && entity.write;
        for (index, entity) in entities.entities.iter().enumerate().filter(|(_, e)| of_table(e)) {
            match entities.way(entity) {
                Way::ByKey(set, key) => by_set[set].push(Keyed { index, key }),
                Way::Insert => new.push(index),
                Way::ById if entity.is_changed => by_id.push(index),
                Way::ById => unchanged.push(index),
            }
        }
        if !table.ty.layout.is_managed {
            let registered = Registered { entities, ty: table.ty, now, arena };
            let (after, before) = by_id.into_iter().partition(|index| registered.needs_new(*index));
            registered.update(before, &mut written)?;
            registered.insert(new, &mut written)?;
            registered.update(after, &mut written)?;
            table.delete(&mut written)?;
            continue;
        }
        let is_any = [&by_id, &unchanged, &new].iter().any(|rows| !rows.is_empty())
            || by_set.iter().any(|rows| !rows.is_empty());
        if is_any {
            let (first, then): (Vec<usize>, Vec<usize>) = by_id
                .into_iter()
                .partition(|index| entities.gives_up_key(&entities.entities[*index]));
            let mut kept = table.ty.writing.try_borrow_mut().ok();
            let mut direct = Direct::open(entities, table.ty, kept.as_mut(), now, arena)?;
            table.update(direct.update(first, &mut written)?, &mut written)?;
            table.update(direct.update(then, &mut written)?, &mut written)?;
            table.lock(direct.lock_unchanged(unchanged)?, &mut written)?;
            table.insert_new(direct.insert_new(new, &mut written)?, &mut written)?;
            for (set, rows) in by_set.into_iter().enumerate() {
                let left = direct.insert(set, rows, &mut written)?;
                table.insert(set, left, &mut written)?;
            }
            direct.close()?;
        }
        table.delete(&mut written)?;
    }
    relink(entities, &written, arena)?;
    Ok(written)
}

/// The types in the order in which every session writes them: what foreign keys refer to first.
pub fn order(entities: &WorkingSet<'_>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..entities.types.len()).collect();
    order.sort_by_key(|ty| {
        let ty = &entities.types[*ty];
        (ty.layout.rank, ty.table.to_u32())
    });
    order
}

/// One table and what is to become of its rows.
pub struct Table<'t, 'a> {
    pub(super) entities: &'t WorkingSet<'a>,
    pub(super) of: usize,
    pub(super) ty: &'t EntityType,
    pub(super) now: Datum,
    pub(super) arena: &'a Bump,
}

/// An entity that is written under a key.
pub(super) struct Keyed<'a> {
    pub(super) index: usize,
    pub(super) key: Key<'a>,
}

impl<'t, 'a> Table<'t, 'a> {
    pub fn new(
        entities: &'t WorkingSet<'a>,
        of: usize,
        now: Datum,
        arena: &'a Bump,
    ) -> Table<'t, 'a> {
        Table { entities, of, ty: &entities.types[of], now, arena }
    }

    /// Updates rows that are there, those with a key to be looked for again by key set.
    fn update(&self, rows: Vec<usize>, written: &mut Written<'a>) -> Result<(), Stop> {
        let mut by_set: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
        for index in rows {
            let found_by = self.entities.found_by(&self.entities.entities[index]);
            by_set.entry(found_by.map(|(set, _)| set)).or_default().push(index);
        }
        by_set.into_iter().try_for_each(|(set, rows)| self.update_by_id(set, rows, written))
    }

    fn update_by_id(
        &self,
        set: Option<usize>,
        mut rows: Vec<usize>,
        written: &mut Written<'a>,
    ) -> Result<(), Stop> {
        let entity = |index: &usize| &self.entities.entities[*index];
        rows.sort_by_key(|index| entity(index).id);
        let patches = self.patches(&rows)?;
        let count = Count::of(rows.len());
        let mut arguments = vec![
            array::of_uuid(self.arena, rows.iter().map(|index| uuid(entity(index).id))),
            patches,
            array::of_bool(self.arena, rows.iter().map(|index| entity(index).completes_stub())),
            self.now,
            array::of_bool(self.arena, rows.iter().map(|index| entity(index).is_upserted)),
        ];
        let keys: Vec<Key<'a>> = rows
            .iter()
            .filter_map(|index| self.entities.found_by(entity(index)).map(|(_, key)| key))
            .collect();
        let statement = match set {
            Some(set) => {
                let columns = 0..self.ty.key_sets[set].attributes.len();
                arguments.extend(columns.map(|column| {
                    array::of_text(self.arena, keys.iter().map(move |key| key[column]))
                }));
                self.ty.update_by_key(set, count)?
            }
            None => self.ty.update_by_id(count)?,
        };
        let found = statement.execute(&arguments, Access::Write)?;
        if found.len() == rows.len() {
            return Ok(());
        }
        let updated: HashSet<Uuid> = found.iter().filter_map(|row| row.uuid(1)).collect();
        rows.retain(|index| !updated.contains(&uuid(entity(index).id)));
        let there = self.still_there(set, &rows)?;
        for index in rows {
            // A row is gone or has another key, or a stub was completed by somebody else: decide
            // anew.
            if entity(&index).completes_stub() || !there.contains(entity(&index).id) {
                return Err(Stop::Restart);
            }
            written.untouched.insert(index);
        }
        Ok(())
    }

    /// Locks rows that stay as they are, so that what another session makes of them comes before
    /// or after the whole event. `INSERT … ON CONFLICT` would make a whole row of each to do so,
    /// generated columns included.
    fn lock(&self, mut rows: Vec<usize>, written: &mut Written<'a>) -> Result<(), Stop> {
        if rows.is_empty() {
            return Ok(());
        }
        let entity = |index: &usize| &self.entities.entities[*index];
        rows.sort_by_key(|index| entity(index).id);
        let ids = array::of_uuid(self.arena, rows.iter().map(|index| uuid(entity(index).id)));
        let arguments = [ids, self.patches(&rows)?];
        let locked =
            self.ty.lock_unchanged(Count::of(rows.len()))?.execute(&arguments, Access::Write)?;
        if locked.len() == rows.len() {
            return Ok(());
        }
        let locked: HashSet<Uuid> = locked.iter().filter_map(|row| row.uuid(1)).collect();
        rows.retain(|index| !locked.contains(&uuid(entity(index).id)));
        let keys: Vec<Key<'a>> =
            rows.iter().map(|index| &*self.arena.alloc_slice_copy(&[entity(index).id])).collect();
        let there = find_by_id(self.ty, &keys, Access::Write, self.arena)?;
        let row = |index: &usize| there.iter().find(|row| row.id == entity(index).id);
        // The role may not be allowed to change the row, which it does not.
        rows.retain(|index| {
            let seen = entity(index).row_attributes.map(Value::Object);
            !row(index).is_some_and(|row| row.is_entity(seen))
        });
        if !rows.iter().all(|index| row(index).is_some_and(Row::is_live)) {
            return Err(Stop::Restart);
        }
        // Another session has changed it, or a trigger that this very call has run: it would run
        // again after each restart.
        written.changed.extend(&rows);
        self.update(rows, written)
    }

    /// The patches of rows that are there, as a `jsonb[]`.
    fn patches(&self, rows: &[usize]) -> Result<Datum, Failure> {
        let patches = rows.iter().map(|index| match self.entities.entities[*index].patches[..] {
            [only] => Ok(only.bytes()),
            ref several => {
                let list = several.iter().map(|patch| Tree::Value(Value::Object(*patch)));
                Ok(&*self.arena.alloc_slice_copy(&encode(&Tree::Array(list.collect()))?))
            }
        });
        let patches = patches.collect::<Result<Vec<&[u8]>, Failure>>()?;
        Ok(array::of_jsonb(self.arena, patches.iter().copied()))
    }

    /// The ids of those entities that are there, with the keys by which they were found.
    fn still_there(&self, set: Option<usize>, rows: &[usize]) -> Result<HashSet<&'a str>, Failure> {
        let entity = |index: &usize| &self.entities.entities[*index];
        if let Some(set) = set {
            let keys = rows.iter().filter_map(|index| self.entities.found_by(entity(index)));
            let keys: Vec<Key<'a>> = keys.map(|(_, key)| key).collect();
            let find = Find::Entities;
            let found = find_by_key(self.ty, set, find, &keys, Access::Write, self.arena)?;
            return Ok(found.into_iter().map(|row| row.id).collect());
        }
        let asked = array::of_uuid(self.arena, rows.iter().map(|index| uuid(entity(index).id)));
        let rows = self.ty.find_by_id()?.execute(&[asked], Access::Write)?;
        Ok(self.ty.layout.ids_in(&rows, self.arena)?)
    }

    /// Creates entities that no other session can be creating too.
    fn insert_new(&self, mut rows: Vec<usize>, written: &mut Written<'a>) -> Result<(), Stop> {
        if rows.is_empty() {
            return Ok(());
        }
        let entity = |index: &usize| &self.entities.entities[*index];
        rows.sort_by_key(|index| entity(index).id);
        let attributes: Vec<std::borrow::Cow<'a, [u8]>> =
            rows.iter().map(|index| as_new(entity(index))).collect::<Result<_, _>>()?;
        let arguments = [
            array::of_uuid(self.arena, rows.iter().map(|index| uuid(entity(index).id))),
            array::of_jsonb(self.arena, attributes.iter().map(|bytes| &**bytes)),
            array::of_bool(self.arena, rows.iter().map(|index| entity(index).stub)),
            self.now,
        ];
        let returned =
            self.ty.insert_new(Count::of(rows.len()))?.execute(&arguments, Access::Write)?;
        if returned.len() < rows.len() {
            return Err(not_written(self.ty).into());
        }
        written.created.extend(rows);
        Ok(())
    }

    fn insert(
        &self,
        set: usize,
        mut rows: Vec<Keyed<'a>>,
        written: &mut Written<'a>,
    ) -> Result<(), Stop> {
        if rows.is_empty() {
            return Ok(());
        }
        rows.sort_by_key(|row| row.key);
        let entity = |row: &Keyed<'a>| &self.entities.entities[row.index];
        let ids: Vec<Uuid> = rows.iter().map(|row| uuid(entity(row).id)).collect();
        let attributes: Vec<std::borrow::Cow<'a, [u8]>> =
            rows.iter().map(|row| as_new(entity(row))).collect::<Result<_, _>>()?;
        let mut arguments = vec![
            array::of_uuid(self.arena, ids.iter().copied()),
            array::of_jsonb(self.arena, attributes.iter().map(|bytes| &**bytes)),
            array::of_bool(self.arena, rows.iter().map(|row| entity(row).stub)),
            self.now,
        ];
        if self.ty.key_sets[set].is_unique {
            arguments.push(self.operations(&rows, &ids)?);
        }
        let returned =
            self.ty.insert(set, Count::of(rows.len()))?.execute(&arguments, Access::Write)?;
        let mut actual = self.ids_by_key(set, &returned)?;
        let unseen: HashSet<Key<'a>> =
            rows.iter().filter(|row| !actual.contains_key(row.key)).map(|row| row.key).collect();
        let is_unseen = |row: &&Keyed<'a>| unseen.contains(&row.key);
        written.untouched.extend(rows.iter().filter(is_unseen).map(|row| row.index));
        self.look_up(set, &unseen, &mut actual)?;
        for (row, proposed) in rows.iter().zip(ids) {
            let Some(id) = actual.get(row.key) else { continue };
            if *id != entity(row).id {
                // Its lists are not what the items were added to.
                if entity(row).has_items {
                    return Err(Stop::Restart);
                }
                written.ids.insert(row.index, id);
            }
            if uuid(id) == proposed {
                written.created.insert(row.index);
            }
        }
        Ok(())
    }

    /// The patches that hold operations, by the id their row is proposed with.
    fn operations(&self, rows: &[Keyed<'a>], ids: &[Uuid]) -> Result<Datum, Failure> {
        let mut members = Vec::new();
        for (row, id) in rows.iter().zip(ids) {
            let entity = &self.entities.entities[row.index];
            let is_plain =
                |patches: &[Object<'_>]| matches!(patches, [only] if !has_operations(*only));
            if !is_plain(&entity.patches) {
                let list = entity.patches.iter().map(|patch| Tree::Value(Value::Object(*patch)));
                let id = &*self.arena.alloc_str(&id.to_string());
                members.push((id, Tree::Array(list.collect())));
            }
        }
        Ok(crate::jsonb::datum(&encode(&Tree::Object(members))?)?)
    }

    fn ids_by_key(&self, set: usize, rows: &Rows) -> Result<HashMap<Key<'a>, &'a str>, Failure> {
        let columns = self.ty.key_sets[set].attributes.len() as i32;
        let mut ids = HashMap::with_capacity(rows.len());
        for row in rows.iter() {
            let id = row.uuid(1).map(|id| &*self.arena.alloc_str(&id.to_string()));
            let key = (2..columns + 2)
                .map(|column| Ok(row.text(column, self.arena)?.unwrap_or_default()))
                .collect::<Result<Vec<&'a str>, Failure>>()?;
            if let Some(id) = id {
                ids.insert(&*self.arena.alloc_slice_copy(&key), id);
            }
        }
        Ok(ids)
    }

    /// Rows that another session created first, and that needed no change.
    fn look_up(
        &self,
        set: usize,
        keys: &HashSet<Key<'a>>,
        ids: &mut HashMap<Key<'a>, &'a str>,
    ) -> Result<(), Stop> {
        if keys.is_empty() {
            return Ok(());
        }
        let wanted: Vec<Key<'a>> = keys.iter().copied().collect();
        let find = if self.ty.key_sets[set].is_unique { Find::Entities } else { Find::Stubs };
        for row in find_by_key(self.ty, set, find, &wanted, Access::Write, self.arena)? {
            ids.insert(row.key, row.id);
        }
        if keys.iter().any(|key| !ids.contains_key(key)) {
            return Err(not_written(self.ty).into());
        }
        Ok(())
    }
}

/// The error of an entity that was to be created and is not there.
pub fn not_written(ty: &EntityType) -> Error {
    let message = format!(
        "an entity of \"{}\" exists that this role cannot see, or a trigger of its table \
         kept it from being written",
        ty.slug
    );
    Error::new(Code::EntityReferenceNotFound, message)
        .hint("Look at the table's row-level security policies and triggers.")
}

/// What a row has when it is created: the patches applied to nothing.
pub fn as_new<'a>(entity: &Entity<'a>) -> Result<std::borrow::Cow<'a, [u8]>, Failure> {
    if let [only] = entity.patches[..]
        && !has_operations(only)
    {
        return Ok(only.bytes().into());
    }
    merged(&entity.patches).map(Into::into)
}

/// The patches applied to nothing.
pub fn merged(patches: &[Object<'_>]) -> Result<Vec<u8>, Failure> {
    let mut bytes = encode(&Tree::Object(Vec::new()))?;
    for patch in patches {
        let current = Value::from_datum(&bytes).as_object();
        let next = merge(current, *patch)?.map(|merged| encode(&merged)).transpose()?;
        bytes = next.unwrap_or(bytes);
    }
    Ok(bytes)
}

/// Mends the rows of this call that link to entities whose id is another than expected. Whether a
/// link was there already could not be told by the id that was expected.
fn relink<'a>(
    entities: &WorkingSet<'a>,
    written: &Written<'a>,
    arena: &'a Bump,
) -> Result<(), Stop> {
    if written.ids.is_empty() {
        return Ok(());
    }
    let id_of = |index: usize| written.id(entities, index);
    let map =
        written.ids.iter().map(|(index, id)| (entities.entities[*index].id, Value::String(id)));
    let map = encode(&erp_engine::map::members(&map.collect::<Vec<_>>())).map_err(Failure::from)?;
    let map = crate::jsonb::datum(&map)?;
    // Registered tables are written with the ids that are known then.
    for (ty, bound) in entities.types.iter().enumerate().filter(|(_, ty)| ty.layout.is_managed) {
        let links_to_moved = |entity: &Entity<'_>| {
            entity.links.iter().any(|target| written.ids.contains_key(target))
        };
        let linking: Vec<usize> = (0..entities.entities.len())
            .filter(|index| {
                let entity = &entities.entities[*index];
                entity.ty == ty && entity.write && links_to_moved(entity)
            })
            .collect();
        let mut patches = linking.iter().flat_map(|index| &entities.entities[*index].patches);
        if patches.any(|patch| links_uniquely(*patch)) {
            return Err(Stop::Restart);
        }
        let mut rows: Vec<&str> = linking.into_iter().map(id_of).collect();
        if !rows.is_empty() {
            rows.sort_unstable();
            let ids = bound.layout.ids(arena, rows.iter().copied());
            bound.relink()?.execute(&[ids, map], Access::Write)?;
        }
    }
    Ok(())
}
