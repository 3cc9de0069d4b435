//! A mapping document: it compiles, or has problems, always the same ones, each at a place that is
//! there; and what could be understood of it can be explained.
//!
//! Input: a JSON text that begins with `{`; or bytes to make a document of.

use bumpalo::Bump;
use erp_engine::explain::{diagram, explain};
use erp_engine::expr::CancelToken;
use erp_engine::jsonb::{Value, parse_text};
use erp_engine::mapping::{Compiled, Mapping, Severity, compile, key_set_uses};

use super::made::{Maker, Wrong};
use super::sound::keep;

pub fn run(input: &[u8]) {
    let arena = Bump::new();
    let document = match input {
        [b'{', ..] => {
            let Ok(text) = std::str::from_utf8(input) else { return };
            let Ok(tree) = parse_text(text, &arena) else { return };
            tree
        }
        bytes => Maker::new(bytes, &arena).mapping(Wrong::Sometimes),
    };
    let document = keep(&document, &arena);
    let (compiled, again) = (compile(document), compile(document));
    assert_eq!(compiled.problems, again.problems);
    has_problems_at_their_places(&compiled, document);
    match (understood(&compiled), understood(&again)) {
        (Some(mapping), Some(again)) => assert_eq!(explained(mapping), explained(again)),
        (None, None) => {}
        _ => panic!("it is understood once"),
    }
}

fn understood(compiled: &Compiled) -> Option<&Mapping> {
    compiled.mapping.as_ref().or(compiled.understood.as_ref())
}

fn has_problems_at_their_places(compiled: &Compiled, document: Value<'_>) {
    let is_error = |severity| severity == Severity::Error;
    let is_wrong = compiled.problems.iter().any(|problem| is_error(problem.severity));
    assert_eq!(compiled.mapping.is_none(), is_wrong);
    for problem in &compiled.problems {
        assert!(!problem.code.is_empty() && !problem.message.is_empty());
        assert!(!problem.message.ends_with('.'), "{}", problem.message);
        let (parent, _) = problem.path.rsplit_once('/').unwrap_or_default();
        assert!(is_there(parent, document), "{}", problem.path);
    }
}

/// Whether a JSON Pointer names a part of the document.
fn is_there(pointer: &str, document: Value<'_>) -> bool {
    let step = |value: Value<'_>, step: &str| match value {
        Value::Object(object) => object.get(&step.replace("~1", "/").replace("~0", "~")).is_some(),
        Value::Array(array) => step.parse().is_ok_and(|index| array.get(index).is_some()),
        _ => false,
    };
    let mut at = document;
    for name in pointer.split('/').skip(1) {
        if !step(at, name) {
            return false;
        }
        at = match at {
            Value::Object(object) => {
                object.get(&name.replace("~1", "/").replace("~0", "~")).expect("it is there")
            }
            Value::Array(array) => {
                array.get(name.parse().expect("it is a number")).expect("it is there")
            }
            _ => unreachable!("it has parts"),
        };
    }
    true
}

/// All that is told of a mapping without running it.
fn explained(mapping: &Mapping) -> String {
    let rows = explain(mapping, None, &CancelToken::new()).expect("all events are there");
    for (name, event) in mapping.events() {
        let named = name.unwrap_or("any");
        assert!(mapping.event(named).is_ok_and(|found| std::ptr::eq(found, event)));
    }
    format!("{}\n{:?}", diagram(&rows), key_set_uses(mapping))
}
