-- erp_create_entity: binds a slug to a table of its own; called again, gives it one more key set.
CREATE SCHEMA create_entity;
SET search_path = create_entity, public;

SELECT erp_create_entity('contact', ARRAY['customer_number']), pg_typeof(erp_create_entity('contact', ARRAY['customer_number']));
SELECT erp_create_entity(slug => 'contact', unique_ids => ARRAY['last_name', 'first_name'], for_upsert => false);
SELECT slug, attributes, columns, is_unique FROM erp.entity_key ORDER BY slug, attributes;
-- The same again, in another order, changes nothing; nor does asking for less.
SELECT erp_create_entity('contact', ARRAY['first_name', 'last_name'], false);
SELECT erp_create_entity('contact', ARRAY['customer_number'], false);
-- Asking for more does.
SELECT erp_create_entity('contact', ARRAY['first_name', 'last_name']);
SELECT slug, attributes, columns, is_unique FROM erp.entity_key ORDER BY slug, attributes;
SELECT indexdef FROM pg_indexes WHERE schemaname = 'create_entity' ORDER BY indexdef;
-- A null for_upsert is the default. Attributes of several sets have one column.
SELECT erp_create_entity('contact', ARRAY['customer_number', 'last_name'], NULL);
SELECT attribute.attname AS column FROM pg_attribute AS attribute WHERE attrelid = 'contact'::regclass AND attgenerated <> '' ORDER BY attnum;

-- Identifiers may be found inside a table that has rows already.
SELECT action FROM erp_apply('{"entities": [{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [
    {"attribute": "customer_number", "field": "id"}, {"attribute": "email", "field": "email"}]}]}', 'x', '{"id": 1, "email": "a@x.de"}');
SELECT erp_create_entity('contact', ARRAY['email']);
SELECT action FROM erp_apply('{"entities": [{"entity_schema": "contact", "unique_ids": ["email"], "fields": [
    {"attribute": "email", "field": "email"}, {"attribute": "vip", "constant": true}]}]}', 'x', '{"email": "a@x.de"}');
SELECT attributes FROM erp_find('contact');

-- What is wrong with its arguments
SELECT call, f.*
FROM unnest(ARRAY[$$NULL, ARRAY['id']$$, $$'', ARRAY['id']$$, $$'meter', NULL$$, $$'meter', '{}'$$, $$'meter', ARRAY['']$$, $$'meter', ARRAY['id', 'id']$$,
                  $$'meter', ARRAY['id', NULL]$$, $$'meter', ARRAY[[ 'a', 'b' ], ['c', 'd']]$$]) WITH ORDINALITY AS c(call, n),
     failure(format('SELECT erp_create_entity(%s)', call)) AS f
ORDER BY n;
SET search_path = nowhere;
SELECT * FROM public.failure($$ SELECT public.erp_create_entity('meter', ARRAY['id']) $$) \gx
SET search_path = create_entity, public;
CREATE TABLE reading (id int);
SELECT * FROM failure($$ SELECT erp_create_entity('reading', ARRAY['id']) $$) \gx
-- More attributes than an index has columns
SELECT * FROM failure($$ SELECT erp_create_entity('wide', ARRAY(SELECT 'a' || n FROM generate_series(1, 40) AS n)) $$) \gx
SELECT slug FROM erp.entity_type ORDER BY slug;

CALL forget('create_entity');
