-- Modes delete and purge: what goes, what is left of it, what brings it back.
CREATE SCHEMA apply_modes;
SET search_path = apply_modes, public;
-- The planner takes the functions below, inlined, for expensive.
SET jit = off;
SELECT erp_create_entity('contact', ARRAY['number']);
SELECT erp_create_entity('contact', ARRAY['email'], for_upsert => false);
SELECT erp_create_entity('contract', ARRAY['number']);

-- An entry of constants; links: {attribute: [{slug: {key: value}}, …]}.
CREATE FUNCTION entry(mode text, slug text, attributes jsonb, links jsonb DEFAULT '{}', unique_ids jsonb DEFAULT '["number"]') RETURNS jsonb LANGUAGE sql
    RETURN jsonb_build_object('mode', mode, 'entity_schema', slug, 'unique_ids', unique_ids, 'fields',
        (SELECT coalesce(jsonb_agg(jsonb_build_object('attribute', key, 'constant', value) ORDER BY key), '[]') FROM jsonb_each(attributes))
        || (SELECT coalesce(jsonb_agg(jsonb_build_object('attribute', key, 'relations', jsonb_build_object('items', (
                SELECT jsonb_agg(jsonb_build_object('entity_schema', k.key, 'unique_ids', (
                    SELECT jsonb_agg(jsonb_build_object('attribute', i.key, 'constant', i.value)) FROM jsonb_each(k.value) AS i)) ORDER BY n)
                FROM jsonb_array_elements(l.value) WITH ORDINALITY AS u(item, n), jsonb_each(item) AS k))) ORDER BY key), '[]')
            FROM jsonb_each(links) AS l));
-- What one event of these entries does.
CREATE FUNCTION did(VARIADIC entries jsonb[]) RETURNS TABLE (entity text, action text) LANGUAGE sql
BEGIN ATOMIC
    SELECT a.entity_slug || ' ' || a.unique_identifiers, a.action FROM erp_apply(changed(VARIADIC entries), 'Changed', '{}') AS a;
END;
CREATE VIEW contacts AS
    SELECT readable(attributes) AS contact, stub, deleted_at IS NOT NULL AS is_deleted FROM contact ORDER BY number, email;
CREATE VIEW contracts AS
    SELECT readable(attributes) AS contract, deleted_at IS NOT NULL AS is_deleted FROM contract ORDER BY number;

-- Deleted: marked, with all it has, and the relations to it; once. Restored by an upsert.
SELECT * FROM did(entry('upsert', 'contract', '{"number": 1}', '{"owner": [{"contact": {"number": 1}}], "payer": [{"contact": {"email": "a"}}]}'),
                  entry('upsert', 'contact', '{"number": 1, "name": "Ann"}'));
SELECT * FROM did(entry('delete', 'contact', '{"number": "1", "name": "not looked at"}'));
SELECT * FROM contacts;
SELECT * FROM contracts;
SELECT deleted_at = now() AS deleted_now, updated_at = now() AS updated_now, created_at < now() AS created_before FROM contact WHERE number = '1';
SELECT xmin AS old_xmin, deleted_at AS old_deleted_at FROM contact WHERE number = '1' \gset
SELECT * FROM did(entry('delete', 'contact', '{"number": 1}'));
SELECT xmin = :'old_xmin' AND deleted_at = :'old_deleted_at' AS is_the_same_version FROM contact WHERE number = '1';
SELECT * FROM did(entry('delete', 'contact', '{"number": "no such"}'));
SELECT * FROM did(entry('upsert', 'contact', '{"number": 1}'));
SELECT * FROM contacts;

-- The id is the row's.
SELECT a.entity_id = c.id::text AS is_its_id FROM contact AS c, erp_apply(changed(entry('delete', 'contact', '{"number": 1}')), 'Changed', '{}') AS a WHERE c.number = '1';

-- A stub is deleted by the key it is known by; linked to it stays a stub, completed it is there again.
SELECT * FROM did(entry('delete', 'contact', '{"email": "a"}', '{}', '["email"]'));
SELECT * FROM did(entry('upsert', 'contract', '{"number": 2}', '{"payer": [{"contact": {"email": "a"}}]}'));
SELECT * FROM contacts WHERE stub;
SELECT * FROM did(entry('upsert', 'contact', '{"number": 2, "email": "a"}'));
SELECT * FROM contacts;

-- Purged: gone, and with it the items that name it; other items, tags and empty relations stay. Again: nothing.
SELECT * FROM did(entry('upsert', 'contract', '{"number": 3}', '{"all": [{"contact": {"number": 1}}, {"contact": {"number": 2}}, {"contact": {"number": 1}}], "one": [{"contact": {"number": 1}}]}'));
UPDATE contract SET attributes = jsonb_set(attributes, '{all,$relation,1,_tags}', '["T"]') || '{"text": "kept", "data": {"$relation": "no list"}}' WHERE number = '3';
SELECT id AS purged FROM contact WHERE number = '1' \gset
SELECT a.entity_id = :'purged' AS is_its_id, action FROM erp_apply(changed(entry('purge', 'contact', '{"number": 1}')), 'Changed', '{}') AS a;
SELECT * FROM contacts;
SELECT * FROM contracts;
SELECT number, links @> to_jsonb(:'purged'::text) AS names_it, updated_at = created_at AS is_new FROM contract ORDER BY number;
SELECT * FROM did(entry('purge', 'contact', '{"number": 1}'));
-- What is purged is another one afterwards.
SELECT * FROM did(entry('upsert', 'contact', '{"number": 1}'));
SELECT id <> :'purged' AS is_another, attributes FROM contact WHERE number = '1';

-- Purged also when it is deleted, or a stub; the items go out of deleted entities as well.
SELECT * FROM did(entry('upsert', 'contract', '{"number": 4}', '{"owner": [{"contact": {"number": 1}}], "payer": [{"contact": {"email": "b"}}]}'));
SELECT * FROM did(entry('delete', 'contract', '{"number": 4}'), entry('delete', 'contact', '{"number": 1}'));
SELECT * FROM did(entry('purge', 'contact', '{"number": 1}'), entry('purge', 'contact', '{"email": "b"}', '{}', '["email"]'));
SELECT * FROM contracts WHERE is_deleted;

-- An entity that links to itself, and two that link to each other
SELECT * FROM did(entry('upsert', 'contact', '{"number": 5}', '{"manager": [{"contact": {"number": 5}}]}'),
                  entry('upsert', 'contact', '{"number": 6}', '{"manager": [{"contact": {"number": 7}}]}'),
                  entry('upsert', 'contact', '{"number": 7}', '{"manager": [{"contact": {"number": 6}}]}'));
SELECT * FROM did(entry('purge', 'contact', '{"number": 5}'), entry('purge', 'contact', '{"number": 6}'));
SELECT * FROM contacts WHERE contact ->> 'number' IN ('5', '6', '7');
SELECT * FROM did(entry('purge', 'contact', '{"number": 7}'));

-- Entries in order, of one entity
SELECT * FROM did(entry('upsert', 'contact', '{"number": 8, "name": "a"}'), entry('delete', 'contact', '{"number": 8}'));
SELECT * FROM contacts WHERE contact ->> 'number' = '8';
SELECT * FROM did(entry('upsert', 'contact', '{"number": 8}'), entry('delete', 'contact', '{"number": 8}'));
SELECT * FROM did(entry('upsert', 'contact', '{"number": 8, "name": "b"}'));
-- Nothing to change, then deleted
SELECT * FROM did(entry('upsert', 'contact', '{"number": 8, "name": "b"}'), entry('delete', 'contact', '{"number": 8}'));
SELECT * FROM contacts WHERE contact ->> 'number' = '8';
SELECT * FROM did(entry('delete', 'contact', '{"number": 8}'), entry('upsert', 'contact', '{"number": 8, "name": "c"}'));
SELECT * FROM did(entry('delete', 'contact', '{"number": 8}'), entry('upsert', 'contact', '{"number": 8, "name": "d"}'));
SELECT * FROM contacts WHERE contact ->> 'number' = '8';
SELECT * FROM did(entry('delete', 'contact', '{"number": 8}'), entry('delete', 'contact', '{"number": 8}'), entry('purge', 'contact', '{"number": 8}'), entry('purge', 'contact', '{"number": 8}'));
SELECT * FROM contacts WHERE contact ->> 'number' = '8';
SELECT * FROM did(entry('upsert', 'contact', '{"number": 9, "name": "a"}'), entry('purge', 'contact', '{"number": 9}'));
SELECT count(*) FROM contact WHERE number = '9';

-- Linked to by the event that removes it
SELECT * FROM did(entry('upsert', 'contact', '{"number": 10}'));
SELECT * FROM did(entry('delete', 'contact', '{"number": 10}'), entry('upsert', 'contract', '{"number": 10}', '{"owner": [{"contact": {"number": 10}}]}'));
SELECT * FROM contracts WHERE contract ->> 'number' = '10';
SELECT * FROM did(entry('purge', 'contact', '{"number": 10}'), entry('upsert', 'contract', '{"number": 10, "name": "x"}', '{"owner": [{"contact": {"number": 10}}]}'));
SELECT * FROM contracts WHERE contract ->> 'number' = '10';

-- Identifiers: missing, null and "" remove nothing, and are an error; so is what several entities have.
SELECT mode, i.identifiers, f.*
FROM unnest('{delete,purge}'::text[]) AS mode, unnest(ARRAY['{}', '{"number": null}', '{"number": ""}', '{"number": []}']::jsonb[]) WITH ORDINALITY AS i(identifiers, n),
     failure(format('SELECT * FROM erp_apply(%L, %L, %L)', changed(entry(mode, 'contact', i.identifiers)), 'Changed', '{}')) AS f
ORDER BY mode, n;
SELECT * FROM did(entry('upsert', 'contact', '{"number": 11, "email": "c"}'), entry('upsert', 'contact', '{"number": 12, "email": "c"}'));
SELECT mode, f.*
FROM unnest('{delete,purge}'::text[]) AS mode,
     failure(format('SELECT * FROM erp_apply(%L, %L, %L)', changed(entry(mode, 'contact', '{"email": "c"}', '{}', '["email"]')), 'Changed', '{}')) AS f \gx
-- One of them deleted: the other is meant. Both deleted: neither can be told.
SELECT * FROM did(entry('delete', 'contact', '{"number": 11}'));
SELECT * FROM did(entry('delete', 'contact', '{"email": "c"}', '{}', '["email"]'));
SELECT * FROM contacts WHERE contact ->> 'email' = 'c';
SELECT state FROM failure($$ SELECT * FROM did(entry('delete', 'contact', '{"email": "c"}', '{}', '["email"]')) $$);
SELECT state FROM failure($$ SELECT * FROM did(entry('purge', 'contact', '{"email": "c"}', '{}', '["email"]')) $$);
-- An event that fails removes nothing.
SELECT state FROM failure($$ SELECT * FROM did(entry('purge', 'contact', '{"number": 2}'), entry('delete', 'contact', '{"email": "c"}', '{}', '["email"]')) $$);
SELECT count(*) FROM contact WHERE number = '2';

-- Types are removed from that no event ever wrote; unknown ones are an error.
SELECT state, message FROM failure($$ SELECT * FROM did(entry('delete', 'contakt', '{"number": 2}')) $$);

-- A batch does what its events do one after the other.
TRUNCATE contact, contract;
CREATE FUNCTION events_mapping(VARIADIC modes text[]) RETURNS jsonb LANGUAGE sql
    RETURN changed(VARIADIC ARRAY(
        SELECT jsonb_build_object('mode', m, 'entity_schema', 'contact', 'unique_ids', '["number"]'::jsonb, 'jsonataExpression', m,
            'fields', '[{"attribute": "number", "field": "n"}, {"attribute": "name", "field": "name"}]'::jsonb)
        FROM unnest(modes) WITH ORDINALITY AS u(m, n) ORDER BY n));
SELECT event, action, unique_identifiers, error ->> 'message' AS message
FROM erp_apply_batch(events_mapping('upsert', 'delete'), 'Changed', ARRAY[
    '{"upsert": {"n": 1, "name": "a"}}', '{"delete": {"n": 1}}', '{"delete": {"n": 1}}', '{"upsert": {"n": 1, "name": "a"}}', '{"upsert": {"n": 1, "name": "b"}}',
    '{"upsert": {"n": 1, "name": "a"}}', '{"delete": {"n": 1}}', '{"delete": {"n": 2}}', '{"upsert": {"n": 2, "name": "a"}}', '{"upsert": [{"n": 3}, {"n": 4}], "delete": {"n": 3}}']::jsonb[]);
SELECT * FROM contacts;
-- What is there already, changed and changed back, then deleted: deleted it is.
SELECT event, action FROM erp_apply_batch(events_mapping('upsert', 'delete'), 'Changed', ARRAY[
    '{"upsert": {"n": 2, "name": "b"}}', '{"upsert": {"n": 2, "name": "a"}}', '{"delete": {"n": 2}}', '{"delete": {"n": 4}}', '{"upsert": {"n": 4}}']::jsonb[]);
SELECT * FROM contacts;
SELECT event, action, unique_identifiers
FROM erp_apply_batch(events_mapping('upsert', 'delete', 'purge'), 'Changed', ARRAY[
    '{"purge": {"n": 1}}', '{"upsert": {"n": 1, "name": "c"}}', '{"delete": {"n": 1}}', '{"purge": {"n": 1}}', '{"purge": {"n": 1}}', '{"upsert": {"n": 2}, "purge": {"n": 2}}', '{"upsert": {"n": 1}}']::jsonb[]);
SELECT * FROM contacts;

-- What the user's own tables and triggers refuse: their error, and the event does nothing.
TRUNCATE contact, contract;
SELECT * FROM did(entry('upsert', 'contact', '{"number": 1}'), entry('upsert', 'contact', '{"number": 2}'), entry('upsert', 'contact', '{"number": 3}'));
CREATE TABLE invoice (contact uuid REFERENCES contact);
INSERT INTO invoice SELECT id FROM contact WHERE number = '1';
SELECT state, message FROM failure($$ SELECT * FROM did(entry('upsert', 'contact', '{"number": 2, "name": "never"}'), entry('purge', 'contact', '{"number": 1}')) $$);
SELECT event, action, unique_identifiers, error - 'detail' AS error
FROM erp_apply_batch(events_mapping('upsert', 'purge'), 'Changed', ARRAY['{"purge": {"n": 3}}', '{"purge": {"n": 1}, "upsert": {"n": 2, "name": "never"}}', '{"upsert": {"n": 2, "name": "b"}}']::jsonb[], 'continue');
SELECT * FROM contacts;
SELECT * FROM did(entry('delete', 'contact', '{"number": 1}'));
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'kept' USING ERRCODE = 'XX123'; END $$;
CREATE TRIGGER refuse BEFORE DELETE ON contact FOR EACH ROW WHEN (OLD.number = '2') EXECUTE FUNCTION refuse();
SELECT state, message FROM failure($$ SELECT * FROM did(entry('purge', 'contact', '{"number": 2}')) $$);
DROP TRIGGER refuse ON contact;
-- A trigger that keeps the row silently: nothing is said to have happened, and links to it stay.
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE DELETE ON contact FOR EACH ROW EXECUTE FUNCTION keep();
SELECT * FROM did(entry('upsert', 'contract', '{"number": 1}', '{"owner": [{"contact": {"number": 2}}]}'));
SELECT * FROM did(entry('purge', 'contact', '{"number": 2}'));
SELECT * FROM contracts;
DROP TRIGGER keep ON contact;
-- A trigger that purges on its own
CREATE FUNCTION cascade() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM erp_apply(changed(entry('purge', 'contact', '{"number": 2}')), 'Changed', '{}');
    RETURN NULL;
END $$;
CREATE TRIGGER cascade AFTER UPDATE ON contact FOR EACH ROW WHEN (NEW.deleted_at IS NOT NULL AND NEW.number = '4') EXECUTE FUNCTION cascade();
SELECT * FROM did(entry('upsert', 'contact', '{"number": 4}'));
SELECT * FROM did(entry('delete', 'contact', '{"number": 4}'));
SELECT * FROM contacts;
SELECT * FROM contracts;

-- What an event purges and then upserts stays, with what it has; the last entry counts.
SELECT * FROM did(entry('upsert', 'contact', '{"number": 5, "name": "five"}'));
SELECT * FROM did(entry('purge', 'contact', '{"number": 5}'), entry('upsert', 'contact', '{"number": 5, "city": "Bonn"}'));
SELECT * FROM did(entry('upsert', 'contact', '{"number": 5, "city": "Ulm"}'), entry('purge', 'contact', '{"number": 5}'));
SELECT * FROM contacts;

CALL forget('apply_modes');
