//! The result of the training benchmark for programs (JSON) and for people (a table).

use std::io::{self, Write};

use galapagos_telemetry::machine;
use serde::Serialize;

use super::LIBTORCH;
use super::compare::Row;
use super::options::Against;
use super::protocol::{Loaded, Parts};
use super::rows::{Rival, RowName};

/// What `bench train --json` prints. Scripts rely on `bench`, `machine`, `load` and, in `rows`, on `name`, `ours`, `peer`, `unit`,
/// `ratio`, `target` and `met`.
#[derive(Debug, Serialize)]
pub struct Report {
    pub bench: &'static str,
    pub against: Against,
    /// The model's folder name.
    pub model: String,
    /// Lengths were cut to an eighth: the figures mean nothing.
    pub quick: bool,
    pub machine: Machine,
    /// Versions and settings of the peer; `null` when the trainer was compared with itself only.
    pub peer: Option<Loaded>,
    pub load: Load,
    pub rows: Vec<Row>,
    /// Rows that this machine cannot measure.
    pub left_out: Vec<LeftOut>,
}

/// The machine and the settings of all processes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    pub cpu: Option<String>,
    /// Logical processors that this process may use.
    pub cores: usize,
    /// Whether the processor has instructions for bfloat16.
    pub multiplies_bf16: bool,
    /// Computing threads of each side, `OMP_NUM_THREADS` of a side of one process; `OMP_WAIT_POLICY` is unset on both.
    pub threads: u32,
    pub galapagos: &'static str,
    pub libtorch: &'static str,
    /// Whether this executable was optimised; if not, our figures mean nothing.
    pub optimised: bool,
}

/// Mean number of runnable processes over the last minute; near the number of cores or above, figures cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Load {
    pub start: Option<f64>,
    pub end: Option<f64>,
}

/// A row that was not measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub name: RowName,
    pub why: String,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn here(threads: u32, multiplies_bf16: bool) -> Self {
        Self {
            cpu: machine::processor(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            multiplies_bf16,
            threads,
            galapagos: env!("CARGO_PKG_VERSION"),
            libtorch: LIBTORCH,
            optimised: !cfg!(debug_assertions),
        }
    }
}

const HEADS: [&str; 9] = ["row", "ours", "peer", "unit", "ratio", "target", "met", "loss apart", "against"];

impl Report {
    /// Writes the table.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let machine = &self.machine;
        writeln!(
            out,
            "{}, {} threads; {}, {} cores, {} bfloat16 instructions; load {} -> {}",
            self.model,
            machine.threads,
            machine.cpu.as_deref().unwrap_or("unknown processor"),
            machine.cores,
            if machine.multiplies_bf16 { "with" } else { "without" },
            shown(self.load.start, 1),
            shown(self.load.end, 1),
        )?;
        writeln!(
            out,
            "both sides: OMP_NUM_THREADS is the threads of a rank, OMP_WAIT_POLICY unset, bound to the same cores"
        )?;
        let rows: Vec<[String; 9]> = self.rows.iter().map(cells).collect();
        let widths: [usize; 9] = std::array::from_fn(|column| {
            rows.iter().map(|cells| cells[column].len()).chain([HEADS[column].len()]).max().unwrap_or(0)
        });
        for cells in std::iter::once(&HEADS.map(str::to_owned)).chain(&rows) {
            let line: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(out, "{}", line.join("  ").trim_end())?;
        }
        for row in &self.rows {
            spent(row, out)?;
        }
        for LeftOut { name, why } in &self.left_out {
            writeln!(out, "{}: not measured, it {why}", name.text())?;
        }
        writeln!(out, "ratio: ours over peer; loss apart: largest relative difference of the first two losses")?;
        if !machine.optimised {
            writeln!(out, "this executable is not optimised: our figures mean nothing")?;
        }
        if self.quick {
            writeln!(out, "--quick: lengths cut to an eighth, the figures mean nothing")?;
        }
        Ok(())
    }
}

fn cells(row: &Row) -> [String; 9] {
    let than = if row.better == "less" { "<=" } else { ">=" };
    [
        row.name.text().to_owned(),
        format!("{:.1}", row.ours),
        format!("{:.1}", row.peer),
        row.unit.to_owned(),
        format!("{:.2}", row.ratio),
        row.target.map_or_else(|| "-".to_owned(), |target| format!("{than} {target:.1}")),
        row.met.map_or("-", |met| if met { "yes" } else { "no" }).to_owned(),
        format!("{:.1e}", row.agreement.difference),
        match row.rival {
            Rival::Torch if row.ranks > 1 => "torch DDP",
            Rival::Torch => "torch",
            Rival::Padded => "ours, padded",
            Rival::F32 => "ours, f32",
            Rival::OneRank => "ours, one rank",
        }
        .to_owned(),
    ]
}

/// Where the time of a row's steps goes on both sides.
fn spent(row: &Row, out: &mut dyn Write) -> io::Result<()> {
    let parts = |time: &Parts| {
        let named = time.named().into_iter().filter(|(_, seconds)| *seconds >= 5e-4);
        named.map(|(name, seconds)| format!("{name} {:.0}", seconds * 1e3)).collect::<Vec<_>>().join(", ")
    };
    write!(out, "{}: our ms: {}; peer's: {}", row.name.text(), parts(&row.ours_time), parts(&row.peer_time))?;
    match row.communication {
        Some(share) => writeln!(out, "; communication {:.0}% of our step", share * 100.0),
        None => writeln!(out),
    }
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}
