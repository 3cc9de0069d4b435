//! Reading jsonb in place.
//!
//! The bytes come from the server or from [`super::encode`]. Bytes that [`super::check`]
//! would refuse make a read panic, never misbehave: the engine has no unsafe code.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use super::layout::{self, align, word};
use super::{Number, order};

/// A JSON value, in place.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    String(&'a str),
    Array(Array<'a>),
    Object(Object<'a>),
}

/// An array, in place.
#[derive(Clone, Copy)]
pub struct Array<'a>(Container<'a>);

/// An object, in place. Its keys are distinct, in [`key_order`].
#[derive(Clone, Copy)]
pub struct Object<'a>(Container<'a>);

#[derive(Clone, Copy)]
struct Container<'a> {
    /// From the container's header to the end of its last child.
    bytes: &'a [u8],
}

/// The children of a container.
#[derive(Clone, Copy)]
struct Children<'a> {
    /// A word for each.
    entries: &'a [[u8; 4]],
    /// What the words are about; places are counted from here.
    data: &'a [u8],
}

impl<'a> Value<'a> {
    /// The value of a jsonb datum, given without its length word.
    pub fn from_datum(bytes: &'a [u8]) -> Value<'a> {
        let container = Container { bytes };
        match container.header() & (layout::SCALAR | layout::OBJECT) {
            layout::SCALAR => container.children(1).value(0, 0),
            layout::OBJECT => Value::Object(Object(container)),
            _ => Value::Array(Array(container)),
        }
    }

    /// The value as an object.
    pub fn as_object(self) -> Option<Object<'a>> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The value as an array.
    pub fn as_array(self) -> Option<Array<'a>> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The value as a string.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Value::String(string) => Some(string),
            _ => None,
        }
    }

    /// Whether both are the same document to the last digit: `1.1` and `1.10` are not.
    /// (PostgreSQL's `=` on jsonb compares numbers by value.)
    pub fn same(self, other: Value<'_>) -> bool {
        self.content() == other.content()
    }

    /// What is the same for values that are [`Value::same`], and for no others: a type and bytes.
    pub fn content(self) -> (u8, &'a [u8]) {
        match self {
            Value::Null => (0, &[]),
            Value::Bool(false) => (1, &[]),
            Value::Bool(true) => (2, &[]),
            Value::Number(number) => (3, number.bytes()),
            Value::String(string) => (4, string.as_bytes()),
            Value::Array(array) => (5, array.bytes()),
            Value::Object(object) => (6, object.bytes()),
        }
    }

    /// The bytes that a copy of the value takes, about.
    pub fn size(self) -> usize {
        match self {
            Value::Null | Value::Bool(_) => 1,
            Value::Number(number) => number.bytes().len(),
            Value::String(string) => string.len(),
            Value::Array(array) => array.bytes().len(),
            Value::Object(object) => object.bytes().len(),
        }
    }

    /// The name of the value's JSON type, for messages.
    pub fn type_name(self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

impl<'a> Array<'a> {
    /// The number of items.
    pub fn len(self) -> usize {
        self.0.count()
    }

    /// Whether there are no items.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The item at `index`.
    pub fn get(self, index: usize) -> Option<Value<'a>> {
        let children = self.0.children(self.len());
        (index < self.len()).then(|| children.value(index, children.start(index)))
    }

    /// The items, in order.
    pub fn iter(self) -> impl Iterator<Item = Value<'a>> {
        let count = self.len();
        self.0.children(count).values(0..count, 0)
    }

    /// The array in binary form.
    pub fn bytes(self) -> &'a [u8] {
        self.0.bytes
    }
}

impl<'a> Object<'a> {
    /// The number of members.
    pub fn len(self) -> usize {
        self.0.count()
    }

    /// Whether there are no members.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The member named `key`.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        let (children, at) = self.find(key.as_bytes())?;
        Some(children.value(at, children.start(at)))
    }

    /// Whether the member named `key` is the same as `value`. Strings are not read as such: that
    /// their bytes are text takes longer to see than that they are the same.
    pub fn has(self, key: &str, value: Value<'_>) -> bool {
        let Some((children, at)) = self.find(key.as_bytes()) else { return false };
        let start = children.start(at);
        match (children.entry(at) & layout::TYPE, value) {
            (layout::IS_STRING, Value::String(string)) => {
                children.bytes(at, start) == string.as_bytes()
            }
            (layout::IS_STRING, _) | (_, Value::String(_)) => false,
            _ => children.value(at, start).same(value),
        }
    }

    /// The children, and which of them is the value of the member named `key`. Keys stand shorter
    /// first, and their entries tell how long they are: few are looked at.
    #[inline(always)]
    fn find(self, key: &[u8]) -> Option<(Children<'a>, usize)> {
        let count = self.len();
        let children = self.0.children(2 * count);
        let first = if count > layout::STRIDE { children.stride_of(key, count) } else { 0 };
        let mut start = children.start(first);
        // The first entry of a stride tells an end.
        let mut before = start;
        let keys = children.entries[first..count].iter().take(layout::STRIDE);
        for (nth, entry) in keys.enumerate() {
            let length = (u32::from_ne_bytes(*entry) & layout::OFFSET) as usize - before;
            before = 0;
            if length >= key.len() {
                // Nearly always told by the length or the first byte, without a call.
                let bytes = &children.data[start..start + length];
                let order = length.cmp(&key.len()).then_with(|| bytes.first().cmp(&key.first()));
                match order.then_with(|| bytes.cmp(key)) {
                    Ordering::Less => {}
                    Ordering::Equal => return Some((children, first + nth + count)),
                    Ordering::Greater => return None,
                }
            }
            start += length;
        }
        None
    }

    /// The members, in [`key_order`].
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let count = self.len();
        let children = self.0.children(2 * count);
        let keys = children.values(0..count, 0);
        let values = children.values(count..2 * count, children.start(count));
        keys.zip(values).map(|(key, value)| match key {
            Value::String(key) => (key, value),
            _ => panic!("a jsonb object holds a key that is no string"),
        })
    }

    /// Those values that are objects themselves, in the order of their keys.
    pub fn objects(self) -> impl Iterator<Item = Object<'a>> {
        let count = self.len();
        let children = self.0.children(2 * count);
        let mut start = children.start(count);
        (count..2 * count).filter_map(move |index| {
            let at = start;
            start = children.end(index, at);
            let is_container = children.entry(index) & layout::TYPE == layout::IS_CONTAINER;
            is_container.then(|| children.value(index, at).as_object()).flatten()
        })
    }

    /// The object in binary form.
    pub fn bytes(self) -> &'a [u8] {
        self.0.bytes
    }
}

impl<'a> Container<'a> {
    fn header(self) -> u32 {
        word(self.bytes, 0)
    }

    fn count(self) -> usize {
        (self.header() & layout::COUNT) as usize
    }

    /// The children, of which there are `count`: an object has two a member.
    fn children(self, count: usize) -> Children<'a> {
        let (entries, data) = self.bytes[4..].split_at(4 * count);
        Children { entries: entries.as_chunks().0, data }
    }
}

impl<'a> Children<'a> {
    fn entry(self, index: usize) -> u32 {
        u32::from_ne_bytes(self.entries[index])
    }

    /// Where the child at `index` starts: at the last end before it that is told, and the lengths
    /// from there on.
    fn start(self, index: usize) -> usize {
        let told = index.saturating_sub(1) / layout::STRIDE * layout::STRIDE;
        let length = |entry: &[u8; 4]| u32::from_ne_bytes(*entry) & layout::OFFSET;
        self.entries[told..index].iter().map(length).sum::<u32>() as usize
    }

    /// Of the first `count` children, which are keys in order, the first of the stride in which
    /// `key` stands if it is there.
    fn stride_of(self, key: &[u8], count: usize) -> usize {
        let (mut low, mut high) = (0, count.div_ceil(layout::STRIDE));
        while high - low > 1 {
            let middle = (low + high) / 2;
            let first = middle * layout::STRIDE;
            match order(self.bytes(first, self.start(first)), key) {
                Ordering::Greater => high = middle,
                _ => low = middle,
            }
        }
        low * layout::STRIDE
    }

    /// Where the child at `index`, which starts at `start`, ends.
    fn end(self, index: usize, start: usize) -> usize {
        let entry = self.entry(index);
        let length = (entry & layout::OFFSET) as usize;
        if entry & layout::HAS_OFFSET != 0 { length } else { start + length }
    }

    /// What the child at `index`, a string, which starts at `start`, consists of.
    fn bytes(self, index: usize, start: usize) -> &'a [u8] {
        &self.data[start..self.end(index, start)]
    }

    /// The child at `index`, which starts at `start`.
    fn value(self, index: usize, start: usize) -> Value<'a> {
        let (data, end) = (self.data, self.end(index, start));
        match self.entry(index) & layout::TYPE {
            layout::IS_NULL => Value::Null,
            layout::IS_FALSE => Value::Bool(false),
            layout::IS_TRUE => Value::Bool(true),
            layout::IS_NUMBER => Value::Number(Number::from_datum(&data[align(start)..end])),
            layout::IS_CONTAINER => {
                let container = Container { bytes: &data[align(start)..end] };
                if container.header() & layout::OBJECT != 0 {
                    Value::Object(Object(container))
                } else {
                    Value::Array(Array(container))
                }
            }
            _ => Value::String(
                std::str::from_utf8(&data[start..end]).expect("a jsonb string is not UTF-8"),
            ),
        }
    }

    /// The children of a range, the first of which starts at `start`.
    fn values(self, range: Range<usize>, mut start: usize) -> impl Iterator<Item = Value<'a>> {
        range.map(move |index| {
            let child = self.value(index, start);
            start = self.end(index, start);
            child
        })
    }
}

/// Compact JSON text, for messages of tests. Recursive: not for unbounded input.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(number) => f.write_str(&number.to_text()),
            Value::String(string) => f.write_str(&quoted(string)),
            Value::Array(array) => {
                for (i, item) in array.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "[" } else { "," })?;
                }
                f.write_str(if array.is_empty() { "[]" } else { "]" })
            }
            Value::Object(object) => {
                for (i, (key, value)) in object.iter().enumerate() {
                    let open = if i == 0 { "{" } else { "," };
                    write!(f, "{open}{}:{value}", quoted(key))?;
                }
                f.write_str(if object.is_empty() { "{}" } else { "}" })
            }
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn quoted(string: &str) -> String {
    serde_json::Value::from(string).to_string()
}
