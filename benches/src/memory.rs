//! What a session holds of the machine's memory.

use postgres::Client;

use crate::Result;

/// In bytes. `None` where the process cannot be looked at from here.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// PostgreSQL's memory contexts.
    pub contexts: u64,
    /// Memory of its own: the contexts, and what was allocated beside them.
    pub own: Option<u64>,
    /// The most it ever had, shared buffers that it touched included.
    pub peak: Option<u64>,
}

pub fn of(client: &mut Client) -> Result<Memory> {
    let row = client.query_one(
        "SELECT pg_backend_pid(), sum(total_bytes)::bigint FROM pg_backend_memory_contexts",
        &[],
    )?;
    let (pid, contexts): (i32, i64) = (row.get(0), row.get(1));
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kilobytes * 1024)
    };
    Ok(Memory { contexts: contexts as u64, own: field("RssAnon:"), peak: field("VmHWM:") })
}
