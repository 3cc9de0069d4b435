-- What erp_register_entity refuses, and that its hint mends it.
\getenv tests PG_ABS_SRCDIR
\set crm :tests /../crm.sql
\set ECHO none
\i :crm
\set ECHO all
SET search_path = crm, public;
\x on

-- The slug, and arguments of the wrong form
SELECT call, f.state, f.message, f.hint
FROM unnest(ARRAY[$$NULL, 'customers'$$, $$'', 'customers'$$, $$'customer', NULL$$, $$'customer', 4000000000$$, $$'customer', 'customers', on_missing => 'ignore'$$,
                  $$'customer', 'customers', '{}'$$, $$'customer', 'customers', ARRAY['']$$, $$'customer', 'customers', ARRAY['name', 'name']$$,
                  $$'customer', 'customers', ARRAY['name', NULL]$$, $$'customer', 'customers', ARRAY[['name'], ['email']]$$,
                  $$'customer', 'customers', columns => '[]'$$, $$'customer', 'customers', columns => '"name"'$$, $$'customer', 'customers', columns => 'null'$$,
                  $$'customer', 'customers', columns => '{"a": 1}'$$, $$'customer', 'customers', columns => '{"a": null}'$$, $$'customer', 'customers', columns => '{"": "name"}'$$,
                  $$'customer', 'customers', relations => '[]'$$, $$'customer', 'customers', relations => '{"a": "name"}'$$, $$'customer', 'customers', relations => '{"a": {}}'$$,
                  $$'customer', 'customers', relations => '{"a": {"column": 1, "entity_schema": "b"}}'$$,
                  $$'customer', 'customers', relations => '{"a": {"column": "name", "entity_schema": "b", "_tags": []}}'$$]) WITH ORDINALITY AS c(call, n),
     failure(format('SELECT erp_register_entity(%s)', call)) AS f
ORDER BY n;

-- The table: one that is there to stay
CREATE VIEW a_view AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW a_matview AS SELECT 1 AS id;
CREATE FOREIGN DATA WRAPPER regress_wrapper;
CREATE SERVER regress_server FOREIGN DATA WRAPPER regress_wrapper;
CREATE FOREIGN TABLE a_foreign_table (id int) SERVER regress_server;
CREATE TEMPORARY TABLE a_temporary (id int PRIMARY KEY);
CREATE SEQUENCE a_sequence;
SELECT name, f.state, f.message, f.hint
FROM unnest('{a_view,a_matview,a_foreign_table,a_temporary,a_sequence,customers_pkey,pg_class,information_schema.sql_features,erp.entity_type,nowhere}'::text[]) WITH ORDINALITY AS t(name, n),
     failure(format('SELECT erp_register_entity(%L, %L)', 'x', name)) AS f
ORDER BY n;
DROP FOREIGN DATA WRAPPER regress_wrapper CASCADE;

-- Rights of who calls
CREATE ROLE regress_registrar;
GRANT USAGE ON SCHEMA crm TO regress_registrar;
SET ROLE regress_registrar;
SELECT * FROM failure($$ SELECT erp_register_entity('customer', 'customers') $$);
RESET ROLE;
GRANT SELECT ON customers TO regress_registrar;
SET ROLE regress_registrar;
SELECT hint FROM failure($$ SELECT erp_register_entity('customer', 'customers') $$) \gset
RESET ROLE;
\echo :hint
:hint
-- Those on some columns will do; then there are those on the bindings.
REVOKE UPDATE ON customers FROM regress_registrar;
GRANT UPDATE (name) ON customers TO regress_registrar;
SET ROLE regress_registrar;
SELECT state, message FROM failure($$ SELECT erp_register_entity('customer', 'customers') $$);
RESET ROLE;
GRANT INSERT, UPDATE, DELETE ON erp.entity_type, erp.entity_column, erp.entity_key TO regress_registrar;
SET ROLE regress_registrar;
SELECT erp_register_entity('customer', 'customers', ARRAY['customer_no']);
SELECT erp_register_entity('customer', 'customers');
SELECT erp_unregister_entity('customer');
RESET ROLE;
REVOKE ALL ON customers, erp.entity_type, erp.entity_column, erp.entity_key FROM regress_registrar;
REVOKE ALL ON SCHEMA crm FROM regress_registrar;
DROP ROLE regress_registrar;

-- Bound otherwise
SELECT erp_register_entity('customer', 'customers', ARRAY['customer_no']);
SELECT erp_create_entity('managed', ARRAY['no']);
SELECT * FROM mended($$ SELECT erp_register_entity('buyer', 'customers', ARRAY['customer_no']) $$);
SELECT * FROM mended($$ SELECT erp_register_entity('other', 'managed') $$);
SELECT * FROM mended($$ SELECT erp_register_entity('managed', 'managed') $$);
SELECT * FROM mended($$ SELECT erp_register_entity('managed', 'meters', ARRAY['meter_no']) $$);

-- Ids
CREATE TABLE no_key (a int);
CREATE TABLE no_key_but_id (id int NOT NULL);
CREATE TABLE two_keys (a int, b int, c int, PRIMARY KEY (a, b));
SELECT * FROM mended($$ SELECT erp_register_entity('x', 'no_key') $$);
SELECT * FROM mended($$ SELECT erp_register_entity('x', 'no_key_but_id') $$);
SELECT * FROM failure($$ SELECT erp_register_entity('x', 'two_keys') $$);
SELECT * FROM failure($$ SELECT erp_register_entity('x', 'two_keys', id_column => 'd') $$);
SELECT * FROM failure($$ SELECT erp_register_entity('x', 'two_keys', id_column => 'ctid') $$);
SELECT * FROM mended($$ SELECT erp_register_entity('x', 'two_keys', id_column => 'c') $$);
ALTER TABLE two_keys ALTER c SET NOT NULL;
CREATE UNIQUE INDEX ON two_keys (c) WHERE c > 0;
CREATE UNIQUE INDEX ON two_keys ((c + 1));
CREATE INDEX ON two_keys (c);
SELECT * FROM mended($$ SELECT erp_register_entity('x', 'two_keys', id_column => 'c') $$);
-- Deferrable and including other columns: it is unique all the same.
CREATE UNIQUE INDEX two_keys_c ON two_keys (c) INCLUDE (a);
BEGIN;
SELECT erp_register_entity('x', 'two_keys', id_column => 'c');
DROP INDEX two_keys_c;
ALTER TABLE two_keys ADD UNIQUE (c) DEFERRABLE;
SELECT erp_register_entity('x', 'two_keys', id_column => 'c');
ROLLBACK;
-- One that is not valid is none.
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'two_keys_c'::regclass;
SELECT state, message FROM failure($$ SELECT erp_register_entity('x', 'two_keys', id_column => 'c') $$);

-- Special columns
CREATE TABLE special (id int PRIMARY KEY, data text, is_stub int, at date, gone timestamp NOT NULL, made timestamp GENERATED ALWAYS AS (NULL) STORED, kept jsonb, was text);
ALTER TABLE special DROP COLUMN was;
SELECT * FROM failure($$ SELECT erp_register_entity('x', 'special', attributes_column => 'was') $$);
SELECT call, m.*
FROM unnest(ARRAY[$$attributes_column => 'data'$$, $$stub_column => 'is_stub'$$, $$created_at_column => 'at'$$, $$updated_at_column => 'data'$$,
                  $$deleted_at_column => 'gone'$$, $$created_at_column => 'made'$$]) WITH ORDINALITY AS c(call, n),
     mended(format('SELECT erp_register_entity(%L, %L, %s)', 'x', 'special', call)) AS m
ORDER BY n;
SELECT * FROM failure($$ SELECT erp_register_entity('x', 'special', attributes_column => 'id') $$);
SELECT * FROM failure($$ SELECT erp_register_entity('x', 'special', created_at_column => 'gone', updated_at_column => 'gone') $$);

-- Columns of attributes
SELECT call, f.state, f.message, f.hint
FROM unnest(ARRAY[$$columns => '{"a": "emial"}'$$, $$columns => '{"a": "email", "b": "email"}'$$, $$columns => '{"a": "data"}', attributes_column => 'data'$$,
                  $$relations => '{"a": {"column": "nothing", "entity_schema": "customer"}}'$$, $$relations => '{"a": {"column": "id", "entity_schema": "customer"}}'$$,
                  $$columns => '{"a": "email"}', relations => '{"a": {"column": "name", "entity_schema": "customer"}}'$$,
                  $$columns => '{"a": "email"}', relations => '{"b": {"column": "email", "entity_schema": "customer"}}'$$]) WITH ORDINALITY AS c(call, n),
     failure(format('SELECT erp_register_entity(%L, %L, %s)', 'customer', 'customers', call)) AS f
ORDER BY n;
CREATE TABLE generated (id int PRIMARY KEY, a text, b text GENERATED ALWAYS AS (upper(a)) STORED UNIQUE);
SELECT * FROM mended($$ SELECT erp_register_entity('x', 'generated', columns => '{"c": "b"}') $$);
SELECT * FROM mended($$ SELECT erp_register_entity('x', 'generated', ARRAY['b']) $$);
-- A natural primary key is an attribute, too.
SELECT erp_register_entity('meter', 'meters', ARRAY['number'], columns => '{"number": "meter_no"}');

-- Relations
SELECT erp_unregister_entity('customer');
SELECT * FROM mended($$ SELECT erp_register_entity('contract', 'contracts', relations => '{"customer": {"column": "customer_id", "entity_schema": "customer"}}') $$);
SELECT * FROM failure($$ SELECT erp_register_entity('contract', 'contracts', relations => '{"customer": {"column": "starts", "entity_schema": "customer"}}') $$);
SELECT erp_register_entity('customer', 'customers', ARRAY['customer_no']);
ALTER TABLE contracts ADD COLUMN payer bigint, ADD COLUMN customer_no text REFERENCES customers (customer_no), ADD COLUMN meter bigint, ADD FOREIGN KEY (meter) REFERENCES customers;
SELECT * FROM mended($$ SELECT erp_register_entity('contract', 'contracts', relations => '{"payer": {"column": "payer", "entity_schema": "customer"}}') $$);
-- One to another column, or to another table, is not meant.
SELECT * FROM failure($$ SELECT erp_register_entity('contract', 'contracts', relations => '{"customer": {"column": "customer_no", "entity_schema": "customer"}}') $$);
SELECT state, message FROM failure($$ SELECT erp_register_entity('contract', 'contracts', relations => '{"meter": {"column": "meter", "entity_schema": "meter"}}') $$);
-- What relations of other types lead to cannot be replaced behind their backs.
SELECT erp_register_entity('contract', 'contracts', relations => '{"customer": {"column": "customer_id", "entity_schema": "customer"}}');
CREATE TABLE new_customers (LIKE customers INCLUDING ALL);
SELECT * FROM mended($$ SELECT erp_register_entity('customer', 'new_customers', ARRAY['customer_no']) $$);
ALTER TABLE customers ALTER customer_no SET NOT NULL;
SELECT * FROM mended($$ SELECT erp_register_entity('customer', 'customers', id_column => 'customer_no') $$);

-- Key sets: a column for each attribute
SELECT call, f.state, f.message, f.detail, f.hint
FROM unnest(ARRAY[$$ARRAY['number']$$, $$ARRAY['customer_no', 'number']$$, $$ARRAY['customer_no'], columns => '{"number": "customer_no"}'$$,
                  $$ARRAY['number'], columns => '{"number": "no"}'$$, $$ARRAY['created_at'], created_at_column => 'created_at'$$, $$ARRAY['ctid']$$]) WITH ORDINALITY AS c(call, n),
     failure(format('SELECT erp_register_entity(%L, %L, %s)', 'buyer', 'new_customers', call)) AS f
ORDER BY n;
SELECT * FROM failure($$ SELECT erp_register_entity('contract', 'contracts', ARRAY['customer'], relations => '{"customer": {"column": "customer_id", "entity_schema": "customer"}}') $$);
SELECT * FROM failure($$ SELECT erp_register_entity('contract', 'contracts', ARRAY['customer_id'], relations => '{"customer": {"column": "customer_id", "entity_schema": "customer"}}') $$);
-- an order
CREATE DOMAIN coloured AS json;
CREATE TABLE unordered (id int PRIMARY KEY, a json, b coloured, c customer_status[] UNIQUE, d point);
SELECT state, message, hint FROM failure($$ SELECT erp_register_entity('x', 'unordered', ARRAY['a']) $$);
SELECT * FROM mended($$ SELECT erp_register_entity('x', 'unordered', ARRAY['b']) $$);
SELECT state, message FROM failure($$ SELECT erp_register_entity('x', 'unordered', ARRAY['d']) $$);
SELECT state FROM failure($$ SELECT erp_register_entity('x', 'unordered', ARRAY['c']) $$);
-- and an index. Those that are not unique, hold more, fewer or other columns, or expressions, do not count.
CREATE INDEX ON customers (name);
CREATE UNIQUE INDEX ON customers (name, email, birthday);
CREATE UNIQUE INDEX ON customers (birthday, (lower(name)));
SELECT * FROM mended($$ SELECT erp_register_entity('customer', 'customers', ARRAY['name', 'email']) $$);
SELECT * FROM mended($$ SELECT erp_register_entity('customer', 'customers', ARRAY['name']) $$);
SELECT * FROM mended($$ SELECT erp_register_entity('customer', 'customers', ARRAY['name', 'birthday']) $$);
-- Relations alone take any index, which a partial one is only if it is unique.
CREATE INDEX ON contracts (starts) WHERE deleted_at IS NULL;
SELECT * FROM mended($$ SELECT erp_register_entity('contract', 'contracts', ARRAY['starts'], for_upsert => false) $$);
SELECT state FROM failure($$ SELECT erp_register_entity('contract', 'contracts', ARRAY['contract_no'], for_upsert => false) $$);
SELECT state FROM failure($$ SELECT erp_register_entity('contract', 'contracts', ARRAY['contract_no']) $$);

-- A key set that is there and lost its column or its index
SELECT * FROM mended($$ SELECT erp_register_entity('meter', 'meters') $$);
DROP INDEX contracts_contract_no;
SELECT * FROM mended($$ SELECT erp_register_entity('contract', 'contracts') $$);
ALTER TABLE contracts DROP COLUMN contract_no;
SELECT * FROM mended($$ SELECT erp_register_entity('contract', 'contracts') $$);
\x off

-- What fails changes nothing.
SELECT slug, table_name FROM erp.entity_type ORDER BY slug;
SELECT slug, attributes FROM erp.entity_key ORDER BY slug;
SELECT slug, attribute FROM erp.entity_column ORDER BY slug;

CALL forget('crm');
