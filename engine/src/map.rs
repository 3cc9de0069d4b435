//! An event's payload to entity updates: pure data, no table touched.

use std::borrow::Cow;

use crate::error::{Code, Error, Result};
use crate::expr::{Context, Failure, FailureKind, Jsonata, Path, truthy};
use crate::identifier::is_blank;
use crate::jsonb::{Tree, Value};
use crate::mapping::{
    Enabled, Entity, Event, Field, FieldValue, Identifier, Mode, Operation, RelationItems,
    Relations, Scope, Source,
};

/// What an entry yields, in order.
#[derive(Debug, Clone)]
pub enum Mapped<'a> {
    Update(EntityUpdate<'a>),
    /// Follows the updates of an entry in a prune-scope mode.
    Prune(Prune<'a>),
}

/// What an event does to one entity.
#[derive(Debug, Clone)]
pub struct EntityUpdate<'a> {
    pub entity: &'a Entity,
    /// Those of the entity's `unique_ids` that have a value.
    pub unique_identifiers: Vec<(&'a str, Value<'a>)>,
    /// Attributes that are not missing, each once, in the order of the fields.
    pub attributes: Vec<(&'a str, Attribute<'a>)>,
}

/// What an attribute becomes.
#[derive(Debug, Clone)]
pub enum Attribute<'a> {
    /// A value, or an array operation.
    Value(Value<'a>),
    Relation(Relation<'a>),
}

/// A relation before its targets are looked up.
#[derive(Debug, Clone)]
pub struct Relation<'a> {
    pub operation: Operation,
    pub targets: Vec<Target<'a>>,
}

/// An entity that a relation links to.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    pub schema: &'a str,
    pub identifiers: Vec<(&'a str, Value<'a>)>,
    pub tags: Option<Value<'a>>,
}

/// Which entities of the entry's schema are to go, unless the same event upserts them.
#[derive(Debug, Clone)]
pub struct Prune<'a> {
    pub entity: &'a Entity,
    /// The values of the scope's identifiers, or of its query.
    pub values: Vec<(&'a str, Value<'a>)>,
}

/// Maps `payload`. Errors: `MAPPING_EXPRESSION_FAILED`, `EXPRESSION_LIMIT_EXCEEDED`,
/// `ATTRIBUTE_TYPE_MISMATCH` for an identifier that no double can hold.
pub fn map<'a>(
    event: &'a Event,
    payload: Value<'a>,
    context: &Context<'a>,
) -> Result<Vec<Mapped<'a>>> {
    let mut mapped = Vec::new();
    for entity in &event.entities {
        map_entity(entity, payload, context, &mut mapped)?;
    }
    Ok(mapped)
}

fn map_entity<'a>(
    entity: &'a Entity,
    payload: Value<'a>,
    context: &Context<'a>,
    mapped: &mut Vec<Mapped<'a>>,
) -> Result<()> {
    if matches!(entity.enabled, Enabled::Never) {
        return Ok(());
    }
    let Some(items) = items(entity, payload, context)? else { return Ok(()) };
    for item in items {
        if context.is_cancelled() {
            return Err(Error::new(Code::ExpressionLimitExceeded, "the mapping was cancelled"));
        }
        mapped.push(Mapped::Update(update(entity, item, context)?));
    }
    if let Some(prune) = prune(entity, payload, context)? {
        mapped.push(Mapped::Prune(prune));
    }
    Ok(())
}

/// The items of an entry; `None` when it is disabled. Whether it is enabled is decided on the
/// whole result of the pre-processing.
fn items<'a>(
    entity: &'a Entity,
    payload: Value<'a>,
    context: &Context<'a>,
) -> Result<Option<Vec<Value<'a>>>> {
    let place = Place { entity, attribute: None };
    let whole = match &entity.items {
        None => Some(payload),
        Some(expression) => place.evaluate(expression, Some(payload), context)?,
    };
    if !place.is_enabled(&entity.enabled, whole, context)? {
        return Ok(None);
    }
    Ok(Some(match (whole, &entity.items) {
        (Some(Value::Array(items)), Some(_)) => items.iter().collect(),
        (Some(Value::Null), Some(_)) | (None, _) => Vec::new(),
        (Some(item), _) => vec![item],
    }))
}

fn update<'a>(
    entity: &'a Entity,
    item: Value<'a>,
    context: &Context<'a>,
) -> Result<EntityUpdate<'a>> {
    let mut attributes: Vec<(&'a str, Attribute<'a>)> = Vec::with_capacity(entity.fields.len());
    for field in &entity.fields {
        let Some(value) = attribute(entity, field, item, context)? else { continue };
        match attributes.iter_mut().find(|(name, _)| *name == field.attribute) {
            Some((_, earlier)) => *earlier = value,
            None => attributes.push((&field.attribute, value)),
        }
    }
    let mut unique_identifiers = Vec::with_capacity(entity.unique_ids.len());
    for id in &entity.unique_ids {
        let mapped = attributes.iter().find(|(name, _)| name == id);
        if let Some((_, Attribute::Value(value))) = mapped
            && !is_blank(*value)
        {
            check_exact(&entity.schema, id, *value)?;
            unique_identifiers.push((id.as_str(), *value));
        }
    }
    Ok(EntityUpdate { entity, unique_identifiers, attributes })
}

fn attribute<'a>(
    entity: &'a Entity,
    field: &'a Field,
    item: Value<'a>,
    context: &Context<'a>,
) -> Result<Option<Attribute<'a>>> {
    let place = Place { entity, attribute: Some(&field.attribute) };
    if !place.is_enabled(&field.enabled, Some(item), context)? {
        return Ok(None);
    }
    match &field.value {
        FieldValue::Source(source) => Ok(place.value(source, item, context)?.map(Attribute::Value)),
        FieldValue::Relations(relations) => relation(&place, relations, item, context),
    }
}

fn relation<'a>(
    place: &Place<'a>,
    relations: &'a Relations,
    item: Value<'a>,
    context: &Context<'a>,
) -> Result<Option<Attribute<'a>>> {
    let targets: Vec<Option<Target<'a>>> = match &relations.items {
        RelationItems::Listed(items) => items
            .iter()
            .map(|listed| {
                let identifiers =
                    place.identifiers(&listed.schema, &listed.unique_ids, item, context)?;
                let tags = listed.tags.as_ref().map(|tags| tags.value());
                Ok(identifiers.map(|identifiers| Target {
                    schema: &listed.schema,
                    identifiers,
                    tags,
                }))
            })
            .collect::<Result<_>>()?,
        RelationItems::Expression(expression) => {
            match place.evaluate(expression, Some(item), context)? {
                None => return Ok(None),
                Some(Value::Null) => return Ok(Some(Attribute::Value(Value::Null))),
                Some(Value::Array(items)) => items
                    .iter()
                    .enumerate()
                    .map(|(i, given)| place.target(expression, i, given, item, context))
                    .collect::<Result<_>>()?,
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

fn prune<'a>(
    entity: &'a Entity,
    payload: Value<'a>,
    context: &Context<'a>,
) -> Result<Option<Prune<'a>>> {
    let identifiers = match &entity.scope {
        None => return Ok(None),
        Some(Scope::Relations { unique_ids, .. }) => unique_ids,
        Some(Scope::Query(query)) => query,
    };
    let place = Place { entity, attribute: None };
    let values = place.identifiers(&entity.schema, identifiers, payload, context)?;
    Ok(values.map(|values| Prune { entity, values }))
}

/// A number that an expression computed beyond 2^53 names nothing for certain.
fn check_exact(schema: &str, attribute: &str, value: Value<'_>) -> Result<()> {
    match value {
        Value::Number(number) if number.is_inexact() => {
            let message = format!(
                "{schema}: unique identifier {attribute} is a number that an expression \
                 computed beyond 2^53, where digits are lost"
            );
            Err(Error::new(Code::AttributeTypeMismatch, message).hint(
                "Let no expression compute with the identifier (a copied one stays exact), or \
                     have the ERP send it as a string.",
            ))
        }
        _ => Ok(()),
    }
}

/// Where in the mapping a value is wanted, for errors.
struct Place<'a> {
    entity: &'a Entity,
    attribute: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn is_enabled(
        &self,
        enabled: &Enabled,
        input: Option<Value<'a>>,
        context: &Context<'a>,
    ) -> Result<bool> {
        match enabled {
            Enabled::Always => Ok(true),
            Enabled::Never => Ok(false),
            Enabled::When(expression) => Ok(truthy(self.evaluate(expression, input, context)?)),
        }
    }

    fn evaluate(
        &self,
        expression: &Jsonata,
        input: Option<Value<'a>>,
        context: &Context<'a>,
    ) -> Result<Option<Value<'a>>> {
        expression
            .evaluate(input, context)
            .and_then(|result| result.map(|result| context.keep(result)).transpose())
            .map_err(|failure| self.failed(&failure, expression.source()))
    }

    fn value(
        &self,
        source: &'a Source,
        item: Value<'a>,
        context: &Context<'a>,
    ) -> Result<Option<Value<'a>>> {
        source
            .value(item, context)
            .map_err(|failure| self.failed(&failure, source.text().unwrap_or_default()))
    }

    /// The values of `identifiers`; `None` when one is missing, null or "".
    fn identifiers(
        &self,
        schema: &str,
        identifiers: &'a [Identifier],
        item: Value<'a>,
        context: &Context<'a>,
    ) -> Result<Option<Vec<(&'a str, Value<'a>)>>> {
        let mut found = Vec::with_capacity(identifiers.len());
        for identifier in identifiers {
            match self.value(&identifier.source, item, context)? {
                Some(value) if !is_blank(value) => {
                    check_exact(schema, &identifier.attribute, value)?;
                    found.push((identifier.attribute.as_str(), value));
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(found))
    }

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
            Some(tags @ Value::Array(list)) if list.iter().all(|tag| tag.as_str().is_some()) => {
                Some(tags)
            }
            // JSONata unwraps lists of one.
            Some(tag @ Value::String(_)) => {
                let list = context.keep(Tree::Array(vec![tag.into()]));
                Some(list.map_err(|failure| self.failed(&failure, expression.source()))?)
            }
            Some(_) => return Err(wrong("has \"_tags\" that are not strings")),
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
        let mut named: Vec<&str> = Vec::new();
        for unique_id in unique_ids {
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
            let source = GivenSource::of(unique_id).map_err(|what| wrong(&what))?;
            let value = match source {
                GivenSource::None => None,
                GivenSource::Value(value) => Some(value),
                GivenSource::Key(key) => item.as_object().and_then(|object| object.get(key)),
                // What the payload wrote is not quoted.
                GivenSource::Path(path) => path
                    .evaluate(item, context)
                    .map_err(|failure| self.failed_inside(failure, expression))?,
                GivenSource::Jsonata(source) => source
                    .evaluate(Some(item), context)
                    .and_then(|result| result.map(|result| context.keep(result)).transpose())
                    .map_err(|failure| self.failed_inside(failure, expression))?,
            };
            match value {
                Some(value) if !is_blank(value) => {
                    check_exact(schema, attribute, value)?;
                    identifiers.push((attribute, value));
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(Target { schema, identifiers, tags }))
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

    /// The failure of an expression that `expression` made.
    fn failed_inside(&self, failure: Failure, expression: &Jsonata) -> Error {
        self.failed(&Failure { position: None, ..failure }, expression.source())
    }

    fn failed(&self, failure: &Failure, expression: &str) -> Error {
        let code = match failure.kind {
            FailureKind::Limit | FailureKind::Cancelled => Code::ExpressionLimitExceeded,
            FailureKind::Syntax | FailureKind::Evaluation => Code::MappingExpressionFailed,
        };
        let error = Error::new(code, format!("{}: {}", self.name(), failure.message))
            .detail(self.detail(Some(failure), expression));
        Error { limit: failure.limit, ..error }
    }

    fn name(&self) -> Cow<'a, str> {
        match self.attribute {
            Some(attribute) => format!("{}.{attribute}", self.entity.schema).into(),
            None => self.entity.schema.as_str().into(),
        }
    }

    /// Entity, attribute, expression, position and the engine's own code.
    fn detail(&self, failure: Option<&Failure>, expression: &str) -> String {
        const SHOWN: usize = 500;
        let mut detail = format!("Entity: {} ({})", self.entity.schema, self.entity.pointer);
        if let Some(attribute) = self.attribute {
            detail.push_str(&format!("\nAttribute: {attribute}"));
        }
        let shown: String = expression.chars().take(SHOWN).collect();
        let more = if shown.len() < expression.len() { "…" } else { "" };
        detail.push_str(&format!("\nExpression: {shown}{more}"));
        if let Some(position) = failure.and_then(|failure| failure.position) {
            detail.push_str(&format!("\nPosition: {position}"));
        }
        if let Some(code) = failure.and_then(|failure| failure.code.as_deref()) {
            detail.push_str(&format!("\nEngine code: {code}"));
        }
        detail
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
    fn of(unique_id: crate::jsonb::Object<'a>) -> Result<GivenSource<'a>, String> {
        if let Some(value) = unique_id.get("constant") {
            return Ok(GivenSource::Value(value));
        }
        if let Some(source) = unique_id.get("jsonataExpression") {
            let source = source.as_str().ok_or("has a \"jsonataExpression\" that is no string")?;
            return Jsonata::compile(source)
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
}

// The form in which mapping results are shown

impl<'a> Mapped<'a> {
    /// The slug of the entities concerned.
    pub fn schema(&self) -> &'a str {
        match self {
            Mapped::Update(update) => &update.entity.schema,
            Mapped::Prune(prune) => &prune.entity.schema,
        }
    }

    /// What is done: a mode's name, `prune-delete` or `prune-purge`.
    pub fn mode(&self) -> &'static str {
        match self {
            Mapped::Update(update) => update.entity.mode.of_updates().name(),
            Mapped::Prune(prune) if prune.entity.mode == Mode::UpsertPruneScopeDelete => {
                "prune-delete"
            }
            Mapped::Prune(_) => "prune-purge",
        }
    }
}

impl<'a> EntityUpdate<'a> {
    /// `{attribute: value}` of the unique identifiers.
    pub fn identifiers_tree(&self) -> Tree<'a> {
        members(&self.unique_identifiers)
    }

    /// `{attribute: value}`, relations as `{"$relation": {OP: [{"$entity_unique_ids", "_schema",
    /// "_tags"?}]}}`.
    pub fn attributes_tree(&self) -> Tree<'a> {
        let attribute = |(name, attribute): &(&'a str, Attribute<'a>)| match attribute {
            Attribute::Value(value) => (*name, Tree::Value(*value)),
            Attribute::Relation(relation) => (*name, relation.tree(Target::tree)),
        };
        Tree::Object(self.attributes.iter().map(attribute).collect())
    }
}

impl<'a> Relation<'a> {
    /// `{"$relation": {OP: […]}}` with each target as `item` writes it.
    pub fn tree(&self, item: impl FnMut(&Target<'a>) -> Tree<'a>) -> Tree<'a> {
        let list = Tree::Array(self.targets.iter().map(item).collect());
        let operation = Tree::Object(vec![(self.operation.name(), list)]);
        Tree::Object(vec![("$relation", operation)])
    }
}

impl<'a> Target<'a> {
    fn tree(&self) -> Tree<'a> {
        self.item("$entity_unique_ids", members(&self.identifiers))
    }

    /// The item of a relation that names the target by `key`.
    pub fn item(&self, key: &'static str, value: Tree<'a>) -> Tree<'a> {
        let mut item = vec![(key, value), ("_schema", Value::String(self.schema).into())];
        if let Some(tags) = self.tags {
            item.push(("_tags", tags.into()));
        }
        Tree::Object(item)
    }
}

impl<'a> Prune<'a> {
    /// The scope with its values: `{"scope_mode": "relations", "schema", "unique_identifiers"}`
    /// or `{"scope_mode": "query", "attributes"}`.
    pub fn scope_tree(&self) -> Tree<'a> {
        let word = |word: &'a str| Tree::Value(Value::String(word));
        match &self.entity.scope {
            Some(Scope::Relations { schema, .. }) => Tree::Object(vec![
                ("scope_mode", word("relations")),
                ("schema", word(schema)),
                ("unique_identifiers", members(&self.values)),
            ]),
            _ => Tree::Object(vec![
                ("scope_mode", word("query")),
                ("attributes", members(&self.values)),
            ]),
        }
    }
}

/// An object of `pairs`.
pub fn members<'a>(pairs: &[(&'a str, Value<'a>)]) -> Tree<'a> {
    Tree::Object(pairs.iter().map(|(name, value)| (*name, Tree::Value(*value))).collect())
}
