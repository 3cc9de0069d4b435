-- Values as a column has them: each by its position, cast and read back.
SELECT k.n, pg_catalog.to_jsonb(r.v)
FROM ROWS FROM (pg_catalog.unnest($1)) WITH ORDINALITY AS k(p, n)
CROSS JOIN LATERAL pg_catalog.jsonb_to_record(pg_catalog.jsonb_build_object('v', k.p)) AS r(v {type})
