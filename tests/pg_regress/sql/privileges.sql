-- Events are applied with the rights of whoever calls: grants and row-level security of the entity tables count.
CREATE SCHEMA privileges;
SET search_path = privileges, public;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
CREATE ROLE regress_plain;
GRANT USAGE ON SCHEMA privileges TO regress_plain;

-- Without rights on the tables: PostgreSQL's own error
SET ROLE regress_plain;
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1}') $$) \gx
RESET ROLE;
GRANT SELECT ON contact, account TO regress_plain;
SET ROLE regress_plain;
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1}') $$);
RESET ROLE;
GRANT INSERT ON contact TO regress_plain;
SET ROLE regress_plain;
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1}') $$);
RESET ROLE;
-- With them it needs nothing else. Those on the table of what it links to are asked for when a stub is made.
GRANT UPDATE ON contact TO regress_plain;
SET ROLE regress_plain;
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1}');
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "A"}');
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "account": "X"}') $$);
RESET ROLE;
GRANT INSERT ON account TO regress_plain;
SET ROLE regress_plain;
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "account": "X"}');
SELECT event, action, error ->> 'sqlstate' AS sqlstate FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": 2}', '{"id": 1, "account": "X"}']::jsonb[], 'continue');
RESET ROLE;
-- A plan that was kept does not outlive the grant.
REVOKE UPDATE ON contact FROM regress_plain;
SET ROLE regress_plain;
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "B"}') $$);
SELECT event, action, error ->> 'sqlstate' AS sqlstate FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": 3}', '{"id": 1}']::jsonb[], 'continue');
RESET ROLE;
GRANT UPDATE ON contact TO regress_plain;

-- Rights on columns, as far as it writes them
REVOKE SELECT, INSERT, UPDATE ON contact FROM regress_plain;
GRANT SELECT ON contact TO regress_plain;
GRANT INSERT (id, attributes, stub, created_at, updated_at), UPDATE (attributes, stub, deleted_at, updated_at) ON contact TO regress_plain;
SET ROLE regress_plain;
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "C"}');
RESET ROLE;
GRANT INSERT, UPDATE ON contact TO regress_plain;

-- A function with its owner's rights lends them.
CREATE FUNCTION apply_as_owner(payload jsonb) RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT action FROM erp_apply(customer_mapping(), 'Changed', payload) $$;
REVOKE ALL ON contact, account FROM regress_plain;
SET ROLE regress_plain;
SELECT * FROM apply_as_owner('{"id": 1, "name": "D"}');
SELECT state FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 1, "name": "E"}') $$);
RESET ROLE;
GRANT SELECT, INSERT, UPDATE ON contact, account TO regress_plain;

-- Row-level security: rows of others are neither found nor changed, and what may not be written is refused.
TRUNCATE contact, account;
SELECT count(*) FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": "mine", "name": "plain", "account": "X"}', '{"id": "others", "name": "boss", "account": "X"}']::jsonb[]);
ALTER TABLE contact ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON contact USING (attributes ->> 'name' = 'plain') WITH CHECK (attributes ->> 'name' = 'plain');
SET ROLE regress_plain;
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "mine", "name": "plain", "tags": [1]}');
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "new", "name": "plain"}');
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": "mine", "name": "boss"}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": "new too", "name": "boss"}') $$) \gx
-- What is checked is the row as it will be, not the patch.
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "mine", "tags": [2]}');
-- The row of another, under a key that is taken
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": "others", "name": "plain"}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": "others", "name": "boss"}') $$) \gx
SELECT event, action, error ->> 'sqlstate' AS sqlstate FROM erp_apply_batch(customer_mapping(), 'Changed', ARRAY['{"id": "others", "name": "plain"}', '{"id": "mine", "name": "plain"}']::jsonb[], 'continue');
RESET ROLE;
SELECT attributes - 'account' AS attributes FROM contact ORDER BY customer_number;
-- The target of a relation that the role cannot see: a stub cannot take its place.
ALTER TABLE account ENABLE ROW LEVEL SECURITY;
CREATE POLICY none ON account FOR SELECT USING (attributes ->> 'number' <> 'X');
CREATE POLICY any_insert ON account FOR INSERT WITH CHECK (true);
SET ROLE regress_plain;
SELECT entity_slug, action FROM erp_apply(customer_mapping(), 'Changed', '{"id": "new", "name": "plain", "account": "Y"}');
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": "new", "name": "plain", "account": "X"}') $$) \gx
RESET ROLE;
SELECT number, stub FROM account ORDER BY number;
-- An entity that a value names must exist for the caller.
SELECT id AS others FROM contact WHERE customer_number = 'others' \gset
SET ROLE regress_plain;
SELECT state, message FROM failure(format('SELECT * FROM erp_apply(%L, %L, %L)', changed('{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [
    {"attribute": "customer_number", "constant": "mine"}, {"attribute": "boss", "field": "boss"}]}'::jsonb), 'Changed',
    jsonb_build_object('boss', jsonb_build_object('$relation', jsonb_build_array(jsonb_build_object('entity_id', :'others', '_schema', 'contact'))))));
RESET ROLE;
ALTER TABLE contact DISABLE ROW LEVEL SECURITY;
ALTER TABLE account DISABLE ROW LEVEL SECURITY;

-- Names of pg_catalog are not looked for in the search_path: what is planted there is not called.
CREATE SCHEMA planted;
CREATE FUNCTION planted.refuse() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'what was planted is called'; END $$;
CREATE FUNCTION planted.never(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT planted.refuse(); SELECT false $$;
CREATE FUNCTION planted.never(uuid, uuid) RETURNS boolean LANGUAGE sql AS $$ SELECT planted.refuse(); SELECT false $$;
CREATE FUNCTION planted.never(jsonb, text) RETURNS jsonb LANGUAGE sql AS $$ SELECT planted.refuse(); SELECT NULL::jsonb $$;
CREATE FUNCTION planted.never(oid, oid) RETURNS boolean LANGUAGE sql AS $$ SELECT planted.refuse(); SELECT false $$;
CREATE OPERATOR planted.= (FUNCTION = planted.never, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR planted.= (FUNCTION = planted.never, LEFTARG = uuid, RIGHTARG = uuid);
CREATE OPERATOR planted.= (FUNCTION = planted.never, LEFTARG = oid, RIGHTARG = oid);
CREATE OPERATOR planted.-> (FUNCTION = planted.never, LEFTARG = jsonb, RIGHTARG = text);
CREATE OPERATOR planted.->> (FUNCTION = planted.never, LEFTARG = jsonb, RIGHTARG = text);
CREATE FUNCTION planted.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE sql AS $$ SELECT planted.refuse(); SELECT pg_catalog.unnest($1) $$;
CREATE FUNCTION planted.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT planted.refuse(); SELECT NULL::timestamptz $$;
CREATE FUNCTION planted.format(text, VARIADIC "any") RETURNS text LANGUAGE internal AS 'text_format';
CREATE FUNCTION planted.quote_ident(text) RETURNS text LANGUAGE sql AS $$ SELECT planted.refuse(); SELECT ''::text $$;
CREATE FUNCTION planted.jsonb_agg(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT planted.refuse(); SELECT NULL::jsonb $$;
CREATE FUNCTION planted.trim_scale(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT 0.0 $$;
CREATE FUNCTION planted.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'null'::text $$;
CREATE FUNCTION planted.current_schema() RETURNS name LANGUAGE sql AS $$ SELECT 'planted'::name $$;
CREATE DOMAIN planted.uuid AS text;
CREATE DOMAIN planted.jsonb AS text;
CREATE DOMAIN planted.text AS pg_catalog.text CHECK (false);
CREATE TABLE planted.entity_type (slug pg_catalog.text, table_name regclass);
CREATE TABLE planted.contact (LIKE contact INCLUDING ALL);
\set mapping '{"entities": [{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "field": "id"}, {"attribute": "tags", "field": "tags"}, {"attribute": "friend", "relations": {"items": [{"entity_schema": "account", "unique_ids": [{"attribute": "number", "field": "id"}]}]}}]}]}'
SET search_path = planted, pg_catalog, privileges;
SELECT action FROM public.erp_apply(:'mapping', 'x', '{"id": 77.0}');
SELECT action FROM public.erp_apply(:'mapping', 'x', '{"id": 77, "tags": {"_append": [1]}}');
SELECT action FROM public.erp_apply_batch(:'mapping', 'x', ARRAY['{"id": 78}', '{"id": 77}']::pg_catalog.jsonb[]);
SELECT attributes OPERATOR(pg_catalog.->>) 'tags' AS tags FROM public.erp_find('contact', '{"customer_number": 77, "tags": 1}');
SELECT attributes OPERATOR(pg_catalog.->>) 'tags' AS tags FROM public.erp_find('contact', '{"customer_number": 77}');
SELECT code FROM public.erp_validate(:'mapping');
SELECT public.erp_merge('{"a": ["x"]}', '{"a": {"_append": ["x"]}}');
SELECT pg_catalog.count(*) FROM public.erp_prepare(:'mapping');
SET search_path = privileges, public;
SELECT count(*) AS in_the_planted_table FROM planted.contact;
-- In a new session, whose plans are made under that search_path
\c -
SET search_path = planted, pg_catalog, privileges;
SELECT action FROM public.erp_apply(:'mapping', 'x', '{"id": 79}');
SELECT action FROM public.erp_apply(:'mapping', 'x', '{"id": 79, "tags": {"_append": [1]}}');
SELECT attributes OPERATOR(pg_catalog.->>) 'tags' AS tags FROM public.erp_find('contact', '{"customer_number": 79}');
SELECT code FROM public.erp_validate(:'mapping');
CREATE SCHEMA privileges2;
SET search_path = privileges2, planted, pg_catalog;
SELECT public.erp_create_entity('meter', ARRAY['number']);
SELECT action FROM public.erp_apply('{"entities": [{"entity_schema": "meter", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "id"}]}]}', 'x', '{"id": 7.0}');
SELECT pg_catalog.format_type(atttypid, NULL) AS type, attname FROM pg_attribute WHERE attrelid OPERATOR(pg_catalog.=) 'meter'::regclass AND attnum > 0 ORDER BY attnum;
SET search_path = public;
SELECT number FROM privileges2.meter;

SET client_min_messages = warning;
DROP SCHEMA planted CASCADE;
CALL forget('privileges2');
CALL forget('privileges');
DROP ROLE regress_plain;
