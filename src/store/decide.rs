//! What an event does to the entities of a chunk, decided in memory, in the events' order.
//!
//! Pure: no SQL here. Each event is done whole or undone whole; what it changes is kept as
//! patches, which the writer has evaluated again on the locked rows.

use erp_engine::error::Error;
use erp_engine::identifier::key;
use erp_engine::jsonb::{Object, Tree, Value};
use erp_engine::map::Attribute;
use erp_engine::mapping::Mode;
use erp_engine::merge::{compose, has_operations, list_operation, merge_until};
use hashbrown::HashMap;

use super::Key;
use super::entity::{Action, Outcome, Removal};
use super::request::{BY_ID, Request, Update, identifier_text};
use super::working_set::WorkingSet;
use crate::error::Failure;
use crate::pg::interrupt;
use crate::pg::memory::Bound;
use crate::settings;

impl<'a> WorkingSet<'a> {
    /// Does what one event asks for, or nothing of it when it fails.
    pub fn apply(&mut self, request: &Request<'a>) -> Result<Vec<Outcome<'a>>, Failure> {
        if let Some(outcomes) = self.unchanged(request) {
            return Ok(outcomes);
        }
        let before = self.begin_event();
        let bound = Bound::start(settings::max_memory());
        let mut result = self.event(request, &bound);
        if result.is_err() {
            // What stopped it is told instead of its failure.
            interrupt::check()?;
        }
        let changes = match &result {
            Ok(outcomes) => outcomes.iter().any(|outcome| outcome.action != Action::Unchanged),
            Err(_) => false,
        };
        if !changes {
            self.undo(before);
        } else if self.tells_changes
            && let Ok(outcomes) = &mut result
        {
            for at in telling(outcomes) {
                outcomes[at].change = Some(self.change(outcomes[at].entity));
            }
        }
        result
    }

    fn event(&mut self, request: &Request<'a>, bound: &Bound) -> Result<Vec<Outcome<'a>>, Failure> {
        // The event's own entities come first, so that relations find them in any order.
        let mut actions = Vec::with_capacity(request.updates.len());
        for update in &request.updates {
            actions.push(match update.mode() {
                Mode::Delete => self.remove(update, Removal::Delete)?,
                Mode::Purge => self.remove(update, Removal::Purge)?,
                _ => Some(self.identify(update)?),
            });
        }
        let mut outcomes = Vec::with_capacity(actions.len());
        let mut stubs = Vec::new();
        for (update, action) in request.updates.iter().zip(actions) {
            interrupt::check()?;
            if bound.is_exceeded() {
                return Err(Failure::out_of_memory("applying the event"));
            }
            // What was to be removed is not there: nothing happens.
            let Some((entity, action)) = action else { continue };
            // The event upserts it after all.
            if action == Action::Purged && !self.entities[entity].is_purged() {
                continue;
            }
            let is_upserted = update.mode() == Mode::Upsert;
            let is_changed = is_upserted && self.patch(entity, update, &mut stubs)?;
            let action = match action {
                Action::Unchanged if is_changed => Action::Updated,
                action => action,
            };
            self.entities[entity].write |= is_upserted;
            let identifiers = self.arena().alloc_slice_copy(&update.update.unique_identifiers);
            outcomes.push(Outcome { entity, action, identifiers, change: None });
        }
        if request.updates.len() > 1 {
            self.settle_identifiers(&outcomes);
        }
        for stub in &stubs {
            self.entities[stub.entity].write = true;
        }
        add_linked(&mut outcomes, stubs);
        for outcome in &outcomes {
            let entity = &mut self.entities[outcome.entity];
            entity.is_changed |= outcome.action != Action::Unchanged;
        }
        Ok(outcomes)
    }

    /// Marks the entity that is to go; `None` when there is none.
    fn remove(
        &mut self,
        update: &Update<'a>,
        removal: Removal,
    ) -> Result<Option<(usize, Action)>, Error> {
        let Some(index) = self.find((update.ty, update.set, update.key))? else {
            return Ok(None);
        };
        if matches!(self.entities[index].removal, Some((Removal::Purge, ..))) {
            return Ok(None);
        }
        self.touch(index);
        let entity = &mut self.entities[index];
        if removal == Removal::Delete && entity.is_deleted {
            return Ok(Some((index, Action::Unchanged)));
        }
        entity.is_deleted = true;
        entity.removal = Some((removal, update.set, update.key));
        Ok(Some((index, removal.action())))
    }

    /// The entity that an update is about: found, a stub that it completes, or a new one.
    fn identify(&mut self, update: &Update<'a>) -> Result<(usize, Action), Error> {
        let address = (update.ty, update.set, update.key);
        let (index, action) = match self.find(address)? {
            Some(index) => {
                self.touch(index);
                let entity = &mut self.entities[index];
                let is_deleted =
                    if entity.is_purged() { entity.was_deleted } else { entity.is_deleted };
                let action = match (entity.stub, is_deleted) {
                    (true, _) => Action::Completed,
                    (false, true) => Action::Restored,
                    (false, false) => Action::Unchanged,
                };
                (index, action)
            }
            None if update.set == BY_ID => return Err(self.no_entity(update.ty)),
            None => match self.stub_to_complete(update)? {
                Some(index) => {
                    self.touch(index);
                    (index, Action::Completed)
                }
                None => (self.add_new(update.ty, false, address), Action::Created),
            },
        };
        let entity = &mut self.entities[index];
        entity.stub = false;
        entity.is_deleted = false;
        entity.is_upserted = true;
        entity.removal = None;
        if update.set != BY_ID {
            entity.via.get_or_insert((update.set, update.key));
        }
        let mut identifiers = entity.identifiers.clone();
        for (known, said) in identifiers.iter_mut().zip(&update.identifiers) {
            if let Some(said) = said {
                *known = *said;
            }
        }
        self.rename(index, identifiers);
        Ok((index, action))
    }

    /// The stub that the update's attributes match by the stub's own key.
    fn stub_to_complete(&self, update: &Update<'a>) -> Result<Option<usize>, Error> {
        let mut stubs: Vec<usize> = Vec::new();
        for (set, key) in self.other_keys(update) {
            let address = (update.ty, set, key);
            for index in self.under(address) {
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
    pub fn other_keys(&self, update: &Update<'a>) -> Vec<(usize, Key<'a>)> {
        let said: Vec<Option<&str>> =
            update.identifiers.iter().map(|said| said.flatten()).collect();
        (0..self.types[update.ty].key_sets.len())
            // Stubs are known by keys that are prepared: others have no index to ask.
            .filter(|set| *set != update.set && self.types[update.ty].key_sets[*set].is_indexed)
            .filter_map(|set| Some((set, self.key(update.ty, set, &said)?)))
            .collect()
    }

    /// Applies an update's attributes. Whether they change anything.
    fn patch(
        &mut self,
        index: usize,
        update: &Update<'a>,
        stubs: &mut Vec<Outcome<'a>>,
    ) -> Result<bool, Error> {
        let mut members = Vec::with_capacity(update.update.attributes.len());
        for ((name, attribute), targets) in update.update.attributes.iter().zip(&update.targets) {
            let value = match attribute {
                Attribute::Value(value) => {
                    Tree::Value(self.same_identifier(index, update, name, *value))
                }
                Attribute::RelationRef(refs) => {
                    match self.resolve_refs(index, name, refs, targets, stubs)? {
                        Some(resolved) => resolved,
                        None => continue,
                    }
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
        let slug = self.types[update.ty].slug.clone();
        let in_place =
            |error: Error| Error { message: format!("{slug}: {}", error.message), ..error };
        let attributes = self.entities[index].attributes;
        let is_changed = match (attributes, has_operations(patch)) {
            (None, false) => {
                self.entities[index].attributes = Some(patch);
                true
            }
            (current, _) => {
                match merge_until(current, patch, &interrupt::ends_statement).map_err(in_place)? {
                    Some(merged) => {
                        self.entities[index].attributes = Some(self.keep(&merged)?);
                        true
                    }
                    None => false,
                }
            }
        };
        self.add_patch(index, patch)?;
        // What operations made of identifiers.
        self.rename_as_merged(index, |name| patch.get(name).and_then(list_operation).is_some());
        Ok(is_changed)
    }

    /// Where an event says an identifier twice, once by an operation, the last one counts.
    fn settle_identifiers(&mut self, outcomes: &[Outcome<'a>]) {
        for outcome in outcomes {
            if self.entities[outcome.entity].is_upserted {
                self.rename_as_merged(outcome.entity, |_| true);
            }
        }
    }

    /// Identifiers that have changed are what the attributes have come to.
    pub(super) fn rename_as_merged(&mut self, index: usize, has_changed: impl Fn(&str) -> bool) {
        let entity = &self.entities[index];
        let mut identifiers = entity.identifiers.clone();
        for (name, known) in self.types[entity.ty].identifiers.iter().zip(&mut identifiers) {
            if has_changed(name) {
                let value = entity.attributes.and_then(|attributes| attributes.get(name));
                *known = value.and_then(|value| identifier_text(value, self.arena()));
            }
        }
        self.rename(index, identifiers);
    }

    /// The identifier as it stands already, when it is the same key in another form: `7` and
    /// `"7"`. That is no change.
    fn same_identifier(
        &self,
        index: usize,
        update: &Update<'a>,
        name: &str,
        value: Value<'a>,
    ) -> Value<'a> {
        let is_identifier = || update.update.entity.unique_ids.iter().any(|id| id == name);
        let current = self.entities[index].attributes.and_then(|attributes| attributes.get(name));
        match current {
            // A list has more than what identifies.
            _ if matches!(value, Value::Array(_)) => value,
            Some(current) if is_identifier() && key(current) == key(value) => current,
            _ => value,
        }
    }

    pub(super) fn add_patch(&mut self, index: usize, patch: Object<'a>) -> Result<(), Error> {
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
}

/// The rows that tell what an event did to each entity it changed: of several, the last one that
/// says more than that it was updated.
fn telling(outcomes: &[Outcome<'_>]) -> Vec<usize> {
    let mut by_entity: HashMap<usize, usize> = HashMap::with_capacity(outcomes.len());
    for (at, outcome) in outcomes.iter().enumerate() {
        match outcome.action {
            Action::Unchanged => {}
            Action::Updated => {
                by_entity.entry(outcome.entity).or_insert(at);
            }
            _ => {
                by_entity.insert(outcome.entity, at);
            }
        }
    }
    by_entity.into_values().collect()
}

/// Adds the rows of what an event links to. What the event is about itself has its row already,
/// which tells of the items it gets as well.
fn add_linked<'a>(outcomes: &mut Vec<Outcome<'a>>, linked: Vec<Outcome<'a>>) {
    if linked.is_empty() {
        return;
    }
    let mut own: HashMap<usize, usize> = HashMap::with_capacity(outcomes.len());
    for (at, outcome) in outcomes.iter().enumerate() {
        let known = own.entry(outcome.entity).or_insert(at);
        // Of several rows one that tells of a change.
        if outcomes[*known].action == Action::Unchanged {
            *known = at;
        }
    }
    for outcome in linked {
        match own.get(&outcome.entity) {
            None => outcomes.push(outcome),
            Some(at) if outcomes[*at].action == Action::Unchanged => {
                outcomes[*at].action = Action::Updated;
            }
            Some(_) => {}
        }
    }
}
