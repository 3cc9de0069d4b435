SELECT count(*)
FROM erp_apply_batch(
    (SELECT document FROM bench.mapping),
    '{event}',
    ARRAY(SELECT payload FROM bench.step WHERE batch = $1 ORDER BY n))
