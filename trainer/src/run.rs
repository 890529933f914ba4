//! All steps of a round on one rank: measure, judge, update, note, save. Goes on from an in-round checkpoint as if it had never stopped.

mod averages;
mod restore;
mod save;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use galapagos_artifacts::ArtifactStore;
use galapagos_collective::{Group, Watchdog};
use galapagos_domain::recipe::train::{self, Policy};
use galapagos_domain::round::{MISMATCH_ALARM, RankProgress, RankSpec, Saved};
use galapagos_telemetry::clock::{monotonic_ms, wall_ms};
use tokio::runtime::Runtime;

use averages::Averages;

use crate::RankError;
use crate::gather;
use crate::guard::{Alarm, AlarmKind, Watch};
use crate::ledger::Ledger;
use crate::objective::Objective;
use crate::optim::{Schedule, Shape};
use crate::plan::{Batch, Source};
use crate::prepare::Prepared;
use crate::reports::Reports;
use crate::runlog::{RunLog, StepRecord};
use crate::step::{Measured, Spent, Training};

/// Records that a message names at most.
const NAMED: usize = 8;

/// What a rank trains with.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    pub spec: &'a RankSpec,
    pub group: &'a Group,
    pub watchdog: &'a Watchdog,
    pub runtime: &'a Runtime,
    pub artifacts: &'a ArtifactStore,
    /// Folder for unfinished files.
    pub cache: &'a Path,
    /// How long a step may take before this process ends itself.
    pub step_limit: std::time::Duration,
}

/// A round under way on one rank.
#[derive(Debug)]
pub struct Run<'a> {
    pub(crate) site: Site<'a>,
    pub(crate) prepared: &'a Prepared,
    pub(crate) training: Training<'a>,
    objectives: [Objective; 2],
    schedule: Schedule,
    pub(crate) averages: Averages,
    log: Option<RunLog>,
    last: RankProgress,
    pub(crate) state: State,
}

/// What a round is besides its weights.
#[derive(Debug)]
pub(crate) struct State {
    /// Steps done.
    pub step: u64,
    /// Of each step that updated the weights.
    pub losses: Vec<f64>,
    pub watch: Watch,
    pub ledger: Ledger,
    /// Steps whose batch is left out.
    pub left_out_steps: BTreeSet<u64>,
    pub guarded: u64,
    /// Tokens of this rank; of all, on rank 0, for what an earlier try did.
    pub tokens: u64,
    pub mismatch: Option<f64>,
    pub saved: Option<Saved>,
}

/// How a step went.
enum Went {
    On,
    /// Weights and place are those of the last in-round checkpoint again.
    Back,
}

impl<'a> Run<'a> {
    /// Hooks the weights, and takes up the in-round checkpoint that the spec names.
    ///
    /// # Errors
    /// If the ranks' models differ, or the saved state does not fit.
    pub fn begin(site: Site<'a>, prepared: &'a Prepared, log: Option<RunLog>) -> Result<Self, RankError> {
        let train = &site.spec.round.train;
        let training = Training::new(&prepared.subject, &prepared.frozen, site.group, train)?;
        let schedule = Schedule::new(shape(train), train.lr, train.warmup, train.floor, prepared.plan.steps())
            .map_err(|source| RankError::Optimiser { what: "plan the learning rate", source })?;
        let averages = Averages::begin(train, training.weights(), prepared)?;
        let state = State {
            step: 0,
            losses: Vec::new(),
            watch: Watch::new(train.guard, &[]),
            ledger: Ledger::default(),
            left_out_steps: BTreeSet::new(),
            guarded: 0,
            tokens: 0,
            mismatch: None,
            saved: None,
        };
        let objectives = [Objective::new(train), Objective::likelihood()];
        let last = RankProgress::begin(0, schedule.steps());
        let mut run = Self { site, prepared, training, objectives, schedule, averages, log, last, state };
        match site.spec.resume {
            Some(saved) => run.restore(saved)?,
            None => run.continue_optimiser()?,
        }
        Ok(run)
    }

    /// What the last step showed.
    #[must_use]
    pub fn last(&self) -> RankProgress {
        self.last
    }

    /// Every step that is left.
    ///
    /// # Errors
    /// What the kernels, the disk or the other ranks did, or the guard's decision to stop.
    pub fn train(&mut self, reports: &mut Reports) -> Result<(), RankError> {
        let prepared = self.prepared;
        'from_here: loop {
            for batch in prepared.plan.batches(self.state.step) {
                match self.one(&batch, reports)? {
                    Went::On => {}
                    Went::Back => continue 'from_here,
                }
            }
            break;
        }
        if let Some(log) = self.log.take() {
            log.finish().map_err(|source| RankError::RunLog { source })?;
        }
        Ok(())
    }

    fn one(&mut self, batch: &Batch, reports: &mut Reports) -> Result<Went, RankError> {
        let number = batch.step + 1;
        let site = self.site;
        let _armed = site.watchdog.arm(format!("step {number}"), site.step_limit);
        if self.state.left_out_steps.contains(&batch.step) {
            self.note_left_out(batch);
            self.state.step = number;
            return Ok(Went::On);
        }
        let mut spent = Spent::begin();
        let lr = self.schedule.lr(batch.step);
        let objective = &self.objectives[usize::from(batch.source == Source::Mix)];
        let measured = self.training.measure(objective, (&batch.items, batch.least), &mut spent)?;
        if let Some(alarm) = self.state.watch.judge(measured.loss, measured.grad_norm) {
            return self.alarmed(batch, &measured, alarm, lr);
        }
        self.training.update(lr, measured.grad_norm)?;
        self.averages.update()?;
        spent.optimiser();
        self.accept(batch, &measured);
        self.note_rows(batch, &measured.rows, false);
        self.state.step = number;
        let progress = self.progress(&measured, lr, &spent);
        self.log_step(batch, &measured, &progress)?;
        let due = self.is_due(number);
        if due {
            // A save takes its time: a sign of life before it.
            self.tell(reports, progress)?;
            let _armed = site.watchdog.arm(format!("saving after step {number}"), site.step_limit);
            self.save()?;
        }
        let progress = RankProgress { saved: self.state.saved, ..progress };
        self.last = progress;
        if due {
            self.tell(reports, progress)?
        } else {
            self.mention(reports, progress)?
        }
        Ok(Went::On)
    }

    fn is_due(&self, done: u64) -> bool {
        let every = u64::from(self.site.spec.round.train.save_every);
        every > 0 && done.is_multiple_of(every) && done < self.schedule.steps()
    }

    fn accept(&mut self, batch: &Batch, measured: &Measured) {
        if batch.step == 0 {
            self.state.mismatch = measured.parts.mismatch();
            if let Some(nats) = self.state.mismatch.filter(|nats| *nats > MISMATCH_ALARM) {
                tracing::warn!(
                    "the engine that sampled the records and this trainer are {nats:.3} nats per token apart on the same \
                     weights (alarm above {MISMATCH_ALARM}): the policy that sampled is not the one that is trained"
                );
            }
        }
        self.state.losses.push(measured.loss);
        self.state.watch.accept(measured.loss);
        self.state.tokens += measured.tokens;
    }

    fn note_rows(&mut self, batch: &Batch, rows: &[u32], skipped: bool) {
        if let Source::Main { data_epoch } = batch.source {
            let rank = self.site.spec.rank;
            self.state.ledger.note((batch.step, data_epoch, rank), rows, skipped);
        }
    }

    /// The records of a batch that is left out count as used, once: rank 0 notes them.
    fn note_left_out(&mut self, batch: &Batch) {
        if self.site.spec.rank == 0 {
            let rows: Vec<u32> = batch.items.iter().flat_map(|item| item.rows.iter().copied()).collect();
            self.note_rows(batch, &rows, true);
        }
    }

    /// A step that cannot be right: skip it, go back, or stop. All ranks see the same loss and decide alike.
    fn alarmed(&mut self, batch: &Batch, measured: &Measured, alarm: Alarm, lr: f64) -> Result<Went, RankError> {
        let number = batch.step + 1;
        let records = self.offenders(batch, measured)?;
        let limit = match alarm.kind {
            AlarmKind::NotFinite => String::new(),
            AlarmKind::Spike { limit } => format!(" (a spike: above {limit:.4})"),
        };
        self.state.guarded += 1;
        let spent = self.state.guarded > u64::from(self.site.spec.round.train.guard.patience);
        if alarm.policy == Policy::Stop || spent {
            let Measured { loss, grad_norm, .. } = *measured;
            return Err(RankError::Diverged { step: number, loss, grad_norm, lr, limit, records });
        }
        tracing::warn!(
            "step {number} cannot be right: loss {}, gradient norm {}{limit}; {:?} it; its records: {records}",
            measured.loss,
            measured.grad_norm,
            alarm.policy
        );
        match (alarm.policy, self.state.saved) {
            (Policy::Rewind, Some(saved)) => {
                let (guarded, mut left_out) = (self.state.guarded, self.state.left_out_steps.clone());
                left_out.insert(batch.step);
                self.restore(saved)?;
                self.state.guarded = guarded;
                self.state.left_out_steps.extend(left_out);
                Ok(Went::Back)
            }
            // Before the first in-round checkpoint there is nothing to go back to but the weights as they are.
            (Policy::Skip | Policy::Rewind | Policy::Stop, _) => {
                self.note_rows(batch, &measured.rows, true);
                self.state.step = number;
                Ok(Went::On)
            }
        }
    }

    /// Names of the records in the worst micro-batch of each rank.
    fn offenders(&self, batch: &Batch, measured: &Measured) -> Result<String, RankError> {
        let key = |loss: f64| if loss.is_finite() { loss } else { f64::INFINITY };
        let worst = measured.losses.iter().max_by(|a, b| key(a.0).total_cmp(&key(b.0)));
        let own: (f64, Vec<u32>) =
            worst.map_or((f64::NEG_INFINITY, Vec::new()), |(loss, rows)| (key(*loss), rows.clone()));
        // JSON has no infinities.
        let own = (own.0.clamp(f64::MIN, f64::MAX), own.1);
        let all = gather::values(self.site.group, &own)?;
        let most = all.iter().map(|(loss, _)| *loss).fold(f64::MIN, f64::max);
        let rows: Vec<u32> = all.into_iter().filter(|(loss, _)| *loss >= most).flat_map(|(_, rows)| rows).collect();
        let name = |row: &u32| match (batch.source, &self.prepared.plan.mix) {
            (Source::Mix, Some(mix)) => mix.data.name(*row).to_owned(),
            _ => self.prepared.plan.main.name(*row).to_owned(),
        };
        let mut named: Vec<String> = rows.iter().take(NAMED).map(name).collect();
        if rows.len() > NAMED {
            named.push(format!("and {} more", rows.len() - NAMED));
        }
        Ok(named.join(", "))
    }

    fn progress(&self, measured: &Measured, lr: f64, spent: &Spent) -> RankProgress {
        RankProgress {
            step: self.state.step,
            steps: self.schedule.steps(),
            loss: measured.loss,
            grad_norm: measured.grad_norm,
            tokens: self.state.tokens,
            lr,
            time: spent.time(),
            memory: galapagos_telemetry::memory::resident_bytes().unwrap_or(0),
            saved: self.state.saved,
            guarded: self.state.guarded,
            mismatch: self.state.mismatch,
        }
    }

    fn log_step(&mut self, batch: &Batch, measured: &Measured, progress: &RankProgress) -> Result<(), RankError> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let name = |name: String| -> Cow<'static, str> { Cow::Owned(name) };
        let time = progress.time;
        let hands = [
            ("data", time.data_ms),
            ("forward", time.forward_ms),
            ("backward", time.backward_ms),
            ("communication", time.communication_ms),
            ("optimiser", time.optimiser_ms),
        ];
        let total_ms: u32 = hands.iter().map(|(_, ms)| ms).sum();
        let prefix = if batch.source == Source::Mix { "mix" } else { "train" };
        let mut values = vec![
            (name(format!("{prefix}/loss")), measured.loss),
            (name("train/grad_norm".to_owned()), measured.grad_norm),
            (name("train/lr".to_owned()), progress.lr),
            (name("train/memory_bytes".to_owned()), progress.memory as f64),
            (name("train/tokens_per_second".to_owned()), measured.tokens as f64 / (f64::from(total_ms.max(1)) / 1e3)),
        ];
        values.extend(measured.parts.means().into_iter().map(|(part, mean)| (name(format!("{prefix}/{part}")), mean)));
        values.extend(hands.iter().map(|(hand, ms)| (name(format!("time/{hand}")), f64::from(*ms) / 1e3)));
        let record = StepRecord { step: self.state.step, wall_seconds: wall_ms() as f64 / 1e3, values };
        log.append(&record).map_err(|source| RankError::RunLog { source })
    }

    /// Brings the run log's table up to date.
    pub(crate) fn flush_log(&mut self) -> Result<(), RankError> {
        match &mut self.log {
            Some(log) => log.flush().map_err(|source| RankError::RunLog { source }),
            None => Ok(()),
        }
    }

    fn tell(&self, reports: &mut Reports, progress: RankProgress) -> Result<(), RankError> {
        reports.tell(progress, monotonic_ms()).map_err(|source| RankError::Report { source })
    }

    fn mention(&self, reports: &mut Reports, progress: RankProgress) -> Result<(), RankError> {
        reports.progress(progress, monotonic_ms()).map_err(|source| RankError::Report { source })
    }
}

fn shape(train: &train::Train) -> Shape {
    match train.schedule {
        train::Schedule::Cosine => Shape::Cosine,
        train::Schedule::Linear => Shape::Linear,
        train::Schedule::Constant => Shape::Constant,
        train::Schedule::Wsd { decay } => Shape::Wsd { decay },
    }
}
