//! What a place of the document is to hold, and how problems are told: types, names, words of a
//! list, known keys. Must not know what a mapping means.

use super::Compiler;
use crate::jsonb::{Object, Value};
use crate::mapping::{Problem, Severity, nearest};

/// Where in the document the compiler is: a JSON Pointer.
#[derive(Clone, Copy)]
pub(super) struct At<'p> {
    parent: Option<&'p At<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

impl At<'_> {
    pub(super) const ROOT: At<'static> = At { parent: None, step: Step::Root };

    pub(super) fn key<'p>(&'p self, key: &'p str) -> At<'p> {
        At { parent: Some(self), step: Step::Key(key) }
    }

    pub(super) fn index(&self, index: usize) -> At<'_> {
        At { parent: Some(self), step: Step::Index(index) }
    }

    pub(super) fn pointer(&self) -> String {
        let before = self.parent.map(At::pointer).unwrap_or_default();
        match self.step {
            Step::Root => before,
            Step::Key(key) => format!("{before}/{}", key.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => format!("{before}/{index}"),
        }
    }
}

impl Compiler {
    pub(super) fn object<'v>(
        &mut self,
        value: Value<'v>,
        at: &At<'_>,
        what: &str,
    ) -> Option<Object<'v>> {
        if self.cancel.is_cancelled() {
            return None;
        }
        let object = value.as_object();
        if object.is_none() {
            self.wrong_type(value, at, what, "an object");
        }
        object
    }

    pub(super) fn array<'v>(
        &mut self,
        value: Value<'v>,
        at: &At<'_>,
        what: &str,
    ) -> Option<Vec<Value<'v>>> {
        if self.cancel.is_cancelled() {
            return None;
        }
        let array = value.as_array();
        if array.is_none() {
            self.wrong_type(value, at, what, "an array");
        }
        array.map(|array| array.iter().collect())
    }

    pub(super) fn string<'v>(
        &mut self,
        value: Value<'v>,
        at: &At<'_>,
        what: &str,
    ) -> Option<&'v str> {
        let string = value.as_str();
        if string.is_none() {
            self.wrong_type(value, at, what, "a string");
        }
        string
    }

    pub(super) fn wrong_type(&mut self, value: Value<'_>, at: &At<'_>, what: &str, wanted: &str) {
        let message = format!("{what} must be {wanted}, not {}", value.type_name());
        self.error("TYPE_MISMATCH", at, message);
    }

    /// A string that is not empty.
    pub(super) fn name(&mut self, value: Value<'_>, at: &At<'_>, what: &str) -> Option<String> {
        let name = self.string(value, at, what)?;
        if name.is_empty() {
            self.error("VALUE_INVALID", at, format!("{what} must not be empty"));
            return None;
        }
        Some(name.to_owned())
    }

    pub(super) fn required_name(
        &mut self,
        object: Object<'_>,
        key: &str,
        at: &At<'_>,
    ) -> Option<String> {
        let value = self.required(object, key, at)?;
        self.name(value, &at.key(key), &format!("\"{key}\""))
    }

    pub(super) fn required<'v>(
        &mut self,
        object: Object<'v>,
        key: &str,
        at: &At<'_>,
    ) -> Option<Value<'v>> {
        let value = object.get(key);
        if value.is_none() {
            self.error("KEY_MISSING", at, format!("\"{key}\" is missing"));
        }
        value
    }

    pub(super) fn word<T: Copy>(
        &mut self,
        value: Value<'_>,
        at: &At<'_>,
        what: &str,
        known: &[(&str, T)],
    ) -> Option<T> {
        let word = self.string(value, at, what)?;
        let found = known.iter().find(|(name, _)| *name == word);
        if found.is_none() {
            let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let hint = match nearest(word, known.iter().map(|(name, _)| *name)) {
                Some(near) => format!("Did you mean \"{near}\"?"),
                None => format!("Use one of {}.", names.join(", ")),
            };
            let message = format!("{what} cannot be \"{word}\"");
            self.error_with_hint("VALUE_INVALID", at, message, Some(hint));
        }
        found.map(|(_, value)| *value)
    }

    pub(super) fn unknown_keys(&mut self, object: Object<'_>, known: &[&str], at: &At<'_>) {
        for (key, _) in object.iter().filter(|(key, _)| !known.contains(key)) {
            if self.cancel.is_cancelled() {
                return;
            }
            let hint =
                nearest(key, known.iter().copied()).map(|near| format!("Did you mean \"{near}\"?"));
            let message = format!("unknown key \"{key}\" is ignored");
            self.warning("KEY_UNKNOWN", &at.key(key), message, hint);
        }
    }

    // Reporting

    pub(super) fn error(&mut self, code: &'static str, at: &At<'_>, message: impl Into<String>) {
        self.error_with_hint(code, at, message, None);
    }

    pub(super) fn error_with_hint(
        &mut self,
        code: &'static str,
        at: &At<'_>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.problem(Severity::Error, code, at, message.into(), hint);
    }

    pub(super) fn warning(
        &mut self,
        code: &'static str,
        at: &At<'_>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.warning_at(code, at.pointer(), message, hint);
    }

    pub(super) fn warning_at(
        &mut self,
        code: &'static str,
        path: String,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let severity = Severity::Warning;
        self.problems.push(Problem { severity, code, path, message: message.into(), hint });
    }

    pub(super) fn problem(
        &mut self,
        severity: Severity,
        code: &'static str,
        at: &At<'_>,
        message: String,
        hint: Option<String>,
    ) {
        self.problems.push(Problem { severity, code, path: at.pointer(), message, hint });
    }
}
