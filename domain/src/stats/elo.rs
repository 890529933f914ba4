//! Elo differences: the logistic scale between expected scores and ratings.

use super::interval::Interval;
use super::student::t975;
use super::{Pentanomial, moments};

/// Expected score of a side that is `elo` stronger: 1 / (1 + 10^(-elo/400)).
#[must_use]
pub fn expected_score(elo: f64) -> f64 {
    1.0 / (1.0 + 10f64.powf(-elo / 400.0))
}

/// The difference that gives `score`, which lies strictly between 0 and 1.
#[must_use]
pub fn difference(score: f64) -> f64 {
    400.0 * (score / (1.0 - score)).log10()
}

/// The challenger's Elo minus the holder's, with Student's 95% interval over mirrored pairs carried to the Elo scale.
/// `None` below two pairs and for a score of 0 or 1, where no difference fits. Ends beyond the scale are put at the score
/// of an eighth of a half point from 0 or 1.
#[must_use]
pub fn elo95(pentanomial: &Pentanomial) -> Option<Interval> {
    let (pairs, mean, squares) = moments(pentanomial)?;
    if pairs < 2.0 || mean <= 0.0 || mean >= 1.0 {
        return None;
    }
    let half = t975(pairs as u64 - 1) * (squares / (pairs - 1.0) / pairs).sqrt();
    let edge = 1.0 / (32.0 * pairs);
    let at = |score: f64| difference(score.clamp(edge, 1.0 - edge));
    Some(Interval { mean: difference(mean), low: at(mean - half), high: at(mean + half) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_has_its_known_points() {
        assert!((expected_score(0.0) - 0.5).abs() < 1e-12);
        assert!((expected_score(400.0) - 10.0 / 11.0).abs() < 1e-12);
        assert!((difference(expected_score(-37.0)) + 37.0).abs() < 1e-9);
    }

    /// By hand: 10 pairs, mean 0.625, unbiased variance of the pair score 0.0625 * 10 / 9, t(9) = 2.262157.
    #[test]
    fn the_interval_is_students_on_the_score_scale() {
        let elo = elo95(&[0, 2, 3, 3, 2]).unwrap();
        let mean: f64 = (2.0 * 0.25 + 3.0 * 0.5 + 3.0 * 0.75 + 2.0) / 10.0;
        let squares: f64 = 2.0 * (0.25 - mean).powi(2)
            + 3.0 * (0.5 - mean).powi(2)
            + 3.0 * (0.75 - mean).powi(2)
            + 2.0 * (1.0 - mean).powi(2);
        let half = 2.262_157_163 * (squares / 9.0 / 10.0).sqrt();
        assert!((elo.mean - difference(mean)).abs() < 1e-9);
        assert!((elo.low - difference(mean - half)).abs() < 1e-6 && (elo.high - difference(mean + half)).abs() < 1e-6);
    }

    #[test]
    fn what_cannot_be_estimated_is_absent_and_never_infinite() {
        assert_eq!(elo95(&[0, 0, 0, 0, 5]), None);
        assert_eq!(elo95(&[0, 0, 1, 0, 0]), None);
        let wide = elo95(&[1, 0, 0, 0, 1]).unwrap();
        assert!(wide.low.is_finite() && wide.high.is_finite() && wide.low < 0.0 && wide.high > 0.0);
    }
}
