//! A JSONPath and a payload: it compiles or does not, always the same way; what it selects is of
//! the payload; and written in another way it selects the same.
//!
//! Input: a path and, in the next line, a JSON text; or bytes to make both of.

use bumpalo::Bump;
use erp_engine::expr::{CancelToken, Context, Failure, Limits, Path};
use erp_engine::jsonb::{Tree, Value};

use super::made::Maker;
use super::sound::{keep, parse, parts, read};

pub fn run(input: &[u8]) {
    let arena = Bump::new();
    let (source, payload) = match input {
        [b'$', ..] => {
            let Ok(text) = std::str::from_utf8(input) else { return };
            let (source, payload) = text.split_once('\n').unwrap_or((text, "null"));
            let Some(payload) = parse(payload, &arena) else { return };
            (source.to_owned(), payload)
        }
        bytes => {
            let mut maker = Maker::new(bytes, &arena);
            (maker.path(), maker.payload())
        }
    };
    let Some(path) = compiled(&source) else { return };
    let context = Context::new(&arena, &Limits::default(), 0, CancelToken::new());
    let found = path.evaluate(payload, &context);
    if let Ok(Some(found)) = found {
        is_of_the_payload(found, payload);
    }
    otherwise(&source, payload, &found, &context);
}

fn compiled(source: &str) -> Option<Path> {
    match (Path::compile(source), Path::compile(source)) {
        (Ok(path), Ok(again)) => {
            assert_eq!((path.source(), again.source()), (source, source));
            assert_eq!(path.reads(), again.reads());
            Some(path)
        }
        (a, b) => {
            assert_eq!(a.err(), b.err());
            None
        }
    }
}

/// What is selected is a value of the payload, or a list of several.
fn is_of_the_payload(found: Value<'_>, payload: Value<'_>) {
    read(found);
    let parts = parts(payload);
    let is_part = |value: Value<'_>| parts.iter().any(|(part, _)| part.same(value));
    let several = found.as_array().filter(|list| list.len() > 1);
    assert!(is_part(found) || several.is_some_and(|list| list.iter().all(is_part)));
}

/// Names and indexes are looked up where a path has nothing else, and followed by the query engine
/// where it has.
fn otherwise<'a>(
    source: &str,
    payload: Value<'a>,
    found: &Result<Option<Value<'a>>, Failure>,
    context: &Context<'a>,
) {
    if source.contains(['*', '?', ',', ':']) || source.contains("..") {
        return;
    }
    let list = Tree::Array(vec![Tree::Value(payload)]);
    let list = keep(&list, context.arena);
    for begins in ["$[0]", "$[-1]", "$[*]", "$[0:1]"] {
        let Ok(path) = Path::compile(&format!("{begins}{}", &source[1..])) else { continue };
        match (path.evaluate(list, context), found) {
            (Ok(Some(a)), Ok(Some(b))) => assert!(a.same(*b), "{begins}: {source}"),
            (Ok(a), Ok(b)) => assert!(a.is_none() && b.is_none(), "{begins}: {source}"),
            // A payload that nests deep is not read by the query engine.
            (Err(_), _) => {}
            (Ok(_), Err(error)) => panic!("{source}: {error:?}"),
        }
    }
}
