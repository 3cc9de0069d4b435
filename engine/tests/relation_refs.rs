//! What `relation_refs` mean: targets with what an attribute of theirs gets, and which items of
//! a list count.

mod support;

use bumpalo::Bump;
use erp_engine::error::Code;
use erp_engine::expr::{CancelToken, Context, Limits};
use erp_engine::map::{Attribute, Mapped, map};
use erp_engine::mapping::{compile, key_set_uses};
use support::cases::{MISSING, fails, takes};
use support::{NOW, attributes, json, keep};

/// An item that links to an address of the contact `c`.
const ITEM: &str = r#"{"entity_schema": "contact", "path": "address",
    "unique_ids": [{"attribute": "n", "field": "c"}],
    "value": {"attribute": "address", "operation": "_append", "field": "a"}}"#;

/// What [`ITEM`] is of `{"c": 1, "a": {"s": "x"}}`.
const REF: &str = r#"{"$entity_unique_ids": {"n": 1}, "_schema": "contact", "path": "address",
    "value": {"attribute": "address", "_append": [{"s": "x"}]}}"#;

/// A field with `refs` becomes references to `targets`, a list.
fn refers(refs: &str, payload: &str, operation: &str, targets: &str) {
    let expected = match targets {
        MISSING => MISSING.to_owned(),
        targets => format!(r#"{{"$relation_ref": {{"{operation}": {targets}}}}}"#),
    };
    takes(&format!(r#""relation_refs": {{{refs}}}"#), payload, &expected);
}

#[test]
fn a_reference_has_its_target_and_what_the_target_gets() {
    let payload = r#"{"c": 1, "a": {"s": "x"}}"#;
    refers(&format!(r#""items": [{ITEM}]"#), payload, "_set", &format!("[{REF}]"));
    for (given, operation) in [
        ("_set", "_set"),
        ("_append", "_append"),
        ("_append_all", "_append"),
        ("_append_unique", "_append_unique"),
    ] {
        let refs = format!(r#""operation": "{given}", "items": [{ITEM}, {ITEM}]"#);
        refers(&refs, payload, operation, &format!("[{REF}, {REF}]"));
        let of_value = ITEM.replace("_append", given);
        let expected = REF.replace("_append", operation);
        refers(&format!(r#""items": [{of_value}]"#), payload, "_set", &format!("[{expected}]"));
    }
    let default = ITEM.replace(r#""operation": "_append", "#, "");
    let expected = REF.replace("_append", "_set");
    refers(&format!(r#""items": [{default}]"#), payload, "_set", &format!("[{expected}]"));
}

#[test]
fn the_value_takes_every_source() {
    let value = |source: &str, expected: &str| {
        let item = ITEM.replace(r#""field": "a""#, source);
        let expected = match expected {
            MISSING => MISSING.to_owned(),
            list => format!("[{}]", REF.replace(r#"[{"s": "x"}]"#, list)),
        };
        let payload = r#"{"c": 1, "s": "y", "deep": {"a": {"s": 1}}, "null": null}"#;
        refers(&format!(r#""items": [{item}]"#), payload, "_set", &expected);
    };
    value(r#""constant": {"s": 1.10}"#, r#"[{"s": 1.10}]"#);
    value(r#""field": "$.deep.a""#, r#"[{"s": 1}]"#);
    value(r#""jsonataExpression": "{'s': s}""#, r#"[{"s": "y"}]"#);
    value(r#""jsonataExpression": "[{'s': s}, {'s': 2}]""#, r#"[{"s": "y"}, {"s": 2}]"#);
    value(r#""constant": {}"#, "[{}]");
    value(r#""constant": []"#, "[]");
    value(r#""field": "null""#, MISSING);
    value(r#""field": "nowhere""#, MISSING);
    value(r#""constant": """#, MISSING);
    // The same priority as anywhere.
    value(r#""constant": {"s": 3}, "jsonataExpression": "deep", "field": "s""#, r#"[{"s": 3}]"#);
}

#[test]
fn an_operation_in_the_value_counts() {
    for (value, operation, list) in [
        (r#"{"_set": {"s": 1}}"#, "_set", r#"[{"s": 1}]"#),
        (r#"{"_append_unique": [{"s": 1}]}"#, "_append_unique", r#"[{"s": 1}]"#),
        (r#"{"_set": null}"#, "_set", "[]"),
    ] {
        let expected =
            REF.replace(r#""_append": [{"s": "x"}]"#, &format!(r#""{operation}": {list}"#));
        let payload = format!(r#"{{"c": 1, "a": {value}}}"#);
        refers(&format!(r#""items": [{ITEM}]"#), &payload, "_set", &format!("[{expected}]"));
    }
}

#[test]
fn incomplete_items_are_dropped_and_a_list_of_none_is_not_touched() {
    let other = ITEM.replace(r#""field": "c""#, r#""field": "d""#);
    for operation in ["_set", "_append", "_append_unique"] {
        let refs = format!(r#""operation": "{operation}", "items": [{ITEM}, {other}]"#);
        for incomplete in ["", r#", "d": null"#, r#", "d": """#] {
            let payload = format!(r#"{{"c": 1, "a": {{"s": "x"}}{incomplete}}}"#);
            refers(&refs, &payload, operation, &format!("[{REF}]"));
        }
        for payload in
            ["{}", r#"{"c": "", "a": {"s": "x"}}"#, r#"{"c": 1}"#, r#"{"c": 1, "a": null}"#]
        {
            refers(&refs, payload, operation, MISSING);
        }
        refers(&format!(r#""operation": "{operation}", "items": []"#), "{}", operation, "[]");
    }
}

#[test]
fn only_objects_can_be_linked_to() {
    for (value, kind) in [
        ("\"street\"", "a string"),
        ("5", "a number"),
        ("true", "a boolean"),
        (r#"[{"s": 1}, null]"#, "null"),
        (r#"[[{"s": 1}]]"#, "an array"),
        (r#"{"_set": [5]}"#, "a number"),
    ] {
        let fields = format!(r#"[{{"attribute": "a", "relation_refs": {{"items": [{ITEM}]}}}}]"#);
        let message = format!(
            "thing.a: an item of contact.address that is to be linked to is {kind}, not an object"
        );
        let payload = format!(r#"{{"c": 1, "a": {value}}}"#);
        fails(&fields, &payload, Code::AttributeTypeMismatch, &message);
    }
}

#[test]
fn a_field_with_references_can_be_disabled_and_can_fail() {
    let refs = format!(r#""relation_refs": {{"items": [{ITEM}]}}"#);
    takes(&format!(r#""enabled": false, {refs}"#), r#"{"c": 1, "a": {}}"#, MISSING);
    takes(&format!(r#""enabled": "c = 2", {refs}"#), r#"{"c": 1, "a": {}}"#, MISSING);
    let failing = refs.replace(r#""field": "a""#, r#""jsonataExpression": "$error('x')""#);
    let fields = format!(r#"[{{"attribute": "a", {failing}}}]"#);
    let error = attributes(&fields, r#"{"c": 1}"#).unwrap_err();
    assert_eq!(error.code, Code::MappingExpressionFailed);
    assert!(error.detail.unwrap().contains("Attribute: a\n"));
}

#[test]
fn targets_are_looked_up_as_those_of_relations() {
    let arena = Bump::new();
    let typed = ITEM
        .replace(r#""field": "c""#, r#""field": "c", "_type": "email""#)
        .replace(r#""n""#, r#""email""#);
    let by_id = ITEM.replace(r#""n""#, r#""_id""#);
    let document = format!(
        r#"{{"entities": [{{"entity_schema": "t", "unique_ids": ["i"], "fields": [
             {{"attribute": "a", "relation_refs": {{"items": [{typed}, {by_id}, {ITEM}]}}}}]}}]}}"#
    );
    let mapping = compile(json(&document, &arena)).mapping.expect(&document);
    let uses: Vec<String> = key_set_uses(&mapping)
        .iter()
        .map(|used| format!("{} {} at {}", used.schema, used.unique_ids.join(","), used.pointer))
        .collect();
    let place = "/entities/0/fields/0/relation_refs/items";
    assert_eq!(
        uses,
        [
            "t i at /entities/0".to_owned(),
            format!("contact email at {place}/0"),
            format!("contact n at {place}/2")
        ]
    );

    let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
    let payload = json(r#"{"c": ["a@x"], "a": {"s": 1}}"#, &arena);
    let mapped = map(mapping.event("any").unwrap(), payload, &context).unwrap();
    let [Mapped::Update(update)] = &mapped[..] else { panic!("{mapped:?}") };
    let [(_, Attribute::RelationRef(refs))] = &update.attributes[..] else { panic!() };
    let [typed, by_id, plain] = &refs.targets[..] else { panic!() };
    let stub = keep(&typed.target.stub_attributes(), &arena);
    assert_eq!(stub.to_string(), r#"{"email":[{"email":"a@x"}]}"#);
    assert_eq!(by_id.target.entity_id().map(|id| id.to_string()).as_deref(), Some(r#"["a@x"]"#));
    assert_eq!(plain.target.entity_id().map(|id| id.to_string()), None);
    let link = typed.link(json("\"E\"", &arena), json("\"I\"", &arena));
    let link = keep(&link, &arena).to_string();
    assert_eq!(link, r#"{"_id":"I","path":"address","entity_id":"E"}"#);
}
