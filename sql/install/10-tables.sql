-- Which tables the entities are in. Entity tables are the user's, never the extension's.

-- The script runs as the bootstrap superuser where the extension is trusted, and what it makes is
-- used by everybody: no function, operator or type of the schema it is installed in may stand for
-- one of PostgreSQL's, not even one that fits better. So that schema is not searched; what goes
-- there is named with it.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
    IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'erp_toolkit needs a database in UTF8, this one is in %',
                        pg_catalog.getdatabaseencoding()
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'CREATE DATABASE … ENCODING ''UTF8'' TEMPLATE template0;';
    END IF;
END
$$;

CREATE SCHEMA erp;
COMMENT ON SCHEMA erp IS 'erp_toolkit: bindings of entity types; names that begin with _ are private';

CREATE TABLE erp.entity_type (
    slug text COLLATE "C" PRIMARY KEY CHECK (slug <> ''),
    table_name regclass NOT NULL UNIQUE,
    on_missing text NOT NULL DEFAULT 'create' CHECK (on_missing IN ('create', 'skip', 'error')),
    is_managed boolean NOT NULL DEFAULT true,
    id_column text COLLATE "C" NOT NULL DEFAULT 'id',
    attributes_column text COLLATE "C" DEFAULT 'attributes',
    stub_column text COLLATE "C" DEFAULT 'stub',
    created_at_column text COLLATE "C" DEFAULT 'created_at',
    updated_at_column text COLLATE "C" DEFAULT 'updated_at',
    deleted_at_column text COLLATE "C" DEFAULT 'deleted_at',
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE erp.entity_type IS 'Entity types: a slug bound to the table its entities are in';
COMMENT ON COLUMN erp.entity_type.slug IS 'the entity_schema of mappings; it names one table in a database';
COMMENT ON COLUMN erp.entity_type.table_name IS 'the table its entities are in; it follows a rename';
COMMENT ON COLUMN erp.entity_type.on_missing IS 'what a relation does about a target that does not exist: create a stub, skip the item, or error (MP007)';
COMMENT ON COLUMN erp.entity_type.is_managed IS 'whether erp_create_entity or erp_prepare made the table; otherwise it was registered';
COMMENT ON COLUMN erp.entity_type.id_column IS 'the primary key, whose text is the entity''s id';
COMMENT ON COLUMN erp.entity_type.attributes_column IS 'the jsonb column of attributes that have no column of their own; null: they are refused';
COMMENT ON COLUMN erp.entity_type.stub_column IS 'the boolean column that tells stubs; null: stubs look like other entities';
COMMENT ON COLUMN erp.entity_type.created_at_column IS 'the column of the time an entity was created; null: not kept';
COMMENT ON COLUMN erp.entity_type.updated_at_column IS 'the column of the time an entity was changed last; null: not kept';
COMMENT ON COLUMN erp.entity_type.deleted_at_column IS 'the column of the time an entity was deleted softly, null in it: it is not; null: the type''s entities can only be purged';

CREATE TABLE erp.entity_key (
    slug text COLLATE "C" NOT NULL REFERENCES erp.entity_type ON DELETE CASCADE,
    attributes text[] COLLATE "C" NOT NULL CHECK (attributes <> '{}'),
    columns text[] COLLATE "C" NOT NULL,
    is_unique boolean NOT NULL,
    PRIMARY KEY (slug, attributes),
    CHECK (cardinality(columns) = cardinality(attributes))
);
COMMENT ON TABLE erp.entity_key IS 'Key sets: the identifiers that together find an entity of a type';
COMMENT ON COLUMN erp.entity_type.created_at IS 'when the slug was bound';
COMMENT ON COLUMN erp.entity_key.slug IS 'the entity type';
COMMENT ON COLUMN erp.entity_key.attributes IS 'the identifying attributes';
COMMENT ON COLUMN erp.entity_key.columns IS 'the table''s column for each attribute';
COMMENT ON COLUMN erp.entity_key.is_unique IS 'whether entities are upserted by it; otherwise only relations look entities up by it, and it need not be unique';

CREATE TABLE erp.entity_column (
    slug text COLLATE "C" NOT NULL REFERENCES erp.entity_type ON DELETE CASCADE,
    attribute text COLLATE "C" NOT NULL CHECK (attribute <> ''),
    column_name text COLLATE "C" NOT NULL,
    relation_schema text COLLATE "C" REFERENCES erp.entity_type ON DELETE CASCADE,
    PRIMARY KEY (slug, attribute),
    UNIQUE (slug, column_name)
);
COMMENT ON TABLE erp.entity_column IS 'Columns of registered tables that are bound to an attribute of another name, or to a relation; other columns are bound to the attribute of their own name';
COMMENT ON COLUMN erp.entity_column.slug IS 'the entity type';
COMMENT ON COLUMN erp.entity_column.attribute IS 'the attribute';
COMMENT ON COLUMN erp.entity_column.column_name IS 'the column it is kept in';
COMMENT ON COLUMN erp.entity_column.relation_schema IS 'for a relation that a foreign key keeps: the entity type it links to';

SELECT pg_catalog.pg_extension_config_dump('erp.entity_type', '');
SELECT pg_catalog.pg_extension_config_dump('erp.entity_column', '');
SELECT pg_catalog.pg_extension_config_dump('erp.entity_key', '');

CREATE FUNCTION erp._binding_changed() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'erp_binding_changed';
COMMENT ON FUNCTION erp._binding_changed IS 'Private: has every session read the bindings again';
-- It keeps every session busy: only whoever changes the bindings may, by way of their triggers.
REVOKE EXECUTE ON FUNCTION erp._binding_changed FROM PUBLIC;

CREATE FUNCTION erp._tell_binding_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM erp._binding_changed();
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION erp._tell_binding_changed IS 'Private: trigger of the binding tables';
REVOKE EXECUTE ON FUNCTION erp._tell_binding_changed FROM PUBLIC;

CREATE TRIGGER tell_binding_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON erp.entity_type
    FOR EACH STATEMENT EXECUTE FUNCTION erp._tell_binding_changed();
CREATE TRIGGER tell_binding_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON erp.entity_column
    FOR EACH STATEMENT EXECUTE FUNCTION erp._tell_binding_changed();
CREATE TRIGGER tell_binding_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON erp.entity_key
    FOR EACH STATEMENT EXECUTE FUNCTION erp._tell_binding_changed();

-- In a trusted installation these tables belong to the bootstrap superuser: the installing role
-- gets what it needs, and may grant it on. Everybody may read the bindings, because events are
-- applied with the rights of whoever calls.
GRANT USAGE ON SCHEMA erp TO PUBLIC;
GRANT SELECT ON erp.entity_type, erp.entity_column, erp.entity_key TO PUBLIC;
GRANT INSERT, UPDATE, DELETE ON erp.entity_type, erp.entity_column, erp.entity_key TO @extowner@ WITH GRANT OPTION;
