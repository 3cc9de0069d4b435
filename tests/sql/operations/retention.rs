//! Removing what is old, while others are at it.

use std::thread;

use erp_tests::{Database, backend, db_error, wait_until, wait_until_blocked};
use postgres::Client;

use super::{count, enqueue, outcome, with_use_case};

/// A batch of `erp_maintain`, in the caller's transaction.
const REMOVE: &str =
    "SELECT coalesce((erp._remove('event', 0, 1000)).removed ->> 'event', '0')::bigint";

/// An event that has ended, and a session for which it is old.
fn with_old_event(name: &str) -> (Database, Client, i64) {
    let database = with_use_case(name);
    let mut keeper = database.connect();
    let event = enqueue(&mut keeper, "1", Some("first"));
    keeper.batch_execute("CALL erp_work()").unwrap();
    assert_eq!(outcome(&mut keeper, event).as_deref(), Some("done"));
    keeper
        .batch_execute("SELECT erp_merge('{}', '{}'); SET erp_toolkit.event_retention = 0")
        .unwrap();
    (database, keeper, event)
}

fn exists(session: &mut Client, event: i64) -> bool {
    let exists = "SELECT EXISTS (SELECT FROM erp.event WHERE id = $1)";
    session.query_one(exists, &[&event]).unwrap().get(0)
}

#[test]
fn an_event_that_is_being_put_back_stays_and_nobody_waits() {
    let (database, mut keeper, event) = with_old_event("put_back");
    let mut operator = database.connect();
    operator.batch_execute("BEGIN").unwrap();
    let replay = "SELECT erp_replay('sap/customers', ARRAY[$1::bigint])";
    operator.query_one(replay, &[&event]).unwrap();
    keeper.batch_execute("SET lock_timeout = '1s'").unwrap();
    keeper.batch_execute("CALL erp_maintain()").unwrap();
    operator.batch_execute("COMMIT").unwrap();
    keeper.batch_execute("CALL erp_maintain()").unwrap();
    assert!(exists(&mut keeper, event) && outcome(&mut keeper, event).is_none());
    keeper.batch_execute("CALL erp_work()").unwrap();
    assert_eq!(outcome(&mut keeper, event).as_deref(), Some("done"));
    keeper.batch_execute("CALL erp_maintain()").unwrap();
    assert!(!exists(&mut keeper, event));
}

#[test]
fn a_use_case_that_is_dropped_meanwhile_keeps_nothing_from_being_removed() {
    let (database, mut keeper, event) = with_old_event("drop_meanwhile");
    let mut operator = database.connect();
    operator.batch_execute("BEGIN; SELECT erp_drop_use_case('sap/customers')").unwrap();
    let pid = backend(&mut keeper);
    let maintaining = thread::spawn(move || keeper.batch_execute("CALL erp_maintain()"));
    wait_until_blocked(&mut operator, pid);
    operator.batch_execute("COMMIT").unwrap();
    maintaining.join().unwrap().unwrap();
    assert!(!exists(&mut operator, event));
}

#[test]
fn an_event_that_is_being_removed_is_not_put_back() {
    let (database, mut keeper, event) = with_old_event("removed_first");
    keeper.batch_execute("BEGIN").unwrap();
    assert_eq!(count(&mut keeper, REMOVE), 1);
    let mut operator = database.connect();
    let pid = backend(&mut operator);
    let replaying = thread::spawn(move || -> i64 {
        let replay = "SELECT erp_replay('sap/customers', ARRAY[$1::bigint])";
        operator.query_one(replay, &[&event]).unwrap().get(0)
    });
    wait_until_blocked(&mut database.connect(), pid);
    keeper.batch_execute("COMMIT").unwrap();
    assert_eq!(replaying.join().unwrap(), 0);
    assert_eq!(count(&mut keeper, "SELECT count(*) FROM erp.inbox"), 0);
}

#[test]
fn nobody_who_brings_in_or_applies_events_waits_for_a_removal() {
    let (database, mut keeper, _) = with_old_event("unhindered");
    keeper.batch_execute("BEGIN").unwrap();
    assert_eq!(count(&mut keeper, REMOVE), 1);
    let mut sender = database.connect();
    sender.batch_execute("SET lock_timeout = '1s'").unwrap();
    let event = enqueue(&mut sender, "2", Some("second"));
    sender.batch_execute("CALL erp_work()").unwrap();
    assert_eq!(outcome(&mut sender, event).as_deref(), Some("done"));
    let ingest = r#"SELECT action FROM erp_ingest('sap/customers', '{"event_name": "Changed", "payload": {"no": "3"}}')"#;
    assert_eq!(sender.query_one(ingest, &[]).unwrap().get::<_, String>(0), "created");
    // Two removals at once do not wait for each other either.
    let mut other = database.connect();
    other
        .batch_execute("SELECT erp_merge('{}', '{}'); SET erp_toolkit.event_retention = 0")
        .unwrap();
    other.batch_execute("SET lock_timeout = '1s'").unwrap();
    other.batch_execute("CALL erp_maintain()").unwrap();
    assert!(!exists(&mut other, event));
    keeper.batch_execute("COMMIT").unwrap();
}

#[test]
fn a_repeat_of_an_event_that_is_being_removed_waits_and_is_new() {
    let (database, mut keeper, event) = with_old_event("repeated");
    keeper.batch_execute("BEGIN").unwrap();
    assert_eq!(count(&mut keeper, REMOVE), 1);
    let mut sender = database.connect();
    let pid = backend(&mut sender);
    let sending = thread::spawn(move || {
        let event = enqueue(&mut sender, "1", Some("first"));
        (sender, event)
    });
    wait_until_blocked(&mut database.connect(), pid);
    keeper.batch_execute("COMMIT").unwrap();
    let (mut sender, again) = sending.join().unwrap();
    assert_ne!(again, event);
    let new = "SELECT count(*) FROM erp.event WHERE duplicate_of IS NULL";
    assert_eq!(
        (count(&mut sender, new), count(&mut sender, "SELECT count(*) FROM erp.inbox")),
        (1, 1)
    );
}

/// The repeat is found to be one, and what it repeats is gone when that is noted.
#[test]
fn a_repeat_of_an_event_that_is_removed_meanwhile_is_noted() {
    let (database, mut keeper, _) = with_old_event("repeated_meanwhile");
    keeper
        .batch_execute(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql
                 AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$;
             CREATE TRIGGER hold AFTER INSERT ON erp.event FOR EACH STATEMENT EXECUTE FUNCTION hold();
             SELECT pg_advisory_lock(1)",
        )
        .unwrap();
    let mut sender = database.connect();
    let pid = backend(&mut sender);
    let sending = thread::spawn(move || {
        let events = r#"ARRAY['{"event_name": "Changed", "payload": {"no": "2"}}',
            '{"event_name": "Changed", "payload": {"no": "1"}, "deduplication_id": "first"}',
            '{"event_name": "Changed", "payload": {"no": "3"}, "deduplication_id": "third"}']::jsonb[]"#;
        let enqueue = format!("SELECT erp_enqueue_batch('sap/customers', {events})");
        count(&mut sender, &enqueue)
    });
    wait_until_blocked(&mut database.connect(), pid);
    assert_eq!(count(&mut keeper, REMOVE), 1);
    keeper.batch_execute("SELECT pg_advisory_unlock(1)").unwrap();
    assert_eq!(sending.join().unwrap(), 2);
    let noted = "SELECT string_agg(payload ->> 'no', ' ' ORDER BY payload ->> 'no') FROM erp.event WHERE duplicate_of IS ";
    let mut noted = |which: &str| -> Option<String> {
        keeper.query_one(&format!("{noted}{which}"), &[]).unwrap().get(0)
    };
    assert_eq!(noted("NULL").as_deref(), Some("2 3"));
    assert_eq!(noted("NOT NULL").as_deref(), Some("1"));
}

#[test]
fn a_removal_can_be_cancelled_and_keeps_the_batches_that_were_committed() {
    let database = with_use_case("cancelled_removal");
    let mut session = database.connect();
    let payloads = "ARRAY(SELECT jsonb_build_object('no', n) FROM generate_series(1, 1000) AS n)";
    let enqueue = format!("SELECT erp_enqueue_batch('sap/customers', 'Changed', {payloads})");
    session.batch_execute(&enqueue).unwrap();
    session.batch_execute("CALL erp_work()").unwrap();
    let mut keeper = database.connect();
    let pid = backend(&mut keeper);
    // The last of the events is locked by a statement that ends with the test, so that its batch waits.
    session
        .batch_execute("BEGIN; SELECT FROM erp.event ORDER BY id DESC LIMIT 1 FOR UPDATE")
        .unwrap();
    let removing = thread::spawn(move || {
        keeper
            .batch_execute("SELECT erp_merge('{}', '{}'); SET erp_toolkit.event_retention = 0")
            .unwrap();
        keeper.batch_execute("CALL erp_maintain(100)")
    });
    let mut observer = database.connect();
    wait_until_blocked(&mut observer, pid);
    observer.execute("SELECT pg_cancel_backend($1)", &[&pid]).unwrap();
    let error = removing.join().unwrap().unwrap_err();
    assert_eq!(db_error(&error).code().code(), "57014");
    session.batch_execute("COMMIT").unwrap();
    wait_until("nothing is half removed", || {
        count(&mut observer, "SELECT count(*) FROM erp.event") == 100
            && count(&mut observer, "SELECT count(*) FROM erp.outcome") == 100
    });
}
