//! What each part of the engine costs alone, without a server.
//!
//! Times of different runs or machines cannot be compared, ratios within one run can; on a machine
//! that does other work as well, only what was measured in turns. That is the one that counts:
//! `walk and evaluate bare` over `map`. It is the least that mapping an event could cost (each
//! value of the payload met once, and the mapping's expressions evaluated by the expression engine
//! itself, on a document converted beforehand) over what it does cost.

mod measures;

#[path = "../../benches/src/random.rs"]
mod random;
#[path = "../tests/support/mod.rs"]
mod support;
// The mappings and payloads that the benchmarks on a server have.
#[path = "../../benches/src/workload/mod.rs"]
#[allow(dead_code, reason = "the SQL of a workload is for a server")]
mod workload;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

// What `workload` reports errors with.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn all(criterion: &mut Criterion) {
    for workload in workload::ALL {
        measures::compile(criterion, workload);
        measures::map(criterion, workload);
    }
    measures::read(criterion);
    measures::write(criterion);
    measures::merge(criterion);
}

/// A shorter run than criterion's own; its arguments lengthen it.
fn short() -> Criterion {
    let second = Duration::from_secs(1);
    Criterion::default().warm_up_time(second).measurement_time(3 * second)
}

criterion_group! {
    name = benches;
    config = short();
    targets = all
}
criterion_main!(benches);
