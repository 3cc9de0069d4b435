//! From entity updates to rows: entity types, resolve, write. Statements, plans, lock order.
//!
//! Must not know what a mapping means; that is the engine's.
//!
//! - [`entity_type`]: which table a slug is bound to, and its kept statements;
//! - [`request`]: entity updates with their tables and keys, checked;
//! - [`working_set`]: what the events of a chunk do to the entities found, decided in memory;
//! - [`resolve`]: finding those entities, all keys of a key set in one statement;
//! - [`write`]: the statements that carry the decision out;
//! - [`apply`]: a call as a whole: chunks, retries, events set aside.

pub mod apply;
pub mod entity_type;
mod request;
mod resolve;
mod working_set;
mod write;

/// The key of an entity in one key set: canonical identifiers in the order of its columns.
pub type Key<'a> = &'a [&'a str];
