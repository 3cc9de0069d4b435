SELECT entity_slug, entity_id, action FROM erp_apply((SELECT document FROM bench.mapping), '{event}', $1)
