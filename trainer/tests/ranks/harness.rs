//! A store with a tiny character model and solved sums, and rank processes that are spoken to as a worker does.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use galapagos_artifacts::{ArtifactStore, checkpoint, trajectories};
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::fence::FencingToken;
use galapagos_domain::ids::{Digest, EvolutionId, JobId, Name, RoundId};
use galapagos_domain::recipe::Head;
use galapagos_domain::recipe::train::{Loss, Precision, Train};
use galapagos_domain::round::{RankCommand, RankProgress, RankReport, RankSpec, RoundSpec, Saved, Vote};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Credit, Outcome, Span, Trajectory, Verdict};
use galapagos_model::{Decoder, ModelFolder, Tokenizer};
use galapagos_telemetry::spawn_thread;
use galapagos_trainer::prepare::digest;
use tch::Device;

use super::small_model;

/// Far above what any wait takes on a busy machine; only a hang meets it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that rank processes need, in a folder of its own.
pub struct World {
    pub folder: tempfile::TempDir,
    pub store: ArtifactStore,
    pub start: Digest,
    tokenizer: Tokenizer,
}

pub fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Every token of a completion as an action of three; losses on tokens take them as one part, since all of it is learned.
fn actions(tokens: &[u32]) -> Vec<Span> {
    let action = |(place, token): (u32, &u32)| Span {
        start: place,
        end: place + 1,
        learn: true,
        value: None,
        class: Some(token % 3),
    };
    (0..).zip(tokens).map(action).collect()
}

impl World {
    pub fn new() -> Self {
        tch::set_num_threads(1);
        let folder = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(folder.path().join("store").to_str().unwrap()).unwrap();
        let at = folder.path().join("base");
        let (model, tokenizer) = small_model::save(&at);
        let start = block(checkpoint::upload(&store, &at, digest(&model).unwrap())).unwrap();
        Self { folder, store, start, tokenizer }
    }

    /// `count` sums behind a shared prefix of one solved sum; every third verdict is a fail, every seventh a time-out.
    pub fn sums(&self, count: usize) -> ArtifactRef {
        let tokens = |text: &str| self.tokenizer.encode(text).unwrap();
        let prefix = tokens("1+2=3\n");
        let rows: Vec<_> = (0..count)
            .map(|n| {
                let (a, b) = (n * 7 % 50, n * 13 % 40);
                let completion_tokens = tokens(&format!("{}\n", a + b));
                let outcome = match n {
                    n if n % 7 == 6 => Outcome::Timeout,
                    n if n % 3 == 2 => Outcome::Fail,
                    _ => Outcome::Pass,
                };
                Trajectory {
                    job: JobId::new("sums-1/g1/samples/0").unwrap(),
                    task_set: Name::new("sums").unwrap(),
                    task: format!("train/{n}"),
                    sample: 0,
                    policy: self.start,
                    prompt_tokens: [prefix.clone(), tokens(&format!("{a}+{b}="))].concat(),
                    prefix_len: prefix.len() as u32,
                    scores: Vec::new(),
                    leaf: None,
                    credit: Credit { spans: actions(&completion_tokens), ..Credit::default() },
                    completion_tokens,
                    log_probs: Vec::new(),
                    completion: (a + b).to_string(),
                    verdict: Verdict::new(outcome, String::new()),
                }
            })
            .collect();
        block(self.store.put(trajectories::encode(&rows).unwrap(), count as u64)).unwrap()
    }

    pub fn round(&self, count: usize, loss: Loss) -> RoundSpec {
        let head = [Head::Lm, Head::Scalar, Head::Classes(3)].into_iter().find(|head| loss.fits(*head)).unwrap();
        RoundSpec {
            id: RoundId::new("sums-1/g1/candidate").unwrap(),
            evolution: EvolutionId::new("sums-1").unwrap(),
            role: Name::new("policy").unwrap(),
            head,
            start: self.start,
            optimiser: None,
            reference: None,
            critic: None,
            mix: Vec::new(),
            datasets: vec![self.sums(count)],
            train: train(loss),
            seed: Seed(17),
            stall_limit_ms: 40_000,
        }
    }

    /// Starts all ranks of a round and gives each the address of rank 0, as coordinator and worker do together.
    pub fn launch(&self, round: &RoundSpec, world_size: u32) -> Vec<Rank> {
        self.launch_from(round, world_size, None)
    }

    /// [`World::launch`], going on from an in-round checkpoint.
    pub fn launch_from(&self, round: &RoundSpec, world_size: u32, resume: Option<Saved>) -> Vec<Rank> {
        let mut ranks: Vec<_> = (0..world_size).map(|rank| self.resumed(round, (rank, world_size), resume)).collect();
        let addresses: Vec<_> = ranks.iter().map(Rank::ready).collect();
        let rendezvous = addresses[0].clone().expect("rank 0 names the rendezvous");
        assert!(addresses[1..].iter().all(Option::is_none));
        for rank in &mut ranks {
            rank.command(&RankCommand::Start { rendezvous: rendezvous.clone() });
        }
        ranks
    }

    pub fn store_folder(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// A rank process that has its spec and nothing else.
    pub fn rank(&self, round: &RoundSpec, rank: u32, world_size: u32) -> Rank {
        self.resumed(round, (rank, world_size), None)
    }

    fn resumed(&self, round: &RoundSpec, (rank, world_size): (u32, u32), resume: Option<Saved>) -> Rank {
        let mut command = Command::new(env!("CARGO_BIN_EXE_galapagos-trainer"));
        command.arg("--artifacts").arg(self.store_folder());
        command.arg("--cache").arg(self.cache()).arg("--runs").arg(self.runs()).args([
            "--bind",
            "127.0.0.1",
            "--lifeline",
        ]);
        command.env("OMP_NUM_THREADS", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut started = Rank::spawn(command);
        let spec = RankSpec { round: round.clone(), token: FencingToken(9), rank, world_size, resume };
        started.command(&RankCommand::Prepare(Box::new(spec)));
        started
    }

    pub fn runs(&self) -> PathBuf {
        self.folder.path().join("runs")
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// All votes of an undisturbed round.
    pub fn votes(&self, round: &RoundSpec, world_size: u32) -> Vec<Vote> {
        let mut ranks = self.launch(round, world_size);
        let votes = ranks.iter().map(Rank::vote).collect();
        for rank in &mut ranks {
            assert_eq!(rank.exit().code(), Some(0));
        }
        votes
    }

    pub fn model(&self, checkpoint: &Digest) -> Decoder {
        let path = block(checkpoint::materialise(&self.store, checkpoint, &self.cache())).unwrap();
        ModelFolder::open(&path).unwrap().load(Device::Cpu).unwrap()
    }
}

pub fn train(loss: Loss) -> Train {
    let (role, on) = (Name::new("policy").unwrap(), Name::new("samples").unwrap());
    Train {
        ranks: 2,
        batch: 5,
        micro_batch: 2,
        weight_decay: 0.01,
        precision: Precision::F32,
        ..Train::new(role, on, loss, 2e-3)
    }
}

/// One rank process; killed when dropped.
pub struct Rank {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    reports: Receiver<RankReport>,
}

impl Rank {
    fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, reports) = sync_channel(100_000);
        let reader = spawn_thread("reports", move || {
            for line in lines.map_while(Result::ok) {
                let report = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if tell.send(report).is_err() {
                    return;
                }
            }
        });
        drop(reader.unwrap());
        Self { child, stdin, reports }
    }

    pub fn command(&mut self, command: &RankCommand) {
        let mut line = serde_json::to_vec(command).unwrap();
        line.push(b'\n');
        self.stdin.as_mut().unwrap().write_all(&line).unwrap();
    }

    pub fn report(&self) -> RankReport {
        self.reports.recv_timeout(PATIENCE).expect("the rank went silent")
    }

    pub fn ready(&self) -> Option<String> {
        match self.report() {
            RankReport::Ready { rendezvous } => rendezvous,
            other => panic!("{other:?}"),
        }
    }

    /// The vote, or the failure's text, after any progress.
    pub fn end(&self) -> Result<Vote, galapagos_domain::job::JobFailure> {
        loop {
            match self.report() {
                RankReport::Progress(_) => {}
                RankReport::Voted(vote) => return Ok(vote),
                RankReport::Failed(failure) => return Err(failure),
                RankReport::Ready { .. } => panic!("ready twice"),
            }
        }
    }

    /// The vote after any progress, and the progress.
    pub fn told(&self) -> (Vec<RankProgress>, Vote) {
        let mut told = Vec::new();
        loop {
            match self.report() {
                RankReport::Progress(progress) => told.push(progress),
                RankReport::Voted(vote) => return (told, vote),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits for an in-round checkpoint of at least `step`.
    pub fn saved(&self, step: u64) -> Saved {
        loop {
            match self.report() {
                RankReport::Progress(progress) => {
                    if let Some(saved) = progress.saved.filter(|saved| saved.step >= step) {
                        return saved;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn vote(&self) -> Vote {
        self.end().unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    /// Waits for the process to end by itself.
    pub fn exit(&mut self) -> ExitStatus {
        // Its standard output ends when it does.
        loop {
            match self.reports.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("the rank did not end"),
            }
        }
    }

    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Rank {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The column `step` of a run log's table.
pub fn steps_of(table: Vec<u8>) -> Vec<u64> {
    use arrow_array::cast::AsArray;
    let batches =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(table)).unwrap();
    let column = |batch: arrow_array::RecordBatch| {
        let steps = batch.column_by_name("step").unwrap().as_primitive::<arrow_array::types::UInt64Type>().clone();
        steps.values().to_vec()
    };
    batches.build().unwrap().flat_map(|batch| column(batch.unwrap())).collect()
}
