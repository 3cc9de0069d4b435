//! jsonb read in place, and built.

use std::hint::black_box;

use bumpalo::Bump;
use criterion::Criterion;
use erp_engine::jsonb::{Value, encode, parse_text};

use super::events::{Event, events};
use crate::workload::{ALL, Workload};

/// Members on the way to values at several depths; the last is not there.
const PATHS: &[&[&str]] = &[
    &["customerId"],
    &["name", "first"],
    &["address", "city"],
    &["address", "geo", "lat"],
    &["_meta", "changeNumber"],
    &["address", "missing"],
];

/// Meets every value once. Returns a sum of what was met, so that none of it can be left out.
pub fn walk(value: Value<'_>) -> usize {
    match value {
        Value::Null => 1,
        Value::Bool(value) => usize::from(value),
        Value::Number(number) => number.bytes().len(),
        Value::String(string) => string.len(),
        Value::Array(array) => array.iter().map(walk).sum(),
        Value::Object(object) => object.iter().map(|(key, value)| key.len() + walk(value)).sum(),
    }
}

/// Reads the largest payloads, those of customers.
pub fn read(criterion: &mut Criterion) {
    let arena = Bump::new();
    let events = events(customer(), &arena);
    let mut payloads = events.iter().map(|event| event.payload).cycle();
    let mut next = || payloads.next().expect("a cycle has no end");

    let mut group = criterion.benchmark_group("jsonb");
    let walked = format!("walk {} bytes", mean_size(&events));
    group.bench_function(walked, |bench| bench.iter(|| walk(black_box(next()))));
    let looked_up = format!("look up {} paths", PATHS.len());
    group.bench_function(looked_up, |bench| {
        bench.iter(|| {
            let payload = next();
            for path in PATHS {
                black_box(look_up(payload, path));
            }
        });
    });
    group.finish();
}

/// Builds the same payloads.
pub fn write(criterion: &mut Criterion) {
    let arena = Bump::new();
    let events = events(customer(), &arena);
    let parse = |event: &'_ Event<'_>| parse_text(arena.alloc_str(&event.text), &arena);
    let trees: Vec<_> =
        events.iter().map(|event| parse(event).expect("a payload is JSON")).collect();
    let mut turns = (0..events.len()).cycle();
    let mut turn = || turns.next().expect("a cycle has no end");

    let mut group = criterion.benchmark_group("jsonb");
    let written = format!("write {} bytes", mean_size(&events));
    group.bench_function(written, |bench| {
        bench.iter(|| encode(black_box(&trees[turn()])).expect("a payload fits into jsonb"));
    });
    let mut scratch = Bump::new();
    group.bench_function("write from text", |bench| {
        bench.iter(|| {
            scratch.reset();
            let tree = parse_text(black_box(&events[turn()].text), &scratch);
            encode(&tree.expect("a payload is JSON")).expect("a payload fits into jsonb")
        });
    });
    group.finish();
}

fn customer() -> &'static Workload {
    ALL.iter().find(|workload| workload.name == "customer").expect("there is such a workload")
}

fn mean_size(events: &[Event<'_>]) -> usize {
    events.iter().map(|event| event.payload.size()).sum::<usize>() / events.len()
}

fn look_up<'a>(payload: Value<'a>, path: &[&str]) -> Option<Value<'a>> {
    path.iter().try_fold(payload, |value, key| value.as_object()?.get(key))
}
