//! How a case is run: a line says which source, of which payload, gives which value.

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::expr::{CancelToken, Context, Limits};
use erp_engine::map::{Mapped, map};
use erp_engine::mapping::compile;

use super::{NOW, attributes, entry, json, keep};

/// Expected of an attribute that is left alone.
pub const MISSING: &str = "";

/// `fields` of one entry give one update with `expected` attributes.
pub fn gives(fields: &str, payload: &str, expected: &str) {
    yields(&format!(r#"{{"fields": {fields}}}"#), payload, &[expected]);
}

/// An entry gives updates with `expected` attributes.
pub fn yields(entry_text: &str, payload: &str, expected: &[&str]) {
    let got = entry(entry_text, payload).unwrap_or_else(|e| panic!("{entry_text}: {e:?}"));
    let expected: Vec<String> = expected.iter().map(|expected| text(expected)).collect();
    assert_eq!(got, expected, "{entry_text}\n{payload}");
}

/// A field with `source` makes its attribute `expected`.
pub fn takes(source: &str, payload: &str, expected: &str) {
    let expected = match expected {
        MISSING => "{}".to_owned(),
        value => format!(r#"{{"a": {value}}}"#),
    };
    gives(&format!(r#"[{{"attribute": "a", {source}}}]"#), payload, &expected);
}

/// A field with the JSONata `expression` makes its attribute `expected`.
pub fn evaluates(expression: &str, payload: &str, expected: &str) {
    takes(&format!(r#""jsonataExpression": {}"#, quoted(expression)), payload, expected);
}

/// A field with `relations` becomes a relation of `targets`, a list.
pub fn links(relations: &str, payload: &str, operation: &str, targets: &str) {
    let expected = match targets {
        MISSING => MISSING.to_owned(),
        targets => format!(r#"{{"$relation": {{"{operation}": {targets}}}}}"#),
    };
    takes(&format!(r#""relations": {{{relations}}}"#), payload, &expected);
}

pub fn fails(fields: &str, payload: &str, code: Code, message: &str) {
    let error = attributes(fields, payload).expect_err(fields);
    assert_eq!((error.code, &*error.message), (code, message), "{fields}");
}

/// The attributes of an update whose identifier `id` has `source`.
pub fn identifier(source: &str, payload: &str) -> Result<String, Error> {
    let fields = format!(r#"[{{"attribute": "id", {source}}}]"#);
    attributes(&fields, payload).map(|mut updates| updates.pop().unwrap())
}

/// What `entities` of an event yield: schema, mode, identifiers and attributes, or the scope.
pub fn rows(entities: &str, payload: &str) -> Result<Vec<String>, Error> {
    let arena = Bump::new();
    let document = format!(
        r#"{{"version": "2.0", "mapping": {{"events": {{"E/~": {{"entities": {entities}}}}}}}}}"#
    );
    let compiled = compile(json(&document, &arena));
    let mapping = compiled.mapping.unwrap_or_else(|| panic!("{:?}", compiled.problems));
    let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
    let mapped = map(mapping.event("E/~")?, json(payload, &arena), &context)?;
    let row = |row: &Mapped<'_>| {
        let what = match row {
            Mapped::Update(update) => {
                let identifiers = keep(&update.identifiers_tree(), &arena);
                format!("{identifiers} {}", keep(&update.attributes_tree(), &arena))
            }
            Mapped::Prune(prune) => keep(&prune.scope_tree(), &arena).to_string(),
        };
        format!("{} {} {what}", row.schema(), row.mode())
    };
    Ok(mapped.iter().map(row).collect())
}

/// A document as jsonb prints it.
pub fn text(document: &str) -> String {
    let arena = Bump::new();
    json(document, &arena).to_string()
}

/// A string as JSON.
pub fn quoted(string: &str) -> String {
    serde_json::Value::from(string).to_string()
}
