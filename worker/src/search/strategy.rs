//! Strategies: the search of one task as a state machine. It says what it wants, gets all the answers, and says what it wants next;
//! whoever drives it decides where and when that is computed. A strategy waits for nobody else's answers, so a slow task holds no
//! other, and its tree is a function of its answers alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::search::{Unit, Write};
use galapagos_domain::recipe::verify::{Blank, Verifier};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Verdict;

use super::growth::Standing;
use super::tree::{NodeId, Path, Tree};
use crate::engine::EngineError;

/// Something that must be computed.
#[derive(Debug, Clone, PartialEq)]
pub enum Want {
    Draw(Draw),
    Judge(Question),
    Act(Act),
    Write(Commission),
}

impl Want {
    /// The verifier that it asks, or what is to be written: that of which it is counted how often it comes to nothing.
    #[must_use]
    pub fn asks(&self) -> Option<&'static str> {
        match self {
            Self::Judge(question) => Some(question.verifier.name()),
            Self::Write(commission) => Some(commission.what),
            Self::Draw(_) | Self::Act(_) => None,
        }
    }
}

/// Continuations of a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// Tokens behind the prompt.
    pub behind: Vec<u32>,
    pub samples: u32,
    /// Sample i draws from a stream of (seed, i).
    pub seed: Seed,
    pub sampling: Arc<Sampling>,
    pub unit: Unit,
    /// Longest continuation; the task family's longest answer when absent.
    pub max_tokens: Option<u32>,
}

/// A path that a verifier is to judge.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub verifier: Arc<Verifier>,
    pub path: Path,
    /// Whether its answer is complete.
    pub answered: bool,
    /// For verifiers that sample.
    pub seed: Seed,
}

/// A turn of an episode of the task: what the last of its actions brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Which playing of the task's instance.
    pub replica: u32,
    /// From the first on; the last one is new.
    pub actions: Vec<String>,
    /// The last token of the new action.
    pub last: Option<u32>,
}

/// A text that somebody is to write about the task. What is written is no part of the policy's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Commission {
    /// What for, in a word.
    pub what: &'static str,
    /// By whom and how.
    pub write: Arc<Write>,
    /// What goes into the template's places; `{prompt}` is added.
    pub shown: BTreeMap<Blank, String>,
    pub seed: Seed,
}

/// What somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Without what ends it.
    pub text: String,
    /// Tokens sampled.
    pub cost: u64,
}

/// What an action brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Acted {
    pub reward: f64,
    /// How well the player has done so far, from 0 to 1.
    pub score: f64,
    /// Why the action was not done.
    pub refused: Option<String>,
    pub over: bool,
    /// What the policy reads next, from the end of the action's line on.
    pub text: String,
    /// The same; without the line's end if the action's tokens have it.
    pub tokens: Vec<u32>,
}

/// One continuation.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// As sampled, with what ended it.
    pub tokens: Vec<u32>,
    /// Natural log-probability of each token at temperature 1.
    pub log_probs: Vec<f32>,
    /// Decoded, up to what ends an answer.
    pub text: String,
    /// Whether the answer ends with it.
    pub answered: bool,
}

/// The answer to a want.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Drawn(Vec<Drawn>),
    Judged(Verdict),
    /// A verdict of error or timeout if the environment failed.
    Acted(Result<Acted, Verdict>),
    /// A verdict of error if it could not be written.
    Written(Result<Written, Verdict>),
}

/// The search of one task.
pub trait Strategy: Send {
    /// Takes the answers to what it wanted last, in that order (none the first time), and says what it wants now. Nothing: it is done.
    ///
    /// # Errors
    /// [`EngineError::Text`] if an instruction cannot be written in the vocabulary.
    fn next(&mut self, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError>;

    /// What was searched so far.
    fn tree(&self) -> &Tree;

    /// The tree and the rest of the state as they were when the last batch had ended, if this is a moment to store them: after the
    /// choice of a new batch and before any of its answers. `None` for searches that are cheap to do again.
    fn committed(&self) -> Option<(Tree, Standing)> {
        None
    }

    /// Goes on from what [`Strategy::committed`] gave.
    fn resume(&mut self, tree: Tree, standing: Standing) {
        drop((tree, standing));
    }

    /// What is taken from the tree as trajectories, once it is done; in order. Before that: what would be taken if it ended now.
    fn found(&self) -> Vec<NodeId>;

    /// Whether [`Strategy::found`] is what a whole batch left: not while answers of a batch are still being put in.
    fn is_settled(&self) -> bool {
        true
    }

    /// What it would have found with fewer tokens, where its batches do not show that: in ascending order, up to its end. `None`:
    /// [`Strategy::found`] after each batch says it.
    fn moments(&self) -> Option<Vec<Moment>> {
        None
    }
}

/// Whole answers, or whole episodes, of which one may be chosen.
pub(super) trait Several: Strategy {
    /// For whoever judges them.
    fn tree_mut(&mut self) -> &mut Tree;
}

/// What a search would have found if it had ended there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Sampled until then, by the policy and by verifiers that sample.
    pub tokens: u64,
    pub found: Vec<NodeId>,
}

/// What independent samples would have left with each of them, in the order of `ends`.
pub(super) fn with_each(tree: &Tree, ends: &[NodeId]) -> Vec<Moment> {
    let mut tokens = 0;
    let moment = |(at, end): (usize, &NodeId)| {
        tokens += tree.path(*end).spent();
        Moment { tokens, found: ends[..=at].to_vec() }
    };
    ends.iter().enumerate().map(moment).collect()
}

/// The continuations among answers that must all be such; others are a mistake of the driver and count as none.
pub(super) fn draws(answers: Vec<Answer>) -> impl Iterator<Item = Vec<Drawn>> {
    answers.into_iter().map(|answer| match answer {
        Answer::Drawn(drawn) => drawn,
        Answer::Judged(_) | Answer::Acted(_) | Answer::Written(_) => Vec::new(),
    })
}

/// The verdicts among answers, with `None` for what is none.
pub(super) fn verdicts(answers: Vec<Answer>) -> impl Iterator<Item = Option<Verdict>> {
    answers.into_iter().map(|answer| match answer {
        Answer::Judged(verdict) => Some(verdict),
        Answer::Drawn(_) | Answer::Acted(_) | Answer::Written(_) => None,
    })
}

/// What came of actions; others are a mistake of the driver and count as failures.
pub(super) fn acts(answers: Vec<Answer>) -> impl Iterator<Item = Result<Acted, Verdict>> {
    answers.into_iter().map(|answer| match answer {
        Answer::Acted(acted) => acted,
        Answer::Drawn(_) | Answer::Judged(_) | Answer::Written(_) => {
            Err(Verdict::new(galapagos_domain::trajectory::Outcome::Error, "nobody played the action"))
        }
    })
}

/// What was written; others are a mistake of the driver and count as failures.
pub(super) fn writings(answers: Vec<Answer>) -> impl Iterator<Item = Result<Written, Verdict>> {
    answers.into_iter().map(|answer| match answer {
        Answer::Written(written) => written,
        Answer::Drawn(_) | Answer::Judged(_) | Answer::Acted(_) => {
            Err(Verdict::new(galapagos_domain::trajectory::Outcome::Error, "nobody wrote the text"))
        }
    })
}
