//! What the entity types that there are have against a mapping: told before an event meets it.

use std::rc::Rc;

use bumpalo::Bump;
use erp_engine::mapping::{
    Entity, Field, FieldValue, KeySetUse, Mapping, Mode, Operation, Problem, RelationItem,
    RelationItems, RelationRefItem, Relations, Scope, Severity, key_set_uses,
};
use pgrx::pg_sys;

use super::columns::{Refused, place, typed};
use super::entity_type::{EntityType, KeySet, Purpose, create_hint, or_near, slugs};
use super::layout::{Column, Kind, literal};
use crate::error::Failure;
use crate::jsonb;
use crate::pg::spi::{Access, Planning, Statement};
use crate::pg::{array, interrupt};

/// The problems that the mapping has with the entity types, in its order.
pub fn problems(mapping: &Mapping) -> Result<Vec<Problem>, Failure> {
    let arena = Bump::new();
    let known = slugs(&arena)?;
    let mut problems = Vec::new();
    for used in key_set_uses(mapping) {
        interrupt::check()?;
        problems.extend(of_key_set(&used, &known)?);
    }
    for entity in mapping.events().flat_map(|(_, event)| &event.entities) {
        if let Some(ty) = EntityType::find(&entity.schema)? {
            problems.extend(of_mode(entity, &ty));
            problems.extend(of_query(entity, &ty)?);
            if entity.mode.of_updates() == Mode::Upsert {
                for field in &entity.fields {
                    interrupt::check()?;
                    problems.extend(of_field(field, &ty)?);
                }
            }
        }
    }
    Ok(problems)
}

fn of_key_set(used: &KeySetUse, known: &[&str]) -> Result<Option<Problem>, Failure> {
    let names: Vec<&str> = used.unique_ids.iter().map(String::as_str).collect();
    let purpose = if used.is_upserted { Purpose::Upserts } else { Purpose::Relations };
    let Some(ty) = EntityType::find(&used.schema)? else {
        let message = format!("no table is bound to \"{}\"", used.schema);
        let hint = or_near(&used.schema, known, create_hint(&used.schema, &names, purpose));
        return Ok(Some(warning("ENTITY_TYPE_UNKNOWN", &used.pointer, message, hint)));
    };
    let set = ty.key_set(&names).map(|set| &ty.key_sets[set]);
    if set.is_some_and(|set| set.is_for_upserts || !used.is_upserted) {
        return Ok(None);
    }
    if let Some(refused) = unbound(&ty, &names) {
        return Ok(Some(error(refused, &used.pointer, &ty, None)));
    }
    let what = match set {
        Some(_) => "unique index for upserts by",
        None => "index by",
    };
    let rest = match set {
        Some(_) => "several entities may have a key",
        None => "each look-up reads the whole table",
    };
    let message = format!("\"{}\" has no {what} ({}): {rest}", ty.slug, names.join(", "));
    let hint = match ty.layout.is_managed {
        true => create_hint(&ty.slug, &names, purpose),
        false => index_hint(&ty, &names, used.is_upserted)?,
    };
    Ok(Some(warning("KEY_SET_UNKNOWN", &used.pointer, message, hint)))
}

/// Why identifiers cannot be looked up in a registered table.
fn unbound(ty: &EntityType, names: &[&str]) -> Option<Refused> {
    let has_place = |name: &&str| ty.column_of(name).is_some() || ty.layout.attributes.is_some();
    (!names.iter().all(has_place)).then_some(Refused::Unbound)
}

/// The statements that give a registered table an index for a key set.
fn index_hint(ty: &EntityType, names: &[&str], is_upserted: bool) -> Result<String, Failure> {
    let columns: Vec<Option<&Column>> = names.iter().map(|name| ty.layout.column(name)).collect();
    let unique = if is_upserted { "UNIQUE " } else { "" };
    if columns.iter().any(Option::is_none) {
        // An attribute without a column cannot be registered as an identifier; an index helps.
        let rest = ty.layout.attributes.as_deref().unwrap_or_default();
        let keys: Vec<String> = names
            .iter()
            .zip(columns)
            .map(|(name, column)| match column {
                Some(column) => column.name.clone(),
                None => format!("erp._identifier({rest} -> {})", literal(name)),
            })
            .collect();
        return Ok(format!("CREATE {unique}INDEX ON {} ({});", ty.name, keys.join(", ")));
    }
    let keys: Vec<&str> =
        columns.into_iter().flatten().map(|column| column.name.as_str()).collect();
    let create = format!("CREATE {unique}INDEX ON {} ({});", ty.name, keys.join(", "));
    Ok(format!("{create} {}", registration(ty, names, is_upserted)?))
}

/// The call that registers the table again with one more key set.
fn registration(ty: &EntityType, names: &[&str], is_upserted: bool) -> Result<String, Failure> {
    let arena = Bump::new();
    let statement = Statement::prepare(
        "SELECT erp._registration($1, $2, $3)",
        &[pg_sys::TEXTOID, pg_sys::TEXTARRAYOID, pg_sys::BOOLOID],
        &[pg_sys::TEXTOID],
        Planning::ByIndex,
    )?;
    let arguments = [
        jsonb::datum(ty.slug.as_bytes())?,
        array::of_text(&arena, names.iter().copied()),
        pg_sys::Datum::from(is_upserted),
    ];
    let rows = statement.execute(&arguments, Access::Read)?;
    let call = rows.iter().next().map(|row| row.text(1, &arena)).transpose()?.flatten();
    Ok(call.unwrap_or_default().to_owned())
}

fn of_mode(entity: &Entity, ty: &EntityType) -> Option<Problem> {
    let deletes = matches!(entity.mode, Mode::Delete | Mode::UpsertPruneScopeDelete);
    if !deletes || ty.layout.deleted_at.is_some() {
        return None;
    }
    Some(Problem {
        severity: Severity::Error,
        code: "MODE_UNSUPPORTED",
        path: format!("{}/mode", entity.pointer),
        message: format!("\"{}\" has no column for the time of deletion", ty.slug),
        hint: Some(
            "Register the table with deleted_at_column => …, or use the mode that purges.".into(),
        ),
    })
}

/// A query scope without an index.
fn of_query(entity: &Entity, ty: &EntityType) -> Result<Option<Problem>, Failure> {
    let Some(Scope::Query(query)) = &entity.scope else { return Ok(None) };
    let names: Vec<&str> = query.iter().map(|id| id.attribute.as_str()).collect();
    if names.is_empty() {
        return Ok(None);
    }
    if let Some(refused) = unbound(ty, &names) {
        return Ok(Some(error(refused, &format!("{}/scope", entity.pointer), ty, None)));
    }
    let narrows = |set: &Rc<KeySet>| {
        set.is_indexed && set.attributes.iter().all(|name| names.contains(&name.as_str()))
    };
    if ty.key_sets.iter().any(narrows) {
        return Ok(None);
    }
    let list = names.join(", ");
    let message = format!(
        "\"{}\" has no index for its scope by ({list}): each event reads the whole table",
        ty.slug
    );
    let hint = match ty.layout.is_managed {
        true => create_hint(&ty.slug, &names, Purpose::Relations),
        false => index_hint(ty, &names, false)?,
    };
    Ok(Some(warning("KEY_SET_UNKNOWN", &format!("{}/scope", entity.pointer), message, hint)))
}

fn of_field(field: &Field, ty: &EntityType) -> Result<Vec<Problem>, Failure> {
    let kind = ty.layout.column(&field.attribute).map(|column| &column.kind);
    let refused = match (kind, &field.value) {
        (Some(Kind::Reference(to)), FieldValue::Relations(relations)) => reference(to, relations),
        (Some(Kind::Reference(_)), FieldValue::RelationRefs(_)) => Some(Refused::NoRelation),
        (_, FieldValue::Source(_)) => place(ty, &field.attribute, typed(field)),
        (_, FieldValue::Relations(_) | FieldValue::RelationRefs(_)) => {
            place(ty, &field.attribute, Some(Refused::NoJsonb))
        }
    };
    let mut problems: Vec<Problem> = refused
        .map(|refused| error(refused, &field.pointer, ty, Some(&field.attribute)))
        .into_iter()
        .collect();
    if let FieldValue::RelationRefs(refs) = &field.value {
        for (i, item) in refs.items.iter().enumerate() {
            let at = format!("{}/relation_refs/items/{i}/value", field.pointer);
            problems.extend(of_ref(item, &at)?);
        }
    }
    Ok(problems)
}

fn reference(to: &str, relations: &Relations) -> Option<Refused> {
    if relations.operation != Operation::Set {
        return Some(Refused::Appended);
    }
    let RelationItems::Listed(items) = &relations.items else { return None };
    let is_other = |item: &RelationItem| item.schema != to;
    match items.as_slice() {
        items if items.iter().any(is_other) => Some(Refused::OtherType),
        items if items.iter().any(|item| item.tags.is_some()) => Some(Refused::Tagged),
        _ => None,
    }
}

/// The list that is linked to is kept in the target's table.
fn of_ref(item: &RelationRefItem, at: &str) -> Result<Option<Problem>, Failure> {
    let Some(target) = EntityType::find(&item.schema)? else { return Ok(None) };
    let refused = place(&target, &item.attribute, Some(Refused::NoList));
    Ok(refused.map(|refused| error(refused, at, &target, Some(&item.attribute))))
}

fn error(refused: Refused, at: &str, ty: &EntityType, attribute: Option<&str>) -> Problem {
    let of = attribute.map(|name| format!(".{name}")).unwrap_or_default();
    Problem {
        severity: Severity::Error,
        code: refused.code(),
        path: at.to_owned(),
        message: format!("{}{of}: {}", ty.slug, refused.message()),
        hint: Some(refused.hint().to_owned()),
    }
}

fn warning(code: &'static str, at: &str, message: String, hint: String) -> Problem {
    let (severity, path) = (Severity::Warning, at.to_owned());
    Problem { severity, code, path, message, hint: Some(hint) }
}
