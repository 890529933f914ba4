//! A small cache that forgets what was used longest ago: loaded models are large, so only a few may stay.

/// At most `capacity` values; the most recently used stands last.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    capacity: usize,
    entries: Vec<(K, V)>,
}

impl<K: PartialEq, V> Recent<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, entries: Vec::with_capacity(capacity) }
    }

    /// Keeps at most so many from now on. What is beyond that goes when something else comes, not before.
    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Whether `key` is there.
    pub(super) fn holds(&self, key: &K) -> bool {
        self.entries.iter().any(|(known, _)| known == key)
    }

    /// All values, the one used longest ago first.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// Takes out what was used longest ago, if nothing more would fit. Called again until it gives nothing, it leaves room for one more.
    pub(super) fn make_room(&mut self) -> Option<(K, V)> {
        (!self.entries.is_empty() && self.entries.len() >= self.capacity).then(|| self.entries.remove(0))
    }

    /// The value of `key`, made by `make` if it is not there. What was used longest ago is dropped before `make` runs, so
    /// that the old and the new one are never both in memory beyond the capacity.
    pub(super) fn get_or_make<E>(&mut self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<&mut V, E> {
        match self.entries.iter().position(|(k, _)| *k == key) {
            Some(place) => {
                let entry = self.entries.remove(place);
                self.entries.push(entry);
            }
            None => {
                while self.make_room().is_some() {}
                let value = make()?;
                self.entries.push((key, value));
            }
        }
        let last = self.entries.len() - 1;
        Ok(&mut self.entries[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_used_longest_ago_makes_room() {
        let mut cache = Recent::new(2);
        let mut made = Vec::new();
        for key in ["a", "b", "a", "c", "a", "b"] {
            let value = cache.get_or_make(key, || {
                made.push(key);
                Ok::<_, ()>(key.to_uppercase())
            });
            assert_eq!(value.unwrap(), &key.to_uppercase());
        }
        assert_eq!(made, ["a", "b", "c", "b"], "`a` was used before `c` came, so `b` went");
    }

    #[test]
    fn a_smaller_capacity_takes_effect_when_something_else_comes() {
        let mut cache = Recent::new(1);
        cache.set_capacity(3);
        for key in ["a", "b", "c"] {
            cache.get_or_make(key, || Ok::<_, ()>(())).unwrap();
        }
        cache.set_capacity(2);
        assert!(["a", "b", "c"].iter().all(|key| cache.holds(key)), "nothing else has come");
        cache.get_or_make("d", || Ok::<_, ()>(())).unwrap();
        assert_eq!(["a", "b", "c", "d"].map(|key| cache.holds(&key)), [false, false, true, true]);
    }

    #[test]
    fn a_failed_make_leaves_nothing_behind() {
        let mut cache: Recent<&str, u32> = Recent::new(1);
        assert_eq!(cache.get_or_make("a", || Err("no")), Err("no"));
        assert_eq!(cache.get_or_make("a", || Ok::<_, &str>(7)), Ok(&mut 7));
    }
}
