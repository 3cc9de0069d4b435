-- Identifiers that no index was prepared for: found by a look through the table.
CREATE SCHEMA apply_unindexed;
SET search_path = apply_unindexed, public;
SELECT erp_create_entity('contact', ARRAY['number']);
SELECT erp_create_entity('contract', ARRAY['number']);
CREATE FUNCTION contact_by(VARIADIC ids text[]) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', 'contact', 'unique_ids', ids, 'fields', '[
        {"attribute": "number", "field": "number"}, {"attribute": "email", "field": "email"}, {"attribute": "first", "field": "first"},
        {"attribute": "last", "field": "last"}, {"attribute": "tags", "field": "tags"}]'::jsonb));
CREATE FUNCTION contract_mapping() RETURNS jsonb LANGUAGE sql
    RETURN changed('{"entity_schema": "contract", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "number"},
        {"attribute": "payer", "relations": {"items": [{"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "payer"}]}]}},
        {"attribute": "people", "relations": {"operation": "_append", "jsonataExpression":
            "people.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"last\", \"constant\": last}, {\"attribute\": \"first\", \"constant\": first}]}"}}]}'::jsonb);
CREATE VIEW contacts AS SELECT attributes, stub, deleted_at IS NOT NULL AS is_deleted FROM contact ORDER BY attributes::text COLLATE "C";

-- Created, found, changed; one that is text is found by the number, as ever.
SELECT action, unique_identifiers FROM erp_apply(contact_by('email'), 'Changed', '{"email": "a", "tags": ["x"]}');
SELECT action, unique_identifiers FROM erp_apply(contact_by('email'), 'Changed', '{"email": "a", "tags": ["x"]}');
SELECT action, unique_identifiers FROM erp_apply(contact_by('email'), 'Changed', '{"email": "a", "number": 1, "tags": {"_append": "y"}}');
SELECT action, unique_identifiers FROM erp_apply(contact_by('email'), 'Changed', '{"email": 7, "tags": "seven"}');
SELECT action, unique_identifiers FROM erp_apply(contact_by('email'), 'Changed', '{"email": "7", "tags": "still seven"}');
SELECT action, unique_identifiers FROM erp_apply(contact_by('email'), 'Changed', '{"email": 7.0}');
SELECT action, unique_identifiers FROM erp_apply(contact_by('first', 'last'), 'Changed', '{"first": "Bo", "last": "B"}');
SELECT action, unique_identifiers FROM erp_apply(contact_by('last', 'first'), 'Changed', '{"first": "Bo", "last": "B", "number": 2}');
SELECT action, unique_identifiers FROM erp_apply(contact_by('last', 'first'), 'Changed', '{"first": "Bo", "last": "C"}');
-- A set of which one attribute has a column
SELECT action, unique_identifiers FROM erp_apply(contact_by('number', 'email'), 'Changed', '{"number": "1", "email": "a", "tags": []}');
SELECT action, unique_identifiers FROM erp_apply(contact_by('number', 'email'), 'Changed', '{"number": 3, "email": "a"}');
-- The unique key is another entity's: PostgreSQL's own error.
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(contact_by('number', 'email'), 'Changed', '{"number": 1, "email": "b"}') $$);
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(contact_by('first', 'last'), 'Changed', '{"first": "Cy", "last": "C", "number": 1}') $$);
SELECT * FROM contacts;

-- What no scalar is, identifies nothing; what is missing cannot be looked for.
INSERT INTO contact (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('email', e) FROM unnest(ARRAY['null', '""', '[]', '{}', '["z"]']::jsonb[]) AS e;
SELECT payload, f.state, f.message
FROM unnest(ARRAY['{}', '{"email": null}', '{"email": ""}', '{"email": []}', '{"email": {}}']::jsonb[]) WITH ORDINALITY AS p(payload, n),
     failure(format('SELECT * FROM erp_apply(contact_by(%L), %L, %L)', 'email', 'Changed', payload)) AS f
ORDER BY n;
SELECT action FROM erp_apply(contact_by('email'), 'Changed', '{"email": "z"}');

-- Several that match: an error, but not if one alone is live.
SELECT * FROM failure($$ SELECT * FROM erp_apply(contact_by('email'), 'Changed', '{"email": "a", "tags": "never"}') $$) \gx
UPDATE contact SET deleted_at = now() WHERE number = '3';
SELECT action FROM erp_apply(contact_by('email'), 'Changed', '{"email": "a", "tags": ["live"]}');
UPDATE contact SET deleted_at = now() WHERE number = '1';
SELECT state FROM failure($$ SELECT * FROM erp_apply(contact_by('email'), 'Changed', '{"email": "a"}') $$);
UPDATE contact SET deleted_at = NULL WHERE number = '1';

-- Relations: found; a stub, and the same one again; completed by its key, but by no other, as no index knows its stubs.
SELECT entity_slug, action, unique_identifiers FROM erp_apply(contract_mapping(), 'Changed', '{"number": 1, "payer": "a", "people": [{"first": "Bo", "last": "B"}, {"first": "Di", "last": "D"}]}');
SELECT entity_slug, action, unique_identifiers FROM erp_apply(contract_mapping(), 'Changed', '{"number": 2, "payer": "e", "people": {"first": "Di", "last": "D"}}');
SELECT entity_slug, action, unique_identifiers FROM erp_apply(contract_mapping(), 'Changed', '{"number": 3, "payer": "e"}');
SELECT count(DISTINCT attributes #>> '{payer,$relation,0,entity_id}') FROM contract WHERE number IN ('2', '3');
SELECT action, unique_identifiers FROM erp_apply(contact_by('email'), 'Changed', '{"email": "e", "tags": "completed"}');
SELECT action, unique_identifiers FROM erp_apply(contact_by('number'), 'Changed', '{"number": 4, "first": "Di", "last": "D"}');
SELECT * FROM contacts WHERE attributes ? 'last' OR attributes ->> 'email' = 'e';
SELECT state, message FROM failure($$ SELECT * FROM erp_apply(contract_mapping(), 'Changed', '{"number": 1, "people": {"first": "Di", "last": "D"}}') $$);

-- A batch: each event sees what those before it did; what is created twice is one.
SELECT event, action, unique_identifiers, error ->> 'message' AS message
FROM erp_apply_batch(contact_by('email'), 'Changed', ARRAY['{"email": "f"}', '{"email": "f", "tags": [1]}', '{"email": "a", "tags": [1]}', '{"email": ""}', '{"email": "f", "tags": {"_append": 2}}',
    '{"email": "g", "number": 7}', '{"email": "h", "number": 7}', '{"email": "g", "tags": 1}']::jsonb[], 'continue');
SELECT * FROM contacts WHERE attributes ->> 'email' IN ('f', 'g', 'h');
SELECT action, count(*), min(n), max(n) FROM (
    SELECT action, count(*) AS n FROM erp_apply_batch(contact_by('email'), 'Changed', (SELECT array_agg(jsonb_build_object('email', 'many' || n % 500, 'tags', n) ORDER BY n) FROM generate_series(1, 1500) AS n))
    GROUP BY action, entity_id) AS a GROUP BY action ORDER BY action;

-- Deleted, restored, purged
CREATE FUNCTION contact_in(mode text) RETURNS jsonb LANGUAGE sql
    RETURN jsonb_set(contact_by('email'), '{mapping,events,Changed,entities,0,mode}', to_jsonb(mode));
SELECT action FROM erp_apply(contact_in('delete'), 'Changed', '{"email": "f"}');
SELECT action FROM erp_apply(contact_in('delete'), 'Changed', '{"email": "f"}');
SELECT action FROM erp_apply(contact_by('email'), 'Changed', '{"email": "f"}');
SELECT action FROM erp_apply(contact_in('purge'), 'Changed', '{"email": "f"}');
SELECT action FROM erp_apply(contact_in('purge'), 'Changed', '{"email": "f"}');
SELECT event, action FROM erp_apply_batch(contact_in('delete'), 'Changed', ARRAY['{"email": "many1"}', '{"email": "none"}', '{"email": "many2"}', '{"email": "many1"}']::jsonb[]);

-- No slug is too odd, no attribute either.
CREATE FUNCTION odd() RETURNS jsonb LANGUAGE sql
    RETURN changed('{"entity_schema": "contact", "unique_ids": ["it''s \"{keys}\" \\"], "fields": [{"attribute": "it''s \"{keys}\" \\", "field": "v"}]}'::jsonb);
SELECT action FROM erp_apply(odd(), 'Changed', '{"v": "{match} $1"}');
SELECT action FROM erp_apply(odd(), 'Changed', '{"v": "{match} $1"}');
SELECT count(*) FROM contact WHERE attributes ? 'it''s "{keys}" \';

-- erp_validate warns, until it is prepared: then the index is used, also by this session.
SELECT severity, code, path, message, hint FROM erp_validate(contact_by('email')) \gx
SELECT severity, code, path, message, hint FROM erp_validate(contract_mapping()) \gx
DELETE FROM contact;
SELECT count(*) AS statements FROM erp_prepare(contact_by('email'));
SELECT * FROM erp_validate(contact_by('email'));
SELECT action FROM erp_apply(contact_by('email'), 'Changed', '{"email": "a"}');
SELECT action FROM erp_apply(contact_by('email'), 'Changed', '{"email": "a"}');
INSERT INTO contact (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('email', n) FROM generate_series(1, 5000) AS n;
CREATE TABLE scans AS SELECT relname, seq_scan FROM pg_stat_xact_user_tables WITH NO DATA;
BEGIN;
INSERT INTO scans SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'contact';
SELECT action FROM erp_apply(contact_by('email'), 'Changed', '{"email": "a", "tags": 1}');
SELECT relname, s.seq_scan - b.seq_scan AS seq_scans FROM pg_stat_xact_user_tables AS s JOIN scans AS b USING (relname) ORDER BY relname;
SELECT action FROM erp_apply(contact_by('last'), 'Changed', '{"last": "a", "tags": 1}');
SELECT relname, s.seq_scan - b.seq_scan AS seq_scans FROM pg_stat_xact_user_tables AS s JOIN scans AS b USING (relname) ORDER BY relname;
COMMIT;

CALL forget('apply_unindexed');
