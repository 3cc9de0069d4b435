//! The real pg_cron, on a server of its own: it wants to be loaded with the server.

use std::time::Duration;

use erp_tests::server::Server;
use erp_tests::{db_error, wait_long};
use postgres::Client;

use super::{SETUP, count, enqueue, outcome};

const SETTINGS: &str = "-c shared_preload_libraries=pg_cron -c cron.database_name=postgres \
    -c cron.use_background_workers=on -c max_worker_processes=20 -c fsync=off";

/// Long enough for the next minute to begin, and for its jobs on a busy machine.
const NEXT_MINUTE: Duration = Duration::from_secs(150);

#[test]
fn jobs_of_pg_cron_apply_and_remove_events() {
    let server = Server::new("cron");
    server.start(SETTINGS);
    let mut session = server.connect("postgres").unwrap();
    without_the_extension(&mut session);
    session.batch_execute("CREATE EXTENSION pg_cron").unwrap();
    session.batch_execute(SETUP).unwrap();
    in_another_database(&server, &mut session);
    jobs_are_made_changed_and_dropped(&mut session);

    let event = enqueue(&mut session, "1", None);
    let old = an_old_event(&mut session);
    session.batch_execute("SELECT erp_schedule(maintenance => '* * * * *')").unwrap();
    somebody_else_schedules(&mut session);

    wait_long("the job applies the event", NEXT_MINUTE, || {
        outcome(&mut session, event) == Some("done".to_owned())
    });
    wait_long("the job removes the old event", NEXT_MINUTE, || {
        let there = format!("SELECT count(*) FROM erp.event WHERE id = {old}");
        count(&mut session, &there) == 0
    });
    // What a job ends with is told: that one may not read what it should.
    let failed = "SELECT count(*) FROM erp_jobs() WHERE run_as = 'nobody' AND job_name = 'erp_toolkit work'
        AND last_state = 'failed' AND last_error LIKE '%permission denied for table %' AND last_error_at IS NOT NULL";
    wait_long("the error is told", NEXT_MINUTE, || count(&mut session, failed) == 1);
    let succeeded =
        "SELECT count(*) FROM erp_jobs() WHERE run_as <> 'nobody' AND last_state = 'succeeded'
        AND last_started_at <= last_ended_at AND last_error IS NULL";
    wait_long("the jobs have succeeded", NEXT_MINUTE, || count(&mut session, succeeded) == 2);

    assert_eq!(count(&mut session, "SELECT erp_unschedule()::bigint"), 2);
    notes_of_runs_are_removed(&mut session);
}

fn without_the_extension(session: &mut Client) {
    session.batch_execute("CREATE EXTENSION erp_toolkit").unwrap();
    let error = session.execute("SELECT erp_schedule()", &[]).unwrap_err();
    let error = db_error(&error);
    assert_eq!((error.code().code(), error.hint()), ("0A000", Some("CREATE EXTENSION pg_cron;")));
}

/// The hint is what to run where pg_cron is.
fn in_another_database(server: &Server, home: &mut Client) {
    home.batch_execute("CREATE DATABASE other").unwrap();
    let mut other = server.connect("other").unwrap();
    other.batch_execute("CREATE EXTENSION erp_toolkit").unwrap();
    let error = other.execute("SELECT erp_schedule()", &[]).unwrap_err();
    let hint = db_error(&error).hint().unwrap().to_owned();
    let statement = hint.strip_prefix(r#"It is in the database "postgres". There: "#).expect(&hint);
    home.batch_execute(statement).unwrap();
    let there = "SELECT count(*) FROM cron.job WHERE database = 'other'
        AND command IN ('CALL public.erp_work()', 'CALL public.erp_maintain()')";
    assert_eq!(count(home, there), 2);
    // Jobs of another database are not ours.
    assert_eq!(count(home, "SELECT count(*) FROM erp_jobs()"), 0);
    home.batch_execute("SELECT cron.unschedule(jobid) FROM cron.job").unwrap();
}

/// The hint is the right that is missing.
fn somebody_else_schedules(session: &mut Client) {
    session.batch_execute("CREATE ROLE nobody LOGIN").unwrap();
    for refused in ["erp_schedule()", "erp_unschedule()", "erp_jobs()"] {
        session.batch_execute("SET ROLE nobody").unwrap();
        let error = session.execute(&format!("SELECT * FROM {refused}"), &[]).unwrap_err();
        let error = db_error(&error);
        let hint = error.hint().map(str::to_owned).expect(refused);
        assert_eq!(error.code().code(), "42501", "{refused}");
        session.batch_execute("RESET ROLE").unwrap();
        session
            .batch_execute(&format!(
                "BEGIN; {hint} SET LOCAL ROLE nobody; SELECT * FROM {refused}; ROLLBACK"
            ))
            .unwrap();
    }
    session
        .batch_execute("GRANT USAGE ON SCHEMA cron TO nobody; SET ROLE nobody; SELECT erp_schedule(); RESET ROLE")
        .unwrap();
}

fn jobs_are_made_changed_and_dropped(session: &mut Client) {
    let all = "erp_toolkit work * * * * * \
        CALL public.erp_work(batch_size => 1000, use_case => NULL, max_time => '00:00:55', wait => false)";
    let maintain = "erp_toolkit maintain 17 * * * * CALL public.erp_maintain()";
    assert_eq!(schedule(session, ""), [maintain, all]);
    // Called again, they stay; with other arguments, they change.
    let ids = "SELECT sum(job_id)::bigint FROM erp_jobs()";
    let before = count(session, ids);
    assert_eq!(schedule(session, ""), [maintain, all]);
    assert_eq!(count(session, ids), before);
    let later = "erp_toolkit maintain 30 2 * * * CALL public.erp_maintain()";
    let changed = "erp_toolkit work */5 * * * * \
        CALL public.erp_work(batch_size => 10, use_case => NULL, max_time => '00:04:50', wait => true)";
    let arguments = "'*/5 * * * *', wait => true, batch_size => 10, max_time => '290 s', maintenance => '30 2 * * *'";
    assert_eq!(schedule(session, arguments), [later, changed]);
    assert_eq!(count(session, ids), before);

    // As many workers as were asked for last, for each use case.
    let names = |jobs: Vec<String>| -> Vec<String> {
        jobs.iter().map(|job| job.split(" * ").next().unwrap().to_owned()).collect()
    };
    let two = names(schedule(session, "use_case => 'sap/customers', workers => 3"));
    let one = "erp_toolkit work sap/customers";
    assert_eq!(two[2..], [one.to_owned(), format!("{one} #2"), format!("{one} #3")]);
    assert_eq!(names(schedule(session, "use_case => 'sap/customers'"))[2..], [one]);
    assert_eq!(names(schedule(session, "use_case => 'sap'"))[2..], ["erp_toolkit work sap", one]);
    // The schedule of erp_maintain stays as it was set.
    assert_eq!(schedule(session, "")[0], later);

    for (arguments, code) in [
        ("'every minute'", "22023"),
        ("NULL", "22023"),
        ("workers => 0", "22023"),
        ("batch_size => 0", "22023"),
        ("use_case => 'sap/nothing'", "MP012"),
    ] {
        let schedule = format!("SELECT erp_schedule({arguments})");
        let error = session.execute(&schedule, &[]).unwrap_err();
        assert_eq!(db_error(&error).code().code(), code, "{arguments}: {error:?}");
    }
    assert_eq!(count(session, "SELECT erp_unschedule('sap')::bigint"), 1);
    assert_eq!(count(session, "SELECT erp_unschedule('sap')::bigint"), 0);
    assert_eq!(count(session, "SELECT erp_unschedule()::bigint"), 3);
    assert_eq!(count(session, "SELECT count(*) FROM cron.job"), 0);
}

/// The jobs that there are then: name, schedule and command.
fn schedule(session: &mut Client, arguments: &str) -> Vec<String> {
    let jobs = format!(
        "SELECT concat_ws(' ', job_name, job_schedule, command) FROM erp_schedule({arguments})"
    );
    session.query(&jobs, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// An event that ended long ago.
fn an_old_event(session: &mut Client) -> i64 {
    let event = enqueue(session, "old", None);
    session.execute("SELECT erp_skip(ARRAY[$1::bigint])", &[&event]).unwrap();
    let age = format!(
        "UPDATE erp.event SET received_at = '2020-01-01' WHERE id = {event};
         UPDATE erp.outcome SET ended_at = '2020-01-01' WHERE event = {event}"
    );
    session.batch_execute(&age).unwrap();
    event
}

/// pg_cron keeps a note of every run, for ever.
fn notes_of_runs_are_removed(session: &mut Client) {
    let notes = "SELECT count(*) FROM cron.job_run_details";
    session.batch_execute("SELECT cron.schedule('another', '0 0 1 1 *', 'SELECT 1')").unwrap();
    session
        .batch_execute(
            "INSERT INTO cron.job_run_details (jobid, runid, database, command, end_time)
             SELECT 1000, 1000000, 'postgres', 'SELECT 1', '2020-01-01'",
        )
        .unwrap();
    session.batch_execute("CALL erp_maintain()").unwrap();
    assert!(count(session, notes) > 1);
    session.batch_execute("SET erp_toolkit.job_retention = 0").unwrap();
    session.batch_execute("CALL erp_maintain()").unwrap();
    // Those of others' jobs are not ours to remove.
    assert_eq!(count(session, notes), 1);
}
