//! Eight sessions that do everything at once to few entities: single events and batches, appends,
//! links that make stubs, deletions, purges, prunes. What they leave is what some order of their
//! calls, one after the other, would have left.
//!
//! Triggers, or the server's log, keep every version of every row, so it is known what each call changed and between
//! which others. A naive store tells what it would have changed; `serial/order.rs` looks for the
//! order.

#[path = "serial/calls.rs"]
mod calls;
#[path = "serial/history.rs"]
mod history;
#[path = "serial/mapping.rs"]
mod mapping;
#[path = "serial/order.rs"]
mod order;
#[path = "serial/store.rs"]
mod store;

use std::collections::{BTreeMap, HashMap};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use calls::{Call, Kind, call, payload};
use erp_tests::{Database, Random, in_sessions, is_long, tell_figures};
use history::History;
use history::Teller::{self, Log, Triggers};
use order::{Committed, Sessions, serial};
use postgres::error::SqlState;
use postgres::{Client, Error, GenericClient, IsolationLevel};

const SESSIONS: usize = 8;
/// Calls of each session on the entities of one round.
const CALLS: usize = 3;
/// Rounds between two checks.
const ROUNDS: usize = 20;

#[test]
fn upserts_are_serial() {
    run("serial_upserts", 1, Kind::Upserts, Triggers, read_committed, check_order);
}

#[test]
fn upserts_without_statements_are_serial() {
    run("serial_direct", 5, Kind::Upserts, Log, read_committed, check_order);
}

#[test]
fn calls_that_write_a_common_entity_are_serial() {
    run("serial_meeting", 2, Kind::Meeting, Triggers, read_committed, check_order);
}

#[test]
fn calls_without_statements_that_write_a_common_entity_are_serial() {
    run("serial_direct_meeting", 6, Kind::Meeting, Log, read_committed, check_order);
}

#[test]
fn serializable_is_serial() {
    run("serial_strict", 3, Kind::All, Triggers, |_| IsolationLevel::Serializable, check_order);
}

/// Below SERIALIZABLE two transactions that write no common row may each miss what the other
/// writes, in any SQL. No update is lost.
#[test]
fn no_level_loses_an_update() {
    run("serial_mixed", 4, Kind::All, Triggers, any_level, |_, _| ());
}

#[test]
fn no_level_loses_an_update_without_statements() {
    run("serial_direct_mixed", 7, Kind::All, Log, any_level, |_, _| ());
}

fn read_committed(_: usize) -> IsolationLevel {
    IsolationLevel::ReadCommitted
}

/// By the number of the session.
fn any_level(number: usize) -> IsolationLevel {
    match number {
        0..3 => IsolationLevel::RepeatableRead,
        3..5 => IsolationLevel::Serializable,
        _ => IsolationLevel::ReadCommitted,
    }
}

/// Stretches of rounds, each checked: one, or in the long form those of a hundred seconds.
fn run(
    name: &str,
    seed: u64,
    kind: Kind,
    teller: Teller,
    level: impl Fn(usize) -> IsolationLevel + Sync,
    check_more: impl Fn(&BTreeMap<usize, Sessions>, &BTreeMap<usize, History>),
) {
    let database = prepared(name, teller);
    let mapping = mapping::mapping();
    let mut session = database.connect();
    let (start, mut calls, mut events, mut repeated) = (Instant::now(), 0, 0, 0);
    let (first, time) = match is_long() {
        true => (u64::from(std::process::id()) << 20, Duration::from_secs(100)),
        false => (0, Duration::ZERO),
    };
    for stretch in first.. {
        let seed = seed << 48 | stretch << 8;
        let done = stretch_of(&database, &mapping, seed, kind, &level);
        repeated += done.repeated;
        calls += done.rounds.values().flatten().flatten().count();
        let committed = done.rounds.values().flatten().flatten();
        events += committed.map(|committed| committed.call.events.len()).sum::<usize>();
        let history = teller.history(&mut session);
        check(&mut session, &done.rounds, &history);
        check_more(&done.rounds, &by_round(history));
        session.batch_execute("TRUNCATE contact, contract, version").unwrap();
        if start.elapsed() >= time {
            break;
        }
    }
    tell_figures(&format!(
        "{name}: {SESSIONS} sessions, {calls} calls of {events} events, {repeated} repeated"
    ));
}

fn prepared(name: &str, teller: Teller) -> Database {
    let database = Database::new(name);
    let mut session = database.connect();
    session.query("SELECT erp_prepare($1::text::jsonb)", &[&mapping::mapping()]).unwrap();
    teller.prepare(&mut session);
    database
}

struct Done {
    rounds: BTreeMap<usize, Sessions>,
    /// Calls that were applied again after 40001.
    repeated: usize,
}

fn stretch_of(
    database: &Database,
    mapping: &str,
    seed: u64,
    kind: Kind,
    level: &(impl Fn(usize) -> IsolationLevel + Sync),
) -> Done {
    let together = Barrier::new(SESSIONS);
    let results = in_sessions(database, SESSIONS, |number, session| {
        // Sessions that wait for each other in a circle are to find out soon.
        session.batch_execute("SET deadlock_timeout = '20ms'").unwrap();
        let mut random = Random::new(seed | number as u64);
        let (mut done, mut errors, mut repeated) = (Vec::new(), Vec::new(), 0);
        for round in 0..ROUNDS {
            together.wait();
            let mut committed = Vec::new();
            for n in 0..CALLS {
                let call = call(&mut random, kind, round, &format!("{number}.{n}"));
                match apply_until_done(session, mapping, &call, level(number), &mut repeated) {
                    Ok(xid) => committed.push(Committed { call, xid }),
                    Err(error) => errors.push(format!("{:?}: {error:?}\n{call:?}", level(number))),
                }
            }
            done.push(committed);
        }
        (done, errors, repeated)
    });
    let mut all = Done { rounds: BTreeMap::new(), repeated: 0 };
    for (done, errors, repeated) in results {
        assert!(errors.is_empty(), "{} errors, the first: {}", errors.len(), errors[0]);
        all.repeated += repeated;
        for (round, committed) in done.into_iter().enumerate() {
            all.rounds.entry(round).or_default().push(committed);
        }
    }
    all
}

/// Applies the call, again after 40001 if the level is strict. The transaction, if it wrote.
fn apply_until_done(
    session: &mut Client,
    mapping: &str,
    call: &Call,
    level: IsolationLevel,
    repeated: &mut usize,
) -> Result<Option<String>, Error> {
    if matches!(level, IsolationLevel::ReadCommitted) {
        return apply(session, mapping, call);
    }
    for _ in 0..1_000 {
        let mut transaction = session.build_transaction().isolation_level(level).start()?;
        let outcome = apply(&mut transaction, mapping, call);
        match outcome.and_then(|xid| transaction.commit().map(|()| xid)) {
            Err(error) if error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE) => {
                *repeated += 1;
            }
            outcome => return outcome,
        }
    }
    panic!("40001 a thousand times");
}

fn apply(
    session: &mut impl GenericClient,
    mapping: &str,
    call: &Call,
) -> Result<Option<String>, Error> {
    let payloads: Vec<String> = call.events.iter().map(payload).collect();
    let name = call.events[0].name;
    let row = match &payloads[..] {
        [payload] => session.query_one(APPLY, &[&mapping, &name, payload])?,
        payloads => session.query_one(APPLY_BATCH, &[&mapping, &name, &payloads])?,
    };
    Ok(row.get(1))
}

/// The id is looked at when everything is applied.
const APPLY: &str = "
    SELECT count(*), max(pg_current_xact_id_if_assigned()::text)
    FROM (SELECT) AS one LEFT JOIN erp_apply($1::text::jsonb, $2, $3::text::jsonb) ON true";
const APPLY_BATCH: &str = "
    SELECT count(*), max(pg_current_xact_id_if_assigned()::text)
    FROM (SELECT) AS one LEFT JOIN erp_apply_batch($1::text::jsonb, $2, $3::text[]::jsonb[]) ON true";

fn by_round(history: History) -> BTreeMap<usize, History> {
    let mut rounds: BTreeMap<usize, History> = BTreeMap::new();
    for (name, versions) in history {
        let key = name.split_once(' ').unwrap().1.trim_start_matches('n');
        let round = key.split_once('-').unwrap().0.parse().unwrap();
        rounds.entry(round).or_default().insert(name, versions);
    }
    rounds
}

// What must hold afterwards

fn check_order(rounds: &BTreeMap<usize, Sessions>, history: &BTreeMap<usize, History>) {
    for (round, sessions) in rounds {
        let history = history.get(round).cloned().unwrap_or_default();
        serial(sessions, &history).unwrap_or_else(|why| panic!("round {round}: {why}"));
    }
}

fn check(session: &mut Client, rounds: &BTreeMap<usize, Sessions>, history: &History) {
    for (what, query) in [
        (
            "contacts that share a number",
            "SELECT customer_number FROM contact WHERE customer_number IS NOT NULL GROUP BY 1 HAVING count(*) > 1",
        ),
        (
            "contacts that share an address",
            "SELECT email FROM contact WHERE email IS NOT NULL GROUP BY 1 HAVING count(*) > 1",
        ),
        (
            "contracts that share a number",
            "SELECT contract_number FROM contract GROUP BY 1 HAVING count(*) > 1",
        ),
        (
            "entities that link to nobody",
            "WITH entity AS (SELECT 'contact' AS slug, id, attributes FROM contact UNION ALL SELECT 'contract', id, attributes FROM contract)
             SELECT e.attributes ->> 'last' FROM entity AS e, jsonb_path_query(e.attributes, '$.*.\"$relation\"[*]') AS i(item)
             WHERE NOT EXISTS (SELECT FROM entity AS o WHERE o.slug = i.item ->> '_schema' AND o.id = (i.item ->> 'entity_id')::uuid)",
        ),
    ] {
        let rows = session.query(query, &[]).unwrap();
        assert!(rows.is_empty(), "{what}: {}, the first {:?}", rows.len(), rows[0].get::<_, Option<&str>>(0));
    }
    check_appended(rounds, history);
}

/// Each event that was committed is appended once to each entity that it writes, and is the last to
/// have written it then; what was appended before stays.
fn check_appended(rounds: &BTreeMap<usize, Sessions>, history: &History) {
    let mut expected: HashMap<(&str, String), i32> = HashMap::new();
    for (round, sessions) in rounds {
        let events = sessions.iter().flatten().flat_map(|committed| &committed.call.events);
        for event in events {
            for upsert in &event.upserts {
                *expected.entry((&upsert.name, format!("{round} {}", event.token))).or_default() +=
                    1;
            }
        }
    }
    let all = rounds.values().flatten().flatten().map(|committed| committed.call.events.len());
    assert!(history.len() > 100 && all.sum::<usize>() > 100, "hardly anything was written");
    for (name, versions) in history {
        let key = name.split_once(' ').unwrap().1.trim_start_matches('n');
        let round = key.split_once('-').unwrap().0;
        let mut before: &[String] = &[];
        for version in versions {
            let log: &[String] = version.entity.as_ref().map_or(&[], |entity| &entity.log);
            let Some(entity) = &version.entity else {
                before = log;
                continue;
            };
            assert_eq!(entity.last.as_ref(), log.last(), "{name}: the last one is not the last");
            // A batch may have purged the entity and created it again.
            let added = log.strip_prefix(before).unwrap_or(log);
            for token in added {
                *expected.entry((name, format!("{round} {token}"))).or_default() -= 1;
            }
            before = log;
        }
    }
    expected.retain(|_, times| *times != 0);
    // A batch may purge what it has just written, which no version tells of.
    expected.retain(|(name, token), times| *times < 0 || !may_vanish(rounds, name, token));
    let some: Vec<_> = expected.iter().take(5).collect();
    assert!(some.is_empty(), "missing (1) or too often (-1): {} like {some:?}", expected.len());
}

/// Whether a later event of the same call may have purged the entity.
fn may_vanish(rounds: &BTreeMap<usize, Sessions>, name: &str, token: &str) -> bool {
    let (round, token) = token.split_once(' ').unwrap();
    let call = token.rsplit_once('.').unwrap().0;
    let calls = rounds[&round.parse::<usize>().unwrap()].iter().flatten();
    let events = calls.flat_map(|committed| &committed.call.events);
    events
        .filter(|event| event.token.rsplit_once('.').unwrap().0 == call && *event.token > *token)
        .any(|event| {
            event.purges.iter().any(|purged| purged == name)
                || event.scope.as_ref().is_some_and(|scope| scope.purges)
        })
}
