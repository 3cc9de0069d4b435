-- As find_by_key, for identifiers without an index: one pass over the table.
SELECT k.n, {id} AS id, {is_stub} AS stub, {is_deleted} AS is_deleted, {attributes} AS attributes
FROM {rows} AS k({names}, n)
JOIN {table} AS t ON {match}
