-- A dump carries integrations, events in every state and their history; restored, the inbox is worked on as before.
CREATE SCHEMA dumped;
SET search_path = dumped, public;
SET client_min_messages = error;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
SELECT erp_create_integration('erp', settings => '{"history": "full", "drift_sample": 1, "retry_after": "1 ms"}');
SELECT erp_set_use_case('erp/c', customer_mapping()), erp_set_use_case('erp/blocking', customer_mapping(), settings => '{"on_poison": "block"}'), erp_set_use_case('erp/held', customer_mapping());
SELECT erp_set_use_case('erp/c', jsonb_set(customer_mapping(), '{mapping,events,Other}', '{"entities": []}'));
SELECT action FROM erp_ingest('erp/c', '{"event_name": "Changed", "payload": {"id": 1, "name": "A", "account": "X"}, "deduplication_id": "d1", "correlation_id": "op"}');
SELECT action FROM erp_ingest('erp/c', '{"event_name": "Changed", "payload": {"id": 1}, "deduplication_id": "d1"}');
SELECT action FROM erp_ingest('erp/c', '{"event_name": "Changed", "payload": {}}', 'dead_letter');
SELECT erp_enqueue('erp/blocking', '{"event_name": "Changed", "payload": {}, "group_key": "g"}'), erp_enqueue('erp/blocking', '{"event_name": "Changed", "payload": {"id": 2}, "group_key": "g"}'),
       erp_enqueue('erp/held', '{"event_name": "Changed", "payload": {"id": 3}, "group_key": "h"}'), erp_disable('erp/held'),
       erp_enqueue('erp/c', '{"event_name": "Changed", "payload": {"id": 4, "account": {}}, "group_key": "i"}'),
       erp_enqueue('erp/c', '{"event_name": "Changed", "payload": {"id": 5}, "group_key": "j"}');
SELECT erp_skip(ARRAY[9]);
SELECT taken, done, failed, dead FROM erp_process();
SELECT erp_enqueue('erp/c', '{"event_name": "Changed", "payload": {"id": 1, "name": "B"}, "group_key": "k"}');
SELECT erp_trace_add('op', 'outside', '2024-01-01', '2024-01-02', '{"a": 1}'), erp_sample_fields() > 0 AS are_sampled;
SELECT event, attempts, due_at = 'infinity' AS is_blocked FROM erp.inbox ORDER BY event;
CREATE FUNCTION state() RETURNS jsonb LANGUAGE sql SET TimeZone = 'UTC'
RETURN (SELECT jsonb_object_agg(name, query_to_xml(format('SELECT x::text FROM %s AS x ORDER BY x::text', name), false, false, '')::text)
        FROM unnest(ARRAY['erp.integration', 'erp.use_case', 'erp.use_case_version', 'erp.event', 'erp.run', 'erp.outcome', 'erp.failure', 'erp.history', 'erp.inbox', 'erp.span', 'erp.field_seen', 'erp.field_sample']) AS name);
CREATE TABLE before AS SELECT state();

SELECT current_database() AS here \gset
CREATE DATABASE regress_restored TEMPLATE template0;
\setenv DUMPED :here
\! pg_dump --no-password "$DUMPED" | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --output /dev/null regress_restored
\c regress_restored
SET search_path = dumped, public;
SET client_min_messages = error;
-- As it was
SELECT b.key, b.value = a.value AS is_same FROM before, jsonb_each(before.state) AS b JOIN jsonb_each(state()) AS a USING (key) ORDER BY key COLLATE "C";
SELECT use_case, version, enabled, settings FROM erp.use_cases ORDER BY use_case;
SELECT step, event_id, use_case FROM erp_trace('op');
SELECT action, attributes, use_case, version FROM erp_history('contact', unique_identifiers => '{"customer_number": 1}');
-- It goes on: what waits is applied, what blocked its group is given up, what was held goes on; numbers go on too.
SELECT pg_sleep(0.01);
SELECT taken, done, failed, dead FROM erp_process();
SELECT erp_skip(ARRAY(SELECT event FROM erp.inbox WHERE due_at = 'infinity')), erp_enable('erp/held');
SELECT pg_sleep(0.01);
UPDATE erp.lane SET next_look_at = NULL;
SELECT taken, done FROM erp_process();
SELECT action FROM erp_ingest('erp/c', '{"event_name": "Changed", "payload": {"id": 1}, "deduplication_id": "d1"}');
SELECT event_id, action FROM erp_ingest('erp/c', '{"event_name": "Changed", "payload": {"id": 1, "name": "C"}}');
SELECT customer_number, attributes ->> 'name' AS name FROM contact ORDER BY customer_number;
SELECT erp_set_use_case('erp/c', customer_mapping()), erp_create_integration('new');
SELECT e.attributes ->> 'name' AS name, e.state, e.gap FROM contact, erp_history('contact', contact.id::text) AS h, erp_entity_at('contact', contact.id::text, h.changed_at) AS e
WHERE customer_number = '1' ORDER BY h.changed_at;

\c :here
SET client_min_messages = error;
CALL forget_integrations();
CALL forget('dumped');
DROP DATABASE regress_restored;
