//! What erp_toolkit costs beside SQL written by hand, on the server that PGHOST names.
//!
//! Only ratios count: everything that is compared runs in turns within one run, on tables of the
//! same shape, and has to leave the same rows.

mod chart;
mod clock;
mod contender;
mod database;
mod events;
mod floor;
mod memory;
mod mode;
mod node;
mod options;
mod race;
mod random;
mod report;
mod session;
mod study;
mod tables;
mod verify;
mod workload;

use std::process::ExitCode;

use mode::Measured;
use options::Options;
use workload::Workload;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--help") {
        println!("{}", options::usage());
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("erp_bench: {problem}\n\n{}", options::usage());
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("erp_bench: {}", describe(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if let Some(study) = options.study {
        return study.run(options);
    }
    report::start(options);
    let mut measured = Vec::new();
    for workload in &options.workloads {
        measured.extend(compare(workload, options)?);
    }
    match &options.chart {
        Some(file) => chart::draw(file, options.clock, &measured),
        None => Ok(()),
    }
}

/// Measures and tells a workload.
fn compare(workload: &'static Workload, options: &Options) -> Result<Vec<Measured>> {
    let database = database::Database::create()?;
    let tables = tables::create(&database, workload)?;
    let payload_bytes = events::load(&database, workload, options.events)?;
    report::workload(workload, &tables, payload_bytes);
    let mut measured = Vec::new();
    for mode in &options.modes {
        let of_mode = mode::run(&database, workload, &tables, *mode, options)?;
        report::mode(&of_mode);
        measured.push(of_mode);
    }
    report::beside_node(&measured);
    Ok(measured)
}

/// An error with what the server says about it.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let Some(said) = error.downcast_ref::<postgres::Error>().and_then(|e| e.as_db_error()) else {
        return error.to_string();
    };
    let more = [said.detail(), said.hint(), said.where_()];
    let more = more.into_iter().flatten().map(|line| format!("\n  {line}"));
    format!("{} {}{}", said.code().code(), said.message(), more.collect::<String>())
}
