//! Building jsonb.

use super::layout::{self, STRIDE, align};
use super::{Value, key_order};

/// A document being built. What is copied stays in place until it is encoded.
#[derive(Clone)]
pub enum Tree<'a> {
    Value(Value<'a>),
    Array(Vec<Tree<'a>>),
    /// Members in any order; of members with the same key the last counts.
    Object(Vec<(&'a str, Tree<'a>)>),
}

impl<'a> From<Value<'a>> for Tree<'a> {
    fn from(value: Value<'a>) -> Tree<'a> {
        Tree::Value(value)
    }
}

/// A document larger than jsonb can hold (256 MiB an array or object).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// The document in binary form, without the length word of its datum.
pub fn encode(tree: &Tree<'_>) -> Result<Vec<u8>, TooLarge> {
    let mut out = Vec::with_capacity(256);
    match tree {
        Tree::Array(_) | Tree::Object(_) | Tree::Value(Value::Array(_) | Value::Object(_)) => {
            write(&mut out, tree)?;
        }
        Tree::Value(_) => {
            put_word(&mut out, 1 | layout::ARRAY | layout::SCALAR);
            write_children(&mut out, std::iter::once(Child::Tree(tree)), 1)?;
        }
    }
    Ok(out)
}

/// What an entry describes.
enum Child<'t, 'a> {
    Key(&'a str),
    Tree(&'t Tree<'a>),
}

/// Appends a value's data, padding included, and returns its type bits.
fn write(out: &mut Vec<u8>, tree: &Tree<'_>) -> Result<u32, TooLarge> {
    match tree {
        Tree::Value(Value::Null) => Ok(layout::IS_NULL),
        Tree::Value(Value::Bool(value)) => {
            Ok(if *value { layout::IS_TRUE } else { layout::IS_FALSE })
        }
        Tree::Value(Value::String(string)) => {
            out.extend_from_slice(string.as_bytes());
            Ok(layout::IS_STRING)
        }
        Tree::Value(Value::Number(number)) => {
            pad(out);
            out.extend_from_slice(number.bytes());
            Ok(layout::IS_NUMBER)
        }
        Tree::Value(Value::Array(array)) => Ok(write_copy(out, array.bytes())),
        Tree::Value(Value::Object(object)) => Ok(write_copy(out, object.bytes())),
        Tree::Array(items) => {
            pad(out);
            put_word(out, count(items.len())? | layout::ARRAY);
            write_children(out, items.iter().map(Child::Tree), items.len())?;
            Ok(layout::IS_CONTAINER)
        }
        Tree::Object(members) => {
            write_object(out, members)?;
            Ok(layout::IS_CONTAINER)
        }
    }
}

/// Offsets inside a container count from its own entries: its bytes can be copied to any
/// aligned place.
fn write_copy(out: &mut Vec<u8>, bytes: &[u8]) -> u32 {
    pad(out);
    out.extend_from_slice(bytes);
    layout::IS_CONTAINER
}

fn write_object<'a>(out: &mut Vec<u8>, members: &[(&'a str, Tree<'a>)]) -> Result<(), TooLarge> {
    if members.is_sorted_by(|a, b| key_order(a.0, b.0).is_lt()) {
        return write_members(out, members.iter());
    }
    let mut ordered: Vec<&(&str, Tree<'_>)> = members.iter().collect();
    // Stable, so that of equal keys the last one written stays last.
    ordered.sort_by(|a, b| key_order(a.0, b.0));
    ordered.reverse();
    ordered.dedup_by_key(|member| member.0);
    ordered.reverse();
    write_members(out, ordered.into_iter())
}

/// Appends members that are in order.
fn write_members<'t, 'a: 't>(
    out: &mut Vec<u8>,
    members: impl ExactSizeIterator<Item = &'t (&'a str, Tree<'a>)> + Clone,
) -> Result<(), TooLarge> {
    let length = members.len();
    pad(out);
    put_word(out, count(length)? | layout::OBJECT);
    let keys = members.clone().map(|(key, _)| Child::Key(key));
    let values = members.map(|(_, value)| Child::Tree(value));
    write_children(out, keys.chain(values), 2 * length)
}

/// Appends the entries and data of `count` children, as `convertJsonbArray` and
/// `convertJsonbObject` do.
fn write_children<'t, 'a: 't>(
    out: &mut Vec<u8>,
    children: impl Iterator<Item = Child<'t, 'a>>,
    count: usize,
) -> Result<(), TooLarge> {
    let entries = out.len();
    out.resize(entries + 4 * count, 0);
    let data = out.len();
    let mut previous = data;
    for (index, child) in children.enumerate() {
        let kind = match child {
            Child::Key(key) => {
                out.extend_from_slice(key.as_bytes());
                layout::IS_STRING
            }
            Child::Tree(tree) => write(out, tree)?,
        };
        let end = out.len() - data;
        if end > layout::OFFSET as usize {
            return Err(TooLarge);
        }
        let entry = if index.is_multiple_of(STRIDE) {
            kind | end as u32 | layout::HAS_OFFSET
        } else {
            kind | (out.len() - previous) as u32
        };
        previous = out.len();
        let at = entries + 4 * index;
        out[at..at + 4].copy_from_slice(&entry.to_ne_bytes());
    }
    Ok(())
}

fn count(length: usize) -> Result<u32, TooLarge> {
    u32::try_from(length).ok().filter(|&n| n <= layout::COUNT).ok_or(TooLarge)
}

fn put_word(out: &mut Vec<u8>, word: u32) {
    out.extend_from_slice(&word.to_ne_bytes());
}

fn pad(out: &mut Vec<u8>) {
    out.resize(align(out.len()), 0);
}
