//! How fast compiled expressions are on an input that they share: in turns, medians of the turns.

use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::mapping::{PAYLOAD, expressions, results, same};

const TURNS: usize = 301;

/// How long an engine is measured in a turn: shorter than the time slice that other work on the
/// machine may take in between.
const TURN: Duration = Duration::from_micros(500);

pub fn run() {
    let expressions = expressions();
    let sources: Vec<&str> = expressions.iter().map(String::as_str).collect();
    println!("speed, {} expressions of a mapping", sources.len());
    let common = common(&sources);
    let last = sources.last().copied().expect("the mapping has expressions");
    table(&format!("the {} that all get right", common.len()), &common);
    table("a path, name.last", &["name.last"]);
    table("a block of several lines", &[last]);
}

/// The expressions of which all engines give the same. What the others cannot is shown.
fn common<'s>(sources: &[&'s str]) -> Vec<&'s str> {
    let [reference, others @ ..] = Engine::ALL.map(|engine| (engine, results(engine, sources)));
    let mut is_common = vec![true; sources.len()];
    for (engine, results) in &others {
        for (at, (given, expected)) in results.iter().zip(&reference.1).enumerate() {
            let is_same = match (given, expected) {
                (Ok(None), Ok(None)) => true,
                (Ok(Some(given)), Ok(Some(expected))) => same(given, expected),
                _ => false,
            };
            if !is_same {
                is_common[at] = false;
                println!("  {}: {}\n    {given:?}, not {expected:?}", engine.name(), sources[at]);
            }
        }
    }
    let common = sources.iter().zip(is_common).filter(|(_, is_common)| *is_common);
    common.map(|(source, _)| *source).collect()
}

fn table(what: &str, sources: &[&str]) {
    let mut turns: Vec<[f64; 3]> =
        (0..TURNS).map(|_| Engine::ALL.map(|engine| micros(engine, sources))).collect();
    // The first fills caches.
    turns.remove(0);
    println!("  {what}");
    for (at, engine) in Engine::ALL.iter().enumerate() {
        let time = median(turns.iter().map(|turn| turn[at]));
        let ratio = median(turns.iter().map(|turn| turn[at] / turn[0]));
        println!(
            "    {:12} {time:9.2} µs  {ratio:6.2} of {}",
            engine.name(),
            Engine::ALL[0].name()
        );
    }
}

/// Microseconds that all of `sources` take together. They are compiled anew for each turn, for
/// one of the engines frees nothing before.
fn micros(engine: Engine, sources: &[&str]) -> f64 {
    engine.with_compiled(sources, PAYLOAD, |compiled| {
        // Reading the clock must not count.
        let passes = 100 / compiled.len().min(100);
        let evaluate = || {
            for one in std::iter::repeat_n(compiled, passes).flatten() {
                let one = one.as_ref().expect("it compiled before");
                one.evaluate().expect("it gave a result before");
            }
        };
        evaluate();
        let (start, mut done) = (Instant::now(), 0);
        while start.elapsed() < TURN {
            evaluate();
            done += passes;
        }
        start.elapsed().as_secs_f64() * 1e6 / done as f64
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
