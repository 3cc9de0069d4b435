//! Questions about erp_toolkit alone: does it stay fast, small and parallel?

mod connections;
mod growth;
mod inbox;
mod scale;

use crate::Result;
use crate::database::Database;
use crate::mode::Phase;
use crate::options::Options;
use crate::tables::{self, Tables};
use crate::workload::{CUSTOMER, Workload};
use crate::{events, report};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Study {
    Scale,
    Connections,
    Memory,
    Inbox,
}

/// The workload of all studies.
const WORKLOAD: &Workload = &CUSTOMER;

/// Events of a call in batches.
const BATCH: usize = 1_000;

impl Study {
    pub const ALL: [Study; 4] = [Study::Scale, Study::Connections, Study::Memory, Study::Inbox];

    pub fn option(self) -> &'static str {
        match self {
            Study::Scale => "--scale",
            Study::Connections => "--connections",
            Study::Memory => "--memory",
            Study::Inbox => "--inbox",
        }
    }

    /// What it asks.
    pub fn about(self) -> &'static str {
        match self {
            Study::Scale => "whether an event costs more in larger tables",
            Study::Connections => "what two connections do, on different keys, beside one",
            Study::Memory => "whether a session grows with the events that it has applied",
            Study::Inbox => "what use cases and their inbox cost",
        }
    }

    pub fn run(self, options: &Options) -> Result<()> {
        report::study(self, WORKLOAD, options);
        match self {
            Study::Scale => scale::run(options),
            Study::Connections => connections::run(options),
            Study::Memory => growth::run(options),
            Study::Inbox => inbox::run(options),
        }
    }
}

/// A database with the tables and the first `count` events, in both versions.
fn prepare(count: usize) -> Result<(Database, Tables)> {
    let database = Database::create()?;
    let tables = tables::create(&database, WORKLOAD)?;
    events::load(&database, WORKLOAD, count)?;
    Ok((database, tables))
}

/// A statement that applies events of `bench.event`, as the modes do.
fn statement(text: &str) -> String {
    text.replace("{event}", WORKLOAD.event_name)
}

/// The versions in turns, so that every pass changes every entity.
fn version(pass: usize) -> i16 {
    let phase = if pass.is_multiple_of(2) { Phase::Cold } else { Phase::Changed };
    phase.version() as i16
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len().is_multiple_of(2) {
        (numbers[middle - 1] + numbers[middle]) / 2.0
    } else {
        numbers[middle]
    }
}
