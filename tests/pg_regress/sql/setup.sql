-- What every file may use: the extension, and functions that show failures and entities in the
-- same words on every run.
CREATE EXTENSION erp_toolkit;

-- The error that a statement ends with; state 00000 when it ends well. What the statement did
-- before is undone.
CREATE FUNCTION failure(statement text, OUT state text, OUT message text, OUT detail text, OUT hint text)
    LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE statement;
    state := '00000';
EXCEPTION WHEN query_canceled OR OTHERS THEN
    GET STACKED DIAGNOSTICS
        state = RETURNED_SQLSTATE,
        message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT;
END
$$;

-- The value with the id of each entity replaced by its slug and its keys: "contact C-1".
CREATE FUNCTION readable(value text) RETURNS text
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    bound record;
    entity record;
BEGIN
    FOR bound IN
        SELECT t.slug, t.table_name, t.id_column,
               (SELECT string_agg(DISTINCT format('%I', c), ', ' ORDER BY format('%I', c))
                FROM erp.entity_key AS k, unnest(k.columns) AS c
                WHERE k.slug = t.slug) AS keys
        FROM erp.entity_type AS t
        -- Other ids are the same on every run.
        JOIN pg_attribute AS a ON a.attrelid = t.table_name AND a.attname = t.id_column AND a.atttypid = 'uuid'::regtype
    LOOP
        FOR entity IN EXECUTE format('SELECT %I AS id, concat_ws(''/'', %s) AS name FROM %s', bound.id_column, bound.keys, bound.table_name) LOOP
            value := replace(value, entity.id::text, bound.slug || ' ' || entity.name);
        END LOOP;
    END LOOP;
    RETURN value;
END
$$;
CREATE FUNCTION readable(value jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN readable(value::text)::jsonb;

-- A mapping of one event, Changed, from the entries of its "entities".
CREATE FUNCTION changed(VARIADIC entities jsonb[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('version', '2.0', 'mapping', jsonb_build_object(
        'events', jsonb_build_object('Changed', jsonb_build_object('entities', to_jsonb(entities)))));

-- A mapping of customers, as the documentation shows it: a contact, which links to its account.
CREATE FUNCTION customer_mapping() RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN changed('{
        "entity_schema": "contact",
        "unique_ids": ["customer_number"],
        "fields": [
            {"attribute": "customer_number", "field": "id"},
            {"attribute": "name", "field": "name"},
            {"attribute": "tags", "field": "tags"},
            {"attribute": "account", "relations": {
                "items": [{"entity_schema": "account", "unique_ids": [{"attribute": "number", "field": "account"}]}]}}
        ]
    }');

-- The error that a statement ends with; then what its hint, run as a statement, makes of it: the
-- state in which the same statement ends now, with the message if that is another error. All of
-- it is undone.
CREATE FUNCTION mended(statement text, OUT state text, OUT message text, OUT hint text, OUT mended text)
    LANGUAGE plpgsql
AS $$
BEGIN
    SELECT f.state, f.message, f.hint INTO state, message, hint FROM failure(statement) AS f;
    EXECUTE coalesce(substring(hint FROM '(?:GRANT|ALTER|CREATE|DELETE|SELECT) .*;'), 'SELECT');
    SELECT concat_ws(': ', f.state, f.message) INTO mended FROM failure(statement) AS f;
    RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
    NULL;
END
$$;

-- Forgets the entity types and tables of a file, its integrations and events, at its end. Each file
-- makes its tables in a schema of its own, and finds ids counted from 1.
CREATE PROCEDURE forget(made_in regnamespace)
    LANGUAGE plpgsql
    SET client_min_messages = warning
AS $$
BEGIN
    CALL forget_integrations();
    DELETE FROM erp.entity_type;
    EXECUTE format('DROP SCHEMA %s CASCADE', made_in);
END
$$;

-- Forgets integrations, events and what became of them, so that those of the next file are counted
-- from 1.
CREATE PROCEDURE forget_integrations()
    LANGUAGE plpgsql
AS $$
BEGIN
    TRUNCATE erp.integration, erp.use_case, erp.use_case_version, erp.event, erp.run, erp.outcome, erp.failure, erp.history,
             erp.inbox, erp.span, erp.field_seen, erp.field_sample, erp.run_hour RESTART IDENTITY;
    UPDATE erp.lane SET mark = 0, next_look_at = NULL;
    UPDATE erp.inbox_horizon SET safe = 0, next_id = 0, next_xid = '0';
    UPDATE erp.run_horizon SET added = 0, next_id = 0, next_xid = '0';
END
$$;
