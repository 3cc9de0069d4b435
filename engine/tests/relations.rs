//! What mapping yields beside plain attributes, a line a case: relations and which of their items
//! count, modes and scopes, unique identifiers and when two of them are one key.

mod support;

use bumpalo::Bump;
use erp_engine::error::Code;
use erp_engine::identifier::{applicable_key, key};
use erp_engine::mapping::{compile, key_set_uses};
use support::cases::{MISSING, fails, links, quoted, rows, takes, text};
use support::{attributes, json};

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

// Key sets

#[test]
fn a_mapping_tells_which_identifiers_it_finds_entities_by() {
    let document = r#"{"version": "2.0", "mapping": {"events": {"E": {"entities": [
        {"entity_schema": "contract", "unique_ids": ["number", "year"],
         "mode": "upsert-prune-scope-delete",
         "scope": {"scope_mode": "relations", "schema": "account",
                   "unique_ids": [{"attribute": "n", "field": "account"}]},
         "fields": [
            {"attribute": "number", "field": "no"},
            {"attribute": "listed", "relations": {"items": [
                {"entity_schema": "contact", "unique_ids": [
                    {"attribute": "email", "field": "e"}, {"attribute": "kind", "constant": 1}]}]}},
            {"attribute": "given", "relations": {"jsonataExpression":
                "ps.(k = 1 ? {'entity_schema': 'person', 'unique_ids': [{'attribute': 'p', 'constant': n}]} : {'entity_schema': kind, 'unique_ids': [{'attribute': 'q', 'constant': n}]})"}}]},
        {"entity_schema": "meter", "unique_ids": ["number"], "mode": "upsert-prune-scope-purge",
         "scope": {"scope_mode": "query", "query": [{"attribute": "a", "constant": 1}]},
         "fields": []},
        {"entity_schema": "known", "unique_ids": ["_id"],
         "mode": "upsert-prune-scope-delete",
         "scope": {"scope_mode": "relations", "schema": "account",
                   "unique_ids": [{"attribute": "_id", "field": "account"}]},
         "fields": [
            {"attribute": "listed", "relations": {"items": [
                {"entity_schema": "contact", "unique_ids": [{"attribute": "_id", "field": "e"}]}]}},
            {"attribute": "given", "relations": {"jsonataExpression":
                "{'entity_schema': 'person', 'unique_ids': [{'attribute': '_id', 'constant': n}]}"}}]}]}}}}"#;
    let arena = Bump::new();
    let mapping = compile(json(document, &arena)).mapping.unwrap();
    let uses: Vec<String> = key_set_uses(&mapping)
        .into_iter()
        .map(|used| {
            let how = if used.is_upserted { "upserted" } else { "looked up" };
            let pointer = used.pointer.replace("/mapping/events/E/entities", "");
            format!("{} {} {how} at {pointer}", used.schema, used.unique_ids.join(","))
        })
        .collect();
    let expected = [
        "contract number,year upserted at /0",
        "account n looked up at /0/scope",
        "contact email,kind looked up at /0/fields/1/relations/items/0",
        "person p looked up at /0/fields/2/relations",
        "meter number upserted at /1",
    ];
    assert_eq!(uses, expected);
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
