SELECT count(*)
FROM erp_apply_batch(
    (SELECT document FROM bench.mapping),
    '{event}',
    ARRAY(SELECT payload FROM bench.event WHERE version = $1 AND n BETWEEN $2 AND $3 ORDER BY n))
