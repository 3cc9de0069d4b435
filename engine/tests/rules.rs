//! What mapping an event means, a line a case: where values come from, what is missing and what is
//! null, what pre-processing yields, what `enabled` decides, and which event an entry is of.

mod support;

use bumpalo::Bump;
use erp_engine::error::Code;
use erp_engine::mapping::compile;
use support::cases::{MISSING, evaluates, gives, links, quoted, rows, takes, yields};
use support::{entry, json};

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

fn entry_count(entry_text: &str, payload: &str) -> usize {
    entry(entry_text, payload).unwrap().len()
}
