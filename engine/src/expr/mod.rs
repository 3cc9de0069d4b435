//! Expressions: JSONata and JSONPath behind one seam each, and what an evaluation may use.

mod items;
mod jsonata;
mod jsonpath;
mod numbers;
mod reads;

use std::time::Duration;

use bumpalo::Bump;

use crate::jsonb::{Tree, Value, encode};

pub use jlens_core::CancelToken;
pub use jsonata::{Jsonata, truthy};
pub use jsonpath::Path;
pub use reads::{FieldPath, Reads};

/// The longest expression that is compiled, in bytes.
pub const MAX_EXPRESSION_LENGTH: usize = 65_536;

/// What one evaluation may use at most. Each is reported as `EXPRESSION_LIMIT_EXCEEDED`.
#[derive(Debug, Clone)]
pub struct Limits {
    pub timeout: Duration,
    pub max_steps: u64,
    pub max_depth: usize,
    /// Bytes of a string that is built.
    pub max_string_length: usize,
    /// Items of an array that is built.
    pub max_array_length: usize,
    /// Bytes of a result as JSON text.
    pub max_result_size: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            timeout: Duration::from_secs(5),
            max_steps: 10_000_000,
            max_depth: 1_000,
            max_string_length: 16 << 20,
            max_array_length: 10_000,
            max_result_size: 16 << 20,
        }
    }
}

/// What the evaluations of one call share.
pub struct Context<'a> {
    /// Holds what the evaluations make, until the call ends.
    pub arena: &'a Bump,
    options: jlens_core::Options,
    bindings: &'a jlens_core::Bindings,
    limits: Limits,
    cancel: CancelToken,
}

impl<'a> Context<'a> {
    /// `now` is the time that `$now()` and `$millis()` tell, in milliseconds since 1970, and
    /// the seed of `$random()`; once `cancel` is cancelled, evaluations stop.
    pub fn new(arena: &'a Bump, limits: &Limits, now: i64, cancel: CancelToken) -> Context<'a> {
        let options = jlens_core::Options::new()
            .timeout(limits.timeout)
            .max_steps(limits.max_steps)
            .max_depth(limits.max_depth)
            .max_string_length(limits.max_string_length)
            .max_array_length(limits.max_array_length)
            .max_result_size(limits.max_result_size)
            .cancel_token(cancel.clone())
            .now(now)
            .seed(now as u64);
        let bindings = arena.alloc(jlens_core::Bindings::new());
        Context { arena, options, bindings, limits: limits.clone(), cancel }
    }

    /// Whether the call is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Puts a document that was built into the arena, to be read.
    pub fn keep(&self, tree: Tree<'a>) -> Result<Value<'a>, Failure> {
        match tree {
            Tree::Value(value) => Ok(value),
            built => {
                let bytes = encode(&built).map_err(|_| {
                    Failure::limit("the result is larger than jsonb can hold", None)
                })?;
                Ok(Value::from_datum(self.arena.alloc_slice_copy(&bytes)))
            }
        }
    }
}

/// Why an expression has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// The expression engine's own code, such as `T2001`.
    pub code: Option<String>,
    /// What went wrong, without values of the payload.
    pub message: String,
    /// Characters from the start of the expression, where known.
    pub position: Option<usize>,
    /// The field of [`Limits`] that was exceeded, where a setting decides it.
    pub limit: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The expression is not of the language.
    Syntax,
    /// It fails on this input.
    Evaluation,
    /// It ran into one of the [`Limits`].
    Limit,
    /// The call was cancelled.
    Cancelled,
}

impl Failure {
    fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, code: None, message: message.into(), position: None, limit: None }
    }

    fn limit(message: impl Into<String>, limit: Option<&'static str>) -> Failure {
        Failure { limit, ..Failure::new(FailureKind::Limit, message) }
    }
}
