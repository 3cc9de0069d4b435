//! What a caller is told when something fails, and what is left: errors of the user's own tables
//! arrive as they were raised, a transaction keeps its other work, a backend stays healthy.

use std::thread;
use std::time::{Duration, Instant};

use erp_tests::{Database, backend, db_error, wait_until};
use postgres::error::DbError;
use postgres::{Client, Error, Row};

const MAPPING: &str = r#"{"version": "2.0", "mapping": {"events": {"Contact": {"entities": [
    {"entity_schema": "contact", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "number"},
        {"attribute": "email", "field": "email"},
        {"attribute": "name", "field": "name"},
        {"attribute": "tags", "field": "tags"},
        {"attribute": "upper", "jsonataExpression": "$uppercase(upper)"},
        {"attribute": "friend", "relations": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "friend"}]}]}},
        {"attribute": "site", "relations": {"items": [
            {"entity_schema": "site", "unique_ids": [{"attribute": "site_number", "field": "site"}]}]}}]}]}}}}"#;

/// A session of a database of its own, with the tables of [`MAPPING`].
struct Tables {
    session: Client,
    database: Database,
}

impl Tables {
    fn new(database: &str) -> Tables {
        let database = Database::new(database);
        let mut session = database.connect();
        session.query("SELECT erp_prepare($1::text::jsonb)", &[&MAPPING]).unwrap();
        Tables { session, database }
    }

    fn run(&mut self, sql: &str) {
        self.session.batch_execute(sql).unwrap();
    }

    fn apply(&mut self, payload: &str) -> Result<Vec<Row>, Error> {
        let query = "SELECT * FROM erp_apply($1::text::jsonb, 'Contact', $2::text::jsonb)";
        self.session.query(query, &[&MAPPING, &payload])
    }

    fn apply_batch(&mut self, payloads: &[&str]) -> Result<Vec<Row>, Error> {
        let query =
            "SELECT * FROM erp_apply_batch($1::text::jsonb, 'Contact', $2::text[]::jsonb[])";
        self.session.query(query, &[&MAPPING, &payloads])
    }

    /// How applying the payload fails: alone, and after another event in a batch, in the same way.
    fn failure(&mut self, payload: &str) -> DbError {
        let alone = self.apply(payload).expect_err(payload);
        let batch = self.apply_batch(&[r#"{"number": "other"}"#, payload]).expect_err(payload);
        let (alone, batch) = (db_error(&alone).clone(), db_error(&batch).clone());
        assert_eq!(shown(&alone), shown(&batch));
        assert_eq!(self.count("contact WHERE number = 'other'"), 0, "a batch is applied whole");
        alone
    }

    fn count(&mut self, from: &str) -> i64 {
        self.session.query_one(&format!("SELECT count(*) FROM {from}"), &[]).unwrap().get(0)
    }
}

/// What a caller can read of an error; the ids and times of a failing row aside.
fn shown(error: &DbError) -> [Option<String>; 9] {
    [
        Some(error.code().code()),
        Some(error.message()),
        error.detail().and_then(|detail| detail.split("Failing row").next()),
        error.hint(),
        error.schema(),
        error.table(),
        error.column(),
        error.datatype(),
        error.constraint(),
    ]
    .map(|text| text.map(Into::into))
}

// What the user's own tables raise

#[test]
fn a_check_constraint() {
    let mut tables = Tables::new("errors_check");
    tables.run("ALTER TABLE contact ADD CONSTRAINT named CHECK (attributes ->> 'name' <> '')");
    let error = tables.failure(r#"{"number": "1", "name": ""}"#);
    assert_eq!(error.code().code(), "23514");
    assert_eq!(
        error.message(),
        "new row for relation \"contact\" violates check constraint \"named\""
    );
    assert!(error.detail().unwrap().starts_with("Failing row contains ("));
    assert_eq!(error.schema(), Some("public"));
    assert_eq!(error.table(), Some("contact"));
    assert_eq!(error.constraint(), Some("named"));
}

#[test]
fn a_unique_index() {
    let mut tables = Tables::new("errors_unique");
    tables.run("CREATE UNIQUE INDEX one_name ON contact ((attributes ->> 'name'))");
    tables.apply(r#"{"number": "1", "name": "Ann"}"#).unwrap();
    let error = tables.failure(r#"{"number": "2", "name": "Ann"}"#);
    assert_eq!(error.code().code(), "23505");
    assert_eq!(error.message(), "duplicate key value violates unique constraint \"one_name\"");
    assert_eq!(error.detail(), Some("Key ((attributes ->> 'name'::text))=(Ann) already exists."));
    assert_eq!(error.schema(), Some("public"));
    assert_eq!(error.table(), Some("contact"));
    assert_eq!(error.constraint(), Some("one_name"));
}

#[test]
fn a_not_null_column() {
    let mut tables = Tables::new("errors_not_null");
    tables.run("
        ALTER TABLE contact ADD COLUMN shown text NOT NULL GENERATED ALWAYS AS (attributes ->> 'name') STORED");
    let error = tables.failure(r#"{"number": "1"}"#);
    assert_eq!(error.code().code(), "23502");
    assert_eq!(error.schema(), Some("public"));
    assert_eq!(error.table(), Some("contact"));
    assert_eq!(error.column(), Some("shown"));
    assert!(error.message().starts_with("null value in column \"shown\" of relation \"contact\""));
}

#[test]
fn a_trigger_with_everything_in_its_error() {
    let mut tables = Tables::new("errors_trigger");
    tables.run("
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'no % here', NEW.attributes ->> 'number' USING ERRCODE = 'ZZ007', DETAIL = 'the detail', HINT = 'the hint',
                CONSTRAINT = 'a constraint', TABLE = 'a table', COLUMN = 'a column', SCHEMA = 'a schema',
                DATATYPE = 'a datatype';
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON contact
            FOR EACH ROW WHEN (NEW.attributes ->> 'number' = '1') EXECUTE FUNCTION refuse()");
    let error = tables.failure(r#"{"number": "1"}"#);
    let expected = [
        "ZZ007",
        "no 1 here",
        "the detail",
        "the hint",
        "a schema",
        "a table",
        "a column",
        "a datatype",
        "a constraint",
    ];
    assert_eq!(shown(&error), expected.map(|text| Some(text.to_owned())));
    let context = error.where_().unwrap();
    assert!(context.starts_with("PL/pgSQL function refuse() line 3 at RAISE"), "{context}");
}

#[test]
fn a_deferred_constraint_trigger_at_commit() {
    let mut tables = Tables::new("errors_deferred");
    tables.run(
        "
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'late' USING ERRCODE = 'ZZ008'; END $$;
        CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON contact DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.number = '1') EXECUTE FUNCTION refuse()",
    );
    let error = tables.failure(r#"{"number": "1"}"#);
    assert_eq!((error.code().code(), error.message()), ("ZZ008", "late"));
}

#[test]
fn the_rest_of_the_transaction_is_kept() {
    let mut tables = Tables::new("errors_transaction");
    tables.run(
        "
        ALTER TABLE contact ADD CHECK (attributes ->> 'name' <> '');
        CREATE TABLE work (n int);
        BEGIN; INSERT INTO work VALUES (1)",
    );
    tables.apply(r#"{"number": "1", "name": "Ann"}"#).unwrap();
    tables.run("SAVEPOINT before; INSERT INTO work VALUES (2)");
    tables.apply(r#"{"number": "1", "name": "", "friend": "a@x"}"#).unwrap_err();
    let error = tables.session.batch_execute("SELECT 1").unwrap_err();
    assert_eq!(db_error(&error).code().code(), "25P02", "the transaction waits for its rollback");
    tables.run("ROLLBACK TO before; INSERT INTO work VALUES (3)");
    tables.apply(r#"{"number": "2"}"#).unwrap();
    tables.run("COMMIT");
    assert_eq!((tables.count("work WHERE n IN (1, 3)"), tables.count("work")), (2, 2));
    assert_eq!(tables.count("contact WHERE attributes ->> 'name' = 'Ann' OR number = '2'"), 2);
    assert_eq!(tables.count("contact"), 2, "the stub of the event that failed is gone");
}

#[test]
fn a_trigger_that_applies_an_event_itself() {
    let mut tables = Tables::new("errors_nested");
    let body = format!("
        CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM erp_apply('{MAPPING}', 'Contact', jsonb_build_object(
                'number', 'copy of ' || NEW.number, 'upper', NEW.attributes ->> 'name', 'friend', NEW.email));
            RETURN NULL;
        END $$;
        CREATE TRIGGER tell AFTER INSERT OR UPDATE ON contact
            FOR EACH ROW WHEN (NEW.number NOT LIKE 'copy of %') EXECUTE FUNCTION tell()");
    tables.run(&body);
    tables.apply(r#"{"number": "1", "name": "ann", "email": "a@x", "site": "s"}"#).unwrap();
    tables
        .apply_batch(&[r#"{"number": "1", "name": "bob"}"#, r#"{"number": "2", "name": "eve"}"#])
        .unwrap();
    let query = "
        SELECT concat_ws(' ', c.number, c.attributes ->> 'upper', f.number)
        FROM contact AS c LEFT JOIN contact AS f
             ON c.attributes @@ format('$.friend.\"$relation\"[*].entity_id == \"%s\"', f.id)::jsonpath
        WHERE c.number LIKE 'copy of %' ORDER BY 1";
    let copies = tables.session.query(query, &[]).unwrap();
    let copies: Vec<&str> = copies.iter().map(|row| row.get(0)).collect();
    assert_eq!(copies, ["copy of 1 BOB 1", "copy of 2 EVE"]);
    // Its failure, of a name that is missing, is the outer call's.
    let error = tables.failure(r#"{"number": "3"}"#);
    assert_eq!(error.code().code(), "MP004", "{error:?}");
    assert!(error.where_().unwrap().contains("PL/pgSQL function tell()"), "{error:?}");
}

// What the extension raises

#[test]
fn every_code_of_our_own() {
    let mut tables = Tables::new("errors_codes");
    tables.run("INSERT INTO contact (id, attributes) SELECT gen_random_uuid(), format('{\"number\": \"%s\", \"email\": \"a@x\"}', n)::jsonb
                FROM generate_series(1, 2) AS n;
                UPDATE erp.entity_type SET on_missing = 'error' WHERE slug = 'site'");
    let unbound = MAPPING.replace("\"contact\"", "\"nobody\"");
    let cases = [
        (r#"{"version": "1.0"}"#, "Contact", "{}", "MP001", "CONFIGURATION_INVALID"),
        (MAPPING, "Other", "{}", "MP002", "EVENT_NOT_CONFIGURED"),
        (MAPPING, "Contact", "\"{\"", "MP003", "MALFORMED_PAYLOAD"),
        (
            MAPPING,
            "Contact",
            r#"{"number": "3", "upper": 1}"#,
            "MP004",
            "MAPPING_EXPRESSION_FAILED",
        ),
        (MAPPING, "Contact", r#"{"number": ""}"#, "MP005", "MISSING_UNIQUE_IDENTIFIERS"),
        (
            MAPPING,
            "Contact",
            r#"{"number": "3", "friend": "a@x"}"#,
            "MP006",
            "UNIQUE_ID_MULTIPLE_MATCHES",
        ),
        (
            MAPPING,
            "Contact",
            r#"{"number": "3", "site": "s"}"#,
            "MP007",
            "ENTITY_REFERENCE_NOT_FOUND",
        ),
        (&unbound, "Contact", r#"{"number": "3"}"#, "MP008", "ENTITY_TYPE_UNKNOWN"),
        (MAPPING, "Contact", r#"{"number": ["3"]}"#, "MP009", "ATTRIBUTE_TYPE_MISMATCH"),
        (ENDLESS, "Any", "{}", "MP010", "EXPRESSION_LIMIT_EXCEEDED"),
    ];
    tables.run("SET erp_toolkit.expression_max_steps = 1000");
    for (mapping, event_name, payload, state, code) in cases {
        for call in [
            "erp_apply($1::text::jsonb, $2, $3::text::jsonb)",
            "erp_apply_batch($1::text::jsonb, $2, ARRAY[$3]::text[]::jsonb[])",
        ] {
            let query = format!("SELECT * FROM {call}");
            let error =
                tables.session.query(&query, &[&mapping, &event_name, &payload]).expect_err(code);
            let error = db_error(&error);
            assert_eq!(error.code().code(), state, "{error:?}");
            let detail = error.detail().unwrap_or_default();
            let after = detail.strip_prefix(code).unwrap_or_else(|| panic!("{error:?}"));
            assert!(after.is_empty() || after.starts_with(": "), "{error:?}");
        }
    }
    assert_eq!(tables.count("contact"), 2, "nothing is half applied");
}

// Expressions that do not end

/// Calls itself forever, in constant space.
const ENDLESS: &str = r#"{"entities": [{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
    {"attribute": "number", "jsonataExpression": "($f := function($n) {$f($n + 1)}; $f(0))"}]}]}"#;

/// The settings are there once the library is loaded.
const NO_LIMITS: &str = "
    SELECT erp_merge('{}', '{}');
    SET erp_toolkit.expression_timeout = '1h';
    SET erp_toolkit.expression_max_steps = 2147483647;
    SET erp_toolkit.expression_max_depth = 10000";

/// How much later than told an expression may stop on a machine that has much else to do; how soon
/// it stops at best is tested with everything else that can be interrupted.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn statement_timeout_stops_an_expression() {
    let mut tables = Tables::new("errors_timeout");
    tables.run(NO_LIMITS);
    tables.run("SET statement_timeout = 200");
    for call in [
        "erp_map($1::text::jsonb, 'e', '{}')",
        "erp_apply($1::text::jsonb, 'e', '{}')",
        "erp_apply_batch($1::text::jsonb, 'e', ARRAY['{}', '{}']::jsonb[], 'continue')",
    ] {
        let start = Instant::now();
        let query = format!("SELECT count(*) FROM {call}");
        let error = tables.session.query_one(&query, &[&ENDLESS]).expect_err(call);
        let took = start.elapsed();
        let error = db_error(&error);
        assert_eq!(error.code().code(), "57014", "{error:?}");
        assert_eq!(error.message(), "canceling statement due to statement timeout");
        assert!(took < Duration::from_millis(200) + PATIENCE, "{call} took {took:?}");
    }
    assert_eq!(tables.count("contact"), 0);
}

#[test]
fn pg_cancel_backend_stops_an_expression() {
    let mut tables = Tables::new("errors_cancel");
    tables.run(NO_LIMITS);
    let pid = backend(&mut tables.session);
    let Tables { mut session, database } = tables;
    let mut observer = database.connect();
    let (error, ended) = thread::scope(|scope| {
        let running = scope.spawn(|| {
            let query = "SELECT * FROM erp_apply($1::text::jsonb, 'e', '{}')";
            (session.query(query, &[&ENDLESS]).unwrap_err(), Instant::now())
        });
        let query = "
            SELECT count(*) = 1 FROM pg_stat_activity
            WHERE pid = $1 AND state = 'active' AND query LIKE '%erp_apply%'
              AND query_start < clock_timestamp() - interval '100 ms'";
        let state = observer.prepare(query).unwrap();
        wait_until("it runs", || observer.query_one(&state, &[&pid]).unwrap().get(0));
        let cancelled = Instant::now();
        observer.query("SELECT pg_cancel_backend($1)", &[&pid]).unwrap();
        let (error, ended) = running.join().unwrap();
        (error, ended.duration_since(cancelled))
    });
    let error = db_error(&error);
    assert_eq!(error.code().code(), "57014", "{error:?}");
    assert_eq!(error.message(), "canceling statement due to user request");
    assert!(ended < PATIENCE, "it took {ended:?}");
    session.batch_execute("SELECT 1").unwrap();
}

// A backend that lives long

/// What each event leaves in memory adds up in one transaction, unless it is given back.
#[test]
fn memory_stays_flat() {
    const MEBIBYTE: i64 = 1 << 20;
    let mut tables = Tables::new("errors_memory");
    tables.run("ALTER TABLE contact ADD CHECK (attributes ->> 'name' <> '')");
    let body = format!("
        CREATE FUNCTION apply_many(OUT contexts bigint[], OUT resident bigint[]) LANGUAGE plpgsql AS $$
        DECLARE
            payload jsonb;
        BEGIN
            FOR i IN 1..20000 LOOP
                payload := jsonb_build_object('number', i % 500, 'name', i::text, 'tags', jsonb_build_array(i),
                                              'friend', i % 50 || '@x', 'upper', repeat('x', i % 100));
                IF i % 10 = 0 THEN
                    payload := payload || (ARRAY['{{\"upper\": 1}}', '{{\"name\": \"\"}}', '{{\"number\": null}}',
                                                 '{{\"number\": []}}']::jsonb[])[i / 10 % 4 + 1];
                END IF;
                BEGIN
                    PERFORM erp_apply('{MAPPING}', 'Contact', payload);
                    ASSERT i % 10 <> 0, 'an event that is to fail';
                EXCEPTION WHEN OTHERS THEN
                    IF SQLSTATE NOT IN ('MP004', 'MP005', 'MP009', '23514') THEN RAISE; END IF;
                END;
                IF i IN (4000, 20000) THEN
                    contexts := contexts || (SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts);
                    resident := resident || (substring(pg_read_file('/proc/self/status', 0, 100000, true)
                                                       FROM 'RssAnon:\\s+(\\d+) kB')::bigint * 1024);
                END IF;
            END LOOP;
        END $$");
    tables.run(&body);
    let row = tables.session.query_one("SELECT * FROM apply_many()", &[]).unwrap();
    let [contexts, resident]: [Vec<Option<i64>>; 2] = [row.get(0), row.get(1)];
    let [Some(before), Some(after)] = contexts[..] else { panic!("{contexts:?}") };
    assert!(after - before < 3 * MEBIBYTE, "memory contexts grew from {before} to {after} bytes");
    // Without the shared buffers, of which it sees more and more; not everywhere to be read.
    if let [Some(before), Some(after)] = resident[..] {
        assert!(after - before < 5 * MEBIBYTE, "the backend grew from {before} to {after} bytes");
    }
}
