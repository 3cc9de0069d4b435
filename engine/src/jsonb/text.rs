//! JSON text to jsonb, numbers exact.

use std::borrow::Cow;
use std::fmt;

use bumpalo::Bump;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::number::Number;
use super::{Tree, Value};

/// The deepest nesting of JSON text that is read, the limit serde_json has too.
const MAX_NESTING: usize = 128;

/// Why a text is not usable JSON. The message holds no part of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError(pub String);

/// Parses `text`. Strings and numbers that cannot be borrowed are put into `arena`.
pub fn parse_text<'a>(text: &'a str, arena: &'a Bump) -> Result<Tree<'a>, TextError> {
    parse_text_until(text, arena, &|| false)
}

/// As [`parse_text`], until `is_stopped`: then the parsing fails.
pub fn parse_text_until<'a>(
    text: &'a str,
    arena: &'a Bump,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Tree<'a>, TextError> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|e| located(&e))?;
    build(raw, arena, 0, is_stopped)
}

/// serde_json's tree would pass numbers through doubles, so each level is read as raw text.
fn build<'a>(
    raw: &'a RawValue,
    arena: &'a Bump,
    depth: usize,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Tree<'a>, TextError> {
    if is_stopped() {
        return Err(TextError("reading it was stopped".into()));
    }
    if depth > MAX_NESTING {
        return Err(TextError(format!("it nests more than {MAX_NESTING} levels deep")));
    }
    let text = raw.get();
    match text.as_bytes()[0] {
        b'n' => Ok(Value::Null.into()),
        b't' => Ok(Value::Bool(true).into()),
        b'f' => Ok(Value::Bool(false).into()),
        b'"' => {
            let Key(string) = serde_json::from_str(text).map_err(|e| located(&e))?;
            Ok(Value::String(keep(string, arena)?).into())
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| located(&e))?;
            items
                .into_iter()
                .map(|item| build(item, arena, depth + 1, is_stopped))
                .collect::<Result<_, _>>()
                .map(Tree::Array)
        }
        b'{' => {
            let Members(members) = serde_json::from_str(text).map_err(|e| located(&e))?;
            members
                .into_iter()
                .map(|(Key(key), value)| {
                    Ok((keep(key, arena)?, build(value, arena, depth + 1, is_stopped)?))
                })
                .collect::<Result<_, _>>()
                .map(Tree::Object)
        }
        _ => {
            let bytes = Number::parse(text)
                .ok_or_else(|| TextError("it holds a number out of range".into()))?;
            Ok(Value::Number(Number::from_datum(arena.alloc_slice_copy(&bytes))).into())
        }
    }
}

/// Keeps a string, which jsonb can hold unless it has a NUL.
fn keep<'a>(string: Cow<'a, str>, arena: &'a Bump) -> Result<&'a str, TextError> {
    if string.contains('\0') {
        return Err(TextError("\\u0000 cannot be stored in jsonb".into()));
    }
    Ok(match string {
        Cow::Borrowed(string) => string,
        Cow::Owned(string) => arena.alloc_str(&string),
    })
}

fn located(error: &serde_json::Error) -> TextError {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Eof => "it ends too early",
        _ => "it is not valid JSON",
    };
    TextError(format!("{what} (line {}, column {})", error.line(), error.column()))
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object's members as they stand, repeated keys included.
struct Members<'a>(Vec<(Key<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
