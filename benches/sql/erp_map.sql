SELECT count(m.attributes)
FROM bench.event AS e
CROSS JOIN LATERAL erp_map((SELECT document FROM bench.mapping), '{event}', e.payload) AS m
WHERE e.version = $1 AND e.n BETWEEN $2 AND $3
