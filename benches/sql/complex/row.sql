CREATE FUNCTION apply_one(payload jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    account text := payload ->> 'billingAccountId';
    customer text := payload ->> 'customerId';
    account_id uuid;
    customer_id uuid;
    contacts jsonb;
    meters jsonb;
    created boolean;
BEGIN
    SELECT b.id INTO account_id FROM billing_account AS b
    WHERE b.external_id = account AND b.account_type = 'BILLING';
    IF NOT FOUND THEN
        INSERT INTO billing_account (id, attributes, stub)
        VALUES (gen_random_uuid(), jsonb_build_object('external_id', account, 'account_type', 'BILLING'), true)
        ON CONFLICT (external_id, account_type) WHERE stub DO NOTHING;
        SELECT b.id INTO account_id FROM billing_account AS b
        WHERE b.external_id = account AND b.account_type = 'BILLING';
    END IF;

    SELECT c.id INTO customer_id FROM contact AS c WHERE c.customer_number = customer;
    IF NOT FOUND THEN
        INSERT INTO contact (id, attributes, stub)
        VALUES (gen_random_uuid(), jsonb_build_object('customer_number', customer), true)
        ON CONFLICT (customer_number) WHERE stub DO NOTHING;
        SELECT c.id INTO customer_id FROM contact AS c WHERE c.customer_number = customer;
    END IF;

    SELECT jsonb_agg(
               jsonb_build_object('entity_id', a.id, '_schema', 'contact', '_tags', jsonb_build_array(i -> 'contactType'))
               ORDER BY n)
    INTO contacts
    FROM jsonb_array_elements(payload -> 'contacts') WITH ORDINALITY AS l(i, n)
    JOIN contact AS a ON a.email = i ->> 'email';
    IF jsonb_array_length(contacts) IS DISTINCT FROM jsonb_array_length(payload -> 'contacts') THEN
        INSERT INTO contact (id, attributes, stub)
        SELECT gen_random_uuid(), jsonb_build_object('email', k.email), true
        FROM (SELECT DISTINCT i ->> 'email' AS email FROM jsonb_array_elements(payload -> 'contacts') AS i) AS k
        WHERE NOT EXISTS (SELECT FROM contact AS c WHERE c.email = k.email)
        ORDER BY k.email
        ON CONFLICT (email) WHERE stub DO NOTHING;

        SELECT jsonb_agg(
                   jsonb_build_object('entity_id', a.id, '_schema', 'contact', '_tags', jsonb_build_array(i -> 'contactType'))
                   ORDER BY n)
        INTO contacts
        FROM jsonb_array_elements(payload -> 'contacts') WITH ORDINALITY AS l(i, n)
        JOIN contact AS a ON a.email = i ->> 'email';
    END IF;

    SELECT jsonb_agg(jsonb_build_object('entity_id', m.id, '_schema', 'meter') ORDER BY n)
    INTO meters
    FROM jsonb_array_elements(payload -> 'meters') WITH ORDINALITY AS l(i, n)
    JOIN meter AS m ON m.meter_number = i ->> 'meterNumber';
    IF jsonb_array_length(meters) IS DISTINCT FROM jsonb_array_length(payload -> 'meters') THEN
        INSERT INTO meter (id, attributes, stub)
        SELECT gen_random_uuid(), jsonb_build_object('meter_number', k.meter_number), true
        FROM (SELECT DISTINCT i ->> 'meterNumber' AS meter_number FROM jsonb_array_elements(payload -> 'meters') AS i) AS k
        WHERE NOT EXISTS (SELECT FROM meter AS m WHERE m.meter_number = k.meter_number)
        ORDER BY k.meter_number
        ON CONFLICT (meter_number) WHERE stub DO NOTHING;

        SELECT jsonb_agg(jsonb_build_object('entity_id', m.id, '_schema', 'meter') ORDER BY n)
        INTO meters
        FROM jsonb_array_elements(payload -> 'meters') WITH ORDINALITY AS l(i, n)
        JOIN meter AS m ON m.meter_number = i ->> 'meterNumber';
    END IF;

    INSERT INTO contract AS t (id, attributes)
    VALUES (
        gen_random_uuid(),
        jsonb_build_object(
            'contract_number', payload -> 'number',
            'display_name', payload -> 'displayName',
            'contract_type', 'ENERGY',
            'tariff', payload -> 'product' -> 'tariff',
            'primary_customer', jsonb_build_object('$relation', jsonb_build_array(jsonb_build_object(
                'entity_id', customer_id, '_schema', 'contact', '_tags', jsonb_build_array('PRIMARY')))),
            'billing_account', jsonb_build_object('$relation', jsonb_build_array(jsonb_build_object(
                'entity_id', account_id, '_schema', 'billing_account'))),
            'additional_contacts', jsonb_build_object('$relation', contacts),
            'meters', jsonb_build_object('$relation', meters)))
    ON CONFLICT (contract_number) DO UPDATE
    SET attributes = t.attributes || excluded.attributes,
        stub = false,
        deleted_at = NULL,
        updated_at = excluded.updated_at
    WHERE t.attributes IS DISTINCT FROM t.attributes || excluded.attributes
       OR t.stub
       OR t.deleted_at IS NOT NULL
    RETURNING t.xmax = 0 INTO created;
    RETURN CASE WHEN created THEN 'created' WHEN NOT created THEN 'updated' ELSE 'unchanged' END;
END
$$;
