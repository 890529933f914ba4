//! A stored search tree with what operators ask of it: children, paths, what lies below a node, and records of paths.

use galapagos_domain::recipe::curate::PairBy;
use galapagos_domain::trajectory::{Credit, Leaf, Outcome, Span, Trajectory, Verdict};
use galapagos_domain::tree::{TreeNode, TreeTurn};

use super::error::OperatorError;
use super::measure::score;

/// A tree; a node is named by its place, which is its number.
#[derive(Debug)]
pub(super) struct Wood<'a> {
    pub nodes: &'a [TreeNode],
    pub children: Vec<Vec<usize>>,
    /// Whether an answer with that verdict lies at or below the node.
    pub right: Vec<bool>,
    pub wrong: Vec<bool>,
}

impl<'a> Wood<'a> {
    /// # Errors
    /// [`OperatorError::Tree`] if numbers do not count up from the root, or a node stands before its parent.
    pub(super) fn of(nodes: &'a [TreeNode]) -> Result<Self, OperatorError> {
        let mut children = vec![Vec::new(); nodes.len()];
        for (place, node) in nodes.iter().enumerate() {
            let broken = |problem| Err(OperatorError::Tree { tree: node.tree.clone(), node: node.node, problem });
            if node.node as usize != place {
                return broken("nodes are numbered in order, from 0");
            }
            match node.parent {
                None if place == 0 => {}
                Some(parent) if (parent as usize) < place => children[parent as usize].push(place),
                None => return broken("only the root has no parent"),
                Some(_) => return broken("a parent comes before its children"),
            }
        }
        let outcome = |node: &TreeNode| node.verdict.as_ref().map(|verdict| verdict.outcome);
        let mut right: Vec<bool> = nodes.iter().map(|node| outcome(node) == Some(Outcome::Pass)).collect();
        let mut wrong: Vec<bool> = nodes.iter().map(|node| outcome(node) == Some(Outcome::Fail)).collect();
        for (place, node) in nodes.iter().enumerate().rev() {
            if let Some(parent) = node.parent {
                right[parent as usize] |= right[place];
                wrong[parent as usize] |= wrong[place];
            }
        }
        Ok(Self { nodes, children, right, wrong })
    }

    pub(super) fn outcome(&self, node: usize) -> Option<Outcome> {
        self.nodes[node].verdict.as_ref().map(|verdict| verdict.outcome)
    }

    /// Whether the policy wrote something there.
    pub(super) fn is_step(&self, node: usize) -> bool {
        self.nodes[node].part.is_sampled() && !self.nodes[node].tokens.is_empty() && self.nodes[node].parent.is_some()
    }

    /// From below the root to the node, itself included.
    pub(super) fn path(&self, node: usize) -> Vec<usize> {
        let up = |at: &usize| self.nodes[*at].parent.map(|parent| parent as usize);
        let mut path: Vec<usize> = std::iter::successors(Some(node), up).filter(|at| *at != 0).collect();
        path.reverse();
        path
    }

    /// Q, or what evaluators gave a node that was never visited.
    pub(super) fn q(&self, node: usize) -> Option<f64> {
        let node = &self.nodes[node];
        (node.visits > 0.0).then_some(node.q).or(node.own)
    }

    pub(super) fn value(&self, node: usize, by: &PairBy) -> Option<f64> {
        let value = match by {
            PairBy::Q => self.q(node),
            PairBy::Own => self.nodes[node].own,
            PairBy::Reward => {
                let verdict = self.nodes[node].verdict.as_ref().filter(|verdict| verdict.outcome.is_decided())?;
                let plain = if verdict.outcome == Outcome::Pass { 1.0 } else { 0.0 };
                Some(verdict.score.map_or(plain, f64::from))
            }
            PairBy::Score(name) => score(&self.nodes[node].scores, name),
        };
        value.filter(|value| value.is_finite())
    }

    /// Mean Q of the nodes that have one.
    pub(super) fn mean_q(&self, path: &[usize]) -> Option<f64> {
        let known: Vec<f64> = path.iter().filter_map(|node| self.q(*node)).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }

    /// All nodes at and below `node` with that verdict, in order.
    pub(super) fn finals(&self, node: usize, outcome: Outcome) -> Vec<usize> {
        let mut found = Vec::new();
        let mut open = vec![node];
        while let Some(at) = open.pop() {
            if self.outcome(at) == Some(outcome) {
                found.push(at);
            }
            open.extend(&self.children[at]);
        }
        found.sort_unstable();
        found
    }

    /// What the nodes of `path` wrote, as the completion of a record; what the first `shown` of them wrote belongs to the prompt.
    pub(super) fn record(&self, path: &[usize], shown: usize) -> Trajectory {
        let (root, last) = (&self.nodes[0], path.last().map_or(0, |last| *last));
        let (shown, written) = path.split_at(shown);
        let mut prompt_tokens = root.tokens.clone();
        shown.iter().for_each(|node| prompt_tokens.extend(self.tokens(*node)));
        let (mut tokens, mut log_probs, mut completion, mut spans) =
            (Vec::new(), Vec::new(), String::new(), Vec::new());
        for at in written {
            let node = &self.nodes[*at];
            spans.extend(self.spans(*at, tokens.len()));
            tokens.extend(self.tokens(*at));
            log_probs.resize(tokens.len() - node.tokens.len(), 0.0);
            log_probs.extend((0..node.tokens.len()).map(|i| node.log_probs.get(i).copied().unwrap_or(0.0)));
            completion.push_str(&self.text(*at));
        }
        let unjudged = || Verdict::new(Outcome::Error, "no verdict: a step within a search tree");
        Trajectory {
            job: root.job.clone(),
            task_set: root.task_set.clone(),
            task: root.task.clone(),
            sample: self.nodes[last].node,
            policy: root.policy,
            prompt_tokens,
            prefix_len: root.prefix_len,
            completion_tokens: tokens,
            log_probs,
            completion,
            verdict: self.nodes[last].verdict.clone().unwrap_or_else(unjudged),
            scores: self.nodes[last].scores.clone(),
            leaf: Some(Leaf { tree: root.tree.clone(), node: self.nodes[last].node }),
            credit: Credit { spans, ..Credit::default() },
        }
    }

    /// What the policy was shown before it wrote the node, what it wrote, and what an environment showed behind it.
    pub(super) fn text(&self, node: usize) -> String {
        let node = &self.nodes[node];
        let before = node.guidance.as_ref().map_or("", |shown| shown.text.as_str());
        let behind = match &node.turn {
            Some(TreeTurn::Played(played)) => played.shown.as_str(),
            Some(TreeTurn::Failed(_)) | None => "",
        };
        format!("{before}{}{behind}", node.text)
    }

    /// The tokens of [`Wood::text`].
    pub(super) fn tokens(&self, node: usize) -> Vec<u32> {
        let node = &self.nodes[node];
        let before = node.guidance.as_ref().map_or(&[][..], |shown| shown.tokens.as_slice());
        [before, &node.tokens].concat()
    }

    /// The parts of a completion that the node is, from token `start` on: what was shown before it, what was written, and what was shown
    /// behind it; without empty ones.
    pub(super) fn spans(&self, node: usize, start: usize) -> impl Iterator<Item = Span> {
        let TreeNode { guidance, tokens, log_probs, part, turn, .. } = &self.nodes[node];
        let before = guidance.as_ref().map_or(0, |shown| shown.tokens.len());
        // Only behind actions something is shown in the same node.
        let written = if turn.is_some() { log_probs.len() } else { tokens.len() };
        let value = self.q(node).map(|q| q as f32);
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let span = move |from: usize, to: usize, learn, value| Span {
            start: place(start + from),
            end: place(start + to),
            learn,
            value,
            class: None,
        };
        let all = before + tokens.len();
        let written = before + written;
        let parts = [
            span(0, before, false, None),
            span(before, written, part.is_sampled(), value),
            span(written, all, false, None),
        ];
        parts.into_iter().filter(|span| span.end > span.start)
    }
}
