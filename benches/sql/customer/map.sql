CREATE FUNCTION map(payload jsonb) RETURNS TABLE (entity_slug text, attributes jsonb) LANGUAGE sql STABLE AS $$
    SELECT 'contact',
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
               'billing_account', jsonb_build_object('$relation', jsonb_build_object('_set', jsonb_build_array(
                   jsonb_build_object(
                       '$entity_unique_ids', jsonb_build_object('external_id', payload -> 'billingAccountId'),
                       '_schema', 'billing_account',
                       '_tags', jsonb_build_array('PRIMARY'))))))
$$;
