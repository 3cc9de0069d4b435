//! What events changed, kept in `erp.history`: who, when, by which event, before and after.
//!
//! The rows are written with the rights of the table's owner, so that a role that applies events
//! can neither leave a change out nor make one up.

use std::cell::RefCell;
use std::rc::Rc;

use bumpalo::Bump;
use erp_engine::jsonb::{Object, Tree, Value, encode};
use pgrx::pg_sys;

use super::apply::Applied;
use super::entity::{Action, State, Version};
use crate::error::Failure;
use crate::pg::array;
use crate::pg::rights::{as_owner, current_role};
use crate::pg::spi::{Planning, Statement};

/// What is kept of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Nothing,
    /// The attributes that changed.
    Changes,
    /// All attributes before and after.
    Full,
}

impl Kept {
    /// As use cases name it.
    pub fn named(name: &str) -> Kept {
        match name {
            "changes" => Kept::Changes,
            "full" => Kept::Full,
            _ => Kept::Nothing,
        }
    }
}

/// For what a change is kept.
#[derive(Clone, Copy)]
pub struct Noted {
    pub event: i64,
    pub run: i64,
    pub kept: Kept,
}

/// The changes of a call's events, written chunk by chunk.
pub struct History {
    events: Vec<Noted>,
    pending: RefCell<Vec<Entry>>,
}

struct Entry {
    of: Noted,
    slug: String,
    id: String,
    action: &'static str,
    before: Vec<u8>,
    after: Vec<u8>,
    state_before: Option<State>,
    state_after: Option<State>,
}

thread_local! {
    static INSERT: RefCell<Option<Rc<Statement>>> = const { RefCell::new(None) };
}

impl History {
    /// What is kept of each event.
    pub fn new(events: Vec<Noted>) -> History {
        History { events, pending: RefCell::default() }
    }

    /// Whether anything is.
    pub fn is_kept(&self) -> bool {
        self.events.iter().any(|event| event.kept != Kept::Nothing)
    }

    /// Forgets what was not written.
    pub fn forget(&self) {
        self.pending.borrow_mut().clear();
    }

    /// Takes note of what an event did.
    pub fn add(&self, applied: &Applied<'_>) -> Result<(), Failure> {
        let (event, slug, id, action, change) = match applied {
            Applied::Row { event, slug, id, action, change: Some(change), .. } => {
                (*event, *slug, *id, *action, change)
            }
            Applied::Unlinked { event, slug, id, change } => {
                (*event, *slug, *id, Action::Updated.name(), change)
            }
            _ => return Ok(()),
        };
        let of = self.events[event];
        let (before, after) = (change.before.map(attributes), change.after.map(attributes));
        let (before, after) = match of.kept {
            Kept::Nothing => return Ok(()),
            Kept::Full => (whole(before)?, whole(after)?),
            // What is gone could not be told from what stays.
            Kept::Changes if after.is_none() => (whole(before)?, whole(None)?),
            Kept::Changes => (differing(before, after)?, differing(after, before)?),
        };
        self.pending.borrow_mut().push(Entry {
            of,
            slug: slug.to_owned(),
            id: id.to_owned(),
            action,
            before,
            after,
            state_before: change.before.map(|version| version.state),
            state_after: change.after.map(|version| version.state),
        });
        Ok(())
    }

    /// Writes what was taken note of.
    pub fn write(&self) -> Result<(), Failure> {
        let entries = std::mem::take(&mut *self.pending.borrow_mut());
        if entries.is_empty() {
            return Ok(());
        }
        let arena = Bump::new();
        let role = current_role(&arena)?;
        let arguments = [
            array::of_text(&arena, entries.iter().map(|entry| &*entry.slug)),
            array::of_text(&arena, entries.iter().map(|entry| &*entry.id)),
            array::of_text(&arena, entries.iter().map(|entry| entry.action)),
            array::of_i64(&arena, entries.iter().map(|entry| entry.of.event)),
            array::of_i64(&arena, entries.iter().map(|entry| entry.of.run)),
            array::of_bool(&arena, entries.iter().map(|entry| entry.of.kept == Kept::Full)),
            array::of_jsonb(&arena, entries.iter().map(|entry| &*entry.before)),
            array::of_jsonb(&arena, entries.iter().map(|entry| &*entry.after)),
            array::of_text(&arena, entries.iter().map(|entry| state(entry.state_before))),
            array::of_text(&arena, entries.iter().map(|entry| state(entry.state_after))),
            crate::jsonb::datum(role.as_bytes())?,
        ];
        as_owner(c"erp", c"history", || {
            let statement = insert()?;
            statement.execute_counted(&arguments)?;
            Ok(())
        })
    }
}

/// The statement that writes entries, to be run as the table's owner.
fn insert() -> Result<Rc<Statement>, Failure> {
    if let Some(statement) = INSERT.with_borrow(Option::clone) {
        return Ok(statement);
    }
    let (text, i64s) = (pg_sys::TEXTARRAYOID, pg_sys::INT8ARRAYOID);
    let (bools, jsonbs) = (pg_sys::BOOLARRAYOID, pg_sys::JSONBARRAYOID);
    let name = pg_sys::TEXTOID;
    let types = [text, text, text, i64s, i64s, bools, jsonbs, jsonbs, text, text, name];
    let source = include_str!("../../sql/queries/insert_history.sql");
    let statement = Statement::prepare(source, &types, &[], Planning::Free)?;
    INSERT.set(Some(statement.clone()));
    Ok(statement)
}

fn attributes(version: Version<'_>) -> Object<'_> {
    version.attributes
}

/// '' stands for what is not there.
fn state(state: Option<State>) -> &'static str {
    state.map_or("", State::name)
}

/// JSON null stands for what is not there.
fn whole(attributes: Option<Object<'_>>) -> Result<Vec<u8>, Failure> {
    let attributes = attributes.map_or(Value::Null, Value::Object);
    Ok(encode(&Tree::Value(attributes))?)
}

/// The members of `attributes` that `others` has not, or differently.
fn differing(
    attributes: Option<Object<'_>>,
    others: Option<Object<'_>>,
) -> Result<Vec<u8>, Failure> {
    let Some(attributes) = attributes else { return whole(None) };
    let other = |name: &str| others.and_then(|others| others.get(name));
    let differs =
        |(name, value): &(&str, Value<'_>)| !other(name).is_some_and(|other| other.same(*value));
    let members = attributes.iter().filter(differs);
    Ok(encode(&Tree::Object(members.map(|(name, value)| (name, Tree::Value(value))).collect()))?)
}
