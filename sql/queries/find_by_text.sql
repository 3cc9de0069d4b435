-- As find_by_key, of a column of text that is unique. Keys by which there is nothing give no row.
SELECT t.{column}, {id} AS id, {is_stub} AS stub, {is_deleted} AS is_deleted, {attributes} AS attributes
FROM {table} AS t
WHERE t.{column} OPERATOR(pg_catalog.=) ANY ($1) {and_stub}
