//! Random mappings, and how they are written.

use proptest::collection::{btree_map, vec};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;

use super::expression::{self, Expression};
use super::json::{Json, document, key, quoted};
use super::path::{self, Segment};

#[derive(Debug, Clone)]
pub struct Entry {
    pub schema: &'static str,
    pub unique_ids: Vec<&'static str>,
    pub items: Option<Expression>,
    pub enabled: Option<Enabled>,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub struct Field {
    pub attribute: &'static str,
    pub enabled: Option<Enabled>,
    pub value: FieldValue,
}

#[derive(Debug, Clone)]
pub enum Enabled {
    Always(bool),
    When(Expression),
}

#[derive(Debug, Clone)]
pub enum FieldValue {
    Plain(Source),
    Relation { operation: Option<&'static str>, items: Items },
}

/// Of several the constant counts, then the expression, then the field.
#[derive(Debug, Clone, Default)]
pub struct Source {
    pub constant: Option<Json>,
    pub expression: Option<Expression>,
    pub field: Option<Reference>,
    /// `email` or `phone`.
    pub value_type: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub enum Reference {
    Key(String),
    Path(Vec<Segment>),
}

#[derive(Debug, Clone)]
pub enum Items {
    Listed(Vec<Item>),
    Given(Expression),
}

#[derive(Debug, Clone)]
pub struct Item {
    pub tags: Option<Vec<&'static str>>,
    pub unique_ids: Vec<(&'static str, Source)>,
}

/// The schema that all relations lead to.
pub const TARGET: &str = "s";

// Text

/// The document, of a bare mapping.
pub fn text(entries: &[Entry]) -> String {
    format!(r#"{{"entities": {}}}"#, list(entries, entry))
}

fn entry(entry: &Entry) -> String {
    let mut members = vec![
        format!(r#""entity_schema": "{}""#, entry.schema),
        format!(r#""unique_ids": {}"#, list(&entry.unique_ids, |name| quoted(name))),
    ];
    members.extend(entry.items.as_ref().map(jsonata));
    members.extend(entry.enabled.as_ref().map(enabled));
    members.push(format!(r#""fields": {}"#, list(&entry.fields, field)));
    object(&members)
}

fn field(field: &Field) -> String {
    let mut members = vec![format!(r#""attribute": "{}""#, field.attribute)];
    members.extend(field.enabled.as_ref().map(enabled));
    match &field.value {
        FieldValue::Plain(given) => members.extend(source(given)),
        FieldValue::Relation { operation, items } => {
            let mut inner = vec![match items {
                Items::Listed(items) => format!(r#""items": {}"#, list(items, item)),
                Items::Given(expression) => jsonata(expression),
            }];
            inner.extend(operation.map(|name| format!(r#""operation": "{name}""#)));
            members.push(format!(r#""relations": {}"#, object(&inner)));
        }
    }
    object(&members)
}

fn item(item: &Item) -> String {
    let unique_id = |(attribute, given): &(&str, Source)| {
        let mut members = vec![format!(r#""attribute": "{attribute}""#)];
        members.extend(source(given));
        object(&members)
    };
    let mut members = vec![
        format!(r#""entity_schema": "{TARGET}""#),
        format!(r#""unique_ids": {}"#, list(&item.unique_ids, unique_id)),
    ];
    members.extend(
        item.tags.as_ref().map(|tags| format!(r#""_tags": {}"#, list(tags, |tag| quoted(tag)))),
    );
    object(&members)
}

fn source(source: &Source) -> Vec<String> {
    let field = source.field.as_ref().map(|field| match field {
        Reference::Key(key) => format!(r#""field": {}"#, quoted(key)),
        Reference::Path(path) => format!(r#""field": {}"#, quoted(&path::text(path))),
    });
    let constant = source.constant.as_ref().map(|value| format!(r#""constant": {value}"#));
    let value_type = source.value_type.map(|name| format!(r#""_type": "{name}""#));
    [constant, source.expression.as_ref().map(jsonata), field, value_type]
        .into_iter()
        .flatten()
        .collect()
}

fn jsonata(expression: &Expression) -> String {
    format!(r#""jsonataExpression": {}"#, quoted(&expression.source))
}

fn enabled(enabled: &Enabled) -> String {
    match enabled {
        Enabled::Always(value) => format!(r#""enabled": {value}"#),
        Enabled::When(expression) => format!(r#""enabled": {}"#, quoted(&expression.source)),
    }
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", "))
}

fn object(members: &[String]) -> String {
    format!("{{{}}}", members.join(", "))
}

// Random mappings

pub fn entries() -> impl Strategy<Value = Vec<Entry>> {
    vec(random_entry(), 1..4)
}

/// An entry with one field, that identifies, by one expression.
pub fn one_expression() -> impl Strategy<Value = Vec<Entry>> {
    let expression = prop_oneof![2 => expression::expression(), 1 => expression::computing()];
    expression.prop_map(|expression| {
        let source = Source { expression: Some(expression), ..Source::default() };
        let field = Field { attribute: "id", enabled: None, value: FieldValue::Plain(source) };
        vec![Entry {
            schema: "contact",
            unique_ids: vec!["id"],
            items: None,
            enabled: None,
            fields: vec![field],
        }]
    })
}

/// Attributes, few, so that several fields map the same; the first two identify.
const ATTRIBUTES: [&str; 5] = ["id", "key", "name", "tags", "_tags"];

const UNIQUE_IDS: [&[&str]; 3] = [&["id"], &["id", "key"], &["key", "id"]];

fn random_entry() -> impl Strategy<Value = Entry> {
    let schema = select(&["contact", "contract"][..]);
    let unique_ids = select(&UNIQUE_IDS[..]);
    let fields = vec(random_field(), 0..6);
    (schema, unique_ids, weighted(0.4, expression::items()), random_enabled(), fields).prop_map(
        |(schema, unique_ids, items, enabled, mut fields)| {
            agree_on_types(&mut fields, unique_ids);
            Entry { schema, unique_ids: unique_ids.to_vec(), items, enabled, fields }
        },
    )
}

/// The fields of an identifier agree about its type; where they do not, `erp_validate` warns.
fn agree_on_types(fields: &mut [Field], unique_ids: &[&str]) {
    for name in unique_ids {
        let mut sources: Vec<&mut Source> = fields
            .iter_mut()
            .filter(|field| field.attribute == *name)
            .filter_map(|field| match &mut field.value {
                FieldValue::Plain(source) => Some(source),
                FieldValue::Relation { .. } => None,
            })
            .collect();
        let value_type = sources.iter().find_map(|source| source.value_type);
        sources.iter_mut().for_each(|source| source.value_type = value_type);
    }
}

fn random_field() -> impl Strategy<Value = Field> {
    let plain = (select(&ATTRIBUTES[..]), random_source())
        .prop_map(|(attribute, source)| (attribute, FieldValue::Plain(source)));
    let relation = (select(&ATTRIBUTES[2..]), random_operation(), random_items()).prop_map(
        |(attribute, operation, items)| (attribute, FieldValue::Relation { operation, items }),
    );
    (prop_oneof![4 => plain, 1 => relation], random_enabled())
        .prop_map(|((attribute, value), enabled)| Field { attribute, enabled, value })
}

fn random_enabled() -> impl Strategy<Value = Option<Enabled>> {
    let enabled = prop_oneof![
        1 => any::<bool>().prop_map(Enabled::Always),
        2 => expression::test().prop_map(Enabled::When),
        1 => expression::expression().prop_map(Enabled::When),
    ];
    weighted(0.25, enabled)
}

fn random_operation() -> impl Strategy<Value = Option<&'static str>> {
    of(super::json::operation_name())
}

fn random_source() -> impl Strategy<Value = Source> {
    let value_type = weighted(0.15, select(&["email", "phone"][..]));
    (untyped_source(), value_type).prop_map(|(source, value_type)| Source { value_type, ..source })
}

fn untyped_source() -> impl Strategy<Value = Source> {
    let constant = || document();
    let several = (of(constant()), of(expression::expression()), of(reference()))
        .prop_filter("it has a source", |(constant, expression, field)| {
            constant.is_some() || expression.is_some() || field.is_some()
        })
        .prop_map(|(constant, expression, field)| Source {
            constant,
            expression,
            field,
            value_type: None,
        });
    prop_oneof![
        1 => constant().prop_map(|value| Source { constant: Some(value), ..Source::default() }),
        4 => expression::expression()
            .prop_map(|value| Source { expression: Some(value), ..Source::default() }),
        5 => reference().prop_map(|field| Source { field: Some(field), ..Source::default() }),
        1 => several,
    ]
}

fn reference() -> impl Strategy<Value = Reference> {
    prop_oneof![key().prop_map(Reference::Key), path::path().prop_map(Reference::Path),]
}

fn random_items() -> impl Strategy<Value = Items> {
    let tags = of(vec(select(&["T", "U", ""][..]), 0..3));
    let unique_ids = btree_map(select(&["i", "j"][..]), random_source(), 1..3)
        .prop_map(|unique_ids| unique_ids.into_iter().collect());
    let item = (tags, unique_ids).prop_map(|(tags, unique_ids)| Item { tags, unique_ids });
    prop_oneof![
        vec(item, 0..4).prop_map(Items::Listed),
        expression::relation_items().prop_map(Items::Given),
    ]
}
