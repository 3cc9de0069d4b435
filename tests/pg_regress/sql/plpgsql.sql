-- plpgsql_check reads every function in PL/pgSQL, statement by statement. What it lists are the statements that are made
-- of texts, which it cannot judge: they are made of quoted names and values, but for the query that erp_import is given.
SET client_min_messages = warning;
CREATE EXTENSION plpgsql_check;
CREATE TABLE plpgsql_staging (payload jsonb);
-- What is called of pg_cron, which is not in this database
CREATE SCHEMA cron;
CREATE TABLE cron.job (jobid bigint, schedule text, command text, database text, username text, active boolean, jobname text);
CREATE TABLE cron.job_run_details (jobid bigint, runid bigint, database text, command text, status text, return_message text, start_time timestamptz, end_time timestamptz);
CREATE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint LANGUAGE sql RETURN 1;
CREATE FUNCTION cron.unschedule(job_id bigint) RETURNS boolean LANGUAGE sql RETURN true;
CREATE VIEW checked AS
SELECT p.oid, c.statement, c.sqlstate, c.message, c.level
-- OFFSET 0: other functions are left out first, whatever the plan.
FROM (SELECT p.oid, p.proname FROM pg_depend AS d
      JOIN pg_proc AS p ON p.oid = d.objid
      JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
      WHERE d.deptype = 'e' AND d.classid = 'pg_proc'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'erp_toolkit')
      OFFSET 0) AS p
CROSS JOIN LATERAL plpgsql_check_function_tb(
    p.oid, fatal_errors => false, extra_warnings => true, security_warnings => true,
    relid => CASE p.proname WHEN '_tell_binding_changed' THEN 'erp.entity_type'::regclass WHEN 'erp_apply_trigger' THEN 'plpgsql_staging' WHEN '_staging_trigger' THEN 'plpgsql_staging' ELSE 0 END,
    newtable => CASE WHEN p.proname IN ('erp_apply_trigger', '_staging_trigger') THEN 'inserted' END) AS c;
SELECT oid::regprocedure AS function, statement, sqlstate, message, level FROM checked
ORDER BY oid::regprocedure::text COLLATE "C", statement, message;
-- All of them were read: one that is wrong would be told.
CREATE FUNCTION wrong() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN nothing; END $$;
ALTER EXTENSION erp_toolkit ADD FUNCTION wrong();
SELECT oid::regprocedure AS function, statement, sqlstate, message FROM checked WHERE level = 'error';
ALTER EXTENSION erp_toolkit DROP FUNCTION wrong();
DROP FUNCTION wrong;

-- Those that forbid scans forbid the compiling of plans too: the price of a scan that there must be makes it seem worth it.
SELECT p.oid::regprocedure AS compiles FROM pg_proc AS p
WHERE p.pronamespace = 'erp'::regnamespace AND p.proconfig @> '{enable_seqscan=off}' AND NOT p.proconfig @> '{jit=off}'
ORDER BY 1;
DROP VIEW checked;
DROP TABLE plpgsql_staging;
DROP SCHEMA cron CASCADE;
DROP EXTENSION plpgsql_check;
