-- A trigger may change an entity that its event leaves as it is: what the event says of it counts.
CREATE SCHEMA apply_triggers;
SET search_path = apply_triggers, public;
SELECT erp_create_entity('order', ARRAY['number']), erp_create_entity('item', ARRAY['number']);
CREATE FUNCTION triggers_mapping() RETURNS jsonb LANGUAGE sql RETURN '{"version": "2.0", "mapping": {"events": {"E": {"entities": [
    {"entity_schema": "order", "unique_ids": ["number"], "jsonataExpression": "order", "fields": [
        {"attribute": "number", "field": "number"}, {"attribute": "status", "field": "status"}]},
    {"entity_schema": "item", "unique_ids": ["number"], "jsonataExpression": "items", "fields": [
        {"attribute": "number", "field": "number"}, {"attribute": "status", "field": "status"}]}]}}}}'::jsonb;
CREATE FUNCTION pass_on() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE apply_triggers.item SET attributes = attributes || jsonb_build_object('status', new.attributes -> 'status', 'by', 'trigger');
    RETURN NULL;
END $$;
CREATE TRIGGER pass_on AFTER UPDATE ON "order" FOR EACH ROW EXECUTE FUNCTION pass_on();
SELECT entity_slug, action FROM erp_apply(triggers_mapping(), 'E', '{"order": {"number": 1, "status": "new"}, "items": [{"number": 1, "status": "new"}, {"number": 2}]}');
SELECT entity_slug, action FROM erp_apply(triggers_mapping(), 'E', '{"order": {"number": 1, "status": "sent"}, "items": [{"number": 1, "status": "new"}, {"number": 2}]}');
SELECT attributes FROM item ORDER BY attributes ->> 'number';
CALL forget('apply_triggers');
