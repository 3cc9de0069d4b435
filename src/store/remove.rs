//! What goes when an event has been written: the entities it purges, with the items of relations
//! that name them, and those in the scope of a prune that it did not upsert.

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::jsonb::{Object, Tree, Value, encode};
use erp_engine::mapping::Mode;
use erp_engine::merge::{relation_items, relation_ref_items};
use hashbrown::{HashMap, HashSet};
use pgrx::pg_sys::Datum;

use super::Key;
use super::apply::Stop;
use super::changes::{Unlinked, versions};
use super::entity::{Action, Change, Outcome, Removal, State, Version};
use super::entity_type::{EntityType, slugs};
use super::layout::IdKind;
use super::request::{PruneRequest, Request, ScopeRequest};
use super::resolve::find_by_id;
use super::working_set::WorkingSet;
use super::write::{Table, Written, order};
use crate::error::Failure;
use crate::pg::array;
use crate::pg::spi::{Access, in_latest_snapshot, keeps_one_snapshot};

/// An entity in the scope of a prune.
pub struct InScope<'a> {
    pub ty: usize,
    pub id: &'a str,
    pub removal: Removal,
    attributes: Option<Value<'a>>,
    state: State,
    /// The attributes that identify it for the entry.
    unique_ids: &'a [String],
}

/// How the entities of a scope are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// To be removed: locked.
    Lock,
    /// Whether there are any to be removed.
    See,
    /// To be shown.
    Read,
}

/// Removes what one event removes. `most` is the number of entities that it may remove at most.
pub fn remove<'a>(
    request: &Request<'a>,
    entities: &mut WorkingSet<'a>,
    outcomes: &mut Vec<Outcome<'a>>,
    written: &mut Written<'a>,
    most: Option<usize>,
    now: Datum,
    arena: &'a Bump,
) -> Result<(), Stop> {
    let purges = request.updates.iter().any(|update| update.mode() == Mode::Purge);
    if request.prunes.is_empty() && !purges {
        return Ok(());
    }
    let pruned = all_in_scope(request, entities, outcomes, written, arena)?;
    let explicit = outcomes.iter().filter(|outcome| outcome.action == Action::Purged).count();
    check_number(explicit + pruned.len(), most)?;
    let mut purged: Vec<(usize, Vec<&'a str>)> = Vec::new();
    let mut removed: HashSet<(usize, &'a str)> = HashSet::new();
    // Those that refer to others go before them.
    for ty in order(entities).into_iter().rev() {
        let mut gone = Table::new(entities, ty, now, arena).purge(written)?;
        let ids = |removal| {
            let of_kind = |entity: &&InScope<'_>| (entity.ty, entity.removal) == (ty, removal);
            pruned.iter().filter(of_kind).map(|entity| entity.id).collect::<Vec<&'a str>>()
        };
        let deleted = delete_by_id(&entities.types[ty], &ids(Removal::Delete), now, arena)?;
        removed.extend(deleted.into_iter().map(|id| (ty, id)));
        gone.extend(purge_by_id(&entities.types[ty], &ids(Removal::Purge), arena)?);
        removed.extend(gone.iter().map(|id| (ty, *id)));
        purged.push((ty, gone));
    }
    for (ty, ids) in purged {
        let told = entities.tells_changes.then_some(&mut written.unlinked);
        unlink(&entities.types[ty], &ids, now, told, arena)?;
    }
    for entity in pruned {
        let is_removed = removed.contains(&(entity.ty, entity.id));
        let outcome = entity.outcome(entities);
        // A trigger or a policy of the table kept it.
        if !is_removed {
            written.untouched.insert(outcome.entity);
        }
        outcomes.push(outcome);
    }
    Ok(())
}

/// Error: `PRUNE_LIMIT_EXCEEDED`.
pub fn check_number(number: usize, most: Option<usize>) -> Result<(), Error> {
    match most {
        Some(most) if number > most => {
            let message =
                format!("entities that the event would remove: {number}, allowed: {most}");
            Err(Error::new(Code::PruneLimitExceeded, message).hint(format!(
                "See which they are with erp_simulate. If they are to go: SET \
                 erp_toolkit.max_prune = {number};"
            )))
        }
        _ => Ok(()),
    }
}

/// The entities that the event's prunes remove, locked. Who had to wait for one of them looks again:
/// what another session brought together with a change of it is visible only then.
fn all_in_scope<'a>(
    request: &Request<'a>,
    entities: &WorkingSet<'a>,
    outcomes: &[Outcome<'a>],
    written: &Written<'a>,
    arena: &'a Bump,
) -> Result<Vec<InScope<'a>>, Failure> {
    let look = |look| in_scope(request, entities, outcomes, written, look, arena);
    if keeps_one_snapshot() {
        return look(Look::Lock);
    }
    let mut locked = Vec::new();
    while look(Look::See)?.len() != locked.len() {
        locked = look(Look::Lock)?;
    }
    Ok(locked)
}

/// The entities that the event's prunes remove.
pub fn in_scope<'a>(
    request: &Request<'a>,
    entities: &WorkingSet<'a>,
    outcomes: &[Outcome<'a>],
    written: &Written<'a>,
    look: Look,
    arena: &'a Bump,
) -> Result<Vec<InScope<'a>>, Failure> {
    // A stub that another session created first is only linked to; one may go by name.
    let is_own = |outcome: &&Outcome<'_>| {
        let entity = &entities.entities[outcome.entity];
        !entity.stub || entity.removal.is_some() || written.created.contains(&outcome.entity)
    };
    let mut found: Vec<InScope<'a>> = Vec::new();
    for prune in &request.prunes {
        let of_type = |outcome: &&Outcome<'_>| entities.entities[outcome.entity].ty == prune.ty;
        let mut known: HashSet<&str> = outcomes
            .iter()
            .filter(of_type)
            .filter(is_own)
            .map(|outcome| written.id(entities, outcome.entity))
            .collect();
        known.extend(found.iter().filter(|other| other.ty == prune.ty).map(|other| other.id));
        found.extend(one_scope(prune, entities, written, &known, look, arena)?);
    }
    Ok(found)
}

fn one_scope<'a>(
    prune: &PruneRequest<'a>,
    entities: &WorkingSet<'a>,
    written: &Written<'a>,
    known: &HashSet<&str>,
    look: Look,
    arena: &'a Bump,
) -> Result<Vec<InScope<'a>>, Failure> {
    let ty = &entities.types[prune.ty];
    let removal = match prune.entity.mode {
        Mode::UpsertPruneScopePurge => Removal::Purge,
        _ => Removal::Delete,
    };
    let (only_live, lock) = (removal == Removal::Delete, look == Look::Lock);
    // Ids of different types may be the same.
    let mut link: Option<(&str, &str, Vec<&str>)> = None;
    let rows = match prune.scope {
        ScopeRequest::Matching { set, key } => {
            // What is not written yet has no id to be excepted.
            let known: Vec<&str> =
                known.iter().filter_map(|id| ty.layout.canonical_id(id, arena)).collect();
            let mut arguments = vec![ty.layout.ids(arena, known.iter().copied())];
            for text in key {
                arguments.push(crate::jsonb::datum(text.as_bytes())?);
            }
            ty.scope_by_key(set, only_live, lock)?.execute(&arguments, access(look))?
        }
        ScopeRequest::Related { anchor } => {
            let Some(anchor) = entities.find(anchor)? else { return Ok(Vec::new()) };
            // What is not written yet has no id that others could name.
            if look == Look::Read && entities.entities[anchor].is_new {
                return Ok(Vec::new());
            }
            let slug = &entities.types[entities.entities[anchor].ty].slug;
            let anchor_id = written.id(entities, anchor);
            let listed = listed(anchor_before(entities, anchor, look, arena)?, ty, arena);
            let mut candidates = linking(ty, Some(slug), &[anchor_id], access(look), arena)?;
            candidates.extend(&listed);
            candidates.retain(|id| !known.contains(id));
            if candidates.is_empty() {
                return Ok(Vec::new());
            }
            let arguments = [
                ty.layout.ids(arena, candidates.iter().copied()),
                ty.layout.ids(arena, listed.iter().copied()),
                crate::jsonb::datum(anchor_id.as_bytes())?,
            ];
            let rows =
                ty.scope_by_link(slug, only_live, lock)?.execute(&arguments, access(look))?;
            link = Some((slug, anchor_id, listed));
            rows
        }
    };
    let is_related = |id: &str, attributes: Option<Value<'a>>| match &link {
        Some((slug, anchor, listed)) => {
            listed.contains(&id)
                || relations(attributes.and_then(Value::as_object))
                    .any(|(of, id)| id == *anchor && of.is_none_or(|of| of == *slug))
        }
        None => true,
    };
    let mut found = Vec::with_capacity(rows.len());
    for row in rows.iter() {
        let Some(id) = ty.layout.id(&row, 1, arena)? else { continue };
        let attributes = row.jsonb(2, arena)?;
        if !is_related(id, attributes) {
            continue;
        }
        let unique_ids = &prune.entity.unique_ids;
        let state = State::of(row.bool(3), row.bool(4));
        found.push(InScope { ty: prune.ty, id, removal, attributes, state, unique_ids });
    }
    Ok(found)
}

fn access(look: Look) -> Access {
    if look == Look::Read { Access::Read } else { Access::Write }
}

/// The attributes of an anchor before the event. One that is there is locked by events that write,
/// and as it was seen; of others it is read as it is now.
fn anchor_before<'a>(
    entities: &WorkingSet<'a>,
    anchor: usize,
    look: Look,
    arena: &'a Bump,
) -> Result<Option<Object<'a>>, Failure> {
    let entity = &entities.entities[anchor];
    if look == Look::Read || entities.writes_any() {
        return Ok(entity.row_attributes);
    }
    let id: Key<'a> = arena.alloc_slice_copy(&[entity.id]);
    let found = find_by_id(&entities.types[entity.ty], &[id], access(look), arena)?;
    Ok(found.first().and_then(|row| row.attributes()))
}

/// The entities of `ty` that an anchor's relations name.
fn listed<'a>(attributes: Option<Object<'a>>, ty: &EntityType, arena: &'a Bump) -> Vec<&'a str> {
    // References name no type: of the same id there is one entity if it is a uuid.
    let is_of_type = |slug: Option<&str>| match slug {
        Some(slug) => slug == ty.slug,
        None => ty.layout.id_kind == IdKind::Uuid,
    };
    relations(attributes)
        .filter(|(slug, _)| is_of_type(*slug))
        .filter_map(|(_, id)| ty.layout.canonical_id(id, arena))
        .collect()
}

/// The entities that attributes link to: slug, unless it is by a reference, and id.
fn relations<'a>(
    attributes: Option<Object<'a>>,
) -> impl Iterator<Item = (Option<&'a str>, &'a str)> {
    let values = attributes.map(|attributes| attributes.iter()).into_iter().flatten();
    let items = values
        .flat_map(|(_, value)| relation_items(value).or_else(|| relation_ref_items(value)))
        .flatten();
    items.filter_map(|item| {
        let item = item.as_object()?;
        let slug = item.get("_schema").and_then(Value::as_str);
        Some((slug, item.get("entity_id")?.as_str()?))
    })
}

impl<'a> InScope<'a> {
    /// The outcome of its removal, for which it joins the entities of the chunk.
    pub fn outcome(self, entities: &mut WorkingSet<'a>) -> Outcome<'a> {
        let attributes = self.attributes.and_then(Value::as_object);
        let identifier = |name: &'a String| Some((name.as_str(), attributes?.get(name)?));
        let identifiers: Vec<_> = self.unique_ids.iter().filter_map(identifier).collect();
        let identifiers = entities.arena().alloc_slice_copy(&identifiers);
        let entity = entities.add_removed(self.ty, self.id, attributes, self.removal);
        let version = |state| attributes.map(|attributes| Version { attributes, state });
        let after = version(State::Deleted).filter(|_| self.removal == Removal::Delete);
        let change = Some(Change { before: version(self.state), after });
        Outcome { entity, action: self.removal.action(), identifiers, change }
    }
}

/// The entities of `ty` that link to one of `target` with these ids.
fn linking<'a>(
    ty: &EntityType,
    target: Option<&str>,
    ids: &[&str],
    access: Access,
    arena: &'a Bump,
) -> Result<Vec<&'a str>, Failure> {
    let argument = array::of_text(arena, ids.iter().copied());
    let rows = ty.linking(target)?.execute(&[argument], access)?;
    let mut found: Vec<&'a str> = ty.layout.ids_in(&rows, arena)?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Returns the ids of those that were deleted.
fn delete_by_id<'a>(
    ty: &EntityType,
    ids: &[&str],
    now: Datum,
    arena: &'a Bump,
) -> Result<Vec<&'a str>, Failure> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let arguments = [ty.layout.ids(arena, ids.iter().copied()), now];
    Ok(ty.layout.ids_in(&ty.delete_by_id()?.execute(&arguments, Access::Write)?, arena)?)
}

/// Purges the entities of a type with these ids, whose rows are locked. Returns the ids of those
/// that were purged: a trigger or a policy of the table may keep some.
pub fn purge_by_id<'a>(
    ty: &EntityType,
    ids: &[&str],
    arena: &'a Bump,
) -> Result<Vec<&'a str>, Failure> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let argument = ty.layout.ids(arena, ids.iter().copied());
    Ok(ty.layout.ids_in(&ty.purge_by_id()?.execute(&[argument], Access::Write)?, arena)?)
}

/// Takes the items that name entities of `target` with these ids out of all relations in jsonb. What a
/// foreign key does about it is its own. `told` is told what that changes.
pub fn unlink<'a>(
    target: &EntityType,
    ids: &[&str],
    now: Datum,
    mut told: Option<&mut Vec<Unlinked<'a>>>,
    arena: &'a Bump,
) -> Result<(), Failure> {
    if ids.is_empty() {
        return Ok(());
    }
    let list = ids.iter().map(|id| Value::String(id).into()).collect();
    let list = crate::jsonb::datum(&encode(&Tree::Array(list))?)?;
    let slug_of_target = crate::jsonb::datum(target.slug.as_bytes())?;
    let references = Datum::from(target.layout.id_kind == IdKind::Uuid);
    for slug in slugs(arena)? {
        let Some(ty) = EntityType::find(slug)? else { continue };
        if !ty.layout.has_links() {
            continue;
        }
        let found = linking(&ty, None, ids, Access::Write, arena)?;
        check_unseen_links(&ty, None, ids, &found, arena)?;
        if !found.is_empty() {
            let arguments = [
                ty.layout.ids(arena, found.iter().copied()),
                slug_of_target,
                list,
                references,
                now,
            ];
            let before = told.is_some().then(|| locked(&ty, &found, arena)).transpose()?;
            ty.unlink()?.execute(&arguments, Access::Write)?;
            if let (Some(told), Some(before)) = (&mut told, before) {
                told.extend(unlinked(&ty, slug, &found, before, arena)?);
            }
        }
    }
    Ok(())
}

/// The entities with these ids as they are, locked.
fn locked<'a>(
    ty: &EntityType,
    ids: &[&'a str],
    arena: &'a Bump,
) -> Result<HashMap<&'a str, Version<'a>>, Failure> {
    let argument = ty.layout.ids(arena, ids.iter().copied());
    ty.lock_by_id()?.execute(&[argument], Access::Write)?;
    versions(ty, ids, arena)
}

/// What became of entities that were so before.
fn unlinked<'a>(
    ty: &EntityType,
    slug: &'a str,
    ids: &[&'a str],
    before: HashMap<&'a str, Version<'a>>,
    arena: &'a Bump,
) -> Result<Vec<Unlinked<'a>>, Failure> {
    let now = versions(ty, ids, arena)?;
    let unlinked = ids.iter().filter_map(|id| {
        let (before, after) = (*before.get(id)?, *now.get(id)?);
        // Ids of different types may be the same.
        let is_same = Value::Object(before.attributes).same(Value::Object(after.attributes));
        let change = Change { before: Some(before), after: Some(after) };
        (!is_same).then_some(Unlinked { slug, id, change })
    });
    Ok(unlinked.collect())
}

/// In a transaction that keeps one snapshot, another entity of `ty` may link to what is purged.
fn check_unseen_links(
    ty: &EntityType,
    target: Option<&str>,
    ids: &[&str],
    seen: &[&str],
    arena: &Bump,
) -> Result<(), Failure> {
    if !keeps_one_snapshot() {
        return Ok(());
    }
    let linking = in_latest_snapshot(|| linking(ty, target, ids, Access::Read, arena))?;
    if linking.iter().any(|id| !seen.contains(id)) {
        let message = "could not serialize access: another session linked to the entity";
        return Err(Failure::Contended { message: message.into() });
    }
    Ok(())
}
