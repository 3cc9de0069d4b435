//! The events of a workload: made from a seed, put into a table of the server.

use std::error::Error;
use std::io::Write;

use postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};

use crate::Result;
use crate::database::Database;
use crate::random::Random;
use crate::workload::{Version, Workload};

/// How many events were there before those that are measured: tables are small, not empty, and
/// have statistics.
pub fn history(events: usize) -> usize {
    (events / 10).min(1_000)
}

const SEED: u64 = 20_240_101;

/// A payload as a client has it: JSON text, sent as a jsonb parameter.
#[derive(Debug)]
pub struct Payload(String);

/// The payloads of events `from` to `to`, counted from 1.
pub fn payloads(workload: &Workload, version: Version, from: usize, to: usize) -> Vec<Payload> {
    (from..=to).map(|n| payload(workload, version, n)).collect()
}

fn payload(workload: &Workload, version: Version, n: usize) -> Payload {
    let stays = Random::new(SEED.wrapping_mul(n as u64));
    let changes = Random::new(SEED.wrapping_mul(n as u64) ^ (1 + version as u64));
    Payload((workload.payload)(n, stays, changes).to_string())
}

/// Makes and fills `bench.event` and `bench.mapping`. Returns the mean size of a payload as jsonb.
pub fn load(database: &Database, workload: &Workload, events: usize) -> Result<u64> {
    let mut client = database.connect_keeper("public")?;
    client.batch_execute(include_str!("../sql/events.sql"))?;
    let keep = "INSERT INTO bench.mapping (document) VALUES ($1)";
    client.execute(keep, &[&workload.mapping()?])?;
    for version in [Version::First, Version::Changed] {
        let mut rows = client.copy_in("COPY bench.event (version, n, payload) FROM STDIN")?;
        for n in 1..=events + history(events) {
            let text = payload(workload, version, n).0.replace('\\', "\\\\");
            writeln!(rows, "{}\t{n}\t{text}", version as i16)?;
        }
        rows.finish()?;
    }
    client.batch_execute("VACUUM ANALYZE bench.event")?;
    let size = "SELECT avg(pg_column_size(payload))::bigint FROM bench.event";
    Ok(client.query_one(size, &[])?.get::<_, i64>(0) as u64)
}

impl Payload {
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl ToSql for Payload {
    fn to_sql(
        &self,
        _ty: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn Error + Sync + Send>> {
        // The version of jsonb's binary form, which is text.
        out.extend_from_slice(&[1]);
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSONB
    }

    to_sql_checked!();
}
