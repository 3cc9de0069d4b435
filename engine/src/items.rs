//! Lists whose items have an `_id` of their own, so that references can name them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::error::{Code, Error, Result};
use crate::identifier::key;
use crate::jsonb::{Object, Tree, Value, encode};
use crate::mapping::Operation;
use crate::merge::{is_same, not_appendable};

const ID: &str = "_id";

/// A list after an operation.
pub struct Changed<'a> {
    /// The attribute's new value; `None` when it stays as it is.
    pub list: Option<Tree<'a>>,
    /// The `_id` of each given item, in turn.
    pub ids: Vec<Value<'a>>,
}

/// Sets or appends the objects `given` in the list that `current` is. Items that are equal
/// without their `_id` are one item, which keeps the `_id` that it has; so nothing is appended
/// twice, whatever the operation. A new item keeps an `_id` that it brings, unless another item
/// has it; objects without one get theirs from `new_id`. Errors: `ATTRIBUTE_TYPE_MISMATCH` when
/// an item is no object, or `current` no list that can be appended to.
pub fn change<'a>(
    attribute: &str,
    current: Option<Value<'a>>,
    operation: Operation,
    given: &[Value<'a>],
    new_id: &mut dyn FnMut() -> &'a str,
) -> Result<Changed<'a>> {
    let present: Vec<Value<'a>> = match (current, operation) {
        (Some(Value::Array(items)), _) => items.iter().collect(),
        (None | Some(Value::Null), _) | (_, Operation::Set) => Vec::new(),
        (Some(other), _) => return Err(not_appendable(attribute, other, "an array")),
    };
    if given.is_empty() && operation != Operation::Set {
        return Ok(Changed { list: None, ids: Vec::new() });
    }
    let mut list = List::new(new_id);
    match operation {
        Operation::Set => list.remember(&present, given),
        Operation::Append | Operation::AppendUnique => {
            for item in present {
                list.keep(item);
            }
        }
    }
    let mut ids = Vec::with_capacity(given.len());
    for item in given {
        let Value::Object(object) = item else {
            let message =
                format!("an item of \"{attribute}\" is {}, not an object", item.type_name());
            return Err(Error::new(Code::AttributeTypeMismatch, message));
        };
        ids.push(list.add(*object));
    }
    let after = Tree::Array(list.items);
    let is_change = !current.is_some_and(|current| is_same(&after, current));
    Ok(Changed { list: is_change.then_some(after), ids })
}

/// A list being made.
struct List<'a, 'n> {
    items: Vec<Tree<'a>>,
    /// The `_id` of the items, by what they are without it.
    ids: HashMap<Vec<u8>, Value<'a>>,
    /// As `ids`, of items of the list before it was set that are given again.
    earlier: HashMap<Vec<u8>, Value<'a>>,
    taken: HashSet<Cow<'a, str>>,
    new_id: &'n mut dyn FnMut() -> &'a str,
}

impl<'a, 'n> List<'a, 'n> {
    fn new(new_id: &'n mut dyn FnMut() -> &'a str) -> List<'a, 'n> {
        List {
            items: Vec::new(),
            ids: HashMap::new(),
            earlier: HashMap::new(),
            taken: HashSet::new(),
            new_id,
        }
    }

    /// Takes note of the items that are given again: their ids are theirs, whatever `_id` others
    /// bring.
    fn remember(&mut self, present: &[Value<'a>], given: &[Value<'a>]) {
        let given: HashSet<Vec<u8>> =
            given.iter().filter_map(|item| Some(content(item.as_object()?))).collect();
        for object in present.iter().filter_map(|item| item.as_object()) {
            let content = content(object);
            if given.contains(&content)
                && !self.earlier.contains_key(&content)
                && let Some(id) = self.take(object)
            {
                self.earlier.insert(content, id);
            }
        }
    }

    /// Takes over an item that stays; what is no object has no `_id`.
    fn keep(&mut self, item: Value<'a>) {
        let Value::Object(object) = item else { return self.items.push(item.into()) };
        let id = self.take(object).unwrap_or_else(|| self.make_id());
        self.put(object, id);
        self.ids.entry(content(object)).or_insert(id);
    }

    /// Adds an item, unless it is there.
    fn add(&mut self, object: Object<'a>) -> Value<'a> {
        let content = content(object);
        if let Some(id) = self.ids.get(&content) {
            return *id;
        }
        let earlier = self.earlier.get(&content).copied();
        let id = earlier.or_else(|| self.take(object)).unwrap_or_else(|| self.make_id());
        self.put(object, id);
        self.ids.insert(content, id);
        id
    }

    /// The object's own `_id`, if it is one and no other item has it.
    fn take(&mut self, object: Object<'a>) -> Option<Value<'a>> {
        let id = object.get(ID)?;
        let is_id = matches!(id, Value::String(_) | Value::Number(_));
        (is_id && self.taken.insert(key(id)?)).then_some(id)
    }

    fn make_id(&mut self) -> Value<'a> {
        Value::String((self.new_id)())
    }

    fn put(&mut self, object: Object<'a>, id: Value<'a>) {
        let mut members = members(object);
        members.push((ID, id.into()));
        self.items.push(Tree::Object(members));
    }
}

/// The members of an item but its `_id`.
fn members<'a>(object: Object<'a>) -> Vec<(&'a str, Tree<'a>)> {
    let others = object.iter().filter(|(key, _)| *key != ID);
    others.map(|(key, value)| (key, value.into())).collect()
}

/// What an item is without its `_id`: the same bytes for equal items.
fn content(object: Object<'_>) -> Vec<u8> {
    encode(&Tree::Object(members(object))).expect("a part of a document is no larger than it")
}
