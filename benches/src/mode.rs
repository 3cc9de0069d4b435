//! The ways to apply events, who is compared in each, and the phases they go through.

use crate::Result;
use crate::clock::Clock;
use crate::contender::{Contender, Peer, Step};
use crate::database::Database;
use crate::memory::Memory;
use crate::node::Node;
use crate::options::Options;
use crate::race::{self, Cost};
use crate::session::Session;
use crate::tables::Tables;
use crate::workload::{Version, Workload};
use crate::{events, floor, verify};

/// A way to apply events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A thousand events a call.
    Batch,
    /// An event a call, the calls made by the server over a table.
    Rows,
    /// An event a call, each sent by the client in a transaction of its own.
    Client,
    /// Mapping alone, nothing is written.
    Map,
}

/// What the events meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Every entity is new.
    Cold,
    /// Every event comes again with a few fields changed.
    Changed,
    /// Every event comes again as it was.
    Unchanged,
    Map,
}

/// Events of a call in batches.
const BATCH: usize = 1_000;

impl Mode {
    pub const ALL: [Mode; 4] = [Mode::Batch, Mode::Rows, Mode::Client, Mode::Map];

    pub fn name(self) -> &'static str {
        match self {
            Mode::Batch => "batch",
            Mode::Rows => "rows",
            Mode::Client => "client",
            Mode::Map => "map",
        }
    }

    pub fn phases(self) -> &'static [Phase] {
        match self {
            Mode::Map => &[Phase::Map],
            _ => &[Phase::Cold, Phase::Changed, Phase::Unchanged],
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Mode::Batch => "1,000 events a call",
            Mode::Rows => "an event a call, from a table",
            Mode::Client => "an event a call, from a client",
            Mode::Map => "mapping alone",
        }
    }

    /// Those that are compared. The first is ours, the second the peer that ratios refer to.
    fn contenders(
        self,
        database: &Database,
        workload: &Workload,
        tables: &Tables,
        options: &Options,
    ) -> Result<Vec<Contender>> {
        let session = |label, peer, statements: &[(Phase, String)]| {
            Ok(Contender::new(label, peer, Session::new(database, label, peer, statements)?))
        };
        // The same statement in each phase.
        let same = |label, peer, statement: &str| {
            let statement = statement.replace("{event}", workload.event_name);
            let statements: Vec<_> =
                self.phases().iter().map(|phase| (*phase, statement.clone())).collect();
            session(label, peer, &statements)
        };
        let mut contenders: Vec<Result<Contender>> = match self {
            Mode::Batch => vec![
                same("erp_apply_batch", Peer::Toolkit, include_str!("../sql/erp_batch.sql")),
                same("SQL by hand", Peer::Sql, include_str!("../sql/hand_batch.sql")),
            ],
            Mode::Rows => vec![
                same("erp_apply", Peer::Toolkit, include_str!("../sql/erp_rows.sql")),
                same("PL/pgSQL by hand", Peer::PlPgSql, include_str!("../sql/hand_rows.sql")),
            ],
            Mode::Client => vec![
                same("erp_apply", Peer::Toolkit, include_str!("../sql/erp_client.sql")),
                same("PL/pgSQL by hand", Peer::PlPgSql, "SELECT apply_one($1)"),
            ],
            Mode::Map => vec![
                same("erp_map", Peer::Toolkit, include_str!("../sql/erp_map.sql")),
                same("SQL by hand", Peer::Sql, include_str!("../sql/hand_map.sql")),
            ],
        };
        if self == Mode::Batch && options.floor {
            contenders.push(session("ready rows", Peer::Floor, &floor::statements(tables)));
        }
        if self == Mode::Client && options.node {
            let node = Node::start(database, workload)?;
            contenders.push(Ok(Contender::new("Node.js worker", Peer::Node, node)));
        }
        contenders.into_iter().collect()
    }

    /// The parts in which contenders take turns.
    fn steps(self, workload: &Workload, version: Version, events: usize) -> Vec<Step> {
        // One at a time is slow; a tenth tells as much.
        let (events, size) = match self {
            Mode::Batch | Mode::Map => (events, BATCH),
            Mode::Rows | Mode::Client => (events / 10, (events / 200).clamp(1, BATCH)),
        };
        let step = |from: usize| self.step(workload, version, from, (from + size - 1).min(events));
        (1..=events).step_by(size).map(step).collect()
    }

    /// Events that came before those that are measured.
    fn history(self, workload: &Workload, events: usize) -> Step {
        self.step(workload, Version::First, events + 1, events + events::history(events))
    }

    fn step(self, workload: &Workload, version: Version, from: usize, to: usize) -> Step {
        let payloads = || events::payloads(workload, version, from, to);
        Step { from, to, payloads: (self == Mode::Client).then(payloads) }
    }
}

impl Phase {
    pub const ALL: [Phase; 4] = [Phase::Cold, Phase::Changed, Phase::Unchanged, Phase::Map];

    pub fn name(self) -> &'static str {
        match self {
            Phase::Cold => "cold",
            Phase::Changed => "changed",
            Phase::Unchanged => "unchanged",
            Phase::Map => "map",
        }
    }

    pub fn version(self) -> Version {
        match self {
            Phase::Cold | Phase::Map => Version::First,
            Phase::Changed | Phase::Unchanged => Version::Changed,
        }
    }
}

/// What came out of a mode.
pub struct Measured {
    pub workload: &'static str,
    pub mode: Mode,
    pub labels: Vec<&'static str>,
    pub peers: Vec<Peer>,
    /// In each phase the costs in the order of the contenders; `None` for who takes no part.
    pub phases: Vec<(Phase, Vec<Option<Cost>>)>,
    /// Of each contender, after the history and at the end.
    pub memory: Vec<[Memory; 2]>,
}

pub fn run(
    database: &Database,
    workload: &'static Workload,
    tables: &Tables,
    mode: Mode,
    options: &Options,
) -> Result<Measured> {
    let mut keeper = database.connect_keeper("public")?;
    tables.empty(&mut keeper, &Peer::ALL)?;
    if mode == Mode::Batch && options.floor {
        floor::make_ready(database, tables, options.events)?;
    }
    let mut contenders = mode.contenders(database, workload, tables, options)?;
    let peers: Vec<Peer> = contenders.iter().map(|contender| contender.peer).collect();
    let history = mode.history(workload, options.events);
    for contender in &mut contenders {
        contender.step(mode.phases()[0], &history, Clock::Wall)?;
    }
    let before = memory(&mut contenders)?;
    let mut phases = Vec::new();
    for phase in mode.phases() {
        let steps = mode.steps(workload, phase.version(), options.events);
        tables.settle(&mut keeper, &peers)?;
        let costs = race::run(&mut contenders, *phase, &steps, options.clock, &mut keeper)?;
        if mode == Mode::Map {
            verify::same_updates(database, workload)?;
        } else {
            verify::same_rows(database, tables, &contenders, *phase)?;
        }
        if options.only.is_none_or(|only| only == *phase) {
            phases.push((*phase, costs));
        }
        if options.only == Some(*phase) {
            break;
        }
    }
    let after = memory(&mut contenders)?;
    Ok(Measured {
        workload: workload.name,
        mode,
        labels: contenders.iter().map(|contender| contender.label).collect(),
        peers,
        phases,
        memory: before.into_iter().zip(after).map(|(before, after)| [before, after]).collect(),
    })
}

fn memory(contenders: &mut [Contender]) -> Result<Vec<Memory>> {
    contenders.iter_mut().map(Contender::memory).collect()
}
