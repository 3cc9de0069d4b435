-- Applying what is in the inbox.

CREATE FUNCTION erp._next_xid() RETURNS xid8
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'erp_next_xid';
COMMENT ON FUNCTION erp._next_xid() IS 'Private: the number that the next transaction gets. A snapshot does not know it: transactions may be at work whose numbers are not below its xmax';

CREATE FUNCTION erp._advance_horizon() RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last_id bigint;
BEGIN
    -- In other isolation levels a statement does not see what is committed now.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    PERFORM FROM erp.inbox_horizon AS h WHERE h.next_xid <= pg_snapshot_xmin(pg_current_snapshot()) FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        -- First the id, then the transaction: whoever drew ids up to that one had a lower number before.
        SELECT s.last_value - (NOT s.is_called)::integer INTO last_id FROM erp.event_id_seq AS s;
        UPDATE erp.inbox_horizon AS h SET safe = h.next_id, next_id = last_id, next_xid = erp._next_xid();
    END IF;
END
$$;
COMMENT ON FUNCTION erp._advance_horizon() IS 'Private: sees up to which id all events have come in';

-- The events of a lane, which it locks, that are due, in their order; null: another worker is in it.
CREATE FUNCTION erp._take_lane(lane smallint, most integer, only_integration integer, only_use_case integer,
                               OUT events bigint[], OUT rows tid[], OUT attempts smallint[])
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    from_mark bigint;
    last bigint;
    now CONSTANT timestamptz := clock_timestamp();
    waiting bigint[];
    last_waiting bigint;
    disabled integer[];
    is_partial boolean;
    first_left bigint;
    next_due_at timestamptz;
BEGIN
    SELECT l.mark INTO from_mark FROM erp.lane AS l WHERE l.lane = lane FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT coalesce(array_agg(f.group_hash), '{}'), max(f.event), min(f.due_at) INTO waiting, last_waiting, next_due_at
    FROM erp.inbox AS f WHERE f.lane = lane AND f.attempts > 0 AND f.due_at > now;
    disabled := ARRAY(SELECT u.id FROM erp.use_case AS u WHERE NOT u.enabled);
    is_partial := only_integration IS NOT NULL OR only_use_case IS NOT NULL OR waiting <> '{}' OR disabled <> '{}';
    SELECT coalesce(array_agg(t.event), '{}'), coalesce(array_agg(t.ctid), '{}'), coalesce(array_agg(t.attempts), '{}'), max(t.event)
    INTO events, rows, attempts, last
    FROM (
        SELECT i.event, i.ctid, i.attempts FROM erp.inbox AS i
        WHERE i.lane = lane AND i.event > from_mark
              -- In a group, those behind one that is tried again later wait for it.
              AND (NOT is_partial OR i.use_case <> ALL (disabled)
                   AND (i.group_hash <> ALL (waiting)
                        OR i.event < last_waiting
                           AND NOT EXISTS (SELECT FROM erp.inbox AS f WHERE f.lane = lane AND f.group_hash = i.group_hash
                                                                            AND f.attempts > 0 AND f.due_at > now AND f.event <= i.event))
                   AND (only_use_case IS NULL OR i.use_case = only_use_case)
                   AND (only_integration IS NULL OR i.use_case IN (SELECT u.id FROM erp.use_case AS u WHERE u.integration = only_integration)))
        ORDER BY i.event LIMIT most) AS t;
    -- What is left behind keeps the mark back.
    IF is_partial THEN
        SELECT min(i.event) INTO first_left FROM erp.inbox AS i
        WHERE i.lane = lane AND i.event > from_mark AND i.event <= last AND i.event <> ALL (events);
    END IF;
    UPDATE erp.lane AS l
    SET mark = CASE WHEN last IS NULL THEN l.mark
                    ELSE greatest(l.mark, least(coalesce(first_left - 1, last), (SELECT h.safe FROM erp.inbox_horizon AS h))) END,
        -- For others there may be something.
        next_look_at = CASE WHEN events = '{}' AND only_integration IS NULL AND only_use_case IS NULL THEN least(next_due_at, now + interval '1 s') END
    WHERE l.lane = lane;
END
$$;
COMMENT ON FUNCTION erp._take_lane(smallint, integer, integer, integer) IS 'Private: the events of a lane that are due, the lane locked';

-- What octet_length says of text holds of jsonb: the size that is noted with the value, compressed or not.
CREATE FUNCTION erp._octet_length(document jsonb) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textoctetlen';
COMMENT ON FUNCTION erp._octet_length(jsonb) IS 'Private: the bytes that a document takes in memory, told without unpacking it';

-- Of events that were taken those behind the first `most` bytes of payloads are left where they are.
CREATE FUNCTION erp._leave_large(most bigint, INOUT events bigint[], INOUT rows tid[], INOUT attempts smallint[])
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last_event bigint;
BEGIN
    SELECT coalesce(max(t.id) FILTER (WHERE t.size <= most), min(t.id)) INTO last_event
    FROM (SELECT e.id, sum(erp._octet_length(e.payload)) OVER (ORDER BY e.id) AS size
          FROM erp.event AS e WHERE e.id = ANY (events)) AS t;
    UPDATE erp.lane AS l SET mark = least(l.mark, d.event - 1)
    FROM (SELECT erp._lane(erp._group_hash(e.integration, e.group_key)) AS lane, min(e.id) AS event
          FROM erp.event AS e WHERE e.id = ANY (events) AND e.id > last_event GROUP BY 1) AS d
    WHERE l.lane = d.lane;
    SELECT array_agg(t.event), array_agg(t.row), array_agg(t.attempts) INTO events, rows, attempts
    FROM unnest(events, rows, attempts) AS t(event, row, attempts) WHERE t.event <= last_event;
END
$$;
COMMENT ON FUNCTION erp._leave_large(bigint, bigint[], tid[], smallint[]) IS
'Private: of events that were taken the first whose payloads are together not larger than so many bytes, one at least; the others are put back';

-- Plans are kept: one that was made when the inbox was short must not read all of it when it is long.
CREATE FUNCTION erp._take(batch_size integer, use_case text) RETURNS erp._work
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET jit = off
AS $$
DECLARE
    only_use_case integer;
    only_integration integer;
    lanes smallint[];
    lane smallint;
    taken record;
    events bigint[] := '{}'::bigint[];
    rows tid[] := '{}'::tid[];
    attempts smallint[] := '{}'::smallint[];
    use_cases integer[];
    size bigint;
    number bigint;
    -- Together: an array of more than 1 GB cannot be had, and several copies are made.
    most_bytes CONSTANT bigint := 32000000;
    work erp._work;
BEGIN
    IF strpos(use_case, '/') > 0 THEN
        only_use_case := (erp._open(use_case)).id;
    ELSIF use_case IS NOT NULL THEN
        only_integration := (erp._integration(use_case)).id;
    END IF;
    PERFORM erp._advance_horizon();
    -- Those whose first event waits longest come first.
    SELECT array_agg(l.lane ORDER BY i.event) INTO lanes
    FROM erp.lane AS l
    CROSS JOIN LATERAL (SELECT i.event FROM erp.inbox AS i WHERE i.lane = l.lane AND i.event > l.mark ORDER BY i.event LIMIT 1) AS i
    WHERE l.next_look_at IS NULL OR l.next_look_at <= clock_timestamp();
    FOREACH lane IN ARRAY coalesce(lanes, '{}'::smallint[]) LOOP
        taken := erp._take_lane(lane, batch_size - cardinality(events), only_integration, only_use_case);
        events := events || taken.events;
        rows := rows || taken.rows;
        attempts := attempts || taken.attempts;
        EXIT WHEN cardinality(events) >= batch_size;
    END LOOP;
    IF events = '{}' THEN
        RETURN NULL;
    END IF;
    SELECT array_agg(DISTINCT e.use_case), sum(erp._octet_length(e.payload)), count(*) INTO use_cases, size, number
    FROM unnest(events) AS t(id) JOIN erp.event AS e ON e.id = t.id;
    IF number < cardinality(events) THEN
        -- Somebody has deleted the others.
        DELETE FROM erp.inbox AS i WHERE i.ctid = ANY (rows) AND NOT EXISTS (SELECT FROM erp.event AS e WHERE e.id = i.event);
        IF number = 0 THEN
            RETURN erp._take(batch_size, use_case);
        END IF;
    END IF;
    IF size > most_bytes THEN
        taken := erp._leave_large(most_bytes, events, rows, attempts);
        events := taken.events;
        rows := taken.rows;
        attempts := taken.attempts;
    END IF;
    work := erp._work(use_cases);
    SELECT array_agg(array_position(work.use_cases, e.use_case) ORDER BY e.id), array_agg(e.id ORDER BY e.id), array_agg(e.event_name ORDER BY e.id),
           array_agg(e.payload ORDER BY e.id), array_agg(t.attempts ORDER BY e.id),
           array_agg(erp._group_hash(e.integration, e.group_key) ORDER BY e.id), array_agg(t.row ORDER BY e.id)
    INTO work.mapping_of, work.events, work.event_names, work.payloads, work.attempts, work.groups, work.rows
    FROM unnest(events, rows, attempts) AS t(id, row, attempts)
    JOIN erp.event AS e ON e.id = t.id;
    work.is_queued := true;
    RETURN work;
END
$$;
COMMENT ON FUNCTION erp._take(integer, text) IS 'Private: takes events that are due, of lanes that no other worker is in';

CREATE FUNCTION @extschema@.erp_process(batch_size integer DEFAULT 1000, use_case text DEFAULT NULL)
    RETURNS TABLE (taken bigint, done bigint, failed bigint, dead bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
#variable_conflict use_variable
DECLARE
    begun erp._work;
    work erp._work;
BEGIN
    IF batch_size IS NULL OR batch_size OPERATOR(pg_catalog.<) 1 THEN
        RAISE EXCEPTION 'batch_size must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    begun := erp._take(batch_size, use_case);
    taken := COALESCE(pg_catalog.cardinality(begun.events), 0);
    IF taken OPERATOR(pg_catalog.>) 0 THEN
        work := erp._apply_or_set_aside(begun);
    END IF;
    SELECT COALESCE(pg_catalog.sum(n), 0) INTO done FROM pg_catalog.unnest(work.done) AS n;
    SELECT COALESCE(pg_catalog.sum(n), 0) INTO failed FROM pg_catalog.unnest(work.failed) AS n;
    SELECT COALESCE(pg_catalog.sum(n), 0) INTO dead FROM pg_catalog.unnest(work.dead) AS n;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_process(integer, text) IS
'Applies up to batch_size events of the inbox that are due, fewer where their payloads are together over 32 MB, in the calling transaction: strictly in order in each group, set-wise, any number of workers at once. An event that fails is tried again later, and later each time; after max_attempts, or at once where trying again cannot help (MP001 to MP005), it goes to the dead letters or blocks its group, as the use case''s on_poison says. use_case: those of one use case (integration/use-case) or integration alone. A row: events taken, done, failed, and dead among those. Errors: 22023, MP012, and what is no event''s fault (a cancel, a deadlock, a disk that is full, 40001 in stricter levels than READ COMMITTED): then nothing has happened.';

CREATE PROCEDURE @extschema@.erp_work(batch_size integer DEFAULT 1000, use_case text DEFAULT NULL, max_time interval DEFAULT '55 s',
                                      wait boolean DEFAULT false)
    LANGUAGE plpgsql
AS $$
DECLARE
    ends_at pg_catalog.timestamptz := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) max_time;
    batch pg_catalog.record;
BEGIN
    LOOP
        SELECT p.taken INTO batch FROM @extschema@.erp_process(batch_size, use_case) AS p;
        COMMIT;
        EXIT WHEN pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>=) ends_at;
        IF batch.taken OPERATOR(pg_catalog.=) 0 THEN
            EXIT WHEN wait IS NOT TRUE;
            -- Who looks for some events has to pass by the others.
            PERFORM pg_catalog.pg_sleep(CASE WHEN use_case IS NULL THEN 0.2 ELSE 1 END);
        END IF;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE @extschema@.erp_work(integer, text, interval, boolean) IS
'Applies what is in the inbox, batch by batch, each committed: until nothing is due, or max_time is over. wait: goes on looking for events until max_time is over (null: for ever). batch_size, use_case: as erp_process. Errors: as erp_process, and 2D000 in a transaction block.';

-- What operators do about events. Whoever does something about an event is in its lane, as a worker is.

CREATE FUNCTION erp._lock_lanes(events bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM erp.lane AS l
    WHERE l.lane IN (SELECT erp._lane(erp._group_hash(e.integration, e.group_key)) FROM erp.event AS e WHERE e.id = ANY (events))
    ORDER BY l.lane FOR UPDATE;
END
$$;
COMMENT ON FUNCTION erp._lock_lanes(bigint[]) IS 'Private: waits until no worker is at these events';

CREATE FUNCTION erp._put_back(events bigint[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
    again bigint[];
BEGIN
    PERFORM erp._lock_lanes(events);
    -- Nothing could be done about a duplicate, nor about an event of a use case that was dropped: they stay what they are.
    again := ARRAY(SELECT e.id FROM erp.event AS e
                   WHERE e.id = ANY (events) AND e.duplicate_of IS NULL AND EXISTS (SELECT FROM erp.use_case AS u WHERE u.id = e.use_case));
    DELETE FROM erp.outcome AS o WHERE o.event = ANY (again);
    WITH put AS (
        INSERT INTO erp.inbox AS i (lane, event, use_case, group_hash)
        SELECT erp._lane(h.group_hash), e.id, e.use_case, h.group_hash
        FROM erp.event AS e
        CROSS JOIN LATERAL (SELECT erp._group_hash(e.integration, e.group_key) AS group_hash OFFSET 0) AS h
        WHERE e.id = ANY (again)
        ON CONFLICT (lane, event) DO UPDATE SET attempts = 0, due_at = NULL
        RETURNING i.lane, i.event
    ), first AS (
        SELECT p.lane, min(p.event) AS event, count(*) AS number FROM put AS p GROUP BY p.lane
    ), looked AS (
        UPDATE erp.lane AS l SET mark = least(l.mark, f.event - 1), next_look_at = NULL FROM first AS f WHERE l.lane = f.lane
    )
    SELECT coalesce(sum(f.number), 0) INTO number FROM first AS f;
    RETURN number;
END
$$;
COMMENT ON FUNCTION erp._put_back(bigint[]) IS 'Private: puts events into the inbox again, to be tried at once. How many';

CREATE FUNCTION erp._failed_last_with(event bigint, error text) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce((SELECT error IN (f.sqlstate, f.code) FROM erp.failure AS f WHERE f.event = _failed_last_with.event ORDER BY f.id DESC LIMIT 1), false);
COMMENT ON FUNCTION erp._failed_last_with(bigint, text) IS 'Private: whether an event failed, the last time with this SQLSTATE or code';

CREATE FUNCTION erp._failed(use_cases integer[], events bigint[], sqlstate text) RETURNS bigint[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        SELECT s.event FROM (
            SELECT o.event FROM erp.outcome AS o WHERE o.state = 'dead'
            UNION ALL SELECT i.event FROM erp.inbox AS i WHERE i.attempts > 0) AS s
        JOIN erp.event AS e ON e.id = s.event
        WHERE (events IS NULL OR e.id = ANY (events)) AND (use_cases IS NULL OR e.use_case = ANY (use_cases))
              AND (sqlstate IS NULL OR erp._failed_last_with(e.id, sqlstate)));
END
$$;
COMMENT ON FUNCTION erp._failed(integer[], bigint[], text) IS
'Private: events that failed, and are dead letters or in the inbox, of these use cases, ids, and SQLSTATE or code; null: of any';

CREATE FUNCTION @extschema@.erp_retry(use_case text DEFAULT NULL, events bigint[] DEFAULT NULL, sqlstate text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    only_use_cases integer[] := erp._use_cases(use_case);
    failed bigint[] := erp._failed(only_use_cases, events, sqlstate);
BEGIN
    PERFORM erp._lock_lanes(failed);
    -- Asked again: a worker may have applied some until now.
    RETURN erp._put_back(erp._failed(only_use_cases, failed, sqlstate));
END
$$;
COMMENT ON FUNCTION @extschema@.erp_retry(text, bigint[], text) IS
'Has events that failed tried again at once: dead letters, those that block their group, and those that wait for another attempt. They come first in their groups. use_case: those of a use case (integration/use-case) or an integration; events: these ids; sqlstate: those that failed last with that SQLSTATE, or that code (MISSING_UNIQUE_IDENTIFIERS); null: all. Events of use cases that were dropped stay as they are. Returns how many. Errors: MP012.';

CREATE FUNCTION erp._use_cases(use_case text) RETURNS integer[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent integer;
BEGIN
    IF use_case IS NULL THEN
        RETURN NULL;
    ELSIF strpos(use_case, '/') > 0 THEN
        RETURN ARRAY[(erp._use_case(use_case)).id];
    END IF;
    parent := (erp._integration(use_case)).id;
    RETURN ARRAY(SELECT u.id FROM erp.use_case AS u WHERE u.integration = parent);
END
$$;
COMMENT ON FUNCTION erp._use_cases(text) IS 'Private: the use cases that are meant: one (integration/use-case), all of an integration, or any (null). Errors: MP012';

CREATE FUNCTION @extschema@.erp_replay(use_case text, events bigint[] DEFAULT NULL, received_from timestamptz DEFAULT NULL,
                                       received_before timestamptz DEFAULT NULL, sqlstate text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    only_use_cases integer[] := erp._use_cases(use_case);
BEGIN
    IF events IS NULL AND received_from IS NULL AND received_before IS NULL AND sqlstate IS NULL THEN
        RAISE EXCEPTION 'neither events nor a time nor an error is given' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'SELECT erp_replay(use_case, received_from => ''-infinity''); replays all that are kept.';
    END IF;
    RETURN erp._put_back(ARRAY(
        SELECT e.id FROM erp.event AS e
        WHERE (only_use_cases IS NULL OR e.use_case = ANY (only_use_cases)) AND (events IS NULL OR e.id = ANY (events))
              AND (received_from IS NULL OR e.received_at >= received_from) AND (received_before IS NULL OR e.received_at < received_before)
              AND (sqlstate IS NULL OR erp._failed_last_with(e.id, sqlstate))));
END
$$;
COMMENT ON FUNCTION @extschema@.erp_replay(text, bigint[], timestamptz, timestamptz, text) IS
'Puts events into the inbox again, whatever became of them, to be applied in the order of their arrival with the configuration of now. use_case: those of a use case (integration/use-case) or an integration, null: all; events: these ids; received_from, received_before: those that came in then; sqlstate: those that failed, the last time with that SQLSTATE or code. Events of use cases that were dropped stay as they are. Returns how many. Errors: 22023, MP012.';

CREATE FUNCTION @extschema@.erp_skip(events bigint[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
    dead bigint;
BEGIN
    PERFORM erp._lock_lanes(events);
    UPDATE erp.outcome AS o SET state = 'skipped', run = NULL, ended_at = clock_timestamp()
    WHERE o.event = ANY (events) AND o.state = 'dead';
    GET DIAGNOSTICS dead = ROW_COUNT;
    WITH skipped AS (
        DELETE FROM erp.inbox AS i WHERE i.event = ANY (events)
              AND i.lane IN (SELECT erp._lane(erp._group_hash(e.integration, e.group_key)) FROM erp.event AS e WHERE e.id = ANY (events))
        RETURNING i.event, i.lane, i.attempts
    ), looked AS (
        UPDATE erp.lane AS l SET next_look_at = NULL FROM skipped AS s WHERE l.lane = s.lane
    ), noted AS (
        INSERT INTO erp.outcome (event, state, attempts)
        SELECT s.event, 'skipped', s.attempts FROM skipped AS s
        RETURNING 1
    )
    SELECT count(*) INTO number FROM noted;
    RETURN dead + number;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_skip(bigint[]) IS
'Gives events up that wait in the inbox, those that block their group included, and dead letters: nothing is done about them any more, until they are replayed. Returns how many.';

CREATE FUNCTION @extschema@.erp_drop_use_case(use_case text, cascade boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known erp.use_case := erp._use_case(use_case);
    waiting bigint[];
    staging regclass;
BEGIN
    FOR staging IN SELECT s.staging FROM erp.stagings AS s WHERE s.use_case = erp_drop_use_case.use_case ORDER BY s.staging::text LOOP
        IF cascade IS NOT TRUE THEN
            RAISE EXCEPTION 'the rows of % are events of the use case "%"', staging, use_case
                USING ERRCODE = 'dependent_objects_still_exist', HINT = format('SELECT erp_detach_staging(%L);', staging);
        END IF;
        PERFORM @extschema@.erp_detach_staging(staging);
    END LOOP;
    UPDATE erp.use_case AS u SET enabled = false WHERE u.id = known.id;
    waiting := ARRAY(SELECT i.event FROM erp.inbox AS i WHERE i.use_case = known.id);
    IF waiting <> '{}' AND cascade IS NOT TRUE THEN
        RAISE EXCEPTION 'events of the use case "%" wait in the inbox', use_case
            USING ERRCODE = 'dependent_objects_still_exist', DETAIL = format('Events: %s.', cardinality(waiting)),
                  HINT = format('SELECT erp_drop_use_case(%L, cascade => true); gives them up.', use_case);
    END IF;
    IF waiting <> '{}' THEN
        PERFORM @extschema@.erp_skip(waiting);
    END IF;
    DELETE FROM erp.use_case AS u WHERE u.id = known.id;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_drop_use_case(text, boolean) IS
'Drops a use case with all versions of its configuration. cascade: its events that wait in the inbox are given up, and its staging tables detached. Events that came in and history stay until their retention ends. Errors: 2BP01, MP012.';
