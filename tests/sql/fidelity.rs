//! What the rules of a user's own table say reaches the caller as if the caller had written the row
//! itself, whichever way an event comes; and a long transaction of events that fail leaks nothing.

#[path = "fidelity/leaks.rs"]
mod leaks;
#[path = "fidelity/rules.rs"]
mod rules;

use std::fmt;

use erp_tests::{Database, db_error};
use postgres::error::DbError;
use postgres::{Client, Row};
use rules::{RULES, Rule};

/// A table of the user's and its events, which are [`rules::Rule::broken`] members beside a number;
/// a staging table for each way of its trigger; and what else asks for errors.
const TABLES: &str = r#"
    CREATE SCHEMA app;
    CREATE TABLE app.department (code text PRIMARY KEY);
    CREATE DOMAIN app.age AS int CONSTRAINT is_an_age CHECK (VALUE BETWEEN 0 AND 150);
    CREATE TABLE app.person (number text PRIMARY KEY, name text DEFAULT 'Ann', age app.age, room text, department text);
    SELECT erp_register_entity('person', 'app.person', ARRAY['number']);
    CREATE FUNCTION mapping() RETURNS jsonb LANGUAGE sql RETURN '{"entities": [{"entity_schema": "person", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "number"}, {"attribute": "name", "field": "name"},
        {"attribute": "age", "field": "age"}, {"attribute": "room", "field": "room"},
        {"attribute": "department", "field": "department"}]}]}'::jsonb;
    CREATE TABLE staging (payload jsonb);
    CREATE TABLE patient_staging (payload jsonb);
    DO $$
    BEGIN
        EXECUTE format('CREATE TRIGGER apply AFTER INSERT ON staging REFERENCING NEW TABLE AS inserted
            FOR EACH STATEMENT EXECUTE FUNCTION erp_apply_trigger(%L, %L, %L)', mapping(), 'E', 'payload');
        EXECUTE format('CREATE TRIGGER apply AFTER INSERT ON patient_staging REFERENCING NEW TABLE AS inserted
            FOR EACH STATEMENT EXECUTE FUNCTION erp_apply_trigger(%L, %L, %L, %L)', mapping(), 'E', 'payload', 'continue');
    END $$;
    CREATE FUNCTION told(statement text, OUT state text, OUT message text, OUT detail text, OUT hint text, OUT schema_name text,
                         OUT table_name text, OUT column_name text, OUT datatype text, OUT constraint_name text, OUT context text)
        LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
            hint = PG_EXCEPTION_HINT, schema_name = SCHEMA_NAME, table_name = TABLE_NAME, column_name = COLUMN_NAME,
            datatype = PG_DATATYPE_NAME, constraint_name = CONSTRAINT_NAME, context = PG_EXCEPTION_CONTEXT;
    END $$"#;

/// All that a caller can read of an error.
#[derive(Clone, PartialEq, Eq)]
struct Told {
    fields: [String; 9],
    /// The functions of the user's that it came through, from within.
    context: String,
}

impl Told {
    fn new(fields: [Option<&str>; 9], context: Option<&str>) -> Told {
        // How the row was written that the rule is about: by us, or by the caller.
        let own = |line: &&str| line.starts_with("PL/pgSQL function app.");
        let lines: Vec<&str> = context.unwrap_or_default().lines().filter(own).collect();
        Told {
            fields: fields.map(|field| field.unwrap_or_default().to_owned()),
            context: lines.join("\n"),
        }
    }

    /// As a client is told.
    fn of_client(error: &DbError) -> Told {
        let fields = [
            Some(error.code().code()),
            Some(error.message()),
            error.detail(),
            error.hint(),
            error.schema(),
            error.table(),
            error.column(),
            error.datatype(),
            error.constraint(),
        ];
        Told::new(fields, error.where_())
    }

    /// As an EXCEPTION clause is told.
    fn of_block(row: &Row) -> Told {
        Told::new([0, 1, 2, 3, 4, 5, 6, 7, 8].map(|i| row.get(i)), row.get(9))
    }

    /// What is kept of the error of an event that is set aside.
    fn kept(&self) -> [&str; 4] {
        [0, 1, 2, 3].map(|i| &*self.fields[i])
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {:?}", self.fields, self.context)
    }
}

/// A session with the tables, and one rule more.
struct Ruled {
    session: Client,
    rule: &'static Rule,
    _database: Database,
}

impl Ruled {
    fn new(prefix: &str, rule: &'static Rule) -> Ruled {
        let database = Database::new(&format!("{prefix}_{}", rule.name));
        let mut session = database.connect();
        session.batch_execute(TABLES).unwrap();
        session.batch_execute(rule.definition).unwrap();
        Ruled { session, rule, _database: database }
    }

    /// Statements that apply the event, a good one before it where there are several; they fail
    /// whole.
    fn raising(&self) -> [String; 4] {
        let payload = format!(r#"{{"number": "2", {}}}"#, self.rule.broken);
        let other = r#"{"number": "3", "room": "elsewhere"}"#;
        [
            format!("SELECT erp_apply(mapping(), 'E', '{payload}')"),
            format!(
                "SELECT erp_apply_batch(mapping(), 'E', ARRAY['{other}', '{payload}']::jsonb[])"
            ),
            format!("INSERT INTO staging VALUES ('{other}'), ('{payload}')"),
            format!("CALL erp_import(mapping(), 'E', $$VALUES ('{other}'), ('{payload}')$$)"),
        ]
    }

    fn client_is_told(&mut self, statement: &str) -> Told {
        let error = self.session.batch_execute(statement).expect_err(statement);
        Told::of_client(db_error(&error))
    }

    fn block_is_told(&mut self, statement: &str) -> Told {
        let row = self.session.query_one("SELECT * FROM told($1)", &[&statement]).unwrap();
        Told::of_block(&row)
    }

    fn people(&mut self) -> Vec<String> {
        let people =
            self.session.query("SELECT number FROM app.person ORDER BY number", &[]).unwrap();
        people.iter().map(|row| row.get(0)).collect()
    }
}

#[test]
fn what_is_raised_arrives_whole_whichever_way_events_come() {
    for rule in RULES {
        let mut ruled = Ruled::new("raised", rule);
        let expected = ruled.client_is_told(rule.statement);
        let in_block = ruled.block_is_told(rule.statement);
        assert_eq!(expected, in_block, "{}", rule.name);
        assert_eq!(expected.fields[0], rule.sqlstate, "{}: {expected:?}", rule.name);
        let is_of_trigger = rule.name.starts_with("trigger");
        assert_eq!(expected.context.is_empty(), !is_of_trigger, "{}: {expected:?}", rule.name);
        for statement in ruled.raising() {
            assert_eq!(ruled.client_is_told(&statement), expected, "{}: {statement}", rule.name);
            // erp_import commits, which a block cannot.
            if !statement.starts_with("CALL") {
                assert_eq!(ruled.block_is_told(&statement), expected, "{}: {statement}", rule.name);
            }
            assert_eq!(ruled.people(), ["1"], "{}: {statement}", rule.name);
        }
    }
}

#[test]
fn what_is_raised_is_kept_of_an_event_that_is_set_aside() {
    for rule in RULES {
        let mut ruled = Ruled::new("kept", rule);
        let expected = ruled.client_is_told(rule.statement);
        let payload = format!(r#"{{"number": "2", {}}}"#, rule.broken);
        let [before, after] =
            ["before", "behind"].map(|name| format!(r#"{{"number": "{name}", "room": "{name}"}}"#));
        let batch = format!(
            "SELECT error ->> 'sqlstate', error ->> 'message', coalesce(error ->> 'detail', ''), coalesce(error ->> 'hint', '')
             FROM erp_apply_batch(mapping(), 'E', ARRAY['{before}', '{payload}', '{after}']::jsonb[], 'continue')
             WHERE action = 'failed'"
        );
        let import = format!(
            "CALL erp_import(mapping(), 'E', $$VALUES ('{before}'), ('{payload}'), ('{after}')$$,
                             on_error => 'continue')"
        );
        let kept = "
            SELECT error ->> 'sqlstate', error ->> 'message', coalesce(error ->> 'detail', ''), coalesce(error ->> 'hint', '')
            FROM erp.import_error";
        let staging =
            format!("INSERT INTO patient_staging VALUES ('{before}'), ('{payload}'), ('{after}')");
        for (statement, told) in [("", &*batch), (&import, kept), (&staging, "")] {
            ruled.session.batch_execute(statement).unwrap();
            if !told.is_empty() {
                let rows = ruled.session.query(told, &[]).unwrap();
                assert_eq!(rows.len(), 1, "{}: {statement} {rows:?}", rule.name);
                let got: [&str; 4] = [0, 1, 2, 3].map(|i| rows[0].get(i));
                assert_eq!(got, expected.kept(), "{}: {statement}", rule.name);
            }
            assert_eq!(ruled.people(), ["1", "before", "behind"], "{}: {statement}", rule.name);
            ruled.session.batch_execute("DELETE FROM app.person WHERE number <> '1'").unwrap();
        }
    }
}
