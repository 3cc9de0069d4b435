-- What operators watch: use cases, the inbox, events, errors. Each reads what waits, or a window of time; all that is
-- kept for these views are runs, added up by the hour.

CREATE FUNCTION erp._duration(duration interval) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT CASE WHEN duration IS NULL THEN NULL
                        WHEN s.seconds < 60 THEN s.seconds || ' s'
                        WHEN s.seconds < 3600 THEN s.seconds / 60 || ' min'
                        WHEN s.seconds < 86400 THEN s.seconds / 3600 || ' h ' || s.seconds % 3600 / 60 || ' min'
                        ELSE s.seconds / 86400 || ' d ' || s.seconds % 86400 / 3600 || ' h' END
            FROM (SELECT greatest(floor(extract(epoch FROM duration)), 0)::bigint) AS s(seconds));
COMMENT ON FUNCTION erp._duration(interval) IS 'Private: a duration in its two largest units';

CREATE FUNCTION erp._count(number bigint, one text, many text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN trim(to_char(number, '999,999,999,999,999')) || ' ' || CASE number WHEN 1 THEN one ELSE many END;
COMMENT ON FUNCTION erp._count(bigint, text, text) IS 'Private: so many of something';

-- PostgreSQL quotes the value that does not fit (class 22), as the language of lc_messages does; what a trigger raises
-- (P0001) may quote anything. A value may hold quotes itself: it ends at the last one.
CREATE FUNCTION erp._shown_message(code text, sqlstate text, message text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN code IS NULL AND (sqlstate LIKE '22%' OR sqlstate = 'P0001')
                THEN regexp_replace(regexp_replace(message, '["„“”«»].*["„“”«»]', '"…"'), '\d+([.,:-]\d+)*', '…', 'g')
                ELSE message END;
COMMENT ON FUNCTION erp._shown_message(text, text, text) IS 'Private: the message of an error without the values that it may hold';

-- Use cases

CREATE VIEW erp._use_case_inbox AS
SELECT u.id, i.slug || '/' || u.slug AS use_case, u.enabled,
       CASE WHEN u.enabled THEN coalesce(q.events, 0) - coalesce(f.retrying + f.blocked, 0) ELSE 0 END AS waiting,
       CASE WHEN u.enabled THEN coalesce(f.retrying, 0) ELSE 0 END AS retrying,
       coalesce(f.blocked, 0) AS blocked, coalesce(f.blocked_groups, 0) AS blocked_groups,
       CASE WHEN u.enabled THEN 0 ELSE coalesce(q.events, 0) - coalesce(f.blocked, 0) END AS held,
       q.oldest_event, e.received_at AS oldest_received_at,
       CASE WHEN e.received_at IS NOT NULL THEN greatest(statement_timestamp() - e.received_at, interval '0') END AS lag,
       coalesce(u.settings ->> 'amber_after', i.settings ->> 'amber_after', '5 min')::interval AS amber_after,
       coalesce(u.settings ->> 'red_after', i.settings ->> 'red_after', '15 min')::interval AS red_after
FROM erp.use_case AS u
JOIN erp.integration AS i ON i.id = u.integration
LEFT JOIN (SELECT x.use_case, count(*) AS events, min(x.event) AS oldest_event FROM erp.inbox AS x GROUP BY x.use_case) AS q ON q.use_case = u.id
LEFT JOIN (SELECT x.use_case, count(*) FILTER (WHERE x.due_at < 'infinity') AS retrying,
                  count(*) FILTER (WHERE x.due_at = 'infinity') AS blocked,
                  count(DISTINCT x.group_hash) FILTER (WHERE x.due_at = 'infinity') AS blocked_groups
           FROM erp.inbox AS x WHERE x.attempts > 0 GROUP BY x.use_case) AS f ON f.use_case = u.id
LEFT JOIN erp.event AS e ON e.id = q.oldest_event;
COMMENT ON VIEW erp._use_case_inbox IS 'Private: what each use case has in the inbox';

-- Each branch by the index that fits it. What the first tells of, the others do not.
CREATE VIEW erp._day_runs AS
SELECT h.use_case, h.version, h.hour, h.runs, h.done, h.failed, h.dead, h.ms, h.most_ms, h.last_at
FROM erp.run_hour AS h
WHERE h.hour >= date_bin('1 h', statement_timestamp() - interval '23 h', '2000-01-01 00:00:00+00')
UNION ALL
SELECT r.use_case, r.version, date_bin('1 h', r.finished_at, '2000-01-01 00:00:00+00'), 1, r.done, r.failed, r.dead, r.ms,
       r.ms / (r.done + r.failed), r.finished_at
FROM erp.run AS r
-- The upper bound lets the planner expect few, as there are.
WHERE r.id > (SELECT z.added FROM erp.run_horizon AS z) AND r.id < 9223372036854775807
      AND r.finished_at > statement_timestamp() - interval '24 h'
UNION ALL
SELECT r.use_case, r.version, date_bin('1 h', r.finished_at, '2000-01-01 00:00:00+00'), 1, r.done, r.failed, r.dead, r.ms,
       r.ms / (r.done + r.failed), r.finished_at
FROM erp.run AS r
WHERE r.id <= (SELECT z.added FROM erp.run_horizon AS z) AND r.finished_at > statement_timestamp() - interval '24 h'
      AND r.finished_at < date_bin('1 h', statement_timestamp() - interval '23 h', '2000-01-01 00:00:00+00');
COMMENT ON VIEW erp._day_runs IS 'Private: runs of the last 24 hours, those of whole hours added up where erp_maintain has done so';

CREATE VIEW erp.use_case_status AS
SELECT q.use_case, s.state, s.reason, s.advice, q.enabled,
       q.waiting, q.retrying, q.blocked_groups, q.held, coalesce(d.dead_letters, 0) AS dead_letters,
       q.oldest_event, q.oldest_received_at, q.lag,
       success.last_success_at,
       error.failed_at AS last_error_at, error.event AS last_error_event, error.sqlstate AS last_error_sqlstate, error.code AS last_error_code,
       erp._shown_message(error.code, error.sqlstate, error.message) AS last_error_message,
       coalesce(minute.done, 0) AS done_1m, coalesce(minute.failed, 0) AS failed_1m,
       coalesce(hour.done, 0) AS done_1h, coalesce(hour.failed, 0) AS failed_1h,
       round(hour.failed::numeric / (hour.done + hour.failed), 4) AS error_rate_1h,
       coalesce(day.done, 0) AS done_24h, coalesce(day.failed, 0) AS failed_24h,
       round(day.failed::numeric / (day.done + day.failed), 4) AS error_rate_24h
FROM erp._use_case_inbox AS q
LEFT JOIN (SELECT e.use_case, count(*) AS dead_letters
           FROM erp.outcome AS o JOIN erp.event AS e ON e.id = o.event WHERE o.state = 'dead' GROUP BY e.use_case) AS d ON d.use_case = q.id
LEFT JOIN (SELECT r.use_case, sum(r.done) AS done, sum(r.failed) AS failed FROM erp.run AS r
           WHERE r.finished_at > statement_timestamp() - interval '1 min' GROUP BY r.use_case) AS minute ON minute.use_case = q.id
LEFT JOIN (SELECT r.use_case, sum(r.done) AS done, sum(r.failed) AS failed FROM erp.run AS r
           WHERE r.finished_at > statement_timestamp() - interval '1 h' GROUP BY r.use_case) AS hour ON hour.use_case = q.id
LEFT JOIN (SELECT r.use_case, sum(r.done)::bigint AS done, sum(r.failed)::bigint AS failed FROM erp._day_runs AS r GROUP BY r.use_case) AS day
       ON day.use_case = q.id
LEFT JOIN LATERAL (SELECT r.finished_at AS last_success_at FROM erp.run AS r
                   WHERE r.use_case = q.id AND r.done > 0 ORDER BY r.finished_at DESC LIMIT 1) AS success ON true
LEFT JOIN LATERAL (SELECT f.* FROM erp.failure AS f
                   WHERE f.use_case = q.id ORDER BY f.failed_at DESC, f.id DESC LIMIT 1) AS error ON true
-- What holds, the worst first; the state is the worst one's.
CROSS JOIN LATERAL (
    SELECT (array_agg(r.state ORDER BY r.n))[1] AS state, string_agg(r.reason, '; ' ORDER BY r.n) FILTER (WHERE r.n < 9 OR r.is_alone) AS reason,
           (array_agg(r.advice ORDER BY r.n))[1] AS advice
    FROM (
        SELECT c.*, count(*) OVER () = 1 AS is_alone
        FROM (VALUES
            (1, q.blocked_groups > 0, 'red', erp._count(q.blocked_groups, 'group is blocked', 'groups are blocked'),
             format('SELECT * FROM erp.failing_events WHERE use_case = %L;', q.use_case)),
            (2, hour.failed >= 10 AND hour.failed >= hour.done, 'red',
             format('%s of %s attempts failed in the last hour', hour.failed, hour.done + hour.failed),
             format('SELECT * FROM erp.recent_errors WHERE use_case = %L;', q.use_case)),
            (3, q.enabled AND q.lag >= q.red_after, 'red', 'the oldest event has waited ' || erp._duration(q.lag), 'SELECT * FROM erp.queue_status;'),
            (4, q.enabled AND q.lag >= q.amber_after AND q.lag < q.red_after, 'amber', 'the oldest event has waited ' || erp._duration(q.lag), 'SELECT * FROM erp.queue_status;'),
            (5, d.dead_letters > 0, 'amber', erp._count(d.dead_letters, 'dead letter', 'dead letters'),
             format('SELECT * FROM erp.dead_letters WHERE use_case = %L;', q.use_case)),
            (6, q.retrying > 0, 'amber', erp._count(q.retrying, 'event is tried again', 'events are tried again'),
             format('SELECT * FROM erp.failing_events WHERE use_case = %L;', q.use_case)),
            (7, q.held > 0, 'amber', 'it is disabled, and ' || erp._count(q.held, 'event waits', 'events wait'), format('SELECT erp_enable(%L);', q.use_case)),
            (9, true, 'green', CASE WHEN q.enabled THEN 'nothing is wrong' ELSE 'it is disabled' END, NULL)
        ) AS c(n, holds, state, reason, advice)
        WHERE c.holds
    ) AS r
) AS s;
COMMENT ON VIEW erp.use_case_status IS 'Use cases and how they do: a state (green, amber, red), why, and the statement that shows or mends it; what waits, how long; the last success and error; events applied and attempts failed in the last minute, hour and day';
COMMENT ON COLUMN erp.use_case_status.use_case IS 'integration/use-case';
COMMENT ON COLUMN erp.use_case_status.state IS 'red: it does not get on, or not as it should; amber: something waits for somebody; green';
COMMENT ON COLUMN erp.use_case_status.reason IS 'why, the worst first';
COMMENT ON COLUMN erp.use_case_status.advice IS 'the statement to begin with; null: nothing is to be done';
COMMENT ON COLUMN erp.use_case_status.enabled IS 'whether its events are applied';
COMMENT ON COLUMN erp.use_case_status.waiting IS 'events in the inbox that have not failed';
COMMENT ON COLUMN erp.use_case_status.retrying IS 'events in the inbox that failed and will be tried again';
COMMENT ON COLUMN erp.use_case_status.blocked_groups IS 'groups in which an event failed that the others wait for (on_poison: block)';
COMMENT ON COLUMN erp.use_case_status.held IS 'events in the inbox of a use case that is disabled';
COMMENT ON COLUMN erp.use_case_status.dead_letters IS 'events that failed and are not tried again by themselves';
COMMENT ON COLUMN erp.use_case_status.oldest_event IS 'the first event in the inbox';
COMMENT ON COLUMN erp.use_case_status.oldest_received_at IS 'when that came in';
COMMENT ON COLUMN erp.use_case_status.lag IS 'how long ago that is: amber after the setting amber_after, red after red_after';
COMMENT ON COLUMN erp.use_case_status.last_success_at IS 'when events were applied last';
COMMENT ON COLUMN erp.use_case_status.last_error_at IS 'when an event failed last';
COMMENT ON COLUMN erp.use_case_status.last_error_event IS 'that event';
COMMENT ON COLUMN erp.use_case_status.last_error_sqlstate IS 'the error''s SQLSTATE';
COMMENT ON COLUMN erp.use_case_status.last_error_code IS 'its stable code, of errors of erp_toolkit';
COMMENT ON COLUMN erp.use_case_status.last_error_message IS 'its message, without values';
COMMENT ON COLUMN erp.use_case_status.done_1m IS 'events applied in the last minute';
COMMENT ON COLUMN erp.use_case_status.failed_1m IS 'attempts that failed in the last minute';
COMMENT ON COLUMN erp.use_case_status.done_1h IS 'events applied in the last hour';
COMMENT ON COLUMN erp.use_case_status.failed_1h IS 'attempts that failed in the last hour';
COMMENT ON COLUMN erp.use_case_status.error_rate_1h IS 'those that failed among all attempts of the last hour, 0 to 1; null: there were none';
COMMENT ON COLUMN erp.use_case_status.done_24h IS 'events applied in the last 24 hours';
COMMENT ON COLUMN erp.use_case_status.failed_24h IS 'attempts that failed in the last 24 hours';
COMMENT ON COLUMN erp.use_case_status.error_rate_24h IS 'those that failed among all attempts of the last 24 hours, 0 to 1; null: there were none';

-- The inbox as a whole

-- A worker has locked the rows of its lanes: their xmax is its transaction, or its subtransaction, which holds a lock of
-- its own.
CREATE VIEW erp.queue_status AS
SELECT q.*, w.workers, w.lanes_busy, t.done AS done_1m, t.failed AS failed_1m,
       make_interval(secs => (q.waiting + q.retrying) * 60.0 / nullif(t.done, 0)) AS time_left
FROM (SELECT coalesce(sum(u.waiting), 0)::bigint AS waiting, coalesce(sum(u.retrying), 0)::bigint AS retrying,
             coalesce(sum(u.blocked_groups), 0)::bigint AS blocked_groups, coalesce(sum(u.held), 0)::bigint AS held, min(u.oldest_received_at) FILTER (WHERE u.enabled) AS oldest_received_at,
             max(u.lag) FILTER (WHERE u.enabled) AS lag
      FROM erp._use_case_inbox AS u) AS q
CROSS JOIN (SELECT count(DISTINCT k.pid) AS workers, count(*) AS lanes_busy
            FROM erp.lane AS l
            JOIN pg_catalog.pg_locks AS k ON k.transactionid = l.xmax AND k.locktype = 'transactionid' AND k.mode = 'ExclusiveLock' AND k.granted) AS w
CROSS JOIN (SELECT coalesce(sum(r.done), 0)::bigint AS done, coalesce(sum(r.failed), 0)::bigint AS failed
            FROM erp.run AS r WHERE r.finished_at > statement_timestamp() - interval '1 min') AS t;
COMMENT ON VIEW erp.queue_status IS 'The inbox as a whole, in one row: what waits, how long, and whether somebody is at work';
COMMENT ON COLUMN erp.queue_status.waiting IS 'events that have not failed';
COMMENT ON COLUMN erp.queue_status.retrying IS 'events that failed and will be tried again';
COMMENT ON COLUMN erp.queue_status.blocked_groups IS 'groups in which an event failed that the others wait for';
COMMENT ON COLUMN erp.queue_status.held IS 'events of use cases that are disabled';
COMMENT ON COLUMN erp.queue_status.oldest_received_at IS 'when the first of them came in, those held apart';
COMMENT ON COLUMN erp.queue_status.lag IS 'how long ago that is';
COMMENT ON COLUMN erp.queue_status.workers IS 'sessions that apply events right now';
COMMENT ON COLUMN erp.queue_status.lanes_busy IS 'lanes that they are in, of 256';
COMMENT ON COLUMN erp.queue_status.done_1m IS 'events applied in the last minute, by whatever way they came';
COMMENT ON COLUMN erp.queue_status.failed_1m IS 'attempts that failed in the last minute';
COMMENT ON COLUMN erp.queue_status.time_left IS 'how long those that wait take at the last minute''s rate, if none comes';

-- Events

CREATE VIEW erp.event_status AS
SELECT e.id AS event, i.slug AS integration, i.slug || '/' || u.slug AS use_case, e.event_name,
       CASE WHEN o.event IS NOT NULL THEN o.state
            WHEN e.duplicate_of IS NOT NULL THEN 'duplicate'
            WHEN q.due_at = 'infinity' THEN 'blocked'
            WHEN NOT u.enabled THEN 'held'
            WHEN q.attempts > 0 THEN 'retrying'
            WHEN q.event IS NOT NULL THEN 'waiting' END AS state,
       coalesce(o.attempts, q.attempts, 0::smallint) AS attempts, nullif(q.due_at, 'infinity') AS due_at,
       CASE WHEN q.attempts = 0 THEN (SELECT min(x.event) FROM erp.inbox AS x
                                      WHERE x.lane = q.lane AND x.group_hash = q.group_hash AND x.attempts > 0) END AS waits_for,
       r.version, e.deduplication_id, e.correlation_id, e.group_key, e.duplicate_of,
       e.occurred_at, e.received_at, e.received_by, r.started_at, o.ended_at,
       f.failed_at AS last_error_at, f.sqlstate AS last_error_sqlstate, f.code AS last_error_code,
       erp._shown_message(f.code, f.sqlstate, f.message) AS last_error_message,
       CASE WHEN f.code IS NOT NULL THEN f.detail END AS last_error_detail, CASE WHEN f.code IS NOT NULL THEN f.hint END AS last_error_hint
FROM erp.event AS e
LEFT JOIN erp.use_case AS u ON u.id = e.use_case
LEFT JOIN erp.integration AS i ON i.id = e.integration
LEFT JOIN erp.outcome AS o ON o.event = e.id
LEFT JOIN erp.inbox AS q ON q.event = e.id AND q.lane = erp._lane(erp._group_hash(e.integration, e.group_key))
LEFT JOIN LATERAL (SELECT x.* FROM erp.failure AS x WHERE x.event = e.id ORDER BY x.id DESC LIMIT 1) AS f ON true
LEFT JOIN erp.run AS r ON r.id = coalesce(o.run, f.run);
COMMENT ON VIEW erp.event_status IS 'What became of each event, or what it waits for; quick where event or correlation_id is given, or integration, deduplication_id and duplicate_of IS NULL';
COMMENT ON COLUMN erp.event_status.event IS 'the event''s id';
COMMENT ON COLUMN erp.event_status.integration IS 'the integration; null: it was dropped';
COMMENT ON COLUMN erp.event_status.use_case IS 'integration/use-case; null: it was dropped';
COMMENT ON COLUMN erp.event_status.event_name IS 'the event''s name';
COMMENT ON COLUMN erp.event_status.state IS 'waiting; retrying (it failed, and is tried again at due_at); blocked (it failed, and its group waits until somebody retries or skips it); held (its use case is disabled); done; dead (it failed for good); skipped; duplicate (of duplicate_of: nothing was done)';
COMMENT ON COLUMN erp.event_status.attempts IS 'how often it was tried';
COMMENT ON COLUMN erp.event_status.due_at IS 'when it is tried again';
COMMENT ON COLUMN erp.event_status.waits_for IS 'the event of its group that failed and that it waits for';
COMMENT ON COLUMN erp.event_status.version IS 'the version of the use case that it was tried with last';
COMMENT ON COLUMN erp.event_status.deduplication_id IS 'the sender''s name for it';
COMMENT ON COLUMN erp.event_status.correlation_id IS 'what it belongs to; null: event- and its id';
COMMENT ON COLUMN erp.event_status.group_key IS 'its group';
COMMENT ON COLUMN erp.event_status.duplicate_of IS 'the event that it repeats';
COMMENT ON COLUMN erp.event_status.occurred_at IS 'the timestamp that the sender gave';
COMMENT ON COLUMN erp.event_status.received_at IS 'when it came in';
COMMENT ON COLUMN erp.event_status.received_by IS 'the role that brought it in';
COMMENT ON COLUMN erp.event_status.started_at IS 'when the last attempt began, with the events it was applied with';
COMMENT ON COLUMN erp.event_status.ended_at IS 'when it was done, dead or skipped';
COMMENT ON COLUMN erp.event_status.last_error_at IS 'when it failed last';
COMMENT ON COLUMN erp.event_status.last_error_sqlstate IS 'that error''s SQLSTATE';
COMMENT ON COLUMN erp.event_status.last_error_code IS 'its stable code, of errors of erp_toolkit';
COMMENT ON COLUMN erp.event_status.last_error_message IS 'its message, without values';
COMMENT ON COLUMN erp.event_status.last_error_detail IS 'its detail, of errors of erp_toolkit; others may hold values: erp.failure has them';
COMMENT ON COLUMN erp.event_status.last_error_hint IS 'its hint, likewise';

CREATE VIEW erp.dead_letters AS
SELECT s.event, s.use_case, s.event_name, s.version, s.attempts, s.received_at, s.ended_at AS dead_at,
       s.last_error_sqlstate AS sqlstate, s.last_error_code AS code, s.last_error_message AS message, s.last_error_detail AS detail,
       s.last_error_hint AS hint, s.deduplication_id, s.correlation_id, s.group_key,
       CASE WHEN s.use_case IS NOT NULL THEN format('SELECT erp_retry(events => ARRAY[%s]);', s.event) END AS retry,
       format('SELECT erp_skip(ARRAY[%s]);', s.event) AS skip
FROM erp.outcome AS d
JOIN erp.event_status AS s ON s.event = d.event
WHERE d.state = 'dead';
COMMENT ON VIEW erp.dead_letters IS 'Events that failed and are not tried again by themselves: why, and the calls that try them again or give them up';
COMMENT ON COLUMN erp.dead_letters.event IS 'the event''s id';
COMMENT ON COLUMN erp.dead_letters.use_case IS 'integration/use-case; null: it was dropped';
COMMENT ON COLUMN erp.dead_letters.event_name IS 'the event''s name';
COMMENT ON COLUMN erp.dead_letters.version IS 'the version of the use case that it failed with';
COMMENT ON COLUMN erp.dead_letters.attempts IS 'how often it was tried';
COMMENT ON COLUMN erp.dead_letters.received_at IS 'when it came in';
COMMENT ON COLUMN erp.dead_letters.dead_at IS 'when it was given up';
COMMENT ON COLUMN erp.dead_letters.sqlstate IS 'the last error''s SQLSTATE';
COMMENT ON COLUMN erp.dead_letters.code IS 'its stable code, of errors of erp_toolkit';
COMMENT ON COLUMN erp.dead_letters.message IS 'its message, without values';
COMMENT ON COLUMN erp.dead_letters.detail IS 'its detail, of errors of erp_toolkit; others may hold values: erp.failure has them';
COMMENT ON COLUMN erp.dead_letters.hint IS 'its hint, likewise';
COMMENT ON COLUMN erp.dead_letters.deduplication_id IS 'the sender''s name for it';
COMMENT ON COLUMN erp.dead_letters.correlation_id IS 'what it belongs to; null: event- and its id';
COMMENT ON COLUMN erp.dead_letters.group_key IS 'its group';
COMMENT ON COLUMN erp.dead_letters.retry IS 'the call that has it tried again; null: its use case was dropped';
COMMENT ON COLUMN erp.dead_letters.skip IS 'the call that gives it up';

CREATE VIEW erp.failing_events AS
SELECT s.event, s.use_case, s.event_name, s.state, s.attempts, s.due_at, b.behind, s.received_at, s.last_error_at AS failed_at,
       s.last_error_sqlstate AS sqlstate, s.last_error_code AS code, s.last_error_message AS message, s.last_error_detail AS detail,
       s.last_error_hint AS hint, s.deduplication_id, s.correlation_id, s.group_key,
       format('SELECT erp_retry(events => ARRAY[%s]);', s.event) AS retry, format('SELECT erp_skip(ARRAY[%s]);', s.event) AS skip
FROM erp.inbox AS q
JOIN erp.event_status AS s ON s.event = q.event
CROSS JOIN LATERAL (SELECT count(*) AS behind FROM erp.inbox AS x
                    WHERE x.lane = q.lane AND x.group_hash = q.group_hash AND x.event > q.event) AS b
WHERE q.attempts > 0;
COMMENT ON VIEW erp.failing_events IS 'Events in the inbox that failed: tried again later, or blocking their group; why, and the calls that try them again at once or give them up';
COMMENT ON COLUMN erp.failing_events.event IS 'the event''s id';
COMMENT ON COLUMN erp.failing_events.use_case IS 'integration/use-case';
COMMENT ON COLUMN erp.failing_events.event_name IS 'the event''s name';
COMMENT ON COLUMN erp.failing_events.state IS 'retrying, blocked or held, as in erp.event_status';
COMMENT ON COLUMN erp.failing_events.attempts IS 'how often it was tried';
COMMENT ON COLUMN erp.failing_events.due_at IS 'when it is tried again; null: not by itself';
COMMENT ON COLUMN erp.failing_events.behind IS 'events of its group that wait behind it';
COMMENT ON COLUMN erp.failing_events.received_at IS 'when it came in';
COMMENT ON COLUMN erp.failing_events.failed_at IS 'when it failed last';
COMMENT ON COLUMN erp.failing_events.sqlstate IS 'the last error''s SQLSTATE';
COMMENT ON COLUMN erp.failing_events.code IS 'its stable code, of errors of erp_toolkit';
COMMENT ON COLUMN erp.failing_events.message IS 'its message, without values';
COMMENT ON COLUMN erp.failing_events.detail IS 'its detail, of errors of erp_toolkit; others may hold values: erp.failure has them';
COMMENT ON COLUMN erp.failing_events.hint IS 'its hint, likewise';
COMMENT ON COLUMN erp.failing_events.deduplication_id IS 'the sender''s name for it';
COMMENT ON COLUMN erp.failing_events.correlation_id IS 'what it belongs to; null: event- and its id';
COMMENT ON COLUMN erp.failing_events.group_key IS 'its group';
COMMENT ON COLUMN erp.failing_events.retry IS 'the call that has it tried again at once';
COMMENT ON COLUMN erp.failing_events.skip IS 'the call that gives it up';

-- Errors

CREATE VIEW erp.recent_errors AS
SELECT i.slug || '/' || u.slug AS use_case, f.sqlstate, f.code, f.message, f.failures, f.events, f.first_at, f.last_at, f.example_event
FROM erp.use_case AS u
JOIN erp.integration AS i ON i.id = u.integration
CROSS JOIN LATERAL (
    SELECT x.sqlstate, x.code, erp._shown_message(x.code, x.sqlstate, x.message) AS message, count(*) AS failures, count(DISTINCT x.event) AS events,
           min(x.failed_at) AS first_at, max(x.failed_at) AS last_at, max(x.event) AS example_event
    FROM erp.failure AS x
    WHERE x.use_case = u.id AND x.failed_at > statement_timestamp() - interval '24 h'
    GROUP BY 1, 2, 3) AS f;
COMMENT ON VIEW erp.recent_errors IS 'Errors of the last 24 hours: how often each occurred, of how many events, and one of them';
COMMENT ON COLUMN erp.recent_errors.use_case IS 'integration/use-case';
COMMENT ON COLUMN erp.recent_errors.sqlstate IS 'the SQLSTATE';
COMMENT ON COLUMN erp.recent_errors.code IS 'the stable code, of errors of erp_toolkit';
COMMENT ON COLUMN erp.recent_errors.message IS 'the message, without values';
COMMENT ON COLUMN erp.recent_errors.failures IS 'attempts that ended with it';
COMMENT ON COLUMN erp.recent_errors.events IS 'events that they were of';
COMMENT ON COLUMN erp.recent_errors.first_at IS 'when it occurred first, in this time';
COMMENT ON COLUMN erp.recent_errors.last_at IS 'when it occurred last';
COMMENT ON COLUMN erp.recent_errors.example_event IS 'the latest event that it was of, for erp.event_status';

CREATE VIEW erp.error_rates AS
SELECT i.slug || '/' || u.slug AS use_case, coalesce(f.code, f.sqlstate) AS code, f.failed_1h, f.failed_24h,
       round(f.failed_1h::numeric / nullif(h.attempts_1h, 0), 4) AS error_rate_1h,
       round(f.failed_24h::numeric / nullif(d.attempts_24h, 0), 4) AS error_rate_24h
FROM erp.use_case AS u
JOIN erp.integration AS i ON i.id = u.integration
CROSS JOIN LATERAL (
    SELECT x.sqlstate, x.code, count(*) AS failed_24h, count(*) FILTER (WHERE x.failed_at > statement_timestamp() - interval '1 h') AS failed_1h
    FROM erp.failure AS x
    WHERE x.use_case = u.id AND x.failed_at > statement_timestamp() - interval '24 h'
    GROUP BY x.sqlstate, x.code) AS f
LEFT JOIN (SELECT r.use_case, sum(r.done + r.failed) AS attempts_24h FROM erp._day_runs AS r GROUP BY r.use_case) AS d ON d.use_case = u.id
LEFT JOIN (SELECT r.use_case, sum(r.done + r.failed) AS attempts_1h FROM erp.run AS r
           WHERE r.finished_at > statement_timestamp() - interval '1 h' GROUP BY r.use_case) AS h ON h.use_case = u.id;
COMMENT ON VIEW erp.error_rates IS 'How many of a use case''s attempts failed in the last hour and in the last 24 hours, by the error''s code';
COMMENT ON COLUMN erp.error_rates.use_case IS 'integration/use-case';
COMMENT ON COLUMN erp.error_rates.code IS 'the stable code; of errors that are not erp_toolkit''s, the SQLSTATE';
COMMENT ON COLUMN erp.error_rates.failed_1h IS 'attempts that ended with it in the last hour';
COMMENT ON COLUMN erp.error_rates.failed_24h IS 'attempts that ended with it in the last 24 hours';
COMMENT ON COLUMN erp.error_rates.error_rate_1h IS 'those among all attempts of the last hour, 0 to 1';
COMMENT ON COLUMN erp.error_rates.error_rate_24h IS 'those among all attempts of the last 24 hours, 0 to 1';

-- Times

CREATE VIEW erp.slow_mappings AS
SELECT i.slug || '/' || u.slug AS use_case, s.version, s.runs, s.events,
       round((s.ms / s.events)::numeric, 3) AS ms_per_event, round(s.most::numeric, 3) AS most_ms_per_event, s.last_at
FROM (SELECT r.use_case, r.version, sum(r.runs)::bigint AS runs, sum(r.done + r.failed)::bigint AS events, sum(r.ms) AS ms, max(r.most_ms) AS most,
             max(r.last_at) AS last_at
      FROM erp._day_runs AS r GROUP BY r.use_case, r.version) AS s
JOIN erp.use_case AS u ON u.id = s.use_case
JOIN erp.integration AS i ON i.id = u.integration;
COMMENT ON VIEW erp.slow_mappings IS 'What an event of each use case and version took in the last 24 hours, writing included';
COMMENT ON COLUMN erp.slow_mappings.use_case IS 'integration/use-case';
COMMENT ON COLUMN erp.slow_mappings.version IS 'the version of its configuration';
COMMENT ON COLUMN erp.slow_mappings.runs IS 'how often events were applied together';
COMMENT ON COLUMN erp.slow_mappings.events IS 'attempts at events';
COMMENT ON COLUMN erp.slow_mappings.ms_per_event IS 'milliseconds an event, on the average';
COMMENT ON COLUMN erp.slow_mappings.most_ms_per_event IS 'milliseconds an event in the slowest run';
COMMENT ON COLUMN erp.slow_mappings.last_at IS 'when events were applied last';

CREATE VIEW erp.hourly_activity AS
SELECT i.slug || '/' || u.slug AS use_case, h.hour, coalesce(a.done, 0) AS done, coalesce(a.failed, 0) AS failed, coalesce(a.dead, 0) AS dead
FROM erp.use_case AS u
JOIN erp.integration AS i ON i.id = u.integration
CROSS JOIN (SELECT date_bin('1 h', statement_timestamp(), '2000-01-01 00:00:00+00') - n * interval '1 h' AS hour FROM generate_series(0, 23) AS n) AS h
LEFT JOIN (SELECT r.use_case, r.hour, sum(r.done)::bigint AS done, sum(r.failed)::bigint AS failed, sum(r.dead)::bigint AS dead
           FROM erp._day_runs AS r GROUP BY r.use_case, r.hour) AS a
       ON a.use_case = u.id AND a.hour = h.hour;
COMMENT ON VIEW erp.hourly_activity IS 'What each use case did in each of the last 24 hours, the one that runs included';
COMMENT ON COLUMN erp.hourly_activity.use_case IS 'integration/use-case';
COMMENT ON COLUMN erp.hourly_activity.hour IS 'when the hour began';
COMMENT ON COLUMN erp.hourly_activity.done IS 'events applied';
COMMENT ON COLUMN erp.hourly_activity.failed IS 'attempts that failed';
COMMENT ON COLUMN erp.hourly_activity.dead IS 'events that went to the dead letters';

GRANT SELECT ON erp.use_case_status, erp.queue_status, erp.event_status, erp.dead_letters, erp.failing_events, erp.recent_errors,
                erp.error_rates, erp.slow_mappings, erp.hourly_activity, erp.use_cases, erp.integrations
    TO pg_monitor;
GRANT SELECT ON erp.use_case_status, erp.queue_status, erp.event_status, erp.dead_letters, erp.failing_events, erp.recent_errors,
                erp.error_rates, erp.slow_mappings, erp.hourly_activity, erp._use_case_inbox
    TO @extowner@ WITH GRANT OPTION;
