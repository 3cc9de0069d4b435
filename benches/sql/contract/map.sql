CREATE FUNCTION map(payload jsonb) RETURNS TABLE (entity_slug text, attributes jsonb) LANGUAGE sql STABLE AS $$
    SELECT 'contract',
           jsonb_build_object(
               'contract_number', payload -> 'contractNumber',
               'start_date', payload -> 'startDate',
               'end_date', payload -> 'endDate',
               'product', payload -> 'product' -> 'name',
               'yearly_consumption', payload -> 'consumption' -> 'yearly',
               'status', CASE WHEN payload -> 'active' = 'true' THEN 'ACTIVE' ELSE 'INACTIVE' END,
               'source', 'ERP')
    UNION ALL
    SELECT 'meter',
           jsonb_build_object(
               'meter_number', m -> 'meterNumber',
               'meter_type', CASE m ->> 'meterType' WHEN 'E' THEN 'electricity' WHEN 'G' THEN 'gas' ELSE 'other' END,
               'location', m -> 'location',
               'source', 'ERP')
    FROM jsonb_array_elements(payload -> 'meters') AS m
$$;
