//! The statements that write registered tables: columns in their own types, rows by their ids.
//!
//! Rows that are there are locked, in the order of their ids, and the patches evaluated on what
//! they hold then. Locks on their keys keep other calls from creating the same entities, so new
//! rows are simply inserted; what other SQL inserted first is a unique violation, and the call is
//! tried again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::identifier::key;
use erp_engine::jsonb::{Object, Tree, Value, encode};
use erp_engine::merge::{merge, relation_items, relink};
use hashbrown::{HashMap, HashSet};
use pgrx::pg_sys::Datum;

use super::apply::Stop;
use super::entity::Entity;
use super::entity_type::EntityType;
use super::layout::{IdSource, Kind};
use super::statements::{Count, Shape};
use super::working_set::WorkingSet;
use super::write::{Written, merged, not_written};
use crate::error::Failure;
use crate::pg::spi::Access;
use crate::pg::{array, default};

/// A registered table and what is to become of its rows.
pub struct Registered<'t, 'a> {
    pub entities: &'t WorkingSet<'a>,
    pub ty: &'t EntityType,
    pub now: Datum,
    pub arena: &'a Bump,
}

/// A row to be written: what its columns get, and which they are.
struct Row<'a> {
    index: usize,
    id: &'a str,
    shape: Shape,
    columns: Vec<u8>,
}

impl<'a> Registered<'_, 'a> {
    fn entity(&self, index: usize) -> &Entity<'a> {
        &self.entities.entities[index]
    }

    /// Whether a foreign key of the row is to lead to a row of the same table that is new.
    pub fn needs_new(&self, index: usize) -> bool {
        self.has_self_reference() && self.new_above(index).next().is_some()
    }

    /// Updates the entities that are there.
    pub fn update(&self, rows: Vec<usize>, written: &mut Written<'a>) -> Result<(), Stop> {
        if rows.is_empty() {
            return Ok(());
        }
        let locked = self.lock(&rows)?;
        let mut changed = Vec::new();
        for index in rows {
            let Some((current, is_stub)) = locked.get(self.entity(index).id) else {
                self.check_lost(index)?;
                written.untouched.insert(index);
                continue;
            };
            let entity = self.entity(index);
            if entity.completes_stub() && !is_stub || !self.has_key(entity, *current) {
                return Err(Stop::Restart);
            }
            let patched = self.patched(index, current, written)?;
            let mut row = self.row(index, self.entity(index).id, patched, Some(*current))?;
            row.shape.revives = entity.is_upserted && (entity.was_stub || entity.was_deleted);
            if row.shape.is_empty() {
                written.untouched.insert(index);
            } else {
                changed.push(row);
            }
        }
        for (shape, rows) in by_shape(changed) {
            let arguments = [self.ids(&rows), self.columns(&rows), self.now];
            let count = Count::of(rows.len());
            let updated =
                self.ty.update_columns(&shape, count)?.execute(&arguments, Access::Write)?;
            if updated.len() < rows.len() {
                let updated: HashSet<&str> = self.ty.layout.ids_in(&updated, self.arena)?;
                let kept = rows.iter().filter(|row| !updated.contains(row.id));
                written.untouched.extend(kept.map(|row| row.index));
            }
        }
        Ok(())
    }

    /// The attributes of the rows as they are now, by id.
    fn lock(&self, rows: &[usize]) -> Result<HashMap<&'a str, (Object<'a>, bool)>, Failure> {
        let ids: Vec<&str> = rows.iter().map(|index| self.entity(*index).id).collect();
        let argument = self.ty.layout.ids(self.arena, ids.iter().copied());
        let found = self.ty.lock_by_id()?.execute(&[argument], Access::Write)?;
        let mut locked = HashMap::with_capacity(found.len());
        for row in found.iter() {
            let id = self.ty.layout.id(&row, 1, self.arena)?;
            let attributes = row.jsonb(2, self.arena)?.and_then(Value::as_object);
            let attributes = attributes.ok_or_else(|| self.no_object())?;
            if let Some(id) = id {
                locked.insert(id, (attributes, row.bool(3)));
            }
        }
        Ok(locked)
    }

    /// The error of a row whose other attributes are no object: nothing can be merged into it.
    fn no_object(&self) -> Error {
        let column = self.ty.layout.attributes.as_deref().unwrap_or_default();
        let message = format!(
            "{}: the attributes_column {column} of an entity holds something that is no object",
            self.ty.slug
        );
        Error::new(Code::AttributeTypeMismatch, message)
            .hint("Make it an object, or NULL, in every row.")
    }

    /// Whether the entity still has the key by which it was found.
    fn has_key(&self, entity: &Entity<'a>, current: Object<'a>) -> bool {
        let Some((set, known)) = self.entities.found_by(entity) else { return true };
        let mut parts = self.ty.key_sets[set].attributes.iter().zip(known);
        parts.all(|(name, part)| current.get(name).and_then(key).as_deref() == Some(part))
    }

    /// A row could not be locked: it is gone, or a policy keeps this role from changing it.
    fn check_lost(&self, index: usize) -> Result<(), Stop> {
        let argument = self.ty.layout.ids(self.arena, [self.entity(index).id].into_iter());
        let rows = self.ty.find_by_id()?.execute(&[argument], Access::Write)?;
        if rows.len() == 0 || self.entity(index).completes_stub() {
            return Err(Stop::Restart);
        }
        Ok(())
    }

    fn patched(
        &self,
        index: usize,
        current: &Object<'a>,
        written: &Written<'a>,
    ) -> Result<Object<'a>, Failure> {
        let mut attributes = *current;
        for patch in self.entity(index).patches.iter() {
            let patch = self.with_final_ids(index, *patch, written)?;
            if let Some(merged) = merge(Some(attributes), patch)? {
                attributes = self.keep(&merged)?;
            }
        }
        Ok(attributes)
    }

    fn keep(&self, tree: &Tree<'_>) -> Result<Object<'a>, Failure> {
        let bytes = self.arena.alloc_slice_copy(&encode(tree)?);
        Ok(Value::from_datum(bytes).as_object().expect("attributes are encoded as an object"))
    }

    /// A patch that names the entities it links to by the ids they got.
    fn with_final_ids(
        &self,
        index: usize,
        patch: Object<'a>,
        written: &Written<'a>,
    ) -> Result<Object<'a>, Failure> {
        let moved: Vec<(&str, Value<'_>)> = self
            .entity(index)
            .links
            .iter()
            .filter_map(|to| Some((self.entity(*to).id, Value::String(written.ids.get(to)?))))
            .collect();
        if moved.is_empty() {
            return Ok(patch);
        }
        let ids = self.keep(&erp_engine::map::members(&moved))?;
        self.keep(&relink(patch, ids))
    }

    /// Creates the entities that are new.
    pub fn insert(&self, rows: Vec<usize>, written: &mut Written<'a>) -> Result<(), Stop> {
        let mut new = Vec::with_capacity(rows.len());
        for index in rows {
            let patches = self.entity(index).patches.clone();
            let patches = patches
                .into_iter()
                .map(|patch| self.with_final_ids(index, patch, written))
                .collect::<Result<Vec<_>, Failure>>()?;
            let attributes = self.arena.alloc_slice_copy(&merged(&patches)?);
            let attributes = Value::from_datum(attributes).as_object().unwrap_or_else(|| {
                unreachable!("patches merge to an object");
            });
            let id = written.id(self.entities, index);
            new.push(self.row(index, id, attributes, None)?);
        }
        // A row may refer to another of its table, which a statement before has to have made.
        let refers =
            |row: &Row<'_>| row.shape.columns.iter().any(|column| self.is_reference(*column));
        let shapes: BTreeSet<&Shape> =
            new.iter().filter(|row| refers(row)).map(|row| &row.shape).collect();
        // One statement may even close a circle.
        let generations = if shapes.len() > 1 { self.generations(&new) } else { HashMap::new() };
        let mut by_generation: BTreeMap<usize, Vec<Row<'a>>> = BTreeMap::new();
        for row in new {
            let generation = generations.get(&row.index).copied();
            let generation = generation.unwrap_or_else(|| usize::from(refers(&row)));
            by_generation.entry(generation).or_default().push(row);
        }
        for (shape, rows) in by_generation.into_values().flat_map(by_shape) {
            let stubs = rows.iter().map(|row| self.entity(row.index).stub);
            let stubs = array::of_bool(self.arena, stubs);
            let arguments = [self.ids(&rows), self.columns(&rows), stubs, self.now];
            let statement = self.ty.insert_columns(&shape, Count::of(rows.len()))?;
            if statement.execute_counted(&arguments)? < rows.len() as u64 {
                return Err(not_written(self.ty).into());
            }
            written.created.extend(rows.iter().map(|row| row.index));
        }
        Ok(())
    }

    /// How many new rows of the same table stand above each; of a circle, one is taken to be first.
    fn generations(&self, rows: &[Row<'a>]) -> HashMap<usize, usize> {
        let mut known: HashMap<usize, usize> = HashMap::new();
        let mut begun: HashSet<usize> = HashSet::new();
        for row in rows {
            let mut path = if begun.insert(row.index) { vec![row.index] } else { continue };
            while let Some(index) = path.last().copied() {
                if let Some(above) = self.new_above(index).find(|above| begun.insert(*above)) {
                    path.push(above);
                    continue;
                }
                let highest = self.new_above(index).filter_map(|above| known.get(&above)).max();
                known.insert(index, highest.map_or(0, |highest| highest + 1));
                path.pop();
            }
        }
        known
    }

    /// The new entities of the same table that an entity links to.
    fn new_above(&self, index: usize) -> impl Iterator<Item = usize> {
        let is_above = move |to: &usize| {
            let to = self.entity(*to);
            to.is_new && to.ty == self.entity(index).ty
        };
        self.entity(index).links.iter().copied().filter(is_above)
    }

    fn has_self_reference(&self) -> bool {
        (0..self.ty.layout.columns.len()).any(|column| self.is_reference(column))
    }

    fn is_reference(&self, column: usize) -> bool {
        matches!(&self.ty.layout.columns[column].kind, Kind::Reference(to) if *to == self.ty.slug)
    }

    /// The columns that a row gets: of a new one those that have a value, of another those that
    /// change.
    fn row(
        &self,
        index: usize,
        id: &'a str,
        attributes: Object<'a>,
        current: Option<Object<'a>>,
    ) -> Result<Row<'a>, Failure> {
        let mut shape = Shape::default();
        let names: Vec<String> =
            (0..self.ty.layout.columns.len()).map(|n| format!("c{n}")).collect();
        let mut members: Vec<(&str, Tree<'a>)> = Vec::new();
        let mut rest = Vec::new();
        for (name, value) in attributes.iter() {
            let before = current.and_then(|current| current.get(name));
            let position =
                self.ty.layout.columns.iter().position(|column| column.attribute == name);
            let Some(position) = position else {
                shape.has_rest |= current.is_none() || before.is_none_or(|old| !old.same(value));
                rest.push((name, Tree::Value(value)));
                continue;
            };
            let column = &self.ty.layout.columns[position];
            if before.is_some_and(|before| before.same(value)) {
                continue;
            }
            if column.is_id && current.is_some() {
                let message = format!(
                    "{}.{name}: the primary key of an entity that is there cannot change",
                    self.ty.slug
                );
                return Err(Error::new(Code::AttributeTypeMismatch, message).into());
            }
            if column.is_id {
                continue;
            }
            shape.columns.push(position);
            let value = match &column.kind {
                Kind::Reference(_) => reference(value),
                _ => value,
            };
            members.push((self.arena.alloc_str(&names[position]), value.into()));
        }
        if shape.has_rest {
            members.push(("rest", Tree::Object(rest)));
        }
        shape.columns.sort_unstable();
        let columns = encode(&Tree::Object(members))?;
        Ok(Row { index, id, shape, columns })
    }

    fn ids(&self, rows: &[Row<'a>]) -> Datum {
        self.ty.layout.ids(self.arena, rows.iter().map(|row| row.id))
    }

    fn columns(&self, rows: &[Row<'a>]) -> Datum {
        array::of_jsonb(self.arena, rows.iter().map(|row| row.columns.as_slice()))
    }
}

/// The id that a foreign key gets of a relation to one entity.
fn reference(value: Value<'_>) -> Value<'_> {
    let items = relation_items(value).unwrap_or_default();
    let id = items.first().and_then(|item| item.as_object()?.get("entity_id"));
    id.unwrap_or(Value::Null)
}

/// Rows that get the same columns are written together.
fn by_shape<'a>(rows: Vec<Row<'a>>) -> BTreeMap<Shape, Vec<Row<'a>>> {
    let mut shapes: BTreeMap<Shape, Vec<Row<'a>>> = BTreeMap::new();
    for row in rows {
        shapes.entry(row.shape.clone()).or_default().push(row);
    }
    shapes
}

/// Which ids new entities get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// What the events give, and the tables' defaults.
    Made,
    /// What the events give: no default is evaluated.
    Given,
}

/// Finds the ids of new entities of registered tables: what the event gives, or the table's
/// default. They are known before anything is written, so that whatever links to them can.
pub fn assign_ids<'a>(
    entities: &WorkingSet<'a>,
    written: &mut Written<'a>,
    ids: Ids,
    arena: &'a Bump,
) -> Result<(), Stop> {
    for (of, ty) in entities.types.iter().enumerate() {
        if ty.layout.is_managed {
            continue;
        }
        let is_new = |entity: &Entity<'_>| entity.ty == of && entity.is_new && entity.write;
        let new = entities.entities.iter().enumerate().filter(|(_, entity)| is_new(entity));
        let (mut by_event, mut by_default) = (Vec::new(), Vec::new());
        for (index, entity) in new {
            let given = ty.layout.columns.iter().find(|column| column.is_id).and_then(|column| {
                let value = entity.attributes?.get(&column.attribute)?;
                key(value).map(Cow::into_owned)
            });
            match (given, &ty.layout.id_source) {
                (Some(id), _) => by_event.push((index, &*arena.alloc_str(&id))),
                (None, IdSource::Default(_)) => by_default.push(index),
                (None, IdSource::Uuid) => {}
                (None, IdSource::Attribute(attribute)) => {
                    let message = format!(
                        "{}: {attribute} is missing; it is the primary key and has no default",
                        ty.slug
                    );
                    return Err(Error::new(Code::MissingUniqueIdentifiers, message).into());
                }
            }
        }
        written.ids.extend(as_written(ty, by_event, arena)?);
        if let (IdSource::Default(column), Ids::Made) = (&ty.layout.id_source, ids)
            && !by_default.is_empty()
        {
            let ids = default::next(ty.table, *column, by_default.len(), arena)?;
            let made = by_default.into_iter().zip(ids);
            let made = made.map(|(index, id)| Ok((index, id.ok_or_else(|| no_id(ty))?)));
            let made = made.collect::<Result<Vec<_>, Failure>>()?;
            written.ids.extend(as_written(ty, made, arena)?);
        }
    }
    Ok(())
}

/// Ids that events give, as they will be read from the table.
fn as_written<'a>(
    ty: &EntityType,
    mut given: Vec<(usize, &'a str)>,
    arena: &'a Bump,
) -> Result<Vec<(usize, &'a str)>, Failure> {
    if ty.layout.ids_are_keys() || given.is_empty() {
        return Ok(given);
    }
    let keys = array::of_text(arena, given.iter().map(|(_, key)| *key));
    let rows = ty.id_texts()?.execute(&[keys], Access::Read)?;
    for ((_, id), row) in given.iter_mut().zip(rows.iter()) {
        *id = row.text(1, arena)?.unwrap_or(id);
    }
    Ok(given)
}

/// The error of a default that is null.
fn no_id(ty: &EntityType) -> Error {
    let message = format!("{}: the default of {} gives no id", ty.slug, ty.layout.id);
    Error::new(Code::MissingUniqueIdentifiers, message)
        .hint("Map the id, or give the column a default that is never null.")
}
