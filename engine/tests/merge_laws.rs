//! The laws of merging a patch into an entity's attributes: what each operation does, checked
//! against a model of it; that two patches can be composed into one; that merging again changes
//! nothing; and what is an operation and what is data.

mod support;

use std::collections::BTreeMap;

use bumpalo::Bump;
use erp_engine::error::Code;
use erp_engine::jsonb::{Tree, Value};
use erp_engine::merge::{
    compose, has_operations, merge, relation_items, relation_ref_items, relink,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use support::properties::config;
use support::{json, keep};

// Laws

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn merging_does_what_the_model_does(current in option_of_state(), patch in patch()) {
        let merged = merged(current.as_ref().map(text_of_state).as_deref(), &text_of_patch(&patch));
        prop_assert_eq!(merged, model(current, &patch).map(|state| canonical(&text_of_state(&state))));
    }

    #[test]
    fn two_patches_in_turn_are_their_composition(
        current in option_of_state(), first in patch(), second in patch(),
    ) {
        let current = current.as_ref().map(text_of_state);
        let (first, second) = (text_of_patch(&first), text_of_patch(&second));
        let in_turn = merged(current.as_deref(), &first).and_then(|after| merged(Some(&after), &second));
        if let (Some(composed), Some(in_turn)) = (composed(&first, &second), in_turn) {
            let at_once = merged(current.as_deref(), &composed);
            prop_assert_eq!(at_once, Some(in_turn), "{} then {} is {}", first, second, composed);
        }
    }

    #[test]
    fn merging_again_changes_nothing_unless_something_is_appended(
        current in option_of_state(), patch in patch(),
    ) {
        let is_append = |change: &Change| matches!(
            change,
            Change::List("_append" | "_append_all", ..)
                | Change::Relation("_append" | "_append_all", ..)
                | Change::References("_append" | "_append_all", ..)
        );
        let patch: Patch = patch.into_iter().filter(|(_, change)| !is_append(change)).collect();
        let patch = text_of_patch(&patch);
        if let Some(once) = merged(current.as_ref().map(text_of_state).as_deref(), &patch) {
            prop_assert_eq!(changed(Some(&once), &patch), Ok(None));
        }
    }

    #[test]
    fn only_named_attributes_change(current in state(), patch in patch()) {
        let before = text_of_state(&current);
        if let Some(after) = merged(Some(&before), &text_of_patch(&patch)) {
            let arena = Bump::new();
            let (before, after) = (json(&before, &arena), json(&after, &arena));
            let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
            for (name, value) in before.iter().filter(|(name, _)| !patch.contains_key(*name)) {
                prop_assert!(after.get(name).is_some_and(|kept| kept.same(value)), "{}", name);
            }
            for (name, _) in after.iter() {
                prop_assert!(before.get(name).is_some() || patch.contains_key(name), "{}", name);
            }
        }
    }

    #[test]
    fn a_patch_that_changes_nothing_gives_nothing(current in state(), patch in patch()) {
        let before = text_of_state(&current);
        let patch = text_of_patch(&patch);
        match changed(Some(&before), &patch) {
            Ok(Some(after)) => prop_assert_ne!(after, canonical(&before)),
            Ok(None) => prop_assert_eq!(merged(Some(&before), &patch), Some(canonical(&before))),
            Err(code) => prop_assert_eq!(code, Code::AttributeTypeMismatch),
        }
        prop_assert_eq!(changed(Some(&before), &before), Ok(None), "the entity itself is a patch");
        prop_assert_eq!(changed(Some(&before), "{}"), Ok(None));
    }

    #[test]
    fn appending_keeps_order_and_duplicates(before in items(), added in items()) {
        let all = [before.clone(), added.clone()].concat();
        let current = format!(r#"{{"a": [{}]}}"#, before.join(","));
        let patch = format!(r#"{{"a": {{"_append": [{}]}}}}"#, added.join(","));
        prop_assert_eq!(merged(Some(&current), &patch), Some(canonical(&format!(r#"{{"a": [{}]}}"#, all.join(",")))));
    }

    #[test]
    fn appending_what_is_there_already_never_duplicates(before in items(), added in items()) {
        let current = format!(r#"{{"a": [{}]}}"#, before.join(","));
        let patch = format!(r#"{{"a": {{"_append_unique": [{}]}}}}"#, added.join(","));
        let after = merged(Some(&current), &patch).unwrap();
        let arena = Bump::new();
        let after = support::member(json(&after, &arena), "a").as_array().unwrap();
        let after: Vec<String> = after.iter().map(|item| item.to_string()).collect();
        let before: Vec<String> = before.iter().map(|item| canonical(item)).collect();
        prop_assert!(after.starts_with(&before));
        let news = &after[before.len()..];
        prop_assert!(news.iter().enumerate().all(|(i, new)| !before.contains(new) && !news[..i].contains(new)));
        prop_assert!(added.iter().all(|item| after.contains(&canonical(item))));
    }
}

// Cases

#[test]
fn what_operations_do() {
    for (current, patch, expected) in [
        // A value replaces what is there, whole.
        ("1", "2", "2"),
        ("[1]", "[2]", "[2]"),
        (r#"{"x": 1}"#, r#"{"y": 2}"#, r#"{"y": 2}"#),
        ("1", "null", "null"),
        ("", "null", "null"),
        ("1.1", "1.10", "1.10"),
        // Setting a list.
        ("[1]", r#"{"_set": [2, 2]}"#, "[2, 2]"),
        ("[1]", r#"{"_set": []}"#, "[]"),
        ("[1]", r#"{"_set": null}"#, "[]"),
        ("[1]", r#"{"_set": "x"}"#, r#"["x"]"#),
        ("[1]", r#"{"_set": {"x": 1}}"#, r#"[{"x": 1}]"#),
        ("\"text\"", r#"{"_set": [1]}"#, "[1]"),
        ("", r#"{"_set": [1]}"#, "[1]"),
        // Appending to it.
        ("[1, 2]", r#"{"_append": [2, 3, 3]}"#, "[1, 2, 2, 3, 3]"),
        ("[1]", r#"{"_append_all": [1]}"#, "[1, 1]"),
        ("[1]", r#"{"_append": "x"}"#, r#"[1, "x"]"#),
        ("[1]", r#"{"_append": [[2, 3]]}"#, "[1, [2, 3]]"),
        ("[1]", r#"{"_append": [null]}"#, "[1, null]"),
        ("[1]", r#"{"_append": []}"#, "[1]"),
        ("[1]", r#"{"_append": null}"#, "[1]"),
        ("", r#"{"_append": [1, 1]}"#, "[1, 1]"),
        ("null", r#"{"_append": [1]}"#, "[1]"),
        ("[]", r#"{"_append": [1]}"#, "[1]"),
        // Without what is there already.
        ("[1, 1, 2]", r#"{"_append_unique": [2, 3, 3, 1]}"#, "[1, 1, 2, 3]"),
        ("[1]", r#"{"_append_unique": 1}"#, "[1]"),
        ("", r#"{"_append_unique": [1, 1]}"#, "[1]"),
        (
            r#"[{"x": [1]}]"#,
            r#"{"_append_unique": [{"x": [1]}, {"x": [2]}]}"#,
            r#"[{"x": [1]}, {"x": [2]}]"#,
        ),
        (r#"["1", null]"#, r#"{"_append_unique": [1, null]}"#, r#"["1", null, 1]"#),
    ] {
        merges(current, patch, expected);
    }
}

#[test]
fn what_operations_of_relations_do() {
    let [a, b] = ["a", "b"].map(|id| format!(r#"{{"entity_id": "{id}", "_schema": "s"}}"#));
    let tagged = r#"{"entity_id": "a", "_schema": "s", "_tags": ["T"]}"#;
    let resolved = |items: &[&str]| format!(r#"{{"$relation": [{}]}}"#, items.join(","));
    let operation = |name: &str, items: &[&str]| {
        format!(r#"{{"$relation": {{"{name}": [{}]}}}}"#, items.join(","))
    };
    for (current, patch, expected) in [
        (resolved(&[&a]), operation("_set", &[&b]), resolved(&[&b])),
        (resolved(&[&a]), operation("_set", &[]), resolved(&[])),
        ("".into(), operation("_set", &[&a]), resolved(&[&a])),
        ("\"text\"".into(), operation("_set", &[&a]), resolved(&[&a])),
        (resolved(&[&a]), operation("_append", &[&b, &a]), resolved(&[&a, &b, &a])),
        (resolved(&[&a]), operation("_append_all", &[&a]), resolved(&[&a, &a])),
        (resolved(&[&a]), operation("_append", &[]), resolved(&[&a])),
        (resolved(&[]), operation("_append", &[&a]), resolved(&[&a])),
        ("".into(), operation("_append", &[&a, &a]), resolved(&[&a, &a])),
        ("null".into(), operation("_append", &[&a]), resolved(&[&a])),
        // The same entity is there already, whatever its tags.
        (resolved(&[&a]), operation("_append_unique", &[tagged, &b, &b]), resolved(&[&a, &b])),
        (resolved(&[tagged]), operation("_append_unique", &[&a]), resolved(&[tagged])),
        ("".into(), operation("_append_unique", &[&a, tagged]), resolved(&[&a])),
        // A list of one may be its item.
        (resolved(&[&a]), format!(r#"{{"$relation": {{"_append": {b}}}}}"#), resolved(&[&a, &b])),
        (resolved(&[&a]), format!(r#"{{"$relation": {{"_set": {b}}}}}"#), resolved(&[&b])),
        (resolved(&[&a]), r#"{"$relation": {"_set": null}}"#.into(), resolved(&[])),
        // A resolved relation is a value.
        (resolved(&[&a]), resolved(&[&b]), resolved(&[&b])),
    ] {
        merges(&current, &patch, &expected);
    }
}

#[test]
fn an_object_with_more_keys_or_another_one_is_data() {
    let holds_operation = |value: &str| {
        let arena = Bump::new();
        has_operations(json(&format!(r#"{{"a": {value}}}"#), &arena).as_object().unwrap())
    };
    for operation in [
        r#"{"_set": []}"#,
        r#"{"_append": [1]}"#,
        r#"{"_append_all": 1}"#,
        r#"{"_append_unique": null}"#,
        r#"{"$relation": {"_set": []}}"#,
        r#"{"$relation": {"_append": [1]}}"#,
        r#"{"$relation": {"_append_unique": {}}}"#,
        r#"{"$relation_ref": {"_set": []}}"#,
        r#"{"$relation_ref": {"_append": {}}}"#,
    ] {
        assert!(holds_operation(operation), "{operation}");
    }
    for data in [
        r#"{"_set": [1], "x": 1}"#,
        r#"{"_set": [1], "_append": [1]}"#,
        r#"{"_Set": [1]}"#,
        r#"{"set": [1]}"#,
        r#"{"_remove": [1]}"#,
        r#"{"x": {"_set": [1]}}"#,
        r#"[{"_set": [1]}]"#,
        "\"_set\"",
        "{}",
        r#"{"$relation": []}"#,
        r#"{"$relation": {}}"#,
        r#"{"$relation": "_set"}"#,
        r#"{"$relation": [{"_set": []}]}"#,
        r#"{"$relation": {"_set": [], "_append": []}}"#,
        r#"{"$relation": {"_set": []}, "x": 1}"#,
        r#"{"$relation": {"$relation": {"_set": []}}}"#,
        r#"{"$relation": {"_set ": []}}"#,
        r#"{"$relation_ref": []}"#,
        r#"{"$relation_ref": {"$relation": {"_set": []}}}"#,
        r#"{"$relation_refs": {"_set": []}}"#,
    ] {
        assert!(!holds_operation(data), "{data}");
        merges("[0]", data, data);
    }
    // One operation inside another is an item.
    merges("[0]", r#"{"_append": {"_append": [1]}}"#, r#"[0, {"_append": [1]}]"#);
}

#[test]
fn appending_to_what_is_no_list_is_an_error() {
    let list = r#"{"_append": [1]}"#;
    let unique = r#"{"_append_unique": [1]}"#;
    let relation = r#"{"$relation": {"_append": [{"entity_id": "a"}]}}"#;
    let references = r#"{"$relation_ref": {"_append": [{"entity_id": "a"}]}}"#;
    for (current, patch, kind, wanted) in [
        ("\"text\"", list, "a string", "an array"),
        ("5", list, "a number", "an array"),
        ("false", unique, "a boolean", "an array"),
        ("{}", list, "an object", "an array"),
        (r#"{"$relation": []}"#, list, "an object", "an array"),
        ("\"text\"", relation, "a string", "a relation"),
        ("[]", relation, "an array", "a relation"),
        ("{}", relation, "an object", "a relation"),
        (r#"{"$relation": {}}"#, relation, "an object", "a relation"),
        (r#"{"$relation": [], "x": 1}"#, relation, "an object", "a relation"),
        (r#"{"$relation_ref": []}"#, relation, "an object", "a relation"),
        (r#"{"$relation_ref": []}"#, list, "an object", "an array"),
        ("[]", references, "an array", "a list of references"),
        (r#"{"$relation": []}"#, references, "an object", "a list of references"),
    ] {
        let arena = Bump::new();
        let current = json(&format!(r#"{{"a b": {current}}}"#), &arena).as_object();
        let patch = json(&format!(r#"{{"a b": {patch}}}"#), &arena).as_object().unwrap();
        let Err(error) = merge(current, patch) else { panic!("{kind} takes {wanted}") };
        let message =
            format!("attribute \"a b\" is {kind}, not {wanted}: nothing can be appended to it");
        assert_eq!((error.code, error.message), (Code::AttributeTypeMismatch, message));
    }
}

#[test]
fn a_new_entity_has_what_its_patch_sets() {
    assert_eq!(changed(None, "{}"), Ok(Some("{}".to_owned())));
    let patch =
        r#"{"a": null, "b": {"_append": [1]}, "c": {"_set": []}, "d": {"_append_unique": [1, 1]}}"#;
    let expected = r#"{"a":null,"b":[1],"c":[],"d":[1]}"#;
    assert_eq!(changed(None, patch), Ok(Some(expected.to_owned())));
}

#[test]
fn what_patches_compose_to() {
    for (first, second, expected) in [
        ("1", "2", "2"),
        ("1", "null", "null"),
        (r#"{"_append": [1]}"#, "2", "2"),
        (r#"{"_append": [1]}"#, r#"{"_set": [2]}"#, r#"{"_set": [2]}"#),
        ("[1]", r#"{"_append": [2]}"#, "[1, 2]"),
        ("null", r#"{"_append": [2]}"#, "[2]"),
        ("[1]", r#"{"_append_unique": [1]}"#, "[1]"),
        (r#"{"_set": [1]}"#, r#"{"_append": 2}"#, r#"{"_set": [1, 2]}"#),
        (r#"{"_set": 1}"#, r#"{"_append_unique": [1, 2, 2]}"#, r#"{"_set": [1, 2]}"#),
        (r#"{"_append": [1]}"#, r#"{"_append_all": [1]}"#, r#"{"_append": [1, 1]}"#),
        (
            r#"{"_append_unique": [1]}"#,
            r#"{"_append_unique": [2]}"#,
            r#"{"_append_unique": [1, 2]}"#,
        ),
        (r#"{"_append": [1]}"#, r#"{"_append_unique": [1]}"#, ""),
        (r#"{"_append_unique": [1]}"#, r#"{"_append": [1]}"#, ""),
        (r#"{"_append": [1]}"#, r#"{"$relation": {"_append": [{"entity_id": "a"}]}}"#, ""),
        ("\"text\"", r#"{"_append": [1]}"#, ""),
        (
            r#"{"$relation": {"_set": [{"entity_id": "a"}]}}"#,
            r#"{"$relation": {"_append": [{"entity_id": "a"}]}}"#,
            r#"{"$relation": {"_set": [{"entity_id": "a"}, {"entity_id": "a"}]}}"#,
        ),
        (
            r#"{"$relation": [{"entity_id": "a"}]}"#,
            r#"{"$relation": {"_append_unique": [{"entity_id": "b"}, {"entity_id": "a"}]}}"#,
            r#"{"$relation": [{"entity_id": "a"}, {"entity_id": "b"}]}"#,
        ),
        (
            r#"{"$relation_ref": {"_append_unique": [{"entity_id": "a", "path": "p", "_id": "1"}]}}"#,
            r#"{"$relation_ref": {"_append_unique": [{"entity_id": "a", "path": "p", "_id": "1"}]}}"#,
            r#"{"$relation_ref": {"_append_unique": [{"entity_id": "a", "path": "p", "_id": "1"}]}}"#,
        ),
        (
            r#"{"$relation_ref": {"_append": [{"entity_id": "a"}]}}"#,
            r#"{"$relation": {"_append": [{"entity_id": "a"}]}}"#,
            "",
        ),
    ] {
        let of = |value: &str| format!(r#"{{"a": {value}}}"#);
        let expected = (!expected.is_empty()).then(|| canonical(&of(expected)));
        assert_eq!(composed(&of(first), &of(second)), expected, "{first} then {second}");
    }
    let both = composed(r#"{"a": 1, "b": {"_append": [1]}}"#, r#"{"c": 3}"#);
    assert_eq!(both.as_deref(), Some(r#"{"a":1,"b":{"_append":[1]},"c":3}"#));
}

#[test]
fn entity_ids_are_replaced_in_relations_alone() {
    let arena = Bump::new();
    let object = |text| json(text, &arena).as_object().unwrap();
    let attributes = object(
        r#"{"r": {"$relation": [{"entity_id": "old", "_tags": ["old"]}, {"entity_id": "other"}, 5]},
            "a": [{"entity_id": "old"}], "o": {"$relation": [{"entity_id": "old"}], "x": 1},
            "f": {"$relation_ref": [{"entity_id": "old", "path": "old", "_id": "old"}]},
            "s": "old", "n": null}"#,
    );
    let expected = r#"{"f": {"$relation_ref": [{"entity_id": "new", "path": "old", "_id": "old"}]},
            "r": {"$relation": [{"entity_id": "new", "_tags": ["old"]}, {"entity_id": "other"}, 5]},
            "a": [{"entity_id": "old"}], "o": {"$relation": [{"entity_id": "old"}], "x": 1},
            "s": "old", "n": null}"#;
    let relinked = keep(&relink(attributes, object(r#"{"old": "new"}"#)), &arena);
    assert_eq!(relinked.to_string(), canonical(expected));
}

#[test]
fn references_are_the_same_by_entity_path_and_id() {
    let [a, other_entity, other_path, other_id] =
        [("a", "p", "1"), ("b", "p", "1"), ("a", "q", "1"), ("a", "p", "2")].map(
            |(entity, path, id)| {
                format!(r#"{{"entity_id": "{entity}", "path": "{path}", "_id": "{id}"}}"#)
            },
        );
    let all = format!("[{a}, {other_entity}, {other_path}, {other_id}]");
    let resolved = |items: &str| format!(r#"{{"$relation_ref": {items}}}"#);
    let operation = |name: &str, items: &str| resolved(&format!(r#"{{"{name}": {items}}}"#));
    let one = resolved(&format!("[{a}]"));
    merges(&one, &operation("_append_unique", &all), &resolved(&all));
    merges(&one, &operation("_append_unique", &a), &one);
    merges(&one, &operation("_append", &a), &resolved(&format!("[{a}, {a}]")));
    merges(&one, &operation("_set", "[]"), &resolved("[]"));
    merges("", &operation("_append", &a), &one);
    merges("null", &operation("_append_unique", &format!("[{a}, {a}]")), &one);
    // What does not name an item is like nothing else.
    let without = r#"{"entity_id": "a", "path": "p"}"#;
    merges(
        &resolved(&format!("[{without}]")),
        &operation("_append_unique", without),
        &resolved(&format!("[{without}, {without}]")),
    );
}

#[test]
fn a_relation_s_items_are_found_in_every_form() {
    for (value, items) in [
        (r#"{"$relation": [1, 2]}"#, Some("[1,2]")),
        (r#"{"$relation": []}"#, Some("[]")),
        (r#"{"$relation": {"_set": [1]}}"#, Some("[1]")),
        (r#"{"$relation": {"_append": 1}}"#, Some("[1]")),
        (r#"{"$relation": {"_set": null}}"#, Some("[]")),
        (r#"{"$relation": [1], "x": 1}"#, None),
        (r#"{"$relation": {}}"#, None),
        (r#"{"_set": [1]}"#, None),
        ("[1]", None),
    ] {
        let arena = Bump::new();
        let found = relation_items(json(value, &arena));
        let found = found.map(|items| {
            let items = items.into_iter().map(Tree::Value).collect();
            keep(&Tree::Array(items), &arena).to_string()
        });
        assert_eq!(found.as_deref(), items, "{value}");
        let references = value.replace("$relation", "$relation_ref");
        let found = relation_ref_items(json(&references, &arena)).map(|items| items.len());
        let count = relation_items(json(value, &arena)).map(|items| items.len());
        assert_eq!(found, count, "{references}");
        assert!(relation_items(json(&references, &arena)).is_none(), "{references}");
        assert!(relation_ref_items(json(value, &arena)).is_none(), "{value}");
    }
}

// A model of merging

/// An entity's attribute: data, a list, a relation or references, items as JSON text.
#[derive(Debug, Clone)]
enum Attribute {
    Data(String),
    List(Vec<String>),
    Relation(Vec<String>),
    References(Vec<String>),
}

#[derive(Debug, Clone)]
enum Change {
    Data(String),
    List(&'static str, Vec<String>),
    Relation(&'static str, Vec<String>),
    References(&'static str, Vec<String>),
}

type State = BTreeMap<String, Attribute>;
type Patch = BTreeMap<String, Change>;

/// The attributes after `patch`; nothing when an operation fails.
fn model(current: Option<State>, patch: &Patch) -> Option<State> {
    let mut state = current.unwrap_or_default();
    for (name, change) in patch {
        let before = state.get(name).cloned();
        let is_blank = match &before {
            None => true,
            Some(Attribute::Data(data)) => data == "null",
            Some(_) => false,
        };
        let after = match (change, before) {
            (Change::Data(data), _) => Attribute::Data(data.clone()),
            (Change::List("_set", items), _) => Attribute::List(items.clone()),
            (Change::Relation("_set", items), _) => Attribute::Relation(items.clone()),
            (Change::References("_set", items), _) => Attribute::References(items.clone()),
            (
                Change::List(_, items) | Change::Relation(_, items) | Change::References(_, items),
                _,
            ) if items.is_empty() => {
                continue;
            }
            (Change::References(operation, items), Some(Attribute::References(before))) => {
                Attribute::References(appended(before, operation, items, reference))
            }
            (Change::References(operation, items), _) if is_blank => {
                Attribute::References(appended(Vec::new(), operation, items, reference))
            }
            (Change::List(operation, items), Some(Attribute::List(before))) => {
                Attribute::List(appended(before, operation, items, str::to_owned))
            }
            (Change::Relation(operation, items), Some(Attribute::Relation(before))) => {
                Attribute::Relation(appended(before, operation, items, entity_id))
            }
            (Change::List(operation, items), _) if is_blank => {
                Attribute::List(appended(Vec::new(), operation, items, str::to_owned))
            }
            (Change::Relation(operation, items), _) if is_blank => {
                Attribute::Relation(appended(Vec::new(), operation, items, entity_id))
            }
            _ => return None,
        };
        state.insert(name.clone(), after);
    }
    Some(state)
}

fn appended(
    mut list: Vec<String>,
    operation: &str,
    items: &[String],
    identity: impl Fn(&str) -> String,
) -> Vec<String> {
    for item in items {
        let is_present = list.iter().any(|present| identity(present) == identity(item));
        if operation != "_append_unique" || !is_present {
            list.push(item.clone());
        }
    }
    list
}

/// The id in a relation item's text, which begins with it.
fn entity_id(item: &str) -> String {
    item.split(',').next().unwrap_or_default().to_owned()
}

/// What a reference's text names: its first three members.
fn reference(item: &str) -> String {
    item.trim_end_matches('}').split(',').take(3).collect()
}

fn data() -> impl Strategy<Value = String> {
    const DATA: &[&str] = &[
        "null",
        "true",
        "1",
        "1.0",
        "1.10",
        "12345678901234567890",
        "\"\"",
        "\"text\"",
        "{}",
        r#"{"_set": [1], "x": 2}"#,
        r#"{"x": {"_append": [1]}}"#,
        r#"{"$relation": {}}"#,
    ];
    select(DATA).prop_map(str::to_owned)
}

/// List items without blanks, so that equal texts are equal values.
fn items() -> impl Strategy<Value = Vec<String>> {
    const ITEMS: &[&str] =
        &["1", "1.0", "\"1\"", "null", "[]", "[1]", r#"{"x":[1]}"#, r#"{"_set":[1]}"#];
    vec(select(ITEMS).prop_map(str::to_owned), 0..5)
}

fn targets() -> impl Strategy<Value = Vec<String>> {
    let target = (select(&["a", "b", "c"][..]), select(&["", r#","_tags":["T"]"#][..]))
        .prop_map(|(id, tags)| format!(r#"{{"entity_id":"{id}","_schema":"s"{tags}}}"#));
    vec(target, 0..4)
}

fn references() -> impl Strategy<Value = Vec<String>> {
    let ids = || select(&["a", "b"][..]);
    let reference = (ids(), ids(), ids(), select(&["", r#","x":1"#][..])).prop_map(
        |(entity, path, id, more)| {
            format!(r#"{{"entity_id":"{entity}","path":"{path}","_id":"{id}"{more}}}"#)
        },
    );
    vec(reference, 0..4)
}

fn name() -> impl Strategy<Value = String> {
    select(&["a", "b", "cc", "a b", "ü"][..]).prop_map(str::to_owned)
}

fn state() -> impl Strategy<Value = State> {
    let attribute = prop_oneof![
        data().prop_map(Attribute::Data),
        items().prop_map(Attribute::List),
        targets().prop_map(Attribute::Relation),
        references().prop_map(Attribute::References),
    ];
    btree_map(name(), attribute, 0..5)
}

fn option_of_state() -> impl Strategy<Value = Option<State>> {
    proptest::option::of(state())
}

fn patch() -> impl Strategy<Value = Patch> {
    let operation = || select(&["_set", "_append", "_append_all", "_append_unique"][..]);
    let change = prop_oneof![
        data().prop_map(Change::Data),
        (operation(), items()).prop_map(|(operation, items)| Change::List(operation, items)),
        (operation(), targets()).prop_map(|(operation, items)| Change::Relation(operation, items)),
        (operation(), references())
            .prop_map(|(operation, items)| Change::References(operation, items)),
    ];
    btree_map(name(), change, 0..5)
}

fn text_of_state(state: &State) -> String {
    let attribute = |attribute: &Attribute| match attribute {
        Attribute::Data(data) => data.clone(),
        Attribute::List(items) => format!("[{}]", items.join(",")),
        Attribute::Relation(items) => format!(r#"{{"$relation": [{}]}}"#, items.join(",")),
        Attribute::References(items) => format!(r#"{{"$relation_ref": [{}]}}"#, items.join(",")),
    };
    object(state.iter().map(|(name, value)| (name, attribute(value))))
}

fn text_of_patch(patch: &Patch) -> String {
    let operation = |operation: &str, items: &[String]| match items {
        // A single value may stand for a list of one, unless it would be read as a list.
        [one] if one != "null" && !one.starts_with('[') => format!(r#"{{"{operation}": {one}}}"#),
        items => format!(r#"{{"{operation}": [{}]}}"#, items.join(",")),
    };
    let change = |change: &Change| match change {
        Change::Data(data) => data.clone(),
        Change::List(name, items) => operation(name, items),
        Change::Relation(name, items) => format!(r#"{{"$relation": {}}}"#, operation(name, items)),
        Change::References(name, items) => {
            format!(r#"{{"$relation_ref": {}}}"#, operation(name, items))
        }
    };
    object(patch.iter().map(|(name, value)| (name, change(value))))
}

fn object<'a>(members: impl Iterator<Item = (&'a String, String)>) -> String {
    let members: Vec<String> =
        members.map(|(name, value)| format!(r#""{name}": {value}"#)).collect();
    format!("{{{}}}", members.join(","))
}

// How the cases are run

/// The attribute `current` (nothing: missing) becomes `expected` by the patch's value `patch`,
/// and the merge says nothing when that is what it was.
fn merges(current: &str, patch: &str, expected: &str) {
    let of = |value: &str| match value {
        "" => "{}".to_owned(),
        value => format!(r#"{{"a": {value}}}"#),
    };
    let (current, patch, expected) = (of(current), of(patch), canonical(&of(expected)));
    let is_change = canonical(&current) != expected;
    let expected = is_change.then_some(expected);
    assert_eq!(changed(Some(&current), &patch), Ok(expected), "{current} with {patch}");
}

/// What merging gives: the new attributes, or nothing when they are the same.
fn changed(current: Option<&str>, patch: &str) -> Result<Option<String>, Code> {
    let arena = Bump::new();
    let current = current.map(|current| json(current, &arena).as_object().unwrap());
    let patch = json(patch, &arena).as_object().unwrap();
    let shown = |tree: Tree<'_>| keep(&tree, &arena).to_string();
    merge(current, patch).map(|merged| merged.map(shown)).map_err(|error| error.code)
}

/// The attributes after a merge; nothing when an operation fails.
fn merged(current: Option<&str>, patch: &str) -> Option<String> {
    let merged = changed(current, patch).ok()?;
    merged.or_else(|| current.map(canonical))
}

fn composed(first: &str, second: &str) -> Option<String> {
    let arena = Bump::new();
    let object = |text: &str| json(text, &arena).as_object().unwrap();
    compose(object(first), object(second)).map(|tree| keep(&tree, &arena).to_string())
}

/// A document as jsonb prints it.
fn canonical(document: &str) -> String {
    let arena = Bump::new();
    let value: Value<'_> = json(document, &arena);
    value.to_string()
}
