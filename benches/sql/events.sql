-- Events as an ERP's staging table has them, and the mapping as a configuration table has it.
CREATE SCHEMA bench;

CREATE TABLE bench.event (
    version smallint,
    n integer,
    payload jsonb NOT NULL,
    PRIMARY KEY (version, n)
) WITH (autovacuum_enabled = off);

CREATE TABLE bench.mapping (
    document jsonb NOT NULL
);

-- The rows that the events lead to, for the floor.
CREATE TABLE bench.ready (
    version smallint NOT NULL,
    table_name text NOT NULL,
    n integer NOT NULL,
    id uuid NOT NULL,
    attributes jsonb NOT NULL,
    stub boolean NOT NULL
) WITH (autovacuum_enabled = off);
