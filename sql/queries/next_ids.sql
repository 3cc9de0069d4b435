-- Ids for $1 new entities.
SELECT ({default})::{id_type}::pg_catalog.text
FROM pg_catalog.generate_series(1, $1)
