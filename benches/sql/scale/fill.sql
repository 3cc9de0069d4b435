SELECT count(*)
FROM erp_apply_batch(
    (SELECT document FROM bench.mapping),
    '{event}',
    ARRAY(SELECT bench.customer(n, 0::smallint) FROM generate_series($1::bigint, $2::bigint) AS n))
