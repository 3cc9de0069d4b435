//! The payload as the query engine reads it: a tree, each node knowing the value it stands for.
//! The query engine cannot be stopped; once the call is to stop, its nodes are seen as empty.

use std::borrow::Cow;
use std::fmt;

use jsonpath_rust::query::queryable::Queryable;

use super::cost::{MAX_NESTING, MAX_VISITS, Size};
use crate::expr::{Context, Failure};
use crate::jsonb::{Value, key_order};

/// A value as the query engine reads it.
#[derive(Clone)]
pub(super) struct Node<'s, 'a> {
    content: Content<'s, 'a>,
    /// The value it stands for; none for what the query engine makes.
    pub(super) origin: Option<Value<'a>>,
    /// The call it is read in; none for what the query engine makes.
    context: Option<&'s Context<'a>>,
}

#[derive(Clone, PartialEq)]
enum Content<'s, 'a> {
    Null,
    Bool(bool),
    Number(f64),
    String(Cow<'a, str>),
    Array(Vec<Node<'s, 'a>>),
    /// In [`key_order`].
    Object(Vec<(&'a str, Node<'s, 'a>)>),
}

impl<'s, 'a> Node<'s, 'a> {
    pub(super) fn read(
        value: Value<'a>,
        nesting: usize,
        size: &mut Size,
        context: &'s Context<'a>,
    ) -> Result<Node<'s, 'a>, Failure> {
        /// Values that are read between two looks at the token.
        const UNCHECKED: u32 = 1_024;
        size.nodes += 1;
        if size.nodes.is_multiple_of(UNCHECKED) {
            context.check()?;
        }
        size.nesting = size.nesting.max(nesting);
        if nesting > MAX_NESTING {
            let message = format!("the payload nests more than {MAX_NESTING} levels deep");
            return Err(Failure::limit(message, None));
        }
        if f64::from(size.nodes) > MAX_VISITS {
            return Err(Failure::limit("the payload has too many values", None));
        }
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(value) => Content::Bool(value),
            Value::Number(number) => Content::Number(number.to_f64()),
            Value::String(string) => Content::String(string.into()),
            Value::Array(array) => Content::Array(
                array
                    .iter()
                    .map(|item| Node::read(item, nesting + 1, size, context))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(object) => Content::Object(
                object
                    .iter()
                    .map(|(key, value)| Ok((key, Node::read(value, nesting + 1, size, context)?)))
                    .collect::<Result<_, _>>()?,
            ),
        };
        Ok(Node { content, origin: Some(value), context: Some(context) })
    }

    fn content(&self) -> &Content<'s, 'a> {
        match self.context {
            Some(context) if context.is_cancelled() => &Content::Null,
            _ => &self.content,
        }
    }
}

impl fmt::Debug for Node<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)
    }
}

impl PartialEq for Node<'_, '_> {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

impl Default for Node<'_, '_> {
    fn default() -> Self {
        Queryable::null()
    }
}

impl<'s, 'a> From<Content<'s, 'a>> for Node<'s, 'a> {
    fn from(content: Content<'s, 'a>) -> Self {
        Node { content, origin: None, context: None }
    }
}

impl From<&str> for Node<'_, '_> {
    fn from(value: &str) -> Self {
        Content::String(value.to_owned().into()).into()
    }
}

impl From<String> for Node<'_, '_> {
    fn from(value: String) -> Self {
        Content::String(value.into()).into()
    }
}

impl From<bool> for Node<'_, '_> {
    fn from(value: bool) -> Self {
        Content::Bool(value).into()
    }
}

impl From<i64> for Node<'_, '_> {
    fn from(value: i64) -> Self {
        Content::Number(value as f64).into()
    }
}

impl From<f64> for Node<'_, '_> {
    fn from(value: f64) -> Self {
        Content::Number(value).into()
    }
}

impl From<Vec<Self>> for Node<'_, '_> {
    fn from(value: Vec<Self>) -> Self {
        Content::Array(value).into()
    }
}

impl Queryable for Node<'_, '_> {
    fn get(&self, key: &str) -> Option<&Self> {
        let Content::Object(members) = self.content() else { return None };
        let at = members.binary_search_by(|(name, _)| key_order(name, key)).ok()?;
        Some(&members[at].1)
    }

    fn as_array(&self) -> Option<&Vec<Self>> {
        match self.content() {
            Content::Array(items) => Some(items),
            _ => None,
        }
    }

    fn as_object(&self) -> Option<Vec<(&str, &Self)>> {
        match self.content() {
            Content::Object(members) => {
                Some(members.iter().map(|(key, node)| (*key, node)).collect())
            }
            _ => None,
        }
    }

    fn as_str(&self) -> Option<&str> {
        match self.content() {
            Content::String(string) => Some(string),
            _ => None,
        }
    }

    fn as_i64(&self) -> Option<i64> {
        match *self.content() {
            Content::Number(number) if number.fract() == 0.0 => Some(number as i64),
            _ => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match *self.content() {
            Content::Number(number) => Some(number),
            _ => None,
        }
    }

    fn as_bool(&self) -> Option<bool> {
        match *self.content() {
            Content::Bool(value) => Some(value),
            _ => None,
        }
    }

    fn null() -> Self {
        Content::Null.into()
    }
}
