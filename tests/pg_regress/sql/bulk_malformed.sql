-- Payloads that cannot be read are events that fail, whatever the type they come in; what is wrong with the call is told
-- before an import is noted.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA malformed;
SET search_path = malformed, public;
SELECT count(*) > 0 AS is_prepared FROM erp_prepare(customer_mapping());

CREATE TABLE source AS
SELECT n, CASE n WHEN 2 THEN '{"id": 2' WHEN 3 THEN '' WHEN 4 THEN repeat('[', 100000) ELSE format('{"id": %s}', n) END AS as_text,
       CASE n WHEN 2 THEN json '{"id": 2, "name": "\u0000"}' ELSE json_build_object('id', n) END AS as_json
FROM generate_series(1, 6) AS n;

CALL erp_import(customer_mapping(), 'Changed', 'SELECT as_text FROM source ORDER BY n', 2, 'continue');
CALL erp_import(customer_mapping(), 'Changed', 'SELECT as_text::varchar FROM source ORDER BY n', 2, 'continue');
CALL erp_import(customer_mapping(), 'Changed', 'SELECT as_json FROM source ORDER BY n', 2, 'continue');
SELECT import - min(import) OVER () AS import, event, error ->> 'message' AS message FROM erp.import_error ORDER BY import, event;
SELECT customer_number FROM contact ORDER BY customer_number::int;
CALL erp_import(customer_mapping(), 'Changed', 'SELECT as_text FROM source ORDER BY n', 2);

CREATE TABLE staging (payload text);
SELECT format('CREATE TRIGGER apply AFTER INSERT ON staging REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT
    EXECUTE FUNCTION erp_apply_trigger(%L, %L, %L, %L)', customer_mapping(), 'Changed', 'payload', 'continue') AS command \gset
:command;
INSERT INTO staging VALUES ('{"id": 11}'), ('{"id": 12'), ('{"id": 13}');
SELECT customer_number FROM contact WHERE customer_number::int > 10 ORDER BY customer_number;

DELETE FROM erp.import;
CALL erp_import(NULL, 'Changed', 'SELECT as_json FROM source');
CALL erp_import(customer_mapping(), NULL, 'SELECT as_json FROM source');
CALL erp_import(customer_mapping(), 'Cahnged', 'SELECT as_json FROM source');
CALL erp_import(customer_mapping(), 'Changed', 'SELECT as_json FROM source', on_error => NULL);
CALL erp_import(customer_mapping(), 'Changed', 'SELECT as_json FROM source', on_error => 'ignore');
SELECT count(*) FROM erp.import;

CALL forget('malformed');
