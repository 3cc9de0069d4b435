-- The three roles of docs/security.md: what each may do, and what it may not.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_author;
CREATE ROLE regress_runner;
CREATE ROLE regress_viewer;
CREATE ROLE regress_nobody;
CREATE SCHEMA roles;
GRANT USAGE ON SCHEMA roles TO regress_nobody;
CREATE FUNCTION may(statement text) RETURNS text LANGUAGE sql RETURN (SELECT concat_ws(': ', state, message) FROM failure(statement));

-- As in docs/security.md
GRANT USAGE, CREATE ON SCHEMA roles TO regress_author;
GRANT INSERT, UPDATE, DELETE ON erp.entity_type, erp.entity_column, erp.entity_key TO regress_author;
GRANT USAGE ON SCHEMA roles TO regress_runner, regress_viewer;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_author IN SCHEMA roles GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO regress_runner;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_author IN SCHEMA roles GRANT SELECT ON TABLES TO regress_viewer;
GRANT INSERT, UPDATE, DELETE ON erp.import, erp.import_error TO regress_runner;

CREATE TABLE roles.orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no text UNIQUE);
CREATE TABLE roles.salaries (id int PRIMARY KEY, no text UNIQUE);
GRANT SELECT, INSERT, UPDATE ON roles.orders TO regress_author;
CREATE TABLE roles.source AS SELECT '{"id": 5}'::jsonb AS payload;
GRANT SELECT ON roles.source TO regress_runner, regress_author, regress_nobody;
\set purge '{"entities": [{"entity_schema": "contact", "mode": "purge", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "field": "id"}]}]}'
\set invoice '{"entities": [{"entity_schema": "invoice", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "id"}]}]}'
SET search_path = roles, public;

-- The author validates, prepares, registers.
SET ROLE regress_author;
SELECT count(*) FROM erp_validate(customer_mapping());
SELECT count(*) FROM erp_prepare(customer_mapping(), dry_run => true);
SELECT count(*) FROM erp_prepare(customer_mapping());
SELECT erp_create_entity('meter', ARRAY['number']);
SELECT erp_register_entity('order', 'orders', ARRAY['no']);
SELECT erp_unregister_entity('order');
-- It gets no rights on tables by that, nor on schemas, nor may it import.
SELECT * FROM failure($$ SELECT erp_register_entity('salary', 'salaries', ARRAY['no']) $$) \gx
INSERT INTO erp.entity_type (slug, table_name, is_managed, attributes_column, stub_column, created_at_column, updated_at_column, deleted_at_column)
    VALUES ('salary', 'salaries', false, NULL, NULL, NULL, NULL, NULL);
SELECT may($$ SELECT erp_find('salary') $$), may($$ SELECT erp_find('order') $$);
SELECT may($$ SELECT * FROM erp_apply('{"entities": [{"entity_schema": "salary", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "id"}]}]}', 'x', '{"id": 1}') $$);
DELETE FROM erp.entity_type WHERE slug = 'salary';
SELECT may($$ TRUNCATE erp.entity_type CASCADE $$), may($$ ALTER TABLE erp.entity_type ADD COLUMN x int $$), may($$ CREATE TABLE erp.x () $$);
SELECT may($$ SELECT erp._binding_changed() $$);
CREATE TABLE own (id int);
SELECT may($$ CREATE TRIGGER t AFTER INSERT ON own EXECUTE FUNCTION erp._tell_binding_changed() $$);
SET search_path = public;
SELECT may($$ SELECT erp_create_entity('elsewhere', ARRAY['number']) $$);
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM roles.source');
RESET ROLE;
SET search_path = roles, public;
SELECT count(*) AS imports FROM erp.import;

-- The runner applies, reads, purges, imports.
SET ROLE regress_runner;
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "A", "account": "X"}');
SELECT event, entity_slug, action FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": 2}', '{"id": 3}']::jsonb[]);
SELECT entity_slug, action FROM erp_apply(:'purge', 'Purged', '{"id": 3}');
SELECT action FROM erp_simulate(customer_mapping(), 'Changed', '{"id": 1}');
SELECT count(*) FROM erp_find('contact');
SELECT erp_purge_deleted();
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM roles.source');
SELECT state, done FROM erp.import_progress;
-- It makes no tables and binds none, and has none but those granted.
SELECT may(format('SELECT * FROM erp_prepare(%L)', :'invoice')), may($$ SELECT erp_create_entity('invoice', ARRAY['number']) $$);
SELECT may($$ SELECT erp_register_entity('order', 'orders', ARRAY['no']) $$), may($$ SELECT erp_unregister_entity('meter') $$);
SELECT may($$ UPDATE erp.entity_type SET on_missing = 'skip' $$), may($$ DELETE FROM erp.entity_key $$), may($$ INSERT INTO erp.entity_column VALUES ('contact', 'a', 'b', NULL) $$);
SELECT may($$ SELECT erp._binding_changed() $$), may($$ SELECT erp._create_entity('invoice', '{number}', true, 'roles') $$), may($$ SELECT erp._bind_table('contact', 'source', 'id', '{}', 'create') $$);
SELECT may($$ ALTER TABLE contact ADD COLUMN x int $$), may($$ TRUNCATE contact $$), may($$ CREATE TRIGGER t AFTER INSERT ON contact EXECUTE FUNCTION erp_apply_trigger() $$);
RESET ROLE;

-- The viewer finds, reads, and asks what would be.
SET ROLE regress_viewer;
SELECT attributes ->> 'name' AS name FROM erp_find('contact', '{"customer_number": 1}');
SELECT entity_slug, action FROM erp_simulate(customer_mapping(), 'Changed', '{"id": 1, "name": "B", "account": "Y"}');
SELECT attributes ->> 'name' AS name FROM erp_map(customer_mapping(), 'Changed', '{"id": 1, "name": "B"}');
SELECT count(*) FROM erp_validate(customer_mapping());
SELECT count(*) > 0 AS is_explained FROM erp_explain(customer_mapping());
SELECT may($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "B"}') $$), may($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 9}') $$);
SELECT may(format('SELECT * FROM erp_apply(%L, %L, %L)', :'purge', 'x', '{"id": 1}'));
SELECT event, action, error ->> 'sqlstate' AS state FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": 1, "name": "B"}']::jsonb[], 'continue');
SELECT may($$ SELECT erp_purge_deleted('-1 day') $$);
SELECT may(format('SELECT * FROM erp_prepare(%L)', :'invoice'));
CALL erp_import(customer_mapping(), 'Changed', 'SELECT 1');
SELECT count(*) FROM erp.import;
RESET ROLE;

-- Without any grant: what is pure, and the bindings. No table is read.
SET ROLE regress_nobody;
SELECT unique_identifiers FROM erp_map(customer_mapping(), 'Changed', '{"id": 1}');
SELECT slug FROM erp.entity_type ORDER BY slug;
SELECT may($$ SELECT erp_find('contact') $$), may($$ SELECT * FROM erp_simulate(customer_mapping(), 'Changed', '{"id": 1}') $$);
SELECT may($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1}') $$), may($$ SELECT erp_purge_deleted() $$);
SELECT may($$ INSERT INTO erp.import (event_name, source_query, batch_size, on_error) VALUES ('x', 'x', 1, 'raise') $$);
RESET ROLE;

-- The grants are in a dump, and those of the installation are there again, in whatever order.
SELECT current_database() AS here \gset
CREATE DATABASE regress_granted TEMPLATE template0;
\setenv DUMPED :here
\! pg_dump --no-password "$DUMPED" | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --output /dev/null regress_granted
SELECT string_agg(format('%s %s', c.oid::regclass, ARRAY(SELECT a::text FROM unnest(coalesce(c.relacl, acldefault('r', c.relowner))) AS a ORDER BY a::text)), E'\n' ORDER BY c.relname) AS acl FROM pg_class AS c WHERE c.relnamespace IN ('erp'::regnamespace, 'roles'::regnamespace) AND c.relkind IN ('r', 'v') \gset
SELECT string_agg(format('%s %s', p.oid::regprocedure, p.proacl), E'\n' ORDER BY p.oid::regprocedure::text) AS proacl FROM pg_proc AS p WHERE p.pronamespace = 'erp'::regnamespace \gset
\c regress_granted
SET search_path = roles, public;
SELECT string_agg(format('%s %s', c.oid::regclass, ARRAY(SELECT a::text FROM unnest(coalesce(c.relacl, acldefault('r', c.relowner))) AS a ORDER BY a::text)), E'\n' ORDER BY c.relname) = :'acl' AS same FROM pg_class AS c WHERE c.relnamespace IN ('erp'::regnamespace, 'roles'::regnamespace) AND c.relkind IN ('r', 'v');
SELECT string_agg(format('%s %s', p.oid::regprocedure, p.proacl), E'\n' ORDER BY p.oid::regprocedure::text) = :'proacl' AS same FROM pg_proc AS p WHERE p.pronamespace = 'erp'::regnamespace;
SET ROLE regress_runner;
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "C"}');
SELECT may($$ DELETE FROM erp.entity_key $$);
\c :here
DROP DATABASE regress_granted;

DELETE FROM erp.import;
CALL forget('roles');
DROP FUNCTION may;
DROP OWNED BY regress_author, regress_runner, regress_viewer, regress_nobody;
DROP ROLE regress_author, regress_runner, regress_viewer, regress_nobody;
