-- Stubs: known by one key only, completed by an event that has another.
CREATE SCHEMA apply_stubs;
SET search_path = apply_stubs, public;
SELECT erp_create_entity('contact', ARRAY['number']);
SELECT erp_create_entity('contact', ARRAY['email'], for_upsert => false);
SELECT erp_create_entity('contact', ARRAY['first', 'last'], for_upsert => false);
SELECT erp_create_entity('contract', ARRAY['number']);

-- A contract links to contacts by e-mail or by name; a contact's own event knows its number.
CREATE FUNCTION contract(number int, VARIADIC keys jsonb[]) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', 'contract', 'unique_ids', '["number"]'::jsonb, 'fields', jsonb_build_array(
        jsonb_build_object('attribute', 'number', 'constant', number),
        jsonb_build_object('attribute', 'contacts', 'relations', jsonb_build_object('items', (
            SELECT jsonb_agg(jsonb_build_object('entity_schema', 'contact', 'unique_ids', (
                SELECT jsonb_agg(jsonb_build_object('attribute', key, 'constant', value) ORDER BY key) FROM jsonb_each(k))) ORDER BY n)
            FROM unnest(keys) WITH ORDINALITY AS u(k, n)))))));
CREATE FUNCTION contact_mapping() RETURNS jsonb LANGUAGE sql
    RETURN changed('{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "number"}, {"attribute": "email", "field": "email"},
        {"attribute": "first", "field": "first"}, {"attribute": "last", "field": "last"}]}'::jsonb);
CREATE VIEW contacts AS SELECT attributes, stub FROM contact ORDER BY attributes::text COLLATE "C";

SELECT entity_slug, action, unique_identifiers FROM erp_apply(contract(1, '{"email": "a@x.de"}', '{"first": "Bob", "last": "B"}'), 'Changed', '{}');
SELECT * FROM contacts;
-- Completed, by either key, and linked to as before; not created a second time.
SELECT action, unique_identifiers FROM erp_apply(contact_mapping(), 'Changed', '{"number": 1, "email": "a@x.de", "first": "Ann"}');
SELECT action, unique_identifiers FROM erp_apply(contact_mapping(), 'Changed', '{"number": 2, "first": "Bob", "last": "B"}');
SELECT * FROM contacts;
SELECT readable(attributes -> 'contacts') AS contacts FROM contract;
SELECT action FROM erp_apply(contact_mapping(), 'Changed', '{"number": 1, "email": "a@x.de", "first": "Ann"}');

-- An entity that is no stub is not taken over: the e-mail address need not be unique.
SELECT action FROM erp_apply(contact_mapping(), 'Changed', '{"number": 3, "email": "a@x.de"}');
-- From now on the relation by e-mail is ambiguous.
SELECT * FROM failure($$ SELECT * FROM erp_apply(contract(2, '{"email": "a@x.de"}'), 'Changed', '{}') $$) \gx
-- Not, when all but one are deleted.
UPDATE contact SET deleted_at = now() WHERE number = '3';
SELECT entity_slug, action FROM erp_apply(contract(2, '{"email": "a@x.de"}'), 'Changed', '{}');
SELECT readable(attributes -> 'contacts') AS contacts FROM contract WHERE number = '2';
-- When all are deleted it is, again: they are linked to, not restored.
UPDATE contact SET deleted_at = now() WHERE number = '1';
SELECT state FROM failure($$ SELECT * FROM erp_apply(contract(3, '{"email": "a@x.de"}'), 'Changed', '{}') $$);
UPDATE contact SET deleted_at = NULL;

-- Two stubs that one event matches by two keys: which of them it is cannot be said.
SELECT entity_slug, action FROM erp_apply(contract(4, '{"email": "c@x.de"}', '{"first": "Cy", "last": "C"}'), 'Changed', '{}');
SELECT state FROM failure($$ SELECT * FROM erp_apply(contact_mapping(), 'Changed', '{"number": 4, "email": "c@x.de", "first": "Cy", "last": "C"}') $$);
-- With one of the keys it can.
SELECT action FROM erp_apply(contact_mapping(), 'Changed', '{"number": 4, "email": "c@x.de"}');
SELECT * FROM contacts WHERE attributes @> '{"email": "c@x.de"}' OR attributes @> '{"first": "Cy"}';

-- A number that is known is the entity, whatever stubs there are.
SELECT entity_slug, action FROM erp_apply(contract(5, '{"email": "d@x.de"}'), 'Changed', '{}');
SELECT action FROM erp_apply(contact_mapping(), 'Changed', '{"number": 4, "email": "d@x.de"}');
SELECT * FROM contacts WHERE attributes @> '{"email": "d@x.de"}';

-- In one event: the entity is written, no stub is made of it, by whichever key it is linked to.
SELECT entity_slug, action, unique_identifiers FROM erp_apply(jsonb_set(contact_mapping(), '{mapping,events,Changed,entities}',
    (contract(6, '{"email": "e@x.de"}') #> '{mapping,events,Changed,entities}') || (contact_mapping() #> '{mapping,events,Changed,entities}')),
    'Changed', '{"number": 6, "email": "e@x.de"}');
SELECT * FROM contacts WHERE attributes @> '{"email": "e@x.de"}';
-- And a stub may be completed by an event that links to it.
SELECT entity_slug, action FROM erp_apply(contract(7, '{"email": "f@x.de"}'), 'Changed', '{}');
SELECT entity_slug, action FROM erp_apply(jsonb_set(contact_mapping(), '{mapping,events,Changed,entities}',
    (contract(8, '{"email": "f@x.de"}') #> '{mapping,events,Changed,entities}') || (contact_mapping() #> '{mapping,events,Changed,entities}')),
    'Changed', '{"number": 8, "email": "f@x.de"}');
SELECT * FROM contacts WHERE attributes @> '{"email": "f@x.de"}';

-- A stub keeps what its completion does not name; a soft-deleted stub is completed as well.
SELECT action FROM erp_apply(contract(9, '{"email": "g@x.de"}'), 'Changed', '{}') WHERE entity_slug = 'contact';
UPDATE contact SET deleted_at = now(), attributes = attributes || '{"note": "mine"}' WHERE email = 'g@x.de';
SELECT action FROM erp_apply(contact_mapping(), 'Changed', '{"number": 9, "email": "g@x.de"}');
SELECT attributes, stub, deleted_at FROM contact WHERE email = 'g@x.de';

-- A stub that has two keys, and gives one up when it is completed: who is linked to by that key is somebody else.
INSERT INTO contact (id, attributes, stub) VALUES (gen_random_uuid(), '{"number": 10, "email": "h@x.de"}', true);
SELECT entity_slug, action, unique_identifiers FROM erp_apply(jsonb_set(contact_mapping(), '{mapping,events,Changed,entities}',
    (contract(10, '{"email": "h@x.de"}') #> '{mapping,events,Changed,entities}') || (contact_mapping() #> '{mapping,events,Changed,entities}')),
    'Changed', '{"number": 10, "email": "i@x.de"}');
SELECT * FROM contacts WHERE attributes @> '{"number": 10}' OR attributes @> '{"email": "h@x.de"}';
SELECT readable(attributes -> 'contacts') AS contacts FROM contract WHERE number = '10';

CALL forget('apply_stubs');
