-- Every problem of a mapping at once: a stable code, the place as a JSON Pointer, what to do.
CREATE SCHEMA validate;
SET search_path = validate, public;
SELECT erp_create_entity('contact', ARRAY['customer_number']);
SELECT erp_create_entity('account', ARRAY['number'], for_upsert => false);

-- Nothing to say about a good one.
SELECT * FROM erp_validate(customer_mapping());

-- Three mistakes, three rows.
SELECT * FROM erp_validate('{
    "version": 2,
    "mapping": {"events": {"Changed": {"entities": [{
        "entity_schema": "contact",
        "unique_ids": [],
        "fields": [
            {"attribute": "customer_number", "field": "id"},
            {"attribute": "name", "jsonataExpression": "first & "}
        ]
    }]}}}
}') \gx

-- The same three stop every function that runs mappings.
SELECT * FROM failure($$ SELECT * FROM erp_map('{
    "version": 2,
    "mapping": {"events": {"Changed": {"entities": [{
        "entity_schema": "contact",
        "unique_ids": [],
        "fields": [
            {"attribute": "customer_number", "field": "id"},
            {"attribute": "name", "jsonataExpression": "first & "}
        ]
    }]}}}
}', 'Changed', '{}') $$) \gx

-- Every kind of mistake, one mapping a kind.
CREATE TABLE mistake (n serial PRIMARY KEY, mapping jsonb);
-- The document
INSERT INTO mistake (mapping) VALUES
    ('[]'),
    ('{}'),
    ('{"version": "1.0", "mapping": {"events": {}}}'),
    ('{"version": "2.0", "mapping": []}'),
    ('{"version": "2.0", "mapping": {}}'),
    ('{"version": "2.0", "mapping": {"events": {"a/b~c": {}}}}'),
    ('{"entities": {}}'),
    ('{"entities": ["contact"]}');
-- An entry
INSERT INTO mistake (mapping) VALUES
    (changed('{}')),
    (changed('{"entity_schema": "", "unique_ids": "customer_number", "fields": {}}')),
    (changed('{"entity_schema": "contact", "unique_ids": ["customer_number", "customer_number", 7], "fields": [{"attribute": "customer_number", "field": "id"}]}'));
CREATE FUNCTION with_key(key text, value jsonb) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object(
        'entity_schema', 'contact', 'unique_ids', '["customer_number"]'::jsonb,
        'fields', '[{"attribute": "customer_number", "field": "id"}]'::jsonb, key, value));
INSERT INTO mistake (mapping) VALUES
    (with_key('enabled', '1')),
    (with_key('enabled', '"$count("')),
    (with_key('jsonataExpression', 'true')),
    (with_key('jsonataExpression', '"meters[type = ''E''"')),
    (with_key('mode', '"upset"')),
    (with_key('mode', '"overwrite"')),
    (with_key('mode', '"upsert-prune-scope-delete"'));
-- A field
CREATE FUNCTION with_field(field jsonb) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object(
        'entity_schema', 'contact', 'unique_ids', '["customer_number"]'::jsonb,
        'fields', jsonb_build_array('{"attribute": "customer_number", "field": "id"}'::jsonb, field)));
INSERT INTO mistake (mapping) VALUES
    (with_field('"name"')),
    (with_field('{"field": "name"}')),
    (with_field('{"attribute": "name"}')),
    (with_field('{"attribute": "name", "field": 1}')),
    (with_field('{"attribute": "name", "field": "$.name["}')),
    (with_field('{"attribute": "name", "jsonataExpression": "$uppercase(name"}')),
    (with_field('{"attribute": "name", "field": "name", "enabled": null}'));
-- Relations
INSERT INTO mistake (mapping) VALUES
    (with_field('{"attribute": "account", "relations": []}')),
    (with_field('{"attribute": "account", "relations": {}}')),
    (with_field('{"attribute": "account", "relations": {"operation": "_apend", "items": []}}')),
    (with_field('{"attribute": "account", "relations": {"items": {}}}')),
    (with_field('{"attribute": "account", "relations": {"items": [{}]}}')),
    (with_field('{"attribute": "account", "relations": {"items": [
        {"entity_schema": "account", "_tags": "MAIN", "unique_ids": [{"attribute": "number"}]}]}}')),
    (with_field('{"attribute": "account", "relations": {"items": [
        {"entity_schema": "account", "_tags": [1], "unique_ids": [{"attribute": "number", "field": "a"}, {"attribute": "number", "field": "b"}]}]}}')),
    (with_field('{"attribute": "account", "relations": {"items": [{"entity_schema": "account", "unique_ids": []}]}}')),
    (with_field('{"attribute": "account", "relations": {"jsonataExpression": "accounts.{"}}'));
-- A scope
CREATE FUNCTION with_scope(scope jsonb) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object(
        'entity_schema', 'contact', 'unique_ids', '["customer_number"]'::jsonb,
        'fields', '[{"attribute": "customer_number", "field": "id"}]'::jsonb,
        'mode', 'upsert-prune-scope-purge', 'scope', scope));
INSERT INTO mistake (mapping) VALUES
    (with_scope('[]')),
    (with_scope('{}')),
    (with_scope('{"scope_mode": "all"}')),
    (with_scope('{"scope_mode": "relation"}')),
    (with_scope('{"scope_mode": "relations"}')),
    (with_scope('{"scope_mode": "query", "query": []}')),
    (with_scope('{"scope_mode": "query", "query": [{"attribute": "city"}]}'));

SELECT m.n, p.* FROM mistake AS m LEFT JOIN LATERAL erp_validate(m.mapping) AS p ON true ORDER BY m.n;

-- What hardly means what it says is a warning, and the mapping works.
SELECT * FROM erp_validate('{
    "version": "2.0",
    "comment": "…",
    "mapping": {"event": {}, "events": {"Changed": {"entity": [], "entities": [{
        "entity_schema": "contact",
        "unique_id": "customer_number",
        "unique_ids": ["customer_numer"],
        "fields": [
            {"attribute": "customer_number", "field": "id", "felid": "number"},
            {"attribute": "name", "constant": "", "jsonataexpression": "x", "jsonataExpression": "x", "field": "name"},
            {"attribute": "account", "field": "account", "relations": {"op": "_set", "items": [
                {"entity_schema": "account", "_tag": [], "unique_ids": [{"attribute": "number", "fields": "a", "constant": 1, "field": "account"}]}
            ], "jsonataExpression": "accounts"}}
        ],
        "scope": {"scope_mode": "query"}
    }]}}}
}');

-- Against the entity types there are: an unknown slug, one that is nearly known, keys that
-- entities cannot be found by, or not yet upserted by.
SELECT * FROM erp_validate('{"entities": [
    {"entity_schema": "meter", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "id"}]},
    {"entity_schema": "contacts", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "field": "id"}]},
    {"entity_schema": "contact", "unique_ids": ["email"], "fields": [{"attribute": "email", "field": "email"}]},
    {"entity_schema": "account", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "id"},
        {"attribute": "owner", "relations": {"items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "first_name", "field": "a"}, {"attribute": "last_name", "field": "b"}]}]}},
        {"attribute": "payers", "relations": {"jsonataExpression":
            "payers.{\"entity_schema\": \"person\", \"unique_ids\": [{\"attribute\": \"email\", \"constant\": email}]}"}}
    ]}
]}') \gx

-- Mistakes do not hide what the tables lack: that is told at once, too.
SELECT severity, code, path, message FROM erp_validate('{"entities": [
    {"entity_schema": "invoice", "unique_ids": ["number"], "fields": [
        {"attribute": "number", "field": "id"},
        {"attribute": "total", "jsonataExpression": "net + "}
    ]}
]}');

-- The calls that hints name can be pasted.
SELECT erp_create_entity('meter', ARRAY['number']);
SELECT erp_create_entity('contact', ARRAY['email']);
SELECT erp_create_entity('account', ARRAY['number']);
SELECT path, message FROM erp_validate('{"entities": [
    {"entity_schema": "meter", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "id"}]},
    {"entity_schema": "contact", "unique_ids": ["email"], "fields": [{"attribute": "email", "field": "email"}]},
    {"entity_schema": "account", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "id"}]}
]}');

-- A mapping of many mistakes: validate tells all, an error the first twenty.
SELECT count(*) FROM erp_validate(changed(VARIADIC array_fill('{}'::jsonb, ARRAY[10])));
SELECT state, message, cardinality(string_to_array(detail, E'\n')) AS lines, split_part(detail, E'\n', -1) AS last_line, hint
FROM failure($$ SELECT * FROM erp_prepare(changed(VARIADIC array_fill('{}'::jsonb, ARRAY[10]))) $$) \gx

SELECT * FROM failure($$ SELECT * FROM erp_validate(NULL) $$) \gx

CALL forget('validate');
