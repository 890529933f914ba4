//! In which order evolutions choose among free slots: pure, and asked anew for every slot that is given out.
//!
//! First by priority. Of the same priority, the one with the fewest slots in use, so that evolutions share the cluster; of those,
//! the one that has got none for longest, so that none is passed over twice by another, however few slots there are; then the oldest.
//! A round that waits has no slot in use, so those of others, however many jobs they have, are not given out before it gathers.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::ClusterState;
use super::evolution::{Evolution, Work};
use super::view::Status;
use crate::fence::FencingToken;
use crate::ids::EvolutionId;

/// An evolution's place: the smallest chooses first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    priority: Reverse<i32>,
    in_use: u32,
    /// The latest token under which it got slots; none as far as this coordinator knows.
    served: Option<FencingToken>,
    /// Order of submission: no two places are equal.
    number: u64,
}

/// An evolution that may have work for slots.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Contender {
    pub id: EvolutionId,
    pub work: Work,
    /// Jobs before this one do not wait.
    pub next_job: usize,
}

impl Place {
    /// After it got so many slots more.
    #[must_use]
    pub fn after(self, slots: u32, token: FencingToken) -> Self {
        Self { in_use: self.in_use + slots, served: Some(token), ..self }
    }
}

impl ClusterState {
    /// Running evolutions with an open recipe step, in the order in which they choose.
    pub(super) fn queue(&self) -> BTreeMap<Place, Contender> {
        let in_use = self.leases.in_use();
        let contender = |evolution: &Evolution| {
            let work = evolution.running_step()?.work.clone();
            Some((self.place(evolution, &in_use), Contender { id: evolution.id.clone(), work, next_job: 0 }))
        };
        let running = self.evolutions.values().filter(|evolution| evolution.status == Status::Running);
        running.filter_map(contender).collect()
    }

    fn place(&self, evolution: &Evolution, in_use: &BTreeMap<&EvolutionId, u32>) -> Place {
        Place {
            priority: Reverse(evolution.recipe.priority),
            in_use: in_use.get(&evolution.id).copied().unwrap_or(0),
            served: self.served.get(&evolution.id).copied(),
            number: evolution.number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(priority: i32, in_use: u32, served: u64, number: u64) -> Place {
        let served = (served > 0).then_some(FencingToken(served));
        Place { priority: Reverse(priority), in_use, served, number }
    }

    #[test]
    fn the_order_is_priority_then_slots_then_patience_then_age() {
        let ordered = [
            place(1, 9, 9, 9),
            place(0, 0, 0, 4),
            place(0, 0, 0, 5),
            place(0, 0, 7, 3),
            place(0, 0, 8, 1),
            place(0, 1, 2, 2),
            place(-1, 0, 0, 0),
        ];
        assert!(ordered.is_sorted(), "{ordered:?}");
        assert!(place(0, 0, 3, 1).after(2, FencingToken(10)) > place(0, 1, 20, 2), "two slots are more than one");
    }
}
