//! A mapping document to a compiled mapping: what the first event of a session pays.

use std::hint::black_box;

use bumpalo::Bump;
use criterion::Criterion;

use crate::support::json;
use crate::workload::Workload;

pub fn compile(criterion: &mut Criterion, workload: &Workload) {
    let arena = Bump::new();
    let document = json(workload.mapping, &arena);
    criterion.bench_function(&format!("{}/compile", workload.name), |bench| {
        bench.iter(|| erp_engine::mapping::compile(black_box(document)));
    });
}
