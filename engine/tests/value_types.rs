//! What `_type` means: the form in which e-mail addresses and phone numbers are stored, and that
//! identifiers are found inside it.

mod support;

use bumpalo::Bump;
use erp_engine::error::Code;
use erp_engine::expr::{CancelToken, Context, Limits};
use erp_engine::identifier::{applicable_key, key};
use erp_engine::map::{Attribute, Mapped, map};
use erp_engine::mapping::compile;
use support::cases::{MISSING, fails, gives, links, quoted, rows, takes, text};
use support::{NOW, json, keep};

/// A field of `_type` "email" that reads `x`, of a payload where it is `value`, is `expected`.
fn stores(value: &str, expected: &str) {
    let payload = match value {
        MISSING => "{}".to_owned(),
        value => format!(r#"{{"x": {value}}}"#),
    };
    for source in [r#""field": "x""#, r#""field": "$.x""#, r#""jsonataExpression": "x""#] {
        takes(&format!(r#"{source}, "_type": "email""#), &payload, expected);
    }
    if value != MISSING {
        takes(&format!(r#""constant": {value}, "_type": "email""#), "{}", expected);
    }
}

#[test]
fn values_are_stored_as_a_list_of_objects() {
    stores("\"a@x\"", r#"[{"email": "a@x"}]"#);
    stores("491234", r#"[{"email": 491234}]"#);
    stores("12345678901234567890.10", r#"[{"email": 12345678901234567890.10}]"#);
    stores("false", r#"[{"email": false}]"#);
    stores(r#"["a@x", "b@x"]"#, r#"[{"email": "a@x"}, {"email": "b@x"}]"#);
    takes(r#""constant": "+49", "_type": "phone""#, "{}", r#"[{"phone": "+49"}]"#);
}

#[test]
fn missing_stays_missing_null_stays_null_and_an_empty_string_is_no_value() {
    stores(MISSING, MISSING);
    stores("null", "null");
    stores("\"\"", "[]");
    stores("[]", "[]");
    stores(r#"["", "a@x", null]"#, r#"[{"email": "a@x"}]"#);
    stores("[null]", "[]");
}

#[test]
fn objects_that_have_the_form_stay() {
    let stored = r#"[{"email": "a@x", "_tags": ["WORK"]}]"#;
    stores(stored, stored);
    stores(r#"{"email": "a@x", "_tags": ["WORK"]}"#, stored);
    stores(r#"[{"email": "a@x"}, "b@x"]"#, r#"[{"email": "a@x"}, {"email": "b@x"}]"#);
}

#[test]
fn operations_work_around_the_form() {
    for (name, operation) in
        [("_set", "_set"), ("_append", "_append"), ("_append_unique", "_append_unique")]
    {
        for list in ["\"a@x\"", "[\"a@x\"]", r#"[{"email": "a@x"}]"#, r#"["a@x", ""]"#] {
            let expected = format!(r#"{{"{operation}": [{{"email": "a@x"}}]}}"#);
            stores(&format!(r#"{{"{name}": {list}}}"#), &expected);
        }
        for empty in ["null", "\"\"", "[]", "[null]"] {
            stores(&format!(r#"{{"{name}": {empty}}}"#), &format!(r#"{{"{operation}": []}}"#));
        }
    }
    stores(r#"{"_append_all": ["a@x"]}"#, r#"{"_append": [{"email": "a@x"}]}"#);
}

#[test]
fn what_cannot_have_the_form_is_an_error() {
    let refused = |value: &str, what: &str| {
        let fields = format!(r#"[{{"attribute": "a", "constant": {value}, "_type": "email"}}]"#);
        let message = format!("thing.a: a value of type \"email\" {what}");
        fails(&fields, "{}", Code::AttributeTypeMismatch, &message);
    };
    let other = "is an object without \"email\"";
    refused("{}", other);
    refused(r#"{"phone": "1"}"#, other);
    refused(r#"["a@x", {"mail": "b@x"}]"#, other);
    refused(r#"{"_append": {"phone": "1"}}"#, other);
    refused(r#"{"_set": ["a@x"], "x": 1}"#, other);
    refused(r#"[["a@x"]]"#, "is an array inside an array");
}

#[test]
fn a_field_that_is_not_enabled_has_no_form() {
    takes(r#""constant": {}, "_type": "email", "enabled": false"#, "{}", MISSING);
    let twice = r#"[{"attribute": "a", "field": "x", "_type": "email"},
                    {"attribute": "a", "field": "y", "_type": "phone"}]"#;
    gives(twice, r#"{"x": 1}"#, r#"{"a": [{"email": 1}]}"#);
    gives(twice, r#"{"x": 1, "y": 2}"#, r#"{"a": [{"phone": 2}]}"#);
}

// Identifiers

#[test]
fn an_entity_is_identified_by_the_first_plain_value() {
    let identified = |value: &str, identifiers: &str| {
        let entities = r#"[{"entity_schema": "s", "unique_ids": ["e"],
            "fields": [{"attribute": "e", "field": "x", "_type": "email"}]}]"#;
        let row = rows(entities, &format!(r#"{{"x": {value}}}"#)).unwrap().pop().unwrap();
        let expected = format!("s upsert {} {{", text(identifiers));
        assert!(row.starts_with(&expected), "{value}: {row}, not {expected}");
    };
    identified("\"a@x\"", r#"{"e": "a@x"}"#);
    identified("7.0", r#"{"e": 7.0}"#);
    identified(r#"["", "a@x", "b@x"]"#, r#"{"e": "a@x"}"#);
    identified(r#"[{"email": "a@x", "_tags": []}, "b@x"]"#, r#"{"e": "a@x"}"#);
    identified(r#"{"_append": ["a@x", "b@x"]}"#, r#"{"e": "a@x"}"#);
    for nothing in ["null", "\"\"", "[]", "[null]", r#"{"email": ""}"#, r#"{"_append": []}"#] {
        identified(nothing, "{}");
    }
}

#[test]
fn a_computed_identifier_beyond_2_53_is_refused_inside_the_form_too() {
    let entities = r#"[{"entity_schema": "s", "unique_ids": ["e"],
        "fields": [{"attribute": "e", "jsonataExpression": "x * 1", "_type": "phone"}]}]"#;
    let error = rows(entities, r#"{"x": 12345678901234567890}"#).unwrap_err();
    assert_eq!(error.code, Code::AttributeTypeMismatch);
    assert!(rows(entities, r#"{"x": 491234}"#).is_ok());
}

/// An item with `_type` beside the `source` of its identifier, listed and given.
fn items(source: &str) -> [String; 2] {
    let item = format!(
        r#"{{"entity_schema": "s", "unique_ids": [{{"attribute": "e", "_type": "email", {source}}}]}}"#
    );
    let expression = format!(r#""jsonataExpression": {}"#, quoted(&item));
    [format!(r#""items": [{item}]"#), expression]
}

#[test]
fn relations_look_up_the_plain_value() {
    for (value, expected) in [
        ("\"a@x\"", "\"a@x\""),
        (r#"["a@x", "b@x"]"#, "\"a@x\""),
        (r#"["", "b@x"]"#, "\"b@x\""),
        (r#"[{"email": "a@x"}]"#, "\"a@x\""),
        (r#"{"email": "a@x", "_id": 1}"#, "\"a@x\""),
        ("7", "7"),
        ("null", MISSING),
        ("\"\"", MISSING),
        ("[]", MISSING),
        (r#"{"email": null}"#, MISSING),
    ] {
        for relations in items(r#""field": "x""#) {
            let expected = match expected {
                MISSING => MISSING.to_owned(),
                value => format!(r#"[{{"$entity_unique_ids": {{"e": {value}}}, "_schema": "s"}}]"#),
            };
            links(&relations, &format!(r#"{{"x": {value}}}"#), "_set", &expected);
        }
    }
    for relations in items(r#""constant": {"phone": "1"}"#) {
        let fields = format!(r#"[{{"attribute": "a", "relations": {{{relations}}}}}]"#);
        let message = "thing.a: a value of type \"email\" for s.e is an object without \"email\"";
        fails(&fields, "{}", Code::AttributeTypeMismatch, message);
    }
}

#[test]
fn a_given_item_s_type_is_one_there_is() {
    let given = |ty: &str| {
        let item = format!(
            "{{'entity_schema': 's', 'unique_ids': {{'attribute': 'e', 'constant': 1, '_type': {ty}}}}}"
        );
        format!(
            r#"[{{"attribute": "a", "relations": {{"jsonataExpression": {}}}}}]"#,
            quoted(&item)
        )
    };
    for wrong in ["'mail'", "5", "''"] {
        let message =
            "thing.a: relation item 1 has a \"_type\" that is none of \"email\", \"phone\"";
        fails(&given(wrong), "{}", Code::MappingExpressionFailed, message);
    }
    let item =
        r#"{"a": {"$relation": {"_set": [{"$entity_unique_ids": {"e": 1}, "_schema": "s"}]}}}"#;
    gives(&given("null"), "{}", item);
    gives(&given("nowhere"), "{}", item);
}

#[test]
fn scopes_hold_plain_values() {
    let scope = |scope: &str| {
        let entities = format!(
            r#"[{{"entity_schema": "s", "unique_ids": ["i"], "mode": "upsert-prune-scope-delete",
                 "jsonataExpression": "[]", "scope": {scope}, "fields": []}}]"#
        );
        rows(&entities, r#"{"x": ["a@x", "b@x"]}"#).unwrap()
    };
    let id = r#"[{"attribute": "e", "field": "x", "_type": "email"}]"#;
    assert_eq!(
        scope(&format!(r#"{{"scope_mode": "query", "query": {id}}}"#)),
        [r#"s prune-delete {"attributes":{"e":"a@x"},"scope_mode":"query"}"#]
    );
    let relations = format!(r#"{{"scope_mode": "relations", "schema": "t", "unique_ids": {id}}}"#);
    let expected = r#"{"schema":"t","scope_mode":"relations","unique_identifiers":{"e":"a@x"}}"#;
    assert_eq!(scope(&relations), [format!("s prune-delete {expected}")]);
}

#[test]
fn a_stub_has_the_stored_form() {
    let arena = Bump::new();
    let unique_ids = |quote: &str| {
        r#"[{"attribute": "e", "constant": "a@x", "_type": "email"},
            {"attribute": "p", "constant": 7, "_type": "phone"}, {"attribute": "n", "constant": "N"}]"#
            .replace('"', quote)
    };
    let listed =
        format!(r#""items": [{{"entity_schema": "s", "unique_ids": {}}}]"#, unique_ids("\""));
    let given = format!(
        r#""jsonataExpression": "{{'entity_schema': 's', 'unique_ids': {}}}""#,
        unique_ids("'").replace('\n', " ")
    );
    for relations in [listed, given] {
        let document = format!(
            r#"{{"entities": [{{"entity_schema": "t", "unique_ids": ["i"],
                 "fields": [{{"attribute": "a", "relations": {{{relations}}}}}]}}]}}"#
        );
        let mapping = compile(json(&document, &arena)).mapping.expect(&document);
        let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
        let mapped = map(mapping.event("any").unwrap(), json("{}", &arena), &context).unwrap();
        let [Mapped::Update(update)] = &mapped[..] else { panic!("{mapped:?}") };
        let [(_, Attribute::Relation(relation))] = &update.attributes[..] else { panic!() };
        let stub = keep(&relation.targets[0].stub_attributes(), &arena);
        assert_eq!(
            stub.to_string(),
            text(r#"{"e": [{"email": "a@x"}], "p": [{"phone": 7}], "n": "N"}"#)
        );
    }
}

#[test]
fn keys_are_found_inside_the_stored_form() {
    let arena = Bump::new();
    for (stored, expected) in [
        (r#"[{"email": "a@x"}]"#, Some("a@x")),
        (r#"[{"phone": "1"}, {"phone": "2"}]"#, Some("1")),
        (r#"[{"email": 7.0}]"#, Some("7")),
        (r#"[{"phone": true}]"#, Some("true")),
        (r#"[{"email": "a@x", "_id": "i", "_tags": []}]"#, Some("a@x")),
        (r#"[{"email": "a@x", "phone": "1"}]"#, Some("a@x")),
        (r#"[{"email": null, "phone": "1"}]"#, None),
        (r#"[{"email": ""}, {"email": "a@x"}]"#, None),
        (r#"[{"email": ["a@x"]}]"#, None),
        (r#"[{"email": [{"email": "a@x"}]}]"#, None),
        (r#"[{"mail": "a@x"}]"#, None),
        (r#"["a@x"]"#, None),
        (r#"["a@x", {"email": "b@x"}]"#, None),
        (r#"{"email": "a@x"}"#, None),
        (r#"{"0": {"email": "a@x"}}"#, None),
    ] {
        assert_eq!(key(json(stored, &arena)).as_deref(), expected, "{stored}");
    }
    let applied = |stored: &str| {
        applicable_key("contact", "email", Some(json(stored, &arena))).map_err(|e| e.to_string())
    };
    assert_eq!(applied(r#"[{"email": "a@x"}]"#).unwrap(), "a@x");
    let place = "contact: unique identifier email";
    for (stored, problem) in [
        (r#"[{"email": ""}]"#, format!("MISSING_UNIQUE_IDENTIFIERS: {place} is missing")),
        (r#"[{"email": []}]"#, format!("ATTRIBUTE_TYPE_MISMATCH: {place} is an array")),
        (r#"[{"mail": "a@x"}]"#, format!("ATTRIBUTE_TYPE_MISMATCH: {place} is an array")),
        (r#"{"email": "a@x"}"#, format!("ATTRIBUTE_TYPE_MISMATCH: {place} is an object")),
    ] {
        assert_eq!(applied(stored).unwrap_err(), problem);
    }
}
