//! The model's documents: numbers are the digits they were written with, and know whether an
//! expression computed them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::value::RawValue;

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    /// What an expression calculated: a double.
    Computed(f64),
    String(String),
    Array(Vec<Json>),
    /// Each key once, in the order of jsonb: shorter keys first, then by bytes.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Of members with the same key the last counts.
    pub fn object(members: impl IntoIterator<Item = (String, Json)>) -> Json {
        let mut kept: Vec<(String, Json)> = Vec::new();
        for (key, value) in members {
            kept.retain(|(there, _)| *there != key);
            kept.push((key, value));
        }
        kept.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        Json::Object(kept)
    }

    pub fn string(text: &str) -> Json {
        Json::String(text.to_owned())
    }

    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => {
                members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// A document as PostgreSQL would print it.
    pub fn parse(text: &str) -> Json {
        let inside = |text: &RawValue| Json::parse(text.get());
        match text.as_bytes()[0] {
            b'n' => Json::Null,
            b't' | b'f' => Json::Bool(text == "true"),
            b'"' => Json::String(serde_json::from_str(text).unwrap()),
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).unwrap();
                Json::Array(items.into_iter().map(inside).collect())
            }
            b'{' => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap();
                Json::object(members.into_iter().map(|(key, value)| (key, inside(value))))
            }
            _ => Json::Number(text.to_owned()),
        }
    }

    /// Whether `got` is this document. A number that an expression computed, or handed through
    /// where it computes as well, is a double, or the `given` one with all its digits.
    pub fn accepts(&self, got: &Json, given: &BTreeSet<String>) -> bool {
        match (self, got) {
            (Json::Array(these), Json::Array(those)) => {
                these.len() == those.len()
                    && these.iter().zip(those).all(|(this, that)| this.accepts(that, given))
            }
            (Json::Object(these), Json::Object(those)) => {
                let same = |((key, this), (other, that)): (&(String, Json), &(String, Json))| {
                    key == other && this.accepts(that, given)
                };
                these.len() == those.len() && these.iter().zip(those).all(same)
            }
            (Json::Computed(double), Json::Number(digits)) => {
                *digits == self.to_string()
                    || digits.parse() == Ok(*double) && given.contains(digits)
            }
            _ => self == got,
        }
    }

    /// Puts all numbers in it into `found`.
    pub fn numbers(&self, found: &mut BTreeSet<String>) {
        match self {
            Json::Number(digits) => {
                found.insert(digits.clone());
            }
            Json::Array(items) => items.iter().for_each(|item| item.numbers(found)),
            Json::Object(members) => members.iter().for_each(|(_, value)| value.numbers(found)),
            _ => {}
        }
    }

    /// Whether it identifies nothing.
    pub fn is_blank(&self) -> bool {
        matches!(self, Json::Null) || *self == Json::string("")
    }

    /// JSONata's cast to a boolean.
    pub fn is_truthy(&self) -> bool {
        match self {
            Json::Null => false,
            Json::Bool(value) => *value,
            Json::Number(digits) => digits.parse::<f64>().unwrap() != 0.0,
            Json::Computed(value) => *value != 0.0,
            Json::String(text) => !text.is_empty(),
            Json::Array(items) => items.iter().any(Json::is_truthy),
            Json::Object(members) => !members.is_empty(),
        }
    }
}

/// As JSON text.
impl fmt::Display for Json {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |out: &mut fmt::Formatter<'_>, brackets: [char; 2], parts: Vec<String>| {
            write!(out, "{}{}{}", brackets[0], parts.join(", "), brackets[1])
        };
        match self {
            Json::Null => out.write_str("null"),
            Json::Bool(value) => write!(out, "{value}"),
            Json::Number(digits) => out.write_str(digits),
            // Rust writes no exponents.
            Json::Computed(value) => write!(out, "{}", value + 0.0),
            Json::String(text) => out.write_str(&quoted(text)),
            Json::Array(items) => {
                list(out, ['[', ']'], items.iter().map(Json::to_string).collect())
            }
            Json::Object(members) => {
                let member = |(key, value): &(String, Json)| format!("{}: {value}", quoted(key));
                list(out, ['{', '}'], members.iter().map(member).collect())
            }
        }
    }
}

/// A string as JSON.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

// Payloads

/// The keys of payloads, few, so that mappings meet them.
pub const KEYS: [&str; 9] = ["a", "b", "n", "xs", "type", "c d", "größe", "e.f", "p"];

const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "2",
    "-1",
    "7.0",
    "1.1",
    "1.10",
    "0.50",
    "100.00",
    "9007199254740991",
    "9007199254740993",
    "12345678901234567890",
    "-12345678901234567890.5",
    "0.30000000000000004441",
];

const STRINGS: [&str; 12] =
    ["", "E", "G", "x", "a@x", "b@x", "1", " pad ", "ß ☺ 🦀", "e\u{301}", "tab\t\"q\"", "a,b"];

pub fn key() -> impl Strategy<Value = String> + Clone {
    select(&KEYS[..]).prop_map(String::from)
}

pub fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        1 => Just(Json::Null),
        1 => any::<bool>().prop_map(Json::Bool),
        4 => select(&NUMBERS[..]).prop_map(|digits| Json::Number(digits.to_owned())),
        4 => select(&STRINGS[..]).prop_map(Json::string),
    ]
}

/// Any document: objects of few keys, lists of similar objects, operations.
pub fn document() -> impl Strategy<Value = Json> {
    scalar().prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            4 => object_of(inner.clone()),
            2 => vec(inner.clone(), 0..4).prop_map(Json::Array),
            2 => vec(object_of(scalar()), 0..4).prop_map(Json::Array),
            1 => (operation_name(), inner)
                .prop_map(|(name, list)| Json::object([(name.to_owned(), list)])),
        ]
    })
}

fn object_of<S: Strategy<Value = Json> + 'static>(value: S) -> impl Strategy<Value = Json> {
    vec((key(), value), 0..7).prop_map(Json::object)
}

/// An object of scalars and lists of them, or a list of such objects; or of numbers alone.
pub fn flat() -> impl Strategy<Value = Json> {
    let value = || prop_oneof![3 => scalar(), 1 => vec(scalar(), 0..4).prop_map(Json::Array)];
    let numbers = vec(select(&NUMBERS[..]), KEYS.len()).prop_map(|numbers| {
        let number = |digits: &str| Json::Number(digits.to_owned());
        let members = KEYS.iter().zip(numbers);
        Json::object(members.map(|(key, digits)| ((*key).to_owned(), number(digits))))
    });
    prop_oneof![
        2 => numbers,
        1 => object_of(value()),
        1 => vec(object_of(value()), 0..4).prop_map(Json::Array),
        1 => vec(value(), 0..4).prop_map(Json::Array),
    ]
}

/// Mostly objects.
pub fn payload() -> impl Strategy<Value = Json> {
    prop_oneof![9 => object_of(document()), 1 => document()]
}

pub fn operation_name() -> impl Strategy<Value = &'static str> {
    select(&["_set", "_append", "_append_all", "_append_unique"][..])
}
