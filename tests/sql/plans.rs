//! How PostgreSQL runs the statements: a table that has just been filled has no statistics, and a
//! plan made when it was empty is kept; rows are looked up by index all the same.

use std::sync::{Arc, Mutex};

use erp_tests::Database;
use postgres::Client;

const MAPPING: &str = r#"{"entities": [
    {"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [
        {"attribute": "customer_number", "field": "number"},
        {"attribute": "email", "field": "email"},
        {"attribute": "name", "field": "name"},
        {"attribute": "payer", "relations": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "payer"}]}]}}]}]}"#;

/// How many entities there are when the kept plans are used.
const MANY: i32 = 50_000;

#[test]
fn tables_filled_just_now_are_looked_up_by_index() {
    for direct_access in ["on", "off"] {
        let database = Database::new("plans_managed");
        let mut session = database.connect();
        session.query("SELECT erp_prepare($1::text::jsonb)", &[&MAPPING]).unwrap();
        let unkept = format!(
            "ALTER TABLE contact SET (autovacuum_enabled = off); SET erp_toolkit.direct_access = {direct_access}"
        );
        session.batch_execute(&unkept).unwrap();
        is_looked_up_by_index(&mut session);
    }
}

#[test]
fn registered_tables_filled_just_now_are_looked_up_by_index() {
    const REGISTERED: &str = "
        CREATE TABLE contact (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_number text UNIQUE, email text, name text,
            data jsonb) WITH (autovacuum_enabled = off);
        CREATE INDEX ON contact (email);
        SELECT erp_register_entity('contact', 'contact', ARRAY['customer_number'], attributes_column => 'data');
        SELECT erp_register_entity('contact', 'contact', ARRAY['email'], for_upsert => false, attributes_column => 'data');";
    let database = Database::new("plans_registered");
    let mut session = database.connect();
    session.batch_execute(REGISTERED).unwrap();
    is_looked_up_by_index(&mut session);
}

/// Whatever the session's settings, of a table that was empty when the plans were made, and that
/// nobody has analysed.
fn is_looked_up_by_index(session: &mut Client) {
    session
        .batch_execute("SET jit_above_cost = 0; SET plan_cache_mode = force_custom_plan; BEGIN")
        .unwrap();
    // The plans of every statement that follows are made here, for an empty table.
    apply(session, 1, 1, "first");
    apply(session, 1, 1, "second");
    apply(session, 2, MANY, "first");
    let before = scans(session);
    // Some that are there and change, some that do not, some that are not there; each with a link.
    let apart = "
        SELECT count(*) FROM erp_apply_batch($1::text::jsonb, 'any', ARRAY(
            SELECT jsonb_build_object('number', n * 40, 'name', CASE WHEN n % 2 = 0 THEN 'other' ELSE 'first' END,
                                      'email', n * 40 || '@x', 'payer', n * 30 || '@x')
            FROM generate_series(1, 1500) AS n))";
    session.query(apart, &[&MAPPING]).unwrap();
    for _ in 0..20 {
        apply(session, 77, 77, "third");
        apply(session, 77, 77, "third");
    }
    let after = scans(session);
    assert_eq!(after.sequential - before.sequential, 0, "the table was read from end to end");
    assert!(after.by_index - before.by_index > 1_500, "it was not looked up by index: {after:?}");
    // An index that is walked from end to end would be no better.
    let read = after.rows - before.rows;
    assert!(read < 40_000, "{read} rows were read to look up some 3,000");
    session.batch_execute("ROLLBACK").unwrap();
}

/// Every statement's plan, as auto_explain shows it.
#[test]
fn statements_neither_hash_documents_nor_scan_tables_nor_are_compiled() {
    let database = Database::new("plans_shown");
    let told = Arc::new(Mutex::new(Vec::new()));
    let plans = told.clone();
    let mut session = database.connect_told(move |notice| plans.lock().unwrap().push(notice));
    session.query("SELECT erp_prepare($1::text::jsonb)", &[&MAPPING]).unwrap();
    session.batch_execute(SHOW_PLANS).unwrap();
    apply(&mut session, 1, 5, "first");
    apply(&mut session, 1, 1500, "second");
    // Small documents, of which the hashes of many are the same.
    let documents = "
        SELECT count(*) FROM erp_apply_batch($1::text::jsonb, 'any', ARRAY(
            SELECT jsonb_build_object('number', n, 'name', jsonb_build_object('a', n, 'b', n))
            FROM generate_series(1, 1500) AS n))";
    session.query(documents, &[&MAPPING]).unwrap();
    let is_compiled: bool = session.query_one("SELECT pg_jit_available()", &[]).unwrap().get(0);
    drop(session);
    let told = told.lock().unwrap();
    let (callers, ours): (Vec<&String>, Vec<&String>) =
        told.iter().partition(|plan| plan.contains("erp_apply_batch"));
    let ours: Vec<_> = ours.into_iter().filter(|plan| plan.contains("contact")).collect();
    assert!(ours.len() >= 6, "{} plans were shown", ours.len());
    for plan in ours {
        for node in ["Seq Scan on contact", "Hash", "Merge Join", "Materialize", "Unique", "JIT:"] {
            assert!(!plan.contains(node), "{node}: {plan}");
        }
    }
    // What the session's settings do to the callers' statements.
    assert_eq!(callers.iter().any(|plan| plan.contains("JIT:")), is_compiled, "{callers:#?}");
}

/// As long as a statement would do nothing else.
#[test]
fn entities_are_looked_up_and_written_without_statements() {
    let database = Database::new("plans_direct");
    let told = Arc::new(Mutex::new(Vec::new()));
    let plans = told.clone();
    let mut session = database.connect_told(move |notice| plans.lock().unwrap().push(notice));
    session.query("SELECT erp_prepare($1::text::jsonb)", &[&MAPPING]).unwrap();
    session.batch_execute(SHOW_PLANS).unwrap();
    // Nor is it remembered that statements were wanted.
    apply(&mut session, 1, 1, "none");
    session.batch_execute("RESET erp_toolkit.direct_access").unwrap();
    let statements = |session: &mut Client| {
        told.lock().unwrap().clear();
        apply(session, 1, 1, "first");
        apply(session, 1, 5, "first");
        apply(session, 1, 500, "second");
        let told = told.lock().unwrap();
        // Since PostgreSQL 16 with their parameters, of which a slug is one.
        let is_of_table =
            |line: &str| line.contains("contact") && !line.starts_with("Query Parameters:");
        let is_ours =
            |plan: &&String| plan.lines().any(is_of_table) && !plan.contains("erp_apply_batch");
        told.iter().filter(is_ours).cloned().collect::<Vec<String>>()
    };
    let without = statements(&mut session);
    assert!(without.is_empty(), "{without:#?}");
    session
        .batch_execute(
            "TRUNCATE contact;
             CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
             CREATE TRIGGER pass BEFORE INSERT OR UPDATE ON contact FOR EACH ROW EXECUTE FUNCTION pass()",
        )
        .unwrap();
    assert!(!statements(&mut session).is_empty(), "a trigger is run by statements");
}

const SHOW_PLANS: &str = "
    LOAD 'auto_explain';
    SET auto_explain.log_min_duration = 0;
    SET auto_explain.log_nested_statements = on;
    SET auto_explain.log_level = notice;
    SET client_min_messages = notice;
    SET jit_above_cost = 0;
    SET plan_cache_mode = force_custom_plan;
    SET erp_toolkit.direct_access = off;";

/// Applies a batch of contacts with these numbers.
fn apply(session: &mut Client, from: i32, to: i32, name: &str) {
    let query = "
        SELECT count(*) FROM erp_apply_batch($1::text::jsonb, 'any', ARRAY(
            SELECT jsonb_build_object('number', n, 'name', $4::text, 'email', n || '@x', 'payer', n || '@x')
            FROM generate_series($2::integer, $3) AS n))";
    session.query(query, &[&MAPPING, &from, &to, &name]).unwrap();
}

#[derive(Debug)]
struct Scans {
    sequential: i64,
    by_index: i64,
    /// Entries that were read of indexes.
    rows: i64,
}

/// What this transaction did to the table until now.
fn scans(session: &mut Client) -> Scans {
    let query = "
        SELECT pg_stat_get_xact_numscans('contact'::regclass),
               sum(pg_stat_get_xact_numscans(indexrelid))::bigint,
               sum(pg_stat_get_xact_tuples_returned(indexrelid))::bigint
        FROM pg_index WHERE indrelid = 'contact'::regclass";
    let row = session.query_one(query, &[]).unwrap();
    Scans { sequential: row.get(0), by_index: row.get(1), rows: row.get(2) }
}
