//! Removing while others write: two sessions step by step, who waits and what is left; then eight
//! on few keys, where no link may lead to what is gone.

#[path = "removals/sessions.rs"]
mod sessions;
#[path = "removals/whole.rs"]
mod whole;

use std::thread;

use erp_tests::{Database, backend, db_error, wait_until_blocked};
use postgres::error::SqlState;
use postgres::{Client, Error, GenericClient, IsolationLevel};

/// Contacts are upserted by number and linked to by either key; the contracts of a contact are
/// those that link to it. Nothing is prepared for people but their number.
const MAPPING: &str = r#"{"version": "2.0", "mapping": {"events": {
"Sync": {"entities": [
    {"entity_schema": "contact", "unique_ids": ["customer_number"], "jsonataExpression": "contact", "fields": [
        {"attribute": "customer_number", "field": "number"},
        {"attribute": "email", "field": "email"},
        {"attribute": "log", "field": "log"},
        {"attribute": "contracts", "relations": {"operation": "_append_unique", "jsonataExpression":
            "lists.{\"entity_schema\": \"contract\", \"unique_ids\": [{\"attribute\": \"contract_number\", \"constant\": $}]}"}},
        {"attribute": "manager", "relations": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "manager"}]}]}}]},
    {"entity_schema": "contract", "unique_ids": ["contract_number"], "jsonataExpression": "contract", "fields": [
        {"attribute": "contract_number", "field": "number"},
        {"attribute": "log", "field": "log"},
        {"attribute": "owner", "relations": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "owner"}]}]}},
        {"attribute": "people", "relations": {"operation": "_append", "jsonataExpression":
            "mails.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"email\", \"constant\": $}]}"}}]},
    {"entity_schema": "person", "unique_ids": ["email"], "jsonataExpression": "person", "fields": [
        {"attribute": "email", "field": "email"},
        {"attribute": "log", "field": "log"}]}]},
"Delete": {"entities": [
    {"entity_schema": "contact", "mode": "delete", "unique_ids": ["customer_number"], "jsonataExpression": "contact",
     "fields": [{"attribute": "customer_number", "jsonataExpression": "$"}]},
    {"entity_schema": "contract", "mode": "delete", "unique_ids": ["contract_number"], "jsonataExpression": "contract",
     "fields": [{"attribute": "contract_number", "jsonataExpression": "$"}]}]},
"Purge": {"entities": [
    {"entity_schema": "contact", "mode": "purge", "unique_ids": ["customer_number"], "jsonataExpression": "contact",
     "fields": [{"attribute": "customer_number", "jsonataExpression": "$"}]},
    {"entity_schema": "contact", "mode": "purge", "unique_ids": ["email"], "jsonataExpression": "mail",
     "fields": [{"attribute": "email", "jsonataExpression": "$"}]},
    {"entity_schema": "contract", "mode": "purge", "unique_ids": ["contract_number"], "jsonataExpression": "contract",
     "fields": [{"attribute": "contract_number", "jsonataExpression": "$"}]}]},
"PruneDelete": {"entities": [
    {"entity_schema": "contract", "mode": "upsert-prune-scope-delete", "unique_ids": ["contract_number"], "jsonataExpression": "contract",
     "scope": {"scope_mode": "relations", "schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "of"}]},
     "fields": [{"attribute": "contract_number", "jsonataExpression": "$"}]}]},
"PrunePurge": {"entities": [
    {"entity_schema": "contract", "mode": "upsert-prune-scope-purge", "unique_ids": ["contract_number"], "jsonataExpression": "contract",
     "scope": {"scope_mode": "relations", "schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "of"}]},
     "fields": [{"attribute": "contract_number", "jsonataExpression": "$"}]}]}
}}}"#;

const SETUP: &str = r#"
    SELECT erp_create_entity('contact', ARRAY['customer_number']);
    SELECT erp_create_entity('contact', ARRAY['email'], for_upsert => false);
    SELECT erp_create_entity('contract', ARRAY['contract_number']);
    SELECT erp_create_entity('person', ARRAY['person_number']);
    CREATE VIEW entity AS
        SELECT 'contact' AS slug, id, customer_number AS key, email, stub, deleted_at, attributes FROM contact
        UNION ALL SELECT 'contract', id, contract_number, NULL, stub, deleted_at, attributes FROM contract;
    CREATE VIEW link AS
        SELECT e.slug, e.key, i.item ->> '_schema' AS to_slug, (i.item ->> 'entity_id')::uuid AS to_id
        FROM entity AS e, jsonb_path_query(e.attributes, '$.*."$relation"[*]') AS i(item);"#;

/// The name of an event and its payload.
type Event<'e> = (&'e str, &'e str);

const CONTACT: Event = ("Sync", r#"{"contact": {"number": "1", "email": "a@x"}}"#);
const CHANGE: Event = ("Sync", r#"{"contact": {"number": "1", "log": "changed"}}"#);
const LINK: Event = ("Sync", r#"{"contract": {"number": "1", "owner": "1"}}"#);
const LINK_BY_MAIL: Event = ("Sync", r#"{"contract": {"number": "1", "mails": ["a@x"]}}"#);
const MOVE: Event = ("Sync", r#"{"contract": {"number": "1", "owner": "2"}}"#);
const DELETE: Event = ("Delete", r#"{"contact": "1"}"#);
const PURGE: Event = ("Purge", r#"{"contact": "1"}"#);
const PRUNE_DELETE: Event = ("PruneDelete", r#"{"of": "1"}"#);
const PRUNE_PURGE: Event = ("PrunePurge", r#"{"of": "1"}"#);

fn prepared(database: &str) -> Database {
    let database = Database::new(&format!("removals_{database}"));
    database.connect().batch_execute(SETUP).unwrap();
    database
}

/// A database in which these events were applied.
fn after(database: &str, events: &[Event]) -> Database {
    after_in(MAPPING, database, events)
}

fn after_in(mapping: &str, database: &str, events: &[Event]) -> Database {
    let database = prepared(database);
    let mut session = database.connect();
    for event in events {
        apply_in(mapping, &mut session, *event).unwrap();
    }
    database
}

/// What became of entities: `created contact`.
fn apply(session: &mut impl GenericClient, event: Event) -> Result<Vec<String>, Error> {
    apply_in(MAPPING, session, event)
}

fn apply_in(
    mapping: &str,
    session: &mut impl GenericClient,
    (name, payload): Event,
) -> Result<Vec<String>, Error> {
    let query = "
        SELECT action || ' ' || entity_slug FROM erp_apply($1::text::jsonb, $2, $3::text::jsonb)";
    let rows = session.query(query, &[&mapping, &name, &payload])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The second session applies its event while the transaction in which the first applied another
/// is open, and waits; then that ends, by `end`. Returns what the second did.
fn race(database: &Database, events: [Event; 2], end: &str) -> Vec<String> {
    race_in(MAPPING, database, events, end)
}

fn race_in(
    mapping: &str,
    database: &Database,
    [first, second]: [Event; 2],
    end: &str,
) -> Vec<String> {
    let [mut one, mut two, mut observer] = [(); 3].map(|()| database.connect());
    one.batch_execute("BEGIN").unwrap();
    apply_in(mapping, &mut one, first).unwrap();
    let waiting = backend(&mut two);
    let applied = thread::scope(|scope| {
        let second = scope.spawn(move || apply_in(mapping, &mut two, second));
        wait_until_blocked(&mut observer, waiting);
        one.batch_execute(end).unwrap();
        second.join().unwrap()
    });
    assert_no_dangling_link(&mut observer);
    applied.unwrap()
}

/// One session looks at the tables, another applies an event and commits, the first applies one.
fn on_an_old_snapshot(
    database: &Database,
    between: Event,
    event: Event,
) -> Result<Vec<String>, Error> {
    let mut session = database.connect();
    let level = IsolationLevel::RepeatableRead;
    let mut transaction = session.build_transaction().isolation_level(level).start()?;
    transaction.query("SELECT FROM contact", &[])?;
    apply(&mut database.connect(), between)?;
    let rows = apply(&mut transaction, event)?;
    transaction.commit()?;
    Ok(rows)
}

fn assert_serialization_failure(outcome: Result<Vec<String>, Error>) {
    let error = outcome.expect_err("a serialization failure was expected");
    assert_eq!(db_error(&error).code(), &SqlState::T_R_SERIALIZATION_FAILURE, "{error:?}");
}

/// A line an entity: `contact 1`, with what else there is to say of it.
fn entities(database: &Database) -> Vec<String> {
    let query = "
        SELECT concat_ws(' ', slug, coalesce(key, email), CASE WHEN stub THEN 'stub' END,
                         CASE WHEN deleted_at IS NOT NULL THEN 'deleted' END,
                         CASE WHEN attributes ? 'log' THEN 'changed' END)
        FROM entity ORDER BY slug, key";
    database.connect().query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

fn links(session: &mut Client) -> i64 {
    session.query_one("SELECT count(*) FROM link", &[]).unwrap().get(0)
}

fn assert_no_dangling_link(session: &mut Client) {
    let query = "
        SELECT count(*) FROM link AS l
        WHERE NOT EXISTS (SELECT FROM entity AS e WHERE e.slug = l.to_slug AND e.id = l.to_id)";
    let dangling: i64 = session.query_one(query, &[]).unwrap().get(0);
    assert_eq!(dangling, 0, "links lead nowhere");
}

// Links and purges

#[test]
fn a_purge_waits_for_the_link_and_takes_it_away() {
    let database = after("purge_link", &[CONTACT]);
    assert_eq!(race(&database, [LINK, PURGE], "COMMIT"), ["purged contact"]);
    assert_eq!(entities(&database), ["contract 1"]);
    assert_eq!(links(&mut database.connect()), 0);
}

#[test]
fn a_purge_by_address_waits_for_the_link() {
    let database = after("purge_mail", &[CONTACT]);
    let purge = ("Purge", r#"{"mail": "a@x"}"#);
    assert_eq!(race(&database, [LINK_BY_MAIL, purge], "COMMIT"), ["purged contact"]);
    assert_eq!(entities(&database), ["contract 1"]);
}

#[test]
fn a_purge_takes_away_the_stub_that_it_waited_for() {
    let database = prepared("purge_stub");
    assert_eq!(race(&database, [LINK, PURGE], "COMMIT"), ["purged contact"]);
    assert_eq!(entities(&database), ["contract 1"]);
}

#[test]
fn a_purge_goes_on_when_the_link_is_rolled_back() {
    let database = after("purge_no_link", &[CONTACT]);
    assert_eq!(race(&database, [LINK, PURGE], "ROLLBACK"), ["purged contact"]);
    assert_eq!(entities(&database), [""; 0]);
}

#[test]
fn a_link_waits_for_the_purge_and_makes_a_stub() {
    let database = after("link_purged", &[CONTACT]);
    let did = race(&database, [PURGE, LINK], "COMMIT");
    assert_eq!(did, ["created contract", "stubbed contact"]);
    assert_eq!(entities(&database), ["contact 1 stub", "contract 1"]);
}

#[test]
fn a_link_finds_the_contact_when_the_purge_is_rolled_back() {
    let database = after("link_kept", &[CONTACT]);
    assert_eq!(race(&database, [PURGE, LINK], "ROLLBACK"), ["created contract"]);
    assert_eq!(entities(&database), ["contact 1", "contract 1"]);
}

#[test]
fn a_link_waits_for_the_recycle_bin_to_be_emptied() {
    let database = after("link_bin", &[CONTACT, DELETE]);
    let [mut one, mut two, mut observer] = [(); 3].map(|()| database.connect());
    one.batch_execute("BEGIN; SELECT erp_purge_deleted('0 days')").unwrap();
    let waiting = backend(&mut two);
    thread::scope(|scope| {
        let link = scope.spawn(move || apply(&mut two, LINK));
        wait_until_blocked(&mut observer, waiting);
        one.batch_execute("COMMIT").unwrap();
        assert_eq!(link.join().unwrap().unwrap(), ["created contract", "stubbed contact"]);
    });
    assert_no_dangling_link(&mut observer);
}

#[test]
fn links_do_not_wait_for_each_other_nor_for_other_types() {
    let database = after("links", &[CONTACT, ("Sync", r#"{"contact": {"number": "2"}}"#)]);
    let mut one = database.connect();
    one.batch_execute("BEGIN").unwrap();
    apply(&mut one, LINK).unwrap();
    let mut two = database.connect();
    two.batch_execute("SET lock_timeout = '2s'").unwrap();
    let link = ("Sync", r#"{"contract": {"number": "2", "owner": "1"}}"#);
    assert_eq!(apply(&mut two, link).unwrap(), ["created contract"]);
    assert_eq!(apply(&mut two, ("Purge", r#"{"contract": "2"}"#)).unwrap(), ["purged contract"]);
}

// Upserts and removals of one entity

#[test]
fn a_deletion_waits_for_the_change() {
    let database = after("delete", &[CONTACT]);
    assert_eq!(race(&database, [CHANGE, DELETE], "COMMIT"), ["deleted contact"]);
    assert_eq!(entities(&database), ["contact 1 deleted changed"]);
}

#[test]
fn a_change_waits_for_the_deletion_and_restores() {
    let database = after("restore", &[CONTACT]);
    assert_eq!(race(&database, [DELETE, CHANGE], "COMMIT").len(), 1);
    assert_eq!(entities(&database), ["contact 1 changed"]);
}

#[test]
fn the_second_to_delete_changes_nothing() {
    let database = after("delete_twice", &[CONTACT]);
    assert_eq!(race(&database, [DELETE, DELETE], "COMMIT"), ["unchanged contact"]);
    assert_eq!(entities(&database), ["contact 1 deleted"]);
}

#[test]
fn the_second_to_purge_finds_nothing() {
    let database = after("purge_twice", &[CONTACT]);
    assert_eq!(race(&database, [PURGE, PURGE], "COMMIT"), [""; 0]);
    assert_eq!(entities(&database), [""; 0]);
}

#[test]
fn a_change_waits_for_the_purge_and_creates() {
    let database = after("purge_change", &[CONTACT, LINK]);
    assert_eq!(race(&database, [PURGE, CHANGE], "COMMIT"), ["created contact"]);
    assert_eq!(entities(&database), ["contact 1 changed", "contract 1"]);
    assert_eq!(links(&mut database.connect()), 0);
}

#[test]
fn a_purge_waits_for_the_change() {
    let database = after("change_purge", &[CONTACT, LINK]);
    assert_eq!(race(&database, [CHANGE, PURGE], "COMMIT"), ["purged contact"]);
    assert_eq!(entities(&database), ["contract 1"]);
}

// Prunes

#[test]
fn a_contract_that_left_the_scope_meanwhile_stays() {
    let other = ("Sync", r#"{"contact": {"number": "2"}}"#);
    for (name, prune) in [("left_delete", PRUNE_DELETE), ("left_purge", PRUNE_PURGE)] {
        let database = after(name, &[CONTACT, other, LINK]);
        assert_eq!(race(&database, [MOVE, prune], "COMMIT"), [""; 0]);
        assert_eq!(entities(&database), ["contact 1", "contact 2", "contract 1"]);
        let database = after(name, &[CONTACT, other, LINK]);
        assert_eq!(race(&database, [MOVE, prune], "ROLLBACK").len(), 1);
    }
}

/// The prune came first: a contract that is there later is none of it.
#[test]
fn a_contract_that_comes_meanwhile_stays() {
    for (name, prune) in [("came_delete", PRUNE_DELETE), ("came_purge", PRUNE_PURGE)] {
        let database = after(name, &[CONTACT, LINK]);
        let mut one = database.connect();
        one.batch_execute("BEGIN").unwrap();
        let link = ("Sync", r#"{"contract": {"number": "2", "owner": "1"}}"#);
        apply(&mut one, link).unwrap();
        assert_eq!(apply(&mut database.connect(), prune).unwrap().len(), 1);
        one.batch_execute("COMMIT").unwrap();
        assert!(entities(&database).contains(&"contract 2".to_owned()));
        assert_no_dangling_link(&mut one);
    }
}

#[test]
fn the_second_of_two_prunes_finds_nothing_left() {
    for (name, first, second) in [
        ("deletes", PRUNE_DELETE, PRUNE_DELETE),
        ("purges", PRUNE_PURGE, PRUNE_PURGE),
        ("purge_delete", PRUNE_PURGE, PRUNE_DELETE),
    ] {
        let database = after(name, &[CONTACT, LINK]);
        assert_eq!(race(&database, [first, second], "COMMIT"), [""; 0], "{name}");
    }
    let database = after("delete_purge", &[CONTACT, LINK]);
    let did = race(&database, [PRUNE_DELETE, PRUNE_PURGE], "COMMIT");
    assert_eq!(did, ["purged contract"]);
}

#[test]
fn a_contract_that_is_changed_goes_with_the_change() {
    let change = ("Sync", r#"{"contract": {"number": "1", "log": "changed"}}"#);
    let database = after("prune_change", &[CONTACT, LINK]);
    assert_eq!(race(&database, [change, PRUNE_DELETE], "COMMIT"), ["deleted contract"]);
    assert_eq!(entities(&database), ["contact 1", "contract 1 deleted changed"]);
}

#[test]
fn the_anchor_that_is_purged_meanwhile_has_nothing_related() {
    let database = after("anchor", &[CONTACT, LINK]);
    let mut one = database.connect();
    one.batch_execute("BEGIN").unwrap();
    apply(&mut one, PURGE).unwrap();
    let mut two = database.connect();
    let prune = thread::spawn(move || apply(&mut two, PRUNE_PURGE).unwrap());
    thread::sleep(std::time::Duration::from_millis(100));
    one.batch_execute("COMMIT").unwrap();
    prune.join().unwrap();
    assert_no_dangling_link(&mut one);
}

// Identifiers without an index

#[test]
fn the_second_to_create_a_person_updates_it() {
    let database = prepared("unindexed");
    let person =
        |log| format!(r#"{{"person": {{"email": "a@x", "log": {{"_append": "{log}"}}}}}}"#);
    let [first, second] = ["a", "b"].map(person);
    let did = race(&database, [("Sync", &first), ("Sync", &second)], "COMMIT");
    assert_eq!(did, ["updated person"]);
    let query = "SELECT attributes ->> 'log' FROM person";
    let log: String = database.connect().query_one(query, &[]).unwrap().get(0);
    assert_eq!(log, r#"["a", "b"]"#);
}

#[test]
fn a_person_that_is_there_unseen_is_40001() {
    let database = prepared("unindexed_strict");
    let person = ("Sync", r#"{"person": {"email": "a@x"}}"#);
    assert_serialization_failure(on_an_old_snapshot(&database, person, person));
}

// In REPEATABLE READ what others have committed since is not seen

#[test]
fn a_link_to_what_was_purged_unseen_is_40001() {
    let database = after("strict_link", &[CONTACT]);
    let outcome = on_an_old_snapshot(&database, PURGE, LINK);
    assert_no_dangling_link(&mut database.connect());
    assert_serialization_failure(outcome);
}

#[test]
fn a_purge_of_what_was_linked_to_unseen_is_40001() {
    let database = after("strict_purge", &[CONTACT]);
    let outcome = on_an_old_snapshot(&database, LINK, PURGE);
    assert_no_dangling_link(&mut database.connect());
    assert_serialization_failure(outcome);
}

#[test]
fn emptying_the_bin_of_what_was_linked_to_unseen_is_40001() {
    let database = after("strict_bin", &[CONTACT, DELETE]);
    let mut session = database.connect();
    session.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM contact").unwrap();
    apply(&mut database.connect(), LINK).unwrap();
    let outcome = session.batch_execute("SELECT erp_purge_deleted('0 days'); COMMIT");
    assert_no_dangling_link(&mut database.connect());
    assert_serialization_failure(outcome.map(|()| Vec::new()));
}

#[test]
fn a_removal_of_what_was_changed_unseen_is_40001() {
    for (name, event) in [("strict_delete", DELETE), ("strict_purge_changed", PURGE)] {
        let database = after(name, &[CONTACT]);
        assert_serialization_failure(on_an_old_snapshot(&database, CHANGE, event));
    }
}

#[test]
fn a_change_of_what_was_purged_unseen_is_40001() {
    let database = after("strict_change", &[CONTACT]);
    assert_serialization_failure(on_an_old_snapshot(&database, PURGE, CHANGE));
}
