-- What stands in a user's table (triggers, defaults, generated columns, checks, domains, policies) runs as the role that
-- applies the event, as for any INSERT: it gains nothing by the extension, and the extension keeps its ways.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_owner;
CREATE ROLE regress_runner;
CREATE SCHEMA hostile AUTHORIZATION regress_owner;
GRANT INSERT, UPDATE, DELETE ON erp.entity_type, erp.entity_column, erp.entity_key TO regress_owner;
GRANT USAGE ON SCHEMA hostile TO regress_runner;
SET search_path = hostile, public;
SET ROLE regress_owner;
CREATE TABLE ran (place text, role name, path text, UNIQUE (place, role, path));
GRANT INSERT, SELECT ON ran TO PUBLIC;
CREATE FUNCTION note(place text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hostile.ran VALUES (place, current_user, current_setting('search_path')) ON CONFLICT DO NOTHING;
    -- What it tries on the way
    BEGIN
        DELETE FROM erp.entity_key;
        RAISE NOTICE '% may change the bindings', place;
    EXCEPTION WHEN insufficient_privilege THEN NULL; END;
    BEGIN
        EXECUTE 'SET ROLE postgres';
        RAISE NOTICE '% may be postgres', place;
    EXCEPTION WHEN insufficient_privilege THEN NULL; END;
    RETURN true;
END
$$;
CREATE FUNCTION noted(value text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.note('generated'); RETURN value; END $$;
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hostile.note(concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL));
    -- It leaves settings behind.
    PERFORM set_config('search_path', 'pg_temp, hostile', true), set_config('enable_indexscan', 'off', true), set_config('row_security', 'off', true);
    RETURN NEW;
END
$$;
CREATE DOMAIN checked AS text CHECK (note('domain'));
CREATE TABLE things (id int PRIMARY KEY DEFAULT (note('default')::int + (random() * 1e9)::int), no checked UNIQUE, name text CHECK (note('check')),
                     made text DEFAULT CASE WHEN note('other default') THEN 'x' END, derived text GENERATED ALWAYS AS (noted(name)) STORED, more jsonb, deleted_at timestamptz);
SELECT erp_register_entity('thing', 'things', '{no}', attributes_column => 'more', deleted_at_column => 'deleted_at');
ALTER TABLE things ENABLE ROW LEVEL SECURITY;
CREATE POLICY noting ON things USING (note('policy')) WITH CHECK (note('policy check'));
SELECT erp_create_entity('contact', ARRAY['number']);
CREATE TRIGGER a BEFORE INSERT OR UPDATE ON things FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TRIGGER b AFTER INSERT OR UPDATE ON things FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TRIGGER c BEFORE INSERT OR UPDATE ON contact FOR EACH STATEMENT EXECUTE FUNCTION fire();
CREATE CONSTRAINT TRIGGER d AFTER INSERT OR UPDATE ON contact DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fire();
GRANT SELECT, INSERT, UPDATE, DELETE ON things, contact TO regress_runner;
RESET ROLE;
SET SESSION AUTHORIZATION regress_runner;
SET search_path = public;
SELECT changed('{"entity_schema": "contact", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "no"}, {"attribute": "thing", "relations": {"items": [{"entity_schema": "thing", "unique_ids": [{"attribute": "no", "field": "no"}]}]}}]}',
    '{"entity_schema": "thing", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}, {"attribute": "name", "field": "name"}, {"attribute": "x", "field": "name"}]}') AS mapping,
  changed('{"entity_schema": "thing", "mode": "delete", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}]}') AS remove
\gset
SET client_min_messages = notice;
SELECT entity_slug, action FROM erp_apply(:'mapping', 'Changed', '{"no": 1, "name": "a"}');
SELECT entity_slug, action FROM erp_apply(:'mapping', 'Changed', '{"no": 1, "name": "b"}');
SELECT event, entity_slug, action, error FROM erp_apply_batch(:'mapping', 'Changed', ARRAY['{"no": 1, "name": "c"}', '{"no": 2, "name": "d"}']::jsonb[], 'continue');
SELECT entity_slug, action FROM erp_simulate(:'mapping', 'Changed', '{"no": 3, "name": "a"}');
SELECT count(*) FROM erp_find('thing', '{"no": "2"}');
SELECT entity_slug, action FROM erp_apply(:'remove', 'Changed', '{"no": 2}');
SET client_min_messages = warning;
SELECT place, role FROM hostile.ran GROUP BY 1, 2 ORDER BY 1, 2;

-- In a function with its owner's rights it is that role. That is why such functions must not apply events to tables of
-- others.
RESET SESSION AUTHORIZATION;
DELETE FROM hostile.ran;
CREATE ROLE regress_lender;
GRANT USAGE ON SCHEMA hostile TO regress_lender;
GRANT SELECT, INSERT, UPDATE ON hostile.things, hostile.contact TO regress_lender;
CREATE FUNCTION lend(payload jsonb) RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT action FROM erp_apply(changed('{"entity_schema": "thing", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}]}'), 'Changed', payload) $$;
ALTER FUNCTION lend OWNER TO regress_lender;
SET SESSION AUTHORIZATION regress_runner;
SELECT lend('{"no": 7}');
RESET SESSION AUTHORIZATION;
SELECT DISTINCT role FROM hostile.ran;

-- A trigger that drops what is being written, or ends what runs, ends in an error, not in harm.
SET search_path = hostile, public;
DROP TRIGGER d ON contact;
CREATE FUNCTION mischief() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE TG_ARGV[0]; RETURN NEW; END $$;
CREATE FUNCTION with_mischief(mischief text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    told text;
BEGIN
    EXECUTE format('CREATE TRIGGER m BEFORE INSERT ON contact FOR EACH ROW EXECUTE FUNCTION mischief(%L)', mischief);
    SELECT concat_ws(': ', f.state, f.message) INTO told
    FROM failure($f$ SELECT * FROM erp_apply(changed('{"entity_schema": "contact", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "no"}]}'), 'Changed', '{"no": 50}') $f$) AS f;
    DROP TRIGGER IF EXISTS m ON contact;
    RETURN told;
END
$$;
SELECT with_mischief('DROP TABLE hostile.contact CASCADE');
SELECT with_mischief('ALTER TABLE hostile.contact DROP COLUMN links');
BEGIN;
SELECT with_mischief('DROP EXTENSION erp_toolkit CASCADE');
ROLLBACK;
SELECT with_mischief('ROLLBACK');
SELECT with_mischief('DO $x$ BEGIN COMMIT; END $x$');
SELECT with_mischief('SELECT pg_cancel_backend(pg_backend_pid())');
SELECT with_mischief('DELETE FROM erp.entity_type WHERE slug = ''contact''');

DROP FUNCTION lend;
CALL forget('hostile');
DROP OWNED BY regress_owner, regress_runner, regress_lender;
DROP ROLE regress_owner, regress_runner, regress_lender;
