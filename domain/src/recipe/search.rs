//! The `rollout` verb: who searches which tasks how, and what verifies the result.
//!
//! A search is one choice each of proposer, selector, evaluators, backup, budget and extractor; `search/*.rs` has the choices, and
//! the presets that leave most of them at their defaults.

mod chain;
mod episode;
mod programs;
mod propose;
mod resolve;
mod tree;
mod trust;
mod written;

use std::collections::BTreeMap;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::generations::Generations;
use super::shape::{self, Never, Shape};
use super::verify::Verifier;
use crate::ids::Name;

pub use chain::{Ballot, BestOfN, Debate, IdSampling, JudgedTurns, MultiTurn, Pool, RefineLoop, Vote};
pub use episode::EnvRollout;
pub use programs::{CriticSampling, Repair, Seeds};
pub(crate) use propose::default_temperature;
pub use propose::{DEFAULT_TEMPERATURE, Merge, Propose, Unit};
pub use tree::{
    Backup, BestFirst, Budget, Escalate, Evaluate, Extra, Extract, Mcts, Parallel, Prior, Puct, Reach, Select,
    Simulate, Spread, StepBeam, Uct, Unvisited, When, Width, Worth,
};
pub use trust::{Canaries, ERRING_TASKS, MOST_ERRORS, RETRY, Trust};
pub use written::{Argue, Discriminate, Discriminator, Feedback, Write};

/// Reads a role and tasks; makes verified trajectories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    #[serde(rename = "as")]
    pub name: Name,
    pub role: Name,
    /// How many training tasks of each set this generation takes; successive generations take successive ones.
    pub tasks: BTreeMap<Name, Amount>,
    pub search: Search,
    #[serde(default = "rule_only")]
    pub verify: Vec<Verifier>,
    /// Times that a question is asked again when its verifier erred by chance.
    #[serde(default = "usual_retry")]
    pub retry: u32,
    /// The share of errors among a job's verdicts above which the job fails.
    #[serde(default = "usual_errors")]
    pub most_errors: f64,
    /// Known answers among the real ones.
    #[serde(default, deserialize_with = "trust::written")]
    pub canaries: Option<Canaries>,
    /// Of `each`: runs in these generations alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generations: Option<Generations>,
}

impl Rollout {
    /// How far its verifiers are believed.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust { retry: self.retry, most_errors: self.most_errors, canaries: self.canaries }
    }
}

fn usual_retry() -> u32 {
    RETRY
}

fn usual_errors() -> f64 {
    MOST_ERRORS
}

fn rule_only() -> Vec<Verifier> {
    vec![Verifier::Rule]
}

/// How many tasks of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Amount {
    Count(u32),
    /// The word `all`.
    All(All),
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a whole number, or the word `all`";
        match shape::read::<D, Never, Never>(deserializer, EXPECTED)? {
            Shape::Number(number) => shape::whole(number)
                .map(Self::Count)
                .ok_or_else(|| D::Error::invalid_value(Unexpected::Float(number), &EXPECTED)),
            Shape::Text(text) if text == "all" => Ok(Self::All(All::All)),
            Shape::Text(text) => Err(D::Error::invalid_value(Unexpected::Str(&text), &EXPECTED)),
            Shape::Map(never) | Shape::List(never) => match never {},
        }
    }
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum All {
    All,
}

impl Amount {
    /// The number of tasks out of `available`.
    #[must_use]
    pub fn of(self, available: u32) -> u32 {
        match self {
            Self::Count(count) => count.min(available),
            Self::All(All::All) => available,
        }
    }
}

/// Who judges the turns of `multi_turn`.
static RULE: Verifier = Verifier::Rule;

/// A search strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// `n` independent samples per task.
    SampleK(Propose),
    BestOfN(BestOfN),
    Vote(Vote),
    StepBeam(StepBeam),
    Mcts(Mcts),
    IdSampling(IdSampling),
    MultiTurn(MultiTurn),
    RefineLoop(RefineLoop),
    Debate(Debate),
    EnvRollout(EnvRollout),
    CriticSampling(Box<CriticSampling>),
}

impl Search {
    /// The word, as written in a recipe.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SampleK(_) => "sample_k",
            Self::BestOfN(_) => "best_of_n",
            Self::Vote(_) => "vote",
            Self::StepBeam(_) => "step_beam",
            Self::Mcts(_) => "mcts",
            Self::IdSampling(_) => "id_sampling",
            Self::MultiTurn(_) => "multi_turn",
            Self::RefineLoop(_) => "refine_loop",
            Self::Debate(_) => "debate",
            Self::EnvRollout(_) => "env_rollout",
            Self::CriticSampling(_) => "critic_sampling",
        }
    }

    /// What is asked of the policy at a time.
    #[must_use]
    pub fn propose(&self) -> &Propose {
        match self {
            Self::SampleK(propose) => propose,
            Self::BestOfN(search) => &search.propose,
            Self::Vote(search) => &search.propose,
            Self::StepBeam(search) => &search.propose,
            Self::Mcts(search) => &search.propose,
            Self::IdSampling(search) => &search.propose,
            Self::MultiTurn(search) => &search.propose,
            Self::RefineLoop(search) => &search.propose,
            Self::Debate(search) => &search.propose,
            Self::EnvRollout(search) => &search.propose,
            Self::CriticSampling(search) => &search.propose,
        }
    }

    /// How one tree is spread over jobs, if it is.
    #[must_use]
    pub fn spread(&self) -> Option<Spread> {
        match self {
            Self::Mcts(search) => search.spread,
            _ => None,
        }
    }

    /// Every evaluator, in the order they are asked.
    #[must_use]
    pub fn evaluators(&self) -> &[Evaluate] {
        match self {
            Self::BestOfN(search) => &search.by,
            Self::StepBeam(search) => &search.evaluate,
            Self::Mcts(search) => &search.evaluate,
            Self::EnvRollout(search) => &search.by,
            Self::SampleK(_)
            | Self::Vote(_)
            | Self::IdSampling(_)
            | Self::MultiTurn(_)
            | Self::RefineLoop(_)
            | Self::Debate(_)
            | Self::CriticSampling(_) => &[],
        }
    }

    /// The key under which a recipe has them.
    #[must_use]
    pub fn evaluators_key(&self) -> &'static str {
        if matches!(self, Self::BestOfN(_) | Self::EnvRollout(_)) { "by" } else { "evaluate" }
    }

    /// Most actions of an episode, of a search that acts in environments; `None` of one that answers.
    #[must_use]
    pub fn turns(&self) -> Option<u32> {
        match self {
            Self::EnvRollout(search) => Some(search.turns),
            Self::StepBeam(search) if search.propose.unit == Unit::Turn => Some(search.budget.depth),
            Self::Mcts(search) if search.propose.unit == Unit::Turn => Some(search.budget.depth),
            _ => None,
        }
    }

    /// Every verifier that the search asks.
    pub fn verifiers(&self) -> impl Iterator<Item = &Verifier> {
        let others: Vec<&Verifier> = match self {
            Self::Vote(Vote { by: Ballot::Weighted { verifier, .. }, .. }) => vec![verifier],
            Self::MultiTurn(MultiTurn { judge: JudgedTurns::Every, .. }) => vec![&RULE],
            Self::CriticSampling(search) => vec![&search.tests, &search.critic],
            other => match other.discriminate().map(|choice| &choice.by) {
                Some(Discriminator::Verifier(verifier)) => vec![verifier],
                Some(Discriminator::Argue(_)) | None => Vec::new(),
            },
        };
        self.evaluators().iter().map(|evaluate| &evaluate.verifier).chain(others)
    }

    /// What is taken from its trees; `None` of a search without branches.
    #[must_use]
    pub fn extract(&self) -> Option<&Extract> {
        match self {
            Self::Mcts(mcts) => Some(&mcts.extract),
            Self::StepBeam(beam) => Some(&beam.extract),
            _ => None,
        }
    }

    /// How one of its finished answers is chosen, if somebody looks at several.
    #[must_use]
    pub fn discriminate(&self) -> Option<&Discriminate> {
        match self.extract()? {
            Extract::Discriminate(choice) => Some(choice),
            Extract::Answers | Extract::Ends | Extract::Correct | Extract::Top(_) => None,
        }
    }

    /// Everybody who writes texts for it on its way.
    #[must_use]
    pub fn writers(&self) -> Vec<&Write> {
        let advice = match self {
            Self::Mcts(mcts) => mcts.feedback.as_ref().and_then(|feedback| feedback.write.as_ref()),
            Self::CriticSampling(search) => search.repair.as_ref().map(|repair| &repair.write),
            _ => None,
        };
        let argue = self.discriminate().and_then(|choice| match &choice.by {
            Discriminator::Argue(argue) => Some(argue),
            Discriminator::Verifier(_) => None,
        });
        let argue = argue.into_iter().flat_map(|argue| std::iter::once(&argue.write).chain(&argue.conclude));
        advice.into_iter().chain(argue).collect()
    }

    /// Every role that it asks beside the policy.
    #[must_use]
    pub fn roles(&self) -> Vec<&Name> {
        let writers = self.writers().into_iter().filter_map(|write| write.role.as_ref());
        self.verifiers().flat_map(Verifier::roles).chain(writers).collect()
    }

    /// Whether it asks for the right answer, or for what an environment pays, on its way, as no user of a model can.
    #[must_use]
    pub fn knows_answers(&self) -> bool {
        match self {
            // What its turns are worth is told when all of them are written.
            Self::MultiTurn(_) => false,
            _ => self.verifiers().any(Verifier::is_told),
        }
    }

    /// Whether the last trajectory of each task is its most probable answer, drawn beside the samples.
    #[must_use]
    pub fn draws_greedy(&self) -> bool {
        matches!(self, Self::SampleK(propose) if propose.greedy)
    }

    /// How many trajectories it leaves of one task; `None` where that is seen only when it has run.
    #[must_use]
    pub fn trajectories(&self) -> Option<u64> {
        let n = u64::from(self.propose().n);
        match self {
            Self::SampleK(propose) => Some(n + u64::from(propose.greedy)),
            Self::IdSampling(_) | Self::MultiTurn(_) | Self::RefineLoop(_) => Some(n),
            // Episodes that the environment failed are told beside the one that is kept.
            Self::EnvRollout(search) => search.by.is_empty().then_some(n),
            Self::BestOfN(_) | Self::Vote(_) | Self::CriticSampling(_) => Some(1),
            Self::Debate(search) => Some(n * u64::from(search.speakers)),
            Self::StepBeam(_) | Self::Mcts(_) => None,
        }
    }

    /// Whether it leaves at most one trajectory of each task.
    #[must_use]
    pub fn leaves_one(&self) -> bool {
        match self {
            Self::Mcts(_) | Self::StepBeam(_) => self.extract().is_some_and(Extract::is_one),
            other => other.trajectories() == Some(1),
        }
    }

    /// Most trajectories that it leaves of one task, and most tokens that it samples for it, where an answer has at most
    /// `longest` tokens.
    #[must_use]
    pub fn most(&self, longest: u32) -> Most {
        let most = self.most_drawn(longest);
        let choosing = self.discriminate().map_or(0, Discriminate::most_tokens);
        Most { tokens: most.tokens.saturating_add(choosing), ..most }
    }

    fn most_drawn(&self, longest: u32) -> Most {
        let propose = self.propose();
        let (n, step) = (u64::from(propose.n), u64::from(propose.max_tokens.unwrap_or(longest)));
        let chains = |steps: u64| Most { trajectories: n, completions: n * steps, tokens: n * steps * step };
        match self {
            Self::SampleK(propose) => {
                let n = n + u64::from(propose.greedy);
                Most { trajectories: n, completions: n, tokens: n * step }
            }
            Self::BestOfN(_) | Self::Vote(_) => Most { trajectories: 1, ..chains(1) },
            Self::CriticSampling(search) => {
                let (more, tokens) = search.most_of_round(step);
                let (first, rounds) = (chains(1), u64::from(search.rounds));
                let completions = first.completions + rounds * more;
                Most { trajectories: 1, completions, tokens: first.tokens + rounds * tokens }
            }
            Self::MultiTurn(search) => chains(u64::from(search.turns)),
            Self::EnvRollout(search) => chains(u64::from(search.turns)),
            Self::RefineLoop(search) => chains(1 + 2 * u64::from(search.rounds)),
            Self::Debate(search) => {
                let answers = u64::from(search.speakers) * u64::from(search.rounds);
                Most { trajectories: n * u64::from(search.speakers), ..chains(answers) }
            }
            Self::IdSampling(search) => Most { tokens: n * u64::from(search.most), ..chains(1) },
            Self::StepBeam(search) => {
                let beams = u64::from(search.budget.depth) * u64::from(search.beam.max(1)) * n;
                search.budget.most(beams, step)
            }
            Self::Mcts(search) => {
                let growths = search.budget.simulations.map(u64::from).map(|simulations| match search.simulate {
                    Simulate::ToEnd => simulations * u64::from(search.budget.depth),
                    Simulate::OneGrowth => simulations,
                });
                let width = match search.width {
                    Width::Fixed | Width::UpTo(_) => n,
                    Width::Adaptive { max, root, .. } => u64::from(max.max(root.unwrap_or(0))).max(n),
                };
                let most = search.budget.most(growths.map_or(u64::MAX, |growths| growths.saturating_mul(width)), step);
                let advice = search.feedback.as_ref().and_then(|feedback| feedback.write.as_ref());
                let advice = advice.map_or(0, |write| most.completions.saturating_mul(u64::from(write.max_tokens)));
                Most { tokens: most.tokens.saturating_add(advice), ..most }
            }
        }
    }
}

/// Upper bounds of what a search makes of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    pub trajectories: u64,
    pub completions: u64,
    pub tokens: u64,
}
