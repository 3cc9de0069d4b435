//! An event mapped, beside what it cannot do without.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bumpalo::Bump;
use criterion::Criterion;
use erp_engine::expr::{CancelToken, Context, Jsonata, Limits};
use erp_engine::jsonb::encode;
use erp_engine::map::{Mapped, map as map_event};
use erp_engine::mapping::{
    Enabled, Entity, Event, Field, FieldValue, RelationItems, Relations, Source, compile,
};
use jlens_core::{Bindings, Document, Expression, Options};

use super::events::{self, events};
use super::jsonb::walk;
use crate::support::{NOW, json};
use crate::workload::Workload;

pub fn map(criterion: &mut Criterion, workload: &Workload) {
    let documents = Bump::new();
    let compiled = compile(json(workload.mapping, &documents));
    let mapping = compiled.mapping.expect("the mapping of a workload compiles");
    let event = mapping.event(workload.event_name).expect("the mapping has the event");
    let events = events(workload, &documents);
    let expressions = expressions(event);
    let bare = Bare::new(&expressions);
    let mut arena = Bump::new();

    let mut map_one = |payload| {
        arena.reset();
        black_box(map_event(event, payload, &context(&arena)).expect("a payload maps"));
    };
    let least = |event: &events::Event<'_>| {
        black_box(walk(event.payload));
        bare.evaluate(&event.document);
    };
    let mut group = criterion.benchmark_group(workload.name);
    let mut turns = events.iter().cycle();
    let mut next = || turns.next().expect("a cycle has no end");
    group.bench_function("map", |bench| bench.iter(|| map_one(next().payload)));
    group.bench_function("walk and evaluate bare", |bench| bench.iter(|| least(next())));
    let mut shares = Vec::new();
    let in_turns = format!("map {} events, in turns with walk and evaluate bare", events.len());
    group.bench_function(in_turns, |bench| {
        bench.iter_custom(|times| {
            let of_turn = |_| {
                let mapped = time(|| events.iter().for_each(|event| map_one(event.payload)));
                let at_least = time(|| events.iter().for_each(least));
                shares.push(at_least.as_secs_f64() / mapped.as_secs_f64());
                mapped
            };
            (0..times).map(of_turn).sum()
        });
    });
    group.bench_function("walk", |bench| bench.iter(|| walk(black_box(next().payload))));
    group.bench_function("evaluate bare", |bench| {
        bench.iter(|| bare.evaluate(&next().document));
    });
    let mut arena = Bump::new();
    group.bench_function("evaluate", |bench| {
        bench.iter(|| {
            arena.reset();
            let (context, payload) = (context(&arena), next().payload);
            for expression in &expressions {
                let result = expression.evaluate(Some(payload), &context);
                black_box(result.expect("an expression evaluates"));
            }
        });
    });
    group.bench_function("map and write the updates", |bench| {
        bench.iter(|| {
            arena.reset();
            let payload = next().payload;
            let mapped = map_event(event, payload, &context(&arena)).expect("a payload maps");
            mapped.iter().for_each(write);
        });
    });
    group.finish();
    tell(workload, shares);
}

/// What criterion cannot: a ratio that other work on the machine does not move.
fn tell(workload: &Workload, mut shares: Vec<f64>) {
    if shares.is_empty() {
        return;
    }
    shares.sort_by(f64::total_cmp);
    let (median, turns) = (100.0 * shares[shares.len() / 2], shares.len());
    println!(
        "{}: walk and evaluate bare over map: {median:.0} %, median of {turns} turns\n",
        workload.name
    );
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn context(arena: &Bump) -> Context<'_> {
    Context::new(arena, &Limits::default(), NOW, CancelToken::new())
}

/// Makes the bytes that are sent to the server.
fn write(mapped: &Mapped<'_>) {
    let tree = match mapped {
        Mapped::Update(update) => update.attributes_tree(),
        Mapped::Prune(prune) => prune.scope_tree(),
    };
    black_box(encode(&tree).expect("an update fits into jsonb"));
}

/// The expressions of an event, each of which sees the payload once.
fn expressions(event: &Event) -> Vec<&Jsonata> {
    event.entities.iter().flat_map(of_entity).collect()
}

fn of_entity(entity: &Entity) -> Vec<&Jsonata> {
    let fields: Vec<&Jsonata> = entity.fields.iter().filter_map(of_field).collect();
    // Such would see each item, or stand elsewhere: evaluating them once would be too little.
    assert!(entity.items.is_none() || fields.is_empty());
    assert!(matches!(entity.enabled, Enabled::Always) && entity.scope.is_none());
    entity.items.iter().chain(fields).collect()
}

fn of_field(field: &Field) -> Option<&Jsonata> {
    match &field.value {
        FieldValue::Source(Source::Jsonata(expression)) => Some(expression),
        FieldValue::Relations(Relations {
            items: RelationItems::Expression(expression), ..
        }) => Some(expression),
        _ => None,
    }
}

/// The same expressions without the engine around them.
struct Bare {
    expressions: Vec<Expression>,
    bindings: Bindings,
    options: Options,
}

impl Bare {
    fn new(expressions: &[&Jsonata]) -> Bare {
        let compile = |of: &&Jsonata| Expression::compile(of.source()).expect("it compiled before");
        Bare {
            expressions: expressions.iter().map(compile).collect(),
            bindings: Bindings::new(),
            options: Options::new(),
        }
    }

    fn evaluate(&self, document: &Document) {
        for expression in &self.expressions {
            let result = expression.evaluate_document(document, &self.bindings, &self.options);
            black_box(result.expect("an expression evaluates"));
        }
    }
}
