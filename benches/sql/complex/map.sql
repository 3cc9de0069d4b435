CREATE FUNCTION map(payload jsonb) RETURNS TABLE (entity_slug text, attributes jsonb) LANGUAGE sql STABLE AS $$
    SELECT 'contract',
           jsonb_build_object(
               'contract_number', payload -> 'number',
               'display_name', payload -> 'displayName',
               'contract_type', 'ENERGY',
               'tariff', payload -> 'product' -> 'tariff',
               'primary_customer', jsonb_build_object('$relation', jsonb_build_object('_set', jsonb_build_array(
                   jsonb_build_object(
                       '$entity_unique_ids', jsonb_build_object('customer_number', payload -> 'customerId'),
                       '_schema', 'contact',
                       '_tags', jsonb_build_array('PRIMARY'))))),
               'billing_account', jsonb_build_object('$relation', jsonb_build_object('_set', jsonb_build_array(
                   jsonb_build_object(
                       '$entity_unique_ids', jsonb_build_object(
                           'external_id', payload -> 'billingAccountId', 'account_type', 'BILLING'),
                       '_schema', 'billing_account')))),
               'additional_contacts', jsonb_build_object('$relation', jsonb_build_object('_set', (
                   SELECT jsonb_agg(
                              jsonb_build_object(
                                  '$entity_unique_ids', jsonb_build_object('email', i -> 'email'),
                                  '_schema', 'contact',
                                  '_tags', jsonb_build_array(i -> 'contactType'))
                              ORDER BY n)
                   FROM jsonb_array_elements(payload -> 'contacts') WITH ORDINALITY AS l(i, n)))),
               'meters', jsonb_build_object('$relation', jsonb_build_object('_set', (
                   SELECT jsonb_agg(
                              jsonb_build_object(
                                  '$entity_unique_ids', jsonb_build_object('meter_number', i -> 'meterNumber'),
                                  '_schema', 'meter')
                              ORDER BY n)
                   FROM jsonb_array_elements(payload -> 'meters') WITH ORDINALITY AS l(i, n)))))
$$;
