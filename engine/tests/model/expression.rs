//! JSONata expressions as mappings have them, evaluated the slow way: the whole input converted,
//! the expression compiled each time.
//!
//! JSONata knows doubles alone. Numbers that an expression only hands through are therefore given
//! to it as marks and put back in its result; which ones those are is known from how the
//! expression was put together.

use std::collections::BTreeSet;

use jlens_core::{Bindings, Expression as Jsonata, Options};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Number, Value};

use super::json::{Json, key, quoted};
use crate::support::NOW;

#[derive(Debug, Clone)]
pub struct Expression {
    pub source: String,
    /// The fields whose numbers it computes with, compares or tests.
    computes: BTreeSet<String>,
    /// Those it writes into strings.
    writes: BTreeSet<String>,
}

#[derive(Debug)]
pub enum Fails {
    Expression,
    /// It writes digits that an expression before it may have lost or not.
    Undecided,
}

/// Doubles skip integers from here on.
pub const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

impl Expression {
    /// Nothing is `None`, as input and as result.
    pub fn evaluate(&self, input: Option<&Json>) -> Result<Option<Json>, Fails> {
        let mut marks = Marks { expression: self, digits: Vec::new(), is_undecided: false };
        let input = input.map(|input| marks.hide(input, "", false));
        if marks.is_undecided {
            return Err(Fails::Undecided);
        }
        let result = Jsonata::compile(&self.source)
            .unwrap_or_else(|error| panic!("{}: {error}", self.source))
            .evaluate_with(input.as_ref(), &Bindings::new(), &Options::new().now(NOW))
            .map_err(|_| Fails::Expression)?;
        Ok(result.map(|result| marks.reveal(&result)))
    }
}

/// The numbers that were hidden from an evaluation.
struct Marks<'e> {
    expression: &'e Expression,
    digits: Vec<String>,
    is_undecided: bool,
}

const MARK: char = '\u{F0000}';

impl Marks<'_> {
    /// The document as the evaluation gets it; `name` is that of the field it is in, and
    /// `is_double` whether that is computed with.
    fn hide(&mut self, document: &Json, name: &str, is_double: bool) -> Value {
        let uses = self.expression;
        let is_double = is_double
            || uses.computes.contains(name)
            || name.is_empty() && !uses.computes.is_empty();
        match document {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(digits) if is_double => double(digits),
            Json::Number(digits) => self.hide_number(digits),
            Json::Computed(value) => {
                self.is_undecided |= uses.writes.contains(name) && value.abs() >= EXACT_INTEGERS;
                Number::from_f64(*value).unwrap().into()
            }
            Json::String(text) => Value::String(text.clone()),
            Json::Array(items) => {
                items.iter().map(|item| self.hide(item, name, is_double)).collect()
            }
            Json::Object(members) => {
                let is_double = is_double && !name.is_empty();
                let member =
                    |(key, value): &(String, Json)| (key.clone(), self.hide(value, key, is_double));
                Value::Object(members.iter().map(member).collect::<Map<_, _>>())
            }
        }
    }

    fn hide_number(&mut self, digits: &str) -> Value {
        self.digits.push(digits.to_owned());
        Value::String(format!("{MARK}{}{MARK}", self.digits.len() - 1))
    }

    fn reveal(&self, result: &Value) -> Json {
        match result {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => Json::Computed(number.as_f64().unwrap()),
            Value::String(text) => self.reveal_text(text),
            Value::Array(items) => {
                Json::Array(items.iter().map(|item| self.reveal(item)).collect())
            }
            Value::Object(members) => {
                Json::object(members.iter().map(|(key, value)| (key.clone(), self.reveal(value))))
            }
        }
    }

    fn reveal_text(&self, text: &str) -> Json {
        let parts: Vec<&str> = text.split(MARK).collect();
        if let ["", mark, ""] = parts[..] {
            return Json::Number(self.digits[mark.parse::<usize>().unwrap()].clone());
        }
        let mut text = String::new();
        for (at, part) in parts.iter().enumerate() {
            if at % 2 == 0 {
                // A list that is written has quotes around marks.
                let part = if at > 0 { part.strip_prefix('"').unwrap_or(part) } else { part };
                let is_last = at == parts.len() - 1;
                text += if is_last { part } else { part.strip_suffix('"').unwrap_or(part) };
                continue;
            }
            text += &written(&self.digits[part.parse::<usize>().unwrap()]);
        }
        Json::String(text)
    }
}

/// A number in a string: all digits of an integer, 15 of any other.
fn written(digits: &str) -> String {
    if !digits.contains('.') {
        return digits.to_owned();
    }
    let double: f64 = digits.parse().unwrap();
    let rounded =
        if double.fract() == 0.0 { double } else { format!("{double:.14e}").parse().unwrap() };
    jlens_core::format_json(&rounded.into(), false)
}

fn double(digits: &str) -> Value {
    Number::from_f64(digits.parse().unwrap()).unwrap().into()
}

// Putting expressions together

impl Expression {
    pub fn new(source: impl Into<String>) -> Expression {
        Expression { source: source.into(), computes: BTreeSet::new(), writes: BTreeSet::new() }
    }

    /// What `source` says of these expressions, in the place of `@1`, `@2`, …
    pub fn of(source: &str, parts: &[&Expression]) -> Expression {
        let mut whole = Expression::new(source);
        for (at, part) in parts.iter().enumerate() {
            let place = format!("@{}", at + 1);
            if !source.contains(&place) {
                continue;
            }
            whole.source = whole.source.replace(&place, &part.source);
            whole.computes.extend(part.computes.iter().cloned());
            whole.writes.extend(part.writes.iter().cloned());
        }
        whole
    }
}

/// A path of one to three names.
#[derive(Debug, Clone)]
pub struct Names(Vec<String>);

impl Names {
    pub fn copied(&self) -> Expression {
        let quoted = |name: &String| match &**name {
            "c d" | "größe" | "e.f" => format!("`{name}`"),
            _ => name.clone(),
        };
        Expression::new(self.0.iter().map(quoted).collect::<Vec<_>>().join("."))
    }

    fn computed(&self) -> Expression {
        let computes = self.0.last().cloned().into_iter().collect();
        Expression { computes, ..self.copied() }
    }

    fn written(&self) -> Expression {
        let writes = self.0.last().cloned().into_iter().collect();
        Expression { writes, ..self.copied() }
    }
}

pub fn names() -> impl Strategy<Value = Names> + Clone {
    prop_oneof![
        2 => key().prop_map(|name| Names(vec![name])),
        3 => proptest::collection::vec(key(), 1..4).prop_map(Names),
    ]
}

/// What a mapping of an ERP system may say of one value.
pub fn expression() -> impl Strategy<Value = Expression> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        let one = inner.clone();
        let two = (inner.clone(), inner.clone());
        let step = (names(), inner.clone());
        prop_oneof![
            3 => (test(), two.clone()).prop_map(|(test, (then, or))| {
                Expression::of("(@1 ? @2 : @3)", &[&test, &then, &or])
            }),
            2 => (test(), one.clone()).prop_map(|(test, then)| {
                Expression::of("(@1 ? @2)", &[&test, &then])
            }),
            2 => two.clone().prop_map(|(a, b)| Expression::of("{'p': @1, 'q': @2}", &[&a, &b])),
            2 => two.clone().prop_map(|(a, b)| Expression::of("[@1, @2]", &[&a, &b])),
            3 => step.clone().prop_map(|(path, value)| {
                Expression::of("@1.{'p': @2}", &[&path.copied(), &value])
            }),
            1 => step.clone().prop_map(|(path, value)| {
                Expression::of("[@1.(@2)]", &[&path.copied(), &value])
            }),
            1 => step.prop_map(|(path, value)| {
                Expression::of("($m := @1; [@2, $m])", &[&path.copied(), &value])
            }),
            1 => two.prop_map(|(a, b)| Expression::of("$append(@1, @2)", &[&a, &b])),
            1 => one.prop_map(|value| Expression::of("$exists(@1)", &[&value])),
        ]
    })
}

fn leaf() -> impl Strategy<Value = Expression> {
    let literal =
        select(&["'x'", "''", "null", "true", "5", "1.5", "[]", "{}", "$", "nowhere"][..]);
    prop_oneof![
        2 => literal.prop_map(Expression::new),
        6 => names().prop_map(|path| path.copied()),
        4 => selecting(),
        3 => writing(),
        3 => computing(),
        2 => operation(),
    ]
}

/// Parts of what a path gives, numbers untouched.
fn selecting() -> impl Strategy<Value = Expression> {
    let source = select(
        &[
            "@1[0]",
            "@1[-1]",
            "@1[]",
            "[@1]",
            "@1[@2 = 'E']",
            "@1[@2 = 'E'][0]",
            "@1[$exists(@2)]",
            "$filter(@1, function($v) { $v.@2 = 'E' })",
            "$map(@1, function($v) { $v.@3 })",
            "@1.{'p': @3}",
            "@1.{'p': @3, 'q': @2}",
            "@1.($v := $; {'v': $v.@3})",
            "$lookup(@1, 'n')",
            "$keys(@1)",
            "$merge([@1, {'p': 1}])",
            "$reverse(@1)",
            "@1.*",
            "$$.@1",
        ][..],
    );
    (source, names(), key(), key()).prop_map(|(source, path, tested, kept)| {
        let (tested, kept) = (Names(vec![tested]), Names(vec![kept]));
        Expression::of(source, &[&path.copied(), &tested.copied(), &kept.copied()])
    })
}

/// Into a string that is never a number alone.
fn writing() -> impl Strategy<Value = Expression> {
    let source = select(
        &["'C-' & @1", "@1 & ' ' & @2", "'C-' & @1 & '/' & @2 & '!'", "$string(@1) & '!'"][..],
    );
    (source, computable(), computable())
        .prop_map(|(source, a, b)| Expression::of(source, &[&a.written(), &b.written()]))
}

/// Paths to what may be computed with: `p` is a name that expressions give to what they copy.
fn computable() -> impl Strategy<Value = Names> + Clone {
    names()
        .prop_map(|names| Names(names.0.into_iter().filter(|name| name != "p").collect()))
        .prop_filter("it has a name", |names| !names.0.is_empty())
}

pub fn computing() -> impl Strategy<Value = Expression> {
    let source = select(
        &[
            "@1 * 2",
            "@1 + @2",
            "@1 / 4",
            "-@1",
            "$sum(@1)",
            "$max(@1)",
            "$round(@1, 1)",
            "$number(@1)",
            "$uppercase(@1)",
            "$trim(@1)",
            "$substring(@1, 0, 3)",
            "$length(@1)",
            "$split(@1, ',')",
            "$join(@1, '-')",
            "$distinct(@1)",
            "@1^(@3)",
        ][..],
    );
    (source, computable(), computable()).prop_map(|(source, a, b)| {
        let n = Names(vec!["n".to_owned()]);
        Expression::of(source, &[&a.computed(), &b.computed(), &n.computed()])
    })
}

/// What is true or false.
pub fn test() -> impl Strategy<Value = Expression> {
    let source = select(
        &[
            "@1 = @2",
            "@1 in ['E', 'G', 1]",
            "@1 = 1.1",
            "@1 > 1",
            "$boolean(@1)",
            "@1 and @2",
            "@1 or @2",
            "$not(@1)",
        ][..],
    );
    let asked = select(
        &[
            "@1 = 'E'",
            "@1 != 'E'",
            "@1 in ['E', 'G']",
            "$exists(@1)",
            "$count(@1) > 1",
            "$count($) > 0",
            "true",
            "false",
        ][..],
    );
    prop_oneof![
        (source, computable(), computable())
            .prop_map(|(source, a, b)| Expression::of(source, &[&a.computed(), &b.computed()])),
        (asked, names()).prop_map(|(source, a)| Expression::of(source, &[&a.copied()])),
    ]
}

/// An operation on an array attribute.
fn operation() -> impl Strategy<Value = Expression> {
    (super::json::operation_name(), names()).prop_map(|(name, path)| {
        Expression::of(&format!("($exists(@1) ? {{'{name}': @1}})"), &[&path.copied()])
    })
}

/// What an entry's expression makes of a payload: one item, several or none.
pub fn items() -> impl Strategy<Value = Expression> {
    prop_oneof![
        4 => selecting(),
        2 => names().prop_map(|path| path.copied()),
        2 => expression(),
    ]
}

/// Items of a relation, by expression: those of a path, or one, or none.
pub fn relation_items() -> impl Strategy<Value = Expression> {
    let identifier = prop_oneof![
        3 => key().prop_map(|name| Expression::of("'constant': @1", &[&Names(vec![name]).copied()])),
        1 => computable().prop_map(|path| Expression::of("'constant': 'C-' & @1", &[&path.written()])),
        1 => key().prop_map(|name| Expression::new(format!("'field': {}", quoted(&name)))),
        1 => Just(Expression::new("'constant': $")),
    ];
    let tags = select(
        &["", "", ", '_tags': ['T']", ", '_tags': 'T'", ", '_tags': []", ", '_tags': @1"][..],
    );
    let tags = (tags, key())
        .prop_map(|(tags, name)| Expression::of(tags, &[&Names(vec![name]).computed()]));
    let item = (identifier, tags).prop_map(|(identifier, tags)| {
        let item = "{'entity_schema': 's', 'unique_ids': [{'attribute': 'i', @1}]@2}";
        Expression::of(item, &[&identifier, &tags])
    });
    let source = select(
        &["@1.@2", "[@1.@2]", "$exists(@1) ? [@1.@2]", "@2", "[@2, @2]", "[]", "null", "nowhere"][..],
    );
    (source, names(), item)
        .prop_map(|(source, path, item)| Expression::of(source, &[&path.copied(), &item]))
}
