//! Locks held to the end of the transaction, in the extension's own part of the space of
//! advisory locks.

use pgrx::pg_sys::{self, Oid};

use super::rights::{READ, WRITE, has_any};
use super::{PgError, attempt, raw};

/// Distinguishes our locks from those of `pg_advisory_lock`, which have 1 or 2 there.
const OUR_SPACE: u16 = 3;
const USER_LOCKMETHOD: u8 = 2;

/// How a lock is shared. `A` and `B` each go with themselves, not with one another; `Both`
/// goes with none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    A,
    B,
    Both,
}

impl Group {
    /// The group that covers both.
    pub fn and(self, other: Group) -> Group {
        if self == other { self } else { Group::Both }
    }

    fn mode(self) -> pg_sys::LOCKMODE {
        (match self {
            Group::A => pg_sys::RowExclusiveLock,
            Group::B => pg_sys::ShareLock,
            Group::Both => pg_sys::ShareRowExclusiveLock,
        }) as pg_sys::LOCKMODE
    }

    /// Whether the current role may lock out others so: it may write rows of the relation or, for
    /// what readers share, read them.
    fn is_allowed(self, relation: Oid) -> Result<bool, PgError> {
        let rights = if self == Group::Both { WRITE } else { WRITE | READ };
        // SAFETY: no pointers.
        unsafe { attempt(|| has_any(relation, rights)) }
    }
}

/// Waits for the lock `(relation, key)`. Who may not use the relation gets no lock and keeps nobody
/// waiting: the statements that the lock is for are refused.
pub fn acquire(relation: u32, key: u32, group: Group) -> Result<(), PgError> {
    if !group.is_allowed(Oid::from(relation))? {
        return Ok(());
    }
    let tag = pg_sys::LOCKTAG {
        // SAFETY: set once when the backend starts.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: relation,
        locktag_field3: key,
        locktag_field4: OUR_SPACE,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: USER_LOCKMETHOD,
    };
    // SAFETY: the tag lives through the call.
    unsafe { attempt(|| raw::LockAcquire(&raw const tag, group.mode(), false, false)) }.map(|_| ())
}
