SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attgenerated <> '' AND attname <> 'links' AND NOT attisdropped
