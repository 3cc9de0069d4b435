//! Batches of a thousand events, half of them about new entities, half about some that are there,
//! spread over the table, in tables of growing size.

use postgres::{Client, Statement};

use super::{BATCH, WORKLOAD, median, prepare, statement};
use crate::Result;
use crate::contender::Peer;
use crate::database::Database;
use crate::options::Options;
use crate::report;

const SIZES: [usize; 4] = [10_000, 100_000, 500_000, 2_000_000];
const QUICK_SIZES: [usize; 2] = [10_000, 100_000];
/// Payloads that differ in more than their keys.
const TEMPLATES: usize = 1_000;
const FILL: usize = 10_000;
/// Batches that are timed at each size. With more of them, some would meet the same customers.
const TIMED: usize = 16;

pub fn run(options: &Options) -> Result<()> {
    let (database, tables) = prepare(TEMPLATES)?;
    let mut keeper = database.connect_keeper("public")?;
    keeper.batch_execute(include_str!("../../sql/scale/tables.sql"))?;
    let mut filler = Filler::new(&database)?;
    let sizes = if options.quick { &QUICK_SIZES[..] } else { &SIZES };
    let mut first = None;
    report::scale_head();
    for size in sizes {
        filler.fill(*size)?;
        tables.settle(&mut keeper, &[Peer::Toolkit])?;
        let event = timed(&database, &mut keeper, filler.filled, options)?;
        filler.filled += (TIMED + 1) * BATCH / 2;
        report::scale(*size, event, event / *first.get_or_insert(event));
    }
    Ok(())
}

/// Fills the tables by way of events.
struct Filler {
    client: Client,
    statement: Statement,
    /// How many customers there are.
    filled: usize,
}

impl Filler {
    fn new(database: &Database) -> Result<Filler> {
        let mut client = database.connect("filler", "public")?;
        let statement = client.prepare(&statement(include_str!("../../sql/scale/fill.sql")))?;
        Ok(Filler { client, statement, filled: 0 })
    }

    fn fill(&mut self, size: usize) -> Result<()> {
        while self.filled < size {
            let to = (self.filled + FILL).min(size);
            let range = [self.filled as i64 + 1, to as i64];
            self.client.query(&self.statement, &[&range[0], &range[1]])?;
            self.filled = to;
        }
        Ok(())
    }
}

/// Microseconds an event, the median of batches in a session of their own.
fn timed(database: &Database, keeper: &mut Client, size: usize, options: &Options) -> Result<f64> {
    let mut client = database.connect(WORKLOAD.name, "public")?;
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    let apply = client.prepare(&statement(include_str!("../../sql/scale/apply.sql")))?;
    keeper.batch_execute("TRUNCATE bench.step")?;
    let mut times = Vec::new();
    // The first one is not counted: the session reads catalogs and compiles the mapping.
    for batch in 0..=TIMED {
        let events = include_str!("../../sql/scale/events.sql");
        keeper.execute(events, &[&(batch as i64), &(size as i64)])?;
        let start = options.clock.now(&[pid as u32])?;
        client.query(&apply, &[&(batch as i64)])?;
        let time = options.clock.now(&[pid as u32])? - start;
        times.push(time.as_secs_f64() * 1e6 / BATCH as f64);
    }
    Ok(median(times.split_off(1)))
}
