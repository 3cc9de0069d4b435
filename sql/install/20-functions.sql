-- The functions that run mappings. They run with the rights of whoever calls.

CREATE FUNCTION @extschema@.erp_validate(mapping jsonb)
    RETURNS TABLE (severity text, code text, path text, message text, hint text)
    LANGUAGE c STABLE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'erp_validate';
COMMENT ON FUNCTION @extschema@.erp_validate(jsonb) IS
'Every problem of a mapping at once, also against the entity types there are. mapping: the v2.0 document. Rows: severity (error, warning), a stable code, the place as a JSON Pointer, message and hint. No row: the mapping can be used. Errors: MP001 for a null mapping.';

CREATE FUNCTION @extschema@.erp_map(mapping jsonb, event_name text, payload jsonb, at timestamptz DEFAULT pg_catalog.now())
    RETURNS TABLE (entity_slug text, mode text, unique_identifiers jsonb, attributes jsonb, scope jsonb)
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'erp_map';
COMMENT ON FUNCTION @extschema@.erp_map(jsonb, text, jsonb, timestamptz) IS
'What an event maps to, no table read: a row an entity update. payload: JSON, or a string that holds JSON. at: the time that $now() tells. An entry in a prune-scope mode adds a last row with mode prune-delete or prune-purge and its scope. Errors: MP001, MP002, MP003, MP004, MP009, MP010.';

CREATE FUNCTION @extschema@.erp_explain(mapping jsonb, event_name text DEFAULT NULL)
    RETURNS TABLE (event_name text, entry int, entity_slug text, mode text, role text, attribute text,
                   source text[], reads_from text, kind text, expression text,
                   operation text, target_slug text, target_attribute text, path text)
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'erp_explain';
COMMENT ON FUNCTION @extschema@.erp_explain(jsonb, text) IS
'What a mapping reads and writes, told without running it: a row a source, in the order of the mapping. event_name: one event; null, all of them. role: items, enabled, identifier, attribute, relation or scope. source: the fields that may be read, * for any, from the payload or from the item of the entry''s own expression (reads_from). expression: the source as it is written, in the language kind. target_slug, target_attribute: what a relation or a scope looks entities up by. path: the place as a JSON Pointer. Errors: MP001, MP002.';

CREATE FUNCTION @extschema@.erp_explain_diagram(mapping jsonb, event_name text DEFAULT NULL) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'erp_explain_diagram';
COMMENT ON FUNCTION @extschema@.erp_explain_diagram(jsonb, text) IS
'The rows of erp_explain as a Mermaid flowchart: fields of the payload, attributes of entities, what relations look up. event_name: one event; null, all of them. Errors: MP001, MP002.';

CREATE FUNCTION @extschema@.erp_merge(current jsonb, patch jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'erp_merge';
COMMENT ON FUNCTION @extschema@.erp_merge(jsonb, jsonb) IS
'The attributes of an entity after a patch. Values replace what is there; {"_set": […]}, {"_append": […]}, {"_append_unique": […]} and {"$relation": {operation: […]}} are operations. current null: no attributes yet. Errors: MP009 for appending to what is no list, and for arguments that are no objects.';

CREATE FUNCTION @extschema@.erp_apply(mapping jsonb, event_name text, payload jsonb)
    RETURNS TABLE (entity_slug text, entity_id text, action text, unique_identifiers jsonb)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'erp_apply';
COMMENT ON FUNCTION @extschema@.erp_apply(jsonb, text, jsonb) IS
'Maps an event, resolves its relations and writes its entities in the calling transaction, whole or not at all. payload: JSON, or a string that holds JSON. A row an entity; action is created, updated, unchanged, stubbed, completed, restored, deleted or purged. Errors: MP001 to MP011, and what the tables'' own constraints and triggers raise.';

CREATE FUNCTION @extschema@.erp_apply(mapping jsonb, event jsonb)
    RETURNS TABLE (entity_slug text, entity_id text, action text, unique_identifiers jsonb)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'erp_apply_event';
COMMENT ON FUNCTION @extschema@.erp_apply(jsonb, jsonb) IS
'As erp_apply(mapping, event_name, payload), of an event {"event_name", "payload", "deduplication_id"?, "correlation_id"?, "timestamp"?}.';

CREATE FUNCTION @extschema@.erp_apply_batch(mapping jsonb, event_name text, payloads jsonb[], on_error text DEFAULT 'raise')
    RETURNS TABLE (event bigint, entity_slug text, entity_id text, action text, unique_identifiers jsonb, error jsonb)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'erp_apply_batch';
COMMENT ON FUNCTION @extschema@.erp_apply_batch(jsonb, text, jsonb[], text) IS
'Applies events in order, set-wise: the entities are those that erp_apply on each in turn would make. An entity that several events touch is written once, so constraints and triggers see what they make of it together. event: the position in payloads, from 1. on_error: raise (the first event that fails fails the call) or continue (it is set aside as a row with action failed and error {"sqlstate", "code"?, "message", "detail"?, "hint"?}, and the others are applied). Errors: as erp_apply.';

CREATE FUNCTION @extschema@.erp_simulate(mapping jsonb, event_name text, payload jsonb)
    RETURNS TABLE (entity_slug text, entity_id text, action text, unique_identifiers jsonb, before jsonb, after jsonb)
    LANGUAGE c STABLE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'erp_simulate';
COMMENT ON FUNCTION @extschema@.erp_simulate(jsonb, text, jsonb) IS
'What erp_apply would do now, row by row, with the attributes of each entity before and after; nothing is written, locked or triggered, no sequence is used, and it works in read-only transactions and on standbys. Ids of entities that would be created are made up. before is null for those, after for entities that would be purged. Errors: as erp_apply, but for those of constraints and triggers, which do not run, and MP011.';

CREATE FUNCTION erp._purge_deleted(before timestamptz, max_rows bigint) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'erp_purge_deleted';
COMMENT ON FUNCTION erp._purge_deleted(timestamptz, bigint) IS
'Private: erp_purge_deleted, told the time';

CREATE FUNCTION @extschema@.erp_purge_deleted(older_than interval DEFAULT '30 days', max_rows bigint DEFAULT NULL) RETURNS bigint
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    RETURN erp._purge_deleted(pg_catalog.now() - older_than, max_rows);
COMMENT ON FUNCTION @extschema@.erp_purge_deleted(interval, bigint) IS
'Empties the recycle bin: purges the entities of all types that were deleted softly longer than older_than ago, in batches, with the items of relations that name them. max_rows: at most so many, the oldest of each type first; null: all. Returns how many. Errors: 22023, what the tables'' own constraints and triggers raise.';

CREATE FUNCTION @extschema@.erp_find(slug text, unique_identifiers jsonb DEFAULT '{}')
    RETURNS TABLE (entity_id text, attributes jsonb, created_at timestamptz, updated_at timestamptz, deleted_at timestamptz)
    LANGUAGE c STABLE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'erp_find';
COMMENT ON FUNCTION @extschema@.erp_find(text, jsonb) IS
'The entities of a type that have the given identifiers, all of them for {}; soft-deleted ones with their deleted_at. unique_identifiers: {attribute: value}. Errors: MP005 for a null or empty identifier, MP008, MP009.';

-- Private

CREATE FUNCTION erp._merge(current jsonb, patches jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE STRICT
    AS 'MODULE_PATHNAME', 'erp_merge_changes';
COMMENT ON FUNCTION erp._merge(jsonb, jsonb) IS
'Private: current after a patch, or after an array of patches in turn; null when nothing changes';

CREATE FUNCTION erp._relink(attributes jsonb, ids jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE STRICT
    AS 'MODULE_PATHNAME', 'erp_relink';
COMMENT ON FUNCTION erp._relink(jsonb, jsonb) IS
'Private: attributes with the entity ids of relations replaced as ids maps them';

CREATE FUNCTION erp._links(value jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN jsonb_path_query_array(value, '$.**{0 to 1}."$relation"[*].entity_id')
           || jsonb_path_query_array(value, '$.**{0 to 1}."$relation_ref"[*].entity_id');
COMMENT ON FUNCTION erp._links(jsonb) IS
'The ids that relations in attributes, or in one attribute, name. For an index of a registered table: CREATE INDEX ON … USING gin (erp._links(column))';

CREATE FUNCTION erp._unlink(attributes jsonb, slug text, ids jsonb, refs boolean) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE STRICT
    AS 'MODULE_PATHNAME', 'erp_unlink';
COMMENT ON FUNCTION erp._unlink(jsonb, text, jsonb, boolean) IS
'Private: attributes without the items of relations that name an entity of a type with one of ids, an array; refs: and without the references to one';

CREATE FUNCTION erp._identifier(value jsonb) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE STRICT
    AS 'MODULE_PATHNAME', 'erp_identifier';
COMMENT ON FUNCTION erp._identifier(jsonb) IS
'Private: the text under which an identifier is looked up; null for what identifies nothing';

CREATE FUNCTION erp._key_sets(mapping jsonb) RETURNS TABLE (slug text, sets jsonb)
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'erp_key_sets';
COMMENT ON FUNCTION erp._key_sets(jsonb) IS
'Private: the key sets that a mapping uses, by entity type: [{"attributes": […], "is_unique": …}]';
