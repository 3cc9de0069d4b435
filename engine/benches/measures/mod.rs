//! The measurements, by the part of the engine that they are about.

mod compile;
mod events;
mod jsonb;
mod map;
mod merge;

pub use compile::compile;
pub use jsonb::{read, write};
pub use map::map;
pub use merge::merge;
