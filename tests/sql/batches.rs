//! Random sequences of events on few keys: a batch does what its events do one after the other.
//! Cut anywhere, with events that fail or without, the entities and the actions are the same.

#[path = "batches/entries.rs"]
mod entries;
#[path = "batches/sequence.rs"]
mod sequence;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use entries::{DELETES, PURGES, UPSERTS};
use erp_tests::{Database, Random, db_error};
use postgres::{Client, Error, Row, Statement};
use sequence::{Node, Sequence, event};

/// The mapping of these entries.
fn mapping(entries: &[&str]) -> String {
    let entries = entries.join(", ");
    format!(
        r#"{{"version": "2.0", "mapping": {{"events": {{"Sync": {{"entities": [{entries}]}}}}}}}}"#
    )
}

/// Entities by names that tell them apart whatever their ids are: only stubs have no number.
const SETUP: &str = "
    UPDATE erp.entity_type SET on_missing = 'skip' WHERE slug = 'site';
    UPDATE erp.entity_type SET on_missing = 'error' WHERE slug = 'vendor';
    ALTER TABLE contact ADD CONSTRAINT within_limit CHECK ((attributes ->> 'limit')::numeric >= 0);
    CREATE VIEW entity AS
        SELECT id, stub, deleted_at, attributes,
               'contact ' || coalesce('#' || customer_number, '@' || email) AS name FROM contact
        UNION ALL
        SELECT id, stub, deleted_at, attributes, 'contract #' || contract_number FROM contract
        UNION ALL
        SELECT id, stub, deleted_at, attributes, 'account #' || external_id || '/' || kind FROM account
        UNION ALL
        SELECT id, stub, deleted_at, attributes, 'site #' || site_number FROM site
        UNION ALL
        SELECT id, stub, deleted_at, attributes, 'vendor #' || vendor_number FROM vendor;";

#[test]
fn events_that_succeed_do_the_same_in_any_batches() {
    sequences("batches_good", &[UPSERTS], 240, 0, 1);
}

#[test]
fn events_that_fail_are_set_aside_as_if_each_were_applied_alone() {
    sequences("batches_bad", &[UPSERTS], 240, 12, 2);
}

#[test]
fn events_that_delete_do_the_same_before_and_after_upserts() {
    sequences("batches_delete_first", &[DELETES, UPSERTS], 120, 0, 4);
    sequences("batches_delete_last", &[UPSERTS, DELETES], 120, 6, 5);
}

#[test]
fn events_that_purge_and_prune_do_the_same() {
    sequences("batches_purge", &[PURGES, DELETES, UPSERTS], 100, 0, 6);
    sequences("batches_prune", &[UPSERTS, PURGES], 100, 6, 7);
}

#[test]
fn batches_larger_than_a_chunk_do_the_same() {
    let mapping = mapping(&[UPSERTS, DELETES]);
    let database = prepared("batches_large");
    let mut applier = Applier::new(database.connect(), mapping);
    let mut random = Random::new(3);
    let mut sequence = Sequence::new(&mut random, 1);
    sequence.events = (0..1_100).map(|_| event(&mut random, 1)).collect();
    applier.check(sequence, &random, "large");
}

/// A batch writes an entity once: the table's constraints see what its events make of it together.
#[test]
fn a_violation_that_a_later_event_mends_is_none() {
    let mapping = mapping(&[UPSERTS]);
    let database = prepared("batches_mended");
    let mut applier = Applier::new(database.connect(), mapping);
    let events = [
        r#"{"contacts": [{"number": "1", "limit": -1}]}"#,
        r#"{"contacts": [{"number": "1", "limit": 1}]}"#,
    ];
    applier.session.batch_execute("BEGIN").unwrap();
    let rows = applier.apply_batch(0, &events.map(String::from), "continue");
    assert!(rows[0].starts_with("1 created contact"), "{rows:#?}");
    assert!(rows[1].starts_with("2 updated contact"), "{rows:#?}");
}

/// However many have an address: who keeps it is found, in the same event or a later one.
#[test]
fn a_link_finds_the_one_who_keeps_an_address_that_others_give_up() {
    let mapping = mapping(&[UPSERTS]);
    let database = prepared("batches_address");
    let mut applier = Applier::new(database.connect(), mapping);
    applier.session.batch_execute("BEGIN").unwrap();
    let contact = |number, mail| format!(r#"{{"number": "{number}", "email": "{mail}@x"}}"#);
    let before = ["1", "2", "3"].map(|number| contact(number, "a")).join(", ");
    applier.apply_alone(0, &format!(r#"{{"contacts": [{before}]}}"#)).unwrap();
    let leave = format!(r#""contacts": [{}, {}]"#, contact("1", "b"), contact("2", "c"));
    let link = r#""contracts": [{"number": "1", "payer": "a@x"}]"#;
    applier.session.batch_execute("SAVEPOINT start").unwrap();
    for events in
        [vec![format!("{{{leave}, {link}}}")], vec![format!("{{{leave}}}"), format!("{{{link}}}")]]
    {
        let mut rows = applier.apply_batch(0, &events, "raise");
        let entities = applier.entities(&mut rows);
        assert!(entities.contains(&EXPECTED.to_owned()), "{events:#?} {rows:#?} {entities:#?}");
        applier.session.batch_execute("ROLLBACK TO start").unwrap();
    }
    const EXPECTED: &str = r#"contract #1 {"owner": {"$relation": [{"_schema": "contact", "entity_id": "contact #3"}]}, "contract_number": "1"}"#;
}

/// Checks `count` random sequences in which about `bad` of a hundred entities are made to fail.
fn sequences(database: &str, entries: &[&str], count: usize, bad: usize, seed: u64) {
    let mapping = mapping(entries);
    let database = prepared(database);
    let mut applier = Applier::new(database.connect(), mapping);
    for n in 0..count {
        let mut random = Random::new(seed << 32 | n as u64);
        let sequence = Sequence::new(&mut random, bad);
        applier.check(sequence, &random, &format!("sequence {n}"));
    }
}

/// A database for the mapping; contacts are looked up by e-mail address, but need not have one of
/// their own.
fn prepared(database: &str) -> Database {
    let database = Database::new(database);
    let mut session = database.connect();
    let upserts = mapping(&[UPSERTS]);
    session.query("SELECT erp_prepare($1::text::jsonb)", &[&upserts]).unwrap();
    session.batch_execute(SETUP).unwrap();
    database
}

// How it is applied

/// What events did: a line a row, and a line an entity, ids replaced by names.
#[derive(Debug, PartialEq)]
struct Outcome {
    rows: Vec<String>,
    entities: Vec<String>,
}

struct Applier {
    session: Client,
    mapping: String,
    single: Statement,
    batch: Statement,
}

impl Applier {
    fn new(mut session: Client, mapping: String) -> Applier {
        let single = "
            SELECT entity_slug, entity_id, action, unique_identifiers::text
            FROM erp_apply($1::text::jsonb, 'Sync', $2::text::jsonb)";
        let batch = "
            SELECT entity_slug, entity_id, action, unique_identifiers::text, event, error ->> 'sqlstate',
                   error ->> 'code', error ->> 'message', error ->> 'detail', error ->> 'hint'
            FROM erp_apply_batch($1::text::jsonb, 'Sync', $2::text[]::jsonb[], $3)";
        let [single, batch] = [single, batch].map(|query| session.prepare(query).unwrap());
        Applier { session, mapping, single, batch }
    }

    /// Checks the sequence; of one that fails a small part that fails too is shown.
    fn check(&mut self, sequence: Sequence, random: &Random, name: &str) {
        let Err(mut why) = self.compare(&sequence, &mut random.clone()) else { return };
        let mut failing = sequence;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            let smaller = failing.smaller().find_map(|smaller| {
                let why = self.compare(&smaller, &mut random.clone()).err()?;
                Some((smaller, why))
            });
            let Some(found) = smaller else { break };
            (failing, why) = found;
        }
        let show =
            |nodes: &[Node]| nodes.iter().map(|node| format!("  {node}\n")).collect::<String>();
        panic!(
            "{name}: one by one -, as a batch +\n{why}\nbefore:\n{}deleted: {:?}\nevents:\n{}",
            show(&failing.before),
            failing.deleted,
            show(&failing.events)
        );
    }

    /// Applies the events one by one, as one batch, and in batches cut anywhere. Error: what
    /// differs.
    fn compare(&mut self, sequence: &Sequence, random: &mut Random) -> Result<(), String> {
        let payloads = sequence.payloads();
        let mut failures = Vec::new();
        let one_by_one = self.in_transaction(sequence, |applier| {
            let events = payloads.iter().enumerate();
            let rows: Vec<_> = events.map(|(n, event)| applier.apply_alone(n + 1, event)).collect();
            failures = rows.iter().filter_map(|row| row.as_ref().err().cloned()).collect();
            rows.into_iter().flat_map(|row| row.unwrap_or_else(|failure| vec![failure])).collect()
        });

        let whole =
            self.in_transaction(sequence, |applier| applier.apply_batch(0, &payloads, "continue"));
        same("whole", &one_by_one, &whole)?;

        let cut = self.in_transaction(sequence, |applier| {
            let mut rows = Vec::new();
            let mut from = 0;
            while from < payloads.len() {
                let longest = (payloads.len() - from).min(4 + payloads.len() / 4);
                let to = from + 1 + random.below(longest);
                rows.extend(applier.apply_batch(from, &payloads[from..to], "continue"));
                from = to;
            }
            rows
        });
        same("cut", &one_by_one, &cut)?;
        self.compare_raising(sequence, one_by_one, failures)
    }

    /// A batch that raises does the same if no event fails; else it tells the first failure, and
    /// does nothing.
    fn compare_raising(
        &mut self,
        sequence: &Sequence,
        one_by_one: Outcome,
        failures: Vec<String>,
    ) -> Result<(), String> {
        let mut untouched = Vec::new();
        let raising = self.in_transaction(sequence, |applier| {
            untouched = applier.entities(&mut []);
            applier.apply_batch(0, &sequence.payloads(), "raise")
        });
        let expected = match failures.first().and_then(|failure| failure.split_once(' ')) {
            None => one_by_one,
            Some((event, failure)) => {
                Outcome { rows: vec![with_event(event, failure)], entities: untouched }
            }
        };
        same("raising", &expected, &raising)
    }

    /// Runs `apply` on what the sequence begins with, and leaves nothing of it.
    fn in_transaction(
        &mut self,
        sequence: &Sequence,
        apply: impl FnOnce(&mut Applier) -> Vec<String>,
    ) -> Outcome {
        self.session.batch_execute("BEGIN").unwrap();
        for (n, event) in sequence.before.iter().enumerate() {
            let _ = self.apply_alone(n, &event.to_string());
        }
        for table in &sequence.deleted {
            let delete = format!(
                "UPDATE {table} SET deleted_at = now()
                 WHERE id IN (SELECT id FROM entity WHERE NOT stub AND name LIKE '{table} #1%')"
            );
            self.session.batch_execute(&delete).unwrap();
        }
        let mut rows = apply(self);
        let entities = self.entities(&mut rows);
        self.session.batch_execute("ROLLBACK").unwrap();
        Outcome { rows, entities }
    }

    /// The rows of one event, or its failure, which leaves nothing.
    fn apply_alone(&mut self, n: usize, event: &str) -> Result<Vec<String>, String> {
        self.session.batch_execute("SAVEPOINT event").unwrap();
        match self.session.query(&self.single, &[&self.mapping, &event]) {
            Ok(rows) => Ok(rows.iter().map(|row| applied(n as i64, row)).collect()),
            Err(error) => {
                self.session.batch_execute("ROLLBACK TO event").unwrap();
                Err(format!("{n} {}", raised(&error)))
            }
        }
    }

    /// The rows of a batch, or the failure of the call, which leaves nothing.
    fn apply_batch(&mut self, before: usize, events: &[String], on_error: &str) -> Vec<String> {
        self.session.batch_execute("SAVEPOINT batch").unwrap();
        let rows = match self.session.query(&self.batch, &[&self.mapping, &events, &on_error]) {
            Ok(rows) => rows,
            Err(error) => {
                self.session.batch_execute("ROLLBACK TO batch").unwrap();
                return vec![raised(&error)];
            }
        };
        let number = |row: &Row| before as i64 + row.get::<_, i64>("event");
        let row = |row: &Row| match row.get("action") {
            "failed" => format!("{} {}", number(row), set_aside(row)),
            _ => applied(number(row), row),
        };
        rows.iter().map(row).collect()
    }

    /// What is in the tables; ids become names, in `rows` as well.
    fn entities(&mut self, rows: &mut [String]) -> Vec<String> {
        let query = "
            SELECT id::text, name,
                   concat_ws(' ', name, attributes, CASE WHEN stub THEN 'stub' END,
                             CASE WHEN deleted_at IS NOT NULL THEN 'deleted' END)
            FROM entity ORDER BY name";
        let found = self.session.query(query, &[]).unwrap();
        let names: HashMap<&str, &str> =
            found.iter().map(|row| (row.get(0), row.get::<_, &str>(1))).collect();
        for row in rows.iter_mut() {
            *row = with_names(row, &names);
        }
        found.iter().map(|row| with_names(row.get(2), &names)).collect()
    }
}

/// Error: some of the lines that differ.
fn same(way: &str, expected: &Outcome, got: &Outcome) -> Result<(), String> {
    let only = |sign, these: &[String], those: &[String]| -> String {
        let missing = these.iter().filter(|line| !those.contains(line));
        missing.take(5).map(|line| format!("{sign} {line:.500}\n")).collect()
    };
    let differences =
        |expected: &[String], got: &[String]| only('-', expected, got) + &only('+', got, expected);
    if got == expected {
        return Ok(());
    }
    let rows = differences(&expected.rows, &got.rows);
    let entities = differences(&expected.entities, &got.entities);
    Err(format!("{way}\n{rows}{entities}"))
}

fn applied(event: i64, row: &Row) -> String {
    let [slug, id, action, identifiers] = [0, 1, 2, 3].map(|column| row.get::<_, &str>(column));
    format!("{event} {action} {slug} {id} {identifiers}")
}

fn raised(error: &Error) -> String {
    let error = db_error(error);
    let [detail, hint] = [error.detail(), error.hint()].map(Option::unwrap_or_default);
    let (state, message) = (error.code().code(), error.message());
    format!("failed {state} {message} / {} / {hint}", without_row(detail))
}

/// A failure as a batch raises it: errors of our own tell which event failed.
fn with_event(event: &str, failure: &str) -> String {
    let parts: Vec<&str> = failure.rsplitn(3, " / ").collect();
    match parts[..] {
        [hint, detail, message] if message.starts_with("failed MP") => {
            let detail = match detail.split_once(": ") {
                Some((code, rest)) => format!("{code}: Event: {event}\n{rest}"),
                None => format!("{detail}: Event: {event}"),
            };
            format!("{message} / {detail} / {hint}")
        }
        _ => failure.to_owned(),
    }
}

/// An event that was set aside, told as it is when it is raised: the code in front of the detail.
fn set_aside(row: &Row) -> String {
    let [state, code, message, detail, hint] =
        [5, 6, 7, 8, 9].map(|column| row.get::<_, Option<&str>>(column).unwrap_or_default());
    let colon = if code.is_empty() || detail.is_empty() { "" } else { ": " };
    format!("failed {state} {message} / {code}{colon}{} / {hint}", without_row(detail))
}

/// A row that violates a constraint is printed with its times.
fn without_row(detail: &str) -> &str {
    detail.split_inclusive("Failing row contains").next().unwrap_or_default()
}

/// The text with every id replaced by the entity's name; ids that no entity has by dots.
fn with_names(text: &str, names: &HashMap<&str, &str>) -> String {
    const LENGTH: usize = 36;
    let is_id = |text: &str| {
        let byte = |(at, byte): (usize, u8)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        };
        text.bytes().enumerate().all(byte)
    };
    let mut named = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        match rest.get(..LENGTH).filter(|id| is_id(id)) {
            Some(id) => {
                named.push_str(names.get(id).unwrap_or(&"…"));
                rest = &rest[LENGTH..];
            }
            None => {
                named.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    named
}
