//! Builds the views: what people see now, from records and from the latest progress.

use super::ClusterState;
use super::evolution::{Evolution, StepRun, Work};
use super::gate;
use super::job::Job;
use super::lease::Lease;
use super::outcome::{self, Ended};
use super::roster::{Presence, Worker};
use super::view::{EvolutionView, Status, StepView, Summary};
use super::worker_view::{Liveness, SlotView, WorkerView};
use crate::ids::{JobId, MemberId, Name};
use crate::job::JobKind;
use crate::recipe::step::RecipeStep;
use crate::time::Timestamp;

/// Version of the JSON of `galapagos status --json`.
const VERSION: u32 = 1;

/// What a running recipe step has done so far.
struct SoFar {
    progress: (u64, u64),
    tokens: u64,
    summary: Option<Summary>,
}

impl ClusterState {
    pub(super) fn snapshot(&self, now: Timestamp, evolution: &Evolution) -> EvolutionView {
        let current = |role: &Name| Some((role.clone(), MemberId::clone(&evolution.current(role).ok()?.id)));
        EvolutionView {
            version: VERSION,
            id: evolution.id.clone(),
            recipe: evolution.recipe.name.clone(),
            recipe_digest: evolution.recipe_digest.hex(),
            seed: evolution.seed,
            status: evolution.status,
            failure: evolution.failure.clone(),
            generations: evolution.recipe.generations,
            steps: evolution.steps.iter().map(|run| self.step_view(now, evolution, run)).collect(),
            members: evolution.members.clone(),
            champions: evolution.recipe.roles.keys().filter_map(current).collect(),
            vars: evolution.vars(),
            waiting: self.waits_for(now, evolution),
            retries: evolution.retries,
        }
    }

    fn step_view(&self, now: Timestamp, evolution: &Evolution, run: &StepRun) -> StepView {
        let so_far = match &run.outcome {
            Some(outcome) => SoFar {
                progress: (outcome.units, outcome.units),
                tokens: outcome.tokens,
                summary: Some(outcome.summary.clone()),
            },
            None => match &run.work {
                Work::Round(_) => self.round_so_far(run),
                Work::Jobs(jobs) => self.jobs_so_far(evolution, run, jobs),
                Work::Contest(contest) => self.contest_so_far(evolution, run, contest),
            },
        };
        StepView {
            phase: run.phase,
            name: run.name.clone(),
            verb: run.verb.clone(),
            done: run.outcome.is_some(),
            elapsed_ms: run.elapsed_ms + self.unbooked_ms(now, evolution, run),
            progress: so_far.progress,
            tokens: so_far.tokens,
            summary: so_far.summary,
            trees: run.outcome.as_ref().map_or_else(Vec::new, |outcome| outcome.trees.clone()),
        }
    }

    /// Time since the last write, for the recipe step that is running.
    pub(super) fn unbooked_ms(&self, now: Timestamp, evolution: &Evolution, run: &StepRun) -> u64 {
        let counts = evolution.status == Status::Running && run.outcome.is_none();
        self.booked.get(&evolution.id).filter(|_| counts).map_or(0, |booked| now.since(*booked))
    }

    /// Units and tokens of jobs: of ended ones by their output, of running ones by their latest word.
    fn job_sums(&self, jobs: &[JobId]) -> (u64, u64, u64) {
        let (mut done, mut total, mut tokens) = (0, 0, 0);
        for job in jobs.iter().filter_map(|id| self.jobs.get(id)) {
            let units = outcome::units(&job.spec.kind);
            total += units;
            if let Some(output) = job.output() {
                done += units;
                tokens += outcome::tokens(output);
            } else if let Some(said) = job.lease().and_then(|lease| self.leases.attempt(lease.token)?.progress) {
                done += (units * said.done.min(said.total)).checked_div(said.total).unwrap_or(0);
                tokens += said.tokens;
            }
        }
        (done, total, tokens)
    }

    fn jobs_so_far(&self, evolution: &Evolution, run: &StepRun, jobs: &[JobId]) -> SoFar {
        let (done, mut total, tokens) = self.job_sums(jobs);
        if let Some(RecipeStep::Rollout(rollout)) = evolution.recipe_step(run)
            && let Some(spread) = rollout.search.spread()
        {
            // Those included that cannot be made yet.
            let trunk = |job: &&Job| matches!(&job.spec.kind, JobKind::Grow(grow) if grow.wave() == 0);
            let trunks = jobs.iter().filter_map(|id| self.jobs.get(id)).filter(trunk);
            let units: u64 = trunks.map(|job| outcome::units(&job.spec.kind)).sum();
            total = units * (u64::from(spread.growths()) + 1);
        }
        let ended: Vec<Ended<'_>> = jobs.iter().filter_map(|job| self.ended(job)).collect();
        // Scores of some of the tasks would be read as scores.
        let summary = match evolution.recipe_step(run) {
            Some(RecipeStep::Rollout(_) | RecipeStep::Propose(_)) => Some(outcome::summary(evolution, run, &ended)),
            Some(
                RecipeStep::Curate(_) | RecipeStep::Train(_) | RecipeStep::Tournament(_) | RecipeStep::Evaluate(_),
            )
            | None => None,
        };
        SoFar { progress: (done, total), tokens, summary }
    }

    fn contest_so_far(&self, evolution: &Evolution, run: &StepRun, contest: &super::evolution::Contest) -> SoFar {
        let (done, total, tokens) = self.job_sums(&contest.jobs);
        let Some(RecipeStep::Tournament(tournament)) = evolution.recipe_step(run) else {
            return SoFar { progress: (done, total), tokens, summary: None };
        };
        let outputs = contest.jobs.iter().map(|job| self.jobs.get(job).and_then(Job::output));
        let ladder = gate::weigh(tournament, outputs).ladder(&contest.holder, &contest.challenger);
        let most = u64::from(tournament.max_pairs);
        SoFar { progress: (done.min(most), most), tokens, summary: Some(Summary::Tournament(ladder)) }
    }

    fn round_so_far(&self, run: &StepRun) -> SoFar {
        let round = run.work.round().and_then(|id| self.rounds.get(id));
        let training = round.and_then(|round| Some((self.training_of(round)?, round.table()?.workers.len() as u32)));
        let Some((training, ranks)) = training else { return SoFar { progress: (0, 0), tokens: 0, summary: None } };
        let tokens_per_second = training.tokens_per_second();
        let tokens = training.ranks.iter().map(|rank| rank.progress.tokens).sum();
        let Some(first) = training.ranks.first().map(|rank| rank.progress) else {
            return SoFar { progress: (0, 0), tokens, summary: None };
        };
        let summary = Summary::Train {
            role: training.role,
            member: None,
            step: first.step,
            loss: first.loss,
            grad_norm: first.grad_norm,
            ranks,
            left_out: 0,
            guarded: first.guarded,
            mismatch: first.mismatch,
            lr: Some(first.lr),
            tokens_per_second,
        };
        SoFar { progress: (first.step, first.steps), tokens, summary: Some(summary) }
    }

    pub(super) fn worker_view(&self, now: Timestamp, worker: &Worker) -> WorkerView {
        let known = &worker.known;
        let mut slots: Vec<SlotView> = Vec::new();
        for (token, lease) in self.leases.iter() {
            match lease {
                Lease::Attempt(attempt) if attempt.worker == known.id => {
                    slots.push(SlotView::Job {
                        id: attempt.job.to_string(),
                        token,
                        since_ms: now.since(attempt.since),
                    });
                }
                Lease::Attempt(_) => {}
                Lease::Try(round_try) => {
                    let held = (0u32..).zip(&round_try.ranks).filter(|(_, rank)| rank.worker == known.id);
                    slots.extend(held.map(|(rank, _)| SlotView::Rank {
                        round: round_try.round.to_string(),
                        rank,
                        token,
                        since_ms: now.since(round_try.since),
                    }));
                }
            }
        }
        slots.resize(slots.len().max(known.slots as usize), SlotView::Free);
        let liveness = match worker.presence {
            Presence::Present { .. } => Liveness::Present,
            Presence::Away { .. } => Liveness::Away,
            Presence::Lost => Liveness::Lost,
        };
        WorkerView {
            name: known.id.clone(),
            incarnation: known.incarnation,
            liveness,
            silent_ms: worker.heard().map(|heard| now.since(heard)),
            device: known.device.clone(),
            slots,
        }
    }
}
