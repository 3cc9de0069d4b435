//! The public suites of both expression languages through the engine's own seams: what
//! [`Jsonata`] and [`Path`] make of jsonb is what the languages say.
//!
//! Numbers are compared as doubles. Where a suite allows several orders, jsonb's must be one of
//! them.

#[path = "../../tests/conformance/suites.rs"]
mod suites;
mod support;

use std::time::Duration;

use bumpalo::Bump;
use erp_engine::expr::{CancelToken, Context, FailureKind, Jsonata, Limits, Path};
use erp_engine::jsonb::Value;
use suites::{JsonataCase, JsonataSuite, PathCase, PathSuite};
use support::{NOW, json};

#[test]
fn jsonata_is_the_reference_s() {
    jsonata(str::to_owned);
}

/// The same suite with every number of every input written so that no double writes it back
/// (`5.0`, `34.450`): how such numbers are handed to an evaluation must not show in its result.
#[test]
fn jsonata_is_the_reference_s_on_numbers_with_trailing_zeros() {
    jsonata(with_trailing_zeros);
}

/// The suite, its inputs `rewritten`.
fn jsonata(rewritten: fn(&str) -> String) {
    let Some(text) = suites::text("jsonata-suite.json") else { return };
    let suite = JsonataSuite::read(&text);
    let outcomes = suite.cases().map(|(name, case)| {
        let outcome = case.and_then(|case| {
            let input = suite.input(&case).map(|input| rewritten(input.get()));
            jsonata_case(&case, input.as_deref())
        });
        (name, outcome)
    });
    suites::check("engine", "jsonata", outcomes);
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
    let Some(text) = suites::text("jsonpath-cts.json") else { return };
    let suite = PathSuite::read(&text);
    let outcomes = suite.tests.iter().map(|case| (case.name.clone(), path_case(case)));
    suites::check("engine", "jsonpath", outcomes);
}

/// What is wrong with a case, if anything is.
fn jsonata_case(case: &JsonataCase<'_>, input: Option<&str>) -> Result<(), String> {
    let arena = Bump::new();
    let input = input.map(|input| json(input, &arena));
    let expected_code = case.error_code();
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
    let result = Jsonata::compile(&case.expression())
        .and_then(|expression| expression.evaluate(input, &context))
        .and_then(|tree| tree.map(|tree| context.keep(tree)).transpose());
    match (result, expected_code) {
        (Err(failure), Some(code)) => {
            let is_limit = failure.kind == FailureKind::Limit && code == "U1001";
            let is_expected = is_limit || failure.code.as_deref() == Some(code);
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
    let is_expected = case.allowed().any(|nodes| match (got, nodes) {
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
