//! How often a reasoning text shows each of four behaviours: verification, backtracking, setting sub-goals, chaining backward from the
//! goal ("Four Habits", arXiv 2503.01307). String rules, not a judge: they count phrases, and do not know whether a check was sound.

use std::sync::LazyLock;

use regex::Regex;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Behaviour {
    /// Checking a result: "let me check", "this equals the target".
    Verification,
    /// Giving up a path: "wait", "that does not work", "let's try another way".
    Backtracking,
    /// Naming a step on the way: "first, we need", "step 2".
    SubGoal,
    /// Reasoning from the goal: "to get 24 we need", "working backward".
    BackwardChaining,
}

impl Behaviour {
    /// All, in the order of [`Counts::all`].
    pub const ALL: [Self; 4] = [Self::Verification, Self::Backtracking, Self::SubGoal, Self::BackwardChaining];

    /// The expressions of this behaviour; matches of one behaviour do not overlap.
    fn phrases(self) -> &'static [&'static str] {
        match self {
            Self::Verification => &[
                r"(?:let me|let's|let us|i(?:'ll| will| should)|we (?:can|should|need to)) (?:double[- ]?)?(?:check|verify|confirm)",
                r"double[- ]check(?:ing)?",
                r"(?:checking|verifying|verification|check)\s*:",
                r"plug(?:ging)? (?:it|this|that|these|them|\S+ )?\s*back",
                r"this (?:equals|matches|gives) the (?:target|goal|answer)",
                r"(?:does|is) (?:not )?(?:equal to|match) the (?:target|goal)",
            ],
            Self::Backtracking => &[
                r"\bwait\b",
                r"\bactually,",
                r"(?:that|this|it) (?:does not|doesn't|did not|didn't|will not|won't) work",
                r"(?:try|consider) (?:again|another|a different|something else|a new)",
                r"(?:go|going|went) back",
                r"start(?:ing)? over",
                r"(?:that|this)(?: is|'s) (?:wrong|not right|incorrect|a mistake|a dead end)",
                r"i made (?:a|an) (?:mistake|error)",
            ],
            Self::SubGoal => &[
                r"\b(?:first|next|then|second|third|finally),? (?:let me|let's|let us|i(?:'ll| will| need)|we(?:'ll| will| need| can| must| have to))",
                r"(?m)^\s*(?:#+ |\*\*)?step \d+",
                r"(?:break|split)(?:ing)? (?:this|it|the problem|that) (?:down|into|up)",
                r"sub-?goals?\b",
                r"(?:my|our|the) (?:next|first) (?:step|goal|target) is",
            ],
            Self::BackwardChaining => &[
                r"work(?:ing)? (?:backward|backwards|back from)",
                r"\bto (?:get|reach|obtain|arrive at|make) (?:to )?(?:the )?(?:\S+ ){1,3}?(?:i|we) (?:need|would need|could|must|want)",
                r"start(?:ing)? (?:from|with) the (?:goal|target|answer|end|result)",
                r"(?:what|which) (?:would|could|must) (?:give|give us|lead to|produce)",
                r"(?:goal|target) is \S+,? so (?:i|we) need",
            ],
        }
    }
}

/// One expression for each behaviour, in the order of `Behaviour::ALL`.
static PHRASES: LazyLock<Vec<Option<Regex>>> = LazyLock::new(|| {
    let joined = |behaviour: &Behaviour| Regex::new(&format!("(?i)(?:{})", behaviour.phrases().join("|"))).ok();
    Behaviour::ALL.iter().map(joined).collect()
});

/// How often each behaviour was seen in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    counts: [u32; 4],
    /// Words, as separated by white space.
    pub words: u32,
}

impl Counts {
    /// Counts the behaviours of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        // Typographic quotes are those of the expressions.
        let plain = text.replace('’', "'");
        let mut counts = [0; 4];
        for (count, pattern) in counts.iter_mut().zip(PHRASES.iter()) {
            let found = pattern.as_ref().map_or(0, |pattern| pattern.find_iter(&plain).count());
            *count = u32::try_from(found).unwrap_or(u32::MAX);
        }
        Self { counts, words: u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX) }
    }

    /// How often one behaviour was seen.
    #[must_use]
    pub fn of_behaviour(&self, behaviour: Behaviour) -> u32 {
        self.all().into_iter().find(|(known, _)| *known == behaviour).map_or(0, |(_, count)| count)
    }

    /// Each behaviour with its count.
    #[must_use]
    pub fn all(&self) -> [(Behaviour, u32); 4] {
        let [a, b, c, d] = self.counts;
        let [first, second, third, fourth] = Behaviour::ALL;
        [(first, a), (second, b), (third, c), (fourth, d)]
    }

    /// Occurrences per 100 words; 0 for a text without words.
    #[must_use]
    pub fn per_100_words(&self, behaviour: Behaviour) -> f64 {
        if self.words == 0 {
            return 0.0;
        }
        f64::from(self.of_behaviour(behaviour)) * 100.0 / f64::from(self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_is_one() {
        assert!(PHRASES.iter().all(Option::is_some));
        for behaviour in Behaviour::ALL {
            assert!(behaviour.phrases().iter().all(|phrase| Regex::new(phrase).is_ok()));
        }
    }

    #[test]
    fn each_behaviour_is_counted_by_its_phrases() {
        let counted = |text| Counts::of(text).all().map(|(_, count)| count);
        assert_eq!(counted("Let me check: 3*8=24. This equals the target."), [2, 0, 0, 0]);
        assert_eq!(counted("Wait, that doesn’t work. Let's try a different way."), [0, 3, 0, 0]);
        assert_eq!(counted("Step 1: add.\nStep 2: multiply. First, we need a 4."), [0, 0, 3, 0]);
        assert_eq!(counted("Working backward: to get 24 we need a 6."), [0, 0, 0, 2]);
        assert_eq!(counted("The waiter added 3 and 4."), [0, 0, 0, 0]);
    }

    #[test]
    fn rates_are_per_100_words() {
        let seen = Counts::of("Wait, 3 + 4 is 7. Let me verify it.");
        assert_eq!(seen.words, 10);
        assert_eq!(seen.of_behaviour(Behaviour::Backtracking), 1);
        assert!((seen.per_100_words(Behaviour::Verification) - 10.0).abs() < 1e-12);
        assert!(Counts::of("").per_100_words(Behaviour::Backtracking).abs() < 1e-12);
    }
}
