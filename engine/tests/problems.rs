//! What compiling a mapping document says about it: every mistake with its severity, code, place
//! (a JSON Pointer), message and hint, all at once; and no document whatever makes it panic.

mod support;

use bumpalo::Bump;
use erp_engine::mapping::{Severity, compile, nearest};
use serde_json::Value as Json;
use support::json;

/// A mapping with every key there is. The cases change one place of it.
const DOCUMENT: &str = r#"{
  "version": "2.0",
  "mapping": {"events": {"ContractChanged": {"entities": [
    {
      "entity_schema": "contract",
      "unique_ids": ["number"],
      "jsonataExpression": "contracts",
      "enabled": "$count($) > 0",
      "mode": "upsert-prune-scope-delete",
      "scope": {
        "scope_mode": "relations",
        "schema": "account",
        "unique_ids": [{"attribute": "number", "field": "account"}]
      },
      "fields": [
        {"attribute": "number", "field": "no"},
        {"attribute": "street", "field": "$.address.street", "enabled": true},
        {"attribute": "name", "jsonataExpression": "first & last", "enabled": "$exists(first)"},
        {"attribute": "source", "constant": "ERP"},
        {"attribute": "customer", "relations": {
          "operation": "_append",
          "items": [{
            "entity_schema": "contact",
            "_tags": ["PRIMARY"],
            "unique_ids": [
              {"attribute": "number", "field": "customer"},
              {"attribute": "kind", "jsonataExpression": "kind"},
              {"attribute": "source", "constant": "ERP"}
            ]
          }]
        }},
        {"attribute": "others", "relations": {"jsonataExpression": "others"}},
        {"attribute": "mail", "field": "mail", "_type": "email"},
        {"attribute": "payers", "relations": {"items": [{
          "entity_schema": "contract",
          "unique_ids": [{"attribute": "mail", "field": "payer", "_type": "email"}]
        }]}},
        {"attribute": "addresses", "enabled": true, "relation_refs": {
          "operation": "_append_unique",
          "items": [{
            "entity_schema": "contact",
            "unique_ids": [{"attribute": "number", "field": "customer"}],
            "path": "address",
            "value": {"attribute": "address", "operation": "_append", "field": "address"}
          }]
        }}
      ]
    },
    {
      "entity_schema": "meter",
      "unique_ids": ["number", "register"],
      "mode": "upsert-prune-scope-purge",
      "scope": {"scope_mode": "query", "query": [{"attribute": "contract", "field": "no"}]},
      "fields": [
        {"attribute": "number", "field": "no"},
        {"attribute": "register", "constant": 1}
      ]
    }
  ]}}}
}"#;

const CONTRACT: &str = "/mapping/events/ContractChanged/entities/0";

#[test]
fn a_full_document_has_no_problems() {
    assert_eq!(problems(DOCUMENT), [""; 0]);
    assert_eq!(problems(r#"{"entities": []}"#), [""; 0]);
    assert_eq!(problems(r#"{"version": "2.0", "mapping": {"events": {}}}"#), [""; 0]);
    let bare = r#"{"entities": [{"entity_schema": "a", "unique_ids": ["b"],
        "mode": "upsert", "fields": [{"attribute": "b", "field": "B"}]}]}"#;
    assert_eq!(problems(bare), [""; 0]);
}

#[test]
fn the_document_s_form() {
    for document in ["null", "true", "5", "\"text\"", "[]"] {
        let kind = type_name(document);
        let expected = format!("error TYPE_MISMATCH : the mapping must be an object, not {kind}");
        assert_eq!(problems(document), [expected]);
    }
    let missing = |key: &str| format!("error KEY_MISSING : \"{key}\" is missing");
    assert_eq!(problems("{}"), [missing("version"), missing("mapping")]);
    assert_eq!(
        problems(r#"{"version": "2.0", "mapping": {}}"#),
        ["error KEY_MISSING /mapping: \"events\" is missing"]
    );
    assert_eq!(
        problems(r#"{"version": "2.0", "entities": [], "mapping": {"events": {}}}"#),
        ["warning KEY_UNKNOWN /entities: unknown key \"entities\" is ignored"]
    );
    assert_eq!(
        problems(r#"{"entity": []}"#)[0],
        "warning KEY_UNKNOWN /entity: unknown key \"entity\" is ignored"
    );
}

#[test]
fn the_version() {
    for version in ["\"2\"", "\"1.0\"", "\"2.0 \"", "2.0", "2", "null", "[\"2.0\"]"] {
        tells(
            "/version",
            version,
            "error VERSION_INVALID @: \"version\" must be the string \"2.0\" \
             | Write \"version\": \"2.0\".",
        );
    }
    tells("/version", "", "error KEY_MISSING : \"version\" is missing");
}

#[test]
fn what_an_entry_requires() {
    let missing = |key: &str| format!("error KEY_MISSING {CONTRACT}: \"{key}\" is missing");
    tells_at("/entity_schema", "", &missing("entity_schema"));
    tells_at("/unique_ids", "", &missing("unique_ids"));
    tells_at("/fields", "", &missing("fields"));
    tells_at("/scope", "", &missing("scope"));
    tells_at(
        "/entity_schema",
        "\"\"",
        "error VALUE_INVALID @: \"entity_schema\" must not be empty",
    );
    tells_at(
        "/unique_ids",
        "[]",
        "error VALUE_INVALID @: \"unique_ids\" must name at least one attribute",
    );
    tells_at(
        "/unique_ids/0",
        "\"\"",
        "error VALUE_INVALID @: an entry of \"unique_ids\" must not be empty",
    );
    tells_at("/unique_ids/1", "\"number\"", "error VALUE_INVALID @: \"number\" is named twice");
    tells(
        "/mapping/events/ContractChanged/entities",
        "",
        "error KEY_MISSING /mapping/events/ContractChanged: \"entities\" is missing",
    );
}

#[test]
fn unique_ids_that_no_field_maps() {
    tells_at(
        "/unique_ids/0",
        "\"numbr\"",
        "warning UNIQUE_ID_UNMAPPED @: no field maps the unique identifier \"numbr\" \
         | Did you mean \"number\"?",
    );
    tells_at(
        "/unique_ids/1",
        "\"region\"",
        "warning UNIQUE_ID_UNMAPPED @: no field maps the unique identifier \"region\" \
         | Add a field with \"attribute\": \"region\".",
    );
}

#[test]
fn words_of_a_list() {
    tells_at(
        "/mode",
        "\"delet\"",
        "error VALUE_INVALID @: \"mode\" cannot be \"delet\" | Did you mean \"delete\"?",
    );
    tells_at(
        "/mode",
        "\"UPSERT\"",
        "error VALUE_INVALID @: \"mode\" cannot be \"UPSERT\" | Did you mean \"upsert\"?",
    );
    tells_at(
        "/mode",
        "\"replace everything\"",
        "error VALUE_INVALID @: \"mode\" cannot be \"replace everything\" | Use one of \"upsert\", \
         \"delete\", \"purge\", \"upsert-prune-scope-delete\", \"upsert-prune-scope-purge\".",
    );
    tells_at(
        "/scope/scope_mode",
        "\"relation\"",
        "error VALUE_INVALID @: \"scope_mode\" cannot be \"relation\" \
         | Did you mean \"relations\"?",
    );
    for place in ["/fields/6/_type", "/fields/7/relations/items/0/unique_ids/0/_type"] {
        let cannot = |word: &str| format!("error VALUE_INVALID @: \"_type\" cannot be \"{word}\"");
        tells_at(place, "\"Email\"", &format!("{} | Did you mean \"email\"?", cannot("Email")));
        tells_at(
            place,
            "\"relation\"",
            &format!("{} | Use one of \"email\", \"phone\".", cannot("relation")),
        );
    }
    tells_at(
        "/fields/4/relations/operation",
        "\"append\"",
        "error VALUE_INVALID @: \"operation\" cannot be \"append\" | Did you mean \"_append\"?",
    );
    tells_at(
        "/fields/4/relations/operation",
        "\"xxxxxxxxx\"",
        "error VALUE_INVALID @: \"operation\" cannot be \"xxxxxxxxx\" | Use one of \"_set\", \
         \"_append\", \"_append_unique\", \"_append_all\".",
    );
}

#[test]
fn unknown_keys_are_warned_of_with_the_nearest_known_one() {
    let unknown = |place: &str, key: &str, near: &str| {
        let hint = match near {
            "" => String::new(),
            near => format!(" | Did you mean \"{near}\"?"),
        };
        let expected = format!("warning KEY_UNKNOWN @: unknown key \"{key}\" is ignored{hint}");
        tells(&format!("{place}/{key}"), "1", &expected);
    };
    unknown("", "versoin", "version");
    unknown("", "comment", "");
    unknown("/mapping", "event", "events");
    unknown("/mapping/events/ContractChanged", "entites", "entities");
    unknown(CONTRACT, "unique_id", "unique_ids");
    unknown(CONTRACT, "entitySchema", "entity_schema");
    unknown(CONTRACT, "jsonata_expression", "jsonataExpression");
    unknown(CONTRACT, "Enabled", "enabled");
    unknown(CONTRACT, "description", "");
    unknown(&format!("{CONTRACT}/scope"), "scopemode", "scope_mode");
    unknown(&format!("{CONTRACT}/fields/0"), "atribute", "attribute");
    unknown(&format!("{CONTRACT}/fields/0"), "relation", "relations");
    unknown(&format!("{CONTRACT}/fields/4/relations"), "item", "items");
    unknown(&format!("{CONTRACT}/fields/4/relations/items/0"), "tags", "_tags");
    unknown(&format!("{CONTRACT}/fields/4/relations/items/0/unique_ids/0"), "fields", "field");
    // The place is a JSON Pointer, whatever the key.
    let odd = r#"{"entities": [], "a/b~c": 1}"#;
    let expected = "warning KEY_UNKNOWN /a~1b~0c: unknown key \"a/b~c\" is ignored";
    assert_eq!(problems(odd), [expected]);
}

#[test]
fn keys_without_effect() {
    let unused = |place: &str, value: &str, what: &str| {
        tells_at(place, value, &format!("warning KEY_UNUSED @: {what}"));
    };
    unused("/fields/3/field", "\"f\"", "\"field\" is ignored beside \"constant\"");
    unused(
        "/fields/3/jsonataExpression",
        "\"e\"",
        "\"jsonataExpression\" is ignored beside \"constant\"",
    );
    unused("/fields/2/field", "\"f\"", "\"field\" is ignored beside \"jsonataExpression\"");
    unused("/fields/4/field", "\"f\"", "\"field\" is ignored beside \"relations\"");
    unused("/fields/4/constant", "null", "\"constant\" is ignored beside \"relations\"");
    unused("/fields/4/_type", "\"email\"", "\"_type\" is ignored beside \"relations\"");
    unused(
        "/fields/4/relations/jsonataExpression",
        "\"e\"",
        "\"jsonataExpression\" is ignored beside \"items\"",
    );
    unused(
        "/fields/4/relations/items/0/unique_ids/2/field",
        "\"f\"",
        "\"field\" is ignored beside \"constant\"",
    );
    let no_meaning =
        format!("warning KEY_UNUSED {CONTRACT}/scope: \"scope\" has no meaning in mode \"purge\"");
    // What goes is found by its identifiers; nothing else of it matters.
    let found = problems(&changed(&format!("{CONTRACT}/mode"), "\"purge\""));
    let street = format!(
        "warning FIELD_UNUSED {CONTRACT}/fields/1: \"street\" is not written in mode \"purge\""
    );
    assert_eq!(found[..2], [no_meaning, street]);
    assert!(found[2..].iter().all(|problem| problem.starts_with("warning FIELD_UNUSED ")));
    assert!(!found.iter().any(|problem| problem.contains("\"number\"")), "{found:?}");
}

#[test]
fn a_value_needs_a_source() {
    let wanted = "a value needs one of \"field\", \"jsonataExpression\", \"constant\"";
    tells_at(
        "/fields/1/field",
        "",
        &format!("error SOURCE_MISSING {CONTRACT}/fields/1: {wanted}, \"relations\""),
    );
    let place = format!("{CONTRACT}/fields/4/relations/items/0/unique_ids/0");
    tells(&format!("{place}/field"), "", &format!("error SOURCE_MISSING {place}: {wanted}"));
    tells_at(
        "/fields/5/relations/jsonataExpression",
        "",
        &format!(
            "error SOURCE_MISSING {CONTRACT}/fields/5/relations: relations need \"items\" or \
             \"jsonataExpression\""
        ),
    );
    tells_at(
        "/fields/1/attribute",
        "",
        &format!("error KEY_MISSING {CONTRACT}/fields/1: \"attribute\" is missing"),
    );
}

#[test]
fn a_field_with_a_mistake_still_maps_its_attribute() {
    for (place, value) in [
        ("/fields/0/field", "5"),
        ("/fields/0/field", "\"$[\""),
        ("/fields/0/field", ""),
        ("/fields/0/enabled", "\"(\""),
        ("/fields/0/relations", "[]"),
    ] {
        let found = problems(&changed(&format!("{CONTRACT}{place}"), value));
        let about_ids = found.iter().find(|problem| problem.contains("UNIQUE_ID_UNMAPPED"));
        assert_eq!(about_ids, None, "{place} = {value}");
    }
}

#[test]
fn identifiers_of_relations_and_scopes() {
    for list in ["/fields/4/relations/items/0/unique_ids", "/scope/unique_ids"] {
        tells_at(
            list,
            "[]",
            "error VALUE_INVALID @: \"unique_ids\" must name at least one attribute",
        );
        tells_at(
            &format!("{list}/0/attribute"),
            "\"\"",
            "error VALUE_INVALID @: \"attribute\" must not be empty",
        );
        tells_at(
            &format!("{list}/9"),
            r#"{"attribute": "number", "constant": 1}"#,
            &format!(
                "error VALUE_INVALID {CONTRACT}{list}/{}: \"number\" is named twice",
                if list.starts_with("/scope") { 1 } else { 3 }
            ),
        );
    }
    tells(
        "/mapping/events/ContractChanged/entities/1/scope/query",
        "[]",
        "error VALUE_INVALID @: \"query\" must name at least one attribute",
    );
    tells(
        "/mapping/events/ContractChanged/entities/1/scope/query",
        "",
        "error KEY_MISSING /mapping/events/ContractChanged/entities/1/scope: \"query\" is missing",
    );
    tells_at(
        "/scope/scope_mode",
        "",
        &format!("error KEY_MISSING {CONTRACT}/scope: \"scope_mode\" is missing"),
    );
    tells_at(
        "/fields/4/relations/items/0/_tags/0",
        "5",
        "error TYPE_MISMATCH @: a tag must be a string, not a number",
    );
    tells_at(
        "/fields/4/relations/items/0/entity_schema",
        "",
        &format!(
            "error KEY_MISSING {CONTRACT}/fields/4/relations/items/0: \"entity_schema\" is missing"
        ),
    );
}

#[test]
fn an_entity_s_own_id_stands_alone() {
    let alone = "error VALUE_INVALID @: \"_id\" stands alone \
                 | It is the entity's own id: name nothing beside it, or leave it out.";
    let id = r#"{"attribute": "_id", "constant": 1}"#;
    for (place, value) in [
        ("/fields/4/relations/items/0/unique_ids/1", id),
        ("/fields/7/relations/items/0/unique_ids/1", id),
        ("/scope/unique_ids/1", id),
    ] {
        tells_at(place, value, alone);
    }
    let mixed = changed(&format!("{CONTRACT}/unique_ids"), r#"["number", "_id"]"#);
    let mixed = with(&mixed, &format!("{CONTRACT}/fields/3/attribute"), "\"_id\"");
    let place = format!("{CONTRACT}/unique_ids/1");
    assert_eq!(problems(&mixed), [alone.replace('@', &place)]);
    let alone = changed(&format!("{CONTRACT}/unique_ids"), r#"["_id"]"#);
    let mapped = with(&alone, &format!("{CONTRACT}/fields/3/attribute"), "\"_id\"");
    assert_eq!(problems(&mapped), [""; 0]);
    assert_eq!(
        problems(&alone),
        [format!(
            "warning UNIQUE_ID_UNMAPPED {CONTRACT}/unique_ids/0: no field maps the unique \
             identifier \"_id\" | Add a field with \"attribute\": \"_id\"."
        )]
    );
    for place in ["/fields/4/relations/items/0/unique_ids", "/scope/unique_ids"] {
        let changed = changed(&format!("{CONTRACT}{place}"), &format!("[{id}]"));
        assert_eq!(problems(&changed), [""; 0], "{place}");
    }
}

#[test]
fn an_entity_s_own_id_is_no_attribute() {
    tells_at(
        "/fields/3/attribute",
        "\"_id\"",
        "error ATTRIBUTE_RESERVED @: \"_id\" is the entity's own id, which no field can set \
         | To find the entity by it, write \"unique_ids\": [\"_id\"].",
    );
    tells(
        "/mapping/events/ContractChanged/entities/1/scope/query/0/attribute",
        "\"_id\"",
        "error ATTRIBUTE_RESERVED @: \"_id\" is the entity's own id, which no query compares",
    );
    let takes_no = |field: &str, key: &str| {
        let entry = format!(
            r#"{{"entities": [{{"entity_schema": "s", "unique_ids": ["_id"],
                 "fields": [{{"attribute": "_id", {field}}}]}}]}}"#
        );
        let expected = format!(
            "error ATTRIBUTE_RESERVED /entities/0/fields/0/{key}: \"_id\" is the entity's own id, \
             which takes no \"{key}\""
        );
        assert_eq!(problems(&entry), [expected]);
    };
    takes_no(r#""constant": 1, "_type": "email""#, "_type");
    takes_no(r#""relations": {"items": []}"#, "relations");
    takes_no(r#""relation_refs": {"items": []}"#, "relation_refs");
    let typed = r#"[{"attribute": "_id", "constant": 1, "_type": "email"}]"#;
    for place in ["/fields/4/relations/items/0/unique_ids", "/scope/unique_ids"] {
        let found = problems(&changed(&format!("{CONTRACT}{place}"), typed));
        let expected = format!(
            "error ATTRIBUTE_RESERVED {CONTRACT}{place}/0/_type: \"_id\" is the entity's own id, \
             which takes no \"_type\""
        );
        assert_eq!(found, [expected]);
    }
}

#[test]
fn references() {
    const REFS: &str = "/fields/8/relation_refs";
    let item = format!("{REFS}/items/0");
    let missing = |place: &str, key: &str| {
        let expected = format!("error KEY_MISSING {CONTRACT}{place}: \"{key}\" is missing");
        tells_at(&format!("{place}/{key}"), "", &expected);
    };
    missing(REFS, "items");
    for key in ["entity_schema", "unique_ids", "path", "value"] {
        missing(&item, key);
    }
    missing(&format!("{item}/value"), "attribute");
    tells_at(
        &format!("{item}/value/field"),
        "",
        &format!(
            "error SOURCE_MISSING {CONTRACT}{item}/value: a value needs one of \"field\", \
             \"jsonataExpression\", \"constant\""
        ),
    );
    for place in [REFS.to_owned(), format!("{item}/value")] {
        tells_at(
            &format!("{place}/operation"),
            "\"append\"",
            "error VALUE_INVALID @: \"operation\" cannot be \"append\" | Did you mean \"_append\"?",
        );
    }
    let found = problems(&changed(&format!("{CONTRACT}{item}/value/field"), "\"$[\""));
    let invalid = format!("error PATH_INVALID {CONTRACT}{item}/value/field: ");
    assert!(found.len() == 1 && found[0].starts_with(&invalid), "{found:?}");
}

#[test]
fn what_references_cannot_be() {
    let item = "/fields/8/relation_refs/items/0";
    let unknown = |place: &str, hint: &str| {
        let key = place.rsplit('/').next().unwrap();
        let expected = format!("warning KEY_UNKNOWN @: unknown key \"{key}\" is ignored{hint}");
        tells_at(place, "1", &expected);
    };
    unknown("/fields/8/relation_refs/jsonataExpression", "");
    unknown(&format!("{item}/_tags"), "");
    unknown(&format!("{item}/paths"), " | Did you mean \"path\"?");
    unknown(&format!("{item}/value/_type"), "");
    for key in ["field", "constant", "jsonataExpression", "_type"] {
        let expected =
            format!("warning KEY_UNUSED @: \"{key}\" is ignored beside \"relation_refs\"");
        tells_at(&format!("/fields/8/{key}"), "\"x\"", &expected);
    }
    tells_at(
        "/fields/4/relation_refs",
        "{}",
        "warning KEY_UNUSED @: \"relation_refs\" is ignored beside \"relations\"",
    );
    tells_at(
        &format!("{item}/value/attribute"),
        "\"number\"",
        "error VALUE_INVALID @: \"number\" identifies the entity: it holds no list",
    );
    tells_at(
        &format!("{item}/value/attribute"),
        "\"_id\"",
        "error ATTRIBUTE_RESERVED @: \"_id\" is the entity's own id, which no field can set",
    );
    tells_at(
        &format!("{item}/unique_ids/1"),
        r#"{"attribute": "_id", "constant": 1}"#,
        "error VALUE_INVALID @: \"_id\" stands alone \
         | It is the entity's own id: name nothing beside it, or leave it out.",
    );
    // Typed, an identifier is a list.
    let typed = r#"[{"attribute": "address", "field": "x", "_type": "email"}]"#;
    assert_eq!(problems(&changed(&format!("{CONTRACT}{item}/unique_ids"), typed)), [""; 0]);
}

#[test]
fn an_attribute_that_is_not_stored_in_one_form() {
    let place = "/fields/7/relations/items/0/unique_ids/0";
    let conflict = |how: &str| {
        format!(
            "warning TYPE_CONFLICT {CONTRACT}{place}: \"mail\" of \"contract\" is mapped with \
             \"_type\": \"email\", and looked up {how} \
             | Write \"_type\": \"email\" here as well."
        )
    };
    tells_at(&format!("{place}/_type"), "", &conflict("without \"_type\""));
    tells_at(&format!("{place}/_type"), "\"phone\"", &conflict("with \"_type\": \"phone\""));
    // A field without a type may map the form itself; other entities have attributes of their own.
    for (place, value) in [
        ("/fields/6/_type", ""),
        ("/fields/7/relations/items/0/entity_schema", "\"contact\""),
        ("/fields/7/relations/items/0/unique_ids/0/attribute", "\"mail2\""),
        ("/fields/4/relations/items/0/unique_ids/0/attribute", "\"mail\""),
    ] {
        let found = problems(&changed(&format!("{CONTRACT}{place}"), value));
        assert_eq!(found, [""; 0], "{place} = {value}");
    }
}

#[test]
fn expressions_that_are_not_of_the_language() {
    let invalid = |source: &str, message: &str| {
        for place in [
            "/jsonataExpression",
            "/enabled",
            "/fields/2/jsonataExpression",
            "/fields/2/enabled",
            "/fields/5/relations/jsonataExpression",
            "/fields/4/relations/items/0/unique_ids/1/jsonataExpression",
        ] {
            tells_at(place, &quoted(source), &format!("error EXPRESSION_INVALID @: {message}"));
        }
    };
    invalid("a +", "S0207: unexpected end of expression (at position 3)");
    invalid("", "S0207: unexpected end of expression (at position 0)");
    invalid("(a", "S0203: expected \")\" before end of expression (at position 2)");
    invalid("a b", "S0201: syntax error: \"b\" (at position 3)");
    invalid("'a", "S0101: string literal must be terminated by a matching quote (at position 2)");
    invalid(
        &"x".repeat(65_537),
        "the expression is longer than 65536 bytes | The setting erp_toolkit.expression_max_length decides.",
    );
}

#[test]
fn paths_that_are_not_of_the_language() {
    for (path, message) in [
        ("$.", "not a JSONPath: "),
        ("$[", "not a JSONPath: "),
        ("$price", "not a JSONPath: "),
        ("$.a[", "not a JSONPath: "),
        ("$[?@.a==]", "not a JSONPath: "),
        ("$[01]", "not a JSONPath: "),
        ("$[9007199254740992]", ""),
        ("$[?nosuchfunction(@)]", ""),
    ] {
        let found = problems(&changed(&format!("{CONTRACT}/fields/1/field"), &quoted(path)));
        let expected = format!("error PATH_INVALID {CONTRACT}/fields/1/field: {message}");
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{path}: {found:?}");
        assert!(!found[0].contains('\n'), "{path}: {found:?}");
    }
    tells_at(
        "/fields/1/field",
        &quoted(&format!("$.{}", "a".repeat(999))),
        "error PATH_INVALID @: the path is longer than 1000 bytes",
    );
}

#[test]
fn paths_beyond_rfc_9535_are_refused() {
    let accepted: Vec<&str> = [
        // A blank in a name, or behind the path.
        "$.a b",
        "$..a b",
        "$.a ",
        "$[?@.a b==1]",
        "$[?@. a==1]",
        // A function that is none of the standard's.
        "$[?in(@.a, $.b)]",
        "$[?nin(@.a, $.b)]",
        "$[?any_of(@.a, $.b)]",
        "$[?none_of(@.a, $.b)]",
        "$[?subset_of(@.a, $.b)]",
        // Functions where, or of what, they cannot be.
        "$[?value(@.a)]",
        "$[?value(1)==1]",
        "$[?match(@.*, 'a')]",
        "$[?search(@.a, @.*)]",
    ]
    .into_iter()
    .filter(|path| {
        problems(&changed(&format!("{CONTRACT}/fields/1/field"), &quoted(path))).is_empty()
    })
    .collect();
    assert_eq!(accepted, [""; 0]);
}

#[test]
fn every_problem_is_told_at_once_in_the_document_s_order() {
    let document = r#"{
      "mapping": {"events": {"B": {"entities": [
        {"entity_schema": 5, "unique_ids": [], "fields": [{"attribute": "a", "field": "$["}],
         "mod": "upsert"},
        {"unique_ids": ["x", 1, "x"], "enabled": "(", "fields": {}}
      ]}, "A": []}}
    }"#;
    let found = problems(document);
    let heads: Vec<&str> =
        found.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    assert_eq!(
        heads,
        [
            "error KEY_MISSING ",
            "error TYPE_MISMATCH /mapping/events/A",
            "warning KEY_UNKNOWN /mapping/events/B/entities/0/mod",
            "error TYPE_MISMATCH /mapping/events/B/entities/0/entity_schema",
            "error VALUE_INVALID /mapping/events/B/entities/0/unique_ids",
            "error PATH_INVALID /mapping/events/B/entities/0/fields/0/field",
            "error KEY_MISSING /mapping/events/B/entities/1",
            "error TYPE_MISMATCH /mapping/events/B/entities/1/unique_ids/1",
            "error VALUE_INVALID /mapping/events/B/entities/1/unique_ids/2",
            "error EXPRESSION_INVALID /mapping/events/B/entities/1/enabled",
            "error TYPE_MISMATCH /mapping/events/B/entities/1/fields",
        ]
    );
}

#[test]
fn a_mapping_is_usable_unless_a_problem_is_an_error() {
    let usable = |document: &str| {
        let arena = Bump::new();
        compile(json(document, &arena)).mapping.is_some()
    };
    assert!(usable(DOCUMENT));
    assert!(usable(&changed("/comment", "1")), "a warning");
    assert!(!usable(&changed("/version", "\"1.0\"")));
    assert!(!usable(&changed(&format!("{CONTRACT}/fields/5/attribute"), "")));
}

#[test]
fn every_value_in_every_place_is_accepted_or_told_of_there() {
    let document: Json = serde_json::from_str(DOCUMENT).unwrap();
    let mut places = Vec::new();
    collect_places(&document, "", &mut places);
    assert!(places.len() > 70, "only {} places", places.len());
    for place in &places {
        for value in ["null", "true", "5", "\"text\"", "[]", "{}", "[null]", r#"{"x": null}"#] {
            let found = problems(&changed(place, value));
            let here = |problem: &&String| {
                let told = problem.split(' ').nth(2).unwrap().trim_end_matches(':');
                told == place || told.starts_with(&format!("{place}/"))
            };
            let is_told = found.iter().any(|problem| here(&problem));
            assert!(is_told || accepts(&document, place, value), "{place} = {value}: {found:?}");
        }
    }
}

#[test]
fn words_are_near_by_their_letters() {
    let known = ["entity_schema", "unique_ids", "fields", "id"];
    for (word, near) in [
        ("field", Some("fields")),
        ("feilds", Some("fields")),
        ("FIELDS", Some("fields")),
        ("entityschema", Some("entity_schema")),
        ("uniqueIds", Some("unique_ids")),
        ("di", Some("id")),
        ("x", None),
        ("something else", None),
        ("", None),
    ] {
        assert_eq!(nearest(word, known), near, "{word}");
    }
    assert_eq!(nearest(&"f".repeat(10_000), known), None);
    assert_eq!(nearest("a", []), None);
}

// How the cases are run

/// The problems of a document: severity, code, place, message and hint, a line each.
fn problems(document: &str) -> Vec<String> {
    let arena = Bump::new();
    let compiled = compile(json(document, &arena));
    let problem = |problem: &erp_engine::mapping::Problem| {
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let hint = problem.hint.as_ref().map(|hint| format!(" | {hint}")).unwrap_or_default();
        format!("{severity} {} {}: {}{hint}", problem.code, problem.path, problem.message)
    };
    compiled.problems.iter().map(problem).collect()
}

/// With `value` at `place` (a JSON Pointer; nothing: without it) the document has the one problem
/// `expected`, whose `@` stands for the place.
fn tells(place: &str, value: &str, expected: &str) {
    let found = problems(&changed(place, value));
    assert_eq!(found, [expected.replacen('@', place, 1)], "{place} = {value}");
}

/// As [`tells`], of a place in the first entry.
fn tells_at(place: &str, value: &str, expected: &str) {
    tells(&format!("{CONTRACT}{place}"), value, expected);
}

/// The document with `value` at `place`.
fn changed(place: &str, value: &str) -> String {
    with(DOCUMENT, place, value)
}

/// A document with `value` at `place`; past a list's end it is added, no value removes.
fn with(document: &str, place: &str, value: &str) -> String {
    let mut document: Json = serde_json::from_str(document).unwrap();
    let (parent, last) = place.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("{place}"));
    let value = (!value.is_empty()).then(|| serde_json::from_str(value).unwrap());
    match (parent, value) {
        (Json::Object(members), Some(value)) => drop(members.insert(last.to_owned(), value)),
        (Json::Object(members), None) => drop(members.remove(last).expect(place)),
        (Json::Array(items), Some(value)) => match items.get_mut(last.parse::<usize>().unwrap()) {
            Some(item) => *item = value,
            None => items.push(value),
        },
        _ => panic!("{place} cannot be changed"),
    }
    document.to_string()
}

/// The JSON Pointer of every value but the document itself.
fn collect_places(value: &Json, at: &str, places: &mut Vec<String>) {
    let children: Vec<(String, &Json)> = match value {
        Json::Object(members) => members.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Json::Array(items) => {
            items.iter().enumerate().map(|(i, item)| (i.to_string(), item)).collect()
        }
        _ => Vec::new(),
    };
    for (key, child) in children {
        let place = format!("{at}/{key}");
        collect_places(child, &place, places);
        places.push(place);
    }
}

/// Whether the language accepts `value` at `place`.
fn accepts(document: &Json, place: &str, value: &str) -> bool {
    let key = place.rsplit('/').next().unwrap();
    match (key, value) {
        ("constant", _) => true,
        ("enabled", "true" | "\"text\"") => true,
        ("events", "{}") => true,
        ("entities" | "fields" | "items" | "_tags", "[]") => true,
        ("version" | "mode" | "scope_mode" | "operation" | "_type", _) => false,
        (_, "\"text\"") => document.pointer(place).unwrap().is_string(),
        _ => false,
    }
}

/// The name of a JSON text's type.
fn type_name(text: &str) -> &'static str {
    let arena = Bump::new();
    json(text, &arena).type_name()
}

/// A string as JSON.
fn quoted(string: &str) -> String {
    Json::from(string).to_string()
}
