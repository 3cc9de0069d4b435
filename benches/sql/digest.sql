-- The rows of a table, the ids in their relations replaced by the keys of the entities.
SELECT count(*),
       sum(hashtextextended(format('%s %s %s', a.attributes, t.stub, t.deleted_at IS NULL), 0))::text
FROM {table} AS t
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(
               m.name,
               CASE
                   WHEN m.value ? '$relation' THEN (
                       SELECT jsonb_agg(
                                  i.item || jsonb_build_object(
                                      'entity_id',
                                      (SELECT k.key FROM key AS k WHERE k.id = i.item ->> 'entity_id'))
                                  ORDER BY i.n)
                       FROM jsonb_array_elements(m.value -> '$relation') WITH ORDINALITY AS i(item, n)
                   )
                   ELSE m.value
               END) AS attributes
    FROM jsonb_each(t.attributes) AS m(name, value)
) AS a
