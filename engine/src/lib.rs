//! The mapping engine of erp_toolkit: document → compile → map → merge.
//!
//! Decides what a mapping means. Must not know PostgreSQL's functions, SQL or the clock: the
//! crate depends on neither, forbids unsafe code, and takes the time as an argument.
//!
//! - [`jsonb`]: documents in PostgreSQL's binary form, read in place and built;
//! - [`mapping`]: a mapping document compiled, every problem of it told at once;
//! - [`map`]: an event's payload to entity updates;
//! - [`merge`]: how a patch changes an entity's attributes;
//! - [`items`]: lists whose items have an `_id`, to be linked to;
//! - [`identifier`]: when two identifiers are one key;
//! - [`value_type`]: the forms in which e-mail addresses and phone numbers are stored;
//! - [`expr`]: JSONata and JSONPath;
//! - [`explain`]: what a mapping reads and writes, without running it.

pub mod error;
pub mod explain;
pub mod expr;
pub mod identifier;
pub mod items;
pub mod jsonb;
pub mod map;
pub mod mapping;
pub mod merge;
pub mod value_type;

#[cfg(test)]
#[path = "../tests/support/properties.rs"]
mod properties;
