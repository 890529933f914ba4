//! The places of a worker: each holds one attempt or one rank. Decides what starts, what waits and what is refused; it
//! starts and stops nothing itself.
//!
//! A place that was told to stop, or whose work said its last word, stays taken until the work has confirmed that it ended. New work that comes meanwhile
//! waits for that place; work beyond the places is refused, for the coordinator counts slots too and must be wrong.

use std::collections::{BTreeMap, VecDeque};

use galapagos_domain::fence::FencingToken;

/// What holds a place: an attempt (`rank` is `None`) or a rank of a round's try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub token: FencingToken,
    pub rank: Option<u32>,
}

impl Key {
    /// The key of an attempt.
    #[must_use]
    pub fn attempt(token: FencingToken) -> Self {
        Self { token, rank: None }
    }

    /// The key of a rank.
    #[must_use]
    pub fn rank(token: FencingToken, rank: u32) -> Self {
        Self { token, rank: Some(rank) }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rank {
            None => write!(f, "attempt {}", self.token),
            Some(rank) => write!(f, "rank {rank} of try {}", self.token),
        }
    }
}

/// What becomes of new work.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission<W> {
    /// A place is free: start it now.
    Start(W),
    /// A place is being cleared; [`Slots::ended`] hands the work out.
    Waits,
    /// It is here already: a repeated message.
    Known,
    /// There is no place; these hold them.
    Refused { holders: Vec<Key> },
}

/// What becomes of work that is told to stop.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop<W> {
    /// It runs: stop it now, and say when it ended.
    Now,
    /// It only waited, and is gone.
    Dropped(W),
    /// It is not here, or was told before.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Working,
    Stopping,
}

/// The places, and the work that waits for one.
#[derive(Debug)]
pub struct Slots<W> {
    capacity: usize,
    taken: BTreeMap<Key, Place>,
    waiting: VecDeque<(Key, W)>,
}

impl<W> Slots<W> {
    /// `capacity` free places.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self { capacity: capacity as usize, taken: BTreeMap::new(), waiting: VecDeque::new() }
    }

    /// Decides on new work.
    pub fn admit(&mut self, key: Key, work: W) -> Admission<W> {
        if self.holds(key) {
            return Admission::Known;
        }
        if self.taken.len() < self.capacity {
            self.taken.insert(key, Place::Working);
            return Admission::Start(work);
        }
        let stopping = self.taken.values().filter(|place| **place == Place::Stopping).count();
        if self.waiting.len() < stopping {
            self.waiting.push_back((key, work));
            return Admission::Waits;
        }
        Admission::Refused { holders: self.taken.keys().copied().collect() }
    }

    /// Marks work as told to stop; work that only waits is dropped.
    pub fn stop(&mut self, key: Key) -> Stop<W> {
        if let Some(at) = self.waiting.iter().position(|(waiting, _)| *waiting == key) {
            return self.waiting.remove(at).map_or(Stop::Nothing, |(_, work)| Stop::Dropped(work));
        }
        match self.taken.get_mut(&key) {
            Some(place) if *place == Place::Working => {
                *place = Place::Stopping;
                Stop::Now
            }
            Some(_) | None => Stop::Nothing,
        }
    }

    /// The work said its last word and is about to end: who hears of it may send the next work before it has.
    pub fn clear(&mut self, key: Key) {
        if let Some(place) = self.taken.get_mut(&key) {
            *place = Place::Stopping;
        }
    }

    /// The work confirmed that it ended: its place is free, and taken by what waited longest.
    pub fn ended(&mut self, key: Key) -> Option<(Key, W)> {
        self.taken.remove(&key)?;
        let (next, work) = self.waiting.pop_front()?;
        self.taken.insert(next, Place::Working);
        Some((next, work))
    }

    /// Whether the work is here, running or waiting.
    #[must_use]
    pub fn holds(&self, key: Key) -> bool {
        self.taken.contains_key(&key) || self.waiting.iter().any(|(waiting, _)| *waiting == key)
    }

    /// Whether the work runs and was not told to stop.
    #[must_use]
    pub fn works(&self, key: Key) -> bool {
        self.taken.get(&key) == Some(&Place::Working)
    }

    /// Everything here, running or waiting, in order of token.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.taken.keys().chain(self.waiting.iter().map(|(key, _)| key)).copied().collect();
        keys.sort_unstable();
        keys
    }

    /// Whether nothing runs and nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(token: u64) -> Key {
        Key::attempt(FencingToken(token))
    }

    #[test]
    fn work_beyond_the_places_is_refused_and_names_the_holders() {
        let mut slots = Slots::new(2);
        assert_eq!(slots.admit(key(1), 'a'), Admission::Start('a'));
        assert_eq!(slots.admit(Key::rank(FencingToken(2), 1), 'b'), Admission::Start('b'));
        assert_eq!(
            slots.admit(key(3), 'c'),
            Admission::Refused { holders: vec![key(1), Key::rank(FencingToken(2), 1)] }
        );
        assert_eq!(slots.admit(key(1), 'a'), Admission::Known);
    }

    #[test]
    fn a_place_is_free_only_when_its_work_confirmed() {
        let mut slots = Slots::new(1);
        slots.admit(key(1), 'a');
        assert_eq!(slots.stop(key(1)), Stop::Now);
        assert_eq!(slots.stop(key(1)), Stop::Nothing, "a second stop has nothing to do");
        assert_eq!(slots.admit(key(2), 'b'), Admission::Waits);
        assert!(matches!(slots.admit(key(3), 'c'), Admission::Refused { .. }), "one place, one waiter");
        assert_eq!(slots.ended(key(1)), Some((key(2), 'b')));
        assert!(slots.works(key(2)));
        assert_eq!(slots.ended(key(2)), None);
        assert!(slots.is_empty());
    }

    #[test]
    fn work_may_wait_for_a_place_whose_work_said_its_last_word() {
        let mut slots = Slots::new(1);
        slots.admit(key(1), 'a');
        slots.clear(key(1));
        assert_eq!(slots.admit(key(2), 'b'), Admission::Waits);
        assert_eq!(slots.stop(key(1)), Stop::Nothing, "it ends by itself");
        assert_eq!(slots.ended(key(1)), Some((key(2), 'b')));
    }

    #[test]
    fn waiting_work_that_is_stopped_never_starts() {
        let mut slots = Slots::new(1);
        slots.admit(key(1), 'a');
        slots.stop(key(1));
        slots.admit(key(2), 'b');
        assert_eq!(slots.stop(key(2)), Stop::Dropped('b'));
        assert_eq!(slots.ended(key(1)), None);
    }

    proptest! {
        /// Invariant `no_place_is_taken_twice`: never more running than places, and each piece of work starts once.
        #[test]
        fn no_place_is_taken_twice(events in prop::collection::vec((0..3u8, 0..6u64), 0..60), capacity in 1..4u32) {
            let mut slots = Slots::new(capacity);
            let mut running = std::collections::BTreeSet::new();
            for (event, token) in events {
                let key = key(token);
                match event {
                    0 => if let Admission::Start(()) = slots.admit(key, ()) {
                        prop_assert!(running.insert(key), "{key} started twice");
                    },
                    1 => prop_assert!(slots.stop(key) != Stop::Now || running.contains(&key)),
                    _ => {
                        let next = slots.ended(key);
                        running.remove(&key);
                        if let Some((next, ())) = next {
                            prop_assert!(running.insert(next), "{next} started twice");
                        }
                    }
                }
                prop_assert!(running.len() <= capacity as usize);
            }
        }
    }
}
