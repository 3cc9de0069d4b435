-- The steps of an operation, in order: its events in every state, and spans from outside.
CREATE SCHEMA trace;
SET search_path = trace, public;
SET client_min_messages = error;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
SELECT erp_create_integration('erp', settings => '{"history": "changes", "max_attempts": 2, "retry_after": "1 ms"}');
SELECT erp_set_use_case('erp/c', customer_mapping()), erp_set_use_case('erp/blocking', customer_mapping(), settings => '{"on_poison": "block"}'), erp_set_use_case('erp/held', customer_mapping());
CREATE FUNCTION event(payload jsonb, group_key text, deduplication_id text DEFAULT NULL) RETURNS jsonb LANGUAGE sql
RETURN jsonb_strip_nulls(jsonb_build_object('event_name', 'Changed', 'payload', payload, 'group_key', group_key, 'deduplication_id', deduplication_id, 'correlation_id', 'op 1', 'timestamp', '2024-01-01T00:00:00Z'));
CREATE FUNCTION steps(correlation_id text) RETURNS TABLE (event_id bigint, step text, ended boolean, lasted boolean, use_case text, details jsonb) LANGUAGE sql
BEGIN ATOMIC SELECT t.event_id, t.step, t.ended_at IS NOT NULL, t.duration >= '0', t.use_case, readable(t.details - '{due_at,run_by,received_by}'::text[]) FROM erp_trace(correlation_id) WITH ORDINALITY AS t(started_at, ended_at, duration, step, event_id, use_case, details, n) ORDER BY t.event_id NULLS FIRST, t.n; END;

SELECT action FROM erp_ingest('erp/c', event('{"id": 1, "account": "X"}', 'a', 'd'));
SELECT action FROM erp_ingest('erp/c', event('{"id": 1}', 'a', 'd'));
SELECT action FROM erp_ingest('erp/c', event('{}', 'a'), 'dead_letter');
SELECT erp_enqueue('erp/c', event('{"id": 2, "account": {}}', 'b')), erp_enqueue('erp/c', event('{"id": 3}', 'c')), erp_enqueue('erp/blocking', event('{}', 'd')), erp_enqueue('erp/blocking', event('{"id": 4}', 'd')),
       erp_enqueue('erp/held', event('{"id": 5}', 'e')), erp_disable('erp/held'), erp_enqueue('erp/c', event('{"id": 6}', 'f'));
SELECT erp_skip(ARRAY[9]);
SELECT taken, done, failed, dead FROM erp_process();
-- Another attempt, and what the mapping makes of it then
SELECT pg_sleep(0.01);
UPDATE erp.lane SET next_look_at = NULL;
SELECT taken, done, failed, dead FROM erp_process();
SELECT erp_trace_add('op 1', 'export', '2023-01-01', '2023-01-01 00:01', '{"rows": 7}'), erp_trace_add('op 1', 'begun'), erp_trace_add('op 2', 'another');
SELECT * FROM steps('op 1');
SELECT bool_and(started_at >= before) AS are_in_order FROM (SELECT started_at, lag(started_at, 1, '-infinity') OVER () AS before FROM erp_trace('op 1')) AS t;
SELECT step, duration FROM erp_trace('op 1') ORDER BY started_at LIMIT 1;
-- Without a correlation id
SELECT event_id AS event FROM erp_ingest('erp/c', '{"event_name": "Changed", "payload": {"id": 7}}') \gset
SELECT step, event_id = :event AS is_it FROM erp_trace('event-' || :event);
SELECT count(*) FROM erp_trace('event-1');
SELECT count(*) FROM erp_trace('event-' || repeat('9', 30));
SELECT count(*) FROM erp_trace(NULL);
-- Replayed: what came of it before is in its history.
SELECT erp_replay(NULL, ARRAY[:event]);
SELECT step, ended_at IS NULL AS goes_on FROM erp_trace('event-' || :event);
-- Errors are told without the values that they may hold.
CREATE UNIQUE INDEX ON contact (((attributes ->> 'name')::integer));
SELECT count(*) FROM unnest(ARRAY['1', '1', 'Ada']) WITH ORDINALITY AS n(name, id),
    erp_ingest('erp/c', jsonb_build_object('event_name', 'Changed', 'correlation_id', 'op 3', 'payload', jsonb_build_object('id', 100 + id, 'name', name)), 'dead_letter');
SELECT details FROM erp_trace('op 3') WHERE step = 'failed';
-- Of a use case that is gone
SELECT erp_drop_use_case('erp/held', cascade => true);
SELECT step, use_case FROM erp_trace('op 1') WHERE event_id = 8;
-- What blocks its group waits for an operator, whether its use case is disabled or not.
SELECT erp_disable('erp/blocking');
SELECT t.event_id, t.step, s.state FROM erp_trace('op 1') AS t JOIN erp.event_status AS s ON s.event = t.event_id WHERE t.ended_at IS NULL ORDER BY 1;

SELECT call, state, message FROM unnest(ARRAY['NULL, ''a''', ''''', ''a''', '''a'', ''''', '''a'', NULL', 'repeat(''a'', 1001), ''a''', '''a'', ''b'', NULL', '''a'', ''b'', now(), now() - interval ''1 s''', '''a'', ''b'', attributes => ''[]''', '''a'', ''b'', attributes => NULL']) WITH ORDINALITY AS s(call, n),
    failure(format('SELECT erp_trace_add(%s)', call)) ORDER BY n;

CALL forget_integrations();
CALL forget('trace');
