-- Events on their way in: noted, and applied now or put into the inbox.

CREATE FUNCTION erp._correlation_id(event erp.event) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce((event).correlation_id, 'event-' || (event).id);
COMMENT ON FUNCTION erp._correlation_id(erp.event) IS 'Private: what an event belongs to';

CREATE FUNCTION erp._group_hash(integration integer, group_key text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    -- null and '' are two groups.
    RETURN pg_catalog.hashtextextended(coalesce('=' || group_key, ''), integration);
COMMENT ON FUNCTION erp._group_hash(integer, text) IS 'Private: the group of an event';

CREATE FUNCTION erp._lane(group_hash bigint) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (group_hash & 255)::smallint;
COMMENT ON FUNCTION erp._lane(bigint) IS 'Private: the lane of a group';

-- Plans are kept: one that was made when erp.event was small must not read all of it when it is large.
CREATE FUNCTION erp._note_duplicates(target erp.use_case, taken bigint[], event_names text[], payloads jsonb[], deduplication_ids text[],
                                     correlation_ids text[], group_keys text[], times timestamptz[])
    RETURNS bigint[]
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET jit = off
AS $$
DECLARE
    ids bigint[];
    is_new boolean[];
    repeated bigint[];
BEGIN
    -- Those that were taken are the first of their deduplication_id, here and before. What others repeat may have been
    -- removed since: its retention has ended.
    SELECT array_agg(coalesce(g.id IS NULL OR e.id = ANY (taken) AND g.n = g.first, false) ORDER BY g.n), array_agg(coalesce(e.id, 0) ORDER BY g.n)
    INTO is_new, repeated
    FROM (SELECT d.id, d.n, min(d.n) OVER (PARTITION BY d.id) AS first FROM unnest(deduplication_ids) WITH ORDINALITY AS d(id, n)) AS g
    LEFT JOIN erp.event AS e ON e.integration = target.integration AND e.deduplication_id = g.id AND e.duplicate_of IS NULL;
    WITH duplicates AS (
        INSERT INTO erp.event (integration, use_case, event_name, payload, deduplication_id, correlation_id, group_key, occurred_at, duplicate_of)
        SELECT target.integration, target.id, event_names[n], payloads[n], deduplication_ids[n], correlation_ids[n], group_keys[n], times[n], repeated[n]
        FROM generate_subscripts(payloads, 1) AS n WHERE NOT is_new[n] ORDER BY n
        RETURNING event.id
    ), numbered AS (
        SELECT d.id, row_number() OVER (ORDER BY d.id) AS n FROM duplicates AS d
    )
    -- Negative: of a duplicate.
    SELECT array_agg(CASE WHEN is_new[p.n] THEN taken[p.of_kind] ELSE -(SELECT d.id FROM numbered AS d WHERE d.n = p.of_kind) END ORDER BY p.n)
    INTO ids
    FROM (SELECT n, row_number() OVER (PARTITION BY is_new[n] ORDER BY n) AS of_kind FROM generate_subscripts(payloads, 1) AS n) AS p;
    RETURN ids;
END
$$;
COMMENT ON FUNCTION erp._note_duplicates(erp.use_case, bigint[], text[], jsonb[], text[], text[], text[], timestamptz[]) IS
'Private: notes events that repeat a deduplication_id, those that do not having been taken. The ids of all in order; negative: of a duplicate';

-- One event needs no sets, which take longer to set up than to work.
CREATE FUNCTION erp._receive_one(target erp.use_case, event_name text, payload jsonb, deduplication_id text, correlation_id text,
                                 group_key text, occurred_at timestamptz)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    id bigint;
BEGIN
    -- The transaction has its number before ids are drawn: erp.inbox_horizon counts on it.
    PERFORM pg_current_xact_id();
    INSERT INTO erp.event AS e (integration, use_case, event_name, payload, deduplication_id, correlation_id, group_key, occurred_at)
    VALUES (target.integration, target.id, _receive_one.event_name, _receive_one.payload, _receive_one.deduplication_id,
            _receive_one.correlation_id, _receive_one.group_key, _receive_one.occurred_at)
    ON CONFLICT (integration, deduplication_id) WHERE deduplication_id IS NOT NULL AND duplicate_of IS NULL DO NOTHING
    RETURNING e.id INTO id;
    IF FOUND THEN
        RETURN id;
    END IF;
    RETURN (erp._note_duplicates(target, '{}', ARRAY[event_name], ARRAY[payload], ARRAY[deduplication_id], ARRAY[correlation_id],
                                 ARRAY[group_key], ARRAY[occurred_at]))[1];
END
$$;
COMMENT ON FUNCTION erp._receive_one(erp.use_case, text, jsonb, text, text, text, timestamptz) IS
'Private: notes an event as it comes in. Its id; negative: of a duplicate';

CREATE FUNCTION erp._queue_one(target erp.use_case, event bigint, group_key text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO erp.inbox (lane, event, use_case, group_hash)
    SELECT erp._lane(h.group_hash), _queue_one.event, target.id, h.group_hash
    FROM (SELECT erp._group_hash(target.integration, group_key) AS group_hash OFFSET 0) AS h;
END
$$;
COMMENT ON FUNCTION erp._queue_one(erp.use_case, bigint, text) IS 'Private: puts an event that was noted into the inbox';

-- Statement by statement in PL/pgSQL: their plans are kept.
CREATE FUNCTION erp._receive(target erp.use_case, to_inbox boolean,
                             event_names text[], payloads jsonb[], deduplication_ids text[], correlation_ids text[],
                             group_keys text[], times timestamptz[])
    RETURNS bigint[]
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one bigint;
    ids bigint[];
BEGIN
    IF cardinality(payloads) = 1 THEN
        one := erp._receive_one(target, event_names[1], payloads[1], deduplication_ids[1], correlation_ids[1], group_keys[1], times[1]);
        IF one > 0 AND to_inbox THEN
            PERFORM erp._queue_one(target, one, group_keys[1]);
        END IF;
        RETURN ARRAY[one];
    END IF;
    -- As in _receive_one.
    PERFORM pg_current_xact_id();
    WITH added AS (
        INSERT INTO erp.event (integration, use_case, event_name, payload, deduplication_id, correlation_id, group_key, occurred_at)
        SELECT target.integration, target.id, g.event_name, g.payload, g.deduplication_id, g.correlation_id, g.group_key, g.occurred_at
        -- In their order, and one by one: in FROM, unnest would keep a copy of all payloads first.
        FROM (SELECT unnest(event_names) AS event_name, unnest(payloads) AS payload, unnest(deduplication_ids) AS deduplication_id,
                     unnest(correlation_ids) AS correlation_id, unnest(group_keys) AS group_key, unnest(times) AS occurred_at) AS g
        ON CONFLICT (integration, deduplication_id) WHERE deduplication_id IS NOT NULL AND duplicate_of IS NULL DO NOTHING
        RETURNING event.id, event.group_key
    ), queued AS (
        INSERT INTO erp.inbox (lane, event, use_case, group_hash)
        SELECT erp._lane(h.group_hash), a.id, target.id, h.group_hash
        FROM added AS a CROSS JOIN LATERAL (SELECT erp._group_hash(target.integration, a.group_key) AS group_hash OFFSET 0) AS h
        WHERE to_inbox
    )
    SELECT coalesce(array_agg(a.id), '{}') INTO ids FROM added AS a;
    IF cardinality(ids) = cardinality(payloads) THEN
        RETURN ids;
    END IF;
    RETURN erp._note_duplicates(target, ids, event_names, payloads, deduplication_ids, correlation_ids, group_keys, times);
END
$$;
COMMENT ON FUNCTION erp._receive(erp.use_case, boolean, text[], jsonb[], text[], text[], text[], timestamptz[]) IS
'Private: notes events as they come in, in the inbox or not. Their ids in order; negative: of a duplicate';

CREATE FUNCTION erp._open(use_case text) RETURNS erp.use_case
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known erp.use_case := erp._use_case(use_case);
BEGIN
    IF known.type <> 'inbound' THEN
        RAISE EXCEPTION 'the use case "%" is outbound', use_case USING ERRCODE = 'MP013', DETAIL = 'USE_CASE_NOT_INBOUND';
    END IF;
    RETURN known;
END
$$;
COMMENT ON FUNCTION erp._open(text) IS 'Private: a use case that takes events. Errors: MP012, MP013';

CREATE FUNCTION erp._refuse_events(events jsonb[]) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    malformed record;
BEGIN
    IF events IS NULL THEN
        RAISE EXCEPTION 'the events are null' USING ERRCODE = 'MP003', DETAIL = 'MALFORMED_PAYLOAD';
    END IF;
    SELECT g.n, CASE WHEN g.event IS NULL THEN 'is null'
                     WHEN jsonb_typeof(g.event) <> 'object' THEN 'is not an object'
                     WHEN NOT g.event ? 'event_name' THEN 'has no "event_name"'
                     WHEN jsonb_typeof(g.event -> 'event_name') <> 'string' THEN 'has an "event_name" that is not a string'
                     WHEN NOT g.event ? 'payload' THEN 'has no "payload"'
                     WHEN octet_length(g.event ->> 'deduplication_id') > 1000 THEN 'has a "deduplication_id" of more than 1000 bytes'
                     WHEN octet_length(g.event ->> 'correlation_id') > 1000 THEN 'has a "correlation_id" of more than 1000 bytes'
                END AS what
    INTO malformed
    FROM unnest(events) WITH ORDINALITY AS g(event, n)
    WHERE g.event IS NULL OR jsonb_typeof(g.event) <> 'object' OR jsonb_typeof(g.event -> 'event_name') IS DISTINCT FROM 'string'
          OR NOT g.event ? 'payload' OR octet_length(g.event ->> 'deduplication_id') > 1000 OR octet_length(g.event ->> 'correlation_id') > 1000
    ORDER BY g.n LIMIT 1;
    RAISE EXCEPTION 'the event %', malformed.what
        USING ERRCODE = 'MP003', DETAIL = 'MALFORMED_PAYLOAD' || CASE WHEN cardinality(events) > 1 THEN ': Event: ' || malformed.n ELSE '' END,
              HINT = 'An event is {"event_name", "payload", "deduplication_id"?, "correlation_id"?, "group_key"?, "timestamp"?}.';
END
$$;
COMMENT ON FUNCTION erp._refuse_events(jsonb[]) IS 'Private: says which of these is no event, and why. Errors: MP003';

CREATE FUNCTION erp._times(events jsonb[]) RETURNS timestamptz[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(SELECT (event ->> 'timestamp')::timestamptz FROM unnest(events) WITH ORDINALITY AS g(event, n) ORDER BY n);
EXCEPTION WHEN data_exception THEN
    RAISE EXCEPTION 'the event has a "timestamp" that is none'
        USING ERRCODE = 'MP003', DETAIL = 'MALFORMED_PAYLOAD', HINT = 'As in "2024-03-01T12:30:00Z".';
END
$$;
COMMENT ON FUNCTION erp._times(jsonb[]) IS 'Private: the timestamps of events. Errors: MP003';

CREATE FUNCTION erp._is_event(event jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(jsonb_typeof(event) = 'object' AND jsonb_typeof(event -> 'event_name') = 'string' AND event ? 'payload'
                    AND coalesce(octet_length(event ->> 'deduplication_id') <= 1000, true)
                    AND coalesce(octet_length(event ->> 'correlation_id') <= 1000, true), false);
COMMENT ON FUNCTION erp._is_event(jsonb) IS 'Private: whether erp._refuse_events would not refuse it';

CREATE FUNCTION erp._time(event jsonb) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN event ->> 'timestamp' IS NOT NULL THEN (erp._times(ARRAY[event]))[1] END;
COMMENT ON FUNCTION erp._time(jsonb) IS 'Private: the timestamp of an event. Errors: MP003';

CREATE FUNCTION erp._events(events jsonb[], OUT event_names text[], OUT payloads jsonb[], OUT deduplication_ids text[],
                            OUT correlation_ids text[], OUT group_keys text[], OUT occurred_at timestamptz[])
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    are_events boolean;
    has_times boolean;
BEGIN
    SELECT coalesce(bool_and(erp._is_event(event)), events IS NOT NULL), bool_or(event ->> 'timestamp' IS NOT NULL),
           coalesce(array_agg(event ->> 'event_name'), '{}'), coalesce(array_agg(event -> 'payload'), '{}'),
           array_agg(nullif(event ->> 'deduplication_id', '')), array_agg(nullif(event ->> 'correlation_id', '')), array_agg(event ->> 'group_key')
    INTO are_events, has_times, event_names, payloads, deduplication_ids, correlation_ids, group_keys
    FROM unnest(events) AS event;
    IF NOT are_events THEN
        PERFORM erp._refuse_events(events);
    ELSIF has_times THEN
        occurred_at := erp._times(events);
    END IF;
END
$$;
COMMENT ON FUNCTION erp._events(jsonb[]) IS 'Private: the parts of events. Errors: MP003';

-- Into the inbox

CREATE FUNCTION erp._enqueue(use_case text, event_names text[], payloads jsonb[], deduplication_ids text[], correlation_ids text[],
                             group_keys text[], occurred_at timestamptz[]) RETURNS bigint[]
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    target erp.use_case := erp._open(use_case);
    ids bigint[];
BEGIN
    ids := erp._receive(target, true, event_names, payloads, deduplication_ids, correlation_ids, group_keys, occurred_at);
    IF erp._setting(target, 'notify') <> 'false' THEN
        PERFORM pg_notify('erp_inbox', _enqueue.use_case);
    END IF;
    RETURN ids;
END
$$;
COMMENT ON FUNCTION erp._enqueue(text, text[], jsonb[], text[], text[], text[], timestamptz[]) IS 'Private: puts events into the inbox, and tells who listens';

CREATE FUNCTION erp._setting(own jsonb, inherited jsonb, setting text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(own ->> setting, inherited ->> setting,
                    CASE setting WHEN 'history' THEN 'none' WHEN 'on_poison' THEN 'dead_letter' WHEN 'max_attempts' THEN '8'
                         WHEN 'retry_after' THEN '1 s' WHEN 'max_retry_after' THEN '5 min' WHEN 'notify' THEN 'true' WHEN 'drift_sample' THEN '100' END);
COMMENT ON FUNCTION erp._setting(jsonb, jsonb, text) IS 'Private: the setting that holds for a use case: its own, the integration''s, or the default';

CREATE FUNCTION erp._setting(use_case erp.use_case, setting text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    inherited jsonb;
BEGIN
    SELECT i.settings INTO inherited FROM erp.integration AS i WHERE i.id = (use_case).integration;
    RETURN erp._setting((use_case).settings, inherited, setting);
END
$$;
COMMENT ON FUNCTION erp._setting(erp.use_case, text) IS 'Private: the setting that holds for a use case: its own, the integration''s, or the default';

CREATE FUNCTION @extschema@.erp_enqueue(use_case text, event jsonb) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known record;
    id bigint;
BEGIN
    IF NOT erp._is_event(event) THEN
        PERFORM erp._refuse_events(ARRAY[event]);
    END IF;
    SELECT n.use_case, erp._setting((n.use_case).settings, n.inherited, 'notify') AS notify INTO known
    FROM erp._named(use_case) AS n WHERE (n.use_case).type = 'inbound';
    IF NOT FOUND THEN
        PERFORM erp._open(use_case);
        -- It has come a moment ago.
        RETURN @extschema@.erp_enqueue(use_case, event);
    END IF;
    id := erp._receive_one(known.use_case, event ->> 'event_name', event -> 'payload', nullif(event ->> 'deduplication_id', ''),
                           nullif(event ->> 'correlation_id', ''), event ->> 'group_key', erp._time(event));
    IF id > 0 THEN
        PERFORM erp._queue_one(known.use_case, id, event ->> 'group_key');
    END IF;
    IF known.notify <> 'false' THEN
        PERFORM pg_notify('erp_inbox', erp_enqueue.use_case);
    END IF;
    RETURN abs(id);
END
$$;
COMMENT ON FUNCTION @extschema@.erp_enqueue(text, jsonb) IS
'Puts an event into the inbox, to be applied by erp_process. use_case: integration/use-case. event: {"event_name", "payload", "deduplication_id"?, "correlation_id"?, "group_key"?, "timestamp"?}; an integration takes a deduplication_id once, a repeat is noted as a duplicate and nothing is done about it. Who listens on the channel erp_inbox is notified at commit. Returns the event''s id. Errors: MP003, MP012, MP013.';

CREATE FUNCTION @extschema@.erp_enqueue_batch(use_case text, events jsonb[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts record;
BEGIN
    parts := erp._events(events);
    RETURN (SELECT count(*) FROM unnest(erp._enqueue(use_case, parts.event_names, parts.payloads, parts.deduplication_ids, parts.correlation_ids,
                                                     parts.group_keys, parts.occurred_at)) AS id WHERE id > 0);
END
$$;
COMMENT ON FUNCTION @extschema@.erp_enqueue_batch(text, jsonb[]) IS
'Puts events into the inbox, set-wise, in their order; see erp_enqueue. Returns how many are new: those that repeat a deduplication_id do not count. Errors: MP003, MP012, MP013.';

CREATE FUNCTION @extschema@.erp_enqueue_batch(use_case text, event_name text, payloads jsonb[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF event_name IS NULL THEN
        RAISE EXCEPTION 'the event name is null' USING ERRCODE = 'MP003', DETAIL = 'MALFORMED_PAYLOAD';
    ELSIF payloads IS NULL OR array_position(payloads, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'a payload is null' USING ERRCODE = 'MP003', DETAIL = 'MALFORMED_PAYLOAD';
    END IF;
    RETURN cardinality(erp._enqueue(use_case, array_fill(event_name, ARRAY[cardinality(payloads)]), payloads, NULL, NULL, NULL, NULL));
END
$$;
COMMENT ON FUNCTION @extschema@.erp_enqueue_batch(text, text, jsonb[]) IS
'Puts events of one name into the inbox, set-wise, in their order; see erp_enqueue. payloads: JSON, or strings that hold JSON. Returns how many. Errors: MP003, MP012, MP013.';

-- Applied now

CREATE FUNCTION erp._apply_events(mappings jsonb[], runs bigint[], kept text[], mapping_of bigint[], events bigint[],
                                  event_names text[], payloads jsonb[], on_error text, tell_rows boolean)
    RETURNS TABLE (event bigint, entity_slug text, entity_id text, action text, unique_identifiers jsonb, error jsonb)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'erp_apply_events';
COMMENT ON FUNCTION erp._apply_events(jsonb[], bigint[], text[], bigint[], bigint[], text[], jsonb[], text, boolean) IS
'Private: applies events in order, each by its mapping, and keeps their history. mappings, runs, kept (what history keeps: none, changes, full): of one use case each; mapping_of: the position of each event''s. on_error: raise, or stop: the first event that fails ends the call as a row with action failed, those before it are applied; class 40 fails the call, which is to be tried again; or blame: as stop, and class 40 is a failure of the event too, unless it comes of another session or an old snapshot. event: the position in events. tell_rows: false for failures alone';

-- Events that are applied together, and what is needed for it: first by use case, then by event.
CREATE TYPE erp._work AS (
    use_cases integer[],
    versions integer[],
    mappings jsonb[],
    kept text[],
    runs bigint[],
    started_at timestamptz,
    done integer[],
    failed integer[],
    dead integer[],
    mapping_of bigint[],
    events bigint[],
    event_names text[],
    payloads jsonb[],
    attempts smallint[],
    groups bigint[],
    rows tid[],
    is_queued boolean,
    received bigint[]
);
COMMENT ON TYPE erp._work IS 'Private: events that are applied together, in their order. use_cases to dead: an element a use case; mapping_of (its position there) to rows (in the inbox): an element an event; is_queued: whether they are from the inbox; received: the ids of events as they came in; negative: of a duplicate, about which there is nothing to do';

CREATE FUNCTION erp._work(use_cases integer[]) RETURNS erp._work
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    work erp._work;
BEGIN
    SELECT array_agg(u.id), array_agg(u.version), array_agg(u.configuration), array_agg(u.history), array_agg(nextval('erp.run_id_seq')),
           clock_timestamp(), array_agg(0), array_agg(0), array_agg(0)
    INTO work.use_cases, work.versions, work.mappings, work.kept, work.runs, work.started_at, work.done, work.failed, work.dead
    -- Sorted once: ORDER BY in each aggregate would sort for each.
    -- One that was dropped while an event came in knows no event: see _fail.
    FROM (SELECT g.id, coalesce(v.version, 0) AS version, coalesce(v.configuration, '{"version": "2.0", "mapping": {"events": {}}}') AS configuration,
                 erp._setting(u.settings, i.settings, 'history') AS history
          FROM unnest(use_cases) AS g(id)
          LEFT JOIN erp.use_case AS u ON u.id = g.id
          LEFT JOIN erp.integration AS i ON i.id = u.integration
          LEFT JOIN erp.use_case_version AS v ON v.use_case = u.id AND v.version = u.version
          ORDER BY g.id) AS u;
    RETURN work;
END
$$;
COMMENT ON FUNCTION erp._work(integer[]) IS 'Private: no events yet of these use cases, with the versions of now';

CREATE FUNCTION erp._fail(work erp._work, at bigint, error jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    failed_event bigint := work.events[at];
    attempt_number integer := work.attempts[at] + 1;
    failed_run bigint := work.runs[work.mapping_of[at]];
    failed_use_case integer := work.use_cases[work.mapping_of[at]];
    target erp.use_case;
    -- Told by mapping and event alone: another attempt comes to the same.
    is_final boolean := error ->> 'sqlstate' IN ('MP001', 'MP002', 'MP003', 'MP004', 'MP005');
    next_at timestamptz;
BEGIN
    SELECT * INTO target FROM erp.use_case AS u WHERE u.id = failed_use_case;
    IF NOT FOUND THEN
        error := jsonb_build_object('sqlstate', 'MP012', 'code', 'USE_CASE_UNKNOWN', 'message', 'the use case of the event was dropped',
                                    'hint', format('SELECT erp_skip(ARRAY[%s]);', failed_event));
        is_final := true;
    END IF;
    INSERT INTO erp.failure (event, use_case, run, attempt, sqlstate, code, message, detail, hint)
    VALUES (failed_event, failed_use_case, failed_run, attempt_number, error ->> 'sqlstate', error ->> 'code',
            error ->> 'message', error ->> 'detail', error ->> 'hint');
    is_final := is_final OR NOT work.is_queued OR attempt_number >= erp._setting(target, 'max_attempts')::integer;
    IF is_final AND (NOT work.is_queued OR erp._setting(target, 'on_poison') = 'dead_letter') THEN
        INSERT INTO erp.outcome (event, run, state, attempts) VALUES (failed_event, failed_run, 'dead', attempt_number);
        DELETE FROM erp.inbox AS i WHERE i.ctid = work.rows[at];
        RETURN 'dead';
    END IF;
    next_at := CASE WHEN is_final THEN 'infinity'
        -- Twice as long each time, and never all at once.
        ELSE clock_timestamp() + (0.75 + random() / 2) * least(erp._setting(target, 'max_retry_after')::interval,
                                                               erp._setting(target, 'retry_after')::interval * 2.0 ^ least(attempt_number - 1, 40)) END;
    UPDATE erp.inbox AS i SET attempts = attempt_number, due_at = next_at WHERE i.ctid = work.rows[at];
    UPDATE erp.lane AS l SET mark = least(l.mark, failed_event - 1) WHERE l.lane = erp._lane(work.groups[at]);
    RETURN CASE WHEN is_final THEN 'blocked' ELSE 'retried' END;
END
$$;
COMMENT ON FUNCTION erp._fail(erp._work, bigint, jsonb) IS 'Private: what becomes of an event that failed: dead, retried (later), or blocked (not by itself)';

-- What became of the first events of some work: those before `at` are done, that one failed with `error`;
-- all are done where `at` is null. What is left of it is returned.
CREATE FUNCTION erp._settle(work erp._work, at bigint, error jsonb) RETURNS erp._work
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    number_done integer := coalesce(at - 1, cardinality(work.events));
    of bigint := work.mapping_of[at];
    became text;
    ended record;
    took double precision;
    ran integer := 0;
BEGIN
    INSERT INTO erp.outcome (event, run, state, attempts)
    SELECT e.event, work.runs[e.of], 'done', e.attempts + 1
    FROM unnest(work.events[:number_done], work.mapping_of[:number_done], work.attempts[:number_done]) AS e(event, of, attempts);
    IF work.is_queued THEN
        DELETE FROM erp.inbox AS i WHERE i.ctid = ANY (work.rows[:number_done]);
    END IF;
    IF cardinality(work.use_cases) = 1 THEN
        work.done[1] := work.done[1] + number_done;
    ELSE
        FOR ended IN SELECT e.of, count(*) AS number FROM unnest(work.mapping_of[:number_done]) AS e(of) GROUP BY e.of LOOP
            work.done[ended.of] := work.done[ended.of] + ended.number;
        END LOOP;
    END IF;
    IF at IS NULL THEN
        work.events := '{}';
    ELSE
        became := erp._fail(work, at, error);
        work.failed[of] := work.failed[of] + 1;
        work.dead[of] := work.dead[of] + (became = 'dead')::integer;
        -- Those behind it in its group wait for it, unless it is out of their way.
        SELECT coalesce(array_agg(e.of ORDER BY n), '{}'), coalesce(array_agg(e.event ORDER BY n), '{}'), array_agg(e.name ORDER BY n),
               array_agg(e.payload ORDER BY n), array_agg(e.attempts ORDER BY n), array_agg(e.hash ORDER BY n), array_agg(e.row ORDER BY n)
        INTO work.mapping_of, work.events, work.event_names, work.payloads, work.attempts, work.groups, work.rows
        FROM unnest(work.mapping_of, work.events, work.event_names, work.payloads, work.attempts, work.groups, work.rows)
             WITH ORDINALITY AS e(of, event, name, payload, attempts, hash, row, n)
        WHERE n > at AND (became = 'dead' OR e.hash <> work.groups[at]);
    END IF;
    IF cardinality(work.events) = 0 THEN
        took := 1000 * extract(epoch FROM clock_timestamp() - work.started_at);
        FOR u IN 1 .. cardinality(work.use_cases) LOOP
            ran := ran + work.done[u] + work.failed[u];
        END LOOP;
        FOR u IN 1 .. cardinality(work.use_cases) LOOP
            IF work.done[u] + work.failed[u] > 0 THEN
                INSERT INTO erp.run (id, use_case, version, started_at, done, failed, dead, ms) OVERRIDING SYSTEM VALUE
                VALUES (work.runs[u], work.use_cases[u], work.versions[u], work.started_at, work.done[u], work.failed[u], work.dead[u],
                        took * (work.done[u] + work.failed[u]) / ran);
            END IF;
        END LOOP;
    END IF;
    RETURN work;
END
$$;
COMMENT ON FUNCTION erp._settle(erp._work, bigint, jsonb) IS
'Private: notes what became of the first events of some work: those before the position at are done, that one failed with error; all are done where at is null. What is left of the work';

-- In one statement, of which it becomes a part: what _open and _work tell.
CREATE FUNCTION erp._applied_by(path text) RETURNS TABLE (use_case erp.use_case, configuration jsonb, history text)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT u, v.configuration, erp._setting(u.settings, i.settings, 'history')
    FROM erp.use_case AS u
    JOIN erp.integration AS i ON i.id = u.integration
    LEFT JOIN erp.use_case_version AS v ON v.use_case = u.id AND v.version = u.version
    WHERE i.slug = split_part(path, '/', 1) AND u.type = 'inbound'
          AND u.slug = substr(path, strpos(path, '/') + 1) AND strpos(path, '/') > 0;
END;
COMMENT ON FUNCTION erp._applied_by(text) IS 'Private: the use case that is named as integration/use-case, if there is one that takes events, and by what it applies them';

CREATE FUNCTION erp._start_ingest(use_case text, event_names text[], payloads jsonb[], deduplication_ids text[], correlation_ids text[],
                                  group_keys text[], occurred_at timestamptz[]) RETURNS erp._work
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    known record;
    received bigint[];
    work erp._work;
BEGIN
    SELECT a.*, (a.use_case).enabled, (a.use_case).version INTO known FROM erp._applied_by(use_case) AS a;
    IF NOT FOUND THEN
        PERFORM erp._open(use_case);
        -- It has come a moment ago.
        RETURN erp._start_ingest(use_case, event_names, payloads, deduplication_ids, correlation_ids, group_keys, occurred_at);
    ELSIF NOT known.enabled THEN
        RAISE EXCEPTION 'the use case "%" is disabled', use_case
            USING ERRCODE = 'MP013', DETAIL = 'USE_CASE_DISABLED', HINT = format('SELECT erp_enable(%L); or erp_enqueue, whose events wait.', use_case);
    END IF;
    IF known.configuration IS NULL THEN
        RAISE EXCEPTION 'somebody has deleted the configuration of the use case "%"', use_case
            USING ERRCODE = 'MP001', DETAIL = 'CONFIGURATION_INVALID', HINT = format('SELECT erp_set_use_case(%L, configuration);', use_case);
    END IF;
    received := erp._receive(known.use_case, false, event_names, payloads, deduplication_ids, correlation_ids, group_keys, occurred_at);
    work.use_cases := ARRAY[(known.use_case).id];
    work.versions := ARRAY[known.version];
    work.mappings := ARRAY[known.configuration];
    work.kept := ARRAY[known.history];
    work.runs := ARRAY[nextval('erp.run_id_seq')];
    work.started_at := clock_timestamp();
    work.done := '{0}';
    work.failed := '{0}';
    work.dead := '{0}';
    work.is_queued := false;
    work.received := received;
    IF 0 < ALL (received) THEN
        work.events := received;
        work.event_names := _start_ingest.event_names;
        work.payloads := _start_ingest.payloads;
    ELSE
        SELECT coalesce(array_agg(id), '{}'), array_agg(_start_ingest.event_names[n]), array_agg(_start_ingest.payloads[n])
        INTO work.events, work.event_names, work.payloads
        FROM unnest(received) WITH ORDINALITY AS e(id, n) WHERE id > 0;
    END IF;
    work.mapping_of := array_fill(1, ARRAY[cardinality(work.events)]);
    work.attempts := array_fill(0, ARRAY[cardinality(work.events)]);
    RETURN work;
END
$$;
COMMENT ON FUNCTION erp._start_ingest(text, text[], jsonb[], text[], text[], text[], timestamptz[]) IS
'Private: notes events that are to be applied now. Errors: MP001, MP012, MP013';

-- Events are applied in the caller's search_path, for the triggers of entity tables: names of PostgreSQL's
-- are written out.
CREATE FUNCTION erp._apply_all(work erp._work, on_error text) RETURNS erp._work
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    at pg_catalog.int8;
    failure pg_catalog.jsonb;
BEGIN
    WHILE pg_catalog.cardinality(work.events) OPERATOR(pg_catalog.>) 0 LOOP
        at := NULL;
        SELECT a.event, a.error INTO at, failure
        FROM erp._apply_events(work.mappings, work.runs, work.kept, work.mapping_of, work.events, work.event_names, work.payloads, on_error, false) AS a;
        work := erp._settle(work, at, failure);
    END LOOP;
    RETURN work;
END
$$;
COMMENT ON FUNCTION erp._apply_all(erp._work, text) IS 'Private: applies all events of some work and notes what became of them. on_error: as _apply_events';

-- Events behind one that fails are applied by another call, which holds the locks of the first: a deadlock ends with
-- all of them tried again. What is raised at every try is some event's own doing.
CREATE FUNCTION erp._again(on_error text, tried integer, sqlstate text) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A transaction with one snapshot would see the same.
    IF tried >= 10 OR sqlstate <> '40P01' AND current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN NULL;
    END IF;
    PERFORM pg_sleep(random() / 50);
    RETURN CASE WHEN tried = 9 OR sqlstate <> '40P01' THEN 'blame' ELSE on_error END;
END
$$;
COMMENT ON FUNCTION erp._again(text, integer, text) IS
'Private: how events are applied once more, as on_error of _apply_events, after the try of that number ended with an SQLSTATE of class 40; null: no more';

-- What is checked at commit, checked now, and again then: in a subtransaction, so that it stays deferred for the caller.
CREATE FUNCTION erp._check_deferred() RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    RAISE EXCEPTION USING ERRCODE = 'MPOK0';
EXCEPTION WHEN SQLSTATE 'MPOK0' THEN
    NULL;
END
$$;
COMMENT ON FUNCTION erp._check_deferred() IS 'Private: fails if the transaction could not be committed as it is. Errors: what deferred constraints and triggers raise';

CREATE FUNCTION erp._could_commit() RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
BEGIN
    PERFORM erp._check_deferred();
    RETURN true;
EXCEPTION
    WHEN transaction_rollback OR disk_full THEN
        RAISE;
    WHEN OTHERS THEN
        RETURN false;
END
$$;
COMMENT ON FUNCTION erp._could_commit() IS
'Private: whether the transaction could be committed as it is, for all that deferred constraints and triggers say. Errors: class 40, 53100';

CREATE FUNCTION erp._apply_one(work erp._work, at integer, on_error text) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    failure pg_catalog.jsonb;
    is_applied pg_catalog.bool := false;
    message pg_catalog.text;
    detail pg_catalog.text;
    hint pg_catalog.text;
BEGIN
    SELECT a.error INTO failure
    FROM erp._apply_events(work.mappings, work.runs, work.kept, work.mapping_of[at:at], work.events[at:at], work.event_names[at:at],
                           work.payloads[at:at], 'blame', false) AS a;
    IF failure IS NULL THEN
        is_applied := true;
        PERFORM erp._check_deferred();
    END IF;
    RETURN failure;
EXCEPTION WHEN OTHERS THEN
    IF NOT is_applied OR SQLSTATE OPERATOR(pg_catalog.=) '53100'
       OR SQLSTATE OPERATOR(pg_catalog.~) '^40' AND on_error OPERATOR(pg_catalog.<>) 'blame' THEN
        RAISE;
    END IF;
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
        'sqlstate', SQLSTATE, 'message', message, 'detail', NULLIF(detail, ''), 'hint', NULLIF(hint, '')));
END
$$;
COMMENT ON FUNCTION erp._apply_one(erp._work, integer, text) IS
'Private: applies an event of some work as if it were committed then: why it fails, or null. on_error: blame, or class 40 of the commit is another try''s';

CREATE FUNCTION erp._apply_one_by_one(work erp._work, on_error text) RETURNS erp._work
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    at pg_catalog.int4 := 1;
    failure pg_catalog.jsonb;
BEGIN
    WHILE at OPERATOR(pg_catalog.<=) pg_catalog.cardinality(work.events) LOOP
        failure := erp._apply_one(work, at, on_error);
        IF failure IS NULL THEN
            at := at OPERATOR(pg_catalog.+) 1;
        ELSE
            work := erp._settle(work, at, failure);
            at := 1;
        END IF;
    END LOOP;
    IF at OPERATOR(pg_catalog.>) 1 THEN
        work := erp._settle(work, NULL, NULL);
    END IF;
    RETURN work;
END
$$;
COMMENT ON FUNCTION erp._apply_one_by_one(erp._work, text) IS 'Private: applies the events of some work but those that fail, also those that would at commit, and notes what became of them';

CREATE FUNCTION erp._apply_or_set_aside(begun erp._work, OUT applied erp._work)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    on_error pg_catalog.text := 'stop';
    could_commit pg_catalog.bool;
    one_by_one pg_catalog.bool := false;
BEGIN
    -- The last one is for an event to be found.
    FOR tried IN 1 .. 11 LOOP
        BEGIN
            IF one_by_one THEN
                applied := erp._apply_one_by_one(begun, on_error);
                RETURN;
            END IF;
            -- If not, then by the caller's own doing.
            could_commit := erp._could_commit();
            applied := erp._apply_all(begun, on_error);
            IF could_commit AND NOT erp._could_commit() THEN
                RAISE EXCEPTION USING ERRCODE = 'MPOK1';
            END IF;
            RETURN;
        EXCEPTION
            WHEN transaction_rollback THEN
                on_error := erp._again(on_error, tried, SQLSTATE);
                IF on_error IS NULL THEN
                    RAISE;
                END IF;
            WHEN SQLSTATE 'MPOK1' THEN
                one_by_one := true;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION erp._apply_or_set_aside(erp._work) IS 'Private: applies the events of some work but those that fail, and notes what became of them';

CREATE FUNCTION erp._duplicates(received bigint[])
    RETURNS TABLE (event_id bigint, entity_slug text, entity_id text, action text, unique_identifiers jsonb, error jsonb)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT -d.id, NULL::text, NULL::text, 'duplicate'::text, NULL::jsonb,
           jsonb_build_object('code', 'DUPLICATE_EVENT', 'message', 'the event repeats a deduplication_id')
    FROM unnest(received) AS d(id) WHERE d.id < 0;
END;
COMMENT ON FUNCTION erp._duplicates(bigint[]) IS 'Private: what is told of the duplicates among events that came in, whose ids are negative';

CREATE FUNCTION erp._ingest(use_case text, events jsonb[], on_error text)
    RETURNS TABLE (event_id bigint, entity_slug text, entity_id text, action text, unique_identifiers jsonb, error jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    parts pg_catalog.record;
    work erp._work;
    applied pg_catalog.record;
    failed pg_catalog.int8;
    failure pg_catalog.jsonb;
BEGIN
    parts := erp._events(events);
    work := erp._start_ingest(use_case, parts.event_names, parts.payloads, parts.deduplication_ids, parts.correlation_ids,
                              parts.group_keys, parts.occurred_at);
    IF 0 OPERATOR(pg_catalog.>) ANY (work.received) THEN
        RETURN QUERY SELECT d.* FROM erp._duplicates(work.received) AS d;
    END IF;
    IF on_error OPERATOR(pg_catalog.=) 'raise' AND pg_catalog.cardinality(work.events) OPERATOR(pg_catalog.>) 0 THEN
        RETURN QUERY SELECT work.events[a.event], a.entity_slug, a.entity_id, a.action, a.unique_identifiers, a.error
                     FROM erp._apply_events(work.mappings, work.runs, work.kept, work.mapping_of, work.events, work.event_names, work.payloads,
                                            'raise', true) AS a;
        work := erp._settle(work, NULL, NULL);
    END IF;
    WHILE pg_catalog.cardinality(work.events) OPERATOR(pg_catalog.>) 0 LOOP
        failed := NULL;
        FOR applied IN
            SELECT a.* FROM erp._apply_events(work.mappings, work.runs, work.kept, work.mapping_of, work.events, work.event_names, work.payloads,
                                              on_error, true) AS a
        LOOP
            event_id := work.events[applied.event];
            entity_slug := applied.entity_slug;
            entity_id := applied.entity_id;
            action := applied.action;
            unique_identifiers := applied.unique_identifiers;
            error := applied.error;
            RETURN NEXT;
            IF applied.error IS NOT NULL THEN
                failed := applied.event;
                failure := applied.error;
            END IF;
        END LOOP;
        work := erp._settle(work, failed, failure);
    END LOOP;
END
$$;
COMMENT ON FUNCTION erp._ingest(text, jsonb[], text) IS 'Private: erp_ingest_batch, tried once. on_error: as _apply_events';

CREATE FUNCTION @extschema@.erp_ingest_batch(use_case text, events jsonb[], on_error text DEFAULT 'raise')
    RETURNS TABLE (event_id bigint, entity_slug text, entity_id text, action text, unique_identifiers jsonb, error jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    set_aside pg_catalog.text := 'stop';
BEGIN
    IF on_error OPERATOR(pg_catalog.=) 'raise' THEN
        RETURN QUERY SELECT i.* FROM erp._ingest(use_case, events, on_error) AS i;
        RETURN;
    ELSIF on_error IS NULL OR on_error OPERATOR(pg_catalog.<>) 'dead_letter' THEN
        RAISE EXCEPTION 'on_error must be ''raise'' or ''dead_letter''' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR tried IN 1 .. 10 LOOP
        BEGIN
            RETURN QUERY SELECT i.* FROM erp._ingest(use_case, events, set_aside) AS i;
            RETURN;
        EXCEPTION WHEN transaction_rollback THEN
            set_aside := erp._again(set_aside, tried, SQLSTATE);
            IF set_aside IS NULL THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_ingest_batch(text, jsonb[], text) IS
'Applies events through a use case in the calling transaction, set-wise, in their order; see erp_ingest. A row an entity, with the event''s id. on_error: raise (the first event that fails fails the call) or dead_letter (it goes to the dead letters, as a row with action failed, and the others are applied). Errors: as erp_apply, MP003, MP012, MP013.';

-- One event takes a shorter way, without sets.

CREATE FUNCTION erp._start_one(use_case text, event jsonb, OUT event_id bigint, OUT run bigint, OUT started_at timestamptz,
                               OUT use_case_id integer, OUT version integer, OUT mapping jsonb, OUT kept text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known record;
BEGIN
    IF NOT erp._is_event(event) THEN
        RETURN;
    END IF;
    SELECT a.*, (a.use_case).id, (a.use_case).version INTO known FROM erp._applied_by(use_case) AS a
    WHERE (a.use_case).enabled AND a.configuration IS NOT NULL;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    event_id := erp._receive_one(known.use_case, event ->> 'event_name', event -> 'payload', nullif(event ->> 'deduplication_id', ''),
                                 nullif(event ->> 'correlation_id', ''), event ->> 'group_key', erp._time(event));
    IF event_id > 0 THEN
        run := nextval('erp.run_id_seq');
        started_at := clock_timestamp();
        use_case_id := known.id;
        version := known.version;
        mapping := known.configuration;
        kept := known.history;
    END IF;
END
$$;
COMMENT ON FUNCTION erp._start_one(text, jsonb) IS
'Private: notes an event that is to be applied now, and tells by what. event_id: negative: of a duplicate; null: nothing has happened, erp._start_ingest says why. Errors: MP003';

CREATE FUNCTION erp._end_one(run bigint, event bigint, use_case integer, version integer, started_at timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO erp.outcome (event, run, state) VALUES (_end_one.event, _end_one.run, 'done');
    INSERT INTO erp.run (id, use_case, version, started_at, done, failed, dead, ms) OVERRIDING SYSTEM VALUE
    VALUES (_end_one.run, _end_one.use_case, _end_one.version, _end_one.started_at, 1, 0, 0,
            1000 * extract(epoch FROM clock_timestamp() - _end_one.started_at));
END
$$;
COMMENT ON FUNCTION erp._end_one(bigint, bigint, integer, integer, timestamptz) IS 'Private: notes that an event was applied, in a run of its own';

CREATE FUNCTION @extschema@.erp_ingest(use_case text, event jsonb, on_error text DEFAULT 'raise')
    RETURNS TABLE (event_id bigint, entity_slug text, entity_id text, action text, unique_identifiers jsonb, error jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    begun pg_catalog.record;
BEGIN
    IF (on_error OPERATOR(pg_catalog.=) 'raise') IS NOT TRUE THEN
        RETURN QUERY SELECT b.* FROM @extschema@.erp_ingest_batch(use_case, ARRAY[event], on_error) AS b;
        RETURN;
    END IF;
    begun := erp._start_one(use_case, event);
    IF begun.event_id IS NULL THEN
        RETURN QUERY SELECT i.* FROM erp._ingest(use_case, ARRAY[event], on_error) AS i;
    ELSIF begun.run IS NULL THEN
        RETURN QUERY SELECT d.* FROM erp._duplicates(ARRAY[begun.event_id]) AS d;
    ELSE
        RETURN QUERY SELECT begun.event_id, a.entity_slug, a.entity_id, a.action, a.unique_identifiers, a.error
                     FROM erp._apply_events(ARRAY[begun.mapping], ARRAY[begun.run], ARRAY[begun.kept], '{1}', ARRAY[begun.event_id],
                                            ARRAY[event OPERATOR(pg_catalog.->>) 'event_name'], ARRAY[event OPERATOR(pg_catalog.->) 'payload'],
                                            on_error, true) AS a;
        PERFORM erp._end_one(begun.run, begun.event_id, begun.use_case_id, begun.version, begun.started_at);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_ingest(text, jsonb, text) IS
'Applies an event through a use case, in the calling transaction: its entities, that it came in, and what it changed are kept together or not at all. use_case: integration/use-case. event: {"event_name", "payload", "deduplication_id"?, "correlation_id"?, "group_key"?, "timestamp"?}. A repeat of a deduplication_id does nothing and gives one row with action duplicate. on_error: raise or dead_letter, see erp_ingest_batch. Errors: as erp_apply, MP003, MP012, MP013.';
