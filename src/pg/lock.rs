//! Locks held to the end of the transaction, in the extension's own part of the space of
//! advisory locks.

use pgrx::pg_sys;

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
}

/// Waits for the lock `(relation, key)`.
pub fn acquire(relation: u32, key: u32, group: Group) -> Result<(), PgError> {
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
