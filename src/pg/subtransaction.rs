//! Internal subtransactions: what is done in one is kept whole or undone whole.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pgrx::pg_sys;

use super::{PgError, attempt, raw};

/// Runs `f` in a subtransaction of its own, which is rolled back when `f` fails.
pub fn subtransaction<T, E: From<PgError>>(f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    // SAFETY: the memory context and resource owner of the caller are put back, as PL/pgSQL
    // does around a block with an EXCEPTION clause.
    let before = unsafe {
        let before = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        attempt(|| raw::BeginInternalSubTransaction(std::ptr::null()))?;
        pg_sys::CurrentMemoryContext = before.0;
        before
    };
    let outcome = catch_unwind(AssertUnwindSafe(f));
    let is_done = matches!(outcome, Ok(Ok(_)));
    // SAFETY: as above.
    let ended = unsafe {
        let ended = attempt(|| {
            if is_done {
                raw::ReleaseCurrentSubTransaction();
            } else {
                pg_sys::CurrentMemoryContext = before.0;
                raw::RollbackAndReleaseCurrentSubTransaction();
            }
        });
        pg_sys::CurrentMemoryContext = before.0;
        pg_sys::CurrentResourceOwner = before.1;
        ended
    };
    match outcome {
        Ok(result) => ended.map_err(E::from).and(result),
        Err(panic) => resume_unwind(panic),
    }
}
