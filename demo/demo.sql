-- What erp_toolkit does, told by running it. demo/run.sh runs this file in an empty database.
-- Statements that are worth reading are printed (ECHO queries); the rest is stage work.

\set ECHO none
\set SHOW_CONTEXT never
\pset footer off
\pset null '-'
SET client_min_messages = warning;
CREATE EXTENSION erp_toolkit;

\echo
\echo 'erp_toolkit: events of an ERP system become entities and relations, inside PostgreSQL'
\echo '====================================================================================='

\echo
\echo '1. Events, as they arrive'
\echo '-------------------------'
\echo 'Something (a webhook, a COPY, a queue) has put them into a staging table:'
\echo

CREATE TABLE staging (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_name text NOT NULL,
    payload jsonb NOT NULL
);
INSERT INTO staging (event_name, payload) VALUES
('CustomerChanged', $$ {
    "customerId": "CUST-12345",
    "name": {"first": "Anna", "last": "Schmidt"},
    "email": "anna.schmidt@example.com",
    "billingAccountId": "BA-98765"
} $$),
('ContractChanged', $$ {
    "contractNumber": "CTR-2024-001",
    "startDate": "2024-01-01",
    "active": true,
    "meters": [
        {"meterNumber": "M-001", "meterType": "E"},
        {"meterNumber": "M-002", "meterType": "G"},
        {"meterNumber": "M-003", "meterType": "E"}
    ]
} $$),
('ContractCreated', $$ {
    "number": "CTR-2024-042",
    "displayName": "Energy Supply Contract",
    "customerId": "CUST-5678",
    "billingAccountId": "BA-1234",
    "contacts": [
        {"email": "technical@example.com", "contactType": "TECHNICAL"},
        {"email": "billing@example.com", "contactType": "BILLING"}
    ]
} $$);

CREATE TABLE mapping (name text PRIMARY KEY, document jsonb NOT NULL);
INSERT INTO mapping VALUES ('energy', $$ {
    "version": "2.0",
    "mapping": {"events": {
        "CustomerChanged": {"entities": [{
            "entity_schema": "contact",
            "unique_ids": ["customer_number"],
            "fields": [
                {"attribute": "customer_number", "field": "customerId"},
                {"attribute": "first_name", "field": "$.name.first"},
                {"attribute": "last_name", "field": "$.name.last"},
                {"attribute": "email", "field": "email"},
                {"attribute": "full_name", "jsonataExpression": "name.first & ' ' & name.last"},
                {"attribute": "source", "constant": "ERP"},
                {"attribute": "billing_account", "relations": {"operation": "_set", "items": [{
                    "entity_schema": "billing_account",
                    "_tags": ["PRIMARY"],
                    "unique_ids": [{"attribute": "external_id", "field": "billingAccountId"}]
                }]}}
            ]
        }]},
        "ContractChanged": {"entities": [{
            "entity_schema": "contract",
            "unique_ids": ["contract_number"],
            "fields": [
                {"attribute": "contract_number", "field": "contractNumber"},
                {"attribute": "start_date", "field": "startDate"},
                {"attribute": "status", "jsonataExpression": "active = true ? 'ACTIVE' : 'INACTIVE'"}
            ]
        }, {
            "entity_schema": "meter",
            "unique_ids": ["meter_number"],
            "jsonataExpression": "meters.{\"number\": meterNumber, \"type\": meterType = 'E' ? 'electricity' : meterType = 'G' ? 'gas' : 'other'}",
            "fields": [
                {"attribute": "meter_number", "field": "number"},
                {"attribute": "meter_type", "field": "type"}
            ]
        }]},
        "ContractCreated": {"entities": [{
            "entity_schema": "contract",
            "unique_ids": ["contract_number"],
            "fields": [
                {"attribute": "contract_number", "field": "number"},
                {"attribute": "display_name", "field": "displayName"},
                {"attribute": "contract_type", "constant": "ENERGY"},
                {"attribute": "primary_customer", "relations": {"operation": "_set", "items": [{
                    "entity_schema": "contact",
                    "_tags": ["PRIMARY"],
                    "unique_ids": [{"attribute": "customer_number", "field": "customerId"}]
                }]}},
                {"attribute": "billing_account", "relations": {"operation": "_set", "items": [{
                    "entity_schema": "billing_account",
                    "unique_ids": [
                        {"attribute": "external_id", "field": "billingAccountId"},
                        {"attribute": "account_type", "constant": "BILLING"}
                    ]
                }]}},
                {"attribute": "additional_contacts", "relations": {"operation": "_set",
                    "jsonataExpression": "contacts.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"email\", \"constant\": email}], \"_tags\": [contactType]}"}}
            ]
        }]}
    }}
} $$);

\set ECHO queries
SELECT id, event_name, left(payload::text, 80) || ' …' AS payload FROM staging ORDER BY id;
\set ECHO none

\echo '2. A mapping says what they mean'
\echo '--------------------------------'
\echo 'It is a JSON document, here in a table of its own. For each event it names the entities to write, and for each'
\echo 'attribute where its value comes from. This is what it says about CustomerChanged:'
\echo
SELECT field ->> 'attribute' AS attribute,
       coalesce('field  ' || (field ->> 'field'),
                'jsonataExpression  ' || (field ->> 'jsonataExpression'),
                'constant  ' || (field ->> 'constant'),
                'relation to the billing_account with external_id = billingAccountId') AS "comes from"
FROM mapping,
     jsonb_array_elements(document #> '{mapping,events,CustomerChanged,entities,0,fields}') AS field;

\echo 'Mistakes in a mapping are told all at once, with their places. This one has three:'
\echo
\set ECHO queries
SELECT path, message, hint FROM erp_validate('{"entities": [{
    "entity_schema": "contact", "unique_ids": ["number"], "mode": "upsrt", "enabeld": true,
    "jsonataExpression": "customers.", "fields": [{"attribute": "number", "field": "id"}]}]}');
\set ECHO none

\echo '3. Entity tables'
\echo '----------------'
\echo 'The mapping tells which tables and indexes are needed. (With dry_run => true the statements are only printed.)'
\echo
\set ECHO queries
SELECT rtrim(split_part(statement, E'\n', 1), ' (') AS created
FROM mapping, erp_prepare(document) WHERE statement ~ '^CREATE';
\set ECHO none

\echo '4. Apply the events, in order'
\echo '-----------------------------'
\echo 'Each event is mapped, its relations are resolved, and its entities are written, in this very transaction.'
\echo 'Entities that do not exist yet, but that a relation names, are created as stubs:'
\echo
\set ECHO queries
SELECT s.id, a.entity_slug, a.action, a.unique_identifiers
FROM mapping, (SELECT * FROM staging ORDER BY id) AS s
CROSS JOIN LATERAL erp_apply(document, s.event_name, s.payload) AS a;
\set ECHO none

\echo 'Entities are rows of ordinary tables, with a column for each identifier:'
\echo
\set ECHO queries
SELECT customer_number, attributes ->> 'full_name' AS full_name, coalesce(email, attributes ->> 'email') AS email, stub
FROM contact ORDER BY customer_number, email;

SELECT meter_number, attributes ->> 'meter_type' AS meter_type FROM meter ORDER BY meter_number;
\set ECHO none

\echo 'A relation holds the ids of the entities it links to. A join follows it:'
\echo
\set ECHO queries
SELECT c.contract_number, relation, p.customer_number, p.email, link -> '_tags' AS tags
FROM contract AS c
CROSS JOIN (VALUES ('primary_customer'), ('additional_contacts')) AS r(relation)
CROSS JOIN jsonb_array_elements(c.attributes -> relation -> '$relation') AS link
JOIN contact AS p ON p.id = (link ->> 'entity_id')::uuid
ORDER BY relation DESC, email DESC;
\set ECHO none

\echo '5. The same events once more'
\echo '----------------------------'
\echo 'Nothing has changed, so nothing is written: every row keeps its version.'
\echo
CREATE TEMPORARY VIEW entity AS
    SELECT id, xmin::text AS version FROM contact UNION ALL SELECT id, xmin::text FROM billing_account
    UNION ALL SELECT id, xmin::text FROM contract UNION ALL SELECT id, xmin::text FROM meter;
CREATE TEMPORARY TABLE before AS SELECT * FROM entity;
\set ECHO queries
SELECT a.entity_slug, a.action, count(*)
FROM mapping, (SELECT * FROM staging ORDER BY id) AS s
CROSS JOIN LATERAL erp_apply(document, s.event_name, s.payload) AS a
GROUP BY a.entity_slug, a.action ORDER BY a.entity_slug;

SELECT count(*) AS entities, count(*) FILTER (WHERE entity.version = before.version) AS "with the same xmin"
FROM entity JOIN before USING (id);
\set ECHO none

\echo '6. A stub is completed'
\echo '----------------------'
\echo 'The contract named customer CUST-5678 before anything was known about it. Now the customer\'s own event comes:'
\echo
\set ECHO queries
SELECT a.entity_slug, a.action, a.unique_identifiers
FROM mapping, erp_apply(document, 'CustomerChanged',
    '{"customerId": "CUST-5678", "name": {"first": "Ben", "last": "Weber"}, "email": "ben.weber@example.com",
      "billingAccountId": "BA-1234"}') AS a;

SELECT c.contract_number, p.customer_number, p.attributes ->> 'full_name' AS full_name, p.stub
FROM contract AS c
JOIN contact AS p ON p.id = (c.attributes #>> '{primary_customer,$relation,0,entity_id}')::uuid;
\set ECHO none
\echo 'The entity kept its id, so the contract needed no change.'

\echo
\echo '7. When something is wrong'
\echo '--------------------------'
\echo 'This event brings a contract that is fine, and a meter whose number is an object:'
\echo
CREATE FUNCTION pg_temp.error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN format(E'ERROR:  %s: %s\nDETAIL:  %s\nHINT:  %s', SQLSTATE, SQLERRM, detail, hint);
END $$;
\set event '{"contractNumber": "CTR-2025-007", "active": true, "meters": [{"meterNumber": {"no": 9}, "meterType": "E"}]}'
\set call 'SELECT * FROM mapping, erp_apply(document, \'ContractChanged\',\n    \'' :event '\');'
\echo :call
\pset format unaligned
\pset tuples_only on
SELECT pg_temp.error_of(:'call');
\pset tuples_only off
\pset format aligned
\echo
\echo 'The event is one piece: the contract is not there either.'
\echo
\set ECHO queries
SELECT count(*) AS contracts FROM contract WHERE contract_number = 'CTR-2025-007';
\set ECHO none

\echo 'A batch can set such events aside and apply the others:'
\echo
\set ECHO queries
SELECT b.event, b.entity_slug, b.action, b.error ->> 'sqlstate' AS sqlstate, b.error ->> 'message' AS message
FROM mapping, erp_apply_batch(document, 'ContractChanged', ARRAY[
    '{"contractNumber": "CTR-2025-007", "active": true, "meters": [{"meterNumber": {"no": 9}, "meterType": "E"}]}',
    '{"contractNumber": "CTR-2025-008", "active": true, "meters": [{"meterNumber": "M-010", "meterType": "G"}]}'
  ]::jsonb[], on_error => 'continue') AS b;
\set ECHO none

\echo 'How to go on'
\echo '------------'
\echo 'make psql    this database, to try things: mapping, staging, contact, contract, meter, billing_account are there'
\echo 'README.md    what it is, how to install it, the functions'
\echo 'docs/        the mapping language, entity tables, errors, settings'
\echo
