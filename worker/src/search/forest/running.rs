//! A forest that grows: what every search wants under way, each answer brought back to the search that asked for it.

mod hearing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use galapagos_domain::recipe::search::Unit;
use galapagos_domain::recipe::verify::{Model, Uncertainty, Verifier};
use galapagos_domain::trajectory::{Outcome, Verdict};
use galapagos_domain::tree::TreeTurn;

use super::decision::agreement;
use super::ending::{Ended, harvest};
use super::inquiry::{Inquiries, Next, Place};
use super::{Forest, ForestError, Harvest, Keeper, Kept, Pace};
use crate::engine::stream::{Asked, Continue, Given, Stop, Stream, Wanted};
use crate::engine::{CheckpointDir, Completion, EngineError};
use crate::env::Start;
use crate::env::world::Moved;
use crate::search::beside::Beside;
use crate::search::canaries::{Canary, Said, Sung, plan};
use crate::search::checker::Checker;
use crate::search::court::Court;
use crate::search::referee::{Check, Critic, Need, Referee, at_least, read, read_masked};
use crate::search::strategy::{Act, Acted, Answer, Draw, Drawn, Moment, Question, Strategy, Want, verdicts};
use crate::search::tree::{NodeId, Path};
use crate::verify::Panel;
use hearing::Hearing;

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

/// What ends an action.
const LINE: char = '\n';

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

/// The search of one task.
struct Slot {
    strategy: Box<dyn Strategy>,
    answers: Vec<Option<Answer>>,
    missing: usize,
    /// What the search left, once its trajectories are being judged.
    judging: Option<Judging>,
    done: Option<Ended>,
    /// Tokens that the search has cost.
    spent: u64,
    /// What it would have found if it had ended with one of its batches; one for each change.
    moments: Vec<Moment>,
}

impl Slot {
    fn new(strategy: Box<dyn Strategy>) -> Self {
        let (answers, moments) = (Vec::new(), Vec::new());
        Self { strategy, answers, missing: 0, judging: None, done: None, spent: 0, moments }
    }

    /// After a batch.
    fn note(&mut self) {
        let found = self.strategy.found();
        let known = match self.moments.last() {
            None => found.is_empty(),
            Some(last) => last.found == found,
        };
        if !known {
            self.moments.push(Moment { tokens: self.spent, found });
        }
    }

    /// What is known of the search's way, the end of it counted.
    fn moments(&mut self) -> Vec<Moment> {
        let mut moments = self.strategy.moments().unwrap_or_else(|| std::mem::take(&mut self.moments));
        moments.push(Moment { tokens: self.spent, found: self.strategy.found() });
        // Of those with equal tokens the last one counts.
        moments.reverse();
        moments.dedup_by_key(|moment| moment.tokens);
        moments.reverse();
        moments
    }
}

/// Trajectories that are being judged, and the known answers among them.
struct Judging {
    found: Vec<NodeId>,
    canaries: Vec<(Canary, String)>,
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
    verify: Vec<Arc<Verifier>>,
    inquiries: Inquiries,
    /// What is to be asked once more.
    again: VecDeque<(usize, Place, Question)>,
    /// Questions about trajectories that were.
    retried: u64,
    /// Started with the first check.
    checker: Option<Checker>,
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
        for (place, Kept { tree, standing }) in &begun {
            // They count as if they had been sampled here: a job's output does not tell how often it was tried.
            forest.meter.add(0, standing.spent.tokens);
            slots[*place].strategy.resume(tree.clone(), standing.clone());
        }
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
            verify: forest.verify.iter().cloned().map(Arc::new).collect(),
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
        })
    }

    /// Searches to the end; of each task, in order, also what its search would have found before.
    pub(super) fn finish(mut self) -> Result<(Harvest, Vec<Vec<Moment>>), ForestError> {
        self.run()?;
        self.stream.finish()?;
        let moments = if self.recording { self.slots.iter_mut().map(Slot::moments).collect() } else { Vec::new() };
        let ended = self.slots.into_iter().filter_map(|slot| slot.done).collect();
        Ok((harvest(self.forest.trust, &self.verify, ended, self.retried), moments))
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

    /// Has the environment play a turn.
    fn act(&mut self, task: usize, want: Place, act: Act) -> Result<(), ForestError> {
        let Act { replica, actions, last } = act;
        let stage = self.forest.tasks.stage.as_ref();
        let Some((stage, (start, first))) = stage.and_then(|stage| Some((stage, stage.start(task, replica)?))) else {
            let verdict = Verdict::new(Outcome::Error, "the tasks have no environment");
            self.fill(task, want, Answer::Acted(Err(verdict)));
            return Ok(());
        };
        let players = match self.players.take() {
            Some(players) => players,
            None => {
                let world = Arc::clone(&stage.world);
                let play = move |(start, first, actions): Play| world.act(&start, &first, &actions);
                Beside::start("player", stage.world.at_once(), play).map_err(ForestError::Spawn)?
            }
        };
        let ended = match last {
            Some(last) => self.forest.codec.decode(&[last])?.contains(LINE),
            None => false,
        };
        let id = self.next;
        self.next += 1;
        self.pending.insert(id, Pending { task, want, purpose: Purpose::Act { ended }, unit: Unit::Turn });
        self.players.insert(players).ask(id, (start, first, actions));
        Ok(())
    }

    /// What an action brought, as the policy reads it.
    fn acted(&self, moved: Result<Moved, Verdict>, ended: bool) -> Result<Result<Acted, Verdict>, ForestError> {
        let Moved { reward, score, refused, over, seen, .. } = match moved {
            Ok(moved) => moved,
            Err(verdict) => return Ok(Err(verdict)),
        };
        let shown = match &self.forest.tasks.stage {
            Some(stage) => stage.world.wording().show(&seen, over),
            None => seen.observation,
        };
        let text = format!("{LINE}{shown}");
        let unread = if ended { shown.as_str() } else { &text };
        let tokens = self.forest.codec.encode(unread)?;
        Ok(Ok(Acted { reward, score, refused, over, text, tokens }))
    }

    /// Takes a copy of a search that has just ended a batch, if one is wanted.
    fn copy(&mut self, task: usize) {
        if self.stale.contains(&task)
            && let Some((tree, standing)) = self.slots[task].strategy.committed()
        {
            self.stale.remove(&task);
            self.kept.insert(task, Kept { tree, standing });
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
                    let wants = self.slots[task].strategy.next(answers)?;
                    if self.recording {
                        self.slots[task].note();
                    }
                    wants
                }
            };
            self.copy(task);
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

    /// Asks what said nothing by chance once more.
    fn ask_again(&mut self) -> Result<(), ForestError> {
        while let Some((task, to, question)) = self.again.pop_front() {
            self.retried += u64::from(self.slots[task].judging.is_some());
            self.question(task, to, question)?;
        }
        Ok(())
    }

    /// What the recipe's verifiers are asked about everything that a search left, and about known answers.
    fn judge(&mut self, task: usize) -> Result<Vec<Want>, ForestError> {
        let strategy = &self.slots[task].strategy;
        let (found, tree) = (strategy.found(), strategy.tree());
        let seed = self.forest.tasks.items[task].seed;
        let mut wants = Vec::new();
        for node in &found {
            for (place, verifier) in self.verify.iter().enumerate() {
                let seed = seed.derive(&format!("verify/{place}/{}", node.0));
                let (verifier, path) = (Arc::clone(verifier), tree.path(*node));
                wants.push(Want::Judge(Question { verifier, path, answered: true, seed }));
            }
        }
        let mut canaries = Vec::new();
        let planned = self.forest.trust.canaries.as_ref();
        for canary in planned.map(|rate| plan(rate, &self.verify, (task, seed), found.len())).unwrap_or_default() {
            let truth = |answer: &str| self.referee.rule(task, answer).outcome;
            let Some(answer) = canary.answer(&self.forest.tasks.items[task].problem.answer, &truth) else { continue };
            let tokens = self
                .forest
                .codec
                .encode(&format!("{answer}{}", self.forest.tasks.terminator.map_or_else(String::new, String::from)))?;
            let (verifier, path) = (Arc::clone(&self.verify[canary.verifier]), Path::told(tokens, &answer));
            wants.push(Want::Judge(Question { verifier, path, answered: true, seed: canary.seed }));
            canaries.push((canary, answer));
        }
        self.slots[task].judging = Some(Judging { found, canaries });
        Ok(wants)
    }

    fn dispatch(&mut self, task: usize, want: Place, what: Want) -> Result<(), ForestError> {
        match what {
            Want::Draw(draw) => self.draw(draw, Pending { task, want, purpose: Purpose::Draw, unit: Unit::Answer }),
            Want::Act(act) => self.act(task, want, act),
            Want::Judge(question) => {
                // What an environment failed is decided, and asked once.
                if !matches!(question.path.turns.last(), Some(TreeTurn::Failed(_))) {
                    self.inquiries.begin(task, want, &question);
                }
                self.question(task, want, question)
            }
        }
    }

    fn question(&mut self, task: usize, want: Place, question: Question) -> Result<(), ForestError> {
        let pending = |purpose| Pending { task, want, purpose, unit: Unit::Answer };
        match self.referee.needs(task, &question, Some(self.slots[task].strategy.tree())) {
            Need::Decided(verdict) => {
                self.fill(task, want, Answer::Judged(verdict));
                Ok(())
            }
            Need::Spread { critic, tokens, model, dropout, uncertainty } => {
                let (checkpoint, seed) = (Arc::clone(&critic.checkpoint), question.seed);
                let purpose = Purpose::Spread { critic, model, uncertainty };
                self.ask(checkpoint, Wanted::Masked { tokens, dropout, seed }, pending(purpose))
            }
            Need::Parts(parts) => {
                let places = self.inquiries.open(want, question, parts.len());
                for (place, part) in places.into_iter().zip(parts) {
                    self.dispatch(task, place, Want::Judge(part))?;
                }
                Ok(())
            }
            Need::Number { critic, tokens, model, pass_at } => {
                let (checkpoint, word) = (Arc::clone(&critic.checkpoint), question.verifier.name());
                let purpose = Purpose::Number { critic, model, word, pass_at };
                self.ask(checkpoint, Wanted::Numbers(tokens), pending(purpose))
            }
            Need::Group => {
                // Filled in when the search is over: [`Running::conclude`].
                self.fill(task, want, Answer::Judged(Verdict::new(Outcome::Error, "the group is not known yet")));
                Ok(())
            }
            // [`Running::compare`] fills it in.
            Need::Later => Ok(()),
            Need::Inquire(inquiry) => self.hear(Hearing::new(task, vec![want], (question.verifier, inquiry))),
            Need::Check(check) => self.check(task, want, check),
            Need::Answers(draw) => self.draw(draw, pending(Purpose::Share(Box::new(question)))),
        }
    }

    fn check(&mut self, task: usize, want: Place, check: Check) -> Result<(), ForestError> {
        self.forest.code.check().map_err(ForestError::Code)?;
        let checker = match self.checker.take() {
            Some(checker) => checker,
            None => Checker::start(self.forest.code).map_err(ForestError::Spawn)?,
        };
        let id = self.next;
        self.next += 1;
        self.pending.insert(id, Pending { task, want, purpose: Purpose::Check, unit: Unit::Answer });
        self.checker.insert(checker).ask(id, check);
        Ok(())
    }

    fn draw(&mut self, draw: Draw, pending: Pending) -> Result<(), ForestError> {
        let unit = draw.unit.clone();
        let wanted = self.wanted(pending.task, draw)?;
        self.ask(Arc::clone(&self.forest.policy), wanted, Pending { unit, ..pending })
    }

    /// Continuations of the policy, as an engine is asked for them.
    fn wanted(&mut self, task: usize, draw: Draw) -> Result<Wanted, ForestError> {
        let tasks = self.forest.tasks;
        let longest = draw.max_tokens.unwrap_or(tasks.max_tokens);
        let max_tokens = match draw.unit {
            Unit::Tokens(count) => count.min(longest),
            Unit::Answer | Unit::Turn | Unit::Line | Unit::Step(_) | Unit::CodeBlock => longest,
        };
        let stop = self.stop(&draw.unit)?;
        let prompt = [tasks.full_prompt(task), draw.behind].concat();
        let (samples, seed, sampling) = (draw.samples, draw.seed, draw.sampling);
        Ok(Wanted::Completions(Continue { prompt, samples, seed, sampling, stop, max_tokens }))
    }

    /// What ends a step: what ends the answer, and the text of the unit. Single characters are found by their tokens, which every
    /// engine can do.
    fn stop(&mut self, unit: &Unit) -> Result<Arc<Stop>, ForestError> {
        let text = unit.ends_with().unwrap_or_default();
        if let Some(known) = self.stops.get(text) {
            return Ok(Arc::clone(known));
        }
        let tasks = self.forest.tasks;
        let mut stop = Stop { tokens: tasks.stop.clone(), terminator: tasks.terminator, texts: Vec::new() };
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (None, _) => {}
            (Some(one), None) => {
                if Some(one) != tasks.terminator {
                    stop.tokens.extend(self.forest.codec.stop_tokens(Some(one))?);
                    stop.tokens.sort_unstable();
                    stop.tokens.dedup();
                    stop.terminator = None;
                }
            }
            (Some(_), Some(_)) => stop.texts.push(text.to_owned()),
        }
        let stop = Arc::new(stop);
        self.stops.insert(text.to_owned(), Arc::clone(&stop));
        Ok(stop)
    }

    fn ask(&mut self, checkpoint: Arc<CheckpointDir>, what: Wanted, pending: Pending) -> Result<(), ForestError> {
        let id = self.next;
        self.next += 1;
        self.pending.insert(id, pending);
        self.stream.ask(Asked { id, checkpoint, what }, &mut self.early)?;
        Ok(())
    }

    fn answered(&mut self, pending: Pending, given: Given) -> Result<(), ForestError> {
        let Pending { task, want, purpose, unit } = pending;
        let answer = match (purpose, given) {
            (Purpose::Inquiry { number, place, draws }, given) => {
                return self.heard((number, place, draws), &unit, given);
            }
            (Purpose::Draw | Purpose::Check | Purpose::Act { .. }, Given::Refused(why)) => {
                let (checkpoint, source) = (self.forest.policy.checkpoint, why.into());
                return Err(ForestError::Engine(EngineError::Request { checkpoint, source }));
            }
            (Purpose::Share(_) | Purpose::Number { .. } | Purpose::Spread { .. }, Given::Refused(why)) => {
                Answer::Judged(Verdict::new(Outcome::Error, format!("the model cannot be asked: {why}")))
            }
            (Purpose::Draw, Given::Completions(made)) => Answer::Drawn(self.read(&unit, made)?),
            (Purpose::Share(question), Given::Completions(made)) => {
                let drawn = self.read(&unit, made)?;
                Answer::Judged(self.referee.share(task, &question.path, &drawn))
            }
            (Purpose::Number { critic, model, word, pass_at }, Given::Numbers(numbers)) => {
                Answer::Judged(at_least(read(&numbers, &critic, &model, word), pass_at))
            }
            (Purpose::Spread { critic, model, uncertainty }, Given::Numbers(numbers)) => {
                Answer::Judged(read_masked(&numbers, &critic, &model, &uncertainty))
            }
            (Purpose::Draw | Purpose::Share(_) | Purpose::Check | Purpose::Act { .. }, Given::Numbers(_))
            | (
                Purpose::Number { .. } | Purpose::Spread { .. } | Purpose::Check | Purpose::Act { .. },
                Given::Completions(_),
            ) => {
                return Err(ForestError::Engine(EngineError::Panicked));
            }
        };
        self.fill(task, want, answer);
        Ok(())
    }

    /// Takes an answer, or puts its question back to be asked once more.
    fn fill(&mut self, task: usize, want: Place, answer: Answer) {
        let (want, answer) = match (answer, want) {
            (Answer::Judged(verdict), to) => match self.inquiries.take(task, to, verdict) {
                Next::Answer(want, verdict) => (want, Answer::Judged(verdict)),
                Next::Again(to, question) => return self.again.push_back((task, to, question)),
                Next::Wait => return,
            },
            (made @ (Answer::Drawn(_) | Answer::Acted(_)), Place::Want(want)) => (want, made),
            (Answer::Drawn(_) | Answer::Acted(_), Place::Part { .. }) => return,
        };
        let slot = &mut self.slots[task];
        if slot.judging.is_none() {
            slot.spent += match &answer {
                Answer::Drawn(drawn) => drawn.iter().map(|drawn| drawn.tokens.len() as u64).sum(),
                Answer::Judged(verdict) => verdict.cost,
                Answer::Acted(_) => 0,
            };
        }
        slot.answers[want] = Some(answer);
        slot.missing -= 1;
    }

    fn read(&self, unit: &Unit, made: Vec<Completion>) -> Result<Vec<Drawn>, EngineError> {
        let tasks = self.forest.tasks;
        let drawn = |Completion { tokens, log_probs }: Completion| {
            self.forest.meter.add(0, tokens.len() as u64);
            let mut text = self.forest.codec.decode(&tokens)?;
            let mut answered = tokens.last().is_some_and(|last| tasks.stop.binary_search(last).is_ok());
            if let Some(end) = tasks.terminator.and_then(|end| text.find(end)) {
                text.truncate(end);
                answered = true;
            }
            let whole = matches!(unit, Unit::Answer | Unit::Turn);
            Ok(Drawn { tokens, log_probs, text, answered: answered || whole })
        };
        made.into_iter().map(drawn).collect()
    }

    /// The end of a search: everything that was said about its trajectories and about known answers.
    fn conclude(&mut self, task: usize, Judging { found, canaries }: Judging, answers: Vec<Answer>) {
        let mut verdicts = verdicts(answers)
            .map(|verdict| verdict.unwrap_or_else(|| Verdict::new(Outcome::Error, "the verifier gave no verdict")));
        let slot = &mut self.slots[task];
        let tree = slot.strategy.tree().clone();
        let key = self.forest.tasks.key();
        let classes: Vec<Option<String>> = found.iter().map(|node| key(&tree.path(*node).answer)).collect();
        let mut of_each = Vec::with_capacity(found.len());
        for place in 0..found.len() {
            let mut said: Vec<Verdict> = verdicts.by_ref().take(self.verify.len()).collect();
            for (said, verifier) in said.iter_mut().zip(&self.verify) {
                if let Verifier::Consistency(what) = **verifier {
                    *said = agreement(what, &classes, place);
                }
            }
            of_each.push(said);
        }
        let sung = canaries.into_iter().zip(verdicts);
        let canaries = sung.map(|((canary, answer), verdict)| Sung { canary, answer, verdict }).collect();
        let units = self.forest.search.trajectories().map_or(1, |_| found.len() as u64);
        self.forest.meter.add(units, 0);
        let task = self.forest.tasks.items[task].problem.key.clone();
        let said = Said { task, verdicts: of_each, canaries };
        slot.done = Some(Ended { tree, found, said });
    }
}
