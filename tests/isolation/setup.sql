-- What the specs share: a mapping, apply(), which tells what became of entities, and content, what
-- is there. Each spec begins with empty tables. A spec may not hold braces: payloads are written with
-- parentheses instead.

CREATE EXTENSION erp_toolkit;

-- Tables without statistics look large enough for it, and it takes longer than all the rest.
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = off', current_database()); END $$;

CREATE TABLE mapping AS SELECT $$ {"version": "2.0", "mapping": {"events": {
"Sync": {"entities": [
    {"entity_schema": "contact", "unique_ids": ["customer_number"], "jsonataExpression": "contacts", "fields": [
        {"attribute": "customer_number", "field": "number"},
        {"attribute": "email", "field": "email"},
        {"attribute": "login", "field": "login"},
        {"attribute": "log", "jsonataExpression": "log.{\"_append\": $}"}]},
    {"entity_schema": "contract", "unique_ids": ["contract_number"], "jsonataExpression": "contracts", "fields": [
        {"attribute": "contract_number", "field": "number"},
        {"attribute": "log", "jsonataExpression": "log.{\"_append\": $}"},
        {"attribute": "owner", "relations": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "owner"}]}]}},
        {"attribute": "payer", "relations": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "payer"}]}]}}]},
    {"entity_schema": "contact", "mode": "delete", "unique_ids": ["customer_number"], "jsonataExpression": "deleted",
     "fields": [{"attribute": "customer_number", "jsonataExpression": "$"}]}]},
"Login": {"entities": [
    {"entity_schema": "contact", "unique_ids": ["login"], "fields": [
        {"attribute": "login", "field": "login"},
        {"attribute": "log", "jsonataExpression": "log.{\"_append\": $}"}]}]},
"Purge": {"entities": [
    {"entity_schema": "contact", "mode": "purge", "unique_ids": ["customer_number"],
     "fields": [{"attribute": "customer_number", "field": "number"}]}]},
"Prune": {"entities": [
    {"entity_schema": "contract", "mode": "upsert-prune-scope-delete", "unique_ids": ["contract_number"],
     "jsonataExpression": "contracts.{\"number\": $, \"owner\": %.of}",
     "scope": {"scope_mode": "relations", "schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "of"}]},
     "fields": [{"attribute": "contract_number", "field": "number"},
        {"attribute": "owner", "relations": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "customer_number", "field": "owner"}]}]}}]}]}
}}} $$::jsonb AS document;

SELECT FROM mapping, erp_prepare(document);

CREATE FUNCTION document(payload text) RETURNS jsonb LANGUAGE sql
AS $$ SELECT translate(payload, '()', '{}')::jsonb $$;

CREATE FUNCTION apply(event_name text, payload text) RETURNS SETOF text LANGUAGE sql
AS $$
    SELECT concat_ws(' ', a.action, a.entity_slug, (SELECT string_agg(value, ' ') FROM jsonb_each_text(a.unique_identifiers)))
    FROM mapping AS m, erp_apply(m.document, event_name, document(payload)) AS a;
$$;

CREATE FUNCTION apply_all(event_name text, payloads text[]) RETURNS SETOF text LANGUAGE sql
AS $$
    SELECT concat_ws(' ', a.event, a.action, a.entity_slug, (SELECT string_agg(value, ' ') FROM jsonb_each_text(a.unique_identifiers)))
    FROM mapping AS m,
         erp_apply_batch(m.document, event_name, ARRAY(SELECT document(p) FROM unnest(payloads) AS p)) AS a;
$$;

CREATE FUNCTION key_of(contact uuid) RETURNS text LANGUAGE sql
AS $$ SELECT coalesce(customer_number, email) FROM contact WHERE id = $1 $$;

CREATE VIEW content AS
SELECT concat_ws(' ', 'contact', coalesce(customer_number, email)) AS entity, attributes -> 'log' AS log,
       attributes ->> 'login' AS login, NULL AS owner, NULL AS payer, stub, deleted_at IS NOT NULL AS deleted
FROM contact
UNION ALL
SELECT 'contract ' || contract_number, attributes -> 'log', NULL,
       coalesce(key_of((attributes #>> '{owner,$relation,0,entity_id}')::uuid), attributes #>> '{owner,$relation,0,entity_id}'),
       coalesce(key_of((attributes #>> '{payer,$relation,0,entity_id}')::uuid), attributes #>> '{payer,$relation,0,entity_id}'),
       stub, deleted_at IS NOT NULL
FROM contract
ORDER BY entity;
