//! Statistics that decide or are shown: intervals, pass@k, Elo, and the sequential test behind a promotion.
//!
//! All functions are deterministic and total: where a value cannot be estimated they return `None` or the whole range,
//! never NaN or infinity, since every result becomes JSON.

pub mod elo;
pub mod interval;
pub mod pass_at_k;
pub mod sprt;
pub mod student;

pub use elo::elo95;
pub use interval::{Interval, mean95, wilson95};
pub use pass_at_k::pass_at_k;
pub use sprt::{Conclusion, Sprt};

/// Mirrored pairs counted by the challenger's half points in the pair, 0 to 4.
pub type Pentanomial = [u64; 5];

/// Pairs, mean score of the challenger (0 to 1) and sum of squared deviations from it; `None` without pairs.
fn moments(pentanomial: &Pentanomial) -> Option<(f64, f64, f64)> {
    let pairs: u64 = pentanomial.iter().sum();
    if pairs == 0 {
        return None;
    }
    let pairs = pairs as f64;
    let scored = || pentanomial.iter().zip([0.0, 0.25, 0.5, 0.75, 1.0]).map(|(count, score)| (*count as f64, score));
    let mean = scored().map(|(count, score)| count * score).sum::<f64>() / pairs;
    let squares = scored().map(|(count, score)| count * (score - mean) * (score - mean)).sum();
    Some((pairs, mean, squares))
}
