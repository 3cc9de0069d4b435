-- What became of entities: the changes that events made, and how entities were at a time.

CREATE INDEX history_purged ON erp.history (entity_slug) WHERE after IS NULL;

CREATE FUNCTION erp._purged_ids(slug text, identifiers jsonb) RETURNS text[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        SELECT DISTINCT h.entity_id FROM erp.history AS h
        WHERE h.entity_slug = slug AND h.after IS NULL
              AND NOT EXISTS (SELECT FROM jsonb_each(identifiers) AS i WHERE erp._identifier(h.before -> i.key) IS DISTINCT FROM erp._identifier(i.value)));
END
$$;
COMMENT ON FUNCTION erp._purged_ids(text, jsonb) IS 'Private: the entities that were purged with these identifiers';

CREATE FUNCTION erp._changed(before jsonb, after jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY(SELECT key FROM jsonb_each(coalesce(before, '{}')) AS b FULL JOIN jsonb_each(coalesce(after, '{}')) AS a USING (key)
                 WHERE b.value IS DISTINCT FROM a.value ORDER BY key COLLATE "C");
COMMENT ON FUNCTION erp._changed(jsonb, jsonb) IS 'Private: the names of the attributes that differ';

CREATE FUNCTION erp._history(slug text, ids text[])
    RETURNS TABLE (changed_at timestamptz, entity text, action text, attributes text[], before jsonb, after jsonb,
                   event_id bigint, event_name text, use_case text, version integer, correlation_id text, changed_by text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT h.changed_at, h.entity_id, h.action, erp._changed(h.before, h.after), h.before, h.after,
           h.event, e.event_name, i.slug || '/' || u.slug, r.version, erp._correlation_id(e), h.changed_by
    FROM erp.history AS h
    LEFT JOIN erp.event AS e ON e.id = h.event
    LEFT JOIN erp.run AS r ON r.id = h.run
    LEFT JOIN erp.use_case AS u ON u.id = r.use_case
    LEFT JOIN erp.integration AS i ON i.id = u.integration
    WHERE h.entity_slug = _history.slug AND h.entity_id = ANY (ids)
    ORDER BY h.id DESC;
END
$$;
COMMENT ON FUNCTION erp._history(text, text[]) IS 'Private: erp_history, told the entities';

-- Entities are read in the caller's search_path, for their policies: names of PostgreSQL's are written out.
CREATE FUNCTION @extschema@.erp_history(slug text, entity_id text DEFAULT NULL, unique_identifiers jsonb DEFAULT NULL)
    RETURNS TABLE (changed_at timestamptz, entity text, action text, attributes text[], before jsonb, after jsonb,
                   event_id bigint, event_name text, use_case text, version integer, correlation_id text, changed_by text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
#variable_conflict use_column
DECLARE
    ids pg_catalog.text[] := ARRAY[entity_id];
BEGIN
    IF slug IS NULL OR (entity_id IS NULL) OPERATOR(pg_catalog.=) (unique_identifiers IS NULL) THEN
        RAISE EXCEPTION 'an entity is named by its slug, and by its entity_id or its unique_identifiers' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'SELECT * FROM erp_history(''contact'', unique_identifiers => ''{"customer_number": "C-1"}'');';
    END IF;
    IF entity_id IS NULL THEN
        ids := ARRAY(SELECT f.entity_id FROM @extschema@.erp_find(slug, unique_identifiers) AS f);
        ids := pg_catalog.array_cat(ids, erp._purged_ids(slug, unique_identifiers));
    END IF;
    RETURN QUERY SELECT h.* FROM erp._history(slug, ids) AS h;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_history(text, text, jsonb) IS
'What events of use cases with history changed in an entity, the last change first. The entity is named by entity_id, or by unique_identifiers ({attribute: value}), which find purged ones as well. action: as erp_apply tells; attributes: the names of those that changed; before, after: all attributes, or those that changed, as the use case''s history says; null: the entity was not there, is gone. Of events that are no longer kept event_name and correlation_id are null. Needs SELECT on erp.history, erp.event and erp.run, for unique_identifiers on the entity''s table. Errors: 22023, as erp_find.';

-- The state at a time

-- As to_jsonb writes a timestamptz. Of a string that is none, but looks like one, no error: its day is counted from the first.
CREATE FUNCTION erp._instant(text text) RETURNS timestamp
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT make_timestamp(m[1]::integer, m[2]::integer, 1, 0, 0, 0)
                   + make_interval(days => m[3]::integer - 1, hours => m[4]::integer, mins => m[5]::integer, secs => m[6]::double precision)
                   - (m[7] || '1')::integer * make_interval(hours => m[8]::integer, mins => m[9]::integer, secs => coalesce(m[10], '0')::integer)
            FROM regexp_match(text, '^(?!0000)(\d{4})-(0[1-9]|1[0-2])-(\d\d)T(\d\d):(\d\d):(\d\d(?:\.\d+)?)([+-])(\d\d):(\d\d)(?::(\d\d))?$') AS m);
COMMENT ON FUNCTION erp._instant(text) IS 'Private: a time with its zone, as that of UTC; null: it is none';

-- A column of a registered table is read as the session's TimeZone writes it.
CREATE FUNCTION erp._is_same(one jsonb, other jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN one IS NOT DISTINCT FROM other
           OR jsonb_typeof(one) = 'string' AND jsonb_typeof(other) = 'string' AND coalesce(erp._instant(one #>> '{}') = erp._instant(other #>> '{}'), false);
COMMENT ON FUNCTION erp._is_same(jsonb, jsonb) IS 'Private: whether values are the same, or the same time in two zones';

-- Whether what is known of an entity at one side of a change is so: all attributes, or those that the change is about.
CREATE FUNCTION erp._is_so(attributes jsonb, state text, known jsonb, known_state text, other jsonb, is_whole boolean) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN state IS NOT DISTINCT FROM known_state
           AND CASE WHEN attributes IS NULL OR known IS NULL THEN attributes IS NOT DISTINCT FROM known
                    WHEN is_whole THEN attributes = known
                         OR NOT EXISTS (SELECT FROM jsonb_each(attributes) AS a FULL JOIN jsonb_each(known) AS k USING (key)
                                        WHERE erp._is_same(a.value, k.value) IS NOT TRUE)
                    ELSE NOT EXISTS (SELECT FROM jsonb_each(known) AS k WHERE erp._is_same(attributes -> k.key, k.value) IS NOT TRUE)
                         AND NOT EXISTS (SELECT FROM jsonb_object_keys(other) AS o(key) WHERE NOT known ? o.key AND attributes ? o.key) END;
COMMENT ON FUNCTION erp._is_so(jsonb, text, jsonb, text, jsonb, boolean) IS 'Private: whether an entity is as one side of a change says';

-- Before of one change, and after of another, are all attributes also where only changes are kept: of an entity that is
-- created, or purged.
CREATE FUNCTION erp._is_whole(change erp.history) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (change).is_full OR (change).state_before IS NULL OR (change).state_after IS NULL;
COMMENT ON FUNCTION erp._is_whole(erp.history) IS 'Private: whether a change tells all attributes before and after';

CREATE FUNCTION erp._entity_at(slug text, entity_id text, at timestamptz, is_bound boolean,
                               now_attributes jsonb, now_state text, created_at timestamptz, updated_at timestamptz)
    RETURNS TABLE (attributes jsonb, state text, changed_at timestamptz, event_id bigint, gap text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    last erp.history;
    next erp.history;
    whole erp.history;
    change erp.history;
    is_newer boolean;
    is_overtaken boolean;
    came_again boolean;
BEGIN
    SELECT h.* INTO last FROM erp.history AS h
    WHERE h.entity_slug = slug AND h.entity_id = _entity_at.entity_id AND h.changed_at <= at ORDER BY h.id DESC LIMIT 1;
    SELECT h.* INTO next FROM erp.history AS h
    WHERE h.entity_slug = slug AND h.entity_id = _entity_at.entity_id AND h.id > coalesce(last.id, 0) ORDER BY h.id LIMIT 1;
    SELECT h.* INTO whole FROM erp.history AS h
    WHERE h.entity_slug = slug AND h.entity_id = _entity_at.entity_id AND h.id <= last.id AND erp._is_whole(h) ORDER BY h.id DESC LIMIT 1;
    changed_at := last.changed_at;
    event_id := last.event;
    -- Something has changed it since its last change here, and when is known; or not.
    is_newer := last.id IS NULL OR updated_at > last.changed_at;
    is_overtaken := is_newer OR NOT erp._is_so(now_attributes, now_state, last.after, last.state_after, last.before, erp._is_whole(last));

    -- What is there now may be another one than what the next change is about, which was gone in between.
    came_again := next.state_before IS NOT NULL
                  AND (next.changed_at < created_at
                       OR EXISTS (SELECT FROM erp.history AS h WHERE h.entity_slug = slug AND h.entity_id = _entity_at.entity_id
                                                                     AND h.id >= next.id AND h.state_after IS NULL));

    IF created_at > at AND (last.id IS NULL OR last.state_after IS NULL) AND NOT came_again THEN
        state := 'absent';
        RETURN NEXT;
        RETURN;
    ELSIF next.id IS NULL AND is_newer AND updated_at <= at THEN
        attributes := now_attributes;
        state := now_state;
        RETURN NEXT;
        RETURN;
    ELSIF last.id IS NULL AND next.id IS NULL THEN
        state := 'unknown';
        gap := 'there is no history of the entity';
        RETURN NEXT;
        RETURN;
    END IF;

    IF whole.id IS NOT NULL THEN
        -- From there on, change by change.
        attributes := whole.after;
        state := whole.state_after;
        FOR change IN
            SELECT h.* FROM erp.history AS h
            WHERE h.entity_slug = slug AND h.entity_id = _entity_at.entity_id AND h.id > whole.id AND h.id <= last.id ORDER BY h.id
        LOOP
            IF NOT erp._is_so(attributes, state, change.before, change.state_before, change.after, false) THEN
                gap := 'something else than events with history has changed the entity before';
            END IF;
            attributes := attributes - ARRAY(SELECT jsonb_object_keys(change.before)) || change.after;
            state := change.state_after;
        END LOOP;
    ELSE
        -- Back from the next change that tells all, or from what is there now.
        SELECT h.* INTO whole FROM erp.history AS h
        WHERE h.entity_slug = slug AND h.entity_id = _entity_at.entity_id AND h.id > coalesce(last.id, 0) AND erp._is_whole(h) ORDER BY h.id LIMIT 1;
        attributes := CASE WHEN whole.id IS NULL THEN now_attributes ELSE whole.before END;
        state := CASE WHEN whole.id IS NULL THEN now_state ELSE whole.state_before END;
        FOR change IN
            SELECT h.* FROM erp.history AS h
            WHERE h.entity_slug = slug AND h.entity_id = _entity_at.entity_id AND h.id > coalesce(last.id, 0) AND (whole.id IS NULL OR h.id < whole.id)
            ORDER BY h.id DESC
        LOOP
            IF NOT erp._is_so(attributes, state, change.after, change.state_after, change.before, false) THEN
                gap := 'something else than events with history has changed the entity since';
            END IF;
            attributes := attributes - ARRAY(SELECT jsonb_object_keys(change.after)) || change.before;
            state := change.state_before;
        END LOOP;
        IF last.id IS NOT NULL AND NOT erp._is_so(attributes, state, last.after, last.state_after, last.before, false) THEN
            gap := 'something else than events with history has changed the entity since';
            attributes := attributes - ARRAY(SELECT jsonb_object_keys(last.before)) || last.after;
            state := last.state_after;
        END IF;
    END IF;

    IF last.id IS NULL AND next.state_before IS NOT NULL THEN
        gap := 'the history of the entity begins later';
    ELSIF gap IS NULL AND (next.id IS NOT NULL AND NOT erp._is_so(attributes, state, next.before, next.state_before, next.after, next.is_full)
                           OR next.id IS NULL AND is_bound AND (is_overtaken OR NOT erp._is_so(now_attributes, now_state, attributes, state, NULL, true))) THEN
        gap := 'something else than events with history has changed the entity since';
    END IF;
    state := coalesce(state, CASE WHEN attributes IS NULL AND gap IS NOT NULL AND last.id IS NULL THEN 'unknown' ELSE 'absent' END);
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION erp._entity_at(text, text, timestamptz, boolean, jsonb, text, timestamptz, timestamptz) IS 'Private: erp_entity_at, told how the entity is now';

CREATE FUNCTION erp._now(slug text, entity_id text)
    RETURNS TABLE (attributes jsonb, state text, created_at timestamptz, updated_at timestamptz)
    LANGUAGE c STABLE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'erp_now';
COMMENT ON FUNCTION erp._now(text, text) IS 'Private: an entity as it is';

CREATE FUNCTION @extschema@.erp_entity_at(slug text, entity_id text, at timestamptz)
    RETURNS TABLE (attributes jsonb, state text, changed_at timestamptz, event_id bigint, gap text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
#variable_conflict use_column
DECLARE
    is_bound boolean;
BEGIN
    IF slug IS NULL OR entity_id IS NULL OR at IS NULL THEN
        RAISE EXCEPTION 'slug, entity_id and at must not be null' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- The history outlives the binding of its type.
    is_bound := EXISTS (SELECT FROM erp.entity_type AS t WHERE t.slug OPERATOR(pg_catalog.=) erp_entity_at.slug)
                OR NOT EXISTS (SELECT FROM erp.history AS h WHERE h.entity_slug OPERATOR(pg_catalog.=) erp_entity_at.slug
                                                                  AND h.entity_id OPERATOR(pg_catalog.=) erp_entity_at.entity_id);
    IF is_bound THEN
        RETURN QUERY SELECT e.* FROM (SELECT 1) AS one LEFT JOIN erp._now(slug, entity_id) AS n ON true
            CROSS JOIN LATERAL erp._entity_at(slug, entity_id, at, true, n.attributes, n.state, n.created_at, n.updated_at) AS e;
    ELSE
        RETURN QUERY SELECT e.* FROM erp._entity_at(slug, entity_id, at, false, NULL, NULL, NULL, NULL) AS e;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_entity_at(text, text, timestamptz) IS
'An entity as it was at a time, in one row. state: live, stub, deleted (softly), absent (it was not there) or unknown. changed_at, event_id: its last change up to then, and the event that made it. gap: null where the history leaves no doubt, otherwise why attributes may not be right: they are then the nearest that is known. Needs SELECT on erp.history and on the entity''s table. Errors: 22023, MP008.';
