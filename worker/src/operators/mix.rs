//! `mix`: records of other datasets behind those at hand, in exact proportion: as many as fit, each drawn at random by seed without
//! replacement, in the order of their dataset.

use galapagos_domain::recipe::curate::Mix;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Trajectory;

use super::error::OperatorError;
use super::sample::{at, choose};
use super::stage::{Fate, Records, Sources, Whole};

/// Counts the records at hand, then draws.
pub(super) struct Mixed<'a> {
    mix: &'a Mix,
    seed: Seed,
    sources: &'a dyn Sources,
    seen: usize,
    own: Vec<bool>,
    /// How many of each other dataset, in order.
    others: Vec<usize>,
}

impl<'a> Mixed<'a> {
    pub(super) fn new(mix: &'a Mix, seed: Seed, sources: &'a dyn Sources) -> Self {
        Self { mix, seed, sources, seen: 0, own: Vec::new(), others: Vec::new() }
    }
}

/// How many of `own` and of each other dataset: the most that stand in the ratios to one another.
fn shares(own: usize, others: &[(u64, f64)]) -> (usize, Vec<usize>) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by a length, and not negative"
    )]
    let whole = |number: f64| (number + 1e-9).floor() as usize;
    let most = others.iter().map(|(rows, ratio)| whole(*rows as f64 / ratio)).fold(own, usize::min);
    (most, others.iter().map(|(_, ratio)| whole(most as f64 * ratio)).collect())
}

impl<'a> Whole<'a> for Mixed<'a> {
    fn see(&mut self, _: &Trajectory) -> Result<(), OperatorError> {
        self.seen += 1;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), OperatorError> {
        let sizes: Result<Vec<_>, OperatorError> =
            self.mix.with.iter().map(|(name, ratio)| Ok((self.sources.dataset(name)?.0, *ratio))).collect();
        let (own, others) = shares(self.seen, &sizes?);
        self.own = choose(self.seen, own, self.seed.derive("own"));
        self.others = others;
        Ok(())
    }

    fn give(&mut self, number: u64, record: Trajectory) -> Result<Fate, OperatorError> {
        Ok(if self.own.get(at(number)) == Some(&true) { Fate::Kept(record) } else { Fate::Dropped })
    }

    fn more(&mut self) -> Result<Records<'a>, OperatorError> {
        let mut all: Records<'a> = Box::new(std::iter::empty());
        for (name, take) in self.mix.with.keys().zip(&self.others) {
            let (rows, records) = self.sources.dataset(name)?;
            let drawn = choose(at(rows), *take, self.seed.derive(&format!("with/{name}")));
            // An error is always given on, drawn or not.
            let chosen = records.zip(drawn).filter(|(record, drawn)| *drawn || record.is_err());
            all = Box::new(all.chain(chosen.map(|(record, _)| record)));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_that_keep_the_ratios() {
        assert_eq!(shares(10, &[(100, 0.5)]), (10, vec![5]));
        assert_eq!(shares(10, &[(3, 0.5)]), (6, vec![3]));
        assert_eq!(shares(10, &[(100, 2.0), (4, 0.5)]), (8, vec![16, 4]));
        assert_eq!(shares(10, &[(0, 0.5)]), (0, vec![0]));
        assert_eq!(shares(30, &[(9, 0.3)]), (30, vec![9]));
    }
}
