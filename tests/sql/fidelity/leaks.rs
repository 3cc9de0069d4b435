//! One transaction with very many events, of which every tenth fails: what each leaves behind, in
//! memory or among the locks, would add up. 20,000 events, or a million where `ERP_LONG` is set.

use std::env;
use std::time::Instant;

use erp_tests::Database;
use postgres::{Client, Row};

/// Events that create an entity each, all linked to a few others; and how they fail: by a rule of
/// the mapping, of the store and of the table.
const EVENTS: &str = r#"
    SELECT erp_create_entity('c', ARRAY['id']);
    ALTER TABLE c ADD CHECK (attributes ->> 'name' <> '');
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'ZZ001'; END $$;
    CREATE TRIGGER refuse AFTER INSERT ON c FOR EACH ROW WHEN (NEW.attributes ->> 'name' = 'refused') EXECUTE FUNCTION refuse();
    CREATE FUNCTION mapping() RETURNS jsonb LANGUAGE sql IMMUTABLE RETURN '{"entities": [{"entity_schema": "c", "unique_ids": ["id"], "fields": [
        {"attribute": "id", "field": "id"}, {"attribute": "name", "jsonataExpression": "$lowercase(name)"},
        {"attribute": "tags", "field": "tags"},
        {"attribute": "friend", "relations": {"items": [{"entity_schema": "c", "unique_ids": [{"attribute": "id", "field": "friend"}]}]}}]}]}'::jsonb;
    CREATE FUNCTION payload(n int) RETURNS jsonb LANGUAGE sql RETURN
        jsonb_build_object('id', n, 'name', repeat('x', n % 100 + 1), 'tags', jsonb_build_object('_append', n), 'friend', 'f' || n % 50) ||
        CASE WHEN n % 10 = 0
             THEN (ARRAY['{"name": 1}', '{"name": ""}', '{"name": "Refused"}', '{"id": null}', '{"id": []}']::jsonb[])[n / 10 % 5 + 1]
             ELSE '{}' END;
    CREATE FUNCTION usage(OUT contexts bigint, OUT resident bigint, OUT locks bigint) LANGUAGE sql AS $$
        SELECT (SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts),
               coalesce(substring(pg_read_file('/proc/self/status', 0, 100000, true) FROM 'RssAnon:\s+(\d+) kB')::bigint * 1024, 0),
               (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid())
    $$;
    CREATE TABLE used (done int, contexts bigint, resident bigint, locks bigint);
    CREATE PROCEDURE in_blocks(events int) LANGUAGE plpgsql AS $$
    BEGIN
        FOR i IN 1..events LOOP
            BEGIN
                PERFORM erp_apply(mapping(), 'E', payload(i));
                ASSERT i % 10 <> 0, 'an event that is to fail';
            EXCEPTION WHEN OTHERS THEN
                IF i % 10 <> 0 OR SQLSTATE NOT IN ('MP004', '23514', 'ZZ001', 'MP005', 'MP009') THEN RAISE; END IF;
            END;
            IF i IN (greatest(events / 10, 5000), events) THEN INSERT INTO used SELECT i, * FROM usage(); END IF;
        END LOOP;
    END $$;
    CREATE PROCEDURE in_slices(events int) LANGUAGE plpgsql AS $$
    DECLARE failed int;
    BEGIN
        FOR i IN 1000..events BY 1000 LOOP
            SELECT count(*) FILTER (WHERE action = 'failed') INTO failed
            FROM erp_apply_batch(mapping(), 'E', (SELECT array_agg(payload(n)) FROM generate_series(i - 999, i) AS n), 'continue');
            ASSERT failed = 100, format('%s events are to fail', failed);
            IF i IN (greatest(events / 10, 5000), events) THEN INSERT INTO used SELECT i, * FROM usage(); END IF;
        END LOOP;
    END $$"#;

/// What a backend uses after some of the events: bytes in memory contexts, bytes that are resident and
/// not shared (0 where that cannot be read), and locks.
#[derive(Debug)]
struct Used {
    contexts: i64,
    resident: i64,
    locks: i64,
}

fn used(session: &mut Client) -> [Used; 2] {
    let rows = session.query("SELECT * FROM used ORDER BY done", &[]).unwrap();
    let used = |row: &Row| Used { contexts: row.get(1), resident: row.get(2), locks: row.get(3) };
    rows.iter().map(used).collect::<Vec<_>>().try_into().expect("after a tenth, and in the end")
}

/// Applies the events. What is used after a tenth of them, or 5,000, must do for all, `bytes_each` aside, and
/// their rows have `ids_each` transaction ids at most.
fn leave_nothing_behind(way: &str, bytes_each: f64, ids_each: f64) {
    let events = if env::var_os("ERP_LONG").is_some() { 1_000_000 } else { 20_000 };
    let database = Database::new(&format!("fidelity_{way}"));
    let mut session = database.connect();
    session.batch_execute(EVENTS).unwrap();
    let start = Instant::now();
    session.batch_execute(&format!("CALL {way}({events})")).unwrap();
    let took = start.elapsed();
    let query = "SELECT count(*), count(DISTINCT xmin::text) FROM c WHERE NOT stub";
    let row = session.query_one(query, &[]).unwrap();
    let [applied, ids]: [i64; 2] = [row.get(0), row.get(1)];
    let [early, late] = used(&mut session);
    println!("{way}: {events} events in {took:?}, {ids} transaction ids; {early:?}, then {late:?}");

    assert_eq!(applied, events / 10 * 9);
    let most = 3 * MEBIBYTE + (events as f64 * bytes_each) as i64;
    assert!(late.contexts - early.contexts < most, "memory contexts: {early:?}, then {late:?}");
    assert!(late.resident - early.resident < most + 2 * MEBIBYTE, "{early:?}, then {late:?}");
    assert_eq!(late.locks, early.locks);
    assert!(ids as f64 <= events as f64 * ids_each, "{ids} transaction ids");
}

const MEBIBYTE: i64 = 1 << 20;

/// PostgreSQL itself keeps four bytes of each subtransaction that wrote, until the transaction ends:
/// of the block's, and of ours within.
#[test]
fn events_in_blocks_of_their_own() {
    leave_nothing_behind("in_blocks", 8.0, 0.9);
}

/// Events of a slice share a subtransaction, unless one between them fails in the tables.
#[test]
fn events_in_slices() {
    leave_nothing_behind("in_slices", 0.5, 0.2);
}
