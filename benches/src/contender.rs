//! One of those that are compared, with a session of its own.

use std::time::Duration;

use crate::Result;
use crate::clock::Clock;
use crate::events::Payload;
use crate::memory::Memory;
use crate::mode::Phase;

/// Whose tables they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Toolkit,
    /// Set-based SQL written by hand.
    Sql,
    /// A PL/pgSQL function, called for each event.
    PlPgSql,
    /// A worker outside the database.
    Node,
    /// Ready rows: what writing alone costs.
    Floor,
}

impl Peer {
    pub const ALL: [Peer; 5] = [Peer::Toolkit, Peer::Sql, Peer::PlPgSql, Peer::Node, Peer::Floor];

    pub fn schema(self) -> &'static str {
        match self {
            Peer::Toolkit => "public",
            Peer::Sql => "hand_sql",
            Peer::PlPgSql => "hand_plpgsql",
            Peer::Node => "node",
            Peer::Floor => "floor",
        }
    }

    /// What helps SQL written by hand: plans are kept that were made when tables were small, and
    /// costs that are guessed too high would have them compiled. The toolkit has to see to both
    /// itself.
    pub fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Peer::Toolkit => &[],
            _ => &[
                ("enable_seqscan", "off"),
                ("enable_hashjoin", "off"),
                ("enable_mergejoin", "off"),
                ("jit", "off"),
            ],
        }
    }
}

/// A part of the events, from and to counted from 1.
pub struct Step {
    pub from: usize,
    pub to: usize,
    /// When the client sends the events; otherwise the server reads them from `bench.event`.
    pub payloads: Option<Vec<Payload>>,
}

/// Who does the steps.
pub trait Worker {
    fn takes_part(&self, phase: Phase) -> bool;

    /// The processes that do the work: the server's for the session, and others.
    fn processes(&self) -> Vec<u32>;

    /// What does not count.
    fn prepare(&mut self, _step: &Step) -> Result<()> {
        Ok(())
    }

    fn run(&mut self, phase: Phase, step: &Step) -> Result<()>;

    fn memory(&mut self) -> Result<Memory>;
}

pub struct Contender {
    pub label: &'static str,
    pub peer: Peer,
    worker: Box<dyn Worker>,
}

impl Contender {
    pub fn new(label: &'static str, peer: Peer, worker: impl Worker + 'static) -> Contender {
        Contender { label, peer, worker: Box::new(worker) }
    }

    pub fn takes_part(&self, phase: Phase) -> bool {
        self.worker.takes_part(phase)
    }

    /// Does a step. How long it took by `clock`.
    pub fn step(&mut self, phase: Phase, step: &Step, clock: Clock) -> Result<Duration> {
        self.worker.prepare(step)?;
        let processes = self.worker.processes();
        let start = clock.now(&processes)?;
        self.worker.run(phase, step)?;
        Ok(clock.now(&processes)? - start)
    }

    pub fn memory(&mut self) -> Result<Memory> {
        self.worker.memory()
    }
}
