-- Managed entity tables: the statements that create and extend them.

CREATE FUNCTION erp._name(wanted text, taken text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := wanted;
    kept text := wanted;
BEGIN
    IF octet_length(name) > 63 OR name = ANY (taken) THEN
        -- 63 bytes are a name's length; the hash keeps shortened names apart.
        WHILE octet_length(kept) > 54 LOOP
            kept := left(kept, -1);
        END LOOP;
        name := wanted;
        LOOP
            name := kept || '_' || left(md5(name), 8);
            EXIT WHEN name <> ALL (taken);
        END LOOP;
    END IF;
    RETURN name;
END
$$;
COMMENT ON FUNCTION erp._name(text, text[]) IS
'Private: a name of at most 63 bytes that is not taken, the wanted one if possible';

CREATE FUNCTION erp._key_column(attribute text, name text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    first text := format('coalesce(attributes #> %L, attributes #> %L)', ARRAY[attribute, '0', 'email'], ARRAY[attribute, '0', 'phone']);
BEGIN
    -- Core functions alone, so that a dump restores without the extension. Equal numbers are one
    -- key; a list of e-mail addresses or phone numbers is known by the first; what else is no
    -- scalar identifies nothing. Every statement reads the expression anew: with the list's part
    -- four times over, not three, an update of one row took an eighth longer.
    RETURN format(
        E'%1$I text COLLATE "C" GENERATED ALWAYS AS (CASE jsonb_typeof(attributes -> %2$L)\n'
        '        WHEN ''number'' THEN trim_scale((attributes -> %2$L)::numeric)::text\n'
        '        WHEN ''array'' THEN CASE jsonb_typeof(%3$s)\n'
        '            WHEN ''number'' THEN trim_scale(%3$s::numeric)::text\n'
        '            WHEN ''array'' THEN NULL\n'
        '            WHEN ''object'' THEN NULL\n'
        '            ELSE nullif(%3$s #>> ''{}'', '''') END\n'
        '        WHEN ''object'' THEN NULL\n'
        '        ELSE nullif(attributes ->> %2$L, '''') END) STORED',
        name, attribute, first);
END
$$;
COMMENT ON FUNCTION erp._key_column(text, text) IS
'Private: the definition of the generated column that holds an identifier';

CREATE FUNCTION erp._key_indexes(table_name text, columns text[], is_unique boolean) RETURNS SETOF text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    list text := (SELECT string_agg(quote_ident(c), ', ' ORDER BY n) FROM unnest(columns) WITH ORDINALITY AS u(c, n));
BEGIN
    IF is_unique THEN
        RETURN NEXT format('CREATE UNIQUE INDEX ON %s (%s)', table_name, list);
    ELSE
        RETURN NEXT format('CREATE INDEX ON %s (%s)', table_name, list);
        RETURN NEXT format('CREATE UNIQUE INDEX ON %s (%s) WHERE stub', table_name, list);
    END IF;
END
$$;
COMMENT ON FUNCTION erp._key_indexes(text, text[], boolean) IS
'Private: the indexes of a key set. Entities that relations alone look up need not be unique, their stubs are';

CREATE FUNCTION erp._entity_statements(slug text, sets jsonb, in_schema text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    bound regclass;
    is_registered boolean := EXISTS (SELECT FROM erp.entity_type AS t WHERE t.slug = slug AND NOT t.is_managed);
    table_name text;
    taken text[] := ARRAY['id', 'attributes', 'links', 'created_at', 'updated_at', 'deleted_at', 'stub',
                          'tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'];
    column_of jsonb := '{}'::jsonb;
    wanted record;
    known record;
    attribute text;
    new_columns text[] := '{}'::text[];
    names text[];
    old_index regclass;
    bindings text[] := '{}'::text[];
    indexes text[] := '{}'::text[];
BEGIN
    IF slug IS NULL OR slug = '' THEN
        RAISE EXCEPTION 'the slug of an entity type must not be empty' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF in_schema IS NULL THEN
        RAISE EXCEPTION 'no schema has been selected to create in' USING ERRCODE = 'invalid_schema_name';
    ELSIF in_schema LIKE 'pg\_temp\_%' THEN
        RAISE EXCEPTION 'the table of an entity type cannot be temporary'
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'SET search_path to a schema of the database.';
    END IF;

    SELECT c.oid INTO bound
    FROM erp.entity_type AS t JOIN pg_class AS c ON c.oid = t.table_name
    WHERE t.slug = slug;

    IF bound IS NULL THEN
        table_name := format('%I.%I', in_schema, erp._name(slug, '{}'));
        -- Its table was dropped.
        IF EXISTS (SELECT FROM erp.entity_type AS t WHERE t.slug = slug) THEN
            PERFORM erp._check_unlinked(slug);
            RETURN NEXT format('DELETE FROM erp.entity_type WHERE slug = %L', slug);
        END IF;
    ELSE
        SELECT format('%I.%I', n.nspname, c.relname) INTO table_name
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.oid = bound;
        SELECT array_agg(a.attname::text) INTO taken FROM pg_attribute AS a WHERE a.attrelid = bound AND NOT a.attisdropped;
        SELECT coalesce(jsonb_object_agg(u.attribute, u.name), '{}') INTO column_of
        FROM erp.entity_key AS k, unnest(k.attributes, k.columns) AS u(attribute, name)
        WHERE k.slug = slug;
    END IF;

    FOR wanted IN
        SELECT ARRAY(SELECT jsonb_array_elements_text(s -> 'attributes')) AS attributes, (s ->> 'is_unique')::boolean AS is_unique
        FROM jsonb_array_elements(sets) AS s
    LOOP
        IF wanted.attributes = '{}' OR '' = ANY (wanted.attributes)
           OR (SELECT count(DISTINCT a) FROM unnest(wanted.attributes) AS a) < cardinality(wanted.attributes) THEN
            RAISE EXCEPTION 'unique_ids of "%" must be distinct attribute names, at least one', slug
                USING ERRCODE = 'invalid_parameter_value';
        END IF;

        SELECT k.attributes, k.columns, k.is_unique INTO known
        FROM erp.entity_key AS k
        WHERE bound IS NOT NULL AND k.slug = slug
          AND k.attributes::text[] @> wanted.attributes AND k.attributes::text[] <@ wanted.attributes;

        IF FOUND AND (known.is_unique OR NOT wanted.is_unique) THEN
            CONTINUE;
        ELSIF is_registered THEN
            PERFORM erp._refuse_registered(slug, wanted.attributes, wanted.is_unique);
        ELSIF FOUND THEN
            -- From now on entities are upserted by it.
            indexes := indexes || ARRAY(SELECT erp._key_indexes(table_name, known.columns, true));
            FOR old_index IN
                SELECT i.indexrelid::regclass
                FROM pg_index AS i
                JOIN pg_class AS c ON c.oid = i.indexrelid
                JOIN pg_am AS m ON m.oid = c.relam
                -- Those of erp._key_indexes, which the new one makes useless.
                WHERE i.indrelid = bound AND m.amname = 'btree' AND c.reloptions IS NULL
                  AND (NOT i.indisunique AND i.indpred IS NULL
                       OR i.indisunique AND pg_get_expr(i.indpred, i.indrelid) = 'stub')
                  AND ARRAY(SELECT a.attname::text
                            FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS u(number, n)
                            JOIN pg_attribute AS a ON a.attrelid = bound AND a.attnum = u.number
                            ORDER BY u.n) = known.columns
            LOOP
                indexes := indexes || format('DROP INDEX %s', old_index);
            END LOOP;
            bindings := bindings || format(
                'UPDATE erp.entity_key SET is_unique = true WHERE slug = %L AND attributes = %L',
                slug, known.attributes);
            CONTINUE;
        END IF;

        FOREACH attribute IN ARRAY wanted.attributes LOOP
            IF column_of -> attribute IS NULL THEN
                column_of := column_of || jsonb_build_object(attribute, erp._name(attribute, taken));
                taken := taken || (column_of ->> attribute);
                new_columns := new_columns || erp._key_column(attribute, column_of ->> attribute);
            END IF;
        END LOOP;
        names := ARRAY(SELECT column_of ->> a FROM unnest(wanted.attributes) WITH ORDINALITY AS u(a, n) ORDER BY n);
        indexes := indexes || ARRAY(SELECT erp._key_indexes(table_name, names, wanted.is_unique));
        bindings := bindings || format(
            'INSERT INTO erp.entity_key (slug, attributes, columns, is_unique) VALUES (%L, %L, %L, %L)',
            slug, wanted.attributes, names, wanted.is_unique);
    END LOOP;

    IF bound IS NULL THEN
        RETURN NEXT format(
            E'CREATE TABLE %s (\n'
            '    id uuid PRIMARY KEY,\n'
            '    attributes jsonb NOT NULL,\n'
            '    %s,\n'
            '    links jsonb GENERATED ALWAYS AS (jsonb_path_query_array(attributes, ''$.*."$relation"[*].entity_id'')\n'
            '        || jsonb_path_query_array(attributes, ''$.*."$relation_ref"[*].entity_id'')) STORED,\n'
            '    stub boolean NOT NULL DEFAULT false,\n'
            '    created_at timestamptz NOT NULL DEFAULT now(),\n'
            '    updated_at timestamptz NOT NULL DEFAULT now(),\n'
            '    deleted_at timestamptz\n'
            ') WITH (fillfactor = 70)',
            table_name, array_to_string(new_columns, E',\n    '));
        -- Each look-up reads the whole list of what is pending: it is kept short.
        RETURN NEXT format('CREATE INDEX ON %s USING gin (links jsonb_path_ops) WITH (gin_pending_list_limit = 64)', table_name);
        RETURN NEXT format('CREATE INDEX ON %s (deleted_at) WHERE deleted_at IS NOT NULL', table_name);
        bindings := format('INSERT INTO erp.entity_type (slug, table_name) VALUES (%L, %L)', slug, table_name) || bindings;
    ELSIF new_columns <> '{}' THEN
        RETURN NEXT format(
            'ALTER TABLE %s %s', table_name,
            (SELECT string_agg('ADD COLUMN ' || d, ', ') FROM unnest(new_columns) AS d));
    END IF;
    RETURN QUERY SELECT * FROM unnest(indexes || bindings);
END
$$;
COMMENT ON FUNCTION erp._entity_statements(text, jsonb, text) IS
'Private: the statements that make a managed table have the given key sets';

CREATE FUNCTION erp._create_entity(slug text, unique_ids text[], for_upsert boolean, in_schema text) RETURNS regclass
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    statement text;
    sets jsonb := jsonb_build_array(jsonb_build_object(
        'attributes', to_jsonb(coalesce(unique_ids, '{}')), 'is_unique', coalesce(for_upsert, true)));
BEGIN
    IF array_ndims(unique_ids) > 1 THEN
        RAISE EXCEPTION 'unique_ids must have one dimension' USING ERRCODE = 'invalid_parameter_value';
    ELSIF EXISTS (SELECT FROM erp.entity_type AS t WHERE t.slug = slug AND NOT t.is_managed) THEN
        PERFORM erp._refuse_registered(slug, unique_ids, for_upsert);
    END IF;
    FOR statement IN SELECT s FROM erp._entity_statements(slug, sets, in_schema) AS s LOOP
        EXECUTE statement;
    END LOOP;
    RETURN (SELECT t.table_name FROM erp.entity_type AS t WHERE t.slug = slug);
END
$$;
COMMENT ON FUNCTION erp._create_entity(text, text[], boolean, text) IS
'Private: erp_create_entity, told the schema that the caller creates in';

CREATE FUNCTION @extschema@.erp_create_entity(slug text, unique_ids text[], for_upsert boolean DEFAULT true) RETURNS regclass
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    RETURN erp._create_entity(slug, unique_ids, for_upsert, pg_catalog.current_schema()::text);
COMMENT ON FUNCTION @extschema@.erp_create_entity(text, text[], boolean) IS
'Binds a slug to a new table, made in the current schema and named like the slug; called again, gives it one more key set. unique_ids: the attributes that together identify an entity. for_upsert: true, entities are upserted by them, at most one entity has a key; false, only relations look entities up by them. Returns the table. Errors: 22023, 42P07 when a table of that name exists, 42809 when the slug is bound to a registered table.';

CREATE FUNCTION erp._prepare(mapping jsonb, dry_run boolean, in_schema text) RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    used record;
    statement text;
BEGIN
    FOR used IN SELECT * FROM erp._key_sets(mapping) LOOP
        FOR statement IN SELECT s FROM erp._entity_statements(used.slug, used.sets, in_schema) AS s LOOP
            IF NOT coalesce(dry_run, false) THEN
                EXECUTE statement;
            END IF;
            RETURN NEXT statement || ';';
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION erp._prepare(jsonb, boolean, text) IS
'Private: erp_prepare, told the schema that the caller creates in';

CREATE FUNCTION @extschema@.erp_prepare(mapping jsonb, dry_run boolean DEFAULT false) RETURNS TABLE (statement text)
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    SELECT s FROM erp._prepare(mapping, dry_run, pg_catalog.current_schema()::text) AS s;
END;
COMMENT ON FUNCTION @extschema@.erp_prepare(jsonb, boolean) IS
'Creates the entity tables and indexes that a mapping needs and that are not there; with dry_run only tells the statements. Relations that an expression yields are prepared as far as its text names entity_schema and unique_ids. Registered tables are left as they are. Errors: MP001, 42809 for a key set that a registered table lacks, and what CREATE TABLE raises.';
