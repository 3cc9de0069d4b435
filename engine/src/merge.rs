//! How a patch changes an entity's attributes.
//!
//! A patch is an object of attributes. An attribute's value replaces what is there, whole,
//! unless it is an operation:
//! - `{"_set": list}`, `{"_append": list}` (or `_append_all`), `{"_append_unique": list}`: an
//!   array operation, an object of exactly one key; a list may be a single value, for JSONata
//!   unwraps lists of one, and null is the empty list;
//! - `{"$relation": {OP: list}}`: the same for a relation, whose items are
//!   `{"entity_id", "_schema", "_tags"?}`;
//! - `{"$relation_ref": {OP: list}}`: the same for references to items of other entities' lists,
//!   `{"entity_id", "path", "_id"}`.
//!
//! Appending to what is missing or null is setting; appending nothing changes nothing.

use std::collections::HashSet;
use std::hash::Hash;

use crate::error::{Code, Error, Result};
use crate::jsonb::{Object, Tree, Value, key_order};
use crate::mapping::Operation;

/// The key of a relation's list of items.
pub const RELATION: &str = "$relation";

/// The key of a list of references.
pub const RELATION_REF: &str = "$relation_ref";

/// What links to other entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    Relation,
    RelationRef,
}

impl Links {
    fn of_key(key: &str) -> Option<Links> {
        [Links::Relation, Links::RelationRef].into_iter().find(|links| links.key() == key)
    }

    fn key(self) -> &'static str {
        match self {
            Links::Relation => RELATION,
            Links::RelationRef => RELATION_REF,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Links::Relation => "a relation",
            Links::RelationRef => "a list of references",
        }
    }

    /// The members by which items are the same.
    fn identity(self) -> &'static [&'static str] {
        match self {
            Links::Relation => &["entity_id"],
            Links::RelationRef => &["entity_id", "path", "_id"],
        }
    }

    /// What items are the same by; `None`: the item is the same as no other.
    fn identity_of<'a>(self, item: Value<'a>) -> Option<[(u8, &'a [u8]); 3]> {
        let item = item.as_object()?;
        let mut identity = [Value::Null.content(); 3];
        for (part, key) in identity.iter_mut().zip(self.identity()) {
            *part = item.get(key)?.content();
        }
        Some(identity)
    }

    /// The items of `{KEY: […]}`.
    fn resolved<'a>(value: Value<'a>) -> Option<(Links, Vec<Value<'a>>)> {
        match only_member(value) {
            Some((key, Value::Array(items))) => Some((Links::of_key(key)?, items.iter().collect())),
            _ => None,
        }
    }

    fn tree<'a>(self, inner: Tree<'a>) -> Tree<'a> {
        Tree::Object(vec![(self.key(), inner)])
    }

    /// A patch that does `operation` with `items`. To set them is to replace the value.
    fn patch<'a>(self, operation: Operation, items: Vec<Tree<'a>>) -> Tree<'a> {
        let items = Tree::Array(items);
        self.tree(match operation {
            Operation::Set => items,
            _ => Tree::Object(vec![(operation.name(), items)]),
        })
    }
}

/// What a patch does to one attribute.
#[derive(Debug, Clone)]
enum Change<'a> {
    /// Replaces the attribute whole.
    Value(Value<'a>),
    List(Operation, Vec<Value<'a>>),
    Links(Links, Operation, Vec<Value<'a>>),
}

impl<'a> Change<'a> {
    fn of(value: Value<'a>) -> Change<'a> {
        let Some((key, inner)) = only_member(value) else { return Change::Value(value) };
        if let Some(operation) = Operation::named(key) {
            return Change::List(operation, list(inner));
        }
        if let Some(links) = Links::of_key(key)
            && let Some((key, items)) = only_member(inner)
            && let Some(operation) = Operation::named(key)
        {
            return Change::Links(links, operation, list(items));
        }
        Change::Value(value)
    }

    /// The attribute after the change; `None` when it stays as it is.
    fn apply(
        &self,
        attribute: &str,
        current: Option<Value<'a>>,
        stop: Stop<'_>,
    ) -> Result<Option<Tree<'a>>> {
        let current = current.filter(|value| !matches!(value, Value::Null));
        match self {
            Change::Value(value) => Ok(Some(Tree::Value(*value))),
            Change::List(Operation::Set, items) => Ok(Some(array(items))),
            Change::Links(links, Operation::Set, items) => Ok(Some(links.tree(array(items)))),
            Change::List(_, added) | Change::Links(_, _, added) if added.is_empty() => Ok(None),
            Change::List(operation, added) => {
                let present = match current {
                    None => Vec::new(),
                    Some(Value::Array(present)) => present.iter().collect(),
                    Some(other) => return Err(not_appendable(attribute, other, "an array")),
                };
                Ok(append(present, added, *operation, content, stop)?.map(|all| array(&all)))
            }
            Change::Links(links, operation, added) => {
                let present = match current.map(|value| (value, Links::resolved(value))) {
                    None => Vec::new(),
                    Some((_, Some((present, items)))) if present == *links => items,
                    Some((other, _)) => {
                        return Err(not_appendable(attribute, other, links.name()));
                    }
                };
                let identity = |item| links.identity_of(item);
                let all = append(present, added, *operation, identity, stop)?;
                Ok(all.map(|all| links.tree(array(&all))))
            }
        }
    }
}

/// The patch of an attribute that sets or appends the items of a relation.
pub fn relation_patch<'a>(operation: Operation, items: Vec<Tree<'a>>) -> Tree<'a> {
    Links::Relation.patch(operation, items)
}

/// As [`relation_patch`], of references.
pub fn relation_ref_patch<'a>(operation: Operation, items: Vec<Tree<'a>>) -> Tree<'a> {
    Links::RelationRef.patch(operation, items)
}

/// Whether a patch holds an operation, not values alone.
pub fn has_operations(patch: Object<'_>) -> bool {
    patch.objects().any(|value| is_operation(Value::Object(value)))
}

/// Whether an attribute's value in a patch is an operation.
pub fn is_operation(value: Value<'_>) -> bool {
    !matches!(Change::of(value), Change::Value(_))
}

/// Whether a patch adds links unless they are there, which their ids tell.
pub fn links_uniquely(patch: Object<'_>) -> bool {
    let is_unique = |value: Value<'_>| {
        matches!(Change::of(value), Change::Links(_, Operation::AppendUnique, _))
    };
    patch.objects().any(|value| is_unique(Value::Object(value)))
}

/// The operation and list of a value that is an array operation.
pub fn list_operation<'a>(value: Value<'a>) -> Option<(Operation, Vec<Value<'a>>)> {
    match Change::of(value) {
        Change::List(operation, items) => Some((operation, items)),
        _ => None,
    }
}

/// The items of a value in a patch that is a relation, be it to replace what is there
/// (`{"$relation": […]}`) or as an operation.
pub fn relation_items<'a>(value: Value<'a>) -> Option<Vec<Value<'a>>> {
    items_of(Links::Relation, value)
}

/// As [`relation_items`], of a value that is a list of references.
pub fn relation_ref_items<'a>(value: Value<'a>) -> Option<Vec<Value<'a>>> {
    items_of(Links::RelationRef, value)
}

fn items_of<'a>(wanted: Links, value: Value<'a>) -> Option<Vec<Value<'a>>> {
    let (links, items) = match Change::of(value) {
        Change::Links(links, _, items) => (links, items),
        _ => Links::resolved(value)?,
    };
    (links == wanted).then_some(items)
}

/// The attributes after `patches` are applied in turn to `current`; `None` when they are the
/// same to the last digit. Error: `ATTRIBUTE_TYPE_MISMATCH` for appending to what is no list.
pub fn merge<'a>(current: Option<Object<'a>>, patch: Object<'a>) -> Result<Option<Tree<'a>>> {
    merge_until(current, patch, &|| false)
}

/// Tells whether a merge is to stop: then it fails.
pub type Stop<'s> = &'s dyn Fn() -> bool;

/// As [`merge`], until `stop` tells that it is to stop.
pub fn merge_until<'a>(
    current: Option<Object<'a>>,
    patch: Object<'a>,
    stop: Stop<'_>,
) -> Result<Option<Tree<'a>>> {
    let mut merged: Vec<(&'a str, Tree<'a>)> = Vec::new();
    let mut changed = current.is_none();
    let mut present = current.map(Object::iter).into_iter().flatten().peekable();
    // Both are in key order: one pass.
    for (name, value) in patch.iter() {
        while let Some((key, kept)) = present.next_if(|(key, _)| key_order(key, name).is_lt()) {
            merged.push((key, kept.into()));
        }
        let before = present.next_if(|(key, _)| *key == name).map(|(_, value)| value);
        match (Change::of(value).apply(name, before, stop)?, before) {
            (Some(Tree::Value(after)), Some(before)) if after.same(before) => {
                merged.push((name, before.into()));
            }
            (Some(after), Some(before)) if is_same(&after, before) => {
                merged.push((name, before.into()));
            }
            (Some(after), _) => {
                changed = true;
                merged.push((name, after));
            }
            (None, Some(before)) => merged.push((name, before.into())),
            (None, None) => {}
        }
    }
    merged.extend(present.map(|(key, kept)| (key, Tree::Value(kept))));
    Ok(changed.then_some(Tree::Object(merged)))
}

/// One patch that does what `first` and then `second` do; `None` when no single patch can (an
/// `_append_unique` beside an `_append` of the same attribute), or when an operation would fail.
pub fn compose<'a>(first: Object<'a>, second: Object<'a>) -> Option<Tree<'a>> {
    let mut composed = Vec::with_capacity(first.len() + second.len());
    for (name, value) in first.iter() {
        match second.get(name) {
            None => composed.push((name, value.into())),
            Some(later) => composed.push((name, compose_attribute(name, value, later)?)),
        }
    }
    for (name, value) in second.iter().filter(|(name, _)| first.get(name).is_none()) {
        composed.push((name, value.into()));
    }
    Some(Tree::Object(composed))
}

fn compose_attribute<'a>(name: &str, first: Value<'a>, second: Value<'a>) -> Option<Tree<'a>> {
    use Operation::Set;
    match (Change::of(first), Change::of(second)) {
        (_, Change::Value(_) | Change::List(Set, _) | Change::Links(_, Set, _)) => {
            Some(second.into())
        }
        (Change::Value(value), later) => {
            Some(later.apply(name, Some(value), &|| false).ok()?.unwrap_or(value.into()))
        }
        (Change::List(a, before), Change::List(b, after)) if a == Set || a == b => {
            let all = append(before, &after, b, content, &|| false).ok()?;
            let list = all.map_or_else(|| first.into(), |all| operation(a, array(&all)));
            Some(list)
        }
        (Change::Links(links, a, before), Change::Links(other, b, after))
            if links == other && (a == Set || a == b) =>
        {
            let identity = |item| links.identity_of(item);
            let all = append(before, &after, b, identity, &|| false).ok()?;
            let tree = |all: Vec<Value<'a>>| links.tree(operation(a, array(&all)));
            Some(all.map_or_else(|| first.into(), tree))
        }
        _ => None,
    }
}

/// `present` with `added` at its end; `None` when nothing was added. Items with the same
/// `identity` are the same.
fn append<'a, I: Eq + Hash>(
    present: Vec<Value<'a>>,
    added: &[Value<'a>],
    operation: Operation,
    identity: impl Fn(Value<'a>) -> Option<I>,
    stop: Stop<'_>,
) -> Result<Option<Vec<Value<'a>>>> {
    let before = present.len();
    let mut all = present;
    if operation == Operation::AppendUnique {
        let mut seen: HashSet<I> = HashSet::with_capacity(all.len() + added.len());
        for (i, item) in all.iter().enumerate() {
            check(i, stop)?;
            seen.extend(identity(*item));
        }
        for (i, item) in added.iter().enumerate() {
            check(i, stop)?;
            if identity(*item).is_none_or(|it| seen.insert(it)) {
                all.push(*item);
            }
        }
    } else {
        all.extend(added);
    }
    Ok((all.len() > before).then_some(all))
}

/// Fails once the merge is to stop; looks at some of the `index`es that are done in turn.
fn check(index: usize, stop: Stop<'_>) -> Result<()> {
    match index % 1_024 == 1_023 && stop() {
        true => Err(Error::new(Code::ExpressionLimitExceeded, "the call was cancelled")),
        false => Ok(()),
    }
}

fn content<'a>(item: Value<'a>) -> Option<(u8, &'a [u8])> {
    Some(item.content())
}

/// Whether a tree is the document to the last digit.
pub fn is_same(after: &Tree<'_>, before: Value<'_>) -> bool {
    match (after, before) {
        (Tree::Value(after), before) => after.same(before),
        (Tree::Array(after), Value::Array(before)) => {
            after.len() == before.len()
                && after.iter().zip(before.iter()).all(|(after, before)| is_same(after, before))
        }
        (Tree::Object(after), Value::Object(before)) => {
            after.len() == before.len()
                && after.iter().all(|(key, after)| {
                    before.get(key).is_some_and(|before| is_same(after, before))
                })
        }
        _ => false,
    }
}

fn only_member<'a>(value: Value<'a>) -> Option<(&'a str, Value<'a>)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.iter().next()
}

pub(crate) fn list<'a>(value: Value<'a>) -> Vec<Value<'a>> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        single => vec![single],
    }
}

fn array<'a>(items: &[Value<'a>]) -> Tree<'a> {
    Tree::Array(items.iter().map(|item| Tree::Value(*item)).collect())
}

fn operation<'a>(operation: Operation, list: Tree<'a>) -> Tree<'a> {
    Tree::Object(vec![(operation.name(), list)])
}

pub(crate) fn not_appendable(attribute: &str, value: Value<'_>, wanted: &str) -> Error {
    let message = format!(
        "attribute \"{attribute}\" is {}, not {wanted}: nothing can be appended to it",
        value.type_name()
    );
    Error::new(Code::AttributeTypeMismatch, message)
}

/// The attributes without the items of relations and references that name an entity of `schema`
/// with one of `ids`; `None` when there are none. References name no schema: whether they count,
/// because no entity of another type has such an id, is told by `references`.
pub fn unlink<'a>(
    attributes: Object<'a>,
    schema: &str,
    ids: &HashSet<&str>,
    references: bool,
) -> Option<Tree<'a>> {
    let names_one = |item: &Value<'a>| {
        let member = |name: &str| item.as_object().and_then(|item| item.get(name)?.as_str());
        member("_schema").map_or(references, |named| named == schema)
            && member("entity_id").is_some_and(|id| ids.contains(id))
    };
    let mut is_changed = false;
    let members = attributes.iter().map(|(name, value)| match Links::resolved(value) {
        Some((links, mut items)) if items.iter().any(names_one) => {
            is_changed = true;
            items.retain(|item| !names_one(item));
            (name, links.tree(array(&items)))
        }
        _ => (name, value.into()),
    });
    let members = members.collect();
    is_changed.then_some(Tree::Object(members))
}

/// The attributes, or a patch of them, with the entity ids that `ids` (`{old: new}`) names
/// replaced in relations and references.
pub fn relink<'a>(attributes: Object<'a>, ids: Object<'a>) -> Tree<'a> {
    let item = |item: Value<'a>| {
        let id = item.as_object().and_then(|item| item.get("entity_id")).and_then(Value::as_str);
        match (item, id.and_then(|id| ids.get(id))) {
            (Value::Object(members), Some(new)) => Tree::Object(
                members
                    .iter()
                    .map(|(key, value)| (key, if key == "entity_id" { new } else { value }.into()))
                    .collect(),
            ),
            _ => item.into(),
        }
    };
    let all = |items: Vec<Value<'a>>| Tree::Array(items.into_iter().map(item).collect());
    let attribute = |value: Value<'a>| match (Change::of(value), Links::resolved(value)) {
        (Change::Links(links, how, items), _) => links.tree(operation(how, all(items))),
        (_, Some((links, items))) => links.tree(all(items)),
        (_, None) => value.into(),
    };
    Tree::Object(attributes.iter().map(|(name, value)| (name, attribute(value))).collect())
}
