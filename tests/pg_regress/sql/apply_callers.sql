-- erp_apply in the hands of others: triggers, functions, transactions, other statements.
CREATE SCHEMA apply_callers;
SET search_path = apply_callers, public;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());

-- A trigger on a staging table; the event and what it writes are one.
CREATE TABLE staging (id int GENERATED ALWAYS AS IDENTITY, payload jsonb);
CREATE FUNCTION apply_staged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM erp_apply(customer_mapping(), 'Changed', NEW.payload);
    RETURN NEW;
END
$$;
CREATE TRIGGER apply_staged BEFORE INSERT ON staging FOR EACH ROW EXECUTE FUNCTION apply_staged();
INSERT INTO staging (payload) VALUES ('{"id": 1, "account": "A"}'), ('{"id": 2, "account": "A"}'), ('{"id": 1, "name": "again"}');
SELECT count(*) AS staged FROM staging;
SELECT readable(attributes) AS contact FROM contact ORDER BY customer_number;
INSERT INTO staging (payload) VALUES ('{"id": 3}'), ('{"name": "no id"}');
SELECT count(*) AS staged FROM staging;
SELECT count(*) AS contacts FROM contact;
-- After the statement, deferred to the end of the transaction
CREATE CONSTRAINT TRIGGER apply_deferred AFTER INSERT ON staging DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION apply_staged();
DROP TRIGGER apply_staged ON staging;
BEGIN;
INSERT INTO staging (payload) VALUES ('{"id": 3}');
SELECT count(*) AS contacts FROM contact;
COMMIT;
SELECT count(*) AS contacts FROM contact;

-- In PL/pgSQL, with an exception handler: what failed is undone, what went before stays.
CREATE FUNCTION apply_all(payloads jsonb[]) RETURNS TABLE (payload jsonb, outcome text) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH payload IN ARRAY payloads LOOP
        BEGIN
            SELECT a.action INTO outcome FROM erp_apply(customer_mapping(), 'Changed', apply_all.payload) AS a;
        EXCEPTION WHEN SQLSTATE 'MP005' THEN
            outcome := 'set aside: ' || SQLERRM;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
SELECT * FROM apply_all(ARRAY['{"id": 4}', '{"name": "no id"}', '{"id": 4, "name": "D"}']::jsonb[]);
SELECT attributes FROM erp_find('contact', '{"customer_number": 4}');

-- Savepoints: an error leaves the other work of the transaction intact.
BEGIN;
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 5}');
SAVEPOINT one;
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 6}');
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{}');
ROLLBACK TO one;
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 7}');
COMMIT;
SELECT customer_number FROM contact WHERE customer_number IN ('5', '6', '7') ORDER BY 1;
-- Rolled back, nothing is left, and the next call begins anew.
BEGIN;
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 8, "account": "B"}') ORDER BY 1;
ROLLBACK;
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 8, "account": "B"}') ORDER BY 1;

-- A call sees what statements before it in the transaction did, as well as other calls of the same statement.
BEGIN;
INSERT INTO contact (id, attributes) VALUES (gen_random_uuid(), '{"customer_number": 9, "name": "I"}');
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 9, "name": "I"}');
DELETE FROM contact WHERE customer_number = '9';
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 9, "name": "I"}');
COMMIT;
SELECT n, action FROM generate_series(1, 3) AS n, erp_apply(customer_mapping(), 'Changed', jsonb_build_object('id', 10, 'name', n / 2)) ORDER BY n;

-- From a table of events, in their order; only as many as are asked for.
CREATE TABLE event AS SELECT n, jsonb_build_object('event_name', 'Changed', 'payload', jsonb_build_object('id', 20 + n % 2, 'name', n)) AS event FROM generate_series(1, 4) AS n;
SELECT e.n, a.action FROM (SELECT * FROM event ORDER BY n) AS e, erp_apply(customer_mapping(), e.event) AS a ORDER BY n;

-- Inside a query that reads the table that it writes: the query sees it as it was.
SELECT count(*) AS rows_then, count(action) AS actions FROM contact LEFT JOIN LATERAL erp_apply(customer_mapping(), 'Changed', jsonb_build_object('id', 'copy of ' || customer_number)) ON customer_number ~ '^\d+$';
SELECT count(*) AS rows_now FROM contact;

-- A cursor, a prepared statement, a materialised view
BEGIN;
DECLARE results CURSOR FOR SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 30, "account": "C"}');
FETCH 1 FROM results;
FETCH ALL FROM results;
COMMIT;
PREPARE applying (jsonb, jsonb) AS SELECT action FROM erp_apply($1, 'Changed', $2);
EXECUTE applying (customer_mapping(), '{"id": 31}');
EXECUTE applying ('{"entities": []}', '{"id": 31}');
EXECUTE applying (customer_mapping(), '{"id": 31}');
DEALLOCATE applying;

-- Where nothing may be written
BEGIN READ ONLY;
SELECT * FROM failure($$ SELECT * FROM erp_apply(customer_mapping(), 'Changed', '{"id": 32}') $$) \gx
SELECT count(*) FROM erp_find('contact', '{"customer_number": 32}');
SELECT count(*) FROM erp_map(customer_mapping(), 'Changed', '{"id": 32}');
COMMIT;
-- In the other isolation levels
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 33}');
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 33, "name": "x"}');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 34, "account": "D"}') ORDER BY 1;
SELECT action FROM erp_apply(customer_mapping(), 'Changed', '{"id": 34, "name": "x"}');
COMMIT;

CALL forget('apply_callers');
