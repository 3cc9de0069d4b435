//! Several sessions change the same integration: versions are counted without a gap.

use erp_tests::{Database, in_sessions};

const SESSIONS: usize = 4;
const TIMES: usize = 15;

#[test]
fn sessions_that_set_a_use_case_at_once_make_a_version_each() {
    let database = Database::new("integrations");
    let mut session = database.connect();
    session.batch_execute("SELECT erp_create_integration('erp')").unwrap();
    let mut versions: Vec<i32> = in_sessions(&database, SESSIONS, |number, session| {
        (0..TIMES).map(|n| set(session, &format!("{number}.{n}"))).collect::<Vec<i32>>()
    })
    .concat();
    versions.sort_unstable();
    let all: Vec<i32> = (1..=(SESSIONS * TIMES) as i32).collect();
    assert_eq!(versions, all);
    let query = "SELECT version, (SELECT max(version) FROM erp.use_case_version) FROM erp.use_case";
    let row = session.query_one(query, &[]).unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, i32>(1)), (60, 60));
}

/// Sets a configuration that differs from all others; returns its version.
fn set(session: &mut postgres::Client, value: &str) -> i32 {
    let query = r#"
        SELECT erp_set_use_case('erp/same', format('{"entities": [{"entity_schema": "a", "unique_ids": ["no"],
            "fields": [{"attribute": "no", "constant": %s}]}]}', to_json($1::text))::jsonb)"#;
    session.query_one(query, &[&value]).unwrap().get(0)
}
