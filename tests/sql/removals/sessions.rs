//! Eight sessions that write and remove the entities of few keys at once.

use std::collections::HashSet;
use std::sync::Barrier;

use erp_tests::{Random, in_sessions};
use postgres::error::SqlState;
use postgres::{Client, Error, GenericClient, IsolationLevel};

use super::{MAPPING, assert_no_dangling_link, links, prepared};

const SESSIONS: usize = 8;

#[test]
fn sessions_that_remove_and_write_the_same_entities_never_fail() {
    sessions("sessions", 30, 3, |_| IsolationLevel::ReadCommitted);
}

#[test]
fn stricter_isolation_fails_with_40001_or_not_at_all() {
    sessions("sessions_strict", 20, 4, |number| match number {
        0..4 => IsolationLevel::RepeatableRead,
        4..6 => IsolationLevel::Serializable,
        _ => IsolationLevel::ReadCommitted,
    });
}

/// Each session in the isolation level of its number; in the stricter ones it repeats after 40001.
fn sessions(
    database: &str,
    rounds: usize,
    seed: u64,
    level: impl Fn(usize) -> IsolationLevel + Sync,
) {
    let database = prepared(database);
    let together = Barrier::new(SESSIONS);
    let results = in_sessions(&database, SESSIONS, |number, session| {
        // Sessions that wait for each other in a circle are to find out soon.
        session.batch_execute("SET deadlock_timeout = '20ms'").unwrap();
        let mut random = Random::new(seed << 32 | number as u64);
        let (mut errors, mut purged) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            together.wait();
            for _ in 0..5 {
                let (name, payloads) = call(&mut random, round);
                match apply_until_done(session, level(number), name, &payloads) {
                    Ok(gone) => purged.extend(gone),
                    Err(error) => errors.push(format!("{name} {payloads:?}: {error:?}")),
                }
            }
        }
        (errors, purged)
    });
    let (errors, purged): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let errors = errors.concat();
    assert!(errors.is_empty(), "{} errors, the first: {}", errors.len(), errors[0]);
    let purged: HashSet<String> = purged.into_iter().flatten().collect();
    assert!(purged.len() > rounds, "hardly anything was purged");
    check(&mut database.connect(), &purged);
}

fn check(session: &mut Client, purged: &HashSet<String>) {
    assert_no_dangling_link(session);
    assert!(links(session) > 0);
    let ids = session.query("SELECT id::text FROM entity", &[]).unwrap();
    assert!(ids.iter().all(|row| !purged.contains(row.get::<_, &str>(0))), "a purged one is there");
    for (what, query) in [
        (
            "a key has several entities",
            "SELECT slug, key FROM entity WHERE key IS NOT NULL GROUP BY slug, key HAVING count(*) > 1",
        ),
        (
            "an e-mail address has several contacts",
            "SELECT email FROM contact WHERE email IS NOT NULL GROUP BY email HAVING count(*) > 1",
        ),
    ] {
        assert!(session.query(query, &[]).unwrap().is_empty(), "{what}");
    }
}

/// An event name and payloads, on the few keys of `round`.
fn call(random: &mut Random, round: usize) -> (&'static str, Vec<String>) {
    let events = if random.chance(60) { 1 } else { 2 + random.below(3) };
    let names = ["Sync", "Sync", "Sync", "Sync", "Delete", "Purge", "PruneDelete", "PrunePurge"];
    let name = random.pick(&names);
    let payloads = (0..events).map(|_| match name {
        "Sync" => written(random, round),
        "Delete" | "Purge" => removed(random, round),
        _ => pruned(random, round),
    });
    (name, payloads.collect())
}

fn key(random: &mut Random, round: usize) -> String {
    format!("{round}-{}", random.below(3))
}

/// Contacts are linked to either by number or by address. One that gets its address after it was
/// created, by a link to its number, could have a stub beside it.
fn written(random: &mut Random, round: usize) -> String {
    let mut key = || key(random, round);
    let contact = format!(r#""number": "{0}", "email": "{0}@x""#, key());
    let numbered = format!(r#""number": "n{}""#, key());
    let contract = format!(r#""number": "{}""#, key());
    let contact_links =
        format!(r#", "manager": "n{}", "lists": ["{}", "{}"]"#, key(), key(), key());
    let contract_links = format!(r#", "owner": "n{}", "mails": ["{}@x"]"#, key(), key());
    let contact = if random.chance(70) { contact } else { numbered };
    let mut some = |links: String| if random.chance(60) { links } else { String::new() };
    let contact = format!(r#""contact": {{{contact}{}}}"#, some(contact_links));
    let contract = format!(r#""contract": {{{contract}{}}}"#, some(contract_links));
    match random.below(3) {
        0 => format!("{{{contact}}}"),
        1 => format!("{{{contract}}}"),
        _ => format!("{{{contact}, {contract}}}"),
    }
}

fn removed(random: &mut Random, round: usize) -> String {
    let key = key(random, round);
    match random.below(4) {
        0 => format!(r#"{{"contact": "{key}"}}"#),
        1 => format!(r#"{{"contact": ["n{key}", "{key}"]}}"#),
        2 => format!(r#"{{"contract": "{key}"}}"#),
        _ => format!(r#"{{"mail": "{key}@x"}}"#),
    }
}

fn pruned(random: &mut Random, round: usize) -> String {
    let prefix = random.pick(&["", "n"]);
    format!(r#"{{"of": "{prefix}{}", "contract": ["{}"]}}"#, key(random, round), key(random, round))
}

/// Applies it, again after 40001 if the level is strict. The ids of entities that it purged.
fn apply_until_done(
    session: &mut Client,
    level: IsolationLevel,
    name: &str,
    payloads: &[String],
) -> Result<Vec<String>, Error> {
    for _ in 0..100 {
        let mut transaction = session.build_transaction().isolation_level(level).start()?;
        let outcome = apply(&mut transaction, name, payloads)
            .and_then(|purged| transaction.commit().map(|()| purged));
        match outcome {
            Err(error)
                if !matches!(level, IsolationLevel::ReadCommitted)
                    && error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE) => {}
            outcome => return outcome,
        }
    }
    panic!("40001 a hundred times");
}

fn apply(
    session: &mut impl GenericClient,
    name: &str,
    payloads: &[String],
) -> Result<Vec<String>, Error> {
    let rows = match payloads {
        [payload] => {
            let query = "
                SELECT entity_id, action FROM erp_apply($1::text::jsonb, $2, $3::text::jsonb)";
            session.query(query, &[&MAPPING, &name, payload])?
        }
        payloads => {
            let query = "
                SELECT entity_id, action
                FROM erp_apply_batch($1::text::jsonb, $2, $3::text[]::jsonb[])";
            session.query(query, &[&MAPPING, &name, &payloads])?
        }
    };
    let is_purged = |row: &&postgres::Row| row.get::<_, &str>("action") == "purged";
    Ok(rows.iter().filter(is_purged).map(|row| row.get("entity_id")).collect())
}
