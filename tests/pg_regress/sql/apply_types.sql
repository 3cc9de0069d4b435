-- Values with a _type: stored as lists of objects, and entities found by what is in them.
CREATE SCHEMA apply_types;
SET search_path = apply_types, public;
CREATE TABLE mapping AS SELECT $m$ {"version": "2.0", "mapping": {"events": {
    "Contact": {"entities": [{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "no"},
        {"attribute": "email", "field": "mail", "_type": "email"},
        {"attribute": "phone", "field": "phone", "_type": "phone"},
        {"attribute": "region", "field": "region"}]}]},
    "Twice": {"entities": [
        {"entity_schema": "contact", "unique_ids": ["number"], "fields": [
            {"attribute": "number", "field": "no"}, {"attribute": "email", "field": "more", "_type": "email"}]},
        {"entity_schema": "contact", "unique_ids": ["number"], "fields": [
            {"attribute": "number", "field": "no"}, {"attribute": "email", "field": "mail", "_type": "email"}]},
        {"entity_schema": "contract", "unique_ids": ["no"], "fields": [
            {"attribute": "no", "field": "no"},
            {"attribute": "contact", "relations": {"items": [
                {"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "to", "_type": "email"}]}]}}]}]},
    "ByMail": {"entities": [{"entity_schema": "person", "unique_ids": ["email"], "fields": [
        {"attribute": "email", "field": "mail", "_type": "email"},
        {"attribute": "phone", "field": "phone", "_type": "phone"},
        {"attribute": "name", "field": "name"}]}]},
    "ByPhoneAndRegion": {"entities": [{"entity_schema": "branch", "unique_ids": ["phone", "region"], "fields": [
        {"attribute": "region", "field": "region"},
        {"attribute": "phone", "field": "phone", "_type": "phone"},
        {"attribute": "name", "field": "name"}]}]},
    "Contract": {"entities": [{"entity_schema": "contract", "unique_ids": ["no"], "fields": [
        {"attribute": "no", "field": "no"},
        {"attribute": "contact", "relations": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "contact", "_type": "email"}]}]}},
        {"attribute": "person", "relations": {"items": [
            {"entity_schema": "person", "unique_ids": [{"attribute": "email", "field": "person", "_type": "email"}]}]}},
        {"attribute": "branches", "relations": {"operation": "_append", "jsonataExpression":
            "branches.{\"entity_schema\": \"branch\", \"unique_ids\": [{\"attribute\": \"phone\", \"constant\": phone, \"_type\": \"phone\"}, {\"attribute\": \"region\", \"constant\": region}]}"}}]}]},
    "Branches": {"entities": [{"entity_schema": "branch", "unique_ids": ["phone", "region"], "mode": "upsert-prune-scope-delete",
        "scope": {"scope_mode": "query", "query": [{"attribute": "phone", "field": "phone"}]},
        "jsonataExpression": "regions.{\"phone\": $$.phone, \"region\": $}", "fields": [
        {"attribute": "region", "field": "region"},
        {"attribute": "phone", "field": "phone", "_type": "phone"}]}]}
}}} $m$::jsonb AS document;
CREATE FUNCTION applied(event text, payload jsonb) RETURNS TABLE (slug text, action text, unique_identifiers jsonb) LANGUAGE sql
    AS $$ SELECT a.entity_slug, a.action, a.unique_identifiers FROM mapping, erp_apply(document, event, payload) AS a $$;
CREATE FUNCTION refused(event text, payload jsonb) RETURNS TABLE (state text, message text, hint text) LANGUAGE sql
    AS $$ SELECT f.state, f.message, f.hint FROM failure(format('SELECT * FROM applied(%L, %L)', event, payload)) AS f $$;
SELECT severity, code, path, message FROM mapping, erp_validate(document) WHERE code <> 'ENTITY_TYPE_UNKNOWN';
SELECT statement FROM mapping, erp_prepare(document) AS statement WHERE statement LIKE 'CREATE TABLE %person%';
SELECT slug, attributes, columns, is_unique FROM erp.entity_key ORDER BY slug, attributes;

-- An identifier is the first of the list, in whatever form it is given.
SELECT * FROM applied('ByMail', '{"mail": "a@x", "name": "Ann"}');
SELECT * FROM applied('ByMail', '{"mail": "a@x", "name": "Ann"}');
SELECT * FROM applied('ByMail', '{"mail": {"email": "a@x"}, "name": "Ann"}');
SELECT * FROM applied('ByMail', '{"mail": ["", null, "a@x"], "name": "Ann"}');
SELECT * FROM applied('ByMail', '{"mail": ["a@x", "b@x"]}');
-- Others of the list do not identify.
SELECT * FROM applied('ByMail', '{"mail": ["b@x", "a@x"], "name": "Ben"}');
SELECT * FROM applied('ByMail', '{"mail": [{"email": "b@x", "kind": "work"}], "phone": [49.0, "50"]}');
SELECT attributes, email FROM person ORDER BY email;
-- Exactly: another form of the same number is another value in the list, but the same identifier.
SELECT * FROM applied('ByPhoneAndRegion', '{"phone": 49, "region": "n"}');
SELECT * FROM applied('ByPhoneAndRegion', '{"phone": "49", "region": "n", "name": "North"}');
SELECT * FROM applied('ByPhoneAndRegion', '{"phone": "49", "region": "N"}');
SELECT * FROM applied('ByPhoneAndRegion', '{"phone": ["50", "49"], "region": "n"}');
SELECT attributes FROM branch ORDER BY phone, region COLLATE "C";
-- Nothing that identifies
SELECT * FROM refused('ByMail', '{"mail": ""}');
SELECT * FROM refused('ByMail', '{"mail": []}');
SELECT * FROM refused('ByMail', '{"mail": [null, ""]}');
SELECT * FROM refused('ByMail', '{"mail": null}');
SELECT * FROM refused('ByMail', '{}');
SELECT * FROM refused('ByMail', '{"mail": {"email": ""}}');
SELECT * FROM refused('ByMail', '{"mail": {"email": {"email": "a@x"}}}');
SELECT * FROM refused('ByMail', '{"mail": {"mail": "a@x"}}');
SELECT * FROM refused('ByMail', '{"mail": [["a@x"]]}');
SELECT * FROM refused('ByMail', jsonb_build_object('mail', repeat('m', 1001)));
SELECT * FROM refused('ByPhoneAndRegion', '{"phone": "49"}');
SELECT * FROM refused('ByPhoneAndRegion', '{"phone": "", "region": "n"}');

-- A stub has the address in the form, and is completed by whoever comes with it.
SELECT * FROM applied('Contract', '{"no": 1, "contact": "s@x", "person": "a@x"}');
SELECT attributes, email, stub FROM contact;
SELECT * FROM applied('Contact', '{"no": 1, "mail": ["s@x", "t@x"]}');
SELECT attributes, stub FROM contact;
SELECT readable(attributes) AS contract FROM contract;
SELECT * FROM applied('Contract', '{"no": 1, "contact": "s@x", "person": "a@x"}');
SELECT * FROM applied('Contract', '{"no": 2, "person": "new@x"}');
SELECT * FROM applied('ByMail', '{"mail": "new@x", "name": "New"}');
SELECT attributes, stub FROM person WHERE email = 'new@x';
-- Keys of two attributes, one of them typed
SELECT * FROM applied('Contract', '{"no": 3, "branches": [{"phone": 60, "region": "s"}, {"phone": "49", "region": "n"}, {"phone": "", "region": "s"}]}');
SELECT readable(attributes -> 'branches') AS branches FROM contract WHERE no = '3';
SELECT attributes, stub FROM branch WHERE phone = '60';
SELECT * FROM applied('ByPhoneAndRegion', '{"phone": "60", "region": "s", "name": "South"}');
SELECT attributes, stub FROM branch WHERE phone = '60';
-- An address that several contacts have
SELECT * FROM applied('Contact', '{"no": 2, "mail": "s@x"}');
SELECT * FROM refused('Contract', '{"no": 4, "contact": "s@x"}');
SELECT * FROM applied('Contract', '{"no": 4, "contact": "t@x"}');

-- Operations: the list stays in the form, and the identifier is what the list then begins with.
SELECT * FROM applied('Contact', '{"no": 5, "mail": {"_append": "five@x"}}');
SELECT * FROM applied('Contact', '{"no": 5, "mail": {"_append_unique": ["five@x", "5@x"]}}');
SELECT * FROM applied('Contract', '{"no": 5, "contact": "five@x"}');
SELECT * FROM applied('Contact', '{"no": 5, "mail": {"_set": ["5@x"]}}');
SELECT * FROM applied('Contract', '{"no": 5, "contact": "5@x"}');
SELECT * FROM applied('Contact', '{"no": 5, "mail": {"_set": []}}');
SELECT attributes, email FROM contact WHERE number = '5';
SELECT * FROM applied('ByMail', '{"mail": {"_append": "op@x"}, "name": "Op"}');
SELECT * FROM applied('ByMail', '{"mail": {"_append_unique": "op@x"}, "name": "Op"}');
SELECT * FROM refused('ByMail', '{"mail": {"_append": []}}');
SELECT attributes, email FROM person WHERE email = 'op@x';
-- What is there may be no list.
UPDATE contact SET attributes = attributes || '{"email": "plain"}' WHERE number = '5';
SELECT * FROM refused('Contact', '{"no": 5, "mail": {"_append": "6@x"}}');
SELECT * FROM applied('Contract', '{"no": 5, "contact": "plain"}');

-- The same in a batch, where an event finds what those before it made of the lists.
CREATE TABLE events AS SELECT ARRAY[
    '{"no": 10, "mail": "ten@x"}', '{"no": 10, "mail": {"_append": "10@x"}}', '{"no": 11, "mail": {"_append": "ten@x"}}',
    '{"no": 10, "mail": {"_set": "zehn@x"}}', '{"no": 11, "mail": {"_append_unique": "ten@x"}}', '{"no": 10, "mail": []}',
    '{"no": 12, "mail": {"mail": 1}}', '{"no": 12, "phone": ["1", 2]}']::jsonb[] AS payloads;
SELECT event, action, b.unique_identifiers, error ->> 'code' AS code FROM mapping, events, erp_apply_batch(document, 'Contact', payloads, 'continue') AS b;
SELECT attributes, email FROM contact WHERE number >= '10' ORDER BY number;
SELECT event, action FROM mapping, erp_apply_batch(document, 'ByMail', ARRAY['{"mail": "b1@x"}', '{"mail": ["b1@x", "b2@x"]}', '{"mail": "b2@x"}', '{"mail": {"_append": "b1@x"}}']::jsonb[]) AS b;
SELECT attributes FROM person WHERE email LIKE 'b_@x' ORDER BY email;
-- Of what one event says twice the last counts.
SELECT event, entity_slug, action FROM mapping, erp_apply_batch(document, 'Twice', ARRAY[
    '{"no": 13, "more": {"_append": ["twice@x", "more@x"]}, "mail": "last@x"}', '{"no": 13, "to": "last@x"}', '{"no": 14, "to": "twice@x"}']::jsonb[]) AS b;
SELECT readable(attributes) AS contract FROM contract WHERE no IN ('13', '14') ORDER BY no;

-- A scope's query finds inside the form.
SELECT * FROM applied('ByPhoneAndRegion', '{"phone": "60", "region": "w"}');
SELECT * FROM applied('Branches', '{"phone": "60", "regions": ["s", "e"]}');
SELECT region, deleted_at IS NOT NULL AS is_deleted FROM branch WHERE phone = '60' ORDER BY region;

-- erp_find takes the plain value; the look-up is by index, for upserts and relations.
SELECT attributes FROM erp_find('person', '{"email": "new@x"}');
SELECT attributes FROM erp_find('branch', '{"region": "n", "phone": 49}');
SELECT before, after FROM mapping, erp_simulate(document, 'ByMail', '{"mail": ["new@x", "x@x"]}');
INSERT INTO contact (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('number', 1000 + n, 'email', jsonb_build_array(jsonb_build_object('email', n || '@many'))) FROM generate_series(1, 3000) AS n;
INSERT INTO person (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('email', jsonb_build_array(jsonb_build_object('email', n || '@many'))) FROM generate_series(1, 3000) AS n;
ANALYZE contact, person;
CREATE FUNCTION sequential_scans() RETURNS bigint LANGUAGE sql
    RETURN pg_stat_get_xact_numscans('apply_types.contact'::regclass) + pg_stat_get_xact_numscans('apply_types.person'::regclass);
BEGIN;
SELECT sequential_scans() AS before \gset
SELECT * FROM applied('Contract', '{"no": 6, "contact": "77@many", "person": "78@many"}');
SELECT * FROM applied('ByMail', '{"mail": "79@many", "name": "79"}');
SELECT sequential_scans() - :before AS sequential_scans;
COMMIT;

CALL forget('apply_types');

-- A table of a user's own: in its jsonb column, and in a column bound to the attribute
\getenv tests PG_ABS_SRCDIR
\set crm :tests /../crm.sql
\set ECHO none
\i :crm
\set ECHO all
SET search_path = crm, public;
ALTER TABLE customers ADD emails jsonb, ALTER name DROP NOT NULL;
SELECT erp_register_entity('customer', 'customers', ARRAY['customer_no'], attributes_column => 'data', deleted_at_column => 'deleted_at');
SELECT * FROM failure($$ SELECT erp_register_entity('customer', 'customers', ARRAY['phone'], attributes_column => 'data', deleted_at_column => 'deleted_at') $$) \gx
CREATE FUNCTION customer(VARIADIC fields text[]) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', 'customer', 'unique_ids', '["customer_no"]'::jsonb, 'fields', (
        SELECT jsonb_agg(field::jsonb) FROM unnest(fields || '{"attribute": "customer_no", "field": "no"}'::text) AS field)));
SELECT action FROM erp_apply(customer('{"attribute": "emails", "field": "mail", "_type": "email"}', '{"attribute": "phone", "field": "phone", "_type": "phone"}'), 'Changed',
    '{"no": 1, "mail": ["a@x", "b@x"], "phone": 49}');
SELECT action FROM erp_apply(customer('{"attribute": "emails", "field": "mail", "_type": "email"}', '{"attribute": "phone", "field": "phone", "_type": "phone"}'), 'Changed',
    '{"no": 1, "mail": {"_append_unique": ["b@x", "c@x"]}, "phone": {"_append": "50"}}');
SELECT customer_no, emails, data FROM customers;
-- Not to a column that cannot hold the form
SELECT state, message, hint FROM failure($$ SELECT * FROM erp_apply(customer('{"attribute": "birthday", "field": "mail", "_type": "email"}'), 'Changed', '{"no": 2, "mail": "a@x"}') $$);
SELECT state, message, hint FROM failure($$ SELECT * FROM erp_apply(customer('{"attribute": "email", "field": "mail", "_type": "email"}'), 'Changed', '{"no": 2, "mail": "a@x"}') $$);
SELECT customer_no, email FROM customers ORDER BY 1;
-- Nor as an identifier, of the entity or of what it links to; erp_validate tells.
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(changed('{"entity_schema": "customer", "unique_ids": ["email"],
    "fields": [{"attribute": "email", "field": "mail", "_type": "email"}]}'), 'Changed', '{"mail": "a@x"}') $$);
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(customer('{"attribute": "friend", "relations": {"items": [
    {"entity_schema": "customer", "unique_ids": [{"attribute": "email", "field": "mail", "_type": "email"}]}]}}'), 'Changed', '{"no": 2, "mail": "a@x"}') $$);
SELECT severity, code, message FROM erp_validate(customer('{"attribute": "email", "field": "mail", "_type": "email"}'));
CALL forget('crm');
