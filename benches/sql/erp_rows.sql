SELECT count(*)
FROM (SELECT payload FROM bench.event WHERE version = $1 AND n BETWEEN $2 AND $3 ORDER BY n) AS e
CROSS JOIN LATERAL erp_apply((SELECT document FROM bench.mapping), '{event}', e.payload)
