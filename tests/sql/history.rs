//! Random sequences of events: what the history tells is what was in the tables, at every time,
//! however the events came in, and with several sessions at once.

#[path = "batches/entries.rs"]
mod entries;
#[path = "batches/sequence.rs"]
mod sequence;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use entries::{DELETES, PURGES, UPSERTS};
use erp_tests::{Database, Random, in_sessions};
use postgres::Client;
use postgres::error::SqlState;
use sequence::{Sequence, event};

const REGISTERED: &str = include_str!("model/registered.sql");

const MANAGED: &str = "
    UPDATE erp.entity_type SET on_missing = 'skip' WHERE slug = 'site';
    UPDATE erp.entity_type SET on_missing = 'error' WHERE slug = 'vendor';";

/// What is there of each entity: slug, id, attributes, state.
const ENTITIES: &str = "
    SELECT t.slug, f.entity_id, n.attributes::text, n.state
    FROM erp.entity_type AS t, erp_find(t.slug) AS f, erp._now(t.slug, f.entity_id) AS n";

/// Changes whose before is not the after of the entity's change before; full history.
const BROKEN: &str = "
    SELECT format('%s: %s, then %s of %s', h.id, h.last, h.action, h.known)
    FROM (SELECT id, action, concat_ws(' ', state_before, before::text) AS known,
                 lag(concat_ws(' ', state_after, after::text), 1, '') OVER (PARTITION BY entity_slug, entity_id ORDER BY id) AS last
          FROM erp.history) AS h
    WHERE h.known <> h.last";

const FORGET: &str = "
    TRUNCATE erp.event, erp.run, erp.outcome, erp.failure, erp.history, erp.inbox;
    TRUNCATE contact, contract, account, site, vendor;";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Tables {
    Managed,
    /// Of a user's own, with ids of their own.
    Registered,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Single,
    /// In batches, cut anywhere.
    Batch,
    /// By the inbox, in batches cut anywhere.
    Inbox,
}

/// Attributes and state, by slug and id.
type Entities = BTreeMap<(String, String), (String, String)>;

struct Applier {
    session: Client,
}

#[test]
fn full_history_tells_managed_entities_at_every_time() {
    sequences("history_full", Tables::Managed, "full", &[PURGES, DELETES, UPSERTS], 16, 1);
}

#[test]
fn changes_tell_managed_entities_at_every_time() {
    sequences("history_changes", Tables::Managed, "changes", &[UPSERTS, DELETES, PURGES], 16, 2);
}

#[test]
fn full_history_tells_registered_entities_at_every_time() {
    sequences("history_reg_full", Tables::Registered, "full", &[PURGES, DELETES, UPSERTS], 12, 3);
}

#[test]
fn changes_tell_registered_entities_at_every_time() {
    sequences("history_reg", Tables::Registered, "changes", &[UPSERTS, DELETES, PURGES], 12, 4);
}

#[test]
fn sessions_at_once_leave_an_unbroken_history() {
    for kept in ["full", "changes"] {
        sessions(kept, &[UPSERTS, DELETES]);
    }
}

#[test]
fn sessions_that_purge_leave_an_unbroken_history() {
    for kept in ["full", "changes"] {
        sessions(kept, &[UPSERTS, DELETES, PURGES]);
    }
}

/// Random sequences; one that fails is made smaller for twenty seconds, and shown.
fn sequences(name: &str, tables: Tables, kept: &str, entries: &[&str], count: u64, seed: u64) {
    let (_database, session) = prepared(name, tables, kept, entries);
    let mut applier = Applier { session };
    for n in 0..count {
        let seed = seed << 32 | n;
        let bad = if n % 2 == 0 { 0 } else { 8 };
        let mut sequence = Sequence::new(&mut Random::new(seed), bad);
        let Some(mut wrong) = applier.wrong(&sequence, seed) else { continue };
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            let found = sequence.smaller().find_map(|it| Some((applier.wrong(&it, seed)?, it)));
            let Some((still_wrong, smaller)) = found else { break };
            (wrong, sequence) = (still_wrong, smaller);
        }
        panic!("sequence {n}: {:#?}\n{wrong}", sequence.payloads());
    }
}

fn prepared(name: &str, tables: Tables, kept: &str, entries: &[&str]) -> (Database, Client) {
    let database = Database::new(name);
    let mut session = database.connect();
    let mapping = |entries: &[&str]| {
        let entries = entries.join(", ");
        format!(
            r#"{{"version": "2.0", "mapping": {{"events": {{"Sync": {{"entities": [{entries}]}}}}}}}}"#
        )
    };
    match tables {
        Tables::Managed => {
            session.query("SELECT erp_prepare($1::text::jsonb)", &[&mapping(&[UPSERTS])]).unwrap();
            session.batch_execute(MANAGED).unwrap();
        }
        Tables::Registered => session.batch_execute(REGISTERED).unwrap(),
    }
    let set = "SELECT erp_create_integration('erp', settings => jsonb_build_object('history', $1::text, 'retry_after', '1 ms', 'max_attempts', 1)),
                      erp_set_use_case('erp/sync', $2::text::jsonb)";
    session.query(set, &[&kept, &mapping(entries)]).unwrap();
    (database, session)
}

impl Applier {
    /// The sequence is applied in every way. What the history of a batch tells is what the history of
    /// its events does when they are applied one after the other.
    fn wrong(&mut self, sequence: &Sequence, seed: u64) -> Option<String> {
        let payloads = sequence.payloads();
        let mut random = Random::new(seed);
        let mut told: Vec<Vec<String>> = Vec::new();
        for way in [Way::Single, Way::Batch, Way::Inbox] {
            self.session.batch_execute(FORGET).unwrap();
            let wrong = self.check(&payloads, way, &mut random);
            if !wrong.is_empty() {
                return Some(format!("{way:?}: {wrong:#?}"));
            }
            told.push(self.told());
            if told.last() != told.first() {
                return Some(format!("single: {:#?}\n{way:?}: {:#?}", told[0], told.last()));
            }
        }
        None
    }

    /// What the history tells otherwise than it was.
    fn check(&mut self, payloads: &[String], way: Way, random: &mut Random) -> Vec<String> {
        let mut were = vec![self.entities()];
        let mut rest = payloads;
        while !rest.is_empty() {
            let count = if way == Way::Single { 1 } else { 1 + random.below(rest.len()) };
            let (events, others) = rest.split_at(count);
            apply(&mut self.session, events, way);
            were.push(self.entities());
            rest = others;
        }
        let mut wrong: Vec<String> =
            were.iter().flat_map(|(at, there)| self.wrong_at(at, there, &were)).collect();
        if self.is_full() {
            wrong.extend(self.session.query(BROKEN, &[]).unwrap().iter().map(|row| row.get(0)));
        }
        wrong
    }

    fn is_full(&mut self) -> bool {
        let query = "SELECT settings ->> 'history' = 'full' FROM erp.use_cases";
        self.session.query_one(query, &[]).unwrap().get(0)
    }

    /// All entities, and the time.
    fn entities(&mut self) -> (String, Entities) {
        let rows = self.session.query(ENTITIES, &[]).unwrap();
        let entities =
            rows.iter().map(|row| ((row.get(0), row.get(1)), (row.get(2), row.get(3)))).collect();
        let at = self.session.query_one("SELECT clock_timestamp()::text", &[]).unwrap().get(0);
        (at, entities)
    }

    fn wrong_at(&mut self, at: &str, there: &Entities, were: &[(String, Entities)]) -> Vec<String> {
        let mut known: Vec<&(String, String)> =
            were.iter().flat_map(|(_, entities)| entities.keys()).collect();
        known.sort();
        known.dedup();
        let (slugs, ids): (Vec<&str>, Vec<&str>) =
            known.iter().map(|(slug, id)| (&**slug, &**id)).unzip();
        let query = "
            SELECT e.attributes::text, e.state, e.gap
            FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(slug, id, n),
                 erp_entity_at(k.slug, k.id, $3::text::timestamptz) AS e
            ORDER BY k.n";
        let rows = self.session.query(query, &[&slugs, &ids, &at]).unwrap();
        assert_eq!(rows.len(), known.len());
        let mut wrong = Vec::new();
        for (of, row) in known.into_iter().zip(rows) {
            let (attributes, state, gap): (Option<String>, String, Option<String>) =
                (row.get(0), row.get(1), row.get(2));
            let was = there.get(of).cloned();
            let told = attributes.map(|attributes| (attributes, state.clone()));
            if told != was || was.is_none() != (state == "absent") || gap.is_some() {
                wrong.push(format!("{of:?} at {at}: {told:?} ({state}, {gap:?}), was {was:?}"));
            }
        }
        wrong
    }

    /// The history, entities by the order in which it tells of them.
    fn told(&mut self) -> Vec<String> {
        let query = "
            SELECT h.entity_slug, h.entity_id,
                   format('%s %s %s %s -> %s %s', h.event - (SELECT min(id) FROM erp.event), h.action, h.state_before,
                          h.before - 'no', h.state_after, h.after - 'no')
            FROM erp.history AS h ORDER BY h.id";
        let rows = self.session.query(query, &[]).unwrap();
        let mut names: HashMap<(String, String), String> = HashMap::new();
        for row in &rows {
            let (slug, id): (String, String) = (row.get(0), row.get(1));
            let name = format!("{slug} {}", names.len());
            names.entry((slug, id)).or_insert(name);
        }
        let told = |row: &postgres::Row| {
            let name = &names[&(row.get(0), row.get(1))];
            let text: String = row.get(2);
            let named = names.iter().fold(text, |text, ((slug, id), name)| {
                let item = |id: &str| format!("\"_schema\": \"{slug}\", \"entity_id\": \"{id}\"");
                text.replace(&item(id), &item(name))
            });
            format!("{name}: {named}")
        };
        rows.iter().map(told).collect()
    }
}

fn apply(session: &mut Client, payloads: &[String], way: Way) {
    let event = |payload: &String| format!(r#"{{"event_name": "Sync", "payload": {payload}}}"#);
    let events: Vec<String> = payloads.iter().map(event).collect();
    let statement = match way {
        Way::Inbox => "SELECT erp_enqueue_batch('erp/sync', $1::text[]::jsonb[])",
        _ => "SELECT erp_ingest_batch('erp/sync', $1::text[]::jsonb[], 'dead_letter')",
    };
    // Events behind one that fails are applied under the locks of those before it: sessions that do so can
    // deadlock again and again.
    while let Err(error) = session.query(statement, &[&events]) {
        assert_eq!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED), "{error:?}");
    }
    if way == Way::Inbox {
        let done: i64 = session.query_one("SELECT taken FROM erp_process()", &[]).unwrap().get(0);
        assert_eq!(done, payloads.len() as i64);
    }
}

fn sessions(kept: &str, entries: &[&str]) {
    let (database, mut session) =
        prepared(&format!("history_sessions_{}", entries.len()), Tables::Managed, kept, entries);
    in_sessions(&database, 3, |number, session| {
        let mut random = Random::new(number as u64);
        for _ in 0..40 {
            let count = 1 + random.below(4);
            let payloads: Vec<String> =
                (0..count).map(|_| event(&mut random, 3).to_string()).collect();
            apply(session, &payloads, Way::Batch);
        }
    });
    if kept == "full" {
        let broken = session.query(BROKEN, &[]).unwrap();
        let broken: Vec<String> = broken.iter().map(|row| row.get(0)).collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }
    let mut applier = Applier { session };
    let now = applier.entities();
    let started = ("2020-01-01".to_owned(), Entities::new());
    let were = [started, now];
    let wrong: Vec<String> =
        were.iter().flat_map(|(at, there)| applier.wrong_at(at, there, &were)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
