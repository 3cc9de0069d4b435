//! jsonb in PostgreSQL's binary form: read in place, built without a detour through text.
//!
//! Must not know: mappings, entities, PostgreSQL's functions. The layout is that of
//! `utils/jsonb.h` and `utils/numeric.h`, the same in PostgreSQL 15 to 18.
//!
//! [`Value`] is a view of bytes somebody else owns and is `Copy`: a payload is never converted
//! as a whole, and what is copied from it stays exact, numbers included. [`Tree`] is what is
//! being built; [`encode`] turns it into bytes identical to those PostgreSQL writes for the same
//! document, so equal documents have equal bytes.

mod check;
mod number;
mod text;
mod tree;
mod value;

pub use check::{Malformed, check};
pub use number::{EXACT_INTEGERS, Number};
pub use text::{TextError, parse_text, parse_text_until};
pub use tree::{TooLarge, Tree, encode};
pub use value::{Array, Object, Value};

/// Flags and masks of a container's header (`JB_*` in `utils/jsonb.h`).
mod layout {
    pub const COUNT: u32 = 0x0FFF_FFFF;
    pub const SCALAR: u32 = 0x1000_0000;
    pub const OBJECT: u32 = 0x2000_0000;
    pub const ARRAY: u32 = 0x4000_0000;

    /// A child's entry (`JEntry`): its length, or its end when `HAS_OFFSET` is set.
    pub const OFFSET: u32 = 0x0FFF_FFFF;
    pub const TYPE: u32 = 0x7000_0000;
    pub const HAS_OFFSET: u32 = 0x8000_0000;
    pub const IS_STRING: u32 = 0x0000_0000;
    pub const IS_NUMBER: u32 = 0x1000_0000;
    pub const IS_FALSE: u32 = 0x2000_0000;
    pub const IS_TRUE: u32 = 0x3000_0000;
    pub const IS_NULL: u32 = 0x4000_0000;
    pub const IS_CONTAINER: u32 = 0x5000_0000;

    /// Every so many children the entry holds an end offset instead of a length.
    pub const STRIDE: usize = 32;

    pub const fn align(offset: usize) -> usize {
        (offset + 3) & !3
    }

    /// Reads the native-endian word at `at`.
    pub fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    }
}

/// The order of keys in a jsonb object: shorter first, then by bytes
/// (`lengthCompareJsonbString`).
pub fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    order(a.as_bytes(), b.as_bytes())
}

fn order(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
