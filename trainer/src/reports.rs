//! Writes rank reports on standard output: one JSON line each, flushed at once, nothing else. Decides how often progress is
//! worth a line.

use std::io::{self, Stdout, Write};

use galapagos_domain::round::{RankProgress, RankReport};

/// Progress is told at most four times a second.
const PROGRESS_INTERVAL_MS: u64 = 250;

/// The report lines of one rank.
#[derive(Debug)]
pub struct Reports<W = Stdout> {
    out: W,
    /// When progress was last told.
    told_ms: Option<u64>,
}

impl Reports {
    /// Reports on this process's standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::to(io::stdout())
    }
}

impl<W: Write> Reports<W> {
    /// Reports to `out`.
    pub fn to(out: W) -> Self {
        Self { out, told_ms: None }
    }

    /// Writes one line.
    ///
    /// # Errors
    /// If the line cannot be written: nobody listens any more.
    pub fn send(&mut self, report: &RankReport) -> io::Result<()> {
        let mut line = serde_json::to_vec(report)?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }

    /// Tells `progress` now.
    ///
    /// # Errors
    /// As [`Reports::send`].
    pub fn tell(&mut self, progress: RankProgress, now_ms: u64) -> io::Result<()> {
        self.told_ms = Some(now_ms);
        self.send(&RankReport::Progress(progress))
    }

    /// Tells `progress` unless the last was told a moment ago; that of the last step is always told.
    ///
    /// # Errors
    /// As [`Reports::send`].
    pub fn progress(&mut self, progress: RankProgress, now_ms: u64) -> io::Result<()> {
        let due = self.told_ms.is_none_or(|told_ms| now_ms.saturating_sub(told_ms) >= PROGRESS_INTERVAL_MS);
        if !due && progress.step < progress.steps {
            return Ok(());
        }
        self.tell(progress, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_rare_but_the_first_and_last_step_are_told() {
        let mut out = Vec::new();
        let mut reports = Reports::to(&mut out);
        for (step, now_ms) in [(1, 1000), (2, 1100), (3, 1249), (4, 1250), (5, 1300), (6, 1301)] {
            let progress = RankProgress { loss: 0.5, tokens: 10 * step, ..RankProgress::begin(step, 6) };
            reports.progress(progress, now_ms).unwrap();
        }
        let steps: Vec<u64> = String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| match serde_json::from_str(line).unwrap() {
                RankReport::Progress(progress) => progress.step,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(steps, [1, 4, 6]);
    }
}
