-- The tables of a small ERP system, as users have them: keys of several types, foreign keys, a
-- soft delete, domains and enums. Tests that bind tables of a user's own begin with them.
CREATE SCHEMA crm;

CREATE TYPE crm.customer_status AS ENUM ('lead', 'active', 'closed');
CREATE DOMAIN crm.meter_kind AS text CHECK (VALUE IN ('electricity', 'gas', 'water'));

CREATE TABLE crm.customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_no text UNIQUE,
    name text NOT NULL,
    email text,
    birthday date,
    credit_limit numeric(12, 2),
    status crm.customer_status NOT NULL DEFAULT 'lead',
    tags text[],
    data jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

CREATE TABLE crm.contracts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    contract_no text NOT NULL,
    customer_id bigint REFERENCES crm.customers (id),
    starts date,
    deleted_at timestamptz
);
CREATE UNIQUE INDEX contracts_contract_no ON crm.contracts (contract_no) WHERE deleted_at IS NULL;

CREATE TABLE crm.meters (
    meter_no text PRIMARY KEY,
    contract_id uuid REFERENCES crm.contracts (id),
    kind crm.meter_kind
);

CREATE TABLE crm.readings (
    id bigserial PRIMARY KEY,
    meter_no text NOT NULL REFERENCES crm.meters (meter_no),
    read_at timestamptz NOT NULL,
    value numeric,
    UNIQUE (meter_no, read_at)
);
