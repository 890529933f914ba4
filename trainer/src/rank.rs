//! The life of a rank: prepare, say so, join the others, train, leave them, vote.
//!
//! Every wait in a collective ends by the group's deadline, and by the watchdog's if libtorch does not keep that one. The wait
//! for the start of the round is the coordinator's; the worker that relays it can end this process at any time.

use std::net::SocketAddr;
use std::time::Duration;

use galapagos_artifacts::ArtifactStore;
use galapagos_collective::{Expired, Group, GroupSpec, Store, Watchdog, exit_now};
use galapagos_domain::round::{RankProgress, RankReport, RankSpec, Vote};
use galapagos_telemetry::clock::wall_ms;
use tokio::runtime::{Builder, Runtime};

use crate::RankError;
use crate::args::Args;
use crate::commands::Commands;
use crate::exit::Exit;
use crate::prepare::{Prepared, prepare};
use crate::reports::Reports;
use crate::run::{Run, Site};
use crate::runlog::RunLog;
use crate::vote;

/// Runs one rank from its first command to its last report.
pub fn run(args: &Args, commands: &Commands, reports: &mut Reports) -> Exit {
    let worked = commands
        .prepare()
        .map_err(|source| RankError::Command { source })
        .and_then(|spec| Rank::new(args, spec)?.work(commands, reports));
    let (report, exit) = match worked {
        Ok(vote) => (RankReport::Voted(vote), Exit::Voted),
        Err(RankError::Report { source }) => {
            tracing::warn!("standard output cannot be written, so the worker is gone: {source}");
            return Exit::Orphaned;
        }
        Err(error) => {
            tracing::error!("{}", galapagos_telemetry::ErrorChain::new(&error));
            (RankReport::Failed(error.failure()), Exit::Failed)
        }
    };
    match reports.send(&report) {
        Ok(()) => exit,
        Err(source) => {
            tracing::warn!("the last report could not be written, so the worker is gone: {source}");
            Exit::Orphaned
        }
    }
}

/// Waits on other ranks end a little before the coordinator would give up on this one, so that it hears who is missing.
fn collective_timeout(stall_limit_ms: u64) -> Duration {
    Duration::from_millis((stall_limit_ms / 4 * 3).max(1))
}

/// A group's call may take its timeout twice and a roll call; what takes longer is stuck inside libtorch.
fn stuck_limit(timeout: Duration) -> Duration {
    timeout * 2 + Duration::from_secs(10)
}

#[derive(Debug)]
struct Rank<'a> {
    args: &'a Args,
    spec: RankSpec,
    runtime: Runtime,
    artifacts: ArtifactStore,
    timeout: Duration,
}

impl<'a> Rank<'a> {
    fn new(args: &'a Args, spec: RankSpec) -> Result<Self, RankError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| RankError::Io { what: "start the runtime for file transfers".to_owned(), source })?;
        let artifacts = ArtifactStore::open(&args.artifacts).map_err(|source| RankError::Artifact {
            what: "open the artifact store".to_owned(),
            source: Box::new(source),
        })?;
        let timeout = collective_timeout(spec.round.stall_limit_ms);
        Ok(Self { args, spec, runtime, artifacts, timeout })
    }

    fn work(&self, commands: &Commands, reports: &mut Reports) -> Result<Vote, RankError> {
        let prepared = self.runtime.block_on(prepare(
            &self.spec,
            &self.artifacts,
            (&self.args.cache, self.args.device.device()),
        ))?;
        tracing::info!(
            round = %self.spec.round.id, rank = self.spec.rank, world_size = self.spec.world_size,
            records = prepared.plan.main.records(), left_out = prepared.plan.main.left_out(), steps = prepared.plan.steps(),
            "ready"
        );
        let served = self.serve()?;
        let rendezvous = served.as_ref().map(|store| store.addr().to_string());
        tell(reports, &RankReport::Ready { rendezvous })?;
        let address = commands.start().map_err(|source| RankError::Command { source })?;
        let (vote, last) = self.join_and_train(served, &address, &prepared, reports)?;
        self.vote(&prepared, vote, last, reports)
    }

    /// Rank 0 serves the store where the ranks meet.
    fn serve(&self) -> Result<Option<Store>, RankError> {
        if self.spec.rank != 0 {
            return Ok(None);
        }
        Store::listen(self.args.bind, self.timeout).map(Some).map_err(collective("open the rendezvous"))
    }

    fn join_and_train(
        &self,
        served: Option<Store>,
        address: &str,
        prepared: &Prepared,
        reports: &mut Reports,
    ) -> Result<(Vote, RankProgress), RankError> {
        let watchdog = Watchdog::start("collective", end_stuck).map_err(collective("watch the collectives"))?;
        let joining = watchdog.arm("joining the round", stuck_limit(self.timeout));
        let store = match served {
            Some(store) => store,
            None => {
                let wrong = || RankError::Rendezvous { text: address.to_owned() };
                let address: SocketAddr = address.parse().map_err(|_| wrong())?;
                Store::connect(address, self.timeout).map_err(collective("reach the rendezvous"))?
            }
        };
        let group = Group::join(&store, self.args.device.backend(), &self.group_spec()).map_err(collective("join"))?;
        drop(joining);
        let done = self.train(&group, &watchdog, prepared, reports)?;
        let _leaving = watchdog.arm("leaving the round", stuck_limit(self.timeout));
        group.leave(self.timeout).map_err(collective("leave"))?;
        Ok(done)
    }

    fn group_spec(&self) -> GroupSpec {
        GroupSpec {
            prefix: format!("round-{}", self.spec.token.0),
            rank: self.spec.rank,
            world_size: self.spec.world_size,
            host: self.args.bind,
            timeout: self.timeout,
        }
    }

    /// All steps of the round that are left, and the vote without its checkpoint.
    fn train(
        &self,
        group: &Group,
        watchdog: &Watchdog,
        prepared: &Prepared,
        reports: &mut Reports,
    ) -> Result<(Vote, RankProgress), RankError> {
        let step_limit = stuck_limit(self.timeout);
        let beginning = watchdog.arm("agreeing on the weights", step_limit);
        let site = Site {
            spec: &self.spec,
            group,
            watchdog,
            runtime: &self.runtime,
            artifacts: &self.artifacts,
            cache: &self.args.cache,
            step_limit,
        };
        let mut run = Run::begin(site, prepared, self.log()?)?;
        drop(beginning);
        run.train(reports)?;
        let _finishing = watchdog.arm("finishing the round", step_limit);
        let vote = run.finish()?;
        Ok((vote, run.last()))
    }

    /// The run log, which rank 0 keeps where its worker wants one.
    fn log(&self) -> Result<Option<RunLog>, RankError> {
        let Some(folder) = self.args.runs.as_ref().filter(|_| self.spec.rank == 0) else { return Ok(None) };
        let folder = folder.join(self.spec.round.id.as_str());
        RunLog::create(&folder, wall_ms() as f64 / 1e3).map(Some).map_err(|source| RankError::RunLog { source })
    }

    fn vote(
        &self,
        prepared: &Prepared,
        vote: Vote,
        last: RankProgress,
        reports: &mut Reports,
    ) -> Result<Vote, RankError> {
        let mut vote = vote;
        if self.spec.rank == 0 {
            let (subject, cache) = (&prepared.subject, self.args.cache.as_path());
            let folder = vote::save(subject, &prepared.tokenizer, cache)?;
            // Large weights take their time to the disk and again to the store: a sign of life between the two.
            tell(reports, &RankReport::Progress(last))?;
            let from = (&self.spec.round.start, &prepared.base);
            let what = (vote.weights, subject.adapter.is_some());
            let upload = vote::upload(&folder, what, from, (&self.artifacts, cache));
            vote.checkpoint = Some(self.runtime.block_on(upload)?);
        }
        tracing::info!(round = %self.spec.round.id, rank = self.spec.rank, weights = %vote.weights.short(), "voting");
        Ok(vote)
    }
}

/// Says what hangs and ends the process: the thread that hangs cannot.
fn end_stuck(expired: Expired) {
    tracing::error!("{expired}; this rank ends now");
    exit_now(Exit::Stuck.code())
}

fn tell(reports: &mut Reports, report: &RankReport) -> Result<(), RankError> {
    reports.send(report).map_err(|source| RankError::Report { source })
}

fn collective(what: &'static str) -> impl FnOnce(galapagos_collective::Error) -> RankError {
    move |source| RankError::Collective { what, source }
}
