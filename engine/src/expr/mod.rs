//! Expressions: JSONata and JSONPath behind one seam each, and what an evaluation may use.

mod direct;
mod failure;
mod host;
mod items;
mod jsonata;
mod jsonpath;
mod numbers;
mod reads;
mod rewrite;

use std::cell::Cell;
use std::time::Duration;

use bumpalo::Bump;

use crate::jsonb::{Tree, Value, encode};

pub use jlens_core::CancelToken;
pub use jsonata::{Jsonata, truthy};
pub use jsonpath::Path;
pub use reads::{FieldPath, Reads};

/// What a mapping, one evaluation and one event may use at most. What is beyond is reported as
/// `EXPRESSION_LIMIT_EXCEEDED`; a mapping or an expression that is too large as
/// `CONFIGURATION_INVALID`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a mapping document.
    pub max_mapping_size: usize,
    /// Bytes of an expression's source.
    pub max_length: usize,
    pub timeout: Duration,
    pub max_steps: u64,
    pub max_depth: usize,
    /// Bytes of a string that is built.
    pub max_string_length: usize,
    /// Items of an array that is built.
    pub max_array_length: usize,
    /// Bytes of a result as JSON text.
    pub max_result_size: usize,
    /// Entity updates of one event.
    pub max_entities: usize,
    /// Relation items of one event, and items to link to.
    pub max_relation_items: usize,
    /// Bytes of the values that one event yields, each counted wherever it is repeated.
    pub max_memory: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_mapping_size: 4 << 20,
            max_length: 64 << 10,
            timeout: Duration::from_secs(5),
            max_steps: 10_000_000,
            max_depth: 1_000,
            max_string_length: 16 << 20,
            max_array_length: 10_000,
            max_result_size: 16 << 20,
            max_entities: 100_000,
            max_relation_items: 100_000,
            max_memory: 256 << 20,
        }
    }
}

/// What the evaluations of one call share.
pub struct Context<'a> {
    /// Holds what the evaluations make, until the call ends.
    pub arena: &'a Bump,
    options: jlens_core::Options,
    limits: Limits,
    cancel: CancelToken,
    is_out_of_memory: fn() -> bool,
    /// Relation items of the event so far.
    relation_items: Cell<usize>,
    /// Bytes of the values that the event has yielded so far.
    yielded: Cell<usize>,
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
        let limits = limits.clone();
        Context {
            arena,
            options,
            limits,
            cancel,
            is_out_of_memory: || false,
            relation_items: Cell::new(0),
            yielded: Cell::new(0),
        }
    }

    /// The context, told by `is_out_of_memory` whether memory is why the token was cancelled.
    pub fn with_memory(self, is_out_of_memory: fn() -> bool) -> Context<'a> {
        Context { is_out_of_memory, ..self }
    }

    /// Whether the call is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Fails when an event has `count` entity updates, and may have less.
    pub(crate) fn check_entities(&self, count: usize) -> Result<(), Failure> {
        let most = self.limits.max_entities;
        if count > most {
            let message = format!("the event has more than {most} entity updates");
            return Err(Failure::limit(message, Some("max_entities")));
        }
        Ok(())
    }

    /// How long an expression that an event brings may be, in bytes.
    pub(crate) fn max_length(&self) -> usize {
        self.limits.max_length
    }

    /// Fails once the call is to stop.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_cancelled() { Err(self.stopped()) } else { Ok(()) }
    }

    /// Counts `count` more relation items of the event.
    pub(crate) fn count_relation_items(&self, count: usize) -> Result<(), Failure> {
        let (items, most) = (self.relation_items.get() + count, self.limits.max_relation_items);
        self.relation_items.set(items);
        if items > most {
            let message = format!("the event has more than {most} relation items");
            return Err(Failure::limit(message, Some("max_relation_items")));
        }
        Ok(())
    }

    /// Counts a value that the event yields. What is handed through takes no memory yet, but
    /// does where it is written.
    pub(crate) fn count_yielded(&self, value: Value<'_>) -> Result<(), Failure> {
        let yielded = self.yielded.get() + value.size();
        self.yielded.set(yielded);
        if yielded > self.limits.max_memory { Err(out_of_memory()) } else { Ok(()) }
    }

    /// Bytes of the values that the event has yielded.
    pub fn yielded(&self) -> usize {
        self.yielded.get()
    }

    /// Why the call is to stop.
    fn stopped(&self) -> Failure {
        if (self.is_out_of_memory)() {
            return out_of_memory();
        }
        Failure::new(FailureKind::Cancelled, "the call was cancelled")
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

fn out_of_memory() -> Failure {
    Failure::limit("the event takes more memory than it may", Some("max_memory"))
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
    /// The field of [`Limits`] that was exceeded, or `max_memory`, where a setting decides it.
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
