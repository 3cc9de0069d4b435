-- The sources of a value, one entity, one event.
-- Sources
SELECT jsonb_pretty(attributes) FROM erp_map(changed('{
    "entity_schema": "contact",
    "unique_ids": ["customer_number"],
    "fields": [
        {"attribute": "customer_number", "field": "id"},
        {"attribute": "dotted key", "field": "address.city"},
        {"attribute": "path", "field": "$.address.city"},
        {"attribute": "path of several", "field": "$.phones[*].number"},
        {"attribute": "path of one", "field": "$.phones[?@.type == ''work''].number"},
        {"attribute": "expression", "jsonataExpression": "$uppercase(name.first) & '' '' & name.last"},
        {"attribute": "sequence of one", "jsonataExpression": "phones[type = ''work''].number"},
        {"attribute": "constant", "constant": {"a": [1, null]}},
        {"attribute": "constant wins", "constant": 0, "jsonataExpression": "id", "field": "id"},
        {"attribute": "then the expression", "jsonataExpression": "id", "field": "address.city"},
        {"attribute": "null", "field": "nothing"},
        {"attribute": "null of an expression", "jsonataExpression": "nothing"},
        {"attribute": "constant null", "constant": null},
        {"attribute": "missing", "field": "nowhere"},
        {"attribute": "missing path", "field": "$.address.street"},
        {"attribute": "missing in an expression", "jsonataExpression": "address.street"},
        {"attribute": "function of what is missing", "jsonataExpression": "$uppercase(address.street)"}
    ]
}'), 'Changed', '{
    "id": "C-1", "address.city": "Köln", "address": {"city": "Bonn"}, "nothing": null,
    "name": {"first": "Ada", "last": "Byron"},
    "phones": [{"type": "home", "number": 1}, {"type": "work", "number": 2}]
}');

-- A switch on a field: left out, whatever the value.
SELECT attributes FROM erp_map('{"entities": [{
    "entity_schema": "contact",
    "unique_ids": ["id"],
    "fields": [
        {"attribute": "id", "field": "id"},
        {"attribute": "a", "constant": 1, "enabled": true},
        {"attribute": "b", "constant": 1, "enabled": false},
        {"attribute": "c", "constant": 1, "enabled": "vip"},
        {"attribute": "d", "constant": 1, "enabled": "$not(vip)"},
        {"attribute": "e", "jsonataExpression": "$error(''never asked'')", "enabled": "nowhere"}
    ]
}]}', 'Changed', '{"id": 1, "vip": true}');

-- An attribute mapped twice: the last that is not missing, and null is a value.
SELECT payload, attributes
FROM (VALUES (1, '{"mobile": 1, "phone": 2}'::jsonb), (2, '{"mobile": 1}'), (3, '{"mobile": 1, "phone": null}')) AS v(n, payload),
     erp_map(changed('{
         "entity_schema": "contact", "unique_ids": ["id"],
         "fields": [{"attribute": "phone", "field": "mobile"}, {"attribute": "phone", "field": "phone"}]
     }'), 'Changed', payload)
ORDER BY n;

-- Identifiers are the values of unique_ids; what is missing, null or empty is left out.
SELECT unique_identifiers, attributes FROM erp_map('{"entities": [{
    "entity_schema": "contract", "unique_ids": ["number", "country", "branch"], "fields": [
        {"attribute": "branch", "constant": ""}, {"attribute": "number", "field": "no"}, {"attribute": "country", "field": "country"}]
}]}', 'x', '{"no": 7.10, "country": null}');

-- An event that the mapping does not know. Names compare exactly.
SELECT * FROM failure($$ SELECT * FROM erp_map(customer_mapping(), 'changed', '{}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_map('{"version": "2.0", "mapping": {"events": {}}}', 'Changed', '{}') $$) \gx

-- Null arguments are errors, never a silent nothing.
SELECT * FROM failure($$ SELECT * FROM erp_map(NULL, 'Changed', '{}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_map(customer_mapping(), NULL, '{}') $$) \gx
SELECT * FROM failure($$ SELECT * FROM erp_map(customer_mapping(), 'Changed', NULL) $$) \gx
