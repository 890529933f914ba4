//! Advice before a further child of a node: what came of its siblings, listed, or told by somebody who reads the list. The policy is shown
//! it behind the node; the child remembers it, and all below the child stands behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_domain::recipe::search::{Feedback, Write};
use galapagos_domain::recipe::verify::{Blank, Template};
use galapagos_domain::tree::{Guidance, TreeTurn};

use super::{Drawing, Growth, Stage};
use crate::engine::{Codec, EngineError};
use crate::search::strategy::{Answer, Commission, Want, writings};
use crate::search::tree::{End, NodeId, Tree};

/// What advice is called where it is counted.
const WHAT: &str = "feedback";

/// How a policy is advised.
#[derive(Debug, Clone)]
pub struct Advice {
    each: Template,
    show: Template,
    write: Option<Arc<Write>>,
    codec: Arc<dyn Codec>,
    /// What stands behind every observation and is no part of it.
    ask: String,
}

impl Advice {
    /// As a recipe says it, in the vocabulary of `codec`; `ask` is what an environment's tasks put behind every observation.
    ///
    /// # Errors
    /// [`EngineError::Text`] if a template cannot be read.
    pub fn new(feedback: &Feedback, codec: Arc<dyn Codec>, ask: &str) -> Result<Self, EngineError> {
        let template = |text: &str| {
            let what = "read a template of the search as";
            Template::parse(text).map_err(|error| EngineError::Text { what, source: Box::new(error) })
        };
        Ok(Self {
            each: template(&feedback.each)?,
            show: template(&feedback.show)?,
            write: feedback.write.clone().map(Arc::new),
            codec,
            ask: ask.trim().to_owned(),
        })
    }

    /// What came of the children of a node, a line each, in order of making; empty if nothing is known of any.
    fn siblings(&self, tree: &Tree, node: NodeId) -> String {
        let known = |child: &&NodeId| !matches!(tree[**child].end, Some(End::Failed | End::Empty));
        let told = tree[node].children.iter().filter(known).map(|child| self.told(tree, *child));
        told.collect::<Vec<_>>().join("\n")
    }

    fn told(&self, tree: &Tree, child: NodeId) -> String {
        let of = &tree[child];
        let value = if of.visits > 0.0 { Some(of.q) } else { of.own };
        self.each.filled(|blank| match (blank, &of.turn) {
            (Blank::Step, _) => of.piece.text.trim().to_owned(),
            (Blank::Value, _) => value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.2}")),
            (Blank::Shown, Some(TreeTurn::Played(played))) => match &played.refused {
                Some(why) => why.trim().to_owned(),
                None => {
                    let shown = played.shown.trim();
                    shown.strip_suffix(self.ask.as_str()).unwrap_or(shown).trim().to_owned()
                }
            },
            (_, _) => String::new(),
        })
    }

    fn shown(&self, siblings: &str, advice: &str) -> Result<Guidance, EngineError> {
        let text = self.show.filled(|blank| match blank {
            Blank::Siblings => siblings.to_owned(),
            Blank::Advice => advice.to_owned(),
            _ => String::new(),
        });
        Ok(Guidance { tokens: self.codec.encode(&text)?, text })
    }
}

impl Growth {
    /// The same with advice.
    #[must_use]
    pub fn advised_by(mut self, advice: Advice) -> Self {
        self.choices.advice = Some(advice);
        self
    }

    /// Has advice given for the chosen nodes that have children; then, or at once where none is asked for, they grow.
    pub(super) fn advise(&mut self, asked: Vec<(NodeId, u32)>) -> Result<Vec<Want>, EngineError> {
        let Some(advice) = self.choices.advice.clone() else { return Ok(self.draw(asked, BTreeMap::new())) };
        let told = asked.iter().map(|(node, _)| (*node, advice.siblings(&self.tree, *node)));
        let told: Vec<(NodeId, String)> = told.filter(|(_, siblings)| !siblings.is_empty()).collect();
        match &advice.write {
            Some(write) if !told.is_empty() => {
                let want = |(node, siblings): &(NodeId, String)| {
                    let (so_far, made) = (self.tree.path(*node).text, self.tree[*node].asked);
                    let shown = BTreeMap::from([(Blank::Answer, so_far), (Blank::Siblings, siblings.clone())]);
                    let seed = self.stream.derive(&format!("advice/{}/{made}", node.0));
                    Want::Write(Commission { what: WHAT, write: Arc::clone(write), shown, seed })
                };
                let wants = told.iter().map(want).collect();
                self.stage = Stage::Advising { asked, advised: told };
                Ok(wants)
            }
            Some(_) | None => {
                let mut guidance = BTreeMap::new();
                for (node, siblings) in told {
                    self.guide(&mut guidance, node, advice.shown(&siblings, "")?);
                }
                Ok(self.draw(asked, guidance))
            }
        }
    }

    /// Takes what was written. Where nothing was, which is counted, the node grows without.
    pub(super) fn advised(
        &mut self,
        asked: Vec<(NodeId, u32)>,
        advised: Vec<(NodeId, String)>,
        answers: Vec<Answer>,
    ) -> Result<Vec<Want>, EngineError> {
        let mut guidance = BTreeMap::new();
        for ((node, siblings), written) in advised.into_iter().zip(writings(answers)) {
            let Ok(written) = written else { continue };
            self.spent.tokens += written.cost;
            if let (Some(advice), false) = (&self.choices.advice, written.text.is_empty()) {
                let shown = advice.shown(&siblings, &written.text)?;
                self.guide(&mut guidance, node, shown);
            }
        }
        Ok(self.draw(asked, guidance))
    }

    /// What does not leave room for an action is not shown.
    fn guide(&self, guidance: &mut BTreeMap<NodeId, Guidance>, node: NodeId, shown: Guidance) {
        let before = self.tree.path(node).tokens.len() + shown.tokens.len();
        if self.choices.plays.is_none_or(|limits| limits.fit(before, limits.action as usize)) {
            guidance.insert(node, shown);
        }
    }

    /// Whether somebody wrote for nodes that are being continued.
    pub(super) fn is_advised(&self, drawing: &Drawing) -> bool {
        let written = self.choices.advice.as_ref().is_some_and(|advice| advice.write.is_some());
        written && drawing.asked.iter().any(|(node, _)| !self.tree[*node].children.is_empty())
    }
}

#[cfg(test)]
mod tests;
