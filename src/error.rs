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
    /// By other sessions, which kept changing what was to be written.
    Contended { message: String },
    /// By an argument that has no such value.
    Argument { message: String },
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
    New(Told),
}

/// What a failure tells.
pub struct Told {
    pub sqlstate: String,
    /// The stable code of an error of our own.
    pub code: Option<&'static str>,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Failure {
    /// The failure of `what`, which took more memory than a setting allows.
    pub fn out_of_memory(what: &str) -> Failure {
        let message = format!("{what} took more memory than it may");
        let error = Error::new(Code::ExpressionLimitExceeded, message);
        Error { limit: Some("max_memory"), ..error }.into()
    }

    /// An error of the engine with its place in front of the message.
    pub fn within(self, place: &str) -> Failure {
        match self {
            Failure::Engine(error) => {
                Failure::Engine(Error { message: format!("{place}: {}", error.message), ..error })
            }
            other => other,
        }
    }

    /// An error of the engine with the number of the event, from 1, in its detail.
    pub fn of_event(self, number: usize) -> Failure {
        match self {
            Failure::Engine(error) => {
                let rest = error.detail.as_deref().map(|detail| format!("\n{detail}"));
                let detail = format!("Event: {number}{}", rest.unwrap_or_default());
                Failure::Engine(error.detail(detail))
            }
            other => other,
        }
    }

    /// The failure as it is raised. The code stands at the front of DETAIL.
    pub fn report(self) -> Report {
        let told = self.tell();
        match self {
            Failure::Pg(error) => Report::Pg(error),
            _ => Report::New(Told {
                detail: match (told.code, told.detail) {
                    (Some(code), Some(detail)) => Some(format!("{code}: {detail}")),
                    (Some(code), None) => Some(code.to_owned()),
                    (None, detail) => detail,
                },
                ..told
            }),
        }
    }

    /// The failure as `{"sqlstate", "code"?, "message", "detail"?, "hint"?}`.
    pub fn to_tree<'a>(&self, arena: &'a Bump) -> Tree<'a> {
        let told = self.tell();
        let text = |text: &str| Tree::Value(Value::String(arena.alloc_str(text)));
        let members = [
            ("sqlstate", Some(text(&told.sqlstate))),
            ("code", told.code.map(text)),
            ("message", Some(text(&told.message))),
            ("detail", told.detail.as_deref().map(text)),
            ("hint", told.hint.as_deref().map(text)),
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

    fn tell(&self) -> Told {
        let without_code = |sqlstate: &str, message: &str, hint: Option<&str>| Told {
            sqlstate: sqlstate.to_owned(),
            code: None,
            message: message.to_owned(),
            detail: None,
            hint: hint.map(str::to_owned),
        };
        match self {
            Failure::Engine(error) => Told {
                sqlstate: sqlstate(error.code).to_owned(),
                code: Some(error.code.name()),
                message: error.message.clone(),
                detail: error.detail.clone(),
                hint: hint(error),
            },
            Failure::Pg(error) => Told {
                sqlstate: error.sqlstate().map(char::from).iter().collect(),
                code: None,
                message: error.message().unwrap_or_default(),
                detail: error.detail(),
                hint: error.hint(),
            },
            Failure::Contended { message } => {
                without_code("40001", message, Some("Try the transaction again."))
            }
            Failure::Argument { message } => without_code("22023", message, None),
        }
    }
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
        Code::PruneLimitExceeded => "MP011",
    }
}

/// What mends the error: for a limit, the setting that decides it.
fn hint(error: &Error) -> Option<String> {
    let setting = error.limit.map(|limit| match limit {
        "max_entities" | "max_relation_items" => {
            format!("The setting erp_toolkit.{limit} decides; several smaller events need less.")
        }
        "max_memory" => {
            "The setting erp_toolkit.max_memory decides; a smaller event or a simpler expression \
             may need less of it."
                .into()
        }
        _ => format!(
            "The setting erp_toolkit.expression_{limit} decides; a simpler expression may need \
             less of it."
        ),
    });
    error.hint.clone().or(setting)
}
