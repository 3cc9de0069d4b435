-- Of events about the same customer the last one counts. Keys are written in order, so that two
-- sessions do not wait for each other in a circle.
CREATE FUNCTION apply_batch(payloads jsonb[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_account (id, attributes, stub)
    SELECT gen_random_uuid(), jsonb_build_object('external_id', k.external_id), true
    FROM (SELECT DISTINCT p ->> 'billingAccountId' AS external_id FROM unnest(payloads) AS p) AS k
    WHERE NOT EXISTS (SELECT FROM billing_account AS b WHERE b.external_id = k.external_id)
    ORDER BY k.external_id
    ON CONFLICT (external_id) WHERE stub DO NOTHING;

    INSERT INTO contact AS t (id, attributes)
    SELECT gen_random_uuid(),
           jsonb_build_object(
               'customer_number', p -> 'customerId',
               'first_name', p -> 'name' -> 'first',
               'last_name', p -> 'name' -> 'last',
               'full_name', (p -> 'name' ->> 'first') || ' ' || (p -> 'name' ->> 'last'),
               'email', p -> 'email',
               'phone', p -> 'phone',
               'language', p -> 'language',
               'city', p -> 'address' -> 'city',
               'postal_code', p -> 'address' -> 'postalCode',
               'status', CASE WHEN p -> 'active' = 'true' THEN 'ACTIVE' ELSE 'INACTIVE' END,
               'credit_limit', p -> 'creditLimit',
               'source', 'ERP',
               'billing_account', jsonb_build_object('$relation', jsonb_build_array(jsonb_build_object(
                   'entity_id', b.id, '_schema', 'billing_account', '_tags', jsonb_build_array('PRIMARY')))))
    FROM (
        SELECT DISTINCT ON (p ->> 'customerId') p
        FROM unnest(payloads) WITH ORDINALITY AS u(p, n)
        ORDER BY p ->> 'customerId', n DESC
    ) AS e
    JOIN billing_account AS b ON b.external_id = p ->> 'billingAccountId'
    ON CONFLICT (customer_number) DO UPDATE
    SET attributes = t.attributes || excluded.attributes,
        stub = false,
        deleted_at = NULL,
        updated_at = excluded.updated_at
    WHERE t.attributes IS DISTINCT FROM t.attributes || excluded.attributes
       OR t.stub
       OR t.deleted_at IS NOT NULL;
END
$$;
