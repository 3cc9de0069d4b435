//! Every rule that mapping an event follows, a line a case: where values come from, what is
//! missing and what is null, pre-processing, `enabled`, relations, scopes, exact numbers,
//! identifiers, errors and limits.

mod support;

use std::time::{Duration, Instant};

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::expr::{CancelToken, Context, Failure, FailureKind, Jsonata, Limits, Path};
use erp_engine::identifier::{applicable_key, key};
use erp_engine::jsonb::{Tree, Value, check, encode};
use erp_engine::map::{Mapped, map};
use erp_engine::mapping::compile;
use support::{NOW, attributes, entry, json, keep};

// Sources

#[test]
fn of_several_sources_the_constant_counts_then_the_expression_then_the_field() {
    let payload = r#"{"k": "key", "e": "expression"}"#;
    takes(
        r#""field": "k", "jsonataExpression": "e", "constant": "constant""#,
        payload,
        "\"constant\"",
    );
    takes(r#""field": "k", "constant": "constant""#, payload, "\"constant\"");
    takes(r#""jsonataExpression": "e", "constant": "constant""#, payload, "\"constant\"");
    takes(r#""field": "k", "jsonataExpression": "e""#, payload, "\"expression\"");
    takes(r#""field": "k""#, payload, "\"key\"");
    // The winner being missing does not bring the loser back.
    takes(r#""field": "k", "jsonataExpression": "nowhere""#, payload, MISSING);
    links(r#""items": [], "jsonataExpression": "nowhere""#, payload, "_set", "[]");
}

#[test]
fn a_constant_may_be_any_value() {
    for constant in ["null", "false", "0", "\"\"", "[]", "{}", "1.10", r#"{"a":[1,null]}"#] {
        takes(&format!(r#""constant": {constant}, "field": "k""#), r#"{"k": 1}"#, constant);
    }
}

#[test]
fn a_plain_field_is_one_literal_key() {
    takes(r#""field": "a.b""#, r#"{"a.b": 1, "a": {"b": 2}}"#, "1");
    takes(r#""field": "a.b""#, r#"{"a": {"b": 2}}"#, MISSING);
    takes(r#""field": "a[0]""#, r#"{"a[0]": 1, "a": [2]}"#, "1");
    takes(r#""field": "A""#, r#"{"a": 1}"#, MISSING);
    takes(r#""field": " a""#, r#"{"a": 1}"#, MISSING);
    takes(r#""field": """#, r#"{"": 1}"#, "1");
    takes(r#""field": "a$""#, r#"{"a$": 1}"#, "1");
    takes(r#""field": "größe ☺""#, r#"{"größe ☺": 1}"#, "1");
    takes(r#""field": "a""#, r#"{"a": {"b": [1, 2]}}"#, r#"{"b":[1,2]}"#);
}

#[test]
fn plain_fields_of_what_is_no_object_are_missing() {
    for payload in ["null", "true", "5", "\"text\"", "[]", r#"[{"k": 1}]"#, "{}"] {
        takes(r#""field": "k""#, payload, MISSING);
        takes(r#""field": "$.k""#, payload, MISSING);
        takes(r#""constant": 1"#, payload, "1");
        takes(r#""field": "$""#, payload, payload);
    }
    evaluates("$", "5", "5");
    evaluates("$ & '!'", "\"text\"", "\"text!\"");
    evaluates("$[1]", "[1, 2]", "2");
    evaluates("$ = null", "null", "true");
}

#[test]
fn a_path_gives_nothing_the_hit_or_all_hits() {
    let payload = r#"{"a": {"b": [10, 20, 30], "c d": 1, "e.f": 2, "it's": 3, "☺": 4, "n": null},
                      "xs": [{"k": "x", "n": 1}, {"k": "y", "n": null}, {"k": "x", "n": 3}]}"#;
    for (path, expected) in [
        // No hit.
        ("$.nowhere", MISSING),
        ("$.a.nowhere.b", MISSING),
        ("$.a.b[3]", MISSING),
        ("$.a.b[-4]", MISSING),
        ("$.a.b.c", MISSING),
        ("$.a[0]", MISSING),
        ("$.xs[*].nowhere", MISSING),
        ("$.xs[?@.k=='z']", MISSING),
        // One.
        ("$.a.b[0]", "10"),
        ("$.a.b[-1]", "30"),
        ("$.a.b[-3]", "10"),
        ("$.a.b", "[10,20,30]"),
        ("$['a']['c d']", "1"),
        (r#"$["a"]["e.f"]"#, "2"),
        (r"$.a['it\'s']", "3"),
        (r#"$.a["it's"]"#, "3"),
        (r"$.a['\u263A']", "4"),
        ("$.a.☺", "4"),
        ("$.a.n", "null"),
        ("$.xs[1].n", "null"),
        ("$.xs[?@.k=='y'].k", "\"y\""),
        ("$.xs[0:1].n", "1"),
        ("$..['c d']", "1"),
        // Several.
        ("$.xs[*].n", "[1,null,3]"),
        ("$.xs[?@.k=='x'].n", "[1,3]"),
        ("$.a.b[0,-1]", "[10,30]"),
        ("$.a.b[::-1]", "[30,20,10]"),
        ("$.a.b[0,0]", "[10,10]"),
        ("$.xs[?@.n>1 || @.n==null].k", r#"["y","x"]"#),
        ("$..n", "[null,1,null,3]"),
    ] {
        takes(&format!(r#""field": {}"#, quoted(path)), payload, expected);
    }
}

#[test]
fn several_hits_come_in_the_order_jsonb_keeps() {
    takes(r#""field": "$.*""#, r#"{"bb": 1, "a": 2, "c": 3}"#, "[2,3,1]");
    takes(r#""field": "$[*][*]""#, r#"[[3, 1], [2]]"#, "[3,1,2]");
}

#[test]
fn an_expression_gives_nothing_null_or_a_value() {
    for (expression, payload, expected) in [
        ("nowhere", "{}", MISSING),
        ("nowhere.deeper", "{}", MISSING),
        ("xs[n>5]", r#"{"xs": [{"n": 1}]}"#, MISSING),
        ("xs.n", r#"{"xs": []}"#, MISSING),
        ("n ? 1", r#"{"n": false}"#, MISSING),
        ("$sum", "{}", MISSING),
        ("n", r#"{"n": null}"#, "null"),
        ("null", "{}", "null"),
        ("n ? 1 : null", r#"{"n": false}"#, "null"),
        ("[]", "{}", "[]"),
        ("xs", r#"{"xs": []}"#, "[]"),
        ("false", "{}", "false"),
        ("''", "{}", "\"\""),
        ("0", "{}", "0"),
        // A sequence of one is the bare value, unless it is kept as an array.
        ("xs[n=1]", r#"{"xs": [{"n": 1}, {"n": 2}]}"#, r#"{"n":1}"#),
        ("xs.n", r#"{"xs": [{"n": 1}]}"#, "1"),
        ("xs.n[]", r#"{"xs": [{"n": 1}]}"#, "[1]"),
        ("[xs.n]", r#"{"xs": [{"n": 1}]}"#, "[1]"),
        ("xs.n", r#"{"xs": [{"n": 1}, {"n": null}]}"#, "[1,null]"),
        ("xs", r#"{"xs": [1]}"#, "[1]"),
        ("{'a': nowhere, 'b': null}", "{}", r#"{"b":null}"#),
        ("$now()", "{}", "\"2024-01-15T08:00:00.000Z\""),
        ("$millis()", "{}", "1705305600000"),
        ("_id & _tags[0]", r#"{"_id": "i", "_tags": ["t"]}"#, "\"it\""),
    ] {
        evaluates(expression, payload, expected);
    }
}

#[test]
fn missing_null_and_a_value_are_three_things() {
    let fields = r#"[{"attribute": "f", "field": "x"}, {"attribute": "p", "field": "$.x"},
                     {"attribute": "e", "jsonataExpression": "x"}]"#;
    gives(fields, "{}", "{}");
    gives(fields, r#"{"x": null}"#, r#"{"f": null, "p": null, "e": null}"#);
    gives(fields, r#"{"x": ""}"#, r#"{"f": "", "p": "", "e": ""}"#);
    gives(fields, r#"{"x": []}"#, r#"{"f": [], "p": [], "e": []}"#);
}

#[test]
fn of_an_attribute_mapped_twice_the_later_that_is_not_missing_counts() {
    let twice = |first: &str, second: &str, payload: &str, expected: &str| {
        let field = |source: &str| format!(r#"{{"attribute": "a", {source}}}"#);
        gives(&format!("[{}, {}]", field(first), field(second)), payload, expected);
    };
    let (x, y) = (r#""field": "x""#, r#""field": "y""#);
    twice(x, y, r#"{"x": 1, "y": 2}"#, r#"{"a": 2}"#);
    twice(x, y, r#"{"x": 1}"#, r#"{"a": 1}"#);
    twice(x, y, r#"{"y": 2}"#, r#"{"a": 2}"#);
    twice(x, y, r#"{"x": 1, "y": null}"#, r#"{"a": null}"#);
    twice(x, y, "{}", "{}");
    twice(x, r#""field": "y", "enabled": false"#, r#"{"x": 1, "y": 2}"#, r#"{"a": 1}"#);
    twice(r#""relations": {"items": []}"#, y, r#"{"y": 2}"#, r#"{"a": 2}"#);
    twice(
        x,
        r#""relations": {"items": []}"#,
        r#"{"x": 1}"#,
        r#"{"a": {"$relation": {"_set": []}}}"#,
    );
    twice(x, r#""relations": {"jsonataExpression": "nowhere"}"#, r#"{"x": 1}"#, r#"{"a": 1}"#);
}

#[test]
fn fields_do_not_see_each_other() {
    let fields = r#"[{"attribute": "a", "constant": 1}, {"attribute": "b", "field": "a"},
                     {"attribute": "c", "jsonataExpression": "a"}]"#;
    gives(fields, "{}", r#"{"a": 1}"#);
    let fields = r#"[{"attribute": "a", "jsonataExpression": "($x := 1; $x)"},
                     {"attribute": "b", "jsonataExpression": "$x"}]"#;
    gives(fields, "{}", r#"{"a": 1}"#);
}

// Entries and their items

#[test]
fn the_pre_processing_s_result_decides_how_many_updates_there_are() {
    let items = |expression: &str, payload: &str, expected: &[&str]| {
        let entry = format!(
            r#"{{"jsonataExpression": {}, "fields": [{{"attribute": "v", "jsonataExpression": "$"}},
                {{"attribute": "k", "field": "k"}}, {{"attribute": "p", "field": "$.k"}}]}}"#,
            quoted(expression)
        );
        yields(&entry, payload, expected);
    };
    let object = r#"{"v": {"k": 1}, "k": 1, "p": 1}"#;
    items("o", r#"{"o": {"k": 1}}"#, &[object]);
    items("os", r#"{"os": [{"k": 1}]}"#, &[object]);
    items("os", r#"{"os": [{"k": 1}, {"k": 1}]}"#, &[object, object]);
    items("os[k=1]", r#"{"os": [{"k": 1}, {"k": 2}]}"#, &[object]);
    items("nowhere", "{}", &[]);
    items("os[k=3]", r#"{"os": [{"k": 1}]}"#, &[]);
    items("[]", "{}", &[]);
    items("os", r#"{"os": []}"#, &[]);
    items("o", r#"{"o": null}"#, &[]);
    items("o", r#"{"o": 5}"#, &[r#"{"v": 5}"#]);
    items("o", r#"{"o": ""}"#, &[r#"{"v": ""}"#]);
    items("os", r#"{"os": [1, "a", true]}"#, &[r#"{"v": 1}"#, r#"{"v": "a"}"#, r#"{"v": true}"#]);
    items("os", r#"{"os": [null, {"k": 1}]}"#, &[r#"{"v": null}"#, object]);
    items("os", r#"{"os": [[1, 2], []]}"#, &[r#"{"v": [1, 2]}"#, r#"{"v": []}"#]);
    items("$", r#"[{"k": 1}, {"k": 1}]"#, &[object, object]);
}

#[test]
fn without_pre_processing_the_payload_is_the_one_item() {
    let entry = r#"{"fields": [{"attribute": "n", "jsonataExpression": "$count($)"}]}"#;
    yields(entry, "[1, 2, 3]", &[r#"{"n": 3}"#]);
    yields(entry, "[]", &[r#"{"n": 0}"#]);
    yields(entry, "null", &[r#"{"n": 1}"#]);
    yields(entry, "{}", &[r#"{"n": 1}"#]);
}

#[test]
fn fields_read_the_item_and_not_the_payload() {
    let entry = r#"{"jsonataExpression": "inner", "fields": [
        {"attribute": "f", "field": "x"}, {"attribute": "p", "field": "$.x"},
        {"attribute": "e", "jsonataExpression": "x"}, {"attribute": "r", "jsonataExpression": "$$.x"},
        {"attribute": "o", "field": "outer"},
        {"attribute": "l", "relations": {"items": [
            {"entity_schema": "s", "unique_ids": [{"attribute": "i", "field": "x"}]}]}}]}"#;
    let payload = r#"{"outer": 0, "x": 0, "inner": {"x": 1}}"#;
    let link = r#"{"$relation": {"_set": [{"$entity_unique_ids": {"i": 1}, "_schema": "s"}]}}"#;
    yields(entry, payload, &[&format!(r#"{{"f": 1, "p": 1, "e": 1, "r": 1, "l": {link}}}"#)]);
}

#[test]
fn entries_map_the_same_payload_each_on_its_own_in_order() {
    let entities = r#"[
        {"entity_schema": "a", "unique_ids": ["i"], "fields": [{"attribute": "i", "field": "x"}]},
        {"entity_schema": "b", "unique_ids": ["i"], "fields": [{"attribute": "i", "field": "x"}]},
        {"entity_schema": "a", "unique_ids": ["i"], "jsonataExpression": "{'x': 2}",
         "fields": [{"attribute": "i", "field": "x"}]},
        {"entity_schema": "a", "unique_ids": ["i"], "fields": [{"attribute": "i", "field": "x"}]}]"#;
    let row = |schema: &str, i: u8| format!(r#"{schema} upsert {{"i":{i}}} {{"i":{i}}}"#);
    let expected = [row("a", 1), row("b", 1), row("a", 2), row("a", 1)];
    assert_eq!(rows(entities, r#"{"x": 1}"#).unwrap(), expected);
}

// Whether an entry or a field counts

#[test]
fn an_entry_is_enabled_by_what_its_expression_is_as_a_boolean() {
    let fields = r#""fields": [{"attribute": "a", "constant": 1}]"#;
    let enabled = |enabled: &str, payload: &str| {
        entry(&format!(r#"{{{enabled} {fields}}}"#), payload).unwrap().len() == 1
    };
    assert!(enabled("", "{}"), "omitted is true");
    assert!(enabled("\"enabled\": true,", "{}"));
    assert!(!enabled("\"enabled\": false,", "{}"));
    for (expression, expected) in [
        ("true", true),
        ("false", false),
        ("1", true),
        ("-0.5", true),
        ("0", false),
        ("'0'", true),
        ("'false'", true),
        ("''", false),
        ("null", false),
        ("nowhere", false),
        ("[]", false),
        ("[0]", false),
        ("[0, '', null]", false),
        ("[0, 1]", true),
        ("[[0], [[1]]]", true),
        ("{}", false),
        ("{'a': false}", true),
        ("$sum", false),
        ("$exists(status) and status = 'active'", true),
        ("status = 'inactive'", false),
        ("tags", true),
    ] {
        let given = format!("\"enabled\": {},", quoted(expression));
        let payload = r#"{"status": "active", "tags": ["", "x"]}"#;
        assert_eq!(enabled(&given, payload), expected, "{expression}");
    }
}

#[test]
fn whether_an_entry_is_enabled_is_decided_on_the_whole_result() {
    let count = |items: &str, enabled: &str, payload: &str| {
        let entry = format!(
            r#"{{"jsonataExpression": {}, "enabled": {}, "fields": []}}"#,
            quoted(items),
            quoted(enabled)
        );
        entry_count(&entry, payload)
    };
    let payload = r#"{"many": [{"n": 1}, {"n": 2}], "one": [{"n": 1}], "none": [], "o": {"n": 1}}"#;
    for (items, updates) in [("many", 2), ("one", 1), ("o", 1), ("none", 0), ("nowhere", 0)] {
        assert_eq!(count(items, "$count($) > 0", payload), updates, "{items}");
    }
    assert_eq!(count("many", "$count($) > 2", payload), 0, "once, not an item at a time");
    assert_eq!(count("many", "n = 2", payload), 0, "[1, 2] is not 2");
    assert_eq!(count("many", "$[1].n = 2", payload), 2);
    assert_eq!(count("o", "$exists(many)", payload), 0, "it does not see the payload");
    assert_eq!(count("nowhere", "$not($exists($))", payload), 0, "enabled, but no item");
}

#[test]
fn what_is_disabled_is_not_evaluated() {
    let failing = r#""fields": [{"attribute": "a", "jsonataExpression": "$error('x')"}]"#;
    yields(
        &format!(r#"{{"enabled": false, "jsonataExpression": "$error('x')", {failing}}}"#),
        "{}",
        &[],
    );
    yields(&format!(r#"{{"enabled": "false", {failing}}}"#), "{}", &[]);
    let scope = r#""mode": "upsert-prune-scope-purge", "scope": {"scope_mode": "query",
        "query": [{"attribute": "a", "jsonataExpression": "$error('x')"}]}"#;
    yields(&format!(r#"{{"enabled": false, {scope}, {failing}}}"#), "{}", &[]);
    yields(&format!(r#"{{"enabled": "false", {scope}, {failing}}}"#), "{}", &[]);
    takes(r#""enabled": false, "jsonataExpression": "$error('x')""#, "{}", MISSING);
    takes(r#""enabled": "false", "jsonataExpression": "$error('x')""#, "{}", MISSING);
}

#[test]
fn a_disabled_field_leaves_its_attribute_alone() {
    let payload = r#"{"x": 1, "on": true, "off": false}"#;
    for (enabled, expected) in [
        ("true", "1"),
        ("false", MISSING),
        ("\"on\"", "1"),
        ("\"off\"", MISSING),
        ("\"nowhere\"", MISSING),
        ("\"x = 1\"", "1"),
    ] {
        takes(&format!(r#""enabled": {enabled}, "field": "x""#), payload, expected);
        takes(&format!(r#""enabled": {enabled}, "constant": 1"#), payload, expected);
    }
    let relations = r#""relations": {"items": []}"#;
    takes(&format!(r#""enabled": false, {relations}"#), payload, MISSING);
    takes(&format!(r#""enabled": "on", {relations}"#), payload, r#"{"$relation": {"_set": []}}"#);
    let entry = r#"{"jsonataExpression": "xs", "fields": [
        {"attribute": "n", "field": "n", "enabled": "n > 1"}]}"#;
    yields(entry, r#"{"xs": [{"n": 1}, {"n": 2}]}"#, &["{}", r#"{"n": 2}"#]);
}

// Relations

/// Two listed items, found by `i`, whose values are the payload's `x` and `y`.
const LISTED: &str = r#""items": [
    {"entity_schema": "s", "unique_ids": [{"attribute": "i", "field": "x"}]},
    {"entity_schema": "s", "unique_ids": [{"attribute": "i", "field": "y"}], "_tags": ["T"]}]"#;

/// The same by an expression.
const GIVEN: &str = concat!(
    r#""jsonataExpression": "[{'entity_schema': 's', "#,
    r#"'unique_ids': [{'attribute': 'i', 'constant': x}]}, {'entity_schema': 's', "#,
    r#"'unique_ids': [{'attribute': 'i', 'constant': y}], '_tags': ['T']}]""#
);

const X: &str = r#"{"$entity_unique_ids": {"i": 1}, "_schema": "s"}"#;
const Y: &str = r#"{"$entity_unique_ids": {"i": 2}, "_schema": "s", "_tags": ["T"]}"#;

#[test]
fn a_relation_sets_unless_it_says_otherwise() {
    let payload = r#"{"x": 1, "y": 2}"#;
    for relations in [LISTED, GIVEN] {
        links(relations, payload, "_set", &format!("[{X}, {Y}]"));
        for (given, operation) in [
            ("_set", "_set"),
            ("_append", "_append"),
            ("_append_all", "_append"),
            ("_append_unique", "_append_unique"),
        ] {
            let relations = format!(r#""operation": "{given}", {relations}"#);
            links(&relations, payload, operation, &format!("[{X}, {Y}]"));
        }
    }
}

#[test]
fn items_without_identifier_are_dropped_and_a_list_of_none_is_not_touched() {
    for relations in [LISTED, GIVEN] {
        for operation in ["_set", "_append", "_append_unique"] {
            let relations = format!(r#""operation": "{operation}", {relations}"#);
            for incomplete in ["", r#", "y": null"#, r#", "y": """#] {
                let payload = format!(r#"{{"x": 1{incomplete}}}"#);
                links(&relations, &payload, operation, &format!("[{X}]"));
            }
            for payload in ["{}", r#"{"x": null}"#, r#"{"x": "", "y": null}"#] {
                links(&relations, payload, operation, MISSING);
            }
        }
    }
}

#[test]
fn a_list_that_is_empty_as_written_is_told_from_one_whose_source_is_missing() {
    for (relations, payload, expected) in [
        (r#""items": []"#, "{}", "[]"),
        (r#""jsonataExpression": "[]""#, "{}", "[]"),
        (r#""jsonataExpression": "clear ? [] : nowhere""#, r#"{"clear": true}"#, "[]"),
        (r#""jsonataExpression": "clear ? [] : nowhere""#, r#"{"clear": false}"#, MISSING),
        (r#""jsonataExpression": "nowhere""#, "{}", MISSING),
        (r#""jsonataExpression": "persons.{'entity_schema': 's'}""#, "{}", MISSING),
        (r#""jsonataExpression": "persons.{'entity_schema': 's'}""#, r#"{"persons": []}"#, MISSING),
    ] {
        for operation in ["_set", "_append", "_append_unique"] {
            let relations = format!(r#""operation": "{operation}", {relations}"#);
            links(&relations, payload, operation, expected);
        }
    }
    takes(r#""relations": {"jsonataExpression": "null"}"#, "{}", "null");
}

#[test]
fn all_identifiers_of_an_item_must_be_there() {
    let item = r#""items": [{"entity_schema": "s", "unique_ids": [
        {"attribute": "f", "field": "x"}, {"attribute": "p", "field": "$.deep.y"},
        {"attribute": "e", "jsonataExpression": "x & '!'"}, {"attribute": "c", "constant": "C"}]}]"#;
    let complete =
        r#"[{"$entity_unique_ids": {"f": 1, "p": 2, "e": "1!", "c": "C"}, "_schema": "s"}]"#;
    links(item, r#"{"x": 1, "deep": {"y": 2}}"#, "_set", complete);
    links(item, r#"{"x": 1, "deep": {"y": null}}"#, "_set", MISSING);
    links(item, r#"{"x": 1, "deep": {}}"#, "_set", MISSING);
    links(item, r#"{"deep": {"y": 2}}"#, "_set", MISSING);
    // What is false or zero identifies.
    let one =
        r#""items": [{"entity_schema": "s", "unique_ids": [{"attribute": "i", "field": "x"}]}]"#;
    for value in ["0", "false", "\" \"", "[]"] {
        let target = format!(r#"[{{"$entity_unique_ids": {{"i": {value}}}, "_schema": "s"}}]"#);
        links(one, &format!(r#"{{"x": {value}}}"#), "_set", &target);
    }
}

#[test]
fn an_expression_may_give_one_item_bare_tags_and_one_bare_identifier() {
    let given = |item: &str, payload: &str, expected: &str| {
        links(&format!(r#""jsonataExpression": {}"#, quoted(item)), payload, "_set", expected);
    };
    let x = &format!("[{X}]");
    let y = &format!("[{Y}]");
    given("{'entity_schema': 's', 'unique_ids': [{'attribute': 'i', 'constant': 1}]}", "{}", x);
    given("{'entity_schema': 's', 'unique_ids': {'attribute': 'i', 'constant': 1}}", "{}", x);
    given(
        "{'entity_schema': 's', 'unique_ids': [{'attribute': 'i', 'constant': 2}], '_tags': 'T'}",
        "{}",
        y,
    );
    given(
        "{'entity_schema': 's', 'unique_ids': [{'attribute': 'i', 'constant': 1}], '_tags': none}",
        "{}",
        x,
    );
    // A path over one element gives one item, not a list.
    let over = "ps.{'entity_schema': 's', 'unique_ids': [{'attribute': 'i', 'constant': n}]}";
    given(over, r#"{"ps": [{"n": 1}]}"#, x);
    given(over, r#"{"ps": [{"n": 1}, {"n": 1}]}"#, &format!("[{X}, {X}]"));
    given(over, r#"{"ps": [{"n": null}, {"n": 1}]}"#, x);
    given(over, r#"{"ps": [{"n": null}, {}]}"#, MISSING);
}

#[test]
fn items_of_an_expression_take_every_source() {
    let given = |unique_id: &str, expected: &str| {
        let item =
            format!("{{'entity_schema': 's', 'unique_ids': [{{'attribute': 'i', {unique_id}}}]}}");
        let expected = match expected {
            MISSING => MISSING.to_owned(),
            value => format!(r#"[{{"$entity_unique_ids": {{"i": {value}}}, "_schema": "s"}}]"#),
        };
        let payload = r#"{"x": 1, "a.b": 2, "deep": {"y": 3}, "blank": "", "null": null}"#;
        let relations = format!(r#""jsonataExpression": {}"#, quoted(&item));
        links(&relations, payload, "_set", &expected);
    };
    given("'constant': 'C'", "\"C\"");
    given("'constant': x + 1", "2");
    given("'constant': nowhere", MISSING);
    given("'constant': null", MISSING);
    given("'constant': ''", MISSING);
    given("'field': 'x'", "1");
    given("'field': 'a.b'", "2");
    given("'field': '$.deep.y'", "3");
    given("'field': '$.deep.z'", MISSING);
    given("'field': 'nowhere'", MISSING);
    given("'field': 'blank'", MISSING);
    given("'jsonataExpression': 'deep.y + 1'", "4");
    given("'jsonataExpression': 'nowhere'", MISSING);
    // The same priority as anywhere.
    given("'constant': 'C', 'jsonataExpression': 'x', 'field': 'a.b'", "\"C\"");
    given("'jsonataExpression': 'x', 'field': 'a.b'", "1");
}

#[test]
fn an_item_of_the_wrong_form_is_an_error() {
    let wrong = |expression: &str, message: &str| {
        let fields = format!(
            r#"[{{"attribute": "a", "relations": {{"jsonataExpression": {}}}}}]"#,
            quoted(expression)
        );
        fails(&fields, "{}", Code::MappingExpressionFailed, &format!("thing.a: {message}"));
    };
    let good = "{'entity_schema': 's', 'unique_ids': [{'attribute': 'i', 'constant': 1}]}";
    wrong("'text'", "relation item 1 is not an object");
    wrong(&format!("[{good}, 5]"), "relation item 2 is not an object");
    wrong(
        "{'unique_ids': [{'attribute': 'i', 'constant': 1}]}",
        "relation item 1 has no \"entity_schema\"",
    );
    wrong("{'entity_schema': 's'}", "relation item 1 has no \"unique_ids\"");
    wrong("{'entity_schema': 's', 'unique_ids': []}", "relation item 1 has no \"unique_ids\"");
    wrong(
        "{'entity_schema': 's', 'unique_ids': [{'constant': 1}]}",
        "relation item 1 has a unique identifier without \"attribute\"",
    );
    wrong(
        "{'entity_schema': 's', 'unique_ids': [{'attribute': 'i', 'field': 5}]}",
        "relation item 1 has a \"field\" that is no string",
    );
    for tags in ["5", "{'a': 1}", "[1]", "['T', null]"] {
        let item = good.replace("}]}", &format!("}}], '_tags': {tags}}}"));
        wrong(&item, "relation item 1 has \"_tags\" that are not strings");
    }
}

#[test]
fn an_item_s_identifiers_are_checked_as_those_of_listed_items_are() {
    let refused = |unique_ids: &str| {
        let item = format!("{{'entity_schema': 's', 'unique_ids': {unique_ids}}}");
        let fields = format!(
            r#"[{{"attribute": "a", "relations": {{"jsonataExpression": {}}}}}]"#,
            quoted(&item)
        );
        let error = attributes(&fields, "{}").expect_err(unique_ids);
        assert_eq!(error.code, Code::MappingExpressionFailed, "{unique_ids}");
    };
    refused("[{'attribute': '', 'constant': 1}]");
    refused("[{'attribute': 'i', 'constant': 1}, {'attribute': 'i', 'constant': 2}]");
}

// Modes and scopes

#[test]
fn updates_carry_the_mode_of_their_entry() {
    let mode = |mode: &str| {
        let entities = format!(
            r#"[{{"entity_schema": "s", "unique_ids": ["i"], {mode}
                 "fields": [{{"attribute": "i", "constant": 1}}]}}]"#
        );
        rows(&entities, "{}").unwrap()
    };
    let row = |mode: &str| vec![format!(r#"s {mode} {{"i":1}} {{"i":1}}"#)];
    assert_eq!(mode(""), row("upsert"));
    for name in ["upsert", "delete", "purge"] {
        assert_eq!(mode(&format!(r#""mode": "{name}","#)), row(name));
    }
}

#[test]
fn a_prune_follows_the_updates_of_its_entry_and_reads_the_payload() {
    let prune = |mode: &str, scope: &str, payload: &str| {
        let entities = format!(
            r#"[{{"entity_schema": "s", "unique_ids": ["i"], "mode": "upsert-prune-scope-{mode}",
                 "scope": {scope}, "jsonataExpression": "xs",
                 "fields": [{{"attribute": "i", "field": "i"}}]}},
                {{"entity_schema": "t", "unique_ids": ["i"], "fields": []}}]"#
        );
        let mut rows = rows(&entities, payload).unwrap();
        assert_eq!(rows.pop().as_deref(), Some("t upsert {} {}"));
        rows
    };
    let query = r#"{"scope_mode": "query", "query": [{"attribute": "a", "field": "account"},
                    {"attribute": "k", "constant": "K"}, {"attribute": "e", "jsonataExpression": "$count(xs)"}]}"#;
    let update = r#"s upsert {"i":1} {"i":1}"#;
    let pruned = |mode: &str, count: u8| {
        let attributes = format!(r#"{{"a":"A","e":{count},"k":"K"}}"#);
        format!(r#"s prune-{mode} {{"attributes":{attributes},"scope_mode":"query"}}"#)
    };
    let payload = r#"{"account": "A", "xs": [{"i": 1, "account": "B"}]}"#;
    assert_eq!(prune("delete", query, payload), [update, &pruned("delete", 1)]);
    assert_eq!(prune("purge", query, payload), [update, &pruned("purge", 1)]);
    // No item left: everything in scope goes.
    assert_eq!(prune("purge", query, r#"{"account": "A", "xs": []}"#), [pruned("purge", 0)]);
    // A value of the scope is missing: nothing is pruned.
    for payload in [r#"{"xs": [{"i": 1}]}"#, r#"{"account": null, "xs": [{"i": 1}]}"#] {
        assert_eq!(prune("purge", query, payload), [update]);
    }
    assert_eq!(prune("purge", query, r#"{"account": "", "xs": [{"i": 1}]}"#), [update]);

    let relations = r#"{"scope_mode": "relations", "schema": "billing_account",
                        "unique_ids": [{"attribute": "n", "field": "$.account"}]}"#;
    let expected = r#"s prune-delete {"schema":"billing_account","scope_mode":"relations","unique_identifiers":{"n":"A"}}"#;
    assert_eq!(prune("delete", relations, r#"{"account": "A"}"#), [expected]);
    assert_eq!(prune("delete", relations, "{}"), [""; 0]);
}

// Identifiers

#[test]
fn unique_identifiers_are_those_that_have_a_value() {
    let identified = |fields: &str, payload: &str, identifiers: &str| {
        let entities =
            format!(r#"[{{"entity_schema": "s", "unique_ids": ["i", "j"], "fields": {fields}}}]"#);
        let row = rows(&entities, payload).unwrap().pop().unwrap();
        let expected = format!("s upsert {} {{", text(identifiers));
        assert!(row.starts_with(&expected), "{payload}: {row}, not {expected}");
    };
    let fields = r#"[{"attribute": "j", "field": "y"}, {"attribute": "i", "field": "x"}]"#;
    identified(fields, r#"{"x": 1, "y": "2"}"#, r#"{"i": 1, "j": "2"}"#);
    identified(fields, r#"{"x": 1}"#, r#"{"i": 1}"#);
    identified(fields, r#"{"x": 1, "y": null}"#, r#"{"i": 1}"#);
    identified(fields, r#"{"x": 1, "y": ""}"#, r#"{"i": 1}"#);
    identified(fields, "{}", "{}");
    identified(fields, r#"{"x": 0, "y": false}"#, r#"{"i": 0, "j": false}"#);
    identified(fields, r#"{"x": " ", "y": 1.10}"#, r#"{"i": " ", "j": 1.10}"#);
    identified("[]", "{}", "{}");
    let twice = r#"[{"attribute": "i", "constant": 1}, {"attribute": "i", "field": "x"}]"#;
    identified(twice, r#"{"x": 2}"#, r#"{"i": 2}"#);
    identified(twice, r#"{"x": null}"#, "{}");
}

#[test]
fn identifiers_compare_as_text() {
    let same = |a: &str, b: &str| {
        let arena = Bump::new();
        key(json(a, &arena)) == key(json(b, &arena))
    };
    for (a, b) in [("7", "7.0"), ("7", "\"7\""), ("7.00", "\"7\""), ("1e2", "\"100\""), ("-0", "0")]
    {
        assert!(same(a, b), "{a} {b}");
    }
    for (a, b) in [
        ("\"a\"", "\"A\""),
        ("\"a\"", "\"a \""),
        ("\"7\"", "\"7.0\""),
        ("\"\\u00e9\"", "\"e\\u0301\""),
        ("12345678901234567890", "12345678901234567891"),
        ("1", "\"01\""),
    ] {
        assert!(!same(a, b), "{a} {b}");
    }
    for blank in ["null", "\"\"", "[]", "{}", "[1]"] {
        let arena = Bump::new();
        assert_eq!(key(json(blank, &arena)), None, "{blank}");
    }
}

#[test]
fn an_identifier_that_cannot_be_applied_is_an_error() {
    let arena = Bump::new();
    let applied = |value: &str| {
        let value = (value != MISSING).then(|| json(value, &arena));
        applicable_key("contact", "number", value).map_err(|error| error.to_string())
    };
    assert_eq!(applied("\"A\"").unwrap(), "A");
    assert_eq!(applied("12345678901234567890.0").unwrap(), "12345678901234567890");
    assert_eq!(applied(&format!("\"{}\"", "x".repeat(1_000))).unwrap().len(), 1_000);
    for missing in [MISSING, "null", "\"\""] {
        let expected = "MISSING_UNIQUE_IDENTIFIERS: contact: unique identifier number is missing";
        assert_eq!(applied(missing).unwrap_err(), expected);
    }
    for (value, problem) in [
        ("{}", "is an object"),
        ("[1]", "is an array"),
        (&*format!("\"{}\"", "x".repeat(1_001)), "is longer than 1000 bytes"),
        (&*format!("\"{}\"", "ü".repeat(501)), "is longer than 1000 bytes"),
        ("1e1000", "is longer than 1000 bytes"),
    ] {
        let place = "ATTRIBUTE_TYPE_MISMATCH: contact: unique identifier number";
        assert_eq!(applied(value).unwrap_err(), format!("{place} {problem}"));
    }
}

// Exact numbers

const EXACT: [&str; 8] = [
    "12345678901234567890",
    "-12345678901234567890",
    "1.10",
    "0.30000000000000004441",
    "100.00",
    "9007199254740993",
    "0.0",
    "12345678901234567890.123456789012345678901234567890",
];

#[test]
fn copied_numbers_keep_every_digit() {
    for number in EXACT.into_iter().chain([&*exact_1e400(), "1e-400"]) {
        let payload = format!(r#"{{"n": {number}, "deep": {{"n": [{number}]}}}}"#);
        takes(&format!(r#""constant": {number}"#), "{}", number);
        takes(r#""field": "n""#, &payload, number);
        takes(r#""field": "deep""#, &payload, &format!(r#"{{"n": [{number}]}}"#));
        takes(r#""field": "$.n""#, &payload, number);
        takes(r#""field": "$.deep.n[0]""#, &payload, number);
        takes(r#""field": "$.*.n[*]""#, &payload, number);
        takes(r#""field": "$..n""#, &payload, &format!("[{number}, [{number}]]"));
    }
}

#[test]
fn numbers_an_expression_hands_through_keep_every_digit() {
    for number in EXACT {
        let payload = format!(
            r#"{{"n": {number}, "o": {{"n": {number}}}, "k": 1,
            "xs": [{{"k": 1, "n": {number}}}, {{"k": 2, "n": 0}}, {{"k": 1, "n": {number}}}]}}"#
        );
        let x = format!(r#"{{"k": 1, "n": {number}}}"#);
        for (expression, expected) in [
            ("n", number),
            ("$.n", number),
            ("o", &format!(r#"{{"n": {number}}}"#)),
            ("k = 1 ? n : 0", number),
            ("($m := n; $m)", number),
            ("xs[k=1]", &format!("[{x}, {x}]")),
            ("xs[k=1].n", &format!("[{number}, {number}]")),
            ("xs[k=1][0]", &x),
            ("xs[k=1].{'m': n}", &format!(r#"[{{"m": {number}}}, {{"m": {number}}}]"#)),
            ("{'a': [n], 'o': o}", &format!(r#"{{"a": [{number}], "o": {{"n": {number}}}}}"#)),
            ("$filter(xs, function($x) {$x.k = 1}).n", &format!("[{number}, {number}]")),
            ("$map(xs[k=1], function($x) {$x.n})", &format!("[{number}, {number}]")),
            ("$merge([{'a': 1}, o])", &format!(r#"{{"a": 1, "n": {number}}}"#)),
            ("$lookup(o, 'n')", number),
        ] {
            evaluates(expression, &payload, expected);
        }
        let entry = r#"{"jsonataExpression": "xs[k=1].{'m': n}", "fields": [
            {"attribute": "f", "field": "m"}, {"attribute": "e", "jsonataExpression": "m"}]}"#;
        let both = format!(r#"{{"f": {number}, "e": {number}}}"#);
        yields(entry, &payload, &[&both, &both]);
        let item = "{'entity_schema': 's', 'unique_ids': [{'attribute': 'i', 'constant': n}]}";
        let relations = format!(r#""jsonataExpression": "xs[k=1][0].{item}""#);
        let target = format!(r#"[{{"$entity_unique_ids": {{"i": {number}}}, "_schema": "s"}}]"#);
        links(&relations, &payload, "_set", &target);
    }
}

#[test]
fn numbers_beyond_all_doubles_stay_exact_inside_what_is_handed_through() {
    let huge = exact_1e400();
    let payload =
        format!(r#"{{"n": {huge}, "o": {{"n": {huge}}}, "xs": [{{"k": 1, "n": {huge}}}]}}"#);
    evaluates("o", &payload, &format!(r#"{{"n": {huge}}}"#));
    evaluates("{'p': o}", &payload, &format!(r#"{{"p": {{"n": {huge}}}}}"#));
    evaluates("xs[k=1]", &payload, &format!(r#"{{"k": 1, "n": {huge}}}"#));
    evaluates("xs.k", &payload, "1");
}

#[test]
fn numbers_beyond_all_doubles_are_handed_through_themselves() {
    let huge = exact_1e400();
    let payload = format!(r#"{{"n": {huge}, "xs": [{{"k": 1, "n": {huge}}}]}}"#);
    evaluates("n", &payload, &huge);
    evaluates("xs[k=1].{'m': n}", &payload, &format!(r#"{{"m": {huge}}}"#));
}

#[test]
fn a_number_beyond_all_doubles_does_not_fail_an_expression_that_gives_something_else() {
    let payload = format!(r#"{{"n": {}, "o": {{"k": 1}}}}"#, exact_1e400());
    evaluates("o.k", &payload, "1");
    evaluates("*.k", &payload, "1");
    evaluates("**.k", &payload, "1");
    evaluates("$count($keys($))", &payload, "2");
}

#[test]
fn arithmetic_is_double_precision() {
    for (expression, expected) in [
        ("0.1 + 0.2", "0.30000000000000004"),
        ("n * 2", "2.2"),
        ("1.10 * 1", "1.1"),
        ("$sum([0.1, 0.2])", "0.30000000000000004"),
        ("2 * 3", "6"),
        ("1e20 * 10", "1000000000000000000000"),
        ("1 / 4", "0.25"),
        ("-z", "0"),
        ("5e-324 * 1", &*format!("0.{}5", "0".repeat(323))),
    ] {
        evaluates(expression, r#"{"n": 1.10, "z": 0}"#, expected);
    }
}

/// Pairs of numbers with one double: `[a, b]` in one expression.
const SHARED: [(&str, &str); 3] = [
    ("12345678901234567890", "12345678901234567891"),
    ("12345678901234567890", "12345678901234567000"),
    ("9007199254740993", "9007199254740992"),
];

#[test]
fn numbers_that_share_a_double_are_never_taken_for_each_other() {
    for (a, b) in SHARED {
        for (a, b) in [(a, b), (b, a)] {
            let payload = format!(r#"{{"a": {a}, "b": {b}}}"#);
            let got =
                attributes(r#"[{"attribute": "v", "jsonataExpression": "[a, b]"}]"#, &payload);
            let taken = [format!(r#"{{"v":[{a},{a}]}}"#), format!(r#"{{"v":[{b},{b}]}}"#)];
            let got = got.unwrap().pop().unwrap();
            let double = a.parse::<f64>().unwrap().to_string();
            let is_lossy = got == format!(r#"{{"v":[{double},{double}]}}"#);
            assert!(is_lossy || !taken.contains(&got), "{payload}: {got}");
        }
    }
    // Digits that are not the number's own must not come from elsewhere in the expression.
    evaluates("[a, b]", r#"{"a": 1.10, "b": 1.1}"#, "[1.10, 1.1]");
    evaluates("[b, a]", r#"{"a": 1.10, "b": 1.1}"#, "[1.1, 1.10]");
}

#[test]
fn numbers_that_share_a_double_do_not_identify() {
    for (a, b) in SHARED {
        let payload = format!(r#"{{"a": {a}, "b": {b}}}"#);
        for expression in ["[a, b][0]", "[a, b][1]", "[b, a][0]", "{'a': a, 'b': b}.b"] {
            let source = format!(r#""jsonataExpression": {}"#, quoted(expression));
            match identifier(&source, &payload) {
                Err(error) => assert_eq!(error.code, Code::AttributeTypeMismatch, "{expression}"),
                Ok(got) => {
                    let right = if matches!(expression, "[a, b][0]" | "[b, a][1]") { a } else { b };
                    assert_eq!(got, format!(r#"{{"id":{right}}}"#), "{expression} of {payload}");
                }
            }
        }
    }
}

#[test]
fn what_an_expression_computes_beyond_exact_integers_does_not_identify() {
    let refused = |expression: &str, payload: &str| {
        let source = format!(r#""jsonataExpression": {}"#, quoted(expression));
        let message = "thing: unique identifier id is a number that an expression computed beyond \
                       2^53, where digits are lost";
        let error = identifier(&source, payload).expect_err(&format!("{expression} of {payload}"));
        assert_eq!((error.code, &*error.message), (Code::AttributeTypeMismatch, message));
    };
    refused("n * 10", r#"{"n": 9007199254740992}"#);
    refused("$sum(ns)", r#"{"ns": [9007199254740993, 9007199254740993]}"#);
    refused("$number(s)", r#"{"s": "12345678901234567890"}"#);
    refused("12345678901234567890", "{}");
    refused("-n", r#"{"n": 12345678901234567890}"#);
    let items =
        r#"{"jsonataExpression": "{'m': n * 10}", "fields": [{"attribute": "id", "field": "m"}]}"#;
    let error = entry(items, r#"{"n": 9007199254740992}"#).unwrap_err();
    assert_eq!(error.code, Code::AttributeTypeMismatch);
    let relations = r#"[{"attribute": "a", "relations": {"items": [{"entity_schema": "s",
        "unique_ids": [{"attribute": "i", "jsonataExpression": "n * 10"}]}]}}]"#;
    let error = attributes(relations, r#"{"n": 9007199254740992}"#).unwrap_err();
    assert_eq!(error.code, Code::AttributeTypeMismatch);
}

#[test]
fn arithmetic_that_lands_on_a_double_of_the_payload_still_computes() {
    let refused = |expression: &str, payload: &str| {
        let source = format!(r#""jsonataExpression": {}"#, quoted(expression));
        let error = identifier(&source, payload).expect_err(&format!("{expression} of {payload}"));
        assert_eq!(error.code, Code::AttributeTypeMismatch);
    };
    refused("n + 1", r#"{"n": 12345678901234567890}"#);
    refused("n * 1", r#"{"n": 12345678901234567890}"#);
    refused("$max([n, 1]) + 1", r#"{"n": 12345678901234567890}"#);
    // 2^53 + 1 is 2^53 in doubles.
    refused("n + 1", r#"{"n": 9007199254740992}"#);
}

#[test]
fn what_is_copied_identifies_whatever_expressions_compute_beside_it() {
    let fields = |other: &str| {
        let other = quoted(other);
        format!(
            r#"[{{"attribute": "other", "jsonataExpression": {other}}},
                {{"attribute": "id", "field": "n"}}]"#
        )
    };
    let payload =
        r#"{"n": 12345678901234567890, "m": 12345678901234567891, "s": "12345678901234567890"}"#;
    for other in ["[n, m]", "$number(s)", "n + 0", "12345678901234567890"] {
        let got = attributes(&fields(other), payload).unwrap_or_else(|e| panic!("{other}: {e}"));
        assert!(got[0].contains(r#""id":12345678901234567890"#), "{other}: {got:?}");
    }
}

#[test]
fn small_computed_numbers_identify() {
    for (expression, expected) in
        [("n + 1", "2"), ("n / 4", "0.25"), ("9007199254740991", "9007199254740991")]
    {
        let source = format!(r#""jsonataExpression": {}"#, quoted(expression));
        let got = identifier(&source, r#"{"n": 1}"#).unwrap();
        assert_eq!(got, format!(r#"{{"id":{expected}}}"#));
    }
}

// Documents and events

#[test]
fn the_bare_form_fits_any_event_and_the_wrapped_form_its_events_alone() {
    let entities = r#""entities": [{"entity_schema": "s", "unique_ids": ["i"], "fields": []}]"#;
    let event = |document: &str, name: &str| {
        let arena = Bump::new();
        let mapping = compile(json(document, &arena)).mapping.expect(document);
        mapping.event(name).map(|event| event.entities.len())
    };
    let bare = format!("{{{entities}}}");
    assert_eq!(event(&bare, "CustomerChanged"), Ok(1));
    assert_eq!(event(&bare, ""), Ok(1));
    let wrapped = format!(
        r#"{{"version": "2.0", "mapping": {{"events": {{"CustomerChanged": {{{entities}}},
            "Nothing": {{"entities": []}}, "ContractChanged": {{{entities}}}}}}}}}"#
    );
    assert_eq!(event(&wrapped, "CustomerChanged"), Ok(1));
    assert_eq!(event(&wrapped, "Nothing"), Ok(0));
    let hint = "The mapping's events are \"ContractChanged\", \"CustomerChanged\", \"Nothing\".";
    for unknown in ["customerchanged", "CustomerChanged ", "Customer", ""] {
        let error = event(&wrapped, unknown).unwrap_err();
        assert_eq!(error.code, Code::EventNotConfigured);
        assert_eq!(error.message, format!("the mapping has no event \"{unknown}\""));
        assert_eq!(error.hint.as_deref(), Some(hint));
    }
    let empty = r#"{"version": "2.0", "mapping": {"events": {}}}"#;
    let error = event(empty, "A").unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("The mapping has no events."));
    let names: Vec<String> =
        (0..12).map(|i| format!(r#""Event{i:02}Changed": {{"entities": []}}"#)).collect();
    let many = format!(r#"{{"version": "2.0", "mapping": {{"events": {{{}}}}}}}"#, names.join(","));
    let error = event(&many, "Event07Chnaged").unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("Did you mean \"Event07Changed\"?"));
    let error = event(&many, "x").unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("The mapping has 12 events."));
}

// Errors

#[test]
fn an_expression_that_fails_says_where() {
    let failed = |entry_text: &str, message: &str, detail: &str| {
        let error = entry(entry_text, r#"{"s": "S3CRET"}"#).expect_err(entry_text);
        assert_eq!(error.code, Code::MappingExpressionFailed, "{entry_text}");
        assert_eq!(error.message, message, "{entry_text}");
        let detail = format!("Entity: thing (/entities/0){detail}");
        assert_eq!(error.detail.as_deref(), Some(&*detail), "{entry_text}");
    };
    let not_a_number = "Unable to cast value to a number: (a value)";
    let engine = "\nPosition: 8\nEngine code: D3030";
    let expression = "\nExpression: $number(s)";
    let attribute = "\nAttribute: a";
    let item = "{'entity_schema': 's', \
        'unique_ids': [{'attribute': 'i', 'jsonataExpression': '$number(s)'}]}";
    for source in [
        r#""jsonataExpression": "$number(s)""#,
        r#""enabled": "$number(s)", "constant": 1"#,
        r#""relations": {"jsonataExpression": "$number(s)"}"#,
        r#""relations": {"items": [{"entity_schema": "s",
            "unique_ids": [{"attribute": "i", "jsonataExpression": "$number(s)"}]}]}"#,
        &format!(r#""relations": {{"jsonataExpression": {}}}"#, quoted(item)),
    ] {
        let entry = format!(r#"{{"fields": [{{"attribute": "a", {source}}}]}}"#);
        let detail = format!("{attribute}{expression}{engine}");
        failed(&entry, &format!("thing.a: {not_a_number}"), &detail);
    }
    for source in [
        r#""jsonataExpression": "$number(s)""#,
        r#""enabled": "$number(s)""#,
        r#""mode": "upsert-prune-scope-delete", "scope": {"scope_mode": "query",
            "query": [{"attribute": "a", "jsonataExpression": "$number(s)"}]}"#,
    ] {
        let entry = format!(r#"{{{source}, "fields": []}}"#);
        failed(&entry, &format!("thing: {not_a_number}"), &format!("{expression}{engine}"));
    }
}

#[test]
fn an_error_names_the_entry_it_is_in() {
    let entities = |fields: &str| {
        let entry = |fields: &str| {
            format!(r#"{{"entity_schema": "s", "unique_ids": ["i"], "fields": {fields}}}"#)
        };
        format!("[{}, {}]", entry("[]"), entry(fields))
    };
    let failing = r#"[{"attribute": "a", "jsonataExpression": "$error('no such thing')"}]"#;
    let error = rows(&entities(failing), "{}").unwrap_err();
    assert_eq!(error.message, "s.a: no such thing");
    let detail = error.detail.unwrap();
    assert!(detail.starts_with("Entity: s (/mapping/events/E~1~0/entities/1)\n"), "{detail}");
    let long =
        format!(r#"[{{"attribute": "a", "jsonataExpression": "1 + 'a{}'"}}]"#, "x".repeat(9_000));
    let detail = rows(&entities(&long), "{}").unwrap_err().detail.unwrap();
    assert!(detail.len() < 1_000 && detail.contains("x…\nPosition: "), "{detail}");
}

#[test]
fn one_entry_that_fails_fails_the_event() {
    let entities = r#"[{"entity_schema": "s", "unique_ids": ["i"], "fields": []},
        {"entity_schema": "t", "unique_ids": ["i"], "jsonataExpression": "xs",
         "fields": [{"attribute": "i", "jsonataExpression": "$number($)"}]}]"#;
    assert_eq!(rows(entities, r#"{"xs": ["1", "2"]}"#).unwrap().len(), 3);
    let error = rows(entities, r#"{"xs": ["1", "two"]}"#).unwrap_err();
    assert_eq!(error.code, Code::MappingExpressionFailed);
}

/// JSONata's functions, but `$error` and `$assert`, whose message is the author's.
const FUNCTIONS: &str = "abs append average base64decode base64encode boolean ceil contains count \
    decodeUrl decodeUrlComponent distinct each encodeUrl encodeUrlComponent eval exists filter \
    floor formatBase formatInteger formatNumber fromMillis join keys length lookup lowercase map \
    match max merge min not now number pad parseInteger power reduce replace reverse round \
    shuffle sift single sort split spread sqrt string substring substringAfter substringBefore \
    sum toMillis trim type uppercase zip";

#[test]
fn messages_never_hold_payload_values() {
    let payload = r#"{"s": "S3CRET", "n": 271828, "m": -271828.5, "b": "%S3CRET", "p": "[S3CRET",
        "q": "0.#S3CRET.0", "x": "S3CRET)(", "t": "[YS3CRET]", "os": [{"k": 271828, "S3CRET": 1}]}"#;
    let arguments = "s; n; m; b; x; os; [s, n]; s, s; s, n; n, s; n, m; m, n; n, q; n, p; n, t; s, t; \
        x, x; os, s; os.k, s; s, {'a': s}; [[s], [n]], n; s, s, s; s, s, m; s, n, n; n, n, n; \
        n, q, os; n, '[Y]', s; 10, n; os, function($a, $b) {$a + s}; \
        [s, 1], function($a, $b) {$a - $b}";
    let calls = FUNCTIONS
        .split(' ')
        .flat_map(|f| arguments.split("; ").map(move |arguments| format!("${f}({arguments})")));
    let operators = "s + 1; 1 - s; -s; s < n; [1..s]; [n..99999999]; os^(k, %); [s, n]^($); {n: 1}; \
        {s: 1, s: 2}; s(); n(1); s ~> n; n ~> s; os ~> |$|s|; os ~> |$|{}, n|; n / 0; n % s; \
        s.(1 + $); [s] = s ? s + 1 : s + 2; n & s + 1; $map([s], function($x) {$x * 2}); \
        $eval('1 + s'); $eval('s +'); $s(1); s[n + s]; $keys(os[0]) + 1; os.*[0] + $keys(os)[1]";
    let (mut failed, mut leaks) = (0, Vec::new());
    for expression in calls.chain(operators.split("; ").map(str::to_owned)) {
        let arena = Bump::new();
        let compiled = Jsonata::compile(&expression);
        let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
        let result = compiled.and_then(|e| e.evaluate(Some(json(payload, &arena)), &context));
        if let Err(failure) = result {
            failed += 1;
            if ["S3CRET", "271828"].iter().any(|value| failure.message.contains(value)) {
                leaks.push(format!("{expression}: {}", failure.message));
            }
        }
    }
    assert!(failed > 500, "only {failed} failed");
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[test]
fn messages_about_sources_that_the_payload_wrote_do_not_quote_them() {
    for (key, source) in [
        ("jsonataExpression", "S3CRET("),
        ("jsonataExpression", "a + S3CRET-)"),
        ("jsonataExpression", "1 + 'S3CRET'"),
        ("field", "$.S3CRET["),
        ("field", "$[?@.S3CRET"),
    ] {
        let unique_id = format!("{{'attribute': 'i', '{key}': source}}");
        let item = format!("{{'entity_schema': 's', 'unique_ids': {unique_id}}}");
        let fields =
            format!(r#"[{{"attribute": "a", "relations": {{"jsonataExpression": "{item}"}}}}]"#);
        let error =
            attributes(&fields, &format!(r#"{{"source": {}}}"#, quoted(source))).unwrap_err();
        assert!(!format!("{error:?}").contains("S3CRET"), "{source}: {error:?}");
    }
}

#[test]
fn a_result_with_nul_is_refused() {
    let message = "thing.a: the result holds \\u0000, which jsonb cannot store";
    for expression in [
        r"'\u0000'",
        r"'a\u0000b'",
        r"{'k\u0000': 1}",
        r"[['\u0000']]",
        r"{'a': [{'b': '\u0000'}]}",
        "$base64decode('AA==')",
        "$decodeUrl('%00')",
    ] {
        let fields =
            format!(r#"[{{"attribute": "a", "jsonataExpression": {}}}]"#, quoted(expression));
        fails(&fields, "{}", Code::MappingExpressionFailed, message);
    }
    evaluates(r"$length('\u0000')", "{}", "1");
    evaluates(r"$replace('a\u0000b', '\u0000', '')", "{}", "\"ab\"");
}

// Limits

#[test]
fn each_limit_is_reported_as_such_and_soon() {
    let unlimited =
        || Limits { timeout: Duration::from_secs(60), max_steps: u64::MAX, ..Limits::default() };
    let forever = "($f := function() {$f()}; $f())";
    let payload = r#"{"xs": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}"#;
    for (limits, expression) in [
        (Limits { timeout: Duration::from_millis(30), ..unlimited() }, forever),
        (
            Limits { timeout: Duration::from_millis(30), ..unlimited() },
            "$match('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', /(a+)+b/)",
        ),
        (Limits { max_steps: 10_000, ..unlimited() }, forever),
        (Limits { max_depth: 100, ..unlimited() }, "($f := function($n) {1 + $f($n)}; $f(1))"),
        (Limits { max_array_length: 5, ..unlimited() }, "[1..6]"),
        (Limits { max_array_length: 5, ..unlimited() }, "xs.($ + 1)"),
        (Limits { max_array_length: 5, ..unlimited() }, "$append([1..4], [1..4])"),
        (Limits { max_string_length: 100, ..unlimited() }, "$pad('', 101, 'x')"),
        (Limits { max_string_length: 100, ..unlimited() }, "$join(xs.$pad('', 50))"),
        (
            Limits { max_string_length: 100, ..unlimited() },
            "($f := function($s) {$f($s & $s)}; $f('x'))",
        ),
        (Limits { max_result_size: 1_000, ..unlimited() }, "[1..50].$pad('', 90)"),
        (unlimited(), "[1..100000000]"),
        (unlimited(), "$pad('', 100000000)"),
        (
            unlimited(),
            "($f := function($x, $n) {$n = 0 ? $x : $f({'a': $x}, $n - 1)}; $f(1, 2000))",
        ),
        (
            Limits { max_result_size: 1_000, ..unlimited() },
            "($f := function($x, $n) {$n = 0 ? $x : $f({'a': $x, 'b': $x}, $n - 1)}; $f(1, 40))",
        ),
    ] {
        let started = Instant::now();
        for_each_place(expression, |entry| {
            let error = limited(entry, payload, &limits, CancelToken::new()).expect_err(expression);
            assert_eq!(error.code, Code::ExpressionLimitExceeded, "{expression}: {error:?}");
        });
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "{expression}: {took:?}");
    }
}

#[test]
fn what_a_result_repeats_of_the_input_counts() {
    let limits = Limits { max_result_size: 10_000, ..Limits::default() };
    let payload =
        format!(r#"{{"s": "{}", "o": {{"s": "{}"}}}}"#, "x".repeat(1_000), "x".repeat(1_000));
    let field = |source: &str| format!(r#"{{"fields": [{{"attribute": "a", {source}}}]}}"#);
    for expression in ["[1..100].$$", "$map([1..100], function($i) {$$.o})", "[1..100].($$.s)"] {
        let entry = field(&format!(r#""jsonataExpression": {}"#, quoted(expression)));
        let result = limited(&entry, &payload, &limits, CancelToken::new());
        let error = result.expect_err(expression);
        assert_eq!(error.code, Code::ExpressionLimitExceeded, "{expression}");
    }
    let path = format!("$[{}]", ["'s'"; 100].join(","));
    let entry = field(&format!(r#""field": {}"#, quoted(&path)));
    let error = limited(&entry, &payload, &limits, CancelToken::new()).expect_err("a path");
    assert_eq!(error.code, Code::ExpressionLimitExceeded);
}

#[test]
fn time_is_limited_in_every_function() {
    let items: Vec<String> = (0..30_000).map(|i| i.to_string()).collect();
    let payload = format!(r#"{{"xs": [{}]}}"#, items.join(","));
    let limits = Limits {
        timeout: Duration::from_millis(50),
        max_steps: u64::MAX,
        max_array_length: 100_000,
        ..Limits::default()
    };
    for expression in
        ["$distinct(xs)", "$sort(xs, function($a, $b) {$a < $b})", "xs^(>$)", "$reverse(xs)"]
    {
        let started = Instant::now();
        let entry = format!(
            r#"{{"fields": [{{"attribute": "a", "jsonataExpression": {}}}]}}"#,
            quoted(expression)
        );
        let _ = limited(&entry, &payload, &limits, CancelToken::new());
        let took = started.elapsed();
        assert!(took < Duration::from_secs(2), "{expression}: {took:?}");
    }
}

#[test]
fn a_path_is_limited_in_length_brackets_visits_and_nesting() {
    let syntax = |path: &str, message: &str| {
        let failure = Path::compile(path).expect_err(path);
        assert_eq!((failure.kind, &*failure.message), (FailureKind::Syntax, message));
    };
    syntax(&format!("$.{}", "a".repeat(999)), "the path is longer than 1000 bytes");
    let deep = format!("$[?{}@.a{}]", "(".repeat(8), ")".repeat(8));
    syntax(&deep, "the path nests brackets more than 8 deep");
    assert!(Path::compile(&format!("$.{}", "a".repeat(998))).is_ok());
    assert!(Path::compile("$['((((((((((((((((']").is_ok(), "quoted brackets do not count");

    let arena = Bump::new();
    let limit = |path: &str, payload: Value<'_>, message: &str| {
        let started = Instant::now();
        let failure = path_failure(path, payload);
        assert_eq!((failure.kind, &*failure.message), (FailureKind::Limit, message));
        assert!(started.elapsed() < Duration::from_secs(2), "{path}");
    };
    let items = Tree::Array(vec![Value::Bool(true).into(); 5_000]);
    let items = keep(&items, &arena);
    let too_many = "the path visits too many values of this payload";
    limit("$[?$[?@==false]]", items, too_many);
    limit("$[?count($[*])>1]", items, too_many);
    limit(&format!("$..*{}", "..*".repeat(50)), items, too_many);
    let too_deep = "the payload nests more than 200 levels deep";
    limit("$..*", nested(201, &arena), too_deep);
    let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
    assert!(Path::compile("$..*").unwrap().evaluate(nested(200, &arena), &context).is_ok());
    // A singular path goes as deep as it says.
    let path = format!("${}", "[0]".repeat(300));
    let hit = Path::compile(&path).unwrap().evaluate(nested(5_000, &arena), &context).unwrap();
    assert!(hit.is_some());
}

/// A regular expression may be large, a payload long: their product must not be waited for.
#[test]
fn regular_expressions_of_a_path_are_limited() {
    let arena = Bump::new();
    let took = |items: usize| {
        let items = Tree::Array(vec![Value::String("abc").into(); items]);
        let path = Path::compile(r"$[?match(@, '[\\p{L}]{20}')]").unwrap();
        let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
        let started = Instant::now();
        let _ = path.evaluate(keep(&items, &arena), &context);
        started.elapsed()
    };
    let one = took(1).max(Duration::from_millis(5));
    let many = took(200);
    assert!(many < one * 20, "200 items take {many:?}, one takes {one:?}");
}

#[test]
fn hostile_payloads_do_not_overflow_the_stack() {
    let arena = Bump::new();
    let payload = nested(5_000, &arena);
    for expression in [
        "$",
        "**",
        "$string($)",
        "$boolean($)",
        "$ = $",
        "$[0]",
        "[$]",
        "$distinct([$, $])",
        "$not($)",
        "$spread($)",
        "$ ~> |$|{'a': 1}|",
        "$append($, $)",
        "$keys($)",
        "nowhere",
    ] {
        let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
        let result = Jsonata::compile(expression).unwrap().evaluate(Some(payload), &context);
        if let Ok(Some(tree)) = result {
            assert!(check(&encode(&tree).unwrap()).is_ok(), "{expression}");
        }
    }
    let entry = r#"{"enabled": "$", "fields": [{"attribute": "a", "field": "$"}]}"#;
    assert!(with_payload(entry, payload, &Limits::default(), CancelToken::new()).is_ok());
}

#[test]
fn a_cancelled_call_stops() {
    let token = CancelToken::new();
    token.cancel();
    for entry in [
        r#"{"fields": []}"#,
        r#"{"fields": [{"attribute": "a", "jsonataExpression": "1"}]}"#,
        r#"{"jsonataExpression": "1", "fields": []}"#,
    ] {
        let error = limited(entry, "{}", &Limits::default(), token.clone()).expect_err(entry);
        assert_eq!(error.code, Code::ExpressionLimitExceeded, "{entry}");
    }
    let token = CancelToken::new();
    let other = token.clone();
    let limits =
        Limits { timeout: Duration::from_secs(60), max_steps: u64::MAX, ..Limits::default() };
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        other.cancel();
    });
    let forever = r#"{"jsonataExpression": "($f := function() {$f()}; $f())", "fields": []}"#;
    let started = Instant::now();
    let error = limited(forever, "{}", &limits, token).unwrap_err();
    assert_eq!(error.code, Code::ExpressionLimitExceeded);
    assert!(started.elapsed() < Duration::from_secs(5));
    canceller.join().unwrap();
}

// How the cases are run

/// Expected of an attribute that is left alone.
const MISSING: &str = "";

/// `fields` of one entry give one update with `expected` attributes.
fn gives(fields: &str, payload: &str, expected: &str) {
    yields(&format!(r#"{{"fields": {fields}}}"#), payload, &[expected]);
}

/// An entry gives updates with `expected` attributes.
fn yields(entry_text: &str, payload: &str, expected: &[&str]) {
    let got = entry(entry_text, payload).unwrap_or_else(|e| panic!("{entry_text}: {e:?}"));
    let expected: Vec<String> = expected.iter().map(|expected| text(expected)).collect();
    assert_eq!(got, expected, "{entry_text}\n{payload}");
}

/// A field with `source` makes its attribute `expected`.
fn takes(source: &str, payload: &str, expected: &str) {
    let expected = match expected {
        MISSING => "{}".to_owned(),
        value => format!(r#"{{"a": {value}}}"#),
    };
    gives(&format!(r#"[{{"attribute": "a", {source}}}]"#), payload, &expected);
}

/// A field with the JSONata `expression` makes its attribute `expected`.
fn evaluates(expression: &str, payload: &str, expected: &str) {
    takes(&format!(r#""jsonataExpression": {}"#, quoted(expression)), payload, expected);
}

/// A field with `relations` becomes a relation of `targets`, a list.
fn links(relations: &str, payload: &str, operation: &str, targets: &str) {
    let expected = match targets {
        MISSING => MISSING.to_owned(),
        targets => format!(r#"{{"$relation": {{"{operation}": {targets}}}}}"#),
    };
    takes(&format!(r#""relations": {{{relations}}}"#), payload, &expected);
}

fn fails(fields: &str, payload: &str, code: Code, message: &str) {
    let error = attributes(fields, payload).expect_err(fields);
    assert_eq!((error.code, &*error.message), (code, message), "{fields}");
}

/// The attributes of an update whose identifier `id` has `source`.
fn identifier(source: &str, payload: &str) -> Result<String, Error> {
    let fields = format!(r#"[{{"attribute": "id", {source}}}]"#);
    attributes(&fields, payload).map(|mut updates| updates.pop().unwrap())
}

fn entry_count(entry_text: &str, payload: &str) -> usize {
    entry(entry_text, payload).unwrap().len()
}

/// What `entities` of an event yield: schema, mode, identifiers and attributes, or the scope.
fn rows(entities: &str, payload: &str) -> Result<Vec<String>, Error> {
    let arena = Bump::new();
    let document = format!(
        r#"{{"version": "2.0", "mapping": {{"events": {{"E/~": {{"entities": {entities}}}}}}}}}"#
    );
    let compiled = compile(json(&document, &arena));
    let mapping = compiled.mapping.unwrap_or_else(|| panic!("{:?}", compiled.problems));
    let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
    let mapped = map(mapping.event("E/~")?, json(payload, &arena), &context)?;
    let row = |row: &Mapped<'_>| {
        let what = match row {
            Mapped::Update(update) => {
                let identifiers = keep(&update.identifiers_tree(), &arena);
                format!("{identifiers} {}", keep(&update.attributes_tree(), &arena))
            }
            Mapped::Prune(prune) => keep(&prune.scope_tree(), &arena).to_string(),
        };
        format!("{} {} {what}", row.schema(), row.mode())
    };
    Ok(mapped.iter().map(row).collect())
}

/// Maps `payload` by one entry under `limits`; gives the number of rows.
fn limited(
    entry: &str,
    payload: &str,
    limits: &Limits,
    cancel: CancelToken,
) -> Result<usize, Error> {
    let arena = Bump::new();
    with_payload(entry, json(payload, &arena), limits, cancel)
}

fn with_payload(
    entry: &str,
    payload: Value<'_>,
    limits: &Limits,
    cancel: CancelToken,
) -> Result<usize, Error> {
    let arena = Bump::new();
    let members = entry.strip_prefix('{').unwrap();
    let document =
        format!(r#"{{"entities": [{{"entity_schema": "thing", "unique_ids": ["id"], {members}]}}"#);
    let mapping = compile(json(&document, &arena)).mapping.expect(entry);
    let context = Context::new(&arena, limits, NOW, cancel);
    Ok(map(mapping.event("any")?, keep(&payload.into(), &arena), &context)?.len())
}

/// An entry for each place that an expression may stand in.
fn for_each_place(expression: &str, check: impl Fn(&str)) {
    let expression = quoted(expression);
    check(&format!(r#"{{"jsonataExpression": {expression}, "fields": []}}"#));
    check(&format!(r#"{{"fields": [{{"attribute": "a", "jsonataExpression": {expression}}}]}}"#));
}

fn path_failure(path: &str, payload: Value<'_>) -> Failure {
    let arena = Bump::new();
    let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
    let payload = keep(&payload.into(), &arena);
    Path::compile(path).unwrap().evaluate(payload, &context).expect_err(path)
}

/// Arrays in arrays, `levels` of them.
fn nested(levels: usize, arena: &Bump) -> Value<'_> {
    (0..levels).fold(json("[]", arena), |inner, _| keep(&Tree::Array(vec![inner.into()]), arena))
}

/// 1 and 400 zeros, as jsonb prints 1e400.
fn exact_1e400() -> String {
    format!("1{}", "0".repeat(400))
}

/// A document as jsonb prints it.
fn text(document: &str) -> String {
    let arena = Bump::new();
    json(document, &arena).to_string()
}

/// A string as JSON.
fn quoted(string: &str) -> String {
    serde_json::Value::from(string).to_string()
}
