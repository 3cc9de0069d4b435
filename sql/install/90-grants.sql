-- Rights for the roles that a sync needs. Nobody but the installing role has any before.

-- Whoever has installed it dumps and restores it.
GRANT SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA erp TO @extowner@;

CREATE FUNCTION @extschema@.erp_grant(privileges text, role_name name) RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- What each may do, with the kinds of rights that it includes.
    sender CONSTANT text[] := ARRAY[
        'SELECT ON erp.integration, erp.use_case, erp.use_cases, erp.integrations',
        'INSERT, SELECT (id, integration, use_case, deduplication_id, correlation_id, duplicate_of, group_key, received_at) ON erp.event',
        'INSERT ON erp.inbox',
        'INSERT, SELECT (id) ON erp.span'];
    runner CONSTANT text[] := sender || ARRAY[
        'SELECT ON erp.use_case_version, erp.event, erp.inbox, erp.lane, erp.inbox_horizon, erp.event_id_seq, erp.outcome, erp.failure, erp.run',
        'INSERT ON erp.outcome, erp.failure, erp.run',
        'USAGE ON SEQUENCE erp.run_id_seq',
        'UPDATE, DELETE ON erp.inbox',
        'UPDATE ON erp.lane, erp.inbox_horizon'];
    auditor CONSTANT text[] := ARRAY[
        'SELECT ON erp.integration, erp.use_case, erp.use_case_version, erp.use_cases, erp.use_case_versions, erp.integrations',
        'SELECT ON erp.event, erp.inbox, erp.outcome, erp.failure, erp.run, erp.history, erp.span, erp.field_seen, erp.field_sample',
        'SELECT ON erp.use_case_status, erp.queue_status, erp.event_status, erp.dead_letters, erp.failing_events, erp.recent_errors, '
            'erp.error_rates, erp.slow_mappings, erp.hourly_activity, erp._use_case_inbox, erp._dead_letter_groups',
        'SELECT ON erp.event_steps, erp._attempts, erp._correlations, erp._spans, erp.unread_fields, erp.missing_fields'];
    operator CONSTANT text[] := runner || auditor || ARRAY[
        'INSERT, UPDATE, DELETE ON erp.outcome',
        'DELETE ON erp.event, erp.failure, erp.run, erp.history, erp.span, erp.import',
        'INSERT, UPDATE, DELETE ON erp.field_seen, erp.field_sample',
        'SELECT, INSERT, UPDATE, DELETE ON erp.run_hour',
        'SELECT, UPDATE ON erp.run_horizon',
        'SELECT ON SEQUENCE erp.run_id_seq',
        'UPDATE (enabled) ON erp.use_case'];
    author CONSTANT text[] := ARRAY[
        'SELECT ON erp.use_cases, erp.use_case_versions, erp.integrations, erp.inbox',
        'SELECT, INSERT, UPDATE, DELETE ON erp.integration, erp.use_case, erp.use_case_version',
        'INSERT, UPDATE, DELETE ON erp.entity_type, erp.entity_column, erp.entity_key'];
    granted text[] := CASE privileges WHEN 'sender' THEN sender WHEN 'runner' THEN runner WHEN 'auditor' THEN auditor
                                      WHEN 'operator' THEN operator WHEN 'author' THEN author END;
    statement text;
BEGIN
    IF granted IS NULL THEN
        RAISE EXCEPTION 'there are no privileges "%"', privileges
            USING ERRCODE = 'invalid_parameter_value', HINT = 'There are: sender, runner, auditor, operator, author.';
    ELSIF role_name IS NULL THEN
        RAISE EXCEPTION 'the role is null' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH statement IN ARRAY granted LOOP
        statement := format('GRANT %s TO %I', statement, role_name);
        EXECUTE statement;
        RETURN NEXT statement || ';';
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_grant(text, name) IS
'Grants a role what it needs of the extension''s own tables. privileges: sender (to enqueue events), runner (to apply events through use cases, and from the inbox), auditor (to read events, what became of them, and history, personal data included), operator (runner and auditor; to retry, replay, skip, enable, disable and maintain), author (to make integrations, use cases and bindings). What is needed on entity tables is granted on those. Returns the statements. Errors: 22023, 42501, 42704.';
