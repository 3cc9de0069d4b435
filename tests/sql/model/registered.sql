-- Tables of a user's own for the entries of ../batches/entries.rs: keys have columns, everything else is in a document.
CREATE TABLE contact (
    no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_number text UNIQUE, email text,
    data jsonb, stub boolean NOT NULL DEFAULT false, deleted_at timestamptz);
CREATE INDEX ON contact (email);
CREATE TABLE contract (
    no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, contract_number text NOT NULL UNIQUE,
    data jsonb, stub boolean NOT NULL DEFAULT false, deleted_at timestamptz);
CREATE TABLE account (
    no uuid PRIMARY KEY, external_id text, kind text,
    data jsonb, stub boolean NOT NULL DEFAULT false, deleted_at timestamptz, UNIQUE (kind, external_id));
CREATE TABLE site (site_number text PRIMARY KEY, data jsonb);
CREATE TABLE vendor (no integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, vendor_number text UNIQUE, data jsonb);
SELECT erp_register_entity('contact', 'contact', ARRAY['customer_number'], attributes_column => 'data',
    stub_column => 'stub', deleted_at_column => 'deleted_at');
SELECT erp_register_entity('contact', 'contact', ARRAY['email'], for_upsert => false, attributes_column => 'data',
    stub_column => 'stub', deleted_at_column => 'deleted_at');
SELECT erp_register_entity('contract', 'contract', ARRAY['contract_number'], attributes_column => 'data',
    stub_column => 'stub', deleted_at_column => 'deleted_at');
SELECT erp_register_entity('account', 'account', ARRAY['external_id', 'kind'], attributes_column => 'data',
    stub_column => 'stub', deleted_at_column => 'deleted_at');
SELECT erp_register_entity('site', 'site', ARRAY['site_number'], attributes_column => 'data', on_missing => 'skip');
SELECT erp_register_entity('vendor', 'vendor', ARRAY['vendor_number'], attributes_column => 'data', on_missing => 'error');
