//! Verifiers: who decides on completions and on steps, as a recipe names them.

mod answer;
mod episode;
mod judge;
mod rules;
mod wrap;

pub use answer::{Exact, JsonSchema, List, Math, MultipleChoice, Numeric, Pattern, Place, Units, Which};
pub use episode::{EnvReturn, Over, SuccessClassifier};
pub use wrap::{Agreement, Combine, Dropout, How, Member, Repeat, Spread, Uncertainty};

pub use judge::{
    Blank, Calibrate, FirstError, Generate, Judge, JudgePair, Logits, Mode, Part, Principle, Principles,
    PrinciplesFrom, Rationale, Sweep, Template, TemplateError,
};
pub use rules::{Equations, Must, Rule, Rules};

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::shape::{self, Never, Shape};
use crate::ids::Name;

/// Most roles that one search asks beside the policy; each may be a model of its own, loaded while the search runs.
pub const MOST_ROLES: usize = 16;

/// A verifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verifier {
    /// The task family's exact checker.
    Rule,
    Exact(Exact),
    Numeric(Numeric),
    List(List),
    MultipleChoice(MultipleChoice),
    Regex(Pattern),
    JsonSchema(JsonSchema),
    Math(Math),
    /// The steps written so far can be done, by the task family's own rules; says nothing of where they lead.
    Working,
    /// Runs the Python of all steps in the sandbox: the last one must run.
    StepExecutor(StepExecutor),
    /// Runs the tests that the task brings against the answer, a program, in the sandbox.
    UnitTests(UnitTests),
    /// A role with a scalar head: its number behind what was written so far.
    Value(Model),
    /// The same, trained on outcomes and asked at answers.
    Orm(Model),
    /// The same, trained on steps. A role of two classes gives the probability of the second one.
    Prm(Model),
    /// The share of sampled continuations that the task's rule passes, or the mean of what a verifier gives them.
    McRollout(McRollout),
    /// The mean log-probability of the tokens under the policy that wrote them.
    SelfLogProb,
    /// The log-probability of the whole answer: the sum over its tokens, so shorter ones have more. What sharpening (arXiv 2412.01951) maximises.
    SequenceLogProb,
    /// How often the answer shows a behaviour, in 100 words.
    Behaviour(Behaviour),
    /// How the answers of several turns differ, by the task's rule.
    Turns(TurnNumber),
    /// How the answers of a task's trajectories agree.
    Consistency(Consistency),
    Rules(Rules),
    Judge(Box<Judge>),
    JudgePair(Box<JudgePair>),
    Principles(Box<Principles>),
    FirstError(FirstError),
    /// What several verifiers come to.
    Combine(Combine),
    /// What a verifier that draws says when it is asked again and again.
    Repeat(Repeat),
    /// A role's number less its doubt.
    Uncertainty(Uncertainty),
    /// What an environment paid for the actions of an episode.
    EnvReturn(EnvReturn),
    /// A role that says behind an episode whether it succeeded.
    SuccessClassifier(SuccessClassifier),
}

impl Verifier {
    /// The word, as written in a recipe.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Exact(_) => "exact",
            Self::Numeric(_) => "numeric",
            Self::List(_) => "list",
            Self::MultipleChoice(_) => "multiple_choice",
            Self::Regex(_) => "regex",
            Self::JsonSchema(_) => "json_schema",
            Self::Math(_) => "math",
            Self::Working => "working",
            Self::StepExecutor(_) => "step_executor",
            Self::UnitTests(_) => "unit_tests",
            Self::Behaviour(_) => "behaviour",
            Self::Turns(_) => "turns",
            Self::Consistency(_) => "consistency",
            Self::Value(_) => "value",
            Self::Orm(_) => "orm",
            Self::Prm(_) => "prm",
            Self::McRollout(_) => "mc_rollout",
            Self::SelfLogProb => "self_log_prob",
            Self::SequenceLogProb => "sequence_log_prob",
            Self::Rules(_) => "rules",
            Self::Judge(_) => "judge",
            Self::JudgePair(_) => "judge_pair",
            Self::Principles(_) => "principles",
            Self::FirstError(_) => "first_error",
            Self::Combine(_) => "combine",
            Self::Repeat(_) => "repeat",
            Self::Uncertainty(_) => "uncertainty",
            Self::EnvReturn(_) => "env_return",
            Self::SuccessClassifier(_) => "success_classifier",
        }
    }

    /// The roles whose weights it needs.
    #[must_use]
    pub fn roles(&self) -> Vec<&Name> {
        match self {
            Self::Value(model) | Self::Orm(model) | Self::Prm(model) => vec![&model.role],
            Self::Judge(judge) => judge.role.iter().collect(),
            Self::JudgePair(pair) => pair.role.iter().collect(),
            Self::Principles(principles) => principles.role.iter().collect(),
            Self::FirstError(first) => first.by.roles(),
            Self::McRollout(mc) => mc.role.iter().chain(mc.by.iter().flat_map(|by| by.roles())).collect(),
            Self::SuccessClassifier(classifier) => vec![&classifier.role],
            Self::Uncertainty(Uncertainty { verify, how: Spread::Ensemble(others), .. }) => {
                verify.roles().into_iter().chain(others).collect()
            }
            other => other.members().into_iter().flat_map(Self::roles).collect(),
        }
    }

    /// Whether it runs code of models.
    #[must_use]
    pub fn runs_code(&self) -> bool {
        matches!(self, Self::StepExecutor(_) | Self::UnitTests(_))
    }

    /// Whether it says pass or fail, and not only how good.
    #[must_use]
    pub fn decides(&self) -> bool {
        match self {
            Self::Working
            | Self::StepExecutor(_)
            | Self::Rules(_)
            | Self::Judge(_)
            | Self::Principles(_)
            | Self::SuccessClassifier(_) => true,
            Self::FirstError(first) => first.decides,
            Self::Value(model) | Self::Orm(model) | Self::Prm(model) => model.pass_at.is_some(),
            Self::Combine(combine) => combine.how.votes() || combine.pass_at.is_some(),
            Self::Repeat(repeat) => repeat.verify.decides(),
            Self::Uncertainty(uncertainty) => uncertainty.pass_at.is_some(),
            other => other.checks_answers(),
        }
    }

    /// What it reads of an episode, if it is one that reads texts.
    #[must_use]
    pub fn over(&self) -> Over {
        match self {
            Self::Rules(rules) => rules.over,
            Self::Regex(pattern) => pattern.over,
            _ => Over::Answer,
        }
    }

    /// Whether it, or a part of it, can only be asked about a whole answer; environments pay for every action.
    #[must_use]
    pub fn needs_answers(&self) -> bool {
        match self {
            Self::EnvReturn(_) => false,
            Self::Combine(_) | Self::Repeat(_) | Self::Uncertainty(_) => {
                self.members().into_iter().any(Self::needs_answers)
            }
            other => other.checks_answers(),
        }
    }

    /// Whether it says what is right: compares an answer with the expected one, and needs a whole answer for that, or has it from the
    /// environment.
    #[must_use]
    pub fn checks_answers(&self) -> bool {
        match self {
            Self::Rule
            | Self::Exact(_)
            | Self::Numeric(_)
            | Self::List(_)
            | Self::MultipleChoice(_)
            | Self::Regex(_)
            | Self::JsonSchema(_)
            | Self::Math(_)
            | Self::UnitTests(_)
            | Self::EnvReturn(_) => true,
            Self::Working
            | Self::StepExecutor(_)
            | Self::Value(_)
            | Self::Orm(_)
            | Self::Prm(_)
            | Self::McRollout(_)
            | Self::SelfLogProb
            | Self::SequenceLogProb
            | Self::Behaviour(_)
            | Self::Turns(_)
            | Self::Consistency(_)
            | Self::Rules(_)
            | Self::Judge(_)
            | Self::JudgePair(_)
            | Self::Principles(_)
            | Self::FirstError(_)
            | Self::SuccessClassifier(_)
            | Self::Uncertainty(_) => false,
            Self::Combine(_) => self.decides() && self.members().into_iter().any(Self::checks_answers),
            Self::Repeat(repeat) => repeat.verify.checks_answers(),
        }
    }
}

/// What is counted in a text ("Four Habits", arXiv 2503.01307).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    Verification,
    Backtracking,
    SubGoal,
    BackwardChaining,
}

/// A number of the first and the last answer of several turns, of which a pass is 1 and a fail 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnNumber {
    First,
    Last,
    /// The last less the first.
    Gain,
    /// 1 where the first fails and the last passes.
    Gained,
    /// 1 where the first passes and the last fails.
    Lost,
    /// The share of characters that changed: Levenshtein over the longer length.
    Edit,
}

impl TurnNumber {
    /// Of whether the first and the last pass; `None` of what is seen without asking the rule.
    #[must_use]
    pub fn of(self, first: bool, last: bool) -> Option<f64> {
        let one = |is: bool| f64::from(u8::from(is));
        match self {
            Self::First => Some(one(first)),
            Self::Last => Some(one(last)),
            Self::Gain => Some(one(last) - one(first)),
            Self::Gained => Some(one(!first && last)),
            Self::Lost => Some(one(first && !last)),
            Self::Edit => None,
        }
    }
}

/// What is said of the answers of one task; equal answers are those in which the task's rule reads the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// The share of answers that are equal to this one.
    Share,
    /// Entropy of the classes of equal answers, in nats: the same for all of them.
    Entropy,
    /// 1 if they are not all equal, else 0.
    Contradiction,
}

/// How steps are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepExecutor {
    /// Seconds that one step may take.
    #[serde(default = "five")]
    pub seconds: u32,
}

/// How programs are tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitTests {
    /// Seconds that one test may take.
    #[serde(default = "five")]
    pub seconds: u32,
    /// Seconds that all tests of an answer may take.
    #[serde(default = "thirty")]
    pub all_seconds: u32,
    /// The program is the question with the answer behind it.
    #[serde(default)]
    pub behind_prompt: bool,
    /// Only the first so many tests of a task, which its text shows as examples: whoever asks the model knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<u32>,
}

fn thirty() -> u32 {
    30
}

fn five() -> u32 {
    5
}

/// A role that gives numbers: its name, or a map with more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    pub role: Name,
    pub squash: Squash,
    /// The number from which it passes; without it, it gives a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_at: Option<f64>,
}

/// What becomes of a head's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Squash {
    #[default]
    None,
    /// To 0 to 1.
    Sigmoid,
    /// To -1 to 1.
    Tanh,
}

impl Squash {
    /// The number made small.
    #[must_use]
    pub fn of(self, number: f64) -> f64 {
        match self {
            Self::None => number,
            Self::Sigmoid => 1.0 / (1.0 + (-number).exp()),
            Self::Tanh => number.tanh(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFields {
    role: Name,
    #[serde(default)]
    squash: Squash,
    #[serde(default)]
    pass_at: Option<f64>,
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a role's name, or {role: NAME, squash: sigmoid, pass_at: 0.5}";
        match shape::read::<D, ModelFields, Never>(deserializer, EXPECTED)? {
            Shape::Text(text) => {
                Name::new(text).map(|role| Self { role, squash: Squash::None, pass_at: None }).map_err(D::Error::custom)
            }
            Shape::Map(ModelFields { role, squash, pass_at }) => Ok(Self { role, squash, pass_at }),
            Shape::Number(number) => Err(D::Error::invalid_type(Unexpected::Float(number), &EXPECTED)),
            Shape::List(never) => match never {},
        }
    }
}

/// Continuations from a node to an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McRollout {
    pub samples: u32,
    #[serde(default = "warm")]
    pub temperature: f64,
    /// Longest continuation in tokens; the task family's own limit when absent.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// Who continues; the policy that is searched when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Name>,
    /// What judges the continuations, whose mean score counts; the task's rule when absent, and the share that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<Verifier>>,
}

fn warm() -> f64 {
    1.0
}
