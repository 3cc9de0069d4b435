//! What the way through a use case costs: enqueueing beside a plain INSERT of the same rows, processing
//! beside `erp_apply_batch` on the same events, and both with a long queue.

use postgres::Client;

use super::{BATCH, WORKLOAD, median, prepare, version};
use crate::Result;
use crate::contender::Peer;
use crate::database::Database;
use crate::options::Options;
use crate::report;
use crate::tables::Tables;

const EVENTS: usize = 20_000;
const QUICK: usize = 4_000;
/// Events that wait at once.
const QUEUE: usize = 1_000_000;
const QUICK_QUEUE: usize = 40_000;
const RUNS: usize = 5;
const PARTS: usize = 5;

/// A session whose time is measured.
struct Timed<'o> {
    client: Client,
    pid: u32,
    options: &'o Options,
}

impl<'o> Timed<'o> {
    fn new(database: &Database, options: &'o Options) -> Result<Timed<'o>> {
        let mut client = database.connect("inbox", "public")?;
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
        Ok(Timed { client, pid: pid as u32, options })
    }

    /// Microseconds an event.
    fn run(&mut self, statement: &str, events: usize) -> Result<f64> {
        let start = self.options.clock.now(&[self.pid])?;
        self.client.batch_execute(statement)?;
        let time = self.options.clock.now(&[self.pid])? - start;
        Ok(time.as_secs_f64() * 1e6 / events as f64)
    }
}

pub fn run(options: &Options) -> Result<()> {
    let events = if options.quick { QUICK } else { EVENTS };
    let (database, tables) = prepare(events)?;
    let mut keeper = database.connect_keeper("public")?;
    keeper.batch_execute(include_str!("../../sql/inbox/prepare.sql"))?;
    entering(&database, &mut keeper, events, options)?;
    applying(&database, &mut keeper, &tables, events, options)?;
    one_by_one(&database, &mut keeper, &tables, events / 10, options)?;
    long_queue(&database, &mut keeper, events, options)
}

/// Every batch of a thousand events of a version as an array of payloads.
fn batches(version: i16) -> String {
    format!(
        "SELECT array_agg(payload ORDER BY n) AS payloads FROM bench.event WHERE version = {version} \
         GROUP BY (n - 1) / {BATCH} ORDER BY (n - 1) / {BATCH}"
    )
}

fn forget(keeper: &mut Client) -> Result<()> {
    Ok(keeper.batch_execute(include_str!("../../sql/inbox/forget.sql"))?)
}

fn enqueue(version: i16) -> String {
    let event = WORKLOAD.event_name;
    let batches = batches(version);
    format!("SELECT erp_enqueue_batch('bench/all', '{event}', payloads) FROM ({batches}) AS b")
}

fn entering(
    database: &Database,
    keeper: &mut Client,
    events: usize,
    options: &Options,
) -> Result<()> {
    report::inbox_head("Entering, µs an event", ["INSERT", "erp_enqueue_batch", "speed"]);
    let insert = format!(
        "INSERT INTO bench.plain (event_name, payload) SELECT '{}', unnest(payloads) FROM ({}) AS b",
        WORKLOAD.event_name,
        batches(0)
    );
    let mut ratios = Vec::new();
    for _ in 0..RUNS {
        forget(keeper)?;
        let mut session = Timed::new(database, options)?;
        let plain = session.run(&insert, events)?;
        let ours = session.run(&enqueue(0), events)?;
        ratios.push(plain / ours);
        report::inbox("", [plain, ours], plain / ours);
    }
    report::inbox_median(median(ratios));
    Ok(())
}

fn applying(
    database: &Database,
    keeper: &mut Client,
    tables: &Tables,
    events: usize,
    options: &Options,
) -> Result<()> {
    let columns = ["erp_apply_batch", "erp_process", "speed"];
    for history in ["none", "changes", "full"] {
        report::inbox_head(&format!("Applying, history {history}, µs an event"), columns);
        set_history(keeper, history)?;
        let mut times = [[0.0; 2]; 3];
        for (way, label) in ["direct", "inbox"].into_iter().enumerate() {
            tables.empty(keeper, &[Peer::Toolkit])?;
            tables.settle(keeper, &[Peer::Toolkit])?;
            for (phase, version) in [0, 1, 1].into_iter().enumerate() {
                forget(keeper)?;
                let mut session = Timed::new(database, options)?;
                times[phase][way] = match label {
                    "direct" => {
                        let apply = format!(
                            "SELECT count(*) FROM (SELECT erp_apply_batch(m.document, '{}', b.payloads) \
                             FROM bench.mapping AS m, ({}) AS b OFFSET 0) AS a",
                            WORKLOAD.event_name,
                            batches(version)
                        );
                        session.run(&apply, events)?
                    }
                    _ => {
                        keeper.batch_execute(&enqueue(version))?;
                        session
                            .run(&format!("CALL erp_work({BATCH}, max_time => '1 h')"), events)?
                    }
                };
            }
        }
        for (label, [direct, inbox]) in ["cold", "changed", "unchanged"].into_iter().zip(times) {
            report::inbox(label, [direct, inbox], direct / inbox);
        }
        println!();
    }
    set_history(keeper, "none")
}

fn set_history(keeper: &mut Client, history: &str) -> Result<()> {
    let set = format!(
        "SELECT erp_set_use_case('bench/all', document, settings => '{{\"history\": \"{history}\"}}') FROM bench.mapping"
    );
    Ok(keeper.batch_execute(&set)?)
}

fn one_by_one(
    database: &Database,
    keeper: &mut Client,
    tables: &Tables,
    events: usize,
    options: &Options,
) -> Result<()> {
    report::inbox_head("One by one, changed, µs an event", ["erp_apply", "", "speed"]);
    let one = |call: &str| {
        let event = WORKLOAD.event_name;
        format!(
            "DO $$ DECLARE e record; m jsonb := (SELECT document FROM bench.mapping); BEGIN \
             FOR e IN SELECT payload FROM bench.event WHERE version = 1 AND n <= {events} ORDER BY n LOOP \
             PERFORM {call}; END LOOP; END $$"
        )
        .replace("{event}", &format!("jsonb_build_object('event_name', '{event}', 'payload', e.payload)"))
        .replace("{name}", event)
    };
    let calls = [
        ("erp_ingest", "erp_ingest('bench/all', {event})"),
        ("erp_enqueue", "erp_enqueue('bench/all', {event})"),
    ];
    for (label, call) in calls {
        let mut times = [0.0; 2];
        for (call, time) in ["erp_apply(m, '{name}', e.payload)", call].iter().zip(&mut times) {
            forget(keeper)?;
            tables.empty(keeper, &[Peer::Toolkit])?;
            keeper.batch_execute(&enqueue(0))?;
            keeper.batch_execute("CALL erp_work(max_time => '1 h')")?;
            tables.settle(keeper, &[Peer::Toolkit])?;
            *time = Timed::new(database, options)?.run(&one(call), events)?;
        }
        report::inbox(label, times, times[0] / times[1]);
    }
    println!();
    Ok(())
}

/// Two workers empty a long queue while a third session keeps a snapshot of its beginning, so that no
/// row that they delete can be vacuumed.
fn long_queue(
    database: &Database,
    keeper: &mut Client,
    events: usize,
    options: &Options,
) -> Result<()> {
    let wanted = if options.quick { QUICK_QUEUE } else { QUEUE };
    let passes = wanted / events;
    forget(keeper)?;
    for pass in 0..passes {
        // Groups of their own, so that both workers find some.
        let fill = include_str!("../../sql/inbox/fill.sql").replace("{event}", WORKLOAD.event_name);
        keeper.execute(&fill, &[&version(pass)])?;
    }
    let mut reader = database.connect("reader", "public")?;
    let mut snapshot = reader
        .build_transaction()
        .isolation_level(postgres::IsolationLevel::RepeatableRead)
        .start()?;
    snapshot.query("SELECT count(*) FROM erp.inbox", &[])?;
    report::queue_head(passes * events, PARTS);
    let mut rates = Vec::new();
    for _ in 0..PARTS {
        let part = (passes * events / PARTS / BATCH / 2).max(1);
        let start = std::time::Instant::now();
        let taken = std::thread::scope(|scope| {
            let worker = || -> std::result::Result<i64, postgres::Error> {
                let mut client = database.connect("worker", "public").expect("a connection");
                let mut taken = 0;
                for _ in 0..part {
                    let process = "SELECT taken FROM erp_process($1)";
                    taken += client.query_one(process, &[&(BATCH as i32)])?.get::<_, i64>(0);
                }
                Ok(taken)
            };
            let workers = [scope.spawn(worker), scope.spawn(worker)];
            workers.into_iter().try_fold(0, |sum, it| {
                Ok::<_, postgres::Error>(sum + it.join().expect("the thread does not panic")?)
            })
        })?;
        rates.push(taken as f64 / start.elapsed().as_secs_f64());
    }
    let left: i64 = keeper.query_one("SELECT count(*) FROM erp.inbox", &[])?.get(0);
    report::queue(&rates, left);
    Ok(())
}
