-- Registered tables: tables that a user has already, bound to a slug. They are never altered.

CREATE FUNCTION @extschema@.erp_register_entity(
    slug text,
    table_name regclass,
    unique_ids text[] DEFAULT NULL,
    columns jsonb DEFAULT '{}',
    relations jsonb DEFAULT '{}',
    for_upsert boolean DEFAULT true,
    id_column name DEFAULT NULL,
    attributes_column name DEFAULT NULL,
    stub_column name DEFAULT NULL,
    created_at_column name DEFAULT NULL,
    updated_at_column name DEFAULT NULL,
    deleted_at_column name DEFAULT NULL,
    on_missing text DEFAULT 'create') RETURNS regclass
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    special jsonb := jsonb_strip_nulls(jsonb_build_object(
        'attributes_column', attributes_column, 'stub_column', stub_column, 'created_at_column', created_at_column,
        'updated_at_column', updated_at_column, 'deleted_at_column', deleted_at_column));
BEGIN
    IF slug IS NULL OR slug = '' THEN
        RAISE EXCEPTION 'the slug of an entity type must not be empty' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    on_missing := coalesce(on_missing, 'create');
    IF on_missing NOT IN ('create', 'skip', 'error') THEN
        RAISE EXCEPTION 'on_missing must be create, skip or error' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM erp._check_table(table_name);
    PERFORM erp._check_unbound(slug, table_name);
    id_column := erp._id_column(table_name, id_column);
    PERFORM erp._check_special_columns(table_name, id_column, special);

    PERFORM erp._bind_table(slug, table_name, id_column, special, on_missing);
    PERFORM erp._bind_columns(slug, table_name, columns, relations);
    IF unique_ids IS NOT NULL THEN
        PERFORM erp._add_key(slug, unique_ids, coalesce(for_upsert, true));
    END IF;
    PERFORM erp._bind_keys(slug, table_name, unique_ids);
    PERFORM erp._check_links(slug, table_name, id_column);
    RETURN table_name;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_register_entity(text, regclass, text[], jsonb, jsonb, boolean, name, name, name, name, name, name, text) IS
'Binds a slug to a table that is there already, and which it never alters; called again, replaces columns, relations and options, and adds a key set. unique_ids: the attributes that together identify an entity. columns: {"attribute": "column"} for attributes that are kept in a column of another name; others are kept in the column of their own name. relations: {"attribute": {"column", "entity_schema"}} for relations to one entity that a foreign key keeps. for_upsert: true, entities are upserted by unique_ids, which takes a unique index; false, only relations look entities up by them, which takes an index. id_column: the primary key''s unless told. attributes_column: jsonb, of attributes without a column; null: they are refused. stub_column, created_at_column, updated_at_column, deleted_at_column: null: not kept. on_missing: create, skip or error. Returns the table. Errors: 22023, 42501, 42703, 42704, 42710, 42804, 42809, 428C9, 55000, 2BP01; the hint is the statement that mends it, where there is one.';

CREATE FUNCTION @extschema@.erp_unregister_entity(slug text) RETURNS regclass
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    bound record;
BEGIN
    IF slug IS NULL THEN
        RAISE EXCEPTION 'slug must not be null' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT t.is_managed, c.oid::regclass AS existing INTO bound
    FROM erp.entity_type AS t LEFT JOIN pg_class AS c ON c.oid = t.table_name
    WHERE t.slug = slug;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no table is bound to "%"', slug
            USING ERRCODE = 'undefined_object', HINT = 'SELECT slug FROM erp.entity_type; lists those there are.';
    END IF;
    PERFORM erp._check_unlinked(slug);
    IF bound.is_managed THEN
        RAISE EXCEPTION 'the table of "%" was not registered, the extension made it', slug
            USING ERRCODE = 'wrong_object_type', HINT = erp._forget_hint(slug);
    END IF;
    DELETE FROM erp.entity_type AS t WHERE t.slug = slug;
    RETURN bound.existing;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_unregister_entity(text) IS
'Removes the binding of a registered table. The table and its rows stay as they are. Returns the table, null if it is gone. Errors: 42704 for a slug that is not bound, 42809 for one whose table the extension made, 2BP01 while relations of another entity type to it are bound to foreign keys.';

-- Private: writing the binding

CREATE FUNCTION erp._bind_table(slug text, table_name regclass, id_column name, special jsonb, on_missing text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- Another table begins anew: its key sets are its own.
    DELETE FROM erp.entity_key AS k USING erp.entity_type AS t
    WHERE k.slug = slug AND t.slug = slug AND t.table_name <> table_name;
    -- Updated where it is there, because relations of other types refer to it.
    UPDATE erp.entity_type AS t
    SET created_at = CASE WHEN t.table_name = table_name THEN t.created_at ELSE now() END,
        table_name = table_name
    WHERE t.slug = slug;
    IF NOT FOUND THEN
        INSERT INTO erp.entity_type (slug, table_name) VALUES (slug, table_name);
    END IF;
    UPDATE erp.entity_type AS t
    SET is_managed = false,
        on_missing = on_missing,
        id_column = id_column,
        attributes_column = special ->> 'attributes_column',
        stub_column = special ->> 'stub_column',
        created_at_column = special ->> 'created_at_column',
        updated_at_column = special ->> 'updated_at_column',
        deleted_at_column = special ->> 'deleted_at_column'
    WHERE t.slug = slug;
END
$$;
COMMENT ON FUNCTION erp._bind_table(text, regclass, name, jsonb, text) IS
'Private: binds a slug to a table and its special columns, which have been checked';

CREATE FUNCTION erp._bind_columns(slug text, table_name regclass, columns jsonb, relations jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted record;
    taken record;
    taken_by jsonb := erp._special_columns(slug);
BEGIN
    DELETE FROM erp.entity_column AS c WHERE c.slug = slug;
    FOR wanted IN
        SELECT c.*, CASE WHEN c.relation_schema IS NULL THEN 'columns' ELSE 'relations' END AS argument
        FROM erp._column_arguments(columns, relations) AS c
    LOOP
        PERFORM erp._column(table_name, wanted.column_name, wanted.argument);
        IF EXISTS (SELECT FROM erp.entity_column AS c WHERE c.slug = slug AND c.attribute = wanted.attribute) THEN
            RAISE EXCEPTION 'attribute "%" is in columns and in relations', wanted.attribute
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        SELECT c.attribute INTO taken FROM erp.entity_column AS c WHERE c.slug = slug AND c.column_name = wanted.column_name;
        IF FOUND THEN
            RAISE EXCEPTION 'attributes "%" and "%" are both to be kept in column "%"', taken.attribute, wanted.attribute, wanted.column_name
                USING ERRCODE = 'invalid_parameter_value', HINT = 'A column keeps one attribute.';
        ELSIF taken_by ? wanted.column_name
              -- A natural primary key is an attribute as well.
              AND (wanted.argument = 'relations' OR taken_by ->> wanted.column_name <> 'id_column') THEN
            RAISE EXCEPTION 'attribute "%" cannot be kept in column "%", which is the %',
                            wanted.attribute, wanted.column_name, taken_by ->> wanted.column_name
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Keep it in another column.';
        END IF;
        IF wanted.relation_schema IS NOT NULL THEN
            PERFORM erp._check_relation(table_name, wanted.attribute, wanted.column_name, wanted.relation_schema);
        END IF;
        INSERT INTO erp.entity_column (slug, attribute, column_name, relation_schema)
        VALUES (slug, wanted.attribute, wanted.column_name, wanted.relation_schema);
    END LOOP;
END
$$;
COMMENT ON FUNCTION erp._bind_columns(text, regclass, jsonb, jsonb) IS
'Private: replaces the columns that a slug''s attributes and relations are bound to';

CREATE FUNCTION erp._add_key(slug text, unique_ids text[], for_upsert boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF array_ndims(unique_ids) > 1 THEN
        RAISE EXCEPTION 'unique_ids must have one dimension' USING ERRCODE = 'invalid_parameter_value';
    ELSIF unique_ids = '{}' OR '' = ANY (unique_ids)
          OR (SELECT count(DISTINCT a) FROM unnest(unique_ids) AS a) < cardinality(unique_ids) THEN
        RAISE EXCEPTION 'unique_ids of "%" must be distinct attribute names, at least one', slug
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- The order of the attributes makes no other set. A set that entities are upserted by stays one.
    UPDATE erp.entity_key AS k SET is_unique = k.is_unique OR for_upsert
    WHERE k.slug = slug AND k.attributes::text[] @> unique_ids AND k.attributes::text[] <@ unique_ids;
    IF NOT FOUND THEN
        INSERT INTO erp.entity_key (slug, attributes, columns, is_unique) VALUES (slug, unique_ids, unique_ids, for_upsert);
    END IF;
END
$$;
COMMENT ON FUNCTION erp._add_key(text, text[], boolean) IS
'Private: adds a key set, whose columns are not known yet';

CREATE FUNCTION erp._bind_keys(slug text, table_name regclass, given text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    key_set record;
    names text[];
BEGIN
    FOR key_set IN SELECT k.attributes, k.is_unique FROM erp.entity_key AS k WHERE k.slug = slug ORDER BY k.attributes LOOP
        names := erp._key_columns(
            slug, table_name, key_set.attributes,
            coalesce(key_set.attributes @> given AND key_set.attributes <@ given, false));
        PERFORM erp._check_key(table_name, names, key_set.is_unique);
        UPDATE erp.entity_key AS k SET columns = names WHERE k.slug = slug AND k.attributes = key_set.attributes;
    END LOOP;
END
$$;
COMMENT ON FUNCTION erp._bind_keys(text, regclass, text[]) IS
'Private: finds the columns of all key sets of a slug, and checks them. given: the one that the call is about';

-- Private: the call that makes a registration, and what refuses others

CREATE FUNCTION erp._registration(slug text, unique_ids text[], for_upsert boolean, unlinked text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (SELECT format(
        'SELECT erp_register_entity(%s);',
        concat_ws(', ',
            quote_literal(t.slug),
            quote_literal(t.table_name::text),
            'ARRAY[' || (SELECT string_agg(quote_literal(u.id), ', ' ORDER BY u.n) FROM unnest(unique_ids) WITH ORDINALITY AS u(id, n)) || ']',
            'columns => ' || (SELECT quote_literal(jsonb_object_agg(c.attribute, c.column_name))
                              FROM erp.entity_column AS c WHERE c.slug = t.slug AND c.relation_schema IS NULL),
            'relations => ' || (SELECT quote_literal(jsonb_object_agg(
                                           c.attribute, jsonb_build_object('column', c.column_name, 'entity_schema', c.relation_schema)))
                                FROM erp.entity_column AS c WHERE c.slug = t.slug AND c.relation_schema IS NOT NULL AND c.relation_schema IS DISTINCT FROM unlinked),
            CASE WHEN NOT for_upsert THEN 'for_upsert => false' END,
            'id_column => ' || CASE WHEN t.id_column IS DISTINCT FROM erp._primary_key(t.table_name) THEN quote_literal(t.id_column) END,
            'attributes_column => ' || quote_literal(t.attributes_column),
            'stub_column => ' || quote_literal(t.stub_column),
            'created_at_column => ' || quote_literal(t.created_at_column),
            'updated_at_column => ' || quote_literal(t.updated_at_column),
            'deleted_at_column => ' || quote_literal(t.deleted_at_column),
            'on_missing => ' || CASE WHEN t.on_missing <> 'create' THEN quote_literal(t.on_missing) END))
    FROM erp.entity_type AS t
    WHERE t.slug = slug);
END
$$;
COMMENT ON FUNCTION erp._registration(text, text[], boolean, text) IS
'Private: the call of erp_register_entity that adds a key set to a registered type, or none, and leaves everything else as it is, but for relations to the type unlinked';

CREATE FUNCTION erp._unlink_hint(slug text, target text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF EXISTS (SELECT FROM erp.entity_type AS t JOIN pg_class AS c ON c.oid = t.table_name WHERE t.slug = slug) THEN
        RETURN erp._registration(slug, NULL, true, unlinked => target);
    END IF;
    RETURN format('SELECT erp_unregister_entity(%L);', slug);
END
$$;
COMMENT ON FUNCTION erp._unlink_hint(text, text) IS
'Private: the call after which a type has no relations to another that foreign keys keep';

CREATE FUNCTION erp._check_unlinked(slug text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    linking text := (SELECT min(c.slug) FROM erp.entity_column AS c WHERE c.relation_schema = slug AND c.slug <> slug);
BEGIN
    -- Without the binding, the relation would silently become an attribute.
    IF linking IS NOT NULL THEN
        RAISE EXCEPTION 'relations of "%" to "%" are kept in a foreign key', linking, slug
            USING ERRCODE = 'dependent_objects_still_exist', HINT = erp._unlink_hint(linking, slug);
    END IF;
END
$$;
COMMENT ON FUNCTION erp._check_unlinked(text) IS
'Private: that the binding of a slug can be forgotten: no relation of another type to it is kept in a foreign key';

CREATE FUNCTION erp._refuse_registered(slug text, unique_ids text[], for_upsert boolean) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    bound regclass := (SELECT t.table_name FROM erp.entity_type AS t WHERE t.slug = slug);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = bound) THEN
        RAISE EXCEPTION 'the table that was registered as "%" is gone', slug
            USING ERRCODE = 'undefined_table', HINT = format('SELECT erp_unregister_entity(%L);', slug);
    END IF;
    RAISE EXCEPTION '"%" is bound to %, which was registered and is never altered', slug, bound
        USING ERRCODE = 'wrong_object_type', HINT = erp._registration(slug, unique_ids, for_upsert);
END
$$;
COMMENT ON FUNCTION erp._refuse_registered(text, text[], boolean) IS
'Private: the error for creating what a registered table should have';

CREATE FUNCTION erp._forget_hint(slug text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    RETURN format('DELETE FROM erp.entity_type WHERE slug = %L; forgets the binding and leaves the table, which can be registered then.', slug);
COMMENT ON FUNCTION erp._forget_hint(text) IS
'Private: how to give up the binding of a table that the extension made';
