//! A simulated worker: obeys what it is told, keeps reports until they are acknowledged, loses everything in a crash.

use std::collections::BTreeMap;

use galapagos_domain::fence::{FencingToken, Incarnation};
use galapagos_domain::ids::{Digest, RoundId, WorkerId};
use galapagos_domain::job::{FailureClass, JobFailure, JobOutput, JobSpec};
use galapagos_domain::round::{RankProgress, RankSpec, Saved};
use galapagos_domain::session::{CoordinatorMessage, PROTOCOL_VERSION, Registration, WorkerMessage};

use crate::fake;

#[derive(Debug)]
pub struct SimWorker {
    pub id: WorkerId,
    pub slots: u32,
    pub boot_id: u64,
    /// Of its open stream, as the worker sees it.
    pub session: Option<Incarnation>,
    jobs: BTreeMap<FencingToken, JobSpec>,
    ranks: BTreeMap<(FencingToken, u32), Rank>,
    /// Reports that were not acknowledged.
    pub reports: Vec<WorkerMessage>,
    /// States that it was told to drop.
    pub dropped: Vec<(RoundId, Option<u64>)>,
}

#[derive(Debug)]
struct Rank {
    spec: RankSpec,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Loading,
    Ready,
    Training,
    Over,
}

/// What is reported next about something held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Well,
    Badly(FailureClass),
    Garbled,
}

impl SimWorker {
    pub fn new(id: WorkerId, slots: u32, boot_id: u64) -> Self {
        let (jobs, ranks) = (BTreeMap::new(), BTreeMap::new());
        Self { id, slots, boot_id, session: None, jobs, ranks, reports: Vec::new(), dropped: Vec::new() }
    }

    pub fn crash(&mut self) {
        *self = Self::new(self.id.clone(), self.slots, self.boot_id + 1);
    }

    pub fn registration(&self) -> Registration {
        let reported = self.reports.iter().filter_map(about).map(|(token, _)| token);
        let ranks = self.ranks.keys().map(|(token, _)| *token);
        let mut held: Vec<FencingToken> = self.jobs.keys().copied().chain(ranks).chain(reported).collect();
        held.sort_unstable();
        held.dedup();
        Registration {
            worker: self.id.clone(),
            boot_id: self.boot_id,
            protocol_version: PROTOCOL_VERSION,
            slots: self.slots,
            device: "cpu".to_owned(),
            held,
        }
    }

    pub fn hear(&mut self, message: CoordinatorMessage) {
        match message {
            CoordinatorMessage::Registered { .. } => {}
            CoordinatorMessage::Lease { token, job, .. } => drop(self.jobs.insert(token, *job)),
            CoordinatorMessage::Revoke { token, .. } => {
                self.jobs.remove(&token);
                self.reports.retain(|report| about(report) != Some((token, None)));
            }
            CoordinatorMessage::PrepareRank(spec) => {
                self.ranks.insert((spec.token, spec.rank), Rank { spec: *spec, stage: Stage::Loading });
            }
            CoordinatorMessage::StartRank { token, rank, .. } => {
                if let Some(rank) = self.ranks.get_mut(&(token, rank)).filter(|rank| rank.stage == Stage::Ready) {
                    rank.stage = Stage::Training;
                }
            }
            CoordinatorMessage::KillRanks { token, .. } => {
                self.ranks.retain(|(held, _), _| *held != token);
                self.reports.retain(|report| about(report).is_none_or(|(held, _)| held != token));
            }
            CoordinatorMessage::DropStates { round, before } => self.dropped.push((round, before)),
            CoordinatorMessage::Acknowledge { token, rank } => {
                if let Some(first) = self.reports.iter().position(|report| about(report) == Some((token, rank))) {
                    self.reports.remove(first);
                }
                if let Some(rank) = rank {
                    self.ranks.retain(|key, held| *key != (token, rank) || held.stage != Stage::Over);
                }
            }
        }
    }

    /// What its ranks were told, by rank.
    pub fn rank_specs(&self) -> Vec<RankSpec> {
        self.ranks.values().map(|rank| rank.spec.clone()).collect()
    }

    /// Slots in use.
    pub fn busy(&self) -> u32 {
        let ranks = self.ranks.values().filter(|rank| rank.stage != Stage::Over).count();
        u32::try_from(self.jobs.len() + ranks).unwrap()
    }

    /// Things that can be brought a report further: jobs, and ranks that load or train.
    fn open(&self) -> Vec<(FencingToken, Option<u32>)> {
        let moving = |rank: &Rank| matches!(rank.stage, Stage::Loading | Stage::Training);
        let ranks = self.ranks.iter().filter(|(_, rank)| moving(rank)).map(|(key, _)| (key.0, Some(key.1)));
        self.jobs.keys().map(|token| (*token, None)).chain(ranks).collect()
    }

    /// The next report about the `pick`-th open thing; it is kept until acknowledged.
    pub fn advance(&mut self, pick: u8, how: How) -> Option<WorkerMessage> {
        let open = self.open();
        let report = match open.get(usize::from(pick).checked_rem(open.len())?)? {
            (token, None) => job_report(*token, &self.jobs.remove(token)?, how),
            (token, Some(rank)) => self.ranks.get_mut(&(*token, *rank))?.report(how),
        };
        self.reports.push(report.clone());
        Some(report)
    }

    pub fn progress(&self, pick: u8) -> Option<WorkerMessage> {
        let open = self.open();
        let (token, rank) = *open.get(usize::from(pick).checked_rem(open.len())?)?;
        let Some(rank) = rank else {
            return Some(WorkerMessage::JobProgress { token, done: 1, total: 2, tokens: 3 });
        };
        let spec = &self.ranks.get(&(token, rank))?.spec;
        let round = spec.round.id.clone();
        // Rank 0 stores a checkpoint three steps after the one that it went on from.
        let step = spec.resume.map_or(0, |saved| saved.step) + 3;
        let saved = (rank == 0).then(|| Saved { step, state: Digest::of(format!("{round}/{step}").as_bytes()) });
        let progress = RankProgress { loss: 0.5, saved, ..RankProgress::begin(step, 900) };
        Some(WorkerMessage::RankProgress { round, token, rank, progress })
    }
}

fn failure(class: FailureClass) -> JobFailure {
    JobFailure { class, chain: vec!["fake failure".to_owned(), "fake cause".to_owned()] }
}

fn job_report(token: FencingToken, spec: &JobSpec, how: How) -> WorkerMessage {
    match how {
        How::Well => WorkerMessage::JobDone { token, output: fake::output(spec) },
        How::Badly(class) => WorkerMessage::JobFailed { token, failure: failure(class) },
        How::Garbled => WorkerMessage::JobDone { token, output: JobOutput::Bout { pairs: Vec::new(), tokens: 0 } },
    }
}

impl Rank {
    fn report(&mut self, how: How) -> WorkerMessage {
        let (round, token, rank) = (self.spec.round.id.clone(), self.spec.token, self.spec.rank);
        let loading = self.stage == Stage::Loading;
        self.stage = if loading && how != How::Badly(FailureClass::Invalid) { Stage::Ready } else { Stage::Over };
        match how {
            How::Badly(class) => WorkerMessage::RankFailed { round, token, rank, failure: failure(class) },
            How::Well | How::Garbled if loading => {
                let named = rank == 0 && how == How::Well;
                WorkerMessage::RankReady { round, token, rank, rendezvous: named.then(|| "127.0.0.1:1".to_owned()) }
            }
            How::Well => WorkerMessage::RankVoted { round, token, rank, vote: fake::vote(&self.spec.round, rank) },
            How::Garbled => {
                let mut vote = fake::vote(&self.spec.round, rank);
                vote.weights = vote.checkpoint.take().unwrap_or(self.spec.round.start);
                WorkerMessage::RankVoted { round, token, rank, vote }
            }
        }
    }
}

/// The token and rank that a report is acknowledged by.
fn about(report: &WorkerMessage) -> Option<(FencingToken, Option<u32>)> {
    match report {
        WorkerMessage::JobDone { token, .. } | WorkerMessage::JobFailed { token, .. } => Some((*token, None)),
        WorkerMessage::RankReady { token, rank, .. }
        | WorkerMessage::RankVoted { token, rank, .. }
        | WorkerMessage::RankFailed { token, rank, .. } => Some((*token, Some(*rank))),
        WorkerMessage::Register(_)
        | WorkerMessage::Heartbeat
        | WorkerMessage::JobProgress { .. }
        | WorkerMessage::RankProgress { .. } => None,
    }
}
