-- New entities: the columns that the events give, the others' defaults.
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {values}
FROM {rows} AS i(id, a, stub, n)
CROSS JOIN LATERAL pg_catalog.jsonb_to_record(i.a) AS r({record})
ORDER BY i.n
