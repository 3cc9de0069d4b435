//! Errors of PostgreSQL, caught whole.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use cee_scape::{SigJmpBufFields, call_with_sigsetjmp};
use pgrx::pg_sys::{self, ErrorData, MemoryContext};

use super::raw;

/// An error that PostgreSQL or a user's trigger or constraint raised, with everything in it.
pub struct PgError(*mut ErrorData);

/// `errno` of a write for which there is no space, on Linux, macOS and the BSDs.
const ENOSPC: i32 = 28;

/// The memory context of the SQL call that runs, in which its errors are kept: it outlives
/// every subtransaction and SPI connection that the call opens.
static mut CALL_CONTEXT: MemoryContext = std::ptr::null_mut();

/// Runs `f`, a SQL function's body, with the current memory context as the one its errors are
/// kept in.
pub(super) fn in_call<T>(f: impl FnOnce() -> T) -> T {
    struct Restore(MemoryContext);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: a backend has one thread, and calls nest.
            unsafe { CALL_CONTEXT = self.0 }
        }
    }
    // SAFETY: as above.
    let _restore = unsafe {
        let before = Restore(CALL_CONTEXT);
        CALL_CONTEXT = pg_sys::CurrentMemoryContext;
        before
    };
    f()
}

/// Calls PostgreSQL and catches the error it raises.
///
/// # Safety
///
/// An error jumps out of `f`: `f` must own nothing that needs dropping, must not panic, and
/// must call functions of [`raw`] alone. What PostgreSQL did before the error is undone only
/// with the (sub)transaction: the caller ends it, or lets the error end it.
pub unsafe fn attempt<T: Copy>(f: impl FnOnce() -> T) -> Result<T, PgError> {
    // SAFETY: the same steps as PG_TRY and PG_CATCH: the handler stack is restored on both
    // ways out, and the error is copied out of ErrorContext before that is reset.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let handler = pg_sys::PG_exception_stack;
        let callbacks = pg_sys::error_context_stack;
        let mut result = MaybeUninit::uninit();
        let jumped = call_with_sigsetjmp(false, |buffer| {
            pg_sys::PG_exception_stack =
                std::ptr::from_ref::<SigJmpBufFields>(buffer).cast_mut().cast();
            result.write(f());
            0
        });
        pg_sys::PG_exception_stack = handler;
        pg_sys::error_context_stack = callbacks;
        if jumped == 0 {
            return Ok(result.assume_init());
        }
        pg_sys::CurrentMemoryContext = if CALL_CONTEXT.is_null() { context } else { CALL_CONTEXT };
        let error = raw::CopyErrorData();
        raw::FlushErrorState();
        pg_sys::CurrentMemoryContext = context;
        Err(PgError(error))
    }
}

impl PgError {
    /// The five characters of the SQLSTATE.
    pub fn sqlstate(&self) -> [u8; 5] {
        // SAFETY: the error lives as long as the call.
        let packed = unsafe { (*self.0).sqlerrcode };
        std::array::from_fn(|i| ((packed >> (6 * i)) & 0x3F) as u8 + b'0')
    }

    /// Whether the backend was told to end the statement: by a cancel, or by `statement_timeout`.
    pub fn is_interrupt(&self) -> bool {
        // The second one is that of PostgreSQL 17 and later, for standbys.
        self.is_raised_by(c"ProcessInterrupts")
            || self.is_raised_by(c"ProcessRecoveryConflictInterrupt")
    }

    /// Whether PostgreSQL found sessions that wait for each other.
    pub fn is_found_deadlock(&self) -> bool {
        self.is_raised_by(c"DeadLockReport")
    }

    /// Whether a disk said that it is full.
    pub fn is_full_disk(&self) -> bool {
        // SAFETY: the error lives as long as the call.
        self.sqlstate() == *b"53100" && unsafe { (*self.0).saved_errno } == ENOSPC
    }

    /// Whether it comes from that function of PostgreSQL's: what triggers raise with the same
    /// SQLSTATE does not.
    fn is_raised_by(&self, function: &CStr) -> bool {
        // SAFETY: null or a C string that lives as long as the error.
        unsafe {
            let name = (*self.0).funcname;
            !name.is_null() && CStr::from_ptr(name) == function
        }
    }

    pub fn message(&self) -> Option<String> {
        self.text(|error| error.message)
    }

    pub fn detail(&self) -> Option<String> {
        self.text(|error| error.detail)
    }

    pub fn hint(&self) -> Option<String> {
        self.text(|error| error.hint)
    }

    fn text(&self, field: impl Fn(&ErrorData) -> *mut std::ffi::c_char) -> Option<String> {
        // SAFETY: fields are null or C strings that live as long as the error.
        unsafe {
            let text = field(&*self.0);
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        }
    }

    /// Hands the error on, to be raised by [`PgError::raise`]. It is no longer freed.
    pub(super) fn into_raw(self) -> *mut ErrorData {
        let error = self.0;
        std::mem::forget(self);
        error
    }

    /// Raises the error again, as it was.
    ///
    /// # Safety
    ///
    /// Jumps: no frame up to PostgreSQL's own may own anything that needs dropping.
    pub(super) unsafe fn raise(error: *mut ErrorData) -> ! {
        // SAFETY: the caller's.
        unsafe { raw::ReThrowError(error) }
    }
}

impl Drop for PgError {
    fn drop(&mut self) {
        // SAFETY: allocated by CopyErrorData in the call's memory context; freeing cannot raise.
        unsafe { raw::FreeErrorData(self.0) }
    }
}
