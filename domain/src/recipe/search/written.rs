//! Texts that a search has written on its way: advice from what came of siblings, and the choice among finished answers.

use serde::{Deserialize, Serialize};

use super::super::verify::Verifier;
use crate::ids::Name;

/// Who writes a text, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The policy itself when absent.
    #[serde(default)]
    pub role: Option<Name>,
    /// Template; where it stands says which places it has.
    pub ask: String,
    /// The template is one message of a conversation, by the model's chat template.
    #[serde(default)]
    pub chat: bool,
    #[serde(default = "warm")]
    pub temperature: f64,
    #[serde(default = "long")]
    pub max_tokens: u32,
    /// A text that ends what is written, beside the end of sequence.
    #[serde(default)]
    pub until: Option<String>,
}

/// What a policy is shown before it goes on from a node that has children already, made of what came of them (SWE-Search's hindsight
/// feedback). It is no part of what the policy writes, and is not learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    /// How a child is told, on a line of its own: template with `{step}`, `{shown}`, `{value}`.
    #[serde(default = "each")]
    pub each: String,
    /// What the policy reads: template with `{siblings}`, or with `{advice}` where it is written.
    pub show: String,
    /// Who writes the advice: template with `{prompt}`, `{answer}`, `{siblings}`.
    #[serde(default)]
    pub write: Option<Write>,
}

/// One of the answers with the highest Q, by somebody who looks at all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discriminate {
    /// Answers that are looked at.
    #[serde(default = "five")]
    pub of: u32,
    pub by: Discriminator,
}

impl Discriminate {
    /// Most tokens that are written for the choice.
    pub(super) fn most_tokens(&self) -> u64 {
        match &self.by {
            Discriminator::Verifier(_) => 0,
            Discriminator::Argue(argue) => {
                let said = u64::from(argue.agents) * u64::from(argue.rounds) * u64::from(argue.write.max_tokens);
                said + argue.conclude.as_ref().map_or(0, |write| u64::from(write.max_tokens))
            }
        }
    }
}

/// Who chooses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discriminator {
    /// A verifier is asked about each; the highest score is chosen.
    Verifier(Box<Verifier>),
    /// Agents argue, and the most votes decide, or a conclusion.
    Argue(Box<Argue>),
}

/// Agents who read all answers and what the others said in the round before. The last line of what each writes is `choice: N`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argue {
    #[serde(default = "five")]
    pub agents: u32,
    #[serde(default = "three")]
    pub rounds: u32,
    /// Template with `{prompt}`, `{solutions}`, `{others}`.
    pub write: Write,
    /// Who decides, having read what all agents said last; the votes of the last round when absent.
    #[serde(default)]
    pub conclude: Option<Write>,
}

fn each() -> String {
    "{step} -> {shown} (value {value})".to_owned()
}

fn warm() -> f64 {
    0.7
}

fn long() -> u32 {
    256
}

fn three() -> u32 {
    3
}

fn five() -> u32 {
    5
}
