-- The events of the batches that are timed.
CREATE TABLE bench.step (
    batch bigint NOT NULL,
    n bigint NOT NULL,
    payload jsonb NOT NULL,
    PRIMARY KEY (batch, n)
) WITH (autovacuum_enabled = off);

-- The payload about customer $1, made of one of the events that there are.
CREATE FUNCTION bench.customer(customer bigint, which smallint) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT e.payload || jsonb_build_object(
               'customerId', 'CUST-' || lpad(customer::text, 8, '0'),
               'email', 'customer.' || customer || '@example.com',
               'billingAccountId', 'BA-' || lpad(((customer + 1) / 2)::text, 8, '0'))
    FROM bench.event AS e
    WHERE e.version = which AND e.n = 1 + customer % 1000
$$;
