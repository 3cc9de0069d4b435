//! Relations: the entities that a field links to.

use super::place::Place;
use super::{Attribute, Relation, Target, check_exact};
use crate::error::{Code, Error, Result};
use crate::expr::{Context, Failure, Jsonata, Path};
use crate::identifier::{ENTITY_ID, is_blank};
use crate::jsonb::{Object, Tree, Value};
use crate::mapping::{Identifier, RelationItems, Relations};
use crate::value_type::ValueType;

pub(super) fn relation<'a>(
    place: &Place<'a>,
    relations: &'a Relations,
    item: Value<'a>,
    context: &Context<'a>,
) -> Result<Option<Attribute<'a>>> {
    let targets: Vec<Option<Target<'a>>> = match &relations.items {
        RelationItems::Listed(items) => items
            .iter()
            .map(|listed| {
                place.count_relation_items(1, context)?;
                let identifiers =
                    place.identifiers(&listed.schema, &listed.unique_ids, item, context)?;
                let tags = listed.tags.as_ref().map(|tags| tags.value());
                Ok(identifiers.map(|identifiers| Target {
                    schema: &listed.schema,
                    identifiers,
                    tags,
                    types: types(&listed.unique_ids),
                }))
            })
            .collect::<Result<_>>()?,
        RelationItems::Expression(expression) => {
            match place.evaluate(expression, Some(item), context)? {
                None => return Ok(None),
                Some(Value::Null) => return Ok(Some(Attribute::Value(Value::Null))),
                Some(Value::Array(items)) => {
                    place.count_relation_items(items.len(), context)?;
                    items
                        .iter()
                        .enumerate()
                        .map(|(i, given)| place.target(expression, i, given, item, context))
                        .collect::<Result<_>>()?
                }
                Some(one) => vec![place.target(expression, 0, one, item, context)?],
            }
        }
    };
    // Source data is missing: nothing can be said about the list.
    if !targets.is_empty() && targets.iter().all(Option::is_none) {
        return Ok(None);
    }
    let targets = targets.into_iter().flatten().collect();
    Ok(Some(Attribute::Relation(Relation { operation: relations.operation, targets })))
}

impl<'a> Place<'a> {
    /// A relation item that `expression` gave; `None` when an identifier of it is missing.
    fn target(
        &self,
        expression: &Jsonata,
        index: usize,
        given: Value<'a>,
        item: Value<'a>,
        context: &Context<'a>,
    ) -> Result<Option<Target<'a>>> {
        let wrong = |what: &str| self.wrong_item(expression, index, what);
        let object = given.as_object().ok_or_else(|| wrong("is not an object"))?;
        let schema = match object.get("entity_schema") {
            Some(Value::String(schema)) if !schema.is_empty() => schema,
            _ => return Err(wrong("has no \"entity_schema\"")),
        };
        let tags = match object.get("_tags") {
            None | Some(Value::Null) => None,
            Some(tags) => {
                let tags =
                    tag_list(tags).ok_or_else(|| wrong("has \"_tags\" that are not strings"))?;
                let list = context.keep(tags);
                Some(list.map_err(|failure| self.failed(&failure, expression.source()))?)
            }
        };
        let one;
        let unique_ids: &mut dyn Iterator<Item = Value<'a>> = match object.get("unique_ids") {
            Some(Value::Array(list)) if !list.is_empty() => &mut list.iter(),
            Some(Value::Object(single)) => {
                one = Value::Object(single);
                &mut std::iter::once(one)
            }
            _ => return Err(wrong("has no \"unique_ids\"")),
        };
        let mut identifiers = Vec::new();
        let mut types = Vec::new();
        let mut named: Vec<&str> = Vec::new();
        for unique_id in unique_ids {
            self.check(context)?;
            let unique_id = unique_id.as_object();
            let attribute = unique_id.and_then(|id| id.get("attribute")).and_then(Value::as_str);
            let attribute = attribute.filter(|attribute| !attribute.is_empty());
            let (Some(unique_id), Some(attribute)) = (unique_id, attribute) else {
                return Err(wrong("has a unique identifier without \"attribute\""));
            };
            if named.contains(&attribute) {
                return Err(wrong("names a unique identifier twice"));
            }
            named.push(attribute);
            if named.len() > 1 && named.contains(&ENTITY_ID) {
                return Err(wrong("names \"_id\" beside other unique identifiers"));
            }
            let source =
                GivenSource::of(unique_id, context.max_length()).map_err(|what| wrong(&what))?;
            // What the payload wrote is not quoted.
            let value = source
                .value(item, context)
                .map_err(|failure| self.failed_inside(failure, expression))?;
            let ty = given_type(unique_id).map_err(|what| wrong(&what))?;
            if attribute == ENTITY_ID && ty.is_some() {
                return Err(wrong("gives \"_id\" a \"_type\""));
            }
            types.extend(ty.map(|ty| (attribute, ty)));
            match self.plain(schema, attribute, ty, value)? {
                Some(value) if !is_blank(value) => {
                    check_exact(schema, attribute, value)?;
                    identifiers.push((attribute, value));
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(Target { schema, identifiers, tags, types }))
    }

    fn wrong_item(&self, expression: &Jsonata, index: usize, what: &str) -> Error {
        let message = format!("{}: relation item {} {what}", self.name(), index + 1);
        Error::new(Code::MappingExpressionFailed, message)
            .detail(self.detail(None, expression.source()))
            .hint(
                "The expression must yield objects of the form {\"entity_schema\": …, \
                 \"unique_ids\": [{\"attribute\": …, \"constant\": …}]}.",
            )
    }
}

/// Tags as a list; `None` when they are not strings.
fn tag_list<'a>(tags: Value<'a>) -> Option<Tree<'a>> {
    match tags {
        Value::Array(list) => list.iter().all(|tag| tag.as_str().is_some()).then_some(tags.into()),
        // JSONata unwraps lists of one.
        Value::String(_) => Some(Tree::Array(vec![tags.into()])),
        _ => None,
    }
}

/// The identifiers that are stored in the form of a type.
pub(super) fn types(identifiers: &[Identifier]) -> Vec<(&str, ValueType)> {
    identifiers.iter().filter_map(|id| Some((id.attribute.as_str(), id.value_type?))).collect()
}

/// The `_type` of a unique identifier that an expression gave.
fn given_type(unique_id: Object<'_>) -> Result<Option<ValueType>, String> {
    match unique_id.get("_type") {
        None | Some(Value::Null) => Ok(None),
        Some(given) => {
            let known = ValueType::ALL.iter().find(|(name, _)| given.as_str() == Some(name));
            let known = known.map(|(_, ty)| Some(*ty));
            known.ok_or_else(|| "has a \"_type\" that is none of \"email\", \"phone\"".into())
        }
    }
}

/// The source of an identifier in a relation item that an expression gave.
enum GivenSource<'a> {
    None,
    Value(Value<'a>),
    Key(&'a str),
    Path(Path),
    Jsonata(Jsonata),
}

impl<'a> GivenSource<'a> {
    fn of(unique_id: Object<'a>, max_length: usize) -> Result<GivenSource<'a>, String> {
        if let Some(value) = unique_id.get("constant") {
            return Ok(GivenSource::Value(value));
        }
        if let Some(source) = unique_id.get("jsonataExpression") {
            let source = source.as_str().ok_or("has a \"jsonataExpression\" that is no string")?;
            return Jsonata::compile_within(source, max_length)
                .map(GivenSource::Jsonata)
                .map_err(|failure| format!("has an invalid expression: {}", failure.message));
        }
        match unique_id.get("field") {
            None => Ok(GivenSource::None),
            Some(Value::String(path)) if path.starts_with('$') => Path::compile(path)
                .map(GivenSource::Path)
                .map_err(|failure| format!("has an invalid path: {}", failure.message)),
            Some(Value::String(key)) => Ok(GivenSource::Key(key)),
            Some(_) => Err("has a \"field\" that is no string".into()),
        }
    }

    fn value(self, item: Value<'a>, context: &Context<'a>) -> Result<Option<Value<'a>>, Failure> {
        match self {
            GivenSource::None => Ok(None),
            GivenSource::Value(value) => Ok(Some(value)),
            GivenSource::Key(key) => Ok(item.as_object().and_then(|object| object.get(key))),
            GivenSource::Path(path) => path.evaluate(item, context),
            GivenSource::Jsonata(expression) => {
                let result = expression.evaluate(Some(item), context)?;
                result.map(|result| context.keep(result)).transpose()
            }
        }
    }
}
