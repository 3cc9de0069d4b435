//! What a mapping reads and writes, told from its compiled form.

mod support;

use bumpalo::Bump;
use erp_engine::error::Code;
use erp_engine::explain::{Row, diagram, explain};
use erp_engine::expr::CancelToken;
use erp_engine::mapping::{Mapping, compile};
use support::json;

/// The mapping of an event `E` with `entities`.
fn mapping(entities: &str) -> Mapping {
    let events = format!(r#"{{"E": {{"entities": {entities}}}}}"#);
    document(&format!(r#"{{"version": "2.0", "mapping": {{"events": {events}}}}}"#))
}

fn document(text: &str) -> Mapping {
    let arena = Bump::new();
    let compiled = compile(json(text, &arena));
    compiled.mapping.unwrap_or_else(|| panic!("{text}: {:?}", compiled.problems))
}

/// `role attribute -> target operation: kind expression < reads_from source`
fn line(row: &Row<'_>) -> String {
    let mut line = row.role.name().to_owned();
    if let Some(attribute) = row.attribute {
        line.push_str(&format!(" {attribute}"));
    }
    if let Some((slug, attribute)) = &row.target {
        line.push_str(&format!(" -> {slug}.{attribute}"));
    }
    if let Some(operation) = row.operation {
        line.push_str(&format!(" {}", operation.name()));
    }
    line.push_str(&format!(": {} {}", row.kind.name(), row.expression));
    let source: Vec<String> = row.reads.paths().map(|path| path.to_string()).collect();
    if !source.is_empty() {
        line.push_str(&format!(" < {} {}", row.reads_from.name(), source.join(", ")));
    }
    line
}

fn lines(entities: &str) -> Vec<String> {
    let mapping = mapping(entities);
    let rows = explain(&mapping, Some("E"), &CancelToken::new()).unwrap();
    rows.iter().map(line).collect()
}

/// An entry with `keys` beside its schema and identifier.
fn entry(keys: &str) -> String {
    format!(r#"{{"entity_schema": "thing", "unique_ids": ["id"], {keys}}}"#)
}

#[test]
fn each_source_is_a_row() {
    let fields = r#""fields": [
        {"attribute": "id", "field": "no"},
        {"attribute": "key", "field": "a.b"},
        {"attribute": "path", "field": "$.a.b"},
        {"attribute": "expression", "jsonataExpression": "a.b & c"},
        {"attribute": "constant", "constant": {"n": 1.10}, "field": "never"}]"#;
    assert_eq!(
        lines(&format!("[{}]", entry(fields))),
        [
            "identifier id: field no < payload no",
            "attribute key: field a.b < payload `a.b`",
            "attribute path: jsonpath $.a.b < payload a.b",
            "attribute expression: jsonata a.b & c < payload a.b, c",
            r#"attribute constant: constant {"n":1.10}"#,
        ]
    );
}

#[test]
fn fields_read_the_items_of_the_entrys_own_expression() {
    let keys = r#""jsonataExpression": "meters[on].{'n': number}", "enabled": "$count($) > 0",
        "fields": [{"attribute": "id", "field": "n", "enabled": "t = 1"},
                   {"attribute": "source", "constant": "ERP"}]"#;
    assert_eq!(
        lines(&format!("[{}]", entry(keys))),
        [
            "items: jsonata meters[on].{'n': number} < payload meters.number, meters.on",
            "enabled: jsonata $count($) > 0 < item *",
            "enabled id: jsonata t = 1 < item t",
            "identifier id: field n < item n",
            r#"attribute source: constant "ERP""#,
        ]
    );
}

#[test]
fn what_is_switched_off_reads_nothing_more() {
    let fields = r#""fields": [{"attribute": "id", "field": "id"},
                               {"attribute": "a", "field": "a", "enabled": false}]"#;
    let off = r#""enabled": false, "jsonataExpression": "items", "fields": []"#;
    assert_eq!(
        lines(&format!("[{}, {}]", entry(fields), entry(off))),
        [
            "identifier id: field id < payload id",
            "enabled a: constant false",
            "enabled: constant false"
        ]
    );
}

#[test]
fn each_identifier_of_a_target_is_a_row() {
    let relations = r#""fields": [{"attribute": "links", "relations": {"operation": "_append",
        "items": [
            {"entity_schema": "account", "unique_ids": [
                {"attribute": "number", "field": "account"},
                {"attribute": "kind", "constant": "MAIN"}]},
            {"entity_schema": "contact", "unique_ids": [
                {"attribute": "email", "jsonataExpression": "mail.address"}]}]}},
        {"attribute": "none", "relations": {"items": []}}]"#;
    assert_eq!(
        lines(&format!("[{}]", entry(relations))),
        [
            "relation links -> account.number _append: field account < payload account",
            r#"relation links -> account.kind _append: constant "MAIN""#,
            "relation links -> contact.email _append: jsonata mail.address < payload mail.address",
            "relation none _set: constant []",
        ]
    );
}

#[test]
fn relations_of_an_expression_have_the_targets_that_it_names() {
    let item = "{'entity_schema': 's', 'unique_ids': [{'attribute': 'k', 'constant': k}, \
                {'attribute': 'l', 'field': 'l'}]}";
    let relations = |expression: &str| {
        let relations = format!(r#"{{"jsonataExpression": "{expression}"}}"#);
        let fields = format!(r#""fields": [{{"attribute": "a", "relations": {relations}}}]"#);
        lines(&format!("[{}]", entry(&fields)))
    };
    assert_eq!(
        relations(&format!("xs.{item}")),
        [
            format!("relation a -> s.k _set: jsonata xs.{item} < payload l, xs.k"),
            format!("relation a -> s.l _set: jsonata xs.{item} < payload l, xs.k")
        ]
    );
    assert_eq!(relations("xs"), ["relation a _set: jsonata xs < payload *"]);
}

#[test]
fn a_scope_reads_the_payload() {
    let keys =
        r#""jsonataExpression": "meters", "mode": "upsert-prune-scope-delete", "fields": []"#;
    let relations = r#""scope": {"scope_mode": "relations", "schema": "account", "unique_ids": [
        {"attribute": "number", "field": "$.account.no"}]}"#;
    let query = r#""scope": {"scope_mode": "query", "query": [
        {"attribute": "owner", "jsonataExpression": "owner.id"},
        {"attribute": "kind", "constant": "E"}]}"#;
    let scoped = |scope: &str| lines(&format!("[{}]", entry(&format!("{keys}, {scope}"))));
    assert_eq!(
        scoped(relations)[1..],
        ["scope -> account.number: jsonpath $.account.no < payload account.no"]
    );
    assert_eq!(
        scoped(query)[1..],
        [
            "scope -> thing.owner: jsonata owner.id < payload owner.id",
            r#"scope -> thing.kind: constant "E""#
        ]
    );
}

#[test]
fn rows_name_their_place() {
    let fields = r#""enabled": "e", "jsonataExpression": "i", "mode": "upsert-prune-scope-purge",
        "scope": {"scope_mode": "query", "query": [{"attribute": "q", "field": "q"}]},
        "fields": [{"attribute": "id", "field": "id", "enabled": "e"},
            {"attribute": "l", "relations": {"items": [{"entity_schema": "s", "unique_ids": [
                {"attribute": "k", "field": "k"}, {"attribute": "l", "field": "l"}]}]}},
            {"attribute": "d", "relations": {"jsonataExpression": "d"}},
            {"attribute": "n", "relations": {"items": []}}]"#;
    let mapping = mapping(&format!("[{}, {}]", entry(r#""fields": []"#), entry(fields)));
    let rows = explain(&mapping, None, &CancelToken::new()).unwrap();
    assert!(rows.iter().all(|row| (row.event_name, row.entry) == (Some("E"), 2)));
    let places: Vec<&str> = rows
        .iter()
        .map(|row| row.pointer.strip_prefix("/mapping/events/E/entities/1").unwrap())
        .collect();
    assert_eq!(
        places,
        [
            "/jsonataExpression",
            "/enabled",
            "/fields/0/enabled",
            "/fields/0",
            "/fields/1/relations/items/0/unique_ids/0",
            "/fields/1/relations/items/0/unique_ids/1",
            "/fields/2/relations/jsonataExpression",
            "/fields/3/relations/items",
            "/scope/query/0",
        ]
    );
}

#[test]
fn one_event_or_all() {
    let text = r#"{"version": "2.0", "mapping": {"events": {
        "A": {"entities": [{"entity_schema": "a", "unique_ids": ["i"], "fields": [
            {"attribute": "i", "field": "i"}]}]},
        "B": {"entities": [{"entity_schema": "b", "unique_ids": ["i"], "fields": [
            {"attribute": "i", "field": "i"}]}]}}}}"#;
    let mapping = document(text);
    let slugs = |name: Option<&str>| {
        let rows = explain(&mapping, name, &CancelToken::new()).unwrap();
        rows.iter().map(|row| row.entity_slug).collect::<String>()
    };
    assert_eq!((slugs(None), slugs(Some("B"))), ("ab".into(), "b".into()));
    let unknown = explain(&mapping, Some("C"), &CancelToken::new()).unwrap_err();
    assert_eq!(unknown.code, Code::EventNotConfigured);
}

#[test]
fn the_bare_form_fits_any_event() {
    let mapping = document(
        r#"{"entities": [{"entity_schema": "a", "unique_ids": ["i"],
            "fields": [{"attribute": "i", "field": "i"}]}]}"#,
    );
    let name = |name| explain(&mapping, name, &CancelToken::new()).unwrap()[0].event_name;
    assert_eq!((name(None), name(Some("x"))), (None, Some("x")));
}

#[test]
fn it_can_be_cancelled() {
    let cancel = CancelToken::new();
    cancel.cancel();
    let mapping =
        mapping(&format!("[{}]", entry(r#""fields": [{"attribute": "a", "field": "a"}]"#)));
    let error = explain(&mapping, None, &cancel).unwrap_err();
    assert_eq!(error.code, Code::ExpressionLimitExceeded);
}

fn drawn(entities: &str) -> String {
    diagram(&explain(&mapping(entities), Some("E"), &CancelToken::new()).unwrap())
}

#[test]
fn a_diagram_leads_from_fields_to_attributes_to_what_is_looked_up() {
    let contact = r#"{"entity_schema": "contact", "unique_ids": ["number"], "enabled": "on",
        "fields": [
            {"attribute": "number", "field": "id", "enabled": "on"},
            {"attribute": "name", "jsonataExpression": "name.first & name.last", "enabled": "on"},
            {"attribute": "source", "constant": "ERP", "enabled": "on"},
            {"attribute": "old", "field": "old", "enabled": false},
            {"attribute": "parent", "relations": {"items": [{"entity_schema": "contact",
                "unique_ids": [{"attribute": "number", "field": "parent"}]}]}},
            {"attribute": "account", "relations": {"items": [{"entity_schema": "account",
                "unique_ids": [{"attribute": "iban", "field": "iban"}]}]}}]}"#;
    let meter = r#"{"entity_schema": "meter", "unique_ids": ["no"], "jsonataExpression": "meters",
        "mode": "upsert-prune-scope-delete", "scope": {"scope_mode": "relations",
            "schema": "contact", "unique_ids": [{"attribute": "number", "field": "id"}]},
        "fields": [{"attribute": "no", "field": "number"}]}"#;
    let expected = r##"flowchart LR
  subgraph g1["E"]
    n11["on"]
    n12["id"]
    n13["name.first"]
    n14["name.last"]
    n15["parent"]
    n16["iban"]
    n18["meters"]
  end
  subgraph g2["contact (upsert)"]
    n1{"enabled"}
    n2(["number"])
    n3["name"]
    n4["source = #34;ERP#34;"]
    n5["parent"]
    n6["account"]
    n7["old (disabled)"]
  end
  subgraph g3["meter (upsert-prune-scope-delete)"]
    n8[/"items"/]
    n9(["no"])
    n10[/"scope"/]
  end
  subgraph g4["account (looked up)"]
    n17(["iban"])
  end
  n11 --> n1
  n11 -.->|"enables"| n2
  n12 --> n2
  n11 -.->|"enables"| n3
  n13 --> n3
  n14 --> n3
  n11 -.->|"enables"| n4
  n15 --> n5
  n5 -.->|"#95;set"| n2
  n16 --> n6
  n6 -.->|"#95;set"| n17
  n18 --> n8
  n8 -->|"number"| n9
  n12 --> n10
  n10 -.->|"prunes"| n2
"##;
    assert_eq!(drawn(&format!("[{contact}, {meter}]")), expected);
}

#[test]
fn any_text_is_a_label() {
    for (name, label) in [
        ("plain", "plain"),
        ("first_name", "first_name"),
        ("end", "end"),
        ("größe 1", "größe 1"),
        (r#"say \"hi\""#, "say #34;hi#34;"),
        ("a[b](c){d}|e|", "a#91;b#93;(c)#123;d#125;#124;e#124;"),
        ("#35; &amp; <b>", "#35;35#59; #38;amp#59; #60;b#62;"),
        ("`code` *bold* __init__", "#96;code#96; #42;bold#42; #95;#95;init#95;#95;"),
        ("1. one", "1#46; one"),
        ("1) one", "1#41; one"),
        ("- one", "#45; one"),
        ("two\\nlines\\t", "two lines"),
        (" ", "#160;"),
        ("\\u2028", "#160;"),
        ("www.a.b@c.d", "www#46;a.b#64;c.d"),
        ("http://x.y", "http#58;#47;#47;x.y"),
        ("%%{init: {}}%%", "#37;#37;#123;init#58; #123;#125;#125;#37;#37;"),
        ("😀", "#128512;"),
        // Words that Mermaid finds inside quotes, and the sign it writes entities with.
        ("a direction TB", "a direction#32;TB"),
        ("ﬂ°°35¶ß", "#64258;#176;#176;35#182;ß"),
    ] {
        let fields = format!(r#""fields": [{{"attribute": "{name}", "field": "f"}}]"#);
        let drawn = drawn(&format!("[{}]", entry(&fields)));
        assert!(drawn.contains(&format!("n1[\"{label}\"]")), "{name}: {drawn}");
    }
    let long = "x".repeat(10_000);
    let drawn = drawn(&format!(
        "[{}]",
        entry(&format!(r#""fields": [{{"attribute": "{long}", "field": "{long}"}}]"#))
    ));
    assert_eq!(drawn.matches(&format!("\"{}…\"", "x".repeat(99))).count(), 2);
}
