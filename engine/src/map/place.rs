//! Evaluating what the mapping says at one place of it, and errors that tell the place.

use std::borrow::Cow;

use super::{Attribute, Target, check_exact};
use crate::error::{Code, Error, Result};
use crate::expr::{Context, Failure, FailureKind, Jsonata, truthy};
use crate::identifier::is_blank;
use crate::jsonb::Value;
use crate::mapping::{Enabled, Entity, Identifier, Source};
use crate::value_type::ValueType;

/// Where in the mapping a value is wanted, for errors.
pub(super) struct Place<'a> {
    pub(super) entity: &'a Entity,
    pub(super) attribute: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// Fails once the call is to stop.
    pub(super) fn check(&self, context: &Context<'a>) -> Result<()> {
        context.check().map_err(|failure| self.stopped(failure))
    }

    /// Fails when an event has more than so many entity updates. Error:
    /// `EXPRESSION_LIMIT_EXCEEDED`.
    pub(super) fn check_entities(&self, count: usize, context: &Context<'a>) -> Result<()> {
        context.check_entities(count).map_err(|failure| self.stopped(failure))
    }

    /// Counts relation items of the event. Error: `EXPRESSION_LIMIT_EXCEEDED`.
    pub(super) fn count_relation_items(&self, count: usize, context: &Context<'a>) -> Result<()> {
        context.count_relation_items(count).map_err(|failure| self.stopped(failure))
    }

    /// Counts the values that an attribute yields. Error: `EXPRESSION_LIMIT_EXCEEDED`.
    pub(super) fn count_yielded(
        &self,
        attribute: &Attribute<'a>,
        context: &Context<'a>,
    ) -> Result<()> {
        let mut count = |value: Value<'a>| context.count_yielded(value);
        let counted = match attribute {
            Attribute::Value(value) => count(*value),
            Attribute::Relation(relation) => {
                relation.targets.iter().flat_map(Target::values).try_for_each(&mut count)
            }
            Attribute::RelationRef(refs) => refs.targets.iter().try_for_each(|it| {
                it.target.values().chain(it.value.items.iter().copied()).try_for_each(&mut count)
            }),
        };
        counted.map_err(|failure| self.stopped(failure))
    }

    /// The failure of the event as a whole, met here.
    fn stopped(&self, failure: Failure) -> Error {
        let message = format!("{}: {}", self.name(), failure.message);
        let error = Error::new(Code::ExpressionLimitExceeded, message).detail(self.whereabouts());
        Error { limit: failure.limit, ..error }
    }

    pub(super) fn is_enabled(
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

    pub(super) fn evaluate(
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

    pub(super) fn value(
        &self,
        source: &'a Source,
        item: Value<'a>,
        context: &Context<'a>,
    ) -> Result<Option<Value<'a>>> {
        source
            .value(item, context)
            .map_err(|failure| self.failed(&failure, source.text().unwrap_or_default()))
    }

    /// The form of `ty` in which the attribute stores `value`.
    pub(super) fn stored(
        &self,
        ty: ValueType,
        value: Value<'a>,
        context: &Context<'a>,
    ) -> Result<Value<'a>> {
        let stored = ty.stored(value).map_err(|what| self.mismatch(ty, None, &what))?;
        context.keep(stored).map_err(|failure| self.failed(&failure, ""))
    }

    /// The value by which an identifier of `ty` is looked up.
    pub(super) fn plain(
        &self,
        schema: &str,
        attribute: &str,
        ty: Option<ValueType>,
        value: Option<Value<'a>>,
    ) -> Result<Option<Value<'a>>> {
        let (Some(ty), Some(value)) = (ty, value) else { return Ok(value) };
        ty.plain(value).map_err(|what| self.mismatch(ty, Some((schema, attribute)), &what))
    }

    fn mismatch(&self, ty: ValueType, identifier: Option<(&str, &str)>, what: &str) -> Error {
        let ty = ty.name();
        let of = match identifier {
            Some((schema, attribute)) => format!(" for {schema}.{attribute}"),
            None => String::new(),
        };
        let message = format!("{}: a value of type \"{ty}\"{of} {what}", self.name());
        Error::new(Code::AttributeTypeMismatch, message).detail(self.whereabouts()).hint(format!(
            "Map a string, a list of strings, or objects of the form {{\"{ty}\": …}}."
        ))
    }

    /// The values of `identifiers`; `None` when one is missing, null or "".
    pub(super) fn identifiers(
        &self,
        schema: &str,
        identifiers: &'a [Identifier],
        item: Value<'a>,
        context: &Context<'a>,
    ) -> Result<Option<Vec<(&'a str, Value<'a>)>>> {
        let mut found = Vec::with_capacity(identifiers.len());
        for identifier in identifiers {
            let value = self.value(&identifier.source, item, context)?;
            match self.plain(schema, &identifier.attribute, identifier.value_type, value)? {
                Some(value) if !is_blank(value) => {
                    check_exact(schema, &identifier.attribute, value)?;
                    found.push((identifier.attribute.as_str(), value));
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// The failure of an expression that `expression` made.
    pub(super) fn failed_inside(&self, failure: Failure, expression: &Jsonata) -> Error {
        self.failed(&Failure { position: None, ..failure }, expression.source())
    }

    pub(super) fn failed(&self, failure: &Failure, expression: &str) -> Error {
        let code = match failure.kind {
            FailureKind::Limit | FailureKind::Cancelled => Code::ExpressionLimitExceeded,
            FailureKind::Syntax | FailureKind::Evaluation => Code::MappingExpressionFailed,
        };
        let error = Error::new(code, format!("{}: {}", self.name(), failure.message))
            .detail(self.detail(Some(failure), expression));
        Error { limit: failure.limit, ..error }
    }

    pub(super) fn name(&self) -> Cow<'a, str> {
        match self.attribute {
            Some(attribute) => format!("{}.{attribute}", self.entity.schema).into(),
            None => self.entity.schema.as_str().into(),
        }
    }

    /// Entity and attribute.
    pub(super) fn whereabouts(&self) -> String {
        let mut detail = format!("Entity: {} ({})", self.entity.schema, self.entity.pointer);
        if let Some(attribute) = self.attribute {
            detail.push_str(&format!("\nAttribute: {attribute}"));
        }
        detail
    }

    /// Entity, attribute, expression, position and the engine's own code.
    pub(super) fn detail(&self, failure: Option<&Failure>, expression: &str) -> String {
        const SHOWN: usize = 500;
        let mut detail = self.whereabouts();
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
