//! The mapping: each event writes contacts and contracts that link to one another, and removes
//! some, by name or by what is in scope.

const CONTACTS: &str = r##"
{"entity_schema": "contact", "unique_ids": ["customer_number"], "jsonataExpression": "contacts", "fields": [
    {"attribute": "customer_number", "field": "number"},
    {"attribute": "email", "field": "email"},
    {"attribute": "last", "field": "token"},
    {"attribute": "log", "jsonataExpression": "{\"_append\": [token]}"},
    {"attribute": "manager", "relations": {"jsonataExpression":
        "manager.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"customer_number\", \"constant\": $}]}"}},
    {"attribute": "contracts", "relations": {"jsonataExpression":
        "contracts.{\"entity_schema\": \"contract\", \"unique_ids\": [{\"attribute\": \"contract_number\", \"constant\": $}]}"}},
    {"attribute": "more_contracts", "relations": {"operation": "_append_unique", "jsonataExpression":
        "more_contracts.{\"entity_schema\": \"contract\", \"unique_ids\": [{\"attribute\": \"contract_number\", \"constant\": $}]}"}}]}"##;

const CONTRACTS: &str = r##"
{"entity_schema": "contract", "unique_ids": ["contract_number"], "jsonataExpression": "contracts", MODE "fields": [
    {"attribute": "contract_number", "field": "number"},
    {"attribute": "town", "field": "town"},
    {"attribute": "last", "field": "token"},
    {"attribute": "log", "jsonataExpression": "{\"_append\": [token]}"},
    {"attribute": "owner", "relations": {"jsonataExpression":
        "owner.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"customer_number\", \"constant\": $}]}"}},
    {"attribute": "people", "relations": {"operation": "_append", "jsonataExpression":
        "($token := token; people.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"email\", \"constant\": $}], \"_tags\": [$token]})"}}]}"##;

const GONE: &str = r##"
{"entity_schema": "contact", "mode": "MODE", "unique_ids": ["customer_number"], "jsonataExpression": "gone_contacts",
    "fields": [{"attribute": "customer_number", "jsonataExpression": "$"}]},
{"entity_schema": "contract", "mode": "MODE", "unique_ids": ["contract_number"], "jsonataExpression": "gone_contracts",
    "fields": [{"attribute": "contract_number", "jsonataExpression": "$"}]}"##;

const OF_CONTACT: &str = r#"{"scope_mode": "relations", "schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "of"}]}"#;
const OF_TOWN: &str =
    r#"{"scope_mode": "query", "query": [{"attribute": "town", "field": "town"}]}"#;

pub fn mapping() -> String {
    let event = |name: &str, contracts: &str, gone: &str| {
        let contracts = CONTRACTS.replace("MODE", contracts);
        format!(r#""{name}": {{"entities": [{CONTACTS}, {contracts}{gone}]}}"#)
    };
    let removing = |mode: &str| format!(", {}", GONE.replace("MODE", mode));
    let pruning = |how: &str, scope: &str| {
        format!(r#""mode": "upsert-prune-scope-{how}", "scope": {scope},"#)
    };
    let events = [
        event("Sync", "", &removing("delete")),
        event("Purge", "", &removing("purge")),
        event("PruneOwner", &pruning("delete", OF_CONTACT), ""),
        event("PruneTown", &pruning("delete", OF_TOWN), ""),
        event("PurgeOwner", &pruning("purge", OF_CONTACT), ""),
        event("PurgeTown", &pruning("purge", OF_TOWN), ""),
    ];
    format!(r#"{{"version": "2.0", "mapping": {{"events": {{{}}}}}}}"#, events.join(",\n"))
}
