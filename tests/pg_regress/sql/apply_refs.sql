-- relation_refs: items put into lists that other entities have, and links to them.
CREATE SCHEMA apply_refs;
SET search_path = apply_refs, public;
CREATE TABLE mapping AS SELECT $$ {"version": "2.0", "mapping": {"events": {
    "Contact": {"entities": [{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "no"}, {"attribute": "name", "field": "name"}, {"attribute": "email", "field": "mail"}, {"attribute": "addresses", "field": "addresses"}]}]},
    "Contract": {"entities": [{"entity_schema": "contract", "unique_ids": ["no"], "fields": [
        {"attribute": "no", "field": "no"},
        {"attribute": "address", "relation_refs": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "contact"}], "path": "addresses",
             "value": {"attribute": "addresses", "operation": "_append", "field": "address"}}]}}]}]},
    "Set": {"entities": [{"entity_schema": "contract", "unique_ids": ["no"], "fields": [
        {"attribute": "no", "field": "no"},
        {"attribute": "address", "relation_refs": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "contact"}], "path": "addresses",
             "value": {"attribute": "addresses", "field": "address"}}]}}]}]},
    "More": {"entities": [{"entity_schema": "contract", "unique_ids": ["no"], "fields": [
        {"attribute": "no", "field": "no"},
        {"attribute": "address", "relation_refs": {"operation": "_append", "items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "contact"}], "path": "addresses",
             "value": {"attribute": "addresses", "operation": "_append_unique", "field": "address"}}]}}]}]},
    "MoreUnique": {"entities": [{"entity_schema": "contract", "unique_ids": ["no"], "fields": [
        {"attribute": "no", "field": "no"},
        {"attribute": "address", "relation_refs": {"operation": "_append_unique", "items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "contact"}], "path": "addresses",
             "value": {"attribute": "addresses", "operation": "_append", "field": "address"}}]}}]}]},
    "Two": {"entities": [{"entity_schema": "contract", "unique_ids": ["no"], "fields": [
        {"attribute": "no", "field": "no"},
        {"attribute": "address", "relation_refs": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "contact"}], "path": "billing",
             "value": {"attribute": "addresses", "operation": "_append", "field": "billing"}},
            {"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "contact"}], "path": "delivery",
             "value": {"attribute": "addresses", "operation": "_append", "field": "delivery"}}]}}]}]},
    "Cleared": {"entities": [{"entity_schema": "contract", "unique_ids": ["no"], "fields": [
        {"attribute": "no", "field": "no"}, {"attribute": "address", "relation_refs": {"items": []}}]}]},
    "ByMail": {"entities": [{"entity_schema": "contract", "unique_ids": ["no"], "fields": [
        {"attribute": "no", "field": "no"},
        {"attribute": "address", "relation_refs": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "mail"}], "path": "addresses",
             "value": {"attribute": "addresses", "operation": "_append", "field": "address"}}]}}]}]},
    "ById": {"entities": [{"entity_schema": "contract", "unique_ids": ["no"], "fields": [
        {"attribute": "no", "field": "no"},
        {"attribute": "address", "relation_refs": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "_id", "field": "id"}], "path": "addresses",
             "value": {"attribute": "addresses", "operation": "_append", "field": "address"}}]}}]}]},
    "Self": {"entities": [{"entity_schema": "contact", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "no"},
        {"attribute": "home", "relation_refs": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "no"}], "path": "addresses",
             "value": {"attribute": "addresses", "operation": "_append", "field": "address"}}]}}]}]},
    "Delete": {"entities": [{"entity_schema": "contact", "unique_ids": ["number"], "mode": "delete", "fields": [{"attribute": "number", "field": "no"}]}]},
    "Purge": {"entities": [{"entity_schema": "contact", "unique_ids": ["number"], "mode": "purge", "fields": [{"attribute": "number", "field": "no"}]}]}
}}} $$::jsonb AS document;
-- The two in one event, in either order
UPDATE mapping SET document = jsonb_set(jsonb_set(document,
    '{mapping,events,ContactFirst}', jsonb_build_object('entities', jsonb_set(document #> '{mapping,events,Contact,entities}', '{0,fields,0,field}', '"contact"') || (document #> '{mapping,events,Contract,entities}'))),
    '{mapping,events,ContractFirst}', jsonb_build_object('entities', (document #> '{mapping,events,Contract,entities}') || jsonb_set(document #> '{mapping,events,Contact,entities}', '{0,fields,0,field}', '"contact"')));

-- Ids of entities by their names, ids of items by what is in them, others by dots
CREATE FUNCTION shown(value text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    item jsonb;
BEGIN
    FOR item IN
        SELECT i FROM contact, jsonb_path_query(attributes, 'lax $.addresses[*] ? (exists(@._id))') AS i
    LOOP
        IF length(item ->> '_id') = 36 THEN
            value := replace(value, item ->> '_id', '<' || concat_ws(' ', item ->> 'street', item ->> 'city') || '>');
        END IF;
    END LOOP;
    RETURN regexp_replace(readable(value), '[0-9a-f]{8}-[0-9a-f-]{27}', '…', 'g');
END
$$;
CREATE FUNCTION applied(event text, payload jsonb) RETURNS TABLE (slug text, action text, unique_identifiers jsonb) LANGUAGE sql
    AS $$ SELECT a.entity_slug, a.action, a.unique_identifiers FROM mapping, erp_apply(document, event, payload) AS a $$;
CREATE FUNCTION refused(event text, payload jsonb) RETURNS TABLE (state text, message text, hint text) LANGUAGE sql
    AS $$ SELECT f.state, f.message, f.hint FROM failure(format('SELECT * FROM applied(%L, %L)', event, payload)) AS f $$;
SELECT severity, code, path, message FROM mapping, erp_validate(document) WHERE code <> 'ENTITY_TYPE_UNKNOWN';
SELECT count(*) AS statements FROM mapping, erp_prepare(document);
CREATE FUNCTION contact(key text, OUT addresses text, OUT stub boolean, OUT is_deleted boolean) LANGUAGE sql
    AS $$ SELECT shown((c.attributes -> 'addresses')::text), c.stub, c.deleted_at IS NOT NULL FROM contact AS c WHERE c.number = key $$;
CREATE FUNCTION links(key text) RETURNS text LANGUAGE sql
    AS $$ SELECT shown((c.attributes -> 'address')::text) FROM contract AS c WHERE c.no = key $$;
SELECT slug, attributes, is_unique FROM erp.entity_key ORDER BY slug, attributes;

-- The list of a contact that is there: its row is updated, once; again nothing is.
SELECT * FROM applied('Contact', '{"no": 1, "name": "Ann"}');
SELECT * FROM applied('Contract', '{"no": 1, "contact": 1, "address": {"street": "S1"}}');
SELECT * FROM contact('1');
SELECT links('1');
SELECT attributes #>> '{addresses,0,_id}' ~ '^[0-9a-f]{8}-[0-9a-f]{4}-4' AS is_uuid FROM contact;
CREATE TABLE before AS SELECT xmin::text AS version FROM contact;
SELECT * FROM applied('Contract', '{"no": 1, "contact": 1, "address": {"street": "S1"}}');
SELECT * FROM applied('Contract', '{"no": 2, "contact": 1.0, "address": [{"street": "S1"}]}');
SELECT xmin::text AS version FROM contact EXCEPT TABLE before;
-- Several items; equal ones are one. An item that brings an _id keeps it, unless another has it.
SELECT * FROM applied('Contract', '{"no": 3, "contact": 1, "address": [{"street": "S2", "_id": "mine"}, {"street": "S1"}, {"street": "S2"}, {"street": "S3", "_id": "mine"}]}');
SELECT * FROM contact('1');
SELECT links('3');
SELECT * FROM applied('Contract', '{"no": 3, "contact": 1, "address": [{"street": "S2", "_id": "other"}]}');
SELECT links('3');

-- operation of the value: _set keeps the ids of what stays, and the links of others lead nowhere
SELECT * FROM applied('Set', '{"no": 4, "contact": 1, "address": [{"street": "S4"}, {"street": "S2"}]}');
SELECT * FROM contact('1');
SELECT links('4');
SELECT * FROM applied('Set', '{"no": 4, "contact": 1, "address": [{"street": "S4"}, {"street": "S2", "_id": "no"}]}');
SELECT * FROM applied('Set', '{"no": 4, "contact": 1, "address": [{"street": "S2"}, {"street": "S4"}]}');
SELECT * FROM contact('1');
-- A value that is an operation counts instead.
SELECT * FROM applied('Set', '{"no": 4, "contact": 1, "address": {"_append": [{"street": "S5"}]}}');
SELECT * FROM contact('1');
SELECT * FROM applied('Contract', '{"no": 4, "contact": 1, "address": {"_set": {"street": "S5"}}}');
SELECT * FROM contact('1');
SELECT links('4');
-- An empty list
SELECT * FROM applied('Contract', '{"no": 5, "contact": 1, "address": []}');
SELECT links('5');
SELECT * FROM applied('Set', '{"no": 5, "contact": 1, "address": []}');
SELECT * FROM contact('1');
SELECT * FROM applied('Set', '{"no": 5, "contact": 1, "address": []}');

-- operation of the links
SELECT * FROM applied('More', '{"no": 6, "contact": 1, "address": {"street": "M1"}}');
SELECT * FROM applied('More', '{"no": 6, "contact": 1, "address": {"street": "M1"}}');
SELECT links('6');
SELECT * FROM applied('MoreUnique', '{"no": 6, "contact": 1, "address": [{"street": "M1"}, {"street": "M2"}]}');
SELECT * FROM applied('MoreUnique', '{"no": 6, "contact": 1, "address": [{"street": "M1"}, {"street": "M2"}]}');
SELECT links('6');
-- The same item under two paths is two links.
SELECT * FROM applied('Two', '{"no": 7, "contact": 1, "billing": {"street": "T1"}, "delivery": {"street": "T1"}}');
SELECT links('7');
SELECT * FROM applied('Two', '{"no": 7, "contact": 1, "billing": {"street": "T2"}, "delivery": {"street": "T3"}}');
SELECT links('7');
SELECT * FROM contact('1');
-- Missing, and cleared
SELECT * FROM applied('Two', '{"no": 7, "contact": 1, "delivery": {"street": "T3"}}');
SELECT links('7');
SELECT * FROM applied('Two', '{"no": 7, "contact": 1}');
SELECT * FROM applied('Two', '{"no": 7, "contact": null, "billing": {"street": "T9"}}');
SELECT * FROM applied('Two', '{"no": 7, "contact": 1, "billing": null, "delivery": ""}');
SELECT links('7');
SELECT * FROM applied('Cleared', '{"no": 7}');
SELECT links('7');

-- A contact that is not there becomes a stub with the list. It stays one, and a deleted one deleted.
SELECT * FROM applied('Contract', '{"no": 10, "contact": 10, "address": {"street": "A"}}');
SELECT * FROM contact('10');
SELECT * FROM applied('Contract', '{"no": 10, "contact": 10, "address": {"street": "B"}}');
SELECT * FROM contact('10');
SELECT * FROM applied('Contact', '{"no": 10, "name": "Ten"}');
SELECT * FROM contact('10');
SELECT * FROM applied('Delete', '{"no": 10}');
SELECT * FROM applied('Contract', '{"no": 10, "contact": 10, "address": {"street": "C"}}');
SELECT * FROM contact('10');
SELECT * FROM applied('Contact', '{"no": 10}');
-- A stub that is deleted stays both.
SELECT * FROM applied('Contract', '{"no": 11, "contact": 11, "address": {"street": "A"}}');
SELECT * FROM applied('Delete', '{"no": 11}');
SELECT * FROM applied('Contract', '{"no": 11, "contact": 11, "address": {"street": "B"}}');
SELECT * FROM contact('11');
UPDATE erp.entity_type SET on_missing = 'skip' WHERE slug = 'contact';
SELECT * FROM applied('Contract', '{"no": 12, "contact": 12, "address": {"street": "A"}}');
SELECT * FROM applied('ById', '{"no": 12, "id": "x", "address": {"street": "A"}}');
UPDATE erp.entity_type SET on_missing = 'error' WHERE slug = 'contact';
SELECT * FROM refused('Contract', '{"no": 12, "contact": 12, "address": {"street": "A"}}');
UPDATE erp.entity_type SET on_missing = 'create' WHERE slug = 'contact';
SELECT attributes FROM contract WHERE no = '12';

-- By _id, by a key that several have
SELECT id AS ten FROM contact WHERE number = '10' \gset
SELECT slug, action FROM applied('ById', jsonb_build_object('no', 13, 'id', upper(:'ten'), 'address', '{"street": "D"}'::jsonb));
SELECT * FROM contact('10');
SELECT links('13');
SELECT * FROM refused('ById', '{"no": 13, "id": "00000000-0000-4000-8000-00000000000a", "address": {"street": "A"}}');
SELECT id AS contract FROM contract WHERE no = '13' \gset
SELECT * FROM refused('ById', jsonb_build_object('no', 13, 'id', :'contract', 'address', '{"street": "D"}'::jsonb));
SELECT * FROM applied('ByMail', '{"no": 14, "mail": "m@x", "address": {"street": "A"}}');
SELECT * FROM applied('ByMail', '{"no": 14, "mail": "m@x", "address": {"street": "B"}}');
SELECT * FROM applied('Contact', '{"no": 14, "mail": "m@x"}');
SELECT * FROM contact('14');
SELECT * FROM applied('Contact', '{"no": 15, "mail": "m@x"}');
SELECT * FROM refused('ByMail', '{"no": 14, "mail": "m@x", "address": {"street": "B"}}');

-- What is no list, or no object
SELECT * FROM applied('Contact', '{"no": 20, "addresses": "none"}');
SELECT * FROM refused('Contract', '{"no": 20, "contact": 20, "address": {"street": "A"}}');
SELECT * FROM refused('Contract', '{"no": 20, "contact": 20, "address": "S"}');
SELECT * FROM refused('Contract', '{"no": 20, "contact": 20, "address": [{"street": "A"}, 1]}');
SELECT * FROM refused('Contract', '{"no": 20, "contact": 20, "address": [[{"street": "A"}]]}');
SELECT * FROM applied('Set', '{"no": 20, "contact": 20, "address": {"street": "A"}}');
SELECT * FROM contact('20');
SELECT * FROM applied('Contact', '{"no": 20, "addresses": null}');
SELECT * FROM applied('Contract', '{"no": 20, "contact": 20, "address": {"street": "B"}}');
SELECT * FROM contact('20');
-- What is in the list without an _id gets one; what is no object stays.
SELECT * FROM applied('Contact', '{"no": 20, "addresses": ["text", {"street": "C"}, {"street": "C"}, null]}');
SELECT * FROM applied('Contract', '{"no": 20, "contact": 20, "address": {"street": "C"}}');
SELECT * FROM contact('20');
SELECT links('20');
-- The links' attribute is something else.
UPDATE contract SET attributes = attributes || '{"address": "none"}' WHERE no = '20';
SELECT * FROM refused('More', '{"no": 20, "contact": 20, "address": {"street": "D"}}');
SELECT * FROM applied('Contract', '{"no": 20, "contact": 20, "address": {"street": "D"}}');
UPDATE contract SET attributes = attributes || '{"address": {"$relation": []}}' WHERE no = '20';
SELECT * FROM refused('More', '{"no": 20, "contact": 20, "address": {"street": "D"}}');

-- A contact of the same event, in either order: nothing of either is lost.
SELECT * FROM applied('ContactFirst', '{"no": 30, "contact": 30, "name": "X", "address": {"street": "A"}}');
SELECT * FROM contact('30');
SELECT links('30');
SELECT * FROM applied('ContactFirst', '{"no": 30, "contact": 30, "name": "X", "address": {"street": "A"}}');
SELECT * FROM applied('ContractFirst', '{"no": 31, "contact": 31, "name": "X", "address": {"street": "A"}}');
SELECT * FROM contact('31');
SELECT links('31');
SELECT * FROM applied('ContractFirst', '{"no": 31, "contact": 31, "name": "X", "address": {"street": "B"}}');
SELECT * FROM applied('ContractFirst', '{"no": 31, "contact": 31, "name": "Y", "address": {"street": "C"}}');
SELECT * FROM applied('ContactFirst', '{"no": 31, "contact": 31, "addresses": {"_append": {"street": "D"}}, "address": {"street": "E"}}');
SELECT * FROM applied('ContractFirst', '{"no": 31, "contact": 31, "addresses": {"_append": {"street": "F"}}, "address": {"street": "G"}}');
SELECT * FROM contact('31');
SELECT links('31');
-- A stub that the event completes, a deleted contact that it restores
SELECT * FROM applied('Contract', '{"no": 32, "contact": 32, "address": {"street": "A"}}');
SELECT * FROM applied('ContractFirst', '{"no": 32, "contact": 32, "name": "X", "address": {"street": "B"}}');
SELECT * FROM applied('Delete', '{"no": 32}');
SELECT * FROM applied('ContactFirst', '{"no": 32, "contact": 32, "address": {"street": "C"}}');
SELECT * FROM contact('32');

-- An entity's own list, of one that is new, and of one that is there
SELECT * FROM applied('Self', '{"no": 40, "address": {"street": "A"}}');
SELECT shown(attributes::text) AS contact FROM contact WHERE number = '40';
SELECT * FROM applied('Self', '{"no": 40, "address": {"street": "A"}}');
SELECT * FROM applied('Self', '{"no": 40, "address": {"street": "B"}}');
SELECT shown(attributes::text) AS contact FROM contact WHERE number = '40';

-- In a batch: what each event alone would do. Those that fail leave nothing.
SELECT event, entity_slug, action, b.unique_identifiers, error ->> 'code' AS code FROM mapping, erp_apply_batch(document, 'Contract', ARRAY[
    '{"no": 50, "contact": 50, "address": {"street": "A"}}', '{"no": 51, "contact": 50, "address": {"street": "A"}}',
    '{"no": 51, "contact": 50, "address": {"street": "B"}}', '{"no": 52, "contact": 50, "address": 1}', '{"no": 52, "contact": 20, "address": {"street": "A"}}',
    '{"no": 50, "contact": 50, "address": [{"street": "B"}, {"street": "C"}]}', '{"no": null, "contact": 50, "address": {"street": "X"}}']::jsonb[], 'continue') AS b;
SELECT * FROM contact('50');
SELECT links(no) FROM contract WHERE no IN ('50', '51') ORDER BY no;
SELECT event, entity_slug, action FROM mapping, erp_apply_batch(document, 'ContactFirst', ARRAY[
    '{"no": 53, "contact": 53, "address": {"street": "A"}}', '{"no": 53, "contact": 53, "addresses": {"_append": {"street": "B"}}}',
    '{"no": 54, "contact": 53, "addresses": {"_append_unique": {"street": "C"}}, "address": {"street": "B"}}',
    '{"no": 55, "contact": 53, "addresses": {"_set": []}, "address": {"street": "D"}}']::jsonb[]) AS b;
SELECT * FROM contact('53');
SELECT links(no) FROM contract WHERE no IN ('54', '55') ORDER BY no;

-- What erp_simulate tells, and does not do
SELECT entity_slug, action, shown(before::text) AS before, shown(after::text) AS after
FROM mapping, erp_simulate(document, 'Contract', '{"no": 50, "contact": 20, "address": {"street": "sim"}}');
SELECT entity_slug, action FROM mapping, erp_simulate(document, 'Contract', '{"no": 60, "contact": 60, "address": {"street": "sim"}}');
SELECT entity_slug, action FROM mapping, erp_simulate(document, 'Contract', '{"no": 50, "contact": 50, "address": [{"street": "B"}, {"street": "C"}]}');
SELECT count(*) FROM contact WHERE attributes::text LIKE '%sim%' OR number = '60';

-- A purge takes the links to the contact's items out of other entities, and theirs alone.
SELECT * FROM applied('Contract', '{"no": 70, "contact": 70, "address": {"street": "A"}}');
SELECT * FROM applied('MoreUnique', '{"no": 70, "contact": 71, "address": {"street": "A", "city": "B"}}');
SELECT links('70');
SELECT * FROM applied('Purge', '{"no": 70}');
SELECT links('70');
SELECT * FROM applied('Purge', '{"no": 71}');
SELECT links('70');
-- And of an entity's own it takes nothing that others need.
SELECT * FROM applied('Purge', '{"no": 40}');
-- No link is left that leads to no entity.
SELECT no FROM contract WHERE EXISTS (
    SELECT FROM jsonb_path_query(attributes, '$.address."$relation_ref"[*].entity_id') AS i(id) WHERE NOT EXISTS (SELECT FROM contact AS c WHERE c.id = (i.id #>> '{}')::uuid));
-- Links are found by the index on what rows link to.
SELECT no FROM contract WHERE links @> jsonb_build_array(:'ten') ORDER BY no;

-- A value that is a list of links already is data like any other.
SELECT action FROM erp_apply(changed('{"entity_schema": "contract", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}, {"attribute": "address", "field": "address"}]}'), 'Changed',
    jsonb_build_object('no', 80, 'address', jsonb_build_object('$relation_ref', jsonb_build_array(jsonb_build_object('entity_id', :'ten', 'path', 'p', '_id', 'x')))));
SELECT links('80');

-- A list that identifies as well: whoever gets another address is found by it, in a batch too.
CREATE TABLE typed AS SELECT $$ {"version": "2.0", "mapping": {"events": {"Sync": {"entities": [
    {"entity_schema": "letter", "unique_ids": ["no"], "enabled": "$exists(letter)", "fields": [{"attribute": "no", "field": "letter"},
        {"attribute": "to", "relation_refs": {"items": [{"entity_schema": "person", "unique_ids": [{"attribute": "no", "field": "person"}], "path": "email",
            "value": {"attribute": "email", "field": "mail"}}]}}]},
    {"entity_schema": "person", "unique_ids": ["email"], "enabled": "$not($exists(letter))", "fields": [
        {"attribute": "email", "field": "mail", "_type": "email"}, {"attribute": "no", "field": "no"}, {"attribute": "name", "field": "name"}]}
]}}}} $$::jsonb AS document;
SELECT count(*) AS statements FROM typed, erp_prepare(document);
SELECT event, entity_slug, action, b.unique_identifiers FROM typed, erp_apply_batch(document, 'Sync', ARRAY[
    '{"mail": "a@x", "no": 1}', '{"letter": 1, "person": 1, "mail": {"email": "b@x"}}', '{"mail": "b@x", "name": "Ben"}', '{"mail": "a@x", "name": "Ann"}']::jsonb[]) AS b;
SELECT attributes - 'email' AS attributes, email FROM person ORDER BY email;

CALL forget('apply_refs');

-- Tables of a user's own
\getenv tests PG_ABS_SRCDIR
\set crm :tests /../crm.sql
\set ECHO none
\i :crm
\set ECHO all
SET search_path = crm, public;
ALTER TABLE customers ALTER name DROP NOT NULL, ADD is_stub boolean NOT NULL DEFAULT false, ADD sites jsonb;
SELECT erp_register_entity('customer', 'customers', ARRAY['customer_no'], attributes_column => 'data', deleted_at_column => 'deleted_at', stub_column => 'is_stub', updated_at_column => 'updated_at');
ALTER TABLE contracts ADD links jsonb;
CREATE UNIQUE INDEX ON contracts (contract_no);
SELECT erp_register_entity('contract', 'contracts', ARRAY['contract_no'], attributes_column => 'links', deleted_at_column => 'deleted_at');
CREATE FUNCTION refs(slug text, key text, target text, identifier text, list text, operation text DEFAULT '_append') RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', slug, 'unique_ids', jsonb_build_array(key), 'fields', jsonb_build_array(
        jsonb_build_object('attribute', key, 'field', 'no'), jsonb_build_object('attribute', 'place', 'relation_refs', jsonb_build_object('items', jsonb_build_array(
            jsonb_build_object('entity_schema', target, 'unique_ids', jsonb_build_array(jsonb_build_object('attribute', identifier, 'field', 'target')), 'path', list,
                'value', jsonb_build_object('attribute', list, 'operation', operation, 'field', 'item'))))))));
CREATE FUNCTION shown(value text) RETURNS text LANGUAGE sql STABLE
    RETURN readable(regexp_replace(value, '"_id": "[0-9a-f]{8}-[0-9a-f-]{27}"', '"_id": "…"', 'g'));
INSERT INTO customers (customer_no) VALUES ('C-1');
-- In the jsonb column for the rest, in a jsonb column of its own
SELECT entity_slug, entity_id, action FROM erp_apply(refs('contract', 'contract_no', 'customer', 'customer_no', 'addresses'), 'Changed', '{"no": "K-1", "target": "C-1", "item": {"street": "A"}}') AS a WHERE entity_slug = 'customer';
SELECT entity_slug, action FROM erp_apply(refs('contract', 'contract_no', 'customer', 'customer_no', 'addresses'), 'Changed', '{"no": "K-1", "target": "C-1", "item": {"street": "A"}}');
SELECT entity_slug, action FROM erp_apply(refs('contract', 'contract_no', 'customer', '_id', 'sites'), 'Changed', '{"no": "K-2", "target": 1, "item": {"street": "A"}}');
SELECT shown(data::text) AS data, shown(sites::text) AS sites FROM customers;
SELECT contract_no, shown(links::text) AS links FROM contracts ORDER BY contract_no;
SELECT (links #> '{place,$relation_ref,0,_id}') = (data #> '{addresses,0,_id}') AS leads_there FROM contracts, customers WHERE contract_no = 'K-1';
-- A stub, which stays one; a deleted one
SELECT entity_slug, action FROM erp_apply(refs('contract', 'contract_no', 'customer', 'customer_no', 'addresses'), 'Changed', '{"no": "K-3", "target": "C-2", "item": {"street": "A"}}');
SELECT entity_slug, action FROM erp_apply(refs('contract', 'contract_no', 'customer', 'customer_no', 'addresses'), 'Changed', '{"no": "K-3", "target": "C-2", "item": {"street": "B"}}');
UPDATE customers SET deleted_at = now() WHERE customer_no = 'C-1';
SELECT entity_slug, action FROM erp_apply(refs('contract', 'contract_no', 'customer', 'customer_no', 'addresses'), 'Changed', '{"no": "K-1", "target": "C-1", "item": {"street": "B"}}');
SELECT id, shown(data::text) AS data, is_stub, deleted_at IS NOT NULL AS is_deleted FROM customers ORDER BY id;
SELECT links #>> '{place,$relation_ref,0,entity_id}' AS id FROM contracts WHERE contract_no = 'K-3';
-- What the table cannot keep: the links, the list
SELECT state, message, hint FROM failure($$ SELECT * FROM erp_apply(refs('contract', 'contract_no', 'customer', 'customer_no', 'birthday'), 'Changed', '{"no": "K-4", "target": "C-1", "item": {"street": "A"}}') $$);
SELECT state, message, hint FROM failure($$ SELECT * FROM erp_apply(refs('contract', 'contract_no', 'customer', 'customer_no', 'birthday', '_set'), 'Changed', '{"no": "K-4", "target": "C-1", "item": {"street": "A"}}') $$);
SELECT state, message, hint FROM failure($$ SELECT * FROM erp_apply(refs('contract', 'contract_no', 'customer', 'customer_no', 'name', '_set'), 'Changed', '{"no": "K-4", "target": "C-1", "item": {"street": "A"}}') $$);
SELECT state, message, hint FROM failure($$ SELECT * FROM erp_apply(refs('contract', 'contract_no', 'customer', 'customer_no', 'tags', '_set'), 'Changed', '{"no": "K-4", "target": "C-1", "item": {"street": "A"}}') $$);
SELECT erp_register_entity('meter', 'meters', ARRAY['meter_no'], relations => '{"contract": {"column": "contract_id", "entity_schema": "contract"}}');
SELECT state, message, hint FROM failure($$ SELECT * FROM erp_apply(refs('meter', 'meter_no', 'customer', 'customer_no', 'addresses'), 'Changed', '{"no": "M-1", "target": "C-1", "item": {"street": "A"}}') $$);
SELECT state, message, hint FROM failure($$ SELECT * FROM erp_apply(refs('contract', 'contract_no', 'meter', 'meter_no', 'places'), 'Changed', '{"no": "K-4", "target": "M-1", "item": {"street": "A"}}') $$);
SELECT state, message, hint FROM failure($$ SELECT * FROM erp_apply(refs('contract', 'contract_no', 'meter', 'meter_no', 'contract', '_set'), 'Changed', '{"no": "K-4", "target": "M-1", "item": {"street": "A"}}') $$);
TABLE meters;
-- A batch
SELECT event, entity_slug, action FROM erp_apply_batch(refs('contract', 'contract_no', 'customer', 'customer_no', 'addresses'), 'Changed', ARRAY[
    '{"no": "K-5", "target": "C-5", "item": {"street": "A"}}', '{"no": "K-6", "target": "C-5", "item": {"street": "B"}}', '{"no": "K-5", "target": "C-5", "item": {"street": "B"}}']::jsonb[]);
SELECT shown(data::text) AS data, is_stub FROM customers WHERE customer_no = 'C-5';
SELECT contract_no, (links #> '{place,$relation_ref,0,_id}') = (data #> '{addresses,1,_id}') AS leads_there FROM contracts, customers WHERE contract_no > 'K-4' AND customer_no = 'C-5' ORDER BY 1;
-- A purge leaves the links to the customer's items: they name no entity type, and other types have the same ids.
SELECT action FROM erp_apply(changed('{"entity_schema": "customer", "unique_ids": ["customer_no"], "mode": "purge", "fields": [{"attribute": "customer_no", "field": "no"}]}'), 'Changed', '{"no": "C-5"}');
SELECT contract_no, shown((links -> 'place')::text) AS place FROM contracts WHERE contract_no > 'K-4' ORDER BY 1;
CALL forget('crm');
