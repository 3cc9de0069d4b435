//! What a query may read of its input.

use jsonpath_rust::parser::model::{
    Comparable, Comparison, Filter, FilterAtom, FnArg, JpQuery, Segment, Selector, SingularQuery,
    SingularQuerySegment, Test, TestFunction,
};

use super::Step;
use super::cost::selectors;
use crate::expr::reads::{FieldPath, MAX_PATHS, Reads};

/// What names and indexes read.
pub(super) fn of_steps(steps: &[Step]) -> Reads {
    let path = steps.iter().fold(FieldPath::default(), |path, step| match step {
        Step::Name(name) => path.name(name),
        Step::Index(_) => path,
    });
    Reads::of(vec![path])
}

/// Ways that are followed at a time; a query with more reads everything.
const MAX_WAYS: usize = 64;

/// What `query` reads, its filters included.
pub(super) fn of_query(query: &JpQuery) -> Reads {
    let mut walk = Walk { paths: Vec::new(), reads_everything: false };
    walk.from(&FieldPath::default(), &query.segments);
    if walk.reads_everything { Reads::everything() } else { Reads::of(walk.paths) }
}

struct Walk {
    paths: Vec<FieldPath>,
    /// Nothing more can be added.
    reads_everything: bool,
}

impl Walk {
    /// Adds what `segments` read of the value at `at`.
    fn from(&mut self, at: &FieldPath, segments: &[Segment]) {
        let mut reached = vec![at.clone()];
        for segment in segments {
            if self.reads_everything {
                return;
            }
            let (selectors, is_descendant) = selectors(segment);
            if is_descendant {
                // All below is read. What follows leads there, but for filters that begin anew.
                self.paths.extend(reached.iter().cloned());
            }
            let steps = reached.iter().flat_map(|at| selectors.iter().map(move |to| (at, to)));
            reached = steps.map(|(at, selector)| self.select(at, selector)).collect();
            reached.sort_unstable();
            reached.dedup();
            self.reads_everything |= reached.len() > MAX_WAYS;
        }
        self.paths.append(&mut reached);
        self.reads_everything |= self.paths.len() > MAX_PATHS;
    }

    /// Where `selector` leads from `at`. Adds what its filter reads.
    fn select(&mut self, at: &FieldPath, selector: &Selector) -> FieldPath {
        match selector {
            Selector::Name(name) => at.name(name),
            Selector::Index(_) | Selector::Slice(..) => at.clone(),
            Selector::Wildcard => at.any(),
            Selector::Filter(filter) => {
                self.filter(&at.any(), filter);
                at.any()
            }
        }
    }

    fn filter(&mut self, at: &FieldPath, filter: &Filter) {
        match filter {
            Filter::Or(parts) | Filter::And(parts) => {
                parts.iter().for_each(|part| self.filter(at, part));
            }
            Filter::Atom(FilterAtom::Filter { expr, .. }) => self.filter(at, expr),
            Filter::Atom(FilterAtom::Test { expr, .. }) => self.test(at, expr),
            Filter::Atom(FilterAtom::Comparison(comparison)) => {
                let (Comparison::Eq(a, b)
                | Comparison::Ne(a, b)
                | Comparison::Gt(a, b)
                | Comparison::Gte(a, b)
                | Comparison::Lt(a, b)
                | Comparison::Lte(a, b)) = comparison.as_ref();
                [a, b].into_iter().for_each(|side| self.comparable(at, side));
            }
        }
    }

    fn comparable(&mut self, at: &FieldPath, side: &Comparable) {
        match side {
            Comparable::Literal(_) => {}
            Comparable::Function(function) => self.function(at, function),
            Comparable::SingularQuery(SingularQuery::Current(segments)) => {
                self.paths.push(singular(at, segments));
            }
            Comparable::SingularQuery(SingularQuery::Root(segments)) => {
                self.paths.push(singular(&FieldPath::default(), segments));
            }
        }
    }

    fn test(&mut self, at: &FieldPath, test: &Test) {
        match test {
            Test::RelQuery(segments) => self.from(at, segments),
            Test::AbsQuery(query) => self.from(&FieldPath::default(), &query.segments),
            Test::Function(function) => self.function(at, function),
        }
    }

    fn function(&mut self, at: &FieldPath, function: &TestFunction) {
        let arguments: Vec<&FnArg> = match function {
            TestFunction::Custom(_, arguments) => arguments.iter().collect(),
            TestFunction::Length(a) => vec![a],
            TestFunction::Count(a) | TestFunction::Value(a) => vec![a],
            TestFunction::Search(a, b) | TestFunction::Match(a, b) => vec![a, b],
        };
        for argument in arguments {
            match argument {
                FnArg::Literal(_) => {}
                FnArg::Test(test) => self.test(at, test),
                FnArg::Filter(filter) => self.filter(at, filter),
            }
        }
    }
}

fn singular(at: &FieldPath, segments: &[SingularQuerySegment]) -> FieldPath {
    segments.iter().fold(at.clone(), |path, segment| match segment {
        SingularQuerySegment::Name(name) => path.name(name),
        SingularQuerySegment::Index(_) => path,
    })
}
