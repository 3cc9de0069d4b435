//! Sessions that apply events to the same keys of a user's own tables at once: one row a key,
//! nothing that was appended is lost, foreign keys hold, and nobody gets an error.

use std::sync::Barrier;

use erp_tests::{Database, Random, in_sessions};
use postgres::{Client, Error};

const SESSIONS: usize = 8;

const CRM: &str = include_str!("../crm.sql");

/// Relations create customers that nobody has told the name of.
const SETUP: &str = r#"
    ALTER TABLE crm.customers ALTER name SET DEFAULT '';
    SELECT erp_register_entity('customer', 'crm.customers', ARRAY['customer_number'],
        columns => '{"customer_number": "customer_no"}', attributes_column => 'data',
        created_at_column => 'created_at', updated_at_column => 'updated_at', deleted_at_column => 'deleted_at');
    SELECT erp_register_entity('contract', 'crm.contracts', ARRAY['contract_no'], deleted_at_column => 'deleted_at',
        relations => '{"customer": {"column": "customer_id", "entity_schema": "customer"}}');
    SELECT erp_register_entity('meter', 'crm.meters', ARRAY['meter_no'],
        relations => '{"contract": {"column": "contract_id", "entity_schema": "contract"}}');"#;

/// Meters refer to contracts and contracts to customers, all by foreign keys. What is appended
/// carries the number of the call.
const MAPPING: &str = r##"{"version": "2.0", "mapping": {"events": {
"Sync": {"entities": [
{"entity_schema": "meter", "unique_ids": ["meter_no"], "jsonataExpression": "meters", "fields": [
    {"attribute": "meter_no", "field": "number"},
    {"attribute": "kind", "field": "kind"},
    {"attribute": "contract", "relations": {"items": [
        {"entity_schema": "contract", "unique_ids": [{"attribute": "contract_no", "field": "contract"}]}]}}]},
{"entity_schema": "contract", "unique_ids": ["contract_no"], "jsonataExpression": "contracts", "fields": [
    {"attribute": "contract_no", "field": "number"},
    {"attribute": "customer", "relations": {"items": [
        {"entity_schema": "customer", "unique_ids": [{"attribute": "customer_number", "field": "customer"}]}]}}]},
{"entity_schema": "customer", "unique_ids": ["customer_number"], "jsonataExpression": "customers", "fields": [
    {"attribute": "customer_number", "field": "number"},
    {"attribute": "name", "field": "name"},
    {"attribute": "tags", "jsonataExpression": "{\"_append\": [log]}"},
    {"attribute": "log", "jsonataExpression": "{\"_append\": [log]}"}]}]},
"Gone": {"entities": [
{"entity_schema": "customer", "unique_ids": ["customer_number"], "mode": "delete", "jsonataExpression": "customers", "fields": [
    {"attribute": "customer_number", "field": "number"}]},
{"entity_schema": "contract", "unique_ids": ["contract_no"], "mode": "delete", "jsonataExpression": "contracts", "fields": [
    {"attribute": "contract_no", "field": "number"}]}]}
}}}"##;

#[test]
fn sessions_share_the_rows_of_registered_tables() {
    const ROUNDS: usize = 40;
    let database = Database::new("tables");
    let mut session = database.connect();
    session.batch_execute(CRM).unwrap();
    session.batch_execute(SETUP).unwrap();
    let together = Barrier::new(SESSIONS);
    let results = in_sessions(&database, SESSIONS, |number, session| {
        let mut random = Random::new(3 << 32 | number as u64);
        let mut caller = Caller { session: number, appended: 0 };
        let (mut logged, mut errors) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            together.wait();
            for _ in 0..6 {
                let call = caller.call(&mut random, round);
                match call.apply(session) {
                    Ok(()) => logged.extend(call.logged),
                    Err(error) => errors.push(format!("{error:?}")),
                }
            }
        }
        (logged, errors)
    });
    let (logged, errors): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let errors = errors.concat();
    assert!(errors.is_empty(), "{} errors, the first: {}", errors.len(), errors[0]);
    check(&mut session, logged.concat());
}

/// One call of erp_apply or, with several payloads, of erp_apply_batch.
struct Call {
    event: &'static str,
    payloads: Vec<String>,
    /// "customer log", for what it appends.
    logged: Vec<String>,
}

struct Caller {
    session: usize,
    appended: usize,
}

impl Caller {
    /// A call on the few keys of a round: mostly upserts, some deletions.
    fn call(&mut self, random: &mut Random, round: usize) -> Call {
        let event = if random.chance(20) { "Gone" } else { "Sync" };
        let events = if random.chance(60) { 1 } else { 2 + random.below(3) };
        let mut logged = Vec::new();
        let payloads =
            (0..events).map(|_| self.payload(random, round, event, &mut logged)).collect();
        Call { event, payloads, logged }
    }

    fn payload(
        &mut self,
        random: &mut Random,
        round: usize,
        event: &str,
        logged: &mut Vec<String>,
    ) -> String {
        let key = |random: &mut Random| format!("{round}-{}", random.below(3));
        let (mut customers, mut contracts, mut meters) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..1 + random.below(3) {
            let number = key(random);
            match random.below(3) {
                0 if event == "Sync" => {
                    self.appended += 1;
                    let log = format!("{}/{}", self.session, self.appended);
                    customers.push(format!(
                        r#"{{"number": "{number}", "name": "{}", "log": "{log}"}}"#,
                        random.below(3)
                    ));
                    logged.push(format!("{number} {log}"));
                }
                0 => customers.push(format!(r#"{{"number": "{number}"}}"#)),
                1 => contracts
                    .push(format!(r#"{{"number": "{number}", "customer": "{}"}}"#, key(random))),
                _ => meters.push(format!(
                    r#"{{"number": "{number}", "kind": "{}", "contract": "{}"}}"#,
                    random.pick(&["gas", "water"]),
                    key(random)
                )),
            }
        }
        let (customers, contracts, meters) =
            (customers.join(", "), contracts.join(", "), meters.join(", "));
        format!(
            r#"{{"customers": [{customers}], "contracts": [{contracts}], "meters": [{meters}]}}"#
        )
    }
}

impl Call {
    fn apply(&self, session: &mut Client) -> Result<(), Error> {
        match &self.payloads[..] {
            [payload] => session.query(
                "SELECT action FROM erp_apply($1::text::jsonb, $2, $3::text::jsonb)",
                &[&MAPPING, &self.event, payload],
            ),
            payloads => session.query(
                "SELECT action FROM erp_apply_batch($1::text::jsonb, $2, $3::text[]::jsonb[])",
                &[&MAPPING, &self.event, &payloads],
            ),
        }?;
        Ok(())
    }
}

fn check(session: &mut Client, mut expected: Vec<String>) {
    // No index forbids a second contract beside one that is deleted.
    let doubled = lines(
        session,
        "SELECT contract_no FROM crm.contracts GROUP BY contract_no HAVING count(*) > 1",
    );
    assert!(doubled.is_empty(), "contracts with several rows: {doubled:?}");
    let linked = lines(session, "SELECT meter_no FROM crm.meters WHERE contract_id IS NULL");
    assert!(linked.is_empty(), "meters without their contract: {linked:?}");

    expected.sort();
    for column in ["tags", "ARRAY(SELECT jsonb_array_elements_text(data -> 'log'))"] {
        let mut found = lines(
            session,
            &format!(
                "SELECT customer_no || ' ' || log FROM crm.customers, unnest({column}) AS log"
            ),
        );
        found.sort();
        assert_eq!(found, expected, "what was appended to {column}");
    }
    // Without any of these, nothing was tested.
    let counts = lines(
        session,
        "SELECT concat_ws(' ', (SELECT count(*) > 50 FROM crm.customers), (SELECT count(*) > 50 FROM crm.contracts),
                (SELECT count(*) > 50 FROM crm.meters), (SELECT count(*) > 5 FROM crm.contracts WHERE deleted_at IS NOT NULL))",
    );
    assert_eq!(counts, ["t t t t"]);
}

fn lines(session: &mut Client, query: &str) -> Vec<String> {
    session.query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}
