//! Two sessions, step by step: what the second does that has to wait for the first, and what it
//! does when it looked at the tables before the first changed them.

use std::thread;

use erp_tests::{Database, backend, db_error, wait_until, wait_until_blocked};
use postgres::error::SqlState;
use postgres::{Client, Error, IsolationLevel};

/// Contacts are upserted by number, contracts and accounts link to them by address.
const MAPPING: &str = r#"{"version": "2.0", "mapping": {"events": {"Sync": {"entities": [
    {"entity_schema": "contract", "unique_ids": ["contract_number"], "jsonataExpression": "contract", "fields": [
        {"attribute": "contract_number", "field": "number"},
        {"attribute": "accounts", "relations": {"operation": "_append_unique", "jsonataExpression":
            "accounts.{\"entity_schema\": \"account\", \"unique_ids\": [{\"attribute\": \"account_number\", \"constant\": $}]}"}},
        {"attribute": "person", "relations": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "email"}]}]}}]},
    {"entity_schema": "account", "unique_ids": ["account_number"], "jsonataExpression": "account", "fields": [
        {"attribute": "account_number", "field": "number"},
        {"attribute": "person", "relations": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "email"}]}]}}]},
    {"entity_schema": "contact", "unique_ids": ["customer_number"], "jsonataExpression": "contact", "fields": [
        {"attribute": "customer_number", "field": "number"},
        {"attribute": "email", "field": "email"},
        {"attribute": "log", "field": "log"}]}]}}}}"#;

const CONTACT: &str = r#"{"contact": {"number": "1", "email": "a@x", "log": {"_append": "a"}}}"#;
const CONTACT_AGAIN: &str = r#"{"contact": {"number": "1", "log": {"_append": "b"}}}"#;
const OTHER_CONTACT: &str = r#"{"contact": {"number": "2", "email": "a@x"}}"#;
const CONTRACT: &str = r#"{"contract": {"number": "1"}}"#;
const LINK: &str = r#"{"contract": {"number": "1", "email": "a@x"}}"#;
const OTHER_LINK: &str = r#"{"account": {"number": "1", "email": "a@x"}}"#;

/// An entity that an event touched, and what it did to it.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    id: String,
    action: String,
}

fn prepared(database: &str) -> Database {
    let database = Database::new(&format!("races_{database}"));
    let query = "SELECT erp_prepare($1::text::jsonb)";
    database.connect().query(query, &[&MAPPING]).unwrap();
    database
}

fn apply(session: &mut impl postgres::GenericClient, payload: &str) -> Result<Vec<Row>, Error> {
    let query = "
        SELECT entity_id, action FROM erp_apply($1::text::jsonb, 'Sync', $2::text::jsonb)";
    let rows = session.query(query, &[&MAPPING, &payload])?;
    Ok(rows.iter().map(|row| Row { id: row.get(0), action: row.get(1) }).collect())
}

fn actions(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.action.as_str()).collect()
}

/// How many contacts have the address.
fn contacts(database: &Database) -> i64 {
    let query = "SELECT count(*) FROM contact WHERE email = 'a@x'";
    database.connect().query_one(query, &[]).unwrap().get(0)
}

/// The second session applies its event while the transaction in which the first applied another
/// is open; then that ends, by `end`. Returns what each did.
fn race(
    database: &Database,
    level: IsolationLevel,
    [first, second]: [&str; 2],
    end: &str,
) -> (Vec<Row>, Result<Vec<Row>, Error>) {
    let [mut one, mut two, mut observer] = [(); 3].map(|()| database.connect());
    one.batch_execute("BEGIN").unwrap();
    let before = apply(&mut one, first).unwrap();
    let waiting = backend(&mut two);
    let after = thread::scope(|scope| {
        let second = scope.spawn(move || {
            let mut transaction = two.build_transaction().isolation_level(level).start()?;
            let applied = apply(&mut transaction, second)?;
            transaction.commit().map(|()| applied)
        });
        wait_until_blocked(&mut observer, waiting);
        one.batch_execute(end).unwrap();
        second.join().unwrap()
    });
    (before, after)
}

fn race_in_read_committed(
    database: &Database,
    events: [&str; 2],
    end: &str,
) -> (Vec<Row>, Vec<Row>) {
    let (first, second) = race(database, IsolationLevel::ReadCommitted, events, end);
    (first, second.unwrap())
}

#[test]
fn the_second_to_create_an_entity_updates_it() {
    let database = prepared("update");
    let (first, second) = race_in_read_committed(&database, [CONTACT, CONTACT_AGAIN], "COMMIT");
    assert_eq!((actions(&first), actions(&second)), (vec!["created"], vec!["updated"]));
    assert_eq!(first[0].id, second[0].id);
    let query = "SELECT attributes = '{\"customer_number\": \"1\", \"email\": \"a@x\", \"log\": [\"a\", \"b\"]}'
                 FROM contact";
    assert!(database.connect().query_one(query, &[]).unwrap().get::<_, bool>(0));
}

#[test]
fn the_second_to_create_an_entity_creates_it_when_the_first_rolls_back() {
    let database = prepared("create");
    let (first, second) = race_in_read_committed(&database, [CONTACT, CONTACT_AGAIN], "ROLLBACK");
    assert_eq!(actions(&second), ["created"]);
    assert_ne!(first[0].id, second[0].id);
}

#[test]
fn the_second_to_create_an_entity_says_when_nothing_was_left_to_change() {
    let database = prepared("unchanged");
    let (_, second) = race_in_read_committed(&database, [CONTRACT, CONTRACT], "COMMIT");
    assert_eq!(actions(&second), ["unchanged"]);
}

#[test]
fn a_link_waits_for_the_contact_that_has_the_address() {
    let database = prepared("link");
    let (_, second) = race_in_read_committed(&database, [CONTACT, LINK], "COMMIT");
    assert_eq!(actions(&second), ["created"]);
    assert_eq!(contacts(&database), 1);
}

#[test]
fn a_link_makes_a_stub_when_the_contact_is_rolled_back() {
    let database = prepared("no_link");
    let (_, second) = race_in_read_committed(&database, [CONTACT, LINK], "ROLLBACK");
    assert_eq!(actions(&second), ["created", "stubbed"]);
}

#[test]
fn a_contact_completes_the_stub_that_it_waited_for() {
    let database = prepared("complete");
    let (first, second) = race_in_read_committed(&database, [LINK, CONTACT], "COMMIT");
    assert_eq!(actions(&first), ["created", "stubbed"]);
    assert_eq!(actions(&second), ["completed"]);
    assert_eq!(first[1].id, second[0].id);
}

#[test]
fn two_links_make_one_stub() {
    let database = prepared("stub");
    let (first, second) = race_in_read_committed(&database, [LINK, OTHER_LINK], "COMMIT");
    assert_eq!(actions(&first), ["created", "stubbed"]);
    assert_eq!(actions(&second), ["created", "unchanged"]);
    assert_eq!(first[1].id, second[1].id);
}

#[test]
fn two_links_to_a_stub_that_both_would_make_are_one_item() {
    let database = prepared("items");
    apply(&mut database.connect(), CONTRACT).unwrap();
    let link = r#"{"contract": {"number": "1", "accounts": ["7"]}}"#;
    race_in_read_committed(&database, [link, link], "COMMIT");
    let query = "SELECT jsonb_array_length(attributes #> '{accounts,$relation}') FROM contract";
    assert_eq!(database.connect().query_one(query, &[]).unwrap().get::<_, i32>(0), 1);
}

#[test]
fn an_entity_that_gets_another_key_meanwhile_is_not_the_one_that_was_meant() {
    let database = prepared("renamed");
    let [mut one, mut two, mut observer] = [(); 3].map(|()| database.connect());
    apply(&mut one, CONTACT).unwrap();
    one.batch_execute(
        r#"BEGIN; UPDATE contact SET attributes = attributes || '{"customer_number": "2"}'"#,
    )
    .unwrap();
    let waiting = backend(&mut two);
    let rows = thread::scope(|scope| {
        let second = scope.spawn(|| apply(&mut two, CONTACT_AGAIN));
        wait_until_blocked(&mut observer, waiting);
        one.batch_execute("COMMIT").unwrap();
        second.join().unwrap().unwrap()
    });
    assert_eq!(actions(&rows), ["created"]);
    let query =
        "SELECT concat_ws(' ', customer_number, attributes -> 'log') FROM contact ORDER BY 1";
    let contacts: Vec<String> =
        observer.query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(contacts, [r#"1 ["b"]"#, r#"2 ["a"]"#]);
}

#[test]
fn the_second_to_complete_a_stub_becomes_an_entity_of_its_own() {
    let database = prepared("two_complete");
    let stub = apply(&mut database.connect(), LINK).unwrap().remove(1).id;
    let (first, second) = race_in_read_committed(&database, [CONTACT, OTHER_CONTACT], "COMMIT");
    assert_eq!((actions(&first), &first[0].id), (vec!["completed"], &stub));
    assert_eq!(actions(&second), ["created"]);
    assert_ne!(second[0].id, stub);
}

/// One session has decided to make the stub, and waits; another makes it, and a third completes
/// it. What is inserted then has no stub left to collide with.
#[test]
fn a_stub_is_not_made_again_beside_the_contact_that_completed_it() {
    let database = prepared("stub_again");
    let mut holder = database.connect();
    apply(&mut holder, CONTRACT).unwrap();
    holder.batch_execute("BEGIN; SELECT FROM contract FOR UPDATE").unwrap();
    let [mut waiting, mut completing, mut observer] = [(); 3].map(|()| database.connect());
    let (waits, completes) = (backend(&mut waiting), backend(&mut completing));
    thread::scope(|scope| {
        let link = scope.spawn(|| apply(&mut waiting, LINK));
        wait_until_blocked(&mut observer, waits);
        let stub = apply(&mut database.connect(), OTHER_LINK).unwrap();
        assert_eq!(actions(&stub), ["created", "stubbed"]);
        let contact = scope.spawn(|| apply(&mut completing, CONTACT));
        wait_until_done_or_blocked(&mut observer, completes);
        holder.batch_execute("COMMIT").unwrap();
        link.join().unwrap().unwrap();
        assert_eq!(actions(&contact.join().unwrap().unwrap()), ["completed"]);
    });
    assert_eq!(contacts(&database), 1);
}

fn wait_until_done_or_blocked(observer: &mut Client, backend: i32) {
    let query = "
        SELECT state = 'idle' AND query LIKE '%erp_apply%' OR cardinality(pg_blocking_pids(pid)) > 0
        FROM pg_stat_activity WHERE pid = $1";
    let statement = observer.prepare(query).unwrap();
    wait_until("the session is done or blocked", || {
        observer.query_one(&statement, &[&backend]).unwrap().get(0)
    });
}

// In REPEATABLE READ what others have committed since is not seen

#[test]
fn the_second_to_create_an_entity_fails_with_40001_in_repeatable_read() {
    let database = prepared("strict_wait");
    let level = IsolationLevel::RepeatableRead;
    let (_, second) = race(&database, level, [CONTACT, CONTACT_AGAIN], "COMMIT");
    assert_serialization_failure(second);
}

/// One session looks at the tables, another applies an event and commits, the first applies one.
fn apply_on_an_old_snapshot(
    database: &Database,
    between: &str,
    payload: &str,
) -> Result<Vec<Row>, Error> {
    let mut session = database.connect();
    let level = IsolationLevel::RepeatableRead;
    let mut transaction = session.build_transaction().isolation_level(level).start()?;
    transaction.query("SELECT FROM contact", &[])?;
    apply(&mut database.connect(), between)?;
    let rows = apply(&mut transaction, payload)?;
    transaction.commit()?;
    Ok(rows)
}

fn assert_serialization_failure(outcome: Result<Vec<Row>, Error>) {
    let error = outcome.expect_err("a serialization failure was expected");
    assert_eq!(db_error(&error).code(), &SqlState::T_R_SERIALIZATION_FAILURE, "{error:?}");
}

#[test]
fn an_entity_that_is_there_unseen_is_40001() {
    let database = prepared("strict_entity");
    assert_serialization_failure(apply_on_an_old_snapshot(&database, CONTACT, CONTACT_AGAIN));
}

#[test]
fn a_contact_that_is_there_unseen_gets_no_stub_beside_it() {
    let database = prepared("strict_link");
    let outcome = apply_on_an_old_snapshot(&database, CONTACT, LINK);
    assert_eq!(contacts(&database), 1);
    assert_serialization_failure(outcome);
}

#[test]
fn a_stub_that_is_there_unseen_is_40001() {
    let database = prepared("strict_stub");
    assert_serialization_failure(apply_on_an_old_snapshot(&database, LINK, OTHER_LINK));
}

#[test]
fn a_stub_that_is_there_unseen_gets_no_contact_beside_it() {
    let database = prepared("strict_contact");
    let outcome = apply_on_an_old_snapshot(&database, LINK, CONTACT);
    assert_eq!(contacts(&database), 1);
    assert_serialization_failure(outcome);
}

#[test]
fn a_stub_of_what_is_there_unseen_is_not_completed() {
    let database = prepared("strict_complete");
    apply(&mut database.connect(), LINK).unwrap();
    assert_serialization_failure(apply_on_an_old_snapshot(&database, CONTACT_AGAIN, CONTACT));
}
