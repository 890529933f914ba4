//! The result of a benchmark for programs (JSON) and for people (a table).

use std::io::{self, Write};

use galapagos_model::profile::Profile;
use serde::Serialize;

use super::compare::Row;
use super::floor::Speed;
use super::machine::{Load, Machine};
use super::options::{Against, BenchPrecision};
use super::peer::About;

/// What `bench engine --json` prints. Scripts rely on `bench`, `machine`, `load` and, in `rows`, on `name`, `ours`, `peer`,
/// `unit`, `ratio`, `target` and `met`.
#[derive(Debug, Serialize)]
pub struct Report {
    pub bench: &'static str,
    pub against: Against,
    /// The model's folder name.
    pub model: String,
    pub precision: BenchPrecision,
    /// Lengths were cut to a sixteenth: the figures mean nothing.
    pub quick: bool,
    pub machine: Machine,
    /// `null` when the engine was compared with itself only.
    pub peer: Option<About>,
    pub load: Load,
    pub speed: Speed,
    pub kv: KvBytes,
    pub rows: Vec<Row>,
}

/// Bytes of one token's keys and values.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct KvBytes {
    /// 2 * layers * key/value heads * head dimension * bytes of a number.
    pub formula: u64,
    /// What the engine's pages take for each token they have room for.
    pub engine: u64,
}

const HEADS: [&str; 10] = ["row", "ours", "peer", "ratio", "target", "met", "of floor", "bound", "same", "against"];

impl Report {
    /// Writes the table.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let machine = &self.machine;
        writeln!(
            out,
            "{}, {}, {} threads; {}, {} cores; load {} -> {}",
            self.model,
            name(&self.precision),
            machine.threads,
            machine.cpu.as_deref().unwrap_or("unknown processor"),
            machine.cores,
            shown(self.load.start, 1),
            shown(self.load.end, 1),
        )?;
        writeln!(
            out,
            "memory {:.1} GB/s, products {:.0} GFLOP/s; {} bytes of keys and values a token ({} by formula)",
            self.speed.bytes_per_second / 1e9,
            self.speed.operations_per_second / 1e9,
            self.kv.engine,
            self.kv.formula,
        )?;
        let rows: Vec<[String; 10]> = self.rows.iter().map(|row| self.cells(row)).collect();
        let widths: [usize; 10] = std::array::from_fn(|column| {
            rows.iter().map(|cells| cells[column].len()).chain([HEADS[column].len()]).max().unwrap_or(0)
        });
        for cells in std::iter::once(&HEADS.map(str::to_owned)).chain(&rows) {
            let line: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(out, "{}", line.join("  ").trim_end())?;
        }
        for row in &self.rows {
            writeln!(out, "{}", spent(row))?;
        }
        writeln!(
            out,
            "ours and peer in tokens/s; of floor: the share of what memory and arithmetic allow; same: greedy tokens"
        )?;
        writeln!(out, "before the first difference, or the mean difference of log-probabilities (d)")?;
        if self.quick {
            writeln!(out, "--quick: lengths cut to a sixteenth, the figures mean nothing")?;
        }
        Ok(())
    }

    fn cells(&self, row: &Row) -> [String; 10] {
        let same = match (row.agreement.tokens, row.agreement.log_prob_mean) {
            (Some(tokens), Some(mean)) => format!("{:.0}%, d {mean:.4}", tokens * 100.0),
            (Some(tokens), None) => format!("{:.0}%", tokens * 100.0),
            (None, Some(mean)) => format!("d {mean:.4}"),
            (None, None) => "-".to_owned(),
        };
        [
            row.name.text().to_owned(),
            format!("{:.1}", row.ours),
            format!("{:.1}", row.peer),
            format!("{:.2}", row.ratio),
            shown(row.target, 1),
            row.met.map_or("-", |met| if met { "yes" } else { "no" }).to_owned(),
            format!("{:.0}%", row.share_of_floor * 100.0),
            row.bound.to_owned(),
            same,
            match row.rival {
                super::rows::Rival::Peer => name(&self.against),
                super::rows::Rival::SharingOff => "sharing off".to_owned(),
                super::rows::Rival::OneAdapterAtATime => "one adapter at a time".to_owned(),
            },
        ]
    }
}

/// Where our time goes, the largest share first; what is below half a percent is left out.
fn spent(row: &Row) -> String {
    let Profile { products, adapters, attention, rows, choose, schedule, rest } = row.ours_profile;
    let mut shares = [
        (products, "products"),
        (adapters, "adapters"),
        (attention, "attention"),
        (rows, "norms and rotations"),
        (choose, "choosing tokens"),
        (schedule, "scheduling"),
        (rest, "rest"),
    ];
    shares.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let total = row.ours_profile.total();
    let shares = shares.into_iter().map(|(seconds, name)| (100.0 * seconds / total, name));
    let shares: Vec<String> =
        shares.filter(|(share, _)| *share >= 0.5).map(|(share, name)| format!("{name} {share:.0}%")).collect();
    format!("{}: our time goes to {}", row.name.text(), shares.join(", "))
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// A unit variant as JSON says it.
fn name<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
