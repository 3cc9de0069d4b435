//! What a session holds of the machine's memory.

use postgres::Client;

use crate::Result;

/// In bytes. `None` where it cannot be looked at from here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// PostgreSQL's memory contexts.
    pub contexts: Option<u64>,
    /// Memory of its own: the contexts, and what was allocated beside them.
    pub own: Option<u64>,
    /// The most it ever had, shared buffers that it touched included.
    pub peak: Option<u64>,
}

/// Of the server's process for `client`.
pub fn of_session(client: &mut Client, pid: u32) -> Result<Memory> {
    let contexts = "SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts";
    let contexts: i64 = client.query_one(contexts, &[])?.get(0);
    Ok(Memory { contexts: Some(contexts as u64), ..of_processes(&[pid]) })
}

/// The sum over processes.
pub fn of_processes(pids: &[u32]) -> Memory {
    let sum = |name| pids.iter().map(|pid| field(*pid, name)).sum();
    Memory { contexts: None, own: sum("RssAnon:"), peak: sum("VmHWM:") }
}

fn field(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}
