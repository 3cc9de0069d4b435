-- Ways in for many events: a procedure that imports what a query yields, and a trigger for
-- staging tables. Both hand batches to erp_apply_batch, with the caller's rights and search_path:
-- names of PostgreSQL's are therefore written out, those of types as well, which are looked for in
-- pg_temp first.

CREATE TABLE erp.import (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_name text NOT NULL,
    source_query text NOT NULL,
    batch_size integer NOT NULL,
    on_error text NOT NULL,
    done bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    estimated bigint,
    started_by name NOT NULL DEFAULT current_user,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    pid integer NOT NULL DEFAULT pg_backend_pid(),
    resumed_at bigint NOT NULL DEFAULT 0,
    resumed_since timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE erp.import IS 'Imports, and how far they have come; each role sees and writes its own. Rows of finished ones may be deleted';
COMMENT ON COLUMN erp.import.id IS 'what erp_import resumes';
COMMENT ON COLUMN erp.import.event_name IS 'the event''s name';
COMMENT ON COLUMN erp.import.source_query IS 'the query that yields the payloads';
COMMENT ON COLUMN erp.import.batch_size IS 'events in a transaction';
COMMENT ON COLUMN erp.import.on_error IS 'raise or continue';
COMMENT ON COLUMN erp.import.done IS 'events that are committed, failed ones included';
COMMENT ON COLUMN erp.import.failed IS 'events that were set aside, see erp.import_error';
COMMENT ON COLUMN erp.import.estimated IS 'how many events the planner thinks the query yields';
COMMENT ON COLUMN erp.import.started_by IS 'the role';
COMMENT ON COLUMN erp.import.started_at IS 'when it was begun';
COMMENT ON COLUMN erp.import.updated_at IS 'when a batch was committed last';
COMMENT ON COLUMN erp.import.finished_at IS 'when it came to the end; null: it has not';
COMMENT ON COLUMN erp.import.pid IS 'the backend that imports, or did';
COMMENT ON COLUMN erp.import.resumed_at IS 'what was done when it was begun or resumed last';
COMMENT ON COLUMN erp.import.resumed_since IS 'when it was begun or resumed last';

CREATE TABLE erp.import_error (
    import bigint NOT NULL REFERENCES erp.import ON DELETE CASCADE,
    event bigint NOT NULL,
    error jsonb NOT NULL,
    PRIMARY KEY (import, event)
);
COMMENT ON TABLE erp.import_error IS 'Events that an import with on_error => ''continue'' set aside';
COMMENT ON COLUMN erp.import_error.import IS 'the import';
COMMENT ON COLUMN erp.import_error.event IS 'the position of the payload in what the query yields, from 1';
COMMENT ON COLUMN erp.import_error.error IS 'what erp_apply_batch told: {"sqlstate", "code"?, "message", "detail"?, "hint"?}';

ALTER TABLE erp.import ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON erp.import USING (started_by = current_user);
CREATE POLICY monitor ON erp.import FOR SELECT USING (pg_catalog.pg_has_role('pg_monitor', 'MEMBER'));
ALTER TABLE erp.import_error ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON erp.import_error
    USING (EXISTS (SELECT FROM erp.import AS i WHERE i.id = import AND i.started_by = current_user));
GRANT SELECT ON erp.import, erp.import_error TO PUBLIC;
GRANT INSERT, UPDATE, DELETE ON erp.import, erp.import_error TO @extowner@ WITH GRANT OPTION;

CREATE VIEW erp.import_progress WITH (security_barrier) AS
SELECT i.id,
       CASE WHEN i.finished_at IS NOT NULL THEN 'finished'
            WHEN a.pid IS NOT NULL THEN 'running'
            ELSE 'interrupted' END AS state,
       i.event_name, i.started_by, i.pid, i.done, i.failed, i.estimated,
       round(rate.per_second) AS events_per_second,
       CASE WHEN a.pid IS NOT NULL AND i.finished_at IS NULL AND rate.per_second > 0
            THEN make_interval(secs => (greatest(i.estimated - i.done, 0) / rate.per_second)::double precision) END AS time_left,
       i.started_at, i.updated_at, i.finished_at
FROM erp.import AS i
LEFT JOIN pg_catalog.pg_stat_activity AS a
       -- The call that began it goes on.
       ON a.pid = i.pid AND a.datname = current_database() AND a.state = 'active' AND a.query_start <= i.resumed_since
CROSS JOIN LATERAL (
    SELECT ((i.done - i.resumed_at) / nullif(extract(epoch FROM i.updated_at - i.resumed_since), 0))::numeric) AS rate(per_second)
WHERE i.started_by = current_user OR pg_has_role('pg_monitor', 'MEMBER');
COMMENT ON VIEW erp.import_progress IS 'Imports: state (running, finished, interrupted: erp_import can resume it), events done and failed, the rate since it was begun or resumed, and the time that is left by the planner''s estimate of the query';
GRANT SELECT ON erp.import_progress TO PUBLIC;

CREATE FUNCTION erp._payload(payload jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN payload;
COMMENT ON FUNCTION erp._payload(jsonb) IS 'Private: a payload as it is';

CREATE FUNCTION erp._payload(payload anyelement) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
BEGIN
    RETURN payload::pg_catalog.text::pg_catalog.jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN pg_catalog.to_jsonb(payload::pg_catalog.text);
END
$$;
COMMENT ON FUNCTION erp._payload(anyelement) IS
'Private: a payload of json, or text that holds JSON; what cannot be read stays a string, so that it is its event that fails';

CREATE FUNCTION erp._start_import(event_name text, source_query text, batch_size integer, on_error text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    plan pg_catalog.json;
    id pg_catalog.int8;
BEGIN
    EXECUTE pg_catalog.concat('EXPLAIN (FORMAT JSON) ', source_query) INTO plan;
    INSERT INTO erp.import (event_name, source_query, batch_size, on_error, estimated)
    VALUES (event_name, source_query, batch_size, on_error,
            pg_catalog.json_extract_path_text(plan, '0', 'Plan', 'Plan Rows')::pg_catalog.float8::pg_catalog.int8)
    RETURNING import.id INTO id;
    RETURN id;
END
$$;
COMMENT ON FUNCTION erp._start_import(text, text, integer, text) IS 'Private: notes a new import';

CREATE FUNCTION erp._resume_import(import bigint, event_name text, source_query text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known erp.import;
BEGIN
    SELECT * INTO known FROM erp.import AS i WHERE i.id = import FOR UPDATE;
    IF known IS NULL THEN
        RAISE EXCEPTION 'there is no import %', import
            USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM erp.import_progress;';
    ELSIF known.finished_at IS NOT NULL THEN
        RAISE EXCEPTION 'import % is finished', import USING ERRCODE = 'object_not_in_prerequisite_state';
    ELSIF known.event_name <> event_name OR known.source_query <> source_query THEN
        RAISE EXCEPTION 'import % is of another event or query', import
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Resume it with the event_name and source_query it was begun with.';
    ELSIF EXISTS (SELECT FROM erp.import_progress AS p WHERE p.id = import AND p.state = 'running' AND p.pid <> pg_backend_pid()) THEN
        RAISE EXCEPTION 'import % is running', import USING ERRCODE = 'object_in_use';
    END IF;
    UPDATE erp.import AS i
    SET pid = pg_backend_pid(), resumed_at = i.done, resumed_since = clock_timestamp()
    WHERE i.id = import;
    RETURN known.done;
END
$$;
COMMENT ON FUNCTION erp._resume_import(bigint, text, text) IS 'Private: notes that an import goes on; how many events are done';

CREATE FUNCTION erp._import_batch(import bigint, mapping jsonb, event_name text, payloads jsonb[], on_error text) RETURNS bigint
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    WITH failed AS (
        SELECT b.event, b.error FROM @extschema@.erp_apply_batch(mapping, event_name, payloads, on_error) AS b WHERE b.action = 'failed'
    ), kept AS (
        INSERT INTO erp.import_error (import, event, error)
        SELECT i.id, i.done + f.event, f.error FROM failed AS f CROSS JOIN erp.import AS i WHERE i.id = _import_batch.import
        RETURNING 1
    )
    UPDATE erp.import AS i
    SET done = i.done + cardinality(payloads), failed = i.failed + (SELECT count(*) FROM kept), updated_at = clock_timestamp()
    -- Whether a session still imports cannot always be told from another one, which may have gone on meanwhile.
    WHERE i.id = _import_batch.import AND i.pid = pg_backend_pid()
    RETURNING i.done;
END;
COMMENT ON FUNCTION erp._import_batch(bigint, jsonb, text, jsonb[], text) IS
'Private: applies a batch of an import and notes it; how many events are done, null if the import is not this session''s any more';

CREATE FUNCTION erp._check_import(import bigint, done bigint) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF done IS NULL THEN
        RAISE EXCEPTION 'import % was resumed by another session, or deleted', import
            USING ERRCODE = 'object_in_use', HINT = 'SELECT * FROM erp.import_progress;';
    END IF;
END
$$;
COMMENT ON FUNCTION erp._check_import(bigint, bigint) IS
'Private: that a batch was noted, so that no two sessions apply the same events';

CREATE FUNCTION erp._finish_import(import bigint) RETURNS text
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    UPDATE erp.import AS i SET finished_at = clock_timestamp(), updated_at = clock_timestamp() WHERE i.id = _finish_import.import;
    SELECT format('%s events, %s set aside', i.done, i.failed) FROM erp.import AS i WHERE i.id = _finish_import.import;
END;
COMMENT ON FUNCTION erp._finish_import(bigint) IS 'Private: notes the end of an import and tells what it did';

CREATE PROCEDURE @extschema@.erp_import(mapping jsonb, event_name text, source_query text, batch_size integer DEFAULT 10000,
                            on_error text DEFAULT 'raise', resume bigint DEFAULT NULL)
    LANGUAGE plpgsql
AS $$
DECLARE
    import pg_catalog.int8 := resume;
    skip pg_catalog.int8 := 0;
    payload pg_catalog.jsonb;
    payloads pg_catalog.jsonb[] := '{}'::pg_catalog.jsonb[];
    progress pg_catalog.text;
BEGIN
    IF batch_size IS NULL OR batch_size OPERATOR(pg_catalog.<) 1 THEN
        RAISE EXCEPTION 'batch_size must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    ELSIF source_query IS NULL THEN
        RAISE EXCEPTION 'source_query must not be null' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- What is wrong whatever the query yields is told before an import is noted.
    PERFORM @extschema@.erp_apply_batch(mapping, event_name, '{}'::pg_catalog.jsonb[], on_error);
    IF resume IS NULL THEN
        import := erp._start_import(event_name, source_query, batch_size, on_error);
    ELSE
        skip := erp._resume_import(resume, event_name, source_query);
    END IF;
    COMMIT;
    RAISE NOTICE 'import % begins; SELECT * FROM erp.import_progress; shows how far it is', import;
    FOR payload IN EXECUTE pg_catalog.concat(
        -- A name that no other column has.
        'SELECT erp._payload(source."payload of erp_import") FROM (', source_query, E'\n) AS source("payload of erp_import") OFFSET ', skip)
    LOOP
        payloads := pg_catalog.array_append(payloads, payload);
        IF pg_catalog.cardinality(payloads) OPERATOR(pg_catalog.>=) batch_size THEN
            PERFORM erp._check_import(import, erp._import_batch(import, mapping, event_name, payloads, on_error));
            COMMIT;
            payloads := '{}';
            SELECT pg_catalog.format('%s events, %s set aside, %s a second', p.done, p.failed, p.events_per_second) INTO progress
            FROM erp.import_progress AS p WHERE p.id OPERATOR(pg_catalog.=) import;
            RAISE NOTICE 'import %: %', import, progress;
        END IF;
    END LOOP;
    PERFORM erp._check_import(import, erp._import_batch(import, mapping, event_name, payloads, on_error));
    progress := erp._finish_import(import);
    COMMIT;
    RAISE NOTICE 'import % is finished: %', import, progress;
END
$$;
COMMENT ON PROCEDURE @extschema@.erp_import(jsonb, text, text, integer, text, bigint) IS
'Applies the payloads that a query yields (its first column: json, jsonb or text that holds JSON), in its order, and commits batch by batch. Progress: NOTICEs, and erp.import_progress for other sessions. on_error: raise (an event that fails ends the import; batches before it stay) or continue (it is kept in erp.import_error). resume: the id of an import that was cancelled or failed; it goes on behind the last batch that was committed, if the query yields the same payloads in the same order. Errors: as erp_apply_batch, 22023, 55000, 55006, and 2D000 in a transaction block.';

CREATE FUNCTION erp._apply_inserted(mapping jsonb, use_case text, event_name text, payloads jsonb[], on_error text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
BEGIN
    IF mapping IS NULL THEN
        PERFORM @extschema@.erp_ingest_batch(use_case, payloads, on_error);
    ELSE
        PERFORM @extschema@.erp_apply_batch(mapping, event_name, payloads, on_error);
    END IF;
END
$$;
COMMENT ON FUNCTION erp._apply_inserted(jsonb, text, text, jsonb[], text) IS
'Private: applies payloads by a mapping or, where it is null, events by a use case';

CREATE FUNCTION @extschema@.erp_apply_trigger() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    inserted pg_catalog.name := (SELECT t.tgnewtable FROM pg_catalog.pg_trigger AS t
                      WHERE t.tgrelid OPERATOR(pg_catalog.=) TG_RELID AND t.tgname OPERATOR(pg_catalog.=) TG_NAME);
    on_error pg_catalog.text := COALESCE(TG_ARGV[3], 'raise');
    -- A mapping is an object.
    is_use_case CONSTANT pg_catalog.bool := pg_catalog.left(pg_catalog.ltrim(TG_ARGV[0], E' \t\r\n'), 1) OPERATOR(pg_catalog.<>) '{';
    mapping pg_catalog.jsonb;
    payload pg_catalog.jsonb;
    payloads pg_catalog.jsonb[] := '{}'::pg_catalog.jsonb[];
BEGIN
    IF TG_OP OPERATOR(pg_catalog.<>) 'INSERT' OR TG_LEVEL OPERATOR(pg_catalog.<>) 'STATEMENT' OR inserted IS NULL OR TG_NARGS OPERATOR(pg_catalog.<) 3 THEN
        RAISE EXCEPTION 'erp_apply_trigger is a trigger for inserted rows, a statement at a time'
            USING ERRCODE = 'trigger_protocol_violated',
                  HINT = 'CREATE TRIGGER … AFTER INSERT ON … REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION erp_apply_trigger(mapping or use case, event name, payload column);';
    END IF;
    IF NOT is_use_case THEN
        mapping := TG_ARGV[0]::pg_catalog.jsonb;
    END IF;
    FOR payload IN EXECUTE pg_catalog.format('SELECT erp._payload(%I) FROM %I', TG_ARGV[2], inserted) LOOP
        IF is_use_case AND payload IS NOT NULL THEN
            payload := pg_catalog.jsonb_build_object('event_name', TG_ARGV[1], 'payload', payload);
        END IF;
        payloads := pg_catalog.array_append(payloads, payload);
        IF pg_catalog.cardinality(payloads) OPERATOR(pg_catalog.>=) 10000 THEN
            PERFORM erp._apply_inserted(mapping, TG_ARGV[0], TG_ARGV[1], payloads, on_error);
            payloads := '{}';
        END IF;
    END LOOP;
    PERFORM erp._apply_inserted(mapping, TG_ARGV[0], TG_ARGV[1], payloads, on_error);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_apply_trigger() IS
'Trigger of a staging table: applies the events of all rows that a statement inserts, set-wise and in their order. For AFTER INSERT … REFERENCING NEW TABLE AS any name, FOR EACH STATEMENT. Arguments: the mapping as JSON text, or a use case (integration/use-case), the event''s name, the column of the payload (json, jsonb or text that holds JSON), and raise (the default: an event that fails fails the statement), continue (of a mapping: it is left out) or dead_letter (of a use case: it goes to the dead letters). Errors: 39P01 for another kind of trigger; as erp_apply_batch; of a use case as erp_ingest_batch.';
