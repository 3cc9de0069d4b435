//! A server that is killed again and again while sessions apply events and import them. After each
//! recovery what was acknowledged is there, once; no event is there in part; indexes and tables are
//! sound. In the end everything is there.

#[path = "crashes/check.rs"]
mod check;
#[path = "crashes/work.rs"]
mod work;

use std::thread;
use std::time::{Duration, Instant};

use erp_tests::server::Server;
use erp_tests::{Random, is_long, tell_figures};
use postgres::Client;

use work::{DATABASE, MAPPING, Work};

/// So that checkpoints come in between as well. All that makes a server durable is on by default.
const SETTINGS: &str = "-c checkpoint_timeout=30s -c max_wal_size=64MB -c log_min_messages=warning";

#[test]
fn what_is_committed_survives_every_crash() {
    let (kills, seed) = match is_long() {
        true => (50, u64::from(std::process::id())),
        false => (3, 1),
    };
    let server = Server::new("crashes");
    server.start(SETTINGS);
    prepare(&server);
    let work = Work::new(&server);
    let mut random = Random::new(seed);
    let mut killed = [0, 0];
    thread::scope(|scope| {
        let sessions = work.start(scope);
        // The sessions are to end, also when a check fails.
        let end = work.end_when_dropped();
        for crash in 0..kills {
            work.wait_for_progress(Duration::from_secs(60));
            thread::sleep(Duration::from_millis(20 + random.below(400) as u64));
            let kind = crash % 2;
            work.set_crashing(true);
            match kind {
                0 => stop(&server),
                _ => kill_backend(&server),
            }
            killed[kind] += 1;
            let mut session = connect(&server);
            work.set_crashing(false);
            check::all(&mut session, &work);
        }
        drop(end);
        sessions.into_iter().for_each(|session| session.join().expect("a session failed"));
    });
    check::all(&mut connect(&server), &work);
    check::complete(&mut connect(&server), &work);
    check::log(&server.log());
    let [stopped, backends] = killed;
    tell_figures(&format!(
        "crashes: the server {stopped} times, a backend {backends} times; {}",
        work.told()
    ));
}

fn prepare(server: &Server) {
    let mut session = server.connect("postgres").unwrap();
    session.batch_execute(&format!("CREATE DATABASE {DATABASE}")).unwrap();
    let mut session = server.connect(DATABASE).unwrap();
    session.batch_execute("CREATE EXTENSION erp_toolkit; CREATE EXTENSION amcheck").unwrap();
    session.query("SELECT erp_prepare($1::text::jsonb)", &[&MAPPING]).unwrap();
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let row = session.query_one("SELECT current_setting($1)", &[&setting]).unwrap();
        assert_eq!(row.get::<_, &str>(0), "on", "{setting}");
    }
}

fn stop(server: &Server) {
    server.stop_immediately();
    server.start(SETTINGS);
}

/// Kills a backend that is at work, which ends all others, too.
fn kill_backend(server: &Server) {
    let mut session = connect(server);
    let query = "
        SELECT pid FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
        ORDER BY state <> 'active', random() LIMIT 1";
    server.kill(session.query_one(query, &[]).unwrap().get(0));
    // Until this session has been ended as well, a new one could be of the time before.
    while session.simple_query("SELECT").is_ok() {
        thread::sleep(Duration::from_millis(2));
    }
}

/// A session, as soon as the server has recovered.
fn connect(server: &Server) -> Client {
    let start = Instant::now();
    loop {
        match server.connect(DATABASE) {
            Ok(session) => return session,
            Err(error) => {
                let waited = start.elapsed();
                assert!(waited < Duration::from_secs(60), "the server does not recover: {error}");
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}
