//! What the parser lets through and RFC 9535 does not: functions that are none of the
//! standard's, or stand where, or are given what, they must not.

use jsonpath_rust::parser::model::{
    Comparable, Comparison, Filter, FilterAtom, FnArg, JpQuery, Literal, Segment, Selector, Test,
    TestFunction,
};

use super::cost::selectors;

/// How a function's result is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It is true or false.
    Tested,
    /// It is a value.
    Compared,
}

/// Checks the functions of a query. The error says what is wrong.
pub(super) fn check(query: &JpQuery) -> Result<(), String> {
    let mut wrong = None;
    functions(&query.segments, &mut |function, used| {
        if let Err(message) = check_function(function, used) {
            wrong.get_or_insert(message);
        }
    });
    wrong.map_or(Ok(()), Err)
}

/// The patterns of a query's regular expressions; `None` for one that the payload holds.
pub(super) fn patterns(query: &JpQuery) -> Vec<Option<String>> {
    let mut found = Vec::new();
    functions(&query.segments, &mut |function, _| {
        if let TestFunction::Match(_, pattern) | TestFunction::Search(_, pattern) = function {
            found.push(match pattern {
                FnArg::Literal(Literal::String(text)) => Some(text.clone()),
                _ => None,
            });
        }
    });
    found
}

fn check_function(function: &TestFunction, used: Use) -> Result<(), String> {
    let (name, is_test, values, nodes): (_, _, &[&FnArg], &[&FnArg]) = match function {
        TestFunction::Custom(name, _) => return Err(format!("there is no function \"{name}\"")),
        TestFunction::Length(value) => ("length", false, &[&**value], &[]),
        TestFunction::Count(nodes) => ("count", false, &[], &[nodes]),
        TestFunction::Value(nodes) => ("value", false, &[], &[nodes]),
        TestFunction::Match(value, pattern) => ("match", true, &[value, pattern], &[]),
        TestFunction::Search(value, pattern) => ("search", true, &[value, pattern], &[]),
    };
    match (is_test, used) {
        (true, Use::Compared) => Err(format!("the result of {name}() cannot be compared")),
        (false, Use::Tested) => Err(format!("the result of {name}() must be compared")),
        _ if values.iter().any(|argument| !is_value(argument)) => {
            Err(format!("{name}() takes a single value"))
        }
        _ if nodes.iter().any(|argument| !is_query(argument)) => {
            Err(format!("{name}() takes a path"))
        }
        _ => Ok(()),
    }
}

/// Whether an argument is one value at most.
fn is_value(argument: &FnArg) -> bool {
    let is_singular = |segments: &[Segment]| {
        segments.iter().all(|segment| {
            matches!(segment, Segment::Selector(Selector::Name(_) | Selector::Index(_)))
        })
    };
    match argument {
        FnArg::Literal(_) => true,
        FnArg::Filter(_) => false,
        FnArg::Test(test) => match &**test {
            Test::RelQuery(segments) => is_singular(segments),
            Test::AbsQuery(query) => is_singular(&query.segments),
            Test::Function(function) => {
                !matches!(**function, TestFunction::Match(..) | TestFunction::Search(..))
            }
        },
    }
}

fn is_query(argument: &FnArg) -> bool {
    match argument {
        FnArg::Test(test) => matches!(**test, Test::RelQuery(_) | Test::AbsQuery(_)),
        FnArg::Literal(_) | FnArg::Filter(_) => false,
    }
}

/// Calls `f` for every function of `segments`, at any depth: brackets are bounded.
fn functions(segments: &[Segment], f: &mut dyn FnMut(&TestFunction, Use)) {
    for segment in segments {
        for selector in selectors(segment).0 {
            if let Selector::Filter(filter) = selector {
                of_filter(filter, f);
            }
        }
    }
}

fn of_filter(filter: &Filter, f: &mut dyn FnMut(&TestFunction, Use)) {
    match filter {
        Filter::Or(parts) | Filter::And(parts) => parts.iter().for_each(|part| of_filter(part, f)),
        Filter::Atom(FilterAtom::Filter { expr, .. }) => of_filter(expr, f),
        Filter::Atom(FilterAtom::Test { expr, .. }) => of_test(expr, f),
        Filter::Atom(FilterAtom::Comparison(comparison)) => {
            let (Comparison::Eq(a, b)
            | Comparison::Ne(a, b)
            | Comparison::Gt(a, b)
            | Comparison::Gte(a, b)
            | Comparison::Lt(a, b)
            | Comparison::Lte(a, b)) = comparison.as_ref();
            for side in [a, b] {
                if let Comparable::Function(function) = side {
                    of_function(function, Use::Compared, f);
                }
            }
        }
    }
}

fn of_test(test: &Test, f: &mut dyn FnMut(&TestFunction, Use)) {
    match test {
        Test::RelQuery(segments) => functions(segments, f),
        Test::AbsQuery(query) => functions(&query.segments, f),
        Test::Function(function) => of_function(function, Use::Tested, f),
    }
}

fn of_function(function: &TestFunction, used: Use, f: &mut dyn FnMut(&TestFunction, Use)) {
    f(function, used);
    let arguments: &[&FnArg] = match function {
        TestFunction::Custom(_, _) => &[],
        TestFunction::Length(a) => &[&**a],
        TestFunction::Count(a) | TestFunction::Value(a) => &[a],
        TestFunction::Match(a, b) | TestFunction::Search(a, b) => &[a, b],
    };
    for argument in arguments {
        match argument {
            FnArg::Literal(_) => {}
            FnArg::Filter(filter) => of_filter(filter, f),
            FnArg::Test(test) => match &**test {
                Test::Function(inner) => of_function(inner, Use::Compared, f),
                other => of_test(other, f),
            },
        }
    }
}
