-- The entities that have one of the given keys. Where a key is not unique, at most a hundred:
-- more than two, because events of the chunk may take the key from some. Live ones come first,
-- so that a soft-deleted entity does not make a key ambiguous.
SELECT k.n, e.id, e.stub, e.is_deleted, e.attributes
FROM {rows} AS k({names}, n)
CROSS JOIN LATERAL (
    SELECT {id} AS id, {is_stub} AS stub, {is_deleted} AS is_deleted, {attributes} AS attributes
    FROM {table} AS t
    WHERE {match}
    {pick}
) AS e
