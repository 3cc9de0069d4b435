-- Integrations and their use cases: named mappings, every version of which is kept.

CREATE TABLE erp.integration (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text COLLATE "C" NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9_-]*$'),
    name text NOT NULL CHECK (name <> ''),
    description text,
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by name NOT NULL DEFAULT current_user
);
COMMENT ON TABLE erp.integration IS 'Integrations: connections to ERP systems';
COMMENT ON COLUMN erp.integration.id IS 'what events and use cases refer to';
COMMENT ON COLUMN erp.integration.slug IS 'its unique name in calls';
COMMENT ON COLUMN erp.integration.name IS 'its name for people';
COMMENT ON COLUMN erp.integration.description IS 'what it is for';
COMMENT ON COLUMN erp.integration.settings IS 'settings of its use cases that have none of their own; see erp_set_use_case';
COMMENT ON COLUMN erp.integration.created_at IS 'when it was created';
COMMENT ON COLUMN erp.integration.created_by IS 'the role that created it';

CREATE TABLE erp.use_case (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    integration integer NOT NULL REFERENCES erp.integration ON DELETE CASCADE,
    slug text COLLATE "C" NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9_-]*$'),
    name text NOT NULL CHECK (name <> ''),
    type text COLLATE "C" NOT NULL CHECK (type IN ('inbound', 'outbound')),
    enabled boolean NOT NULL DEFAULT true,
    version integer NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (integration, slug)
);
COMMENT ON TABLE erp.use_case IS 'Use cases of integrations: what one kind of data does on its way';
COMMENT ON COLUMN erp.use_case.id IS 'what events refer to';
COMMENT ON COLUMN erp.use_case.integration IS 'the integration it belongs to';
COMMENT ON COLUMN erp.use_case.slug IS 'its name in calls, unique in the integration';
COMMENT ON COLUMN erp.use_case.name IS 'its name for people';
COMMENT ON COLUMN erp.use_case.type IS 'inbound (from the ERP system) or outbound';
COMMENT ON COLUMN erp.use_case.enabled IS 'whether its events are applied; those in the inbox wait meanwhile';
COMMENT ON COLUMN erp.use_case.version IS 'the version of its configuration that is used';
COMMENT ON COLUMN erp.use_case.settings IS 'settings that differ from the integration''s; see erp_set_use_case';
COMMENT ON COLUMN erp.use_case.created_at IS 'when it was created';

CREATE TABLE erp.use_case_version (
    use_case integer NOT NULL REFERENCES erp.use_case ON DELETE CASCADE,
    version integer NOT NULL,
    configuration jsonb NOT NULL,
    comment text,
    set_at timestamptz NOT NULL DEFAULT now(),
    set_by name NOT NULL DEFAULT current_user,
    PRIMARY KEY (use_case, version)
);
-- Read with every event: not to be decompressed each time.
ALTER TABLE erp.use_case_version ALTER COLUMN configuration SET STORAGE EXTERNAL;
COMMENT ON TABLE erp.use_case_version IS 'Every configuration that a use case has had';
COMMENT ON COLUMN erp.use_case_version.use_case IS 'the use case';
COMMENT ON COLUMN erp.use_case_version.version IS 'counted from 1';
COMMENT ON COLUMN erp.use_case_version.configuration IS 'the mapping';
COMMENT ON COLUMN erp.use_case_version.comment IS 'why it was set';
COMMENT ON COLUMN erp.use_case_version.set_at IS 'when it was set';
COMMENT ON COLUMN erp.use_case_version.set_by IS 'the role that set it';

CREATE VIEW erp.use_cases AS
SELECT i.slug || '/' || u.slug AS use_case, i.slug AS integration, u.slug, u.name, u.type, u.enabled, u.version,
       v.set_at, v.set_by, v.comment, i.settings || u.settings AS settings
FROM erp.use_case AS u
JOIN erp.integration AS i ON i.id = u.integration
JOIN erp.use_case_version AS v ON v.use_case = u.id AND v.version = u.version;
COMMENT ON VIEW erp.use_cases IS 'Use cases by the name they have in calls, with the version that is used, when and by whom it was set, and the settings that hold, the integration''s included';

CREATE VIEW erp.use_case_versions AS
SELECT i.slug || '/' || u.slug AS use_case, v.version, v.version = u.version AS is_used, v.set_at, v.set_by, v.comment, v.configuration
FROM erp.use_case_version AS v
JOIN erp.use_case AS u ON u.id = v.use_case
JOIN erp.integration AS i ON i.id = u.integration;
COMMENT ON VIEW erp.use_case_versions IS 'Every version of use cases'' configurations, by the name they have in calls: whether it is the one that is used, when and by whom it was set, and why';

CREATE VIEW erp.integrations AS
SELECT i.slug AS integration, i.name, i.description, count(u.id) AS use_cases, count(u.id) FILTER (WHERE u.enabled) AS enabled,
       i.settings, i.created_at, i.created_by
FROM erp.integration AS i
LEFT JOIN erp.use_case AS u ON u.integration = i.id
GROUP BY i.id;
COMMENT ON VIEW erp.integrations IS 'Integrations, with the number of their use cases and of those that are enabled';

SELECT pg_catalog.pg_extension_config_dump('erp.integration', '');
SELECT pg_catalog.pg_extension_config_dump('erp.integration_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('erp.use_case', '');
SELECT pg_catalog.pg_extension_config_dump('erp.use_case_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('erp.use_case_version', '');

GRANT SELECT, INSERT, UPDATE, DELETE ON erp.integration, erp.use_case, erp.use_case_version, erp.use_cases, erp.use_case_versions, erp.integrations
    TO @extowner@ WITH GRANT OPTION;

-- Names and settings

CREATE FUNCTION erp._check_settings(settings jsonb) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known CONSTANT text[] := '{history,on_poison,max_attempts,retry_after,max_retry_after,notify,drift_sample,amber_after,red_after}'::text[];
    setting record;
    fits boolean;
BEGIN
    IF settings IS NULL OR jsonb_typeof(settings) <> 'object' THEN
        RAISE EXCEPTION 'settings must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR setting IN SELECT key, value, value #>> '{}' AS text FROM jsonb_each(settings) ORDER BY key LOOP
        BEGIN
            fits := CASE setting.key
                WHEN 'history' THEN setting.text IN ('none', 'changes', 'full')
                WHEN 'on_poison' THEN setting.text IN ('dead_letter', 'block')
                WHEN 'max_attempts' THEN setting.text::integer BETWEEN 1 AND 1000
                WHEN 'retry_after' THEN setting.text::interval BETWEEN '1 ms' AND '1 day'
                WHEN 'max_retry_after' THEN setting.text::interval BETWEEN '1 ms' AND '30 days'
                WHEN 'notify' THEN jsonb_typeof(setting.value) = 'boolean'
                WHEN 'drift_sample' THEN setting.text::integer BETWEEN 0 AND 1000000
                WHEN 'amber_after' THEN setting.text::interval BETWEEN '1 s' AND '1 year'
                WHEN 'red_after' THEN setting.text::interval BETWEEN '1 s' AND '1 year'
            END;
        EXCEPTION WHEN data_exception THEN
            fits := false;
        END;
        IF fits IS NULL AND setting.key <> ALL (known) THEN
            RAISE EXCEPTION 'there is no setting "%"', setting.key
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Settings are ' || array_to_string(known, ', ') || '.';
        ELSIF fits IS NOT TRUE THEN
            RAISE EXCEPTION 'the value of the setting "%" does not fit', setting.key
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'history: none, changes or full; on_poison: dead_letter or block; max_attempts: 1 to 1000; '
                             'retry_after: an interval up to a day; max_retry_after: an interval up to 30 days; notify: true or false; drift_sample: 0 to 1000000; '
                             'amber_after, red_after: intervals up to a year.';
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION erp._check_settings(jsonb) IS 'Private: refuses settings that there are not';

CREATE FUNCTION erp._integration(integration text) RETURNS erp.integration
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known erp.integration;
BEGIN
    SELECT * INTO known FROM erp.integration AS i WHERE i.slug = _integration.integration;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no integration "%"', integration
            USING ERRCODE = 'MP012', DETAIL = 'INTEGRATION_UNKNOWN',
                  HINT = coalesce('There are: ' || (SELECT string_agg(i.slug, ', ' ORDER BY i.slug) FROM erp.integration AS i) || '.',
                                  format('SELECT erp_create_integration(%L);', integration));
    END IF;
    RETURN known;
END
$$;
COMMENT ON FUNCTION erp._integration(text) IS 'Private: the integration of a slug. Errors: MP012';

-- Part of the statements that ask it.
CREATE FUNCTION erp._named(path text) RETURNS TABLE (use_case erp.use_case, inherited jsonb)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT u, i.settings
    FROM erp.use_case AS u
    JOIN erp.integration AS i ON i.id = u.integration
    WHERE i.slug = split_part(path, '/', 1) AND u.slug = substr(path, strpos(path, '/') + 1) AND strpos(path, '/') > 0;
END;
COMMENT ON FUNCTION erp._named(text) IS 'Private: the use case that is named as integration/use-case, if there is one, and the settings of its integration';

CREATE FUNCTION erp._use_case(use_case text) RETURNS erp.use_case
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known erp.use_case;
BEGIN
    SELECT (n.use_case).* INTO known FROM erp._named(use_case) AS n;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no use case "%"', use_case
            USING ERRCODE = 'MP012', DETAIL = 'USE_CASE_UNKNOWN',
                  HINT = coalesce('There are: ' || (SELECT string_agg(u.use_case, ', ' ORDER BY u.use_case) FROM erp.use_cases AS u) || '.',
                                  'SELECT erp_set_use_case(''integration/use-case'', configuration);');
    END IF;
    RETURN known;
END
$$;
COMMENT ON FUNCTION erp._use_case(text) IS 'Private: the use case that is named as integration/use-case. Errors: MP012';

CREATE FUNCTION erp._check_slug(slug text, what text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF slug IS NULL OR slug !~ '^[a-z0-9][a-z0-9_-]*$' THEN
        RAISE EXCEPTION '% is no name of %', coalesce('"' || slug || '"', 'null'), what
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Names are of a to z, 0 to 9, _ and -, and begin with a letter or digit.';
    END IF;
END
$$;
COMMENT ON FUNCTION erp._check_slug(text, text) IS 'Private: refuses what is no slug';

-- Integrations

CREATE FUNCTION @extschema@.erp_create_integration(slug text, name text DEFAULT NULL, description text DEFAULT NULL, settings jsonb DEFAULT '{}')
    RETURNS integer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id integer;
BEGIN
    PERFORM erp._check_slug(slug, 'an integration');
    PERFORM erp._check_settings(settings);
    INSERT INTO erp.integration (slug, name, description, settings)
    VALUES (erp_create_integration.slug, coalesce(erp_create_integration.name, erp_create_integration.slug),
            erp_create_integration.description, erp_create_integration.settings)
    RETURNING integration.id INTO id;
    RETURN id;
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'there is an integration "%" already', slug
        USING ERRCODE = 'duplicate_object', HINT = 'erp_set_integration changes it.';
END
$$;
COMMENT ON FUNCTION @extschema@.erp_create_integration(text, text, text, jsonb) IS
'Creates an integration: a named set of use cases. slug: its unique name in calls, of a to z, 0 to 9, _ and -. name, description: for people. settings: defaults of its use cases'' settings, see erp_set_use_case. Returns its id. Errors: 22023, 42710.';

CREATE FUNCTION @extschema@.erp_set_integration(integration text, name text DEFAULT NULL, description text DEFAULT NULL, settings jsonb DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known erp.integration := erp._integration(integration);
BEGIN
    PERFORM erp._check_settings(coalesce(settings, '{}'));
    UPDATE erp.integration AS i
    SET name = coalesce(erp_set_integration.name, i.name),
        description = coalesce(erp_set_integration.description, i.description),
        settings = coalesce(erp_set_integration.settings, i.settings)
    WHERE i.id = known.id;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_set_integration(text, text, text, jsonb) IS
'Changes an integration; what is null stays. Errors: 22023, MP012.';

CREATE FUNCTION @extschema@.erp_drop_integration(integration text, cascade boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known erp.integration := erp._integration(integration);
    use_case text;
BEGIN
    FOR use_case IN SELECT u.use_case FROM erp.use_cases AS u WHERE u.integration = known.slug ORDER BY 1 LOOP
        IF cascade IS NOT TRUE THEN
            RAISE EXCEPTION 'the integration "%" has use cases', known.slug
                USING ERRCODE = 'dependent_objects_still_exist', DETAIL = format('Use case %s.', use_case),
                      HINT = format('SELECT erp_drop_integration(%L, cascade => true); drops them too.', known.slug);
        END IF;
        PERFORM @extschema@.erp_drop_use_case(use_case, cascade => true);
    END LOOP;
    DELETE FROM erp.integration AS i WHERE i.id = known.id;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_drop_integration(text, boolean) IS
'Drops an integration. cascade: with its use cases, and with their events that wait in the inbox. What has been applied stays, events and history until their retention ends. Errors: 2BP01, MP012.';

-- Use cases

CREATE FUNCTION erp._check_configuration(type text, configuration jsonb) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem record;
    problems text;
BEGIN
    IF configuration IS NULL OR jsonb_typeof(configuration) <> 'object' THEN
        RAISE EXCEPTION 'the configuration is not an object' USING ERRCODE = 'MP001', DETAIL = 'CONFIGURATION_INVALID';
    ELSIF type = 'outbound' THEN
        RETURN;
    END IF;
    SELECT string_agg(concat_ws(': ', nullif(p.path, ''), p.message), E'\n') INTO problems
    FROM @extschema@.erp_validate(configuration) AS p WHERE p.severity = 'error';
    IF problems IS NOT NULL THEN
        RAISE EXCEPTION 'the configuration is not a valid mapping'
            USING ERRCODE = 'MP001', DETAIL = 'CONFIGURATION_INVALID: ' || problems, HINT = 'SELECT * FROM erp_validate(configuration);';
    END IF;
    FOR problem IN SELECT * FROM @extschema@.erp_validate(configuration) LOOP
        RAISE WARNING '%: %', problem.path, problem.message
            USING HINT = coalesce(problem.hint, 'SELECT * FROM erp_validate(configuration);');
    END LOOP;
END
$$;
COMMENT ON FUNCTION erp._check_configuration(text, jsonb) IS 'Private: refuses a configuration that cannot be used, and warns of what looks wrong. Errors: MP001';

CREATE FUNCTION @extschema@.erp_set_use_case(use_case text, configuration jsonb, name text DEFAULT NULL, type text DEFAULT NULL,
                                             settings jsonb DEFAULT NULL, comment text DEFAULT NULL)
    RETURNS integer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent erp.integration;
    own_slug text := substr(use_case, strpos(use_case, '/') + 1);
    known erp.use_case;
    is_same boolean;
BEGIN
    IF coalesce(strpos(use_case, '/'), 0) = 0 THEN
        RAISE EXCEPTION 'a use case is named as integration/use-case' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    parent := erp._integration(split_part(use_case, '/', 1));
    PERFORM erp._check_slug(own_slug, 'a use case');
    PERFORM erp._check_settings(coalesce(settings, '{}'));
    IF type NOT IN ('inbound', 'outbound') THEN
        RAISE EXCEPTION 'type must be inbound or outbound' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Who sets the same use case waits: versions are counted without a gap.
    PERFORM FROM erp.integration AS i WHERE i.id = parent.id FOR NO KEY UPDATE;
    SELECT u.* INTO known FROM erp.use_case AS u WHERE u.integration = parent.id AND u.slug = own_slug;
    PERFORM erp._check_configuration(coalesce(type, known.type, 'inbound'), configuration);
    IF known.id IS NULL THEN
        INSERT INTO erp.use_case (integration, slug, name, type, version, settings)
        VALUES (parent.id, own_slug, coalesce(erp_set_use_case.name, own_slug), coalesce(erp_set_use_case.type, 'inbound'), 1,
                coalesce(erp_set_use_case.settings, '{}'))
        RETURNING * INTO known;
    ELSE
        -- As text: 1.1 and 1.10 are two values.
        SELECT v.configuration::text = erp_set_use_case.configuration::text INTO is_same
        FROM erp.use_case_version AS v WHERE v.use_case = known.id AND v.version = known.version;
        UPDATE erp.use_case AS u
        SET name = coalesce(erp_set_use_case.name, u.name), type = coalesce(erp_set_use_case.type, u.type),
            settings = coalesce(erp_set_use_case.settings, u.settings),
            version = CASE WHEN is_same THEN u.version
                           ELSE greatest(u.version, (SELECT max(v.version) FROM erp.use_case_version AS v WHERE v.use_case = u.id)) + 1 END
        WHERE u.id = known.id
        RETURNING * INTO known;
    END IF;
    IF is_same IS NOT TRUE THEN
        INSERT INTO erp.use_case_version (use_case, version, configuration, comment)
        VALUES (known.id, known.version, erp_set_use_case.configuration, erp_set_use_case.comment);
    END IF;
    RETURN known.version;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_set_use_case(text, jsonb, text, text, jsonb, text) IS
'Creates a use case, or changes it: a configuration that differs becomes a new version, which events use from then on. use_case: integration/use-case. configuration: the mapping; of an outbound use case any object. name: for people. type: inbound (the default) or outbound. settings, over those of the integration: history (none, changes, full: what erp_history tells), on_poison (dead_letter, block: what an event does that keeps failing), max_attempts, retry_after, max_retry_after (intervals), notify (whether arrivals are notified), drift_sample (every how many events the fields of one are compared with the mapping; 0: never), amber_after, red_after (how long the oldest event may wait before erp.use_case_status shows it; intervals). comment: why. What is null stays. Returns the version. Errors: 22023, MP001 with every problem, MP012.';

CREATE FUNCTION erp._enable(use_case text, enabled boolean) RETURNS integer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent integer;
    one integer;
    changed integer;
BEGIN
    IF strpos(use_case, '/') > 0 THEN
        one := (erp._use_case(use_case)).id;
    ELSE
        parent := (erp._integration(use_case)).id;
    END IF;
    UPDATE erp.use_case AS u SET enabled = _enable.enabled
    WHERE (u.id = one OR u.integration = parent) AND u.enabled <> _enable.enabled;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION erp._enable(text, boolean) IS 'Private: erp_enable and erp_disable';

CREATE FUNCTION @extschema@.erp_enable(use_case text) RETURNS integer
    LANGUAGE sql VOLATILE PARALLEL UNSAFE RETURN erp._enable(use_case, true);
COMMENT ON FUNCTION @extschema@.erp_enable(text) IS
'Enables a use case (integration/use-case), or all of an integration: the events that wait for it are due. Returns how many were disabled. Errors: MP012.';

CREATE FUNCTION @extschema@.erp_disable(use_case text) RETURNS integer
    LANGUAGE sql VOLATILE PARALLEL UNSAFE RETURN erp._enable(use_case, false);
COMMENT ON FUNCTION @extschema@.erp_disable(text) IS
'Disables a use case (integration/use-case), or all of an integration: erp_ingest refuses its events, and those in the inbox wait. Returns how many were enabled. Errors: MP012.';

CREATE FUNCTION erp._configuration(target erp.use_case, number integer) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known jsonb;
BEGIN
    SELECT v.configuration INTO known FROM erp.use_case_version AS v
    WHERE v.use_case = target.id AND v.version = number;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the use case has no version %', number
            USING ERRCODE = 'invalid_parameter_value', HINT = format('The last one is %s.', target.version);
    END IF;
    RETURN known;
END
$$;
COMMENT ON FUNCTION erp._configuration(erp.use_case, integer) IS 'Private: the configuration of a version. Errors: 22023';

CREATE FUNCTION @extschema@.erp_restore_use_case(use_case text, version integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known erp.use_case := erp._use_case(use_case);
BEGIN
    RETURN @extschema@.erp_set_use_case(use_case, erp._configuration(known, version), comment => format('version %s again', version));
END
$$;
COMMENT ON FUNCTION @extschema@.erp_restore_use_case(text, integer) IS
'Brings the configuration of an earlier version back, as a new version. Returns the new version. Errors: 22023, MP001 if it is no longer valid, MP012.';

CREATE FUNCTION erp._diff(old_value jsonb, new_value jsonb, at text DEFAULT '') RETURNS TABLE (path text, before jsonb, after jsonb)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    member record;
BEGIN
    IF old_value::text IS NOT DISTINCT FROM new_value::text THEN
        RETURN;
    ELSIF jsonb_typeof(old_value) = 'object' AND jsonb_typeof(new_value) = 'object' THEN
        FOR member IN
            SELECT key, b.value AS before, a.value AS after
            FROM jsonb_each(old_value) AS b FULL JOIN jsonb_each(new_value) AS a USING (key) ORDER BY key COLLATE "C"
        LOOP
            RETURN QUERY SELECT * FROM erp._diff(member.before, member.after,
                at || '/' || replace(replace(member.key, '~', '~0'), '/', '~1'));
        END LOOP;
    ELSIF jsonb_typeof(old_value) = 'array' AND jsonb_typeof(new_value) = 'array' THEN
        FOR member IN
            SELECT n, b.value AS before, a.value AS after
            FROM jsonb_array_elements(old_value) WITH ORDINALITY AS b(value, n)
            FULL JOIN jsonb_array_elements(new_value) WITH ORDINALITY AS a(value, n) USING (n) ORDER BY n
        LOOP
            RETURN QUERY SELECT * FROM erp._diff(member.before, member.after, at || '/' || member.n - 1);
        END LOOP;
    ELSE
        path := at;
        before := old_value;
        after := new_value;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION erp._diff(jsonb, jsonb, text) IS 'Private: where two documents differ';

CREATE FUNCTION @extschema@.erp_diff_use_case(use_case text, from_version integer, to_version integer DEFAULT NULL)
    RETURNS TABLE (path text, before jsonb, after jsonb)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known erp.use_case := erp._use_case(use_case);
BEGIN
    RETURN QUERY SELECT d.* FROM erp._diff(erp._configuration(known, from_version),
                                           erp._configuration(known, coalesce(to_version, known.version))) AS d;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_diff_use_case(text, integer, integer) IS
'Where two versions of a use case''s configuration differ: a row a place, as a JSON Pointer, with the value before and after; null: it is not there. to_version: null is the one that is used. Errors: 22023, MP012.';

-- From one database to another

CREATE FUNCTION @extschema@.erp_export_integration(integration text) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known erp.integration := erp._integration(integration);
BEGIN
    RETURN jsonb_build_object(
        'format', 'erp_toolkit integration 1',
        'integration', jsonb_strip_nulls(jsonb_build_object(
            'slug', known.slug, 'name', known.name, 'description', known.description)) || jsonb_build_object('settings', known.settings),
        'use_cases', (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                       'slug', u.slug, 'name', u.name, 'type', u.type, 'enabled', u.enabled,
                       'settings', u.settings, 'configuration', v.configuration) ORDER BY u.slug), '[]')
            FROM erp.use_case AS u
            JOIN erp.use_case_version AS v ON v.use_case = u.id AND v.version = u.version
            WHERE u.integration = known.id));
END
$$;
COMMENT ON FUNCTION @extschema@.erp_export_integration(text) IS
'An integration with its use cases and their configurations as one document, for version control and for erp_import_integration in another database. Errors: MP012.';

CREATE FUNCTION @extschema@.erp_import_integration(document jsonb)
    RETURNS TABLE (use_case text, version integer, action text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    given jsonb := document -> 'integration';
    parent text := document #>> '{integration,slug}';
    use_cases jsonb := coalesce(document -> 'use_cases', '[]');
    item jsonb;
    known erp.use_case;
BEGIN
    IF document IS NULL OR document ->> 'format' IS DISTINCT FROM 'erp_toolkit integration 1' THEN
        RAISE EXCEPTION 'the document is none of erp_export_integration' USING ERRCODE = 'invalid_parameter_value';
    ELSIF jsonb_typeof(given) IS DISTINCT FROM 'object' OR jsonb_typeof(use_cases) <> 'array'
          OR use_cases @? '$[*] ? (@.type() != "object" || exists(@.enabled ? (@.type() != "boolean")))' THEN
        RAISE EXCEPTION 'the document is none of erp_export_integration' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = '"integration" is an object, "use_cases" an array of objects, in which "enabled" is true or false.';
    END IF;
    IF EXISTS (SELECT FROM erp.integration AS i WHERE i.slug = parent) THEN
        PERFORM @extschema@.erp_set_integration(parent, given ->> 'name', settings => coalesce(given -> 'settings', '{}'));
        UPDATE erp.integration AS i SET description = given ->> 'description' WHERE i.slug = parent;
    ELSE
        PERFORM @extschema@.erp_create_integration(parent, given ->> 'name', given ->> 'description', coalesce(given -> 'settings', '{}'));
    END IF;
    FOR item IN SELECT value FROM jsonb_array_elements(use_cases) LOOP
        use_case := parent || '/' || (item ->> 'slug');
        SELECT u.* INTO known FROM erp.use_case AS u JOIN erp.integration AS i ON i.id = u.integration
        WHERE i.slug = parent AND u.slug = item ->> 'slug';
        version := @extschema@.erp_set_use_case(use_case, item -> 'configuration', item ->> 'name', item ->> 'type',
                                                coalesce(item -> 'settings', '{}'), 'imported');
        action := CASE WHEN known.id IS NULL THEN 'created' WHEN known.version = version THEN 'unchanged' ELSE 'updated' END;
        PERFORM erp._enable(use_case, coalesce((item -> 'enabled')::boolean, true));
        RETURN NEXT;
    END LOOP;
    RETURN QUERY SELECT u.use_case, u.version, 'kept' FROM erp.use_cases AS u
    WHERE u.integration = parent
          AND NOT EXISTS (SELECT FROM jsonb_array_elements(use_cases) AS i(item) WHERE i.item ->> 'slug' = u.slug)
    ORDER BY u.use_case;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_import_integration(jsonb) IS
'Creates the integration of a document that erp_export_integration made, or changes it to be the same; its versions are counted here. A row a use case; action is created, updated (a new version), unchanged, or kept: it is not in the document, and stays. Errors: 22023, MP001.';
