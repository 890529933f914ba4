//! Judges: language models that are asked about an answer, alone, beside others, by principles, or step by step. What is asked is a
//! template with `{places}`; `{{` and `}}` stand for braces.

mod template;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

pub use template::{Blank, Part, Template, TemplateError};

use super::Verifier;
use crate::ids::Name;
use crate::recipe::shape::{self, Never, Shape};

/// A language model says whether an answer is good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judge {
    /// Who judges; the policy itself when absent.
    #[serde(default)]
    pub role: Option<Name>,
    /// Template with `{prompt}`, `{answer}`, `{step}`, `{expected}`.
    pub ask: String,
    /// The template is one message of a conversation, by the model's chat template.
    #[serde(default)]
    pub chat: bool,
    #[serde(default)]
    pub mode: Mode,
    #[serde(default = "fence")]
    pub fence: [String; 2],
    /// The least score that passes.
    #[serde(default = "half")]
    pub pass_at: f64,
    #[serde(default)]
    pub calibrate: Calibrate,
}

/// Sweep a judge's word is read.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By the probabilities of two words that may come next.
    Logits(Logits),
    /// It writes, and its last line says the verdict.
    Rationale(Rationale),
}

impl Default for Mode {
    fn default() -> Self {
        Self::Logits(Logits::default())
    }
}

/// Two words of which the first tokens are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logits {
    #[serde(default = "yes")]
    pub yes: String,
    #[serde(default = "no")]
    pub no: String,
    /// The least probability of both together; below it the judge did not answer.
    #[serde(default = "floor")]
    pub floor: f64,
}

impl Default for Logits {
    fn default() -> Self {
        Self { yes: yes(), no: no(), floor: floor() }
    }
}

/// A judge that writes before it decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rationale {
    #[serde(default = "three")]
    pub samples: u32,
    #[serde(default = "warm")]
    pub temperature: f64,
    #[serde(default = "long")]
    pub max_tokens: u32,
    /// A text that ends what it writes, beside the end of sequence.
    #[serde(default)]
    pub until: Option<String>,
    /// Its last line is `score: N`, from the first to the second number; without it, `verdict: pass` or `verdict: fail`.
    #[serde(default)]
    pub scale: Option<[f64; 2]>,
}

impl Default for Rationale {
    fn default() -> Self {
        Self { samples: three(), temperature: warm(), max_tokens: long(), until: None, scale: None }
    }
}

/// Every two answers of a task are compared, in both orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgePair {
    #[serde(default)]
    pub role: Option<Name>,
    /// Template with `{prompt}`, `{first}`, `{second}`, `{expected}`.
    pub ask: String,
    #[serde(default)]
    pub chat: bool,
    /// The words for "the first is better" and "the second is better".
    #[serde(default = "first")]
    pub first: String,
    #[serde(default = "second")]
    pub second: String,
    #[serde(default = "floor")]
    pub floor: f64,
    #[serde(default = "fence")]
    pub fence: [String; 2],
    /// Most pairs of one task that are compared; every answer is in as many of them, give or take.
    #[serde(default = "many")]
    pub pairs: u32,
    #[serde(default)]
    pub calibrate: Calibrate,
}

/// An answer is judged by one principle at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principles {
    #[serde(default)]
    pub role: Option<Name>,
    /// Template with `{principle}` and what a judge's has.
    pub ask: String,
    #[serde(default)]
    pub chat: bool,
    /// Where the principles come from.
    pub from: PrinciplesFrom,
    #[serde(default = "yes")]
    pub yes: String,
    #[serde(default = "no")]
    pub no: String,
    #[serde(default = "floor")]
    pub floor: f64,
    #[serde(default = "fence")]
    pub fence: [String; 2],
    #[serde(default = "half")]
    pub pass_at: f64,
    #[serde(default)]
    pub calibrate: Calibrate,
}

/// Principles that were written down, or that the judge writes for each task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrinciplesFrom {
    List(Vec<Principle>),
    Generate(Generate),
}

/// A principle: its text, or a map with more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Principle {
    pub text: String,
    pub weight: f64,
    /// What breaks it is better: the score counts from 1 downwards.
    pub negate: bool,
}

/// The judge writes principles for a task, one a line behind `-`, before it judges ("SPCT", arXiv 2504.02495).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// Template with `{prompt}`.
    pub ask: String,
    /// Lists that are written; every one votes.
    #[serde(default = "three")]
    pub samples: u32,
    /// Most principles that are read of one list.
    #[serde(default = "five")]
    pub most: u32,
    #[serde(default = "warm")]
    pub temperature: f64,
    #[serde(default = "long")]
    pub max_tokens: u32,
    #[serde(default)]
    pub until: Option<String>,
}

/// The first step that is wrong, by a verifier that judges what was written up to a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstError {
    pub by: Box<Verifier>,
    /// A step is wrong if its score is below this.
    #[serde(default = "half")]
    pub below: f64,
    #[serde(default)]
    pub how: Sweep,
    /// Whether an answer with a wrong step fails; else the step is named, and others decide.
    #[serde(default = "yes_it_does", skip_serializing_if = "does")]
    pub decides: bool,
}

fn yes_it_does() -> bool {
    true
}

fn does(decides: &bool) -> bool {
    *decides
}

/// Which steps are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sweep {
    /// All of them.
    #[default]
    Scan,
    /// The middle of what is left, again and again ("OmegaPRM", arXiv 2406.06592): right if what is once wrong stays wrong.
    Bisect,
    /// One after the other, up to the first that is wrong.
    Walk,
}

/// A judge is tried on answers whose truth is known, before its verdicts count: a map, or the word `none`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Calibrate {
    /// Known answers, half of them right; of pairs, pairs. 0: it is not tried.
    pub items: u32,
    /// The least balanced accuracy; below it its verdicts are suspect.
    pub at_least: f64,
}

impl Default for Calibrate {
    fn default() -> Self {
        Self { items: sixteen(), at_least: most() }
    }
}

impl Verifier {
    /// Whether the text that a judge reads has the right answer.
    pub(super) fn shows_expected(&self) -> bool {
        let ask = match self {
            Self::Judge(judge) => &judge.ask,
            Self::JudgePair(pair) => &pair.ask,
            Self::Principles(principles) => &principles.ask,
            Self::FirstError(first) => return first.by.is_told(),
            _ => return false,
        };
        Template::parse(ask).is_ok_and(|template| template.blanks().any(|blank| blank == Blank::Expected))
    }

    /// Whether a language model is asked for its opinion, and tried beforehand.
    #[must_use]
    pub fn calibrate(&self) -> Option<Calibrate> {
        let calibrate = match self {
            Self::Judge(judge) => judge.calibrate,
            Self::JudgePair(pair) => pair.calibrate,
            Self::Principles(principles) => principles.calibrate,
            Self::FirstError(first) => return first.by.calibrate(),
            _ => return None,
        };
        (calibrate.items > 0).then_some(calibrate)
    }

    /// Whether it is a language model's opinion, wherever it stands.
    #[must_use]
    pub fn is_judge(&self) -> bool {
        match self {
            Self::Judge(_) | Self::JudgePair(_) | Self::Principles(_) => true,
            Self::FirstError(first) => first.by.is_judge(),
            _ => false,
        }
    }
}

fn yes() -> String {
    " Yes".to_owned()
}

fn no() -> String {
    " No".to_owned()
}

fn first() -> String {
    " A".to_owned()
}

fn second() -> String {
    " B".to_owned()
}

/// Texts that no policy writes unless it means to.
fn fence() -> [String; 2] {
    ["<answer-to-judge>".to_owned(), "</answer-to-judge>".to_owned()]
}

fn half() -> f64 {
    0.5
}

fn floor() -> f64 {
    0.05
}

fn warm() -> f64 {
    1.0
}

fn most() -> f64 {
    0.7
}

fn one() -> f64 {
    1.0
}

fn three() -> u32 {
    3
}

fn five() -> u32 {
    5
}

fn sixteen() -> u32 {
    16
}

fn many() -> u32 {
    64
}

fn long() -> u32 {
    256
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Written {
            Logits(Logits),
            Rationale(Rationale),
        }
        const EXPECTED: &str = "`logits`, `rationale`, or one of them with a map: {logits: {floor: 0.1}}";
        match shape::read::<D, Written, Never>(deserializer, EXPECTED)? {
            Shape::Text(text) if text == "logits" => Ok(Self::default()),
            Shape::Text(text) if text == "rationale" => Ok(Self::Rationale(Rationale::default())),
            Shape::Text(text) => Err(D::Error::invalid_value(Unexpected::Str(&text), &EXPECTED)),
            Shape::Number(number) => Err(D::Error::invalid_type(Unexpected::Float(number), &EXPECTED)),
            Shape::Map(Written::Logits(logits)) => Ok(Self::Logits(logits)),
            Shape::Map(Written::Rationale(rationale)) => Ok(Self::Rationale(rationale)),
            Shape::List(never) => match never {},
        }
    }
}

impl<'de> Deserialize<'de> for Principle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            text: String,
            #[serde(default = "one")]
            weight: f64,
            #[serde(default)]
            negate: bool,
        }
        const EXPECTED: &str = "a principle, or {text: ..., weight: 2, negate: true}";
        match shape::read::<D, Written, Never>(deserializer, EXPECTED)? {
            Shape::Text(text) => Ok(Self { text, weight: one(), negate: false }),
            Shape::Map(Written { text, weight, negate }) => Ok(Self { text, weight, negate }),
            Shape::Number(number) => Err(D::Error::invalid_type(Unexpected::Float(number), &EXPECTED)),
            Shape::List(never) => match never {},
        }
    }
}

impl<'de> Deserialize<'de> for Calibrate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            #[serde(default = "sixteen")]
            items: u32,
            #[serde(default = "most")]
            at_least: f64,
        }
        const EXPECTED: &str = "{items: 16, at_least: 0.7}, or the word `none`";
        match shape::read::<D, Written, Never>(deserializer, EXPECTED)? {
            Shape::Text(text) if text == "none" => Ok(Self { items: 0, at_least: most() }),
            Shape::Text(text) => Err(D::Error::invalid_value(Unexpected::Str(&text), &EXPECTED)),
            Shape::Number(number) => Err(D::Error::invalid_type(Unexpected::Float(number), &EXPECTED)),
            Shape::Map(Written { items, at_least }) => Ok(Self { items, at_least }),
            Shape::List(never) => match never {},
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifier(text: &str) -> Verifier {
        let verifier: Verifier = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(serde_json::from_str::<Verifier>(&serde_json::to_string(&verifier).unwrap()).unwrap(), verifier);
        verifier
    }

    #[test]
    fn short_and_long_forms_are_read_and_survive_being_written() {
        let Verifier::Judge(judge) = verifier(r#"{"judge": {"ask": "{answer}?"}}"#) else { panic!() };
        assert_eq!((judge.role, judge.pass_at, judge.calibrate), (None, 0.5, Calibrate { items: 16, at_least: 0.7 }));
        assert_eq!(judge.mode, Mode::Logits(Logits { yes: " Yes".into(), no: " No".into(), floor: 0.05 }));
        let Verifier::Judge(judge) =
            verifier(r#"{"judge": {"ask": "a", "role": "j", "mode": "rationale", "calibrate": "none"}}"#)
        else {
            panic!()
        };
        assert_eq!((judge.mode, judge.calibrate.items), (Mode::Rationale(Rationale::default()), 0));
        let scaled = verifier(
            r#"{"judge": {"ask": "a", "mode": {"rationale": {"scale": [1, 10]}}, "calibrate": {"items": 4}}}"#,
        );
        assert_eq!(scaled.calibrate(), Some(Calibrate { items: 4, at_least: 0.7 }));
        let listed = verifier(
            r#"{"principles": {"ask": "{principle}", "from": {"list": ["short", {"text": "rude", "negate": true}]}}}"#,
        );
        assert!(listed.is_judge());
        let first = verifier(r#"{"first_error": {"by": {"judge": {"role": "j", "ask": "a"}}, "how": "bisect"}}"#);
        assert_eq!(first.roles()[0].as_str(), "j");
        assert!(first.is_judge() && first.calibrate().is_some());
        verifier(r#"{"judge_pair": {"ask": "{first} {second}"}}"#);
    }

    #[test]
    fn what_is_meant_otherwise_is_refused() {
        for (text, message) in [
            (r#"{"judge": {"ask": "a", "mode": "guess"}}"#, "`logits`, `rationale`"),
            (r#"{"judge": {"ask": "a", "mode": 3}}"#, "`logits`, `rationale`"),
            (r#"{"judge": {"ask": "a", "calibrate": "off"}}"#, "the word `none`"),
            (r#"{"judge": {"ask": "a", "mode": {"logits": {"samples": 3}}}}"#, "unknown field `samples`"),
            (r#"{"principles": {"ask": "a", "from": {"list": [3]}}}"#, "a principle, or"),
        ] {
            let error = serde_json::from_str::<Verifier>(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
