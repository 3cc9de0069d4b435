-- The first event, of some, that erp_map and the peer map to different updates.
SELECT min(e.n)
FROM bench.event AS e
WHERE e.n <= 1000
  AND (
      SELECT jsonb_agg(jsonb_build_array(m.entity_slug, m.attributes) ORDER BY m.n)
      FROM erp_map((SELECT document FROM bench.mapping), $1, e.payload)
           WITH ORDINALITY AS m(entity_slug, mode, unique_identifiers, attributes, scope, n)
  ) IS DISTINCT FROM (
      SELECT jsonb_agg(jsonb_build_array(m.entity_slug, m.attributes) ORDER BY m.n)
      FROM hand_sql.map(e.payload) WITH ORDINALITY AS m(entity_slug, attributes, n)
  )
