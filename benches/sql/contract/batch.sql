-- Of events about the same entity the last one counts; keys are written in order.
CREATE FUNCTION apply_batch(payloads jsonb[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO contract AS t (id, attributes)
    SELECT gen_random_uuid(),
           jsonb_build_object(
               'contract_number', p -> 'contractNumber',
               'start_date', p -> 'startDate',
               'end_date', p -> 'endDate',
               'product', p -> 'product' -> 'name',
               'yearly_consumption', p -> 'consumption' -> 'yearly',
               'status', CASE WHEN p -> 'active' = 'true' THEN 'ACTIVE' ELSE 'INACTIVE' END,
               'source', 'ERP')
    FROM (
        SELECT DISTINCT ON (p ->> 'contractNumber') p
        FROM unnest(payloads) WITH ORDINALITY AS u(p, n)
        ORDER BY p ->> 'contractNumber', n DESC
    ) AS e
    ON CONFLICT (contract_number) DO UPDATE
    SET attributes = t.attributes || excluded.attributes,
        stub = false,
        deleted_at = NULL,
        updated_at = excluded.updated_at
    WHERE t.attributes IS DISTINCT FROM t.attributes || excluded.attributes
       OR t.stub
       OR t.deleted_at IS NOT NULL;

    INSERT INTO meter AS t (id, attributes)
    SELECT gen_random_uuid(),
           jsonb_build_object(
               'meter_number', m -> 'meterNumber',
               'meter_type', CASE m ->> 'meterType' WHEN 'E' THEN 'electricity' WHEN 'G' THEN 'gas' ELSE 'other' END,
               'location', m -> 'location',
               'source', 'ERP')
    FROM (
        SELECT DISTINCT ON (m ->> 'meterNumber') m
        FROM unnest(payloads) WITH ORDINALITY AS u(p, n)
        CROSS JOIN LATERAL jsonb_array_elements(p -> 'meters') WITH ORDINALITY AS a(m, i)
        ORDER BY m ->> 'meterNumber', n DESC, i DESC
    ) AS e
    ON CONFLICT (meter_number) DO UPDATE
    SET attributes = t.attributes || excluded.attributes,
        stub = false,
        deleted_at = NULL,
        updated_at = excluded.updated_at
    WHERE t.attributes IS DISTINCT FROM t.attributes || excluded.attributes
       OR t.stub
       OR t.deleted_at IS NOT NULL;
END
$$;
