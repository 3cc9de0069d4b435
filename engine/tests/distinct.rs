//! `$distinct` gives the same of a few items, which JSONata itself compares with each other, and of
//! very many, which are told apart at once.

mod support;

use std::time::{Duration, Instant};

use bumpalo::Bump;
use erp_engine::expr::{CancelToken, Context, Failure, Jsonata, Limits};
use support::{NOW, json};

/// What `expression` gives on `payload`, as text.
fn evaluate(expression: &str, payload: &str) -> Result<Option<String>, Failure> {
    let arena = Bump::new();
    let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
    let tree = Jsonata::compile(expression)?.evaluate(Some(json(payload, &arena)), &context)?;
    tree.map(|tree| Ok(context.keep(tree)?.to_string())).transpose()
}

fn gives(expression: &str, payload: &str, expected: &str) {
    let expected = json(expected, &Bump::new()).to_string();
    assert_eq!(evaluate(expression, payload).unwrap(), Some(expected), "{expression}");
}

/// Values of all kinds, and which of them are the first of their value.
const ITEMS: [(&str, bool); 20] = [
    ("1", true),
    ("\"1\"", true),
    ("1.0", false),
    ("true", true),
    ("\"true\"", true),
    ("null", true),
    ("\"null\"", true),
    ("\"\"", true),
    ("0", true),
    ("-0", false),
    ("false", true),
    ("[]", true),
    ("{}", true),
    ("[1, [2]]", true),
    ("[1, [2]]", false),
    ("[1, 2]", true),
    (r#"{"a": 1, "b": {"c": 12345678901234567890}}"#, true),
    (r#"{"b": {"c": 12345678901234567890}, "a": 1}"#, false),
    (r#"{"a": 1, "b": {"c": "12345678901234567890"}}"#, true),
    (r#""[1,2]""#, true),
];

/// The items, and those to be kept, with `more` other ones that are all different.
fn lists(more: usize) -> (String, String) {
    let other = |n: usize| format!(r#"{{"n": {n}, "s": "é\"{n}", "d": {n}.50}}"#);
    let others: Vec<String> = (0..more).map(other).collect();
    let of = |all: bool| {
        let items = ITEMS.iter().filter(|(_, is_first)| all || *is_first);
        let items = items.map(|(item, _)| (*item).to_owned());
        format!("[{}]", items.chain(others.iter().cloned()).collect::<Vec<_>>().join(", "))
    };
    (of(true), of(false))
}

#[test]
fn of_equal_items_the_first_is_kept_however_many_there_are() {
    for more in [0, 10, 3_000] {
        let (all, kept) = lists(more);
        let payload = format!(r#"{{"xs": {all}, "o": {{"xs": {all}}}}}"#);
        for expression in [
            "$distinct(xs)",
            "xs ~> $distinct",
            "xs ~> $distinct()",
            "o.$distinct(xs)",
            "$distinct(o.xs)",
            "$distinct($append(xs, xs))",
            "$reduce([1..2], function($xs, $i) {$distinct($xs)}, xs)",
            "($filter := 1; $lookup := 2; $string := 3; $distinct(xs))",
            "$eval('$distinct(xs)')",
            "$distinct(xs) /* done */",
        ] {
            gives(expression, &payload, &kept);
        }
    }
}

#[test]
fn what_is_of_one_value_stays_what_it_is() {
    for count in [2, 9_000] {
        let ones = vec!["{\"a\": 1}"; count].join(",");
        let payload = format!(r#"{{"xs": [{ones}]}}"#);
        gives("$distinct(xs)", &payload, r#"[{"a": 1}]"#);
        gives("$distinct(xs.a)", &payload, "1");
        gives(&format!("$distinct([1..{count}].(1))"), &payload, "1");
        gives("$distinct([xs.a])", &payload, "[1]");
    }
    assert_eq!(evaluate("$distinct(nothing)", "{}"), Ok(None));
    gives("$distinct('x')", "{}", "\"x\"");
    gives("$distinct([])", "{}", "[]");
    gives("($distinct := function($x) {$x & '!'}; $distinct('x'))", "{}", "\"x!\"");
}

#[test]
fn an_error_beside_it_keeps_its_place() {
    let alone = evaluate("'é𝄞' & [1, 2] & $sum('x')", "{}").unwrap_err();
    let beside = evaluate("'é𝄞' & [1, 2] & $sum('x') & $distinct([1])", "{}").unwrap_err();
    assert_eq!((alone.position, &alone.code), (beside.position, &beside.code));
    let within = evaluate("'é𝄞' & $distinct(1, 2, 3)", "{}").unwrap_err();
    assert_eq!((within.position, within.code.as_deref()), (Some(18), Some("T0410")));
    // Where digits are put back in as well.
    let number = r#"{"n": 12345678901234567890}"#;
    let written = evaluate("'é𝄞' & n & [1, 2] & $sum('x')", number).unwrap_err();
    assert_eq!(written.position, alone.position.map(|position| position + " & n".len()));
}

#[test]
fn ten_times_as_many_items_take_about_ten_times_as_long() {
    for item in [
        |n: usize| n.to_string(),
        |n| format!("{{\"id\": {n}}}"),
        |n| format!("{{\"a\": [1, 2, 3, {{\"b\": \"{}\"}}], \"n\": {n}}}", "x".repeat(200)),
    ] {
        let took = |count: usize| {
            let items: Vec<String> = (0..count).map(item).collect();
            let payload = format!(r#"{{"xs": [{}]}}"#, items.join(","));
            // The least of three tries: what else the machine does is no part of it.
            let tries = (0..3).map(|_| {
                let begun = Instant::now();
                let kept = evaluate("$count($distinct(xs))", &payload);
                let took = begun.elapsed();
                assert_eq!(kept, Ok(Some(count.to_string())));
                took
            });
            tries.min().unwrap()
        };
        let few = took(1_000).max(Duration::from_millis(5));
        let many = took(10_000);
        assert!(many < few * 40, "{few:?}, then {many:?}");
    }
}
