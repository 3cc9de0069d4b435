//! How fast a call ends that is to end: by `statement_timeout`, `pg_cancel_backend` and
//! `pg_terminate_backend`, in expressions and in the extension's own loops over much data.

use std::thread;
use std::time::{Duration, Instant};

use erp_tests::{Database, backend, db_error, wait_until};
use postgres::Client;

/// How much later than told a call may end.
const PATIENCE: Duration = Duration::from_millis(200);

/// How often a call is made that ends later: the machine may have had much else to do.
const TRIES: usize = 20;

/// When a call is told to end: while it is at its work.
const TIMEOUT: Duration = Duration::from_millis(150);

/// Much data, in place: nothing of a call's time is spent on reading it from disk or unpacking it.
const DATA: &str = r#"
    CREATE TABLE data (name text PRIMARY KEY, value jsonb);
    ALTER TABLE data ALTER COLUMN value SET STORAGE EXTERNAL;
    INSERT INTO data VALUES
        ('nothing', '{}'),
        ('numbers', (SELECT jsonb_agg(n) FROM generate_series(1, 1000000) AS n)),
        ('wide', (SELECT jsonb_object_agg('k' || n, jsonb_build_array(n)) FROM generate_series(1, 500000) AS n)),
        ('items', (SELECT jsonb_agg(jsonb_build_object('id', n, 'name', 'n' || n)) FROM generate_series(1, 1000000) AS n)),
        ('deep text', to_jsonb(repeat('[', 120) || '"' || repeat('x', 50000000) || '"' || repeat(']', 120))),
        ('wide text', to_jsonb('[' || repeat('[1,2,"x",{"a":null}],', 1000000) || '1]')),
        ('links', (SELECT jsonb_agg(jsonb_build_object('entity_id', n::text, '_schema', 'c')) FROM generate_series(1, 300000) AS n));
    INSERT INTO data VALUES
        ('unique', (SELECT jsonb_build_object('a', jsonb_build_object('_append_unique', value)) FROM data WHERE name = 'items')),
        ('list', (SELECT jsonb_build_object('a', value) FROM data WHERE name = 'items')),
        ('linked', (SELECT jsonb_build_object('a', jsonb_build_object('$relation', jsonb_build_object('_append_unique', value)))
                    FROM data WHERE name = 'links')),
        ('linking', (SELECT jsonb_build_object('a', jsonb_build_object('$relation', value)) FROM data WHERE name = 'links')),
        ('many expressions', (SELECT jsonb_build_object('entities', jsonb_agg(jsonb_build_object(
            'entity_schema', 'c' || n, 'unique_ids', '["id"]'::jsonb, 'fields', jsonb_build_array(jsonb_build_object(
                'attribute', 'id', 'jsonataExpression', '[' || repeat('a.b,', 5000) || n || ']'))))) FROM generate_series(1, 500) AS n)),
        ('many entities', (SELECT jsonb_build_object('entities', jsonb_agg(jsonb_build_object(
            'entity_schema', 'c' || n, 'unique_ids', '["id"]'::jsonb, 'fields', jsonb_build_array(jsonb_build_object(
                'attribute', 'id', 'field', 'id'))))) FROM generate_series(1, 100000) AS n)),
        ('unknown keys', (SELECT jsonb_object_agg('version' || n, n) FROM generate_series(1, 300000) AS n)),
        ('many fields', (SELECT jsonb_build_object('entities', jsonb_build_array(jsonb_build_object(
            'entity_schema', 'c', 'unique_ids', jsonb_agg('i' || n), 'fields', jsonb_agg(jsonb_build_object(
                'attribute', 'f' || n, 'field', 'id'))))) FROM generate_series(1, 100000) AS n)),
        ('analysed', (SELECT jsonb_build_object('entities', jsonb_agg(jsonb_build_object(
            'entity_schema', 'c' || n, 'unique_ids', '["id"]'::jsonb, 'fields', jsonb_build_array(jsonb_build_object(
                'attribute', 'id', 'jsonataExpression', '(' || repeat('$f := a.b[c=1].d; ', 300) || n || ')'))))) FROM generate_series(1, 500) AS n));
    CREATE FUNCTION datum(text) RETURNS jsonb LANGUAGE sql STABLE RETURN (SELECT value FROM data WHERE name = $1);
    CREATE FUNCTION mapping(field jsonb, items text DEFAULT NULL) RETURNS jsonb LANGUAGE sql RETURN jsonb_build_object(
        'entities', jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('jsonataExpression', items, 'entity_schema', 'c',
            'unique_ids', '["id"]'::jsonb, 'fields', jsonb_build_array(field, '{"attribute": "id", "field": "id"}'::jsonb)))));
    CREATE FUNCTION field(path text) RETURNS jsonb LANGUAGE sql
        RETURN mapping(jsonb_build_object('attribute', 'x', 'field', path));
    CREATE FUNCTION expression(source text) RETURNS jsonb LANGUAGE sql
        RETURN mapping(jsonb_build_object('attribute', 'x', 'jsonataExpression', source));
    SELECT erp_create_entity('c', ARRAY['id']), erp_create_entity('d', ARRAY['id'])"#;

/// No limit of ours is to end the call first. The length of arrays is as it is by default where
/// a built-in function works on one at a stretch.
const LIMITS: &str = "
    SELECT erp_merge('{}', '{}');
    SET erp_toolkit.expression_timeout = '1h';
    SET erp_toolkit.expression_max_steps = 2147483647;
    SET erp_toolkit.expression_max_depth = 10000;
    SET erp_toolkit.expression_max_result_size = '256MB';
    SET erp_toolkit.max_mapping_size = '64MB';
    SET erp_toolkit.max_entities = 10000000;
    SET erp_toolkit.max_relation_items = 10000000;
    SET erp_toolkit.max_memory = '8GB'";

/// What is called, with a name. Each works for longer than [`TIMEOUT`].
const CALLS: &[(&str, &str)] = &[
    // Expressions
    ("an endless loop", "erp_map(expression('($f := function($n) {$f($n + 1)}; $f(0))'), 'E', '{}')"),
    (
        "an exponential recursion",
        "erp_map(expression('($f := function($n) {$n < 2 ? 1 : $f($n - 1) + $f($n - 2)}; $f(60))'), 'E', '{}')",
    ),
    ("a regular expression", "erp_map(expression('$contains($pad(\"x\", 50000, \"x\"), /(x+x+)+y/)'), 'E', '{}')"),
    (
        "regular expressions over a long string",
        "erp_map(expression('$replace($pad(\"x\", 9000000, \"xy\"), /(x|xy)+z/, \"\")'), 'E', '{}')",
    ),
    ("a sum of a large array", "erp_map(expression('[1..1000].$sum($$)'), 'E', datum('numbers'))"),
    ("a filter of a large array", "erp_map(expression('[1..1000].$count($$[name = \"x\"])'), 'E', datum('items'))"),
    (
        "$distinct of arrays, over and over",
        "erp_map(expression('[1..1000].$count($distinct([1..9000].{\"a\": $}))'), 'E', '{}')",
    ),
    (
        "$distinct of large objects, over and over",
        "erp_map(expression('($s := $pad(\"\", 1600, \"x\"); [1..1000].$count($distinct([1..9000].{\"s\": $s, \"a\": $})))'), 'E', '{}')",
    ),
    (
        "$sort, over and over",
        "erp_map(expression('[1..1000].$count($sort([1..9000], function($a, $b) {$a < $b}))'), 'E', '{}')",
    ),
    ("all descendants", "erp_map(expression('[1..1000].$count($$.**)'), 'E', datum('items'))"),
    ("a result of the largest size", "erp_map(expression('[1..1000].{\"a\": [1..9000]}'), 'E', '{}')"),
    // JSONPath
    ("all values of an object", "erp_map(field('$..*'), 'E', datum('wide'))"),
    ("all values of an array", "erp_map(field('$..*'), 'E', datum('numbers'))"),
    ("a filter", "erp_map(field('$[?@.id == -1]'), 'E', datum('items'))"),
    ("a regular expression in a filter", "erp_map(field('$[?match(@.name, \"n[0-9]*5\")]'), 'E', datum('items'))"),
    // Payloads
    ("a payload of deep JSON text", "erp_map(field('a'), 'E', datum('deep text'))"),
    ("a payload of wide JSON text", "erp_map(field('a'), 'E', datum('wide text'))"),
    // Many entities, many links
    (
        "many entities",
        "erp_map(mapping('{\"attribute\": \"x\", \"field\": \"name\"}', '$'), 'E', datum('items'))",
    ),
    (
        "many entities, applied",
        "erp_apply(mapping('{\"attribute\": \"x\", \"field\": \"name\"}', '$'), 'E', datum('items'))",
    ),
    (
        "many entities, simulated",
        "erp_simulate(mapping('{\"attribute\": \"x\", \"field\": \"name\"}', '$'), 'E', datum('items'))",
    ),
    (
        "many links",
        "erp_map(mapping('{\"attribute\": \"r\", \"relations\": {\"jsonataExpression\":
            \"$.{\\\"entity_schema\\\": \\\"d\\\", \\\"unique_ids\\\": [{\\\"attribute\\\": \\\"id\\\", \\\"constant\\\": id}]}\"}}'),
            'E', datum('items'))",
    ),
    ("many payloads", "erp_apply_batch(expression('$pad(\"\", 1000, \"x\")'), 'E', array_fill('{\"id\": 1}'::jsonb, ARRAY[1000000]))"),
    // Merging
    ("appending what is new to a long list", "erp_merge(datum('list'), datum('unique'))"),
    ("appending what is new to many links", "erp_merge(datum('linking'), datum('linked'))"),
    ("merging wide objects, over and over", "generate_series(1, 1000) AS n WHERE erp_merge(datum('wide'), datum('wide')) IS NULL"),
    // Mappings
    ("many expressions", "erp_map(datum('many expressions'), 'E', '{}')"),
    ("many expressions, validated", "erp_validate(datum('many expressions'))"),
    ("many expressions, explained", "erp_explain(datum('many expressions'))"),
    ("much to analyse, explained", "erp_explain(datum('analysed'))"),
    ("a diagram of many entities", "erp_explain_diagram(datum('many entities'))"),
    ("many entities, validated", "erp_validate(datum('many entities'))"),
    ("many entities, prepared", "erp_prepare(datum('many entities'), true)"),
    ("unknown keys, validated", "erp_validate(datum('unknown keys'))"),
    ("many fields, validated", "erp_validate(datum('many fields'))"),
    ("many fields, mapped", "erp_map(datum('many fields'), 'E', '{\"id\": 1}')"),
];

fn session(database: &Database) -> Client {
    let mut session = database.connect();
    session.batch_execute(LIMITS).unwrap();
    session
}

/// The least of what `late` tells, which it is asked for until it is little enough.
fn least(name: &str, mut late: impl FnMut() -> Duration) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..TRIES {
        least = least.min(late());
        if least < PATIENCE {
            return least;
        }
    }
    panic!("{name}: {least:?} late, at best of {TRIES} times");
}

#[test]
fn statement_timeout_ends_every_call_soon() {
    let database = Database::new("interrupts_timeout");
    let mut session = session(&database);
    session.batch_execute(DATA).unwrap();
    session.batch_execute(&format!("SET statement_timeout = {}", TIMEOUT.as_millis())).unwrap();
    let mut latest = (Duration::ZERO, "none");
    for (name, call) in CALLS {
        let late = least(name, || {
            let start = Instant::now();
            let ended = session.simple_query(&format!("SELECT count(*) FROM {call}"));
            let late = start.elapsed().saturating_sub(TIMEOUT);
            if let Err(error) = ended {
                let error = db_error(&error);
                assert_eq!(error.code().code(), "57014", "{name}: {error:?}");
            }
            late
        });
        println!("{name}: ended {late:?} late");
        latest = latest.max((late, name));
    }
    println!("latest: {latest:?}");
}

/// Runs `call`, has another session say `ends` once it is at its work, and tells how long it then
/// took to end, and whether the session has ended with it.
fn ended_by(database: &Database, call: &str, ends: &str) -> (Duration, bool) {
    let mut running = session(database);
    let pid = backend(&mut running);
    let mut observer = database.connect();
    thread::scope(|scope| {
        let call = scope.spawn(move || {
            running.simple_query(&format!("SELECT count(*) FROM {call}")).unwrap_err();
            let ended = Instant::now();
            (ended, running.simple_query("SELECT 1").is_err())
        });
        let state = observer
            .prepare(
                "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active'
                 AND query LIKE 'SELECT count%' AND query_start < clock_timestamp() - interval '150 ms'",
            )
            .unwrap();
        wait_until("it runs", || observer.query_one(&state, &[&pid]).unwrap().get(0));
        let told = Instant::now();
        observer.query_one(ends, &[&pid]).unwrap();
        let (ended, is_closed) = call.join().unwrap();
        (ended.duration_since(told), is_closed)
    })
}

#[test]
fn a_cancel_and_a_termination_end_a_call_soon() {
    let database = Database::new("interrupts_signals");
    database.connect().batch_execute(DATA).unwrap();
    let names =
        ["an endless loop", "a regular expression", "many entities, applied", "many payloads"];
    for (name, call) in CALLS.iter().filter(|(name, _)| names.contains(name)) {
        for (ends, is_end) in [("pg_cancel_backend", false), ("pg_terminate_backend", true)] {
            let late = least(name, || {
                let (late, is_closed) = ended_by(&database, call, &format!("SELECT {ends}($1)"));
                assert_eq!(is_closed, is_end, "{name}: {ends}");
                late
            });
            println!("{name}: {ends} ends it {late:?} late");
        }
    }
}

/// What an event does to a long list takes most of the time: the end comes while it is decided.
#[test]
fn the_end_of_a_call_is_no_failure_of_an_event() {
    let database = Database::new("interrupts_continue");
    let mut session = session(&database);
    session
        .batch_execute(
            "CREATE TABLE batch AS SELECT array_fill(jsonb_build_object('id', 1, 'x', jsonb_build_object(
                 '_append_unique', jsonb_agg(n))), ARRAY[100]) AS payloads FROM generate_series(1, 100000) AS n;
             SELECT erp_create_entity('c', ARRAY['id']);
             SET statement_timeout = '1s'",
        )
        .unwrap();
    let mapping = r#"{"version": "2.0", "mapping": {"events": {"E": {"entities": [
        {"entity_schema": "c", "unique_ids": ["id"], "fields": [
            {"attribute": "id", "field": "id"}, {"attribute": "x", "field": "x"}]}]}}}}"#;
    let query = "
        SELECT event, error FROM batch, erp_apply_batch($1::text::jsonb, 'E', payloads, 'continue')
        WHERE action = 'failed'";
    let error = session.query(query, &[&mapping]).unwrap_err();
    assert_eq!(db_error(&error).code().code(), "57014");
}
