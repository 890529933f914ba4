//! How an evolution goes on: a recipe step that is complete gets its outcome, and the next one starts, in the same turn and
//! so in the same write.

use crate::cluster::control;
use crate::cluster::cursor::{self, Next};
use crate::cluster::evolution::{Contest, List, Outcome, StepRun, Work};
use crate::cluster::expand::{self, Expansion, Site};
use crate::cluster::gate;
use crate::cluster::job::Job;
use crate::cluster::members::Birth;
use crate::cluster::outcome::{self, Ended};
use crate::cluster::round::Round;
use crate::cluster::stop;
use crate::cluster::turn::Turn;
use crate::cluster::view::{Decision, Phase, Status, Summary};
use crate::ids::{Digest, EvolutionId, JobId};
use crate::job::{JobOutput, JobSpec};
use crate::member::Origin;
use crate::recipe::controller::Controller;
use crate::recipe::step::RecipeStep;

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
        let place = match cursor::next(evolution) {
            Next::Step(place) => place,
            Next::Finished => {
                self.set_status(id, Status::Done);
                return false;
            }
        };
        match expand::expand(evolution, &self.state.limits, place) {
            Ok(expansion) => {
                self.start(id, expansion);
                true
            }
            Err(error) => {
                let what = match place.list {
                    List::Steps => "recipe step",
                    List::Controllers => "controller",
                };
                let head = format!("{what} {} of {} cannot start", place.position + 1, place.phase);
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

    pub(super) fn close(&mut self, id: &EvolutionId, outcome: Outcome) {
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
        if self.grow_on(id, run) {
            return None;
        }
        if run.list == List::Controllers {
            return self.control_outcome(id, run);
        }
        let evolution = self.state.evolutions.get(id)?;
        let ended: Option<Vec<Ended<'_>>> = jobs.iter().map(|job| self.state.ended(job)).collect();
        let ended = ended?;
        match (run.phase, ended.first().map(|(_, output)| (*output).clone())) {
            (Phase::Base, Some(JobOutput::Base { checkpoint, weights, source })) => {
                self.commit_base(id, checkpoint, weights, source)
            }
            _ => {
                let outcome = outcome::of_jobs(evolution, run, &ended);
                if let Some(chain) = outcome::shortfall(evolution, run, &outcome) {
                    self.fail_evolution(id, chain);
                    return None;
                }
                Some(outcome)
            }
        }
    }

    /// Hands out what a recipe step of several waves can do next, now that more of it has ended (a search that is spread over jobs, questions
    /// that were written in shares); says whether there was any.
    fn grow_on(&mut self, id: &EvolutionId, run: &StepRun) -> bool {
        let Some(evolution) = self.state.evolutions.get(id) else { return false };
        let output = |job: &JobId| self.state.jobs.get(job).and_then(Job::output);
        let site = Site::of(evolution, &self.state.limits, run);
        let jobs = match evolution.recipe_step(run) {
            Some(RecipeStep::Rollout(rollout)) if rollout.search.spread().is_some() => {
                expand::spread(&site, rollout, &output)
            }
            Some(RecipeStep::Propose(proposals)) => expand::proposals(&site, proposals, &output),
            Some(_) | None => return false,
        };
        let jobs = match jobs {
            Ok(jobs) => jobs,
            Err(error) => {
                let head = format!("the next part of `{}` cannot be made", run.name);
                self.fail_evolution(id, vec![head, error.to_string()]);
                return false;
            }
        };
        // Whichever group of jobs is ahead: in order of their numbers.
        self.make_missing(id, jobs)
    }

    /// Makes those of `jobs`, which are all of the running recipe step so far, that are new; says whether there were any.
    fn make_missing(&mut self, id: &EvolutionId, mut jobs: Vec<JobSpec>) -> bool {
        let all = jobs.iter().map(|job| job.id.clone()).collect();
        jobs.retain(|job| !self.state.jobs.contains_key(&job.id));
        let more = !jobs.is_empty();
        if more {
            self.add_jobs(jobs);
            if let Some(run) = self.evolution(id).and_then(|evolution| evolution.steps.last_mut()) {
                run.work = Work::Jobs(all);
            }
        }
        more
    }

    /// Measures a controller's grid further, or moves the variables once all of it is measured.
    fn control_outcome(&mut self, id: &EvolutionId, run: &StepRun) -> Option<Outcome> {
        let evolution = self.state.evolutions.get(id)?;
        let controller = evolution.controller(run)?.clone();
        let output = |job: &JobId| self.state.jobs.get(job).and_then(Job::output);
        let survey = match expand::survey(&Site::of(evolution, &self.state.limits, run), &controller, &output) {
            Ok(survey) => survey,
            Err(error) => {
                self.fail_evolution(id, vec!["the controller cannot measure on".to_owned(), error.to_string()]);
                return None;
            }
        };
        let Some(known) = survey.known else {
            self.make_missing(id, survey.jobs);
            return None;
        };
        let Controller::GridArgmax(grid) = &controller;
        let Some(decided) = control::decide(grid, &known, &evolution.vars()) else {
            self.fail_evolution(id, vec!["the controller's grid has no point".to_owned()]);
            return None;
        };
        let ended = survey.jobs.iter().filter_map(|job| Some((outcome::units(&job.kind), output(&job.id)?)));
        let (units, tokens) =
            ended.fold((0, 0), |(units, tokens), (more, output)| (units + more, tokens + outcome::tokens(output)));
        let evolution = self.evolution(id)?;
        evolution.moved.extend(decided.moves.iter().map(|moved| (moved.name.clone(), moved.to)));
        Some(Outcome { summary: Summary::Control(decided), dataset: Vec::new(), trees: Vec::new(), units, tokens })
    }

    fn commit_base(
        &mut self,
        id: &EvolutionId,
        checkpoint: Digest,
        weights: Digest,
        source: String,
    ) -> Option<Outcome> {
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
        evolution.give_roles_to_base(&member);
        Some(Outcome { summary: Summary::Base { member }, dataset: Vec::new(), trees: Vec::new(), units: 1, tokens: 0 })
    }

    /// Decides a tournament if its evidence suffices, else hands out the next wave once all bouts are back.
    fn contest_outcome(&mut self, id: &EvolutionId, run: &StepRun, contest: &Contest) -> Option<Outcome> {
        let evolution = self.state.evolutions.get(id)?;
        let tournament = match evolution.recipe_step(run)? {
            RecipeStep::Tournament(tournament) => tournament.clone(),
            RecipeStep::Rollout(_)
            | RecipeStep::Curate(_)
            | RecipeStep::Train(_)
            | RecipeStep::Evaluate(_)
            | RecipeStep::Propose(_) => return None,
        };
        let outputs = || contest.jobs.iter().map(|job| self.state.jobs.get(job).and_then(Job::output));
        let mut evidence = gate::weigh(&tournament, outputs());
        if evidence.decision == Decision::Undecided {
            if outputs().any(|output| output.is_none()) {
                return None;
            }
            match expand::wave(&Site::of(evolution, &self.state.limits, run), &tournament, contest) {
                Ok(wave) if wave.is_empty() => evidence.decision = Decision::Inconclusive,
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
        let tokens = outputs().take(evidence.jobs).flatten().map(outcome::tokens).sum();
        self.revoke_jobs(&contest.jobs, "the tournament is decided without it");
        let evolution = self.evolution(id)?;
        match evidence.decision {
            Decision::Promoted => evolution.take_role(&tournament.promote, &contest.challenger),
            Decision::Refused | Decision::Inconclusive | Decision::Undecided => evolution.refuse(&contest.challenger),
        }
        let ladder = evidence.ladder(&contest.holder, &contest.challenger);
        Some(Outcome {
            summary: Summary::Tournament(ladder),
            dataset: Vec::new(),
            trees: Vec::new(),
            units: evidence.pairs(),
            tokens,
        })
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
}
