-- The prune-scope modes: what is upserted stays, the rest of the scope goes.
CREATE SCHEMA apply_prune;
SET search_path = apply_prune, public;
SELECT erp_create_entity('contract', ARRAY['number']);
SELECT erp_create_entity('meter', ARRAY['number']);
SELECT erp_create_entity('meter', ARRAY['serial'], for_upsert => false);

-- One event: a contract, whose relations may name meters, and its meters, which may name it. What the scope is, the call says.
CREATE FUNCTION sync(removal text, scope jsonb, ids jsonb DEFAULT '["number"]') RETURNS jsonb LANGUAGE sql
    RETURN changed('{"entity_schema": "contract", "unique_ids": ["number"], "jsonataExpression": "contract", "fields": [
            {"attribute": "number", "field": "n"}, {"attribute": "note", "field": "note"},
            {"attribute": "meters", "relations": {"jsonataExpression": "meters.{\"entity_schema\": \"meter\", \"unique_ids\": [{\"attribute\": \"number\", \"constant\": $}]}"}},
            {"attribute": "spare", "relations": {"jsonataExpression": "spare.{\"entity_schema\": \"meter\", \"unique_ids\": [{\"attribute\": \"serial\", \"constant\": $}]}"}}]}'::jsonb,
        jsonb_build_object('entity_schema', 'meter', 'unique_ids', ids, 'mode', 'upsert-prune-scope-' || removal, 'scope', scope, 'jsonataExpression', 'meters', 'fields', '[
            {"attribute": "number", "field": "n"}, {"attribute": "serial", "field": "serial"}, {"attribute": "kind", "field": "kind"}, {"attribute": "place", "field": "place"}, {"attribute": "note", "field": "note"},
            {"attribute": "contract", "relations": {"items": [{"entity_schema": "contract", "unique_ids": [{"attribute": "number", "field": "contract"}]}]}},
            {"attribute": "parent", "relations": {"items": [{"entity_schema": "meter", "unique_ids": [{"attribute": "number", "field": "parent"}]}]}}]'::jsonb));
CREATE FUNCTION of_contract() RETURNS jsonb LANGUAGE sql
    RETURN '{"scope_mode": "relations", "schema": "contract", "unique_ids": [{"attribute": "number", "field": "scope"}]}'::jsonb;
CREATE FUNCTION did(mapping jsonb, payload jsonb) RETURNS TABLE (entity text, action text) LANGUAGE sql
BEGIN ATOMIC
    SELECT a.entity_slug || ' ' || a.unique_identifiers, a.action FROM erp_apply(mapping, 'Changed', payload) AS a;
END;
CREATE VIEW meters AS
    SELECT readable(attributes) AS meter, stub, deleted_at IS NOT NULL AS is_deleted FROM meter ORDER BY number, serial;
CREATE VIEW contracts AS
    SELECT readable(attributes) AS contract, deleted_at IS NOT NULL AS is_deleted FROM contract ORDER BY number;
-- Every case begins with the same entities, and leaves them.
CREATE PROCEDURE begin_with() LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE contract, meter;
    -- 1 is related to M1 and M2 by its own attributes, to M3 and M4 by theirs; 2 to M5 by both; M6 to none.
    PERFORM erp_apply(sync('delete', of_contract()), 'Changed', '{
        "contract": [{"n": 1, "meters": ["M1"], "spare": ["S2"]}, {"n": 2, "meters": ["M5"]}],
        "meters": [{"n": "M1", "kind": "gas", "place": 1}, {"n": "M2", "serial": "S2", "kind": "gas", "place": 2}, {"n": "M3", "contract": 1, "kind": "power", "place": 1},
                   {"n": "M4", "parent": "M3", "contract": 1, "kind": "gas", "place": 1}, {"n": "M5", "contract": 2, "kind": "gas", "place": 1}, {"n": "M6", "kind": "power", "place": 2}]}');
    -- Deleted already
    PERFORM erp_apply(sync('delete', of_contract()), 'Changed', '{"meters": {"n": "M7", "contract": 1, "kind": "gas", "place": 1}}');
    UPDATE meter SET deleted_at = '2024-01-01' WHERE number = 'M7';
END $$;

-- Related in either direction, by any attribute. Those upserted stay; so do those of others, and those of nobody.
CALL begin_with();
SELECT * FROM did(sync('delete', of_contract()), '{"scope": 1, "meters": [{"n": "M1"}, {"n": "M3", "note": "x"}, {"n": "M9"}]}');
SELECT * FROM meters;
-- What is deleted stays related: again, nothing more happens. An upsert restores.
SELECT * FROM did(sync('delete', of_contract()), '{"scope": "1", "meters": [{"n": "M1"}, {"n": "M3"}, {"n": "M9"}]}');
SELECT deleted_at FROM meter WHERE number = 'M7';
SELECT * FROM did(sync('delete', of_contract()), '{"scope": 1, "meters": [{"n": "M2"}, {"n": "M3"}]}');

-- Purged: also those deleted before; the contract's relations no longer name them.
CALL begin_with();
SELECT * FROM did(sync('purge', of_contract()), '{"scope": 1, "meters": [{"n": "M1"}]}');
SELECT * FROM meters;
SELECT * FROM contracts;
SELECT * FROM did(sync('purge', of_contract()), '{"scope": 1, "meters": [{"n": "M1"}]}');

-- None upserted: all go.
CALL begin_with();
SELECT * FROM did(sync('delete', of_contract()), '{"scope": 1, "meters": []}');
SELECT * FROM did(sync('purge', of_contract()), '{"scope": 1}');
SELECT * FROM meters;

-- The state before the event counts: what the contract ceases to name goes, with what it newly names.
CALL begin_with();
SELECT * FROM did(sync('delete', of_contract()), '{"scope": 1, "contract": {"n": 1, "meters": ["M3"], "spare": []}, "meters": [{"n": "M3"}]}');
SELECT * FROM meters;
SELECT * FROM contracts;
-- What it newly names and did not upsert: never related before, it stays; so does a stub that it makes.
CALL begin_with();
SELECT * FROM did(sync('delete', of_contract()), '{"scope": 1, "contract": {"n": 1, "meters": ["M6", "M10"]}, "meters": []}');
SELECT * FROM contracts;
-- A meter that is moved here stays, one that is moved away is upserted and stays.
CALL begin_with();
SELECT * FROM did(sync('purge', of_contract()), '{"scope": 1, "meters": [{"n": "M5", "contract": 1}, {"n": "M3", "contract": 2}]}');
SELECT * FROM meters;

-- What the event removes by name as well, stub or not, goes once.
CALL begin_with();
SELECT * FROM did(sync('delete', of_contract()), '{"contract": {"n": 1, "meters": ["M1", "M10"]}}');
CREATE FUNCTION sync_and(removal text) RETURNS jsonb LANGUAGE sql
    RETURN changed(sync('purge', of_contract()) #> '{mapping,events,Changed,entities,1}',
        jsonb_build_object('entity_schema', 'meter', 'unique_ids', '["number"]'::jsonb, 'mode', removal, 'jsonataExpression', 'removed',
            'fields', '[{"attribute": "number", "jsonataExpression": "$"}]'::jsonb));
SELECT * FROM did(sync_and('delete'), '{"scope": 1, "removed": ["M10", "M4"], "meters": [{"n": "M2"}, {"n": "M3"}]}');
SELECT * FROM meters;
SELECT * FROM did(sync_and('purge'), '{"scope": 1, "removed": ["M10", "M4"], "meters": [{"n": "M2"}]}');
SELECT * FROM meters;

-- No scope: nothing goes, the rest is done.
CALL begin_with();
SELECT p.payload, d.* FROM unnest(ARRAY['{"meters": {"n": "M1", "note": "a"}}', '{"scope": null, "meters": {"n": "M1", "note": "b"}}', '{"scope": "", "meters": {"n": "M1", "note": "c"}}']::jsonb[]) WITH ORDINALITY AS p(payload, n),
    did(sync('purge', of_contract()), p.payload) AS d ORDER BY n;
SELECT count(*) FROM meter;
-- A scope that is no scalar is an error; an anchor that is not there has nothing related.
SELECT * FROM failure($$ SELECT * FROM did(sync('purge', of_contract()), '{"scope": {}, "meters": {"n": "M1", "note": "never"}}') $$) \gx
SELECT * FROM did(sync('purge', of_contract()), '{"scope": "no such", "meters": {"n": "M1", "note": "d"}}');
SELECT count(*) FROM meter;
-- The anchor is a new contract, a new stub, deleted, or about to go itself.
SELECT * FROM did(sync('purge', of_contract()), '{"scope": 3, "contract": {"n": 3, "meters": ["M1", "M5"]}, "meters": {"n": "M1"}}');
SELECT * FROM did(sync('purge', of_contract()), '{"scope": 4, "meters": {"n": "M1", "contract": 4}}');
UPDATE contract SET deleted_at = now() WHERE number = '2';
SELECT * FROM did(sync('delete', of_contract()), '{"scope": 2, "meters": {"n": "M1"}}');
SELECT * FROM contracts;

-- The event does nothing else: related entities go all the same.
CALL begin_with();
SELECT * FROM did(sync('delete', of_contract()), '{"scope": 2, "meters": {"n": "M6"}}');

-- Anchor and scope of one type: the children of a meter. The anchor goes only if it is its own child.
CREATE FUNCTION children() RETURNS jsonb LANGUAGE sql
    RETURN '{"scope_mode": "relations", "schema": "meter", "unique_ids": [{"attribute": "number", "field": "scope"}]}'::jsonb;
CALL begin_with();
SELECT * FROM did(sync('purge', children()), '{"scope": "M3", "meters": []}');
SELECT * FROM did(sync('purge', children()), '{"scope": "M3", "meters": [{"n": "M1", "parent": "M3"}, {"n": "M2", "parent": "M3"}]}');
SELECT * FROM did(sync('purge', children()), '{"scope": "M3", "meters": [{"n": "M3"}, {"n": "M1"}]}');
SELECT * FROM meters;
SELECT * FROM did(sync('purge', children()), '{"scope": "M6", "meters": [{"n": "M6", "parent": "M6"}]}');
SELECT * FROM did(sync('purge', children()), '{"scope": "M6", "meters": []}');
-- Its parent is related to it as well.
SELECT * FROM did(sync('delete', children()), '{"scope": "M1", "meters": [{"n": "M1"}]}');

-- An anchor that several have
INSERT INTO meter (id, attributes) VALUES (gen_random_uuid(), '{"number": "X1", "serial": "X"}'), (gen_random_uuid(), '{"number": "X2", "serial": "X"}');
CREATE FUNCTION by_serial() RETURNS jsonb LANGUAGE sql
    RETURN '{"scope_mode": "relations", "schema": "meter", "unique_ids": [{"attribute": "serial", "field": "scope"}]}'::jsonb;
SELECT * FROM failure($$ SELECT * FROM did(sync('purge', by_serial()), '{"scope": "X", "meters": [{"n": "X1", "note": "never"}]}') $$) \gx
SELECT attributes FROM meter WHERE number = 'X1';
-- and one by an attribute that is not prepared
SELECT * FROM did(sync('delete', '{"scope_mode": "relations", "schema": "contract", "unique_ids": [{"attribute": "note", "field": "scope"}]}'), '{"contract": {"n": 2, "note": "here"}, "scope": "here", "meters": [{"n": "M6"}]}');
SELECT * FROM failure($$ SELECT * FROM did(sync('delete', '{"scope_mode": "relations", "schema": "contrakt", "unique_ids": [{"attribute": "note", "field": "scope"}]}'), '{"scope": "here"}') $$) \gx

-- Query: all must match, as text; attributes that are prepared or not; of an event with fields in several.
CALL begin_with();
CREATE FUNCTION matching(VARIADIC attributes text[]) RETURNS jsonb LANGUAGE sql
    RETURN jsonb_build_object('scope_mode', 'query', 'query', (SELECT jsonb_agg(jsonb_build_object('attribute', a, 'field', 's_' || a)) FROM unnest(attributes) AS a));
SELECT * FROM did(sync('delete', matching('kind', 'place')), '{"s_kind": "gas", "s_place": "1", "meters": [{"n": "M1"}]}');
SELECT * FROM did(sync('purge', matching('place')), '{"s_place": 2.0, "meters": [{"n": "M10", "place": 2}]}');
SELECT * FROM meters;
SELECT * FROM contracts;
SELECT * FROM did(sync('purge', matching('number')), '{"s_number": "M7"}');
SELECT * FROM did(sync('purge', matching('serial')), '{"s_serial": "S2"}');
SELECT * FROM did(sync('purge', matching('kind', 'number')), '{"s_number": "M5", "s_kind": "power"}');
SELECT * FROM did(sync('purge', matching('kind', 'place')), '{"s_kind": "power", "meters": {"n": "M1", "note": "a"}}');
SELECT state, message FROM failure($$ SELECT * FROM did(sync('purge', matching('kind')), '{"s_kind": ["gas"]}') $$);
-- What the event upserts is out of the scope afterwards or in it: it stays.
SELECT * FROM did(sync('purge', matching('kind')), '{"s_kind": "power", "meters": [{"n": "M3", "kind": "gas"}, {"n": "M1", "kind": "power"}]}');
SELECT * FROM meters;

-- Two prunes of one event: what one upserts or removes the other leaves alone.
CALL begin_with();
SELECT * FROM did(changed(sync('purge', of_contract()) #> '{mapping,events,Changed,entities,1}',
                          jsonb_set(sync('delete', matching('kind')) #> '{mapping,events,Changed,entities,1}', '{jsonataExpression}', '"more"')),
                  '{"scope": 1, "s_kind": "gas", "meters": [{"n": "M1"}], "more": [{"n": "M2", "note": "x"}]}');
SELECT * FROM meters;
CALL begin_with();
SELECT * FROM did(changed(jsonb_set(sync('delete', matching('kind')) #> '{mapping,events,Changed,entities,1}', '{jsonataExpression}', '"more"'),
                          sync('purge', of_contract()) #> '{mapping,events,Changed,entities,1}'),
                  '{"scope": 1, "s_kind": "gas", "meters": [{"n": "M1"}], "more": [{"n": "M2", "note": "x"}]}');
-- A deletion beside a prune
CALL begin_with();
SELECT * FROM did(changed('{"entity_schema": "meter", "mode": "delete", "unique_ids": ["number"], "fields": [{"attribute": "number", "constant": "M1"}]}'::jsonb,
                          '{"entity_schema": "contract", "mode": "purge", "unique_ids": ["number"], "fields": [{"attribute": "number", "constant": 1}]}'::jsonb,
                          sync('purge', of_contract()) #> '{mapping,events,Changed,entities,1}'), '{"scope": 1, "meters": {"n": "M2"}}');
SELECT * FROM meters;
SELECT * FROM contracts;

-- max_prune: at most so many of one event, or nothing of it.
CALL begin_with();
SET erp_toolkit.max_prune = 2;
SELECT * FROM failure($$ SELECT * FROM did(sync('delete', of_contract()), '{"scope": 1, "meters": [{"n": "M1", "note": "never"}]}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM did(sync('purge', matching('kind')), '{"s_kind": "gas"}') $$) \gx
SELECT * FROM meters;
SELECT * FROM did(sync('delete', of_contract()), '{"scope": 1, "meters": [{"n": "M1"}, {"n": "M2"}]}');
SELECT event, action, unique_identifiers, error
FROM erp_apply_batch(sync('purge', matching('kind')), 'Changed', ARRAY['{"s_kind": "gas"}', '{"s_kind": "power"}', '{"s_kind": "power"}']::jsonb[], 'continue');
SELECT state, message, detail FROM failure($$ SELECT * FROM erp_apply_batch(sync('purge', matching('kind')), 'Changed', ARRAY['{}', '{"s_kind": "gas"}']::jsonb[]) $$);
SET erp_toolkit.max_prune = 0;
SELECT state, message FROM failure($$ SELECT * FROM did(sync('purge', matching('number')), '{"s_number": "M1"}') $$);
SELECT state, message FROM failure($$ SELECT * FROM did(changed('{"entity_schema": "meter", "mode": "purge", "unique_ids": ["number"], "fields": [{"attribute": "number", "constant": "M1"}]}'::jsonb), '{}') $$);
SELECT * FROM did(changed('{"entity_schema": "meter", "mode": "delete", "unique_ids": ["number"], "fields": [{"attribute": "number", "constant": "M1"}]}'::jsonb), '{}');
SELECT * FROM did(sync('purge', matching('number')), '{"s_number": "no such", "meters": {"n": "M8"}}');
RESET erp_toolkit.max_prune;
SET erp_toolkit.max_prune = -2;

-- A batch prunes in order: each event sees what those before it did.
CALL begin_with();
SELECT event, action, unique_identifiers
FROM erp_apply_batch(sync('purge', of_contract()), 'Changed', ARRAY[
    '{"scope": 1, "meters": [{"n": "M1"}, {"n": "M8", "contract": 1}]}', '{"scope": 1, "meters": [{"n": "M8"}]}', '{"scope": 1, "meters": [{"n": "M1", "contract": 1}]}',
    '{"scope": 2, "meters": []}', '{"scope": 2, "meters": []}', '{"scope": 1, "meters": [{"n": "M8"}]}']::jsonb[]);
SELECT * FROM meters;
SELECT * FROM contracts;

-- What the user's triggers keep is not said to have gone, and stays linked to.
CALL begin_with();
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE DELETE OR UPDATE ON meter FOR EACH ROW WHEN (OLD.number = 'M2') EXECUTE FUNCTION keep();
SELECT * FROM did(sync('delete', of_contract()), '{"scope": 1, "meters": [{"n": "M1"}]}');
SELECT * FROM did(sync('purge', of_contract()), '{"scope": 1, "meters": [{"n": "M1"}]}');
SELECT * FROM contracts;

-- In a large table the scope, and what names the purged, are found through indexes.
DROP TRIGGER keep ON meter;
TRUNCATE contract, meter;
INSERT INTO contract (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('number', n) FROM generate_series(1, 2000) AS n;
INSERT INTO meter (id, attributes)
SELECT gen_random_uuid(), jsonb_build_object('number', 'M' || n, 'contract', jsonb_build_object('$relation', jsonb_build_array(jsonb_build_object('entity_id', c.id, '_schema', 'contract'))))
FROM generate_series(1, 20000) AS n JOIN contract AS c ON c.number = (n % 2000 + 1)::text;
UPDATE contract SET attributes = attributes || jsonb_build_object('meters', jsonb_build_object('$relation', (
    SELECT jsonb_agg(jsonb_build_object('entity_id', m.id, '_schema', 'meter')) FROM meter AS m WHERE m.number = 'M' || contract.number)));
CREATE TABLE scans AS SELECT relname, seq_scan FROM pg_stat_xact_user_tables WITH NO DATA;
BEGIN;
INSERT INTO scans SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname IN ('meter', 'contract');
SELECT count(*), min(action) FROM did(sync('purge', of_contract()), '{"scope": 7, "meters": [{"n": "M6"}]}');
SELECT count(*), min(action) FROM did(sync('delete', of_contract()), '{"scope": 8, "meters": [{"n": "M7"}]}');
SELECT count(*), min(action) FROM did(sync('purge', matching('serial')), '{"s_serial": "no such"}');
SELECT action FROM did(changed('{"entity_schema": "contract", "mode": "purge", "unique_ids": ["number"], "fields": [{"attribute": "number", "constant": 9}]}'::jsonb), '{}');
SELECT count(*) FROM did(changed('{"entity_schema": "contract", "mode": "delete", "unique_ids": ["number"], "fields": [{"attribute": "number", "constant": 10}]}'::jsonb), '{}');
SELECT relname, s.seq_scan - b.seq_scan AS seq_scans FROM pg_stat_xact_user_tables AS s JOIN scans AS b USING (relname) ORDER BY relname;
ROLLBACK;
-- Also in the plans that a session keeps.
BEGIN;
INSERT INTO scans SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname IN ('meter', 'contract');
SELECT count(*) FROM generate_series(101, 120) AS n, did(sync('purge', of_contract()), jsonb_build_object('scope', n));
SELECT relname, s.seq_scan - b.seq_scan AS seq_scans FROM pg_stat_xact_user_tables AS s JOIN scans AS b USING (relname) ORDER BY relname;
COMMIT;

CALL forget('apply_prune');
