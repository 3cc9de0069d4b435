-- Registered tables: values are what their columns read. They are cast before anything is compared.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS citext;
RESET client_min_messages;
CREATE SCHEMA tables_types;
SET search_path = tables_types, public;
CREATE TYPE color AS ENUM ('red', 'green');
CREATE TYPE place AS (city text, zip int);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN named AS text NOT NULL CHECK (VALUE <> 'nobody');
CREATE DOMAIN few AS positive CHECK (VALUE < 10);
CREATE TABLE thing (
    no int PRIMARY KEY,
    d date, ts timestamp, tz timestamptz, ts0 timestamptz(0), tm time, ttz timetz, iv interval, ivd interval day to second(0), ivh interval hour, iv0 interval(0),
    n numeric, n2 numeric(6, 2), nk numeric(5, -3), i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, money money,
    b boolean, e color, tx text, vc varchar(5), ch char(4), ci citext, nm name, bits bit(3), vbits varbit(5),
    dom positive, dom2 few, nn named DEFAULT 'somebody',
    ta text[], ia int[], na numeric(6, 2)[], ea color[], ia2 int[][], ja jsonb[],
    comp place, comps place[],
    js json, jb jsonb, x xml, by bytea, ip inet, mac macaddr, u uuid, rng int4range, mrng int4multirange, tsr tstzrange, pt point, vec tsvector
);
SELECT erp_register_entity('thing', 'thing', ARRAY['no']);

CREATE FUNCTION plain(slug text, unique_ids text[], attributes text[], mode text DEFAULT 'upsert') RETURNS jsonb LANGUAGE sql
    RETURN changed(jsonb_build_object('entity_schema', slug, 'unique_ids', unique_ids, 'mode', mode,
        'fields', (SELECT jsonb_agg(jsonb_build_object('attribute', a, 'field', a)) FROM unnest(attributes) AS a)));
-- What a value given to a column leaves there, and what giving the same value once more does.
CREATE FUNCTION given(attribute text, value jsonb, OUT stored text, OUT again text, OUT error text) LANGUAGE plpgsql AS $$
DECLARE
    mapping jsonb := plain('thing', '{no}', ARRAY['no', attribute]);
    event jsonb := jsonb_build_object('no', 1, attribute, value);
BEGIN
    BEGIN
        DELETE FROM thing;
        INSERT INTO thing (no) VALUES (1);
        PERFORM erp_apply(mapping, 'Changed', event);
        EXECUTE format('SELECT %I::text FROM thing', attribute) INTO stored;
        SELECT action INTO again FROM erp_apply(mapping, 'Changed', event);
    EXCEPTION WHEN OTHERS THEN
        error := SQLSTATE || ': ' || SQLERRM;
    END;
END
$$;
CREATE FUNCTION given_each(attribute text, VARIADIC given text[]) RETURNS TABLE (attribute text, value text, stored text, again text, error text) LANGUAGE sql
    BEGIN ATOMIC SELECT attribute, v, g.* FROM unnest(given) WITH ORDINALITY AS u(v, n) CROSS JOIN LATERAL given(attribute, v::jsonb) AS g ORDER BY n; END;

-- Dates and times, in any spelling that the type reads; not those that depend on the session
SELECT * FROM given_each('d', '"1980-1-2"', '"1980-01-02"', '"2 January 1980"', '"infinity"', '"0044-03-15 BC"', '"1980-02-30"', '""', '19800102', 'true', '[]', '{}', 'null');
SELECT * FROM given_each('ts', '"2024-05-06T07:08:09.123456"', '"2024-05-06 07:08"', '"2024-05-06T07:08:09+02"', '"yesterday-ish"');
SELECT * FROM given_each('tz', '"2024-05-06T07:08:09.5+02:00"', '"2024-05-06T05:08:09.500Z"', '"2024-05-06"', '"-infinity"');
SELECT * FROM given_each('ts0', '"2024-05-06T07:08:09.6Z"');
SELECT * FROM given_each('tm', '"7:08"', '"24:00"', '"25:00"');
SELECT * FROM given_each('ttz', '"7:08+02"');
SELECT * FROM given_each('iv', '"1 day 2:00"', '"P1Y2M"', '"90 minutes"', '"soon"');
SELECT * FROM given_each('ivd', '"1 day 2:00:00.7"');
SELECT * FROM given_each('ivh', '"1 day 2:30"');
SELECT * FROM given_each('iv0', '"2:00:00.7"');
-- Numbers
SELECT * FROM given_each('n', '1.10', '"1.10"', '12345678901234567890.123456789', '1e3', '"NaN"', '"x"', 'true', '[1]');
SELECT * FROM given_each('n2', '12.5', '"12.50"', '12.345', '99999.99', 'null');
SELECT * FROM given_each('nk', '12345', '"12345"', '123456789');
SELECT * FROM given_each('i2', '7', '"7"', '7.0', '7.5', '40000', '-32768', '"a"');
SELECT * FROM given_each('i4', '2147483647', '2147483648', '" 12 "', '"1F"', '1e2');
SELECT * FROM given_each('i8', '9223372036854775807', '9223372036854775808', '"0007"');
SELECT * FROM given_each('f4', '0.1', '"0.10"', '1e39', '"Infinity"');
SELECT * FROM given_each('f8', '0.1', '1', '1.0', '1e400', '"-0"');
SELECT * FROM given_each('money', '12.5', '"$12.50"');
-- Booleans, enums, texts
SELECT * FROM given_each('b', 'true', '"yes"', '"0"', '1', '0', '2', '"maybe"', 'null');
SELECT * FROM given_each('e', '"red"', '"Red"', '1', 'null');
SELECT * FROM given_each('tx', '"a"', '1.10', 'true', '[1, 2]', '{"a": 1}', '""', 'null');
SELECT * FROM given_each('vc', '"abcde"', '"abcdef"', '"abcde  "', '1.10');
SELECT * FROM given_each('ch', '"ab"', '"ab  "', '"abcde"');
SELECT * FROM given_each('ci', '"Abc"', '12');
SELECT * FROM given_each('nm', '"a"');
SELECT * FROM given_each('bits', '"101"', '"10"', '5');
SELECT * FROM given_each('vbits', '"101"');
-- Domains: the type beneath is what a value must fit; what the domain demands is its own error.
SELECT * FROM given_each('dom', '5', '"5"', '-5', '"five"', 'null');
SELECT * FROM given_each('dom2', '5', '10', '-1');
SELECT * FROM given_each('nn', '"Ada"', '"nobody"', 'null');
-- Arrays: a single value is a list of one
SELECT * FROM given_each('ta', '["a", "b"]', '"a"', '[]', '[null, "x"]', '["a", 1, true]', '[["a"], ["b"]]', '{"a": 1}', '{"_append": ["z"]}', '{"_append": "z"}', '{"_set": null}', 'null');
SELECT * FROM given_each('ia', '[1, "2", 3.0]', '7', '["x"]', '[1.5]', '"{1,2}"', '"{1}"', '{"_append": [1, "02"]}', '{"_append": ["x"]}');
SELECT * FROM given_each('na', '[1.5, "1.50"]', '[99999]');
SELECT * FROM given_each('ea', '["red"]', '["blue"]');
SELECT * FROM given_each('ia2', '[[1, 2], [3, 4]]', '[[1, 2], [3]]', '{"_append": [[5, 6]]}');
SELECT * FROM given_each('ja', '[{"a": 1}, [1], null]');
-- Composites
SELECT * FROM given_each('comp', '{"city": "Bonn", "zip": "53111"}', '{"zip": 53111, "city": "Bonn"}', '{"city": "Bonn"}', '{"city": "Bonn", "country": "DE"}', '"(Bonn,53111)"', '{"zip": "x"}', '{"_append": [1]}', 'null');
SELECT * FROM given_each('comps', '[{"city": "Bonn", "zip": 1}]', '{"city": "Bonn"}');
-- JSON: jsonb is kept as it is
SELECT * FROM given_each('js', '{"b": 1, "a": [1.10]}', '"text"', 'null');
SELECT * FROM given_each('jb', '{"b": 1, "a": [1.10]}', '"text"', '1.10', '[]', '{"_append": [1]}', '{"_append": [1], "b": 2}', 'null');
SELECT * FROM given_each('x', '"<a/>"');
-- Others
SELECT * FROM given_each('by', '"\\xDEADbeef"', '"abc"', '"\\xZZ"');
SELECT * FROM given_each('ip', '"10.0.0.1"', '"10.0.0.1/32"', '"10.0.0"');
SELECT * FROM given_each('mac', '"08-00-2b-01-02-03"');
SELECT * FROM given_each('u', '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"', '"{a0eebc999c0b4ef8bb6d6bb9bd380a11}"', '"a0"');
SELECT * FROM given_each('rng', '"[1,3]"', '"[1,4)"', '"empty"', '"[3,1]"');
SELECT * FROM given_each('mrng', '"{[1,3],[3,5]}"');
SELECT * FROM given_each('tsr', '"[2024-01-01,)"');
SELECT * FROM given_each('pt', '"1,2"', '"(1,2)"');
SELECT * FROM given_each('vec', '"b a"');
-- The whole error
SELECT * FROM failure($$ SELECT erp_apply(plain('thing', '{no}', '{no,n2}'), 'Changed', '{"no": 1, "n2": "12,5"}') $$) \gx
SELECT * FROM failure($$ SELECT erp_apply(plain('thing', '{no}', '{no,na}'), 'Changed', '{"no": 1, "na": ["secret"]}') $$) \gx

-- What a cast itself raises is its own error as well, of that event alone.
CREATE TYPE counted AS (n positive);
ALTER TABLE thing ADD COLUMN pos positive[], ADD COLUMN cnt counted, ADD COLUMN reg regclass;
SELECT * FROM given_each('pos', '[1, "2"]', '[0]', '["x"]', '{"_append": [-1]}');
SELECT * FROM given_each('cnt', '{"n": 1}', '{"n": -1}');
SELECT * FROM given_each('reg', '"thing"', '"nothing"');
SELECT event, action, error ->> 'sqlstate' AS state, error ->> 'message' AS message
FROM erp_apply_batch(plain('thing', '{no}', '{no,pos,d}'), 'Changed', ARRAY['{"no": 1, "pos": [1]}', '{"no": 2, "pos": [0]}', '{"no": 3, "pos": ["x"]}', '{"no": 4, "pos": [0], "d": "x"}', '{"no": 5, "pos": 5}']::jsonb[], 'continue');

-- However the session reads string literals
SET standard_conforming_strings = off;
SET escape_string_warning = off;
ALTER TABLE thing ADD COLUMN n3 numeric(6, 3);
SELECT * FROM given_each('n3', '1.2345');
RESET standard_conforming_strings;
RESET escape_string_warning;

-- Keys are found in every spelling; and what is found is one row.
CREATE TABLE keyed (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, i int, n numeric, d date, t timestamptz, u uuid, e color, c char(3), ci citext, v varchar(10), b boolean, f float8, dm few, iv interval, x text,
    UNIQUE (i), UNIQUE (iv), UNIQUE (n), UNIQUE (d), UNIQUE (t), UNIQUE (u), UNIQUE (e), UNIQUE (c), UNIQUE (ci), UNIQUE (v), UNIQUE (b), UNIQUE (f), UNIQUE (dm), UNIQUE (d, n));
SELECT erp_register_entity('keyed', 'keyed', ARRAY[key]) FROM unnest('{i,n,d,t,u,e,c,ci,v,b,f,dm,iv}'::text[]) AS key;
SELECT erp_register_entity('keyed', 'keyed', '{d,n}');
CREATE FUNCTION spelt(unique_ids text[], VARIADIC events text[]) RETURNS TABLE (event text, action text, id text, keys jsonb, hits bigint) LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE keyed RESTART IDENTITY;
    FOREACH event IN ARRAY events LOOP
        BEGIN
            SELECT a.action, a.entity_id, a.unique_identifiers, NULL FROM erp_apply(plain('keyed', unique_ids, unique_ids || 'x'::text), 'Changed', event::jsonb) AS a INTO action, id, keys, hits;
            SELECT count(*) FROM erp_find('keyed', event::jsonb - 'x') INTO hits;
        EXCEPTION WHEN OTHERS THEN
            action := SQLSTATE || ': ' || SQLERRM; id := NULL; keys := NULL; hits := NULL;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
SELECT * FROM spelt('{i}', '{"i": 7}', '{"i": "7"}', '{"i": "007"}', '{"i": 7.0}', '{"i": 7.5}', '{"i": "x"}', '{"i": ""}', '{"i": null}', '{"i": [7]}', '{"i": " 7"}', '{"i": 99999999999}');
SELECT * FROM spelt('{n}', '{"n": 1.10}', '{"n": "1.1"}', '{"n": 1.1}', '{"n": "1.1000"}', '{"n": 11e-1}', '{"n": "x"}', '{"n": "NaN"}', '{"n": "nan"}');
SELECT * FROM spelt('{d}', '{"d": "1980-01-02"}', '{"d": "1980-1-2"}', '{"d": "Jan 2, 1980"}', '{"d": "1980-13-01"}');
SELECT * FROM spelt('{t}', '{"t": "2024-01-01T00:00:00Z"}', '{"t": "2024-01-01T01:00:00+01"}', '{"t": "2024-01-01"}');
SELECT * FROM spelt('{u}', '{"u": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"}', '{"u": "a0eebc999c0b4ef8bb6d6bb9bd380a11"}', '{"u": "a"}');
SELECT * FROM spelt('{e}', '{"e": "red"}', '{"e": "red"}', '{"e": "RED"}');
SELECT * FROM spelt('{c}', '{"c": "a"}', '{"c": "a  "}', '{"c": "abcd"}');
-- Keys are compared as text, exactly. Where the table's type takes two texts for one, its index refuses the second.
SELECT * FROM spelt('{ci}', '{"ci": "Abc"}', '{"ci": "aBC"}');
SELECT * FROM spelt('{iv}', '{"iv": "1 day"}', '{"iv": "1 day 00:00"}', '{"iv": "24:00"}');
SELECT * FROM spelt('{v}', '{"v": 7}', '{"v": "7"}', '{"v": 7.0}', '{"v": true}', '{"v": "true"}', '{"v": "12345678901"}');
SELECT * FROM spelt('{b}', '{"b": true}', '{"b": "yes"}', '{"b": 0}', '{"b": false}');
SELECT * FROM spelt('{f}', '{"f": 0.1}', '{"f": "0.10"}', '{"f": 1e-1}');
SELECT * FROM spelt('{dm}', '{"dm": 5}', '{"dm": "05"}', '{"dm": 11}');
SELECT * FROM spelt('{d,n}', '{"d": "1980-01-02", "n": 1}', '{"d": "1980-1-2", "n": "1.00"}', '{"n": 2, "d": "1980-01-02"}', '{"d": "1980-1-2"}');

-- An id is the same text when it is given and when it is read; so links to it are.
CREATE FUNCTION linked(type text, VARIADIC ids text[]) RETURNS TABLE (id text, created text, read text, link jsonb, again text) LANGUAGE plpgsql AS $$
DECLARE
    link jsonb := '{"entity_schema": "linker", "unique_ids": ["no"], "fields": [{"attribute": "no", "constant": 1}, {"attribute": "to", "relations": {"operation": "_append_unique", "items": [
        {"entity_schema": "target", "unique_ids": [{"attribute": "id", "field": "id"}]}]}}]}';
BEGIN
    EXECUTE format('CREATE TABLE target (id %s PRIMARY KEY)', type);
    PERFORM erp_register_entity('target', 'target', '{id}');
    CREATE TABLE linker (no int PRIMARY KEY, "to" jsonb);
    PERFORM erp_register_entity('linker', 'linker', '{no}');
    FOREACH id IN ARRAY ids LOOP
        SELECT string_agg(a.entity_id, ' ') INTO created FROM erp_apply(changed(link), 'Changed', jsonb_build_object('id', id::jsonb)) AS a WHERE action = 'stubbed';
        SELECT a.entity_id INTO read FROM erp_apply(plain('target', '{id}', '{id}'), 'Changed', jsonb_build_object('id', id::jsonb)) AS a;
        SELECT a.action INTO again FROM erp_apply(changed(link), 'Changed', jsonb_build_object('id', id::jsonb)) AS a;
        SELECT jsonb_path_query_array("to", '$."$relation"[*].entity_id') INTO linked.link FROM linker;
        RETURN NEXT;
    END LOOP;
    PERFORM erp_unregister_entity('target'), erp_unregister_entity('linker');
    DROP TABLE target, linker;
END
$$;
SELECT * FROM linked('numeric(6, 2)', '1.1', '"1.10"', '"2"');
SELECT * FROM linked('numeric', '1.10', '"1.1"');
SELECT * FROM linked('timestamptz', '"2020-1-2"', '"2020-01-02T00:00:00Z"');
SELECT * FROM linked('char(4)', '"ab"', '"ab "');
SELECT * FROM linked('float8', '0.10', '1e20');
SELECT * FROM linked('boolean', '1', 'true');
SELECT * FROM linked('interval', '"90 min"', '"1:30"');
SELECT * FROM linked('uuid', '"{a0eebc999c0b4ef8bb6d6bb9bd380a11}"', '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"');

SET client_min_messages = warning;
CALL forget('tables_types');
DROP EXTENSION citext;
