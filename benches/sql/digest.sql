-- The rows of a table, the ids in their relations replaced by the keys of the entities.
SELECT count(*),
       sum(hashtextextended(
           format('%s %s %s %s', t.attributes - coalesce(r.names, '{}'), r.relations, t.stub, t.deleted_at IS NULL),
           0))::text
FROM {table} AS t
CROSS JOIN LATERAL (
    SELECT array_agg(m.name) AS names,
           jsonb_object_agg(
               m.name,
               (
                   SELECT jsonb_agg(
                              i.item || jsonb_build_object(
                                  'entity_id',
                                  (SELECT k.key FROM key AS k WHERE k.id = (i.item ->> 'entity_id')::uuid))
                              ORDER BY i.n)
                   FROM jsonb_array_elements(m.value -> '$relation') WITH ORDINALITY AS i(item, n)
               )) AS relations
    FROM jsonb_each(t.attributes) AS m(name, value)
    WHERE m.value ? '$relation'
) AS r
