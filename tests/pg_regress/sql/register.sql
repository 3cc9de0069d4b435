-- erp_register_entity: binds a slug to a table that a user has already; erp_unregister_entity gives it up.
\getenv tests PG_ABS_SRCDIR
\set crm :tests /../crm.sql
\set ECHO none
\i :crm
\set ECHO all
SET search_path = crm, public;
CREATE VIEW bound AS
SELECT slug, table_name, id_column AS id, concat_ws(', ', attributes_column, stub_column, created_at_column, updated_at_column, deleted_at_column) AS special, on_missing, is_managed
FROM erp.entity_type ORDER BY slug;
CREATE VIEW keys AS SELECT slug, attributes, columns, is_unique FROM erp.entity_key ORDER BY slug, attributes;
CREATE TABLE shape AS SELECT attrelid::regclass, attname, attnum, atttypid, attnotnull FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid WHERE c.relnamespace = 'crm'::regnamespace;

-- An ERP system's tables, from the one that others refer to
SELECT erp_register_entity('customer', 'customers', ARRAY['customer_number'],
    columns => '{"customer_number": "customer_no", "name": "name"}', attributes_column => 'data',
    created_at_column => 'created_at', updated_at_column => 'updated_at', deleted_at_column => 'deleted_at');
SELECT erp_register_entity('contract', 'crm.contracts', ARRAY['contract_no'], deleted_at_column => 'deleted_at', on_missing => 'skip',
    relations => '{"customer": {"column": "customer_id", "entity_schema": "customer"}}');
SELECT erp_register_entity('meter', 'meters', ARRAY['meter_no'], relations => '{"contract": {"column": "contract_id", "entity_schema": "contract"}}');
SELECT erp_register_entity('reading', 'readings', unique_ids => ARRAY['read_at', 'meter_no']);
TABLE bound;
TABLE keys;
SELECT * FROM erp.entity_column ORDER BY slug, attribute;
-- The tables are as they were.
SELECT attrelid::regclass, attname, attnum, atttypid, attnotnull FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
WHERE c.relnamespace = 'crm'::regnamespace AND c.relname IN ('customers', 'contracts', 'meters', 'readings') AND c.relkind = 'r'
EXCEPT TABLE shape;

-- Called again, it replaces columns, relations and options, and keeps the key sets.
SELECT created_at AS bound_at FROM erp.entity_type WHERE slug = 'contract' \gset
SELECT erp_register_entity('contract', 'contracts');
SELECT * FROM bound WHERE slug = 'contract';
SELECT created_at = :'bound_at' AS is_bound_since FROM erp.entity_type WHERE slug = 'contract';
SELECT * FROM erp.entity_column WHERE slug = 'contract';
SELECT * FROM keys WHERE slug = 'contract';
SELECT erp_register_entity('contract', 'contracts', relations => '{"buyer": {"column": "customer_id", "entity_schema": "customer"}}');
SELECT * FROM erp.entity_column WHERE slug = 'contract';
-- And it adds a key set. One that only relations use may have any index that begins with its columns.
CREATE INDEX ON customers (email, name);
CREATE INDEX ON customers USING hash (name);
CREATE UNIQUE INDEX ON customers ((lower(name)), birthday);
SELECT erp_register_entity('customer', 'customers', ARRAY['mail'], columns => '{"customer_number": "customer_no", "mail": "email"}', for_upsert => false);
SELECT erp_register_entity('customer', 'customers', ARRAY['name'], columns => '{"customer_number": "customer_no", "mail": "email"}', for_upsert => false);
SELECT * FROM keys WHERE slug = 'customer';
-- The same set in another order is the same; upserted by it stays so, and can become so.
SELECT erp_register_entity('reading', 'readings', ARRAY['meter_no', 'read_at'], for_upsert => false);
CREATE UNIQUE INDEX ON customers (email) INCLUDE (name);
SELECT erp_register_entity('customer', 'customers', ARRAY['mail'], columns => '{"customer_number": "customer_no", "mail": "email"}', for_upsert => NULL);
SELECT * FROM keys WHERE slug IN ('customer', 'reading');
-- Columns that were renamed are found again by what is told then.
ALTER TABLE customers RENAME email TO e_mail;
SELECT erp_register_entity('customer', 'customers', columns => '{"customer_number": "customer_no", "mail": "e_mail"}');
SELECT * FROM keys WHERE slug = 'customer';
-- Null arguments are the defaults.
SELECT erp_register_entity('reading', 'readings', columns => NULL, relations => NULL, on_missing => NULL);
SELECT * FROM bound WHERE slug = 'reading';

-- A relation may lead to the type itself, in a column of its name, or, once both are bound, in a circle; a managed type can be its target.
ALTER TABLE customers ADD COLUMN parent bigint REFERENCES customers, ADD COLUMN main_contract uuid REFERENCES contracts;
SELECT erp_create_entity('tariff', ARRAY['code']);
ALTER TABLE contracts ADD COLUMN tariff_id uuid REFERENCES tariff;
SELECT erp_register_entity('customer', 'customers', columns => '{"customer_number": "customer_no", "mail": "e_mail"}', attributes_column => 'data',
    relations => '{"parent": {"column": "parent", "entity_schema": "customer"}, "main": {"column": "main_contract", "entity_schema": "contract"}}');
SELECT erp_register_entity('contract', 'contracts', id_column => 'id',
    relations => '{"customer": {"column": "customer_id", "entity_schema": "customer"}, "tariff": {"column": "tariff_id", "entity_schema": "tariff"}}');
SELECT * FROM erp.entity_column WHERE slug IN ('customer', 'contract') ORDER BY slug, attribute;

-- erp_create_entity never alters such a table; its hint registers one more key set and keeps the rest.
SELECT * FROM failure($$ SELECT erp_create_entity('customer', ARRAY['e_mail', 'birthday']) $$) \gx
SELECT * FROM failure($$ SELECT erp_create_entity('contract', ARRAY['starts'], for_upsert => false) $$) \gx
CREATE INDEX ON contracts (starts);
SELECT hint AS statement FROM failure($$ SELECT erp_create_entity('contract', ARRAY['starts'], for_upsert => false) $$) \gexec
SELECT * FROM keys WHERE slug = 'contract';
-- Nor does erp_prepare, which has nothing to do for what is registered.
CREATE FUNCTION meter_mapping(unique_id text) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', 'meter', 'unique_ids', jsonb_build_array(unique_id),
        'fields', jsonb_build_array(jsonb_build_object('attribute', unique_id, 'field', 'n'))));
SELECT * FROM erp_prepare(meter_mapping('meter_no'));
SELECT * FROM failure($$ SELECT * FROM erp_prepare(meter_mapping('kind')) $$) \gx
SELECT state FROM failure($$ SELECT * FROM erp_prepare(meter_mapping('kind'), dry_run => true) $$);
SELECT * FROM keys WHERE slug = 'meter';

-- The binding follows the table. Once the table is gone, another may take its place, and begins anew.
ALTER TABLE readings RENAME TO meter_readings;
SELECT * FROM bound WHERE slug = 'reading';
DROP TABLE meter_readings;
SELECT * FROM failure($$ SELECT erp_create_entity('reading', ARRAY['id']) $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_prepare('{"entities": [{"entity_schema": "reading", "unique_ids": ["id"], "fields": []}]}') $$) \gx
CREATE TABLE readings (id bigint PRIMARY KEY, no text UNIQUE);
SELECT erp_register_entity('reading', 'readings', ARRAY['no']);
SELECT * FROM keys WHERE slug = 'reading';
-- So may another of the user's, of any kind of table.
CREATE UNLOGGED TABLE raw_readings (no text PRIMARY KEY);
SELECT erp_register_entity('reading', 'raw_readings', ARRAY['no']);
CREATE TABLE keyless_readings (no text) PARTITION BY RANGE (no);
SELECT state, message, hint FROM failure($$ SELECT erp_register_entity('reading', 'keyless_readings') $$);
CREATE TABLE part_readings (no text, n int, PRIMARY KEY (no)) PARTITION BY RANGE (no);
CREATE TABLE part_readings_all PARTITION OF part_readings DEFAULT;
SELECT erp_register_entity('reading', 'part_readings', ARRAY['no']);
SELECT * FROM bound WHERE slug = 'reading';
SELECT erp_register_entity('partition', 'part_readings_all', ARRAY['no']);
-- One that the extension made, once it is dropped
CREATE TABLE tariffs (id uuid PRIMARY KEY, code text UNIQUE);
SET client_min_messages = warning;
DROP TABLE tariff CASCADE;
RESET client_min_messages;
SELECT * FROM mended($$ SELECT erp_create_entity('tariff', ARRAY['code']) $$) \gx
SELECT * FROM mended($$ SELECT erp_register_entity('tariff', 'tariffs', ARRAY['code']) $$) \gx
SELECT erp_register_entity('contract', 'contracts');
SELECT erp_register_entity('tariff', 'tariffs', ARRAY['code']);
SELECT * FROM bound WHERE slug = 'tariff';
-- or once its binding is forgotten; while another type's relations lead to it, it cannot be.
SELECT erp_create_entity('product', ARRAY['sku']);
CREATE TABLE products (sku text PRIMARY KEY);
SELECT * FROM mended($$ SELECT erp_register_entity('product', 'products', ARRAY['sku']) $$) \gx
ALTER TABLE contracts ADD COLUMN product_id uuid REFERENCES product;
SELECT erp_register_entity('contract', 'contracts', relations => '{"product": {"column": "product_id", "entity_schema": "product"}}');
SELECT * FROM mended($$ SELECT erp_register_entity('product', 'products', ARRAY['sku']) $$) \gx

-- Names of any kind
CREATE SCHEMA "It's; ""odd""";
CREATE TABLE "It's; ""odd"""."the; ""table""" ("i'd" int PRIMARY KEY, "key; '1'" text, "at ""x""" timestamp, "to" int REFERENCES "It's; ""odd"""."the; ""table""", "ta""gs" jsonb);
SELECT state, message, hint, mended FROM mended($q$ SELECT erp_register_entity('a "slug"; it''s', '"It''s; ""odd"""."the; ""table"""', ARRAY['a ''key''']) $q$) \gx
SELECT * FROM mended($q$ SELECT erp_register_entity('a "slug"; it''s', '"It''s; ""odd"""."the; ""table"""', ARRAY['a ''key'''], columns => $${"a 'key'": "key; '1'"}$$,
    relations => $${"a \"link\"": {"column": "to", "entity_schema": "a \"slug\"; it's"}}$$, created_at_column => 'at "x"', attributes_column => 'ta"gs') $q$) \gx
CREATE UNIQUE INDEX ON "It's; ""odd"""."the; ""table""" ("key; '1'");
SELECT erp_register_entity('a "slug"; it''s', '"It''s; ""odd"""."the; ""table"""', ARRAY['a ''key'''], columns => $${"a 'key'": "key; '1'"}$$,
    relations => $${"a \"link\"": {"column": "to", "entity_schema": "a \"slug\"; it's"}}$$, created_at_column => 'at "x"', attributes_column => 'ta"gs');
SELECT * FROM bound WHERE slug LIKE 'a %' \gx
SELECT attribute, column_name, relation_schema FROM erp.entity_column WHERE slug LIKE 'a %' ORDER BY attribute;
SELECT hint AS registration FROM failure($q$ SELECT erp_create_entity('a "slug"; it''s', ARRAY['a ''key''']) $q$) \gset
CREATE TEMPORARY TABLE before AS SELECT slug, table_name, id_column, attributes_column, created_at_column FROM erp.entity_type WHERE slug LIKE 'a %';
:registration
SELECT slug, table_name, id_column, attributes_column, created_at_column FROM erp.entity_type WHERE slug LIKE 'a %' EXCEPT TABLE before;

-- Given up: the table and its rows stay. First the types whose relations lead to it.
INSERT INTO meters (meter_no) VALUES ('M-1');
SELECT * FROM mended($$ SELECT erp_unregister_entity('contract') $$) \gx
SELECT erp_unregister_entity('meter');
SELECT slug FROM erp.entity_type WHERE slug = 'meter';
SELECT count(*) AS keys FROM erp.entity_key WHERE slug = 'meter';
SELECT meter_no FROM meters;
SELECT * FROM failure($$ SELECT erp_unregister_entity('meter') $$) \gx
SELECT state, message FROM failure($$ SELECT erp_unregister_entity(NULL) $$);
SELECT state, message FROM failure($$ SELECT erp_unregister_entity('product') $$);
SELECT erp_register_entity('contract', 'contracts');
SELECT * FROM mended($$ SELECT erp_unregister_entity('product') $$) \gx
-- Itself it may lead to; and the table may be gone.
SELECT erp_unregister_entity('a "slug"; it''s');
DROP TABLE tariffs;
SELECT erp_unregister_entity('tariff');

SET client_min_messages = warning;
DROP SCHEMA "It's; ""odd""" CASCADE;
RESET client_min_messages;
CALL forget('crm');
