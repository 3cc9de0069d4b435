-- The time that $now() and $millis() tell is an argument, the transaction's by default.
CREATE FUNCTION times() RETURNS jsonb LANGUAGE sql
    RETURN changed('{"entity_schema": "contact", "unique_ids": ["id"], "fields": [
        {"attribute": "now", "jsonataExpression": "$now()"}, {"attribute": "millis", "jsonataExpression": "$millis()"}]}'::jsonb);

SELECT attributes
FROM unnest(ARRAY['2024-02-29 12:00:00.1239+01', '1969-12-31 23:59:59.999Z', '0001-01-01 00:00Z', '9999-12-31 23:59:59.999Z']::timestamptz[]) AS at,
     erp_map(times(), 'Changed', '{}', at => at);

BEGIN;
SELECT pg_sleep(0.01);
SELECT (attributes ->> 'now')::timestamptz = date_trunc('milliseconds', now()) AS is_the_transactions
FROM erp_map(times(), 'Changed', '{}')
UNION ALL
SELECT (attributes ->> 'now')::timestamptz = date_trunc('milliseconds', now())
FROM erp_map(times(), 'Changed', '{}', NULL);
COMMIT;

-- A time that is none
SELECT at, state, message FROM unnest(ARRAY['infinity', '-infinity']) AS at, failure(format('SELECT * FROM erp_map(times(), %L, %L, at => %L)', 'Changed', '{}', at));

DROP FUNCTION times;
