//! Who gets which slot: pure choices over the free slots, each with its reason. Who chooses when is for `queue` to say.
//!
//! A round takes all its slots at once. While it waits for slots that are only busy, evolutions that choose after it get none, so that
//! jobs cannot starve it; while the cluster is too small for it, it holds nothing back.

use std::collections::BTreeMap;

use crate::ids::{EvolutionId, WorkerId};

/// Free slots of the present workers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct FreeSlots {
    /// Free slots by worker; every present worker is in.
    pub free: BTreeMap<WorkerId, u32>,
    /// Slots of all present workers, free or not.
    pub total: u32,
    /// The evolution whose round the free slots are kept for.
    pub kept_for: Option<EvolutionId>,
}

/// Why there is no slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoSlot {
    /// No worker is present.
    NoWorker,
    /// Every slot is taken.
    AllTaken { total: u32 },
    /// The round of an evolution that chooses first gathers slots.
    KeptFor { evolution: EvolutionId },
    /// A round needs more slots at once than are free; they are kept until enough are.
    Gathering { needed: u32, free: u32 },
    /// A round needs more slots than all present workers have together.
    TooFew { needed: u32, total: u32 },
}

/// A slot for one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub worker: WorkerId,
    pub reason: Reason,
}

/// Why this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// It has the most free slots.
    MostFree,
    /// It has the most free slots of those that did not fail the last attempt.
    AnotherThanLast,
    /// Only the worker that failed the last attempt has a free slot.
    OnlyLastIsFree,
}

impl FreeSlots {
    /// Whether nobody can be given a slot.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    fn count(&self) -> u32 {
        self.free.values().sum()
    }

    /// Takes one slot for a job; `avoid` is used only if no other worker has one.
    pub fn take_one(&mut self, avoid: Option<&WorkerId>) -> Result<Choice, NoSlot> {
        self.check()?;
        let most = |usable: &dyn Fn(&WorkerId) -> bool| {
            let open = self.free.iter().filter(|(worker, free)| **free > 0 && usable(worker));
            open.max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0))).map(|(worker, _)| worker.clone())
        };
        let others = most(&|worker| Some(worker) != avoid);
        let choice = match (others, avoid) {
            (Some(worker), None) => Choice { worker, reason: Reason::MostFree },
            (Some(worker), Some(_)) => Choice { worker, reason: Reason::AnotherThanLast },
            (None, _) => {
                let worker = most(&|_| true).ok_or(NoSlot::AllTaken { total: self.total })?;
                Choice { worker, reason: Reason::OnlyLastIsFree }
            }
        };
        self.take(&choice.worker);
        Ok(choice)
    }

    /// Takes the slots of all ranks at once, on as few workers as possible: the ones with the most free slots first. If that
    /// fails for slots that are only busy, the free ones are kept for `evolution`.
    pub fn take_gang(&mut self, ranks: u32, evolution: &EvolutionId) -> Result<Vec<WorkerId>, NoSlot> {
        if self.total == 0 {
            return Err(NoSlot::NoWorker);
        }
        if ranks > self.total {
            return Err(NoSlot::TooFew { needed: ranks, total: self.total });
        }
        if let Some(evolution) = &self.kept_for {
            return Err(NoSlot::KeptFor { evolution: evolution.clone() });
        }
        if ranks > self.count() {
            self.kept_for = Some(evolution.clone());
            return Err(NoSlot::Gathering { needed: ranks, free: self.count() });
        }
        let mut by_room: Vec<(WorkerId, u32)> =
            self.free.iter().map(|(worker, free)| (worker.clone(), *free)).collect();
        by_room.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let places = by_room.into_iter().flat_map(|(worker, free)| std::iter::repeat_n(worker, free as usize));
        let chosen: Vec<WorkerId> = places.take(ranks as usize).collect();
        for worker in &chosen {
            self.take(worker);
        }
        Ok(chosen)
    }

    fn check(&self) -> Result<(), NoSlot> {
        if self.total == 0 {
            return Err(NoSlot::NoWorker);
        }
        match &self.kept_for {
            Some(evolution) => Err(NoSlot::KeptFor { evolution: evolution.clone() }),
            None => Ok(()),
        }
    }

    fn take(&mut self, worker: &WorkerId) {
        if let Some(free) = self.free.get_mut(worker) {
            *free = free.saturating_sub(1);
        }
    }
}

impl std::fmt::Display for NoSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoWorker => f.write_str("a worker: none is connected"),
            Self::AllTaken { total } => write!(f, "a free slot: all {total} are taken"),
            Self::KeptFor { evolution } => write!(f, "a free slot: they are kept for the round of {evolution}"),
            Self::Gathering { needed, free } => write!(f, "{needed} free slots at once; {free} free"),
            Self::TooFew { needed, total } => {
                write!(f, "{needed} slots at once; the connected workers have {total} in all")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str) -> WorkerId {
        WorkerId::new(name).unwrap()
    }

    fn evolution(name: &str) -> EvolutionId {
        EvolutionId::new(name).unwrap()
    }

    fn slots(free: &[(&str, u32)], total: u32) -> FreeSlots {
        FreeSlots { free: free.iter().map(|(name, n)| (worker(name), *n)).collect(), total, kept_for: None }
    }

    #[test]
    fn a_failed_attempt_moves_to_another_worker_if_one_is_free() {
        let mut both = slots(&[("w1", 2), ("w2", 1)], 3);
        let choice = both.take_one(Some(&worker("w1"))).unwrap();
        assert_eq!((choice.worker, choice.reason), (worker("w2"), Reason::AnotherThanLast));
        let choice = both.take_one(Some(&worker("w1"))).unwrap();
        assert_eq!((choice.worker, choice.reason), (worker("w1"), Reason::OnlyLastIsFree));
    }

    #[test]
    fn a_gang_takes_all_or_nothing_and_keeps_what_is_free() {
        let mut few = slots(&[("w1", 1), ("w2", 0)], 2);
        assert_eq!(few.take_gang(2, &evolution("a-1")), Err(NoSlot::Gathering { needed: 2, free: 1 }));
        assert_eq!(few.take_one(None), Err(NoSlot::KeptFor { evolution: evolution("a-1") }));
        let mut enough = slots(&[("w1", 1), ("w2", 2)], 3);
        assert_eq!(enough.take_gang(3, &evolution("a-1")).unwrap(), [worker("w2"), worker("w2"), worker("w1")]);
    }

    #[test]
    fn a_round_too_large_for_the_cluster_keeps_nothing_back() {
        let mut small = slots(&[("w1", 1)], 1);
        assert_eq!(small.take_gang(2, &evolution("a-1")), Err(NoSlot::TooFew { needed: 2, total: 1 }));
        assert_eq!(small.take_one(None).unwrap().reason, Reason::MostFree);
    }
}
