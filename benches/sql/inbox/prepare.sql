-- A table as somebody would make it for incoming events.
CREATE TABLE bench.plain (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_name text NOT NULL,
    payload jsonb NOT NULL,
    deduplication_id text,
    correlation_id text,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_enabled = off);
CREATE UNIQUE INDEX ON bench.plain (deduplication_id) WHERE deduplication_id IS NOT NULL;

SELECT erp_create_integration('bench');
SELECT erp_set_use_case('bench/all', document) FROM bench.mapping;
