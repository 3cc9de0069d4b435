//! What is printed: markdown tables of fixed width.

use crate::clock::Clock;
use crate::contender::Contender;
use crate::events::HISTORY;
use crate::memory::Memory;
use crate::mode::{Mode, Phase};
use crate::options::Options;
use crate::race::Cost;
use crate::tables::Tables;
use crate::workload::Workload;

const LABEL: usize = 32;
const NUMBER: usize = 19;

pub fn start(options: &Options) {
    let (batches, single) = (options.events as u64, options.events as u64 / 10);
    println!("{} events in batches, {} one at a time.", thousands(batches), thousands(single));
    let clock = match options.clock {
        Clock::Wall => "Events a second",
        Clock::Cpu => "Events a second of the server's processor time",
    };
    println!("{clock}, and how many times those of the peer written by hand.");
}

pub fn workload(workload: &Workload, tables: &Tables, payload_bytes: u64) {
    let tables = tables.names.join(", ");
    println!("\n## {}", workload.name);
    println!("\n{}. A payload has {payload_bytes} bytes; tables: {tables}.", workload.summary);
}

type Measured = Vec<(Phase, Vec<Option<Cost>>)>;

pub fn mode(mode: Mode, contenders: &[Contender], measured: &Measured, memory: &[Memory; 2]) {
    println!();
    line(mode.title(), measured.iter().map(|(phase, _)| phase.name().to_owned()));
    rule(measured.len());
    for (who, contender) in contenders.iter().enumerate() {
        line(contender.label, measured.iter().map(|(_, costs)| speed(costs, who)));
    }
    if mode != Mode::Map {
        for (who, contender) in contenders.iter().enumerate() {
            let wal = measured.iter().map(|(_, costs)| wal(costs[who]));
            line(&format!("{}, WAL an event", contender.label), wal);
        }
    }
    println!("{}", memory_line(contenders[0].label, memory));
}

fn line(label: &str, cells: impl Iterator<Item = String>) {
    let cells: String = cells.map(|cell| format!(" {cell:>NUMBER$} |")).collect();
    println!("| {label:<LABEL$} |{cells}");
}

fn rule(columns: usize) {
    let cells = format!(" {}: |", "-".repeat(NUMBER - 1)).repeat(columns);
    println!("| {} |{cells}", "-".repeat(LABEL));
}

/// Events a second; the contender in second place is the one that others are compared with.
fn speed(costs: &[Option<Cost>], who: usize) -> String {
    let a_second = |cost: Cost| cost.events as f64 / cost.time.as_secs_f64();
    let Some(own) = costs[who].map(a_second) else { return "–".into() };
    match costs[1].map(a_second) {
        Some(peer) if who != 1 => format!("{} ({:.2} ×)", thousands(own as u64), own / peer),
        // As wide as a ratio.
        _ => format!("{}         ", thousands(own as u64)),
    }
}

fn wal(cost: Option<Cost>) -> String {
    cost.map_or("–".into(), |cost| format!("{} B", thousands(cost.wal / cost.events as u64)))
}

fn memory_line(label: &str, [first, last]: &[Memory; 2]) -> String {
    let mut line = format!(
        "\n{label}: memory contexts {} after {HISTORY} events, {} at the end",
        megabytes(first.contexts),
        megabytes(last.contexts)
    );
    if let (Some(before), Some(after)) = (first.own, last.own) {
        let (before, after) = (megabytes(before), megabytes(after));
        line.push_str(&format!("; the process's own memory {before}, {after}"));
    }
    if let Some(peak) = last.peak {
        line.push_str(&format!("; peak with shared buffers {}", megabytes(peak)));
    }
    line + "."
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
