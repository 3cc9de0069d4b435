-- Relations of registered tables: in foreign keys and in jsonb, to themselves and in circles; prunes and purges over them.
SET client_min_messages = warning;
CREATE SCHEMA tables_relations;
SET search_path = tables_relations, public;
CREATE TABLE person (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no text UNIQUE, name text, boss int REFERENCES person, data jsonb, deleted_at timestamptz);
CREATE TABLE deal (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), code text NOT NULL UNIQUE, owner int REFERENCES person, data jsonb, deleted_at timestamptz);
CREATE TABLE item (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no text UNIQUE, deal_id uuid NOT NULL REFERENCES deal, next int REFERENCES item, deleted_at timestamptz);
-- Two tables that refer to each other
CREATE TABLE egg (no text PRIMARY KEY, hen text);
CREATE TABLE hen (no text PRIMARY KEY, egg text REFERENCES egg);
ALTER TABLE egg ADD FOREIGN KEY (hen) REFERENCES hen;
SELECT erp_register_entity('person', 'person', '{no}', attributes_column => 'data', deleted_at_column => 'deleted_at', relations => '{"boss": {"column": "boss", "entity_schema": "person"}}');
SELECT erp_register_entity('deal', 'deal', '{code}', attributes_column => 'data', deleted_at_column => 'deleted_at', relations => '{"owner": {"column": "owner", "entity_schema": "person"}}');
SELECT erp_register_entity('item', 'item', '{no}', deleted_at_column => 'deleted_at',
    relations => '{"deal": {"column": "deal_id", "entity_schema": "deal"}, "next": {"column": "next", "entity_schema": "item"}}');
SELECT erp_register_entity('egg', 'egg', '{no}');
SELECT erp_register_entity('hen', 'hen', '{no}', relations => '{"egg": {"column": "egg", "entity_schema": "egg"}}');
SELECT erp_register_entity('egg', 'egg', relations => '{"hen": {"column": "hen", "entity_schema": "hen"}}');
SELECT erp_create_entity('tag', '{word}');

-- One field of the mapping: plain, or a relation "slug.attribute[.operation]" to the entities that the payload's field names.
CREATE FUNCTION field(name text, relation text) RETURNS jsonb LANGUAGE sql
    RETURN CASE WHEN relation IS NULL THEN jsonb_build_object('attribute', name, 'field', name)
        ELSE jsonb_build_object('attribute', name, 'relations', jsonb_strip_nulls(jsonb_build_object(
            'operation', nullif(split_part(relation, '.', 3), ''),
            'jsonataExpression', format('$map($type($lookup($, "%1$s")) = "array" ? $lookup($, "%1$s") : [$lookup($, "%1$s")], function($v) {{"entity_schema": "%2$s", "unique_ids": [{"attribute": "%3$s", "constant": $v}]}})',
                name, split_part(relation, '.', 1), split_part(relation, '.', 2))))) END;
CREATE FUNCTION entry(slug text, key text, fields jsonb, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql
    RETURN jsonb_build_object('entity_schema', slug, 'unique_ids', jsonb_build_array(key), 'fields', (SELECT jsonb_agg(field(f.key, f.value #>> '{}') ORDER BY f.key) FROM jsonb_each(fields) AS f)) || more;
CREATE FUNCTION person(more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql
    RETURN entry('person', 'no', '{"no": null, "name": null, "boss": "person.no", "friends": "person.no._append_unique", "tags": "tag.word"}', more);
CREATE FUNCTION deal(more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql RETURN entry('deal', 'code', '{"code": null, "owner": "person.no", "tags": "tag.word"}', more);
CREATE FUNCTION item(more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql RETURN entry('item', 'no', '{"no": null, "deal": "deal.code", "next": "item.no"}', more);
CREATE FUNCTION run(entries jsonb[], event jsonb) RETURNS TABLE (slug text, action text, keys jsonb) LANGUAGE sql
    BEGIN ATOMIC SELECT a.entity_slug, a.action, a.unique_identifiers FROM erp_apply(changed(VARIADIC entries), 'Changed', event) AS a; END;
CREATE VIEW people AS SELECT p.no, p.name, b.no AS boss, readable(jsonb_path_query_array(p.data, '$.*."$relation"[*].entity_id')) AS links, p.deleted_at IS NOT NULL AS deleted FROM person AS p LEFT JOIN person AS b ON b.id = p.boss ORDER BY p.no;
CREATE VIEW deals AS SELECT d.code, p.no AS owner, readable(d.data) AS data, d.deleted_at IS NOT NULL AS deleted FROM deal AS d LEFT JOIN person AS p ON p.id = d.owner ORDER BY d.code;
CREATE VIEW lines AS SELECT l.no, d.code AS deal, n.no AS next, l.deleted_at IS NOT NULL AS deleted FROM item AS l JOIN deal AS d ON d.id = l.deal_id LEFT JOIN item AS n ON n.id = l.next ORDER BY l.no;
RESET client_min_messages;

-- To itself, by a foreign key: stubs, chains, one that names itself
SELECT * FROM run(ARRAY[person()], '{"no": 1, "name": "Ann", "boss": 2}');
SELECT * FROM run(ARRAY[person()], '{"no": 2, "name": "Bob", "boss": "2"}');
SELECT * FROM run(ARRAY[person()], '{"no": 3, "boss": 4}');
TABLE people;
-- Unchanged; another; cleared by an empty list; left alone if missing
SELECT xmin AS version FROM person WHERE no = '1' \gset
SELECT * FROM run(ARRAY[person()], '{"no": "1", "boss": 2}');
SELECT xmin = :'version' AS same FROM person WHERE no = '1';
SELECT * FROM run(ARRAY[person()], '{"no": 1, "boss": 3}');
SELECT * FROM run(ARRAY[person()], '{"no": 1}');
SELECT * FROM erp_apply(changed('{"entity_schema": "person", "unique_ids": ["no"], "fields": [{"attribute": "no", "constant": 1}, {"attribute": "boss", "relations": {"items": []}}]}'), 'Changed', '{}');
TABLE people;
-- In jsonb: several, appended, to managed entities too
SELECT * FROM run(ARRAY[person()], '{"no": 1, "friends": [2, 5], "tags": ["x", "y"]}');
SELECT * FROM run(ARRAY[person()], '{"no": 1, "friends": [5, 1], "tags": "x"}');
SELECT * FROM run(ARRAY[person()], '{"no": 1, "friends": [5, 1], "tags": "x"}');
TABLE people;
SELECT readable(attributes) FROM erp_find('person', '{"no": 3}');
-- What a foreign key cannot keep
SELECT * FROM failure($$ SELECT run(ARRAY[deal()], '{"code": "D", "owner": [1, 2]}') $$) \gx
SELECT * FROM failure($$ SELECT run(ARRAY[entry('deal', 'code', '{"code": null, "owner": "person.no._append"}')], '{"code": "D", "owner": 1}') $$) \gx
SELECT * FROM failure($$ SELECT run(ARRAY[entry('deal', 'code', '{"code": null, "owner": "tag.word"}')], '{"code": "D", "owner": "x"}') $$) \gx
SELECT * FROM failure($$ SELECT run(ARRAY[entry('deal', 'code', '{"code": null, "owner": null}')], '{"code": "D", "owner": 1}') $$) \gx
SELECT * FROM failure($$ SELECT run(ARRAY[entry('deal', 'code', '{"code": null, "owner": null}')], '{"code": "D", "owner": null}') $$) \gx
SELECT * FROM failure($$ SELECT erp_apply(changed('{"entity_schema": "deal", "unique_ids": ["code"], "fields": [{"attribute": "code", "constant": "D"},
    {"attribute": "owner", "relations": {"items": [{"entity_schema": "person", "_tags": ["A"], "unique_ids": [{"attribute": "no", "constant": 1}]}]}}]}'), 'Changed', '{}') $$) \gx
SELECT * FROM failure($$ SELECT run(ARRAY[entry('item', 'no', '{"no": null, "other": "tag.word"}')], '{"no": 1, "other": "x"}') $$) \gx
-- A resolved relation is checked, and kept.
SELECT * FROM run(ARRAY[entry('deal', 'code', '{"code": null, "owner": null}')], '{"code": "D", "owner": {"$relation": [{"entity_id": "3", "_schema": "person"}]}}');
SELECT * FROM failure($$ SELECT run(ARRAY[entry('deal', 'code', '{"code": null, "owner": null}')], '{"code": "D", "owner": {"$relation": [{"entity_id": "999", "_schema": "person"}]}}') $$) \gx
TABLE deals;

-- A stub that its table refuses: a column that must not be null
SELECT * FROM failure($$ SELECT run(ARRAY[item()], '{"no": "L0", "next": "L9", "deal": "D"}') $$) \gx
SELECT * FROM failure($$ SELECT run(ARRAY[item()], '{"no": "L0"}') $$) \gx
-- Several tables in one event, in whatever order the entries stand: what is referred to is written first.
SELECT * FROM run(ARRAY[item('{"jsonataExpression": "lines.{\"no\": $, \"deal\": %.code}"}'), deal(), person('{"jsonataExpression": "{\"no\": owner, \"name\": name}"}')],
    '{"code": "E", "owner": 7, "name": "Gus", "lines": ["L1", "L2"]}');
SELECT * FROM run(ARRAY[item()], '{"no": "L1", "next": "L2"}');
-- A circle in one table, made at once
SELECT * FROM run(ARRAY[item('{"jsonataExpression": "lines"}')], '{"lines": [{"no": "L3", "deal": "E"}, {"no": "L4", "deal": "E"}]}');
SELECT * FROM run(ARRAY[item('{"jsonataExpression": "lines"}')], '{"lines": [{"no": "L3", "next": "L4"}, {"no": "L4", "next": "L3"}]}');
SELECT * FROM run(ARRAY[person('{"jsonataExpression": "people"}')], '{"people": [{"no": 20, "boss": 21}, {"no": 21, "boss": 20}]}');
TABLE lines;
SELECT no, boss FROM people WHERE no IN ('20', '21');
-- A circle of two tables: each exists first, then they refer to each other.
SELECT * FROM run(ARRAY[entry('hen', 'no', '{"no": null}')], '{"no": "h1"}');
SELECT * FROM run(ARRAY[entry('egg', 'no', '{"no": null, "hen": "hen.no"}')], '{"no": "e1", "hen": "h1"}');
SELECT * FROM run(ARRAY[entry('hen', 'no', '{"no": null, "egg": "egg.no"}')], '{"no": "h1", "egg": "e1"}');
SELECT * FROM run(ARRAY[entry('hen', 'no', '{"no": null, "egg": "egg.no"}')], '{"no": "h3", "egg": "e3"}');
TABLE hen;
TABLE egg;
-- In a circle one table has to be first: a new row of it cannot refer to a new one of the other, unless its foreign key waits for the commit.
SELECT state, message FROM failure($$ SELECT run(ARRAY[entry('egg', 'no', '{"no": null, "hen": "hen.no"}')], '{"no": "e2", "hen": "h2"}') $$);
SELECT state, message FROM failure($$ SELECT run(ARRAY[entry('hen', 'no', '{"no": null, "egg": "egg.no"}', '{"jsonataExpression": "{\"no\": h, \"egg\": e}"}'),
    entry('egg', 'no', '{"no": null, "hen": "hen.no"}', '{"jsonataExpression": "{\"no\": e, \"hen\": h}"}')], '{"h": "h4", "e": "e4"}') $$);
ALTER TABLE egg ALTER CONSTRAINT egg_hen_fkey DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE hen ALTER CONSTRAINT hen_egg_fkey DEFERRABLE INITIALLY DEFERRED;
SELECT * FROM run(ARRAY[entry('hen', 'no', '{"no": null, "egg": "egg.no"}', '{"jsonataExpression": "{\"no\": h, \"egg\": e}"}'),
    entry('egg', 'no', '{"no": null, "hen": "hen.no"}', '{"jsonataExpression": "{\"no\": e, \"hen\": h}"}')], '{"h": "h4", "e": "e4"}');
SELECT * FROM egg WHERE no = 'e4';

-- on_missing: skip leaves the column as it is, error fails.
UPDATE erp.entity_type SET on_missing = 'skip' WHERE slug = 'person';
SELECT * FROM run(ARRAY[deal()], '{"code": "F", "owner": "nobody"}');
SELECT * FROM run(ARRAY[deal()], '{"code": "E", "owner": "nobody"}');
SELECT * FROM run(ARRAY[person()], '{"no": 1, "friends": ["nobody", 7]}');
UPDATE erp.entity_type SET on_missing = 'error' WHERE slug = 'person';
SELECT * FROM failure($$ SELECT run(ARRAY[deal()], '{"code": "G", "owner": "nobody"}') $$) \gx
UPDATE erp.entity_type SET on_missing = 'create' WHERE slug = 'person';
TABLE deals;
-- A batch in which some events fail
SELECT event, entity_slug, action, error ->> 'sqlstate' AS state FROM erp_apply_batch(changed(item()), 'Changed', ARRAY[
    '{"no": "L5", "deal": "E"}', '{"no": "L6"}', '{"no": "L7", "deal": "H", "next": "L5"}', '{"no": "L8", "deal": "H", "next": "L99"}', '{"no": "L6", "deal": ["E", "F"]}', '{"no": "L6", "deal": "E"}']::jsonb[], 'continue');
TABLE lines;

-- Prunes. The anchor is what a foreign key leads to: the lines of a deal that the event does not bring.
CREATE FUNCTION lines_of(mode text) RETURNS jsonb LANGUAGE sql RETURN item(jsonb_build_object('mode', mode, 'jsonataExpression', 'lines.{"no": $, "deal": %.code}',
    'scope', '{"scope_mode": "relations", "schema": "deal", "unique_ids": [{"attribute": "code", "field": "code"}]}'::jsonb));
SELECT * FROM run(ARRAY[lines_of('upsert-prune-scope-delete')], '{"code": "E", "lines": ["L1", "L10"]}');
TABLE lines;
SELECT * FROM run(ARRAY[lines_of('upsert-prune-scope-delete')], '{"code": "E", "lines": ["L1", "L10"]}');
SELECT state, message FROM failure($$ SELECT run(ARRAY[lines_of('upsert-prune-scope-purge')], '{"code": "E", "lines": ["L1"]}') $$);
UPDATE item SET next = NULL;
SELECT * FROM run(ARRAY[lines_of('upsert-prune-scope-purge')], '{"code": "E", "lines": ["L1"]}');
TABLE lines;
SELECT * FROM run(ARRAY[lines_of('upsert-prune-scope-purge')], '{"code": "none", "lines": []}');
SELECT * FROM run(ARRAY[lines_of('upsert-prune-scope-purge')], '{"lines": []}');
-- The other direction: the anchor has the foreign key. The owners of deal E that the event does not bring
SELECT * FROM run(ARRAY[person('{"mode": "upsert-prune-scope-delete", "jsonataExpression": "{\"no\": 8}", "scope": {"scope_mode": "relations", "schema": "deal", "unique_ids": [{"attribute": "code", "constant": "E"}]}}')], '{}');
SELECT no, deleted FROM people WHERE no IN ('7', '8');
-- By jsonb, from either side
SELECT * FROM run(ARRAY[person()], '{"no": 8, "friends": [7], "tags": ["x"]}');
SELECT * FROM run(ARRAY[entry('tag', 'word', '{"word": null}', '{"mode": "upsert-prune-scope-delete", "jsonataExpression": "{\"word\": \"z\"}", "scope": {"scope_mode": "relations", "schema": "person", "unique_ids": [{"attribute": "no", "constant": 8}]}}')], '{}');
SELECT * FROM run(ARRAY[person('{"mode": "upsert-prune-scope-delete", "jsonataExpression": "[]", "scope": {"scope_mode": "relations", "schema": "tag", "unique_ids": [{"attribute": "word", "constant": "x"}]}}')], '{}');
-- By values: columns and what is in jsonb
SELECT * FROM run(ARRAY[deal('{"mode": "upsert-prune-scope-delete", "jsonataExpression": "[]", "scope": {"scope_mode": "query", "query": [{"attribute": "code", "constant": "F"}]}}')], '{}');
SELECT * FROM erp_apply(changed('{"entity_schema": "person", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}, {"attribute": "level", "field": "level"}]}'), 'Changed', '{"no": 30, "level": 1.0}');
SELECT * FROM run(ARRAY[person('{"mode": "upsert-prune-scope-purge", "jsonataExpression": "[]", "scope": {"scope_mode": "query", "query": [{"attribute": "level", "constant": "1"}]}}')], '{}');
TABLE people;
TABLE deals;

-- A purge: jsonb loses the items; a foreign key does what it says.
CREATE TABLE keeper (no text PRIMARY KEY);
CREATE TABLE restricts (no text PRIMARY KEY, k text REFERENCES keeper ON DELETE RESTRICT);
CREATE TABLE nulls (no text PRIMARY KEY, k text REFERENCES keeper ON DELETE SET NULL);
CREATE TABLE defaults (no text PRIMARY KEY, k text DEFAULT 'spare' REFERENCES keeper ON DELETE SET DEFAULT);
CREATE TABLE cascades (no text PRIMARY KEY, k text REFERENCES keeper ON DELETE CASCADE);
CREATE TABLE links (no text PRIMARY KEY, k jsonb, data jsonb);
SELECT erp_register_entity('keeper', 'keeper', '{no}');
SELECT erp_register_entity('links', 'links', '{no}', attributes_column => 'data');
SELECT erp_register_entity(t, t::regclass, '{no}', relations => '{"k": {"column": "k", "entity_schema": "keeper"}}') FROM unnest('{restricts,nulls,defaults,cascades}'::text[]) AS t;
INSERT INTO keeper VALUES ('spare');
SELECT t, run(ARRAY[entry(t, 'no', '{"no": null, "k": "keeper.no", "l": "keeper.no"}' - CASE t WHEN 'links' THEN '' ELSE 'l' END)], jsonb_build_object('no', 1, 'k', '["k1"]'::jsonb, 'l', '["k1", "k2", "k3"]'::jsonb))
FROM unnest('{restricts,nulls,defaults,cascades,links}'::text[]) AS t;
CREATE FUNCTION purge(slug text, key text, no text) RETURNS TABLE (slug text, action text, keys jsonb) LANGUAGE sql
    BEGIN ATOMIC SELECT * FROM run(ARRAY[entry(slug, key, jsonb_build_object(key, null), '{"mode": "purge"}')], jsonb_build_object(key, no)); END;
SELECT state, message FROM failure($$ SELECT purge('keeper', 'no', 'k1') $$);
SELECT * FROM purge('restricts', 'no', '1');
SELECT * FROM purge('keeper', 'no', 'k1');
SELECT 'nulls' AS t, * FROM nulls UNION ALL SELECT 'defaults', * FROM defaults UNION ALL SELECT 'cascades', * FROM cascades;
TABLE links;
SELECT * FROM purge('keeper', 'no', 'k1');
-- Purged together: what refers goes before what is referred to, whichever entry comes first.
INSERT INTO restricts VALUES ('2', 'k2');
SELECT * FROM run(ARRAY[entry('keeper', 'no', '{"no": null}', '{"mode": "purge", "jsonataExpression": "{\"no\": \"k2\"}"}'), entry('restricts', 'no', '{"no": null}', '{"mode": "purge", "jsonataExpression": "{\"no\": 2}"}')], '{}');
TABLE links;
-- A table whose foreign keys say nothing
SELECT state, message FROM failure($$ SELECT purge('deal', 'code', 'E') $$);
-- The recycle bin: what a foreign key keeps fails the call.
UPDATE deal SET owner = NULL WHERE code <> 'H';
UPDATE deal SET owner = p.id FROM person AS p WHERE code = 'H' AND no = '1';
SELECT (SELECT count(*) FROM person WHERE deleted_at IS NOT NULL) AS persons, (SELECT count(*) FROM deal WHERE deleted_at IS NOT NULL) AS deals, (SELECT count(*) FROM item WHERE deleted_at IS NOT NULL) AS items;
SELECT state, message FROM failure($$ SELECT erp_purge_deleted('0') $$);
UPDATE deal SET owner = NULL;
SELECT erp_purge_deleted('1 day');
SELECT erp_purge_deleted('0', 1);
SELECT erp_purge_deleted('0') > 0 AS purged;
SELECT (SELECT count(*) FROM person WHERE deleted_at IS NOT NULL) AS persons, (SELECT count(*) FROM deal WHERE deleted_at IS NOT NULL) AS deals, (SELECT count(*) FROM item WHERE deleted_at IS NOT NULL) AS lines;
TABLE people;
-- Without a column for it nothing can be deleted softly; purging can be.
SELECT * FROM failure($$ SELECT run(ARRAY[entry('egg', 'no', '{"no": null}', '{"mode": "delete"}')], '{"no": "e4"}') $$) \gx
SELECT * FROM failure($$ SELECT run(ARRAY[entry('egg', 'no', '{"no": null}', '{"mode": "upsert-prune-scope-delete", "scope": {"scope_mode": "query", "query": [{"attribute": "no", "constant": "x"}]}}')], '{"no": "e4"}') $$) \gx

SET client_min_messages = warning;
CALL forget('tables_relations');
