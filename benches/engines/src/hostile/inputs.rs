//! The hostile expressions, by name.

pub const INPUT: &str =
    r#"{"a": {"b": [1, 2, 3], "c": "text"}, "n": 5, "s": "x", "list": [3, 1, 2]}"#;

pub fn all() -> Vec<(&'static str, String)> {
    let mut all = nested();
    all.extend(long());
    all.extend(WRITTEN.iter().map(|(name, source)| (*name, (*source).to_owned())));
    all
}

/// `depth` times `open`, then `middle`, then as often `close`.
fn nest(open: &str, middle: &str, close: &str, depth: usize) -> String {
    open.repeat(depth) + middle + &close.repeat(depth)
}

/// What nests deeper than a stack may be.
fn nested() -> Vec<(&'static str, String)> {
    vec![
        ("300 parentheses", nest("(", "1", ")", 300)),
        ("3,000 parentheses", nest("(", "1", ")", 3_000)),
        ("30,000 parentheses", nest("(", "1", ")", 30_000)),
        ("30,000 parentheses, never closed", nest("(", "1", "", 30_000)),
        ("10,000 arrays", nest("[", "1", "]", 10_000)),
        ("10,000 objects", nest("{\"a\":", "1", "}", 10_000)),
        ("10,000 predicates", nest("a[", "1", "]", 10_000)),
        ("10,000 conditions", nest("n ? ", "1", " : 0", 10_000)),
        ("10,000 functions", nest("function(){", "1", "}", 10_000)),
        ("10,000 calls", nest("$string(", "1", ")", 10_000)),
        ("10,000 groups in a path", nest("a.(", "b", ")", 10_000)),
        ("30,000 minus signs", nest("- ", "1", "", 30_000)),
        ("10,000 sorts", nest("list^(", "a", ")", 10_000)),
        ("10,000 transforms", nest("|a|", "{}", "|", 10_000)),
        ("10,000 blocks of variables", nest("($x := ", "1", ")", 10_000)),
    ]
}

/// What is long.
fn long() -> Vec<(&'static str, String)> {
    vec![
        ("20,000 additions", nest("1+", "1", "", 20_000)),
        ("20,000 concatenations", nest("s&", "s", "", 20_000)),
        ("20,000 steps", nest("a.", "b", "", 20_000)),
        ("20,000 chained functions", nest("n ~> ", "$string", "", 20_000)),
        ("20,000 ands", nest("true and ", "true", "", 20_000)),
        ("a number of 5,000 digits", "9".repeat(5_000)),
        ("a name of 60,000 letters", "a".repeat(60_000)),
        ("60,000 backslashes", format!("\"{}", "\\".repeat(60_000))),
        (
            "a regular expression of 2,000 groups",
            format!("$match(s, /{}/)", nest("(", "a", ")", 2_000)),
        ),
        ("$eval of 3,000 parentheses", format!("$eval(\"{}\")", nest("(", "1", ")", 3_000))),
        ("a function of 5,000 parameters", format!("function({}$z){{1}}(1)", "$a,".repeat(5_000))),
    ]
}

const WRITTEN: &[(&str, &str)] = &[
    ("nothing", ""),
    ("a string never closed", "\"abc"),
    ("a comment never closed", "1 /* abc"),
    ("a regular expression never closed", "$match(s, /abc"),
    ("a name never closed", "`abc"),
    ("half a surrogate", r#""\ud800""#),
    ("an escape cut off", r#""\u12"#),
    ("a number beyond doubles", "1e999"),
    ("an infinite product", "1e308 * 10"),
    ("division by zero", "1 / 0"),
    ("remainder of zero", "0 % 0"),
    ("endless recursion", "($f := function($n) { 1 + $f($n + 1) }; $f(0))"),
    ("endless tail recursion", "($f := function($n) { $f($n + 1) }; $f(0))"),
    (
        "two that call each other",
        "($f := function() { 1 + $g() }; $g := function() { 1 + $f() }; $f())",
    ),
    (
        "a function that is given itself",
        "(function($f) { 1 + $f($f) })(function($f) { 1 + $f($f) })",
    ),
    ("$eval that evaluates itself", r#"($e := "1 + $eval($e)"; $eval($e))"#),
    ("a range of ten millions", "[1..10000000]"),
    ("a range of all integers", "[0..9007199254740991]"),
    ("the sum of a huge range", "$sum([1..1000000000])"),
    ("a range of huge numbers", "[1e300..1e301]"),
    ("a range backwards of huge numbers", "[-1e18..-1e17]"),
    ("a product of three ranges", "[1..3000].[1..3000].[1..3000]"),
    ("a string doubled forty times", "$reduce([1..40], function($s, $i) { $s & $s }, 'x')"),
    ("an array doubled forty times", "$reduce([1..40], function($s, $i) { $append($s, $s) }, [1])"),
    (
        "nesting built forty thousand deep",
        "$string(($f := function($n, $v) { $n = 0 ? $v : $f($n - 1, [$v]) }; $f(40000, 1)))",
    ),
    ("$pad of a gigabyte", "$pad('x', 1000000000)"),
    ("$pad to the left of a gigabyte", "$pad('x', -1000000000)"),
    ("$pad beyond integers", "$pad('x', 1e300)"),
    ("$pad to the left beyond integers", "$pad('x', -9223372036854775808)"),
    ("$pad with nothing", "$pad('x', 5, '')"),
    ("$substring of huge numbers", "$substring('äöü', -1e300, 1e300)"),
    ("$substring in the middle of a letter", "$substring('äöü€😀', 1, 2)"),
    ("$substring backwards", "$substring('abc', 2, -5)"),
    ("$substringBefore of a wide letter", "$substringBefore('ä€😀', '€')"),
    ("$substringAfter of a wide letter", "$substringAfter('ä€😀', '😀')"),
    ("$split at nothing", "$split('äöü', '')"),
    ("$split with a negative limit", "$split('a,b', ',', -1)"),
    ("$split with a huge limit", "$split('a,b', ',', 1e300)"),
    ("$replace with a negative limit", "$replace('aaa', 'a', 'b', -1)"),
    ("$replace of what matches nothing", "$replace('aaa', /x*/, 'y')"),
    ("$match of what matches nothing", "$match('aaa', /x*/)"),
    (
        "a regular expression that backtracks",
        "$match('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', /^(a+)+$/)",
    ),
    ("a regular expression that is none", "$match(s, /(/)"),
    ("$power of huge numbers", "$power(1e300, 1e300)"),
    ("$power of a negative root", "$power(-8, 0.5)"),
    ("$sqrt of a negative number", "$sqrt(-1)"),
    ("$round to a huge precision", "$round(1.5, 1000000000)"),
    ("$round to a huge negative precision", "$round(1.5, -1000000000)"),
    ("$formatNumber of a huge number", "$formatNumber(1e300, '#,##0.00')"),
    ("$formatNumber of an empty picture", "$formatNumber(1, '')"),
    ("$formatBase to a base that is none", "$formatBase(10, 99)"),
    ("$formatBase of a huge number", "$formatBase(-1e300, 2)"),
    ("$formatInteger of a huge number", "$formatInteger(1e300, 'w')"),
    ("$fromMillis of a huge number", "$fromMillis(1e300)"),
    ("$fromMillis of a huge width", "$fromMillis(0, '[Y,99999999999999999999]')"),
    ("$fromMillis of a picture never closed", "$fromMillis(0, '[Y')"),
    ("$fromMillis of a time zone that is none", "$fromMillis(0, '[H]', '+99999')"),
    ("$toMillis of what is no time", "$toMillis('99999-99-99T99:99:99Z')"),
    ("$toMillis of an empty picture", "$toMillis('', '')"),
    ("$number of what is none", "$number('0x')"),
    ("$base64decode of what is none", "$base64decode('%%%')"),
    ("$decodeUrlComponent of what is none", "$decodeUrlComponent('%ff%')"),
    ("$sort by what has no order", "$sort([1..5000], function($a, $b) { true })"),
    ("$sort of different things", "$sort([1, 'a', null])"),
    ("$distinct of ten thousand", "$distinct([1..10000])"),
    ("$single of many", "$single([1..10000])"),
    ("$reduce with a function of nothing", "$reduce([1, 2], function() { 1 })"),
    ("$map with what is no function", "$map([1, 2], 5)"),
    ("a call of what is no function", "n(1)"),
    ("parents beyond the root", "a.b.%.%.%.%.%"),
    ("an index beyond integers", "list[1e300]"),
    ("a negative index beyond integers", "list[-1e300]"),
    (
        "a partial application without end",
        "($f := $substring(?, 0, ?); $f := $f(?, ?); $f('abc', 1))",
    ),
    ("a signature that is none", "function($x)<((((>{1}(1)"),
    ("everything below everything", "**.**.**.**.**"),
    ("a transform of everything", "$ ~> |**|{'x': $}|"),
];
