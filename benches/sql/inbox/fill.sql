-- Events of ten groups.
SELECT erp_enqueue_batch('bench/all', array_agg(
    jsonb_build_object('event_name', '{event}', 'group_key', n % 10, 'payload', payload) ORDER BY n))
FROM bench.event WHERE version = $1 GROUP BY (n - 1) / 1000
