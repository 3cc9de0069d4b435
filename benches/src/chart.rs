//! The speeds as a picture: a row of panels for each workload, a column for each mode.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Result;
use crate::clock::Clock;
use crate::contender::Peer;
use crate::mode::{Measured, Mode};
use crate::race::Cost;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

// An opaque background: read in light and in dark viewers alike.
const BACKGROUND: RGBColor = RGBColor(255, 255, 255);
const TEXT: RGBColor = RGBColor(36, 41, 47);
const FAINT: RGBColor = RGBColor(101, 109, 118);
const GRID: RGBColor = RGBColor(225, 228, 232);

const PANEL: (u32, u32) = (330, 210);
/// Of a panel, above the highest bar.
const TITLE: i32 = 44;
const MARGIN: u32 = 24;
const HEAD: u32 = 76;
const FONT: &str = "Helvetica, Arial, sans-serif";

/// What bars are shown, in the order of the legend. Ready rows would dwarf them.
const SHOWN: [(&str, &[Peer], RGBColor); 3] = [
    ("erp_toolkit", &[Peer::Toolkit], RGBColor(37, 99, 235)),
    ("SQL or PL/pgSQL by hand", &[Peer::Sql, Peer::PlPgSql], RGBColor(148, 163, 184)),
    ("Node.js worker", &[Peer::Node], RGBColor(234, 140, 40)),
];

/// A mode's phases in a workload: of each the speeds to show, by their place in [`SHOWN`].
type Panel = Vec<(&'static str, Vec<(usize, f64)>)>;

pub fn draw(file: &Path, clock: Clock, measured: &[Measured]) -> Result<()> {
    let modes: Vec<Mode> = Mode::ALL
        .into_iter()
        .filter(|mode| *mode != Mode::Map && measured.iter().any(|of| of.mode == *mode))
        .collect();
    let mut workloads: Vec<&str> = measured.iter().map(|of| of.workload).collect();
    workloads.dedup();
    if modes.is_empty() {
        return Err("--chart shows batch, rows and client, and none of them was measured".into());
    }
    let (rows, columns) = (workloads.len(), modes.len());
    let size = (columns as u32 * PANEL.0 + 2 * MARGIN, rows as u32 * PANEL.1 + HEAD + MARGIN);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&BACKGROUND)?;
    legend(&root, clock, measured)?;
    let panels = root.margin(HEAD, MARGIN, MARGIN, MARGIN).split_evenly((rows, columns));
    for (column, mode) in modes.iter().enumerate() {
        let column: Vec<&Area> = panels.iter().skip(column).step_by(columns).collect();
        draw_column(&column, *mode, &workloads, measured)?;
    }
    Ok(root.present()?)
}

/// A mode, all workloads on one scale, so that they can be compared.
fn draw_column(
    areas: &[&Area],
    mode: Mode,
    workloads: &[&str],
    measured: &[Measured],
) -> Result<()> {
    let of_mode = measured.iter().filter(|of| of.mode == mode);
    let shown: Vec<(&str, Panel)> = of_mode.map(|of| (of.workload, panel(of))).collect();
    let speeds = shown.iter().flat_map(|(_, panel)| panel).flat_map(|(_, speeds)| speeds);
    let highest = speeds.map(|(_, speed)| *speed).fold(1.0, f64::max);
    for (workload, panel) in &shown {
        let row = workloads.iter().position(|of| of == workload).expect("it is listed");
        draw_panel(areas[row], &format!("{workload}: {}", mode.title()), panel, highest)?;
    }
    Ok(())
}

fn panel(measured: &Measured) -> Panel {
    let place = |peer: &Peer| SHOWN.iter().position(|(_, peers, _)| peers.contains(peer));
    let speeds = |costs: &[Option<Cost>]| {
        let of = measured.peers.iter().zip(costs);
        of.filter_map(|(peer, cost)| Some((place(peer)?, cost.as_ref()?.speed()))).collect()
    };
    measured.phases.iter().map(|(phase, costs)| (phase.name(), speeds(costs))).collect()
}

fn legend(root: &Area, clock: Clock, measured: &[Measured]) -> Result<()> {
    let title = match clock {
        Clock::Wall => "Events a second; higher is better",
        Clock::Cpu => "Events a second of processor time; higher is better",
    };
    let mut left = MARGIN as i32;
    text(root, title, (left, 18), 20.0, TEXT, HPos::Left)?;
    for (name, peers, color) in SHOWN {
        if !measured.iter().flat_map(|of| &of.peers).any(|peer| peers.contains(peer)) {
            continue;
        }
        root.draw(&Rectangle::new([(left, 47), (left + 12, 59)], color.filled()))?;
        text(root, name, (left + 18, 48), 15.0, TEXT, HPos::Left)?;
        // Letters are about seven wide: the width of text is known to the viewer alone.
        left += 44 + name.len() as i32 * 7;
    }
    Ok(())
}

/// The bars of each phase side by side.
fn draw_panel(area: &Area, title: &str, panel: &Panel, highest: f64) -> Result<()> {
    let (width, bottom) = (PANEL.0 as i32 - 30, PANEL.1 as i32 - 34);
    text(area, title, (0, 4), 15.0, TEXT, HPos::Left)?;
    let group = width / panel.len().max(1) as i32;
    for (middle, (phase, speeds)) in (group / 2..).step_by(group as usize).zip(panel) {
        let bar = (group - 20) / speeds.len().max(2) as i32;
        let first = middle - bar * speeds.len() as i32 / 2;
        for (left, (place, speed)) in (first..).step_by(bar as usize).zip(speeds) {
            let top = bottom - (speed / highest * f64::from(bottom - TITLE)) as i32;
            let color = SHOWN[*place].2.filled();
            area.draw(&Rectangle::new([(left + 1, top), (left + bar - 1, bottom)], color))?;
            text(area, &short(*speed), (left + bar / 2, top - 15), 13.0, FAINT, HPos::Center)?;
        }
        text(area, phase, (middle, bottom + 6), 14.0, TEXT, HPos::Center)?;
    }
    Ok(area.draw(&PathElement::new([(0, bottom), (width, bottom)], GRID))?)
}

fn text(
    area: &Area,
    text: &str,
    at: (i32, i32),
    size: f64,
    color: RGBColor,
    side: HPos,
) -> Result<()> {
    let style = (FONT, size).into_font().color(&color).pos(Pos::new(side, VPos::Top));
    Ok(area.draw(&Text::new(text.to_owned(), at, style))?)
}

/// 20,176 as 20.2k.
fn short(speed: f64) -> String {
    if speed < 1e3 { format!("{speed:.0}") } else { format!("{:.1}k", speed / 1e3) }
}
