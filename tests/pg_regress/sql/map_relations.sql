-- Relations as a mapping yields them, before anything is looked up: by which operation, to whom.
CREATE FUNCTION contacts(relations jsonb) RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object(
        'entity_schema', 'contract', 'unique_ids', '["number"]'::jsonb,
        'fields', jsonb_build_array('{"attribute": "number", "field": "number"}'::jsonb,
                                    jsonb_build_object('attribute', 'contacts', 'relations', relations))));
SELECT attributes - 'number' AS attributes
FROM (VALUES
    (1, '{"items": [{"entity_schema": "contact", "_tags": ["MAIN"], "unique_ids": [{"attribute": "number", "field": "customer"}]}]}'::jsonb),
    (2, '{"operation": "_append", "items": [
            {"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "$.mail.billing"}]},
            {"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "$.mail.technical"}]},
            {"entity_schema": "contact", "unique_ids": [
                {"attribute": "name", "jsonataExpression": "first & '' '' & last"}, {"attribute": "source", "constant": "ERP"}]}]}'),
    (3, '{"operation": "_append_all", "items": [{"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "customer"}]}]}'),
    (4, '{"operation": "_append_unique", "items": [{"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "customer"}]}]}'),
    (5, '{"items": []}'),
    (6, '{"items": [{"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "$.mail.technical"}]}]}'),
    (7, '{"items": [{"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "customer"}, {"attribute": "email", "field": "empty"}]}]}'),
    (8, '{"jsonataExpression": "persons.{\"entity_schema\": \"contact\", \"unique_ids\": [{\"attribute\": \"email\", \"constant\": mail}], \"_tags\": [role]}"}'),
    (9, '{"jsonataExpression": "{\"entity_schema\": \"contact\", \"unique_ids\": {\"attribute\": \"number\", \"field\": \"customer\"}}"}'),
    (10, '{"jsonataExpression": "nobody.{\"entity_schema\": \"contact\"}"}'),
    (11, '{"jsonataExpression": "[]"}'),
    (12, '{"jsonataExpression": "null"}')
) AS v(n, relations)
CROSS JOIN LATERAL erp_map(contacts(relations), 'Changed', '{
    "number": 7, "customer": "C-1", "mail": {"billing": "a@x.de"}, "empty": "", "first": "Ada", "last": "Byron",
    "persons": [{"mail": "b@x.de", "role": "OWNER"}, {"mail": null, "role": "USER"}]
}')
ORDER BY n;

DROP FUNCTION contacts;
