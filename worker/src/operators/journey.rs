//! `linearise`: a tree as one completion that goes depth first through wrong branches to a right answer (O1 Journey; paper notes, section
//! 12). At each node of the right path some wrong branches come before the right one, each down to a wrong answer, each with a text behind.

use galapagos_domain::recipe::curate::Linearise;
use galapagos_domain::trajectory::{Outcome, Span, Trajectory};

use super::error::OperatorError;
use super::splice::{read, written};
use super::stage::Fell;
use super::wood::Wood;
use crate::engine::Codec;

/// A tree without a right answer gives nothing.
pub(super) fn of_trees<'a>(linearise: &'a Linearise, codec: &'a dyn Codec) -> Result<Fell<'a>, OperatorError> {
    let back = written(codec, &linearise.text_back, "linearise")?;
    let again = linearise.per_step.as_deref().unwrap_or_default();
    let back_again = written(codec, again, "linearise")?;
    Ok(Box::new(move |nodes| {
        let wood = Wood::of(nodes)?;
        let mut best: Option<(usize, f64)> = None;
        for end in wood.finals(0, Outcome::Pass).into_iter().filter(|end| *end > 0) {
            let value = wood.mean_q(&wood.path(end)).unwrap_or(f64::NEG_INFINITY);
            if best.is_none_or(|(_, most)| value > most) {
                best = Some((end, value));
            }
        }
        let Some((end, _)) = best else { return Ok(Vec::new()) };
        let mut journey = Journey { wood: &wood, codec, text: String::new(), tokens: Vec::new(), spans: Vec::new() };
        let mut at = 0;
        for right in wood.path(end) {
            let branches = wood.children[at].iter().copied();
            let wrong = branches.filter(|node| wood.is_step(*node) && wood.wrong[*node] && !wood.right[*node]);
            for branch in wrong.filter(|node| *node != right).take(linearise.dead_ends as usize) {
                let steps = journey.dead_end(branch)?;
                journey.say(&linearise.text_back, &back);
                (1..steps).for_each(|_| journey.say(again, &back_again));
            }
            journey.node(right);
            at = right;
        }
        Ok(vec![journey.record(end)])
    }))
}

struct Journey<'a> {
    wood: &'a Wood<'a>,
    codec: &'a dyn Codec,
    text: String,
    tokens: Vec<u32>,
    spans: Vec<Span>,
}

impl Journey<'_> {
    fn node(&mut self, node: usize) {
        self.spans.extend(self.wood.spans(node, self.tokens.len()));
        self.tokens.extend(self.wood.tokens(node));
        self.text.push_str(&self.wood.text(node));
    }

    fn say(&mut self, text: &str, tokens: &[u32]) {
        let start = self.tokens.len() as u32;
        self.tokens.extend(tokens);
        self.text.push_str(text);
        if !tokens.is_empty() {
            self.spans.push(Span { start, end: self.tokens.len() as u32, learn: true, value: None, class: None });
        }
    }

    /// From `branch` down to the first wrong answer, without what ended it; gives the steps down to there.
    fn dead_end(&mut self, branch: usize) -> Result<usize, OperatorError> {
        let Some(end) = self.wood.finals(branch, Outcome::Fail).first().copied() else { return Ok(0) };
        let path = self.wood.path(end);
        let steps: Vec<usize> = path.into_iter().skip_while(|node| *node != branch).collect();
        steps.iter().for_each(|node| self.node(*node));
        let (tokens, text) = (&self.wood.nodes[end].tokens, &self.wood.nodes[end].text);
        let shorter = tokens.len().saturating_sub(1);
        if !tokens.is_empty() && read(self.codec, &tokens[..shorter], "linearise")? == *text {
            self.tokens.pop();
            if let Some(span) = self.spans.last_mut() {
                span.end -= 1;
            }
            self.spans.pop_if(|span| span.start == span.end);
        }
        Ok(steps.len())
    }

    fn record(self, end: usize) -> Trajectory {
        let plain = self.wood.record(&self.wood.path(end), 0);
        let mut record = Trajectory {
            completion_tokens: self.tokens,
            // No policy sampled the whole.
            log_probs: Vec::new(),
            completion: self.text,
            ..plain
        };
        record.credit.spans = self.spans;
        record
    }
}
