//! Links to items of lists that other entities have.

use super::place::Place;
use super::target::types;
use super::{Attribute, RefTarget, RefValue, RelationRefList, Target};
use crate::error::{Code, Error, Result};
use crate::expr::Context;
use crate::identifier::is_blank;
use crate::jsonb::Value;
use crate::mapping::{RelationRefItem, RelationRefs};
use crate::merge::{list, list_operation};

pub(super) fn relation_refs<'a>(
    place: &Place<'a>,
    refs: &'a RelationRefs,
    item: Value<'a>,
    context: &Context<'a>,
) -> Result<Option<Attribute<'a>>> {
    let mut targets = Vec::with_capacity(refs.items.len());
    for listed in &refs.items {
        targets.extend(ref_target(place, listed, item, context)?);
    }
    // Source data is missing: nothing can be said about the list.
    if targets.is_empty() && !refs.items.is_empty() {
        return Ok(None);
    }
    let operation = refs.operation;
    Ok(Some(Attribute::RelationRef(RelationRefList { operation, targets })))
}

/// `None` when an identifier is missing, or the value that is linked to.
fn ref_target<'a>(
    place: &Place<'a>,
    listed: &'a RelationRefItem,
    item: Value<'a>,
    context: &Context<'a>,
) -> Result<Option<RefTarget<'a>>> {
    let identifiers = place.identifiers(&listed.schema, &listed.unique_ids, item, context)?;
    let value = place.value(&listed.source, item, context)?.filter(|value| !is_blank(*value));
    let (Some(identifiers), Some(value)) = (identifiers, value) else { return Ok(None) };
    let (operation, items) =
        list_operation(value).unwrap_or_else(|| (listed.operation, list(value)));
    place.count_relation_items(items.len(), context)?;
    if let Some(other) = items.iter().find(|item| item.as_object().is_none()) {
        let message = format!(
            "{}: an item of {}.{} that is to be linked to is {}, not an object",
            place.name(),
            listed.schema,
            listed.attribute,
            other.type_name()
        );
        return Err(Error::new(Code::AttributeTypeMismatch, message).detail(place.whereabouts()));
    }
    let types = types(&listed.unique_ids);
    let target = Target { schema: &listed.schema, identifiers, tags: None, types };
    let value = RefValue { attribute: &listed.attribute, operation, items };
    Ok(Some(RefTarget { target, path: &listed.path, value }))
}
