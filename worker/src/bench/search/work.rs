//! The searches that are measured: trees of a fixed number of growths over arithmetic questions, whose steps have lengths drawn by
//! seed and end nowhere else, so that both sides do the same work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use galapagos_domain::ids::Name;
use galapagos_domain::job::{Sampling, TaskSlice};
use galapagos_domain::recipe::search::{Mcts, Search, Trust, Unit};
use galapagos_domain::recipe::tasks::{Builtin, Split, TaskSet};
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::seed::Seed;
use galapagos_domain::task::Family;
use serde::Serialize;

use super::SearchBenchError;
use crate::bench::machine::timed;
use crate::bench::options::SearchBench;
use crate::cancel::Cancel;
use crate::code::Code;
use crate::device::Place;
use crate::engine::stream::{Asked, Continue, Stop, Wanted};
use crate::engine::tch::TchEngine;
use crate::engine::{CheckpointDir, Codec, EngineError, EngineHandle, Watch};
use crate::eval::adopt;
use crate::jobs::meter::Meter;
use crate::jobs::tasks::{Shelf, Tasks};
use crate::search::{Answer, Draw, Forest, Growth, NodeId, Nowhere, Pace, Strategy, Tree, Want};

/// Tokens of most steps, where lengths are uneven.
const SHORT: u32 = 8;

/// How long steps are: in every mix about 15 tokens in the mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mix {
    Even,
    /// One step in so many is longer than the others.
    Uneven {
        every: u64,
        long: u32,
    },
}

impl Mix {
    /// Tokens of a step that draws from `seed`.
    fn tokens(self, seed: Seed) -> u32 {
        match self {
            Self::Even => 15,
            Self::Uneven { every, long } if seed.derive("length").0.is_multiple_of(every) => long,
            Self::Uneven { .. } => SHORT,
        }
    }

    fn longest(self) -> u32 {
        match self {
            Self::Even => 15,
            Self::Uneven { long, .. } => long,
        }
    }
}

/// How much is searched.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Size {
    pub(super) problems: u32,
    /// Growths of one tree, one after the other.
    pub(super) growths: u32,
    pub(super) children: u32,
}

impl Size {
    pub(super) const FULL: Self = Self { problems: 24, growths: 64, children: 2 };
    pub(super) const QUICK: Self = Self { problems: 6, growths: 3, children: 2 };
}

/// What one run of a side left.
#[derive(Debug)]
pub(super) struct Grown {
    pub(super) trees: Vec<Tree>,
    /// Everything that the engine was asked, in order.
    pub(super) asked: Vec<Continue>,
    pub(super) seconds: f64,
}

impl Grown {
    pub(super) fn nodes(&self) -> u64 {
        self.trees.iter().map(|tree| tree.len() as u64 - 1).sum()
    }

    pub(super) fn tokens(&self) -> u64 {
        self.trees.iter().map(Tree::sampled).sum()
    }
}

/// An engine with the model, and how it is driven.
#[derive(Debug)]
pub(super) struct Side {
    engine: EngineHandle,
    checkpoint: Arc<CheckpointDir>,
    codec: Arc<dyn Codec>,
    size: Size,
    mix: Mix,
    pace: Pace,
}

impl Side {
    pub(super) fn new(config: &SearchBench, (size, mix): (Size, Mix), pace: Pace) -> Result<Self, SearchBenchError> {
        let failed = |source| SearchBenchError::Model { source };
        let place = Place { threads: config.threads as usize, ..Place::CPU };
        let engine = EngineHandle::start(move || Box::new(TchEngine::on(place)));
        let engine = engine.map_err(|source| SearchBenchError::Spawn { source })?;
        let checkpoint = adopt(&engine, &config.model).map_err(failed)?;
        let codec = engine.codec(&checkpoint).map_err(failed)?;
        Ok(Self { engine, checkpoint: Arc::new(checkpoint), codec, size, mix, pace })
    }

    pub(super) fn engine(&self) -> &EngineHandle {
        &self.engine
    }

    /// Arithmetic questions whose answers nothing ends.
    fn tasks(&self, seed: u64) -> Result<Tasks, SearchBenchError> {
        let problems = self.size.problems;
        let source = TaskSet::Builtin(Builtin { train: problems, shots: 2, ..Builtin::of(Family::LargestOfFive) });
        let set: Name = "numbers".parse().map_err(|_| SearchBenchError::Model { source: EngineError::Panicked })?;
        let slice = TaskSlice {
            set,
            source,
            split: Split::Train,
            indices: (0..problems).collect(),
            seed: Seed(seed),
            proposed: None,
        };
        let tasks = Tasks::prepare(&slice, &Shelf::Given(&BTreeMap::new()), self.codec.as_ref(), Seed(seed), None);
        let tasks = tasks.map_err(|source| SearchBenchError::Tasks { source })?;
        Ok(Tasks { stop: Vec::new(), terminator: None, max_tokens: self.mix.longest(), ..tasks })
    }

    /// Grows all trees.
    pub(super) fn search(&self, seed: u64) -> Result<Grown, SearchBenchError> {
        let tasks = self.tasks(seed)?;
        let mcts = search(self.size);
        let asked: Arc<Mutex<Vec<Continue>>> = Arc::default();
        let strategy = |place: usize| -> Box<dyn Strategy> {
            Box::new(Lengths {
                inner: Growth::mcts(&mcts, Arc::new(Sampling::at(1.0)), tasks.items[place].seed),
                prompt: tasks.full_prompt(place),
                mix: self.mix,
                asked: Arc::clone(&asked),
            })
        };
        let strategies = (0..tasks.items.len()).map(strategy).collect();
        let meter = Meter::new(Cancel::default(), Arc::new(|_| {}));
        let forest = Forest {
            engine: &self.engine,
            policy: Arc::clone(&self.checkpoint),
            codec: Arc::clone(&self.codec),
            tasks: &tasks,
            search: &Search::Mcts(mcts.clone()),
            verify: &[Verifier::SelfLogProb],
            critics: &BTreeMap::new(),
            trust: &Trust::default(),
            meter: &meter,
            code: &Arc::new(Code::nowhere("nothing is checked in this benchmark")),
            pace: self.pace,
            portions: &[],
        };
        let (searched, seconds) = timed(|| forest.drive(strategies, BTreeMap::new(), &mut Nowhere));
        let searched = searched.map_err(|source| SearchBenchError::Search { source })?;
        let asked = std::mem::take(&mut *asked.lock().unwrap_or_else(PoisonError::into_inner));
        let trees = searched.searched.into_iter().map(|searched| searched.tree).collect();
        Ok(Grown { trees, asked, seconds: seconds.wall })
    }

    /// Seconds that the engine takes for the requests of a search when all are known at once.
    pub(super) fn alone(&self, asked: &[Continue]) -> Result<f64, SearchBenchError> {
        let (done, seconds) = timed(|| -> Result<(), EngineError> {
            let stream = self.engine.stream(Watch::nobody())?;
            let mut early = std::collections::VecDeque::new();
            for (id, asked) in (0..).zip(asked) {
                let what = Wanted::Completions(asked.clone());
                stream.ask(Asked { id, checkpoint: Arc::clone(&self.checkpoint), what }, &mut early)?;
            }
            for _ in early.len()..asked.len() {
                stream.answer()?;
            }
            stream.finish()
        });
        done.map_err(|source| SearchBenchError::Model { source })?;
        Ok(seconds.wall)
    }
}

fn search(size: Size) -> Mcts {
    use galapagos_domain::recipe::search::{
        Backup, Budget, Evaluate, Extract, Parallel, Propose, Select, Simulate, When, Width,
    };
    let propose = Propose { unit: Unit::Tokens(SHORT), ..Propose::answers(size.children, 1.0) };
    let evaluate = Evaluate { when: When::Every, ..Evaluate::terminal(Verifier::SelfLogProb) };
    Mcts {
        propose,
        select: Select::default(),
        evaluate: vec![evaluate],
        backup: Backup::SumMean,
        budget: Budget {
            simulations: Some(size.growths),
            nodes: None,
            tokens: None,
            correct_leaves: None,
            depth: u32::MAX,
            escalate_unsolved: None,
        },
        width: Width::Fixed,
        simulate: Simulate::OneGrowth,
        parallel: Parallel::default(),
        spread: None,
        feedback: None,
        extract: Extract::Answers,
    }
}

/// A search whose steps have lengths drawn by seed.
#[derive(Debug)]
struct Lengths {
    inner: Growth,
    prompt: Vec<u32>,
    mix: Mix,
    asked: Arc<Mutex<Vec<Continue>>>,
}

impl Strategy for Lengths {
    fn next(&mut self, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        let mut wants = self.inner.next(answers)?;
        for want in &mut wants {
            if let Want::Draw(draw) = want {
                let tokens = self.mix.tokens(draw.seed);
                (draw.unit, draw.max_tokens) = (Unit::Tokens(tokens), Some(tokens));
                let asked = self.record(draw, tokens);
                self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
            }
        }
        Ok(wants)
    }

    fn tree(&self) -> &Tree {
        self.inner.tree()
    }

    fn found(&self) -> Vec<NodeId> {
        self.inner.found()
    }
}

impl Lengths {
    fn record(&self, draw: &Draw, max_tokens: u32) -> Continue {
        Continue {
            prompt: [self.prompt.as_slice(), &draw.behind].concat(),
            samples: draw.samples,
            seed: draw.seed,
            sampling: Arc::clone(&draw.sampling),
            stop: Arc::new(Stop { tokens: Vec::new(), terminator: None, texts: Vec::new() }),
            max_tokens,
        }
    }
}
