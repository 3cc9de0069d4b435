-- The binding of a slug: its table (null when it was dropped), quoted names, and key sets.
SELECT c.oid,
       CASE WHEN c.oid IS NOT NULL THEN pg_catalog.format('%I.%I', n.nspname, c.relname) END,
       t.on_missing,
       (SELECT pg_catalog.jsonb_agg(
                   pg_catalog.jsonb_build_object(
                       'attributes', k.attributes,
                       'columns', (SELECT pg_catalog.jsonb_agg(pg_catalog.quote_ident(c.name) ORDER BY c.at)
                                   FROM ROWS FROM (pg_catalog.unnest(k.columns)) WITH ORDINALITY AS c(name, at)),
                       'is_unique', k.is_unique)
                   ORDER BY k.attributes)
        FROM erp.entity_key AS k
        WHERE k.slug OPERATOR(pg_catalog.=) t.slug),
       t.tableoid,
       -- Whether INSERT … ON CONFLICT may be refused for what the proposed row lacks.
       c.relrowsecurity
       OR EXISTS (SELECT FROM pg_catalog.pg_trigger AS g
                  WHERE g.tgrelid OPERATOR(pg_catalog.=) c.oid
                    AND NOT g.tgisinternal
                    AND (g.tgtype::pg_catalog.int4 OPERATOR(pg_catalog.&) 7) OPERATOR(pg_catalog.=) 7)
       OR EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                  WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid
                    AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2
                    AND a.attnotnull
                    AND NOT a.atthasdef
                    AND a.attidentity OPERATOR(pg_catalog.=) ''::pg_catalog."char"
                    AND a.attname OPERATOR(pg_catalog.<>) ALL ('{id,attributes}'::pg_catalog.name[])),
       (SELECT pg_catalog.jsonb_build_object(
                   'is_managed', t.is_managed,
                   'id', pg_catalog.quote_ident(t.id_column),
                   'id_type', pg_catalog.format('%I.%I', s.nspname, y.typname),
                   'attributes', pg_catalog.quote_ident(t.attributes_column),
                   'stub', pg_catalog.quote_ident(t.stub_column),
                   'created_at', pg_catalog.quote_ident(t.created_at_column),
                   'updated_at', pg_catalog.quote_ident(t.updated_at_column),
                   'deleted_at', pg_catalog.quote_ident(t.deleted_at_column))
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_type AS y ON y.oid OPERATOR(pg_catalog.=) a.atttypid
        JOIN pg_catalog.pg_namespace AS s ON s.oid OPERATOR(pg_catalog.=) y.typnamespace
        WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid
          AND a.attname OPERATOR(pg_catalog.=) t.id_column::pg_catalog.name)
FROM erp.entity_type AS t
LEFT JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.table_name
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE t.slug OPERATOR(pg_catalog.=) $1
