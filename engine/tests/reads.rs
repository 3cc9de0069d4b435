//! What expressions may read, told without running them; and that nothing else matters.

mod support;

use bumpalo::Bump;
use erp_engine::expr::{
    CancelToken, Context, Failure, FailureKind, FieldPath, Jsonata, Limits, Path, Reads,
};
use erp_engine::jsonb::Value;
use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value as Json;
use support::properties::config;
use support::{NOW, json};

/// Expressions and their paths. The names are those of random payloads.
const JSONATA: &[(&str, &str)] = &[
    // Nothing
    ("'a' & 1", ""),
    ("$now()", ""),
    ("[1..3]", ""),
    ("function($x){$x.a}(1)", ""),
    // Paths
    ("a", "a"),
    ("a.b.c", "a.b.c"),
    ("a.b & ' ' & a.c", "a.b a.c"),
    ("$.a.b", "a.b"),
    ("$$.a.b", "a.b"),
    ("a[0].b", "a.b"),
    ("a[-1]", "a"),
    ("a.b[]", "a.b"),
    ("`a`.(b)", "a.b"),
    ("(a.b).c", "a.b.c"),
    // Everything
    ("$", "*"),
    ("$$", "*"),
    ("*", "*"),
    ("**.b", "*"),
    ("*.b", "*"),
    ("$lookup($, b)", "*"),
    ("$keys($)", "*"),
    ("$keys()", "*"),
    ("$each($, function($v, $k) {$k})", "*"),
    ("$string()", "*"),
    ("$merge([$, {'d': 1}])", "*"),
    ("$eval('a')", "*"),
    ("$unknown(a)", "*"),
    // Parts of everything
    ("a.*", "a"),
    ("a.**.b", "a"),
    ("$lookup(a, b)", "a b"),
    ("$lookup(a, 'b')", "a.b"),
    ("$lookup($, 'b')", "b"),
    ("a.b.%.c", "a.b a.c"),
    ("a.(b.{'x': %.%.d})", "a.b d"),
    ("$exists(a.b)", "a.b"),
    ("$count(a)", "a"),
    ("$count(a[b > 1])", "a.b"),
    ("$keys(a.b)", "a.b"),
    // Predicates, sorting, grouping
    ("a[b = 'x'].c", "a.b a.c"),
    ("a[b = $$.d].c", "a.b a.c d"),
    ("a[$.b > 1 and c]", "a"),
    ("a[b > 1][c < 2].d", "a.b a.c a.d"),
    ("a[[0..1]].b", "a.b"),
    ("a^(b).c", "a.b a.c"),
    ("a^(>b, <c)[0].d", "a.b a.c a.d"),
    ("a{b: c}", "a.b a.c"),
    ("a{b: $sum(c)}", "a.b a.c"),
    ("a.{'x': b, 'y': c.d}", "a.b a.c.d"),
    ("{'x': a.b, 'y': [c, d.a]}", "a.b c d.a"),
    ("{a: b}", "a b"),
    ("a#$i[$i < 1].b", "a.b"),
    ("a@$x.b@$y[$x.c = $y.d].{'x': $x.a, 'y': $y.c}", "a.a a.c b.c b.d"),
    // Conditions and operators
    ("a ? b : c", "a b c"),
    ("a.b = 1 ? c.d : c.a", "a.b c.a c.d"),
    ("a ?: b.c", "a b.c"),
    ("a.d ?? b.c", "a.d b.c"),
    ("(a ?? b).c", "a.c b.c"),
    ("-a.b + c * d", "a.b c d"),
    ("a.b in c.d", "a.b c.d"),
    ("a.b = 'x' and c or $not(d)", "a.b c d"),
    ("[a.b..c]", "a.b c"),
    ("$sum(a.b) + $max([c, d])", "a.b c d"),
    // Variables, blocks, functions
    ("($x := a.b; $x.c)", "a.b.c"),
    ("($x := a; $y := $x.b; $y.c & $x.d)", "a.b.c a.d"),
    ("($x := a; ($x := b; $x.c); $x.d)", "a.d b.c"),
    ("($x := $; $x.a.b)", "a.b"),
    ("(a; b)", "a b"),
    ("($f := function($x) {$x.b}; $f(a))", "a"),
    ("($f := function() {b.c}; $f())", "b.c"),
    ("a.($f := function() {b}; $f())", "a.b"),
    // A function that may take the context for an argument.
    ("($f := $uppercase; $f(a.b))", "*"),
    ("($f := function() {$x.c}; $x := a; $f())", "a.c"),
    ("$map(a, function($v) {$v.b & $$.c})", "a.b c"),
    ("$map(a, function($v, $i) {b})", "a b"),
    ("$filter(a, function($v) {$v.b = 1}).c", "a.b a.c"),
    ("$reduce(a, function($x, $y) {$x + $y.b}, 0)", "a.b"),
    ("$sort(a, function($l, $r) {$l.b > $r.b}).c", "a.b a.c"),
    ("$single(a, function($v) {$v.b = 1}).c", "a.b a.c"),
    ("$map(a, $string)", "a"),
    ("a.b ~> $uppercase()", "a.b"),
    ("a.b ~> $uppercase ~> $length", "a.b"),
    ("a ~> $map(function($v) {$v.b})", "a.b"),
    ("a.$uppercase(b)", "a.b"),
    ("a.b.$string()", "a.b"),
    ("$join(a.b, ',')", "a.b"),
    ("$append(a, b).c", "a.c b.c"),
    ("$distinct(a.b)", "a.b"),
    ("$substring(?, 1)(a)", "*"),
    ("a ~> |b|{'d': c}|", "a"),
    ("$ ~> |a|{'d': b}, ['c']|", "*"),
];

const JSONPATH: &[(&str, &str)] = &[
    ("$", "*"),
    ("$.a", "a"),
    ("$.a.b.c", "a.b.c"),
    ("$['a'][0]['b']", "a.b"),
    ("$.a[-1].b", "a.b"),
    ("$.a[1:].b", "a.b"),
    ("$.a[*]", "a"),
    ("$.a[*].b", "a.*.b"),
    ("$.*", "*"),
    ("$.*.b", "*.b"),
    ("$.a['b','c']", "a.b a.c"),
    ("$['a','b']['c','d']", "a.c a.d b.c b.d"),
    ("$..b", "*"),
    ("$.a..b", "a"),
    ("$.a..b[?@.c == $.d]", "a d"),
    ("$.a[?@.b]", "a"),
    ("$.a[?@.b].c", "a.*.b a.*.c"),
    ("$.a[?@.b == 1].c", "a.*.b a.*.c"),
    ("$.a[?@.b == $.d || !@.c].a", "a.*.a a.*.b a.*.c d"),
    ("$.a[?count(@.b[*]) > 1].c", "a.*.b a.*.c"),
    ("$.a[?length(@.b) > 1].c", "a.*.b a.*.c"),
    ("$.a[?match(@.b, $.c)].d", "a.*.b a.*.d c"),
    ("$.a[?@.b[?@.c == 1]].d", "a.*.b a.*.d"),
];

/// The cases that `told` differs from.
fn wrong<'c>(cases: &[(&'c str, &str)], told: impl Fn(&str) -> String) -> Vec<(&'c str, String)> {
    let told = cases.iter().map(|(source, expected)| (*source, told(source), *expected));
    told.filter(|(_, told, expected)| told != expected).map(|(s, told, _)| (s, told)).collect()
}

fn shown(reads: &Reads) -> String {
    reads.paths().map(|path| path.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn expressions_read_the_paths_they_name() {
    let told = |source: &str| shown(&Jsonata::compile(source).expect(source).reads());
    assert_eq!(wrong(JSONATA, told), []);
}

#[test]
fn queries_read_the_paths_they_name() {
    let told = |source: &str| shown(&Path::compile(source).expect(source).reads());
    assert_eq!(wrong(JSONPATH, told), []);
}

#[test]
fn names_are_quoted_where_they_need_it() {
    let jsonata = |source: &str| shown(&Jsonata::compile(source).expect(source).reads());
    assert_eq!(jsonata("`a b`.`c.d`._id.größe.x1"), "`a b`.`c.d`._id.größe.x1");
    assert_eq!(jsonata("`*`.`1a`.``"), "`*`.`1a`.``");
    assert_eq!(shown(&Reads::field("address.city")), "`address.city`");
    assert_eq!(shown(&Reads::field("*")), "`*`");
}

#[test]
fn items_of_relations_read_what_their_identifiers_name() {
    let item = |source: &str| {
        format!("{{'entity_schema': 's', 'unique_ids': [{{'attribute': 'i', {source}}}]}}")
    };
    let constant = &*item("'constant': b");
    let field = &*item("'field': 'c'");
    for (source, expected) in [
        (format!("a.{constant}"), "a.b"),
        (format!("a.{field}"), "a c"),
        (format!("a.{}", item("'field': '$.c.d'")), "a c.d"),
        (format!("a.{}", item("'jsonataExpression': 'c & d'")), "a c d"),
        // Neither can be used.
        (format!("a.{}", item("'jsonataExpression': 'c &'")), "a"),
        (format!("a.{}", item("'field': '$.'")), "a"),
        // All that the expression yields is written out.
        (format!("[a.{constant}, {field}]"), "a.b c"),
        (format!("a[b = 1].{field}[0]"), "a.b c"),
        (format!("a^(b).{constant}"), "a.b"),
        (format!("a.{constant}^(unique_ids.constant)"), "a.b"),
        (format!("a ? {constant} : b ? {field}"), "a b c"),
        (format!("($x := d; a.{field})"), "a c d"),
        (format!("$map(a, function($v) {{{}}})", item("'constant': $v.b")), "a.b"),
        (format!("$filter(a.{field}, function($v) {{$v.d}})"), "a c"),
        (format!("$append({constant}, {field})"), "b c"),
        (
            "a.{'entity_schema': b, 'unique_ids': c.{'attribute': d, 'constant': b}}".into(),
            "a.b a.c.b a.c.d",
        ),
        ("[]".into(), ""),
        // Objects of the payload, or made by a function, may name anything.
        ("a".into(), "*"),
        (format!("$append(a, {constant})"), "*"),
        (format!("($map := function() {{a}}; $map(a, function() {{{constant}}}))"), "*"),
        (format!("($x := a.{constant}; $x)"), "*"),
        (format!("$merge([{constant}, a])"), "*"),
        (format!("{constant} ~> |unique_ids|a|"), "*"),
        (format!("a.{{b: {constant}}}"), "*"),
        ("a.{'entity_schema': 's', 'unique_ids': b}".into(), "*"),
        ("a.{'entity_schema': 's', 'unique_ids': [{'attribute': 'i', b: c}]}".into(), "*"),
        (item("'field': b"), "*"),
        (item("'jsonataExpression': b"), "*"),
        (format!("a{{b: {constant}}}"), "*"),
        (format!("{constant}@$x.a"), "*"),
    ] {
        let reads = Jsonata::compile(&source).expect(&source).relation_reads();
        assert_eq!(shown(&reads), expected, "{source}");
    }
}

#[test]
fn what_cannot_be_told_apart_is_read_as_a_whole() {
    let names = |count: usize| (0..count).map(|i| format!("a{i}")).collect::<Vec<_>>().join(",");
    let jsonata = |source: &str| shown(&Jsonata::compile(source).unwrap().reads());
    assert_eq!(jsonata(&format!("x.[{}]", names(1_000))).split(' ').count(), 1_000);
    assert_eq!(jsonata(&format!("x.[{}]", names(1_001))), "x");
    assert_eq!(jsonata(&format!("[{}]", names(1_001))), "*");
    assert_eq!(jsonata(&format!("a & '{}'", "x".repeat(16 << 10))), "*");
    let path = |source: &str| shown(&Path::compile(source).unwrap().reads());
    assert_eq!(path(&format!("$.a{}", "['b','c']".repeat(6))).split(' ').count(), 64);
    assert_eq!(path(&format!("$.a{}", "['b','c']".repeat(100))), "*");
    let twice = "['b','c']".repeat(5);
    let nested = (0..6).fold("@.a".to_owned(), |inner, _| format!("@{twice}[?{inner}]"));
    assert_eq!(path(&format!("$.a[?{nested}]")), "*");
}

// What stands at none of the paths may be anything.

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn nothing_else_matters_to_an_expression(payload in document(), other in document()) {
        for (source, _) in JSONATA {
            let expression = Jsonata::compile(source).unwrap();
            let changed = with_paths_of(&payload, &other, &paths(&expression.reads()));
            let value = |payload: &Json| evaluated(payload, |input, context| {
                let found = expression.evaluate(Some(input), context)?;
                found.map(|found| context.keep(found)).transpose()
            });
            prop_assert_eq!(value(&payload), value(&changed), "{} of {}", source, changed);
        }
    }

    #[test]
    fn nothing_else_matters_to_a_query(payload in document(), other in document()) {
        for (source, _) in JSONPATH {
            let path = Path::compile(source).unwrap();
            let changed = with_paths_of(&payload, &other, &paths(&path.reads()));
            let value = |payload: &Json| {
                evaluated(payload, |input, context| path.evaluate(input, context))
            };
            let (found, other) = (value(&payload), value(&changed));
            // A query is bounded by the size of the whole payload.
            let is_bounded = |value: &Result<_, (FailureKind, _)>| {
                matches!(value, Err((FailureKind::Limit, _)))
            };
            if !is_bounded(&found) && !is_bounded(&other) {
                prop_assert_eq!(found, other, "{} of {}", source, changed);
            }
        }
    }
}

fn document() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        3 => (0..3).prop_map(Json::from),
        3 => select(&["x", "y"][..]).prop_map(Json::from),
        1 => any::<bool>().prop_map(Json::from),
        1 => Just(Json::Null),
    ];
    let names = || select(&["a", "b", "c", "d"][..]).prop_map(str::to_owned);
    let inner = leaf.prop_recursive(4, 60, 4, move |inner| {
        prop_oneof![
            3 => hash_map(names(), inner.clone(), 1..5)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
            2 => vec(inner, 0..4).prop_map(Json::Array),
        ]
    });
    let members = hash_map(names(), inner.clone(), 2..5);
    prop_oneof![
        9 => members.prop_map(|members| Json::Object(members.into_iter().collect())),
        1 => inner,
    ]
}

/// The value as text, or the code of the failure.
fn evaluated(
    payload: &Json,
    evaluate: impl for<'a> Fn(Value<'a>, &Context<'a>) -> Result<Option<Value<'a>>, Failure>,
) -> Result<Option<String>, (FailureKind, Option<String>)> {
    let arena = Bump::new();
    let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
    let value = evaluate(json(&payload.to_string(), &arena), &context);
    value
        .map(|value| value.map(|value| value.to_string()))
        .map_err(|failure| (failure.kind, failure.code))
}

/// The names of each path; none for everything.
fn paths(reads: &Reads) -> Vec<Vec<String>> {
    let names = |path: String| path.split('.').map(str::to_owned).collect();
    let path = |path: &FieldPath| Some(path.to_string()).filter(|path| path != "*");
    reads.paths().map(|at| path(at).map(names).unwrap_or_default()).collect()
}

/// `other`, with what stands at `paths` in `payload`, and on the way there.
fn with_paths_of(payload: &Json, other: &Json, paths: &[Vec<String>]) -> Json {
    if paths.iter().any(Vec::is_empty) {
        return payload.clone();
    }
    match payload {
        _ if paths.is_empty() => other.clone(),
        Json::Array(items) => {
            // An item is one of all below the array, or stands in its place.
            let inside = |path: &Vec<String>| path[usize::from(path[0] == "*")..].to_vec();
            let paths: Vec<Vec<String>> = paths.iter().map(inside).collect();
            let item = |(i, item)| with_paths_of(item, other.get(i).unwrap_or(other), &paths);
            Json::Array(items.iter().enumerate().map(item).collect())
        }
        Json::Object(members) => {
            let others = other.as_object().cloned().unwrap_or_default();
            let mut changed = serde_json::Map::new();
            for name in members.keys().chain(others.keys()) {
                let leads = |path: &&Vec<String>| path[0] == "*" || path[0] == *name;
                let below: Vec<Vec<String>> =
                    paths.iter().filter(leads).map(|path| path[1..].to_vec()).collect();
                let theirs = others.get(name);
                let value = match members.get(name) {
                    _ if below.is_empty() => theirs.cloned(),
                    own => own.map(|own| with_paths_of(own, theirs.unwrap_or(&Json::Null), &below)),
                };
                value.and_then(|value| changed.insert(name.clone(), value));
            }
            Json::Object(changed)
        }
        scalar => scalar.clone(),
    }
}
