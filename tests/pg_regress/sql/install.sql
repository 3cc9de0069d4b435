-- Installing: by whom, where, and what dropping leaves.
-- It stays where it was created, once.
ALTER EXTENSION erp_toolkit SET SCHEMA pg_catalog;
CREATE EXTENSION erp_toolkit;

-- A role that may create in the database, and is no superuser, installs it into a schema of its choice.
CREATE ROLE regress_installer;
CREATE ROLE regress_other;
BEGIN;
DROP EXTENSION erp_toolkit;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_installer', current_database()); END $$;
SET LOCAL ROLE regress_installer;
CREATE SCHEMA tools;
CREATE EXTENSION erp_toolkit SCHEMA tools;
SELECT extowner::regrole AS owner, extnamespace::regnamespace AS schema FROM pg_extension WHERE extname = 'erp_toolkit';

-- Its functions are in that schema, its tables in erp. They are the superuser's, so the installing role
-- is granted what it needs, to grant it on.
SELECT DISTINCT proname AS function FROM pg_proc WHERE pronamespace = 'tools'::regnamespace ORDER BY 1;
SELECT c.relname AS table, c.relowner = 10 AS is_the_superusers,
       (SELECT string_agg(p, ', ' ORDER BY n)
        FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) WITH ORDINALITY AS u(p, n)
        WHERE has_table_privilege(c.oid, p)) AS may,
       (SELECT string_agg(p, ', ' ORDER BY n)
        FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) WITH ORDINALITY AS u(p, n)
        WHERE has_table_privilege(c.oid, p || ' WITH GRANT OPTION')) AS may_grant
FROM pg_class AS c WHERE c.relnamespace = 'erp'::regnamespace AND c.relkind = 'r' ORDER BY 1;
-- It gives others what they need, and what is dumped it may read, and write at a restore.
SAVEPOINT granted;
SELECT privileges, count(*) > 0 AS granted
FROM unnest('{sender,runner,auditor,operator,author}'::text[]) WITH ORDINALITY AS p(privileges, n), tools.erp_grant(privileges, 'regress_other') GROUP BY n, privileges ORDER BY n;
ROLLBACK TO granted;
SELECT c.relname AS not_to_be_dumped
FROM pg_extension AS e CROSS JOIN LATERAL unnest(e.extconfig) AS dumped JOIN pg_class AS c ON c.oid = dumped
WHERE e.extname = 'erp_toolkit'
      AND NOT CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') AND has_sequence_privilege(c.oid, 'UPDATE') ELSE has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') END;
CREATE SCHEMA install;
SET LOCAL search_path = install;
SELECT count(*) > 0 AS prepared FROM tools.erp_prepare(public.customer_mapping());
SELECT entity_slug, action FROM tools.erp_apply(public.customer_mapping(), 'Changed', '{"id": 1, "account": 2}');
GRANT INSERT ON erp.entity_type TO regress_other;
SELECT * FROM public.failure('TRUNCATE erp.entity_type CASCADE') \gx
-- Its private functions are no way around grants.
SET LOCAL ROLE regress_other;
SELECT * FROM public.failure($$ SELECT erp._create_entity('meter', '{number}', true, 'install') $$) \gx
SELECT * FROM public.failure($$ SELECT erp._create_entity('meter', '{number}', true, 'pg_temp') $$) \gx

-- Dropped, it leaves no schema, and the entity tables as they are: they are the user's.
SET LOCAL ROLE regress_installer;
DROP EXTENSION erp_toolkit;
SELECT to_regnamespace('erp') AS erp;
SELECT customer_number, stub FROM contact;
SELECT number, stub FROM account;
UPDATE contact SET attributes = attributes || '{"customer_number": "2"}' RETURNING customer_number;
ROLLBACK;
DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM regress_installer', current_database()); END $$;
DROP ROLE regress_installer, regress_other;

-- A schema erp that is there already is not taken over.
BEGIN;
DROP EXTENSION erp_toolkit;
CREATE SCHEMA erp;
CREATE EXTENSION erp_toolkit;
ROLLBACK;

-- Functions and operators of the schema it is installed in stand for none of PostgreSQL's: what
-- the script makes belongs to a superuser.
BEGIN;
DROP EXTENSION erp_toolkit;
CREATE SCHEMA planted;
CREATE FUNCTION planted.cardinality(text[]) RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION planted.differs(text[], text[]) RETURNS boolean LANGUAGE sql RETURN true;
CREATE FUNCTION planted.same(int, int) RETURNS boolean LANGUAGE sql RETURN true;
CREATE FUNCTION planted.now() RETURNS timestamptz LANGUAGE sql RETURN 'epoch'::timestamptz;
CREATE OPERATOR planted.<> (LEFTARG = text[], RIGHTARG = text[], FUNCTION = planted.differs);
CREATE OPERATOR planted.= (LEFTARG = int, RIGHTARG = int, FUNCTION = planted.same);
CREATE EXTENSION erp_toolkit SCHEMA planted;
SELECT pg_describe_object(classid, objid, objsubid) AS uses, pg_describe_object(refclassid, refobjid, refobjsubid) AS planted
FROM pg_depend
WHERE (refclassid, refobjid) IN (
    SELECT 'pg_proc'::regclass::oid, p.oid FROM pg_proc AS p
    WHERE p.pronamespace = 'planted'::regnamespace AND p.proname IN ('cardinality', 'differs', 'same', 'now')
    UNION ALL
    SELECT 'pg_operator'::regclass::oid, o.oid FROM pg_operator AS o WHERE o.oprnamespace = 'planted'::regnamespace
) AND classid <> 'pg_operator'::regclass;
SELECT pronamespace::regnamespace FROM pg_proc WHERE proname = 'erp_apply' GROUP BY 1;
ROLLBACK;

-- A database that is not in UTF8 is refused.
SELECT current_database() AS here \gset
CREATE DATABASE regress_latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0;
\c regress_latin1
CREATE EXTENSION erp_toolkit;
\c :here
DROP DATABASE regress_latin1;
