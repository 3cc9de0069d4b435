//! SQLSTATE, DETAIL and HINT: how a failure is reported. The only file that decides it.

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::jsonb::{TooLarge, Tree, Value};

use crate::pg::PgError;

/// Why a call fails.
pub enum Failure {
    /// By a rule of the mapping language.
    Engine(Error),
    /// By what PostgreSQL, or a trigger or constraint of the user, raised.
    Pg(PgError),
    /// By what cannot be done yet, or not here.
    Unsupported { message: String, hint: Option<String> },
    /// By other sessions, which kept changing what was to be written.
    Contended { message: String },
    /// By an argument that is no mapping, event or payload.
    Argument { message: String, hint: Option<String> },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Engine(error)
    }
}

impl From<PgError> for Failure {
    fn from(error: PgError) -> Failure {
        Failure::Pg(error)
    }
}

impl From<TooLarge> for Failure {
    fn from(_: TooLarge) -> Failure {
        let message = "a document is larger than jsonb can hold";
        Error::new(Code::AttributeTypeMismatch, message).into()
    }
}

/// A failure as it is raised.
pub enum Report {
    /// As it came.
    Pg(PgError),
    New {
        sqlstate: &'static str,
        message: String,
        detail: Option<String>,
        hint: Option<String>,
    },
}

fn sqlstate(code: Code) -> &'static str {
    match code {
        Code::ConfigurationInvalid => "MP001",
        Code::EventNotConfigured => "MP002",
        Code::MalformedPayload => "MP003",
        Code::MappingExpressionFailed => "MP004",
        Code::MissingUniqueIdentifiers => "MP005",
        Code::UniqueIdMultipleMatches => "MP006",
        Code::EntityReferenceNotFound => "MP007",
        Code::EntityTypeUnknown => "MP008",
        Code::AttributeTypeMismatch => "MP009",
        Code::ExpressionLimitExceeded => "MP010",
    }
}

/// What mends the error: for a limit, the setting that decides it.
fn hint(error: &Error) -> Option<String> {
    let setting = error.limit.map(|limit| {
        format!(
            "The setting erp_toolkit.expression_{limit} decides; a simpler expression may need \
             less of it."
        )
    });
    error.hint.clone().or(setting)
}

fn state_text(state: [u8; 5]) -> String {
    state.map(char::from).iter().collect()
}

impl Failure {
    /// The failure as it is raised. The code stands at the front of DETAIL.
    pub fn report(self) -> Report {
        match self {
            Failure::Pg(error) => Report::Pg(error),
            Failure::Engine(error) => Report::New {
                sqlstate: sqlstate(error.code),
                detail: Some(match &error.detail {
                    None => error.code.name().to_owned(),
                    Some(detail) => format!("{}: {detail}", error.code.name()),
                }),
                hint: hint(&error),
                message: error.message,
            },
            Failure::Unsupported { message, hint } => {
                Report::New { sqlstate: "0A000", message, detail: None, hint }
            }
            Failure::Contended { message } => {
                let hint = Some("Try the transaction again.".to_owned());
                Report::New { sqlstate: "40001", message, detail: None, hint }
            }
            Failure::Argument { message, hint } => {
                Report::New { sqlstate: "22023", message, detail: None, hint }
            }
        }
    }

    /// The failure as `{"sqlstate", "code"?, "message", "detail"?, "hint"?}`.
    pub fn to_tree<'a>(&self, arena: &'a Bump) -> Tree<'a> {
        let text = |text: &str| Tree::Value(Value::String(arena.alloc_str(text)));
        let code = match self {
            Failure::Engine(error) => Some(error.code.name()),
            _ => None,
        };
        let (state, message, detail, hint) = match self {
            Failure::Pg(error) => {
                (state_text(error.sqlstate()), error.message(), error.detail(), error.hint())
            }
            Failure::Engine(error) => (
                sqlstate(error.code).to_owned(),
                Some(error.message.clone()),
                error.detail.clone(),
                hint(error),
            ),
            Failure::Unsupported { message, hint } => {
                ("0A000".to_owned(), Some(message.clone()), None, hint.clone())
            }
            Failure::Contended { message } => {
                ("40001".to_owned(), Some(message.clone()), None, None)
            }
            Failure::Argument { message, hint } => {
                ("22023".to_owned(), Some(message.clone()), None, hint.clone())
            }
        };
        let members = [
            ("sqlstate", Some(text(&state))),
            ("code", code.map(text)),
            ("message", message.as_deref().map(text)),
            ("detail", detail.as_deref().map(text)),
            ("hint", hint.as_deref().map(text)),
        ];
        Tree::Object(members.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
    }

    /// The SQLSTATE of an error that PostgreSQL raised.
    pub fn pg_sqlstate(&self) -> Option<[u8; 5]> {
        match self {
            Failure::Pg(error) => Some(error.sqlstate()),
            _ => None,
        }
    }
}
