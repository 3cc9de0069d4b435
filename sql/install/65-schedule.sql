-- Jobs of pg_cron that apply what is in the inbox, and remove what is old.
--
-- pg_cron's functions are called as texts: they are there only where pg_cron is.

CREATE FUNCTION erp._has_cron() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN EXISTS (SELECT FROM pg_catalog.pg_extension AS e WHERE e.extname = 'pg_cron');
COMMENT ON FUNCTION erp._has_cron() IS 'Private: whether pg_cron is in this database';

CREATE FUNCTION erp._need_cron() RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Null where the library is not loaded, or the role may not see it.
    home text := (SELECT s.setting FROM pg_settings AS s WHERE s.name = 'cron.database_name');
BEGIN
    IF NOT erp._has_cron() THEN
        RAISE EXCEPTION 'pg_cron is not in the database "%"', current_database()
            USING ERRCODE = 'feature_not_supported', HINT = CASE
                WHEN home = current_database() THEN 'CREATE EXTENSION pg_cron;'
                WHEN home IS NULL THEN format('Install pg_cron; in postgresql.conf, add it to shared_preload_libraries and set cron.database_name = %L; '
                                              'restart the server; then CREATE EXTENSION pg_cron;', current_database())
                ELSE format('It is in the database "%s". There: SELECT cron.schedule_in_database(%L, %L, %L, %L), '
                            'cron.schedule_in_database(%L, %L, %L, %L);', home,
                            'erp_toolkit work', '* * * * *', 'CALL @extschema@.erp_work()', current_database(),
                            'erp_toolkit maintain', '17 * * * *', 'CALL @extschema@.erp_maintain()', current_database()) END;
    ELSIF NOT has_schema_privilege('cron', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied for schema cron'
            USING ERRCODE = 'insufficient_privilege', HINT = format('GRANT USAGE ON SCHEMA cron TO %I;', current_user);
    END IF;
END
$$;
COMMENT ON FUNCTION erp._need_cron() IS
'Private: refuses to go on without pg_cron, or the right to use it, and says how to come by it. Errors: 0A000, 42501';

-- The jobs of this database that are erp_toolkit's; pg_cron shows a role its own.
CREATE FUNCTION erp._jobs() RETURNS TABLE (job_id bigint, job_name text, schedule text, command text, active boolean, run_as text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF erp._has_cron() THEN
        RETURN QUERY EXECUTE
            'SELECT j.jobid, j.jobname::text, j.schedule, j.command, j.active, j.username FROM cron.job AS j'
            ' WHERE j.database = current_database() AND j.jobname ~ ''^erp_toolkit (work|maintain)''';
    END IF;
END
$$;
COMMENT ON FUNCTION erp._jobs() IS 'Private: the jobs of pg_cron that erp_schedule has made in this database';

CREATE FUNCTION erp._set_job(job_name text, schedule text, command text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A job of that name of the same role is changed.
    EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING job_name, schedule, command;
END
$$;
COMMENT ON FUNCTION erp._set_job(text, text, text) IS 'Private: makes a job of pg_cron, or changes it';

CREATE FUNCTION erp._drop_jobs(job_ids bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF job_ids <> '{}' THEN
        EXECUTE 'SELECT cron.unschedule(id) FROM unnest($1) AS id' USING job_ids;
    END IF;
END
$$;
COMMENT ON FUNCTION erp._drop_jobs(bigint[]) IS 'Private: drops jobs of pg_cron';

CREATE FUNCTION erp._worker_jobs(use_case text, more_than integer) RETURNS bigint[]
    LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
    SELECT coalesce(array_agg(j.job_id), '{}') FROM erp._jobs() AS j
    WHERE j.run_as = current_user
          AND regexp_replace(j.job_name, ' #[0-9]+$', '') = concat_ws(' ', 'erp_toolkit work', _worker_jobs.use_case)
          AND coalesce(substring(j.job_name, ' #([0-9]+)$')::integer, 1) > more_than;
END;
COMMENT ON FUNCTION erp._worker_jobs(text, integer) IS 'Private: the caller''s jobs for a use case, those with a higher number than more_than';

CREATE FUNCTION @extschema@.erp_schedule(schedule text DEFAULT '* * * * *', use_case text DEFAULT NULL, workers integer DEFAULT 1,
                                         wait boolean DEFAULT false, batch_size integer DEFAULT 1000, max_time interval DEFAULT '55 s',
                                         maintenance text DEFAULT NULL)
    RETURNS TABLE (job_id bigint, job_name text, job_schedule text, command text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM erp._need_cron();
    PERFORM erp._use_cases(use_case);
    IF workers IS NULL OR workers NOT BETWEEN 1 AND 32 THEN
        RAISE EXCEPTION 'workers must be from 1 to 32' USING ERRCODE = 'invalid_parameter_value';
    ELSIF batch_size IS NULL OR batch_size < 1 THEN
        RAISE EXCEPTION 'batch_size must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    ELSIF schedule IS NULL OR wait IS NULL OR max_time IS NULL THEN
        RAISE EXCEPTION 'schedule, wait and max_time must not be null' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR worker IN 1..workers LOOP
        PERFORM erp._set_job(concat_ws(' ', 'erp_toolkit work', use_case, CASE WHEN worker > 1 THEN '#' || worker END), schedule,
                             format('CALL @extschema@.erp_work(batch_size => %s, use_case => %L, max_time => %L, wait => %s)', batch_size, use_case, max_time, wait::text));
    END LOOP;
    PERFORM erp._drop_jobs(erp._worker_jobs(use_case, workers));
    IF maintenance IS NOT NULL OR NOT EXISTS (SELECT FROM erp._jobs() AS j WHERE j.job_name = 'erp_toolkit maintain') THEN
        PERFORM erp._set_job('erp_toolkit maintain', coalesce(maintenance, '17 * * * *'), 'CALL @extschema@.erp_maintain()');
    END IF;
    RETURN QUERY SELECT j.job_id, j.job_name, j.schedule, j.command FROM erp._jobs() AS j WHERE j.run_as = current_user ORDER BY j.job_name;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_schedule(text, text, integer, boolean, integer, interval, text) IS
'Has pg_cron apply what is in the inbox: makes a job that calls erp_work, or changes it, and one that calls erp_maintain. schedule: as pg_cron takes it; the default is every minute. use_case: events of one use case (integration/use-case) or integration alone; null: all. workers: how many such jobs. wait, batch_size, max_time: as erp_work takes them. maintenance: the schedule of erp_maintain; null: as it is, or every hour where there is no such job. The jobs run as the calling role. Returns its jobs. Errors: 0A000 without pg_cron, 42501 without the right to use it, 22023, MP012.';

CREATE FUNCTION @extschema@.erp_unschedule(use_case text DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    jobs bigint[];
BEGIN
    PERFORM erp._need_cron();
    IF use_case IS NULL THEN
        jobs := ARRAY(SELECT j.job_id FROM erp._jobs() AS j WHERE j.run_as = current_user);
    ELSE
        jobs := erp._worker_jobs(use_case, 0);
    END IF;
    PERFORM erp._drop_jobs(jobs);
    RETURN cardinality(jobs);
END
$$;
COMMENT ON FUNCTION @extschema@.erp_unschedule(text) IS
'Drops jobs that erp_schedule made for the calling role. use_case: those of that use case or integration; null: all, erp_maintain''s included. Returns how many. Errors: 0A000 without pg_cron, 42501 without the right to use it.';

CREATE FUNCTION @extschema@.erp_jobs()
    RETURNS TABLE (job_id bigint, job_name text, schedule text, command text, active boolean, run_as text, last_started_at timestamptz,
                   last_ended_at timestamptz, last_state text, last_error_at timestamptz, last_error text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF erp._has_cron() THEN
        PERFORM erp._need_cron();
        RETURN QUERY EXECUTE
            'SELECT j.*, l.start_time, l.end_time, l.status, e.end_time, e.return_message FROM erp._jobs() AS j'
            ' LEFT JOIN LATERAL (SELECT r.* FROM cron.job_run_details AS r WHERE r.jobid = j.job_id ORDER BY r.runid DESC LIMIT 1) AS l ON true'
            ' LEFT JOIN LATERAL (SELECT r.* FROM cron.job_run_details AS r WHERE r.jobid = j.job_id AND r.status = ''failed'''
            ' ORDER BY r.runid DESC LIMIT 1) AS e ON true ORDER BY j.job_name';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_jobs() IS
'The jobs that erp_schedule has made in this database, those of the calling role (a superuser sees all): with their last run, its state as pg_cron tells it (starting, running, succeeded, failed…), and their last error. No row without pg_cron. Errors: 42501 without the right to use it.';
