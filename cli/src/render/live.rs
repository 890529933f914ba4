//! Follows an evolution on the screen: finished recipe steps as lines that stay, the running one as a bar below them.
//! Piped, it prints plain lines only: each finished step, and the running one every ten seconds.

use std::io::{IsTerminal, Write};

use galapagos_domain::cluster::view::{EvolutionView, Phase, StepView};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{line, verifiers};

const PLAIN_REMINDER_MS: u64 = 10_000;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A bar on the terminal.
    Bar,
    /// Plain lines.
    Plain,
    /// One JSON object a line.
    Json,
    /// Nothing.
    Silent,
}

impl Mode {
    /// Bars on a terminal, plain lines elsewhere, JSON when asked for.
    #[must_use]
    pub fn of(json: bool) -> Self {
        match (json, std::io::stdout().is_terminal()) {
            (true, _) => Self::Json,
            (false, true) => Self::Bar,
            (false, false) => Self::Plain,
        }
    }
}

/// Shows successive snapshots.
#[derive(Debug)]
pub struct Live {
    mode: Mode,
    bar: ProgressBar,
    /// Finished steps already shown.
    shown: usize,
    phase: Option<Phase>,
    /// Elapsed time of the running step at its last plain reminder.
    reminded_ms: u64,
}

impl Live {
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        let bar = match mode {
            Mode::Bar => ProgressBar::new(0),
            Mode::Plain | Mode::Json | Mode::Silent => {
                ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden())
            }
        };
        if let Ok(style) = ProgressStyle::with_template("  {prefix:<11}  {bar:20}  {msg}") {
            bar.set_style(style);
        }
        Self { mode, bar, shown: 0, phase: None, reminded_ms: 0 }
    }

    /// Shows what is new in `view`.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn show(&mut self, view: &EvolutionView) -> std::io::Result<()> {
        while let Some(step) = view.steps.get(self.shown).filter(|step| step.done) {
            self.finished(step)?;
            self.shown += 1;
            self.reminded_ms = 0;
        }
        match view.steps.get(self.shown) {
            Some(step) => self.running(step, view.waiting.as_deref()),
            None => Ok(()),
        }
    }

    /// Leaves only the lines that stay.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn finished(&mut self, step: &StepView) -> std::io::Result<()> {
        match self.mode {
            Mode::Json => self.print(&serde_json::json!({ "phase": step.phase.to_string(), "step": step }).to_string()),
            Mode::Bar | Mode::Plain => {
                self.heading(step.phase)?;
                self.print(&format!("{}{}", line::whole(step), verifiers::below(step, 15)))
            }
            Mode::Silent => Ok(()),
        }
    }

    fn running(&mut self, step: &StepView, waiting: Option<&str>) -> std::io::Result<()> {
        match self.mode {
            Mode::Json | Mode::Silent => Ok(()),
            Mode::Bar => {
                self.heading(step.phase)?;
                self.bar.set_length(step.progress.1.max(1));
                self.bar.set_position(step.progress.0);
                self.bar.set_prefix(step.verb.clone());
                self.bar.set_message(format!("{}{}", line::detail(step), rest(step, waiting)));
                Ok(())
            }
            Mode::Plain => {
                if step.elapsed_ms < self.reminded_ms + PLAIN_REMINDER_MS {
                    return Ok(());
                }
                self.reminded_ms = step.elapsed_ms;
                self.heading(step.phase)?;
                self.print(&format!("{}{} ...", line::whole(step), rest(step, waiting)))
            }
        }
    }

    fn heading(&mut self, phase: Phase) -> std::io::Result<()> {
        if self.phase == Some(phase) {
            return Ok(());
        }
        self.phase = Some(phase);
        match phase {
            Phase::Base => self.print("base"),
            Phase::First => self.print("first"),
            Phase::Generation(number) => self.print(&format!("\ngeneration {number}")),
            Phase::Finish => self.print("\nfinish"),
        }
    }

    fn print(&self, text: &str) -> std::io::Result<()> {
        match self.mode {
            Mode::Bar => self.bar.suspend(|| writeln!(std::io::stdout(), "{text}")),
            Mode::Plain | Mode::Json => writeln!(std::io::stdout(), "{text}"),
            Mode::Silent => Ok(()),
        }
    }
}

/// The time that the step still needs at its present rate, and what it waits for.
fn rest(step: &StepView, waiting: Option<&str>) -> String {
    let (done, total) = step.progress;
    let left = (step.elapsed_ms * total.saturating_sub(done)).checked_div(done);
    let eta = left.map(|ms| format!("  about {} left", super::duration(ms))).unwrap_or_default();
    match waiting {
        Some(why) => format!("{eta}  [{why}]"),
        None => eta,
    }
}
