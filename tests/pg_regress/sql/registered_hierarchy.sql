-- A row that is there may come to refer to a new row of its own table.
CREATE SCHEMA hierarchy;
SET search_path = hierarchy, public;
CREATE TABLE accounts (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no text UNIQUE, name text, parent_id int REFERENCES accounts);
SELECT erp_register_entity('account', 'accounts', '{no}', relations => '{"parent": {"column": "parent_id", "entity_schema": "account"}}');
SELECT changed('{"entity_schema": "account", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}, {"attribute": "name", "field": "name"}, {"attribute": "parent", "relations": {"items": [
    {"entity_schema": "account", "unique_ids": [{"attribute": "no", "field": "parent"}]}]}}]}') AS mapping \gset
SELECT unique_identifiers, action FROM erp_apply(:'mapping', 'Changed', '{"no": "child"}');
SELECT unique_identifiers, action FROM erp_apply(:'mapping', 'Changed', '{"no": "child", "parent": "parent"}');
SELECT event, unique_identifiers, action FROM erp_apply_batch(:'mapping', 'Changed', ARRAY['{"no": "parent", "name": "P", "parent": "root"}', '{"no": "other", "parent": "root"}']::jsonb[]);
-- New rows that refer to new rows, whichever columns they get
SELECT event, unique_identifiers, action FROM erp_apply_batch(:'mapping', 'Changed', ARRAY['{"no": "1"}', '{"no": "2", "parent": "1"}', '{"no": "3", "parent": "2", "name": "3"}', '{"no": "4", "parent": "3"}']::jsonb[]);
-- A circle
SELECT event, unique_identifiers, action FROM erp_apply_batch(:'mapping', 'Changed', ARRAY['{"no": "head", "parent": "tail"}', '{"no": "tail", "parent": "head"}']::jsonb[]);
SELECT a.no, a.name, p.no AS parent FROM accounts AS a LEFT JOIN accounts AS p ON p.id = a.parent_id ORDER BY a.no;
CALL forget('hierarchy');
