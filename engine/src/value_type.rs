//! The forms in which e-mail addresses and phone numbers are stored: `[{"email": v}, …]` and
//! `[{"phone": v}, …]`.

use crate::identifier::is_blank;
use crate::jsonb::{Object, Tree, Value};
use crate::merge::list_operation;

/// The `_type` of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    Email,
    Phone,
}

/// What makes a value none of its type, to follow the value's name.
pub type Mismatch = String;

impl ValueType {
    /// The types by their names in a document.
    pub const ALL: [(&'static str, ValueType); 2] =
        [("email", ValueType::Email), ("phone", ValueType::Phone)];

    /// The type's name, which is the key of a stored object as well.
    pub fn name(self) -> &'static str {
        match self {
            ValueType::Email => "email",
            ValueType::Phone => "phone",
        }
    }

    /// The stored form of a mapped value: a list, one object for each value that is not null or
    /// `""`; objects that have the form stay. Null stays null, and the list of an array
    /// operation gets the form inside the operation. Errors: an object without the type's key,
    /// an array inside an array.
    pub fn stored<'a>(self, value: Value<'a>) -> Result<Tree<'a>, Mismatch> {
        if let Value::Null = value {
            return Ok(value.into());
        }
        match list_operation(value) {
            Some((operation, items)) => {
                let list = self.list(items.into_iter())?;
                Ok(Tree::Object(vec![(operation.name(), list)]))
            }
            None => match value {
                Value::Array(items) => self.list(items.iter()),
                single => self.list(std::iter::once(single)),
            },
        }
    }

    fn list<'a>(self, items: impl Iterator<Item = Value<'a>>) -> Result<Tree<'a>, Mismatch> {
        let items = items.filter(|item| !is_blank(*item));
        items.map(|item| self.object(item)).collect::<Result<_, _>>().map(Tree::Array)
    }

    fn object<'a>(self, item: Value<'a>) -> Result<Tree<'a>, Mismatch> {
        match item {
            Value::Object(object) => self.member(object).map(|_| item.into()),
            Value::Array(_) => Err("is an array inside an array".into()),
            scalar => Ok(Tree::Object(vec![(self.name(), scalar.into())])),
        }
    }

    fn member<'a>(self, object: Object<'a>) -> Result<Value<'a>, Mismatch> {
        object.get(self.name()).ok_or_else(|| format!("is an object without \"{}\"", self.name()))
    }

    /// The value by which an entity is looked up, of a mapped value: of several the first.
    /// Errors: as of [`ValueType::stored`].
    pub fn plain<'a>(self, value: Value<'a>) -> Result<Option<Value<'a>>, Mismatch> {
        let first = match value {
            Value::Array(items) => items.iter().find(|item| !is_blank(*item)),
            single => Some(single),
        };
        match first {
            Some(Value::Object(object)) => self.member(object).map(Some),
            Some(Value::Array(_)) => Err("is an array inside an array".into()),
            first => Ok(first),
        }
    }

    /// The stored form of one plain value.
    pub fn stored_one<'a>(self, value: Value<'a>) -> Tree<'a> {
        Tree::Array(vec![Tree::Object(vec![(self.name(), value.into())])])
    }
}

/// The e-mail address or phone number that a stored list begins with.
pub fn first_stored(value: Value<'_>) -> Option<Value<'_>> {
    let first = value.as_array()?.get(0)?.as_object()?;
    ValueType::ALL.iter().find_map(|(name, _)| first.get(name))
}

/// What identifies an entity in a value that [`ValueType::stored`] gave.
pub fn identifying(value: Value<'_>) -> Option<Value<'_>> {
    let inner = match value {
        Value::Object(object) => object.iter().next().map(|(_, list)| list),
        value => Some(value),
    };
    inner.and_then(first_stored)
}
