-- Keys as the ids that they are.
SELECT k.id::{id_type}::pg_catalog.text
FROM ROWS FROM (pg_catalog.unnest($1)) WITH ORDINALITY AS k(id, n)
ORDER BY k.n
