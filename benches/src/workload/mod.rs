//! The workloads: a mapping, the events for it, and what does the same by hand.

mod complex;
mod contract;
mod customer;

use serde_json::Value;

pub use customer::CUSTOMER;

use crate::Result;
use crate::random::Random;

/// To add one: a module that makes the payloads, a folder in `sql/` with the mapping and the SQL,
/// and a line in [`ALL`]. The peers must leave the rows that the mapping leaves.
pub struct Workload {
    pub name: &'static str,
    /// One sentence, without its full stop.
    pub summary: &'static str,
    pub event_name: &'static str,
    /// The mapping document, as text.
    pub mapping: &'static str,
    /// Creates `apply_batch(payloads jsonb[])`: set-based statements.
    pub batch: &'static str,
    /// Creates `apply_one(payload jsonb)`, in PL/pgSQL.
    pub row: &'static str,
    /// Creates `map(payload jsonb)` → `entity_slug, attributes`: a select.
    pub map: &'static str,
    /// The payload of event `n`. What comes from the second generator differs between versions.
    pub payload: fn(n: usize, stays: Random, changes: Random) -> Value,
}

impl Workload {
    pub fn mapping(&self) -> Result<Value> {
        Ok(self.mapping.parse()?)
    }
}

/// Which payload of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    First,
    Changed,
}

pub const ALL: &[&Workload] = &[&CUSTOMER, &contract::CONTRACT, &complex::COMPLEX];

/// An amount below `bound` that is never whole: jsonb would keep 12.0, and JavaScript makes it 12.
fn amount(random: &mut Random, bound: u64) -> f64 {
    (random.below(bound) * 100 + 1 + random.below(99)) as f64 / 100.0
}

/// The SQL of a workload, from its folder.
macro_rules! sql {
    ($folder:literal, $file:literal) => {
        include_str!(concat!("../../sql/", $folder, "/", $file))
    };
}
use sql;
