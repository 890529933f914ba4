//! What expressions look like: options with their ranges, and how long texts of a shape may be.

use serde::{Deserialize, Serialize};

use super::super::shape::{ShapeFault, digits, range};

/// What instances look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Fewest and most numbers, 2 to 6.
    pub count: (u32, u32),
    /// Fewest and most digits of a number, 1 to 9.
    pub digits: (u32, u32),
    /// Whether a number may be multiplied by 2 to 9.
    pub products: bool,
}

impl Shape {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self { count: (2, 4), digits: (3, 5), products: true };

    /// What is out of range.
    pub(in super::super) fn faults(self) -> Vec<ShapeFault> {
        let faults = [range("count", self.count, &(2..=6)), range("digits", self.digits, &(1..=9))];
        faults.into_iter().flatten().collect()
    }

    /// The shape, or the default if it is out of range.
    pub(in super::super) fn or_default(self) -> Self {
        if self.faults().is_empty() { self } else { Self::DEFAULT }
    }

    /// Characters of the longest line that a working may be begun with.
    pub(in super::super) fn longest_line(self) -> u32 {
        let Self { count: (_, count), digits: (_, long), products } = self.or_default();
        let most = u64::from(count) * 10u64.pow(long) * if products { 9 } else { 1 };
        // Wrong results may be larger than right ones, by a digit at most, and have a sign.
        3 * (digits(most) + 2) + 6
    }

    /// Characters of the longest expression, and of the longest working behind its space.
    pub(in super::super) fn longest(self) -> (u32, u32) {
        let Self { count: (fewest, count), digits: (_, long), products } = self.or_default();
        let of_count = |count| terms(count, products).map(|factors| working(&factors, long)).max().unwrap_or(0);
        (count * long + 3 * (count - 1), (fewest..=count).map(of_count).max().unwrap_or(0))
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Which terms of a sum of `count` numbers are products of two: every way there is.
fn terms(count: u32, products: bool) -> impl Iterator<Item = Vec<bool>> {
    (0..=if products { count / 2 } else { 0 }).flat_map(move |pairs| {
        let terms = count - pairs;
        let ways = (0u32..1 << terms).filter(move |way| way.count_ones() == pairs);
        ways.map(move |way| (0..terms).map(|term| way >> term & 1 == 1).collect())
    })
}

/// The longest working of a sum of such terms, products first, with numbers of `long` digits; no result grows longer by a minus.
fn working(is_product: &[bool], long: u32) -> u32 {
    let most = 10u64.pow(long) - 1;
    let term = |product: bool| if product { 9 * most } else { most };
    let line = |a: u64, b: u64, c: u64| digits(a) + digits(b) + digits(c) + 6;
    let products = is_product.iter().filter(|product| **product).count() as u32 * line(most, 9, 9 * most);
    let (mut sum, mut sums) = (term(is_product[0]), 0);
    for product in &is_product[1..] {
        sums += line(sum, term(*product), sum + term(*product));
        sum += term(*product);
    }
    let lines = is_product.iter().filter(|product| **product).count() as u32 + is_product.len() as u32 - 1;
    products + sums + lines.saturating_sub(1)
}
