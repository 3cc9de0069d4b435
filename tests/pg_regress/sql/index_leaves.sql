-- Batches read the pages of an index themselves: they find what statements find, whatever the keys and the tree are.
CREATE SCHEMA index_leaves;
SET search_path = index_leaves, public;
SELECT erp_create_entity('part', ARRAY['number']), erp_create_entity('part', ARRAY['bin'], false), erp_create_entity('stock', ARRAY['part', 'place']);
SELECT changed('{"entity_schema": "part", "unique_ids": ["number"], "fields": [{"attribute": "number", "field": "number"},
        {"attribute": "like", "relations": {"items": [{"entity_schema": "part", "unique_ids": [{"attribute": "bin", "field": "bin"}]}]}}]}') AS parts,
       changed('{"entity_schema": "stock", "unique_ids": ["place", "part"], "fields": [{"attribute": "part", "field": "part"}, {"attribute": "place", "field": "place"}]}') AS stocks \gset

-- Keys of all lengths, of which some begin alike, and some hold other letters.
CREATE FUNCTION key(n bigint) RETURNS text LANGUAGE sql IMMUTABLE RETURN CASE n % 5
    WHEN 0 THEN n::text
    WHEN 1 THEN md5(n::text)
    WHEN 2 THEN repeat(md5(n::text), 1 + (n % 15)::int)
    WHEN 3 THEN 'the-number-of-a-part-in-the-northern-region-' || n
    ELSE repeat('ä', (n % 40)::int) || n END;
-- How many of a batch are told to be there, and how many are told otherwise than a statement finds them.
PREPARE parts AS WITH asked AS (SELECT n, key($1 + n * $2) FROM generate_series(1, 1000) AS n)
SELECT count(*) FILTER (WHERE action = 'unchanged') AS there,
       count(*) FILTER (WHERE (action = 'unchanged') <> EXISTS (SELECT FROM part WHERE part.number = asked.key)) AS mistaken
FROM erp_apply_batch(:'parts', 'Changed', ARRAY(SELECT jsonb_build_object('number', key) FROM asked ORDER BY n)) AS told JOIN asked ON asked.n = told.event;

-- An index without rows, one of a single page, and one of three levels, of which every second key is there.
BEGIN;
EXECUTE parts(0, 2);
EXECUTE parts(0, 1);
ROLLBACK;
INSERT INTO part (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('number', key(n)) FROM generate_series(2, 60000, 2) AS n;
SELECT pg_relation_size('part_number_idx') > 512 * 8192 AS has_three_levels;
BEGIN;
EXECUTE parts(0, 1);
EXECUTE parts(20000, 2);
EXECUTE parts(1, 61);
EXECUTE parts(0, 60);
ROLLBACK;
EXECUTE parts(59990, 1);
BEGIN ISOLATION LEVEL SERIALIZABLE;
EXECUTE parts(30000, 1);
ROLLBACK;

-- Pages that were emptied, and used again.
DELETE FROM part WHERE number BETWEEN '1' AND '7' OR number LIKE 'the-%';
VACUUM part;
BEGIN;
EXECUTE parts(0, 1);
EXECUTE parts(1, 61);
ROLLBACK;
INSERT INTO part (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('number', key(n)) FROM generate_series(4, 30000, 4) AS n ON CONFLICT DO NOTHING;
BEGIN;
EXECUTE parts(0, 1);
EXECUTE parts(1, 61);
ROLLBACK;

-- Keys that an index compresses, and names that are null.
INSERT INTO part (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('number', repeat('long ', 150) || n) FROM generate_series(1, 500) AS n;
INSERT INTO part (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('number', NULL) FROM generate_series(1, 500) AS n;
BEGIN;
EXECUTE parts(0, 1);
EXECUTE parts(1, 61);
SELECT action, count(*) FROM erp_apply_batch(:'parts', 'Changed', ARRAY(SELECT jsonb_build_object('number', repeat('long ', 150) || n) FROM generate_series(401, 600) AS n)) GROUP BY action ORDER BY action;
ROLLBACK;

-- Many rows with one key, of which one is not deleted: the others stand in the same item of the index.
INSERT INTO part (id, attributes, deleted_at)
SELECT gen_random_uuid(), jsonb_build_object('number', 'b' || n, 'bin', 'bin ' || n % 200), CASE WHEN n NOT BETWEEN 6001 AND 6200 THEN now() END FROM generate_series(1, 12000) AS n;
VACUUM part;
REINDEX INDEX part_bin_idx;
SELECT action, count(*) FROM erp_apply_batch(:'parts', 'Changed', ARRAY(SELECT jsonb_build_object('number', 'like ' || n, 'bin', 'bin ' || n) FROM generate_series(0, 210) AS n)) GROUP BY action ORDER BY action;
SELECT count(*) AS linked_to_what_is_deleted
FROM part AS p JOIN part AS other ON other.id::text = p.attributes #>> '{like,$relation,0,entity_id}'
WHERE p.number LIKE 'like %' AND (other.deleted_at IS NOT NULL OR other.bin <> replace(p.number, 'like', 'bin'));

-- Two columns, of which the index has the other one first.
INSERT INTO stock (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('part', key(p), 'place', 'p' || l) FROM generate_series(2, 400, 2) AS p, generate_series(1, 60) AS l;
PREPARE stocks AS WITH asked AS (SELECT row_number() OVER () AS n, key(p) AS part, 'p' || l AS place FROM generate_series($1, $1 + 30) AS p, generate_series(50, 70) AS l)
SELECT count(*) FILTER (WHERE action = 'unchanged') AS there,
       count(*) FILTER (WHERE (action = 'unchanged') <> EXISTS (SELECT FROM stock AS s WHERE (s.part, s.place) = (asked.part, asked.place))) AS mistaken
FROM erp_apply_batch(:'stocks', 'Changed', ARRAY(SELECT jsonb_build_object('part', part, 'place', place) FROM asked ORDER BY n)) AS told JOIN asked ON asked.n = told.event;
EXECUTE stocks(10);
DROP INDEX stock_part_place_idx;
CREATE UNIQUE INDEX ON stock (place, part);
EXECUTE stocks(100);
-- Another order than that of the keys is left to scans.
DROP INDEX stock_place_part_idx;
CREATE UNIQUE INDEX ON stock (place DESC, part);
EXECUTE stocks(200);
CALL forget('index_leaves');
