//! What is printed: markdown tables of fixed width.

use crate::clock::Clock;
use crate::contender::Peer;
use crate::memory::Memory;
use crate::mode::{Measured, Mode, Phase};
use crate::options::Options;
use crate::race::Cost;
use crate::study::Study;
use crate::tables::Tables;
use crate::workload::Workload;

const LABEL: usize = 32;
const NUMBER: usize = 19;

pub fn start(options: &Options) {
    let (batches, single) = (options.events as u64, options.events as u64 / 10);
    println!("{} events in batches, {} one at a time.", thousands(batches), thousands(single));
    let clock = match options.clock {
        Clock::Wall => "Events a second",
        Clock::Cpu => "Events a second of processor time",
    };
    println!("{clock}, and how many times those of the peer written by hand.");
    let left_out = left_out(options);
    if !left_out.is_empty() {
        println!("Left out: {}.", left_out.join("; "));
    }
}

fn left_out(options: &Options) -> Vec<&'static str> {
    let modes = Mode::ALL.iter().filter(|mode| !options.modes.contains(mode));
    let who = [(options.floor, "ready rows"), (options.node, "the Node.js worker")];
    let who = who.into_iter().filter(|(takes_part, _)| !takes_part).map(|(_, who)| who);
    modes.map(|mode| mode.title()).chain(who).collect()
}

pub fn workload(workload: &Workload, tables: &Tables, payload_bytes: u64) {
    let tables = tables.names.join(", ");
    println!("\n## {}", workload.name);
    println!("\n{}. A payload has {payload_bytes} bytes; tables: {tables}.", workload.summary);
}

pub fn mode(measured: &Measured) {
    let Measured { mode, labels, phases, memory, .. } = measured;
    println!();
    line(mode.title(), phases.iter().map(|(phase, _)| phase.name().to_owned()));
    rule(phases.len());
    for (who, label) in labels.iter().enumerate() {
        line(label, phases.iter().map(|(_, costs)| speed(costs, who)));
    }
    if *mode != Mode::Map {
        for (who, label) in labels.iter().enumerate() {
            line(
                &format!("{label}, WAL an event"),
                phases.iter().map(|(_, costs)| wal(costs[who])),
            );
        }
    }
    println!();
    let columns = ["at the start", "at the end", "peak with shared"];
    line("a session's own memory", columns.into_iter().map(str::to_owned));
    rule(columns.len());
    for (label, [first, last]) in labels.iter().zip(memory) {
        line(label, [first.own, last.own, last.peak].into_iter().map(megabytes));
    }
}

/// What batches are beside the worker that applies an event at a time, in the same run.
pub fn beside_node(measured: &[Measured]) {
    let speeds = |mode: Mode, peer: Peer| {
        let of = measured.iter().find(|of| of.mode == mode)?;
        let who = of.peers.iter().position(|of| *of == peer)?;
        let speed =
            |(phase, costs): &(Phase, Vec<Option<Cost>>)| Some((*phase, costs[who]?.speed()));
        Some(of.phases.iter().filter_map(speed).collect::<Vec<_>>())
    };
    let (Some(ours), Some(node)) =
        (speeds(Mode::Batch, Peer::Toolkit), speeds(Mode::Client, Peer::Node))
    else {
        return;
    };
    println!();
    line("1,000 events a call", ours.iter().map(|(phase, _)| phase.name().to_owned()));
    rule(ours.len());
    let ratios =
        ours.iter().zip(&node).map(|((_, ours), (_, node))| format!("{:.1} ×", ours / node));
    line("erp_apply_batch / Node.js worker", ratios);
}

/// What a study of `workload` is about.
pub fn study(study: Study, workload: &Workload, options: &Options) {
    println!("## {}\n", study.about());
    print!("Workload {}", workload.name);
    if options.quick {
        print!("; a quick run, smaller than the usual one");
    }
    println!(".\n");
}

pub fn scale_head() {
    println!("Batches of 1,000 events, half of them about new customers.\n");
    line(
        "customers in the table",
        ["µs an event", "beside the first"].map(str::to_owned).into_iter(),
    );
    rule(2);
}

pub fn scale(size: usize, micros: f64, ratio: f64) {
    let cells = [format!("{micros:.1}"), format!("{ratio:.2} ×")];
    line(&thousands(size as u64), cells.into_iter());
}

pub fn connections_head(label: &str, events: usize) {
    let label = format!("{label}, {} events", thousands(events as u64));
    let columns = ["one, events/s", "two, events/s", "ratio"];
    line(&label, columns.map(str::to_owned).into_iter());
    rule(columns.len());
}

pub fn connections([one, two]: [f64; 2]) {
    let cells = [thousands(one as u64), thousands(two as u64), format!("{:.2} ×", two / one)];
    line("", cells.into_iter());
}

pub fn connections_median(ratio: f64) {
    line("median", ["".into(), "".into(), format!("{ratio:.2} ×")].into_iter());
    println!();
}

pub fn inbox_head(label: &str, columns: [&str; 3]) {
    line(label, columns.map(str::to_owned).into_iter());
    rule(columns.len());
}

/// `times` are microseconds.
pub fn inbox(label: &str, [one, two]: [f64; 2], ratio: f64) {
    let cells = [format!("{one:.1}"), format!("{two:.1}"), format!("{ratio:.2} ×")];
    line(label, cells.into_iter());
}

pub fn inbox_median(ratio: f64) {
    line("median", ["".into(), "".into(), format!("{ratio:.2} ×")].into_iter());
    println!();
}

pub fn queue_head(events: usize, parts: usize) {
    println!(
        "Two workers, {} events waiting, a snapshot held of all of them.\n",
        thousands(events as u64)
    );
    line("", (1..=parts).map(|part| format!("part {part}")));
    rule(parts);
}

pub fn queue(rates: &[f64], left: i64) {
    line("events/s", rates.iter().map(|rate| thousands(*rate as u64)));
    println!("\nLeft: {}.\n", thousands(left as u64));
}

/// `looks` are numbers of events.
pub fn growth_head(looks: &[usize]) {
    println!(
        "The process's own memory, and of it PostgreSQL's memory contexts, after so many events.\n"
    );
    line("", looks.iter().map(|look| thousands(*look as u64)));
    rule(looks.len());
}

pub fn growth(label: &str, memory: &[Memory]) {
    let cell =
        |memory: &Memory| format!("{} ({})", megabytes(memory.own), megabytes(memory.contexts));
    line(label, memory.iter().map(cell));
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
    let Some(own) = costs[who].map(|cost| cost.speed()) else { return "–".into() };
    match costs[1].map(|cost| cost.speed()) {
        Some(peer) if who != 1 => format!("{} ({:.2} ×)", thousands(own as u64), own / peer),
        // As wide as a ratio.
        _ => format!("{}         ", thousands(own as u64)),
    }
}

fn wal(cost: Option<Cost>) -> String {
    cost.map_or("–".into(), |cost| format!("{} B", thousands(cost.wal / cost.events as u64)))
}

fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or("–".into(), |bytes| format!("{:.1} MB", bytes as f64 / 1e6))
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
