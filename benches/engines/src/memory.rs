//! What a process holds after many evaluations of compiled expressions, as a session of the
//! server keeps them. Each engine in a process of its own.

use crate::child;
use crate::engine::Engine;
use crate::mapping::{PAYLOAD, expressions, results};

const EVALUATIONS: usize = 100_000;

pub fn run() {
    println!("memory of a process after {EVALUATIONS} evaluations of the same expressions");
    for engine in Engine::ALL {
        let outcome = child::start(&["memory", engine.name()]);
        println!("  {:12} {}", engine.name(), outcome.said.trim());
    }
}

/// In the child.
pub fn measure(engine: Engine) {
    let expressions = expressions();
    let sources: Vec<&str> = expressions.iter().map(String::as_str).collect();
    let can = results(engine, &sources);
    let sources: Vec<&str> =
        sources.into_iter().zip(can).filter(|(_, can)| can.is_ok()).map(|(s, _)| s).collect();
    engine.with_compiled(&sources, PAYLOAD, |compiled| {
        let before = resident();
        for one in compiled.iter().flatten().cycle().take(EVALUATIONS) {
            one.evaluate().expect("it gave a result before");
        }
        println!("{} MB, {} MB before", resident(), before);
    });
}

/// Megabytes of memory that the process has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells of itself");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.and_then(|number| number.parse::<usize>().ok()).expect("VmRSS is a number") / 1024
}
