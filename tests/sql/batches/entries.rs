//! The entries of the mappings that random sequences are applied with.

/// Contacts are upserted by one key and linked to by another, contracts and accounts link to each
/// other and to contacts, contacts and accounts to their own kind; a missing site is skipped, a
/// missing vendor is an error.
pub const UPSERTS: &str = r##"
{"entity_schema": "contact", "unique_ids": ["customer_number"], "jsonataExpression": "contacts", "fields": [
    {"attribute": "customer_number", "field": "number"},
    {"attribute": "email", "field": "email"},
    {"attribute": "name", "field": "name"},
    {"attribute": "score", "field": "score"},
    {"attribute": "limit", "field": "limit"},
    {"attribute": "tags", "field": "tags"},
    {"attribute": "marks", "jsonataExpression": "$exists(marks) ? {\"_append_unique\": marks}"},
    {"attribute": "upper", "jsonataExpression": "$uppercase(upper)"},
    {"attribute": "manager", "relations": {"items": [
        {"entity_schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "manager"}]}]}},
    {"attribute": "friends", "relations": {"operation": "_append", "jsonataExpression":
        "friends.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"email\", \"constant\": $}]}"}}]},
{"entity_schema": "contract", "unique_ids": ["contract_number"], "jsonataExpression": "contracts", "fields": [
    {"attribute": "contract_number", "field": "number"},
    {"attribute": "status", "field": "status"},
    {"attribute": "owner", "relations": {"items": [
        {"entity_schema": "contact", "_tags": ["OWNER"], "unique_ids": [{"attribute": "customer_number", "field": "owner"}]},
        {"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "payer"}]}]}},
    {"attribute": "sites", "relations": {"operation": "_append", "items": [
        {"entity_schema": "site", "unique_ids": [{"attribute": "site_number", "field": "site"}]},
        {"entity_schema": "site", "unique_ids": [{"attribute": "site_number", "field": "other_site"}]}]}},
    {"attribute": "vendor", "relations": {"items": [
        {"entity_schema": "vendor", "unique_ids": [{"attribute": "vendor_number", "field": "vendor"}]}]}},
    {"attribute": "account", "relations": {"operation": "_append_unique", "items": [
        {"entity_schema": "account", "_tags": ["A"], "unique_ids": [
            {"attribute": "external_id", "field": "account"}, {"attribute": "kind", "constant": "BILLING"}]}]}}]},
{"entity_schema": "account", "unique_ids": ["external_id", "kind"], "jsonataExpression": "accounts", "fields": [
    {"attribute": "external_id", "field": "id"},
    {"attribute": "kind", "field": "kind"},
    {"attribute": "tags", "field": "tags"},
    {"attribute": "contract", "relations": {"items": [
        {"entity_schema": "contract", "unique_ids": [{"attribute": "contract_number", "field": "contract"}]}]}},
    {"attribute": "parent", "relations": {"items": [
        {"entity_schema": "account", "unique_ids": [
            {"attribute": "kind", "field": "kind"}, {"attribute": "external_id", "field": "parent"}]}]}},
    {"attribute": "holders", "relations": {"operation": "_append_unique", "jsonataExpression":
        "holders.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"email\", \"constant\": $}]}"}}]},
{"entity_schema": "site", "unique_ids": ["site_number"], "jsonataExpression": "sites",
    "fields": [{"attribute": "site_number", "jsonataExpression": "$"}]},
{"entity_schema": "vendor", "unique_ids": ["vendor_number"], "jsonataExpression": "vendors",
    "fields": [{"attribute": "vendor_number", "jsonataExpression": "$"}]}"##;

/// What is deleted is so by either key.
pub const DELETES: &str = r##"
{"entity_schema": "contact", "mode": "delete", "unique_ids": ["customer_number"], "jsonataExpression": "deleted_contacts",
    "fields": [{"attribute": "customer_number", "jsonataExpression": "$"}]},
{"entity_schema": "contact", "mode": "delete", "unique_ids": ["email"], "jsonataExpression": "deleted_mails",
    "fields": [{"attribute": "email", "jsonataExpression": "$"}]},
{"entity_schema": "contract", "mode": "delete", "unique_ids": ["contract_number"], "jsonataExpression": "deleted_contracts",
    "fields": [{"attribute": "contract_number", "jsonataExpression": "$"}]}"##;

/// Each event that can do these is resolved and written alone.
pub const PURGES: &str = r##"
{"entity_schema": "contact", "mode": "purge", "unique_ids": ["customer_number"], "jsonataExpression": "purged_contacts",
    "fields": [{"attribute": "customer_number", "jsonataExpression": "$"}]},
{"entity_schema": "contact", "mode": "purge", "unique_ids": ["email"], "jsonataExpression": "purged_mails",
    "fields": [{"attribute": "email", "jsonataExpression": "$"}]},
{"entity_schema": "contract", "mode": "upsert-prune-scope-delete", "unique_ids": ["contract_number"], "jsonataExpression": "only_contracts",
    "scope": {"scope_mode": "relations", "schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "contracts_of"}]},
    "fields": [{"attribute": "contract_number", "jsonataExpression": "$"}]},
{"entity_schema": "contact", "mode": "upsert-prune-scope-purge", "unique_ids": ["customer_number"], "jsonataExpression": "only_contacts",
    "scope": {"scope_mode": "relations", "schema": "contract", "unique_ids": [{"attribute": "contract_number", "field": "contacts_of"}]},
    "fields": [{"attribute": "customer_number", "jsonataExpression": "$"}]},
{"entity_schema": "account", "mode": "upsert-prune-scope-purge", "unique_ids": ["external_id", "kind"], "jsonataExpression": "only_accounts",
    "scope": {"scope_mode": "query", "query": [{"attribute": "kind", "field": "accounts_of_kind"}]},
    "fields": [{"attribute": "external_id", "field": "id"}, {"attribute": "kind", "field": "kind"}]}"##;
