//! The cases of `tests/golden` through SQL: what an event maps to, and the entities before and
//! after. Documents are compared in the database, to the last digit.

use std::collections::BTreeMap;
use std::fs;

use erp_tests::{Database, db_error};
use postgres::{Client, Error, Row};

#[test]
fn every_case_maps_as_printed() {
    let database = Database::new("golden_map");
    let mut session = database.connect();
    for case in cases() {
        let row = session.query_one(MAPPED, &[&case.text]).expect(&case.name);
        let [got, expected] = [0, 1].map(|column| row.get::<_, Option<String>>(column));
        assert_eq!(got, expected, "{}", case.name);
    }
}

/// The rows of erp_map as the cases print them, beside those expected. What `match` names is
/// checked and then replaced by what is expected.
const MAPPED: &str = "
    WITH given AS (SELECT $1::text::jsonb AS c),
    mapped AS (
        SELECT jsonb_agg(
                   jsonb_build_object('entity_slug', m.entity_slug)
                   || CASE WHEN m.mode = 'upsert' THEN '{}' ELSE jsonb_build_object('mode', m.mode) END
                   || CASE WHEN m.unique_identifiers IS NULL THEN '{}'
                           ELSE jsonb_build_object('unique_identifiers', m.unique_identifiers,
                                                   'attributes', m.attributes) END
                   || CASE WHEN m.scope IS NULL THEN '{}' ELSE jsonb_build_object('scope', m.scope) END
                   ORDER BY m.n) AS rows
        FROM given, erp_map(c -> 'mapping', c ->> 'event_name', c -> 'payload') WITH ORDINALITY
             AS m(entity_slug, mode, unique_identifiers, attributes, scope, n)
    ),
    matched AS (
        SELECT p.path, string_to_array(p.path, '.') AS keys
        FROM given, jsonb_each_text(c -> 'match') AS p(path, form)
        WHERE p.form = 'iso-8601-utc-milliseconds'
    )
    SELECT CASE
               WHEN NOT EXISTS (SELECT FROM matched) THEN coalesce(rows, '[]')
               ELSE (SELECT jsonb_set(rows, keys, c -> 'expected' #> keys)
                     FROM matched
                     WHERE rows #>> keys ~ '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$')
           END::text,
           (c -> 'expected')::text
    FROM given, mapped";

#[test]
fn every_case_applies_event_by_event() {
    each_stateful_case("golden_single", |case, tables| {
        for (event_name, payload) in tables.events(case) {
            tables.apply(&event_name, &payload)?;
        }
        Ok(())
    });
}

#[test]
fn every_case_applies_as_a_batch() {
    each_stateful_case("golden_batch", |case, tables| {
        let events = tables.events(case);
        let name = &events[0].0;
        // The events of a batch share their name; the cases' do.
        assert!(events.iter().all(|(other, _)| other == name), "{}", case.name);
        let payloads: Vec<&str> = events.iter().map(|(_, payload)| payload.as_str()).collect();
        tables.apply_batch(name, &payloads, "raise").map(drop)
    });
}

#[test]
fn a_case_that_fails_is_set_aside_in_a_batch() {
    let failing: Vec<Case> = cases().into_iter().filter(|case| case.error.is_some()).collect();
    assert!(!failing.is_empty());
    for case in failing {
        let mut tables = Tables::new("golden_set_aside", &case);
        let (event_name, payload) = tables.events(&case).pop().unwrap();
        let rows = tables.apply_batch(&event_name, &[&payload], "continue").expect(&case.name);
        assert_eq!(rows.len(), 1, "{}", case.name);
        assert_eq!(rows[0].get::<_, &str>("action"), "failed", "{}", case.name);
        assert_eq!(rows[0].get::<_, Option<String>>("code"), case.error, "{}", case.name);
        tables.check_final_state(&case);
    }
}

/// Loads each case's initial state, runs `apply`, and compares the outcome. Applied once more,
/// the last event changes nothing, unless it appends.
fn each_stateful_case(
    database: &str,
    mut apply: impl FnMut(&Case, &mut Tables) -> Result<(), Error>,
) {
    let mut checked = 0;
    for case in cases().into_iter().filter(|case| case.is_stateful) {
        let mut tables = Tables::new(database, &case);
        let outcome = apply(&case, &mut tables);
        match (&case.error, &outcome) {
            (None, outcome) => assert!(outcome.is_ok(), "{}: {outcome:?}", case.name),
            (Some(code), Err(error)) => {
                let detail = db_error(error).detail().unwrap_or_default();
                assert!(detail.starts_with(code), "{}: {error:?}", case.name);
            }
            (Some(code), Ok(())) => panic!("{}: {code} was expected", case.name),
        }
        tables.check_final_state(&case);
        if case.error.is_none() && !case.text.contains("_append") {
            tables.check_once_more(&case);
        }
        checked += 1;
    }
    assert!(checked >= 19, "only {checked} cases have a state");
}

struct Case {
    name: String,
    text: String,
    is_stateful: bool,
    error: Option<String>,
}

fn cases() -> Vec<Case> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).expect(folder) {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path).unwrap();
            let case: serde_json::Value = serde_json::from_str(&text).expect("a case is JSON");
            cases.push(Case {
                name: path.file_stem().unwrap().to_string_lossy().into_owned(),
                is_stateful: case.get("final_state").is_some(),
                error: case.pointer("/apply_error/code").and_then(|c| c.as_str()).map(Into::into),
                text,
            });
        }
    }
    assert!(cases.len() >= 46, "only {} cases were found in {folder}", cases.len());
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// An entity of a state.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entity {
    schema: String,
    id: String,
    /// As jsonb prints them.
    attributes: String,
}

/// The entity tables of one case.
struct Tables {
    session: Client,
    mapping: String,
    /// The ids that the initial state names, by name.
    ids: BTreeMap<String, String>,
    _database: Database,
}

impl Tables {
    /// The tables that the case needs, holding its initial state.
    fn new(database: &str, case: &Case) -> Tables {
        let database = Database::new(database);
        let mut session = database.connect();
        let mapping = "SELECT ($1::text::jsonb -> 'mapping')::text";
        let mapping = session.query_one(mapping, &[&case.text]).unwrap().get(0);
        session.query("SELECT erp_prepare($1::text::jsonb)", &[&mapping]).expect(&case.name);
        let mut tables = Tables { session, mapping, ids: BTreeMap::new(), _database: database };
        tables.load(case);
        tables
    }

    /// Inserts the initial state as anybody would, into tables that know nothing of ids' names.
    fn load(&mut self, case: &Case) {
        let state = self.state(case, "initial_state");
        for entity in &state {
            let id = self.session.query_one("SELECT gen_random_uuid()::text", &[]).unwrap().get(0);
            self.ids.insert(entity.id.clone(), id);
        }
        for entity in state {
            // The mapping's tables are there; of another one any attribute will do as the key.
            self.session
                .execute(
                    "SELECT erp_create_entity($1, ARRAY(SELECT jsonb_object_keys($2::text::jsonb) LIMIT 1))
                     WHERE NOT EXISTS (SELECT FROM erp.entity_type WHERE slug = $1)",
                    &[&entity.schema, &entity.attributes],
                )
                .expect(&case.name);
            let insert = format!(
                "INSERT INTO {} (id, attributes) VALUES ($1::text::uuid, $2::text::jsonb)",
                entity.schema
            );
            let attributes = with_ids(&entity.attributes, &self.ids);
            let id = &self.ids[&entity.id];
            self.session.execute(&insert, &[id, &attributes]).expect(&case.name);
        }
    }

    fn state(&mut self, case: &Case, state: &str) -> Vec<Entity> {
        let query = "
            SELECT e ->> 'schema', e ->> 'id', (e -> 'attributes')::text
            FROM jsonb_array_elements($1::text::jsonb -> $2) AS e";
        let rows = self.session.query(query, &[&case.text, &state]).unwrap();
        rows.iter().map(entity).collect()
    }

    /// Name and payload of the case's events, in order.
    fn events(&mut self, case: &Case) -> Vec<(String, String)> {
        let query = "
            SELECT e ->> 'event_name', (e -> 'payload')::text
            FROM CAST($1::text AS jsonb) AS c,
                 jsonb_array_elements(jsonb_build_array(c) || coalesce(c -> 'then', '[]'))
                 WITH ORDINALITY AS s(e, n)
            ORDER BY n";
        let rows = self.session.query(query, &[&case.text]).unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    fn apply(&mut self, event_name: &str, payload: &str) -> Result<Vec<Row>, Error> {
        let query = "SELECT * FROM erp_apply($1::text::jsonb, $2, $3::text::jsonb)";
        self.session.query(query, &[&self.mapping, &event_name, &payload])
    }

    fn apply_batch(
        &mut self,
        event_name: &str,
        payloads: &[&str],
        on_error: &str,
    ) -> Result<Vec<Row>, Error> {
        let query = "
            SELECT *, error ->> 'code' AS code
            FROM erp_apply_batch($1::text::jsonb, $2, $3::text[]::jsonb[], $4)";
        self.session.query(query, &[&self.mapping, &event_name, &payloads, &on_error])
    }

    fn live_entities(&mut self) -> Vec<Entity> {
        let query = "
            SELECT t.slug, f.entity_id, f.attributes::text
            FROM erp.entity_type AS t, erp_find(t.slug, '{}') AS f
            WHERE f.deleted_at IS NULL";
        let rows = self.session.query(query, &[]).unwrap();
        rows.iter().map(entity).collect()
    }

    fn check_final_state(&mut self, case: &Case) {
        let mut got = self.live_entities();
        let mut expected = self.state(case, "final_state");
        let mut ids = self.ids.clone();
        for entity in &expected {
            let live = live_id(entity, &got);
            let id = ids.entry(entity.id.clone()).or_insert_with(|| {
                live.clone().unwrap_or_else(|| panic!("{}: no {}", case.name, entity.id))
            });
            // An entity that was there before is still the same one.
            assert!(live.is_none_or(|live| live == *id), "{}: {}", case.name, entity.id);
        }
        for entity in &mut expected {
            entity.attributes = with_ids(&entity.attributes, &ids);
            entity.id = ids[&entity.id].clone();
        }
        got.sort();
        expected.sort();
        assert_eq!(got, expected, "{} (ids: {ids:#?})", case.name);
    }

    fn check_once_more(&mut self, case: &Case) {
        let (event_name, payload) = self.events(case).pop().unwrap();
        let before = self.row_versions();
        let single = self.apply(&event_name, &payload).expect(&case.name);
        let batch = self.apply_batch(&event_name, &[&payload], "raise").expect(&case.name);
        for row in single.iter().chain(&batch) {
            assert_eq!(row.get::<_, &str>("action"), "unchanged", "{}: {row:?}", case.name);
        }
        assert!(!single.is_empty() && single.len() == batch.len(), "{}", case.name);
        assert_eq!(before, self.row_versions(), "{}: a row was written", case.name);
    }

    /// Where each row version is, and which transaction wrote it.
    fn row_versions(&mut self) -> Vec<String> {
        let tables = "SELECT table_name::text FROM erp.entity_type ORDER BY 1";
        let tables = self.session.query(tables, &[]).unwrap();
        let versions = |table: &Row| {
            let table: &str = table.get(0);
            let query = format!("SELECT concat_ws(' ', '{table}', ctid, xmin) FROM {table}");
            self.session.query(&query, &[]).unwrap()
        };
        tables.iter().flat_map(versions).map(|row| row.get(0)).collect()
    }
}

fn entity(row: &Row) -> Entity {
    Entity { schema: row.get(0), id: row.get(1), attributes: row.get(2) }
}

/// The attributes that a name such as `@contact:customer_number=CUST-1` gives; none for a plain
/// name.
fn named_keys(name: &str) -> Vec<(&str, &str)> {
    let keys = name.strip_prefix('@').and_then(|name| name.split_once(':'));
    let keys = keys.map(|(_, keys)| keys.split(',')).into_iter().flatten();
    keys.filter_map(|key| key.split_once('=')).collect()
}

/// The id of the one live entity that the entity's name describes.
fn live_id(named: &Entity, live: &[Entity]) -> Option<String> {
    let keys = named_keys(&named.id);
    let has_keys = |entity: &&Entity| {
        let attributes: serde_json::Value = serde_json::from_str(&entity.attributes).unwrap();
        entity.schema == named.schema && keys.iter().all(|(key, value)| attributes[key] == *value)
    };
    let found: Vec<&Entity> = live.iter().filter(has_keys).collect();
    match (&keys[..], &found[..]) {
        ([], _) | (_, []) => None,
        (_, [one]) => Some(one.id.clone()),
        _ => panic!("{} names several of {live:#?}", named.id),
    }
}

/// JSON text with the ids that the cases name replaced by those the entities have.
fn with_ids(attributes: &str, ids: &BTreeMap<String, String>) -> String {
    ids.iter().fold(attributes.to_owned(), |text, (name, id)| {
        text.replace(&format!("\"entity_id\": \"{name}\""), &format!("\"entity_id\": \"{id}\""))
    })
}
