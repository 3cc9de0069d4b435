//! A contender outside the database: the Node.js worker of `node/`, a process that is spoken to by
//! lines, as `node/worker.mjs` tells.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::json;

use crate::Result;
use crate::contender::{Peer, Step, Worker};
use crate::database::Database;
use crate::memory::{self, Memory};
use crate::mode::Phase;
use crate::workload::Workload;

const WORKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node/worker.mjs");

pub struct Node {
    process: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// The server's process for its session.
    backend: u32,
}

impl Node {
    pub fn start(database: &Database, workload: &Workload) -> Result<Node> {
        let mut process = Command::new("node")
            .arg(WORKER)
            .env_remove("NODE_OPTIONS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("node cannot be run: {error}; see --without-node"))?;
        let input = BufWriter::new(process.stdin.take().expect("stdin is a pipe"));
        let output = BufReader::new(process.stdout.take().expect("stdout is a pipe"));
        let mut node = Node { process, input, output, backend: 0 };
        let settings: serde_json::Map<_, _> = Peer::Node
            .settings()
            .iter()
            .map(|(name, value)| (name.to_string(), json!(value)))
            .collect();
        let setup = json!({
            "database": database.name(),
            "schema": Peer::Node.schema(),
            "settings": settings,
            "event": workload.event_name,
            "mapping": workload.mapping()?,
        });
        node.send(&setup.to_string())?;
        node.backend = node.receive()?.parse()?;
        Ok(node)
    }

    fn send(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}")?;
        Ok(self.input.flush()?)
    }

    fn receive(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("the Node.js worker gave up; what it says is above".into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    fn expect(&mut self, expected: &str) -> Result<()> {
        match self.receive()? {
            line if line == expected => Ok(()),
            line => Err(format!("the Node.js worker says {line} instead of {expected}").into()),
        }
    }
}

impl Worker for Node {
    fn takes_part(&self, phase: Phase) -> bool {
        phase != Phase::Map
    }

    fn processes(&self) -> Vec<u32> {
        vec![self.process.id(), self.backend]
    }

    fn prepare(&mut self, step: &Step) -> Result<()> {
        let payloads = step.payloads.as_ref().ok_or("the Node.js worker is sent its events")?;
        writeln!(self.input, "{}", payloads.len())?;
        for payload in payloads {
            writeln!(self.input, "{}", payload.text())?;
        }
        self.input.flush()?;
        self.expect("ready")
    }

    fn run(&mut self, _phase: Phase, _step: &Step) -> Result<()> {
        self.send("go")?;
        self.expect("done")
    }

    fn memory(&mut self) -> Result<Memory> {
        Ok(memory::of_processes(&self.processes()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
