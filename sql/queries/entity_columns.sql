-- The columns of a registered table that keep attributes: what binds them, and their types.
SELECT pg_catalog.jsonb_agg(
           pg_catalog.jsonb_build_object(
               'attribute', COALESCE(e.attribute, a.attname::pg_catalog.text),
               'name', pg_catalog.quote_ident(a.attname::pg_catalog.text),
               'relation', e.relation_schema,
               'is_id', a.attname::pg_catalog.text OPERATOR(pg_catalog.=) t.id_column,
               'is_generated', a.attgenerated OPERATOR(pg_catalog.<>) ''::pg_catalog."char",
               'is_array', y.typcategory OPERATOR(pg_catalog.=) 'A'::pg_catalog."char",
               'default', CASE WHEN a.attname::pg_catalog.text OPERATOR(pg_catalog.=) t.id_column
                                    AND (a.atthasdef OR a.attidentity OPERATOR(pg_catalog.<>) ''::pg_catalog."char")
                          THEN a.attnum END,
               'has_modifier', b.modifier OPERATOR(pg_catalog.>=) 0,
               -- The type's own equality: citext is not compared as text.
               'equals', (SELECT pg_catalog.format('OPERATOR(%I.%s)', m.nspname, o.oprname)
                          FROM pg_catalog.pg_opclass AS k
                          JOIN pg_catalog.pg_am AS h ON h.oid OPERATOR(pg_catalog.=) k.opcmethod
                                                    AND h.amname OPERATOR(pg_catalog.=) 'btree'
                          JOIN pg_catalog.pg_amop AS e ON e.amopfamily OPERATOR(pg_catalog.=) k.opcfamily
                                                      AND e.amoplefttype OPERATOR(pg_catalog.=) b.type
                                                      AND e.amoprighttype OPERATOR(pg_catalog.=) b.type
                                                      AND e.amopstrategy OPERATOR(pg_catalog.=) 3::pg_catalog.int2
                          JOIN pg_catalog.pg_operator AS o ON o.oid OPERATOR(pg_catalog.=) e.amopopr
                          JOIN pg_catalog.pg_namespace AS m ON m.oid OPERATOR(pg_catalog.=) o.oprnamespace
                          WHERE k.opcdefault AND k.opcintype OPERATOR(pg_catalog.=) b.type),
               -- Which fields an interval has cannot be said behind a qualified name.
               'type', CASE WHEN y.typname OPERATOR(pg_catalog.=) ANY ('{interval,_interval}') AND b.modifier OPERATOR(pg_catalog.>=) 0
                       THEN pg_catalog.format_type(b.type, b.modifier)
                       ELSE pg_catalog.format('%I.%I', s.nspname, y.typname)
                            OPERATOR(pg_catalog.||) COALESCE(pg_catalog.substring(pg_catalog.format_type(b.type, b.modifier), '[(][0-9, -]+[)]'), '') END)
           ORDER BY a.attnum)
FROM erp.entity_type AS t
JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.table_name
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
LEFT JOIN erp.entity_column AS e
       ON e.slug OPERATOR(pg_catalog.=) t.slug AND e.column_name OPERATOR(pg_catalog.=) a.attname::pg_catalog.text
-- The type beneath a domain: what a domain demands is for the table to check.
CROSS JOIN LATERAL (
    WITH RECURSIVE base AS (
        SELECT 0 AS depth, a.atttypid AS type, a.atttypmod AS modifier
        UNION ALL
        SELECT base.depth OPERATOR(pg_catalog.+) 1, d.typbasetype, d.typtypmod
        FROM base JOIN pg_catalog.pg_type AS d ON d.oid OPERATOR(pg_catalog.=) base.type
        WHERE d.typtype OPERATOR(pg_catalog.=) 'd'::pg_catalog."char")
    SELECT base.type, base.modifier FROM base ORDER BY base.depth DESC LIMIT 1) AS b
JOIN pg_catalog.pg_type AS y ON y.oid OPERATOR(pg_catalog.=) b.type
JOIN pg_catalog.pg_namespace AS s ON s.oid OPERATOR(pg_catalog.=) y.typnamespace
WHERE t.slug OPERATOR(pg_catalog.=) $1
  AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2
  AND NOT a.attisdropped
  AND NOT (a.attname::pg_catalog.text OPERATOR(pg_catalog.=) ANY (pg_catalog.array_remove(
          ARRAY[t.attributes_column, t.stub_column, t.created_at_column, t.updated_at_column, t.deleted_at_column], NULL)))
  AND NOT EXISTS (SELECT FROM erp.entity_column AS o
                  WHERE o.slug OPERATOR(pg_catalog.=) t.slug
                    AND o.attribute OPERATOR(pg_catalog.=) a.attname::pg_catalog.text
                    AND o.column_name OPERATOR(pg_catalog.<>) a.attname::pg_catalog.text)
