//! One row: both sides in turns on the same work, medians, and whether they computed the same thing.

use galapagos_model::profile::Profile;
use galapagos_telemetry::machine::{least, median};
use serde::Serialize;

use super::agreement::{agreement, difference};
use super::floor::{Floor, Size, Speed, floor};
use super::machine::Seconds;
use super::options::{Against, BenchPrecision};
use super::ours::Counts;
use super::prompts::Prompts;
use super::rows::{Rival, RowName, Scale, Work};
use super::runner::{Outcome, RunError};

/// Which side runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Ours,
    Other(Rival),
}

/// Both sides of all rows.
pub trait Sides {
    /// Does the work on one side.
    ///
    /// # Errors
    /// [`RunError`].
    fn run(&mut self, side: Side, work: &Work, seed: u64) -> Result<Outcome, RunError>;

    /// Where our time goes, from one more run.
    ///
    /// # Errors
    /// [`RunError`].
    fn profile(&mut self, work: &Work, seed: u64) -> Result<Profile, RunError>;

    /// What another implementation gives for the log-probabilities of these tokens, where one is at hand.
    ///
    /// # Errors
    /// [`RunError`].
    fn judge(&mut self, prompt: &[u32], continuations: &[Vec<u32>]) -> Result<Option<Vec<Vec<f32>>>, RunError>;
}

/// How all rows are measured.
#[derive(Debug)]
pub struct Plan<'a> {
    pub prompts: &'a Prompts,
    pub scale: Scale,
    pub runs: u32,
    pub against: Against,
    pub precision: BenchPrecision,
    pub size: Size,
    pub speed: Speed,
}

/// The result of one row.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub name: RowName,
    pub rival: Rival,
    /// In `unit`, from the median of the wall times.
    pub ours: f64,
    pub peer: f64,
    pub unit: &'static str,
    /// `ours / peer`.
    pub ratio: f64,
    /// `null` where none was set.
    pub target: Option<f64>,
    pub met: Option<bool>,
    /// The same ratio from the shortest wall times, and from the least processor times.
    pub ratio_of_best: f64,
    pub ratio_of_processor: f64,
    /// Tokens of one run.
    pub tokens: usize,
    /// What both engines counted in the last run; `null` for a peer.
    pub ours_counts: Option<Counts>,
    pub peer_counts: Option<Counts>,
    pub ours_runs: Vec<Seconds>,
    pub peer_runs: Vec<Seconds>,
    /// Wall seconds of one more run of our side, by what they were spent on.
    pub ours_profile: Profile,
    pub floor: Floor,
    /// What bounds the floor: `memory` or `arithmetic`.
    pub bound: &'static str,
    /// The floor's time over ours (median).
    pub share_of_floor: f64,
    pub agreement: Agreement,
}

/// How far both sides gave the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Mean share of a completion before the first token that differs; `null` where the sides sample on their own.
    pub tokens: Option<f64>,
    /// Mean and largest difference of log-probabilities of the same tokens; `null` where nobody else judged them.
    pub log_prob_mean: Option<f64>,
    pub log_prob_max: Option<f64>,
}

/// Why a row was not measured.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error("`{row}` cannot be measured")]
    Run { row: &'static str, source: RunError },
    #[error(
        "`{row}`: the sides compute different things, so their times mean nothing: log-probabilities of the same tokens \
         differ by {mean:.4} on average, {tolerance} is allowed"
    )]
    Differ { row: &'static str, mean: f64, tolerance: f64 },
    #[error("`{row}`: the log-probabilities of one side are missing or not finite")]
    NotComparable { row: &'static str },
}

/// Largest mean difference of log-probabilities: rounding in that number format over some tens of layers. Wrong weights,
/// positions or masks differ by far more.
fn tolerance(precision: BenchPrecision) -> f64 {
    match precision {
        BenchPrecision::Bf16 => 0.1,
        BenchPrecision::F32 => 1e-3,
    }
}

/// Measures a row: a short warm-up on each side, then `runs` times both, the first side changing.
///
/// # Errors
/// [`RowError`].
pub fn compare(plan: &Plan<'_>, name: RowName, rival: Rival, sides: &mut dyn Sides) -> Result<Row, RowError> {
    let failed = |source| RowError::Run { row: name.text(), source };
    let other = Side::Other(rival);
    let warm_up = name.work(Scale::Quick, plan.prompts, 0);
    for side in [Side::Ours, other] {
        sides.run(side, &warm_up, 0).map_err(failed)?;
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut last = None;
    for run in 1..=u64::from(plan.runs) {
        let work = name.work(plan.scale, plan.prompts, run);
        let order = if run % 2 == 1 { [Side::Ours, other] } else { [other, Side::Ours] };
        for side in order {
            let outcome = sides.run(side, &work, run).map_err(failed)?;
            check_counts(&work, &outcome).map_err(failed)?;
            if side == Side::Ours { &mut ours } else { &mut theirs }.push(outcome);
        }
        last = Some(work);
    }
    let (Some(work), Some(our_last), Some(their_last)) = (last, ours.last(), theirs.last()) else {
        return Err(RowError::NotComparable { row: name.text() });
    };
    let tokens = agreeing(&work, rival, &ours, &theirs);
    let agreement = Agreement { tokens, ..judged(plan, (name, rival), &work, (our_last, their_last), sides)? };
    let counts = (our_last.counts, their_last.counts);
    let run = u64::from(plan.runs) + 1;
    let more = name.work(plan.scale, plan.prompts, run);
    let ours_profile = sides.profile(&more, run).map_err(failed)?;
    let seconds = |outcomes: &[Outcome]| outcomes.iter().map(|outcome| outcome.seconds).collect();
    let measured = row(plan, (name, rival), &work, (seconds(&ours), seconds(&theirs)), agreement);
    Ok(Row { ours_counts: counts.0, peer_counts: counts.1, ours_profile, ..measured })
}

fn row(
    plan: &Plan<'_>,
    (name, rival): (RowName, Rival),
    work: &Work,
    (ours, theirs): (Vec<Seconds>, Vec<Seconds>),
    agreement: Agreement,
) -> Row {
    let wall = |runs: &[Seconds]| runs.iter().map(|run| run.wall).collect::<Vec<_>>();
    let processor = |runs: &[Seconds]| runs.iter().map(|run| run.processor).collect::<Vec<_>>();
    let middle = |runs: &[Seconds]| median(&wall(runs)).unwrap_or(f64::NAN);
    let quotient = |theirs: Option<f64>, ours: Option<f64>| theirs.zip(ours).map_or(f64::NAN, |(a, b)| a / b);
    let tokens = work.tokens();
    let (our_rate, peer_rate) = (tokens as f64 / middle(&ours), tokens as f64 / middle(&theirs));
    let ratio = our_rate / peer_rate;
    let target = name.target(plan.against);
    let floor = floor(work, &plan.size, &plan.speed);
    Row {
        name,
        rival,
        ours: our_rate,
        peer: peer_rate,
        unit: "tokens/s",
        ratio,
        target,
        met: target.map(|target| ratio >= target),
        ratio_of_best: quotient(least(&wall(&theirs)), least(&wall(&ours))),
        ratio_of_processor: quotient(least(&processor(&theirs)), least(&processor(&ours))),
        tokens,
        ours_counts: None,
        peer_counts: None,
        ours_profile: Profile::default(),
        bound: floor.bound(),
        share_of_floor: floor.seconds / middle(&ours),
        floor,
        ours_runs: ours,
        peer_runs: theirs,
        agreement,
    }
}

/// Mean agreement of tokens over all runs, where both sides were greedy or drew alike.
fn agreeing(work: &Work, rival: Rival, ours: &[Outcome], theirs: &[Outcome]) -> Option<f64> {
    let comparable = match work {
        Work::Generate(requests) | Work::Adapters { requests, .. } => {
            requests.temperature == 0.0 || rival != Rival::Peer
        }
        Work::Tree(_) => rival != Rival::Peer,
        Work::Score { .. } => false,
    };
    let shares = ours.iter().zip(theirs).map(|(ours, theirs)| agreement(&ours.tokens, &theirs.tokens));
    let shares: Vec<f64> = shares.collect::<Option<_>>()?;
    (comparable && !shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

/// Compares log-probabilities of the last run: where both sides judged the same tokens, and our own recorded ones with a
/// judge's where there is one.
fn judged(
    plan: &Plan<'_>,
    (name, rival): (RowName, Rival),
    work: &Work,
    (ours, theirs): (&Outcome, &Outcome),
    sides: &mut dyn Sides,
) -> Result<Agreement, RowError> {
    let judged = match work {
        Work::Score { .. } => Some((ours.log_probs.clone(), theirs.log_probs.clone())),
        Work::Generate(requests) if rival == Rival::Peer => {
            // The samples of the first prompt are enough to see a wrong forward.
            let first = requests.samples.min(ours.tokens.len());
            sides
                .judge(&requests.prompts[0], &ours.tokens[..first])
                .map_err(|source| RowError::Run { row: name.text(), source })?
                .map(|theirs| (ours.log_probs[..first].to_vec(), theirs))
        }
        Work::Generate(_) | Work::Adapters { .. } | Work::Tree(_) => None,
    };
    let Some((ours, theirs)) = judged else {
        return Ok(Agreement { tokens: None, log_prob_mean: None, log_prob_max: None });
    };
    let (mean, most) = difference(&ours, &theirs).ok_or(RowError::NotComparable { row: name.text() })?;
    let tolerance = tolerance(plan.precision);
    if mean > tolerance {
        return Err(RowError::Differ { row: name.text(), mean, tolerance });
    }
    Ok(Agreement { tokens: None, log_prob_mean: Some(mean), log_prob_max: Some(most) })
}

/// Tokens per second of fewer tokens would be a lie.
fn check_counts(work: &Work, outcome: &Outcome) -> Result<(), RunError> {
    let made = match work {
        Work::Score { .. } => &outcome.log_probs.iter().map(Vec::len).collect::<Vec<_>>(),
        Work::Generate(_) | Work::Adapters { .. } | Work::Tree(_) => {
            &outcome.tokens.iter().map(Vec::len).collect::<Vec<_>>()
        }
    };
    let asked: Vec<usize> = match work {
        Work::Generate(requests) | Work::Adapters { requests, .. } => {
            vec![requests.new_tokens; requests.prompts.len() * requests.samples]
        }
        Work::Tree(tree) => tree.expansions().map(|expansion| expansion.new_tokens).collect(),
        Work::Score { continuations, .. } => continuations.iter().map(Vec::len).collect(),
    };
    if *made == asked {
        return Ok(());
    }
    Err(RunError::Count { made: made.iter().sum(), asked: asked.iter().sum() })
}
