//! What time is measured by.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    Wall,
    /// What the session's process has run on a processor: hardly disturbed by what else a busy
    /// machine does, but blind to waiting, to the client and to the way between them.
    Cpu,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock {
    /// The time since some moment. `pid` is the session's process.
    pub fn now(self, pid: i32) -> Result<Duration> {
        match self {
            Clock::Wall => Ok(START.elapsed()),
            Clock::Cpu => {
                let path = format!("/proc/{pid}/schedstat");
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| format!("--cpu cannot read {path}: {error}"))?;
                let running = text.split_whitespace().next().unwrap_or_default();
                Ok(Duration::from_nanos(running.parse()?))
            }
        }
    }
}
