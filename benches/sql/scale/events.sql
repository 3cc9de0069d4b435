-- Batch $1 in a table of $2 customers: 500 that are new, 500 spread over those that are there.
INSERT INTO bench.step (batch, n, payload)
SELECT $1::bigint, n, bench.customer(
           CASE
               WHEN n % 2 = 0 THEN $2::bigint + $1::bigint * 500 + n / 2
               ELSE 1 + (n * ($2 / 1000) + $1 * 7) % $2
           END,
           1::smallint)
FROM generate_series(1::bigint, 1000) AS n
