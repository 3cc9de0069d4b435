-- An integration as a document, and back.
CREATE SCHEMA export;
SET search_path = export, public;
SET client_min_messages = error;
SELECT erp_create_integration('erp', 'The "ERP"', settings => '{"history": "changes"}');
SELECT erp_set_use_case('erp/b', customer_mapping(), settings => '{"on_poison": "block"}', comment => 'kept here alone'), erp_set_use_case('erp/a', '{"x": 1}', 'An export', 'outbound'),
       erp_disable('erp/a');
SELECT jsonb_pretty(erp_export_integration('erp') #- '{use_cases,1,configuration,mapping}');
SELECT erp_export_integration('erp') AS document \gset

-- The same again changes nothing. What differs becomes the same, what is not in it stays.
SELECT * FROM erp_import_integration(:'document');
SELECT erp_set_use_case('erp/b', changed('{"entity_schema": "contact", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "id"}]}')), erp_set_use_case('erp/c', customer_mapping()),
       erp_enable('erp/a'), erp_set_integration('erp', 'Another', 'with a description', '{"notify": false}');
SELECT * FROM erp_import_integration(:'document');
SELECT use_case, name, type, enabled, version, comment, settings FROM erp.use_cases ORDER BY use_case;
SELECT erp_drop_use_case('erp/c');
SELECT erp_export_integration('erp') = :'document' AS is_same;

-- Where it is not there
SELECT erp_drop_integration('erp', cascade => true);
SELECT * FROM erp_import_integration(:'document');
SELECT erp_export_integration('erp') = :'document' AS is_same;

-- What is no such document, or no longer fits, changes nothing.
SELECT document, state, message FROM unnest(ARRAY[NULL, '{}', '[]', '1', '{"format": "erp_toolkit integration 2"}', '{"format": "erp_toolkit integration 1"}',
    '{"format": "erp_toolkit integration 1", "integration": {"slug": "A"}}', '{"format": "erp_toolkit integration 1", "integration": {"slug": "a", "settings": {"x": 1}}}',
    '{"format": "erp_toolkit integration 1", "integration": {"slug": "a"}, "use_cases": {}}', '{"format": "erp_toolkit integration 1", "integration": {"slug": "a"}, "use_cases": [{"slug": "b"}]}',
    '{"format": "erp_toolkit integration 1", "integration": {"slug": "a"}, "use_cases": [{"slug": "b", "type": "x", "configuration": {}}]}',
    '{"format": "erp_toolkit integration 1", "integration": {"slug": "a"}, "use_cases": [{"configuration": {}}]}',
    '{"format": "erp_toolkit integration 1", "integration": {"slug": "a"}, "use_cases": [{"slug": "b", "enabled": "yes"}]}', '{"format": "erp_toolkit integration 1", "integration": {"slug": "a"}, "use_cases": [1]}']) WITH ORDINALITY AS s(document, n),
    failure(format('SELECT * FROM erp_import_integration(%L)', document)) ORDER BY n;
SELECT state, message FROM failure(format('SELECT * FROM erp_import_integration(%L)', jsonb_set(:'document', '{use_cases,1,configuration,version}', '"3.0"')));
SELECT integration, use_cases FROM erp.integrations;
SELECT integration, name FROM erp.integrations;

CALL forget_integrations();
DROP SCHEMA export;
