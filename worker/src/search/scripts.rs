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
