//! The end of a batch: values go up, what is spent closes, the front moves.

use galapagos_domain::recipe::search::{Reach, Simulate};

use super::choices::Front;
use super::{Given, Growth};
use crate::search::backup::{Value, back_up};
use crate::search::tree::{End, NodeId, Tree};
use crate::search::width::width;

impl Growth {
    /// Backs values up, closes what is spent, and moves the front.
    pub(super) fn end_batch(&mut self, new: &[(NodeId, Given)]) {
        for (_, node) in self
            .growing
            .iter()
            .flat_map(|node| self.tree.upwards(*node).map(move |above| (node, above)))
            .collect::<Vec<_>>()
        {
            self.tree[node].pending = self.tree[node].pending.saturating_sub(1);
        }
        for (node, given) in new {
            self.tree[*node].own = given.all();
            let terminal = self.tree[*node].end.is_some();
            for (value, reach) in [(given.local, Reach::Local), (given.propagated, Reach::Propagated)] {
                if let Some(value) = value {
                    back_up(&mut self.tree, self.choices.backup, Value { of: *node, value, reach, terminal });
                }
            }
        }
        let (way, n, others) = (self.choices.width, self.choices.propose.n, &self.others);
        for node in new.iter().map(|(node, _)| *node).chain(self.growing.clone()) {
            let width = |tree: &Tree, node| if others.contains(&node) { 0 } else { width(tree, node, way, n) };
            self.tree.close_upwards(node, width);
        }
        match self.choices.front {
            Front::Beam(beam) => self.narrow(new, beam as usize),
            Front::Selected { simulate, .. } => self.advance(simulate),
        }
    }

    /// The best open nodes of the new depth are the next beam; the others are given up.
    fn narrow(&mut self, new: &[(NodeId, Given)], beam: usize) {
        let mut open: Vec<NodeId> = new.iter().map(|(node, _)| *node).filter(|node| !self.tree[*node].closed).collect();
        let own = |node: &NodeId| self.tree[*node].own.unwrap_or(f64::NEG_INFINITY);
        open.sort_by(|a, b| own(b).total_cmp(&own(a)).then(a.cmp(b)));
        let given_up = open.split_off(beam.min(open.len()));
        for node in given_up {
            self.tree[node].closed = true;
        }
        self.front = open;
    }

    /// Simulations whose growth brought an answer end, as do those that end with every growth; the others stand where they grew.
    fn advance(&mut self, simulate: Simulate) {
        for node in std::mem::take(&mut self.growing) {
            let fresh = self.tree[node].children.iter().filter(|child| self.tree[**child].batch == self.batch);
            let answered = fresh.clone().any(|child| self.tree[*child].end == Some(End::Answered));
            match simulate {
                Simulate::ToEnd if !answered => self.front.push(node),
                Simulate::ToEnd | Simulate::OneGrowth => self.spent.simulations += 1,
            }
        }
    }
}
