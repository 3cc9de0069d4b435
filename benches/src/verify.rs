//! Whether all contenders came to the same result: a peer that does less is no measure.

use postgres::Client;

use crate::Result;
use crate::contender::Contender;
use crate::database::Database;
use crate::mode::Phase;
use crate::tables::Tables;
use crate::workload::Workload;

/// Compares the tables of those who took part in `phase`, ids replaced by keys.
pub fn same_rows(
    database: &Database,
    tables: &Tables,
    contenders: &[Contender],
    phase: Phase,
) -> Result<()> {
    let mut first = None;
    for contender in contenders.iter().filter(|contender| contender.takes_part(phase)) {
        let mut client = database.connect_keeper(contender.peer.schema())?;
        let found = digests(&mut client, tables)?;
        let (label, expected) = first.get_or_insert_with(|| (contender.label, found.clone()));
        for ((table, found), expected) in tables.names.iter().zip(&found).zip(&*expected) {
            if found != expected {
                return Err(format!(
                    "{}: rows of {table} differ: {} has {} (digest {}), {label} {} (digest {})",
                    phase.name(),
                    contender.label,
                    found.0,
                    found.1,
                    expected.0,
                    expected.1,
                )
                .into());
            }
        }
    }
    Ok(())
}

/// Compares what `erp_map` and the peer's `map` make of events.
pub fn same_updates(database: &Database, workload: &Workload) -> Result<()> {
    let mut client = database.connect_keeper("public")?;
    let differing = include_str!("../sql/differing_updates.sql");
    let row = client.query_one(differing, &[&workload.event_name])?;
    match row.get::<_, Option<i32>>(0) {
        None => Ok(()),
        Some(n) => Err(format!("event {n} maps to something else by hand").into()),
    }
}

/// Of each table the number of rows and a sum over them.
fn digests(client: &mut Client, tables: &Tables) -> Result<Vec<(i64, String)>> {
    client.batch_execute("CREATE TEMP TABLE key (id uuid PRIMARY KEY, key jsonb NOT NULL)")?;
    for table in &tables.names {
        let columns = include_str!("../sql/key_columns.sql");
        let columns: String = client.query_one(columns, &[table])?.get(0);
        let keys = include_str!("../sql/keys.sql");
        client.batch_execute(&keys.replace("{columns}", &columns).replace("{table}", table))?;
    }
    client.batch_execute("ANALYZE key")?;
    let mut digests = Vec::new();
    for table in &tables.names {
        let digest = include_str!("../sql/digest.sql").replace("{table}", table);
        let row = client.query_one(&digest, &[])?;
        digests.push((row.get(0), row.get(1)));
    }
    Ok(digests)
}
