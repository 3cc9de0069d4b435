//! A phase: the contenders take turns, step by step, so that what else the machine does meets
//! all of them.

use std::time::Duration;

use postgres::Client;

use crate::Result;
use crate::clock::Clock;
use crate::contender::{Contender, Step};
use crate::mode::Phase;

/// What a contender needed for a phase.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub events: usize,
    pub time: Duration,
    /// Bytes of write-ahead log.
    pub wal: u64,
}

impl Cost {
    /// Events a second.
    pub fn speed(&self) -> f64 {
        self.events as f64 / self.time.as_secs_f64()
    }
}

/// Runs the phase; the costs in the order of the contenders, `None` for who takes no part.
pub fn run(
    contenders: &mut [Contender],
    phase: Phase,
    steps: &[Step],
    clock: Clock,
    keeper: &mut Client,
) -> Result<Vec<Option<Cost>>> {
    let mut costs: Vec<Option<Cost>> = contenders
        .iter()
        .map(|contender| contender.takes_part(phase).then(Cost::default))
        .collect();
    for (turn, step) in steps.iter().enumerate() {
        for place in 0..contenders.len() {
            let who = (turn + place) % contenders.len();
            let Some(cost) = &mut costs[who] else { continue };
            let before = wal_position(keeper)?;
            cost.time += contenders[who].step(phase, step, clock)?;
            cost.wal += wal_position(keeper)? - before;
            cost.events += step.to - step.from + 1;
        }
    }
    Ok(costs)
}

fn wal_position(keeper: &mut Client) -> Result<u64> {
    let position = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
    Ok(keeper.query_one(position, &[])?.get::<_, i64>(0) as u64)
}
