-- The default of an id is the table's, whatever the search_path is when it is first needed.
CREATE SCHEMA defaults;
CREATE SCHEMA other;
CREATE SEQUENCE defaults.ids;
CREATE SEQUENCE other.ids START 1000;
CREATE TABLE defaults.things (id int PRIMARY KEY DEFAULT nextval('defaults.ids'), no text UNIQUE);
SELECT erp_register_entity('thing', 'defaults.things', '{no}');
SELECT changed('{"entity_schema": "thing", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}]}') AS mapping \gset
SET search_path = defaults, public;
SELECT entity_id FROM erp_apply(:'mapping', 'Changed', '{"no": "1"}');
SET search_path = other, public;
SELECT entity_id FROM erp_apply(:'mapping', 'Changed', '{"no": "2"}');
SET search_path = public;
SELECT entity_id FROM erp_apply(:'mapping', 'Changed', '{"no": "3"}');
-- One that gives nothing
CREATE FUNCTION defaults.nothing() RETURNS uuid LANGUAGE sql VOLATILE RETURN NULL::uuid;
ALTER TABLE defaults.things ALTER id DROP DEFAULT, ALTER id TYPE text, ALTER id SET DEFAULT defaults.nothing()::text;
SELECT * FROM failure(format('SELECT erp_apply(%L, ''Changed'', ''{"no": "4"}'')', :'mapping'));
TRUNCATE defaults.things;
ALTER TABLE defaults.things ALTER id DROP DEFAULT, ALTER id TYPE uuid USING NULL, ALTER id SET DEFAULT defaults.nothing();
SELECT * FROM failure(format('SELECT erp_apply(%L, ''Changed'', ''{"no": "4"}'')', :'mapping'));
DROP SCHEMA other CASCADE;
CALL forget('defaults');
