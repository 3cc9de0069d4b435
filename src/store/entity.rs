//! One entity of a chunk: what its row is, what it will be, and what an event did to it.

use erp_engine::jsonb::{Object, Value};

use super::Key;
use crate::pg::writer::Place;

/// An entity that a chunk touches.
#[derive(Clone)]
pub struct Entity<'a> {
    pub ty: usize,
    /// Proposed, for a new entity.
    pub id: &'a str,
    pub is_new: bool,
    pub stub: bool,
    pub is_deleted: bool,
    /// Whether its row in the table is a stub.
    pub was_stub: bool,
    pub was_deleted: bool,
    /// Where its row stands, if it was found through an index.
    pub place: Option<Place>,
    /// The attributes of its row.
    pub row_attributes: Option<Object<'a>>,
    /// The attributes as they will be; `None` when nothing but the id was read.
    pub attributes: Option<Object<'a>>,
    /// What the type's identifiers will be.
    pub identifiers: Vec<Option<&'a str>>,
    /// What they are in the table.
    pub row_identifiers: Vec<Option<&'a str>>,
    /// What is to be written, to be applied in turn.
    pub patches: Vec<Object<'a>>,
    /// The key under which it was upserted first, or created.
    pub via: Option<(usize, Key<'a>)>,
    /// Entities that its patches link to.
    pub links: Vec<usize>,
    /// Whether it is to go, found by which key.
    pub removal: Option<(Removal, usize, Key<'a>)>,
    /// Whether an update is about it: a stub is completed, what is deleted restored. What only
    /// gets items that are linked to stays as it is.
    pub is_upserted: bool,
    /// Whether its lists get items that are linked to, decided on the lists as they were.
    pub has_items: bool,
    /// Whether its row is to be locked, and written if it changes.
    pub write: bool,
    /// Whether an event changes it.
    pub is_changed: bool,
    /// The event that touched it last, for the journal.
    pub epoch: usize,
}

/// What happened to one entity in one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Created,
    Updated,
    Unchanged,
    Stubbed,
    Completed,
    Restored,
    Deleted,
    Purged,
}

/// How an entity goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Softly: it stays, and an upsert restores it.
    Delete,
    Purge,
}

impl Removal {
    pub fn action(self) -> Action {
        match self {
            Removal::Delete => Action::Deleted,
            Removal::Purge => Action::Purged,
        }
    }
}

impl<'a> Entity<'a> {
    /// An entity of which nothing is known but its type and id.
    pub fn new(ty: usize, id: &'a str) -> Entity<'a> {
        Entity {
            ty,
            id,
            is_new: false,
            stub: false,
            is_deleted: false,
            was_stub: false,
            was_deleted: false,
            place: None,
            row_attributes: None,
            attributes: None,
            identifiers: Vec::new(),
            row_identifiers: Vec::new(),
            patches: Vec::new(),
            via: None,
            links: Vec::new(),
            removal: None,
            is_upserted: false,
            has_items: false,
            write: false,
            is_changed: false,
            epoch: 0,
        }
    }

    /// Whether its row is a stub that an update completes.
    pub fn completes_stub(&self) -> bool {
        self.was_stub && self.is_upserted
    }

    /// What it is now; `None` when it is not there, or nothing but its id was read.
    pub fn version(&self) -> Option<Version<'a>> {
        let attributes = self.attributes.filter(|_| !self.is_purged())?;
        Some(Version { attributes, state: State::of(self.stub, self.is_deleted) })
    }

    /// Whether it is to be purged.
    pub fn is_purged(&self) -> bool {
        matches!(self.removal, Some((Removal::Purge, ..)))
    }
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Updated => "updated",
            Action::Unchanged => "unchanged",
            Action::Stubbed => "stubbed",
            Action::Completed => "completed",
            Action::Restored => "restored",
            Action::Deleted => "deleted",
            Action::Purged => "purged",
        }
    }
}

/// A row of an event's outcome.
pub struct Outcome<'a> {
    pub entity: usize,
    pub action: Action,
    pub identifiers: &'a [(&'a str, Value<'a>)],
    /// Kept where it is wanted.
    pub change: Option<Change<'a>>,
}

/// What an event made of an entity.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// `None`: it was not there.
    pub before: Option<Version<'a>>,
    /// `None`: it is gone.
    pub after: Option<Version<'a>>,
}

/// An entity at a time.
#[derive(Clone, Copy)]
pub struct Version<'a> {
    pub attributes: Object<'a>,
    pub state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Live,
    Stub,
    /// Softly, stubs included.
    Deleted,
}

impl State {
    pub fn of(is_stub: bool, is_deleted: bool) -> State {
        match (is_deleted, is_stub) {
            (true, _) => State::Deleted,
            (false, true) => State::Stub,
            (false, false) => State::Live,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Stub => "stub",
            State::Deleted => "deleted",
        }
    }
}
