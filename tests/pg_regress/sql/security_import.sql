-- An import is its role's: nobody else sees it, resumes it, or has its query run.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_a;
CREATE ROLE regress_b;
CREATE ROLE regress_member IN ROLE regress_a;
CREATE SCHEMA import;
GRANT USAGE ON SCHEMA import TO regress_a, regress_b, regress_member;
GRANT INSERT, UPDATE, DELETE ON erp.import, erp.import_error TO regress_a, regress_b, regress_member;
SET search_path = import, public;
SELECT count(*) > 0 AS is_prepared FROM erp_prepare(customer_mapping());
GRANT SELECT, INSERT, UPDATE ON contact, account TO regress_a, regress_b, regress_member;
CREATE TABLE secret AS SELECT n, jsonb_build_object('id', n) AS payload FROM generate_series(1, 5) AS n;
UPDATE secret SET payload = '{}' WHERE n = 4;
GRANT SELECT ON secret TO regress_a;

SET ROLE regress_a;
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM secret ORDER BY n', 2);
SELECT done, state FROM erp.import_progress;
RESET ROLE;
SELECT id AS import FROM erp.import \gset

-- Another role: it cannot see it, so that it cannot even tell whether there is one.
SET ROLE regress_b;
SELECT count(*) FROM erp.import;
SELECT count(*) FROM erp.import_progress;
\set VERBOSITY sqlstate
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM secret ORDER BY n', resume => :import);
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM secret ORDER BY n', resume => :import + 1000);
\set VERBOSITY default
SELECT state FROM failure(format('SELECT erp._resume_import(%s, %L, %L)', :import, 'Changed', 'SELECT payload FROM secret ORDER BY n'));
SELECT erp._finish_import(:import);
SELECT erp._import_batch(:import, customer_mapping(), 'Changed', ARRAY['{"id": 100}']::jsonb[], 'raise');
UPDATE erp.import SET source_query = 'SELECT 1', done = 99;
DELETE FROM erp.import;
SELECT state, message FROM failure(format('INSERT INTO erp.import_error VALUES (%s, 1, %L)', :import, '{}'));
SELECT state, message FROM failure($$ INSERT INTO erp.import (event_name, source_query, batch_size, on_error, started_by) VALUES ('x', 'x', 1, 'raise', 'regress_a') $$);
-- The query runs with the rights of who calls, also when it is named in the own import.
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM secret');
INSERT INTO erp.import (event_name, source_query, batch_size, on_error) VALUES ('Changed', 'SELECT payload FROM secret', 1, 'raise') RETURNING id AS own \gset
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM secret', resume => :own);
SELECT state, message FROM failure($$ UPDATE erp.import SET started_by = 'regress_a' $$);
RESET ROLE;
-- A member of the role is another role, until it is SET.
SET ROLE regress_member;
SELECT count(*) FROM erp.import;
\set VERBOSITY sqlstate
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM secret ORDER BY n', resume => :import);
\set VERBOSITY default
RESET ROLE;

-- Nothing of it has changed, and its role resumes it. The query that it runs is the one that is given, not the one that
-- is kept.
SELECT done, source_query, started_by FROM erp.import WHERE id = :import;
UPDATE secret SET payload = '{"id": 4}' WHERE n = 4;
CREATE FUNCTION canary() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the query that was kept runs as %', current_user; END $$;
UPDATE erp.import SET source_query = 'SELECT import.canary()' WHERE id = :import;
SET ROLE regress_a;
\set VERBOSITY sqlstate
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM secret ORDER BY n', resume => :import);
\set VERBOSITY default
RESET ROLE;
UPDATE erp.import SET source_query = 'SELECT payload FROM secret ORDER BY n' WHERE id = :import;
SET ROLE regress_a;
\set VERBOSITY sqlstate
CALL erp_import(customer_mapping(), 'Changed', 'SELECT payload FROM secret ORDER BY n', resume => :import);
\set VERBOSITY default
SELECT done, state FROM erp.import_progress;
RESET ROLE;
SELECT customer_number FROM contact ORDER BY customer_number;

-- What is set aside is seen by whoever imported it.
SET ROLE regress_a;
CALL erp_import(customer_mapping(), 'Changed', $$ SELECT '{"name": "no id"}' $$, on_error => 'continue');
SELECT count(*) FROM erp.import_error;
SET ROLE regress_b;
SELECT count(*) FROM erp.import_error;
DELETE FROM erp.import_error;
RESET ROLE;
SELECT count(*) FROM erp.import_error;

DELETE FROM erp.import;
DROP OWNED BY regress_a, regress_b, regress_member;
CALL forget('import');
DROP ROLE regress_a, regress_b, regress_member;
