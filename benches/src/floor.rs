//! The floor: the rows that the events lead to are ready, and are only written.

use crate::Result;
use crate::contender::{Peer, Step, Worker};
use crate::database::Database;
use crate::events::history;
use crate::mode::Phase;
use crate::session::Session;
use crate::tables::Tables;

/// Fills `bench.ready` with the rows that SQL by hand makes of the events, and empties the
/// tables again.
pub fn make_ready(database: &Database, tables: &Tables, events: usize) -> Result<()> {
    let mut client = database.connect_keeper(Peer::Sql.schema())?;
    client.batch_execute("TRUNCATE bench.ready")?;
    for (phase, events) in [(Phase::Cold, events + history(events)), (Phase::Changed, events)] {
        let apply = [(phase, include_str!("../sql/hand_batch.sql").to_owned())];
        let mut hand = Session::new(database, "setup", Peer::Sql, &apply)?;
        for from in (1..=events).step_by(1_000) {
            let step = Step { from, to: (from + 999).min(events), payloads: None };
            hand.run(phase, &step)?;
        }
        for table in &tables.names {
            let keep = include_str!("../sql/ready.sql").replace("{table}", table);
            client.execute(&keep, &[&(phase.version() as i16), table, &(events as i32)])?;
        }
    }
    tables.empty(&mut client, &[Peer::Sql])?;
    client.batch_execute("CREATE INDEX ON bench.ready (table_name, version, n)")?;
    Ok(client.batch_execute("VACUUM ANALYZE bench.ready")?)
}

pub fn statements(tables: &Tables) -> Vec<(Phase, String)> {
    let insert = |table: &String| {
        let text = include_str!("../sql/floor_insert.sql").replace("{table}", table);
        (Phase::Cold, text)
    };
    let update = |table: &String| {
        let text = include_str!("../sql/floor_update.sql").replace("{table}", table);
        (Phase::Changed, text)
    };
    tables.names.iter().map(insert).chain(tables.names.iter().map(update)).collect()
}
