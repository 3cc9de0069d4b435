//! The public suites of both expression languages, as data, and the list of what is missed. Read by
//! the engine's tests and by those through SQL.
//!
//! The suites are not part of the project: they are read from `../shared/conformance` beside
//! it, or from the folder in `CONFORMANCE_DIR`. What is missed is named in `misses.txt`, a line
//! each (where, suite, case and reason between tabs); the list may only shrink, so a miss that is
//! not listed fails the test, and so does a listed case that passes.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::ErrorKind;

use serde::Deserialize;
use serde_json::value::RawValue;

const MISSES: &str = include_str!("misses.txt");

/// The official suite of JSONata.
#[derive(Deserialize)]
pub struct JsonataSuite<'a> {
    /// Inputs by their names.
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
pub struct JsonataCase<'a> {
    pub expr: String,
    /// The input itself, null included.
    #[serde(borrow, default, deserialize_with = "raw")]
    data: Option<&'a RawValue>,
    dataset: Option<String>,
    #[serde(borrow, default)]
    bindings: BTreeMap<String, &'a RawValue>,
    /// In milliseconds.
    pub timelimit: Option<u64>,
    pub depth: Option<usize>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub result: Option<&'a RawValue>,
    code: Option<String>,
    error: Option<JsonataError>,
    #[serde(default)]
    pub unordered: bool,
}

#[derive(Deserialize)]
struct JsonataError {
    code: String,
}

impl<'a> JsonataSuite<'a> {
    pub fn read(text: &'a str) -> JsonataSuite<'a> {
        let suite: JsonataSuite<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(suite.cases.len(), 1_686);
        suite
    }

    /// The cases by their names. Some hold what no Rust string can.
    pub fn cases(&self) -> impl Iterator<Item = (String, Result<JsonataCase<'a>, String>)> {
        self.cases.iter().map(|case| {
            let name: JsonataName = serde_json::from_str(case.get()).unwrap();
            let case = serde_json::from_str(case.get()).map_err(|error| error.to_string());
            (format!("{}/{}", name.group, name.case), case)
        })
    }

    /// The input of a case, if it has one.
    pub fn input(&self, case: &JsonataCase<'a>) -> Option<&'a RawValue> {
        case.data.or_else(|| self.datasets.get(case.dataset.as_ref()?).copied())
    }
}

impl JsonataCase<'_> {
    /// The expression, what the suite binds to variables being bound by itself: what is written
    /// in JSON means the same in JSONata.
    pub fn expression(&self) -> String {
        if self.bindings.is_empty() {
            return self.expr.clone();
        }
        let bound = |(name, value): (&String, &&RawValue)| format!("${name} := {value}; ");
        format!("({}{})", self.bindings.iter().map(bound).collect::<String>(), self.expr)
    }

    /// The code of the error that it is to fail with.
    pub fn error_code(&self) -> Option<&str> {
        self.code.as_deref().or(self.error.as_ref().map(|error| &*error.code))
    }
}

/// The compliance suite of JSONPath.
#[derive(Deserialize)]
pub struct PathSuite<'a> {
    #[serde(borrow)]
    pub tests: Vec<PathCase<'a>>,
}

#[derive(Deserialize)]
pub struct PathCase<'a> {
    pub name: String,
    pub selector: String,
    /// Absent where the selector is to be refused.
    #[serde(borrow, default, deserialize_with = "raw")]
    pub document: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    results: Option<Vec<Vec<&'a RawValue>>>,
}

impl<'a> PathSuite<'a> {
    pub fn read(text: &'a str) -> PathSuite<'a> {
        let suite: PathSuite<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(suite.tests.len(), 703);
        suite
    }
}

impl<'a> PathCase<'a> {
    /// The lists of nodes of which one is to be found.
    pub fn allowed(&self) -> impl Iterator<Item = &[&'a RawValue]> {
        self.result.iter().chain(self.results.iter().flatten()).map(Vec::as_slice)
    }
}

/// A member that is there, null or not.
fn raw<'de, D: serde::Deserializer<'de>>(member: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(member).map(Some)
}

/// The text of a suite; nothing, with a word about it, when it is absent.
pub fn text(file: &str) -> Option<String> {
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

/// Fails unless the cases that go wrong are those that the list says are missed, `whence` they are
/// run (`everywhere` aside), and tells how many passed.
pub fn check(
    whence: &str,
    suite: &str,
    outcomes: impl Iterator<Item = (String, Result<(), String>)>,
) {
    let mut listed = listed(whence, suite);
    let (mut passed, mut missed, mut wrong) = (0, 0, Vec::new());
    for (name, outcome) in outcomes {
        match (outcome, listed.remove(name.as_str())) {
            (Ok(()), None) => passed += 1,
            (Err(_), Some(_)) => missed += 1,
            (Err(why), None) => wrong.push(format!("{name}: {why}")),
            (Ok(()), Some(_)) => wrong.push(format!("{name}: passes; take it off the list")),
        }
    }
    wrong.extend(listed.keys().map(|name| format!("{name}: is listed, but no such case")));
    println!("{suite}: {passed} of {} cases pass, {missed} are listed", passed + missed);
    assert!(wrong.is_empty(), "{suite}: {} cases\n{}", wrong.len(), wrong.join("\n"));
}

/// Cases and reasons.
fn listed(whence: &str, suite: &str) -> BTreeMap<&'static str, &'static str> {
    let lines = MISSES.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let of_suite = |line: Vec<&'static str>| match line[..] {
        [place, name, case, reason] => {
            ((place == "everywhere" || place == whence) && name == suite).then_some((case, reason))
        }
        _ => panic!("misses.txt: where, suite, case and reason are wanted: {line:?}"),
    };
    lines.filter_map(of_suite).collect()
}
