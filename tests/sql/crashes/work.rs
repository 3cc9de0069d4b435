//! What the sessions do: each event writes three entities that others write too, and appends its
//! token to all of them. A session whose connection breaks finds out what became of its last call,
//! and goes on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use erp_tests::server::Server;
use postgres::{Client, Error};

use super::connect;

pub const DATABASE: &str = "crashes";

pub const MAPPING: &str = r#"{"version": "2.0", "mapping": {"events": {"Sync": {"entities": [
{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [
    {"attribute": "customer_number", "field": "contact"},
    {"attribute": "log", "jsonataExpression": "{\"_append\": [token]}"}]},
{"entity_schema": "contract", "unique_ids": ["contract_number"], "fields": [
    {"attribute": "contract_number", "field": "contract"},
    {"attribute": "log", "jsonataExpression": "{\"_append\": [token]}"},
    {"attribute": "owner", "relations": {"items": [
        {"entity_schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "owner"}]}]}}]},
{"entity_schema": "account", "unique_ids": ["account_number"], "fields": [
    {"attribute": "account_number", "field": "account"},
    {"attribute": "log", "jsonataExpression": "{\"_append\": [token]}"},
    {"attribute": "contracts", "relations": {"operation": "_append_unique", "items": [
        {"entity_schema": "contract", "unique_ids": [{"attribute": "contract_number", "field": "contract"}]}]}}]}
]}}}}"#;

/// Sessions of each kind: single events, batches, imports.
const SINGLES: usize = 3;
const BATCHES: usize = 1;
const IMPORTS: usize = 2;

/// Events of a batch, of an import, and of one of its batches.
const BATCH: u64 = 5;
pub const IMPORT: u64 = 400;
const IMPORT_BATCH: u64 = 40;

/// The token and the entities of event `n` of a stream; after some time they are other entities, so
/// that what is appended stays short.
const PAYLOAD: &str = "jsonb_build_object('token', concat_ws('-', $1::text, n),
    'contact', concat_ws('-', n / 60, n % 3), 'owner', concat_ws('-', n / 60, n % 7),
    'contract', concat_ws('-', n / 60, n % 4), 'account', concat_ws('-', n / 60, n % 5))";

pub struct Work<'s> {
    server: &'s Server,
    is_ended: AtomicBool,
    is_crashing: AtomicBool,
    /// What sessions were told is done: tokens, and imports by their stream.
    acknowledged: Mutex<Acknowledged>,
    progress: Condvar,
    broken: AtomicU64,
    resumed: AtomicU64,
}

#[derive(Debug, Clone, Default)]
pub struct Acknowledged {
    pub tokens: BTreeSet<String>,
    pub imports: BTreeSet<String>,
}

pub struct End<'w, 's>(&'w Work<'s>);

impl Drop for End<'_, '_> {
    fn drop(&mut self) {
        self.0.is_ended.store(true, Ordering::SeqCst);
    }
}

impl<'s> Work<'s> {
    pub fn new(server: &'s Server) -> Work<'s> {
        Work {
            server,
            is_ended: AtomicBool::new(false),
            is_crashing: AtomicBool::new(false),
            acknowledged: Mutex::default(),
            progress: Condvar::new(),
            broken: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
        }
    }

    pub fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
    ) -> Vec<ScopedJoinHandle<'scope, ()>> {
        let mut sessions = Vec::new();
        for number in 0..SINGLES {
            sessions.push(scope.spawn(move || self.apply(&format!("single{number}"), 1)));
        }
        for number in 0..BATCHES {
            sessions.push(scope.spawn(move || self.apply(&format!("batch{number}"), BATCH)));
        }
        for number in 0..IMPORTS {
            sessions.push(scope.spawn(move || self.import(number)));
        }
        sessions
    }

    /// The sessions end when this is dropped; imports are brought to their end.
    pub fn end_when_dropped(&self) -> End<'_, 's> {
        End(self)
    }

    /// Waits until calls have been acknowledged.
    pub fn wait_for_progress(&self, most: Duration) {
        for _ in 0..2 * (SINGLES + BATCHES) {
            let acknowledged = self.acknowledged.lock().unwrap();
            let (held, waited) = self.progress.wait_timeout(acknowledged, most).unwrap();
            drop(held);
            assert!(!waited.timed_out(), "the sessions do not get on");
        }
    }

    pub fn acknowledged(&self) -> Acknowledged {
        self.acknowledged.lock().unwrap().clone()
    }

    pub fn told(&self) -> String {
        let acknowledged = self.acknowledged();
        format!(
            "{} events in calls, {} in {} imports; {} connections broke, {} imports were resumed",
            acknowledged.tokens.len(),
            acknowledged.imports.len() as u64 * IMPORT,
            acknowledged.imports.len(),
            self.broken.load(Ordering::SeqCst),
            self.resumed.load(Ordering::SeqCst),
        )
    }

    fn acknowledge(&self, note: impl FnOnce(&mut Acknowledged)) {
        note(&mut self.acknowledged.lock().unwrap());
        self.progress.notify_all();
    }

    /// Tells the sessions whether the server is being killed, or recovers.
    pub fn set_crashing(&self, is_crashing: bool) {
        self.is_crashing.store(is_crashing, Ordering::SeqCst);
    }

    fn is_crashing(&self) -> bool {
        self.is_crashing.load(Ordering::SeqCst)
    }

    fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::SeqCst)
    }

    /// Events of a stream, `count` a call.
    fn apply(&self, stream: &str, count: u64) {
        let mut session = connect(self.server);
        let mut first = 1;
        while !self.is_ended() {
            let applied = apply(&mut session, stream, first, count);
            if let Err(error) = applied {
                self.check_broken(&session, &error);
                match self.find(&mut session, stream, first, count) {
                    true => {}
                    false => continue,
                }
            }
            let tokens = (first..first + count).map(|n| format!("{stream}-{n}"));
            self.acknowledge(|acknowledged| acknowledged.tokens.extend(tokens));
            first += count;
        }
    }

    /// Whether a call whose end was not told has been committed.
    fn find(&self, session: &mut Client, stream: &str, first: u64, count: u64) -> bool {
        let query = "
            SELECT count(*) FROM contact, jsonb_array_elements_text(attributes -> 'log') AS token
            WHERE token = ANY (ARRAY(SELECT concat_ws('-', $1::text, n) FROM generate_series($2::bigint, $3) AS n))";
        let last = first + count - 1;
        let found: i64 = loop {
            *session = connect(self.server);
            match session.query_one(query, &[&stream, &(first as i64), &(last as i64)]) {
                Ok(row) => break row.get(0),
                Err(error) => self.check_broken(session, &error),
            }
        };
        assert!(found == 0 || found == count as i64, "{found} of {count} events of a call");
        found > 0
    }

    /// Imports, one after the other; one that was interrupted is resumed.
    fn import(&self, number: usize) {
        let mut session = connect(self.server);
        for round in 0.. {
            if self.is_ended() {
                return;
            }
            let stream = format!("import{number}.{round}");
            while let Err(error) = self.import_or_resume(&mut session, &stream) {
                self.check_broken(&session, &error);
                session = connect(self.server);
            }
            self.acknowledge(|acknowledged| {
                acknowledged.imports.insert(stream);
            });
        }
    }

    fn import_or_resume(&self, session: &mut Client, stream: &str) -> Result<(), Error> {
        let payload = PAYLOAD.replace("$1::text", &format!("'{stream}'"));
        let source = format!("SELECT {payload} FROM generate_series(1, {IMPORT}) AS n ORDER BY n");
        let query = "SELECT id, finished_at IS NOT NULL FROM erp.import WHERE source_query = $1 ORDER BY id DESC LIMIT 1";
        let resume = match session.query_opt(query, &[&source])? {
            None => String::new(),
            Some(known) if known.get::<_, bool>(1) => return Ok(()),
            Some(known) => {
                self.resumed.fetch_add(1, Ordering::SeqCst);
                format!(", resume => {}", known.get::<_, i64>(0))
            }
        };
        session.batch_execute(&format!(
            "CALL erp_import($m${MAPPING}$m$, 'Sync', $q${source}$q$, {IMPORT_BATCH}{resume})"
        ))
    }

    /// A call may fail because the server went down, and for no other reason. Until the server has
    /// noticed that a backend was killed, it takes its import to be running (55006).
    fn check_broken(&self, session: &Client, error: &Error) {
        let state = error.code().map(|state| state.code().to_owned());
        let is_ending = matches!(state.as_deref(), Some("57P01" | "57P02" | "57P03"));
        let is_unnoticed = state.as_deref() == Some("55006") && self.is_crashing();
        assert!(is_ending || is_unnoticed || error.is_closed() || session.is_closed(), "{error:?}");
        self.broken.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(2));
    }
}

fn apply(session: &mut Client, stream: &str, first: u64, count: u64) -> Result<(), Error> {
    let last = (first + count - 1) as i64;
    let (first, name) = (first as i64, if count == 1 { "erp_apply" } else { "erp_apply_batch" });
    let payloads = format!("SELECT {PAYLOAD} FROM generate_series($2::bigint, $3) AS n ORDER BY n");
    let payload = if count == 1 { format!("({payloads})") } else { format!("ARRAY({payloads})") };
    let query = format!("SELECT FROM {name}($4::text::jsonb, 'Sync', {payload})");
    session.query(&query, &[&stream, &first, &last, &MAPPING]).map(|_| ())
}
