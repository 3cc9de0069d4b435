//! What a decision took for granted of rows that it does not write, and another session may have
//! changed while this one waited for its locks: which entities are not there to be removed, and what
//! the scope of a prune hangs on. If it no longer holds, the call begins again. So an event that has
//! waited for another comes after it as a whole.
//!
//! A transaction that keeps one snapshot has PostgreSQL check that.

use std::collections::BTreeMap;

use bumpalo::Bump;
use erp_engine::jsonb::Value;
use erp_engine::mapping::Mode;
use hashbrown::{HashMap, HashSet};

use super::Key;
use super::apply::Stop;
use super::request::{BY_ID, Request, ScopeRequest, Update};
use super::resolve::{find_by_id, find_by_key};
use super::statements::Find;
use super::working_set::{Address, WorkingSet};
use super::write::Written;
use crate::error::Failure;
use crate::pg::rights::may_update;
use crate::pg::spi::{Access, Moment, in_latest_snapshot_as_of, keeps_one_snapshot};

/// Locks the entities of which prunes remove what is related, as far as the role may, for an event
/// that writes: prunes of one come one after the other, and each removes what the one before has
/// written. Whether one of them, not `locked` before, is not what was seen.
pub fn lock_anchors<'a>(
    requests: &[&Request<'a>],
    entities: &WorkingSet<'a>,
    locked: &mut HashSet<(usize, &'a str)>,
    arena: &'a Bump,
) -> Result<bool, Failure> {
    let mut is_any_changed = false;
    if !entities.writes_any() {
        return Ok(false);
    }
    for anchor in anchor_keys(requests) {
        let Some(index) = entities.find(anchor)? else { continue };
        let entity = &entities.entities[index];
        let bound = &entities.types[entity.ty];
        if entity.is_new || !may_update(bound.table)? || !locked.insert((entity.ty, entity.id)) {
            continue;
        }
        let id = bound.layout.ids(arena, std::iter::once(entity.id));
        let rows = bound.lock_by_id()?.execute(&[id], Access::Write)?;
        let now = rows.iter().next().map(|row| row.jsonb(2, arena)).transpose()?.flatten();
        let seen = entity.row_attributes.map(Value::Object);
        is_any_changed |= !matches!((now, seen), (Some(now), Some(seen)) if now.same(seen));
    }
    Ok(is_any_changed)
}

fn anchor_keys<'a>(requests: &[&Request<'a>]) -> impl Iterator<Item = Address<'a>> {
    let prunes = requests.iter().flat_map(|request| &request.prunes);
    prunes.filter_map(|prune| match prune.scope {
        ScopeRequest::Related { anchor } => Some(anchor),
        ScopeRequest::Matching { .. } => None,
    })
}

/// Checks, when everything else is written, that what events found nobody to remove for, or no
/// anchor, is still so: that nobody has come from another session, whatever triggers of the tables
/// have made since `before`.
pub fn check_absent<'a>(
    requests: &[&Request<'a>],
    entities: &WorkingSet<'a>,
    written: &Written<'a>,
    before: Moment,
    arena: &'a Bump,
) -> Result<(), Stop> {
    if keeps_one_snapshot() {
        return Ok(());
    }
    let check = Check { entities, written, arena };
    let mut absent = Absent::new();
    for anchor in anchor_keys(requests) {
        match entities.find(anchor)? {
            None => {
                absent.entry(anchor).or_insert(Mode::Purge);
            }
            // Another session created it first, and what it names is not known.
            Some(index) if check.is_overtaken(index) => return Err(Stop::Restart),
            Some(_) => {}
        }
    }
    let is_pruned = requests.iter().any(|request| !request.prunes.is_empty());
    if entities.writes_any() || is_pruned {
        let updates = requests.iter().flat_map(|request| &request.updates);
        for update in updates.filter(|update| check.is_unsettled(update)) {
            let mode = absent.entry((update.ty, update.set, update.key)).or_insert(update.mode());
            if update.mode() == Mode::Purge {
                *mode = Mode::Purge;
            }
        }
    }
    if absent.is_empty() {
        return Ok(());
    }
    in_latest_snapshot_as_of(before, || check.all(absent))
}

/// Keys under which nobody is to be there; nobody live, for [`Mode::Delete`].
type Absent<'a> = HashMap<Address<'a>, Mode>;

struct Check<'c, 'a> {
    entities: &'c WorkingSet<'a>,
    written: &'c Written<'a>,
    arena: &'a Bump,
}

impl<'a> Check<'_, 'a> {
    fn is_overtaken(&self, index: usize) -> bool {
        self.entities.entities[index].is_new && !self.written.created.contains(&index)
    }

    /// Whether the update was to remove an entity and did not.
    fn is_unsettled(&self, update: &Update<'a>) -> bool {
        let is_removed = |index: &usize| {
            let entity = &self.entities.entities[*index];
            entity.removal.is_some() && !self.written.untouched.contains(index)
        };
        let under = self.entities.under((update.ty, update.set, update.key));
        matches!(update.mode(), Mode::Delete | Mode::Purge) && !under.iter().any(is_removed)
    }

    fn all(&self, absent: Absent<'a>) -> Result<(), Stop> {
        let mut by_set: BTreeMap<(usize, usize), Vec<Key<'a>>> = BTreeMap::new();
        absent.keys().for_each(|(ty, set, key)| by_set.entry((*ty, *set)).or_default().push(*key));
        for ((ty, set), keys) in by_set {
            let bound = &self.entities.types[ty];
            let found = match set {
                BY_ID => find_by_id(bound, &keys, Access::Read, self.arena)?,
                _ => find_by_key(bound, set, Find::Entities, &keys, Access::Read, self.arena)?,
            };
            for row in found {
                let mode = absent.get(&(ty, set, row.key)).copied();
                let is_gone = mode == Some(Mode::Delete) && row.is_deleted;
                if !is_gone && !self.is_known(ty, row.id) {
                    return Err(Stop::Restart);
                }
            }
        }
        Ok(())
    }

    /// Whether the entity is one that the call has written, or was kept from removing.
    fn is_known(&self, ty: usize, id: &str) -> bool {
        let all = self.entities.entities.iter().enumerate().filter(|(_, entity)| entity.ty == ty);
        let mut same = all.filter(|(index, _)| self.written.id(self.entities, *index) == id);
        same.any(|(index, entity)| {
            (entity.write || entity.removal.is_some()) && !self.is_overtaken(index)
        })
    }
}
