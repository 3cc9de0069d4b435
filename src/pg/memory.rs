//! Memory that the extension's Rust code takes: counted by its allocator, and bounded while an
//! event is mapped. An allocator must not fail, so it cancels the token that is watched; the
//! engine then stops by itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use super::interrupt;

/// Bytes in use.
static IN_USE: AtomicUsize = AtomicUsize::new(0);
/// Where something is to be done: the lower of the next two, unless it was reached before.
static NEXT: AtomicUsize = AtomicUsize::new(TRIMMED);
/// From here on, memory is given back to the system at the end of the call.
static TRIM_FROM: AtomicUsize = AtomicUsize::new(TRIMMED);
/// What may be in use.
static BOUND: AtomicUsize = AtomicUsize::new(usize::MAX);
static IS_EXCEEDED: AtomicBool = AtomicBool::new(false);
/// Whether a token was cancelled, and nobody has asked since.
static HAS_STOPPED: AtomicBool = AtomicBool::new(false);

/// What a call may take and leave to the allocator for the next one.
const TRIMMED: usize = 32 << 20;

/// The system's allocator, counted. A backend has one thread: loads and stores are enough.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn add(size: usize) {
    let in_use = IN_USE.load(Relaxed).wrapping_add(size);
    IN_USE.store(in_use, Relaxed);
    if in_use > NEXT.load(Relaxed) {
        reached(in_use);
    }
}

fn remove(size: usize) {
    IN_USE.store(IN_USE.load(Relaxed).wrapping_sub(size), Relaxed);
}

#[cold]
fn reached(in_use: usize) {
    if in_use > TRIM_FROM.load(Relaxed) {
        TRIM_FROM.store(usize::MAX, Relaxed);
    }
    if in_use > BOUND.load(Relaxed) {
        BOUND.store(usize::MAX, Relaxed);
        IS_EXCEEDED.store(true, Relaxed);
        HAS_STOPPED.store(true, Relaxed);
        interrupt::stop();
    }
    look_out();
}

/// Sets what is reached next.
fn look_out() {
    NEXT.store(TRIM_FROM.load(Relaxed).min(BOUND.load(Relaxed)), Relaxed);
}

/// Gives what was freed back to the system, if it was much. The allocator alone keeps what lies
/// below a block that is in use.
pub fn trim() {
    if TRIM_FROM.load(Relaxed) < usize::MAX {
        return;
    }
    TRIM_FROM.store(in_use().saturating_add(TRIMMED), Relaxed);
    look_out();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        malloc_trim(0);
    }
}

// SAFETY: memory comes from and goes to the system's allocator; counting neither allocates nor
// unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        remove(layout.size());
        add(size);
        // SAFETY: the caller's.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        remove(layout.size());
        // SAFETY: the caller's.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Bytes that Rust code has in use.
pub fn in_use() -> usize {
    IN_USE.load(Relaxed)
}

/// Whether the innermost [`Bound`] was exceeded.
pub fn is_exceeded() -> bool {
    IS_EXCEEDED.load(Relaxed)
}

/// Whether a bound was exceeded since this was last asked: the token that was watched then is of
/// no more use.
pub fn has_stopped() -> bool {
    HAS_STOPPED.load(Relaxed) && HAS_STOPPED.swap(false, Relaxed)
}

/// A bound of what may be taken from here on, until it is dropped. Bounds nest: the innermost
/// counts.
pub struct Bound {
    outer: usize,
    was_exceeded: bool,
}

impl Bound {
    /// Once more than `bytes` are taken, the token that is watched is cancelled.
    pub fn start(bytes: usize) -> Bound {
        let outer = BOUND.swap(in_use().saturating_add(bytes), Relaxed);
        look_out();
        Bound { outer, was_exceeded: IS_EXCEEDED.swap(false, Relaxed) }
    }

    /// Whether it was exceeded.
    pub fn is_exceeded(&self) -> bool {
        is_exceeded()
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        BOUND.store(self.outer, Relaxed);
        look_out();
        IS_EXCEEDED.store(self.was_exceeded, Relaxed);
    }
}
