//! Any bytes as a jsonb document: they are refused, or can be read, copied and written as text.

use bumpalo::Bump;
use erp_engine::jsonb::{Tree, Value, check, encode};

use super::sound::{is_normal, keep, nesting, parse, parts, read, read_number};

/// Levels that JSON text may nest.
const MAX_TEXT_NESTING: usize = 120;
/// Numbers of a document that are looked at: each may have 150,000 digits.
const MAX_NUMBERS: usize = 8;

pub fn run(input: &[u8]) {
    if check(input).is_err() {
        return;
    }
    let document = Value::from_datum(input);
    read(document);
    copies_stay_themselves(document);
    let numbers = || {
        parts(document).into_iter().filter_map(|(part, _)| match part {
            Value::Number(number) => Some(number),
            _ => None,
        })
    };
    numbers().take(MAX_NUMBERS).for_each(read_number);
    if nesting(document) < MAX_TEXT_NESTING && numbers().count() <= MAX_NUMBERS {
        built_anew_is_the_same(document);
        // Others, with zeros in front for example, need not be JSON when they are shown.
        if numbers().all(is_normal) {
            text_comes_back(document);
        }
    }
}

fn copies_stay_themselves(document: Value<'_>) {
    let arena = Bump::new();
    let part = || Tree::Value(document);
    let copy = Tree::Array(vec![part(), Tree::Object(vec![("b", part()), ("", part())]), part()]);
    let copy = keep(&copy, &arena).as_array().expect("it is an array");
    let object = copy.get(1).and_then(Value::as_object).expect("it is an object");
    for found in [copy.get(0), object.get("b"), object.get(""), copy.get(2)] {
        assert!(found.is_some_and(|found| found.same(document)));
    }
}

fn text_comes_back(document: Value<'_>) {
    let arena = Bump::new();
    let text = document.to_string();
    match parse(&text, &arena) {
        Some(again) => {
            read(again);
            assert_eq!(again.to_string(), text);
        }
        // The server stores none.
        None => assert!(text.contains("\\u0000"), "{text}"),
    }
}

fn built_anew_is_the_same(document: Value<'_>) {
    let arena = Bump::new();
    let once = keep(&built(document), &arena);
    let twice = keep(&built(once), &arena);
    assert!(once.same(twice) && once.to_string() == document.to_string());
    assert!(encode(&Tree::Value(once)).is_ok_and(|bytes| bytes == encode(&built(once)).unwrap()));
}

fn built<'a>(document: Value<'a>) -> Tree<'a> {
    match document {
        Value::Array(array) => Tree::Array(array.iter().map(built).collect()),
        Value::Object(object) => {
            Tree::Object(object.iter().map(|(name, value)| (name, built(value))).collect())
        }
        scalar => scalar.into(),
    }
}
