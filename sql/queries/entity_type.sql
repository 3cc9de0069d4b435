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
       t.tableoid
FROM erp.entity_type AS t
LEFT JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.table_name
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE t.slug OPERATOR(pg_catalog.=) $1
