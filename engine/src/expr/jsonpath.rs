//! JSONPath (RFC 9535). Singular paths are plain look-ups; only what selects several values
//! reaches `jsonpath-rust`.

use std::borrow::Cow;

use jsonpath_rust::parser::model::{
    Comparable, Comparison, Filter, FilterAtom, FnArg, JpQuery, Segment, Selector, Test,
    TestFunction,
};
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use jsonpath_rust::query::queryable::Queryable;

use super::{Context, Failure, FailureKind};
use crate::jsonb::{Tree, Value, key_order};

/// The longest path, in bytes; the deepest brackets and parentheses. The parser's time grows
/// exponentially with the latter.
const MAX_LENGTH: usize = 1_000;
const MAX_BRACKETS: usize = 8;

/// What a query that selects several values may read: levels of nesting, and values visited,
/// repeated visits included. The query engine recurses, and cannot be interrupted.
const MAX_NESTING: usize = 200;
const MAX_VISITS: f64 = 5_000_000.0;

/// What one visit by a regular expression costs in visits: it is compiled each time.
const REGEX_VISITS: f64 = 100.0;

/// A compiled path.
#[derive(Debug, Clone)]
pub struct Path {
    source: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// One value at most: names and indexes alone.
    Singular(Vec<Step>),
    Query(JpQuery),
}

#[derive(Debug, Clone)]
enum Step {
    Name(String),
    /// Negative: from the end.
    Index(i64),
}

impl Path {
    /// Compiles `source`, which begins with `$`.
    pub fn compile(source: &str) -> Result<Path, Failure> {
        let syntax = |message: String| Failure::new(FailureKind::Syntax, message);
        if source.len() > MAX_LENGTH {
            return Err(syntax(format!("the path is longer than {MAX_LENGTH} bytes")));
        }
        if bracket_depth(source) > MAX_BRACKETS {
            return Err(syntax(format!("the path nests brackets more than {MAX_BRACKETS} deep")));
        }
        let query = parse_json_path(source).map_err(|error| {
            syntax(format!("not a JSONPath: {}", first_line(&error.to_string())))
        })?;
        let kind = match singular(&query) {
            Some(steps) => Kind::Singular(steps),
            None => Kind::Query(query),
        };
        Ok(Path { source: source.to_owned(), kind })
    }

    /// The path as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the path selects: nothing, the value, or an array of several values in the order
    /// jsonb keeps. Values stay as they are in `input`.
    pub fn evaluate<'a>(
        &self,
        input: Value<'a>,
        context: &Context<'a>,
    ) -> Result<Option<Value<'a>>, Failure> {
        match &self.kind {
            Kind::Singular(steps) => {
                Ok(steps.iter().try_fold(input, |value, step| step.take(value)))
            }
            Kind::Query(query) => run(query, input)?.map(|found| context.keep(found)).transpose(),
        }
    }
}

impl Step {
    fn take<'a>(&self, value: Value<'a>) -> Option<Value<'a>> {
        match self {
            Step::Name(name) => value.as_object()?.get(name),
            Step::Index(index) => {
                let array = value.as_array()?;
                let index = if *index < 0 { array.len() as i64 + index } else { *index };
                array.get(usize::try_from(index).ok()?)
            }
        }
    }
}

fn singular(query: &JpQuery) -> Option<Vec<Step>> {
    let step = |segment: &Segment| match segment {
        Segment::Selector(Selector::Name(name)) => Some(Step::Name(name.clone())),
        Segment::Selector(Selector::Index(index)) => Some(Step::Index(*index)),
        _ => None,
    };
    query.segments.iter().map(step).collect()
}

fn run<'a>(query: &JpQuery, input: Value<'a>) -> Result<Option<Tree<'a>>, Failure> {
    let mut size = Size { nodes: 0, nesting: 0 };
    let root = Node::read(input, 0, &mut size)?;
    if visits(&query.segments, f64::from(size.nodes), &size) > MAX_VISITS {
        return Err(Failure::limit("the path visits too many values of this payload"));
    }
    let found = js_path_process(query, &root)
        .map_err(|error| Failure::new(FailureKind::Evaluation, first_line(&error.to_string())))?;
    let mut values = found.into_iter().filter_map(|found| found.val.origin);
    Ok(match (values.next(), values.next()) {
        (None, _) => None,
        (Some(value), None) => Some(value.into()),
        (Some(first), Some(second)) => {
            let all = [first, second].into_iter().chain(values);
            Some(Tree::Array(all.map(Tree::Value).collect()))
        }
    })
}

/// How large a document is.
struct Size {
    nodes: u32,
    nesting: usize,
}

/// An upper bound of the values that `segments` visit, from `nodes` values on: descendants and
/// several selectors visit values again.
fn visits(segments: &[Segment], nodes: f64, size: &Size) -> f64 {
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

fn selectors(segment: &Segment) -> (&[Selector], bool) {
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
                REGEX_VISITS + argument(a, size) + argument(b, size)
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

/// The deepest nesting of brackets and parentheses outside quotes.
fn bracket_depth(source: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut quote = None;
    let mut bytes = source.bytes();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(_), b'\\') => {
                bytes.next();
            }
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'[' | b'(') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (None, b']' | b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The parser draws its message over several lines; the one that says what it wanted is last.
fn first_line(message: &str) -> String {
    let told = message.lines().map(str::trim).rfind(|line| line.starts_with('='));
    told.map_or_else(
        || message.lines().next().unwrap_or_default().trim().to_owned(),
        |line| line.trim_start_matches('=').trim().to_owned(),
    )
}

/// A value as the query engine reads it.
#[derive(Debug, Clone)]
struct Node<'a> {
    content: Content<'a>,
    /// The value it stands for; none for what the query engine makes.
    origin: Option<Value<'a>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Content<'a> {
    Null,
    Bool(bool),
    Number(f64),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    /// In [`key_order`].
    Object(Vec<(&'a str, Node<'a>)>),
}

impl<'a> Node<'a> {
    fn read(value: Value<'a>, nesting: usize, size: &mut Size) -> Result<Node<'a>, Failure> {
        size.nodes += 1;
        size.nesting = size.nesting.max(nesting);
        if nesting > MAX_NESTING {
            let message = format!("the payload nests more than {MAX_NESTING} levels deep");
            return Err(Failure::limit(message));
        }
        if f64::from(size.nodes) > MAX_VISITS {
            return Err(Failure::limit("the payload has too many values"));
        }
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(value) => Content::Bool(value),
            Value::Number(number) => Content::Number(number.to_f64()),
            Value::String(string) => Content::String(string.into()),
            Value::Array(array) => Content::Array(
                array
                    .iter()
                    .map(|item| Node::read(item, nesting + 1, size))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(object) => Content::Object(
                object
                    .iter()
                    .map(|(key, value)| Ok((key, Node::read(value, nesting + 1, size)?)))
                    .collect::<Result<_, _>>()?,
            ),
        };
        Ok(Node { content, origin: Some(value) })
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

impl Default for Node<'_> {
    fn default() -> Self {
        Queryable::null()
    }
}

impl<'a> From<Content<'a>> for Node<'a> {
    fn from(content: Content<'a>) -> Self {
        Node { content, origin: None }
    }
}

impl From<&str> for Node<'_> {
    fn from(value: &str) -> Self {
        Content::String(value.to_owned().into()).into()
    }
}

impl From<String> for Node<'_> {
    fn from(value: String) -> Self {
        Content::String(value.into()).into()
    }
}

impl From<bool> for Node<'_> {
    fn from(value: bool) -> Self {
        Content::Bool(value).into()
    }
}

impl From<i64> for Node<'_> {
    fn from(value: i64) -> Self {
        Content::Number(value as f64).into()
    }
}

impl From<f64> for Node<'_> {
    fn from(value: f64) -> Self {
        Content::Number(value).into()
    }
}

impl From<Vec<Self>> for Node<'_> {
    fn from(value: Vec<Self>) -> Self {
        Content::Array(value).into()
    }
}

impl Queryable for Node<'_> {
    fn get(&self, key: &str) -> Option<&Self> {
        let Content::Object(members) = &self.content else { return None };
        let at = members.binary_search_by(|(name, _)| key_order(name, key)).ok()?;
        Some(&members[at].1)
    }

    fn as_array(&self) -> Option<&Vec<Self>> {
        match &self.content {
            Content::Array(items) => Some(items),
            _ => None,
        }
    }

    fn as_object(&self) -> Option<Vec<(&str, &Self)>> {
        match &self.content {
            Content::Object(members) => {
                Some(members.iter().map(|(key, node)| (*key, node)).collect())
            }
            _ => None,
        }
    }

    fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::String(string) => Some(string),
            _ => None,
        }
    }

    fn as_i64(&self) -> Option<i64> {
        match self.content {
            Content::Number(number) if number.fract() == 0.0 => Some(number as i64),
            _ => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match self.content {
            Content::Number(number) => Some(number),
            _ => None,
        }
    }

    fn as_bool(&self) -> Option<bool> {
        match self.content {
            Content::Bool(value) => Some(value),
            _ => None,
        }
    }

    fn null() -> Self {
        Content::Null.into()
    }
}
