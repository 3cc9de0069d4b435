//! What a query may cost. The query engine recurses, cannot be interrupted, and visits values
//! again for each selector and each level; so its visits are bounded before it starts.

use jsonpath_rust::parser::model::{
    Comparable, Comparison, Filter, FilterAtom, FnArg, JpQuery, Segment, Selector, Test,
    TestFunction,
};

use super::typing::patterns;

/// Levels of nesting that are read, and values visited, repeated visits included.
pub(super) const MAX_NESTING: usize = 200;
pub(super) const MAX_VISITS: f64 = 5_000_000.0;

/// What one visit by a regular expression costs in visits, by the size of its program in bytes:
/// it is compiled each time.
const REGEX_VISITS: [(usize, f64); 3] =
    [(16 << 10, 1_000.0), (128 << 10, 25_000.0), (1 << 20, 500_000.0)];
const LARGE_REGEX_VISITS: f64 = 2_500_000.0;
/// Of a regular expression that the payload holds.
const UNKNOWN_REGEX_VISITS: f64 = 100_000.0;

/// How large a document is.
pub(super) struct Size {
    pub nodes: u32,
    pub nesting: usize,
    /// What one visit by a regular expression of the query costs.
    pub regex: f64,
}

/// What the patterns that are looked at cost together, about: to find out takes as long as a visit.
const MAX_PATTERN_VISITS: f64 = 1_000_000.0;

/// What one visit by the most expensive regular expression of a query costs.
pub(super) fn regex_visits(query: &JpQuery) -> f64 {
    let mut patterns = patterns(query);
    patterns.sort_unstable();
    patterns.dedup();
    let (mut most, mut looked_at): (f64, f64) = (0.0, 0.0);
    for pattern in patterns {
        let Some(pattern) = pattern else {
            most = most.max(UNKNOWN_REGEX_VISITS);
            continue;
        };
        if looked_at > MAX_PATTERN_VISITS {
            return LARGE_REGEX_VISITS;
        }
        let visits = of_pattern(&pattern);
        most = most.max(visits);
        looked_at += visits;
    }
    most
}

fn of_pattern(pattern: &str) -> f64 {
    let fits = |size: usize| regex::RegexBuilder::new(pattern).size_limit(size).build();
    for (size, visits) in REGEX_VISITS {
        match fits(size) {
            Err(regex::Error::CompiledTooBig(_)) => {}
            // One that is not valid matches nothing.
            Ok(_) | Err(_) => return visits,
        }
    }
    LARGE_REGEX_VISITS
}

/// An upper bound of the values that `segments` visit, from `nodes` values on: descendants and
/// several selectors visit values again.
pub(super) fn visits(segments: &[Segment], nodes: f64, size: &Size) -> f64 {
    let mut repeated = 1.0;
    let mut total = nodes;
    for segment in segments {
        let (selectors, is_descendant) = selectors(segment);
        repeated *= selectors.len() as f64;
        if is_descendant {
            repeated *= size.nesting as f64 + 1.0;
        }
        let inner: f64 = selectors.iter().map(|selector| filter_visits(selector, size)).sum();
        total += nodes * repeated * (1.0 + inner);
    }
    total
}

/// The selectors of a segment, and whether it looks at descendants.
pub(super) fn selectors(segment: &Segment) -> (&[Selector], bool) {
    match segment {
        Segment::Descendant(inner) => (selectors(inner).0, true),
        Segment::Selector(selector) => (std::slice::from_ref(selector), false),
        Segment::Selectors(selectors) => (selectors, false),
    }
}

/// What a filter costs for each value it is asked about.
fn filter_visits(selector: &Selector, size: &Size) -> f64 {
    fn filter(f: &Filter, size: &Size) -> f64 {
        match f {
            Filter::Or(parts) | Filter::And(parts) => parts.iter().map(|f| filter(f, size)).sum(),
            Filter::Atom(FilterAtom::Filter { expr, .. }) => filter(expr, size),
            Filter::Atom(FilterAtom::Test { expr, .. }) => test(expr, size),
            Filter::Atom(FilterAtom::Comparison(comparison)) => {
                let (Comparison::Eq(a, b)
                | Comparison::Ne(a, b)
                | Comparison::Gt(a, b)
                | Comparison::Gte(a, b)
                | Comparison::Lt(a, b)
                | Comparison::Lte(a, b)) = comparison.as_ref();
                comparable(a, size) + comparable(b, size)
            }
        }
    }
    fn test(t: &Test, size: &Size) -> f64 {
        match t {
            // Over all values asked about, relative queries see a value once a level.
            Test::RelQuery(segments) => visits(segments, size.nesting as f64 + 1.0, size),
            Test::AbsQuery(query) => visits(&query.segments, f64::from(size.nodes), size),
            Test::Function(f) => function(f, size),
        }
    }
    fn function(f: &TestFunction, size: &Size) -> f64 {
        match f {
            TestFunction::Custom(_, args) => args.iter().map(|a| argument(a, size)).sum(),
            TestFunction::Length(a) => argument(a, size),
            TestFunction::Value(a) | TestFunction::Count(a) => argument(a, size),
            TestFunction::Search(a, b) | TestFunction::Match(a, b) => {
                size.regex + argument(a, size) + argument(b, size)
            }
        }
    }
    fn argument(a: &FnArg, size: &Size) -> f64 {
        match a {
            FnArg::Literal(_) => 0.0,
            FnArg::Test(t) => test(t, size),
            FnArg::Filter(f) => filter(f, size),
        }
    }
    fn comparable(c: &Comparable, size: &Size) -> f64 {
        match c {
            Comparable::Function(f) => function(f, size),
            Comparable::Literal(_) | Comparable::SingularQuery(_) => 1.0,
        }
    }
    match selector {
        Selector::Filter(f) => filter(f, size),
        _ => 0.0,
    }
}
