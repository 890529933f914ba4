//! Ways to show a working: without a detour, as a search with dead ends, as a search that ends wrong, behind dots. And workings that are
//! begun with a step too many. Functions of the problem alone.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::super::countdown::{Countdown, Operator, Step, moves, solution};
use super::{CHECK, MOST_DEAD_ENDS, UNDO, line};
use crate::recipe::tasks::TakenBack;

/// How a search ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Ending {
    /// At the target.
    Right,
    /// At another number.
    Wrong,
}

/// A problem, and how its searches are made.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Asked<'a> {
    pub instance: &'a Countdown,
    /// The operators that workings use.
    pub operators: &'static [Operator],
    pub taken_back: TakenBack,
}

/// A line of a search, and whether the working without a detour has it.
struct Shown {
    text: String,
    detour: bool,
}

impl Shown {
    fn detour(text: impl Into<String>) -> Self {
        Self { text: text.into(), detour: true }
    }
}

/// Drawn steps that can all be done, to a number that is not the target.
pub(in super::super) fn wrong(asked: Asked<'_>, rng: &mut ChaCha8Rng) -> String {
    let Asked { instance, operators, .. } = asked;
    let (mut pool, mut steps) = (instance.numbers.clone(), Vec::new());
    while pool.len() > 1 {
        let last = pool.len() == 2;
        let found = if last { dead_ends((&pool, operators), instance.target, 1, rng).pop() } else { None };
        let step = found.unwrap_or_else(|| drawn(&pool, operators, rng));
        pool = step.take(&pool).unwrap_or_default();
        steps.push(step);
    }
    join(steps.into_iter().map(line))
}

/// The steps with up to [`MOST_DEAD_ENDS`] dead ends before them, each taken back, and a `check` at the end. There is at least one dead end, but
/// where they are played.
pub(in super::super) fn search(asked: Asked<'_>, steps: &[Step], ending: Ending, rng: &mut ChaCha8Rng) -> String {
    join(searched(asked, steps, ending, rng).into_iter().map(|shown| shown.text))
}

/// The steps behind lines of dots, as long as their search is.
pub(in super::super) fn filler(asked: Asked<'_>, steps: &[Step], rng: &mut ChaCha8Rng) -> String {
    let search = searched(asked, steps, Ending::Right, rng);
    let dots = search.iter().filter(|shown| shown.detour).map(|shown| ".".repeat(shown.text.chars().count()));
    join(dots.chain(steps.iter().copied().map(line)))
}

fn searched(asked: Asked<'_>, steps: &[Step], ending: Ending, rng: &mut ChaCha8Rng) -> Vec<Shown> {
    let Asked { instance, operators, taken_back } = asked;
    // Where the first try is always wrong, a policy learns to take back the first try, not to look at where it ended.
    let fewest = u32::from(taken_back == TakenBack::AtOnce);
    let places: Vec<usize> =
        (0..rng.random_range(fewest..=MOST_DEAD_ENDS)).map(|_| rng.random_range(0..steps.len())).collect();
    let (mut pool, mut shown, mut owed) = (instance.numbers.clone(), Vec::new(), 0);
    for (place, step) in steps.iter().enumerate() {
        owed += places.iter().filter(|at| **at == place).count();
        let is_end = place + 1 == steps.len() && ending == Ending::Wrong;
        let mut dead = dead_ends((&pool, operators), instance.target, owed + usize::from(is_end), rng);
        // The last is where a search ends that ends wrong. With a single number wrong, the search comes back to it.
        let end = if is_end { dead.last().copied() } else { None };
        dead.truncate(owed);
        owed -= dead.len();
        for step in dead {
            let wrong = match taken_back {
                TakenBack::AtOnce => vec![step],
                TakenBack::WhenPlayed => played(&pool, operators, step, rng),
            };
            let back = wrong.iter().map(|_| Shown::detour(UNDO)).collect::<Vec<_>>();
            shown.extend(wrong.into_iter().map(|step| Shown::detour(line(step))).chain(back));
        }
        shown.push(Shown { text: line(end.unwrap_or(*step)), detour: false });
        pool = step.take(&pool).unwrap_or(pool);
    }
    shown.push(Shown::detour(CHECK));
    shown
}

/// A step out of whose reach the target is, and drawn ones after it until one number is left.
fn played(pool: &[u32], operators: &[Operator], step: Step, rng: &mut ChaCha8Rng) -> Vec<Step> {
    let mut wrong = vec![step];
    let mut pool = step.take(pool).unwrap_or_default();
    while pool.len() > 1 {
        let step = drawn(&pool, operators, rng);
        pool = step.take(&pool).unwrap_or_default();
        wrong.push(step);
    }
    wrong
}

/// Any step that can be done; there is always a sum.
fn drawn(pool: &[u32], operators: &[Operator], rng: &mut ChaCha8Rng) -> Step {
    let all: Vec<Step> = moves(pool).into_iter().filter(|step| operators.contains(&step.operator)).collect();
    all[rng.random_range(0..all.len())]
}

/// Up to `count` steps after which the target is out of reach, in a drawn order, by `operators` if these have any. With two numbers left there is
/// at least one.
fn dead_ends((pool, operators): (&[u32], &[Operator]), target: u32, count: usize, rng: &mut ChaCha8Rng) -> Vec<Step> {
    let mut all: Vec<Step> = moves(pool).into_iter().collect();
    all.shuffle(rng);
    let is_dead = |step: &Step| step.take(pool).is_ok_and(|after| solution(&after, target).is_none());
    let (own, other): (Vec<Step>, Vec<Step>) =
        all.into_iter().filter(is_dead).partition(|step| operators.contains(&step.operator));
    // A number and nothing make the same by + and -.
    let dead = if own.is_empty() { other } else { own };
    dead.into_iter().take(count).collect()
}

/// `wrong` operations after which the target is out of reach. Where no first operation is wrong, a right one stands before them; fewer,
/// if the numbers do not last.
pub(in super::super) fn begin(
    (instance, operators): (&Countdown, &[Operator]),
    wrong: u32,
    rng: &mut ChaCha8Rng,
) -> Vec<Step> {
    let (mut pool, mut begun, mut left) = (instance.numbers.clone(), Vec::new(), wrong);
    let mut is_dead = false;
    while left > 0 && pool.len() > 1 {
        let all: Vec<Step> = moves(&pool).into_iter().filter(|step| operators.contains(&step.operator)).collect();
        let found = if is_dead { None } else { dead_ends((&pool, operators), instance.target, 1, rng).pop() };
        is_dead |= found.is_some();
        let step = found.unwrap_or_else(|| all[rng.random_range(0..all.len())]);
        left -= u32::from(is_dead);
        pool = step.take(&pool).unwrap_or(pool);
        begun.push(step);
    }
    begun
}

fn join(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<_>>().join("\n")
}
