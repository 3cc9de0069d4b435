//! A mapping and a payload: mapping ends within its limits, gives the same each time, and tells
//! nothing of the payload when it fails.
//!
//! Input: a mapping's JSON text that begins with `{` and, in the next line, the payload's; or bytes
//! to make both of.

use std::time::Duration;

use bumpalo::Bump;
use erp_engine::error::{Error, Result};
use erp_engine::expr::{CancelToken, Context, Limits};
use erp_engine::jsonb::Value;
use erp_engine::map::{Mapped, map};
use erp_engine::mapping::{Event, compile};

use super::made::{Maker, SECRET, Wrong};
use super::sound::{keep, parse, read};

/// 2024-01-15T08:00:00Z.
const NOW: i64 = 1_705_305_600_000;

/// Small, so that an input takes no longer than half a second, whatever it evaluates.
fn limits() -> Limits {
    Limits {
        timeout: Duration::from_millis(50),
        max_steps: 20_000,
        max_depth: 200,
        max_string_length: 64 << 10,
        max_array_length: 1_000,
        max_result_size: 64 << 10,
        max_entities: 8,
        max_relation_items: 20,
        max_memory: 1 << 20,
        ..Limits::default()
    }
}

pub fn run(input: &[u8]) {
    let arena = Bump::new();
    let Some((document, payload)) = given(input, &arena) else { return };
    let compiled = compile(document);
    // What could be understood of one with mistakes is a mapping too.
    let Some(mapping) = compiled.mapping.or(compiled.understood) else { return };
    let is_told = document.to_string().contains(SECRET);
    for (_, event) in mapping.events() {
        let once = mapped(event, payload, &arena);
        let again = mapped(event, payload, &arena);
        let took_long = |outcome: &Result<Vec<String>>| {
            outcome.as_ref().is_err_and(|error| error.limit == Some("timeout"))
        };
        assert!(once == again || took_long(&once) || took_long(&again), "{once:?}\n{again:?}");
        if let (Err(error), false) = (&once, is_told) {
            tells_nothing(error);
        }
    }
}

fn given<'a>(input: &[u8], arena: &'a Bump) -> Option<(Value<'a>, Value<'a>)> {
    if input.starts_with(b"{") {
        let (mapping, payload) = std::str::from_utf8(input).ok()?.split_once('\n')?;
        return Some((parse(mapping, arena)?, parse(payload, arena)?));
    }
    let mut maker = Maker::checked(input, arena);
    let payload = maker.payload();
    Some((keep(&maker.mapping(Wrong::Never), arena), payload))
}

/// The rows as text.
fn mapped<'a>(event: &'a Event, payload: Value<'a>, arena: &'a Bump) -> Result<Vec<String>> {
    let limits = limits();
    let context = Context::new(arena, &limits, NOW, CancelToken::new());
    let mapped = map(event, payload, &context)?;
    assert!(context.yielded() <= limits.max_memory);
    let updates = mapped.iter().filter(|row| matches!(row, Mapped::Update(_))).count();
    assert!(updates <= limits.max_entities);
    Ok(mapped.iter().map(|row| shown(row, arena)).collect())
}

fn shown<'a>(row: &Mapped<'a>, arena: &'a Bump) -> String {
    let what = match row {
        Mapped::Update(update) => {
            let identifiers = keep(&update.identifiers_tree(), arena);
            let attributes = keep(&update.attributes_tree(), arena);
            [identifiers, attributes].into_iter().for_each(read);
            let named = identifiers.as_object().expect("it is an object");
            assert!(
                named.iter().all(|(name, _)| update.entity.unique_ids.iter().any(|id| id == name))
            );
            format!("{identifiers} {attributes}")
        }
        Mapped::Prune(prune) => {
            let scope = keep(&prune.scope_tree(), arena);
            read(scope);
            scope.to_string()
        }
    };
    format!("{} {} {what}", row.schema(), row.mode())
}

/// No part of an error quotes the payload, unless the mapping's author says so (`$error`,
/// `$assert`).
fn tells_nothing(error: &Error) {
    let told = format!("{error:?}");
    let by_author = ["D3137", "D3141"].iter().any(|code| told.contains(code));
    assert!(!told.contains(SECRET) || by_author, "{told}");
}
