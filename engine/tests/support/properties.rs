//! How often a property is tried.

use std::env;

use proptest::test_runner::{Config, RngSeed};

/// `cases`, the same in every run. `PROPTEST_CASES` asks for another number, and for others in each
/// run.
pub fn config(cases: u32) -> Config {
    let (cases, rng_seed) = match env::var("PROPTEST_CASES") {
        Ok(cases) => (cases.parse().expect("PROPTEST_CASES is a number"), RngSeed::Random),
        Err(_) => (cases, RngSeed::Fixed(1)),
    };
    Config {
        cases,
        rng_seed,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    }
}
