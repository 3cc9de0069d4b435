CREATE FUNCTION apply_one(payload jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    account text := payload ->> 'billingAccountId';
    account_id uuid;
    created boolean;
BEGIN
    SELECT b.id INTO account_id FROM billing_account AS b WHERE b.external_id = account;
    IF NOT FOUND THEN
        INSERT INTO billing_account AS b (id, attributes, stub)
        VALUES (gen_random_uuid(), jsonb_build_object('external_id', account), true)
        ON CONFLICT (external_id) WHERE stub DO NOTHING
        RETURNING b.id INTO account_id;
        IF NOT FOUND THEN
            SELECT b.id INTO account_id FROM billing_account AS b WHERE b.external_id = account;
        END IF;
    END IF;

    INSERT INTO contact AS t (id, attributes)
    VALUES (
        gen_random_uuid(),
        jsonb_build_object(
            'customer_number', payload -> 'customerId',
            'first_name', payload -> 'name' -> 'first',
            'last_name', payload -> 'name' -> 'last',
            'full_name', (payload -> 'name' ->> 'first') || ' ' || (payload -> 'name' ->> 'last'),
            'email', payload -> 'email',
            'phone', payload -> 'phone',
            'language', payload -> 'language',
            'city', payload -> 'address' -> 'city',
            'postal_code', payload -> 'address' -> 'postalCode',
            'status', CASE WHEN payload -> 'active' = 'true' THEN 'ACTIVE' ELSE 'INACTIVE' END,
            'credit_limit', payload -> 'creditLimit',
            'source', 'ERP',
            'billing_account', jsonb_build_object('$relation', jsonb_build_array(jsonb_build_object(
                'entity_id', account_id, '_schema', 'billing_account', '_tags', jsonb_build_array('PRIMARY'))))))
    ON CONFLICT (customer_number) DO UPDATE
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
