//! The public suites of both expression languages through the engine's own seams: what
//! [`Jsonata`] and [`Path`] make of jsonb is what the languages say.
//!
//! The suites are not part of the project: they are read from `../shared/conformance` beside
//! it, or from the folder in `CONFORMANCE_DIR`. What the engine misses is named in
//! `conformance-misses.txt`, a line each (suite, case and reason between tabs); the list may only
//! shrink, so a miss that is not listed fails the test and so does a listed case that passes.
//!
//! Numbers are compared as doubles. Where a suite allows several orders, jsonb's must be one of
//! them.

mod support;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use bumpalo::Bump;
use erp_engine::expr::{CancelToken, Context, FailureKind, Jsonata, Limits, Path};
use erp_engine::jsonb::Value;
use serde::Deserialize;
use serde_json::value::RawValue;
use support::{NOW, json};

const MISSES: &str = include_str!("conformance-misses.txt");

#[test]
fn jsonata_is_the_reference_s() {
    let Some(text) = suite("jsonata-suite.json") else { return };
    let suite: JsonataSuite<'_> = serde_json::from_str(&text).unwrap();
    assert_eq!(suite.cases.len(), 1_686);
    let outcomes = suite.cases.iter().map(|case| {
        let names: JsonataName = serde_json::from_str(case.get()).unwrap();
        let name = format!("{}/{}", names.group, names.case);
        (name, jsonata_case(case.get(), &suite.datasets, str::to_owned))
    });
    check_misses("jsonata", outcomes);
}

/// The same suite with every number of every input written so that no double writes it back
/// (`5.0`, `34.450`): how such numbers are handed to an evaluation must not show in its result.
#[test]
fn jsonata_is_the_reference_s_on_numbers_with_trailing_zeros() {
    let Some(text) = suite("jsonata-suite.json") else { return };
    let suite: JsonataSuite<'_> = serde_json::from_str(&text).unwrap();
    let outcomes = suite.cases.iter().map(|case| {
        let names: JsonataName = serde_json::from_str(case.get()).unwrap();
        let name = format!("{}/{}", names.group, names.case);
        (name, jsonata_case(case.get(), &suite.datasets, with_trailing_zeros))
    });
    check_misses("jsonata", outcomes);
}

/// The text of a document with a zero more behind the point of each of its numbers.
fn with_trailing_zeros(text: &str) -> String {
    let (mut out, mut number, mut in_string) = (String::new(), String::new(), false);
    let mut letters = text.chars().chain([' ']);
    while let Some(letter) = letters.next() {
        if !in_string && matches!(letter, '0'..='9' | '-' | '+' | '.' | 'e' | 'E') {
            // The letters of true and false are none of a number.
            if letter.is_ascii_digit() || letter == '-' || !number.is_empty() {
                number.push(letter);
                continue;
            }
        }
        if !number.is_empty() {
            let more = if number.contains(['e', 'E']) {
                ""
            } else if number.contains('.') {
                "0"
            } else {
                ".0"
            };
            out.push_str(&number);
            out.push_str(more);
            number.clear();
        }
        out.push(letter);
        match letter {
            '"' => in_string = !in_string,
            '\\' if in_string => out.extend(letters.next()),
            _ => {}
        }
    }
    out
}

#[test]
fn jsonpath_is_rfc_9535_s() {
    let Some(text) = suite("jsonpath-cts.json") else { return };
    let suite: PathSuite<'_> = serde_json::from_str(&text).unwrap();
    assert_eq!(suite.tests.len(), 703);
    check_misses("jsonpath", suite.tests.iter().map(|case| (case.name.clone(), path_case(case))));
}

#[derive(Deserialize)]
struct JsonataSuite<'a> {
    #[serde(borrow)]
    datasets: BTreeMap<String, &'a RawValue>,
    #[serde(borrow)]
    cases: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct JsonataName {
    group: String,
    case: String,
}

#[derive(Deserialize)]
struct JsonataCase<'a> {
    expr: String,
    /// The input itself, null included.
    #[serde(borrow, default, deserialize_with = "raw")]
    data: Option<&'a RawValue>,
    dataset: Option<String>,
    /// In milliseconds.
    timelimit: Option<u64>,
    depth: Option<usize>,
    #[serde(borrow, default, deserialize_with = "raw")]
    result: Option<&'a RawValue>,
    code: Option<String>,
    error: Option<JsonataError>,
    #[serde(default)]
    unordered: bool,
}

#[derive(Deserialize)]
struct JsonataError {
    code: String,
}

#[derive(Deserialize)]
struct PathSuite<'a> {
    #[serde(borrow)]
    tests: Vec<PathCase<'a>>,
}

#[derive(Deserialize)]
struct PathCase<'a> {
    name: String,
    selector: String,
    #[serde(borrow, default, deserialize_with = "raw")]
    document: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    results: Option<Vec<Vec<&'a RawValue>>>,
}

/// A member that is there, null or not.
fn raw<'de, D: serde::Deserializer<'de>>(member: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(member).map(Some)
}

/// What is wrong with a case, if anything is.
fn jsonata_case(
    case: &str,
    datasets: &BTreeMap<String, &RawValue>,
    rewritten: impl Fn(&str) -> String,
) -> Result<(), String> {
    let case: JsonataCase<'_> = serde_json::from_str(case).map_err(|e| e.to_string())?;
    let arena = Bump::new();
    let input = case.data.or_else(|| datasets.get(case.dataset.as_ref()?).copied());
    let input = input.map(|input| json(&rewritten(input.get()), &arena));
    let expected_code = case.code.or(case.error.map(|error| error.code));
    let limits = Limits {
        // On a busy machine, what is to end well may take longer than the suite allows.
        timeout: Duration::from_millis(match expected_code {
            Some(_) => case.timelimit.unwrap_or(60_000),
            None => 60_000,
        }),
        max_steps: u64::MAX,
        max_depth: case.depth.unwrap_or(Limits::default().max_depth),
        max_array_length: 10_000_000,
        ..Limits::default()
    };
    let context = Context::new(&arena, &limits, NOW, CancelToken::new());
    let result = Jsonata::compile(&case.expr)
        .and_then(|expression| expression.evaluate(input, &context))
        .and_then(|tree| tree.map(|tree| context.keep(tree)).transpose());
    match (result, expected_code) {
        (Err(failure), Some(code)) => {
            let is_limit = failure.kind == FailureKind::Limit && code == "U1001";
            let is_expected = is_limit || failure.code.as_deref() == Some(code.as_str());
            is_expected.then_some(()).ok_or_else(|| format!("failed with {failure:?}, not {code}"))
        }
        (Err(failure), None) => Err(format!("failed with {failure:?}")),
        (Ok(got), Some(code)) => Err(format!("gave {got:?}, not the error {code}")),
        (Ok(got), None) => {
            let expected = case.result.map(|result| json(result.get(), &arena));
            let is_expected = match (got, expected) {
                (Some(got), Some(expected)) if case.unordered => equal_unordered(got, expected),
                (Some(got), Some(expected)) => equal(got, expected),
                (got, expected) => got.is_none() && expected.is_none(),
            };
            is_expected.then_some(()).ok_or_else(|| format!("gave {got:?}, not {expected:?}"))
        }
    }
}

fn path_case(case: &PathCase<'_>) -> Result<(), String> {
    let arena = Bump::new();
    let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
    let (path, document) = match (Path::compile(&case.selector), case.document) {
        (Ok(path), Some(document)) => (path, json(document.get(), &arena)),
        (Err(failure), Some(_)) => return Err(format!("is refused: {}", failure.message)),
        (Ok(_), None) => return Err("is accepted".to_owned()),
        (Err(_), None) => return Ok(()),
    };
    let got = path.evaluate(document, &context).map_err(|failure| format!("{failure:?}"))?;
    let allowed = case.result.iter().chain(case.results.iter().flatten());
    let is_expected = allowed.into_iter().any(|nodes| match (got, nodes.as_slice()) {
        (None, []) => true,
        (Some(got), [node]) => equal(got, json(node.get(), &arena)),
        (Some(Value::Array(got)), nodes @ [_, _, ..]) => {
            got.len() == nodes.len()
                && got.iter().zip(nodes).all(|(got, node)| equal(got, json(node.get(), &arena)))
        }
        _ => false,
    });
    is_expected.then_some(()).ok_or_else(|| format!("gave {got:?}"))
}

fn equal(a: Value<'_>, b: Value<'_>) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.to_f64() == b.to_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().zip(b.iter()).all(|((k, a), (l, b))| k == l && equal(a, b))
        }
        (a, b) => a.same(b),
    }
}

fn equal_unordered(a: Value<'_>, b: Value<'_>) -> bool {
    let (Value::Array(a), Value::Array(b)) = (a, b) else { return equal(a, b) };
    let mut left: Vec<Value<'_>> = b.iter().collect();
    let found = |item| left.iter().position(|b| equal(item, *b)).map(|at| left.swap_remove(at));
    a.iter().map(found).all(|found| found.is_some()) && a.len() == b.len()
}

/// The text of a suite; nothing, with a word about it, when it is absent.
fn suite(file: &str) -> Option<String> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance");
    let folder = env::var("CONFORMANCE_DIR").unwrap_or_else(|_| beside.to_owned());
    let path = format!("{folder}/{file}");
    match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound && env::var_os("CI").is_none() => {
            println!("skipped: there is no {path} (CONFORMANCE_DIR names another folder)");
            None
        }
        Err(error) => panic!(
            "{path}: {error}; where CI is set the suites must be there, or in CONFORMANCE_DIR"
        ),
    }
}

fn check_misses(suite: &str, outcomes: impl Iterator<Item = (String, Result<(), String>)>) {
    let mut listed: BTreeMap<&str, &str> = MISSES
        .lines()
        .map(|line| line.splitn(3, '\t').collect::<Vec<_>>())
        .filter_map(|line| match line[..] {
            [name, case, reason] => (name == suite).then_some((case, reason)),
            _ => panic!("conformance-misses.txt: suite, case and reason are wanted: {line:?}"),
        })
        .collect();
    let mut wrong = Vec::new();
    for (name, outcome) in outcomes {
        match (outcome, listed.remove(name.as_str())) {
            (Err(why), None) => wrong.push(format!("{name}: {why}")),
            (Ok(()), Some(_)) => wrong.push(format!("{name}: passes; take it off the list")),
            _ => {}
        }
    }
    wrong.extend(listed.keys().map(|name| format!("{name}: is listed, but no such case")));
    assert!(wrong.is_empty(), "{suite}: {} cases\n{}", wrong.len(), wrong.join("\n"));
}
