-- Staging tables: the rows that a statement inserts into a user's table are events of a use case.
--
-- What a table is attached to stands in its trigger, so that it is renamed, dumped and dropped with the table.

CREATE FUNCTION erp._staged_columns(settings jsonb) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    written CONSTANT text[] := ARRAY[settings ->> 'event_id_column', settings ->> 'state_column', settings ->> 'error_column']
                               || ARRAY(SELECT jsonb_array_elements_text(settings -> 'leave_out'));
BEGIN
    -- What is joined with null is null, and left out.
    RETURN concat_ws(', ',
        coalesce('pg_catalog.to_jsonb(i.' || quote_ident(settings ->> 'payload_column') || ')',
                 format('pg_catalog.to_jsonb(i) OPERATOR(pg_catalog.-) %L::pg_catalog.text[]', array_remove(written, NULL))) || ' AS payload',
        concat('COALESCE(', 'i.' || quote_ident(settings ->> 'event_name_column') || '::pg_catalog.text, ',
               quote_nullable(settings ->> 'event_name'), ') AS event_name'),
        coalesce('NULLIF(i.' || quote_ident(settings ->> 'deduplication_id_column') || '::pg_catalog.text, '''')', 'NULL') || ' AS deduplication_id',
        coalesce('NULLIF(i.' || quote_ident(settings ->> 'correlation_id_column') || '::pg_catalog.text, '''')', 'NULL') || ' AS correlation_id',
        coalesce('i.' || quote_ident(settings ->> 'group_key_column') || '::pg_catalog.text', 'NULL') || ' AS group_key',
        coalesce('i.' || quote_ident(settings ->> 'timestamp_column') || '::pg_catalog.timestamptz', 'NULL::pg_catalog.timestamptz') || ' AS occurred_at');
END
$$;
COMMENT ON FUNCTION erp._staged_columns(jsonb) IS 'Private: what of a row i of a staging table is read, as SQL';

CREATE FUNCTION erp._key_condition(of_table regclass) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT string_agg(format('s.%1$I OPERATOR(%2$I.%3$s) i.%1$I', a.attname, n.nspname, o.oprname), ' AND ' ORDER BY k.n)
    FROM pg_index AS x
    CROSS JOIN LATERAL unnest(x.indkey::smallint[], x.indclass::oid[]) WITH ORDINALITY AS k(attnum, class, n)
    JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.attnum
    JOIN pg_opclass AS c ON c.oid = k.class
    JOIN pg_amop AS m ON m.amopfamily = c.opcfamily AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype AND m.amopstrategy = 3
    JOIN pg_operator AS o ON o.oid = m.amopopr
    JOIN pg_namespace AS n ON n.oid = o.oprnamespace
    WHERE x.indrelid = of_table AND x.indisprimary;
END;
COMMENT ON FUNCTION erp._key_condition(regclass) IS 'Private: that s and i are the same row of a table, as SQL; null: it has no primary key';

-- The rows that a statement inserted, with what became of them: $1 are the ids of their events, in their order.
CREATE FUNCTION erp._staged_update(of_table regclass, settings jsonb) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sets CONSTANT text := concat_ws(', ',
        quote_ident(settings ->> 'event_id_column') || ' = pg_catalog.abs(r.id)',
        quote_ident(settings ->> 'state_column') || ' = COALESCE(o.state, ''duplicate'')',
        quote_ident(settings ->> 'error_column') || ' = (SELECT pg_catalog.concat_ws('': '', f.sqlstate, f.message) FROM erp.failure AS f'
            ' WHERE o.state OPERATOR(pg_catalog.=) ''dead'' AND f.event OPERATOR(pg_catalog.=) r.id ORDER BY f.id DESC LIMIT 1)');
    keys text;
BEGIN
    IF sets = '' THEN
        RETURN NULL;
    END IF;
    SELECT string_agg(format('i.%I', a.attname), ', ') INTO keys
    FROM pg_index AS x JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)
    WHERE x.indrelid = of_table AND x.indisprimary;
    IF keys IS NULL THEN
        RAISE EXCEPTION 'the table % has no primary key', of_table
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Its rows are found by it when their outcome is written to them.';
    END IF;
    RETURN format('UPDATE %s AS s SET %s FROM (SELECT %s, pg_catalog.row_number() OVER () AS "number of the row" FROM inserted AS i) AS i'
                  ' JOIN pg_catalog.unnest($1) WITH ORDINALITY AS r(id, n) ON r.n OPERATOR(pg_catalog.=) i."number of the row"%s WHERE %s',
                  of_table, sets, keys,
                  -- Who does no more than enqueue may not read it.
                  CASE WHEN settings ?| '{state_column,error_column}'::text[] THEN ' LEFT JOIN erp.outcome AS o ON o.event OPERATOR(pg_catalog.=) r.id' END,
                  erp._key_condition(of_table));
END
$$;
COMMENT ON FUNCTION erp._staged_update(regclass, jsonb) IS
'Private: writes the outcome to the rows that a statement inserted, as SQL; null: no column is for it. Errors: 55000';

CREATE FUNCTION erp._check_staged(first bigint, event_names text[], payloads jsonb[], deduplication_ids text[], correlation_ids text[]) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong record;
BEGIN
    SELECT g.n, CASE WHEN g.event_name IS NULL THEN 'has no event name'
                     WHEN g.payload IS NULL THEN 'has no payload'
                     WHEN octet_length(g.deduplication_id) > 1000 THEN 'has a deduplication id of more than 1000 bytes'
                     ELSE 'has a correlation id of more than 1000 bytes' END AS what
    INTO wrong
    FROM unnest(event_names, payloads, deduplication_ids, correlation_ids) WITH ORDINALITY AS g(event_name, payload, deduplication_id, correlation_id, n)
    WHERE g.event_name IS NULL OR g.payload IS NULL OR octet_length(g.deduplication_id) > 1000 OR octet_length(g.correlation_id) > 1000
    ORDER BY g.n LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the row %', wrong.what USING ERRCODE = 'MP003', DETAIL = 'MALFORMED_PAYLOAD: Row: ' || first + wrong.n;
    END IF;
END
$$;
COMMENT ON FUNCTION erp._check_staged(bigint, text[], jsonb[], text[], text[]) IS 'Private: refuses rows that are no events. Errors: MP003';

-- The ids of the events; negative: of a duplicate. Entities may have triggers: the search_path is the caller's.
CREATE FUNCTION erp._take_staged(settings jsonb, first bigint, event_names text[], payloads jsonb[], deduplication_ids text[],
                                 correlation_ids text[], group_keys text[], occurred_at timestamptz[]) RETURNS bigint[]
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    use_case CONSTANT pg_catalog.text := pg_catalog.jsonb_extract_path_text(settings, 'use_case');
    work erp._work;
BEGIN
    PERFORM erp._check_staged(first, event_names, payloads, deduplication_ids, correlation_ids);
    IF pg_catalog.jsonb_extract_path_text(settings, 'mode') OPERATOR(pg_catalog.=) 'enqueue' THEN
        RETURN erp._enqueue(use_case, event_names, payloads, deduplication_ids, correlation_ids, group_keys, occurred_at);
    END IF;
    work := erp._start_ingest(use_case, event_names, payloads, deduplication_ids, correlation_ids, group_keys, occurred_at);
    IF pg_catalog.jsonb_extract_path_text(settings, 'on_error') OPERATOR(pg_catalog.=) 'raise' THEN
        PERFORM erp._apply_all(work, 'raise');
    ELSE
        PERFORM erp._apply_or_set_aside(work);
    END IF;
    RETURN work.received;
END
$$;
COMMENT ON FUNCTION erp._take_staged(jsonb, bigint, text[], jsonb[], text[], text[], text[], timestamptz[]) IS
'Private: puts rows of a staging table into the inbox or applies them. first: how many came before them. Errors: as erp_ingest_batch';

CREATE FUNCTION erp._staging_trigger() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    settings CONSTANT pg_catalog.jsonb := TG_ARGV[0]::pg_catalog.jsonb;
    outcome CONSTANT pg_catalog.text := erp._staged_update(TG_RELID, settings);
    event_name pg_catalog.text;
    payload pg_catalog.jsonb;
    deduplication_id pg_catalog.text;
    correlation_id pg_catalog.text;
    group_key pg_catalog.text;
    occurred_at pg_catalog.timestamptz;
    event_names pg_catalog.text[];
    payloads pg_catalog.jsonb[];
    deduplication_ids pg_catalog.text[];
    correlation_ids pg_catalog.text[];
    group_keys pg_catalog.text[];
    times pg_catalog.timestamptz[];
    size pg_catalog.int8 := 0;
    events pg_catalog.int8[] := '{}'::pg_catalog.int8[];
BEGIN
    FOR payload, event_name, deduplication_id, correlation_id, group_key, occurred_at IN
        EXECUTE pg_catalog.concat('SELECT ', erp._staged_columns(settings), ' FROM inserted AS i')
    LOOP
        -- In parts, so that a statement may insert any number of rows, of any size.
        IF pg_catalog.cardinality(payloads) OPERATOR(pg_catalog.>=) 10000 OR size OPERATOR(pg_catalog.>) 64000000 THEN
            events := pg_catalog.array_cat(events, erp._take_staged(settings, pg_catalog.cardinality(events), event_names, payloads,
                                                                    deduplication_ids, correlation_ids, group_keys, times));
            event_names := NULL;
            payloads := NULL;
            deduplication_ids := NULL;
            correlation_ids := NULL;
            group_keys := NULL;
            times := NULL;
            size := 0;
        END IF;
        event_names := pg_catalog.array_append(event_names, event_name);
        payloads := pg_catalog.array_append(payloads, payload);
        deduplication_ids := pg_catalog.array_append(deduplication_ids, deduplication_id);
        correlation_ids := pg_catalog.array_append(correlation_ids, correlation_id);
        group_keys := pg_catalog.array_append(group_keys, group_key);
        times := pg_catalog.array_append(times, occurred_at);
        size := size OPERATOR(pg_catalog.+) COALESCE(pg_catalog.pg_column_size(payload), 0);
    END LOOP;
    IF payloads IS NOT NULL THEN
        events := pg_catalog.array_cat(events, erp._take_staged(settings, pg_catalog.cardinality(events), event_names, payloads,
                                                                deduplication_ids, correlation_ids, group_keys, times));
        IF outcome IS NOT NULL THEN
            EXECUTE outcome USING events;
        END IF;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION erp._staging_trigger() IS 'Private: the trigger of erp_attach_staging';

CREATE VIEW erp.stagings AS
SELECT t.tgrelid::regclass AS staging, s.settings ->> 'use_case' AS use_case, s.settings ->> 'mode' AS mode,
       t.tgenabled <> 'D' AS enabled, s.settings - '{use_case,mode}'::text[] AS settings
FROM pg_catalog.pg_trigger AS t
CROSS JOIN LATERAL (
    -- The only argument, with the zero byte that ends it.
    SELECT convert_from(substring(t.tgargs FOR octet_length(t.tgargs) - 1), getdatabaseencoding())::jsonb AS settings) AS s
WHERE t.tgfoid = 'erp._staging_trigger()'::regprocedure;
COMMENT ON VIEW erp.stagings IS 'Staging tables that erp_attach_staging has attached: to which use case, in which mode, whether the trigger is enabled, and the other arguments';
GRANT SELECT ON erp.stagings TO PUBLIC;

CREATE FUNCTION erp._check_stageable(staging regclass) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind record;
BEGIN
    SELECT c.relkind, c.relispartition, i.inhparent::regclass AS parent INTO kind
    FROM pg_class AS c LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid AND c.relispartition WHERE c.oid = staging;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'staging must be a table' USING ERRCODE = 'invalid_parameter_value';
    ELSIF kind.relkind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION '% cannot be a staging table', staging
            USING ERRCODE = 'wrong_object_type', DETAIL = 'Staging tables are ordinary or partitioned tables.';
    ELSIF kind.relispartition THEN
        RAISE EXCEPTION '% is a partition', staging
            USING ERRCODE = 'wrong_object_type', HINT = format('Attach %s, and insert into it.', kind.parent);
    END IF;
END
$$;
COMMENT ON FUNCTION erp._check_stageable(regclass) IS 'Private: refuses what cannot have the trigger. Errors: 22023, 42809';

CREATE FUNCTION erp._check_staging(staging regclass, settings jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing text;
    outcome text;
BEGIN
    SELECT n.name INTO missing
    FROM (SELECT s.value AS name FROM jsonb_each_text(settings) AS s WHERE s.key LIKE '%\_column'
          UNION ALL SELECT jsonb_array_elements_text(settings -> 'leave_out')) AS n
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = staging AND a.attname = n.name AND a.attnum > 0 AND NOT a.attisdropped);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'the table % has no column "%"', staging, missing USING ERRCODE = 'undefined_column';
    END IF;
    -- PostgreSQL itself says what is wrong with the type of a column.
    EXECUTE format('SELECT %s FROM %s AS i LIMIT 0', erp._staged_columns(settings), staging);
    outcome := erp._staged_update(staging, settings);
    IF outcome IS NOT NULL THEN
        EXECUTE format('WITH inserted AS (SELECT * FROM %s LIMIT 0) %s', staging, outcome) USING '{}'::bigint[];
    END IF;
END
$$;
COMMENT ON FUNCTION erp._check_staging(regclass, jsonb) IS 'Private: refuses columns that are not there or of a type that does not fit. Errors: 42703, 55000';

CREATE FUNCTION @extschema@.erp_attach_staging(
    staging regclass, use_case text, event_name text DEFAULT NULL, payload_column name DEFAULT NULL,
    mode text DEFAULT 'enqueue', on_error text DEFAULT 'raise',
    event_name_column name DEFAULT NULL, deduplication_id_column name DEFAULT NULL, correlation_id_column name DEFAULT NULL,
    group_key_column name DEFAULT NULL, timestamp_column name DEFAULT NULL, leave_out name[] DEFAULT NULL,
    event_id_column name DEFAULT NULL, state_column name DEFAULT NULL, error_column name DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings jsonb;
    is_attached boolean;
BEGIN
    PERFORM erp._check_stageable(staging);
    PERFORM erp._open(use_case);
    IF mode IS NULL OR mode NOT IN ('enqueue', 'apply') THEN
        RAISE EXCEPTION 'mode must be ''enqueue'' or ''apply''' USING ERRCODE = 'invalid_parameter_value';
    ELSIF on_error IS NULL OR on_error NOT IN ('raise', 'dead_letter') THEN
        RAISE EXCEPTION 'on_error must be ''raise'' or ''dead_letter''' USING ERRCODE = 'invalid_parameter_value';
    ELSIF event_name IS NULL AND event_name_column IS NULL THEN
        RAISE EXCEPTION 'neither event_name nor event_name_column is given' USING ERRCODE = 'invalid_parameter_value';
    ELSIF payload_column IS NOT NULL AND leave_out IS NOT NULL THEN
        RAISE EXCEPTION 'leave_out is for payloads that are whole rows' USING ERRCODE = 'invalid_parameter_value';
    ELSIF mode = 'enqueue' AND (state_column IS NOT NULL OR error_column IS NOT NULL) THEN
        RAISE EXCEPTION 'state_column and error_column are for mode ''apply'''
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'What becomes of an event of the inbox is in erp.outcome and erp.failure, by the id that event_id_column gets.';
    END IF;
    settings := jsonb_strip_nulls(jsonb_build_object(
        'use_case', use_case, 'event_name', event_name, 'payload_column', payload_column, 'mode', mode,
        'on_error', CASE mode WHEN 'apply' THEN on_error END, 'event_name_column', event_name_column,
        'deduplication_id_column', deduplication_id_column, 'correlation_id_column', correlation_id_column,
        'group_key_column', group_key_column, 'timestamp_column', timestamp_column, 'leave_out', leave_out,
        'event_id_column', event_id_column, 'state_column', state_column, 'error_column', error_column));
    PERFORM erp._check_staging(staging, settings);
    is_attached := EXISTS (SELECT FROM erp.stagings AS s WHERE s.staging = erp_attach_staging.staging);
    EXECUTE format('CREATE %s TRIGGER erp_staging AFTER INSERT ON %s REFERENCING NEW TABLE AS inserted'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION erp._staging_trigger(%L)',
                   CASE WHEN is_attached THEN 'OR REPLACE' END, staging, settings);
END
$$;
COMMENT ON FUNCTION @extschema@.erp_attach_staging(regclass, text, text, name, text, text, name, name, name, name, name, name[], name, name, name) IS
'Makes a table a staging table: the rows that a statement inserts into it become events of a use case, set-wise, in their order, in the same transaction. use_case: integration/use-case. event_name: of all rows, or of those whose event_name_column is null. payload_column: json, jsonb, or text that holds JSON; null: the row is the payload, without the columns of leave_out and those that the outcome is written to. mode: enqueue (they wait in the inbox) or apply (now). on_error, of apply: raise (an event that fails fails the statement) or dead_letter. deduplication_id_column, correlation_id_column, group_key_column, timestamp_column: where these fields of the events are. event_id_column: the event''s id is written to it; state_column, error_column, of apply: done, dead or duplicate, and the error of a dead letter; rows are found by their primary key then. Attached again, the new arguments hold. Who inserts needs the rights of erp_enqueue or erp_ingest. Errors: 22023, 42703, 42809, 55000, MP012, MP013.';

CREATE FUNCTION @extschema@.erp_detach_staging(staging regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM erp.stagings AS s WHERE s.staging = erp_detach_staging.staging) THEN
        RAISE EXCEPTION '% is no staging table', staging USING ERRCODE = 'undefined_object', HINT = 'SELECT * FROM erp.stagings;';
    END IF;
    EXECUTE format('DROP TRIGGER erp_staging ON %s', staging);
END
$$;
COMMENT ON FUNCTION @extschema@.erp_detach_staging(regclass) IS
'Rows that are inserted into the table are no events any more; those that were stay as they are. Errors: 42704.';
