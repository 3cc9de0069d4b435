//! JSONPath (RFC 9535). Singular paths are plain look-ups; only what selects several values
//! reaches `jsonpath-rust`.

mod cost;
mod node;
mod reads;
mod typing;

use jsonpath_rust::parser::model::{JpQuery, Segment, Selector};
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;

use self::cost::{MAX_VISITS, Size, regex_visits, visits};
use self::node::Node;
use super::{Context, Failure, FailureKind, Reads};
use crate::jsonb::{Tree, Value};

/// The longest path, in bytes; the deepest brackets and parentheses. The parser's time grows
/// exponentially with the latter.
const MAX_LENGTH: usize = 1_000;
const MAX_BRACKETS: usize = 8;

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
    Query {
        query: JpQuery,
        /// What one visit by a regular expression of it costs.
        regex: f64,
    },
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
        if has_stray_blank(source) {
            return Err(syntax("a blank stands where a path has none".into()));
        }
        typing::check(&query).map_err(syntax)?;
        let kind = match singular(&query) {
            Some(steps) => Kind::Singular(steps),
            None => Kind::Query { regex: regex_visits(&query), query },
        };
        Ok(Path { source: source.to_owned(), kind })
    }

    /// The path as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the path reads of its input, its filters included.
    pub fn reads(&self) -> Reads {
        match &self.kind {
            Kind::Singular(steps) => reads::of_steps(steps),
            Kind::Query { query, .. } => reads::of_query(query),
        }
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
            Kind::Query { query, regex } => {
                let found = run(query, *regex, input, context)?;
                found.map(|found| context.keep(found)).transpose()
            }
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

fn run<'a>(
    query: &JpQuery,
    regex: f64,
    input: Value<'a>,
    context: &Context<'a>,
) -> Result<Option<Tree<'a>>, Failure> {
    let mut size = Size { nodes: 0, nesting: 0, regex };
    let root = Node::read(input, 0, &mut size, context)?;
    if visits(&query.segments, f64::from(size.nodes), &size) > MAX_VISITS {
        return Err(Failure::limit("the path visits too many values of this payload", None));
    }
    let found = js_path_process(query, &root)
        .map_err(|error| Failure::new(FailureKind::Evaluation, first_line(&error.to_string())))?;
    context.check()?;
    let values: Vec<Value<'a>> = found.into_iter().filter_map(|found| found.val.origin).collect();
    let result_size: usize = values.iter().map(|value| value.size()).sum();
    match values[..] {
        [] => Ok(None),
        [one] => Ok(Some(one.into())),
        _ if result_size > context.limits.max_result_size => {
            let message = "the result of the path would exceed the size limit of a result";
            Err(Failure::limit(message, Some("max_result_size")))
        }
        _ => Ok(Some(Tree::Array(values.into_iter().map(Tree::Value).collect()))),
    }
}

/// The deepest nesting of brackets and parentheses outside quotes.
fn bracket_depth(source: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in unquoted(source) {
        match byte {
            b'[' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether there is a blank after a dot, inside a name, or at the end: the parser lets them pass.
fn has_stray_blank(source: &str) -> bool {
    let is_blank = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let bytes: Vec<u8> = unquoted(source).collect();
    let after_blanks = |at: usize| bytes[at..].iter().copied().find(|byte| !is_blank(*byte));
    bytes.windows(2).enumerate().any(|(at, pair)| {
        let next = || after_blanks(at + 1);
        is_blank(pair[1])
            && (pair[0] == b'.' || next().is_none_or(|next| is_name(pair[0]) && is_name(next)))
    })
}

/// The bytes outside quotes; a quoted text is one quote.
fn unquoted(source: &str) -> impl Iterator<Item = u8> {
    let mut bytes = source.bytes();
    let mut quote = None;
    std::iter::from_fn(move || {
        loop {
            match (quote, bytes.next()?) {
                (Some(_), b'\\') => {
                    bytes.next();
                }
                (Some(open), byte) if byte == open => quote = None,
                (Some(_), _) => {}
                (None, byte) => {
                    if matches!(byte, b'\'' | b'"') {
                        quote = Some(byte);
                    }
                    return Some(byte);
                }
            }
        }
    })
}

/// The parser draws its message over several lines; the one that says what it wanted is last.
fn first_line(message: &str) -> String {
    let told = message.lines().map(str::trim).rfind(|line| line.starts_with('='));
    told.map_or_else(
        || message.lines().next().unwrap_or_default().trim().to_owned(),
        |line| line.trim_start_matches('=').trim().to_owned(),
    )
}
