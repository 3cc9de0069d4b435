-- What happened in one operation: steps of its events, and spans that others push.

CREATE TABLE erp.span (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    correlation_id text COLLATE "C" NOT NULL CHECK (octet_length(correlation_id) BETWEEN 1 AND 1000),
    name text NOT NULL CHECK (name <> ''),
    started_at timestamptz NOT NULL,
    ended_at timestamptz CHECK (ended_at >= started_at),
    attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    added_by text COLLATE "C" NOT NULL DEFAULT current_user
);
CREATE INDEX span_correlation_id ON erp.span (correlation_id);
CREATE INDEX span_added_at ON erp.span USING brin (added_at);
COMMENT ON TABLE erp.span IS 'Steps of operations that were pushed from outside';
COMMENT ON COLUMN erp.span.id IS 'in the order in which they were pushed';
COMMENT ON COLUMN erp.span.correlation_id IS 'the operation';
COMMENT ON COLUMN erp.span.name IS 'the step';
COMMENT ON COLUMN erp.span.started_at IS 'when it began';
COMMENT ON COLUMN erp.span.ended_at IS 'when it ended; null: not told';
COMMENT ON COLUMN erp.span.attributes IS 'what else there is to know of it';
COMMENT ON COLUMN erp.span.added_at IS 'when it was pushed';
COMMENT ON COLUMN erp.span.added_by IS 'the role that pushed it';

SELECT pg_catalog.pg_extension_config_dump('erp.span', '');
SELECT pg_catalog.pg_extension_config_dump('erp.span_id_seq', '');

GRANT SELECT, INSERT, DELETE ON erp.span TO @extowner@ WITH GRANT OPTION;
GRANT USAGE, SELECT ON SEQUENCE erp.span_id_seq TO @extowner@ WITH GRANT OPTION;

CREATE FUNCTION @extschema@.erp_trace_add(correlation_id text, name text, started_at timestamptz DEFAULT clock_timestamp(),
                                          ended_at timestamptz DEFAULT NULL, attributes jsonb DEFAULT '{}')
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id bigint;
BEGIN
    IF coalesce(octet_length(correlation_id), 0) NOT BETWEEN 1 AND 1000 OR coalesce(name, '') = '' OR started_at IS NULL THEN
        RAISE EXCEPTION 'a span has a correlation_id of up to 1000 bytes, a name and a started_at' USING ERRCODE = 'invalid_parameter_value';
    ELSIF ended_at < started_at THEN
        RAISE EXCEPTION 'the span ends before it starts' USING ERRCODE = 'invalid_parameter_value';
    ELSIF jsonb_typeof(attributes) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'attributes must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO erp.span (correlation_id, name, started_at, ended_at, attributes)
    VALUES (erp_trace_add.correlation_id, erp_trace_add.name, erp_trace_add.started_at, erp_trace_add.ended_at, erp_trace_add.attributes)
    RETURNING span.id INTO id;
    RETURN id;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_trace_add(text, text, timestamptz, timestamptz, jsonb) IS
'Adds a step that happened elsewhere to an operation: what the ERP system or a middleware did before its event came in, or after. erp_trace shows it in its place. ended_at: null if it is not known. attributes: a JSON object. Returns its id. Errors: 22023.';

-- Steps, as pg_monitor may see them: what happened to events, without what is in them.

CREATE VIEW erp._attempts AS
SELECT a.event, a.at, coalesce(r.started_at, a.at) AS started_at,
       coalesce(lag(a.at) OVER (PARTITION BY a.event ORDER BY a.at), e.received_at) AS waited_from
FROM (SELECT f.event, f.run, f.failed_at AS at FROM erp.failure AS f
      UNION ALL
      SELECT o.event, o.run, o.ended_at FROM erp.outcome AS o
      WHERE NOT EXISTS (SELECT FROM erp.failure AS f WHERE f.event = o.event AND f.run = o.run)) AS a
JOIN erp.event AS e ON e.id = a.event
LEFT JOIN erp.run AS r ON r.id = a.run;
COMMENT ON VIEW erp._attempts IS 'Private: when events were tried, and how long they waited for it';
COMMENT ON COLUMN erp._attempts.event IS 'the event';
COMMENT ON COLUMN erp._attempts.at IS 'when the attempt ended';
COMMENT ON COLUMN erp._attempts.started_at IS 'when its run began';
COMMENT ON COLUMN erp._attempts.waited_from IS 'when the event came in, or the attempt before ended';

CREATE VIEW erp.event_steps AS
SELECT e.id AS event, 1 AS rank, CASE WHEN e.duplicate_of IS NULL THEN 'received' ELSE 'duplicate' END AS step,
       e.received_at AS started_at, e.received_at AS ended_at,
       jsonb_strip_nulls(jsonb_build_object('event_name', e.event_name, 'deduplication_id', e.deduplication_id, 'duplicate_of', e.duplicate_of,
                                            'group_key', e.group_key, 'timestamp', e.occurred_at, 'received_by', e.received_by)) AS details
FROM erp.event AS e
UNION ALL
SELECT a.event, 7, 'waiting', a.waited_from, a.started_at, '{}'
FROM erp._attempts AS a WHERE a.started_at > a.waited_from
UNION ALL
SELECT i.event, 7, CASE WHEN i.due_at = 'infinity' THEN 'blocked' WHEN NOT u.enabled THEN 'held' ELSE 'waiting' END,
       coalesce((SELECT max(f.failed_at) FROM erp.failure AS f WHERE f.event = i.event), e.received_at), NULL,
       jsonb_strip_nulls(jsonb_build_object('attempts', i.attempts, 'due_at', nullif(i.due_at, 'infinity')))
FROM erp.event AS e
JOIN erp.inbox AS i ON i.event = e.id AND i.lane = erp._lane(erp._group_hash(e.integration, e.group_key))
LEFT JOIN erp.use_case AS u ON u.id = i.use_case
UNION ALL
SELECT t.event, 3, 'run', r.started_at, r.finished_at,
       jsonb_build_object('run', r.id, 'version', r.version, 'run_by', r.run_by, 'events', r.done + r.failed)
FROM (SELECT f.event, f.run FROM erp.failure AS f
      UNION SELECT o.event, o.run FROM erp.outcome AS o
      UNION SELECT h.event, h.run FROM erp.history AS h) AS t
JOIN erp.run AS r ON r.id = t.run
UNION ALL
SELECT h.event, 4, h.action, h.changed_at, h.changed_at,
       jsonb_build_object('entity_slug', h.entity_slug, 'entity_id', h.entity_id, 'attributes', to_jsonb(erp._changed(h.before, h.after)))
FROM erp.history AS h
UNION ALL
SELECT f.event, 5, 'failed', f.failed_at, f.failed_at,
       jsonb_strip_nulls(jsonb_build_object('attempt', f.attempt, 'sqlstate', f.sqlstate, 'code', f.code,
                                            'message', erp._shown_message(f.code, f.sqlstate, f.message),
                                            'detail', CASE WHEN f.code IS NOT NULL THEN f.detail END, 'hint', CASE WHEN f.code IS NOT NULL THEN f.hint END))
FROM erp.failure AS f
UNION ALL
SELECT o.event, 6, o.state, o.ended_at, o.ended_at, jsonb_build_object('attempts', o.attempts)
FROM erp.outcome AS o;
COMMENT ON VIEW erp.event_steps IS 'What happened to events, step by step, without their payloads; erp_trace puts the steps of an operation in order';
COMMENT ON COLUMN erp.event_steps.event IS 'the event';
COMMENT ON COLUMN erp.event_steps.rank IS 'the order of steps of one time';
COMMENT ON COLUMN erp.event_steps.step IS 'received or duplicate; waiting, held or blocked; run; what was done to an entity (created, updated…); failed; done, dead or skipped';
COMMENT ON COLUMN erp.event_steps.started_at IS 'when it began';
COMMENT ON COLUMN erp.event_steps.ended_at IS 'when it ended; null: it goes on';
COMMENT ON COLUMN erp.event_steps.details IS 'what else there is to know of it';

CREATE VIEW erp._correlations AS
SELECT e.id AS event, e.correlation_id, i.slug || '/' || u.slug AS use_case
FROM erp.event AS e
LEFT JOIN erp.use_case AS u ON u.id = e.use_case
LEFT JOIN erp.integration AS i ON i.id = u.integration;
COMMENT ON VIEW erp._correlations IS 'Private: what events belong to';
COMMENT ON COLUMN erp._correlations.event IS 'the event';
COMMENT ON COLUMN erp._correlations.correlation_id IS 'what it belongs to, if that was said';
COMMENT ON COLUMN erp._correlations.use_case IS 'its use case';

CREATE VIEW erp._spans AS
SELECT s.id, s.correlation_id, s.name, s.started_at, s.ended_at, s.attributes FROM erp.span AS s;
COMMENT ON VIEW erp._spans IS 'Private: steps that were pushed from outside';
COMMENT ON COLUMN erp._spans.id IS 'as in erp.span';
COMMENT ON COLUMN erp._spans.correlation_id IS 'as in erp.span';
COMMENT ON COLUMN erp._spans.name IS 'as in erp.span';
COMMENT ON COLUMN erp._spans.started_at IS 'as in erp.span';
COMMENT ON COLUMN erp._spans.ended_at IS 'as in erp.span';
COMMENT ON COLUMN erp._spans.attributes IS 'as in erp.span';

GRANT SELECT ON erp._attempts, erp.event_steps, erp._correlations, erp._spans TO @extowner@ WITH GRANT OPTION;
GRANT SELECT ON erp.event_steps, erp._correlations, erp._spans TO pg_monitor;

CREATE FUNCTION @extschema@.erp_trace(correlation_id text)
    RETURNS TABLE (started_at timestamptz, ended_at timestamptz, duration interval, step text, event_id bigint, use_case text, details jsonb)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    events bigint[];
BEGIN
    events := ARRAY(SELECT c.event FROM erp._correlations AS c WHERE c.correlation_id = erp_trace.correlation_id
                    UNION ALL
                    SELECT c.event FROM erp._correlations AS c
                    WHERE c.event = substring(erp_trace.correlation_id FROM '^event-([0-9]{1,18})$')::bigint AND c.correlation_id IS NULL);
    RETURN QUERY
    SELECT t.started_at, t.ended_at, t.ended_at - t.started_at, t.step, t.event, t.use_case, t.details
    FROM (
        SELECT s.started_at, s.ended_at, s.step, s.event, c.use_case, s.details, s.rank
        FROM erp.event_steps AS s
        JOIN erp._correlations AS c ON c.event = s.event
        WHERE s.event = ANY (events)
        UNION ALL
        SELECT s.started_at, s.ended_at, s.name, NULL, NULL, s.attributes, 0
        FROM erp._spans AS s WHERE s.correlation_id = erp_trace.correlation_id) AS t
    ORDER BY t.started_at, t.event, t.rank;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_trace(text) IS
'What happened in one operation, in the order of time: the steps of all events with this correlation_id (event- and its id for an event without one), and the spans that erp_trace_add pushed. step: of an event as in erp.event_steps, of a span its name; ended_at: null while it goes on. Needs the rights of pg_monitor.';
