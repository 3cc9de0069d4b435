//! A contender that is statements: a session that runs them.

use postgres::{Client, Statement};

use crate::Result;
use crate::contender::{Peer, Step, Worker};
use crate::database::Database;
use crate::memory::{self, Memory};
use crate::mode::Phase;

pub struct Session {
    client: Client,
    /// The server's process.
    pid: u32,
    /// Statements of each phase; none, and it does not take part.
    statements: Vec<(Phase, Statement)>,
}

impl Session {
    pub fn new(
        database: &Database,
        purpose: &str,
        peer: Peer,
        statements: &[(Phase, String)],
    ) -> Result<Session> {
        let mut client = database.connect(purpose, peer.schema())?;
        for (name, value) in peer.settings() {
            client.batch_execute(&format!("SET {name} = {value}"))?;
        }
        let statements = statements
            .iter()
            .map(|(phase, text)| Ok((*phase, client.prepare(text)?)))
            .collect::<Result<_>>()?;
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
        Ok(Session { client, pid: pid as u32, statements })
    }
}

impl Worker for Session {
    fn takes_part(&self, phase: Phase) -> bool {
        self.statements.iter().any(|(of, _)| *of == phase)
    }

    fn processes(&self) -> Vec<u32> {
        vec![self.pid]
    }

    fn run(&mut self, phase: Phase, step: &Step) -> Result<()> {
        let (version, from, to) = (phase.version() as i16, step.from as i32, step.to as i32);
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
        Ok(())
    }

    fn memory(&mut self) -> Result<Memory> {
        memory::of_session(&mut self.client, self.pid)
    }
}
