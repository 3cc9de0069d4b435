//! The expressions that are compared, and which of them the engines agree on.

use serde_json::Value;

use crate::engine::{Boxed, Engine};

pub const PAYLOAD: &str = include_str!("../payload.json");

/// The JSONata of a mapping for customers, in its order.
pub fn expressions() -> Vec<String> {
    let document: Value =
        serde_json::from_str(include_str!("../mapping.json")).expect("the mapping is JSON");
    let mut found = Vec::new();
    collect(&document, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => members.iter().for_each(|(key, value)| match value {
            Value::String(source) if key == "jsonataExpression" => found.push(source.clone()),
            _ => collect(value, found),
        }),
        _ => {}
    }
}

/// What `engine` makes of each expression.
pub fn results(engine: Engine, expressions: &[&str]) -> Vec<Result<Option<Value>, String>> {
    engine.with_compiled(expressions, PAYLOAD, |compiled| {
        let result = |one: &Boxed<'_>| {
            let text = one.as_ref().map_err(String::clone)?.text()?;
            text.map(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
                .transpose()
        };
        compiled.iter().map(result).collect()
    })
}

/// Whether both are the same JSON; `1` and `1.0` are.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}
