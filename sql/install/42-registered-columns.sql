-- What the attributes, relations and key sets of a registered table need: columns, foreign keys,
-- indexes. Each failure tells the statement that mends it.

CREATE FUNCTION erp._column_arguments(columns jsonb, relations jsonb)
    RETURNS TABLE (attribute text, column_name text, relation_schema text)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    argument record;
    member record;
BEGIN
    FOR argument IN
        SELECT * FROM (VALUES ('columns', columns, '{"attribute": "column"}'),
                              ('relations', relations, '{"attribute": {"column": "…", "entity_schema": "…"}}')) AS a(name, value, form)
    LOOP
        IF jsonb_typeof(argument.value) <> 'object' THEN
            RAISE EXCEPTION '% must be an object of the form %', argument.name, argument.form USING ERRCODE = 'invalid_parameter_value';
        END IF;
        FOR member IN SELECT * FROM jsonb_each(argument.value) LOOP
            attribute := member.key;
            IF argument.name = 'columns' AND jsonb_typeof(member.value) = 'string' THEN
                column_name := member.value #>> '{}';
                relation_schema := NULL;
            ELSIF argument.name = 'relations' AND jsonb_typeof(member.value) = 'object'
                  AND jsonb_typeof(member.value -> 'column') = 'string' AND jsonb_typeof(member.value -> 'entity_schema') = 'string'
                  AND member.value - ARRAY['column', 'entity_schema'] = '{}' THEN
                column_name := member.value ->> 'column';
                relation_schema := member.value ->> 'entity_schema';
            ELSE
                RAISE EXCEPTION '%: "%" is not of the form %', argument.name, attribute, argument.form
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            IF attribute = '' THEN
                RAISE EXCEPTION '%: the name of an attribute must not be empty', argument.name USING ERRCODE = 'invalid_parameter_value';
            END IF;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION erp._column_arguments(jsonb, jsonb) IS
'Private: the arguments columns and relations of erp_register_entity as rows';

CREATE FUNCTION erp._check_relation(table_name regclass, attribute text, column_name text, relation_schema text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target record;
    referenced regclass;
BEGIN
    SELECT c.oid::regclass AS table_name, t.id_column INTO target
    FROM erp.entity_type AS t JOIN pg_class AS c ON c.oid = t.table_name
    WHERE t.slug = relation_schema;
    IF NOT FOUND THEN
        SELECT f.confrelid INTO referenced
        FROM pg_constraint AS f JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND f.conkey = ARRAY[a.attnum]
        WHERE f.conrelid = table_name AND f.contype = 'f' AND a.attname = column_name
        LIMIT 1;
        RAISE EXCEPTION 'relations: no table is bound to "%", the entity_schema of "%"', relation_schema, attribute
            USING ERRCODE = 'undefined_object',
                  HINT = format('SELECT erp_register_entity(%L, %s);', relation_schema, coalesce(quote_literal(referenced), '…'));
    ELSIF NOT erp._has_foreign_key(table_name, column_name, target.table_name, target.id_column) THEN
        RAISE EXCEPTION 'relations: column "%" of % has no foreign key to % (%), which "%" needs',
                        column_name, table_name, target.table_name, target.id_column, attribute
            USING ERRCODE = 'undefined_object',
                  HINT = format('ALTER TABLE %s ADD FOREIGN KEY (%I) REFERENCES %s (%I);',
                                table_name, column_name, target.table_name, target.id_column);
    END IF;
END
$$;
COMMENT ON FUNCTION erp._check_relation(regclass, text, text, text) IS
'Private: that a foreign key keeps a relation';

CREATE FUNCTION erp._has_foreign_key(table_name regclass, column_name text, target regclass, target_column text) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN EXISTS (
        SELECT FROM pg_constraint AS f
        JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND f.conkey = ARRAY[a.attnum]
        JOIN pg_attribute AS b ON b.attrelid = f.confrelid AND f.confkey = ARRAY[b.attnum]
        WHERE f.contype = 'f' AND f.conrelid = table_name AND a.attname = column_name
          AND f.confrelid = target AND b.attname = target_column);
END
$$;
COMMENT ON FUNCTION erp._has_foreign_key(regclass, text, regclass, text) IS
'Private: whether a foreign key leads from one column to another';

CREATE FUNCTION erp._check_links(slug text, table_name regclass, id_column name) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    link record;
BEGIN
    SELECT c.slug, c.attribute INTO link
    FROM erp.entity_column AS c JOIN erp.entity_type AS t ON t.slug = c.slug
    WHERE c.relation_schema = slug AND c.slug <> slug
      AND NOT erp._has_foreign_key(t.table_name, c.column_name, table_name, id_column)
    ORDER BY c.slug, c.attribute
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'relation "%" of "%" is kept in a column without a foreign key to % (%)', link.attribute, link.slug, table_name, id_column
            USING ERRCODE = 'dependent_objects_still_exist', HINT = erp._unlink_hint(link.slug, slug);
    END IF;
END
$$;
COMMENT ON FUNCTION erp._check_links(text, regclass, name) IS
'Private: that the relations of other types to a slug still lead to its table';

CREATE FUNCTION erp._key_columns(slug text, table_name regclass, unique_ids text[], is_given boolean) RETURNS text[]
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    attribute text;
    bound record;
    is_column boolean;
    names text[] := '{}'::text[];
    special jsonb := erp._special_columns(slug) - (SELECT t.id_column FROM erp.entity_type AS t WHERE t.slug = slug);
BEGIN
    FOREACH attribute IN ARRAY unique_ids LOOP
        SELECT c.column_name, c.relation_schema INTO bound FROM erp.entity_column AS c WHERE c.slug = slug AND c.attribute = attribute;
        is_column := EXISTS (SELECT FROM pg_attribute AS a
                             WHERE a.attrelid = table_name AND a.attname = attribute AND a.attnum > 0 AND NOT a.attisdropped);
        IF bound.relation_schema IS NOT NULL THEN
            RAISE EXCEPTION 'attribute "%" of unique_ids is a relation of "%"', attribute, slug
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Entities are found by values, not by relations.';
        ELSIF bound.column_name IS NULL AND (
            NOT is_column
            OR special ? attribute
            OR EXISTS (SELECT FROM erp.entity_column AS c WHERE c.slug = slug AND c.column_name = attribute)
        ) THEN
            RAISE EXCEPTION 'attribute "%" of the key set (%) of "%" has no column in %',
                            attribute, array_to_string(unique_ids, ', '), slug, table_name
                USING ERRCODE = 'undefined_column',
                      DETAIL = CASE WHEN is_column THEN 'The column of that name is bound otherwise.' ELSE '' END,
                      HINT = CASE WHEN is_given
                          THEN format('columns => %L tells its column. %s', jsonb_build_object(attribute, '…'), erp._columns_hint(table_name))
                          ELSE format('columns => %L tells its column; or DELETE FROM erp.entity_key WHERE slug = %L AND attributes = %L;',
                                      jsonb_build_object(attribute, '…'), slug, unique_ids) END;
        END IF;
        PERFORM erp._column(table_name, coalesce(bound.column_name, attribute), 'unique_ids');
        names := names || coalesce(bound.column_name, attribute);
    END LOOP;
    RETURN names;
END
$$;
COMMENT ON FUNCTION erp._key_columns(text, regclass, text[], boolean) IS
'Private: the columns of a key set''s attributes. is_given: the call is about this set; otherwise it is there already';

CREATE FUNCTION erp._check_key(table_name regclass, columns text[], is_unique boolean) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    name text;
    list text := (SELECT string_agg(quote_ident(c), ', ' ORDER BY n) FROM unnest(columns) WITH ORDINALITY AS u(c, n));
BEGIN
    FOREACH name IN ARRAY columns LOOP
        IF NOT erp._is_ordered(table_name, name) THEN
            RAISE EXCEPTION 'unique_ids: column "%" of % is of type %, which has no order', name, table_name, (erp._column(table_name, name, '')).type
                USING ERRCODE = 'datatype_mismatch',
                      HINT = format('ALTER TABLE %s ALTER COLUMN %I TYPE text USING %2$I::text;', table_name, name);
        END IF;
    END LOOP;
    IF NOT erp._has_index(table_name, columns, is_unique) THEN
        RAISE EXCEPTION 'unique_ids: % has no % on (%)', table_name, CASE WHEN is_unique THEN 'unique index' ELSE 'index' END, list
            USING ERRCODE = 'undefined_object',
                  HINT = CASE WHEN is_unique THEN erp._unique_hint(table_name, columns)
                              ELSE format('CREATE INDEX ON %s (%s);', table_name, list) END;
    END IF;
END
$$;
COMMENT ON FUNCTION erp._check_key(regclass, text[], boolean) IS
'Private: that entities can be looked up by columns';

CREATE FUNCTION erp._is_ordered(table_name regclass, column_name text) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Whether a type has a default operator class follows from domains, arrays, enums and
    -- casts; the parser knows. Nothing is read.
    EXECUTE format('SELECT FROM ONLY %s ORDER BY %I LIMIT 0', table_name, column_name);
    RETURN true;
EXCEPTION WHEN undefined_function THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION erp._is_ordered(regclass, text) IS
'Private: whether the type of a column has a default operator class of btree';

CREATE FUNCTION erp._has_index(table_name regclass, columns text[], is_unique boolean) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    width int := cardinality(columns);
    numbers int2[] := ARRAY(SELECT a.attnum FROM pg_attribute AS a
                            WHERE a.attrelid = table_name AND a.attname = ANY (columns) AND NOT a.attisdropped);
BEGIN
    RETURN EXISTS (
        SELECT FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_am AS m ON m.oid = c.relam
        WHERE i.indrelid = table_name AND i.indisvalid AND i.indnkeyatts >= width
          -- The number of an expression is 0, of no column.
          AND (i.indkey::int2[])[0:width - 1] @> numbers AND (i.indkey::int2[])[0:width - 1] <@ numbers
          -- A partial unique index will do: what it leaves out is what its owner does not count.
          AND CASE WHEN i.indisunique AND i.indnkeyatts = width THEN true
                   ELSE NOT is_unique AND i.indpred IS NULL AND m.amname IN ('btree', 'hash') END);
END
$$;
COMMENT ON FUNCTION erp._has_index(regclass, text[], boolean) IS
'Private: whether there is a unique index on exactly these columns; or, if it need not be unique, one that begins with them';
