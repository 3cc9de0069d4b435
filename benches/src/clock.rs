//! What time is measured by.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    Wall,
    /// What processes have run on a processor: hardly disturbed by what else a busy machine does,
    /// but blind to waiting, and to the client and the way to it.
    Cpu,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock {
    /// The time since some moment. `pids` are the processes that do the work.
    pub fn now(self, pids: &[u32]) -> Result<Duration> {
        match self {
            Clock::Wall => Ok(START.elapsed()),
            Clock::Cpu => pids.iter().map(|pid| on_processor(*pid)).sum(),
        }
    }
}

/// What the threads of a process have run.
fn on_processor(pid: u32) -> Result<Duration> {
    let path = PathBuf::from(format!("/proc/{pid}/task"));
    let unreadable = |error| format!("--cpu cannot read {}: {error}", path.display());
    let mut sum = Duration::ZERO;
    for thread in std::fs::read_dir(&path).map_err(unreadable)? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat")).map_err(unreadable)?;
        let running = text.split_whitespace().next().unwrap_or_default();
        sum += Duration::from_nanos(running.parse()?);
    }
    Ok(sum)
}
