-- What a mapping reads and writes, without running it.
CREATE TABLE mapping AS SELECT '{"version": "2.0", "mapping": {"events": {
    "ContractChanged": {"entities": [
        {"entity_schema": "contract", "unique_ids": ["number"], "enabled": "$exists(no)", "fields": [
            {"attribute": "number", "field": "no"},
            {"attribute": "city", "field": "$.address.city"},
            {"attribute": "cities", "field": "$.addresses[?@.main].city"},
            {"attribute": "dotted", "field": "address.city"},
            {"attribute": "name", "jsonataExpression": "name.first & '' '' & name.last"},
            {"attribute": "raw", "jsonataExpression": "$"},
            {"attribute": "source", "constant": "ERP", "enabled": "erp.on"},
            {"attribute": "old", "field": "old", "enabled": false},
            {"attribute": "account", "relations": {"items": [
                {"entity_schema": "account", "unique_ids": [
                    {"attribute": "iban", "field": "iban"}, {"attribute": "kind", "constant": "MAIN"}]}]}},
            {"attribute": "contacts", "relations": {"operation": "_append",
                "jsonataExpression": "persons.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"email\", \"constant\": email}]}"}},
            {"attribute": "links", "relations": {"jsonataExpression": "links"}}]},
        {"entity_schema": "meter", "unique_ids": ["number"], "jsonataExpression": "meters[on].{\"n\": no}",
         "mode": "upsert-prune-scope-delete",
         "scope": {"scope_mode": "relations", "schema": "contract", "unique_ids": [{"attribute": "number", "field": "no"}]},
         "fields": [{"attribute": "number", "field": "n"}]}]},
    "ContractGone": {"entities": [
        {"entity_schema": "contract", "unique_ids": ["number"], "mode": "delete", "fields": [{"attribute": "number", "field": "no"}]},
        {"entity_schema": "meter", "unique_ids": ["number"], "enabled": false, "fields": []}]}
}}}'::jsonb AS document;

SELECT entry, entity_slug, role, attribute, reads_from, source, kind, expression
FROM mapping, erp_explain(document, 'ContractChanged');

SELECT role, attribute, operation, target_slug, target_attribute, path
FROM mapping, erp_explain(document, 'ContractChanged') WHERE target_slug IS NOT NULL OR role = 'relation';

-- All events, in the order of the mapping.
SELECT event_name, entry, entity_slug, mode, count(*) FROM mapping, erp_explain(document)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2;

-- Which attributes need a field: it, what is above it, what is below it.
SELECT entity_slug, attribute, role FROM mapping, erp_explain(document, event_name => 'ContractChanged')
WHERE reads_from = 'payload' AND EXISTS (SELECT FROM unnest(source) AS s WHERE s IN ('*', 'name') OR s LIKE 'name.%');

-- The bare form fits any event.
SELECT event_name, role, source FROM (VALUES (NULL), ('any')) AS e(name),
    erp_explain('{"entities": [{"entity_schema": "a", "unique_ids": ["i"], "fields": [{"attribute": "i", "field": "i"}]}]}', e.name);

-- The tables are not asked, and nothing is evaluated.
SELECT source FROM erp_explain(changed('{"entity_schema": "no such type", "unique_ids": ["i"], "fields": [
    {"attribute": "i", "jsonataExpression": "$error(a.b)"}]}'));

-- The diagram
SELECT erp_explain_diagram(document, 'ContractChanged') AS diagram FROM mapping \gset
\echo :diagram
SELECT erp_explain_diagram(document) = erp_explain_diagram(document, NULL) AS all_events,
       erp_explain_diagram(document) LIKE '%"ContractChanged"%"ContractGone"%' AS both FROM mapping;
SELECT erp_explain_diagram(changed('{"entity_schema": "a \"quoted\" [slug]", "unique_ids": ["end"], "fields": [
    {"attribute": "end", "field": "#1;\n<b>"}]}')) AS diagram \gset
\echo :diagram

-- Errors
SELECT * FROM failure('SELECT * FROM erp_explain(NULL)');
SELECT * FROM failure('SELECT erp_explain_diagram(NULL)');
SELECT state, message, hint FROM mapping, failure(format('SELECT * FROM erp_explain(%L, ''ContractChange'')', document));
SELECT state, message, hint FROM mapping, failure(format('SELECT erp_explain_diagram(%L, ''contractchanged'')', document));
SELECT * FROM failure($$ SELECT * FROM erp_explain('{"entities": [{}]}') $$);

DROP TABLE mapping;
