-- Rows that are new or changed in version $1 of the events. They get numbers from 1 to $3, as the
-- events have, in the order in which they were written.
INSERT INTO bench.ready (version, table_name, n, id, attributes, stub)
SELECT $1, $2, ceil(row_number() OVER (ORDER BY t.ctid) * $3::integer::numeric / count(*) OVER ())::integer,
       t.id, t.attributes, t.stub
FROM {table} AS t
WHERE NOT EXISTS (
    SELECT FROM bench.ready AS r WHERE r.table_name = $2 AND r.id = t.id AND r.attributes = t.attributes
)
