//! JSON text in tests.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod cases;
pub mod properties;

use bumpalo::Bump;
use erp_engine::error::Error;
use erp_engine::expr::{CancelToken, Context, Limits};
use erp_engine::jsonb::{Tree, Value, encode, parse_text};
use erp_engine::map::{Mapped, map};
use erp_engine::mapping::compile;

/// 2024-01-15T08:00:00Z, the time that the cases print.
pub const NOW: i64 = 1_705_305_600_000;

/// A document given as text.
pub fn json<'a>(text: &str, arena: &'a Bump) -> Value<'a> {
    let tree = parse_text(arena.alloc_str(text), arena).unwrap_or_else(|e| panic!("{e:?}: {text}"));
    keep(&tree, arena)
}

/// A built document, to be read.
pub fn keep<'a>(tree: &Tree<'_>, arena: &'a Bump) -> Value<'a> {
    Value::from_datum(arena.alloc_slice_copy(&encode(tree).unwrap()))
}

/// The member `key` of an object.
pub fn member<'a>(object: Value<'a>, key: &str) -> Value<'a> {
    object.as_object().and_then(|object| object.get(key)).unwrap_or_else(|| panic!("no {key}"))
}

/// What one entry, of schema `thing` and identified by `id`, yields: its attributes as text.
pub fn attributes(fields: &str, payload: &str) -> Result<Vec<String>, Error> {
    entry(&format!(r#"{{"fields": {fields}}}"#), payload)
}

/// As [`attributes`], of an entry with any keys beside `entity_schema` and `unique_ids`.
pub fn entry(entry: &str, payload: &str) -> Result<Vec<String>, Error> {
    let arena = Bump::new();
    let mut members = vec![
        ("entity_schema", Tree::Value(Value::String("thing"))),
        ("unique_ids", Tree::Array(vec![Value::String("id").into()])),
    ];
    let given = json(entry, &arena).as_object().expect(entry);
    members.extend(given.iter().map(|(key, value)| (key, Tree::Value(value))));
    let entities = Tree::Array(vec![Tree::Object(members)]);
    let document = keep(&Tree::Object(vec![("entities", entities)]), &arena);
    let compiled = compile(document);
    let mapping = compiled.mapping.unwrap_or_else(|| panic!("{entry}: {:?}", compiled.problems));
    let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
    let mapped = map(mapping.event("any")?, json(payload, &arena), &context)?;
    Ok(mapped
        .iter()
        .map(|mapped| match mapped {
            Mapped::Update(update) => keep(&update.attributes_tree(), &arena).to_string(),
            Mapped::Prune(prune) => keep(&prune.scope_tree(), &arena).to_string(),
        })
        .collect())
}
