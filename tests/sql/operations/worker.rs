//! Workers that stay connected, and who is told that events have come.

use std::thread;
use std::time::Duration;

use erp_tests::{backend, db_error, wait_until};
use postgres::fallible_iterator::FallibleIterator;
use postgres::{Client, Notification};

use super::{enqueue, outcome, with_use_case};

#[test]
fn who_listens_is_told_at_commit_which_use_case_has_events() {
    let database = with_use_case("notified");
    let (mut listener, mut sender) = (database.connect(), database.connect());
    listener.batch_execute("LISTEN erp_inbox").unwrap();

    sender.batch_execute("BEGIN").unwrap();
    enqueue(&mut sender, "1", None);
    enqueue(&mut sender, "2", None);
    assert!(told(&mut listener, Duration::from_millis(200)).is_empty());
    sender.batch_execute("COMMIT").unwrap();
    // Once a transaction.
    let first = told(&mut listener, Duration::from_secs(2));
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!((first[0].channel(), first[0].payload()), ("erp_inbox", "sap/customers"));

    sender.batch_execute("BEGIN").unwrap();
    enqueue(&mut sender, "3", None);
    sender.batch_execute("ROLLBACK").unwrap();
    let off = r#"SELECT erp_set_integration('sap', settings => '{"notify": false}')"#;
    sender.batch_execute(off).unwrap();
    enqueue(&mut sender, "4", None);
    // What is told comes in the order of commits: had one of those two been told, it would be first.
    sender.batch_execute("NOTIFY erp_inbox, 'end'").unwrap();
    let last = told(&mut listener, Duration::from_secs(2));
    assert_eq!(last.iter().map(Notification::payload).collect::<Vec<_>>(), ["end"]);
}

/// What is told until nothing has come for `silence`.
fn told(listener: &mut Client, silence: Duration) -> Vec<Notification> {
    listener.notifications().timeout_iter(silence).collect().unwrap()
}

#[test]
fn a_worker_that_waits_picks_events_up_until_it_is_cancelled() {
    let database = with_use_case("waiting_worker");
    let mut session = database.connect();
    let mut worker = database.connect();
    let pid = backend(&mut worker);
    let working = thread::spawn(move || {
        worker.batch_execute("CALL erp_work(wait => true, max_time => '5 min')")
    });
    for no in ["1", "2"] {
        wait_until("the worker has nothing to do", || {
            let idle = "SELECT coalesce(wait_event = 'PgSleep', false) FROM pg_stat_activity WHERE pid = $1";
            session.query_one(idle, &[&pid]).unwrap().get(0)
        });
        let event = enqueue(&mut session, no, None);
        wait_until("the event is applied", || {
            outcome(&mut session, event) == Some("done".to_owned())
        });
    }
    session.execute("SELECT pg_cancel_backend($1)", &[&pid]).unwrap();
    let error = working.join().unwrap().unwrap_err();
    assert_eq!(db_error(&error).code().code(), "57014");
}

#[test]
fn a_worker_that_does_not_wait_ends_when_nothing_is_due() {
    let database = with_use_case("working_once");
    let mut session = database.connect();
    let events: Vec<i64> =
        ["1", "2", "3"].iter().map(|no| enqueue(&mut session, no, None)).collect();
    session.batch_execute("CALL erp_work(batch_size => 1, max_time => '5 min')").unwrap();
    for event in events {
        assert_eq!(outcome(&mut session, event).as_deref(), Some("done"));
    }
}
