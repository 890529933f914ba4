//! Data operators, as a recipe names them: pure functions from records to records, counts in and out recorded. What they do is in the
//! worker; here is what may be written, and what a job must bring along for each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::choice::{
    BalanceBy, DedupeBy, FirstError, LabelSource, LabelValue, Mask, Measure, Normalise, Over, PairBy, PairFrom, Per,
};
use crate::ids::Name;
use crate::recipe::{Number, Shuffled};
use crate::trajectory::Outcome;

/// A data operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Operator {
    /// Keep the records with this verdict.
    Keep { verdict: Outcome },
    /// Drop the records whose completion contains the text.
    Drop { contains: String },
    /// Keep the records whose number lies within bounds; those without the number are dropped and counted apart.
    Filter(Filter),
    /// Keep the best records.
    TopK(TopK),
    /// Drop a record whose task and completion stand earlier in the dataset.
    Dedupe,
    /// Drop a record that is like an earlier one of its task.
    DedupeBy(DedupeBy),
    /// At most `max` records per task, the earliest kept.
    Cap { per: Per, max: u32 },
    /// As many records of each value as the rarest has, taken at random by seed.
    Balance(BalanceBy),
    /// At most `n` records, taken at random by seed.
    Subsample(Subsample),
    /// Permute a column among all records (negative controls only).
    Shuffle(Shuffled),
    /// Make preferences.
    Pair(Pair),
    /// Make labels of steps, or rewards of records, out of values.
    LabelFrom(LabelFrom),
    /// Make of a failed and a passed record one that errs, says so, and goes on right.
    Splice(Splice),
    /// Write a tree as one completion that visits wrong branches before the right one.
    Linearise(Linearise),
    /// Say for which parts the policy answers.
    Mask(Mask),
    /// Add records of other datasets, in exact proportion.
    Mix(Mix),
    /// Give passes and fails other rewards.
    Relabel(Relabel),
    /// Turn the rewards and preferences of some records around, at random by seed.
    Noise { flip: f64 },
    /// Keep a record that passes often enough when its task's rule is asked again and again.
    RepeatVerify { times: u32, min_pass: u32 },
    /// Put rewards or values on one scale.
    Normalise(Normalise),
    /// Of failed episodes make ones that wanted what they reached.
    Hindsight(Hindsight),
    /// Reward what a turn is better than the one before it.
    ShapeTurns(ShapeTurns),
    /// Make the reward out of several numbers.
    Reward(RewardSum),
    /// Write each preference down as records that hold both answers.
    JoinPairs(JoinPairs),
    /// Ask a role under masks how sure it is of each preference.
    Certainty(Certainty),
    /// Of failed records make ones that ask for them to be mended.
    Repairs(Repairs),
}

impl Operator {
    /// The word, as written in a recipe.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Keep { .. } => "keep",
            Self::Drop { .. } => "drop",
            Self::Filter(_) => "filter",
            Self::TopK(_) => "top_k",
            Self::Dedupe => "dedupe",
            Self::DedupeBy(_) => "dedupe_by",
            Self::Cap { .. } => "cap",
            Self::Balance(_) => "balance",
            Self::Subsample(_) => "subsample",
            Self::Shuffle(_) => "shuffle",
            Self::Pair(_) => "pair",
            Self::LabelFrom(_) => "label_from",
            Self::Splice(_) => "splice",
            Self::Linearise(_) => "linearise",
            Self::Mask(_) => "mask",
            Self::Mix(_) => "mix",
            Self::Relabel(_) => "relabel",
            Self::Noise { .. } => "noise",
            Self::RepeatVerify { .. } => "repeat_verify",
            Self::Normalise(_) => "normalise",
            Self::Hindsight(_) => "hindsight",
            Self::ShapeTurns(_) => "shape_turns",
            Self::Reward(_) => "reward",
            Self::JoinPairs(_) => "join_pairs",
            Self::Certainty(_) => "certainty",
            Self::Repairs(_) => "repairs",
        }
    }

    /// Whether it makes records out of search trees, and reads none.
    #[must_use]
    pub fn reads_trees(&self) -> bool {
        match self {
            Self::Pair(pair) => pair.from != PairFrom::Samples,
            Self::LabelFrom(label) => label.from == LabelSource::Trees,
            Self::Linearise(_) => true,
            _ => false,
        }
    }

    /// Whether it writes texts of the recipe, and so needs a tokenizer.
    #[must_use]
    pub fn writes_text(&self) -> bool {
        matches!(
            self,
            Self::Splice(_)
                | Self::Linearise(_)
                | Self::Hindsight(_)
                | Self::JoinPairs(_)
                | Self::Certainty(_)
                | Self::Repairs(_)
        )
    }

    /// The role that it asks, if it does.
    #[must_use]
    pub fn role(&self) -> Option<&Name> {
        match self {
            Self::Certainty(certainty) => Some(&certainty.role),
            _ => None,
        }
    }

    /// Whether it asks tasks' rules, or plays them.
    #[must_use]
    pub fn asks_rules(&self) -> bool {
        matches!(self, Self::RepeatVerify { .. } | Self::Hindsight(_))
    }

    /// The same with every variable replaced by its value under `vars`.
    ///
    /// # Errors
    /// A number that is a variable without a value.
    pub fn resolved(&self, vars: &BTreeMap<Name, f64>) -> Result<Self, Number> {
        let Self::Filter(filter) = self else { return Ok(self.clone()) };
        let mut filter = filter.clone();
        let bounds = [&mut filter.above, &mut filter.at_least, &mut filter.below, &mut filter.at_most];
        for number in bounds.into_iter().flatten() {
            *number = Number::Value(number.resolve(vars).ok_or_else(|| number.clone())?);
        }
        Ok(Self::Filter(filter))
    }
}

/// Bounds of a number; all that are given hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    pub by: Measure,
    #[serde(default)]
    pub above: Option<Number>,
    #[serde(default)]
    pub at_least: Option<Number>,
    #[serde(default)]
    pub below: Option<Number>,
    #[serde(default)]
    pub at_most: Option<Number>,
}

/// The `k` best of a task or of all records, in their old order. The first number counts, the next where it ties, and last of all the
/// earlier record is the better one. A record without a number is behind all that have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopK {
    pub k: u32,
    #[serde(default)]
    pub per: Over,
    pub by: Vec<Measure>,
}

/// Preferences: each of its own name, with one chosen and one rejected record that weigh one over the number of preferences at their
/// prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    pub from: PairFrom,
    /// The value that is compared; without it `q` of trees and `reward` of samples.
    #[serde(default)]
    pub by: Option<PairBy>,
    /// So many of the best and so many of the worst are paired, at one node, depth, tree or task.
    #[serde(default = "two")]
    pub each_side: u32,
    /// The better value is above the other by more than this; of siblings it is the mean of the best right path through the one and of
    /// the worst wrong path through the other that are compared.
    #[serde(default)]
    pub margin: f64,
    /// Of siblings: the better step's own value is above the other's by at least this, and is above it.
    #[serde(default)]
    pub step_margin: f64,
    /// Of leaves: the chosen one's value is above this.
    #[serde(default)]
    pub above: Option<f64>,
    /// The two texts are at least so many characters apart (Levenshtein).
    #[serde(default)]
    pub edit_distance: u32,
}

fn two() -> u32 {
    2
}

/// Labels out of values: `v_i - drop_penalty (v_(i-1) - v_i)`, the first as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelFrom {
    pub value: LabelValue,
    #[serde(default)]
    pub from: LabelSource,
    #[serde(default)]
    pub drop_penalty: f64,
    /// Only a step below both its neighbours is penalised, and by `drop_penalty (v_(i-1) - v_(i+1))`.
    #[serde(default)]
    pub soft_dip: bool,
    /// A label above it becomes 1, another 0, with the class of the same number.
    #[serde(default)]
    pub threshold: Option<f64>,
    /// Labels are held between these two.
    #[serde(default)]
    pub clip: Option<(f64, f64)>,
}

impl LabelFrom {
    /// Whether anything is to be made of the value before it is a label.
    #[must_use]
    pub fn value_is_changed(&self) -> bool {
        self.drop_penalty != 0.0 || self.soft_dip || self.threshold.is_some() || self.clip.is_some()
    }
}

/// A failed record up to its first error, a text, and a passed record of its task from where the two part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splice {
    pub first_error: FirstError,
    pub revision: String,
    /// What stands behind that, once for every further step that the failed record took behind the parting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_step: Option<String>,
    /// Whether the policy does not answer for the failed record's part.
    #[serde(default = "yes")]
    pub mask_bad: bool,
    /// Whether what was shown behind the error (what an environment answered) still belongs to the failed record's part.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shown: bool,
}

fn yes() -> bool {
    true
}

/// Depth first through wrong branches to the right answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linearise {
    /// Most wrong branches at one node of the right path.
    #[serde(default = "one")]
    pub dead_ends: u32,
    /// What stands behind a wrong branch.
    pub text_back: String,
    /// What stands behind that once for every further step of the branch, where steps are taken back one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_step: Option<String>,
    /// Whether a step that ended its branch (`kill_after`) is shown. Without, a branch is shown down to the step before, and not at all if that is none.
    #[serde(default = "yes")]
    pub killed: bool,
}

fn one() -> u32 {
    1
}

/// Failed episodes as ones that wanted what they reached (hindsight experience replay).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hindsight {
    /// Of the new return.
    #[serde(default = "whole")]
    pub gamma: f64,
    /// Whether records stay as they were, too.
    #[serde(default = "yes")]
    pub keep: bool,
}

fn whole() -> f64 {
    1.0
}

/// For each record at hand so many of each other dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    pub with: BTreeMap<Name, f64>,
}

/// Rewards by verdict: by pass and fail, or by class alone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relabel {
    /// Both are given, or neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail: Option<f64>,
    /// A verdict with a score gives what lies so far between `fail` (0) and `pass` (1).
    #[serde(default)]
    pub by_score: bool,
    /// The reward of each class of verdicts, the first of class 0; records without one of them are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<f64>>,
}

/// The value of a learned turn k after the first becomes `r_k + bonus (r_k - r_(k-1))` (SCoRe, arXiv 2409.12917). Records with a learned
/// turn without a value are dropped and counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapeTurns {
    pub bonus: f64,
    /// The value of the first turn is multiplied by it; 0 leaves that turn without a reward of its own.
    #[serde(default = "whole")]
    pub first: f64,
}

/// The weighted sum of its terms. Records that lack one of the numbers are dropped and counted apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardSum {
    pub sum: Vec<RewardTerm>,
}

/// A term of a reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardTerm {
    pub of: Measure,
    #[serde(default = "whole")]
    pub weight: f64,
    /// Of `verdict`: what a pass and a fail are worth; 1 and 0 when absent.
    #[serde(default)]
    pub pass: Option<f64>,
    #[serde(default)]
    pub fail: Option<f64>,
    /// The number x becomes `x / (x + saturate)`: 0 at 0 (and below), a half at `saturate`, never above 1.
    #[serde(default)]
    pub saturate: Option<f64>,
}

/// Of each preference two records, one in each order: question, first answer, `between`, second answer, `behind`. They are of class 1 if the
/// first answer is the chosen one, else of class 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinPairs {
    pub between: String,
    #[serde(default)]
    pub behind: String,
}

/// Of each failed record one whose prompt asks for it to be mended and whose completion is the passed answer to the same question that is
/// fewest characters apart, the earliest of equals; other records are left out (the repair model of CodeRL, arXiv 2207.01780).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repairs {
    /// Template with `{prompt}`, `{answer}`, `{error}`, as the `write` of a search's `repair` has it.
    pub ask: String,
    /// The template is one message of a conversation, by the model's chat template.
    #[serde(default)]
    pub chat: bool,
}

/// Both sides of each preference get what a role of two classes says of it, which reads them as [`JoinPairs`] writes them, in both orders
/// and under `samples` masks (UPO, arXiv 2409.11212). `agrees` is the share of masks under which the chosen answer is the better one,
/// `preferred` the mean probability of that, `bald` what the masks disagree about: the entropy of the mean less the mean entropy, in bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certainty {
    pub role: Name,
    pub between: String,
    #[serde(default)]
    pub behind: String,
    #[serde(default = "ten")]
    pub samples: u32,
    /// Of the last hidden state the share that a mask leaves out.
    #[serde(default = "tenth")]
    pub rate: f64,
}

fn ten() -> u32 {
    10
}

fn tenth() -> f64 {
    0.1
}

/// How records are taken at random; the sides of a preference as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subsample {
    pub n: u32,
    /// Chances in proportion to this number, without replacement; numbers of 0 and below are never taken. All alike when absent.
    #[serde(default)]
    pub by: Option<Measure>,
    /// In proportion to 1 minus the number, as UPO takes records of which its reward model is sure.
    #[serde(default)]
    pub complement: bool,
}
