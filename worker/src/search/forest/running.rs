//! A forest that grows: what every search wants under way, each answer brought back to the search that asked for it.

mod answering;
mod asking;
mod hearing;
mod playing;
mod slot;
mod writing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use galapagos_domain::recipe::search::Unit;
use galapagos_domain::recipe::verify::{Model, Uncertainty};
use galapagos_domain::trajectory::Verdict;

use self::hearing::Hearing;
use self::slot::Slot;
use self::writing::{Scribe, Scribes};
use super::ending::harvest;
use super::inquiry::{Inquiries, Place};
use super::{Forest, ForestError, Harvest, Keeper, Kept, Pace};
use crate::engine::stream::{Given, Stop, Stream};
use crate::env::Start;
use crate::env::world::Moved;
use crate::search::beside::Beside;
use crate::search::canaries::Examinees;
use crate::search::court::Court;
use crate::search::referee::{Check, Critic, Referee};
use crate::search::strategy::{Answer, Moment, Question, Strategy, Want};
use crate::verify::Panel;

/// What an answer of the engine is for.
enum Purpose {
    Draw,
    Number {
        critic: Critic,
        model: Model,
        word: &'static str,
        pass_at: Option<f64>,
    },
    /// The same under masks.
    Spread {
        critic: Critic,
        model: Model,
        uncertainty: Uncertainty,
    },
    /// Continuations that the rule judges.
    Share(Box<Question>),
    Check,
    /// One of the calls of an inquiry.
    Inquiry {
        number: u64,
        place: usize,
        /// Whether it is the policy that goes on.
        draws: bool,
    },
    /// A text that somebody writes, and what is read with.
    Write {
        scribe: Arc<Scribe>,
    },
    /// A turn of an environment; whether the action's tokens end its line.
    Act {
        ended: bool,
    },
}

impl Purpose {
    /// Whether the engine has it.
    fn is_engine(&self) -> bool {
        !matches!(self, Self::Check | Self::Act { .. })
    }
}

/// Something that came.
enum News {
    Given(u64, Given),
    Checked(u64, Verdict),
    Played(u64, Result<Moved, Verdict>),
}

/// An episode's next turn: the task's start with the playing, what it showed first, all actions.
type Play = (Start, String, Vec<String>);

/// How long an answer of the engine is waited for while checks run too.
const MOMENT: Duration = Duration::from_millis(2);

/// How often a forest that only waits for checks looks whether it is cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(200);

/// One want that is under way.
struct Pending {
    task: usize,
    /// Where its answer goes.
    want: Place,
    purpose: Purpose,
    unit: Unit,
}

/// A forest that grows.
pub(super) struct Running<'a> {
    forest: &'a Forest<'a>,
    referee: Referee<'a>,
    stream: Stream,
    slots: Vec<Slot>,
    pending: BTreeMap<u64, Pending>,
    next: u64,
    /// Answers that came while something was asked for.
    early: VecDeque<(u64, Given)>,
    stops: BTreeMap<String, Arc<Stop>>,
    scribes: Scribes,
    examinees: Examinees,
    inquiries: Inquiries,
    /// What is to be asked once more.
    again: VecDeque<(usize, Place, Question)>,
    /// Questions about trajectories that were.
    retried: u64,
    /// Started with the first check.
    checker: Option<Beside<Check, Verdict>>,
    /// Started with the first action.
    players: Option<Beside<Play, Result<Moved, Verdict>>>,
    keeper: &'a mut dyn Keeper,
    kept: BTreeMap<usize, Kept>,
    /// Inquiries that wait for answers.
    hearings: BTreeMap<u64, Hearing>,
    /// Tasks whose newest batch is to be kept.
    stale: BTreeSet<usize>,
    /// Whether it is noted what searches would have found before their end.
    pub(super) recording: bool,
    /// Whether trees are left without taking trajectories from them.
    growing: bool,
}

impl<'a> Running<'a> {
    /// One strategy for each task, going on from where `begun` has them.
    pub(super) fn new(
        forest: &'a Forest<'a>,
        court: &'a Court,
        (strategies, begun): (Vec<Box<dyn Strategy>>, BTreeMap<usize, Kept>),
        keeper: &'a mut dyn Keeper,
    ) -> Result<Self, ForestError> {
        let mut slots: Vec<Slot> = strategies.into_iter().map(Slot::new).collect();
        for (place, Kept { tree, standing, heard }) in &begun {
            // They count as if they had been sampled here: a job's output does not tell how often it was tried.
            let elsewhere = forest.portions.get(*place).map_or(0, |portion| portion.before.tokens);
            forest.meter.add(0, standing.spent.tokens.saturating_sub(elsewhere));
            slots[*place].strategy.resume(tree.clone(), standing.clone());
            slots[*place].heard = heard.clone();
        }
        let scribes = Scribe::all(forest)?;
        Ok(Self {
            forest,
            referee: Referee {
                tasks: forest.tasks,
                critics: forest.critics,
                rule: Panel::rule_with(forest.code),
                court,
            },
            stream: forest.engine.stream(forest.meter.glance())?,
            slots,
            pending: BTreeMap::new(),
            next: 0,
            early: VecDeque::new(),
            stops: BTreeMap::new(),
            scribes,
            examinees: Examinees::of(forest.verify, forest.search),
            inquiries: Inquiries::new(forest.trust.retry),
            again: VecDeque::new(),
            retried: 0,
            checker: None,
            players: None,
            keeper,
            kept: begun,
            hearings: BTreeMap::new(),
            stale: BTreeSet::new(),
            recording: false,
            growing: false,
        })
    }

    /// Searches to the end and gives the trees as they are.
    pub(super) fn grow(mut self) -> Result<Vec<Kept>, ForestError> {
        self.growing = true;
        self.run()?;
        self.stream.finish()?;
        let mut begun = std::mem::take(&mut self.kept);
        let kept = |(place, slot): (usize, Slot)| match slot.strategy.committed() {
            Some((tree, standing)) => Kept { tree, standing, heard: slot.heard },
            // Its episode cannot begin: nothing was added.
            None => begun.remove(&place).unwrap_or_default(),
        };
        Ok(self.slots.into_iter().enumerate().map(kept).collect())
    }

    /// Searches to the end; of each task, in order, also what its search would have found before.
    pub(super) fn finish(mut self) -> Result<(Harvest, Vec<Vec<Moment>>), ForestError> {
        self.run()?;
        self.stream.finish()?;
        let moments = if self.recording { self.slots.iter_mut().map(Slot::moments).collect() } else { Vec::new() };
        let ended = self.slots.into_iter().filter_map(|slot| slot.done).collect();
        Ok((harvest(self.forest.trust, &self.examinees, ended, self.retried), moments))
    }

    fn run(&mut self) -> Result<(), ForestError> {
        for task in 0..self.slots.len() {
            self.advance(task)?;
        }
        while !self.pending.is_empty() {
            if self.forest.meter.is_cancelled() {
                return Err(ForestError::Cancelled);
            }
            let task = match self.next()? {
                Some(News::Given(id, given)) => {
                    let Some(pending) = self.pending.remove(&id) else { continue };
                    let task = pending.task;
                    self.answered(pending, given)?;
                    task
                }
                Some(News::Checked(id, verdict)) => {
                    let Some(Pending { task, want, .. }) = self.pending.remove(&id) else { continue };
                    self.fill(task, want, Answer::Judged(verdict));
                    task
                }
                Some(News::Played(id, moved)) => {
                    let Some(Pending { task, want, purpose: Purpose::Act { ended }, .. }) = self.pending.remove(&id)
                    else {
                        continue;
                    };
                    let acted = self.acted(moved, ended)?;
                    self.fill(task, want, Answer::Acted(acted));
                    task
                }
                None => continue,
            };
            self.ask_again()?;
            match self.forest.pace {
                Pace::Free if self.slots[task].missing == 0 => self.advance(task)?,
                Pace::Lockstep if self.pending.is_empty() => {
                    for task in 0..self.slots.len() {
                        self.advance(task)?;
                    }
                }
                Pace::Free | Pace::Lockstep => {}
            }
            if self.keeper.due() {
                self.keeper.keep(&self.kept);
                self.stale = (0..self.slots.len()).collect();
            }
        }
        Ok(())
    }

    /// Whatever comes next, from the engine or from a check; nothing if neither came in a moment.
    fn next(&mut self) -> Result<Option<News>, ForestError> {
        if let Some((id, given)) = self.early.pop_front() {
            return Ok(Some(News::Given(id, given)));
        }
        let checker = self.checker.as_mut().filter(|checker| checker.is_busy());
        let players = self.players.as_mut().filter(|players| players.is_busy());
        if checker.is_none() && players.is_none() {
            let (id, given) = self.stream.answer()?;
            return Ok(Some(News::Given(id, given)));
        }
        let engine = self.pending.values().any(|pending| pending.purpose.is_engine());
        if engine && let Some((id, given)) = self.stream.answer_within(MOMENT)? {
            return Ok(Some(News::Given(id, given)));
        }
        let within = match (engine, checker.is_some() && players.is_some()) {
            (true, _) => Duration::ZERO,
            // Neither waits long for the other.
            (false, true) => MOMENT,
            (false, false) => CANCEL_CHECK,
        };
        let checked = checker.and_then(|checker| checker.next(within)).map(|(id, verdict)| News::Checked(id, verdict));
        Ok(checked.or_else(|| players?.next(within).map(|(id, moved)| News::Played(id, moved))))
    }

    /// Takes a copy of a search that has just ended a batch, if one is wanted.
    fn copy(&mut self, task: usize) {
        if self.stale.contains(&task)
            && let Some((tree, standing)) = self.slots[task].strategy.committed()
        {
            self.stale.remove(&task);
            self.kept.insert(task, Kept { tree, standing, heard: self.slots[task].heard.clone() });
        }
    }

    /// Lets a search go on as far as it can without the engine.
    fn advance(&mut self, task: usize) -> Result<(), ForestError> {
        while self.slots[task].missing == 0 && self.slots[task].done.is_none() {
            let answers: Vec<Answer> = self.slots[task].answers.drain(..).flatten().collect();
            let wants = match self.slots[task].judging.take() {
                Some(judging) => {
                    self.conclude(task, judging, answers);
                    return Ok(());
                }
                None => {
                    self.slots[task].hear(&answers);
                    let wants = self.slots[task].strategy.next(answers)?;
                    self.slots[task].asked = wants.iter().map(Want::asks).collect();
                    if self.recording {
                        self.slots[task].note();
                    }
                    wants
                }
            };
            self.copy(task);
            if self.growing && wants.is_empty() {
                self.forest.meter.add(1, 0);
                return Ok(());
            }
            let wants = if wants.is_empty() { self.judge(task)? } else { wants };
            self.slots[task].answers = vec![None; wants.len()];
            self.slots[task].missing = wants.len();
            for (place, want) in wants.into_iter().enumerate() {
                self.dispatch(task, Place::Want(place), want)?;
            }
            self.compare(task)?;
            self.ask_again()?;
        }
        Ok(())
    }
}
