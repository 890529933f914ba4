//! Measures what curation holds in memory: makes trajectories of a given size on disk, runs a representative list of data operators over
//! them, and prints records, seconds, MB/s and the peak of resident memory. Run by hand:
//!
//! ```text
//! cargo run --release -p galapagos-worker --example curate_memory -- FOLDER GIGABYTES
//! ```
//! FOLDER needs room for about four times as much. The peak must not grow with GIGABYTES.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use galapagos_artifacts::trajectories::{Reader, Writer, weight};
use galapagos_domain::ids::{Digest, JobId, Name};
use galapagos_domain::recipe::curate::{
    BalanceBy, Filter, Measure, Normalise, Of, Operator, Over, Pair, PairFrom, Subsample, TopK,
};
use galapagos_domain::recipe::{Number, Shuffled};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Credit, Outcome, Score, Span, Trajectory, Verdict};
use galapagos_telemetry::clock::monotonic_ms;
use galapagos_worker::cancel::Cancel;
use galapagos_worker::operators::{Limits, Means, OperatorError, Records, Sources, Trees, stream};
use rand::RngExt as _;

type Failed = Box<dyn std::error::Error>;

/// Bytes of a megabyte.
const MB: u64 = 1 << 20;
const SAMPLES: u32 = 16;
const TOKENS: u32 = 400;

fn main() -> Result<(), Failed> {
    let mut words = std::env::args().skip(1);
    let (Some(folder), Some(gigabytes)) = (words.next(), words.next()) else {
        return Err("give a folder and how many gigabytes".into());
    };
    let bytes = (gigabytes.parse::<f64>()? * 1024.0) as u64 * MB;
    let folder = tempfile::tempdir_in(folder)?;
    let file = folder.path().join("trajectories");
    let rows = make(&file, bytes)?;
    say("made", rows, bytes, 0)?;
    let before = monotonic_ms();
    let left = curate(&file, folder.path())?;
    say("curated", left, bytes, monotonic_ms() - before)
}

fn say(what: &str, rows: u64, bytes: u64, ms: u64) -> Result<(), Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM unknown");
    let rate = (bytes / MB * 1000).checked_div(ms).unwrap_or(0);
    #[expect(clippy::print_stdout, reason = "a tool for people")]
    {
        println!("{what} {rows} records  {} MB  {ms} ms  {rate} MB/s  {peak}", bytes / MB);
    }
    Ok(())
}

/// Samples of made-up tasks until their rows weigh so many bytes.
fn make(file: &Path, bytes: u64) -> Result<u64, Failed> {
    let mut random = Seed(1).stream();
    let mut writer = Writer::new(BufWriter::new(File::create(file)?))?;
    let (job, set) = (JobId::new("memory/g1/samples/0")?, Name::new("numbers")?);
    let (mut made, mut number) = (0u64, 0u32);
    while made < bytes {
        let row = row((&job, &set), number, || random.random());
        made += weight(&row) as u64;
        writer.push(row)?;
        number += 1;
    }
    let (file, rows) = writer.finish()?;
    file.into_inner()?;
    Ok(rows)
}

fn row((job, set): (&JobId, &Name), number: u32, mut random: impl FnMut() -> f32) -> Trajectory {
    let tokens: Vec<u32> = (0..TOKENS).map(|_| (random() * 50_000.0) as u32).collect();
    let outcome = if random() < 0.3 { Outcome::Pass } else { Outcome::Fail };
    let spans = (0..8).map(|i| Span {
        start: i * TOKENS / 8,
        end: (i + 1) * TOKENS / 8,
        learn: true,
        value: Some(random()),
        class: None,
    });
    let spans = spans.collect();
    let score = if outcome == Outcome::Pass { random().sqrt() } else { random() };
    Trajectory {
        job: job.clone(),
        task_set: set.clone(),
        // Tasks come back all over the file.
        task: format!("train/{}", number.wrapping_mul(2_654_435_761) % (number / SAMPLES + 1)),
        sample: number,
        policy: Digest::of(b"policy"),
        prompt_tokens: tokens[..100].to_vec(),
        prefix_len: 20,
        log_probs: tokens.iter().map(|_| -random()).collect(),
        completion: tokens.iter().map(|token| format!("{token} ")).collect(),
        completion_tokens: tokens,
        verdict: Verdict::new(outcome, format!("read {number}")),
        scores: vec![Score { by: "prm/1".to_owned(), value: score }],
        leaf: None,
        credit: Credit { spans, ..Credit::default() },
    }
}

fn curate(file: &Path, scratch: &Path) -> Result<u64, Failed> {
    let operators = operators();
    let records = Reader::open(File::open(file)?)?.map(|row| row.map_err(OperatorError::from));
    let means = Means { sources: &Nothing, text: None, rules: None, worlds: None, estimators: None, scratch: None };
    let cancel = Cancel::default();
    let limits = Limits::new(scratch, &cancel);
    let mut left = stream(&operators, Box::new(records), Seed(3), means, limits)?;
    let mut writer = Writer::new(BufWriter::new(File::create(scratch.join("dataset"))?))?;
    for record in left.by_ref() {
        writer.push(record?)?;
    }
    for count in left.counts() {
        #[expect(clippy::print_stdout, reason = "a tool for people")]
        {
            println!("  {:<10} {} -> {}", count.operator, count.records_in, count.records_out);
        }
    }
    Ok(writer.finish()?.1)
}

/// Of every shape: records by themselves, by task, and twice over all of them.
fn operators() -> Vec<Operator> {
    let by = Measure::Score("prm".to_owned());
    let at_least = Some(Number::Value(0.1));
    vec![
        Operator::Filter(Filter { by: by.clone(), above: None, at_least, below: None, at_most: None }),
        Operator::Dedupe,
        Operator::Shuffle(Shuffled::Verdicts),
        Operator::Normalise(Normalise::Whiten(Of::Reward)),
        Operator::TopK(TopK { k: 12, per: Over::Task, by: vec![by, Measure::MeanQ] }),
        Operator::Balance(BalanceBy::Verdict),
        Operator::Pair(Pair {
            from: PairFrom::Samples,
            by: None,
            each_side: 2,
            margin: 0.0,
            step_margin: 0.0,
            above: None,
            edit_distance: 0,
        }),
        Operator::Subsample(Subsample { n: 400_000, by: None, complement: false }),
    ]
}

/// No datasets and no trees.
struct Nothing;

impl Sources for Nothing {
    fn dataset(&self, name: &Name) -> Result<(u64, Records<'_>), OperatorError> {
        Err(OperatorError::NoDataset(name.clone()))
    }

    fn trees(&self) -> Result<Trees<'_>, OperatorError> {
        Ok(Box::new(std::iter::empty()))
    }
}
