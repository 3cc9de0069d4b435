//! Random sequences of events on few keys do what a naive store does that applies them one at a
//! time: singles, batches, imports, on tables of ours and of a user's own, whatever settings the
//! session has. What does not change is not written, and what changes is written once a batch.

#[path = "batches/entries.rs"]
#[allow(dead_code, reason = "each test file uses a part")]
mod entries;
#[path = "model/json.rs"]
mod json;
#[path = "batches/sequence.rs"]
#[allow(dead_code, reason = "each test file uses a part")]
mod sequence;
#[path = "model/store.rs"]
mod store;
#[path = "model/updates.rs"]
mod updates;
#[path = "model/ways.rs"]
mod ways;

use std::env;
use std::time::{Duration, Instant};

use entries::UPSERTS;
use erp_tests::{Database, Random};
use sequence::{Node, Sequence, event};
use updates::DELETES;
use ways::{Applier, Tables, Way};

/// `ERP_TEST_ROUNDS` asks for more sequences, and for others than those of every run.
fn rounds(usual: usize) -> std::ops::Range<u64> {
    match env::var("ERP_TEST_ROUNDS") {
        Err(_) => 0..usual as u64,
        Ok(rounds) => {
            let from = u64::from(std::process::id()) << 20;
            from..from + rounds.parse::<u64>().expect("ERP_TEST_ROUNDS is a number")
        }
    }
}

#[test]
fn events_do_what_a_naive_store_does() {
    sequences("model_upserts", Tables::Managed, &[UPSERTS], 60, 0, 1);
}

#[test]
fn events_that_fail_leave_what_a_naive_store_leaves() {
    sequences("model_failures", Tables::Managed, &[UPSERTS], 40, 12, 2);
}

#[test]
fn events_that_delete_do_what_a_naive_store_does() {
    sequences("model_deletes", Tables::Managed, &[UPSERTS, DELETES], 40, 4, 3);
}

#[test]
fn events_do_the_same_to_tables_of_a_user_s_own() {
    sequences("model_registered", Tables::Registered, &[UPSERTS], 30, 0, 4);
    sequences("model_registered", Tables::Registered, &[UPSERTS, DELETES], 30, 4, 5);
}

#[test]
fn batches_of_several_chunks_do_what_a_naive_store_does() {
    let database = Database::new("model_chunks");
    let mut applier = Applier::new(&database, Tables::Managed, &[UPSERTS]);
    for seed in rounds(1).map(|round| 6 << 32 | round) {
        let mut random = Random::new(seed);
        let mut sequence = Sequence::new(&mut random, 0);
        sequence.events = (0..2_100).map(|_| event(&mut random, 1)).collect();
        check(&mut applier, sequence, &[Way::Batch], &format!("seed {seed}"));
    }
}

#[test]
fn imports_do_what_a_naive_store_does() {
    let database = Database::new("model_imports");
    let mut applier = Applier::new(&database, Tables::Managed, &[UPSERTS]);
    for seed in rounds(12).map(|round| 7 << 32 | round) {
        let mut random = Random::new(seed);
        let bad = random.pick(&[0, 6]);
        let sequence = Sequence::new(&mut random, bad);
        check(&mut applier, sequence, &[Way::Import(1 + random.below(5))], &format!("seed {seed}"));
    }
}

/// Whatever text a column can have: a document identifies nothing.
#[test]
fn a_list_or_an_object_identifies_nothing_in_tables_of_a_user_s_own() {
    let database = Database::new("model_documents");
    let mut applier = Applier::new(&database, Tables::Registered, &[UPSERTS]);
    for payload in [
        r#"{"contacts": [{"number": [1]}]}"#,
        r#"{"contacts": [{"number": {}}]}"#,
        r#"{"contacts": [{"number": {"a": 1}}, {"number": "1"}]}"#,
    ] {
        assert_eq!(applier.state_of_failure(payload).as_deref(), Some("MP009"), "{payload}");
    }
}

/// Checks `count` random sequences in which about `bad` of a hundred entities are made to fail.
fn sequences(name: &str, tables: Tables, entries: &[&str], count: usize, bad: usize, seed: u64) {
    let database = Database::new(name);
    let mut applier = Applier::new(&database, tables, entries);
    for seed in rounds(count).map(|round| seed << 32 ^ round) {
        let mut random = Random::new(seed);
        let sequence = Sequence::new(&mut random, bad);
        applier.set(&mut random);
        let single = random.pick(&[Way::Single, Way::Text]);
        let ways = [single, Way::Batch, Way::Cut(random.draw())];
        check(&mut applier, sequence, &ways, &format!("seed {seed}"));
    }
}

/// Checks the sequence; of one that fails a small part that fails too is shown.
fn check(applier: &mut Applier, sequence: Sequence, ways: &[Way], name: &str) {
    let mut compare = |sequence: &Sequence| {
        ways.iter().try_for_each(|way| {
            applier.compare(sequence, *way).map_err(|why| format!("{way:?}: {why}"))
        })
    };
    let Err(mut why) = compare(&sequence) else { return };
    let mut failing = sequence;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        let smaller = failing.smaller().find_map(|smaller| {
            let why = compare(&smaller).err()?;
            Some((smaller, why))
        });
        let Some(found) = smaller else { break };
        (failing, why) = found;
    }
    let show = |nodes: &[Node]| nodes.iter().map(|node| format!("  {node}\n")).collect::<String>();
    panic!(
        "{name}: the store -, the database +\n{why}\nbefore:\n{}events:\n{}settings: {:?}",
        show(&failing.before),
        show(&failing.events),
        applier.settings,
    );
}
