-- erp_purge_deleted: empties the recycle bin.
CREATE SCHEMA purge_deleted;
SET search_path = purge_deleted, public;
SELECT count(*) AS statements FROM erp_prepare(customer_mapping());
CREATE VIEW contacts AS SELECT readable(attributes) AS contact, deleted_at IS NOT NULL AS is_deleted FROM contact ORDER BY customer_number;
CREATE VIEW accounts AS SELECT attributes AS account, deleted_at IS NOT NULL AS is_deleted FROM account ORDER BY number;

-- C-1 to C-6 link to accounts A-1 to A-6; each is deleted as many weeks ago as its number says, but for the sixth, which is not.
CREATE PROCEDURE begin_with() LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE contact, account;
    PERFORM erp_apply_batch(customer_mapping(), 'Changed',
        (SELECT array_agg(jsonb_build_object('id', 'C-' || n, 'account', 'A-' || n) ORDER BY n) FROM generate_series(1, 6) AS n));
    UPDATE contact SET deleted_at = now() - right(customer_number, 1)::int * interval '1 week' WHERE customer_number < 'C-6';
    UPDATE account SET deleted_at = now() - right(number, 1)::int * interval '1 week' WHERE number < 'A-6';
END $$;

-- Longer ago than 30 days unless told otherwise; of all types, stubs as well, with the items that name them.
CALL begin_with();
SELECT erp_purge_deleted();
SELECT * FROM contacts;
SELECT * FROM accounts;
SELECT erp_purge_deleted();
SELECT erp_purge_deleted('14 days');
-- The time itself is not longer ago.
BEGIN;
UPDATE account SET deleted_at = now() - interval '7 days' WHERE number = 'A-1';
SELECT erp_purge_deleted(interval '7 days');
ROLLBACK;
SELECT erp_purge_deleted(older_than => '0 days');
SELECT * FROM contacts;
SELECT * FROM accounts;

-- Live ones lose the item that names what is purged; it changed them.
CALL begin_with();
UPDATE contact SET deleted_at = NULL, updated_at = '2024-01-01';
SELECT erp_purge_deleted('3 weeks');
SELECT * FROM contacts;
SELECT customer_number, updated_at > '2024-01-01' AS updated FROM contact ORDER BY 1;

-- At most so many, the oldest of a type first
CALL begin_with();
SELECT erp_purge_deleted(max_rows => 0);
SELECT erp_purge_deleted('0 days', 2);
SELECT number FROM account WHERE deleted_at IS NOT NULL UNION ALL SELECT customer_number FROM contact WHERE deleted_at IS NOT NULL ORDER BY 1;
SELECT erp_purge_deleted('0 days', 6);
SELECT number FROM account WHERE deleted_at IS NOT NULL UNION ALL SELECT customer_number FROM contact WHERE deleted_at IS NOT NULL ORDER BY 1;
SELECT erp_purge_deleted('0 days', 100);
SELECT erp_purge_deleted('0 days', 9223372036854775807);
-- More than one batch
INSERT INTO account (id, attributes, deleted_at) SELECT gen_random_uuid(), jsonb_build_object('number', 'many ' || n), now() - interval '1 year' FROM generate_series(1, 2500) AS n;
SELECT erp_purge_deleted(max_rows => 1200);
SELECT erp_purge_deleted();
SELECT count(*) FROM account;

-- What is wrong with its arguments
SELECT arguments, f.*
FROM unnest(ARRAY['NULL', $$'1 day', -1$$, 'NULL, NULL']) WITH ORDINALITY AS a(arguments, n), failure(format('SELECT erp_purge_deleted(%s)', arguments)) AS f
ORDER BY n;

-- What the user's own tables refuse: their error, nothing is purged.
CALL begin_with();
CREATE TABLE invoice (account uuid REFERENCES account);
INSERT INTO invoice SELECT id FROM account WHERE number = 'A-5';
SELECT state, message FROM failure('SELECT erp_purge_deleted()');
SELECT count(*) FROM contact;
DROP TABLE invoice;
-- What a trigger keeps silently stays, with the relations to it; the rest goes, and the call ends.
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE DELETE ON account FOR EACH ROW WHEN (OLD.number = 'A-5') EXECUTE FUNCTION keep();
UPDATE contact SET deleted_at = NULL;
SET statement_timeout = '10s';
SELECT erp_purge_deleted('0 days');
SELECT * FROM contacts;
SELECT * FROM accounts;
RESET statement_timeout;
DROP TRIGGER keep ON account;

-- max_prune is about events.
SET erp_toolkit.max_prune = 0;
SELECT erp_purge_deleted('0 days');
RESET erp_toolkit.max_prune;

-- A type whose table was dropped is passed over.
CALL begin_with();
SELECT erp_create_entity('meter', ARRAY['number']);
DROP TABLE meter;
SELECT erp_purge_deleted('0 days');

-- In a large table what is deleted, and who names it, is found through indexes.
CALL begin_with();
INSERT INTO account (id, attributes) SELECT gen_random_uuid(), jsonb_build_object('number', n) FROM generate_series(1, 20000) AS n;
INSERT INTO contact (id, attributes)
SELECT gen_random_uuid(), jsonb_build_object('customer_number', n, 'account', jsonb_build_object('$relation', jsonb_build_array(jsonb_build_object('entity_id', a.id, '_schema', 'account'))))
FROM generate_series(1, 20000) AS n JOIN account AS a ON a.number = n::text;
CREATE TABLE scans AS SELECT relname, seq_scan FROM pg_stat_xact_user_tables WITH NO DATA;
BEGIN;
INSERT INTO scans SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname IN ('account', 'contact');
SELECT erp_purge_deleted('0 days');
SELECT relname, s.seq_scan - b.seq_scan AS seq_scans FROM pg_stat_xact_user_tables AS s JOIN scans AS b USING (relname) ORDER BY relname;
COMMIT;

CALL forget('purge_deleted');
