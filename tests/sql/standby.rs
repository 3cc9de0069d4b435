//! What only reads works on a hot standby.

use std::thread;
use std::time::{Duration, Instant};

use erp_tests::server::Server;
use erp_tests::{Database, db_error};
use postgres::Client;

const MAPPING: &str = r#"{"version": "2.0", "mapping": {"events": {"Changed": {"entities": [
    {"entity_schema": "customer", "unique_ids": ["no"], "mode": "upsert-prune-scope-delete",
     "scope": {"scope_mode": "query", "query": [{"attribute": "town", "field": "town"}]},
     "fields": [{"attribute": "no", "field": "no"}, {"attribute": "town", "field": "town"},
        {"attribute": "account", "relations": {"items": [
            {"entity_schema": "account", "unique_ids": [{"attribute": "number", "field": "account"}]}]}}]}]}}}}"#;

/// A table of each kind.
const SETUP: &str = r#"
    CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no text UNIQUE, town text, data jsonb, deleted_at timestamptz);
    SELECT erp_register_entity('customer', 'customers', '{no}', attributes_column => 'data', deleted_at_column => 'deleted_at');
    SELECT erp_create_entity('account', '{number}');"#;

#[test]
fn a_hot_standby_simulates_finds_maps_and_validates() {
    let database = Database::new("standby");
    let mut primary = database.connect();
    primary.batch_execute(SETUP).unwrap();
    let apply = "SELECT action FROM erp_apply($1::text::jsonb, 'Changed', $2::text::jsonb)";
    let first = r#"{"no": "C-1", "town": "Bonn", "account": "A-1"}"#;
    primary.query(apply, &[&MAPPING, &first]).unwrap();

    let standby = Server::standby("standby");
    standby.start("-c max_standby_streaming_delay=-1");
    let name: String = primary.query_one("SELECT current_database()", &[]).unwrap().get(0);
    let mut session = standby.connect(&name).unwrap();
    let follows = "SELECT pg_is_in_recovery()";
    assert!(session.query_one(follows, &[]).unwrap().get::<_, bool>(0));
    // It follows what happens after the copy was made.
    primary.batch_execute("SET synchronous_commit = on").unwrap();
    let second = r#"{"no": "C-2", "town": "Köln"}"#;
    primary.query(apply, &[&MAPPING, &second]).unwrap();
    wait_for_replay(&mut primary, &mut session);

    let simulate = "SELECT concat_ws(' ', entity_slug, action, coalesce(after, before) ->> 'no')
        FROM erp_simulate($1::text::jsonb, 'Changed', $2::text::jsonb)";
    let third = r#"{"no": "C-3", "town": "Bonn", "account": "A-2"}"#;
    assert_eq!(
        lines(&mut session, simulate, &[&MAPPING, &third]),
        ["customer created C-3", "account stubbed", "customer deleted C-1"]
    );
    assert_eq!(lines(&mut session, simulate, &[&MAPPING, &second]), ["customer unchanged C-2"]);
    let found = "SELECT attributes ->> 'number' FROM erp_find('account')";
    assert_eq!(lines(&mut session, found, &[]), ["A-1"]);
    let mapped = "SELECT mode FROM erp_map($1::text::jsonb, 'Changed', $2::text::jsonb)";
    assert_eq!(lines(&mut session, mapped, &[&MAPPING, &third]), ["upsert", "prune-delete"]);
    let problems = "SELECT message FROM erp_validate($1::text::jsonb)";
    assert_eq!(
        lines(&mut session, problems, &[&MAPPING]),
        [r#""customer" has no index for its scope by (town): each event reads the whole table"#]
    );
    // What writes says so, in PostgreSQL's words.
    let error = session.query(apply, &[&MAPPING, &third]).unwrap_err();
    assert_eq!(db_error(&error).code().code(), "25006");
    // What is simulated there is what is done here.
    assert_eq!(lines(&mut primary, apply, &[&MAPPING, &third]), ["created", "stubbed", "deleted"]);
}

/// Waits until the standby has what is written now. It replays what other tests write as well.
fn wait_for_replay(primary: &mut Client, standby: &mut Client) {
    let written = "SELECT pg_current_wal_lsn()::text";
    let written: String = primary.query_one(written, &[]).unwrap().get(0);
    let replayed = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn";
    let start = Instant::now();
    while !standby.query_one(replayed, &[&written]).unwrap().get::<_, bool>(0) {
        assert!(start.elapsed() < Duration::from_secs(60), "the standby does not follow");
        thread::sleep(Duration::from_millis(10));
    }
}

fn lines(
    session: &mut Client,
    query: &str,
    arguments: &[&(dyn postgres::types::ToSql + Sync)],
) -> Vec<String> {
    session.query(query, arguments).unwrap().iter().map(|row| row.get(0)).collect()
}
