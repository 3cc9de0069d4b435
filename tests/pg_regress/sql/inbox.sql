-- Events in the inbox: enqueued, processed in order, tried again, given up, replayed.
CREATE SCHEMA inbox;
SET search_path = inbox, public;
\set ECHO none
SELECT erp_prepare(customer_mapping()) \g /dev/null
SELECT erp_create_integration('crm') \g /dev/null
SELECT erp_set_use_case('crm/customers', customer_mapping(), settings => '{"notify": false, "retry_after": "1 day", "max_attempts": 2}') \g /dev/null
CREATE VIEW waiting AS
SELECT coalesce(e.payload ->> 'id', e.payload #>> '{}') AS id, e.group_key, i.attempts, CASE WHEN i.due_at = 'infinity' THEN 'blocked' WHEN i.due_at > now() THEN 'later' ELSE 'due' END AS due
FROM erp.inbox AS i JOIN erp.event AS e ON e.id = i.event ORDER BY e.id;
CREATE VIEW ended AS
SELECT coalesce(e.payload ->> 'id', e.payload #>> '{}') AS id, o.state, o.attempts, (SELECT count(*) FROM erp.failure AS f WHERE f.event = e.id) AS failures
FROM erp.outcome AS o JOIN erp.event AS e ON e.id = o.event ORDER BY e.id;
-- Names that are refused for now
CREATE TABLE refused (name text);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM refused AS r WHERE r.name = new.attributes ->> 'name') THEN
        RAISE EXCEPTION 'the name is refused' USING ERRCODE = '23514';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON contact FOR EACH ROW EXECUTE FUNCTION refuse();
\set ECHO all

-- Nothing there
SELECT * FROM erp_process();

-- In, and applied in order
SELECT erp_enqueue('crm/customers', '{"event_name": "Changed", "payload": {"id": 1, "name": "Ann"}, "deduplication_id": "d-1"}') > 0 AS is_id;
SELECT erp_enqueue_batch('crm/customers', ARRAY[
    '{"event_name": "Changed", "payload": {"id": 1, "name": "Anna"}}',
    '{"event_name": "Changed", "payload": {"id": 1, "name": "Late"}, "deduplication_id": "d-1"}',
    '{"event_name": "Changed", "payload": {"id": 2}, "group_key": "two"}']::jsonb[]) AS new;
SELECT erp_enqueue_batch('crm/customers', 'Changed', '{"{\"id\": 3}","\"{\\\"id\\\": 4}\""}') AS new;
SELECT * FROM waiting;
SELECT * FROM erp_process(2);
SELECT * FROM erp_process();
SELECT attributes ->> 'customer_number' AS number, attributes ->> 'name' AS name FROM contact ORDER BY 1;
SELECT * FROM ended;
SELECT * FROM waiting;

-- What cannot be applied by any attempt goes to the dead letters at once, and its group goes on.
SELECT erp_enqueue_batch('crm/customers', 'Changed', '{"{\"id\": \"\"}","{\"id\": 5}"}');
SELECT * FROM erp_process();
SELECT * FROM ended WHERE state = 'dead' OR id = '5';

-- What may be is tried again, and its group waits for it; other groups do not.
INSERT INTO refused VALUES ('Bad');
SELECT erp_enqueue_batch('crm/customers', ARRAY[
    '{"event_name": "Changed", "payload": {"id": 6, "name": "Bad"}}',
    '{"event_name": "Changed", "payload": {"id": 7}}',
    '{"event_name": "Changed", "payload": {"id": 8}, "group_key": "two"}']::jsonb[]);
SELECT * FROM erp_process();
SELECT * FROM waiting;
SELECT * FROM erp_process();
-- At once, if somebody says so; the last attempt
SELECT erp_retry('crm', sqlstate => '23503') AS none, erp_retry('crm', sqlstate => '23514') AS one;
UPDATE erp.inbox SET attempts = 1, due_at = now() WHERE event IN (SELECT id FROM erp.event WHERE payload ->> 'id' = '6');
SELECT * FROM erp_process();
SELECT * FROM ended WHERE id IN ('6', '7');
-- Dead letters are tried again.
SELECT erp_retry('crm', sqlstate => 'ATTRIBUTE_TYPE_MISMATCH') AS none, erp_retry('crm', sqlstate => 'MISSING_UNIQUE_IDENTIFIERS') AS by_code;
SELECT erp_retry();
SELECT * FROM waiting;
DELETE FROM refused;
SELECT * FROM erp_process();
SELECT * FROM ended WHERE id IN ('', '6');
-- What failed is replayed, also what has been applied since.
SELECT erp_replay('crm', sqlstate => '23514') AS by_state, erp_replay('crm', sqlstate => 'MISSING_UNIQUE_IDENTIFIERS') AS by_code, erp_replay('crm', sqlstate => '23503') AS none;
SELECT * FROM erp_process();
SELECT * FROM ended WHERE id IN ('', '6');

-- A group that is blocked, until its event is skipped
SELECT erp_set_use_case('crm/customers', customer_mapping(), settings => '{"notify": false, "max_attempts": 1, "on_poison": "block"}');
INSERT INTO refused VALUES ('Bad');
SELECT erp_enqueue_batch('crm/customers', 'Changed', '{"{\"id\": 9, \"name\": \"Bad\"}","{\"id\": 10}"}');
SELECT * FROM erp_process();
SELECT * FROM waiting;
-- What came in before it does not wait for it.
SELECT erp_retry(events => ARRAY(SELECT id FROM erp.event WHERE payload ->> 'id' = ''));
SELECT * FROM erp_process();
SELECT * FROM waiting;
SELECT erp_skip(ARRAY(SELECT id FROM erp.event WHERE payload ->> 'id' IN ('', '9', '1')));
SELECT * FROM erp_process();
SELECT * FROM ended WHERE id IN ('9', '10');

-- A use case that is disabled: its events wait, those of others in the group do not.
SELECT erp_set_use_case('crm/others', customer_mapping());
SELECT erp_disable('crm/customers');
SELECT erp_enqueue_batch('crm/customers', 'Changed', '{"{\"id\": 11}"}'), erp_enqueue_batch('crm/others', 'Changed', '{"{\"id\": 12}"}');
SELECT * FROM erp_process();
SELECT * FROM waiting;
SELECT erp_enable('crm/customers');
UPDATE erp.lane SET next_look_at = NULL;
SELECT * FROM erp_process();

-- One use case, or integration, alone
SELECT erp_enqueue_batch('crm/customers', 'Changed', '{"{\"id\": 13}"}'), erp_enqueue_batch('crm/others', 'Changed', '{"{\"id\": 14}"}');
SELECT * FROM erp_process(use_case => 'crm/others');
SELECT * FROM waiting;
SELECT * FROM erp_process(use_case => 'crm');
SELECT f.* FROM unnest(ARRAY['crm/x', 'x']) AS use_case, failure(format('SELECT * FROM erp_process(use_case => %L)', use_case)) AS f;

-- Who finds nothing for itself keeps nobody else from it.
SELECT erp_enqueue_batch('crm/others', 'Changed', '{"{\"id\": 16}"}');
SELECT taken FROM erp_process(use_case => 'crm/customers');
SELECT taken FROM erp_process(use_case => 'crm/others');

-- Again, whatever became of them, in the order in which they came
UPDATE contact SET attributes = attributes || '{"name": "Changed by hand"}';
SELECT erp_replay('crm/customers', ARRAY(SELECT id FROM erp.event WHERE payload ->> 'id' = '1' AND duplicate_of IS NULL));
SELECT * FROM erp_process();
SELECT attributes ->> 'name' AS name FROM contact WHERE customer_number = '1';
SELECT erp_replay('crm/others', received_from => '-infinity', received_before => 'infinity');
SELECT * FROM failure('SELECT erp_replay(''crm'')');
SELECT * FROM erp_process(1);
CALL erp_work(1);
SELECT * FROM waiting;

-- Events that somebody has deleted while they waited keep no others from being applied, nor do those that had failed.
SELECT erp_enqueue_batch('crm/customers', 'Changed', ARRAY(SELECT jsonb_build_object('id', n) FROM generate_series(101, 105) AS n));
DELETE FROM erp.event WHERE payload ->> 'id' IN ('101', '102', '103');
SELECT taken, done FROM erp_process(2);
SELECT taken, done FROM erp_process(2);
SELECT erp_enqueue_batch('crm/customers', 'Changed', ARRAY['{"id": 106, "account": {}}', '{"id": 107}']::jsonb[]);
SELECT taken, failed FROM erp_process();
DELETE FROM erp.event WHERE payload ->> 'id' = '106';
SELECT taken, done FROM erp_process();
CALL erp_maintain();
SELECT taken, done FROM erp_process();
SELECT * FROM waiting;

-- Null is not to wait.
SET statement_timeout = '5 s';
CALL erp_work(wait => NULL, max_time => '10 s');
RESET statement_timeout;

-- What is refused
SELECT * FROM failure('SELECT * FROM erp_process(0)');
SELECT * FROM failure('SELECT erp_enqueue_batch(''crm/customers'', ''Changed'', ARRAY[NULL]::jsonb[])');
SELECT * FROM failure('SELECT erp_enqueue_batch(''crm/customers'', NULL, ''{}'')');
SELECT * FROM failure('SELECT erp_enqueue(''crm/customers'', ''{}'')');
BEGIN;
CALL erp_work();
ROLLBACK;
-- Events keep a use case from being dropped.
SELECT erp_enqueue_batch('crm/customers', 'Changed', '{"{\"id\": 15}"}');
SELECT * FROM failure('SELECT erp_drop_use_case(''crm/customers'')');
SELECT * FROM failure('SELECT erp_drop_use_case(''crm/customers'', NULL)');
SELECT * FROM failure('SELECT erp_drop_integration(''crm'')');
SELECT * FROM failure('SELECT erp_drop_integration(''crm'', NULL)');
SELECT erp_drop_integration('crm', cascade => true);
SELECT * FROM ended WHERE id = '15';

-- Events of use cases that were dropped are left as they are.
SELECT erp_retry(), erp_replay(NULL, received_from => '-infinity');
-- One that came in while its use case was dropped keeps no other from being applied.
SELECT erp_create_integration('crm') > 0 AS created, erp_set_use_case('crm/customers', customer_mapping()), erp_set_use_case('crm/others', customer_mapping());
SELECT erp_enqueue_batch('crm/customers', 'Changed', '{"{\"id\": 17}"}'), erp_enqueue_batch('crm/others', 'Changed', '{"{\"id\": 18}"}');
DELETE FROM erp.use_case WHERE slug = 'customers';
SELECT * FROM erp_process();
SELECT * FROM ended WHERE id IN ('17', '18');
SELECT d.use_case, d.version, d.code, d.message, d.hint = d.skip AS hint_is_skip, d.retry
FROM erp.dead_letters AS d JOIN erp.event AS e ON e.id = d.event WHERE e.payload ->> 'id' = '17';
SELECT use_case, code, events, retry FROM erp._dead_letter_groups WHERE code = 'USE_CASE_UNKNOWN';
SELECT erp_skip(array_agg(event)) FROM erp.dead_letters WHERE use_case IS NULL AND sqlstate = 'MP012';

TRUNCATE erp.event, erp.inbox, erp.outcome, erp.run, erp.failure, erp.history;
CALL forget('inbox');
