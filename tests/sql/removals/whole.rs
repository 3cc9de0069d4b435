//! Events that write and remove at once. One that has waited for another comes after it as a whole:
//! it removes also what the other has just brought.

use erp_tests::Database;

use super::{Event, after_in, race_in};

/// Contracts that replace all others of a contact, which need not be named itself; changes of
/// contracts with contacts that go.
const MAPPING: &str = r#"{"version": "2.0", "mapping": {"events": {
"Sync": {"entities": [
    {"entity_schema": "contact", "unique_ids": ["customer_number"], "jsonataExpression": "contacts", "fields": [
        {"attribute": "customer_number", "field": "number"},
        {"attribute": "contracts", "relations": {"operation": "_append", "jsonataExpression":
            "lists.{\"entity_schema\": \"contract\", \"unique_ids\": [{\"attribute\": \"contract_number\", \"constant\": $}]}"}}]},
    {"entity_schema": "contract", "unique_ids": ["contract_number"], "jsonataExpression": "contracts", "fields": [
        {"attribute": "contract_number", "field": "number"},
        {"attribute": "log", "field": "log"},
        {"attribute": "town", "field": "town"},
        {"attribute": "owner", "relations": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "owner"}]}]}}]}]},
"Gone": {"entities": [
    {"entity_schema": "contract", "unique_ids": ["contract_number"], "jsonataExpression": "contract", "fields": [
        {"attribute": "contract_number", "field": "number"},
        {"attribute": "log", "field": "log"}]},
    {"entity_schema": "contact", "mode": "delete", "unique_ids": ["customer_number"], "jsonataExpression": "deleted",
     "fields": [{"attribute": "customer_number", "jsonataExpression": "$"}]},
    {"entity_schema": "contact", "mode": "purge", "unique_ids": ["customer_number"], "jsonataExpression": "purged",
     "fields": [{"attribute": "customer_number", "jsonataExpression": "$"}]}]},
"Owned": {"entities": [
    {"entity_schema": "contract", "mode": "upsert-prune-scope-delete", "unique_ids": ["contract_number"],
     "jsonataExpression": "contracts.{\"number\": $, \"owner\": %.of}",
     "scope": {"scope_mode": "relations", "schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "of"}]},
     "fields": [{"attribute": "contract_number", "field": "number"},
        {"attribute": "owner", "relations": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "owner"}]}]}}]}]},
"Named": {"entities": [
    {"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [
        {"attribute": "customer_number", "field": "of"},
        {"attribute": "contracts", "relations": {"jsonataExpression":
            "contracts.{\"entity_schema\": \"contract\", \"unique_ids\": [{\"attribute\": \"contract_number\", \"constant\": $}]}"}}]},
    {"entity_schema": "contract", "mode": "upsert-prune-scope-purge", "unique_ids": ["contract_number"], "jsonataExpression": "contracts",
     "scope": {"scope_mode": "relations", "schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "of"}]},
     "fields": [{"attribute": "contract_number", "jsonataExpression": "$"}]}]},
"Linked": {"entities": [
    {"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [
        {"attribute": "customer_number", "field": "contact"},
        {"attribute": "contracts", "relations": {"items": [
            {"entity_schema": "contract", "unique_ids": [{"attribute": "contract_number", "field": "contracts"}]}]}}]},
    {"entity_schema": "contract", "mode": "upsert-prune-scope-delete", "unique_ids": ["contract_number"], "jsonataExpression": "[]",
     "scope": {"scope_mode": "relations", "schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "of"}]},
     "fields": [{"attribute": "contract_number", "field": "number"}]}]},
"Left": {"entities": [
    {"entity_schema": "contract", "mode": "upsert-prune-scope-delete", "unique_ids": ["contract_number"], "jsonataExpression": "contracts",
     "scope": {"scope_mode": "relations", "schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "of"}]},
     "fields": [{"attribute": "contract_number", "field": "number"}, {"attribute": "log", "field": "log"}]}]},
"InTown": {"entities": [
    {"entity_schema": "contract", "mode": "upsert-prune-scope-delete", "unique_ids": ["contract_number"], "jsonataExpression": "contracts",
     "scope": {"scope_mode": "query", "query": [{"attribute": "town", "field": "town"}]},
     "fields": [{"attribute": "contract_number", "jsonataExpression": "$"}]}]}
}}}"#;

/// What is there first.
const CONTRACT: Event = ("Sync", r#"{"contracts": {"number": "1"}}"#);
const OWNER: Event = ("Sync", r#"{"contacts": {"number": "1"}}"#);
const OWNED: Event = ("Sync", r#"{"contracts": {"number": "1", "owner": "1"}}"#);

fn after(database: &str, events: &[Event]) -> Database {
    after_in(MAPPING, &format!("whole_{database}"), events)
}

fn race(database: &Database, events: [Event; 2]) -> Vec<String> {
    race_in(MAPPING, database, events, "COMMIT")
}

/// Both change a contract; one creates the contact that the other removes.
#[test]
fn a_contact_that_comes_with_what_was_waited_for_is_removed() {
    let brings = r#"{"contacts": {"number": "2"}, "contracts": {"number": "1", "log": "a"}}"#;
    for (way, left) in [("deleted", "contact 2 deleted"), ("purged", "contract 1 changed")] {
        let database = after(way, &[CONTRACT]);
        let removes = format!(r#"{{"contract": {{"number": "1", "log": "b"}}, "{way}": "2"}}"#);
        let did = race(&database, [("Sync", brings), ("Gone", &removes)]);
        assert_eq!(did, ["updated contract", &format!("{way} contact")]);
        assert_eq!(super::entities(&database)[0], left);
    }
}

#[test]
fn a_contact_that_is_restored_with_what_was_waited_for_is_deleted() {
    let gone = ("Gone", r#"{"deleted": "2"}"#);
    let database =
        after("restored", &[CONTRACT, ("Sync", r#"{"contacts": {"number": "2"}}"#), gone]);
    let brings = r#"{"contacts": {"number": "2"}, "contracts": {"number": "1", "log": "a"}}"#;
    let removes = r#"{"contract": {"number": "1", "log": "b"}, "deleted": "2"}"#;
    race(&database, [("Sync", brings), ("Gone", removes)]);
    assert_eq!(super::entities(&database), ["contact 2 deleted", "contract 1 changed"]);
}

#[test]
fn a_contract_that_comes_with_what_was_waited_for_is_pruned() {
    let brings = r#"{"contracts": [{"number": "1", "log": "a"}, {"number": "2", "owner": "1"}]}"#;
    let database = after("comes", &[OWNED]);
    let did = race(&database, [("Sync", brings), ("Owned", r#"{"of": "1"}"#)]);
    assert_eq!(did, ["deleted contract", "deleted contract"]);
}

#[test]
fn a_contract_that_comes_to_the_town_with_what_was_waited_for_is_pruned() {
    let there = ("Sync", r#"{"contracts": {"number": "1", "town": "Bonn"}}"#);
    let brings = r#"{"contracts": [{"number": "1", "log": "a"}, {"number": "2", "town": "Bonn"}]}"#;
    let database = after("town", &[there]);
    let did = race(&database, [("Sync", brings), ("InTown", r#"{"town": "Bonn"}"#)]);
    assert_eq!(did, ["deleted contract", "deleted contract"]);
}

/// Both write contract 3; one creates the contact whose other contracts the other prunes.
#[test]
fn the_anchor_that_comes_with_what_was_waited_for_has_related_ones() {
    let brings = r#"{"contacts": {"number": "1"}, "contracts": [{"number": "1", "owner": "1"}, {"number": "3", "log": "a"}]}"#;
    let database = after("anchor", &[CONTRACT, ("Sync", r#"{"contracts": {"number": "3"}}"#)]);
    let prune = ("Left", r#"{"of": "1", "contracts": {"number": "3", "log": "b"}}"#);
    let did = race(&database, [("Sync", brings), prune]);
    assert_eq!(did, ["updated contract", "deleted contract"]);
}

#[test]
fn a_contract_that_the_anchor_names_meanwhile_is_pruned() {
    let names =
        r#"{"contacts": {"number": "1", "lists": "1"}, "contracts": {"number": "3", "log": "a"}}"#;
    let third = ("Sync", r#"{"contracts": {"number": "3"}}"#);
    let database = after("names", &[CONTRACT, OWNER, third]);
    let prune = ("Owned", r#"{"of": "1", "contracts": "3"}"#);
    assert_eq!(race(&database, [("Sync", names), prune]), ["updated contract", "deleted contract"]);

    // The anchor names others from now on: what it named before counts.
    let database = after("named", &[CONTRACT, OWNER, third]);
    let prune = ("Named", r#"{"of": "1", "contracts": "3"}"#);
    let did = race(&database, [("Sync", names), prune]);
    assert_eq!(did, ["updated contact", "unchanged contract", "purged contract"]);
}

/// They write no common entity.
#[test]
fn the_second_of_two_prunes_removes_what_the_first_brought() {
    let database = after("two", &[OWNER]);
    let prune = |contract| format!(r#"{{"of": "1", "contracts": "{contract}"}}"#);
    let [first, second] = ["1", "2"].map(prune);
    let did = race(&database, [("Owned", &first), ("Owned", &second)]);
    assert_eq!(did, ["created contract", "deleted contract"]);
    assert_eq!(super::entities(&database), ["contact 1", "contract 1 deleted", "contract 2"]);
}

/// The contract would have been made a stub, which no prune removes.
#[test]
fn a_contract_that_comes_while_it_is_linked_to_is_pruned() {
    let names = r#"{"contacts": {"number": "2", "lists": "9"}, "contracts": [{"number": "9", "owner": "1"}]}"#;
    let database = after("linked", &[OWNER]);
    let prune = ("Linked", r#"{"of": "1", "contact": "2", "contracts": "9"}"#);
    let did = race(&database, [("Sync", names), prune]);
    assert_eq!(did.last().unwrap(), "deleted contract");
    assert_eq!(super::entities(&database), ["contact 1", "contact 2", "contract 9 deleted"]);
}

#[test]
fn a_contact_that_a_trigger_brings_is_none_of_another_session_s() {
    let database = after("trigger", &[CONTRACT]);
    let mut session = database.connect();
    let trigger = r#"
        CREATE FUNCTION bring() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.contact (id, attributes) VALUES (gen_random_uuid(), '{"customer_number": "2"}');
            RETURN NULL;
        END $$;
        CREATE TRIGGER bring AFTER UPDATE ON contract FOR EACH ROW EXECUTE FUNCTION bring();"#;
    session.batch_execute(trigger).unwrap();
    let removes = ("Gone", r#"{"contract": {"number": "1", "log": "b"}, "deleted": "2"}"#);
    assert_eq!(super::apply_in(MAPPING, &mut session, removes).unwrap(), ["updated contract"]);
    assert_eq!(super::entities(&database), ["contact 2", "contract 1 changed"]);
}
