//! Identifiers compare as text, exactly: when two values are one key.

use std::borrow::Cow;

use crate::error::{Code, Error, Result};
use crate::jsonb::Value;
use crate::value_type::first_stored;

/// The longest identifier, in bytes: an index entry must fit a page.
pub const MAX_IDENTIFIER_LENGTH: usize = 1_000;

/// The name of an entity's own id, where a mapping names identifiers.
pub const ENTITY_ID: &str = "_id";

/// Whether the value identifies nothing: null or the empty string.
pub fn is_blank(value: Value<'_>) -> bool {
    matches!(value, Value::Null | Value::String(""))
}

/// The text under which `value` is looked up: a string as it is, a number by its canonical
/// digits (`7`, `7.0` and `"7"` are one key), a boolean by its name, a stored list of e-mail
/// addresses or phone numbers by the first. `None` for what identifies nothing, and for other
/// objects and arrays.
pub fn key(value: Value<'_>) -> Option<Cow<'_, str>> {
    match first_stored(value).unwrap_or(value) {
        Value::String("") | Value::Null | Value::Array(_) | Value::Object(_) => None,
        Value::String(string) => Some(string.into()),
        Value::Number(number) => Some(number.canonical().into()),
        Value::Bool(value) => Some(if value { "true" } else { "false" }.into()),
    }
}

/// The key of an identifier that is to be applied. Errors: `MISSING_UNIQUE_IDENTIFIERS`,
/// `ATTRIBUTE_TYPE_MISMATCH` for an object or array and for what is too long.
pub fn applicable_key<'a>(
    schema: &str,
    attribute: &str,
    value: Option<Value<'a>>,
) -> Result<Cow<'a, str>> {
    // Written for a failure alone: for each key it took a thousand instructions.
    let place = || format!("{schema}: unique identifier {attribute}");
    let key = match value.map(|value| first_stored(value).unwrap_or(value)) {
        Some(value @ (Value::Array(_) | Value::Object(_))) => {
            let message = format!("{} is {}", place(), value.type_name());
            return Err(Error::new(Code::AttributeTypeMismatch, message)
                .hint("Map a string, a number or a boolean to it."));
        }
        value => value.and_then(key).ok_or_else(|| {
            Error::new(Code::MissingUniqueIdentifiers, format!("{} is missing", place()))
                .hint("It must be mapped, and the payload must give it: not null, not \"\".")
        })?,
    };
    if key.len() > MAX_IDENTIFIER_LENGTH {
        let message = format!("{} is longer than {MAX_IDENTIFIER_LENGTH} bytes", place());
        return Err(Error::new(Code::AttributeTypeMismatch, message));
    }
    Ok(key)
}
