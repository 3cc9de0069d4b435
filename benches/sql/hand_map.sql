SELECT count(m.attributes)
FROM bench.event AS e
CROSS JOIN LATERAL map(e.payload) AS m
WHERE e.version = $1 AND e.n BETWEEN $2 AND $3
