//! What the events of a chunk changed, as the tables have it: for the history.
//!
//! What was decided is not all that is stored: columns have defaults, triggers a say, and ids of
//! new rows come from sequences. So each entity is read once more after it was written, unless it
//! was written as it was decided.

use std::collections::BTreeMap;

use bumpalo::Bump;
use erp_engine::jsonb::{Object, Value};
use erp_engine::map::members;
use erp_engine::merge::relink;
use hashbrown::{HashMap, HashSet};

use super::Key;
use super::entity::{Change, Outcome, Version};
use super::entity_type::EntityType;
use super::resolve::find_by_id;
use super::working_set::WorkingSet;
use super::write::Written;
use crate::error::Failure;
use crate::pg::spi::Access;

/// An entity whose relations named what was purged.
pub struct Unlinked<'a> {
    pub slug: &'a str,
    pub id: &'a str,
    pub change: Change<'a>,
}

/// The outcomes of a chunk's events, or why they fail.
type Outcomes<'a> = [Result<Vec<Outcome<'a>>, Failure>];

/// Makes the changes that outcomes tell those that were written.
pub fn as_written<'a>(
    entities: &WorkingSet<'a>,
    outcomes: &mut Outcomes<'a>,
    written: &mut Written<'a>,
    arena: &'a Bump,
) -> Result<(), Failure> {
    with_final_ids(entities, outcomes, written)?;
    let mut given: HashMap<usize, Object<'a>> = HashMap::new();
    let mut last = last_changes(outcomes, written);
    let mut by_type: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in last.keys().filter(|index| !is_as_decided(entities, written, **index)) {
        by_type.entry(entities.entities[*index].ty).or_default().push(*index);
    }
    for (ty, indexes) in by_type {
        let ids: Vec<&'a str> = indexes.iter().map(|at| written.id(entities, *at)).collect();
        let now = versions(&entities.types[ty], &ids, arena)?;
        for (index, id) in indexes.into_iter().zip(ids) {
            // What a policy hides is as it was decided.
            if let (Some(change), Some(version)) = (last.get_mut(&index), now.get(id)) {
                if entities.entities[index].is_new {
                    let by_table = given_by_table(entities, change, version)?;
                    if by_table.iter().next().is_some() {
                        given.insert(index, by_table);
                    }
                }
                change.after = Some(*version);
            }
        }
    }
    let told: HashSet<(&str, &str)> = last
        .keys()
        .map(|at| (&*entities.types[entities.entities[*at].ty].slug, written.id(entities, *at)))
        .collect();
    drop(last);
    written.unlinked.retain(|unlinked| !told.contains(&(unlinked.slug, unlinked.id)));
    add_given(entities, outcomes, &given)
}

/// Whether the entity's row is what was decided.
fn is_as_decided(entities: &WorkingSet<'_>, written: &Written<'_>, index: usize) -> bool {
    let slug = &*entities.types[entities.entities[index].ty].slug;
    let of = (slug, written.id(entities, index));
    written.as_decided.contains(&index)
        && !written.unlinked.iter().any(|unlinked| (unlinked.slug, unlinked.id) == of)
}

/// The entities of a type with these ids, as they are now.
pub fn versions<'a>(
    ty: &EntityType,
    ids: &[&'a str],
    arena: &'a Bump,
) -> Result<HashMap<&'a str, Version<'a>>, Failure> {
    let keys: Vec<Key<'a>> = ids.iter().map(|id| &*arena.alloc_slice_copy(&[*id])).collect();
    let rows = find_by_id(ty, &keys, Access::Write, arena)?;
    Ok(rows.iter().filter_map(|row| Some((row.id, row.version()?))).collect())
}

/// The last change of each entity that is there after it.
fn last_changes<'o, 'a>(
    outcomes: &'o mut Outcomes<'a>,
    written: &Written<'a>,
) -> HashMap<usize, &'o mut Change<'a>> {
    let mut last = HashMap::new();
    for row in outcomes.iter_mut().flatten().flatten() {
        let is_written = !written.untouched.contains(&row.entity);
        if let Some(change) = row.change.as_mut().filter(|_| is_written) {
            last.insert(row.entity, change);
        }
    }
    last.retain(|_, change| change.after.is_some());
    last
}

/// The attributes that a new row has without an event's saying: its id, columns that are null or
/// have a default.
fn given_by_table<'a>(
    entities: &WorkingSet<'a>,
    change: &Change<'a>,
    now: &Version<'a>,
) -> Result<Object<'a>, Failure> {
    let said = |name: &str| change.after.is_some_and(|after| after.attributes.get(name).is_some());
    let given = now.attributes.iter().filter(|(name, _)| !said(name));
    Ok(entities.keep(&members(&given.collect::<Vec<_>>()))?)
}

/// It has had them from the first of its changes on.
fn add_given<'a>(
    entities: &WorkingSet<'a>,
    outcomes: &mut Outcomes<'a>,
    given: &HashMap<usize, Object<'a>>,
) -> Result<(), Failure> {
    for row in outcomes.iter_mut().flatten().flatten() {
        let Some(given) = given.get(&row.entity) else { continue };
        let versions = row.change.iter_mut().flat_map(|it| [&mut it.before, &mut it.after]);
        for version in versions.flatten() {
            let said = version.attributes;
            let given = given.iter().filter(|(name, _)| said.get(name).is_none());
            let all: Vec<_> = said.iter().chain(given).collect();
            version.attributes = entities.keep(&members(&all))?;
        }
    }
    Ok(())
}

/// Relations name the entities by the ids they got.
fn with_final_ids<'a>(
    entities: &WorkingSet<'a>,
    outcomes: &mut Outcomes<'a>,
    written: &Written<'a>,
) -> Result<(), Failure> {
    if written.ids.is_empty() {
        return Ok(());
    }
    let ids = written.ids.iter().map(|(at, id)| (entities.entities[*at].id, Value::String(id)));
    let ids = entities.keep(&members(&ids.collect::<Vec<_>>()))?;
    for change in outcomes.iter_mut().flatten().flatten().filter_map(|row| row.change.as_mut()) {
        for version in [&mut change.before, &mut change.after].into_iter().flatten() {
            version.attributes = entities.keep(&relink(version.attributes, ids))?;
        }
    }
    Ok(())
}
