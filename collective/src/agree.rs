//! Agreement between the ranks of a group through the store: what each is about to do, who arrived, who still answers.
//!
//! c10d itself does not check that ranks call the same collective on the same shapes, and aborts a process when they do
//! not. Here each rank publishes its signature under the number of the call and reads everybody's before anything is sent.

use std::cell::Cell;
use std::time::Duration;

use crate::backend::Backend;
use crate::error::{Error, Ranks};
use crate::group::GroupSpec;
use crate::signature::first_difference;
use crate::store::Store;

/// The longest that a roll call after a failure waits for answers.
const ROLL_CALL: Duration = Duration::from_secs(2);

/// This rank's place in a group, and the number of the next agreement.
#[derive(Debug)]
pub(crate) struct Roster {
    store: Store,
    prefix: String,
    rank: u32,
    world_size: u32,
    timeout: Duration,
    next: Cell<u64>,
    /// The rank that serves the store, known once all have joined: if the store is gone, so is that rank.
    server: Cell<Option<u32>>,
}

impl Roster {
    /// Takes `spec.rank` under `spec.prefix` and waits for all ranks to do so.
    pub(crate) fn join(store: &Store, backend: Backend, spec: &GroupSpec) -> Result<Self, Error> {
        let GroupSpec { prefix, rank, world_size, timeout, .. } = spec;
        let (rank, timeout) = (*rank, *timeout);
        let roster = Self {
            store: store.clone(),
            prefix: prefix.clone(),
            rank,
            world_size: *world_size,
            timeout,
            next: Cell::new(0),
            server: Cell::new(None),
        };
        if store.add(&roster.key("taken", rank), 1)? != 1 {
            return Err(Error::RankTaken { prefix: prefix.clone(), rank });
        }
        let serves = [u8::from(store.is_served_here())];
        let signature = format!("join: world size {world_size}, backend {}", backend.name());
        let answers = roster.exchange("join", &signature, &serves, timeout)?;
        let server = answers.iter().position(|answer| answer.as_slice() == [1]);
        roster.server.set(server.and_then(|rank| u32::try_from(rank).ok()));
        Ok(roster)
    }

    pub(crate) fn rank(&self) -> u32 {
        self.rank
    }

    pub(crate) fn world_size(&self) -> u32 {
        self.world_size
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Publishes `signature` and `data` as this rank's next agreement, reads all ranks' and checks that every signature
    /// is the same. Returns all data in rank order. Costs four store round trips.
    pub(crate) fn exchange(
        &self,
        op: &str,
        signature: &str,
        data: &[u8],
        timeout: Duration,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let number = self.next.get();
        self.next.set(number + 1);
        let phase = format!("agree/{number}");
        let mut payload = signature.as_bytes().to_vec();
        payload.push(0);
        payload.extend_from_slice(data);
        self.reported(op, self.store.set(&self.key(&phase, self.rank), &payload))?;
        let payloads = match self.store.get_many(&self.keys(&phase), timeout) {
            Err(Error::KeysMissing { keys, waited_ms }) => {
                return Err(Error::Timeout {
                    op: op.to_owned(),
                    waited_ms,
                    missing: self.dead_of(self.ranks_of(&keys)),
                });
            }
            other => self.reported(op, other)?,
        };
        if let Some(before) = number.checked_sub(1) {
            // Whoever published this number has read all of the one before, so that one is read by all.
            self.reported(op, self.store.delete(&self.key(&format!("agree/{before}"), self.rank)))?;
        }
        payloads.into_iter().zip(0..).map(|(theirs, rank)| same(op, signature, theirs, rank)).collect()
    }

    /// After a failure: says that this rank is alive, for the roll calls of others.
    pub(crate) fn answer(&self) {
        // Without the store nobody can call the roll either, and the failure itself is already being reported.
        self.store.set(&self.key("roll", self.rank), b"").ok();
    }

    /// Of the ranks that did not come to an agreement, those that are not alive. A living one may not have come because the
    /// operation before failed it on account of a dead one. All of them, if all are alive.
    fn dead_of(&self, late: Ranks) -> Ranks {
        let silent = self.roll_call();
        let dead: Vec<u32> = late.0.iter().copied().filter(|rank| silent.0.contains(rank)).collect();
        if dead.is_empty() { late } else { Ranks(dead) }
    }

    /// After a failure: announces that this rank is alive and returns the ranks that neither do the same in time nor wait for this
    /// one at the next agreement, as those do that the failed operation let pass.
    pub(crate) fn roll_call(&self) -> Ranks {
        let answered = self
            .store
            .set(&self.key("roll", self.rank), b"")
            .and_then(|()| self.store.get_many(&self.keys("roll"), self.timeout.min(ROLL_CALL)));
        match answered {
            Ok(_) => Ranks::default(),
            Err(Error::KeysMissing { keys, .. }) => {
                let next = format!("agree/{}", self.next.get());
                // Without the store the rank that serves it is gone, whoever else is.
                let waits = |rank: &u32| self.store.contains(&self.key(&next, *rank)).unwrap_or(false);
                Ranks(self.ranks_of(&keys).0.into_iter().filter(|rank| !waits(rank)).collect())
            }
            Err(_) => self.server_rank(),
        }
    }

    /// Tells the rank that serves the store that this one needs it no more; on that rank, waits for all the others.
    pub(crate) fn leave(&self, timeout: Duration) -> Result<(), Error> {
        self.reported("leave", self.store.set(&self.key("left", self.rank), b""))?;
        if self.store.is_served_here() {
            self.reported("leave", self.store.get_many(&self.keys("left"), timeout))?;
        }
        Ok(())
    }

    /// Turns missing keys into missing ranks, and a lost store into the loss of the rank that serves it.
    fn reported<T>(&self, op: &str, result: Result<T, Error>) -> Result<T, Error> {
        let op = op.to_owned();
        result.map_err(|error| match error {
            Error::KeysMissing { keys, waited_ms } => Error::Timeout { op, waited_ms, missing: self.ranks_of(&keys) },
            Error::Store { message, .. } if self.server.get().is_some() => {
                Error::PeerLost { op, waited_ms: 0, missing: self.server_rank(), message }
            }
            other => other,
        })
    }

    fn server_rank(&self) -> Ranks {
        Ranks(self.server.get().into_iter().collect())
    }

    fn key(&self, phase: &str, rank: u32) -> String {
        format!("galapagos/{}/{phase}/{rank}", self.prefix)
    }

    fn keys(&self, phase: &str) -> Vec<String> {
        (0..self.world_size).map(|rank| self.key(phase, rank)).collect()
    }

    fn ranks_of(&self, keys: &[String]) -> Ranks {
        Ranks(keys.iter().filter_map(|key| key.rsplit('/').next()?.parse().ok()).collect())
    }
}

/// The data behind another rank's signature, if that signature is ours.
fn same(op: &str, mine: &str, mut theirs: Vec<u8>, rank: u32) -> Result<Vec<u8>, Error> {
    let end = theirs.iter().position(|byte| *byte == 0).unwrap_or(theirs.len());
    if &theirs[..end] == mine.as_bytes() {
        theirs.drain(..theirs.len().min(end + 1));
        return Ok(theirs);
    }
    let (mine, theirs) = first_difference(mine, &String::from_utf8_lossy(&theirs[..end]));
    Err(Error::Mismatch { op: op.to_owned(), mine, theirs, rank })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_returned_only_behind_the_same_signature() {
        assert_eq!(same("gather", "gather", b"gather\0\x00\x01".to_vec(), 1).unwrap(), vec![0, 1]);
        let error = same("sum", "Float [4]", b"Float [8]\0".to_vec(), 3).unwrap_err();
        let expected = "ranks disagree on `sum`: rank 3 has `Float [8]`, this rank has `Float [4]`";
        assert_eq!(error.to_string(), expected);
    }

    /// Rank 0 of three on a store of its own, after everybody joined.
    fn first_of_three() -> (Store, Roster) {
        let store = Store::listen([127, 0, 0, 1].into(), Duration::from_secs(60)).unwrap();
        let timeout = Duration::from_millis(100);
        let (prefix, next, server) = ("try-1".to_owned(), Cell::new(7), Cell::new(Some(0)));
        let roster = Roster { store: store.clone(), prefix, rank: 0, world_size: 3, timeout, next, server };
        (store, roster)
    }

    fn missing(result: Result<Vec<Vec<u8>>, Error>) -> Vec<u32> {
        match result {
            Err(Error::Timeout { missing, .. }) => missing.0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rank_that_failed_before_an_agreement_and_lives_is_not_the_missing_one() {
        let (store, roster) = first_of_three();
        // The operation before failed rank 1 because of rank 2, and let this one pass.
        store.set(&roster.key("roll", 1), b"").unwrap();
        assert_eq!(missing(roster.exchange("sum", "sum", b"", roster.timeout)), [2]);
    }

    #[test]
    fn living_ranks_that_do_not_come_are_named_if_nobody_is_dead() {
        let (store, roster) = first_of_three();
        for rank in [1, 2] {
            store.set(&roster.key("roll", rank), b"").unwrap();
        }
        store.set(&roster.key("agree/7", 1), b"sum\0").unwrap();
        assert_eq!(missing(roster.exchange("sum", "sum", b"", roster.timeout)), [2]);
    }

    #[test]
    fn a_rank_that_waits_at_the_next_agreement_is_alive() {
        let (store, roster) = first_of_three();
        store.set(&roster.key("agree/7", 1), b"sum\0").unwrap();
        assert_eq!(roster.roll_call().0, [2]);
    }
}
