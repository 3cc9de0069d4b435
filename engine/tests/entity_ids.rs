//! What `_id` means as an identifier: an entity named by its own id, in `unique_ids` and as the
//! target of relations.

mod support;

use bumpalo::Bump;
use erp_engine::error::Code;
use erp_engine::expr::{CancelToken, Context, Limits};
use erp_engine::map::{Attribute, Mapped, map};
use erp_engine::mapping::compile;
use support::cases::{MISSING, fails, links, quoted, rows, text};
use support::{NOW, json};

#[test]
fn the_id_identifies_and_is_no_attribute() {
    let entities = r#"[{"entity_schema": "s", "unique_ids": ["_id"],
        "fields": [{"attribute": "_id", "field": "id"}, {"attribute": "a", "field": "a"}]}]"#;
    for (payload, identifiers, attributes) in [
        (r#"{"id": "I", "a": 1}"#, r#"{"_id": "I"}"#, r#"{"a": 1}"#),
        (r#"{"id": 7}"#, r#"{"_id": 7}"#, "{}"),
        (r#"{"id": "", "a": 1}"#, "{}", r#"{"a": 1}"#),
        (r#"{"id": null, "a": 1}"#, "{}", r#"{"a": 1}"#),
        (r#"{"a": 1}"#, "{}", r#"{"a": 1}"#),
    ] {
        let expected = format!("s upsert {} {}", text(identifiers), text(attributes));
        assert_eq!(rows(entities, payload).unwrap(), [expected], "{payload}");
    }
    for mode in ["delete", "purge"] {
        let entities = entities.replacen('{', &format!(r#"{{"mode": "{mode}", "#), 1);
        let expected = format!(r#"s {mode} {{"_id":"I"}} {{}}"#);
        assert_eq!(rows(&entities, r#"{"id": "I"}"#).unwrap(), [expected]);
    }
    let computed = entities.replace(r#""field": "id""#, r#""jsonataExpression": "id * 1""#);
    let error = rows(&computed, r#"{"id": 12345678901234567890}"#).unwrap_err();
    assert_eq!(error.code, Code::AttributeTypeMismatch);
}

#[test]
fn an_entry_tells_whether_it_is_by_id() {
    let is_by_id = |unique_ids: &str| {
        let arena = Bump::new();
        let document = format!(
            r#"{{"entities": [{{"entity_schema": "s", "unique_ids": {unique_ids}, "fields": []}}]}}"#
        );
        let mapping = compile(json(&document, &arena)).mapping.expect(&document);
        mapping.event("any").unwrap().entities[0].is_by_id()
    };
    assert!(is_by_id(r#"["_id"]"#));
    assert!(!is_by_id(r#"["id"]"#));
    assert!(!is_by_id(r#"["a", "b"]"#));
}

#[test]
fn relations_and_scopes_name_entities_by_id() {
    let item = r#"{"entity_schema": "s", "unique_ids": [{"attribute": "_id", "field": "x"}]}"#;
    let target =
        |id: &str| format!(r#"[{{"$entity_unique_ids": {{"_id": {id}}}, "_schema": "s"}}]"#);
    let listed = format!(r#""items": [{item}]"#);
    let given = format!(r#""jsonataExpression": {}"#, quoted(item));
    for relations in [listed, given] {
        links(&relations, r#"{"x": "I"}"#, "_set", &target("\"I\""));
        links(&relations, "{}", "_set", MISSING);
        links(&relations, r#"{"x": ""}"#, "_set", MISSING);
    }
    let entities = r#"[{"entity_schema": "s", "unique_ids": ["i"], "fields": [],
        "mode": "upsert-prune-scope-purge", "jsonataExpression": "[]",
        "scope": {"scope_mode": "relations", "schema": "t",
                  "unique_ids": [{"attribute": "_id", "field": "x"}]}}]"#;
    let scope = r#"{"schema":"t","scope_mode":"relations","unique_identifiers":{"_id":"I"}}"#;
    assert_eq!(rows(entities, r#"{"x": "I"}"#).unwrap(), [format!("s prune-purge {scope}")]);
}

#[test]
fn a_given_item_s_id_stands_alone() {
    let refused = |unique_ids: &str, what: &str| {
        let item = format!("{{'entity_schema': 's', 'unique_ids': {unique_ids}}}");
        let fields = format!(
            r#"[{{"attribute": "a", "relations": {{"jsonataExpression": {}}}}}]"#,
            quoted(&item)
        );
        let message = format!("thing.a: relation item 1 {what}");
        fails(&fields, "{}", Code::MappingExpressionFailed, &message);
    };
    let beside = "names \"_id\" beside other unique identifiers";
    refused("[{'attribute': '_id', 'constant': 1}, {'attribute': 'i', 'constant': 1}]", beside);
    refused("[{'attribute': 'i', 'constant': 1}, {'attribute': '_id', 'constant': 1}]", beside);
    let typed = "[{'attribute': '_id', 'constant': 1, '_type': 'email'}]";
    refused(typed, "gives \"_id\" a \"_type\"");
}

#[test]
fn a_target_tells_the_id_it_is_named_by() {
    let entity_id = |attribute: &str| {
        let arena = Bump::new();
        let document = format!(
            r#"{{"entities": [{{"entity_schema": "t", "unique_ids": ["i"],
                 "fields": [{{"attribute": "a", "relations": {{"items": [{{"entity_schema": "s",
                    "unique_ids": [{{"attribute": "{attribute}", "constant": "I"}}]}}]}}}}]}}]}}"#
        );
        let mapping = compile(json(&document, &arena)).mapping.expect(&document);
        let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
        let mapped = map(mapping.event("any").unwrap(), json("{}", &arena), &context).unwrap();
        let [Mapped::Update(update)] = &mapped[..] else { panic!("{mapped:?}") };
        let [(_, Attribute::Relation(relation))] = &update.attributes[..] else { panic!() };
        relation.targets[0].entity_id().map(|id| id.to_string())
    };
    assert_eq!(entity_id("_id").as_deref(), Some("\"I\""));
    assert_eq!(entity_id("id"), None);
}
