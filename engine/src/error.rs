//! What can go wrong, in the words of the mapping language. Which SQLSTATE a code has and how
//! it is reported is not decided here.

use std::fmt;

/// The stable error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The mapping document is wrong.
    ConfigurationInvalid,
    /// The mapping has no such event.
    EventNotConfigured,
    /// The event cannot be read: a payload string that is not JSON, no name, no payload.
    MalformedPayload,
    /// An expression of the mapping failed.
    MappingExpressionFailed,
    /// An entity update lacks a value for one of its unique identifiers.
    MissingUniqueIdentifiers,
    /// Several entities match one set of unique identifiers.
    UniqueIdMultipleMatches,
    /// A relation names an entity that does not exist and may not be created.
    EntityReferenceNotFound,
    /// No table is bound to a slug, or it is not prepared for these identifiers.
    EntityTypeUnknown,
    /// A value does not fit where it is to go.
    AttributeTypeMismatch,
    /// An expression ran into a limit of time, steps, depth or size.
    ExpressionLimitExceeded,
    /// An event would remove more entities than a setting allows.
    PruneLimitExceeded,
}

impl Code {
    /// The code as users see it, for example `EVENT_NOT_CONFIGURED`.
    pub fn name(self) -> &'static str {
        match self {
            Code::ConfigurationInvalid => "CONFIGURATION_INVALID",
            Code::EventNotConfigured => "EVENT_NOT_CONFIGURED",
            Code::MalformedPayload => "MALFORMED_PAYLOAD",
            Code::MappingExpressionFailed => "MAPPING_EXPRESSION_FAILED",
            Code::MissingUniqueIdentifiers => "MISSING_UNIQUE_IDENTIFIERS",
            Code::UniqueIdMultipleMatches => "UNIQUE_ID_MULTIPLE_MATCHES",
            Code::EntityReferenceNotFound => "ENTITY_REFERENCE_NOT_FOUND",
            Code::EntityTypeUnknown => "ENTITY_TYPE_UNKNOWN",
            Code::AttributeTypeMismatch => "ATTRIBUTE_TYPE_MISMATCH",
            Code::ExpressionLimitExceeded => "EXPRESSION_LIMIT_EXCEEDED",
            Code::PruneLimitExceeded => "PRUNE_LIMIT_EXCEEDED",
        }
    }
}

/// An error of the engine. No part of it holds a value of the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub code: Code,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// Where, and what else is known; a sentence or a line each.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The field of [`crate::expr::Limits`] that was exceeded.
    pub limit: Option<&'static str>,
}

/// The result of the engine's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with nothing but a message.
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), detail: None, hint: None, limit: None }
    }

    /// The error with its place, or more about it.
    pub fn detail(mut self, detail: impl Into<String>) -> Error {
        self.detail = Some(detail.into());
        self
    }

    /// The error with what mends it.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for Error {}
