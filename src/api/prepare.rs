//! What `erp_prepare` and `erp_create_entity` ask of the engine and of the backend's memory.

use std::collections::BTreeMap;

use bumpalo::Bump;
use erp_engine::jsonb::{Tree, Value};
use erp_engine::mapping::key_set_uses;
use pgrx::pg_sys::{self, Datum};

use super::mapping_argument;
use crate::error::Failure;
use crate::pg::call::Cell;
use crate::pg::{Call, interrupt};
use crate::store::entity_type;
use crate::{mapping_cache, settings};

/// `erp._key_sets(mapping)` → `slug, sets`: the key sets that a mapping uses of each entity type,
/// as `[{"attributes": […], "is_unique": …}]`.
pub fn key_sets(call: Call) -> Result<Datum, Failure> {
    let arena = Bump::new();
    let mapping = mapping_cache::compiled(mapping_argument(call, 0)?, &settings::limits())?;
    // In the order of the mapping, so that what is printed reads like it.
    let mut slugs: Vec<String> = Vec::new();
    let mut used: BTreeMap<String, Vec<(Vec<String>, bool)>> = BTreeMap::new();
    for key_set in key_set_uses(&mapping) {
        interrupt::check()?;
        if !slugs.contains(&key_set.schema) {
            slugs.push(key_set.schema.clone());
        }
        let sets = used.entry(key_set.schema).or_default();
        let is_same = |set: &&mut (Vec<String>, bool)| {
            set.0.len() == key_set.unique_ids.len()
                && set.0.iter().all(|name| key_set.unique_ids.contains(name))
        };
        match sets.iter_mut().find(is_same) {
            Some(known) => known.1 |= key_set.is_upserted,
            None => sets.push((key_set.unique_ids, key_set.is_upserted)),
        }
    }
    let rows = call.rows()?;
    for slug in &slugs {
        let sets = used[slug].iter().map(|(attributes, is_unique)| {
            let name = |name: &String| Tree::Value(Value::String(arena.alloc_str(name)));
            Tree::Object(vec![
                ("attributes", Tree::Array(attributes.iter().map(name).collect())),
                ("is_unique", Value::Bool(*is_unique).into()),
            ])
        });
        rows.put(&[Cell::Text(slug), Cell::Tree(&Tree::Array(sets.collect()))])?;
    }
    rows.done()
}

/// `erp._binding_changed()`: has every session read the bindings again.
pub fn binding_changed(call: Call) -> Result<Datum, Failure> {
    // SAFETY: C strings; the schema and the table belong to the extension.
    let bindings = unsafe {
        let schema = pg_sys::get_namespace_oid(c"erp".as_ptr(), false);
        pg_sys::get_relname_relid(c"entity_type".as_ptr(), schema)
    };
    entity_type::invalidate(bindings)?;
    Ok(call.null())
}
