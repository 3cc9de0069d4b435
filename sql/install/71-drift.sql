-- Schema drift: fields that payloads have and mappings do not read, and the other way round.
--
-- Events are looked at later, a sample of them, so that taking and applying events pays nothing for it.
-- What arrives is counted here whatever mappings read; the views compare it with the mappings of now.

CREATE TABLE erp.field_seen (
    use_case integer NOT NULL REFERENCES erp.use_case ON DELETE CASCADE,
    event_name text COLLATE "C" NOT NULL,
    names text[] COLLATE "C" NOT NULL,
    events bigint NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    PRIMARY KEY (use_case, event_name, names)
) WITH (fillfactor = 50);
COMMENT ON TABLE erp.field_seen IS 'Fields that payloads had, of the events that were looked at';
COMMENT ON COLUMN erp.field_seen.use_case IS 'the use case';
COMMENT ON COLUMN erp.field_seen.event_name IS 'the event''s name';
COMMENT ON COLUMN erp.field_seen.names IS 'the names on the way to the field, those of items of arrays included; empty: the payload, so that its row counts all events that were looked at';
COMMENT ON COLUMN erp.field_seen.events IS 'how many of the events that were looked at had it';
COMMENT ON COLUMN erp.field_seen.first_seen_at IS 'when the first of them came in';
COMMENT ON COLUMN erp.field_seen.last_seen_at IS 'when the last of them came in';

CREATE TABLE erp.field_sample (
    use_case integer PRIMARY KEY REFERENCES erp.use_case ON DELETE CASCADE,
    mark bigint NOT NULL
);
COMMENT ON TABLE erp.field_sample IS 'Private: how far events have been looked at';
COMMENT ON COLUMN erp.field_sample.use_case IS 'the use case';
COMMENT ON COLUMN erp.field_sample.mark IS 'the sample of its events up to this one was looked at';

SELECT pg_catalog.pg_extension_config_dump('erp.field_seen', '');
SELECT pg_catalog.pg_extension_config_dump('erp.field_sample', '');

GRANT SELECT, INSERT, UPDATE, DELETE ON erp.field_seen, erp.field_sample TO @extowner@ WITH GRANT OPTION;

-- What arrives

CREATE FUNCTION erp._parsed(payload jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF jsonb_typeof(payload) = 'string' THEN
        RETURN (payload #>> '{}')::jsonb;
    END IF;
    RETURN payload;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION erp._parsed(jsonb) IS 'Private: a payload, of a string what it holds; null: it is no JSON';

CREATE FUNCTION erp._fields(payload jsonb) RETURNS SETOF text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE field AS (
        SELECT '{}'::text[] AS names, payload AS value
        UNION ALL
        SELECT CASE WHEN m.key IS NULL THEN f.names ELSE f.names || m.key END, m.value
        FROM field AS f
        CROSS JOIN LATERAL (
            SELECT e.key, e.value FROM jsonb_each(CASE jsonb_typeof(f.value) WHEN 'object' THEN f.value ELSE '{}' END) AS e
            WHERE octet_length(e.key) <= 200
            UNION ALL
            (SELECT NULL, e.value FROM jsonb_array_elements(CASE jsonb_typeof(f.value) WHEN 'array' THEN f.value ELSE '[]' END) AS e(value) LIMIT 100)) AS m
        WHERE cardinality(f.names) < 8 AND jsonb_typeof(f.value) IN ('object', 'array')
    )
    SELECT DISTINCT f.names FROM field AS f
$$;
COMMENT ON FUNCTION erp._fields(jsonb) IS 'Private: the fields of a payload, eight names deep, and of the first 100 items of an array';

CREATE FUNCTION erp._sample_fields(target erp.use_case, most integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    every CONSTANT bigint := erp._setting(target, 'drift_sample')::bigint;
    -- Of an event name; a payload may have names that are data.
    most_fields CONSTANT integer := 1000;
    from_block bigint;
    to_block bigint;
    looked_at bigint;
BEGIN
    IF every = 0 THEN
        RETURN 0;
    END IF;
    -- It may have been dropped meanwhile.
    PERFORM FROM erp.use_case AS u WHERE u.id = target.id FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    INSERT INTO erp.field_sample (use_case, mark) VALUES (target.id, 0) ON CONFLICT DO NOTHING;
    SELECT p.mark / every INTO from_block FROM erp.field_sample AS p WHERE p.use_case = target.id FOR UPDATE SKIP LOCKED;
    to_block := coalesce((SELECT max(e.id) + 1 FROM erp.event AS e), 0) / every;
    IF from_block IS NULL OR from_block >= to_block THEN
        RETURN 0;
    END IF;
    WITH sample AS MATERIALIZED (
        -- Of each block one, by chance: of events that come in turns it would always be the same kind.
        SELECT e.event_name, e.received_at, erp._parsed(e.payload) AS payload
        FROM generate_series(greatest(from_block, to_block - most), to_block - 1) AS block
        JOIN erp.event AS e ON e.id = block * every + (hashint8extended(block, 0) & 9223372036854775807) % every
        WHERE e.use_case = target.id AND e.duplicate_of IS NULL AND pg_column_size(e.payload) <= 1000000
              -- An index has room for no more, with the names of a field.
              AND octet_length(e.event_name) <= 200
    ), field AS (
        SELECT s.event_name, f.names, count(*) AS events, min(s.received_at) AS first_at, max(s.received_at) AS last_at
        FROM sample AS s CROSS JOIN LATERAL erp._fields(s.payload) AS f(names)
        WHERE s.payload IS NOT NULL
        GROUP BY s.event_name, f.names
    ), numbered AS (
        SELECT f.*, k.use_case IS NOT NULL AS is_known,
               row_number() OVER (PARTITION BY f.event_name, k.use_case IS NULL ORDER BY cardinality(f.names), f.names) AS n,
               (SELECT count(*) FROM erp.field_seen AS s WHERE s.use_case = target.id AND s.event_name = f.event_name) AS known
        FROM field AS f
        LEFT JOIN erp.field_seen AS k ON k.use_case = target.id AND k.event_name = f.event_name AND k.names = f.names
    ), noted AS (
        INSERT INTO erp.field_seen AS s (use_case, event_name, names, events, first_seen_at, last_seen_at)
        SELECT target.id, f.event_name, f.names, f.events, f.first_at, f.last_at
        FROM numbered AS f WHERE f.is_known OR f.known + f.n <= most_fields
        ON CONFLICT (use_case, event_name, names) DO UPDATE
        SET events = s.events + excluded.events, last_seen_at = greatest(s.last_seen_at, excluded.last_seen_at)
    )
    SELECT count(*) INTO looked_at FROM sample;
    UPDATE erp.field_sample AS p SET mark = to_block * every WHERE p.use_case = target.id;
    RETURN looked_at;
END
$$;
COMMENT ON FUNCTION erp._sample_fields(erp.use_case, integer) IS 'Private: erp_sample_fields for a use case';

CREATE FUNCTION @extschema@.erp_sample_fields(use_case text DEFAULT NULL, most integer DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    only_use_cases integer[] := erp._use_cases(use_case);
    target erp.use_case;
    looked_at bigint := 0;
BEGIN
    FOR target IN
        SELECT u.* FROM erp.use_case AS u
        WHERE u.type = 'inbound' AND (only_use_cases IS NULL OR u.id = ANY (only_use_cases)) ORDER BY u.id
    LOOP
        looked_at := looked_at + erp._sample_fields(target, most);
    END LOOP;
    -- What no longer arrives makes room.
    DELETE FROM erp.field_seen AS f WHERE f.last_seen_at < erp._kept_since('field_retention');
    RETURN looked_at;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_sample_fields(text, integer) IS
'Looks at a sample of the events that came in since the last call, one of as many as the use case''s drift_sample says, and counts the fields that their payloads have, for erp.unread_fields and erp.missing_fields. use_case: of one use case (integration/use-case) or integration; null: of all. most: at most so many of each, the latest. Returns how many. Errors: MP012.';

-- What is read

CREATE FUNCTION erp._names(path text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN path = '*' THEN '{}'
                ELSE ARRAY(SELECT CASE WHEN m[2] = '*' THEN NULL ELSE coalesce(m[1], m[2]) END
                           FROM regexp_matches(path, '`([^`]*)`|([^.`]+)', 'g') WITH ORDINALITY AS p(m, n) ORDER BY n) END;
COMMENT ON FUNCTION erp._names(text) IS 'Private: the names of a path of erp_explain; null: any name or position';

CREATE FUNCTION erp._path(names text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT string_agg(CASE WHEN name ~ '^[[:alpha:]_]\w*$' THEN name WHEN name IS NULL THEN '*' ELSE '`' || name || '`' END, '.' ORDER BY n)
            FROM unnest(names) WITH ORDINALITY AS u(name, n));
COMMENT ON FUNCTION erp._path(text[]) IS 'Private: names as erp_explain writes them';

-- A position in an array is not among the names of a field.
CREATE FUNCTION erp._begins(names text[], beginning text[]) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    any_at integer := array_position(beginning, NULL);
BEGIN
    IF any_at IS NULL THEN
        RETURN names[:cardinality(beginning)] = beginning;
    END IF;
    RETURN names[:any_at - 1] = beginning[:any_at - 1]
           AND (erp._begins(names[any_at:], beginning[any_at + 1:])
                OR cardinality(names) >= any_at AND erp._begins(names[any_at + 1:], beginning[any_at + 1:]));
END
$$;
COMMENT ON FUNCTION erp._begins(text[], text[]) IS 'Private: whether a field is at or below a path, in which null is any name or position';

CREATE FUNCTION erp._leads(names text[], path text[]) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    any_at integer := array_position(path, NULL);
BEGIN
    IF any_at IS NULL OR any_at > cardinality(names) THEN
        RETURN names = path[:cardinality(names)];
    END IF;
    RETURN names[:any_at - 1] = path[:any_at - 1]
           AND (erp._leads(names[any_at:], path[any_at + 1:]) OR erp._leads(names[any_at + 1:], path[any_at + 1:]));
END
$$;
COMMENT ON FUNCTION erp._leads(text[], text[]) IS 'Private: whether a field is on the way to a path, in which null is any name or position';

CREATE FUNCTION erp._fields_read(configuration jsonb)
    RETURNS TABLE (event_name text, names text[], entity_slug text, attribute text, role text, place text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    WITH source AS MATERIALIZED (
        SELECT e.event_name, e.entry, e.entity_slug, e.attribute, e.role, e.path, e.reads_from, s.field, e.kind, e.expression, cardinality(e.source) AS sources
        FROM @extschema@.erp_explain(configuration) AS e
        CROSS JOIN LATERAL unnest(e.source) AS s(field)
    ), items AS (
        -- Where the items are, if their expression is a path.
        SELECT s.event_name, s.entry, s.field FROM source AS s
        WHERE s.role = 'items' AND s.sources = 1 AND ltrim(s.expression, '$.') = s.field
    )
    SELECT s.event_name, CASE WHEN s.reads_from = 'item' THEN erp._names(i.field) ELSE '{}' END || erp._names(s.field),
           s.entity_slug, s.attribute, s.role, s.path
    FROM source AS s
    LEFT JOIN items AS i ON i.entry = s.entry AND i.event_name IS NOT DISTINCT FROM s.event_name
    -- The expression of items reads them all, unless it is known which fields of them count.
    WHERE CASE WHEN s.role = 'items' THEN i.field IS NULL ELSE s.reads_from = 'payload' OR i.field IS NOT NULL END;
END
$$;
COMMENT ON FUNCTION erp._fields_read(jsonb) IS 'Private: the fields of payloads that a mapping reads; event_name null: of any event';

CREATE VIEW erp.unread_fields AS
WITH read AS MATERIALIZED (
    SELECT u.id AS use_case, r.event_name, r.names
    FROM erp.use_case AS u
    JOIN erp.use_case_version AS v ON v.use_case = u.id AND v.version = u.version
    CROSS JOIN LATERAL erp._fields_read(v.configuration) AS r
    WHERE u.type = 'inbound'
), unread AS MATERIALIZED (
    -- Neither read nor on the way to what is.
    SELECT f.* FROM erp.field_seen AS f
    WHERE NOT EXISTS (SELECT FROM read AS r
                      WHERE r.use_case = f.use_case AND (r.event_name = f.event_name OR r.event_name IS NULL)
                            AND (erp._begins(f.names, r.names) OR erp._leads(f.names, r.names)))
)
SELECT i.slug || '/' || u.slug AS use_case, f.event_name, erp._path(f.names) AS path, f.events, p.events AS sampled, f.first_seen_at, f.last_seen_at
FROM unread AS f
JOIN erp.field_seen AS p ON p.use_case = f.use_case AND p.event_name = f.event_name AND p.names = '{}'
JOIN erp.use_case AS u ON u.id = f.use_case
JOIN erp.integration AS i ON i.id = u.integration
-- What is below a field that is not read goes without saying.
WHERE NOT EXISTS (SELECT FROM unread AS a
                  WHERE a.use_case = f.use_case AND a.event_name = f.event_name AND a.names = f.names[:cardinality(f.names) - 1]);
COMMENT ON VIEW erp.unread_fields IS 'Schema drift: fields that events of a use case have, of those that were looked at, and that its mapping does not read';
COMMENT ON COLUMN erp.unread_fields.use_case IS 'integration/use-case';
COMMENT ON COLUMN erp.unread_fields.event_name IS 'the event''s name';
COMMENT ON COLUMN erp.unread_fields.path IS 'the field, as erp_explain writes it; with what is below';
COMMENT ON COLUMN erp.unread_fields.events IS 'how many of the events that were looked at had it';
COMMENT ON COLUMN erp.unread_fields.sampled IS 'how many were looked at';
COMMENT ON COLUMN erp.unread_fields.first_seen_at IS 'when the first of them came in';
COMMENT ON COLUMN erp.unread_fields.last_seen_at IS 'when the last of them came in';

CREATE VIEW erp.missing_fields AS
SELECT i.slug || '/' || u.slug AS use_case, p.event_name, erp._path(r.names) AS path, r.entity_slug, r.attribute, r.role, r.place,
       s.last_seen_at, p.events AS sampled, p.last_seen_at AS last_sampled_at
FROM erp.use_case AS u
JOIN erp.integration AS i ON i.id = u.integration
JOIN erp.use_case_version AS v ON v.use_case = u.id AND v.version = u.version
CROSS JOIN LATERAL erp._fields_read(v.configuration) AS r
JOIN erp.field_seen AS p ON p.use_case = u.id AND (p.event_name = r.event_name OR r.event_name IS NULL) AND p.names = '{}'
CROSS JOIN LATERAL (
    SELECT max(f.last_seen_at) AS last_seen_at FROM erp.field_seen AS f
    WHERE f.use_case = u.id AND f.event_name = p.event_name AND erp._begins(f.names, r.names)) AS s
WHERE u.type = 'inbound' AND cardinality(r.names) BETWEEN 1 AND 8 AND p.last_seen_at >= v.set_at
      AND (s.last_seen_at IS NULL OR s.last_seen_at < p.last_seen_at - interval '7 days');
COMMENT ON VIEW erp.missing_fields IS 'Schema drift: fields that the mapping of a use case reads, and that none of the events that were looked at had, or none of the last seven days before the latest of them';
COMMENT ON COLUMN erp.missing_fields.use_case IS 'integration/use-case';
COMMENT ON COLUMN erp.missing_fields.event_name IS 'the event''s name';
COMMENT ON COLUMN erp.missing_fields.path IS 'the field, as erp_explain writes it';
COMMENT ON COLUMN erp.missing_fields.entity_slug IS 'the entity that the mapping reads it for';
COMMENT ON COLUMN erp.missing_fields.attribute IS 'the attribute';
COMMENT ON COLUMN erp.missing_fields.role IS 'what it is read for, as erp_explain tells';
COMMENT ON COLUMN erp.missing_fields.place IS 'the place in the mapping, as a JSON Pointer';
COMMENT ON COLUMN erp.missing_fields.last_seen_at IS 'when it was seen last; null: never';
COMMENT ON COLUMN erp.missing_fields.sampled IS 'how many events of the name were looked at';
COMMENT ON COLUMN erp.missing_fields.last_sampled_at IS 'when the last of them came in';

GRANT SELECT ON erp.unread_fields, erp.missing_fields TO @extowner@ WITH GRANT OPTION;
GRANT SELECT ON erp.unread_fields, erp.missing_fields TO pg_monitor;
