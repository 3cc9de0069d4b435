//! Documents whose numbers are the digits they are written with, printed as jsonb prints them.

use std::fmt;

use serde_json::value::RawValue;

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// Null, a boolean, a number or a string, as its text.
    Scalar(String),
    Array(Vec<Json>),
    /// In the order of jsonb: shorter keys first.
    Object(Vec<(String, Json)>),
}

impl Json {
    pub fn parse(text: &str) -> Json {
        let inside = |text: &RawValue| Json::parse(text.get());
        match text.as_bytes()[0] {
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).unwrap();
                Json::Array(items.into_iter().map(inside).collect())
            }
            b'{' => {
                let members: std::collections::BTreeMap<String, &RawValue> =
                    serde_json::from_str(text).unwrap();
                Json::object(members.into_iter().map(|(key, value)| (key, inside(value))))
            }
            _ => Json::Scalar(text.to_owned()),
        }
    }

    pub fn object(members: impl IntoIterator<Item = (String, Json)>) -> Json {
        let mut members: Vec<_> = members.into_iter().collect();
        members.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        Json::Object(members)
    }

    pub fn string(text: &str) -> Json {
        Json::Scalar(serde_json::Value::from(text).to_string())
    }

    pub fn null() -> Json {
        Json::Scalar("null".to_owned())
    }

    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => {
                members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The items of the list under `name`; none if it is not there.
    pub fn list(&self, name: &str) -> Vec<Json> {
        match self.get(name) {
            Some(Json::Array(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    pub fn is_null(&self) -> bool {
        *self == Json::null()
    }

    /// Whether it identifies nothing.
    pub fn is_blank(&self) -> bool {
        self.is_null() || *self == Json::string("")
    }

    /// The text that it identifies by: a string's content, the digits of a number.
    pub fn key(&self) -> String {
        let Json::Scalar(text) = self else { panic!("{self} identifies nothing") };
        match serde_json::from_str::<String>(text) {
            Ok(content) => content,
            Err(_) if text.contains('.') => {
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            Err(_) => text.clone(),
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Scalar(text) => out.write_str(text),
            Json::Array(items) => {
                let items: Vec<_> = items.iter().map(Json::to_string).collect();
                write!(out, "[{}]", items.join(", "))
            }
            Json::Object(members) => {
                let member = |(key, value): &(String, Json)| format!("\"{key}\": {value}");
                write!(out, "{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
            }
        }
    }
}
