-- What others planted where a role looks for names is never run with that role's rights: for every operator,
-- function and type of pg_catalog there is one of the same name that refuses, and some that fit better.
\set SHOW_CONTEXT never
SELECT current_database() AS here \gset
CREATE DATABASE regress_planted TEMPLATE template0;
\c regress_planted
SET client_min_messages = warning;
CREATE EXTENSION erp_toolkit;
CREATE SCHEMA planted;
CREATE SCHEMA security;
SET search_path = security, public;

CREATE FUNCTION planted_refuse() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'what was planted is called'; END $$;
CREATE FUNCTION plant(name text, arguments text, result text, is_set boolean DEFAULT false) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE FUNCTION planted.%I(%s) RETURNS %s %s LANGUAGE plpgsql AS %L', name, arguments,
                   CASE WHEN is_set THEN 'SETOF' END, result, 'BEGIN PERFORM security.planted_refuse(); END');
    RETURN true;
EXCEPTION WHEN OTHERS THEN
    -- What PL/pgSQL cannot declare, a user could not plant either.
    RETURN false;
END
$$;
CREATE FUNCTION plant_operator(name text, l text, r text, result text, n bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT plant('operator ' || n, concat_ws(', ', l, r), result) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE OPERATOR planted.%s (FUNCTION = planted.%I %s %s)', name, 'operator ' || n, ', LEFTARG = ' || l, ', RIGHTARG = ' || r);
    RETURN true;
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END
$$;
CREATE FUNCTION plant_all() RETURNS TABLE (what text, are_many boolean) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'functions', count(*) FILTER (WHERE plant(p.proname, pg_get_function_identity_arguments(p.oid), format_type(p.prorettype, NULL), p.proretset)) > 2000
        FROM pg_proc AS p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f';
    RETURN QUERY SELECT 'operators', count(*) FILTER (WHERE plant_operator(o.oprname, CASE WHEN o.oprleft <> 0 THEN format_type(o.oprleft, NULL) END,
                                                                            format_type(o.oprright, NULL), format_type(o.oprresult, NULL), o.oid::bigint)) > 700
        FROM pg_operator AS o WHERE o.oprnamespace = 'pg_catalog'::regnamespace;
    -- Those that fit better than PostgreSQL's own, which have to convert what they are given
    RETURN QUERY SELECT 'better operators', count(*) FILTER (WHERE plant_operator(o, l, r, CASE WHEN o IN ('||', '+', '-', '*', '/', '->', '->>', '#>', '#>>') THEN l ELSE 'boolean' END,
                                                                                   (row_number + 1000000)::bigint)) > 1000
        FROM (SELECT o, l, r, row_number() OVER ()
              FROM unnest('{=,<>,<,>,<=,>=,||,+,-,*,/,->,->>,#>,#>>,@>,<@,?,~~}'::text[]) AS o,
                   unnest('{text,name,"char",oid,regclass,int2,int4,int8,numeric,boolean,jsonb,json,text[],jsonb[],int2[],uuid}'::text[]) AS l,
                   unnest('{text,name,"char",oid,regclass,int2,int4,int8,numeric,boolean,jsonb,json,text[],jsonb[],int2[],uuid}'::text[]) AS r) AS better;
    RETURN QUERY SELECT 'better functions', count(*) FILTER (WHERE plant(f[1], f[2], f[3])) = 20
        FROM (SELECT string_to_array(line, '; ') AS f FROM unnest(ARRAY[
            'format; text, text; text', 'format; text, text, text; text', 'format; text, bigint, bigint; text', 'format; text, bigint, bigint, numeric; text', 'format; text, name, name; text',
            'concat; text, text; text', 'concat; text, text, text; text', 'concat; text, text, text, bigint; text',
            'jsonb_build_object; text, jsonb; jsonb', 'jsonb_build_array; text; jsonb', 'jsonb_build_array; uuid; jsonb', 'jsonb_build_array; jsonb; jsonb', 'to_jsonb; text; jsonb', 'to_jsonb; text[]; jsonb',
            'cardinality; text[]; integer', 'cardinality; jsonb[]; integer', 'array_append; jsonb[], jsonb; jsonb[]',
            'jsonb_path_query_array; jsonb, text; jsonb', 'json_extract_path_text; json, text, text, text; text', 'array_remove; text[], text; text[]']) AS line) AS better;
    RETURN QUERY SELECT 'types', count(*) FILTER (WHERE plant_type(t.typname, 'planted')) > 50
        FROM pg_type AS t WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND t.typcategory <> 'A';
END
$$;
CREATE FUNCTION plant_type(name text, in_schema text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE DOMAIN %I.%I AS pg_catalog.text CHECK (security.planted_refuse() IS NOT NULL)', in_schema, name);
    RETURN true;
END
$$;
SELECT * FROM plant_all();
-- They refuse.
SET search_path = planted, pg_catalog;
SELECT 1 = 1;
SELECT 'x'::text;
SET search_path = security, public;

-- Tables: managed, and a registered one of each way to get ids
CREATE TABLE planted.entity_type (slug pg_catalog.text);
SELECT erp_create_entity('account', ARRAY['number']);
CREATE TABLE planted.account (LIKE account);
CREATE SEQUENCE numbers;
CREATE TABLE meters (id text PRIMARY KEY DEFAULT 'M-' || nextval('security.numbers'), no numeric(6, 2) UNIQUE, on_day date, read interval hour to minute,
                     codes text[], sites jsonb, of_account uuid REFERENCES account, data jsonb, at timestamptz, deleted_at timestamptz);
CREATE TABLE sites (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text UNIQUE);
SELECT erp_register_entity('meter', 'meters', '{no}', columns => '{"day": "on_day"}', attributes_column => 'data', updated_at_column => 'at', deleted_at_column => 'deleted_at',
                           relations => '{"of": {"column": "of_account", "entity_schema": "account"}}');
SELECT erp_register_entity('site', 'sites', '{code}');
CREATE TABLE gone (id uuid PRIMARY KEY, no text UNIQUE);
SELECT erp_register_entity('gone', 'gone', '{no}');
SELECT jsonb_build_object('entities', jsonb_build_array(
    '{"entity_schema": "account", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "account"}, {"attribute": "name", "field": "name"}]}'::jsonb,
    '{"entity_schema": "site", "unique_ids": ["code"], "fields": [{"attribute": "code", "field": "site"}]}'::jsonb,
    '{"entity_schema": "meter", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}, {"attribute": "day", "field": "day"}, {"attribute": "read", "field": "read"},
        {"attribute": "codes", "field": "codes"}, {"attribute": "more", "field": "more"},
        {"attribute": "of", "relations": {"items": [{"entity_schema": "account", "unique_ids": [{"attribute": "number", "field": "account"}]}]}},
        {"attribute": "at", "relations": {"items": [{"entity_schema": "site", "unique_ids": [{"attribute": "code", "field": "site"}]}]}},
        {"attribute": "sites", "relations": {"items": [{"entity_schema": "site", "unique_ids": [{"attribute": "code", "field": "site"}]}]}}]}'::jsonb)) AS mapping,
  '{"entities": [{"entity_schema": "meter", "mode": "delete", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}]}]}' AS delete,
  '{"entities": [{"entity_schema": "site", "mode": "purge", "unique_ids": ["code"], "fields": [{"attribute": "code", "field": "site"}]}]}' AS purge,
  '{"entities": [{"entity_schema": "meter", "mode": "upsert-prune-scope-delete", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}],
     "scope": {"scope_mode": "relations", "schema": "site", "unique_ids": [{"attribute": "code", "field": "site"}]}}]}' AS prune,
  '{"account": "A-1", "site": "S-1", "no": 7, "day": "2024-05-01", "read": "01:02", "codes": ["a", "b"], "more": {"x": 1}}' AS event
\gset

CREATE TABLE staging (payload jsonb);
SELECT format('CREATE TRIGGER apply AFTER INSERT ON staging REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION erp_apply_trigger(%L, %L, %L)',
              :'mapping', 'x', 'payload') AS command \gset
:command;

-- Searched first, all of it. A new session, whose plans are made under that search_path
\c -
SET client_min_messages = warning;
SET search_path = planted, pg_catalog, security, public;
SELECT entity_slug, action FROM public.erp_apply(:'mapping', 'x', :'event');
SELECT entity_slug, action FROM public.erp_apply(:'mapping', 'x', :'event');
SELECT entity_slug, action FROM public.erp_apply(:'mapping', 'x', '{"account": "A-2", "name": "N", "site": "S-1", "no": 8.00}');
SELECT event, entity_slug, action, error FROM public.erp_apply_batch(:'mapping', 'x', ARRAY['{"account": "A-2", "site": "S-2", "no": 9}', '{"no": "x"}', :'event']::pg_catalog.jsonb[], 'continue');
SELECT entity_slug, action, after OPERATOR(pg_catalog.->>) 'name' AS name FROM public.erp_simulate(:'mapping', 'x', '{"account": "A-1", "name": "M", "site": "S-1", "no": 7}');
SELECT entity_slug, mode, unique_identifiers FROM public.erp_map(:'mapping', 'x', :'event');
SELECT severity, code FROM public.erp_validate(:'mapping');
SELECT role FROM public.erp_explain(:'purge');
SELECT public.erp_merge('{"a": ["x"]}', '{"a": {"_append": ["x"]}}');
SELECT deleted_at FROM public.erp_find('meter', '{"no": 7, "more": 1}');
SELECT deleted_at FROM public.erp_find('meter', '{"no": 7.0}');
SELECT deleted_at FROM public.erp_find('account', '{"number": "A-1"}');
SELECT entity_slug, action FROM public.erp_apply(:'prune', 'x', '{"site": "S-1", "no": 8}');
SELECT entity_slug, action FROM public.erp_apply(:'delete', 'x', '{"no": 9}');
SELECT entity_slug, action FROM public.erp_apply(:'purge', 'x', '{"site": "S-1"}');
SELECT public.erp_purge_deleted('-1 days');
INSERT INTO security.staging VALUES ('{"account": "A-3", "site": "S-3", "no": 10}');
CREATE SCHEMA security2;
SET search_path = planted, pg_catalog, security2;
CALL public.erp_import(:'mapping', 'x', 'SELECT payload FROM security.staging');
CALL public.erp_import(:'mapping', 'x', 'SELECT payload FROM security.staging', resume => 0);
SELECT state FROM erp.import_progress;
SET search_path = security2, planted, pg_catalog;
SELECT public.erp_create_entity('invoice', ARRAY['number'], false);
SELECT public.erp_create_entity('invoice', ARRAY['number']);
SELECT statement FROM public.erp_prepare('{"entities": [{"entity_schema": "receipt", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "id"}]}]}');
SELECT public.erp_register_entity('meter', 'security.meters', '{no}', columns => '{"day": "on_day"}', attributes_column => 'data', updated_at_column => 'at', deleted_at_column => 'deleted_at',
    relations => '{"of": {"column": "of_account", "entity_schema": "account"}}');
SELECT public.erp_create_entity('meter', ARRAY['number']);
SELECT public.erp_unregister_entity('gone');
SET search_path = security, public;
SELECT id, no, on_day, sites, data, deleted_at FROM meters ORDER BY no;
SELECT number FROM account ORDER BY number;
SELECT count(*) AS in_the_planted_table FROM planted.account;

-- pg_temp is searched first for types and tables unless it is named: whoever calls a function with its owner's rights
-- chooses what is in there.
CREATE ROLE regress_attacker;
CREATE FUNCTION stage(payload jsonb) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = security, public
    AS $$ INSERT INTO security.staging VALUES (payload) $$;
CREATE FUNCTION attack() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'it runs as %', current_user; END $$;
GRANT USAGE ON SCHEMA security TO regress_attacker;
\c -
SET client_min_messages = warning;
SET ROLE regress_attacker;
CREATE TABLE pg_temp.entity_type (slug text);
CREATE TABLE pg_temp.inserted (payload text);
CREATE TABLE pg_temp.pg_trigger (tgrelid oid);
DO $$
DECLARE
    type record;
BEGIN
    FOR type IN SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b' AND typcategory <> 'A' LOOP
        EXECUTE format('CREATE DOMAIN pg_temp.%I AS pg_catalog.text CHECK (security.attack())', type.typname);
    END LOOP;
END
$$;
SELECT security.stage('{"account": "A-4", "site": "S-4", "no": 11}');
RESET ROLE;
SELECT number FROM security.account ORDER BY number;

-- The schema that the extension is installed in is searched by those who call it, not by its script.
\c -
SET client_min_messages = warning;
DROP EXTENSION erp_toolkit CASCADE;
CREATE EXTENSION erp_toolkit SCHEMA planted;
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS uses, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) AS planted
FROM pg_depend AS d JOIN pg_depend AS member ON member.classid = d.classid AND member.objid = d.objid AND member.deptype = 'e'
JOIN LATERAL pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) AS o ON o.schema = 'planted'
WHERE member.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'erp_toolkit')
  AND NOT EXISTS (SELECT FROM pg_depend AS own WHERE own.classid = d.refclassid AND own.objid = d.refobjid AND own.deptype = 'e');

\c :here
DROP DATABASE regress_planted;
DROP ROLE regress_attacker;
