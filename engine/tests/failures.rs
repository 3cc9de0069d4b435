//! How mapping fails: an error says where, never what the payload held; every limit is reported as
//! one, and soon; a cancelled call stops; no payload overflows the stack.

mod support;

use std::time::{Duration, Instant};

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::expr::{CancelToken, Context, Failure, FailureKind, Jsonata, Limits, Path};
use erp_engine::jsonb::{Tree, Value, check, encode};
use erp_engine::map::map;
use erp_engine::mapping::compile;
use support::cases::{evaluates, fails, quoted, rows};
use support::{NOW, attributes, entry, json, keep};

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
    let not_a_number = "unable to cast value to a number: (a value)";
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
    ] {
        let entry = format!(r#"{{"fields": [{{"attribute": "a", {source}}}]}}"#);
        let detail = format!("{attribute}{expression}{engine}");
        failed(&entry, &format!("thing.a: {not_a_number}"), &detail);
    }
    // An expression that an expression made may be the payload's: what made it is shown.
    let relations = format!(r#""relations": {{"jsonataExpression": {}}}"#, quoted(item));
    let entry = format!(r#"{{"fields": [{{"attribute": "a", {relations}}}]}}"#);
    let detail = format!("{attribute}\nExpression: {item}\nEngine code: D3030");
    failed(&entry, &format!("thing.a: {not_a_number}"), &detail);
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
fn what_the_author_says_stays_as_written() {
    for (expression, said) in [
        ("$error('Too late')", "Too late"),
        ("$assert(false, 'No IBAN')", "No IBAN"),
        ("$error('\u{c4}ndern')", "\u{c4}ndern"),
    ] {
        let fields = format!(r#"[{{"attribute": "a", "jsonataExpression": "{expression}"}}]"#);
        fails(&fields, "{}", Code::MappingExpressionFailed, &format!("thing.a: {said}"));
    }
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
    let nested = "($f := function($x, $n) {$n = 0 ? $x : $f({'a': $x}, $n - 1)}; $f(1, 2000))";
    let shared =
        "($f := function($x, $n) {$n = 0 ? $x : $f({'a': $x, 'b': $x}, $n - 1)}; $f(1, 40))";
    for (limit, expression) in [
        ("timeout", "($f := function() {$f()}; $f())"),
        ("timeout", "$match('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', /(a+)+b/)"),
        ("max_steps", "($f := function() {$f()}; $f())"),
        ("max_steps", "$sum([1..5000].($ + 1))"),
        ("max_depth", "($f := function($n) {1 + $f($n)}; $f(1))"),
        ("max_array_length", "[1..6]"),
        ("max_array_length", "xs.($ + 1)"),
        ("max_array_length", "$append([1..4], [1..4])"),
        ("max_string_length", "$pad('', 101, 'x')"),
        ("max_string_length", "$join(xs.$pad('', 50))"),
        ("max_string_length", "($f := function($s) {$f($s & $s)}; $f('x'))"),
        ("max_string_length", "$string([1..100])"),
        ("max_result_size", "[1..50].$pad('', 90)"),
        ("max_result_size", shared),
        // The engine's own: no setting decides them.
        ("", "[1..100000000]"),
        ("", "$pad('', 100000000)"),
        ("", nested),
    ] {
        let started = Instant::now();
        for_each_place(expression, |entry| {
            let payload = r#"{"xs": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}"#;
            let result = limited(entry, payload, &small(limit), CancelToken::new());
            let error = result.expect_err(expression);
            assert_eq!(error.code, Code::ExpressionLimitExceeded, "{expression}: {error:?}");
            let named = (!limit.is_empty()).then_some(limit);
            assert_eq!(error.limit, named, "{expression}: {error:?}");
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
    let items: Vec<String> = (0..20_000).map(|i| i.to_string()).collect();
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

/// The least time of three tries: what else the machine does is no part of it.
fn least(mut took: impl FnMut() -> Duration) -> Duration {
    (0..3).map(|_| took()).min().unwrap()
}

/// A regular expression may be large, a payload long: their product must not be waited for.
#[test]
fn regular_expressions_of_a_path_are_limited() {
    let arena = Bump::new();
    let took = |items: usize| {
        let items = Tree::Array(vec![Value::String("abc").into(); items]);
        least(|| {
            let path = Path::compile(r"$[?match(@, '[\\p{L}]{20}')]").unwrap();
            let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
            let started = Instant::now();
            let _ = path.evaluate(keep(&items, &arena), &context);
            started.elapsed()
        })
    };
    let one = took(1).max(Duration::from_millis(5));
    let many = took(60);
    assert!(many < one * 20, "60 items take {many:?}, one takes {one:?}");
}

/// To find out what a regular expression costs takes as long as to use it.
#[test]
fn many_large_regular_expressions_do_not_add_up_when_a_path_is_compiled() {
    let took = |count: u32| {
        let patterns = (0..count).map(|i| format!(r"match(@, '\\p{{L}}{{{}}}')", 50 + i));
        let path = format!("$[?{}]", patterns.collect::<Vec<_>>().join(" || "));
        least(|| {
            let started = Instant::now();
            assert!(Path::compile(&path).is_ok());
            started.elapsed()
        })
    };
    let (few, many) = (took(3), took(35));
    assert!(many < few * 4, "35 take {many:?}, 3 take {few:?}");
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
fn a_panic_of_the_expression_engine_is_a_failure() {
    let entry = r#"{"fields": [{"attribute": "a",
        "jsonataExpression": "$formatNumber(1.5, '0.' & $pad('0', 100000, '0'))"}]}"#;
    let error = limited(entry, "{}", &Limits::default(), CancelToken::new()).unwrap_err();
    assert_eq!(error.code, Code::MappingExpressionFailed);
    assert!(error.message.ends_with("the expression engine cannot compute this"), "{error}");
}

#[test]
fn what_an_event_yields_is_counted() {
    let repeated =
        r#"{"jsonataExpression": "[1..3].$$", "fields": [{"attribute": "a", "field": "text"}]}"#;
    let linked = r#"{"jsonataExpression": "[1, 2]", "fields": [{"attribute": "a", "relations": {"items": [
        {"entity_schema": "s", "unique_ids": [{"attribute": "id", "field": "$"}]}]}}]}"#;
    let payload = format!(r#"{{"text": "{}"}}"#, "x".repeat(1_000));
    let limits = Limits::default();
    for (entry, limits, limit) in [
        (repeated, Limits { max_entities: 2, ..limits.clone() }, Some("max_entities")),
        (repeated, Limits { max_entities: 3, ..limits.clone() }, None),
        (repeated, Limits { max_memory: 2_999, ..limits.clone() }, Some("max_memory")),
        (repeated, Limits { max_memory: 3_000, ..limits.clone() }, None),
        (linked, Limits { max_relation_items: 1, ..limits.clone() }, Some("max_relation_items")),
        (linked, Limits { max_relation_items: 2, ..limits }, None),
    ] {
        let result = limited(entry, &payload, &limits, CancelToken::new());
        assert_eq!(result.err().and_then(|error| error.limit), limit, "{entry}");
    }
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

/// Limits of which the named one is small, and time and steps are not.
fn small(limit: &str) -> Limits {
    let limits =
        Limits { timeout: Duration::from_secs(60), max_steps: u64::MAX, ..Limits::default() };
    match limit {
        "timeout" => Limits { timeout: Duration::from_millis(30), ..limits },
        "max_steps" => Limits { max_steps: 1_000, ..limits },
        "max_depth" => Limits { max_depth: 100, ..limits },
        "max_array_length" => Limits { max_array_length: 5, ..limits },
        "max_string_length" => Limits { max_string_length: 100, ..limits },
        "max_result_size" => Limits { max_result_size: 1_000, ..limits },
        _ => limits,
    }
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
