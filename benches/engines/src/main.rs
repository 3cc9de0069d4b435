//! Engines for JSONata in Rust beside one another: speed, memory, and what hostile expressions
//! do to a process. The numbers of `docs/decisions/0001-expression-engines.md` come from here.
//!
//! Only what one run says can be compared.

mod child;
mod engine;
mod hostile;
mod mapping;
mod memory;
mod speed;

use std::process::ExitCode;

const USAGE: &str = "usage: erp_bench_engines [speed | memory | hostile]…  (all without arguments)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--child", task @ ..] = &words[..] {
        return child::run(task);
    }
    let parts: [(&str, fn()); 3] =
        [("speed", speed::run), ("memory", memory::run), ("hostile", hostile::run)];
    if words.iter().any(|word| parts.iter().all(|(name, _)| name != word)) {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    for (name, run) in parts {
        if words.is_empty() || words.contains(&name) {
            run();
        }
    }
    ExitCode::SUCCESS
}
