//! Look-ups through an index whose pages are split, emptied, deleted and used again meanwhile: what
//! is there all the time is found every time.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use erp_tests::{Database, Random, in_sessions, is_long, tell_figures};
use postgres::Client;

const MAPPING: &str = r#"{"entities": [{"entity_schema": "part", "unique_ids": ["number"], "fields": [
    {"attribute": "number", "field": "number"}]}]}"#;

/// Parts that stay, spread over the index.
const STAYING: usize = 5_000;

const SETUP: &str = "
    CREATE EXTENSION pgstattuple;
    ALTER TABLE part SET (autovacuum_enabled = off);
    INSERT INTO part (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('number', md5(n::text))
    FROM generate_series(1, 5000) AS n";

/// Parts whose numbers stand together, on pages that are theirs.
const COME: &str = "
    INSERT INTO part (id, attributes)
    SELECT gen_random_uuid(), jsonb_build_object('number', to_hex($1::integer) || ' ' || n)
    FROM generate_series(10000, 12000) AS n ON CONFLICT DO NOTHING";
const GO: &str = "DELETE FROM part WHERE number LIKE to_hex($1::integer) || ' %'";
/// New versions of rows, which find no room beside the old ones.
const CHANGE: &str = "
    UPDATE part SET attributes = attributes || jsonb_build_object('note', repeat('x', $2))
    WHERE number IN (SELECT md5(n::text) FROM generate_series($1::integer, $1 + 200) AS n)";

#[test]
fn what_stays_is_found_while_pages_come_and_go() {
    let database = Database::new("lookups");
    let mut session = database.connect();
    session.query("SELECT erp_prepare($1::text::jsonb)", &[&MAPPING]).unwrap();
    session.batch_execute(SETUP).unwrap();
    let is_over = AtomicBool::new(false);
    // Pages of the index that were empty after a vacuum, at most.
    let emptied = AtomicI64::new(0);
    let (time, start) = (Duration::from_secs(if is_long() { 100 } else { 5 }), Instant::now());
    let told = in_sessions(&database, 6, |number, session| {
        let _ends = Ends(&is_over);
        let mut random = Random::new(number as u64);
        let mut done = [0, 0];
        while !is_over.load(Relaxed) {
            match number {
                0 | 1 => come_and_go(session, &mut random, &is_over),
                2 => drop(emptied.fetch_max(vacuum(session), Relaxed)),
                3 => {
                    let (from, size) = (random.below(STAYING) as i32, random.below(300) as i32);
                    session.execute(CHANGE, &[&from, &size]).unwrap();
                }
                _ => {
                    let [found, missed] = look(session, &mut random);
                    done = [done[0] + found, done[1] + missed];
                    let has_all = emptied.load(Relaxed) > 0 || start.elapsed() > 20 * time;
                    is_over.fetch_or(missed > 0 || start.elapsed() > time && has_all, Relaxed);
                }
            }
        }
        done
    });
    let [found, missed] =
        told.iter().fold([0, 0], |all, done| [all[0] + done[0], all[1] + done[1]]);
    assert_eq!(missed, 0, "of {found} parts");
    assert!(found > 20_000, "{found} parts were looked for");
    let emptied = emptied.into_inner();
    assert!(emptied > 0, "no page was emptied");
    tell_figures(&format!("lookups: {found} found, up to {emptied} pages empty"));
}

/// Whoever ends, or fails, ends all.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// How many pages of the index are empty after it.
fn vacuum(session: &mut Client) -> i64 {
    session.batch_execute("VACUUM (INDEX_CLEANUP ON) part").unwrap();
    let empty = "SELECT deleted_pages + empty_pages FROM pgstatindex('part_number_idx')";
    session.query_one(empty, &[]).unwrap().get(0)
}

fn come_and_go(session: &mut Client, random: &mut Random, is_over: &AtomicBool) {
    let prefixes = [random.below(256) as i32, random.below(256) as i32];
    for prefix in prefixes.iter().chain(&prefixes[..1]) {
        session.execute(COME, &[prefix]).unwrap();
    }
    // Workers that purge at once would wait for each other in a circle, whatever is looked up.
    for prefix in prefixes {
        while let Err(error) = session.execute(GO, &[&prefix]) {
            assert_eq!(error.code().map(|code| code.code()), Some("40P01"), "{error:?}");
        }
        if is_over.load(Relaxed) {
            return;
        }
    }
}

/// How many of some parts that are there are found, and how many are not.
fn look(session: &mut Client, random: &mut Random) -> [i64; 2] {
    let count: i32 = random.pick(&[1, 10, 200, 1_000]);
    let (first, step) = (random.below(STAYING) as i64, 1 + random.below(40) as i64);
    let query = "
        SELECT count(*) FILTER (WHERE action = 'unchanged'), count(*) FILTER (WHERE action <> 'unchanged')
        FROM erp_apply_batch($1::text::jsonb, 'any', ARRAY(
            SELECT jsonb_build_object('number', md5((1 + ($2::bigint + n * $3::bigint) % 5000)::text)) FROM generate_series(1, $4::integer) AS n))";
    let row = session.query_one(query, &[&MAPPING, &first, &step, &count]).unwrap();
    [row.get(0), row.get(1)]
}
