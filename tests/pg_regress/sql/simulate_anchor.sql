-- The anchor of a scope may be an entity that the event itself creates: nothing is related to it yet.
CREATE SCHEMA anchor;
SET search_path = anchor, public;
CREATE TABLE accounts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no text UNIQUE);
CREATE TABLE contracts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), no text UNIQUE, account_id bigint REFERENCES accounts, deleted_at timestamptz);
SELECT erp_register_entity('account', 'accounts', '{no}');
SELECT erp_register_entity('contract', 'contracts', '{no}', relations => '{"account": {"column": "account_id", "entity_schema": "account"}}', deleted_at_column => 'deleted_at');
INSERT INTO accounts (no) VALUES ('old');
INSERT INTO contracts (no, account_id) VALUES ('old', 1);
SELECT changed('{"entity_schema": "account", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "account"}]}',
    '{"entity_schema": "contract", "mode": "upsert-prune-scope-delete", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "contract"},
        {"attribute": "account", "relations": {"items": [{"entity_schema": "account", "unique_ids": [{"attribute": "no", "field": "account"}]}]}}],
      "scope": {"scope_mode": "relations", "schema": "account", "unique_ids": [{"attribute": "no", "field": "account"}]}}') AS mapping \gset
SELECT entity_slug, entity_id, action, unique_identifiers FROM erp_simulate(:'mapping', 'Changed', '{"account": "new", "contract": "new"}');
SELECT entity_slug, action, unique_identifiers FROM erp_apply(:'mapping', 'Changed', '{"account": "new", "contract": "new"}');
SELECT entity_slug, action, unique_identifiers FROM erp_simulate(:'mapping', 'Changed', '{"account": "old", "contract": "more"}');
CALL forget('anchor');
