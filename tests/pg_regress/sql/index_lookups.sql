-- Entities are looked up through their index without a statement; where only a statement finds the right rows, or says
-- what is wrong, it still does.
CREATE SCHEMA index_lookups;
SET search_path = index_lookups, public;
SELECT erp_create_entity('contact', ARRAY['number']), erp_create_entity('contact', ARRAY['email'], false), erp_create_entity('account', ARRAY['number', 'type']);
SELECT changed('{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "number"}, {"attribute": "email", "field": "email"}, {"attribute": "name", "field": "name"},
        {"attribute": "friend", "relations": {"items": [{"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "friend"}]}]}},
        {"attribute": "account", "relations": {"items": [{"entity_schema": "account", "unique_ids": [{"attribute": "type", "field": "type"}, {"attribute": "number", "field": "account"}]}]}}]}') AS mapping \gset
PREPARE apply AS SELECT entity_slug, action FROM erp_apply(:'mapping', 'Changed', $1);
EXECUTE apply('{"number": 1, "email": "a", "name": "Ada", "account": 7, "type": "x"}');
EXECUTE apply('{"number": 1, "email": "a", "name": "Ada", "account": 7, "type": "x"}');
-- The parts of a key are not mixed up, whichever order the index has them in.
EXECUTE apply('{"number": 2, "account": "x", "type": 7}');
SELECT attributes FROM erp_find('account') ORDER BY created_at;
DROP INDEX account_number_type_idx;
CREATE UNIQUE INDEX ON account (type, number);
EXECUTE apply('{"number": 2, "account": "x", "type": 7}');
EXECUTE apply('{"number": 2, "account": 7, "type": "x"}');
-- An index of some of the rows, or by another order of texts, is none to look up by; nor is there one after it was dropped.
DROP INDEX account_type_number_idx;
EXECUTE apply('{"number": 2, "account": 7, "type": "x"}');
CREATE INDEX ON account (number, type) WHERE type = '7';
CREATE INDEX ON account (number COLLATE "default", type COLLATE "default");
EXECUTE apply('{"number": 2, "account": 7, "type": "x"}');
CREATE UNIQUE INDEX ON account (number, type);
EXECUTE apply('{"number": 2, "account": 7, "type": "x"}');
REINDEX INDEX CONCURRENTLY account_number_type_idx2;
EXECUTE apply('{"number": 2, "account": 7, "type": "x"}');
SELECT count(*) FROM account;

-- Of many with one e-mail address the one that is not deleted counts, and then the one deleted last.
INSERT INTO contact (id, attributes, deleted_at)
SELECT gen_random_uuid(), jsonb_build_object('number', 1000 + n, 'email', 'm'), timestamptz '2024-01-01' + n * interval '1 day' FROM generate_series(1, 150) AS n;
EXECUTE apply('{"number": 3, "email": "m", "name": "Mia"}');
EXECUTE apply('{"number": 1, "friend": "m"}');
SELECT readable(attributes -> 'friend') FROM contact WHERE number = '1';
SELECT message FROM failure(format('EXECUTE apply(%L)', '{"number": 4, "email": "m", "friend": "m"}'));
DELETE FROM contact WHERE number > '1020' AND number < '2';
SELECT count(*) FROM contact WHERE email = 'm' AND deleted_at IS NOT NULL;
EXECUTE apply('{"number": 1, "friend": "n"}');
EXECUTE apply('{"number": 1, "friend": "m"}');
SELECT readable(attributes -> 'friend') FROM contact WHERE number = '1';
EXECUTE apply('{"number": 4, "email": "m"}');
SELECT message FROM failure(format('EXECUTE apply(%L)', '{"number": 1, "friend": "m"}'));

-- Rows of a table below it are entities, too.
CREATE TABLE special_contact () INHERITS (contact);
INSERT INTO special_contact (id, attributes) VALUES (gen_random_uuid(), '{"number": 50, "name": "Sue"}');
EXECUTE apply('{"number": 50, "name": "Sue"}');
EXECUTE apply('{"number": 1, "name": "Ada"}');
DROP TABLE special_contact;

-- A role that may read the columns, but not the table; one that may not read what is looked up.
CREATE ROLE regress_columns;
CREATE ROLE regress_few;
GRANT USAGE ON SCHEMA index_lookups TO regress_columns, regress_few;
GRANT SELECT (id, attributes, stub, deleted_at, number, email) ON contact TO regress_columns;
GRANT SELECT (id, stub, deleted_at, number, email) ON contact TO regress_few;
SET ROLE regress_columns;
EXECUTE apply('{"number": 1, "name": "Ada"}');
SELECT count(*) FROM contact WHERE links <> '[]';
SET ROLE regress_few;
EXECUTE apply('{"number": 1, "name": "Ada"}');
RESET ROLE;
-- What has changed since a session looked first.
ALTER TABLE contact RENAME COLUMN deleted_at TO gone_at;
EXECUTE apply('{"number": 1, "name": "Ada"}');
ALTER TABLE contact RENAME COLUMN gone_at TO deleted_at;
EXECUTE apply('{"number": 1, "name": "Ada"}');
ALTER TABLE contact ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON contact TO regress_columns;
SET ROLE regress_columns;
SELECT entity_slug, action FROM erp_simulate(:'mapping', 'Changed', '{"number": 1, "name": "Ada"}');
RESET ROLE;
ALTER TABLE contact DISABLE ROW LEVEL SECURITY;
SET ROLE regress_columns;
SELECT entity_slug, action FROM erp_simulate(:'mapping', 'Changed', '{"number": 1, "name": "Ada"}');
RESET ROLE;
DROP OWNED BY regress_columns, regress_few;
DROP ROLE regress_columns, regress_few;
CALL forget('index_lookups');
