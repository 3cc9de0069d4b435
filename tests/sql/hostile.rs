//! Hostile expressions, paths, payloads and mappings: each ends soon, with a result or an error of
//! its own, in bounded memory, and the backend lives on.

#[path = "hostile/cases.rs"]
mod cases;

use std::time::{Duration, Instant};

use cases::{EXPRESSIONS, MAPPINGS, PATHS, PAYLOADS};
use erp_tests::{Database, backend, db_error};
use postgres::Client;

/// The most of a processor's time that a call may take, besides what PostgreSQL takes to store
/// [`LARGEST`] on this machine: most of the time of the slowest calls is its compression.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest that it may take by the clock, on a machine that has much else to do.
const LONGEST: Duration = Duration::from_secs(20);

/// The most that a backend may ever have taken, and what a call may leave behind, in kB.
const MOST_MEMORY: i64 = 1_500_000;
const MOST_LEFT: i64 = 150_000;

/// A value as large as the largest results.
const LARGEST: &str = "
    CREATE TEMPORARY TABLE largest AS SELECT list::jsonb FROM (
        SELECT format('[%s]', string_agg(items, ',')) AS list
        FROM (SELECT format('[%s]', string_agg(n::text, ',')) AS items FROM generate_series(1, 1000) AS n) AS inner_list,
             generate_series(1, 1000)) AS lists";

/// The limits are the default ones; only the time of an expression is less than the five seconds that
/// are too many here.
const LIMITS: &str = "
    SELECT erp_merge('{}', '{}');
    SET erp_toolkit.expression_timeout = '1s'";

const FUNCTIONS: &str = r#"
    SELECT erp_create_entity('c', ARRAY['id']);
    -- Payloads
    CREATE FUNCTION deep(n int) RETURNS jsonb LANGUAGE sql RETURN (repeat('[', n) || repeat(']', n))::jsonb;
    CREATE FUNCTION deep_object(n int) RETURNS jsonb LANGUAGE sql RETURN (repeat('{"a":', n) || '1' || repeat('}', n))::jsonb;
    CREATE FUNCTION wide(n int) RETURNS jsonb LANGUAGE sql RETURN (SELECT jsonb_object_agg('k' || i, '[[1]]'::jsonb) FROM generate_series(1, n) AS i);
    CREATE FUNCTION list(n int) RETURNS jsonb LANGUAGE sql RETURN (SELECT jsonb_agg('n' || i) FROM generate_series(1, n) AS i);
    -- Mappings of one entry, whose members are `changes` instead of the usual ones
    CREATE FUNCTION entry(changes jsonb) RETURNS jsonb LANGUAGE sql RETURN jsonb_build_object('entities', jsonb_build_array(
        '{"entity_schema": "c", "unique_ids": ["id"], "fields": [{"attribute": "id", "constant": "h"}]}'::jsonb || changes));
    CREATE FUNCTION fields(VARIADIC fields jsonb[]) RETURNS jsonb LANGUAGE sql
        RETURN entry(jsonb_build_object('fields', '{"attribute": "id", "constant": "h"}'::jsonb || to_jsonb(fields)));
    CREATE FUNCTION expression(source text) RETURNS jsonb LANGUAGE sql
        RETURN fields(jsonb_build_object('attribute', 'x', 'jsonataExpression', source));
    CREATE FUNCTION field(field text) RETURNS jsonb LANGUAGE sql RETURN fields(jsonb_build_object('attribute', 'x', 'field', field));
    CREATE FUNCTION constant(value jsonb) RETURNS jsonb LANGUAGE sql RETURN fields(jsonb_build_object('attribute', 'x', 'constant', value));
    CREATE FUNCTION attribute(name text) RETURNS jsonb LANGUAGE sql RETURN fields(jsonb_build_object('attribute', name, 'constant', 1));
    CREATE FUNCTION relation(source text) RETURNS jsonb LANGUAGE sql
        RETURN fields(jsonb_build_object('attribute', 'x', 'relations', jsonb_build_object('jsonataExpression', source)));
    CREATE FUNCTION slug(slug text) RETURNS jsonb LANGUAGE sql RETURN entry(jsonb_build_object('entity_schema', slug));
    CREATE FUNCTION identifier(value jsonb) RETURNS jsonb LANGUAGE sql
        RETURN entry(jsonb_build_object('fields', jsonb_build_array(jsonb_build_object('attribute', 'id', 'constant', value))));
    CREATE FUNCTION items(source text) RETURNS jsonb LANGUAGE sql RETURN entry(jsonb_build_object('jsonataExpression', source,
        'fields', '[{"attribute": "id", "constant": "h"}, {"attribute": "x", "field": "x"}, {"attribute": "list", "field": "list"}]'::jsonb));
    CREATE FUNCTION many_entries(n int) RETURNS jsonb LANGUAGE sql RETURN jsonb_build_object('entities',
        (SELECT jsonb_agg(slug('c' || i) #> '{entities, 0}') FROM generate_series(1, n) AS i));
    CREATE FUNCTION many_fields(n int) RETURNS jsonb LANGUAGE sql
        RETURN (SELECT fields(VARIADIC array_agg(jsonb_build_object('attribute', 'f' || i, 'field', 'id'))) FROM generate_series(1, n) AS i);
    CREATE FUNCTION one_attribute(n int) RETURNS jsonb LANGUAGE sql
        RETURN (SELECT fields(VARIADIC array_agg(jsonb_build_object('attribute', 'x', 'constant', i))) FROM generate_series(1, n) AS i);
    CREATE FUNCTION many_identifiers(n int) RETURNS jsonb LANGUAGE sql RETURN (SELECT entry(jsonb_build_object('entity_schema', 'unknown',
        'unique_ids', jsonb_agg('i' || i), 'fields', jsonb_agg(jsonb_build_object('attribute', 'i' || i, 'constant', i)))) FROM generate_series(1, n) AS i);
    CREATE FUNCTION many_events(n int) RETURNS jsonb LANGUAGE sql RETURN jsonb_build_object('version', '2.0', 'mapping', jsonb_build_object(
        'events', (SELECT jsonb_object_agg('Event' || i, '{"entities": []}'::jsonb) FROM generate_series(1, n) AS i)));
    CREATE TABLE given (mapping jsonb, payload jsonb);
    INSERT INTO given VALUES ('{}', '{}')"#;

/// A session that is watched.
struct Session {
    client: Client,
    backend: i32,
    patience: Duration,
    latest: (Duration, String),
    failures: Vec<String>,
    _database: Database,
}

impl Session {
    fn new(name: &str) -> Session {
        let database = Database::new(name);
        let mut client = database.connect();
        client.batch_execute(FUNCTIONS).unwrap();
        client.batch_execute(LIMITS).unwrap();
        let backend = backend(&mut client);
        let latest = (Duration::ZERO, String::new());
        let (patience, failures) = (PATIENCE, Vec::new());
        let mut session =
            Session { client, backend, patience, latest, failures, _database: database };
        let before = session.busy();
        session.client.batch_execute(LARGEST).unwrap();
        let storing = session.busy() - before;
        session.patience += storing;
        session
    }

    /// Calls everything with `mapping` and `payload`, which are SQL. What maps ends as `mapped`
    /// says, what applies as `applied` says.
    fn check(&mut self, name: &str, mapping: &str, payload: &str, mapped: &str, applied: &str) {
        let given = format!("UPDATE given SET mapping = {mapping}, payload = {payload}");
        self.client.batch_execute(&given).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let explained = if mapped == "MP001" { "MP001" } else { "ok" };
        for (call, expected) in [
            ("erp_validate(mapping)", "ok"),
            ("erp_explain(mapping)", explained),
            ("erp_explain_diagram(mapping)", explained),
            ("erp_map(mapping, 'E', payload)", mapped),
            ("erp_simulate(mapping, 'E', payload)", applied),
            ("erp_apply_batch(mapping, 'E', ARRAY[payload], 'continue')", "batch"),
            ("erp_apply(mapping, 'E', payload)", applied),
        ] {
            let ended = self.call(&format!("{name}: {call}"), call);
            // An event that is set aside is no error of the call.
            let is_expected = match expected {
                "batch" => ended == "ok" || ended == applied,
                expected => ended == expected,
            };
            if !is_expected {
                self.failures.push(format!("{name}: {call} ended with {ended}, not {expected}"));
            }
        }
        assert_eq!(backend(&mut self.client), self.backend, "{name}");
        self.client.batch_execute("TRUNCATE c").unwrap();
    }

    /// How a call ends: its SQLSTATE, or `ok`.
    fn call(&mut self, name: &str, call: &str) -> String {
        let (before, _) = self.memory();
        let (start, busy) = (Instant::now(), self.busy());
        let ended = self.client.simple_query(&format!("SELECT count(*) FROM given, {call}"));
        let (waited, took) = (start.elapsed(), self.busy().saturating_sub(busy));
        let (after, most) = self.memory();
        if took > self.patience || waited > LONGEST {
            self.failures.push(format!("{name} took {took:?} of a processor, {waited:?} in all"));
        }
        if after > before + MOST_LEFT || most > MOST_MEMORY {
            self.failures.push(format!("{name}: memory from {before} to {after}, most {most} kB"));
        }
        self.latest = self.latest.clone().max((took, name.to_owned()));
        match ended {
            Ok(_) => "ok".into(),
            Err(error) => db_error(&error).code().code().into(),
        }
    }

    /// How long the backend has kept a processor busy, for itself and within the kernel.
    fn busy(&mut self) -> Duration {
        let query = "SELECT pg_read_file('/proc/self/stat', 0, 10000, true)";
        let stat: Option<String> = self.client.query_one(query, &[]).unwrap().get(0);
        // The name of the process, in parentheses, may be anything; ticks are hundredths of a second.
        let behind_name = stat.as_deref().and_then(|stat| stat.rsplit(')').next()).unwrap_or("");
        let ticks = behind_name.split_whitespace().skip(11).take(2);
        Duration::from_millis(10 * ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>())
    }

    /// What the backend has in memory for itself, and the most it ever had, in kB.
    fn memory(&mut self) -> (i64, i64) {
        let query = r"
            SELECT coalesce(substring(status FROM 'RssAnon:\s+(\d+) kB')::bigint, 0),
                   coalesce(substring(status FROM 'VmHWM:\s+(\d+) kB')::bigint, 0)
            FROM pg_read_file('/proc/self/status', 0, 100000, true) AS status";
        let row = self.client.query_one(query, &[]).unwrap();
        (row.get(0), row.get(1))
    }

    fn done(mut self, cases: usize) {
        let (left, most) = self.memory();
        let Session { patience, latest, .. } = &self;
        println!("{cases} cases; slowest of {patience:?} allowed: {latest:?}");
        println!("memory {left} kB, most {most} kB");
        assert!(self.failures.is_empty(), "{:#?}", self.failures);
    }
}

#[test]
fn expressions() {
    let mut session = Session::new("hostile_expressions");
    for (name, source, ending) in EXPRESSIONS {
        let mapping = format!("expression($source${source}$source$)");
        session.check(name, &mapping, "'{}'", ending, ending);
    }
    session.done(EXPRESSIONS.len());
}

#[test]
fn paths_and_keys() {
    let mut session = Session::new("hostile_paths");
    for (name, field, payload, ending) in PATHS {
        session.check(name, &format!("field({field})"), payload, ending, ending);
    }
    session.done(PATHS.len());
}

#[test]
fn payloads() {
    let mut session = Session::new("hostile_payloads");
    let mapping = r#"fields('{"attribute": "plain", "field": "a"}', '{"attribute": "path", "field": "$.a"}',
        '{"attribute": "expression", "jsonataExpression": "a"}', '{"attribute": "type", "jsonataExpression": "$type($)"}',
        '{"attribute": "enabled", "enabled": "$", "constant": true}')"#;
    for (name, payload, ending) in PAYLOADS {
        session.check(name, mapping, payload, ending, ending);
    }
    session.done(PAYLOADS.len());
}

#[test]
fn mappings() {
    let mut session = Session::new("hostile_mappings");
    let payload = r#"'{"id": "h", "list": [1, 2, 3]}'"#;
    for (name, mapping, mapped, applied) in MAPPINGS {
        session.check(name, mapping, payload, mapped, applied);
    }
    session.done(MAPPINGS.len());
}
