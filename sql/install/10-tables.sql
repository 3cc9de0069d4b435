-- Which tables the entities are in. Entity tables are the user's, never the extension's.

-- The script runs as the bootstrap superuser where the extension is trusted: no function or
-- operator of the schema it is installed in may stand for one of PostgreSQL's.
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
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE erp.entity_type IS 'Entity types: a slug bound to the table its entities are in';
COMMENT ON COLUMN erp.entity_type.slug IS 'the entity_schema of mappings; it names one table in a database';
COMMENT ON COLUMN erp.entity_type.table_name IS 'the table its entities are in; it follows a rename';
COMMENT ON COLUMN erp.entity_type.on_missing IS 'what a relation does about a target that does not exist: create a stub, skip the item, or error (MP007)';

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

SELECT pg_catalog.pg_extension_config_dump('erp.entity_type', '');
SELECT pg_catalog.pg_extension_config_dump('erp.entity_key', '');

CREATE FUNCTION erp._binding_changed() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'erp_binding_changed';
COMMENT ON FUNCTION erp._binding_changed IS 'Private: has every session read the bindings again';

CREATE FUNCTION erp._tell_binding_changed() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM erp._binding_changed();
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION erp._tell_binding_changed IS 'Private: trigger of the binding tables';

CREATE TRIGGER tell_binding_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON erp.entity_type
    FOR EACH STATEMENT EXECUTE FUNCTION erp._tell_binding_changed();
CREATE TRIGGER tell_binding_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON erp.entity_key
    FOR EACH STATEMENT EXECUTE FUNCTION erp._tell_binding_changed();

-- In a trusted installation these tables belong to the bootstrap superuser: the installing role
-- gets what it needs, and may grant it on. Everybody may read the bindings, because events are
-- applied with the rights of whoever calls.
GRANT USAGE ON SCHEMA erp TO PUBLIC;
GRANT SELECT ON erp.entity_type, erp.entity_key TO PUBLIC;
GRANT INSERT, UPDATE, DELETE ON erp.entity_type, erp.entity_key TO @extowner@ WITH GRANT OPTION;
