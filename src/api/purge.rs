//! `erp_purge_deleted`: empties the recycle bin.

use pgrx::pg_sys::{self, Datum};

use crate::error::Failure;
use crate::pg::Call;
use crate::pg::spi::connected;
use crate::store::purge::purge_deleted as purge;

/// `erp_purge_deleted(older_than, max_rows)` → how many entities were purged. SQL hands over the
/// time before which they were deleted.
pub fn purge_deleted(call: Call) -> Result<Datum, Failure> {
    let before = call
        .datum(0)
        .ok_or_else(|| Failure::Argument { message: "older_than must not be null".into() })?;
    let most = match call.datum(1).map(|most| most.value() as i64) {
        None => usize::MAX,
        Some(most) => usize::try_from(most)
            .map_err(|_| Failure::Argument { message: "max_rows must not be negative".into() })?,
    };
    // SAFETY: no arguments.
    let now = unsafe { pg_sys::GetCurrentTransactionStartTimestamp() };
    let purged = connected(|| purge(before, most, Datum::from(now)))?;
    Ok(Datum::from(purged as i64))
}
