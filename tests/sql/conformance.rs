//! The public suites of both expression languages through SQL: as the expression or the path of a
//! field that `erp_map` maps, under the extension's settings.
//!
//! What has no value here is an attribute that is missing; hits of a path are an array from two on.
//! Objects have the order of jsonb, numbers are compared as doubles.

#[path = "../conformance/suites.rs"]
mod suites;

use erp_tests::{Database, db_error};
use postgres::Client;
use postgres::error::DbError;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use suites::{JsonataCase, JsonataSuite, PathCase, PathSuite};

/// What no setting of a case says. Some cases need longer arrays than there may be by default.
const SETTINGS: &str = "
    SELECT erp_merge('{}', '{}');
    SET erp_toolkit.expression_max_steps = 2147483647;
    SET erp_toolkit.expression_max_array_length = 10000000;
    SET erp_toolkit.max_memory = '2GB'";

/// Events that store the time that expressions tell.
const TIMES: &str = r#"
    SELECT erp_create_entity('c', ARRAY['id']);
    CREATE TABLE given AS SELECT '{"entities": [{"entity_schema": "c", "unique_ids": ["id"], "fields": [
        {"attribute": "id", "field": "id"}, {"attribute": "now", "jsonataExpression": "$now()"},
        {"attribute": "millis", "jsonataExpression": "$fromMillis($millis())"}]}]}'::jsonb AS mapping;
    CREATE FUNCTION payloads(first int, last int) RETURNS jsonb[] LANGUAGE sql
        RETURN (SELECT array_agg(jsonb_build_object('id', n)) FROM generate_series(first, last) AS n)"#;

const APPLIED_SLOWLY: &str = "
    SELECT pg_sleep(0.01) FROM given, erp_apply(mapping, 'E', '{\"id\": 0}');
    SELECT pg_sleep(0.01) FROM given, erp_apply(mapping, 'E', '{\"id\": 1}');
    SELECT count(*), pg_sleep(0.01) FROM given, erp_apply_batch(mapping, 'E', payloads(2, 500));
    SELECT count(*) FROM given, erp_apply_batch(mapping, 'E', payloads(501, 999), 'continue')";

/// How many events tell which time, and when the transaction has begun.
const TOLD: &str = r#"
    SELECT attributes ->> 'now' AS now, attributes ->> 'millis' AS millis, count(*)::text AS events,
           to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS begun
    FROM (SELECT attributes FROM erp_find('c', '{}')
          UNION ALL SELECT attributes FROM given, erp_map(mapping, 'E', '{"id": 1000}')) AS event
    GROUP BY 1, 2"#;

#[test]
fn jsonata_is_the_reference_s() {
    let Some(text) = suites::text("jsonata-suite.json") else { return };
    let suite = JsonataSuite::read(&text);
    let mut sql = Sql::new("conformance_jsonata");
    let outcomes = suite.cases().map(|(name, case)| {
        let outcome = case
            .and_then(|case| jsonata_case(&case, suite.input(&case).map(RawValue::get), &mut sql));
        (name, outcome)
    });
    suites::check("sql", "jsonata", outcomes);
}

#[test]
fn jsonpath_is_rfc_9535_s() {
    let Some(text) = suites::text("jsonpath-cts.json") else { return };
    let suite = PathSuite::read(&text);
    let mut sql = Sql::new("conformance_jsonpath");
    let outcomes = suite.tests.iter().map(|case| (case.name.clone(), path_case(case, &mut sql)));
    suites::check("sql", "jsonpath", outcomes);
}

/// `$now()` and `$millis()` are of the transaction: the same for all events of all its calls, and
/// others in the next.
#[test]
fn time_is_the_transaction_s() {
    let database = Database::new("conformance_time");
    let mut session = database.connect();
    session.batch_execute(TIMES).unwrap();
    let mut latest = String::new();
    for _ in 0..2 {
        let mut transaction = session.transaction().unwrap();
        transaction.batch_execute(APPLIED_SLOWLY).unwrap();
        let told = transaction.query(TOLD, &[]).unwrap();
        assert_eq!(told.len(), 1, "all events tell the same: {told:?}");
        let [events, begun]: [String; 2] = [told[0].get("events"), told[0].get("begun")];
        assert_eq!(events, "1001");
        for column in ["now", "millis"] {
            assert_eq!(told[0].get::<_, &str>(column), begun, "{column}");
        }
        assert!(begun > latest, "{begun}, after {latest}");
        latest = begun;
        transaction.commit().unwrap();
    }
}

/// What is wrong with a case, if anything is.
fn jsonata_case(case: &JsonataCase<'_>, input: Option<&str>, sql: &mut Sql) -> Result<(), String> {
    let expected_code = case.error_code();
    // On a busy machine, what is to end well may take longer than the suite allows.
    let timeout = expected_code.and(case.timelimit).unwrap_or(60_000);
    sql.limit(timeout, case.depth.map_or(1_000, |depth| depth + SURROUNDING));
    let result = match input {
        Some(input) => sql.map("jsonataExpression", &case.expression(), input),
        None => sql.map("jsonataExpression", &without_input(case), "{}"),
    };
    match (result, expected_code) {
        (Err(error), Some(code)) => {
            let is_limit = error.code().code() == "MP010" && code == "U1001";
            let is_expected = is_limit || engine_code(&error) == Some(code);
            is_expected.then_some(()).ok_or_else(|| format!("failed with {error:?}, not {code}"))
        }
        (Err(error), None) => Err(format!("failed with {error:?}")),
        (Ok(got), Some(code)) => Err(format!("gave {got:?}, not the error {code}")),
        (Ok(got), None) => {
            let expected = case.result.map(value);
            let is_expected = match (&got, &expected) {
                (Some(Value::Array(got)), Some(Value::Array(expected))) if case.unordered => {
                    equal_unordered(got, expected)
                }
                (Some(got), Some(expected)) => equal(got, expected),
                (got, expected) => got.is_none() && expected.is_none(),
            };
            is_expected.then_some(()).ok_or_else(|| format!("gave {got:?}, not {expected:?}"))
        }
    }
}

/// The nesting that [`without_input`] adds to an expression.
const SURROUNDING: usize = 3;

/// The expression where JSONata itself has no input, as an event always has a payload: in a group of
/// nothing. What is of no syntax is never evaluated.
fn without_input(case: &JsonataCase<'_>) -> String {
    match case.error_code() {
        Some(code) if code.starts_with('S') => case.expression(),
        _ => format!("$lookup(nothing{{'v': {}\n}}, 'v')", case.expression()),
    }
}

fn path_case(case: &PathCase<'_>, sql: &mut Sql) -> Result<(), String> {
    let document = case.document.map_or("{}", RawValue::get);
    let got = match (sql.map("field", &case.selector, document), case.document) {
        (Ok(got), Some(_)) => got,
        (Ok(got), None) => return Err(format!("is accepted, and gives {got:?}")),
        (Err(error), None) if error.code().code() == "MP001" => return Ok(()),
        (Err(error), _) => return Err(format!("failed with {error:?}")),
    };
    let is_expected = case.allowed().any(|nodes| match (&got, nodes) {
        (None, []) => true,
        (Some(got), [node]) => equal(got, &value(node)),
        (Some(Value::Array(got)), nodes @ [_, _, ..]) => {
            got.len() == nodes.len()
                && got.iter().zip(nodes).all(|(got, node)| equal(got, &value(node)))
        }
        _ => false,
    });
    is_expected.then_some(()).ok_or_else(|| format!("gave {got:?}"))
}

fn value(text: &RawValue) -> Value {
    serde_json::from_str(text.get()).unwrap()
}

/// What the engine calls the error: `MP004` and `MP010` have a line of it, `MP001` puts it before
/// the problem.
fn engine_code(error: &DbError) -> Option<&str> {
    let detail = error.detail()?;
    let line = detail.lines().find_map(|line| line.strip_prefix("Engine code: "));
    line.or_else(|| detail.split("/jsonataExpression: ").nth(1)?.split(':').next())
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let is_in_b = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| equal(a, b));
            a.len() == b.len() && a.iter().all(is_in_b)
        }
        (a, b) => a == b,
    }
}

fn equal_unordered(a: &[Value], b: &[Value]) -> bool {
    let mut left: Vec<&Value> = b.iter().collect();
    let found = |item| left.iter().position(|b| equal(item, b)).map(|at| left.swap_remove(at));
    a.iter().map(found).all(|found| found.is_some()) && a.len() == b.len()
}

/// A session that maps.
struct Sql {
    session: Client,
    /// The time and the depth that an expression may take.
    limits: (u64, usize),
    _database: Database,
}

impl Sql {
    fn new(database: &str) -> Sql {
        let database = Database::new(database);
        let mut session = database.connect();
        session.batch_execute(SETTINGS).unwrap();
        Sql { session, limits: (0, 0), _database: database }
    }

    fn limit(&mut self, timeout: u64, depth: usize) {
        if self.limits != (timeout, depth) {
            let settings = format!(
                "SET erp_toolkit.expression_timeout = {timeout};
                 SET erp_toolkit.expression_max_depth = {depth}"
            );
            self.session.batch_execute(&settings).unwrap();
            self.limits = (timeout, depth);
        }
    }

    /// The attribute whose value `source` (`jsonataExpression` or `field`) takes from `payload`.
    fn map(
        &mut self,
        source: &str,
        text: &str,
        payload: &str,
    ) -> Result<Option<Value>, Box<DbError>> {
        let mapping = json!({"entities": [{"entity_schema": "c", "unique_ids": ["id"], "fields": [
            {"attribute": "id", "constant": 1}, {"attribute": "v", source: text}]}]});
        // A payload that is a string is JSON text.
        let payload = match payload.starts_with('"') {
            true => Value::from(payload).to_string(),
            false => payload.to_owned(),
        };
        let query = "SELECT (attributes -> 'v')::text
                     FROM erp_map($1::text::jsonb, 'E', $2::text::jsonb)";
        let row = self.session.query_one(query, &[&mapping.to_string(), &payload]);
        let row = row.map_err(|error| Box::new(db_error(&error).clone()))?;
        let value: Option<&str> = row.get(0);
        Ok(value.map(|text| serde_json::from_str(text).unwrap()))
    }
}
