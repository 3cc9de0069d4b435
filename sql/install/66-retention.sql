-- Removing what is old, in batches that are committed one by one.
--
-- A new table that grows needs a setting in src/settings.rs and a row in erp._retained.

CREATE FUNCTION erp._retained() RETURNS TABLE (part text, time_column text, setting text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    -- What the first three remove is more than old rows of a table: they have functions of their own.
    VALUES ('event', NULL, 'event_retention'),
           ('dead_letter', NULL, 'dead_letter_retention'),
           ('job_run', NULL, 'job_retention'),
           ('history', 'changed_at', 'history_retention'),
           ('run', 'finished_at', 'run_retention'),
           ('span', 'added_at', 'trace_retention'),
           ('import', 'updated_at', 'import_retention');
END;
COMMENT ON FUNCTION erp._retained() IS
'Private: what erp_maintain removes. part, with a time_column: a table in erp, with a column id in about the order of that time; setting: how long it is kept, without its prefix';

CREATE FUNCTION erp._kept_since(setting text) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Loads the library, which knows the setting's unit.
    PERFORM erp._merge('{}', '{}');
    RETURN clock_timestamp() - nullif(current_setting('erp_toolkit.' || setting), '-1')::interval;
END
$$;
COMMENT ON FUNCTION erp._kept_since(text) IS 'Private: what is older than that may go; null: nothing may';

-- A plan that was made when a table was small, or before it was analyzed, must not read all of it for each batch.
CREATE FUNCTION erp._remove_events(events bigint[]) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    events_removed bigint;
    outcomes_removed bigint;
    failures_removed bigint;
BEGIN
    DELETE FROM erp.outcome AS o WHERE o.event = ANY (events);
    GET DIAGNOSTICS outcomes_removed = ROW_COUNT;
    DELETE FROM erp.failure AS f WHERE f.event = ANY (events);
    GET DIAGNOSTICS failures_removed = ROW_COUNT;
    DELETE FROM erp.event AS e WHERE e.id = ANY (events);
    GET DIAGNOSTICS events_removed = ROW_COUNT;
    RETURN jsonb_build_object('event', events_removed, 'outcome', outcomes_removed, 'failure', failures_removed);
END
$$;
COMMENT ON FUNCTION erp._remove_events(bigint[]) IS 'Private: removes events with all that is about them but history. How many rows of each table';

-- An event that has an outcome does not wait, and whoever puts it back into the inbox removes the outcome first:
-- who has locked the outcome may remove the event. What is locked is left for the next time.
CREATE FUNCTION erp._remove_ended(kept_since timestamptz, after bigint, batch_size integer, OUT last bigint, OUT removed jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    ended bigint[];
    repeats bigint[];
BEGIN
    SELECT max(b.id) FILTER (WHERE b.is_old) INTO last
    FROM (SELECT e.id, e.received_at < kept_since AS is_old FROM erp.event AS e WHERE e.id > after ORDER BY e.id LIMIT batch_size) AS b;
    ended := ARRAY(SELECT o.event FROM erp.outcome AS o
                   WHERE o.event > after AND o.event <= last AND o.state <> 'dead' AND o.ended_at < kept_since FOR UPDATE SKIP LOCKED);
    repeats := ARRAY(SELECT e.id FROM erp.event AS e
                     WHERE e.id > after AND e.id <= last AND e.duplicate_of IS NOT NULL AND e.received_at < kept_since);
    removed := erp._remove_events(ended || repeats);
END
$$;
COMMENT ON FUNCTION erp._remove_ended(timestamptz, bigint, integer) IS
'Private: removes those of the next events that are done, skipped or duplicates for long enough. last: up to which id; null: there are no more old ones';

CREATE FUNCTION erp._remove_dead(kept_since timestamptz, after bigint, batch_size integer, OUT last bigint, OUT removed jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    dead bigint[];
BEGIN
    dead := ARRAY(SELECT o.event FROM erp.outcome AS o WHERE o.state = 'dead' AND o.event > after ORDER BY o.event LIMIT batch_size);
    last := dead[cardinality(dead)];
    removed := erp._remove_events(ARRAY(SELECT o.event FROM erp.outcome AS o
                                        WHERE o.event = ANY (dead) AND o.state = 'dead' AND o.ended_at < kept_since FOR UPDATE SKIP LOCKED));
END
$$;
COMMENT ON FUNCTION erp._remove_dead(timestamptz, bigint, integer) IS
'Private: removes those of the next dead letters that are dead for long enough. last: up to which id; null: there are no more';

CREATE FUNCTION erp._remove_rows(of_part text, kept_since timestamptz, after bigint, batch_size integer, OUT last bigint, OUT removed jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    at text := (SELECT r.time_column FROM erp._retained() AS r WHERE r.part = of_part);
    number bigint;
BEGIN
    EXECUTE format('SELECT max(b.id) FILTER (WHERE b.at < $1) FROM (SELECT t.id, t.%I AS at FROM erp.%I AS t WHERE t.id > $2 ORDER BY t.id LIMIT $3) AS b', at, of_part)
        INTO last USING kept_since, after, batch_size;
    EXECUTE format('DELETE FROM erp.%I AS t WHERE t.id > $1 AND t.id <= $2 AND t.%I < $3', of_part, at)
        USING after, last, kept_since;
    GET DIAGNOSTICS number = ROW_COUNT;
    removed := jsonb_build_object(of_part, number);
END
$$;
COMMENT ON FUNCTION erp._remove_rows(text, timestamptz, bigint, integer) IS
'Private: removes those of the next rows of a table that are old enough. last: up to which id; null: there are no more old ones';

CREATE FUNCTION erp._remove_job_runs(kept_since timestamptz) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := 0;
BEGIN
    IF erp._has_cron() AND has_schema_privilege('cron', 'USAGE') THEN
        EXECUTE 'DELETE FROM cron.job_run_details AS r WHERE r.database = current_database() AND r.end_time < $1'
                ' AND r.command LIKE ANY (ARRAY[$2, $3])'
            USING kept_since, 'CALL @extschema@.erp\_work(%', 'CALL @extschema@.erp\_maintain(%';
        GET DIAGNOSTICS number = ROW_COUNT;
    END IF;
    RETURN jsonb_build_object('job_run', number);
END
$$;
COMMENT ON FUNCTION erp._remove_job_runs(timestamptz) IS 'Private: removes what pg_cron has noted about our jobs';

CREATE FUNCTION erp._remove(part text, after bigint, batch_size integer, OUT last bigint, OUT removed jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept_since CONSTANT timestamptz := erp._kept_since((SELECT r.setting FROM erp._retained() AS r WHERE r.part = _remove.part));
BEGIN
    IF kept_since IS NULL THEN
        RETURN;
    ELSIF part = 'event' THEN
        SELECT r.last, r.removed INTO last, removed FROM erp._remove_ended(kept_since, after, batch_size) AS r;
    ELSIF part = 'dead_letter' THEN
        SELECT r.last, r.removed INTO last, removed FROM erp._remove_dead(kept_since, after, batch_size) AS r;
    ELSIF part = 'job_run' THEN
        removed := erp._remove_job_runs(kept_since);
    ELSE
        SELECT r.last, r.removed INTO last, removed FROM erp._remove_rows(part, kept_since, after, batch_size) AS r;
    END IF;
END
$$;
COMMENT ON FUNCTION erp._remove(text, bigint, integer) IS
'Private: removes the next batch of what is old. after: the last id of the batch before. last: that of this one; null: it was the last';

CREATE FUNCTION erp._sum(counts jsonb, more jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(jsonb_object_agg(s.key, s.number), '{}')
    FROM (SELECT c.key, sum(c.value::bigint) AS number
          FROM (SELECT * FROM jsonb_each_text(counts) UNION ALL SELECT * FROM jsonb_each_text(more)) AS c
          GROUP BY c.key) AS s;
END;
COMMENT ON FUNCTION erp._sum(jsonb, jsonb) IS 'Private: numbers by name, added up';

-- What the views of 24 hours read: a row an hour, where events came one by one, instead of thousands.
CREATE FUNCTION erp._add_up_runs() RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
    horizon erp.run_horizon;
    last_id bigint;
BEGIN
    -- In other isolation levels a statement does not see what is committed now.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    SELECT * INTO horizon FROM erp.run_horizon AS h WHERE h.next_xid <= pg_snapshot_xmin(pg_current_snapshot()) FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO erp.run_hour AS h (use_case, hour, version, runs, done, failed, dead, ms, most_ms, last_at)
    SELECT r.use_case, date_bin('1 h', r.finished_at, '2000-01-01 00:00:00+00'), r.version, count(*), sum(r.done), sum(r.failed), sum(r.dead),
           sum(r.ms), max(r.ms / (r.done + r.failed)), max(r.finished_at)
    FROM erp.run AS r WHERE r.id > horizon.added AND r.id <= horizon.next_id AND r.finished_at > statement_timestamp() - interval '2 days'
    GROUP BY 1, 2, 3
    ON CONFLICT (use_case, hour, version) DO UPDATE
    SET runs = h.runs + excluded.runs, done = h.done + excluded.done, failed = h.failed + excluded.failed, dead = h.dead + excluded.dead,
        ms = h.ms + excluded.ms, most_ms = greatest(h.most_ms, excluded.most_ms), last_at = greatest(h.last_at, excluded.last_at);
    DELETE FROM erp.run_hour AS h WHERE h.hour < statement_timestamp() - interval '2 days';
    -- First the id, then the transaction, as in _advance_horizon.
    SELECT s.last_value - (NOT s.is_called)::integer INTO last_id FROM erp.run_id_seq AS s;
    UPDATE erp.run_horizon AS h SET added = h.next_id, next_id = last_id, next_xid = erp._next_xid();
END
$$;
COMMENT ON FUNCTION erp._add_up_runs() IS 'Private: brings erp.run_hour up to the runs that there were at the last call';

-- Those that wait to be tried for the first time go when a worker comes to them.
CREATE FUNCTION erp._forget_deleted() RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    WITH forgotten AS (
        DELETE FROM erp.inbox AS i WHERE i.attempts > 0 AND NOT EXISTS (SELECT FROM erp.event AS e WHERE e.id = i.event) RETURNING i.lane
    )
    UPDATE erp.lane AS l SET next_look_at = NULL WHERE l.lane IN (SELECT f.lane FROM forgotten AS f);
END
$$;
COMMENT ON FUNCTION erp._forget_deleted() IS 'Private: events that failed and that somebody has deleted since wait no more, and block no group';

-- Entities that are purged may have triggers: the search_path is the caller's.
CREATE PROCEDURE @extschema@.erp_maintain(batch_size integer DEFAULT 10000, max_time interval DEFAULT '55 min', INOUT removed jsonb DEFAULT NULL)
    LANGUAGE plpgsql
AS $$
DECLARE
    ends_at pg_catalog.timestamptz := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) max_time;
    part pg_catalog.text;
    last pg_catalog.int8;
    batch pg_catalog.jsonb;
    deleted_before pg_catalog.timestamptz;
    purged pg_catalog.int8;
BEGIN
    IF batch_size IS NULL OR batch_size OPERATOR(pg_catalog.<) 1 THEN
        RAISE EXCEPTION 'batch_size must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM erp._add_up_runs();
    COMMIT;
    -- Before they go, events are looked at.
    PERFORM @extschema@.erp_sample_fields();
    COMMIT;
    -- Once more, to the runs that there were at the first.
    PERFORM erp._add_up_runs();
    COMMIT;
    PERFORM erp._forget_deleted();
    COMMIT;
    removed := '{}';
    FOREACH part IN ARRAY ARRAY(SELECT r.part FROM erp._retained() AS r) LOOP
        last := 0;
        WHILE last IS NOT NULL LOOP
            SELECT r.last, r.removed INTO last, batch FROM erp._remove(part, last, batch_size) AS r;
            removed := erp._sum(removed, batch);
            COMMIT;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>=) ends_at THEN
                RETURN;
            END IF;
        END LOOP;
    END LOOP;

    -- Last: a foreign key or trigger may refuse it. In small batches, because a purge keeps others from linking.
    deleted_before := erp._kept_since('deleted_retention');
    WHILE deleted_before IS NOT NULL LOOP
        purged := @extschema@.erp_purge_deleted(pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) deleted_before, LEAST(batch_size, 1000));
        removed := erp._sum(removed, pg_catalog.jsonb_build_object('deleted', purged));
        COMMIT;
        EXIT WHEN purged OPERATOR(pg_catalog.=) 0 OR pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>=) ends_at;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE @extschema@.erp_maintain(integer, interval, jsonb) IS
'Removes what is older than the settings under erp_toolkit. that end in _retention say: events that have ended with their outcomes and failures, dead letters, history, runs, spans, imports, what pg_cron notes of our jobs; and purges soft-deleted entities if deleted_retention says so. Events that wait are never removed. Looks at a sample of new events before, as erp_sample_fields, and adds up runs by the hour for the monitoring views. In batches, each committed; nobody waits for it who brings in or applies events. batch_size: rows in a batch. max_time: when to stop. Returns removed: how many rows of each table. Errors: 22023, 2D000 in a transaction block, what constraints and triggers of purged entities raise.';
