-- What the views of monitoring say of events and use cases, state by state.
CREATE SCHEMA monitoring;
SET search_path = monitoring, public;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
SELECT erp_create_integration('mon') > 0 AS created;
CREATE VIEW health AS
SELECT use_case, state, reason, advice, waiting, retrying, blocked_groups AS blocked, held, dead_letters AS dead
FROM erp.use_case_status WHERE use_case LIKE 'mon/%' ORDER BY use_case;
CREATE VIEW events AS
SELECT row_number() OVER (ORDER BY s.event) AS n, s.use_case, s.event_name, payload ->> 'id' AS id, s.state, s.attempts, s.due_at IS NOT NULL AS is_due, s.version,
       s.waits_for IS NOT NULL AS waits, s.last_error_sqlstate AS sqlstate, s.ended_at IS NOT NULL AS ended
FROM erp.event_status AS s JOIN erp.event AS e ON e.id = s.event WHERE s.integration = 'mon' ORDER BY s.event;
CREATE FUNCTION event(id text, name text DEFAULT 'Changed', more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql
    RETURN jsonb_build_object('event_name', name, 'payload', jsonb_build_object('id', id)) || more;

-- Nothing has happened yet.
SELECT erp_set_use_case('mon/customer', customer_mapping());
SELECT * FROM health \gx
SELECT done_1m, failed_1m, done_1h, error_rate_1h, done_24h, error_rate_24h, oldest_event, lag, last_success_at, last_error_at FROM erp.use_case_status WHERE use_case = 'mon/customer';

-- waiting, done, duplicate
SELECT erp_enqueue_batch('mon/customer', ARRAY[event('1', more => '{"deduplication_id": "one", "correlation_id": "c"}'), event('2')]);
SELECT * FROM events;
SELECT state, reason, waiting, oldest_event IS NOT NULL AS has_oldest, lag < '1 h' AS is_new FROM erp.use_case_status WHERE use_case = 'mon/customer';
SELECT taken, done FROM erp_process();
SELECT count(*) FROM erp_ingest('mon/customer', event('1', more => '{"deduplication_id": "one"}'));
SELECT * FROM events;
SELECT s.state, d.state AS of_state, d.correlation_id FROM erp.event_status AS s JOIN erp.event_status AS d ON d.event = s.duplicate_of WHERE s.integration = 'mon';
SELECT state, reason, done_1m, failed_1m, done_1h, error_rate_1h, done_24h, last_success_at > now() - interval '1 h' AS is_new FROM erp.use_case_status WHERE use_case = 'mon/customer';

-- dead: what an operator needs to mend it
SELECT erp_enqueue('mon/customer', event('3', 'Unknown', '{"group_key": "g", "correlation_id": "c-3"}')) > 0 AS enqueued;
SELECT taken, done, failed, dead FROM erp_process();
SELECT * FROM health \gx
SELECT event = (SELECT max(id) FROM erp.event) AS is_it, use_case, event_name, version, attempts, sqlstate, code, message, detail, hint, correlation_id, group_key,
       retry = format('SELECT erp_retry(events => ARRAY[%s]);', event) AS has_retry, skip = format('SELECT erp_skip(ARRAY[%s]);', event) AS has_skip
FROM erp.dead_letters WHERE use_case = 'mon/customer' \gx
SELECT last_error_sqlstate, last_error_code, last_error_message, failed_1h, error_rate_1h, error_rate_24h FROM erp.use_case_status WHERE use_case = 'mon/customer';
-- The calls that it names try it again, and give it up.
SELECT retry FROM erp.dead_letters \gset
:retry
SELECT state, attempts FROM events WHERE id = '3';
SELECT dead FROM erp_process();
SELECT skip FROM erp.dead_letters \gset
:skip
SELECT * FROM events WHERE id = '3';
SELECT state, reason, dead_letters FROM erp.use_case_status WHERE use_case = 'mon/customer';

-- retrying: and what waits behind it. A trigger of the user's fails, with a value in its message.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no "%" of % here, said 12:30', NEW.attributes ->> 'customer_number', 42; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON contact FOR EACH ROW WHEN (NEW.attributes ->> 'customer_number' LIKE 'bad%') EXECUTE FUNCTION refuse();
SELECT erp_set_use_case('mon/retried', customer_mapping(), settings => '{"retry_after": "1 h", "max_retry_after": "1 h"}');
SELECT erp_enqueue_batch('mon/retried', ARRAY[event('bad 1', more => '{"group_key": "r"}'), event('behind 1', more => '{"group_key": "r"}')]);
SELECT taken, done, failed, dead FROM erp_process();
SELECT * FROM events WHERE use_case = 'mon/retried';
SELECT * FROM health WHERE use_case = 'mon/retried' \gx
SELECT use_case, state, attempts, due_at > now() AS is_later, behind, sqlstate, code, message, detail, hint FROM erp.failing_events \gx

-- blocked
SELECT erp_set_use_case('mon/blocked', customer_mapping(), settings => '{"on_poison": "block"}');
SELECT erp_enqueue_batch('mon/blocked', ARRAY[event('4', 'Unknown', '{"group_key": "b"}'), event('5', more => '{"group_key": "b"}'), event('6', 'Unknown', '{"group_key": "b2"}')]);
SELECT taken, done, failed, dead FROM erp_process();
SELECT * FROM events WHERE use_case = 'mon/blocked';
SELECT * FROM health WHERE use_case = 'mon/blocked' \gx
SELECT state, attempts, due_at, behind, code, group_key FROM erp.failing_events WHERE use_case = 'mon/blocked' ORDER BY event;

-- held: a use case is disabled. What blocks is blocked all the same.
SELECT erp_set_use_case('mon/held', customer_mapping());
SELECT erp_disable('mon/held');
SELECT * FROM health WHERE use_case = 'mon/held' \gx
SELECT erp_enqueue('mon/held', event('7')) > 0 AS enqueued;
SELECT erp_disable('mon/blocked');
SELECT use_case, id, state FROM events WHERE use_case IN ('mon/held', 'mon/blocked');
SELECT use_case, state, reason, advice, waiting, held, blocked FROM health WHERE use_case IN ('mon/held', 'mon/blocked');
SELECT erp_enable('mon/blocked');

-- The inbox as a whole
SELECT waiting, retrying, blocked_groups, held, lag < '1 h' AS is_new, workers, lanes_busy FROM erp.queue_status;

-- lag: amber, then red, after the times of the use case or its integration
SELECT erp_set_use_case('mon/late', customer_mapping());
SELECT erp_enqueue('mon/late', event('8', more => '{"group_key": "late"}')) > 0 AS enqueued;
CREATE PROCEDURE make_older(by interval) LANGUAGE sql AS $$ UPDATE erp.event SET received_at = now() - by WHERE payload ->> 'id' = '8' $$;
CALL make_older('4 min 50 s');
SELECT state, reason, advice FROM health WHERE use_case = 'mon/late';
CALL make_older('5 min 10 s');
SELECT state, reason, advice FROM health WHERE use_case = 'mon/late';
CALL make_older('14 min 50 s');
SELECT state, reason FROM health WHERE use_case = 'mon/late';
CALL make_older('1 h 15 min 10 s');
SELECT state, reason, advice FROM health WHERE use_case = 'mon/late';
SELECT erp_set_integration('mon', settings => '{"red_after": "3 days"}');
SELECT state, reason FROM health WHERE use_case = 'mon/late';
SELECT erp_set_use_case('mon/late', customer_mapping(), settings => '{"amber_after": "1 day", "red_after": "2 days"}');
SELECT state, reason FROM health WHERE use_case = 'mon/late';
CALL make_older('50 h 30 min');
SELECT state, reason FROM health WHERE use_case = 'mon/late';
SELECT erp_disable('mon/late');
SELECT state, reason FROM health WHERE use_case = 'mon/late';
SELECT state, message, hint FROM failure($$ SELECT erp_set_integration('mon', settings => '{"red_after": "soon"}') $$) \gx
SELECT state FROM failure($$ SELECT erp_set_integration('mon', settings => '{"amber_after": "-1 h"}') $$);
SELECT erp_skip(ARRAY(SELECT event FROM erp.event_status WHERE use_case = 'mon/late'));

-- Half of the attempts failed, ten at least
SELECT erp_set_use_case('mon/failing', customer_mapping());
SELECT count(*) FROM generate_series(1, 9) AS n, erp_ingest('mon/failing', event('x' || n, 'Unknown'), on_error => 'dead_letter');
SELECT state, reason FROM health WHERE use_case = 'mon/failing';
SELECT count(*) FROM erp_ingest('mon/failing', event('x', 'Other unknown'), on_error => 'dead_letter');
SELECT state, reason, advice FROM health WHERE use_case = 'mon/failing';
SELECT count(*) FROM generate_series(1, 11) AS n, erp_ingest('mon/failing', event('y' || n));
SELECT state, reason, advice FROM health WHERE use_case = 'mon/failing';

-- Errors, by what they are
SELECT use_case, sqlstate, code, message, failures, events, first_at <= last_at AS ordered, example_event IS NOT NULL AS has_example
FROM erp.recent_errors WHERE use_case LIKE 'mon/%' ORDER BY use_case, message;
SELECT * FROM erp.error_rates WHERE use_case LIKE 'mon/%' ORDER BY use_case, code;
-- Those of yesterday do not count.
UPDATE erp.failure SET failed_at = failed_at - interval '25 h';
UPDATE erp.run SET finished_at = finished_at - interval '25 h';
SELECT count(*) FROM erp.recent_errors WHERE use_case LIKE 'mon/%';
SELECT count(*) FROM erp.error_rates WHERE use_case LIKE 'mon/%';
SELECT state, reason, failed_24h, done_24h, error_rate_24h, last_error_at < now() - interval '1 day' AS old_error, last_success_at < now() - interval '1 day' AS old_success
FROM erp.use_case_status WHERE use_case = 'mon/failing';
UPDATE erp.failure SET failed_at = failed_at + interval '23 h';
UPDATE erp.run SET finished_at = finished_at + interval '23 h';
SELECT use_case, code, failed_1h, failed_24h, error_rate_1h, error_rate_24h FROM erp.error_rates WHERE use_case = 'mon/failing';
SELECT sum(done) AS done, sum(failed) AS failed, sum(dead) AS dead, count(*) AS hours, count(*) FILTER (WHERE done > 0) > 0 AS in_some, max(hour) <= now() AS ended
FROM erp.hourly_activity WHERE use_case = 'mon/failing';

-- Times: of each version, shared by the events that were applied together
SELECT use_case, version, runs, events, ms_per_event > 0 AS took, most_ms_per_event >= ms_per_event AS ordered FROM erp.slow_mappings WHERE use_case = 'mon/failing';
TRUNCATE erp.run;
SELECT erp_set_use_case('mon/failing', changed('{"entity_schema": "contact", "unique_ids": ["customer_number"], "fields": [{"attribute": "customer_number", "field": "id"}]}'));
SELECT erp_enqueue_batch('mon/failing', ARRAY[event('11', more => '{"group_key": "t"}'), event('12', more => '{"group_key": "t"}'), event('13', more => '{"group_key": "t"}')]);
SELECT erp_enqueue('mon/customer', event('14', more => '{"group_key": "t"}')) > 0 AS enqueued;
SELECT taken, done FROM erp_process();
SELECT use_case, version, runs, events FROM erp.slow_mappings ORDER BY use_case;
-- together: milliseconds an event are the same, and in sum not more than the time
SELECT count(DISTINCT round((ms / (done + failed))::numeric, 6)) AS shares, sum(ms) > 0 AND sum(ms) <= extract(epoch FROM max(finished_at) - min(started_at)) * 1000 AS fits FROM erp.run;

-- What a message may hold of a value is not shown.
SELECT erp._shown_message(NULL, '22P02', 'invalid input syntax for type integer: "Ada"'),
       erp._shown_message(NULL, '22P02', E'invalid input syntax for type integer: "Ada \"the first\"\nof her name"'),
       erp._shown_message(NULL, '22P02', 'ungültige Eingabesyntax für Typ integer: »Ada«'), erp._shown_message(NULL, '22P02', 'syntaxe en entrée invalide pour le type integer : « Ada »'),
       erp._shown_message(NULL, 'P0001', 'customer 4711 of 2024-01-02 "A ""b"""'),
       erp._shown_message(NULL, '23505', 'duplicate key value violates unique constraint "contact_number_1"'), erp._shown_message('MP005', 'MP005', 'contact: "x1"') \gx

-- A dropped use case takes its events out of the inbox; they are told of without it.
SELECT erp_drop_integration('mon', cascade => true);
SELECT DISTINCT integration, use_case, state FROM erp.event_status ORDER BY state;
SELECT count(*) FROM erp.use_case_status;
SELECT waiting, retrying, blocked_groups, held, oldest_received_at, lag FROM erp.queue_status;
TRUNCATE erp.event, erp.outcome, erp.failure, erp.run, erp.inbox;
CALL forget('monitoring');
