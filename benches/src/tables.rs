//! The entity tables: the managed ones, and for each peer a copy of its own.

use postgres::Client;

use crate::Result;
use crate::contender::Peer;
use crate::database::Database;
use crate::workload::Workload;

/// Names of the entity tables, the same in every schema.
pub struct Tables {
    pub names: Vec<String>,
}

/// Prepares the managed tables and copies their shape: columns, generated ones too, defaults,
/// indexes, fillfactor.
pub fn create(database: &Database, workload: &Workload) -> Result<Tables> {
    let mut client = database.connect_keeper(Peer::Toolkit.schema())?;
    client.execute("SELECT count(*) FROM erp_prepare($1)", &[&workload.mapping()?])?;
    let slugs = "SELECT slug FROM erp.entity_type ORDER BY created_at, slug";
    let names: Vec<String> = client.query(slugs, &[])?.iter().map(|row| row.get(0)).collect();
    for peer in Peer::ALL {
        let schema = peer.schema();
        if peer != Peer::Toolkit {
            client.batch_execute(&format!("CREATE SCHEMA {schema}"))?;
        }
        for table in &names {
            if peer != Peer::Toolkit {
                copy(&mut client, table, schema)?;
            }
            // Vacuumed between the phases, the same for all, and not in between.
            client.batch_execute(&format!(
                "ALTER TABLE {schema}.{table} SET (autovacuum_enabled = off)"
            ))?;
        }
    }
    create_functions(database, workload)?;
    Ok(Tables { names })
}

fn create_functions(database: &Database, workload: &Workload) -> Result<()> {
    for (peer, function) in
        [(Peer::Sql, workload.batch), (Peer::Sql, workload.map), (Peer::PlPgSql, workload.row)]
    {
        database.connect_keeper(peer.schema())?.batch_execute(function)?;
    }
    Ok(())
}

fn copy(client: &mut Client, table: &str, schema: &str) -> Result<()> {
    let options =
        "SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = $1::text::regclass";
    let options: Option<String> = client.query_one(options, &[&table])?.get(0);
    let with = options.map(|options| format!("WITH ({options})")).unwrap_or_default();
    Ok(client.batch_execute(&format!(
        "CREATE TABLE {schema}.{table} (LIKE {table} INCLUDING ALL) {with}"
    ))?)
}

impl Tables {
    fn of(&self, peers: &[Peer]) -> String {
        let names = |peer: &Peer| {
            let schema = peer.schema();
            self.names.iter().map(move |table| format!("{schema}.{table}"))
        };
        peers.iter().flat_map(names).collect::<Vec<_>>().join(", ")
    }

    pub fn empty(&self, client: &mut Client, peers: &[Peer]) -> Result<()> {
        Ok(client.batch_execute(&format!("TRUNCATE {}", self.of(peers)))?)
    }

    /// What every phase starts from.
    pub fn settle(&self, client: &mut Client, peers: &[Peer]) -> Result<()> {
        client.batch_execute(&format!("VACUUM (ANALYZE) {}", self.of(peers)))?;
        Ok(client.batch_execute("CHECKPOINT")?)
    }
}
