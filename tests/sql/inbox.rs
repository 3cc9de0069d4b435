//! Workers at the inbox: every event is applied once, in the order of its group, whoever is killed and
//! whatever fails.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use erp_tests::{Database, Random, backend, db_error, in_sessions, wait_until, wait_until_blocked};
use postgres::Client;
use postgres::error::SqlState;

/// Each event adds its number to the log of its entity.
const MAPPING: &str = r#"{"version": "2.0", "mapping": {"events": {"Added": {"entities": [
    {"entity_schema": "item", "unique_ids": ["key"], "fields": [
        {"attribute": "key", "field": "key"},
        {"attribute": "last", "field": "n"},
        {"attribute": "log", "jsonataExpression": "{\"_append\": [n]}"}]}]}}}}"#;

/// Entities with trouble cannot be written: that fails with the SQLSTATE of the trouble, or by what it
/// has done instead.
const SETUP: &str = "
    CREATE TABLE trouble (key text PRIMARY KEY, state text NOT NULL DEFAULT '23514', does text);
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        found_trouble trouble;
    BEGIN
        SELECT * INTO found_trouble FROM trouble AS t WHERE t.key = new.attributes ->> 'key';
        IF found_trouble.does IS NOT NULL THEN
            EXECUTE found_trouble.does;
        ELSIF FOUND THEN
            RAISE EXCEPTION 'there is trouble' USING ERRCODE = found_trouble.state, DETAIL = 'as told', HINT = 'wait';
        END IF;
        RETURN new;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION refuse();";

fn prepared(name: &str, settings: &str) -> Database {
    let database = Database::new(name);
    let mut session = database.connect();
    session.query("SELECT erp_prepare($1::text::jsonb)", &[&MAPPING]).unwrap();
    session.batch_execute(SETUP).unwrap();
    session.batch_execute("SELECT erp_create_integration('erp')").unwrap();
    let set = "SELECT erp_set_use_case('erp/items', $1::text::jsonb, settings => $2::text::jsonb)";
    session.query(set, &[&MAPPING, &settings]).unwrap();
    database
}

/// Puts the numbers of `from` into the inbox, as events of the entity `key` and of its group.
fn enqueue(session: &mut impl postgres::GenericClient, key: &str, numbers: &[usize]) {
    let event = |n: &usize| {
        format!(
            r#"{{"event_name": "Added", "group_key": "{key}", "payload": {{"key": "{key}", "n": {n}}}}}"#
        )
    };
    let events: Vec<String> = numbers.iter().map(event).collect();
    session
        .query("SELECT erp_enqueue_batch('erp/items', $1::text[]::jsonb[])", &[&events])
        .unwrap();
}

fn log_of(session: &mut Client, key: &str) -> Vec<usize> {
    let query = "SELECT n::text FROM item, jsonb_array_elements_text(attributes -> 'log') WITH ORDINALITY AS l(n, at) \
                 WHERE key = $1 ORDER BY at";
    let rows = session.query(query, &[&key]).unwrap();
    rows.iter().map(|row| row.get::<_, String>(0).parse().unwrap()).collect()
}

fn count(session: &mut Client, query: &str) -> i64 {
    session.query_one(query, &[]).unwrap().get(0)
}

/// Nothing waits, every event has an outcome, and the marks of the lanes leave nothing behind.
fn check_done(session: &mut Client, events: usize) {
    assert_eq!(count(session, "SELECT count(*) FROM erp.inbox"), 0);
    let done = count(session, "SELECT count(*) FROM erp.outcome WHERE state = 'done'");
    assert_eq!(done as usize, events);
    let runs = count(session, "SELECT coalesce(sum(done), 0)::bigint FROM erp.run");
    assert_eq!(runs as usize, events, "what the runs count");
}

const GROUPS: usize = 7;

#[test]
fn workers_apply_each_event_once_in_the_order_of_its_group() {
    const ROUNDS: usize = 40;
    let database = prepared("inbox", "{}");
    let (producing, total) = (AtomicUsize::new(2), AtomicUsize::new(0));
    in_sessions(&database, 6, |number, session| {
        let mut random = Random::new(7 << 32 | number as u64);
        if number >= 2 {
            // A worker, some of whose work is rolled back.
            while producing.load(Ordering::SeqCst) > 0
                || count(session, "SELECT count(*) FROM erp.inbox") > 0
            {
                let mut transaction = session.transaction().unwrap();
                let size = 1 + random.below(60) as i32;
                transaction.query("SELECT * FROM erp_process($1)", &[&size]).unwrap();
                match random.chance(80) {
                    true => transaction.commit().unwrap(),
                    false => transaction.rollback().unwrap(),
                }
            }
            return;
        }
        // A producer of its own groups, in transactions of which each is open for a while.
        let mut next = [0; GROUPS];
        for _ in 0..ROUNDS {
            let mut transaction = session.transaction().unwrap();
            for _ in 0..random.below(4) {
                let group = random.below(GROUPS);
                let size = 1 + random.below(20);
                let numbers: Vec<usize> = (next[group]..next[group] + size).collect();
                next[group] += size;
                total.fetch_add(size, Ordering::SeqCst);
                enqueue(&mut transaction, &format!("{number}-{group}"), &numbers);
                thread::sleep(Duration::from_millis(random.below(4) as u64));
            }
            transaction.commit().unwrap();
        }
        producing.fetch_sub(1, Ordering::SeqCst);
    });
    let mut session = database.connect();
    check_done(&mut session, total.load(Ordering::SeqCst));
    let mut seen = 0;
    for key in
        (0..2).flat_map(|producer| (0..GROUPS).map(move |group| format!("{producer}-{group}")))
    {
        let log = log_of(&mut session, &key);
        assert!(log.iter().copied().eq(0..log.len()), "{key}: {log:?}");
        seen += log.len();
    }
    assert_eq!(seen, total.load(Ordering::SeqCst));
    assert!(count(&mut session, "SELECT count(*) FROM erp.lane WHERE mark > 0") > 0);
}

#[test]
fn killed_workers_leave_nothing_half_done() {
    const EVENTS: usize = 3_000;
    const KILLS: usize = 25;
    let database = prepared("inbox_killed", r#"{"history": "changes"}"#);
    let mut session = database.connect();
    for group in 0..GROUPS {
        let numbers: Vec<usize> = (0..EVENTS / GROUPS).collect();
        enqueue(&mut session, &format!("k-{group}"), &numbers);
    }
    let events = EVENTS / GROUPS * GROUPS;
    let (is_over, killed) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let mut worker = database.connect();
                    let work = "CALL erp_work(25, wait => true, max_time => '10 s')";
                    if let Err(error) = worker.batch_execute(work) {
                        let state = error.code();
                        let is_kill = state.is_none_or(|state| *state == SqlState::ADMIN_SHUTDOWN);
                        assert!(is_kill, "{error:?}");
                        killed.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        let mut random = Random::new(11);
        let own = backend(&mut session);
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> $1 AND query LIKE 'CALL erp_work%' ORDER BY random() LIMIT 1";
        while count(&mut session, "SELECT count(*) FROM erp.inbox") > 0 {
            if killed.load(Ordering::SeqCst) < KILLS {
                session.query(kill, &[&own]).unwrap();
            }
            thread::sleep(Duration::from_millis(random.below(25) as u64));
        }
        is_over.store(true, Ordering::SeqCst);
        let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> $1";
        session.query(all, &[&own]).unwrap();
    });
    assert!(killed.load(Ordering::SeqCst) > 3, "nobody was killed");
    check_done(&mut session, events);
    for group in 0..GROUPS {
        let log = log_of(&mut session, &format!("k-{group}"));
        assert!(log.iter().copied().eq(0..EVENTS / GROUPS), "{log:?}");
    }
    // What changed is kept exactly once as well.
    assert_eq!(count(&mut session, "SELECT count(*) FROM erp.history") as usize, events);
    assert_eq!(
        count(&mut session, "SELECT count(DISTINCT event) FROM erp.history") as usize,
        events
    );
}

#[test]
fn a_failing_event_holds_its_group_back_and_no_other() {
    let database = prepared("inbox_failing", r#"{"retry_after": "20 ms", "max_attempts": 1000}"#);
    let mut session = database.connect();
    session.batch_execute("INSERT INTO trouble VALUES ('a')").unwrap();
    enqueue(&mut session, "a", &[0, 1, 2]);
    enqueue(&mut session, "b", &[0, 1]);
    let process = "SELECT taken, done, failed, dead FROM erp_process()";
    let row = session.query_one(process, &[]).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (5, 2));
    assert_eq!((row.get::<_, i64>(2), row.get::<_, i64>(3)), (1, 0));
    let mut attempts = 1;
    wait_until("it is tried again", || {
        attempts += session.query_one(process, &[]).unwrap().get::<_, i64>(2);
        attempts >= 4
    });
    assert_eq!(log_of(&mut session, "b"), [0, 1]);
    assert!(log_of(&mut session, "a").is_empty());
    session.batch_execute("DELETE FROM trouble").unwrap();
    wait_until("its group goes on", || {
        session.query(process, &[]).unwrap();
        count(&mut session, "SELECT count(*) FROM erp.inbox") == 0
    });
    assert_eq!(log_of(&mut session, "a"), [0, 1, 2]);
    let failures = "SELECT count(*) FROM erp.failure WHERE sqlstate = '23514' AND message = 'there is trouble' \
                    AND detail = 'as told' AND hint = 'wait'";
    assert_eq!(count(&mut session, failures), attempts);
}

#[test]
fn what_blocks_its_group_waits_for_an_operator() {
    let settings = r#"{"retry_after": "1 ms", "max_attempts": 2, "on_poison": "block"}"#;
    let database = prepared("inbox_blocked", settings);
    let mut session = database.connect();
    session.batch_execute("INSERT INTO trouble VALUES ('a')").unwrap();
    enqueue(&mut session, "a", &[0, 1]);
    let blocked = "SELECT count(*) FROM erp.inbox WHERE due_at = 'infinity'";
    wait_until("it blocks", || {
        session.query("SELECT * FROM erp_process()", &[]).unwrap();
        count(&mut session, blocked) == 1
    });
    session.batch_execute("DELETE FROM trouble").unwrap();
    enqueue(&mut session, "a", &[2]);
    session.query("SELECT * FROM erp_process()", &[]).unwrap();
    assert_eq!(count(&mut session, "SELECT count(*) FROM erp.inbox"), 3);
    assert_eq!(count(&mut session, "SELECT erp_retry('erp/items')"), 1);
    session.query("SELECT * FROM erp_process()", &[]).unwrap();
    assert_eq!(log_of(&mut session, "a"), [0, 1, 2]);
}

/// An operator has an event tried again while a worker applies it: when the operator's turn comes, it is
/// done.
#[test]
fn what_a_worker_has_applied_meanwhile_is_not_tried_again() {
    let database = prepared("inbox_retried", r#"{"retry_after": "1 day"}"#);
    let (mut worker, mut operator) = (database.connect(), database.connect());
    let mut observer = database.connect();
    worker.batch_execute("INSERT INTO trouble VALUES ('a')").unwrap();
    enqueue(&mut worker, "a", &[7]);
    worker.query("SELECT * FROM erp_process()", &[]).unwrap();
    worker.batch_execute("DELETE FROM trouble; UPDATE erp.inbox SET due_at = now()").unwrap();
    let waiting = backend(&mut operator);
    let mut open = worker.transaction().unwrap();
    open.query("SELECT * FROM erp_process()", &[]).unwrap();
    thread::scope(|scope| {
        let retried = scope.spawn(move || count(&mut operator, "SELECT erp_retry('erp/items')"));
        wait_until_blocked(&mut observer, waiting);
        open.commit().unwrap();
        assert_eq!(retried.join().unwrap(), 0);
    });
    observer.query("SELECT * FROM erp_process()", &[]).unwrap();
    assert_eq!(log_of(&mut observer, "a"), [7]);
    check_done(&mut observer, 1);
}

/// Events become visible when they are committed, not in the order of their ids: what comes late must
/// not be left behind by workers that have gone on.
#[test]
fn events_that_commit_late_are_not_left_behind() {
    let database = prepared("inbox_late", "{}");
    let (mut early, mut late) = (database.connect(), database.connect());
    for round in 0..5 {
        let mut open = late.transaction().unwrap();
        enqueue(&mut open, "one", &[2 * round]);
        for other in 0..3 {
            enqueue(&mut early, "one", &[1_000 + 3 * round + other]);
            early.query("SELECT * FROM erp_process()", &[]).unwrap();
        }
        open.commit().unwrap();
        // The second of the late ones comes behind the first.
        enqueue(&mut late, "one", &[2 * round + 1]);
        early.query("SELECT * FROM erp_process()", &[]).unwrap();
        let expected: Vec<usize> = (0..2 * round + 2).collect();
        let mut log = log_of(&mut early, "one");
        log.retain(|number| *number < 1_000);
        assert_eq!(log, expected);
    }
    check_done(&mut early, 25);
}

/// Nothing younger than the transaction that is open has ended when workers look how far events have
/// come in.
#[test]
fn events_of_a_transaction_that_is_the_youngest_are_not_left_behind() {
    let database = prepared("inbox_youngest", "{}");
    let (mut early, mut late) = (database.connect(), database.connect());
    let process = "SELECT * FROM erp_process()";
    let mut open = late.transaction().unwrap();
    enqueue(&mut open, "one", &[0]);
    for _ in 0..3 {
        early.query(process, &[]).unwrap();
    }
    for number in 1..4 {
        enqueue(&mut early, "one", &[number]);
        early.query(process, &[]).unwrap();
    }
    open.commit().unwrap();
    early.query(process, &[]).unwrap();
    assert_eq!(log_of(&mut early, "one"), [1, 2, 3, 0]);
    check_done(&mut early, 4);
}

#[test]
fn one_deduplication_id_is_taken_once_by_all_sessions() {
    const IDS: usize = 40;
    let database = prepared("inbox_deduplication", "{}");
    let taken = in_sessions(&database, 8, |number, session| {
        let mut random = Random::new(13 << 32 | number as u64);
        let mut ids: Vec<usize> = (0..IDS).collect();
        random.shuffle(&mut ids);
        let mut taken = 0;
        for id in ids {
            let event = format!(
                r#"{{"event_name": "Added", "deduplication_id": "d{id}", "payload": {{"key": "k{id}", "n": {number}}}}}"#
            );
            if random.chance(50) {
                let rows = session
                    .query("SELECT action FROM erp_ingest('erp/items', $1::text::jsonb)", &[&event])
                    .unwrap();
                taken += usize::from(rows[0].get::<_, &str>(0) != "duplicate");
            } else {
                let query = "SELECT erp_enqueue_batch('erp/items', ARRAY[$1::text::jsonb, $1::text::jsonb])";
                taken += session.query_one(query, &[&event]).unwrap().get::<_, i64>(0) as usize;
            }
        }
        taken
    });
    assert_eq!(taken.iter().sum::<usize>(), IDS);
    let mut session = database.connect();
    session.batch_execute("CALL erp_work()").unwrap();
    check_done(&mut session, IDS);
    let once = "SELECT count(*) FROM item WHERE jsonb_array_length(attributes -> 'log') = 1";
    assert_eq!(count(&mut session, once) as usize, IDS);
    let duplicates =
        count(&mut session, "SELECT count(*) FROM erp.event WHERE duplicate_of IS NOT NULL");
    let events = count(&mut session, "SELECT count(*) FROM erp.event");
    assert_eq!(duplicates, events - IDS as i64);
}

/// What ends a transaction, raised by a trigger again and again.
const ENDING: [&str; 6] = ["40001", "40P01", "53100", "53200", "57014", "57P01"];

#[test]
fn an_event_that_raises_what_ends_a_transaction_is_the_one_that_fails() {
    let settings = r#"{"retry_after": "1 ms", "max_attempts": 2, "history": "changes"}"#;
    let database = prepared("inbox_ending", settings);
    let mut session = database.connect();
    for state in ENDING {
        let (bad, good) = (format!("bad-{state}"), format!("good-{state}"));
        session.execute("INSERT INTO trouble VALUES ($1, $2)", &[&bad, &state]).unwrap();
        enqueue(&mut session, &good, &[0, 1, 2]);
        enqueue(&mut session, &bad, &[0, 1]);
        enqueue(&mut session, &good, &[3, 4]);
        let process = "SELECT taken, done, failed, dead FROM erp_process()";
        let row = session.query_one(process, &[]).unwrap();
        let counted: Vec<i64> = (0..4).map(|n| row.get(n)).collect();
        assert_eq!(counted, [7, 5, 1, 0], "{state}");
        assert_eq!(log_of(&mut session, &good), [0, 1, 2, 3, 4], "{state}");
        assert_eq!(count(&mut session, "SELECT count(*) FROM erp.inbox WHERE attempts = 1"), 1);
        wait_until("both have failed for good", || {
            session.query(process, &[]).unwrap();
            count(&mut session, "SELECT count(*) FROM erp.inbox") == 0
        });
        assert!(log_of(&mut session, &bad).is_empty());
        let failures = format!(
            "SELECT count(*) FROM erp.failure AS f JOIN erp.event AS e ON e.id = f.event \
             WHERE f.sqlstate = '{state}' AND f.message = 'there is trouble' AND f.detail = 'as told' \
                   AND f.hint = 'wait' AND e.group_key = '{bad}'"
        );
        assert_eq!(count(&mut session, &failures), 4, "{state}");
        // Once there is no trouble, an operator has it tried again.
        session.batch_execute("DELETE FROM trouble").unwrap();
        let retry = format!("SELECT erp_retry(sqlstate => '{state}')");
        assert_eq!(count(&mut session, &retry), 2);
        session.query(process, &[]).unwrap();
        assert_eq!(log_of(&mut session, &bad), [0, 1], "{state}");
    }
    assert_eq!(count(&mut session, "SELECT count(*) FROM erp.failure"), 4 * ENDING.len() as i64);
    assert_eq!(count(&mut session, "SELECT count(*) FROM erp.history"), 7 * ENDING.len() as i64);
}

#[test]
fn an_event_that_is_ingested_and_raises_what_ends_a_transaction_is_a_dead_letter() {
    let database = prepared("inbox_ending_ingested", "{}");
    let mut session = database.connect();
    for state in ENDING {
        let (bad, good) = (format!("bad-{state}"), format!("good-{state}"));
        session.execute("INSERT INTO trouble VALUES ($1, $2)", &[&bad, &state]).unwrap();
        let events = [&good, &bad, &good].map(|key| {
            format!(r#"{{"event_name": "Added", "payload": {{"key": "{key}", "n": 1}}}}"#)
        });
        let ingest = "SELECT action, error ->> 'sqlstate' \
                      FROM erp_ingest_batch('erp/items', $1::text[]::jsonb[], 'dead_letter') ORDER BY event_id";
        let rows = session.query(ingest, &[&events.as_slice()]).unwrap();
        let told: Vec<(String, Option<String>)> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let told: Vec<_> = told.iter().map(|(a, e)| (a.as_str(), e.as_deref())).collect();
        assert_eq!(told, [("created", None), ("failed", Some(state)), ("updated", None)]);
        // Otherwise the caller is told.
        let ingest = "SELECT * FROM erp_ingest_batch('erp/items', $1::text[]::jsonb[])";
        let error = session.query(ingest, &[&events.as_slice()]).unwrap_err();
        assert_eq!(db_error(&error).code().code(), state);
    }
    let dead = "SELECT count(*) FROM erp.outcome WHERE state = 'dead'";
    assert_eq!(count(&mut session, dead), ENDING.len() as i64);
}

/// A row that is written under another id than it was given looks like one that another session has
/// created first, however often it is tried.
#[test]
fn an_event_that_finds_its_entity_changed_at_every_try_is_the_one_that_fails() {
    let database = prepared("inbox_contended", r#"{"history": "full"}"#);
    let mut session = database.connect();
    session
        .batch_execute(
            "CREATE FUNCTION rename() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN new.id := gen_random_uuid(); RETURN new; END $$;
             CREATE TRIGGER rename BEFORE INSERT ON item FOR EACH ROW
                 WHEN (new.attributes ->> 'key' = 'bad') EXECUTE FUNCTION rename()",
        )
        .unwrap();
    enqueue(&mut session, "bad", &[0]);
    enqueue(&mut session, "good", &[0, 1]);
    session.query("SELECT * FROM erp_process()", &[]).unwrap();
    assert_eq!(log_of(&mut session, "good"), [0, 1]);
    assert_eq!(count(&mut session, "SELECT count(*) FROM erp.failure WHERE sqlstate = '40001'"), 1);
    assert_eq!(count(&mut session, "SELECT count(*) FROM erp.inbox WHERE attempts = 1"), 1);
}

/// A cancel, a timeout, a disk that is full, and a snapshot that is too old are nobody's fault but
/// the call's.
#[test]
fn what_ends_the_call_is_no_failure_of_an_event() {
    let database = prepared("inbox_ended", "{}");
    let mut session = database.connect();
    enqueue(&mut session, "good", &[0]);
    enqueue(&mut session, "bad", &[0]);
    let mut fails = |does: &str, begin: &str, state: &str| {
        session.batch_execute("DELETE FROM trouble").unwrap();
        let trouble = "INSERT INTO trouble VALUES ('bad', '40001', nullif($1, ''))";
        session.execute(trouble, &[&does]).unwrap();
        let ingest = "SELECT * FROM erp_ingest('erp/items', '{\"event_name\": \"Added\", \
                      \"payload\": {\"key\": \"bad\", \"n\": 1}}', 'dead_letter')";
        for call in ["SELECT * FROM erp_process()", ingest] {
            session.batch_execute(begin).unwrap();
            let error = session.query(call, &[]).unwrap_err();
            assert_eq!(db_error(&error).code().code(), state, "{does} {begin}: {error:?}");
            session.batch_execute("ROLLBACK").unwrap();
        }
        assert_eq!(count(&mut session, "SELECT count(*) FROM erp.inbox WHERE attempts = 0"), 2);
        assert_eq!(count(&mut session, "SELECT count(*) FROM erp.failure"), 0);
        assert_eq!(count(&mut session, "SELECT count(*) FROM erp.event"), 2);
    };
    let begin = "BEGIN; SET LOCAL statement_timeout = ";
    fails("SELECT pg_sleep(100)", &format!("{begin} '200 ms'"), "57014");
    fails("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(100)", "BEGIN", "57014");
    fails("COPY (SELECT 1) TO '/dev/full'", "BEGIN", "53100");
    fails("", "BEGIN ISOLATION LEVEL REPEATABLE READ", "40001");
    fails("", "BEGIN ISOLATION LEVEL SERIALIZABLE", "40001");
}

#[test]
fn a_batch_of_large_payloads_is_taken_in_parts() {
    let database = prepared("inbox_large", "{}");
    let mut session = database.connect();
    // In the table they take little: 1 MB each once they are unpacked, in two groups that take turns.
    session
        .batch_execute(
            "SELECT erp_enqueue_batch('erp/items', array_agg(jsonb_build_object(
                 'event_name', 'Added', 'group_key', 'k' || n % 2, 'payload', jsonb_build_object(
                     'key', 'k' || n % 2, 'n', n / 2, 'padding', repeat('x', 1000000))) ORDER BY n))
             FROM generate_series(0, 49) AS n",
        )
        .unwrap();
    session
        .batch_execute(
            "SELECT erp_enqueue_batch('erp/items', array_agg(jsonb_build_object(
                 'event_name', 'Added', 'group_key', 'huge', 'payload', jsonb_build_object(
                     'key', 'huge', 'n', n, 'padding', repeat('x', n * 40000000))) ORDER BY n))
             FROM generate_series(0, 1) AS n",
        )
        .unwrap();
    let mut process = || -> (i64, i64) {
        let row = session.query_one("SELECT taken, done FROM erp_process()", &[]).unwrap();
        (row.get(0), row.get(1))
    };
    // 1,000,000 bytes and what is around them.
    let parts = [process(), process(), process(), process()];
    assert_eq!(parts, [(31, 31), (20, 20), (1, 1), (0, 0)]);
    check_done(&mut session, 52);
    for key in ["k0", "k1"] {
        assert_eq!(log_of(&mut session, key), (0..25).collect::<Vec<_>>());
    }
    assert_eq!(log_of(&mut session, "huge"), [0, 1]);
}

/// The plans are made when the tables are empty, and nobody analyses them.
#[test]
fn a_repeat_is_found_by_index_in_a_table_just_filled() {
    let database = prepared("inbox_repeats", "{}");
    let mut session = database.connect();
    session.batch_execute("ALTER TABLE erp.event SET (autovacuum_enabled = off)").unwrap();
    let enqueue = |ids: &str| {
        format!(
            "SELECT erp_enqueue_batch('erp/items', array_agg(jsonb_build_object(
                 'event_name', 'Added', 'deduplication_id', 'd' || n, 'payload', jsonb_build_object('key', n, 'n', n))))
             FROM unnest(ARRAY(SELECT {ids})) AS n"
        )
    };
    session.batch_execute(&enqueue("1 UNION ALL SELECT 1")).unwrap();
    session.batch_execute(&enqueue("generate_series(2, 20000)")).unwrap();
    session.batch_execute("BEGIN").unwrap();
    assert_eq!(count(&mut session, &enqueue("generate_series(100, 109)")), 0);
    let read = "SELECT pg_stat_get_xact_tuples_returned('erp.event'::regclass)::bigint \
                + sum(pg_stat_get_xact_tuples_returned(indexrelid))::bigint \
                FROM pg_index WHERE indrelid = 'erp.event'::regclass";
    let rows = count(&mut session, read);
    assert!(rows < 100, "{rows} rows were read for ten events");
}

/// What constraints say that are checked at commit is an event's failure as well.
#[test]
fn an_event_that_fails_at_commit_is_the_one_that_fails() {
    let settings = r#"{"retry_after": "1 ms", "max_attempts": 2, "history": "changes"}"#;
    let database = prepared("inbox_deferred", settings);
    let mut session = database.connect();
    session
        .batch_execute(
            "DROP TRIGGER refuse ON item;
             CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON item
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
             INSERT INTO trouble VALUES ('bad', '23514'), ('worse', '40001')",
        )
        .unwrap();
    enqueue(&mut session, "good", &[0, 1]);
    enqueue(&mut session, "bad", &[0, 1]);
    enqueue(&mut session, "worse", &[0]);
    enqueue(&mut session, "good", &[2]);
    let process = "SELECT taken, done, failed, dead FROM erp_process()";
    let row = session.query_one(process, &[]).unwrap();
    let counted: Vec<i64> = (0..4).map(|n| row.get(n)).collect();
    assert_eq!(counted, [6, 3, 2, 0]);
    assert_eq!(log_of(&mut session, "good"), [0, 1, 2]);
    wait_until("they have failed for good", || {
        session.query(process, &[]).unwrap();
        count(&mut session, "SELECT count(*) FROM erp.inbox") == 0
    });
    let failures = "SELECT count(*) FROM erp.failure AS f JOIN erp.event AS e ON e.id = f.event \
                    WHERE f.sqlstate = CASE e.group_key WHEN 'bad' THEN '23514' ELSE '40001' END \
                          AND f.message = 'there is trouble' AND f.detail = 'as told'";
    assert_eq!(count(&mut session, failures), 6);
    assert_eq!(count(&mut session, "SELECT count(*) FROM erp.history"), 3);
}

/// Whoever calls from a transaction of his own may break a constraint before, and mend it after.
#[test]
fn constraints_of_the_caller_stay_deferred() {
    let database = prepared("inbox_deferred_caller", "{}");
    let mut session = database.connect();
    session
        .batch_execute(
            "CREATE TABLE parent (id integer PRIMARY KEY);
             CREATE TABLE child (id integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
        )
        .unwrap();
    for broken in ["before", "after"] {
        enqueue(&mut session, broken, &[0]);
        let mut transaction = session.transaction().unwrap();
        let mut say = |statement: &str| transaction.batch_execute(statement).unwrap();
        let breaks = "INSERT INTO child VALUES (1)";
        let process = "SELECT * FROM erp_process()";
        match broken {
            "before" => [breaks, process].into_iter().for_each(&mut say),
            _ => [process, breaks].into_iter().for_each(&mut say),
        }
        say("DELETE FROM child");
        transaction.commit().unwrap();
        assert_eq!(log_of(&mut session, broken), [0]);
    }
    check_done(&mut session, 2);
}
