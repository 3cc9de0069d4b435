//! Where a value comes from: a constant, an expression, a key, a path.

use crate::expr::{Context, Failure, Jsonata, Path};
use crate::jsonb::{TooLarge, Tree, Value, encode};

/// A value of the mapping document itself.
#[derive(Debug, Clone)]
pub struct Constant(Box<[u8]>);

impl Constant {
    /// Copies `value` out of the document.
    pub fn new(value: Value<'_>) -> Result<Constant, TooLarge> {
        Ok(Constant(encode(&Tree::Value(value))?.into()))
    }

    /// The value.
    pub fn value(&self) -> Value<'_> {
        Value::from_datum(&self.0)
    }
}

/// A source of one value.
#[derive(Debug)]
pub enum Source {
    Constant(Constant),
    Jsonata(Jsonata),
    /// One literal key, dots and all.
    Key(String),
    Path(Path),
}

impl Source {
    /// The value on `item`; `None` when it is missing.
    pub fn value<'a>(
        &'a self,
        item: Value<'a>,
        context: &Context<'a>,
    ) -> Result<Option<Value<'a>>, Failure> {
        match self {
            Source::Constant(constant) => Ok(Some(constant.value())),
            Source::Key(key) => Ok(item.as_object().and_then(|object| object.get(key))),
            Source::Path(path) => path.evaluate(item, context),
            Source::Jsonata(expression) => {
                let result = expression.evaluate(Some(item), context)?;
                result.map(|result| context.keep(result)).transpose()
            }
        }
    }

    /// The source as the mapping's author wrote it; nothing for a constant.
    pub fn text(&self) -> Option<&str> {
        match self {
            Source::Constant(_) => None,
            Source::Jsonata(expression) => Some(expression.source()),
            Source::Key(key) => Some(key),
            Source::Path(path) => Some(path.source()),
        }
    }
}
