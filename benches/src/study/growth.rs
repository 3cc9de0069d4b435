//! What a session holds after few events, and after many. The events change the same customers
//! again and again, so that tables stay small.

use postgres::Client;

use super::{BATCH, WORKLOAD, prepare, statement, version};
use crate::Result;
use crate::contender::Peer;
use crate::database::Database;
use crate::memory::{self, Memory};
use crate::options::Options;
use crate::report;
use crate::tables::Tables;

const EVENTS: usize = 1_000_000;
const QUICK: usize = 50_000;
/// Different events; a pass over them changes each customer.
const PASS: usize = 10_000;

pub fn run(options: &Options) -> Result<()> {
    let events = if options.quick { QUICK } else { EVENTS };
    let (database, tables) = prepare(PASS)?;
    // After which numbers of events it is looked at.
    let looks = [BATCH, events / 10, events];
    report::growth_head(&looks);
    let ways = [
        ("erp_apply", include_str!("../../sql/erp_rows.sql")),
        ("erp_apply_batch", include_str!("../../sql/erp_batch.sql")),
    ];
    for (label, text) in ways {
        report::growth(label, &calls(&database, &tables, text, &looks)?);
    }
    report::growth("erp_import, batch_size 1,000", &imports(&database, &tables, &looks)?);
    Ok(())
}

fn calls(database: &Database, tables: &Tables, text: &str, looks: &[usize]) -> Result<Vec<Memory>> {
    let mut keeper = database.connect_keeper("public")?;
    let (mut client, pid) = session(database)?;
    let apply = client.prepare(&statement(text))?;
    let mut memory = Vec::new();
    for done in (0..looks[looks.len() - 1]).step_by(BATCH) {
        if done % PASS == 0 {
            tables.settle(&mut keeper, &[Peer::Toolkit])?;
        }
        let from = (done % PASS) as i32 + 1;
        let to = from + BATCH as i32 - 1;
        client.query(&apply, &[&version(done / PASS), &from, &to])?;
        if looks.contains(&(done + BATCH)) {
            memory.push(memory::of_session(&mut client, pid)?);
        }
    }
    Ok(memory)
}

/// One import after the other in the same session, each as long as is missing to the next look.
fn imports(database: &Database, tables: &Tables, looks: &[usize]) -> Result<Vec<Memory>> {
    let mut keeper = database.connect_keeper("public")?;
    let (mut client, pid) = session(database)?;
    client.batch_execute("SET client_min_messages = warning")?;
    let mut memory = Vec::new();
    let mut done = 0;
    for look in looks {
        tables.settle(&mut keeper, &[Peer::Toolkit])?;
        let query = include_str!("../../sql/import_query.sql")
            .replace("{limit}", &(look - done).to_string());
        let document = WORKLOAD.mapping()?.to_string();
        // A CALL that commits cannot be a prepared statement's.
        client.batch_execute(&format!(
            "CALL erp_import($mapping${document}$mapping$, '{}', $query${query}$query$, batch_size => {BATCH})",
            WORKLOAD.event_name,
        ))?;
        done = *look;
        memory.push(memory::of_session(&mut client, pid)?);
    }
    Ok(memory)
}

fn session(database: &Database) -> Result<(Client, u32)> {
    let mut client = database.connect("memory", "public")?;
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    Ok((client, pid as u32))
}
