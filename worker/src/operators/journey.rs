//! `linearise`: a tree as one completion that goes depth first through wrong branches to a right answer (O1 Journey; paper notes, section
//! 12). At each node of the right path some wrong branches come before the right one, each down to a wrong answer, or to the last step that could
//! be done, each with a text behind.

use galapagos_domain::recipe::curate::Linearise;
use galapagos_domain::trajectory::{Outcome, Span, Trajectory};
use galapagos_domain::tree::NodeEnd;

use super::error::OperatorError;
use super::splice::{read, written};
use super::stage::Fell;
use super::wood::Wood;
use crate::engine::Codec;

/// A tree without a right answer gives nothing.
pub(super) fn of_trees<'a>(linearise: &'a Linearise, codec: &'a dyn Codec) -> Result<Fell<'a>, OperatorError> {
    let back = Said::new(codec, &linearise.text_back)?;
    // Where a branch ends with a line break, the text behind it brings none of its own.
    let on_new_line = Said::new(codec, linearise.text_back.strip_prefix('\n').unwrap_or(&linearise.text_back))?;
    let again = Said::new(codec, linearise.per_step.as_deref().unwrap_or_default())?;
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
                let steps = journey.dead_end(branch, linearise.killed)?;
                if steps > 0 {
                    journey.say(if journey.text.ends_with('\n') { &on_new_line } else { &back });
                    (1..steps).for_each(|_| journey.say(&again));
                }
            }
            journey.node(right);
            at = right;
        }
        Ok(vec![journey.record(end)])
    }))
}

/// A text between branches.
struct Said<'a> {
    text: &'a str,
    tokens: Vec<u32>,
}

impl<'a> Said<'a> {
    fn new(codec: &dyn Codec, text: &'a str) -> Result<Self, OperatorError> {
        Ok(Self { text, tokens: written(codec, text, "linearise")? })
    }
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

    fn say(&mut self, said: &Said<'_>) {
        let start = self.tokens.len() as u32;
        self.tokens.extend(&said.tokens);
        self.text.push_str(said.text);
        if !said.tokens.is_empty() {
            self.spans.push(Span { start, end: self.tokens.len() as u32, learn: true, value: None, class: None });
        }
    }

    /// From `branch` down to the first wrong answer, without what ended it, or to the step before one that was killed; gives the steps down to
    /// there.
    fn dead_end(&mut self, branch: usize, killed: bool) -> Result<usize, OperatorError> {
        let Some(end) = self.wood.finals(branch, Outcome::Fail).first().copied() else { return Ok(0) };
        let path = self.wood.path(end);
        let mut steps: Vec<usize> = path.into_iter().skip_while(|node| *node != branch).collect();
        if !killed && self.wood.nodes[end].end == Some(NodeEnd::Killed) {
            steps.pop();
            steps.iter().for_each(|node| self.node(*node));
            return Ok(steps.len());
        }
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
