//! From entity updates to rows: entity types, resolve, write. Statements, plans, lock order.
//!
//! Must not know what a mapping means; that is the engine's.
//!
//! - [`entity_type`]: which table a slug is bound to, its [`layout`] and its [`statements`];
//! - [`request`]: entity updates with their tables and keys, checked;
//! - [`check`]: what the types have against a mapping, and [`columns`]: against an attribute;
//! - [`cast`]: values as the columns of registered tables have them;
//! - [`resolve`]: finding the entities asked for, all keys of a key set in one statement, or
//!   [`by_index`] without one;
//! - [`working_set`] of [`entity`]s: those found and those made, by their keys;
//! - [`decide`]: what the events of a chunk do to them, in memory;
//! - [`links`]: what its links to others come to;
//! - [`guard`]: the locks and checks that a decision needs before it is written;
//! - [`write`]: the statements that carry it out, and [`registered`] on tables that users have;
//! - [`recheck`]: whether what others did meanwhile changes what was decided;
//! - [`deletions`]: entities deleted and purged by their keys, and [`remove`]: those that an event
//!   purges and prunes;
//! - [`purge`]: the recycle bin;
//! - [`changes`]: what events changed, as the tables have it, and [`history`]: kept;
//! - [`simulate`]: what an event would do;
//! - [`apply`]: a call as a whole: chunks, retries, events set aside.

pub mod apply;
mod by_index;
mod cast;
mod changes;
pub mod check;
pub mod columns;
mod decide;
mod deletions;
mod direct;
pub mod entity;
pub mod entity_type;
mod guard;
pub mod history;
mod layout;
mod links;
pub mod purge;
mod recheck;
mod registered;
mod remove;
mod request;
mod resolve;
pub mod simulate;
mod statements;
mod unchanged;
mod working_set;
mod write;

/// The key of an entity in one key set: canonical identifiers in the order of its columns.
pub type Key<'a> = &'a [&'a str];
