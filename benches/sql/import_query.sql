SELECT e.payload
FROM generate_series(1, 1000) AS pass
CROSS JOIN LATERAL (SELECT payload FROM bench.event WHERE version = pass % 2 AND n <= 10000 ORDER BY n) AS e
LIMIT {limit}
