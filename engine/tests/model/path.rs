//! JSONPaths: written with any of their spellings, and evaluated as RFC 9535 reads.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::json::{Json, key, quoted};

#[derive(Debug, Clone)]
pub enum Segment {
    Name(String, Spelling),
    Index(i64),
    Slice(Option<i64>, Option<i64>, Option<i64>),
    Wildcard,
    /// `..name`
    Descendants(String),
    /// `[?@.name == value]`
    Filter(String, &'static str, Json),
    /// `[?@.name]`
    Has(String),
}

#[derive(Debug, Clone, Copy)]
pub enum Spelling {
    Dot,
    Single,
    Double,
}

// Text

pub fn text(path: &[Segment]) -> String {
    format!("${}", path.iter().map(segment).collect::<String>())
}

/// The same path in other words: indexes as slices of one, names spelled differently.
pub fn otherwise(path: &[Segment]) -> String {
    let other = |segment: &Segment| match segment {
        Segment::Index(-1) => Segment::Slice(Some(-1), None, None),
        Segment::Index(index) => Segment::Slice(Some(*index), Some(index + 1), None),
        Segment::Name(name, Spelling::Double) => Segment::Name(name.clone(), Spelling::Single),
        Segment::Name(name, _) => Segment::Name(name.clone(), Spelling::Double),
        other => other.clone(),
    };
    text(&path.iter().map(other).collect::<Vec<_>>())
}

fn segment(segment: &Segment) -> String {
    let bound = |bound: &Option<i64>| bound.map(|n| n.to_string()).unwrap_or_default();
    match segment {
        Segment::Name(name, Spelling::Dot) if !name.contains([' ', '.']) => format!(".{name}"),
        Segment::Name(name, Spelling::Double) => format!("[{}]", quoted(name)),
        Segment::Name(name, _) => format!("['{name}']"),
        Segment::Index(index) => format!("[{index}]"),
        Segment::Slice(start, end, None) => format!("[{}:{}]", bound(start), bound(end)),
        Segment::Slice(start, end, step) => {
            format!("[{}:{}:{}]", bound(start), bound(end), bound(step))
        }
        Segment::Wildcard => "[*]".to_owned(),
        Segment::Descendants(name) => format!("..['{name}']"),
        Segment::Filter(name, operator, value) => format!("[?@['{name}'] {operator} {value}]"),
        Segment::Has(name) => format!("[?@['{name}']]"),
    }
}

// What it selects

/// Nothing, the one hit, or a list of them.
pub fn value(path: &[Segment], document: &Json) -> Option<Json> {
    let mut hits = select_all(path, document);
    match hits.len() {
        0 => None,
        1 => hits.pop(),
        _ => Some(Json::Array(hits)),
    }
}

fn select_all(path: &[Segment], document: &Json) -> Vec<Json> {
    path.iter().fold(vec![document.clone()], |nodes, segment| {
        nodes.iter().flat_map(|node| children(segment, node)).collect()
    })
}

fn children(segment: &Segment, node: &Json) -> Vec<Json> {
    match segment {
        Segment::Name(name, _) => node.get(name).cloned().into_iter().collect(),
        Segment::Index(index) => {
            let at = |items: &[Json]| {
                let from_end = if *index < 0 { items.len() as i64 } else { 0 };
                usize::try_from(index + from_end).ok().and_then(|at| items.get(at).cloned())
            };
            items(node).and_then(at).into_iter().collect()
        }
        Segment::Slice(start, end, step) => {
            let items = items(node).unwrap_or_default();
            let at = slice(*start, *end, step.unwrap_or(1), items.len() as i64);
            at.into_iter().map(|at| items[at as usize].clone()).collect()
        }
        Segment::Wildcard => all(node),
        Segment::Descendants(name) => {
            let own = node.get(name).cloned();
            let below = all(node).into_iter().flat_map(|child| children(segment, &child));
            own.into_iter().chain(below).collect()
        }
        Segment::Filter(name, operator, value) => {
            let holds = |child: &Json| match *operator {
                "==" => child.get(name).is_some_and(|given| equal(given, value)),
                // What is not there is no value, and differs from all.
                _ => child.get(name).is_none_or(|given| !equal(given, value)),
            };
            all(node).into_iter().filter(holds).collect()
        }
        Segment::Has(name) => {
            all(node).into_iter().filter(|child| child.get(name).is_some()).collect()
        }
    }
}

fn items(node: &Json) -> Option<&[Json]> {
    match node {
        Json::Array(items) => Some(items),
        _ => None,
    }
}

fn all(node: &Json) -> Vec<Json> {
    match node {
        Json::Array(items) => items.clone(),
        Json::Object(members) => members.iter().map(|(_, value)| value.clone()).collect(),
        _ => Vec::new(),
    }
}

fn slice(start: Option<i64>, end: Option<i64>, step: i64, length: i64) -> Vec<i64> {
    let place = |bound: i64| if bound < 0 { bound + length } else { bound };
    match step.signum() {
        0 => Vec::new(),
        1 => {
            let (start, end) = (start.map_or(0, place), end.map_or(length, place));
            (0..length)
                .filter(|at| *at >= start && *at < end && (at - start.max(0)) % step == 0)
                .collect()
        }
        _ => {
            let first = start.map_or(length - 1, place).min(length - 1);
            let last = end.map_or(-1, |end| place(end).max(-1));
            let at = |n: &i64| (first - n) % -step == 0;
            ((last + 1)..=first).rev().filter(at).collect()
        }
    }
}

/// As filters compare: numbers by what they are worth.
fn equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.parse::<f64>() == b.parse::<f64>(),
        _ => a == b,
    }
}

// Random paths

pub fn path() -> impl Strategy<Value = Vec<Segment>> {
    prop_oneof![
        3 => vec(prop_oneof![3 => name(), 1 => (-3_i64..4).prop_map(Segment::Index)], 0..4),
        2 => vec(any_segment(), 1..4),
    ]
}

fn name() -> impl Strategy<Value = Segment> {
    let spelling = select(&[Spelling::Dot, Spelling::Single, Spelling::Double][..]);
    (key(), spelling).prop_map(|(name, spelling)| Segment::Name(name, spelling))
}

fn any_segment() -> impl Strategy<Value = Segment> {
    let bound = || proptest::option::of(-3_i64..4);
    prop_oneof![
        4 => name(),
        1 => (-3_i64..4).prop_map(Segment::Index),
        1 => (bound(), bound(), proptest::option::of(-2_i64..3))
            .prop_map(|(start, end, step)| Segment::Slice(start, end, step)),
        2 => Just(Segment::Wildcard),
        1 => key().prop_map(Segment::Descendants),
        1 => (key(), select(&["==", "!="][..]), literal())
            .prop_map(|(name, operator, value)| Segment::Filter(name, operator, value)),
        1 => key().prop_map(Segment::Has),
    ]
}

/// What filters compare with.
fn literal() -> impl Strategy<Value = Json> {
    let number = |digits: &str| Json::Number(digits.to_owned());
    let numbers = ["0", "1", "-1", "1.1", "100"].map(number);
    let strings = ["", "E", "a@x", "ß ☺ 🦀"].map(Json::string);
    let others = [Json::Null, Json::Bool(true), Json::Bool(false)];
    select(numbers.into_iter().chain(strings).chain(others).collect::<Vec<_>>())
}
