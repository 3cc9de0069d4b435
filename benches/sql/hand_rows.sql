SELECT count(apply_one(e.payload))
FROM (SELECT payload FROM bench.event WHERE version = $1 AND n BETWEEN $2 AND $3 ORDER BY n) AS e
