-- Of events about the same contract the last one counts; keys are written in order.
CREATE FUNCTION apply_batch(payloads jsonb[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_account (id, attributes, stub)
    SELECT gen_random_uuid(), jsonb_build_object('external_id', k.external_id, 'account_type', 'BILLING'), true
    FROM (SELECT DISTINCT p ->> 'billingAccountId' AS external_id FROM unnest(payloads) AS p) AS k
    WHERE NOT EXISTS (
        SELECT FROM billing_account AS b WHERE b.external_id = k.external_id AND b.account_type = 'BILLING')
    ORDER BY k.external_id
    ON CONFLICT (external_id, account_type) WHERE stub DO NOTHING;

    INSERT INTO contact (id, attributes, stub)
    SELECT gen_random_uuid(), jsonb_build_object('customer_number', k.customer_number), true
    FROM (SELECT DISTINCT p ->> 'customerId' AS customer_number FROM unnest(payloads) AS p) AS k
    WHERE NOT EXISTS (SELECT FROM contact AS c WHERE c.customer_number = k.customer_number)
    ORDER BY k.customer_number
    ON CONFLICT (customer_number) WHERE stub DO NOTHING;

    INSERT INTO contact (id, attributes, stub)
    SELECT gen_random_uuid(), jsonb_build_object('email', k.email), true
    FROM (
        SELECT DISTINCT c ->> 'email' AS email
        FROM unnest(payloads) AS p CROSS JOIN LATERAL jsonb_array_elements(p -> 'contacts') AS c
    ) AS k
    WHERE NOT EXISTS (SELECT FROM contact AS c WHERE c.email = k.email)
    ORDER BY k.email
    ON CONFLICT (email) WHERE stub DO NOTHING;

    INSERT INTO meter (id, attributes, stub)
    SELECT gen_random_uuid(), jsonb_build_object('meter_number', k.meter_number), true
    FROM (
        SELECT DISTINCT m ->> 'meterNumber' AS meter_number
        FROM unnest(payloads) AS p CROSS JOIN LATERAL jsonb_array_elements(p -> 'meters') AS m
    ) AS k
    WHERE NOT EXISTS (SELECT FROM meter AS m WHERE m.meter_number = k.meter_number)
    ORDER BY k.meter_number
    ON CONFLICT (meter_number) WHERE stub DO NOTHING;

    INSERT INTO contract AS t (id, attributes)
    SELECT gen_random_uuid(),
           jsonb_build_object(
               'contract_number', p -> 'number',
               'display_name', p -> 'displayName',
               'contract_type', 'ENERGY',
               'tariff', p -> 'product' -> 'tariff',
               'primary_customer', jsonb_build_object('$relation', jsonb_build_array(jsonb_build_object(
                   'entity_id', c.id, '_schema', 'contact', '_tags', jsonb_build_array('PRIMARY')))),
               'billing_account', jsonb_build_object('$relation', jsonb_build_array(jsonb_build_object(
                   'entity_id', b.id, '_schema', 'billing_account'))),
               'additional_contacts', jsonb_build_object('$relation', (
                   SELECT jsonb_agg(
                              jsonb_build_object(
                                  'entity_id', a.id, '_schema', 'contact', '_tags', jsonb_build_array(i -> 'contactType'))
                              ORDER BY n)
                   FROM jsonb_array_elements(p -> 'contacts') WITH ORDINALITY AS l(i, n)
                   JOIN contact AS a ON a.email = i ->> 'email')),
               'meters', jsonb_build_object('$relation', (
                   SELECT jsonb_agg(jsonb_build_object('entity_id', m.id, '_schema', 'meter') ORDER BY n)
                   FROM jsonb_array_elements(p -> 'meters') WITH ORDINALITY AS l(i, n)
                   JOIN meter AS m ON m.meter_number = i ->> 'meterNumber')))
    FROM (
        SELECT DISTINCT ON (p ->> 'number') p
        FROM unnest(payloads) WITH ORDINALITY AS u(p, n)
        ORDER BY p ->> 'number', n DESC
    ) AS e
    JOIN contact AS c ON c.customer_number = p ->> 'customerId'
    JOIN billing_account AS b ON b.external_id = p ->> 'billingAccountId' AND b.account_type = 'BILLING'
    ON CONFLICT (contract_number) DO UPDATE
    SET attributes = t.attributes || excluded.attributes,
        stub = false,
        deleted_at = NULL,
        updated_at = excluded.updated_at
    WHERE t.attributes IS DISTINCT FROM t.attributes || excluded.attributes
       OR t.stub
       OR t.deleted_at IS NOT NULL;
END
$$;
