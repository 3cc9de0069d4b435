-- erp_simulate: what erp_apply would do, told without doing it.
\getenv tests PG_ABS_SRCDIR
\set crm :tests /../crm.sql
\set ECHO none
\i :crm
\set ECHO all
SET search_path = crm, public;
SET timezone = 'UTC';
SELECT erp_register_entity('customer', 'customers', ARRAY['customer_number'], columns => '{"customer_number": "customer_no"}', attributes_column => 'data',
    created_at_column => 'created_at', updated_at_column => 'updated_at', deleted_at_column => 'deleted_at');
SELECT erp_register_entity('contract', 'contracts', ARRAY['contract_no'], deleted_at_column => 'deleted_at', relations => '{"customer": {"column": "customer_id", "entity_schema": "customer"}}');
SELECT erp_register_entity('meter', 'meters', ARRAY['meter_no'], relations => '{"contract": {"column": "contract_id", "entity_schema": "contract"}}');
SELECT erp_create_entity('note', ARRAY['number']);
SELECT erp_create_entity('note', ARRAY['topic'], for_upsert => false);
-- Whatever writes is heard of.
CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% %', TG_OP, TG_TABLE_NAME; RETURN NULL; END $$;
CREATE TRIGGER loud AFTER INSERT OR UPDATE OR DELETE ON customers FOR EACH ROW EXECUTE FUNCTION loud();
CREATE TRIGGER loud AFTER INSERT OR UPDATE OR DELETE ON note FOR EACH ROW EXECUTE FUNCTION loud();

CREATE FUNCTION mapping() RETURNS jsonb LANGUAGE sql IMMUTABLE RETURN '{"version": "2.0", "mapping": {"events": {
  "Customer": {"entities": [{"entity_schema": "customer", "unique_ids": ["customer_number"], "fields": [
     {"attribute": "customer_number", "field": "no"}, {"attribute": "name", "field": "name"}, {"attribute": "birthday", "field": "birthday"}, {"attribute": "credit_limit", "field": "limit"},
     {"attribute": "tags", "field": "tags"}, {"attribute": "vip", "field": "vip"}]}]},
  "Contract": {"entities": [
     {"entity_schema": "meter", "unique_ids": ["meter_no"], "mode": "upsert-prune-scope-purge", "jsonataExpression": "meters.{\"serial\": $, \"c\": %.no}",
      "scope": {"scope_mode": "relations", "schema": "contract", "unique_ids": [{"attribute": "contract_no", "field": "no"}]},
      "fields": [{"attribute": "meter_no", "field": "serial"}, {"attribute": "kind", "constant": "gas"},
        {"attribute": "contract", "relations": {"items": [{"entity_schema": "contract", "unique_ids": [{"attribute": "contract_no", "field": "c"}]}]}}]},
     {"entity_schema": "contract", "unique_ids": ["contract_no"], "fields": [{"attribute": "contract_no", "field": "no"}, {"attribute": "starts", "field": "starts"},
        {"attribute": "customer", "relations": {"items": [{"entity_schema": "customer", "unique_ids": [{"attribute": "customer_number", "field": "customer"}]}]}}]}]},
  "Note": {"entities": [{"entity_schema": "note", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "no"}, {"attribute": "text", "field": "text"}, {"attribute": "topic", "field": "topic"},
     {"attribute": "log", "jsonataExpression": "log ? {\"_append\": log}"},
     {"attribute": "see", "relations": {"operation": "_append_unique", "items": [{"entity_schema": "note", "unique_ids": [{"attribute": "topic", "field": "see"}]}]}}]}]},
  "NoteGone": {"entities": [{"entity_schema": "note", "unique_ids": ["number"], "mode": "delete", "fields": [{"attribute": "number", "field": "no"}]}]},
  "NotePurged": {"entities": [{"entity_schema": "note", "unique_ids": ["number"], "mode": "purge", "fields": [{"attribute": "number", "field": "no"}]}]},
  "NotesOf": {"entities": [{"entity_schema": "note", "unique_ids": ["number"], "mode": "upsert-prune-scope-delete", "jsonataExpression": "notes",
     "scope": {"scope_mode": "query", "query": [{"attribute": "text", "field": "text"}]}, "fields": [{"attribute": "number", "field": "no"}, {"attribute": "text", "constant": "T"}]}]},
  "ContractGone": {"entities": [{"entity_schema": "contract", "unique_ids": ["contract_no"], "mode": "delete", "fields": [{"attribute": "contract_no", "field": "no"}]}]},
  "CustomerPurged": {"entities": [{"entity_schema": "customer", "unique_ids": ["customer_number"], "mode": "purge", "fields": [{"attribute": "customer_number", "field": "no"}]}]}
}}}'::jsonb;
-- The tables' contents, with row versions, and the sequences
CREATE FUNCTION state() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text := '';
    part text;
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['customers', 'contracts', 'meters', 'note'] LOOP
        EXECUTE format('SELECT coalesce(string_agg(concat_ws('' '', t.ctid, t.xmin, t.xmax, t.*), E''\n'' ORDER BY t.ctid), '''') FROM %I AS t', name) INTO part;
        state := state || name || E'\n' || part;
    END LOOP;
    RETURN state || (SELECT coalesce(string_agg(concat_ws(' ', sequencename, last_value), ',' ORDER BY sequencename), '') FROM pg_sequences WHERE schemaname = 'crm');
END $$;
-- Without the uuids that are made up, which differ each time
CREATE FUNCTION simulated(event text, payload jsonb) RETURNS TABLE (slug text, action text, keys jsonb, before text, after text) LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT s.entity_slug, s.action, s.unique_identifiers, readable(s.before)::text, regexp_replace(readable(s.after)::text, '[0-9a-f]{8}-[0-9a-f-]{27}', 'new', 'g') FROM erp_simulate(mapping(), event, payload) AS s; END;
-- Simulates, checks that nothing happened, applies, and compares: action by action, and what the entities are then.
CREATE FUNCTION same(event text, payload jsonb, OUT actions text, OUT is_silent boolean, OUT is_same boolean, OUT is_as_told boolean) LANGUAGE plpgsql AS $$
DECLARE
    before text := state();
    told jsonb;
    done jsonb;
BEGIN
    SELECT jsonb_agg(to_jsonb(s) ORDER BY n) INTO told FROM erp_simulate(mapping(), event, payload) WITH ORDINALITY AS s(slug, id, action, keys, before, after, n);
    is_silent := state() = before;
    SELECT jsonb_agg(to_jsonb(a) ORDER BY n) INTO done FROM erp_apply(mapping(), event, payload) WITH ORDINALITY AS a(slug, id, action, keys, n);
    SELECT string_agg(concat_ws(' ', d ->> 'slug', d ->> 'action'), ', ' ORDER BY d -> 'n') INTO actions FROM jsonb_array_elements(done) AS d;
    -- Entities that were there have their id already.
    is_same := (SELECT jsonb_agg(t - '{before,after}'::text[] - CASE WHEN t ->> 'action' IN ('created', 'stubbed') THEN 'id' ELSE '' END ORDER BY t -> 'n') FROM jsonb_array_elements(told) AS t)
        IS NOT DISTINCT FROM (SELECT jsonb_agg(d - CASE WHEN d ->> 'action' IN ('created', 'stubbed') THEN 'id' ELSE '' END ORDER BY d -> 'n') FROM jsonb_array_elements(done) AS d);
    -- What it is then: all that was told, but for ids that did not exist, and for what the table's defaults add.
    SELECT bool_and(CASE WHEN t -> 'after' = 'null' THEN f.attributes IS NULL
                         ELSE NOT EXISTS (SELECT FROM jsonb_each(t -> 'after') AS a WHERE jsonb_typeof(a.value) <> 'object' AND a.value IS DISTINCT FROM f.attributes -> a.key) END)
    INTO is_as_told
    FROM jsonb_array_elements(told) AS t LEFT JOIN jsonb_array_elements(done) AS d ON d -> 'n' = t -> 'n'
    LEFT JOIN LATERAL (SELECT * FROM erp_find(t ->> 'slug') AS f WHERE f.entity_id = d ->> 'id') AS f ON true;
END $$;

-- created; the id that a sequence would give is made up, too: it is not taken
SELECT * FROM simulated('Customer', '{"no": 1, "name": "Ann", "birthday": "1980-1-2", "limit": "12.5", "tags": "a", "vip": true}');
SELECT entity_id FROM erp_simulate(mapping(), 'Customer', '{"no": 1, "name": "Ann"}');
SELECT * FROM same('Customer', '{"no": 1, "name": "Ann", "birthday": "1980-1-2", "limit": "12.5", "tags": "a", "vip": true}');
-- unchanged, in any spelling; updated, with an operation
SELECT * FROM simulated('Customer', '{"no": "1", "birthday": "Jan 2, 1980", "limit": 12.50}');
SELECT * FROM same('Customer', '{"no": "1", "birthday": "Jan 2, 1980", "limit": 12.50}');
SELECT * FROM simulated('Customer', '{"no": "1", "tags": {"_append": [2]}, "vip": null}');
SELECT * FROM same('Customer', '{"no": "1", "tags": {"_append": [2]}, "vip": null}');
-- Several tables, linked by foreign keys, in the order of erp_apply
SELECT * FROM simulated('Contract', '{"no": "K1", "starts": "2024-1-1", "customer": 1, "meters": ["m1", "m2"]}');
SELECT * FROM same('Contract', '{"no": "K1", "starts": "2024-1-1", "customer": 1, "meters": ["m1", "m2"]}');
-- A prune shows what would go.
SELECT * FROM simulated('Contract', '{"no": "K1", "meters": ["m2", "m3"]}');
SELECT * FROM same('Contract', '{"no": "K1", "meters": ["m2", "m3"]}');
SELECT * FROM same('Contract', '{"no": "K1", "meters": []}');
SELECT meter_no FROM meters;
-- deleted, restored, purged
SELECT slug, action, before = after AS is_same FROM simulated('ContractGone', '{"no": "K1"}');
SELECT * FROM same('ContractGone', '{"no": "K1"}');
SELECT * FROM same('ContractGone', '{"no": "K1"}');
SELECT slug, action FROM simulated('Contract', '{"no": "K1"}');
SELECT * FROM same('Contract', '{"no": "K1"}');
-- Managed tables: stubs, stubs that are completed by another key, links to what would be new
SELECT * FROM simulated('Note', '{"no": 1, "text": "T", "see": "cats", "log": "a"}');
SELECT * FROM same('Note', '{"no": 1, "text": "T", "see": "cats", "log": "a"}');
SELECT * FROM simulated('Note', '{"no": 2, "topic": "cats", "text": "T"}');
SELECT * FROM same('Note', '{"no": 2, "topic": "cats", "text": "T"}');
SELECT * FROM simulated('Note', '{"no": 1, "see": "cats", "log": ["a", "b"]}');
SELECT * FROM same('Note', '{"no": 1, "see": "cats", "log": ["a", "b"]}');
SELECT * FROM simulated('NotesOf', '{"text": "T", "notes": [{"no": 2}, {"no": 3}]}');
SELECT * FROM same('NotesOf', '{"text": "T", "notes": [{"no": 2}, {"no": 3}]}');
SELECT * FROM same('Note', '{"no": 1}');
SELECT * FROM simulated('NoteGone', '{"no": 1}');
SELECT * FROM same('NoteGone', '{"no": 1}');
SELECT * FROM same('NoteGone', '{"no": 1}');
SELECT * FROM simulated('NotePurged', '{"no": 2}');
SELECT * FROM same('NotePurged', '{"no": 2}');
SELECT * FROM same('NotePurged', '{"no": 2}');
SELECT attributes -> 'see' AS see FROM erp_find('note', '{"number": 1}');
-- What constraints would refuse is not known; nor is the limit on prunes.
INSERT INTO contracts (contract_no, customer_id) SELECT 'K2', id FROM customers;
SELECT slug, action FROM simulated('CustomerPurged', '{"no": 1}');
SELECT state FROM failure($$ SELECT erp_apply(mapping(), 'CustomerPurged', '{"no": 1}') $$);
SELECT slug, action FROM simulated('Customer', '{"no": 99}');
SELECT state FROM failure($$ SELECT erp_apply(mapping(), 'Customer', '{"no": 99}') $$);
SET erp_toolkit.max_prune = 0;
SELECT slug, action FROM simulated('NotesOf', '{"text": "T", "notes": []}');
SELECT state FROM failure($$ SELECT erp_apply(mapping(), 'NotesOf', '{"text": "T", "notes": []}') $$);
RESET erp_toolkit.max_prune;
-- A payload in a string; errors as erp_apply's
SELECT slug, action FROM simulated('NoteGone', '"{\"no\": 3}"');
SELECT e, (failure(format('SELECT erp_simulate(mapping(), %L, %L)', e, p))).* FROM (VALUES ('Nope', '{}'), ('Note', '{}'), ('Note', '"{"'), ('Note', '{"no": [1]}'), ('Customer', '{"no": 1, "limit": "x"}'), ('Note', '{"no": 3, "text": "a", "log": 1}'), (NULL, '{}'), ('Note', NULL)) AS t(e, p);
SELECT state FROM failure($$ SELECT erp_simulate(NULL, 'Note', '{}') $$);
SELECT state, message FROM failure($$ SELECT erp_simulate('{"entities": [{"entity_schema": "nothing", "unique_ids": ["a"], "fields": [{"attribute": "a", "constant": 1}]}]}', 'x', '{}') $$);
-- Read-only transactions, and rights to read alone
SET client_min_messages = warning;
CREATE ROLE regress_reader;
GRANT USAGE ON SCHEMA crm TO regress_reader;
GRANT SELECT ON customers, contracts, meters, note TO regress_reader;
RESET client_min_messages;
SET ROLE regress_reader;
BEGIN READ ONLY;
SELECT slug, action FROM simulated('Contract', '{"no": "K3", "customer": 7, "meters": ["m2", "m4"]}');
SELECT slug, action FROM simulated('NotesOf', '{"text": "T", "notes": [{"no": 4}]}');
SELECT slug, action FROM simulated('CustomerPurged', '{"no": 1}');
SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation IN ('customers'::regclass, 'note'::regclass) AND mode <> 'AccessShareLock';
SELECT count(*) AS advisory FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory';
SELECT pg_current_xact_id_if_assigned() IS NULL AS is_without_id;
COMMIT;
RESET ROLE;

SET client_min_messages = warning;
CALL forget('crm');
DROP ROLE regress_reader;
