//! `erp_merge`, and what the statements of the write path evaluate on a locked row.

use std::collections::HashSet;

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::jsonb::{Object, Tree, Value, encode};
use erp_engine::merge;
use pgrx::pg_sys::Datum;

use crate::error::Failure;
use crate::jsonb;
use crate::pg::{Call, interrupt};

/// `erp_merge(current, patch)`: the merged attributes. A null `current` is no attributes, a
/// null `patch` changes nothing.
pub fn merge(call: Call) -> Result<Datum, Failure> {
    let current = attributes(call.jsonb(0)?, "current")?;
    let patch = attributes(call.jsonb(1)?, "patch")?;
    let merged = match patch {
        Some(patch) => merged_until(current, patch)?,
        None => None,
    };
    let merged = match (merged, current) {
        (Some(merged), _) => merged,
        (None, Some(current)) => Tree::Value(Value::Object(current)),
        (None, None) => return Ok(call.null()),
    };
    Ok(jsonb::datum(&encode(&merged)?)?)
}

/// The merged attributes; what stopped it is told instead of its failure.
fn merged_until<'a>(
    current: Option<Object<'a>>,
    patch: Object<'a>,
) -> Result<Option<Tree<'a>>, Failure> {
    merge::merge_until(current, patch, &interrupt::ends_statement).or_else(|error| {
        interrupt::check()?;
        Err(error.into())
    })
}

/// `erp._merge(current, patches)`: the merged attributes, null when nothing changes. `patches`
/// is one patch, or an array of patches to be applied in turn.
pub fn merge_changes(call: Call) -> Result<Datum, Failure> {
    let (Some(current), Some(patches)) = (call.jsonb(0)?, call.jsonb(1)?) else {
        return Ok(call.null());
    };
    let mut merged: Option<Vec<u8>> = None;
    let list: Vec<Value<'_>> = match patches {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    for patch in list {
        let now = merged.as_deref().map_or(current, Value::from_datum);
        let now = attributes(Some(now), "current")?;
        let Some(patch) = attributes(Some(patch), "patch")? else { continue };
        let next = merged_until(now, patch)?.map(|tree| encode(&tree)).transpose()?;
        merged = next.or(merged);
    }
    match merged {
        Some(merged) => Ok(jsonb::datum(&merged)?),
        None => Ok(call.null()),
    }
}

/// `erp._relink(attributes, ids)`: the attributes with each entity id that `ids` maps to
/// another one replaced in relations.
pub fn relink(call: Call) -> Result<Datum, Failure> {
    let (Some(current), Some(ids)) = (call.jsonb(0)?, call.jsonb(1)?) else {
        return Ok(call.null());
    };
    let relinked = match (attributes(Some(current), "attributes")?, attributes(Some(ids), "ids")?) {
        (Some(current), Some(ids)) => merge::relink(current, ids),
        _ => return Ok(call.null()),
    };
    Ok(jsonb::datum(&encode(&relinked)?)?)
}

/// `erp._unlink(attributes, slug, ids, references)`: the attributes without the items of relations
/// that name an entity of that type with one of `ids`, an array; and, if `references` is true,
/// without the references to one.
pub fn unlink(call: Call) -> Result<Datum, Failure> {
    let arena = Bump::new();
    let (Some(current), Some(slug), Some(ids)) =
        (call.jsonb(0)?, call.text(1, &arena)?, call.jsonb(2)?)
    else {
        return Ok(call.null());
    };
    let ids: HashSet<&str> = match ids {
        Value::Array(ids) => ids.iter().filter_map(Value::as_str).collect(),
        _ => HashSet::new(),
    };
    let references = call.datum(3).is_some_and(|datum| datum.value() != 0);
    let unlinked = attributes(Some(current), "attributes")?
        .and_then(|all| merge::unlink(all, slug, &ids, references));
    let unlinked = unlinked.unwrap_or(Tree::Value(current));
    Ok(jsonb::datum(&encode(&unlinked)?)?)
}

fn attributes<'a>(value: Option<Value<'a>>, name: &str) -> Result<Option<Object<'a>>, Failure> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(other) => {
            let message =
                format!("{name} must be an object of attributes, not {}", other.type_name());
            Err(Error::new(Code::AttributeTypeMismatch, message).into())
        }
    }
}
