//! What the fuzzer runs, a target a file: each takes any bytes, and panics when the engine breaks
//! a promise. The same functions replay the corpora in the engine's tests, which include this
//! file by its path; so nothing here needs the fuzzer.

pub mod json_text;
pub mod jsonb;
mod made;
pub mod map;
pub mod mapping;
pub mod merge;
pub mod path;
mod sound;

/// The name of a target, which is that of its corpus, and what it runs.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 6] = [
    ("jsonb", jsonb::run),
    ("json_text", json_text::run),
    ("mapping", mapping::run),
    ("path", path::run),
    ("merge", merge::run),
    ("map", map::run),
];
