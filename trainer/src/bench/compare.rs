//! One row: both sides in turns on the same batch, medians, and whether they computed the same thing.

use galapagos_domain::recipe::train::Precision;
use galapagos_telemetry::machine::{least, median};
use serde::Serialize;

use super::child::ChildError;
use super::protocol::{Loaded, Memory, Parts, Stepped};
use super::rows::{Figure, Rival, RowName, Shape, Work};
use super::side::{Side, Starter};

/// Steps before the measured ones. The first loss tells whether both sides compute the same, the second whether they learned the same.
const WARM_UP: usize = 2;

/// Steps of a memory row, after which nothing new is allocated.
const MEMORY_STEPS: usize = 3;

/// The result of one row.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub name: RowName,
    pub rival: Rival,
    /// In `unit`, from the median of the wall times, or of one process's memory.
    pub ours: f64,
    pub peer: f64,
    pub unit: &'static str,
    /// `less` or `more`.
    pub better: &'static str,
    /// `ours / peer`.
    pub ratio: f64,
    /// At most so much where less is better, at least where more is; `null` where none was set.
    pub target: Option<f64>,
    pub met: Option<bool>,
    /// The same ratio from the shortest wall times, and from the least processor times; `null` for memory.
    pub ratio_of_best: Option<f64>,
    pub ratio_of_processor: Option<f64>,
    /// Tokens of one step.
    pub tokens: usize,
    /// Ranks and threads of each, of our side.
    pub ranks: u32,
    pub threads: u32,
    pub ours_steps: Vec<Stepped>,
    pub peer_steps: Vec<Stepped>,
    /// Mean seconds of the parts of a step.
    pub ours_time: Parts,
    pub peer_time: Parts,
    /// Share of our step that ranks spend on one another, by a step without the others; `null` for one rank.
    pub communication: Option<f64>,
    /// Of memory rows.
    pub ours_memory: Option<Memory>,
    pub peer_memory: Option<Memory>,
    pub agreement: Agreement,
    #[serde(skip)]
    pub peer_about: Loaded,
}

/// Losses of the first two steps on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    pub ours: Vec<f64>,
    pub peer: Vec<f64>,
    /// The largest relative difference, and how much is allowed.
    pub difference: f64,
    pub tolerance: f64,
    /// Of the gradients' norms in the first step: information.
    pub grad_norm_difference: f64,
}

/// Why a row was not measured.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error("`{row}` cannot be measured")]
    Side { row: &'static str, source: ChildError },
    #[error(
        "`{row}`: the sides compute different things, so their times mean nothing: the losses of the first steps are {ours:?} \
         and {peer:?}; they may differ by {tolerance} of their size"
    )]
    Differ { row: &'static str, ours: Vec<f64>, peer: Vec<f64>, tolerance: f64 },
    #[error("`{row}`: a side does not say how much memory it has")]
    NoMemory { row: &'static str },
}

/// What both sides of a row gave.
#[derive(Debug, Default)]
struct Measured {
    warm_up: (Vec<Stepped>, Vec<Stepped>),
    steps: (Vec<Stepped>, Vec<Stepped>),
    memory: (Option<Memory>, Option<Memory>),
    communication: Option<f64>,
    peer_about: Loaded,
}

/// Measures a row.
///
/// # Errors
/// [`RowError`].
pub fn compare(
    starter: &mut Starter,
    (name, work): (RowName, &Work),
    (threads, runs): (u32, u32),
    target: Option<f64>,
) -> Result<Row, RowError> {
    let failed = |source| RowError::Side { row: name.text(), source };
    let shapes = name.shapes(threads);
    let measured = match name.figure() {
        Figure::Memory => one_after_another(starter, shapes, work),
        Figure::Step | Figure::Rate => in_turns(starter, shapes, work, runs),
    };
    let measured = measured.map_err(failed)?;
    let agreement = agree(name, shapes, &measured.warm_up)?;
    row((name, work), shapes.0, measured, agreement, target)
}

/// Both loaded, the first side of a turn changing.
fn in_turns(
    starter: &mut Starter,
    (ours, other): (Shape, Shape),
    work: &Work,
    runs: u32,
) -> Result<Measured, ChildError> {
    let ranks = ours.ranks;
    let (mut ours, mut peer) = (starter.start(ours, work)?, starter.start(other, work)?);
    let mut measured = Measured { peer_about: peer.about.clone(), ..Measured::default() };
    measured.warm_up = (several(&mut ours, WARM_UP)?, several(&mut peer, WARM_UP)?);
    for run in 0..runs {
        if run % 2 == 0 {
            measured.steps.0.push(ours.step()?);
        }
        measured.steps.1.push(peer.step()?);
        if run % 2 == 1 {
            measured.steps.0.push(ours.step()?);
        }
    }
    drop(peer);
    if ranks > 1 {
        starter.part(&mut ours, work)?;
        several(&mut ours, WARM_UP)?;
        let without = several(&mut ours, runs as usize)?;
        measured.communication = share_of_communication(&measured.steps.0, &without);
    }
    Ok(measured)
}

/// Each alone, so that none has the other's memory to contend with.
fn one_after_another(
    starter: &mut Starter,
    (ours, other): (Shape, Shape),
    work: &Work,
) -> Result<Measured, ChildError> {
    let mut alone = |shape| {
        let mut side = starter.start(shape, work)?;
        Ok::<_, ChildError>((several(&mut side, MEMORY_STEPS)?, side.memory()?, side.about.clone()))
    };
    let (our_steps, our_memory, _) = alone(ours)?;
    let (peer_steps, peer_memory, peer_about) = alone(other)?;
    let warm_up = (our_steps[..WARM_UP].to_vec(), peer_steps[..WARM_UP].to_vec());
    let memory = (our_memory, peer_memory);
    Ok(Measured { warm_up, steps: (our_steps, peer_steps), memory, communication: None, peer_about })
}

fn several(side: &mut Side, count: usize) -> Result<Vec<Stepped>, ChildError> {
    (0..count).map(|_| side.step()).collect()
}

/// How much of the steps `with` other ranks is more than those without.
fn share_of_communication(with: &[Stepped], without: &[Stepped]) -> Option<f64> {
    let middle = |steps: &[Stepped]| median(&steps.iter().map(|step| step.seconds).collect::<Vec<_>>());
    Some((1.0 - middle(without)? / middle(with)?).max(0.0))
}

/// Largest relative difference of losses: rounding in that number format. A wrong weight, mask or label, or an update that is left out or
/// made otherwise, differs by more.
fn tolerance((ours, other): (Shape, Shape)) -> f64 {
    if ours.precision == Precision::F32 && other.precision == Precision::F32 { 1e-3 } else { 1e-2 }
}

fn agree(
    name: RowName,
    shapes: (Shape, Shape),
    (ours, peer): &(Vec<Stepped>, Vec<Stepped>),
) -> Result<Agreement, RowError> {
    let apart = |ours: f64, peer: f64| (ours - peer).abs() / peer.abs().max(f64::MIN_POSITIVE);
    let losses = |steps: &[Stepped]| steps.iter().map(|step| step.loss).collect::<Vec<_>>();
    let (our_losses, peer_losses) = (losses(ours), losses(peer));
    let tolerance = tolerance(shapes);
    // Between number formats the first updates differ in many signs, and the second losses with them.
    let compared = if shapes.0.precision == shapes.1.precision { WARM_UP } else { 1 };
    let pairs = our_losses.iter().zip(&peer_losses).take(compared);
    let differences: Vec<f64> = pairs.map(|(ours, peer)| apart(*ours, *peer)).collect();
    if differences.is_empty() || !differences.iter().all(|difference| *difference <= tolerance) {
        return Err(RowError::Differ { row: name.text(), ours: our_losses, peer: peer_losses, tolerance });
    }
    let norms = ours.first().zip(peer.first()).map(|(ours, peer)| apart(ours.grad_norm, peer.grad_norm));
    Ok(Agreement {
        ours: our_losses,
        peer: peer_losses,
        difference: differences.into_iter().fold(0.0, f64::max),
        tolerance,
        grad_norm_difference: norms.unwrap_or(f64::NAN),
    })
}

fn row(
    (name, work): (RowName, &Work),
    shape: Shape,
    measured: Measured,
    agreement: Agreement,
    target: Option<f64>,
) -> Result<Row, RowError> {
    let Measured { steps: (ours, peer), memory, communication, peer_about, .. } = measured;
    let wall = |steps: &[Stepped]| steps.iter().map(|step| step.seconds).collect::<Vec<_>>();
    let processor = |steps: &[Stepped]| steps.iter().map(|step| step.cpu_seconds).collect::<Vec<_>>();
    let (figure, tokens) = (name.figure(), work.tokens());
    let shown = |seconds: f64| if figure == Figure::Rate { tokens as f64 / seconds } else { seconds * 1e3 };
    let of_times = |pick: fn(&[f64]) -> Option<f64>, ours: &[f64], peer: &[f64]| {
        pick(ours).zip(pick(peer)).map(|(ours, peer)| (shown(ours), shown(peer)))
    };
    let (ours_figure, peer_figure) = match (figure, memory) {
        (Figure::Memory, (Some(ours), Some(peer))) => (grown(ours), grown(peer)),
        (Figure::Memory, _) => return Err(RowError::NoMemory { row: name.text() }),
        _ => of_times(median, &wall(&ours), &wall(&peer)).unwrap_or((f64::NAN, f64::NAN)),
    };
    let times = figure != Figure::Memory;
    let of_best = of_times(least, &wall(&ours), &wall(&peer)).filter(|_| times);
    let of_processor = of_times(least, &processor(&ours), &processor(&peer)).filter(|_| times);
    let ratio = ours_figure / peer_figure;
    let meets = |target: f64| if figure.less_is_better() { ratio <= target } else { ratio >= target };
    let parts = |steps: &[Stepped]| Parts::mean(&steps.iter().map(|step| step.time).collect::<Vec<_>>());
    Ok(Row {
        name,
        rival: name.rival(),
        ours: ours_figure,
        peer: peer_figure,
        unit: figure.unit(),
        better: if figure.less_is_better() { "less" } else { "more" },
        ratio,
        target,
        met: target.map(meets),
        ratio_of_best: of_best.map(|(ours, peer)| ours / peer),
        ratio_of_processor: of_processor.map(|(ours, peer)| ours / peer),
        tokens,
        ranks: shape.ranks,
        threads: shape.threads,
        ours_time: parts(&ours),
        peer_time: parts(&peer),
        ours_steps: ours,
        peer_steps: peer,
        communication,
        ours_memory: memory.0,
        peer_memory: memory.1,
        agreement,
        peer_about,
    })
}

/// Megabytes above what a process had before it loaded anything.
fn grown(memory: Memory) -> f64 {
    memory.peak_bytes.saturating_sub(memory.start_bytes) as f64 / 1e6
}

#[cfg(test)]
mod tests;
