//! Attributes and patches of them: the laws of merging, composing, relinking and unlinking, and
//! of lists whose items have ids.
//!
//! Input: bytes to make documents of.

use std::collections::{BTreeSet, HashSet};

use bumpalo::Bump;
use erp_engine::items::{Changed, change};
use erp_engine::jsonb::{Object, Tree, Value};
use erp_engine::mapping::Operation;
use erp_engine::merge::{
    compose, has_operations, is_operation, list_operation, merge, relation_items,
    relation_ref_items, relink, unlink,
};
use erp_engine::value_type::{ValueType, identifying};

use super::made::Maker;
use super::sound::{keep, read};

pub fn run(input: &[u8]) {
    let arena = Bump::new();
    let mut maker = Maker::new(input, &arena);
    let current = (!maker.once_in(8)).then(|| maker.attributes());
    let patches: Vec<Object<'_>> = (0..=maker.below(3)).map(|_| maker.attributes()).collect();
    for patch in &patches {
        one_patch(current, *patch, &arena);
        relinking(*patch, &arena);
    }
    in_turn_and_at_once(current, &patches, &arena);
    if let Some(current) = current {
        assert!(matches!(merge(Some(current), object(Tree::Object(vec![]), &arena)), Ok(None)));
        unlinking(current, &arena);
    }
    for (_, value) in patches[0].iter() {
        typed(value, &arena);
        lists(current.and_then(|current| current.get("list")), value, &arena);
    }
}

fn object<'a>(tree: Tree<'a>, arena: &'a Bump) -> Object<'a> {
    keep(&tree, arena).as_object().expect("it is an object")
}

/// The attributes after a patch; `None` when it cannot be merged.
fn merged<'a>(
    current: Option<Object<'a>>,
    patch: Object<'a>,
    arena: &'a Bump,
) -> Option<Object<'a>> {
    match merge(current, patch) {
        Ok(Some(after)) => Some(object(after, arena)),
        Ok(None) => Some(current.expect("a new entity is a change")),
        Err(_) => None,
    }
}

fn one_patch<'a>(current: Option<Object<'a>>, patch: Object<'a>, arena: &'a Bump) {
    let Some(after) = merged(current, patch, arena) else { return };
    read(Value::Object(after));
    let before = |name: &str| current.and_then(|current| current.get(name));
    for (name, value) in after.iter() {
        match patch.get(name) {
            None => assert!(before(name).is_some_and(|before| before.same(value))),
            Some(given) if !is_operation(given) => assert!(given.same(value)),
            Some(_) => assert!(!is_operation(value) || before(name).is_some()),
        }
    }
    for name in current.into_iter().flat_map(Object::iter).map(|(name, _)| name) {
        assert!(after.get(name).is_some(), "nothing is removed");
    }
    let unchanged = matches!(merge(current, patch), Ok(None));
    let is_same = current.is_some_and(|it| Value::Object(it).same(Value::Object(after)));
    assert_eq!(unchanged, is_same);
    if !has_operations(patch) {
        assert!(matches!(merge(Some(after), patch), Ok(None)), "again, it changes nothing");
    }
    assert_eq!(has_operations(patch), patch.iter().any(|(_, value)| is_operation(value)));
}

/// Patches merged in turn do what their composition does at once.
fn in_turn_and_at_once<'a>(current: Option<Object<'a>>, patches: &[Object<'a>], arena: &'a Bump) {
    let (mut after, mut composed) = (current, None);
    for patch in patches {
        after = match merged(after, *patch, arena) {
            Some(after) => Some(after),
            None => return,
        };
        composed = match composed {
            None => Some(*patch),
            Some(earlier) => match compose(earlier, *patch) {
                Some(both) => Some(object(both, arena)),
                None => return,
            },
        };
    }
    let at_once = composed.and_then(|patch| merged(current, patch, arena));
    let same = at_once.zip(after).is_some_and(|(a, b)| Value::Object(a).same(Value::Object(b)));
    assert!(
        same,
        "{at_once:?} is not {after:?}",
        at_once = at_once.map(Value::Object),
        after = after.map(Value::Object)
    );
}

/// Ids that nothing names change nothing; ids replaced and replaced back are as they were.
fn relinking<'a>(patch: Object<'a>, arena: &'a Bump) {
    let id = |id: &'a str| Tree::Value(Value::String(id));
    let ids = |pairs: Vec<(&'a str, Tree<'a>)>| object(Tree::Object(pairs), arena);
    let same = object(relink(patch, ids(vec![])), arena);
    assert_eq!(merge_to_text(patch, arena), merge_to_text(same, arena));
    let there = object(relink(patch, ids(vec![("1", id("new"))])), arena);
    let back = object(relink(there, ids(vec![("new", id("1"))])), arena);
    assert!(Value::Object(back).same(Value::Object(same)));
}

/// What a patch makes of a new entity.
fn merge_to_text(patch: Object<'_>, arena: &Bump) -> Option<String> {
    merged(None, patch, arena).map(|after| Value::Object(after).to_string())
}

fn unlinking(current: Object<'_>, arena: &Bump) {
    let ids = HashSet::from(["1", "2"]);
    for references in [true, false] {
        let Some(less) = unlink(current, "s", &ids, references) else { continue };
        let less = object(less, arena);
        read(Value::Object(less));
        assert!(unlink(less, "s", &ids, references).is_none(), "nothing is left to unlink");
        assert!(less.iter().all(|(name, _)| current.get(name).is_some()));
        assert_eq!(less.len(), current.len());
    }
}

/// The form in which a value of a type is stored is stored as it is.
fn typed(value: Value<'_>, arena: &Bump) {
    for (_, ty) in ValueType::ALL {
        let _ = ty.plain(value);
        let Ok(stored) = ty.stored(value) else { continue };
        let stored = keep(&stored, arena);
        let again = ty.stored(stored).expect("what is stored can be stored");
        assert!(keep(&again, arena).same(stored));
        let _ = identifying(stored);
    }
    if let Some((_, items)) = list_operation(value) {
        assert!(is_operation(value) && relation_items(value).is_none());
        items.into_iter().for_each(read);
    }
    assert!(relation_items(value).is_none() || relation_ref_items(value).is_none());
}

/// Items that a list got are there, each once, with an id of its own; again, it gets none.
fn lists<'a>(current: Option<Value<'a>>, given: Value<'a>, arena: &'a Bump) {
    let given: Vec<Value<'a>> = match given {
        Value::Array(items) => items.iter().collect(),
        other => vec![other],
    };
    let mut made = 0;
    let mut new_id = || {
        made += 1;
        &*arena.alloc_str(&format!("new-{made}"))
    };
    for (_, operation) in Operation::ALL {
        let changed = change("list", current, operation, &given, &mut new_id);
        let Ok(Changed { list, ids }) = changed else { continue };
        if given.is_empty() {
            continue;
        }
        assert_eq!(ids.len(), given.len());
        let after = list.map_or_else(|| current.expect("it is there"), |list| keep(&list, arena));
        let items = after.as_array().expect("it is a list");
        let own: Vec<String> = items
            .iter()
            .filter_map(|item| Some(item.as_object()?.get("_id")?.to_string()))
            .collect();
        assert!(ids.iter().all(|id| own.contains(&id.to_string())));
        assert_eq!(own.iter().collect::<BTreeSet<_>>().len(), own.len(), "{after}");
        let again = change("list", Some(after), operation, &given, &mut new_id);
        let again = again.expect("it was possible before");
        assert!(again.list.is_none(), "{after}");
        assert!(again.ids.iter().zip(&ids).all(|(a, b)| a.same(*b)));
    }
}
