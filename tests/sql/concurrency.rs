//! Sessions that apply events to the same keys at once: one entity a key, nothing that was
//! appended is lost, every link leads somewhere, and nobody gets an error but 40001 in the
//! isolation levels that say so.

use std::collections::{BTreeMap, HashMap};
use std::sync::Barrier;

use erp_tests::{Database, Random, in_sessions};
use postgres::error::SqlState;
use postgres::{Client, Error, IsolationLevel, Row};

const SESSIONS: usize = 8;

/// Contacts, contracts and accounts that link to each other and to their own kind, to contacts by
/// number and by e-mail. What is appended carries the number of the call.
const MAPPING: &str = r##"{"version": "2.0", "mapping": {"events": {"Sync": {"entities": [
{"entity_schema": "contract", "unique_ids": ["contract_number"], "jsonataExpression": "contracts", "fields": [
    {"attribute": "contract_number", "field": "number"},
    {"attribute": "log", "jsonataExpression": "{\"_append\": [log]}"},
    {"attribute": "people", "relations": {"operation": "_append", "jsonataExpression":
        "($log := log; mails.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"email\", \"constant\": $}], \"_tags\": [$log & $]})"}},
    {"attribute": "owner", "relations": {"items": [
        {"entity_schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "contact"}]}]}},
    {"attribute": "parent", "relations": {"items": [
        {"entity_schema": "contract", "unique_ids": [{"attribute": "contract_number", "field": "contract"}]}]}},
    {"attribute": "account", "relations": {"items": [
        {"entity_schema": "account", "unique_ids": [{"attribute": "account_number", "field": "account"}]}]}}]},
{"entity_schema": "account", "unique_ids": ["account_number"], "jsonataExpression": "accounts", "fields": [
    {"attribute": "account_number", "field": "number"},
    {"attribute": "log", "jsonataExpression": "{\"_append\": [log]}"},
    {"attribute": "people", "relations": {"operation": "_append", "jsonataExpression":
        "($log := log; mails.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"email\", \"constant\": $}], \"_tags\": [$log & $]})"}},
    {"attribute": "contract", "relations": {"items": [
        {"entity_schema": "contract", "unique_ids": [{"attribute": "contract_number", "field": "contract"}]}]}}]},
{"entity_schema": "contact", "unique_ids": ["customer_number"], "jsonataExpression": "contacts", "fields": [
    {"attribute": "customer_number", "field": "number"},
    {"attribute": "email", "field": "email"},
    {"attribute": "log", "jsonataExpression": "{\"_append\": [log]}"},
    {"attribute": "people", "relations": {"operation": "_append", "jsonataExpression":
        "($log := log; mails.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"email\", \"constant\": $}], \"_tags\": [$log & $]})"}},
    {"attribute": "manager", "relations": {"items": [
        {"entity_schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "contact"}]}]}},
    {"attribute": "account", "relations": {"operation": "_append_unique", "items": [
        {"entity_schema": "account", "unique_ids": [{"attribute": "account_number", "field": "account"}]}]}}]}
]}}}}"##;

const SETUP: &str = r#"
    CREATE VIEW entity AS
        SELECT 'contact' AS slug, id, customer_number AS key, email, stub, attributes FROM contact
        UNION ALL SELECT 'contract', id, contract_number, NULL, stub, attributes FROM contract
        UNION ALL SELECT 'account', id, account_number, NULL, stub, attributes FROM account;
    CREATE VIEW link AS
        SELECT e.slug, e.key, e.id, i.item ->> '_schema' AS to_slug, (i.item ->> 'entity_id')::uuid AS to_id,
               i.item #>> '{_tags,0}' AS tag
        FROM entity AS e, jsonb_path_query(e.attributes, '$.*."$relation"[*]') AS i(item);"#;

fn prepared(database: &str) -> Database {
    let database = Database::new(database);
    let mut session = database.connect();
    session.query("SELECT erp_prepare($1::text::jsonb)", &[&MAPPING]).unwrap();
    session.batch_execute(SETUP).unwrap();
    database
}

/// Rows are written in one order, whoever has some of them first.
#[test]
fn sessions_that_create_the_same_entities_do_not_wait_in_a_circle() {
    let database = Database::new("concurrency_order");
    let mut session = database.connect();
    let mapping = r#"{"entities": [{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [
        {"attribute": "customer_number", "field": "number"}, {"attribute": "name", "field": "name"}]}]}"#;
    session.query("SELECT erp_prepare($1::text::jsonb)", &[&mapping]).unwrap();
    let together = Barrier::new(SESSIONS);
    in_sessions(&database, SESSIONS, |number, session| {
        session.batch_execute("SET deadlock_timeout = '10ms'").unwrap();
        for round in 0..20 {
            together.wait();
            let query = "
                SELECT count(*) FROM erp_apply_batch($1::text::jsonb, 'any', ARRAY(
                    SELECT jsonb_build_object('number', $2::integer || ' ' || n, 'name', $3::integer)
                    FROM generate_series(1, 300) AS n))";
            session.query(query, &[&mapping, &round, &(number as i32)]).unwrap();
        }
    });
    let deadlocks = "
        SELECT count(*), (SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()) FROM contact";
    session.batch_execute("SELECT pg_stat_force_next_flush(); SELECT pg_sleep(0.1)").unwrap();
    let row = session.query_one(deadlocks, &[]).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (20 * 300, 0));
}

#[test]
fn sessions_that_commit_each_call_never_fail() {
    const ROUNDS: usize = 40;
    let database = prepared("concurrency");
    let together = Barrier::new(SESSIONS);
    let results = in_sessions(&database, SESSIONS, |number, session| {
        let mut random = Random::new(1 << 32 | number as u64);
        let mut caller = Caller::new(number);
        let mut errors = Vec::new();
        for round in 0..ROUNDS {
            together.wait();
            for _ in 0..8 {
                let call = caller.call(&mut random, &format!("{round}"));
                match call.apply(session) {
                    Ok(_) => caller.done(call),
                    Err(error) => errors.push(format!("{error:?}")),
                }
            }
        }
        (caller.done, errors)
    });
    let (done, errors): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let errors = errors.concat();
    assert!(errors.is_empty(), "{} errors, the first: {}", errors.len(), errors[0]);
    check(&mut database.connect(), &done.concat());
}

#[test]
fn stricter_isolation_fails_with_40001_or_not_at_all() {
    const ROUNDS: usize = 20;
    let database = prepared("concurrency_strict");
    let together = Barrier::new(SESSIONS);
    let results = in_sessions(&database, SESSIONS, |number, session| {
        let level = match number {
            0..4 => IsolationLevel::RepeatableRead,
            4..6 => IsolationLevel::Serializable,
            _ => IsolationLevel::ReadCommitted,
        };
        let mut random = Random::new(2 << 32 | number as u64);
        let mut caller = Caller::new(number);
        let (mut errors, mut repeated) = (Vec::new(), 0);
        for round in 0..ROUNDS {
            together.wait();
            for _ in 0..3 {
                let call = caller.call(&mut random, &format!("{round}"));
                match call.apply_until_done(session, level, &mut repeated) {
                    Ok(()) => caller.done(call),
                    Err(error) => errors.push(format!("{level:?}: {error:?}")),
                }
            }
        }
        (caller.done, errors, repeated)
    });
    let errors: Vec<&String> = results.iter().flat_map(|(_, errors, _)| errors).collect();
    assert!(errors.is_empty(), "{} errors, the first: {}", errors.len(), errors[0]);
    // Without a conflict nothing was tested.
    assert!(results.iter().any(|(_, _, repeated)| *repeated > 0));
    let done: Vec<Done> = results.into_iter().flat_map(|(done, ..)| done).collect();
    check(&mut database.connect(), &done);
}

// What the sessions do

/// Something that one call appended.
#[derive(Debug, Clone)]
struct Done {
    slug: &'static str,
    key: String,
    log: String,
    /// Contacts linked to, by e-mail.
    mails: Vec<String>,
}

/// A call of erp_apply or, with several payloads, of erp_apply_batch.
struct Call {
    payloads: Vec<String>,
    appends: Vec<Done>,
}

/// A session's calls: each appends values that no other does.
struct Caller {
    session: usize,
    appended: usize,
    done: Vec<Done>,
}

impl Caller {
    fn new(session: usize) -> Caller {
        Caller { session, appended: 0, done: Vec::new() }
    }

    /// A call on the few keys of `round`.
    fn call(&mut self, random: &mut Random, round: &str) -> Call {
        let events = if random.chance(60) { 1 } else { 2 + random.below(3) };
        let mut appends = Vec::new();
        let payloads = (0..events).map(|_| self.payload(random, round, &mut appends)).collect();
        Call { payloads, appends }
    }

    fn payload(&mut self, random: &mut Random, round: &str, appends: &mut Vec<Done>) -> String {
        let mut lists: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for _ in 0..1 + random.below(3) {
            let slug = random.pick(&["contact", "contract", "account"]);
            let (append, entity) = self.entity(random, round, slug);
            appends.push(append);
            lists.entry(slug).or_default().push(entity);
        }
        let member =
            |(slug, list): (&str, Vec<String>)| format!("\"{slug}s\": [{}]", list.join(", "));
        format!("{{{}}}", lists.into_iter().map(member).collect::<Vec<_>>().join(", "))
    }

    fn entity(&mut self, random: &mut Random, round: &str, slug: &'static str) -> (Done, String) {
        let key = |random: &mut Random| format!("{round}-{}", random.below(3));
        let number = key(random);
        self.appended += 1;
        let log = format!("{}/{}/", self.session, self.appended);
        let mails: Vec<String> = (0..random.below(3)).map(|_| key(random) + "@x").collect();
        let mut members = vec![format!("\"log\": \"{log}\""), format!("\"mails\": {mails:?}")];
        // Contacts are linked to either by number or by address. One that gets its address after
        // it was created, by a link to its number, could have a stub beside it.
        let number = match slug {
            "contact" if random.chance(30) => format!("n{number}"),
            "contact" => {
                members.push(format!("\"email\": \"{number}@x\""));
                number
            }
            _ => number,
        };
        members.push(format!("\"number\": \"{number}\""));
        for (link, prefix) in [("contact", "n"), ("contract", ""), ("account", "")] {
            if random.chance(35) {
                members.push(format!("\"{link}\": \"{prefix}{}\"", key(random)));
            }
        }
        (Done { slug, key: number, log, mails }, format!("{{{}}}", members.join(", ")))
    }

    fn done(&mut self, call: Call) {
        self.done.extend(call.appends);
    }
}

impl Call {
    fn apply(&self, session: &mut impl postgres::GenericClient) -> Result<Vec<Row>, Error> {
        match &self.payloads[..] {
            [payload] => session.query(APPLY, &[&MAPPING, payload]),
            payloads => session.query(APPLY_BATCH, &[&MAPPING, &payloads]),
        }
    }

    /// Applies it in transactions, again after 40001.
    fn apply_until_done(
        &self,
        session: &mut Client,
        level: IsolationLevel,
        repeated: &mut usize,
    ) -> Result<(), Error> {
        for _ in 0..100 {
            let mut transaction = session.build_transaction().isolation_level(level).start()?;
            let outcome = self.apply(&mut transaction).and_then(|_| transaction.commit());
            match outcome {
                Err(error) if error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE) => {
                    *repeated += 1;
                }
                outcome => return outcome,
            }
        }
        panic!("40001 a hundred times");
    }
}

const APPLY: &str = "
    SELECT entity_slug, entity_id, action FROM erp_apply($1::text::jsonb, 'Sync', $2::text::jsonb)";
const APPLY_BATCH: &str = "
    SELECT entity_slug, entity_id, action
    FROM erp_apply_batch($1::text::jsonb, 'Sync', $2::text[]::jsonb[])";

// What must hold afterwards

fn check(session: &mut Client, done: &[Done]) {
    nothing(
        session,
        "a key has several entities",
        "
        SELECT slug, key FROM entity WHERE key IS NOT NULL GROUP BY slug, key HAVING count(*) > 1",
    );
    nothing(
        session,
        "a stub is beside the contact it stands for",
        "
        SELECT a.slug, a.email FROM entity AS a JOIN entity AS b USING (email)
        WHERE a.stub AND a.id <> b.id",
    );
    nothing(
        session,
        "a link leads nowhere",
        "
        SELECT l.slug, l.key FROM link AS l
        WHERE NOT EXISTS (SELECT FROM entity AS e WHERE e.slug = l.to_slug AND e.id = l.to_id)",
    );

    let mut logged = lines(session, "
        SELECT concat_ws(' ', slug, key, log) FROM entity, jsonb_array_elements_text(attributes -> 'log') AS log");
    let mut expected: Vec<String> =
        done.iter().map(|done| format!("{} {} {}", done.slug, done.key, done.log)).collect();
    assert_same_lines("appended values", &mut logged, &mut expected);

    let mut linked = lines(
        session,
        "
        SELECT concat_ws(' ', l.slug, l.key, l.tag, e.email)
        FROM link AS l JOIN entity AS e ON e.id = l.to_id WHERE l.tag IS NOT NULL",
    );
    let link =
        |done: &Done, mail: &str| format!("{} {} {}{mail} {mail}", done.slug, done.key, done.log);
    let mut expected: Vec<String> =
        done.iter().flat_map(|done| done.mails.iter().map(|mail| link(done, mail))).collect();
    assert_same_lines("appended links", &mut linked, &mut expected);
}

fn lines(session: &mut Client, query: &str) -> Vec<String> {
    session.query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

fn nothing(session: &mut Client, what: &str, query: &str) {
    let rows = session.query(query, &[]).unwrap();
    assert!(rows.is_empty(), "{what}: {} rows, the first {:?}", rows.len(), pair(&rows[0]));
}

fn pair(row: &Row) -> (Option<&str>, Option<&str>) {
    (row.get(0), row.get(1))
}

/// Both hold the same lines, each as often.
fn assert_same_lines(what: &str, got: &mut [String], expected: &mut [String]) {
    got.sort();
    expected.sort();
    if got != expected {
        let mut surplus: HashMap<&str, i32> = HashMap::new();
        got.iter().for_each(|line| *surplus.entry(line).or_default() += 1);
        expected.iter().for_each(|line| *surplus.entry(line).or_default() -= 1);
        surplus.retain(|_, count| *count != 0);
        let some: BTreeMap<_, _> = surplus.iter().take(10).collect();
        panic!(
            "{what}: {} differ, some of them, and how often too often: {some:#?}",
            surplus.len()
        );
    }
}
