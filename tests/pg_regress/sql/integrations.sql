-- Integrations and use cases: created, changed, listed, switched off and on, dropped.
CREATE SCHEMA integrations;
SET search_path = integrations, public;
SET client_min_messages = error;

SELECT erp_create_integration('erp', 'The ERP', 'all of it', '{"history": "full", "max_attempts": 3}');
SELECT erp_create_integration('0-other_1');
SELECT erp_set_use_case('erp/customers', customer_mapping());
SELECT erp_set_use_case('erp/orders', changed('{"entity_schema": "order", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "id"}]}'),
                        name => 'Orders', settings => '{"history": "none", "on_poison": "block"}', comment => 'first');
-- An outbound use case has any object as its configuration, and takes no events.
SELECT erp_set_use_case('erp/out', '{"anything": 1}', type => 'outbound');
SELECT integration, name, description, use_cases, enabled, settings, created_by = current_user AS is_own FROM erp.integrations ORDER BY integration;
SELECT use_case, name, type, enabled, version, set_by = current_user AS is_own, comment, settings FROM erp.use_cases ORDER BY use_case;

-- What is null stays.
SELECT erp_set_integration('erp', description => 'most of it');
SELECT erp_set_use_case('erp/orders', configuration, name => 'All orders') FROM erp.use_case_version AS v JOIN erp.use_case AS u ON u.id = v.use_case WHERE u.slug = 'orders';
SELECT integration, name, description, settings FROM erp.integrations WHERE integration = 'erp';
SELECT use_case, name, version, comment, settings FROM erp.use_cases WHERE use_case = 'erp/orders';
SELECT erp_set_integration('erp', settings => '{}'), erp_set_use_case('erp/customers', customer_mapping(), type => 'inbound', settings => '{"notify": false}');
SELECT use_case, version, settings FROM erp.use_cases ORDER BY use_case;
-- Of another type: its configuration must fit.
SELECT state, message FROM failure($$ SELECT erp_set_use_case('erp/out', '{"anything": 1}', type => 'inbound') $$);

-- Every setting, and values that do not fit
SELECT erp_set_integration('0-other_1', settings => '{"history": "changes", "on_poison": "dead_letter", "max_attempts": 1, "retry_after": "100 ms",
    "max_retry_after": "30 days", "notify": true, "drift_sample": 0}');
SELECT setting, state, message FROM unnest(ARRAY['{"history": "all"}', '{"history": null}', '{"on_poison": 1}', '{"max_attempts": 0}', '{"max_attempts": "many"}', '{"max_attempts": 1001}',
    '{"retry_after": "2 days"}', '{"retry_after": "soon"}', '{"max_retry_after": "0"}', '{"notify": "true"}', '{"drift_sample": -1}', '{"drift_sample": 1e9}', '{"History": "full"}', '[]', 'null']) WITH ORDINALITY AS s(setting, n),
    failure(format('SELECT erp_set_integration(%L, settings => %L)', 'erp', setting)) ORDER BY n;
SELECT * FROM failure($$ SELECT erp_create_integration('x', settings => '{"histroy": "full"}') $$) \gx
SELECT * FROM failure($$ SELECT erp_set_use_case('erp/customers', customer_mapping(), settings => '{"retry_after": "1 year"}') $$) \gx

-- Names
SELECT name, state, message, hint FROM unnest(ARRAY['', 'Erp', '-erp', '_erp', 'e r p', 'ä', 'a/b', E'a\nb', 'erp']) WITH ORDINALITY AS s(name, n),
    failure(format('SELECT erp_create_integration(%L)', name)) ORDER BY n;
SELECT state, message FROM failure('SELECT erp_create_integration(NULL)');
SELECT name, state, message FROM unnest(ARRAY['erp', 'erp/', '/a', 'erp/A', 'erp/a/b', 'nix/a', '']) WITH ORDINALITY AS s(name, n),
    failure(format('SELECT erp_set_use_case(%L, customer_mapping())', name)) ORDER BY n;
SELECT state, message FROM failure('SELECT erp_set_use_case(NULL, customer_mapping())');
SELECT state, message FROM failure($$ SELECT erp_set_use_case('erp/a', customer_mapping(), type => 'both') $$);
SELECT * FROM failure($$ SELECT erp_set_integration('nix') $$) \gx
SELECT * FROM failure($$ SELECT erp_enable('erp/nix') $$) \gx
SELECT call, state, message, detail FROM unnest(ARRAY['erp_disable(''nix'')', 'erp_drop_integration(''nix'')', 'erp_drop_use_case(''erp/nix'')', 'erp_drop_use_case(''erp'')',
    'erp_restore_use_case(''nix/a'', 1)', 'erp_diff_use_case(''erp/nix'', 1)', 'erp_export_integration(''erp/customers'')', 'erp_export_integration(NULL)', 'erp_enable(NULL)', 'erp_drop_use_case(NULL)',
    'erp_ingest(''erp'', ''{}'')', 'erp_enqueue(NULL, ''{}'')', 'erp_process(1, ''nix'')']) WITH ORDINALITY AS s(call, n),
    failure('SELECT ' || call) ORDER BY n;

-- Configurations that cannot be used, every problem at once. What is dubious is a warning.
SELECT * FROM failure($$ SELECT erp_set_use_case('erp/bad', '{"version": "1.0", "mapping": {"events": {"E": {"entities": [{"entity_schema": "a", "fields": [{"attribute": "x", "jsonataExpression": "1 +"}]}]}}}}') $$) \gx
SELECT configuration, state, message FROM unnest(ARRAY[NULL, '[]', '"a"', '{}']) WITH ORDINALITY AS s(configuration, n),
    failure(format('SELECT erp_set_use_case(%L, %L)', 'erp/bad', configuration)) ORDER BY n;
SELECT count(*) AS bad FROM erp.use_cases WHERE use_case = 'erp/bad';
SET client_min_messages = warning;
\set VERBOSITY terse
SELECT erp_set_use_case('erp/orders', '{"entities": [{"entity_schema": "order", "unique_ids": ["no"], "fields": [{"attribute": "no", "feld": 1, "field": "id"}]}]}');
\set VERBOSITY default
SET client_min_messages = error;

-- Disabled: events are refused, or wait.
SELECT erp_disable('erp/customers'), erp_disable('erp/customers') AS again;
SELECT * FROM failure($$ SELECT erp_ingest('erp/customers', '{"event_name": "Changed", "payload": {"id": 1}}') $$) \gx
SELECT erp_enqueue('erp/customers', '{"event_name": "Changed", "payload": {"id": 1}}');
SELECT taken FROM erp_process();
SELECT erp_disable('erp') AS others, erp_enable('erp') AS all_of_them;
SELECT use_case, enabled FROM erp.use_cases ORDER BY use_case;
SELECT * FROM failure($$ SELECT erp_ingest('erp/out', '{"event_name": "Changed", "payload": {"id": 1}}') $$) \gx
SELECT state, message FROM failure($$ SELECT erp_enqueue('erp/out', '{"event_name": "Changed", "payload": {"id": 1}}') $$);

-- Dropped: not while events wait, unless they are given up.
SELECT * FROM failure($$ SELECT erp_drop_use_case('erp/customers') $$) \gx
SELECT erp_drop_use_case('erp/customers', cascade => true);
SELECT event, state FROM erp.outcome;
SELECT count(*) AS waiting FROM erp.inbox;
SELECT * FROM failure($$ SELECT erp_drop_integration('erp') $$) \gx
SELECT erp_drop_integration('erp', cascade => true), erp_drop_integration('0-other_1');
SELECT count(*) AS integrations, (SELECT count(*) FROM erp.use_case_version) AS versions, (SELECT count(*) FROM erp.event) AS events FROM erp.integrations;
SELECT hint FROM failure($$ SELECT erp_set_integration('erp') $$);

CALL forget_integrations();
CALL forget('integrations');
