//! In which generations a recipe step of `each` runs.

use serde::{Deserialize, Serialize};

/// From one generation to another, both of them in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generations {
    #[serde(default = "first")]
    pub from: u32,
    /// The last one; to the end when absent.
    #[serde(default)]
    pub to: Option<u32>,
}

fn first() -> u32 {
    1
}

impl Default for Generations {
    fn default() -> Self {
        Self { from: first(), to: None }
    }
}

impl Generations {
    /// Whether a generation is one of them.
    #[must_use]
    pub fn contains(self, generation: u32) -> bool {
        self.from <= generation && self.to.is_none_or(|to| generation <= to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_belong_to_them_and_may_be_left_out() {
        let within = |text: &str| {
            let of: Generations = serde_json::from_str(text).unwrap();
            (1..=5).filter(|generation| of.contains(*generation)).collect::<Vec<_>>()
        };
        assert_eq!(within(r#"{"from": 2, "to": 4}"#), [2, 3, 4]);
        assert_eq!(within(r#"{"to": 1}"#), [1]);
        assert_eq!(within(r#"{"from": 5}"#), [5]);
        assert_eq!(within("{}"), [1, 2, 3, 4, 5]);
    }
}
