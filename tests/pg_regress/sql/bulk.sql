-- Many events: erp_import, and the trigger of a staging table.
CREATE SCHEMA bulk;
SET search_path = bulk, public;
SELECT count(*) > 0 AS is_prepared FROM erp_prepare(customer_mapping());
CREATE TABLE source AS SELECT n, jsonb_build_object('id', n, 'name', 'name ' || n, 'account', n % 10) AS payload FROM generate_series(1, 25) AS n;
CREATE VIEW progress AS
SELECT event_name, state, done, failed, estimated > 0 AS is_estimated, started_by = current_user AS is_own, finished_at IS NOT NULL AS is_finished
FROM erp.import_progress ORDER BY id;
-- The notices tell rates.
SET client_min_messages = warning;

-- Batch by batch; what was committed stays when an event fails, and the import goes on from there.
UPDATE source SET payload = '{"name": "no id"}' WHERE n = 17;
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM source ORDER BY n', 5);
TABLE progress;
SELECT count(*), max(customer_number::int) FROM contact;
UPDATE source SET payload = '{"id": 17}' WHERE n = 17;
SELECT id AS import FROM erp.import_progress \gset
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM source ORDER BY n', 5, resume => :import);
TABLE progress;
SELECT count(*), max(customer_number::int), (SELECT count(*) FROM account WHERE stub) AS accounts FROM contact;

-- Events that fail are set aside, by their position in what the query yields.
UPDATE source SET payload = '{"name": "no id"}' WHERE n IN (1, 7, 25);
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload::text FROM source ORDER BY n', 10, 'continue');
SELECT event, error ->> 'code' AS code FROM erp.import_error ORDER BY event;
TABLE progress;
-- Deleted with its import
DELETE FROM erp.import;
SELECT count(*) FROM erp.import_error;

-- Any query: of json, of text, with other columns behind, with a comment at its end; of nothing.
CALL erp_import(mapping => customer_mapping(), event_name => 'Changed', source_query => 'SELECT payload::json, n FROM source WHERE n = 2 -- one');
CALL erp_import(customer_mapping(), 'Changed', 'TABLE source LIMIT 0');
TABLE progress;

-- What cannot be
CALL erp_import(customer_mapping(), 'Changed', NULL);
CALL erp_import(customer_mapping(), 'Changed', 'SELECT 1', 0);
CALL erp_import(customer_mapping(), 'Changed', 'SELECT nothing FROM source');
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM source', resume => 0);
SELECT max(id) AS import FROM erp.import_progress \gset
\set VERBOSITY sqlstate
CALL erp_import(customer_mapping(), 'Changed', 'TABLE source LIMIT 0', resume => :import);
BEGIN;
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM source');
ROLLBACK;
\set VERBOSITY default
TABLE progress;

-- A role sees its own imports, unless it may monitor.
CREATE ROLE regress_importer;
GRANT USAGE ON SCHEMA bulk TO regress_importer;
GRANT SELECT ON progress TO regress_importer;
GRANT INSERT, UPDATE ON erp.import TO regress_importer;
SET ROLE regress_importer;
SELECT count(*) FROM erp.import_progress;
SELECT count(*) FROM erp.import;
INSERT INTO erp.import (event_name, source_query, batch_size, on_error, started_by) VALUES ('x', 'x', 1, 'raise', 'postgres');
RESET ROLE;
GRANT pg_monitor TO regress_importer;
SET ROLE regress_importer;
SELECT count(*) FROM erp.import_progress;
UPDATE erp.import SET done = 0;
RESET ROLE;
SELECT sum(done) AS done FROM erp.import;

-- A staging table: the events of a statement are applied together, in their order.
CREATE TABLE staging (id int GENERATED ALWAYS AS IDENTITY, "the payload" jsonb, note text);
SELECT format('CREATE TRIGGER apply AFTER INSERT ON staging REFERENCING NEW TABLE AS "new rows" FOR EACH STATEMENT
    EXECUTE FUNCTION erp_apply_trigger(%L, %L, %L)', customer_mapping(), 'Changed', 'the payload') AS command \gset
:command;
INSERT INTO staging ("the payload") VALUES ('{"id": 100, "name": "first"}'), ('{"id": 101}'), ('{"id": 100, "name": "last"}');
SELECT attributes FROM contact WHERE customer_number IN ('100', '101') ORDER BY customer_number;
INSERT INTO staging ("the payload") SELECT jsonb_build_object('id', 1000 + n) FROM generate_series(1, 20001) AS n;
SELECT count(*) FROM contact WHERE customer_number::int > 1000;
INSERT INTO staging SELECT WHERE false;
-- An event that fails fails the statement: nothing is staged, nothing is applied.
INSERT INTO staging ("the payload") VALUES ('{"id": 102}'), ('{"name": "no id"}');
SELECT count(*) FROM staging WHERE id > 20005;
SELECT count(*) FROM contact WHERE customer_number = '102';
-- Unless it is to be left out.
DROP TRIGGER apply ON staging;
SELECT replace(:'command', '''the payload'')', '''the payload'', ''continue'')') AS command \gset
:command;
INSERT INTO staging ("the payload") VALUES ('{"id": 103}'), ('{"name": "no id"}');
SELECT count(*) FROM contact WHERE customer_number IN ('102', '103');
-- Other kinds of trigger
DROP TRIGGER apply ON staging;
CREATE TRIGGER apply AFTER INSERT ON staging FOR EACH ROW EXECUTE FUNCTION erp_apply_trigger('{}', 'Changed', 'the payload');
INSERT INTO staging (note) VALUES ('x');
DROP TRIGGER apply ON staging;
CREATE TRIGGER apply AFTER INSERT ON staging REFERENCING NEW TABLE AS i FOR EACH STATEMENT EXECUTE FUNCTION erp_apply_trigger('{}');
INSERT INTO staging (note) VALUES ('x');
DROP TRIGGER apply ON staging;
CREATE TRIGGER apply AFTER UPDATE ON staging REFERENCING NEW TABLE AS i FOR EACH STATEMENT EXECUTE FUNCTION erp_apply_trigger('{}', 'Changed', 'the payload');
UPDATE staging SET note = 'x' WHERE id = 1;

DELETE FROM erp.import;
DROP OWNED BY regress_importer;
DROP ROLE regress_importer;
CALL forget('bulk');
