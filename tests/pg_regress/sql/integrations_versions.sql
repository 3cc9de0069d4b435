-- Versions of a use case: counted without a gap, compared, brought back; an event knows the one it ran under.
CREATE SCHEMA versions;
SET search_path = versions, public;
SET client_min_messages = error;
CREATE FUNCTION named(field text) RETURNS jsonb LANGUAGE sql IMMUTABLE RETURN changed(jsonb_build_object('entity_schema', 'contact', 'unique_ids', '["no"]'::jsonb,
    'fields', jsonb_build_array('{"attribute": "no", "field": "id"}'::jsonb, jsonb_build_object('attribute', 'name', 'field', field))));
SELECT count(*) AS statements FROM erp_prepare(named('a'));
SELECT erp_create_integration('erp');
SELECT erp_set_use_case('erp/c', named('a'), comment => 'one'), erp_set_use_case('erp/c', named('b'), comment => 'two');
-- The same again is no version, not even with another comment.
SELECT erp_set_use_case('erp/c', named('b'), comment => 'again');
SELECT action FROM erp_ingest('erp/c', '{"event_name": "Changed", "payload": {"id": 1, "a": "A", "b": "B"}}');
SELECT erp_restore_use_case('erp/c', 1);
SELECT action FROM erp_ingest('erp/c', '{"event_name": "Changed", "payload": {"id": 1, "a": "A", "b": "B"}}');
-- As it is used already
SELECT erp_restore_use_case('erp/c', 3);
SELECT version, configuration = named('a') AS is_a, comment, set_by = current_user AS is_own FROM erp.use_case_version ORDER BY version;
SELECT use_case, version, is_used, configuration = named('a') AS is_a, comment, set_by = current_user AS is_own FROM erp.use_case_versions ORDER BY version;
SELECT o.event, r.version FROM erp.outcome AS o JOIN erp.run AS r ON r.id = o.run ORDER BY o.event;
SELECT attributes FROM contact;
-- Those that wait are applied with the version of then.
SELECT erp_enqueue('erp/c', '{"event_name": "Changed", "payload": {"id": 1, "a": "A", "b": "B"}}'), erp_set_use_case('erp/c', named('b'));
SELECT done FROM erp_process();
SELECT o.event, r.version FROM erp.outcome AS o JOIN erp.run AS r ON r.id = o.run ORDER BY o.event DESC LIMIT 1;

SELECT * FROM erp_diff_use_case('erp/c', 1, 2);
SELECT * FROM erp_diff_use_case('erp/c', 1, 3);
SELECT * FROM erp_diff_use_case('erp/c', 1);
SELECT * FROM failure($$ SELECT erp_diff_use_case('erp/c', 1, 9) $$) \gx
SELECT state, message, hint FROM failure($$ SELECT erp_restore_use_case('erp/c', 0) $$);
SELECT state, message FROM failure($$ SELECT erp_restore_use_case('erp/c', NULL) $$);
-- Documents of any form
SELECT * FROM erp._diff('{"a": 1, "b/c~d": [1, 2, {"x": null}], "e": {"f": 1}, "g": []}', '{"b/c~d": [1, 3, {"x": 0}, 4], "e": [1], "g": [], "h": null}');
SELECT * FROM erp._diff('1', '1.0');
SELECT * FROM erp._diff('[]', '{}');

-- 1.1 and 1.10 are two values.
\set constant '{"entities": [{"entity_schema": "contact", "unique_ids": ["no"], "fields": [{"attribute": "no", "constant": %s}]}]}'
SELECT erp_set_use_case('erp/n', format(:'constant', '1.1')::jsonb), erp_set_use_case('erp/n', format(:'constant', '1.10')::jsonb);
SELECT * FROM erp_diff_use_case('erp/n', 1, 2);

-- A version that is no longer valid cannot be brought back: what it needs may be gone.
UPDATE erp.use_case_version SET configuration = '{"version": "2.0"}' WHERE version = 1;
SELECT state, message FROM failure($$ SELECT erp_restore_use_case('erp/c', 1) $$);

CALL forget_integrations();
CALL forget('versions');
