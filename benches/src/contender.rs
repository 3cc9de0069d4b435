//! One of those that are compared, with a session of its own.

use std::time::Duration;

use postgres::{Client, Statement};

use crate::Result;
use crate::clock::Clock;
use crate::database::Database;
use crate::events::Payload;
use crate::mode::Phase;

/// Whose tables they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Toolkit,
    /// Set-based SQL written by hand.
    Sql,
    /// A PL/pgSQL function, called for each event.
    PlPgSql,
    /// Ready rows: what writing alone costs.
    Floor,
}

impl Peer {
    pub const ALL: [Peer; 4] = [Peer::Toolkit, Peer::Sql, Peer::PlPgSql, Peer::Floor];

    pub fn schema(self) -> &'static str {
        match self {
            Peer::Toolkit => "public",
            Peer::Sql => "hand_sql",
            Peer::PlPgSql => "hand_plpgsql",
            Peer::Floor => "floor",
        }
    }
}

pub struct Contender {
    pub label: &'static str,
    pub peer: Peer,
    pub client: Client,
    /// The server's process for the session.
    pid: i32,
    /// Statements of each phase; none, and it does not take part.
    statements: Vec<(Phase, Statement)>,
}

/// A part of the events, from and to counted from 1.
pub struct Step {
    pub from: usize,
    pub to: usize,
    /// When the client sends the events; otherwise the server reads them from `bench.event`.
    pub payloads: Option<Vec<Payload>>,
}

impl Contender {
    pub fn new(
        database: &Database,
        label: &'static str,
        peer: Peer,
        statements: &[(Phase, String)],
    ) -> Result<Contender> {
        let mut client = database.connect(label, peer.schema())?;
        if peer != Peer::Toolkit {
            // What helps SQL written by hand: plans are kept that were made when tables were small,
            // and costs that are guessed too high would have them compiled. The toolkit has to
            // see to both itself.
            client.batch_execute(
                "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
                 SET jit = off",
            )?;
        }
        let statements = statements
            .iter()
            .map(|(phase, text)| Ok((*phase, client.prepare(text)?)))
            .collect::<Result<_>>()?;
        let pid = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
        Ok(Contender { label, peer, client, pid, statements })
    }

    pub fn takes_part(&self, phase: Phase) -> bool {
        self.statements.iter().any(|(of, _)| *of == phase)
    }

    /// Does a step. How long it took by `clock`.
    pub fn step(&mut self, phase: Phase, step: &Step, clock: Clock) -> Result<Duration> {
        let (version, from, to) = (phase.version() as i16, step.from as i32, step.to as i32);
        let start = clock.now(self.pid)?;
        for (_, statement) in self.statements.iter().filter(|(of, _)| *of == phase) {
            match &step.payloads {
                None => {
                    self.client.query(statement, &[&version, &from, &to])?;
                }
                Some(payloads) => {
                    for payload in payloads {
                        self.client.query(statement, &[payload])?;
                    }
                }
            }
        }
        Ok(clock.now(self.pid)? - start)
    }
}
