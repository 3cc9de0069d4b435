//! What expressions do that an attacker, or a mistake, may write: each in a process of its own.

use crate::child::{self, Outcome};
use crate::engine::Engine;

mod inputs;

/// How a process ended. A backend of a server would raise an error for a panic; anything after
/// that takes the whole server down, or never ends.
const ENDS: [&str; 4] = ["clean", "panic", "abort", "hang"];

pub fn run() {
    let inputs = inputs::all();
    println!("{} hostile expressions, limits on: {}", inputs.len(), ENDS.join(" / "));
    for engine in Engine::ALL {
        let ends: Vec<usize> = inputs
            .iter()
            .map(|(name, _)| end(&child::start(&["hostile", engine.name(), name])))
            .collect();
        let counts = [0, 1, 2, 3].map(|end| ends.iter().filter(|e| **e == end).count().to_string());
        println!("  {:12} {}", engine.name(), counts.join(" / "));
        for (at, what) in ENDS.iter().enumerate().skip(1) {
            let these = inputs.iter().zip(&ends).filter(|(_, end)| **end == at);
            let names: Vec<&str> = these.map(|((name, _), _)| *name).collect();
            if !names.is_empty() {
                println!("    {what}: {}", names.join(", "));
            }
        }
    }
}

/// Which of [`ENDS`] it is.
fn end(outcome: &Outcome) -> usize {
    match (outcome.status, outcome.signal()) {
        (None, _) => 3,
        (_, Some(_)) => 2,
        // The exit code of a panic.
        (Some(status), _) if status.code() == Some(101) => 1,
        (Some(status), _) => {
            assert!(status.success(), "a child could not do its work: {status}");
            0
        }
    }
}

/// In the child.
pub fn evaluate(engine: Engine, name: &str) {
    let inputs = inputs::all();
    let (_, source) = inputs.iter().find(|(known, _)| *known == name).expect("a known input");
    engine.with_compiled(&[source], inputs::INPUT, |compiled| {
        let text = compiled[0].as_ref().map_err(String::clone).and_then(|one| one.text());
        println!("{}", text.map_or("an error", |_| "a result"));
    });
}
