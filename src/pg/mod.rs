//! The seam to the server: calls whose errors stay whole, SPI, subtransactions, arguments and
//! result rows. All unsafe code is here, in the entry points of `api`, and in `jsonb.rs`.
//!
//! Must not know: mappings, entities.

pub mod array;
pub mod call;
pub mod default;
mod generated;
pub mod guard;
pub mod index;
pub mod interrupt;
pub mod leaves;
pub mod lock;
pub mod memory;
pub mod raw;
pub mod rights;
pub mod spi;
pub mod subtransaction;
pub mod writer;

pub use call::{Call, enter};
pub use guard::{PgError, attempt};
