-- What a table must be to be registered: its kind, rights, ids and special columns. Each failure
-- tells the statement that mends it.

CREATE FUNCTION erp._check_table(table_name regclass) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    class record;
    lacking text;
BEGIN
    IF table_name IS NULL THEN
        RAISE EXCEPTION 'table_name must not be null' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT c.relkind, c.relpersistence, c.relnamespace INTO class FROM pg_class AS c WHERE c.oid = table_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no table with oid %', table_name::oid USING ERRCODE = 'undefined_table';
    ELSIF class.relkind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION '% is not a table', table_name
            USING ERRCODE = 'wrong_object_type',
                  HINT = 'Views, materialized views and foreign tables cannot be registered; the table behind one can.';
    ELSIF class.relpersistence = 't' THEN
        RAISE EXCEPTION 'the table of an entity type cannot be temporary' USING ERRCODE = 'feature_not_supported';
    ELSIF class.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
          OR EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
                     WHERE d.classid = 'pg_class'::regclass AND d.objid = table_name AND d.deptype = 'e'
                       AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'erp_toolkit') THEN
        RAISE EXCEPTION '% is a table of the system', table_name USING ERRCODE = 'wrong_object_type';
    END IF;

    -- Rights on columns count: events need them on the columns that they read and write.
    SELECT string_agg(p.name, ', ' ORDER BY p.n) INTO lacking
    FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) WITH ORDINALITY AS p(name, n)
    WHERE NOT has_any_column_privilege(table_name, p.name);
    IF lacking IS NOT NULL THEN
        RAISE EXCEPTION 'permission denied for table %', table_name
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('GRANT %s ON %s TO %I;', lacking, table_name, current_user);
    END IF;
END
$$;
COMMENT ON FUNCTION erp._check_table(regclass) IS
'Private: whether a table is of a kind that can be registered, and the caller may use it';

CREATE FUNCTION erp._check_unbound(slug text, table_name regclass) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    bound record;
BEGIN
    SELECT t.slug, t.is_managed INTO bound FROM erp.entity_type AS t WHERE t.table_name = table_name AND t.slug <> slug;
    IF FOUND THEN
        PERFORM erp._check_unlinked(bound.slug);
        RAISE EXCEPTION '% is bound to "%" already', table_name, bound.slug
            USING ERRCODE = 'duplicate_object',
                  HINT = CASE WHEN bound.is_managed THEN erp._forget_hint(bound.slug)
                              ELSE format('SELECT erp_unregister_entity(%L);', bound.slug) END;
    END IF;
    -- Where the table is gone, so is the binding.
    SELECT c.oid::regclass AS existing INTO bound
    FROM erp.entity_type AS t JOIN pg_class AS c ON c.oid = t.table_name
    WHERE t.slug = slug AND t.is_managed;
    IF FOUND THEN
        PERFORM erp._check_unlinked(slug);
        RAISE EXCEPTION '"%" is bound to %, which the extension made', slug, bound.existing
            USING ERRCODE = 'duplicate_object', HINT = erp._forget_hint(slug);
    END IF;
END
$$;
COMMENT ON FUNCTION erp._check_unbound(text, regclass) IS
'Private: that a table is bound to no other slug, and a slug to no table that the extension made';

CREATE FUNCTION erp._column(table_name regclass, column_name text, argument text,
                            OUT number int2, OUT type regtype, OUT is_not_null boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    generated boolean;
BEGIN
    SELECT a.attnum, a.atttypid, a.attnotnull, a.attgenerated <> '' INTO number, type, is_not_null, generated
    FROM pg_attribute AS a
    WHERE a.attrelid = table_name AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped;
    IF NOT FOUND THEN
        RAISE EXCEPTION '%: % has no column "%"', argument, table_name, column_name
            USING ERRCODE = 'undefined_column', HINT = erp._columns_hint(table_name);
    ELSIF generated THEN
        RAISE EXCEPTION '%: column "%" of % is generated, it cannot be written', argument, column_name, table_name
            USING ERRCODE = 'generated_always',
                  HINT = format('ALTER TABLE %s ALTER COLUMN %I DROP EXPRESSION;', table_name, column_name);
    END IF;
END
$$;
COMMENT ON FUNCTION erp._column(regclass, text, text) IS
'Private: a column that events write. argument: where the call names it';

CREATE FUNCTION erp._columns_hint(table_name regclass) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (SELECT 'The columns are ' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || '.'
            FROM pg_attribute AS a
            WHERE a.attrelid = table_name AND a.attnum > 0 AND NOT a.attisdropped);
END
$$;
COMMENT ON FUNCTION erp._columns_hint(regclass) IS
'Private: the columns that a table has';

CREATE FUNCTION erp._primary_key(table_name regclass) RETURNS name
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (SELECT a.attname
            FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = table_name AND i.indisprimary AND i.indnkeyatts = 1);
END
$$;
COMMENT ON FUNCTION erp._primary_key(regclass) IS
'Private: the column of a table''s primary key; null if it is not one column';

CREATE FUNCTION erp._id_column(table_name regclass, wanted name) RETURNS name
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    id name := coalesce(wanted, erp._primary_key(table_name));
    col record;
BEGIN
    IF id IS NULL THEN
        RAISE EXCEPTION '% has no primary key of one column', table_name
            USING ERRCODE = 'undefined_object', HINT = erp._id_hint(table_name);
    END IF;
    col := erp._column(table_name, id, 'id_column');
    IF NOT col.is_not_null THEN
        RAISE EXCEPTION 'id_column: column "%" of % may be null', id, table_name
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL;', table_name, id);
    ELSIF NOT EXISTS (SELECT FROM pg_index AS i
                      WHERE i.indrelid = table_name AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                        AND i.indnkeyatts = 1 AND i.indkey[0] = col.number) THEN
        RAISE EXCEPTION 'id_column: column "%" of % has no unique index', id, table_name
            USING ERRCODE = 'undefined_object', HINT = erp._unique_hint(table_name, ARRAY[id]);
    END IF;
    RETURN id;
END
$$;
COMMENT ON FUNCTION erp._id_column(regclass, name) IS
'Private: the column of the entities'' ids, the wanted one or the primary key';

CREATE FUNCTION erp._unique_hint(table_name regclass, columns text[]) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    numbers int2[] := ARRAY(SELECT a.attnum FROM pg_attribute AS a WHERE a.attrelid = table_name AND a.attname = ANY (columns));
BEGIN
    IF EXISTS (SELECT FROM pg_partitioned_table AS p WHERE p.partrelid = table_name AND NOT p.partattrs::int2[] <@ numbers) THEN
        RETURN format('It can have none: it is partitioned by %s, which each of its unique indexes must contain.',
                      pg_get_partkeydef(table_name));
    END IF;
    RETURN format('CREATE UNIQUE INDEX ON %s (%s);', table_name,
                  (SELECT string_agg(quote_ident(c), ', ' ORDER BY n) FROM unnest(columns) WITH ORDINALITY AS u(c, n)));
END
$$;
COMMENT ON FUNCTION erp._unique_hint(regclass, text[]) IS
'Private: how a table gets a unique index on columns, or why it cannot';

CREATE FUNCTION erp._id_hint(table_name regclass) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    names text[] := ARRAY(SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = table_name AND NOT a.attisdropped);
BEGIN
    IF EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = table_name AND i.indisprimary)
       OR EXISTS (SELECT FROM pg_partitioned_table AS p WHERE p.partrelid = table_name) THEN
        RETURN 'Name a column that is NOT NULL and has a unique index: id_column => ''…''.';
    ELSIF 'id' = ANY (names) THEN
        RETURN format('ALTER TABLE %s ADD PRIMARY KEY (id);', table_name);
    END IF;
    RETURN format('ALTER TABLE %s ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;', table_name);
END
$$;
COMMENT ON FUNCTION erp._id_hint(regclass) IS
'Private: how a table without a primary key of one column gets ids';

CREATE FUNCTION erp._check_special_columns(table_name regclass, id_column name, special jsonb) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted record;
    col record;
    taken_by jsonb := jsonb_build_object(id_column, 'id_column');
BEGIN
    FOR wanted IN
        SELECT s.argument, special ->> s.argument AS name, s.types
        FROM (VALUES ('attributes_column', '{jsonb}'::regtype[]), ('stub_column', '{boolean}'),
                     ('created_at_column', '{timestamptz,timestamp}'), ('updated_at_column', '{timestamptz,timestamp}'),
                     ('deleted_at_column', '{timestamptz,timestamp}')) AS s(argument, types)
        WHERE special ? s.argument
    LOOP
        col := erp._column(table_name, wanted.name, wanted.argument);
        IF taken_by ? wanted.name THEN
            RAISE EXCEPTION '%: column "%" is the % already', wanted.argument, wanted.name, taken_by ->> wanted.name
                USING ERRCODE = 'invalid_parameter_value';
        ELSIF col.type <> ALL (wanted.types) THEN
            RAISE EXCEPTION '%: column "%" of % is of type %, not %',
                            wanted.argument, wanted.name, table_name, col.type, array_to_string(wanted.types, ' or ')
                USING ERRCODE = 'datatype_mismatch',
                      HINT = format('ALTER TABLE %s ALTER COLUMN %I TYPE %s USING %2$I::%3$s;', table_name, wanted.name, wanted.types[1]);
        ELSIF wanted.argument = 'deleted_at_column' AND col.is_not_null THEN
            RAISE EXCEPTION '%: column "%" of % cannot be null, as it is for what is not deleted', wanted.argument, wanted.name, table_name
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL;', table_name, wanted.name);
        END IF;
        taken_by := taken_by || jsonb_build_object(wanted.name, wanted.argument);
    END LOOP;
END
$$;
COMMENT ON FUNCTION erp._check_special_columns(regclass, name, jsonb) IS
'Private: that the special columns are there, of the right types, and a column each. special: {argument: column}';

CREATE FUNCTION erp._special_columns(slug text) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (SELECT jsonb_object_agg(s.name, s.argument)
            FROM erp.entity_type AS t,
                 LATERAL (VALUES (t.id_column, 'id_column'), (t.attributes_column, 'attributes_column'), (t.stub_column, 'stub_column'),
                                 (t.created_at_column, 'created_at_column'), (t.updated_at_column, 'updated_at_column'),
                                 (t.deleted_at_column, 'deleted_at_column')) AS s(name, argument)
            WHERE t.slug = slug AND s.name IS NOT NULL);
END
$$;
COMMENT ON FUNCTION erp._special_columns(text) IS
'Private: the special columns of a type''s table, by name';
