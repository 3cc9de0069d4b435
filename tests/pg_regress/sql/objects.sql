-- What the extension consists of, what it says about itself, and who may use it.

-- Functions: volatility and parallel safety as strong as they are true; with the owner's rights runs one trigger alone.
\pset format unaligned
SELECT p.pronamespace::regnamespace AS schema, p.proname AS name, pg_get_function_arguments(p.oid) AS arguments,
       CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
       CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel,
       p.proisstrict AS strict, p.prosecdef AS definer
FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid
WHERE d.deptype = 'e' AND d.classid = 'pg_proc'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'erp_toolkit')
ORDER BY p.pronamespace::regnamespace::text COLLATE "C", p.proname, pg_get_function_arguments(p.oid) COLLATE "C";

SELECT p.proname AS name, pg_get_function_result(p.oid) AS result
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace AND p.proname LIKE 'erp\_%'
ORDER BY p.proname, pg_get_function_arguments(p.oid) COLLATE "C";
\pset format aligned

-- Functions in PL/pgSQL pin their search_path.
SELECT p.oid::regprocedure AS function
FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
WHERE l.lanname = 'plpgsql' AND p.pronamespace = 'erp'::regnamespace
  AND NOT coalesce(p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false)
ORDER BY 1;

-- Tables
SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'erp'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum;

-- Each of them is described: what is listed here lacks a comment.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS without_comment
FROM (
    SELECT d.classid, d.objid, 0 AS objsubid FROM pg_depend AS d
    WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'erp_toolkit')
    UNION ALL
    SELECT 'pg_class'::regclass, a.attrelid, a.attnum FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'erp'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
) AS d
LEFT JOIN pg_description AS t ON t.classoid = d.classid AND t.objoid = d.objid AND t.objsubid = d.objsubid
WHERE t.description IS NULL AND d.classid <> 'pg_type'::regclass
ORDER BY 1;
SELECT description FROM pg_description WHERE objoid = (SELECT oid FROM pg_extension WHERE extname = 'erp_toolkit');

-- What is dumped of it
SELECT unnest(extconfig)::regclass AS dumped, unnest(extcondition) AS condition FROM pg_extension WHERE extname = 'erp_toolkit';

-- Rights. A role without any may call the functions and read the bindings, not change them.
CREATE ROLE regress_nobody;
SELECT n.nspname AS schema, has_schema_privilege('regress_nobody', n.oid, 'USAGE') AS usage, has_schema_privilege('regress_nobody', n.oid, 'CREATE') AS create
FROM pg_namespace AS n WHERE n.nspname = 'erp';
SELECT c.relname AS table,
       (SELECT string_agg(p, ', ' ORDER BY n)
        FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) WITH ORDINALITY AS u(p, n)
        WHERE has_table_privilege('regress_nobody', c.oid, p)) AS may
FROM pg_class AS c WHERE c.relnamespace = 'erp'::regnamespace AND c.relkind IN ('r', 'v') ORDER BY 1;
SELECT p.oid::regprocedure AS may_not_execute
FROM pg_proc AS p
WHERE (p.pronamespace = 'erp'::regnamespace OR p.pronamespace = 'public'::regnamespace AND p.proname LIKE 'erp\_%')
  AND NOT has_function_privilege('regress_nobody', p.oid, 'EXECUTE')
ORDER BY p.oid::regprocedure::text;

SET ROLE regress_nobody;
SELECT count(*) FROM erp_map(customer_mapping(), 'Changed', '{"id": 1}');
SELECT count(*) FROM erp_validate(customer_mapping());
SELECT erp_merge('{"a": 1}', '{"b": 2}');
SELECT count(*) FROM erp_prepare(customer_mapping(), dry_run => true);
SELECT * FROM failure('SELECT * FROM erp_prepare(customer_mapping())') \gx
SELECT * FROM failure($$ INSERT INTO erp.entity_type (slug, table_name) VALUES ('contact', 'pg_class') $$) \gx
SELECT * FROM failure('DELETE FROM erp.entity_key') \gx
SELECT * FROM failure('CREATE TABLE erp.mine ()') \gx
RESET ROLE;
DROP ROLE regress_nobody;

-- The table's owner may grant on what changing the bindings needs.
CREATE ROLE regress_operator;
GRANT INSERT, UPDATE, DELETE ON erp.entity_type, erp.entity_column, erp.entity_key TO regress_operator;
CREATE SCHEMA objects AUTHORIZATION regress_operator;
SET ROLE regress_operator;
SET search_path = objects, public;
SELECT count(*) > 0 AS prepared FROM erp_prepare(customer_mapping());
SELECT slug, table_name FROM erp.entity_type ORDER BY slug;
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "account": 2}');
RESET ROLE;
RESET search_path;
CALL forget('objects');
REVOKE INSERT, UPDATE, DELETE ON erp.entity_type, erp.entity_column, erp.entity_key FROM regress_operator;
DROP ROLE regress_operator;

-- Bindings that make no sense are refused.
SELECT state, message FROM failure($$ INSERT INTO erp.entity_type (slug, table_name) VALUES ('', 'pg_class') $$);
SELECT state, message FROM failure($$ INSERT INTO erp.entity_type (slug, table_name, on_missing) VALUES ('a', 'pg_class', 'ignore') $$);
SELECT state, message FROM failure($$ INSERT INTO erp.entity_type (slug, table_name) VALUES ('a', 'pg_class'), ('b', 'pg_class') $$);
SELECT state, message FROM failure($$ INSERT INTO erp.entity_key (slug, attributes, columns, is_unique) VALUES ('a', '{x}', '{x}', true) $$);

-- Settings, with their units and ranges. A name that is not one is refused.
SELECT name, boot_val AS setting, unit, context, min_val, max_val, short_desc FROM pg_settings WHERE name LIKE 'erp\_toolkit.%' ORDER BY name;
SET erp_toolkit.expression_timeout = '1min';
SHOW erp_toolkit.expression_timeout;
RESET erp_toolkit.expression_timeout;
SELECT statement, state
FROM unnest(ARRAY['erp_toolkit.expression_timeout = 0', 'erp_toolkit.expression_max_array_length = ''1e9''', 'erp_toolkit.expression_max_steps = ''many''']) WITH ORDINALITY AS s(statement, n),
     failure('SET ' || statement)
ORDER BY n;
SET erp_toolkit.expresion_timeout = '1s';
