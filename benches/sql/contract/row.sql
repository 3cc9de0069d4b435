CREATE FUNCTION apply_one(payload jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    created boolean;
BEGIN
    INSERT INTO contract AS t (id, attributes)
    VALUES (
        gen_random_uuid(),
        jsonb_build_object(
            'contract_number', payload -> 'contractNumber',
            'start_date', payload -> 'startDate',
            'end_date', payload -> 'endDate',
            'product', payload -> 'product' -> 'name',
            'yearly_consumption', payload -> 'consumption' -> 'yearly',
            'status', CASE WHEN payload -> 'active' = 'true' THEN 'ACTIVE' ELSE 'INACTIVE' END,
            'source', 'ERP'))
    ON CONFLICT (contract_number) DO UPDATE
    SET attributes = t.attributes || excluded.attributes,
        stub = false,
        deleted_at = NULL,
        updated_at = excluded.updated_at
    WHERE t.attributes IS DISTINCT FROM t.attributes || excluded.attributes
       OR t.stub
       OR t.deleted_at IS NOT NULL
    RETURNING t.xmax = 0 INTO created;

    INSERT INTO meter AS t (id, attributes)
    SELECT gen_random_uuid(),
           jsonb_build_object(
               'meter_number', m -> 'meterNumber',
               'meter_type', CASE m ->> 'meterType' WHEN 'E' THEN 'electricity' WHEN 'G' THEN 'gas' ELSE 'other' END,
               'location', m -> 'location',
               'source', 'ERP')
    FROM jsonb_array_elements(payload -> 'meters') AS m
    ORDER BY m ->> 'meterNumber'
    ON CONFLICT (meter_number) DO UPDATE
    SET attributes = t.attributes || excluded.attributes,
        stub = false,
        deleted_at = NULL,
        updated_at = excluded.updated_at
    WHERE t.attributes IS DISTINCT FROM t.attributes || excluded.attributes
       OR t.stub
       OR t.deleted_at IS NOT NULL;
    RETURN CASE WHEN created THEN 'created' WHEN NOT created THEN 'updated' ELSE 'unchanged' END;
END
$$;
