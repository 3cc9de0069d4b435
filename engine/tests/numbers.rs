//! Numbers stay what the ERP wrote, to the last digit, wherever they are copied or handed through;
//! only arithmetic is double precision, and what it loses digits of identifies nothing.

mod support;

use bumpalo::Bump;
use erp_engine::error::Code;
use erp_engine::expr::{CancelToken, Context, FailureKind, Jsonata, Limits};
use support::cases::{evaluates, identifier, links, quoted, takes, yields};
use support::{NOW, attributes, entry, json};

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
fn numbers_in_a_list_that_is_the_payload_stay_exact_beside_what_is_computed() {
    for number in EXACT {
        let payload = format!(r#"[{{"n": {number}, "q": 2}}, [{{"n": {number}, "q": 3}}]]"#);
        let both = format!(r#"[{{"m": {number}, "t": 4}}, {{"m": {number}, "t": 6}}]"#);
        evaluates("$.{'m': n, 't': q * 2}", &payload, &both);
        evaluates("$[0].{'m': n, 't': q * 2}.m", &payload, number);
    }
    // What is computed with is a double, in a list as anywhere.
    evaluates("$sum($)", "[1.10, 2.20]", "3.3000000000000003");
    evaluates("$.(n * 1)", r#"[{"n": 1.10}]"#, "1.1");
    evaluates("$.($ * 1)", "[1.10]", "1.1");
}

/// `$join` takes strings: how large a number is does not make one of it.
#[test]
fn a_number_is_no_string_to_join_whatever_its_size() {
    for number in ["5", "1.10", "9007199254740993", "12345678901234567890"] {
        let joined = |payload: &str| {
            attributes(r#"[{"attribute": "a", "jsonataExpression": "$join(n, '-')"}]"#, payload)
        };
        for payload in [format!(r#"{{"n": {number}}}"#), format!(r#"{{"n": [{number}, "x"]}}"#)] {
            assert_eq!(
                joined(&payload).unwrap_err().code,
                Code::MappingExpressionFailed,
                "{payload}"
            );
        }
        let payload = format!(r#"{{"n": {number}}}"#);
        let text = if number == "1.10" { "\"1.1-x\"".into() } else { format!("\"{number}-x\"") };
        evaluates("$join([$string(n), 'x'], '-')", &payload, &text);
    }
}

#[test]
fn a_number_that_is_copied_and_written_stays_a_number() {
    for number in ["5", "9007199254740993", "12345678901234567890", "-12345678901234567890"] {
        let payload = format!(
            r#"{{"n": {number}, "xs": [{number}, 7, 1.5], "o": {{"n": {number}, "d": 0.5}}, "k": [{{"n": {number}}}]}}"#
        );
        for (expression, expected) in [
            (
                "{'id': n, 'label': 'C-' & n}",
                format!(r#"{{"id": {number}, "label": "C-{number}"}}"#),
            ),
            (
                "{'id': n, 'label': $string(n)}",
                format!(r#"{{"id": {number}, "label": "{number}"}}"#),
            ),
            (
                "{'id': n, 'label': n.$string()}",
                format!(r#"{{"id": {number}, "label": "{number}"}}"#),
            ),
            (
                "{'id': n, 'label': $uppercase('c-' & n & '!')}",
                format!(r#"{{"id": {number}, "label": "C-{number}!"}}"#),
            ),
            (
                "{'is': $length('' & n) = $length($string(n)), 'id': n}",
                format!(r#"{{"id": {number}, "is": true}}"#),
            ),
            (
                "k.{'id': n, 'label': 'C-' & n}",
                format!(r#"{{"id": {number}, "label": "C-{number}"}}"#),
            ),
            ("k.{'id': n, $string(n): 1}", format!(r#"{{"id": {number}, "{number}": 1}}"#)),
            (
                "($m := n; {'id': $m, 'label': 'C-' & $m})",
                format!(r#"{{"id": {number}, "label": "C-{number}"}}"#),
            ),
            ("k[0].('C-' & $.n)", format!(r#""C-{number}""#)),
            ("$map(k, function($k) {'C-' & $k.n})", format!(r#""C-{number}""#)),
            ("'é𝄞' & n /* & */ & (1; n)", format!(r#""é𝄞{number}{number}""#)),
            ("'C-' & xs", format!(r#""C-[{number},7,1.5]""#)),
            ("'C-' & o", format!(r#""C-{{\"d\":0.5,\"n\":{number}}}""#)),
            ("$string(k)", format!(r#""[{{\"n\":{number}}}]""#)),
            (
                "{'xs': xs, 'label': 'C-' & xs}",
                format!(r#"{{"xs": [{number}, 7, 1.5], "label": "C-[{number},7,1.5]"}}"#),
            ),
            ("xs[0] & ''", format!(r#""{number}""#)),
            ("*.n & ''", format!(r#""[{number},{number}]""#)),
        ] {
            evaluates(expression, &payload, &expected);
        }
    }
}

/// What is put into an expression nests it deeper than it may be; that fails as any such expression.
#[test]
fn digits_of_an_expression_that_is_nested_as_deeply_as_may_be() {
    let compiled = |depth: usize| {
        Jsonata::compile(&format!("{}'' & n{}", "(".repeat(depth), ")".repeat(depth)))
    };
    let evaluated = |depth: usize| {
        let arena = Bump::new();
        let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
        let payload = json(r#"{"n": 12345678901234567890}"#, &arena);
        let result = compiled(depth).unwrap().evaluate(Some(payload), &context);
        result.map(|tree| context.keep(tree.unwrap()).unwrap().to_string())
    };
    let depths: Vec<usize> = (1..5_000).collect();
    let deepest = depths.partition_point(|depth| compiled(*depth).is_ok());
    assert_eq!(evaluated(deepest).unwrap_err().kind, FailureKind::Syntax);
    assert_eq!(evaluated(deepest - 10).unwrap(), "\"12345678901234567890\"");
}

#[test]
fn a_decimal_that_is_copied_and_written_keeps_its_zeros() {
    let payload = r#"{"n": 1.10, "xs": [1.10, 2]}"#;
    evaluates("{'id': n, 'label': 'C-' & n}", payload, r#"{"id": 1.10, "label": "C-1.1"}"#);
    evaluates(
        "{'id': xs, 'label': 'C-' & xs}",
        payload,
        r#"{"id": [1.10, 2], "label": "C-[1.1,2]"}"#,
    );
    evaluates("'C-' & n", payload, r#""C-1.1""#);
}

#[test]
fn a_number_that_is_computed_with_is_a_double_where_it_is_written() {
    let payload = r#"{"n": 9007199254740993}"#;
    evaluates(
        "{'label': 'C-' & n, 'next': n + 1}",
        payload,
        r#"{"label": "C-9007199254740992", "next": 9007199254740992}"#,
    );
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
fn what_is_computed_is_not_written_like_a_number_that_was_read() {
    let payload = r#"{"amount": 2.00, "half": 0.50, "items": [1, 7]}"#;
    for (expression, expected) in [
        ("{'amount': amount, 'lines': $count(items)}", r#"{"amount": 2.00, "lines": 2}"#),
        ("amount > 1 ? $count(items)", "2"),
        ("amount > 1 ? 2 : 0", "2"),
        ("half < 1 ? 1 / 2", "0.5"),
        ("amount * 1", "2"),
    ] {
        evaluates(expression, payload, expected);
    }
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

/// 1 and 400 zeros, as jsonb prints 1e400.
fn exact_1e400() -> String {
    format!("1{}", "0".repeat(400))
}
