//! Any text as JSON: what is read is what serde_json reads, comes back as the same text, and what
//! is refused is no JSON, or is beyond what jsonb holds.

use bumpalo::Bump;
use erp_engine::jsonb::{TextError, Value, parse_text, parse_text_until};

use super::sound::{keep, nesting, parse, parts, read, read_number};

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let arena = Bump::new();
    let known: Result<serde_json::Value, _> = serde_json::from_str(text);
    match parse_text(text, &arena) {
        Ok(tree) => {
            let document = keep(&tree, &arena);
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{text}");
            assert!(known.as_ref().is_ok_and(|known| is_same(document, known)) || known.is_err());
            comes_back(document);
        }
        Err(TextError(message)) => {
            let is_beyond = ["out of range", "\\u0000", "nests more"];
            let is_beyond = is_beyond.iter().any(|reason| message.contains(reason));
            assert!(known.is_err() || is_beyond, "{message}: {text}");
        }
    }
    assert!(parse_text_until(text, &arena, &|| true).is_err());
}

fn comes_back(document: Value<'_>) {
    let arena = Bump::new();
    read(document);
    let shown = document.to_string();
    // A few levels more can be read than are.
    let again = parse(&shown, &arena).expect("what is shown can be read");
    assert!(again.same(document), "{shown}");
    assert!(nesting(document) <= 129);
    for (part, _) in parts(document) {
        if let Value::Number(number) = part {
            read_number(number);
        }
    }
}

/// Whether serde_json read the same, numbers as doubles, up to a unit in the last place.
fn is_same(document: Value<'_>, known: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (document, known) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(a), Json::Bool(b)) => a == *b,
        (Value::String(a), Json::String(b)) => a == b,
        (Value::Number(a), Json::Number(b)) => b.as_f64().is_some_and(|b| {
            let a = a.to_f64();
            (a - b).abs() <= (a.abs() * 1e-15).max(f64::MIN_POSITIVE)
        }),
        (Value::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| is_same(a, b)))
        }
        _ => false,
    }
}
