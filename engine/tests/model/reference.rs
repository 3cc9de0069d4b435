//! The naive reference: what a mapping makes of a payload, written from the rules of the mapping
//! language alone, without a thought for speed.

use std::fmt;

use super::expression::{EXACT_INTEGERS, Expression, Fails};
use super::json::Json;
use super::mapping::{Enabled, Entry, Field, FieldValue, Item, Items, Reference, Source, TARGET};
use super::path;

#[derive(Debug, PartialEq)]
pub enum Failure {
    /// An expression, or the form of what it gives.
    Expression,
    /// A value that does not fit where it is to go.
    Mismatch,
    /// An identifier that was computed beyond 2^53.
    LostDigits(f64),
    /// The rules leave the digits of a number open, and something depends on them.
    Undecided,
}

impl From<Fails> for Failure {
    fn from(fails: Fails) -> Failure {
        match fails {
            Fails::Expression => Failure::Expression,
            Fails::Undecided => Failure::Undecided,
        }
    }
}

type Result<T> = std::result::Result<T, Failure>;

pub struct Update {
    pub schema: &'static str,
    pub identifiers: Json,
    pub attributes: Json,
}

impl fmt::Debug for Update {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} {}", self.schema, self.identifiers, self.attributes)
    }
}

/// Every entry maps the same payload, in order.
pub fn map(entries: &[Entry], payload: &Json) -> Result<Vec<Update>> {
    let mut updates = Vec::new();
    for entry in entries {
        for item in items(entry, payload)? {
            updates.push(update(entry, &item)?);
        }
    }
    Ok(updates)
}

/// What the fields of the entry read, one update each; none if it is not enabled.
fn items(entry: &Entry, payload: &Json) -> Result<Vec<Json>> {
    if let Some(Enabled::Always(false)) = entry.enabled {
        return Ok(Vec::new());
    }
    let result = match &entry.items {
        Some(expression) => expression.evaluate(Some(payload))?,
        None => Some(payload.clone()),
    };
    if !is_enabled(entry.enabled.as_ref(), result.as_ref())? {
        return Ok(Vec::new());
    }
    Ok(match (result, &entry.items) {
        (Some(payload), None) => vec![payload],
        (None | Some(Json::Null), _) => Vec::new(),
        (Some(Json::Array(items)), _) => items,
        (Some(item), _) => vec![item],
    })
}

fn is_enabled(enabled: Option<&Enabled>, input: Option<&Json>) -> Result<bool> {
    match enabled {
        None => Ok(true),
        Some(Enabled::Always(value)) => Ok(*value),
        Some(Enabled::When(expression)) => {
            Ok(expression.evaluate(input)?.is_some_and(|value| value.is_truthy()))
        }
    }
}

fn update(entry: &Entry, item: &Json) -> Result<Update> {
    let mut attributes: Vec<(String, (Json, Option<&str>))> = Vec::new();
    for field in &entry.fields {
        if let Some(value) = attribute(field, item)? {
            let value_type = match &field.value {
                FieldValue::Plain(source) => source.value_type,
                FieldValue::Relation { .. } => None,
            };
            attributes.retain(|(name, _)| name != field.attribute);
            attributes.push((field.attribute.to_owned(), (value, value_type)));
        }
    }
    let mut identifiers = Vec::new();
    for name in &entry.unique_ids {
        let value = attributes.iter().find(|(attribute, _)| attribute == name);
        let value = value.and_then(|(_, (value, value_type))| plain(value, *value_type));
        if let Some(value) = value.filter(|value| !value.is_blank()) {
            identifiers.push(((*name).to_owned(), identifier(value)?));
        }
    }
    Ok(Update {
        schema: entry.schema,
        identifiers: Json::object(identifiers),
        attributes: Json::object(attributes.into_iter().map(|(name, (value, _))| (name, value))),
    })
}

/// `None`: the attribute is left alone.
fn attribute(field: &Field, item: &Json) -> Result<Option<Json>> {
    if !is_enabled(field.enabled.as_ref(), Some(item))? {
        return Ok(None);
    }
    match &field.value {
        FieldValue::Plain(source) => typed_value(source, item),
        FieldValue::Relation { operation, items: Items::Listed(items) } => {
            let targets = items.iter().map(|given| target(given, item));
            Ok(relation(*operation, targets.collect::<Result<Vec<_>>>()?))
        }
        FieldValue::Relation { operation, items: Items::Given(expression) } => {
            given_relation(*operation, expression, item)
        }
    }
}

fn typed_value(source: &Source, item: &Json) -> Result<Option<Json>> {
    match (value(source, item)?, source.value_type) {
        (Some(value), Some(value_type)) => stored(value, value_type).map(Some),
        (value, _) => Ok(value),
    }
}

fn value(source: &Source, item: &Json) -> Result<Option<Json>> {
    if let Some(constant) = &source.constant {
        return Ok(Some(constant.clone()));
    }
    if let Some(expression) = &source.expression {
        return Ok(expression.evaluate(Some(item))?);
    }
    Ok(match source.field.as_ref().expect("a source") {
        Reference::Key(key) => item.get(key).cloned(),
        Reference::Path(path) => path::value(path, item),
    })
}

// Identifiers

fn identifier(value: Json) -> Result<Json> {
    match value {
        Json::Computed(double) if double.abs() >= EXACT_INTEGERS => {
            Err(Failure::LostDigits(double))
        }
        value => Ok(value),
    }
}

/// The value inside the form of a type: the first that is one.
fn plain(value: &Json, value_type: Option<&str>) -> Option<Json> {
    let Some(value_type) = value_type else { return Some(value.clone()) };
    let list = operation(value).map_or(value, |(_, list)| list);
    match list {
        Json::Array(items) => items
            .iter()
            .filter_map(|item| item.get(value_type))
            .find(|value| !value.is_blank())
            .cloned(),
        _ => None,
    }
}

// Values that have a type

/// The name and the list of a value that is an operation.
fn operation(value: &Json) -> Option<(&'static str, &Json)> {
    match value {
        Json::Object(members) if members.len() == 1 => {
            let name = match &*members[0].0 {
                "_set" => "_set",
                "_append" | "_append_all" => "_append",
                "_append_unique" => "_append_unique",
                _ => return None,
            };
            Some((name, &members[0].1))
        }
        _ => None,
    }
}

fn stored(value: Json, value_type: &str) -> Result<Json> {
    if value == Json::Null {
        return Ok(Json::Null);
    }
    match operation(&value) {
        Some((name, list)) => Ok(Json::object([(name.to_owned(), stored_list(list, value_type)?)])),
        None => stored_list(&value, value_type),
    }
}

fn stored_list(value: &Json, value_type: &str) -> Result<Json> {
    let items = match value {
        Json::Array(items) => items.clone(),
        one => vec![one.clone()],
    };
    let stored = items.into_iter().filter(|item| !item.is_blank()).map(|item| match item {
        Json::Array(_) => Err(Failure::Mismatch),
        Json::Object(_) if item.get(value_type).is_none() => Err(Failure::Mismatch),
        Json::Object(_) => Ok(item),
        scalar => Ok(Json::object([(value_type.to_owned(), scalar)])),
    });
    stored.collect::<Result<_>>().map(Json::Array)
}

// Relations

/// `None` among the targets: an item that lacks an identifier.
fn relation(operation: Option<&str>, targets: Vec<Option<Json>>) -> Option<Json> {
    let is_empty = targets.is_empty();
    let complete: Vec<Json> = targets.into_iter().flatten().collect();
    let operation = match operation {
        Some("_append_all") => "_append",
        operation => operation.unwrap_or("_set"),
    };
    let list = Json::object([(operation.to_owned(), Json::Array(complete.clone()))]);
    (is_empty || !complete.is_empty()).then(|| Json::object([("$relation".to_owned(), list)]))
}

fn target(given: &Item, item: &Json) -> Result<Option<Json>> {
    let mut identifiers = Vec::new();
    for (attribute, source) in &given.unique_ids {
        // The item is dropped; what its further identifiers are does not matter.
        let Some(value) = identifier_of_target(source, item)? else { return Ok(None) };
        identifiers.push((*attribute, value));
    }
    let tags = given.tags.as_ref();
    let tags = tags.map(|tags| Json::Array(tags.iter().map(|tag| Json::string(tag)).collect()));
    Ok(Some(target_of(TARGET, identifiers, tags)))
}

fn identifier_of_target(source: &Source, item: &Json) -> Result<Option<Json>> {
    let value = match (value(source, item)?, source.value_type) {
        (Some(value), Some(value_type)) => first_plain(value, value_type)?,
        (value, _) => value,
    };
    value.filter(|value| !value.is_blank()).map(identifier).transpose()
}

/// A link looks for one value: no more is read of a list, and there is nothing to append to.
fn first_plain(value: Json, value_type: &str) -> Result<Option<Json>> {
    let items = match value {
        Json::Array(items) => items,
        one => vec![one],
    };
    for item in items {
        let stored = stored_list(&Json::Array(vec![item]), value_type)?;
        if let Some(value) = plain(&stored, Some(value_type)) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn target_of(schema: &str, identifiers: Vec<(&str, Json)>, tags: Option<Json>) -> Json {
    let identifiers = identifiers.into_iter().map(|(name, value)| (name.to_owned(), value));
    let mut members = vec![
        ("$entity_unique_ids".to_owned(), Json::object(identifiers)),
        ("_schema".to_owned(), Json::string(schema)),
    ];
    members.extend(tags.map(|tags| ("_tags".to_owned(), tags)));
    Json::object(members)
}

fn given_relation(
    operation: Option<&str>,
    expression: &Expression,
    item: &Json,
) -> Result<Option<Json>> {
    let items = match expression.evaluate(Some(item))? {
        None => return Ok(None),
        Some(Json::Null) => return Ok(Some(Json::Null)),
        Some(Json::Array(items)) => items,
        Some(one) => vec![one],
    };
    let targets = items.iter().map(|given| given_target(given, item));
    Ok(relation(operation, targets.collect::<Result<Vec<_>>>()?))
}

/// The items that [`super::expression::relation_items`] gives have one identifier, `i`.
fn given_target(given: &Json, item: &Json) -> Result<Option<Json>> {
    let id = match given.get("unique_ids") {
        Some(Json::Array(ids)) => &ids[0],
        other => panic!("{other:?}"),
    };
    let value = match (id.get("constant"), id.get("field")) {
        (Some(constant), _) => Some(constant.clone()),
        (None, Some(Json::String(key))) => item.get(key).cloned(),
        _ => None,
    };
    let value = value.filter(|value| !value.is_blank()).map(identifier).transpose()?;
    let tags = match given.get("_tags") {
        None => None,
        Some(Json::Array(tags)) => Some(tags.clone()),
        Some(tag) => Some(vec![tag.clone()]),
    };
    if tags.iter().flatten().any(|tag| !matches!(tag, Json::String(_))) {
        return Err(Failure::Expression);
    }
    Ok(value.map(|value| target_of(TARGET, vec![("i", value)], tags.map(Json::Array))))
}
