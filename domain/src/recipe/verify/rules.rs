//! Symbolic rules: what an answer must be in form, each rule under a name of its own, so that a verdict can cite those that are broken.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::Over;
use crate::recipe::shape::{self, Shape};

/// Rules that are all to be kept, or most of them: a list, or a map with more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rules {
    pub list: Vec<Rule>,
    /// The least weighted share of rules kept that passes.
    pub pass_at: f64,
    pub over: Over,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What verdicts call it.
    pub id: String,
    pub must: Must,
    /// How much it counts beside the others.
    #[serde(default = "one")]
    pub weight: f64,
}

/// What is true of a text that keeps a rule. Words are what stands between spaces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Must {
    /// A part of it matches a regular expression.
    Match(String),
    Contain(String),
    MinWords(u32),
    MaxWords(u32),
    /// Of the answer, also within other rules.
    MinSteps(u32),
    MaxSteps(u32),
    /// Every equation between numbers that stands in it alone on a line is true; others are not looked at.
    Equations(Equations),
    Not(Box<Must>),
    All(Vec<Must>),
    Any(Vec<Must>),
    /// Of every step by itself.
    EveryStep(Box<Must>),
    FirstStep(Box<Must>),
    LastStep(Box<Must>),
}

/// What equations must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Equations {
    Hold,
}

impl Must {
    /// The requirements within this one.
    #[must_use]
    pub fn inner(&self) -> &[Self] {
        match self {
            Self::Not(one) | Self::EveryStep(one) | Self::FirstStep(one) | Self::LastStep(one) => {
                std::slice::from_ref(one)
            }
            Self::All(several) | Self::Any(several) => several,
            Self::Match(_)
            | Self::Contain(_)
            | Self::MinWords(_)
            | Self::MaxWords(_)
            | Self::MinSteps(_)
            | Self::MaxSteps(_)
            | Self::Equations(_) => &[],
        }
    }
}

fn one() -> f64 {
    1.0
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFields {
    list: Vec<Rule>,
    #[serde(default = "one")]
    pass_at: f64,
    #[serde(default)]
    over: Over,
}

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a list of rules, or {list: [...], pass_at: 0.8}";
        match shape::read::<D, RulesFields, Vec<Rule>>(deserializer, EXPECTED)? {
            Shape::List(list) => Ok(Self { list, pass_at: one(), over: Over::Answer }),
            Shape::Map(RulesFields { list, pass_at, over }) => Ok(Self { list, pass_at, over }),
            Shape::Text(text) => Err(D::Error::invalid_type(Unexpected::Str(&text), &EXPECTED)),
            Shape::Number(number) => Err(D::Error::invalid_type(Unexpected::Float(number), &EXPECTED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_rules_that_must_all_be_kept() {
        let list = r#"[{"id": "R1", "must": {"max_words": 40}}, {"id": "R2", "must": {"not": {"contain": "x"}}, "weight": 2}]"#;
        let rules: Rules = serde_json::from_str(list).unwrap();
        assert_eq!((rules.list.len(), rules.pass_at, rules.list[0].weight, rules.list[1].weight), (2, 1.0, 1.0, 2.0));
        assert_eq!(rules.list[1].must, Must::Not(Box::new(Must::Contain("x".to_owned()))));
        assert_eq!(rules.over, Over::Answer);
        let map = format!("{{\"list\": {list}, \"pass_at\": 0.5, \"over\": \"episode\"}}");
        let rules: Rules = serde_json::from_str(&map).unwrap();
        assert_eq!((rules.pass_at, rules.over), (0.5, Over::Episode));
        assert_eq!(serde_json::from_str::<Rules>(&serde_json::to_string(&rules).unwrap()).unwrap(), rules);
        for (wrong, message) in [
            ("\"R1\"", "expected a list of rules, or {list: [...], pass_at: 0.8}"),
            (r#"[{"id": "R1", "must": {"be": "good"}}]"#, "unknown variant `be`"),
            (r#"{"list": [], "at": 1}"#, "unknown field `at`"),
        ] {
            let error = serde_json::from_str::<Rules>(wrong).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
