-- $1 entity types, $2 ids, $3 actions, $4 events, $5 runs, $6 whether all attributes are kept,
-- $7 before and $8 after (JSON null: not there), $9 states before and $10 after ('': not there),
-- $11 the role.
INSERT INTO erp.history (entity_slug, entity_id, action, event, run, is_full, before, after, state_before, state_after, changed_by)
SELECT slug, id, action, event, run, is_full,
       CASE WHEN pg_catalog.jsonb_typeof(before) OPERATOR(pg_catalog.<>) 'null' THEN before END,
       CASE WHEN pg_catalog.jsonb_typeof(after) OPERATOR(pg_catalog.<>) 'null' THEN after END,
       CASE WHEN state_before OPERATOR(pg_catalog.<>) '' THEN state_before END,
       CASE WHEN state_after OPERATOR(pg_catalog.<>) '' THEN state_after END,
       $11
FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4),
                pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8),
                pg_catalog.unnest($9), pg_catalog.unnest($10))
     AS entry(slug, id, action, event, run, is_full, before, after, state_before, state_after)
