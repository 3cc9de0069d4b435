//! What the expression engine says of an error, as a [`Failure`]: which limit it tells of, and no
//! values of the input.

use jlens_core::Error;

use super::rewrite::Rewritten;
use super::{Failure, FailureKind};

/// What the engine says of a function of ours that is given too much.
const ARGUMENTS: &str = "The arguments of a host function";
const ARGUMENTS_TOO_LARGE: &str = "what $distinct compares, or a string repeats, would exceed the \
                                   size limit of a result";

/// The failure of what cannot be compiled, its place aside.
pub(super) fn of_syntax(error: &Error) -> Failure {
    let code = Some(error.code().to_owned());
    Failure { code, ..Failure::new(FailureKind::Syntax, lower_case(error.message())) }
}

/// The failure of an evaluation of `text`.
pub(super) fn failure(error: &Error, text: &Rewritten) -> Failure {
    let kind = match error.code() {
        "D1011" | "D1012" | "D2014" | "D2015" | "D2016" | "U1001" | "U1006" => FailureKind::Limit,
        "U1003" => FailureKind::Cancelled,
        _ => FailureKind::Evaluation,
    };
    Failure {
        kind,
        code: Some(error.code().to_owned()),
        message: message_without_values(error),
        position: error.position().map(|position| text.position(position)),
        limit: exceeded(error),
    }
}

/// The limit that an error tells of.
fn exceeded(error: &Error) -> Option<&'static str> {
    let told = error.message();
    match error.code() {
        "D1012" => Some("timeout"),
        "U1006" => Some("max_steps"),
        "D1011" => Some("max_depth"),
        "U1001" if told.contains("string") => Some("max_string_length"),
        "U1001" if told.contains("result") || told.contains(ARGUMENTS) => Some("max_result_size"),
        "U1001" if told.contains("array") || told.contains("sequence") => Some("max_array_length"),
        _ => None,
    }
}

/// The engine's messages begin with a capital, ours do not.
fn lower_case(message: String) -> String {
    let mut letters = message.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => message,
    }
}

/// The engine's message without the values of the input that it quotes. What `$error` and
/// `$assert` say is the mapping author's own text and stays.
fn message_without_values(error: &Error) -> String {
    let entry = jlens_core::error::catalog().iter().find(|entry| entry.code == error.code());
    let template = match (entry, error.code()) {
        (Some(entry), code) if !matches!(code, "U1001" | "U1004" | "D3137" | "D3141") => {
            entry.template
        }
        // The mapping author's own words.
        (_, "D3137" | "D3141") => return error.message(),
        (_, "U1001") if error.message().contains(ARGUMENTS) => return ARGUMENTS_TOO_LARGE.into(),
        _ => return lower_case(error.message()),
    };
    let token = error.token().unwrap_or_default();
    let mut text =
        template.replace("{{{token}}}", &token).replace("{{token}}", &format!("{token:?}"));
    for name in ["index", "type", "functionName"] {
        let shown = match error.detail(name) {
            Some(serde_json::Value::String(string)) => string.clone(),
            Some(other) => other.to_string(),
            None => continue,
        };
        text = text.replace(&format!("{{{{{{{name}}}}}}}"), &shown);
        text = text.replace(&format!("{{{{{name}}}}}"), &shown);
    }
    if matches!(error.code(), "D1012" | "U1006")
        && let Some(limit) = error.value()
    {
        text = text.replace("{{value}}", &limit.to_string());
    }
    for name in ["value2", "value", "exp"] {
        text = text.replace(&format!("{{{{{name}}}}}"), "(a value)");
    }
    lower_case(text)
}
