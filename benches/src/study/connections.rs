//! The same new events by one connection, and by two that share them out.

use std::time::Instant;

use super::{BATCH, median, prepare, statement};
use crate::Result;
use crate::contender::Peer;
use crate::database::Database;
use crate::options::Options;
use crate::report;

const EVENTS: usize = 40_000;
const QUICK: usize = 4_000;
const RUNS: usize = 5;

pub fn run(options: &Options) -> Result<()> {
    let events = if options.quick { QUICK } else { EVENTS };
    let (database, tables) = prepare(events)?;
    let mut keeper = database.connect_keeper("public")?;
    let ways = [
        ("erp_apply_batch", include_str!("../../sql/erp_batch.sql"), events),
        ("erp_apply", include_str!("../../sql/erp_rows.sql"), events / 10),
    ];
    for (label, text, events) in ways {
        report::connections_head(label, events);
        let mut ratios = Vec::new();
        for _ in 0..RUNS {
            let mut speeds = [0.0; 2];
            for (connections, speed) in (1..).zip(&mut speeds) {
                tables.empty(&mut keeper, &[Peer::Toolkit])?;
                tables.settle(&mut keeper, &[Peer::Toolkit])?;
                *speed = apply(&database, connections, &statement(text), events)?;
            }
            ratios.push(speeds[1] / speeds[0]);
            report::connections(speeds);
        }
        report::connections_median(median(ratios));
    }
    Ok(())
}

/// Events a second of all connections together.
fn apply(database: &Database, connections: usize, text: &str, events: usize) -> Result<f64> {
    // The sessions are there, warm, before time counts: they apply the first batch's events.
    let step = BATCH.min(events / 8);
    let mut sessions = Vec::new();
    for at in 0..connections {
        let mut client = database.connect("connections", "public")?;
        let statement = client.prepare(text)?;
        let from = (events + 1 + at * 10) as i32;
        client.query(&statement, &[&0_i16, &from, &(from + 9)])?;
        sessions.push((client, statement));
    }
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(sessions)
            .map(|(at, (mut client, statement))| {
                scope.spawn(move || {
                    for from in (1 + at * step..=events).step_by(connections * step) {
                        let to = (from + step - 1).min(events);
                        client.query(&statement, &[&0_i16, &(from as i32), &(to as i32)])?;
                    }
                    Ok::<_, postgres::Error>(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("the thread does not panic"))
    })?;
    Ok(events as f64 / start.elapsed().as_secs_f64())
}
