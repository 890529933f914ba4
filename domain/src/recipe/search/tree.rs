//! Searches over trees: where they grow, what new nodes are worth, what becomes of it further up, when to stop and what to keep.

use serde::{Deserialize, Serialize};

use super::super::Number;
use super::super::verify::Verifier;
use super::propose::Propose;
use super::written::{Discriminate, Feedback};

/// Monte-Carlo tree search, or best-first search when `select` says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mcts {
    pub propose: Propose,
    #[serde(default)]
    pub select: Select,
    #[serde(default = "by_rule")]
    pub evaluate: Vec<Evaluate>,
    #[serde(default)]
    pub backup: Backup,
    pub budget: Budget,
    #[serde(default)]
    pub width: Width,
    #[serde(default)]
    pub simulate: Simulate,
    /// Simulations of one tree under way at once.
    #[serde(default)]
    pub parallel: Parallel,
    /// One tree grown by several jobs; by one when absent.
    #[serde(default)]
    pub spread: Option<Spread>,
    /// What the policy is shown before a further child of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Box<Feedback>>,
    #[serde(default)]
    pub extract: Extract,
}

/// At every depth the best `beam` nodes go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepBeam {
    pub propose: Propose,
    pub beam: u32,
    #[serde(default = "by_rule")]
    pub evaluate: Vec<Evaluate>,
    pub budget: Budget,
    #[serde(default)]
    pub extract: Extract,
}

fn by_rule() -> Vec<Evaluate> {
    vec![Evaluate::terminal(Verifier::Rule)]
}

/// How the next node to grow is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// Down from the root by Q + c sqrt(ln N(parent) / N(child)); ties go to the earliest child.
    Uct(Uct),
    /// Down from the root by Q + c P(child) sqrt(N(parent)) / (1 + N(child)).
    Puct(Puct),
    /// The node of the whole tree with the highest Q + c sqrt(ln N(parent) / N(node)); a node may be grown again.
    BestFirst(BestFirst),
}

impl Default for Select {
    fn default() -> Self {
        Self::Uct(Uct { c: default_c(), unvisited: Unvisited::default(), extra: Vec::new() })
    }
}

/// See [`Select::Uct`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uct {
    #[serde(default = "default_c")]
    pub c: Number,
    #[serde(default)]
    pub unvisited: Unvisited,
    #[serde(default)]
    pub extra: Vec<Extra>,
}

/// See [`Select::Puct`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Puct {
    #[serde(default = "default_c")]
    pub c: Number,
    #[serde(default)]
    pub prior: Prior,
    /// Stands for the Q of a child without visits.
    #[serde(default)]
    pub unvisited: Unvisited,
    #[serde(default)]
    pub extra: Vec<Extra>,
}

/// See [`Select::BestFirst`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestFirst {
    #[serde(default = "no_exploration")]
    pub c: Number,
    #[serde(default)]
    pub extra: Vec<Extra>,
}

fn default_c() -> Number {
    Number::Value(1.414)
}

fn no_exploration() -> Number {
    Number::Value(0.0)
}

/// What a child without visits counts as.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unvisited {
    /// Its Q, which is 0 unless a local value was given, and no exploration term (rStar-Math).
    #[default]
    Zero,
    /// Before every visited one (Agent-R).
    Infinity,
    /// A score of this much, whatever else is known (MedS3: 5).
    Constant(f64),
}

/// Where P(child) comes from; the children of a node share 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prior {
    /// In proportion to exp(mean log-probability of a token), times how often the step came.
    #[default]
    LogProb,
    /// All alike.
    Uniform,
}

/// A term that is added to a node's score when one is selected (SWE-Search).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Extra {
    /// `alpha` exp(-`beta` (d - 1)) - `gamma` sqrt(d) at depth d.
    Depth { alpha: f64, beta: f64, gamma: f64 },
    /// This times (1 - mean likeness of the step to its siblings); likeness is 1 - edit distance / longer length.
    Diversity(f64),
    /// Minus this if an answer was found below the node.
    Finished(f64),
    /// Minus this times the square of the proposals below the node that came again.
    Duplicate(f64),
    /// This times the fall from the node's own value to that of its only child: a good node deserves another try after a bad child.
    Hindsight(f64),
}

/// What becomes of a new node's value further up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backup {
    /// It is added to W of the node and all above; Q = W / N.
    #[default]
    SumMean,
    /// The same for values of ends alone; others stay where they are and count no visit.
    TerminalOnly,
    /// Q = half of the node's own value and half of its children's Q, weighted by their visits (MedS3).
    HalfOwnHalfChildren,
    /// Q = the best child's Q.
    Max,
    /// Q = the product of the own values from the root down to the node.
    Product,
}

/// An evaluator: a verifier, when it is asked and what its answer is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    pub verifier: Verifier,
    #[serde(default)]
    pub when: When,
    /// What verdicts are worth; without it the score, else 1 for a pass and 0 for a fail.
    #[serde(default)]
    pub map: Option<Worth>,
    #[serde(default = "one")]
    pub weight: f64,
    #[serde(default)]
    pub backup: Reach,
    /// A path with so many failed steps in a row ends there.
    #[serde(default)]
    pub kill_after: Option<u32>,
    /// Not asked in earlier generations.
    #[serde(default = "first_generation")]
    pub from_generation: u32,
}

impl Evaluate {
    /// `verifier` at the ends, for 1 or 0.
    #[must_use]
    pub fn terminal(verifier: Verifier) -> Self {
        Self {
            verifier,
            when: When::Terminal,
            map: None,
            weight: 1.0,
            backup: Reach::Propagated,
            kill_after: None,
            from_generation: 1,
        }
    }
}

fn one() -> f64 {
    1.0
}

fn first_generation() -> u32 {
    1
}

/// When an evaluator is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// At answers.
    #[default]
    Terminal,
    /// At every new node.
    Every,
    /// At every new node that is no answer.
    Leaf,
}

/// What verdicts are worth as values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worth {
    pub pass: f64,
    pub fail: f64,
}

/// How far a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Up to the root (MedS3, AlphaLLM).
    #[default]
    Propagated,
    /// One visit of the node itself and nothing further up (rStar-Math's process preference model).
    Local,
}

/// When a search ends: as soon as one of these is spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Ways down the tree.
    #[serde(default)]
    pub simulations: Option<u32>,
    /// Nodes made, the root not counted.
    #[serde(default)]
    pub nodes: Option<u32>,
    /// Tokens sampled.
    #[serde(default)]
    pub tokens: Option<u64>,
    /// Answers that pass.
    #[serde(default)]
    pub correct_leaves: Option<u32>,
    /// Steps from the root; a path that is as deep without an answer ends there.
    #[serde(default = "default_depth")]
    pub depth: u32,
    /// A tree without a right answer gets so many times the budget.
    #[serde(default)]
    pub escalate_unsolved: Option<Escalate>,
}

fn default_depth() -> u32 {
    16
}

/// More budget for what is hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalate {
    #[serde(default = "first_generation")]
    pub from_generation: u32,
    pub factor: u32,
}

/// How many children a node may get.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Width {
    /// As many as `propose` asks for at once.
    #[default]
    Fixed,
    /// So many, asked for in several growths of `propose.n` each.
    UpTo(u32),
    /// max(`min`, min(floor(`alpha` I) + 1, `max`)) with I the largest distance of a child's Q from the node's (AlphaLLM's
    /// importance); looked at again whenever the search comes by. The root gets `root` at least.
    Adaptive {
        alpha: f64,
        min: u32,
        max: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        root: Option<u32>,
    },
}

/// Where a simulation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Simulate {
    /// It grows its path until there is an answer, or nothing is left below (rStar-Math).
    #[default]
    ToEnd,
    /// With one growth of one node.
    OneGrowth,
}

/// Several simulations of one tree at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parallel {
    pub leaves: u32,
    /// What each simulation under way takes from the nodes on its path, as a visit of value minus this.
    #[serde(default = "one")]
    pub virtual_loss: f64,
}

impl Default for Parallel {
    fn default() -> Self {
        Self { leaves: 1, virtual_loss: 1.0 }
    }
}

/// One tree over several jobs: one grows the trunk, then in each wave `jobs` of them grow a part of it each, and what they found is
/// put together. All of these have equal shares of the budget; a last job takes the trajectories and verifies them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    pub jobs: u32,
    #[serde(default = "one_wave")]
    pub waves: u32,
}

fn one_wave() -> u32 {
    1
}

impl Spread {
    /// Jobs of wave `wave`; the trunk is wave 0.
    #[must_use]
    pub fn parts(self, wave: u32) -> u32 {
        if wave == 0 { 1 } else { self.jobs }
    }

    /// Jobs that grow, of all waves.
    #[must_use]
    pub fn growths(self) -> u32 {
        1 + self.waves * self.jobs
    }
}

/// What is taken from a tree as trajectories.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Extract {
    /// Every answer.
    #[default]
    Answers,
    /// Every path that ended, answers or not.
    Ends,
    /// Every answer that passes.
    Correct,
    /// The answers with the highest Q; ties go to the earliest.
    Top(u32),
    /// One of those.
    Discriminate(Discriminate),
}

impl Extract {
    /// Whether at most one answer is taken.
    #[must_use]
    pub fn is_one(&self) -> bool {
        match self {
            Self::Top(count) => *count == 1,
            Self::Discriminate(_) => true,
            Self::Answers | Self::Ends | Self::Correct => false,
        }
    }
}
