//! Cancelling: the engine sees a token, PostgreSQL sees signals.
//!
//! While a token is watched a timer looks every 50 ms whether the statement is to end
//! (`statement_timeout`, `pg_cancel_backend`, shutdown) and cancels the token. The
//! engine then stops by itself, and the interrupt is served once no expression is on the stack.

use std::cell::Cell;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use erp_engine::expr::CancelToken;
use pgrx::pg_sys;

use super::{PgError, attempt, raw};

/// The first timer id that extensions may ask for (`USER_TIMEOUT` in `utils/timeout.h`).
#[cfg(any(feature = "pg15", feature = "pg16"))]
const USER_TIMEOUT: i32 = 12;
#[cfg(any(feature = "pg17", feature = "pg18"))]
const USER_TIMEOUT: i32 = 13;

const PERIOD_MS: i32 = 50;

static TOKEN: AtomicPtr<CancelToken> = AtomicPtr::new(std::ptr::null_mut());
static TIMER: AtomicI32 = AtomicI32::new(-1);

/// Watches for interrupts until it is dropped.
pub struct Watch {
    token: Box<Cell<CancelToken>>,
    outer: *mut CancelToken,
}

impl Watch {
    /// Starts watching. Watches nest: the innermost counts.
    pub fn start() -> Result<Watch, PgError> {
        let token = Box::new(Cell::new(CancelToken::new()));
        let outer = TOKEN.swap(token.as_ptr(), Ordering::Relaxed);
        let watch = Watch { token, outer };
        if outer.is_null() {
            // SAFETY: the handler only reads a flag and sets an atomic.
            unsafe {
                attempt(|| {
                    if TIMER.load(Ordering::Relaxed) < 0 {
                        let timer = raw::RegisterTimeout(USER_TIMEOUT, tick);
                        TIMER.store(timer, Ordering::Relaxed);
                    }
                    let first = pg_sys::GetCurrentTimestamp() + i64::from(PERIOD_MS) * 1_000;
                    raw::enable_timeout_every(TIMER.load(Ordering::Relaxed), first, PERIOD_MS);
                })?;
            }
        }
        Ok(watch)
    }

    /// The token that is cancelled.
    pub fn token(&self) -> CancelToken {
        // SAFETY: only `renew` writes the token.
        unsafe { (*self.token.as_ptr()).clone() }
    }

    /// Takes another token, after one that was cancelled by [`stop`].
    pub fn renew(&self) {
        let watched = TOKEN.swap(std::ptr::null_mut(), Ordering::Relaxed);
        self.token.set(CancelToken::new());
        TOKEN.store(watched, Ordering::Relaxed);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        TOKEN.store(self.outer, Ordering::Relaxed);
        if self.outer.is_null() && TIMER.load(Ordering::Relaxed) >= 0 {
            // SAFETY: the timer is registered; disabling it cannot raise.
            unsafe { raw::disable_timeout(TIMER.load(Ordering::Relaxed), false) }
        }
    }
}

/// Cancels the token that is watched. Neither allocates nor fails.
pub fn stop() {
    let token = TOKEN.load(Ordering::Relaxed);
    if !token.is_null() {
        // SAFETY: a watch takes its token out of TOKEN before it is dropped.
        unsafe { (*token).cancel() }
    }
}

/// Runs in a signal handler.
extern "C" fn tick() {
    if ends_statement() {
        stop();
    }
}

/// Whether the statement is to end. Not InterruptPending: that is set as well for what does not
/// end it, such as messages of parallel workers.
pub fn ends_statement() -> bool {
    // SAFETY: read_volatile, because a signal handler writes them.
    unsafe {
        std::ptr::read_volatile(&raw const pg_sys::QueryCancelPending) != 0
            || std::ptr::read_volatile(&raw const pg_sys::ProcDiePending) != 0
    }
}

/// Serves a pending interrupt, with the error it raises.
pub fn check() -> Result<(), PgError> {
    // SAFETY: read_volatile, because a signal handler writes it.
    unsafe {
        if std::ptr::read_volatile(&raw const pg_sys::InterruptPending) == 0 {
            return Ok(());
        }
        attempt(|| raw::ProcessInterrupts())
    }
}
