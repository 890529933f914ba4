//! The scripts of chains: one answer, several turns, refinement by feedback, budgets that grow.

use super::chains::{Move, Script, Text};
use super::tree::{NodeId, Part, Tree};

/// One answer.
#[derive(Debug, Clone, Copy)]
pub struct Once {
    pub max_tokens: Option<u32>,
}

impl Script for Once {
    fn next(&self, _: &Tree, chain: &[NodeId]) -> Move {
        match chain {
            [] => Move::Write { part: Part::Step, max_tokens: self.max_tokens },
            _ => Move::Stop,
        }
    }
}

/// Answers with the same instruction between them.
#[derive(Debug, Clone)]
pub struct Turns {
    pub turns: u32,
    pub instruction: Text,
    pub max_tokens: Option<u32>,
}

impl Script for Turns {
    fn next(&self, tree: &Tree, chain: &[NodeId]) -> Move {
        let answers = chain.iter().filter(|node| tree[**node].piece.part == Part::Step).count();
        match chain.last().map(|node| tree[*node].piece.part) {
            Some(Part::Step) if answers as u32 >= self.turns => Move::Stop,
            Some(Part::Step) => Move::Show(self.instruction.clone()),
            _ => Move::Write { part: Part::Step, max_tokens: self.max_tokens },
        }
    }
}

/// Answer, feedback, better answer.
#[derive(Debug, Clone)]
pub struct Refine {
    pub rounds: u32,
    pub feedback: Text,
    pub revise: Text,
    /// A feedback that holds this ends the chain; the answer before it stands.
    pub content: Option<String>,
    pub max_tokens: Option<u32>,
}

impl Script for Refine {
    fn next(&self, tree: &Tree, chain: &[NodeId]) -> Move {
        let asides = chain.iter().filter(|node| tree[**node].piece.part == Part::Aside).count();
        let write = |part| Move::Write { part, max_tokens: self.max_tokens };
        let Some(last) = chain.last() else { return write(Part::Step) };
        match tree[*last].piece.part {
            Part::Step if asides as u32 >= self.rounds => Move::Stop,
            Part::Step => Move::Show(self.feedback.clone()),
            Part::Aside if self.content.as_ref().is_some_and(|content| tree[*last].piece.text.contains(content)) => {
                Move::Stop
            }
            Part::Aside => Move::Show(self.revise.clone()),
            // Feedback was asked for behind a step, a better answer behind a feedback.
            Part::Shown => match chain.iter().rev().nth(1).map(|node| tree[*node].piece.part) {
                Some(Part::Step) => write(Part::Aside),
                _ => write(Part::Step),
            },
        }
    }
}

/// Budgets of `first`, `factor` x `first`, ... tokens with `trigger` behind each but the last, `most` in all.
#[derive(Debug, Clone)]
pub struct Deepening {
    pub first: u32,
    pub factor: f64,
    pub most: u32,
    pub trigger: Text,
}

impl Deepening {
    /// Budget number `block`, from 0; it is never less than one token.
    fn budget(&self, block: usize) -> u32 {
        let budget = f64::from(self.first) * self.factor.powi(i32::try_from(block).unwrap_or(i32::MAX));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturates")]
        let whole = budget as u32;
        whole.max(1)
    }
}

impl Script for Deepening {
    fn next(&self, tree: &Tree, chain: &[NodeId]) -> Move {
        let written = || chain.iter().filter(|node| tree[**node].piece.part.is_sampled());
        let spent: usize = written().map(|node| tree[*node].piece.tokens.len()).sum();
        let left = self.most.saturating_sub(u32::try_from(spent).unwrap_or(u32::MAX));
        match chain.last().map(|node| tree[*node].piece.part.is_sampled()) {
            Some(true) if left == 0 => Move::Stop,
            Some(true) => Move::Show(self.trigger.clone()),
            _ => {
                let budget = self.budget(written().count()).min(left);
                Move::Write { part: Part::Step, max_tokens: Some(budget) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use galapagos_domain::job::Sampling;
    use galapagos_domain::seed::Seed;

    use super::super::chains::Chains;
    use super::super::strategy::{Answer, Drawn, Strategy, Want};
    use super::*;

    fn text(text: &str) -> Text {
        Text { text: text.to_owned(), tokens: text.chars().map(u32::from).collect() }
    }

    /// Runs one chain whose policy says `says`, one after the other, each cut at its budget. What was written, and every budget.
    fn run(script: impl Script + 'static, says: &[&str]) -> (String, String, Vec<Option<u32>>) {
        let mut chains = Chains::new(Box::new(script), 1, Arc::new(Sampling::at(1.0)), Seed(1));
        let (mut says, mut budgets, mut answers) = (says.iter(), Vec::new(), Vec::new());
        loop {
            let wants = chains.next(answers).unwrap();
            let [want] = wants.as_slice() else {
                assert!(wants.is_empty() && says.next().is_none(), "all was asked for");
                let [end] = chains.found()[..] else { panic!() };
                let path = chains.tree().path(end);
                return (path.text, path.answer, budgets);
            };
            let Want::Draw(draw) = want else { panic!("{want:?}") };
            budgets.push(draw.max_tokens);
            let said: String = says.next().unwrap().chars().take(draw.max_tokens.unwrap_or(99) as usize).collect();
            let Text { text, tokens } = text(&said);
            let log_probs = vec![-1.0; tokens.len()];
            answers = vec![Answer::Drawn(vec![Drawn { tokens, log_probs, text, answered: true }])];
        }
    }

    #[test]
    fn the_greedy_answer_is_the_last_and_drawn_at_temperature_0() {
        let script = Box::new(Once { max_tokens: None });
        let mut chains = Chains::new(script, 2, Arc::new(Sampling::at(1.0)), Seed(1)).beside_greedy();
        let asked = |want: &Want| match want {
            Want::Draw(draw) => (draw.samples, draw.sampling.temperature),
            other => panic!("{other:?}"),
        };
        let wants: Vec<_> = chains.next(Vec::new()).unwrap().iter().map(asked).collect();
        assert_eq!(wants, [(2, 1.0), (1, 0.0)]);
        let drawn = |said: &str| {
            let Text { text, tokens } = text(said);
            Drawn { log_probs: vec![-1.0; tokens.len()], tokens, text, answered: true }
        };
        let answers = vec![Answer::Drawn(vec![drawn("a"), drawn("b")]), Answer::Drawn(vec![drawn("c")])];
        assert!(chains.next(answers).unwrap().is_empty());
        let texts: Vec<String> = chains.found().into_iter().map(|end| chains.tree().path(end).text).collect();
        assert_eq!(texts, ["a", "b", "c"]);
    }

    #[test]
    fn turns_put_the_instruction_between_answers() {
        let script = Turns { turns: 3, instruction: text("|again:"), max_tokens: Some(2) };
        let expected = ("7|again:8|again:9".to_owned(), "9".to_owned(), vec![Some(2); 3]);
        assert_eq!(run(script, &["7", "8", "9"]), expected);
        assert_eq!(run(Once { max_tokens: None }, &["7"]), ("7".to_owned(), "7".to_owned(), vec![None]));
    }

    #[test]
    fn a_refinement_ends_with_its_rounds_or_with_a_content_feedback() {
        let refine = |content: Option<&str>| Refine {
            rounds: 2,
            feedback: text("?"),
            revise: text("!"),
            content: content.map(str::to_owned),
            max_tokens: None,
        };
        let (whole, answer, _) = run(refine(None), &["7", "bad", "8", "good", "9"]);
        assert_eq!((whole.as_str(), answer.as_str()), ("7?bad!8?good!9", "9"));
        let (whole, answer, _) = run(refine(Some("good")), &["7", "bad", "8", "good"]);
        assert_eq!((whole.as_str(), answer.as_str()), ("7?bad!8?good", "8"), "the answer before the feedback stands");
    }

    #[test]
    fn budgets_grow_by_their_factor_up_to_all_there_is() {
        let deepening = |first, factor, most| Deepening { first, factor, most, trigger: text("-") };
        let (whole, _, budgets) = run(deepening(2, 2.0, 13), &["aaaaaaaa"; 3]);
        assert_eq!((whole.as_str(), budgets), ("aa-aaaa-aaaaaaa", vec![Some(2), Some(4), Some(7)]));
        let (whole, _, budgets) = run(deepening(3, 1.0, 6), &["a", "b", "ccc", "d"]);
        assert_eq!(
            (whole.as_str(), budgets),
            ("a-b-ccc-d", vec![Some(3), Some(3), Some(3), Some(1)]),
            "what an early answer left is spent"
        );
    }
}
