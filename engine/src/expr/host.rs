//! Functions of our own that evaluations call, under names that no expression is likely to use.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use jlens_core::{Bindings, HostFunction, format_json, stack};
use serde_json::{Map, Value as Json};

use super::numbers::token_index;
use crate::jsonb::Number;

/// Gives what is written into a string the digits of the numbers that tokens stand for.
pub(super) const WRITTEN: &str = "__written";

/// Tells which items of an array are the first of their value.
pub(super) const FIRST: &str = "__first";

/// Comparing each of an array's items with all that are kept is left to JSONata up to this many
/// bytes that are compared.
const MAX_COMPARED: usize = 1 << 21;

static BINDINGS: LazyLock<Bindings> = LazyLock::new(|| {
    let written = HostFunction::new(1, |args, call| match call.function(0) {
        // As `$string` writes a function.
        Some(_) => Ok(Some("".into())),
        None => Ok(argument(args).map(written)),
    });
    let first = HostFunction::new(1, |args, _| Ok(argument(args).and_then(first)));
    Bindings::new()
        .function(WRITTEN, written.without_input())
        .function(FIRST, first.without_input())
});

fn argument(args: &[Option<Json>]) -> Option<&Json> {
    args.first()?.as_ref()
}

thread_local! {
    /// What the tokens of the evaluation that runs stand for.
    static TOKENS: RefCell<Vec<Written>> = const { RefCell::new(Vec::new()) };
}

/// A number as a string has it: an integer with all its digits, any other as a double.
enum Written {
    Integer(String),
    Double(f64),
}

/// The functions, for evaluations.
pub(super) fn bindings() -> &'static Bindings {
    &BINDINGS
}

/// Ends an evaluation: there are no tokens, and they take no memory.
pub(super) fn forget_tokens() {
    TOKENS.take();
}

/// Notes the number that the next token stands for.
pub(super) fn note_token(number: Number<'_>) {
    let written = match number.is_integer() {
        true => Written::Integer(number.to_text()),
        false => Written::Double(number.to_f64()),
    };
    TOKENS.with_borrow_mut(|tokens| tokens.push(written));
}

/// A value that is to be written; text, where it is or has a token.
fn written(value: &Json) -> Json {
    TOKENS.with_borrow(|tokens| {
        let writer = Writer { tokens };
        match value {
            Json::Number(number) => match writer.token(number) {
                Some(Written::Integer(digits)) => digits.clone().into(),
                Some(Written::Double(double)) => (*double).into(),
                None => value.clone(),
            },
            Json::Array(_) | Json::Object(_) if writer.has_token(value) => {
                let mut text = String::new();
                writer.write(value, &mut text);
                text.into()
            }
            _ => value.clone(),
        }
    })
}

struct Writer<'t> {
    tokens: &'t [Written],
}

impl Writer<'_> {
    fn token(&self, number: &serde_json::Number) -> Option<&Written> {
        token_index(number.as_f64()?, self.tokens.len()).map(|index| &self.tokens[index])
    }

    fn has_token(&self, value: &Json) -> bool {
        stack::grow(|| match value {
            Json::Number(number) => self.token(number).is_some(),
            Json::Array(items) => items.iter().any(|item| self.has_token(item)),
            Json::Object(members) => members.values().any(|value| self.has_token(value)),
            _ => false,
        })
    }

    /// As `$string` writes it.
    fn write(&self, value: &Json, text: &mut String) {
        stack::grow(|| match value {
            Json::Array(items) => {
                text.push('[');
                for (i, item) in items.iter().enumerate() {
                    text.push_str(if i == 0 { "" } else { "," });
                    self.write(item, text);
                }
                text.push(']');
            }
            Json::Object(members) => {
                text.push('{');
                for (i, (key, value)) in members.iter().enumerate() {
                    text.push_str(if i == 0 { "" } else { "," });
                    text.push_str(&format_json(&Json::from(&**key), false));
                    text.push(':');
                    self.write(value, text);
                }
                text.push('}');
            }
            Json::Number(number) => match self.token(number) {
                Some(Written::Integer(digits)) => text.push_str(digits),
                Some(Written::Double(double)) => text.push_str(&rounded(*double)),
                None => text.push_str(&rounded(number.as_f64().unwrap_or(0.0))),
            },
            scalar => text.push_str(&format_json(scalar, false)),
        });
    }
}

/// A double as `$string` writes it: 15 digits of one that is no integer.
fn rounded(double: f64) -> String {
    let short = if double.fract() == 0.0 {
        double
    } else {
        format!("{double:.14e}").parse().unwrap_or(double)
    };
    format_json(&Json::from(short), false)
}

/// The indexes of the items that are the first of their value, as the keys of an object; `None`
/// where JSONata itself tells soon.
fn first(value: &Json) -> Option<Json> {
    let Json::Array(items) = value else { return None };
    let mut seen = HashSet::new();
    let (mut firsts, mut size) = (Map::new(), 0);
    for (i, item) in items.iter().enumerate() {
        let mut key = Vec::new();
        write_key(item, &mut key);
        size += key.len();
        if seen.insert(key) {
            firsts.insert(i.to_string(), Json::Bool(true));
        }
    }
    let takes_long = firsts.len().saturating_mul(size) > MAX_COMPARED;
    // Of a single value JSONata makes what it makes of a sequence, or an array, of one.
    (takes_long && firsts.len() > 1).then_some(Json::Object(firsts))
}

/// Bytes that two values share if they are equal, and only then: the order of members does not
/// matter. Each value tells its kind and its length first.
fn write_key(value: &Json, key: &mut Vec<u8>) {
    stack::grow(|| match value {
        Json::Null => key.push(b'n'),
        Json::Bool(true) => key.push(b't'),
        Json::Bool(false) => key.push(b'f'),
        Json::Number(number) => {
            // 0 for -0 as well.
            let double = number.as_f64().unwrap_or(0.0) + 0.0;
            key.push(b'd');
            key.extend(double.to_bits().to_le_bytes());
        }
        Json::String(text) => write_text(b's', text, key),
        Json::Array(items) => {
            key.push(b'[');
            key.extend(items.len().to_le_bytes());
            items.iter().for_each(|item| write_key(item, key));
        }
        Json::Object(members) => {
            key.push(b'{');
            key.extend(members.len().to_le_bytes());
            for (name, value) in members.iter().collect::<BTreeMap<_, _>>() {
                write_text(b'k', name, key);
                write_key(value, key);
            }
        }
    });
}

fn write_text(kind: u8, text: &str, key: &mut Vec<u8>) {
    key.push(kind);
    key.extend(text.len().to_le_bytes());
    key.extend(text.as_bytes());
}
