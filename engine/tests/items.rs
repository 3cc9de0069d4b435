//! The laws of lists whose items have an `_id`: items keep theirs, new ones get one, no two have
//! the same, and what is there is not added again.

mod support;

use bumpalo::Bump;
use erp_engine::error::Code;
use erp_engine::items::change;
use erp_engine::jsonb::{Tree, Value};
use erp_engine::mapping::Operation;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use support::properties::config;
use support::{json, keep};

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn every_given_item_is_there_under_its_id_and_no_id_twice(
        current in items(), given in items(), operation in operations(),
    ) {
        // Appending nothing leaves the list as it is.
        prop_assume!(operation == Operation::Set || !given.is_empty());
        let (list, ids) = changed(&current, operation, &given).unwrap();
        let arena = Bump::new();
        let all: Vec<Value<'_>> = json(&list, &arena).as_array().unwrap().iter().collect();
        let id = |item: &Value<'_>| item.as_object().and_then(|item| item.get("_id")).unwrap().to_string();
        let mut known: Vec<String> = all.iter().map(id).collect();
        for (item, id_of_item) in given.iter().zip(&ids) {
            let at = known.iter().position(|id| id == id_of_item).unwrap();
            prop_assert_eq!(without_id(&all[at].to_string()), without_id(item));
        }
        known.sort();
        known.dedup();
        prop_assert_eq!(known.len(), all.len());
    }

    #[test]
    fn doing_it_again_changes_nothing(
        current in items(), given in items(), operation in operations(),
    ) {
        let (list, ids) = changed(&current, operation, &given).unwrap();
        let arena = Bump::new();
        let after: Vec<String> =
            json(&list, &arena).as_array().unwrap().iter().map(|item| item.to_string()).collect();
        prop_assert_eq!(changed(&after, operation, &given), Ok((list, ids)));
    }

    #[test]
    fn what_is_there_keeps_its_id(given in items(), others in items(), operation in operations()) {
        let current: Vec<String> = given
            .iter()
            .enumerate()
            .map(|(i, item)| without_id(item).replacen('{', &format!(r#"{{"_id":"i{i}","#), 1))
            .collect();
        let all = [others, given.clone()].concat();
        let (_, ids) = changed(&current, operation, &all).unwrap();
        for (item, id) in given.iter().zip(&ids[all.len() - given.len()..]) {
            let first = given.iter().position(|other| without_id(other) == without_id(item)).unwrap();
            prop_assert_eq!(id, &format!(r#""i{first}""#));
        }
    }

    #[test]
    fn appending_keeps_what_is_there_in_front(current in items(), given in items()) {
        let (list, _) = changed(&current, Operation::Append, &given).unwrap();
        let arena = Bump::new();
        let all: Vec<String> =
            json(&list, &arena).as_array().unwrap().iter().map(|item| without_id(&item.to_string())).collect();
        let before: Vec<String> = current.iter().map(|item| without_id(item)).collect();
        prop_assert!(all.starts_with(&before));
        let set: Vec<String> = given.iter().map(|item| without_id(item)).collect();
        prop_assert!(all[before.len()..].iter().all(|item| set.contains(item)));
    }
}

#[test]
fn what_operations_do() {
    use Operation::{Append, AppendUnique, Set};
    for (current, operation, given, expected, ids) in [
        // New items get an id.
        ("", Set, r#"[{"s": 1}]"#, r#"[{"_id": "n1", "s": 1}]"#, r#"["n1"]"#),
        ("null", Append, r#"[{"s": 1}]"#, r#"[{"_id": "n1", "s": 1}]"#, r#"["n1"]"#),
        ("5", Set, r#"[{"s": 1}]"#, r#"[{"_id": "n1", "s": 1}]"#, r#"["n1"]"#),
        (
            r#"[{"_id": "a", "s": 1}]"#,
            Append,
            r#"[{"s": 2}]"#,
            r#"[{"_id": "a", "s": 1}, {"_id": "n1", "s": 2}]"#,
            r#"["n1"]"#,
        ),
        // Equal items keep theirs.
        (
            r#"[{"_id": "a", "s": 1}, {"_id": "b", "s": 2}]"#,
            Set,
            r#"[{"s": 2}, {"s": 3}]"#,
            r#"[{"_id": "b", "s": 2}, {"_id": "n1", "s": 3}]"#,
            r#"["b", "n1"]"#,
        ),
        (
            r#"[{"_id": "a", "s": 1}]"#,
            Append,
            r#"[{"s": 1}, {"s": 1.0}]"#,
            r#"[{"_id": "a", "s": 1}, {"_id": "n1", "s": 1.0}]"#,
            r#"["a", "n1"]"#,
        ),
        (
            r#"[{"_id": 7, "s": {"x": [1]}}]"#,
            AppendUnique,
            r#"[{"s": {"x": [1]}}]"#,
            r#"[{"_id": 7, "s": {"x": [1]}}]"#,
            "[7]",
        ),
        // Equal items are one.
        ("", Set, r#"[{"s": 1}, {"s": 1}]"#, r#"[{"_id": "n1", "s": 1}]"#, r#"["n1", "n1"]"#),
        ("", Append, r#"[{}, {}]"#, r#"[{"_id": "n1"}]"#, r#"["n1", "n1"]"#),
        // An id that an item brings is its own, unless another has it.
        ("", Set, r#"[{"_id": "x", "s": 1}]"#, r#"[{"_id": "x", "s": 1}]"#, r#"["x"]"#),
        (
            r#"[{"_id": "x", "s": 1}]"#,
            Set,
            r#"[{"_id": "x", "s": 2}]"#,
            r#"[{"_id": "x", "s": 2}]"#,
            r#"["x"]"#,
        ),
        (
            r#"[{"_id": "x", "s": 1}]"#,
            Append,
            r#"[{"_id": "x", "s": 2}]"#,
            r#"[{"_id": "x", "s": 1}, {"_id": "n1", "s": 2}]"#,
            r#"["n1"]"#,
        ),
        (
            r#"[{"_id": "a", "s": 1}]"#,
            Append,
            r#"[{"_id": "x", "s": 1}]"#,
            r#"[{"_id": "a", "s": 1}]"#,
            r#"["a"]"#,
        ),
        (
            "",
            Set,
            r#"[{"_id": "", "s": 1}, {"_id": null, "s": 2}, {"_id": {}, "s": 3}]"#,
            r#"[{"_id": "n1", "s": 1}, {"_id": "n2", "s": 2}, {"_id": "n3", "s": 3}]"#,
            r#"["n1", "n2", "n3"]"#,
        ),
        (
            r#"[{"_id": "x", "s": 1}]"#,
            Set,
            r#"[{"_id": "x", "s": 2}, {"s": 1}]"#,
            r#"[{"_id": "n1", "s": 2}, {"_id": "x", "s": 1}]"#,
            r#"["n1", "x"]"#,
        ),
        // So is what the list had without one; what is no object stays.
        (
            r#"[{"s": 1}, 5, {"s": 2}]"#,
            Append,
            r#"[{"s": 2}]"#,
            r#"[{"_id": "n1", "s": 1}, 5, {"_id": "n2", "s": 2}]"#,
            r#"["n2"]"#,
        ),
        (
            r#"[{"_id": "a", "s": 1}, {"_id": "a", "s": 2}]"#,
            Append,
            r#"[{"s": 2}]"#,
            r#"[{"_id": "a", "s": 1}, {"_id": "n1", "s": 2}]"#,
            r#"["n1"]"#,
        ),
        // Nothing given.
        (r#"[{"s": 1}]"#, Set, "[]", "[]", "[]"),
        (r#"[{"s": 1}]"#, Append, "[]", r#"[{"s": 1}]"#, "[]"),
        ("", Append, "[]", "", "[]"),
    ] {
        let arena = Bump::new();
        let now = (!current.is_empty()).then(|| json(current, &arena));
        let given: Vec<Value<'_>> = json(given, &arena).as_array().unwrap().iter().collect();
        let mut count = 0;
        let mut new_id = || {
            count += 1;
            &*arena.alloc_str(&format!("n{count}"))
        };
        let Ok(got) = change("a", now, operation, &given, &mut new_id) else {
            panic!("{operation:?} {current}")
        };
        let is_change = canonical(current) != canonical(expected);
        let list = got.list.map(|list| keep(&list, &arena).to_string());
        assert_eq!(list, is_change.then(|| canonical(expected)), "{operation:?} {current}");
        let got_ids = got.ids.into_iter().map(Tree::Value).collect();
        assert_eq!(keep(&Tree::Array(got_ids), &arena).to_string(), canonical(ids), "{current}");
    }
}

#[test]
fn what_is_no_list_of_objects_is_an_error() {
    let arena = Bump::new();
    let error = |current: &str, operation, given: &str| {
        let given: Vec<Value<'_>> = json(given, &arena).as_array().unwrap().iter().collect();
        let Err(error) = change("a", Some(json(current, &arena)), operation, &given, &mut || "n")
        else {
            panic!("{current} takes {given:?}")
        };
        assert_eq!(error.code, Code::AttributeTypeMismatch);
        error.message
    };
    assert_eq!(
        error("{}", Operation::Append, "[{}]"),
        "attribute \"a\" is an object, not an array: nothing can be appended to it"
    );
    assert_eq!(
        error("[]", Operation::Set, "[{}, 5]"),
        "an item of \"a\" is a number, not an object"
    );
}

// How the cases are run

/// The list and the ids of the given items, as text.
fn changed(
    current: &[String],
    operation: Operation,
    given: &[String],
) -> Result<(String, Vec<String>), Code> {
    let arena = Bump::new();
    let list = |items: &[String]| json(&format!("[{}]", items.join(",")), &arena);
    let current = list(current);
    let given: Vec<Value<'_>> = list(given).as_array().unwrap().iter().collect();
    let mut count = 0;
    let mut new_id = || {
        count += 1;
        &*arena.alloc_str(&format!("n{count}"))
    };
    let got = change("a", Some(current), operation, &given, &mut new_id).map_err(|e| e.code)?;
    let after = match got.list {
        Some(list) => keep(&list, &arena),
        None => current,
    };
    Ok((after.to_string(), got.ids.iter().map(|id| id.to_string()).collect()))
}

/// An item's text without its `_id`.
fn without_id(item: &str) -> String {
    let arena = Bump::new();
    let members = json(item, &arena).as_object().unwrap();
    let others = members.iter().filter(|(key, _)| *key != "_id");
    let others = others.map(|(key, value)| (key, Tree::Value(value))).collect();
    keep(&Tree::Object(others), &arena).to_string()
}

fn canonical(document: &str) -> String {
    let arena = Bump::new();
    match document {
        "" => String::new(),
        document => json(document, &arena).to_string(),
    }
}

/// Items that have an `_id`, or none, and differ in one member.
fn items() -> impl Strategy<Value = Vec<String>> {
    const IDS: &[&str] = &["", r#""_id":"x","#, r#""_id":"y","#, r#""_id":7,"#, r#""_id":null,"#];
    let item = (select(IDS), select(&["1", "1.0", "\"1\"", "{}", "[1]"][..]));
    vec(item.prop_map(|(id, value)| format!(r#"{{{id}"s":{value}}}"#)), 0..6)
}

fn operations() -> impl Strategy<Value = Operation> {
    select(&[Operation::Set, Operation::Append, Operation::AppendUnique][..])
}
