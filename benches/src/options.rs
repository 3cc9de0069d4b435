//! The command line.

use std::path::PathBuf;

use crate::clock::Clock;
use crate::mode::{Mode, Phase};
use crate::study::Study;
use crate::workload::{self, Workload};

/// What is to be measured.
pub struct Options {
    /// Events of the batches; a tenth of them is applied one at a time.
    pub events: usize,
    pub workloads: Vec<&'static Workload>,
    pub modes: Vec<Mode>,
    /// The one phase that is told.
    pub only: Option<Phase>,
    pub clock: Clock,
    /// One study instead of the comparison.
    pub study: Option<Study>,
    pub quick: bool,
    /// Where to draw the chart.
    pub chart: Option<PathBuf>,
    /// Whether ready rows take part.
    pub floor: bool,
    /// Whether the Node.js worker takes part.
    pub node: bool,
}

const EVENTS: usize = 100_000;
/// What `--quick` does, unless it is told more.
const QUICK: usize = 4_000;
const QUICK_MODES: [Mode; 3] = [Mode::Batch, Mode::Client, Mode::Map];

pub fn usage() -> String {
    let list = |names: Vec<&str>| names.join(", ");
    let studies = Study::ALL.map(|study| format!("{:<16} {}", study.option(), study.about()));
    format!(
        "usage: erp_bench [--quick | --events N] [--workload NAME]… [--mode NAME]… [--only PHASE] \
         [--without-node] [--cpu] [--chart FILE]\n\
         or:    erp_bench --scale | --inbox [--quick] [--cpu]\n\
         or:    erp_bench --connections | --memory [--quick]\n\
         \n\
         --events N       events, at least 100 (default {EVENTS}, --quick {QUICK})\n\
         --workload NAME  {}\n\
         --mode NAME      {}\n\
         --only PHASE     {}\n\
         --without-node   leave the Node.js worker out\n\
         --cpu            measure by the processor time of the processes that do the work\n\
         --chart FILE     draw the speeds as well, SVG\n\
         {}",
        list(workload::ALL.iter().map(|workload| workload.name).collect()),
        list(Mode::ALL.iter().map(|mode| mode.name()).collect()),
        list(Phase::ALL.iter().map(|phase| phase.name()).collect()),
        studies.join("\n"),
    )
}

impl Options {
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            events: EVENTS,
            workloads: Vec::new(),
            modes: Vec::new(),
            only: None,
            clock: Clock::Wall,
            study: None,
            quick: false,
            chart: None,
            floor: true,
            node: true,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--without-node" => options.node = false,
                "--cpu" => options.clock = Clock::Cpu,
                "--quick" => (options.events, options.quick) = (QUICK, true),
                "--events" => options.events = events(&value()?)?,
                "--workload" => options.workloads.push(workload(&value()?)?),
                "--mode" => options.modes.push(mode(&value()?)?),
                "--only" => options.only = Some(phase(&value()?)?),
                "--chart" => options.chart = Some(value()?.into()),
                other => match study(other) {
                    Some(study) => options.study = Some(study),
                    None => return Err(format!("unknown argument {other}")),
                },
            }
        }
        if let Some(study) = options.study {
            options.check_study(study)?;
        }
        if options.workloads.is_empty() {
            options.workloads = workload::ALL.to_vec();
        }
        if options.quick && options.modes.is_empty() {
            options.modes = QUICK_MODES.to_vec();
            options.floor = false;
        } else if options.modes.is_empty() {
            options.modes = Mode::ALL.to_vec();
        }
        if let Some(only) = options.only {
            options.modes.retain(|mode| mode.phases().contains(&only));
        }
        Ok(options)
    }

    /// A study does what it does.
    fn check_study(&self, study: Study) -> Result<(), String> {
        let compared = !self.workloads.is_empty()
            || !self.modes.is_empty()
            || self.only.is_some()
            || self.chart.is_some()
            || !(self.quick || self.events == EVENTS);
        let timed = matches!(study, Study::Scale | Study::Inbox);
        match compared || (self.clock == Clock::Cpu && !timed) {
            true if timed => {
                Err(format!("{} takes --quick and --cpu, nothing else", study.option()))
            }
            true => Err(format!("{} takes --quick, nothing else", study.option())),
            false => Ok(()),
        }
    }
}

fn study(option: &str) -> Option<Study> {
    Study::ALL.into_iter().find(|study| study.option() == option)
}

fn events(text: &str) -> Result<usize, String> {
    match text.replace('_', "").parse() {
        Ok(events) if events >= 100 => Ok(events),
        _ => Err(format!("--events {text} is not a number from 100")),
    }
}

fn workload(name: &str) -> Result<&'static Workload, String> {
    let found = workload::ALL.iter().copied().find(|workload| workload.name == name);
    found.ok_or(format!("unknown workload {name}"))
}

fn mode(name: &str) -> Result<Mode, String> {
    Mode::ALL.into_iter().find(|mode| mode.name() == name).ok_or(format!("unknown mode {name}"))
}

fn phase(name: &str) -> Result<Phase, String> {
    Phase::ALL.into_iter().find(|phase| phase.name() == name).ok_or(format!("unknown phase {name}"))
}
