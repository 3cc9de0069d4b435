//! Emptying the recycle bin: entities that were deleted softly long ago are purged, batch by batch.

use bumpalo::Bump;
use pgrx::pg_sys::Datum;

use super::apply::{Deadlocks, with_retries};
use super::entity_type::{EntityType, slugs};
use super::guard::purge_lock;
use super::remove::{purge_by_id, unlink};
use crate::error::Failure;
use crate::pg::spi::Access;
use crate::pg::{interrupt, lock};

/// Entities that are purged together.
const BATCH: usize = 1_000;

/// Purges entities that were deleted before `before` (a timestamptz), at most `most`. Returns how
/// many. Rows that link to them are updated, so another session may be in the way.
pub fn purge_deleted(before: Datum, most: usize, now: Datum) -> Result<usize, Failure> {
    with_retries(Deadlocks::Retried, |_| Ok(try_to_purge(before, most, now)?))
}

fn try_to_purge(before: Datum, most: usize, now: Datum) -> Result<usize, Failure> {
    let arena = Bump::new();
    let mut types = Vec::new();
    for slug in slugs(&arena)? {
        types.extend(EntityType::find(slug)?.filter(|ty| ty.layout.deleted_at.is_some()));
    }
    types.sort_by_key(|ty| ty.table.to_u32());
    let mut purged = 0;
    for ty in types {
        while purged < most {
            let done = batch(&ty, before, BATCH.min(most - purged), now)?;
            if done == 0 {
                break;
            }
            purged += done;
        }
    }
    Ok(purged)
}

fn batch(ty: &EntityType, before: Datum, most: usize, now: Datum) -> Result<usize, Failure> {
    interrupt::check()?;
    let arena = Bump::new();
    // Nobody makes a link to them while they go.
    let ((table, key), group) = purge_lock(ty);
    lock::acquire(table, key, group)?;
    let most = Datum::from(most as i64);
    let deleted = ty.purge_deleted()?;
    let ids: Vec<&str> =
        ty.layout.ids_in(&deleted.execute(&[before, most], Access::Write)?, &arena)?;
    let purged = purge_by_id(ty, &ids, &arena)?;
    unlink(ty, &purged, now, None, &arena)?;
    Ok(purged.len())
}
