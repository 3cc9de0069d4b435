-- The binding of a slug: its table (null when it was dropped), quoted names, key sets.
SELECT c.oid,
       CASE WHEN c.oid IS NOT NULL THEN pg_catalog.format('%I.%I', n.nspname, c.relname) END,
       t.on_missing,
       (SELECT pg_catalog.jsonb_agg(
                   pg_catalog.jsonb_build_object(
                       'attributes', k.attributes,
                       'columns', (SELECT pg_catalog.jsonb_agg(pg_catalog.quote_ident(u.name) ORDER BY u.at)
                                   FROM ROWS FROM (pg_catalog.unnest(k.columns)) WITH ORDINALITY AS u(name, at)),
                       'is_unique', k.is_unique,
                       -- Of a registered table: whether soft-deleted rows count, too.
                       'is_whole', t.is_managed OR EXISTS (
                           SELECT FROM pg_catalog.pg_index AS i
                           WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid
                             AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                             AND i.indexprs IS NULL
                             AND (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attname::pg_catalog.text)
                                  FROM pg_catalog.pg_attribute AS a
                                  WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid
                                    AND a.attnum OPERATOR(pg_catalog.=) ANY (i.indkey[0:i.indnkeyatts OPERATOR(pg_catalog.-) 1]::pg_catalog.int2[]))
                                 OPERATOR(pg_catalog.=)
                                 (SELECT pg_catalog.array_agg(u.name ORDER BY u.name) FROM pg_catalog.unnest(k.columns) AS u(name))))
                   ORDER BY k.attributes)
        FROM erp.entity_key AS k
        WHERE k.slug OPERATOR(pg_catalog.=) t.slug),
       t.tableoid,
       pg_catalog.jsonb_build_object(
           'is_managed', t.is_managed,
           'id', pg_catalog.quote_ident(t.id_column),
           'attributes', pg_catalog.quote_ident(t.attributes_column),
           'stub', pg_catalog.quote_ident(t.stub_column),
           'created_at', pg_catalog.quote_ident(t.created_at_column),
           'updated_at', pg_catalog.quote_ident(t.updated_at_column),
           'deleted_at', pg_catalog.quote_ident(t.deleted_at_column),
           -- Columns of the binding that the table does not have.
           'missing', (SELECT pg_catalog.jsonb_agg(DISTINCT b.name)
                       FROM (SELECT pg_catalog.unnest(ARRAY[t.id_column, t.attributes_column, t.stub_column,
                                                            t.created_at_column, t.updated_at_column, t.deleted_at_column])
                             UNION ALL
                             SELECT e.column_name FROM erp.entity_column AS e WHERE e.slug OPERATOR(pg_catalog.=) t.slug
                             UNION ALL
                             SELECT pg_catalog.unnest(k.columns) FROM erp.entity_key AS k WHERE k.slug OPERATOR(pg_catalog.=) t.slug) AS b(name)
                       WHERE b.name IS NOT NULL
                         AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                                         WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid
                                           AND a.attname::pg_catalog.text OPERATOR(pg_catalog.=) b.name
                                           AND NOT a.attisdropped)),
           -- How many tables its foreign keys reach: those are written before it.
           'rank', (WITH RECURSIVE reached AS (
                        SELECT f.confrelid FROM pg_catalog.pg_constraint AS f
                        WHERE f.contype OPERATOR(pg_catalog.=) 'f'::pg_catalog."char" AND f.conrelid OPERATOR(pg_catalog.=) c.oid
                        UNION
                        SELECT f.confrelid FROM reached AS r
                        JOIN pg_catalog.pg_constraint AS f ON f.conrelid OPERATOR(pg_catalog.=) r.confrelid
                        WHERE f.contype OPERATOR(pg_catalog.=) 'f'::pg_catalog."char")
                    SELECT pg_catalog.count(*) FROM reached))
FROM erp.entity_type AS t
LEFT JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.table_name
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE t.slug OPERATOR(pg_catalog.=) $1
