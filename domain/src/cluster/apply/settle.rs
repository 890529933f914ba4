//! How an evolution goes on: a recipe step that is complete gets its outcome, and the next one starts, in the same turn and
//! so in the same write.

use crate::cluster::cursor::{self, Next};
use crate::cluster::evolution::{Contest, Evolution, Outcome, StepRun, Work};
use crate::cluster::expand::{self, Expansion, Site};
use crate::cluster::gate;
use crate::cluster::job::{Job, Revocation};
use crate::cluster::members::Birth;
use crate::cluster::outcome::{self, Ended};
use crate::cluster::round::Round;
use crate::cluster::stop;
use crate::cluster::turn::Turn;
use crate::cluster::view::{Decision, Phase, Status, Summary};
use crate::ids::{Digest, EvolutionId, JobId, RoundId};
use crate::job::{JobOutput, JobSpec};
use crate::member::Origin;
use crate::recipe::step::RecipeStep;
use crate::round::Vote;
use crate::session::CoordinatorMessage;

impl Turn<'_> {
    /// Closes the running recipe step if it is complete and starts the next, until one has something left to do.
    pub(super) fn go_on(&mut self, id: &EvolutionId) {
        loop {
            let Some(evolution) = self.state.evolutions.get(id).filter(|evolution| !evolution.status.is_final()) else {
                return;
            };
            let going = match evolution.running_step().cloned() {
                Some(run) => self.close_if_complete(id, &run),
                None => self.start_next(id),
            };
            if !going {
                return;
            }
        }
    }

    /// Starts the recipe step that is next; says whether one started.
    fn start_next(&mut self, id: &EvolutionId) -> bool {
        let Some(evolution) = self.state.evolutions.get(id) else { return false };
        let (phase, position) = match cursor::next(evolution) {
            Next::Step { phase, position } => (phase, position),
            Next::Finished => {
                self.set_status(id, Status::Done);
                return false;
            }
        };
        match expand::expand(evolution, &self.state.limits, phase, position) {
            Ok(expansion) => {
                self.start(id, expansion);
                true
            }
            Err(error) => {
                let head = format!("recipe step {} of {phase} cannot start", position + 1);
                self.end_failed(id, vec![head, error.to_string()]);
                false
            }
        }
    }

    fn start(&mut self, id: &EvolutionId, expansion: Expansion) {
        let Expansion { run, jobs, round } = expansion;
        self.add_jobs(jobs);
        if let Some(spec) = round {
            self.add_round(Round::new(spec));
        }
        if let Some(evolution) = self.evolution(id) {
            evolution.steps.push(run);
        }
    }

    fn add_jobs(&mut self, jobs: Vec<JobSpec>) {
        for spec in jobs {
            self.add_job(Job::new(spec));
        }
    }

    /// Says whether the recipe step was complete; rounds are closed by their commit alone.
    fn close_if_complete(&mut self, id: &EvolutionId, run: &StepRun) -> bool {
        let outcome = match &run.work {
            Work::Round(_) => None,
            Work::Contest(contest) => self.contest_outcome(id, run, contest),
            Work::Jobs(jobs) => self.jobs_outcome(id, run, jobs),
        };
        let complete = outcome.is_some();
        if let Some(outcome) = outcome {
            self.close(id, outcome);
        }
        complete
    }

    fn close(&mut self, id: &EvolutionId, outcome: Outcome) {
        let Some(evolution) = self.evolution(id) else { return };
        if let Some(run) = evolution.steps.last_mut() {
            run.outcome = Some(outcome);
        }
        if let Some(generation) = cursor::ended_generation(evolution) {
            evolution.stopped = stop::reason(evolution, generation);
        }
    }

    /// The outputs of all jobs in order; `None` while one is missing.
    fn jobs_outcome(&mut self, id: &EvolutionId, run: &StepRun, jobs: &[JobId]) -> Option<Outcome> {
        let evolution = self.state.evolutions.get(id)?;
        let ended: Option<Vec<Ended<'_>>> = jobs.iter().map(|job| self.state.ended(job)).collect();
        let ended = ended?;
        match (run.phase, ended.first().map(|(_, output)| (*output).clone())) {
            (Phase::Base, Some(JobOutput::Base { checkpoint, weights, source })) => {
                self.crown_base(id, checkpoint, weights, source)
            }
            _ => Some(outcome::of_jobs(evolution, run, &ended)),
        }
    }

    fn crown_base(&mut self, id: &EvolutionId, checkpoint: Digest, weights: Digest, source: String) -> Option<Outcome> {
        let evolution = self.evolution(id)?;
        let role = evolution.steps.last()?.name.clone();
        let origin = Origin::Base { source };
        let birth = Birth { role, phase: Phase::Base, checkpoint, weights, parents: Vec::new(), origin };
        let member = match evolution.member_id(&birth) {
            Ok(member) => member,
            Err(error) => {
                self.fail_evolution(id, vec!["the base member cannot be named".to_owned(), error.to_string()]);
                return None;
            }
        };
        evolution.add_member(member.clone(), birth);
        evolution.enthrone_base(&member);
        Some(Outcome { summary: Summary::Base { member }, dataset: Vec::new(), units: 1, tokens: 0 })
    }

    /// Decides a tournament if its evidence suffices, else hands out the next wave once all bouts are back.
    fn contest_outcome(&mut self, id: &EvolutionId, run: &StepRun, contest: &Contest) -> Option<Outcome> {
        let evolution = self.state.evolutions.get(id)?;
        let tournament = match evolution.recipe_step(run)? {
            RecipeStep::Tournament(tournament) => tournament.clone(),
            RecipeStep::Rollout(_) | RecipeStep::Curate(_) | RecipeStep::Train(_) | RecipeStep::Evaluate(_) => {
                return None;
            }
        };
        let outputs = || contest.jobs.iter().map(|job| self.state.jobs.get(job).and_then(Job::output));
        let mut standing = gate::standing(&tournament, outputs());
        if standing.decision == Decision::Undecided {
            if outputs().any(|output| output.is_none()) {
                return None;
            }
            match expand::wave(&Site::of(evolution, &self.state.limits, run), &tournament, contest) {
                Ok(wave) if wave.is_empty() => standing.decision = Decision::Inconclusive,
                Ok(wave) => {
                    self.add_wave(id, wave);
                    return None;
                }
                Err(error) => {
                    self.fail_evolution(id, vec!["the next bouts cannot be made".to_owned(), error.to_string()]);
                    return None;
                }
            }
        }
        let tokens = outputs().take(standing.jobs).flatten().map(outcome::tokens).sum();
        self.revoke_jobs(&contest.jobs, "the tournament is decided without it");
        let evolution = self.evolution(id)?;
        match standing.decision {
            Decision::Promoted => evolution.take_role(&tournament.promote, &contest.challenger),
            Decision::Refused | Decision::Inconclusive | Decision::Undecided => evolution.refuse(&contest.challenger),
        }
        let ladder = standing.ladder(&contest.holder, &contest.challenger);
        Some(Outcome { summary: Summary::Tournament(ladder), dataset: Vec::new(), units: standing.pairs(), tokens })
    }

    fn add_wave(&mut self, id: &EvolutionId, wave: Vec<JobSpec>) {
        let more: Vec<JobId> = wave.iter().map(|job| job.id.clone()).collect();
        self.add_jobs(wave);
        if let Some(run) = self.evolution(id).and_then(|evolution| evolution.steps.last_mut()) {
            match &mut run.work {
                Work::Contest(contest) => contest.jobs.extend(more),
                Work::Jobs(_) | Work::Round(_) => {}
            }
        }
    }

    /// A round's votes agree: the member is born, its pointer moves, the round is committed, the next recipe step starts, all
    /// in one write.
    pub(super) fn commit(&mut self, round: &RoundId, checkpoint: Digest, vote: Vote) {
        let Some((spec, table)) =
            self.state.rounds.get(round).and_then(|round| Some((round.spec.clone(), round.table()?.clone())))
        else {
            return;
        };
        let seen = self.state.leases.round_try(table.token).map(|lease| lease.ranks.clone()).unwrap_or_default();
        let Some(evolution) = self.evolution(&spec.evolution) else { return };
        let origin = Origin::Trained {
            round: round.clone(),
            datasets: spec.datasets.iter().map(|file| file.digest).collect(),
            steps: vote.steps,
            final_loss: vote.final_loss,
        };
        let parents = evolution.start_of(&spec.train).map(|start| vec![start.id.clone()]).unwrap_or_default();
        let phase = evolution.steps.last().map_or(Phase::Base, |run| run.phase);
        let birth = Birth { role: spec.role.clone(), phase, checkpoint, weights: vote.weights, parents, origin };
        let member = match evolution.member_id(&birth) {
            Ok(member) => member,
            Err(error) => {
                let chain = vec![format!("round {round} made a member that cannot be named"), error.to_string()];
                return self.fail_evolution(&spec.evolution, chain);
            }
        };
        evolution.add_member(member.clone(), birth);
        match &spec.train.name {
            Some(name) => drop(evolution.named.insert(name.clone(), member.clone())),
            None => evolution.take_role(&spec.role, &member),
        }
        let summary = Summary::Train {
            role: spec.role.clone(),
            member: Some(member.clone()),
            step: vote.steps,
            loss: vote.final_loss,
            grad_norm: seen.first().and_then(|rank| rank.progress).map_or(0.0, |progress| progress.grad_norm),
            ranks: table.workers.len() as u32,
            left_out: vote.left_out,
        };
        let tokens = seen.iter().filter_map(|rank| rank.progress).map(|progress| progress.tokens).sum();
        self.close(&spec.evolution, Outcome { summary, dataset: Vec::new(), units: vote.steps, tokens });
        self.state.leases.end(table.token);
        if let Some(round) = self.round(round) {
            round.commit(table.token, member, vote);
        }
        self.go_on(&spec.evolution);
    }

    /// The evolution cannot go on; `chain` says why, outermost cause first.
    pub(super) fn fail_evolution(&mut self, id: &EvolutionId, chain: Vec<String>) {
        let running = self.state.evolutions.get(id).and_then(Evolution::running_step).map(StepRun::path);
        let head = running.map(|path| format!("recipe step {path} failed"));
        self.end_failed(id, head.into_iter().chain(chain).collect());
    }

    fn end_failed(&mut self, id: &EvolutionId, chain: Vec<String>) {
        self.end_evolution(id, Status::Failed, "the evolution failed");
        if let Some(evolution) = self.evolution(id) {
            evolution.failure = chain;
        }
    }

    /// Ends an evolution before its time: nothing of it waits or runs afterwards.
    pub(super) fn end_evolution(&mut self, id: &EvolutionId, status: Status, reason: &str) {
        let work = self.state.evolutions.get(id).and_then(Evolution::running_step).map(|run| run.work.clone());
        if let Some(work) = work {
            self.revoke_jobs(work.jobs(), reason);
            if let Some(round) = work.round() {
                self.end_try(round, reason);
                if let Some(round) = self.round(round) {
                    round.revoke(reason);
                }
            }
        }
        self.set_status(id, status);
    }

    fn revoke_jobs(&mut self, jobs: &[JobId], reason: &str) {
        for id in jobs {
            let over = self.state.jobs.get(id).is_none_or(|job| job.waiting().is_none() && job.lease().is_none());
            if over {
                continue;
            }
            let Some(Revocation::Revoked(Some(lease))) = self.job(id).map(|job| job.revoke(reason)) else { continue };
            self.state.leases.end(lease.token);
            let reason = reason.to_owned();
            self.send(&lease.worker, CoordinatorMessage::Revoke { token: lease.token, reason });
        }
    }

    fn set_status(&mut self, id: &EvolutionId, status: Status) {
        if let Some(evolution) = self.evolution(id) {
            evolution.status = status;
        }
    }
}
