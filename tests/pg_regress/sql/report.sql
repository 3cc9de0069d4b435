-- The status page as text: what is red first, and what to do.
CREATE SCHEMA report;
SET search_path = report, public;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
-- Times and what differs from run to run apart
CREATE FUNCTION page() RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(erp_report(), 'CONFIGURED +\d+', 'CONFIGURED (id)', 'g'), '\d{4}-\d\d-\d\d \d\d:\d\d \w+', '(now)'),
                                         '\d+ (s|min) ago *', '(n) s ago ', 'g'), 'empty in [^\n]*', 'empty in (n) s'), ' +\d+\.\d{3}', ' (ms)', 'g')
$$;
\pset format unaligned
\pset tuples_only on
SELECT page();
SELECT erp_create_integration('crm') > 0, erp_create_integration('billing') > 0;
SELECT erp_set_use_case('crm/customer', customer_mapping()), erp_set_use_case('crm/contract', customer_mapping(), settings => '{"on_poison": "block"}'),
       erp_set_use_case('billing/invoice', customer_mapping()), erp_set_use_case('billing/meter', customer_mapping());
SELECT erp_disable('billing/invoice');
SELECT erp_disable('billing/meter');
SELECT erp_enqueue_batch('crm/customer', array_agg(jsonb_build_object('event_name', CASE WHEN n % 100 = 0 THEN E'A\n\tvery long name of an event that \x1b[31mnobody knows, and that goes on' ELSE 'Changed' END,
                                                                      'payload', jsonb_build_object('id', n)) ORDER BY n)) FROM generate_series(1, 1200) AS n;
SELECT erp_enqueue('crm/contract', '{"event_name": "Unknown", "payload": {}}') > 0;
SELECT erp_enqueue('billing/invoice', '{"event_name": "Changed", "payload": {}}') > 0;
SELECT taken, done, failed, dead FROM erp_process(5000);
-- The event of crm/customer that came after the one that blocks its group waits with it.
SELECT erp_enqueue('crm/customer', '{"event_name": "Changed", "payload": {}}') > 0;
SELECT page();
-- What it advises mends it.
SELECT count(*) FROM erp.failing_events WHERE use_case = 'crm/contract';
SELECT erp_skip(ARRAY[event]) FROM erp.failing_events;
SELECT erp_skip(array_agg(event)) FROM erp.dead_letters;
SELECT erp_enable('billing/invoice');
SELECT erp_skip(array_agg(event)) FROM erp.event_status WHERE state = 'waiting';
SELECT split_part(page(), E'\n\n', 2);
\pset format aligned
\pset tuples_only off
SELECT state, message FROM failure($$ SELECT erp_report('pdf') $$);
SELECT state, message FROM failure($$ SELECT erp_report(NULL) $$);

-- Dead letters of a use case that was dropped are counted as they are listed.
SELECT count(*) FROM erp_ingest('billing/invoice', '{"event_name": "Unknown", "payload": {}}', 'dead_letter');
SELECT erp_drop_use_case('billing/invoice');
SELECT substring(erp_report() FROM 'Dead letters[^\n]*') AS text, substring(erp_report('html') FROM '<h2>(Dead letters[^<]*)') AS html;

SELECT erp_drop_integration('crm', cascade => true), erp_drop_integration('billing', cascade => true);
TRUNCATE erp.event, erp.outcome, erp.failure, erp.run, erp.inbox;
CALL forget('report');
