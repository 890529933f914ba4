//! A judge is tried on right and wrong answers to problems of the job's task set, which are drawn by the set's seed: the same for all
//! jobs of a rollout. What the task's rule says of an answer is the truth.

use std::collections::{BTreeMap, VecDeque};

use galapagos_domain::calibration::Calibration;
use galapagos_domain::recipe::verify::{Calibrate, Verifier};
use galapagos_domain::trajectory::Verdict;

use super::inquiry::{Call, Inquiry, Reply, Turn};
use super::{Case, Court};
use crate::engine::stream::{Asked, Given, Stream};
use crate::engine::{EngineError, EngineHandle};
use crate::search::forest::{Forest, ForestError};
use crate::search::referee::Referee;
use crate::verify::judge::calibration::Sheet;
use crate::verify::known;
use crate::verify::{Claim, Panel};

/// The figures of the judge at `place`.
pub(super) fn figures(
    forest: &Forest<'_>,
    court: &Court,
    place: usize,
    wanted: Calibrate,
) -> Result<Calibration, ForestError> {
    let (verifier, seat) = &court.0[place];
    let tasks = forest.tasks;
    let expected: Vec<&str> = tasks.known.iter().map(|problem| problem.answer.as_str()).collect();
    let rule = Panel::rule_with(forest.code);
    let truth = |place: usize, completion: &str| {
        let problem = &tasks.known[place];
        rule.judge(Claim { rule: &tasks.rule, problem, tests: None, completion }).outcome
    };
    let (count, seed) = (wanted.items as usize, tasks.known_seed);
    let mut sheet = Sheet::default();
    if let Verifier::JudgePair(_) = verifier {
        let pairs = known::pairs(&expected, count.div_ceil(2), seed, &truth);
        let inquiry = |(number, pair): (usize, &known::Pair)| {
            let problem = &tasks.known[pair.place];
            let answers = vec![pair.right.clone(), pair.wrong.clone()];
            court.pair_up(verifier, (&problem.prompt, &problem.answer), answers, seed.nth(number as u64))
        };
        let said = hear(forest, court, pairs.iter().enumerate().filter_map(inquiry).collect())?;
        said.iter().for_each(|verdicts| sheet.note_pair(verdicts.first().and_then(|v| v.score).map(f64::from)));
    } else {
        let items = known::items(&expected, count, seed, &truth);
        let inquiry = |(number, item): (usize, &known::Known)| {
            let problem = &tasks.known[item.place];
            let case = Case {
                prompt: problem.prompt.clone(),
                expected: problem.answer.clone(),
                answer: item.answer.clone(),
                step: item.answer.lines().last().unwrap_or_default().to_owned(),
            };
            court.opinion(verifier, case, seed.nth(number as u64))
        };
        let said = hear(forest, court, items.iter().enumerate().filter_map(inquiry).collect())?;
        for (item, verdicts) in items.iter().zip(&said) {
            verdicts.iter().take(1).for_each(|verdict| sheet.note(item.right, verdict));
        }
    }
    Ok(sheet.figures(&seat.by, wanted.at_least))
}

/// Asks all of them together; what each says, in order.
fn hear(
    forest: &Forest<'_>,
    court: &Court,
    inquiries: Vec<Box<dyn Inquiry>>,
) -> Result<Vec<Vec<Verdict>>, ForestError> {
    let referee = Referee { tasks: forest.tasks, critics: forest.critics, rule: Panel::rule(), court };
    let mut hearing = Hearing {
        said: vec![Vec::new(); inquiries.len()],
        stream: stream(forest.engine, forest)?,
        open: BTreeMap::new(),
        asked: BTreeMap::new(),
        early: VecDeque::new(),
        next: 0,
    };
    for (place, inquiry) in inquiries.into_iter().enumerate() {
        hearing.turn(&referee, place, inquiry, Vec::new())?;
    }
    while !hearing.asked.is_empty() {
        let (id, given) = match hearing.early.pop_front() {
            Some(early) => early,
            None => hearing.stream.answer()?,
        };
        let Some((place, at)) = hearing.asked.remove(&id) else { continue };
        let reply = match given {
            Given::Numbers(numbers) => Reply::Numbers(numbers),
            Given::Completions(made) => {
                forest.meter.add(0, made.iter().map(|made| made.tokens.len() as u64).sum());
                Reply::Made(made)
            }
            Given::Refused(why) => Reply::Refused(why),
        };
        let Some((_, replies)) = hearing.open.get_mut(&place) else { continue };
        replies[at] = Some(reply);
        if replies.iter().all(Option::is_some)
            && let Some((inquiry, replies)) = hearing.open.remove(&place)
        {
            hearing.turn(&referee, place, inquiry, replies.into_iter().flatten().collect())?;
        }
    }
    let Hearing { said, stream, .. } = hearing;
    stream.finish()?;
    Ok(said)
}

fn stream(engine: &EngineHandle, forest: &Forest<'_>) -> Result<Stream, EngineError> {
    engine.stream(forest.meter.glance())
}

/// An inquiry, and the replies to its calls that came.
type Open = (Box<dyn Inquiry>, Vec<Option<Reply>>);

struct Hearing {
    said: Vec<Vec<Verdict>>,
    stream: Stream,
    /// By place, with the replies that came.
    open: BTreeMap<usize, Open>,
    /// Which inquiry a request is of, and which of its calls.
    asked: BTreeMap<u64, (usize, usize)>,
    early: VecDeque<(u64, Given)>,
    next: u64,
}

impl Hearing {
    fn turn(
        &mut self,
        referee: &Referee<'_>,
        place: usize,
        mut inquiry: Box<dyn Inquiry>,
        replies: Vec<Reply>,
    ) -> Result<(), ForestError> {
        let calls = match inquiry.next(referee, replies) {
            Turn::Done(verdicts) => {
                self.said[place] = verdicts;
                return Ok(());
            }
            Turn::Ask(calls) => calls,
        };
        self.open.insert(place, (inquiry, calls.iter().map(|_| None).collect()));
        for (at, call) in calls.into_iter().enumerate() {
            // Judges of known answers let nobody go on.
            let Call::Ask { checkpoint, what } = call else { continue };
            let id = self.next;
            self.next += 1;
            self.asked.insert(id, (place, at));
            self.stream.ask(Asked { id, checkpoint, what }, &mut self.early)?;
        }
        Ok(())
    }
}
