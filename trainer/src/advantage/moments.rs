//! Mean and standard deviation of values that several ranks hold parts of, and whitening with them. The three sums add
//! up over ranks; who adds them is not known here.

use std::ops::Add;

use super::AdvantageError;
use super::error::{addend, finite, length};

/// Count, sum and sum of squares. Moments of the whole are the moments of the parts added: `a + b`, or each field
/// summed over ranks, in f64.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    /// A whole number; f64 so that one reduction takes all three.
    pub count: f64,
    pub sum: f64,
    pub sum_of_squares: f64,
}

impl Add for Moments {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            sum_of_squares: self.sum_of_squares + other.sum_of_squares,
        }
    }
}

impl Moments {
    /// The moments of the values that count; all do without `counted`. Others are not read.
    ///
    /// # Errors
    /// If `counted` has another length, or a value that counts or a sum is not finite.
    pub fn of(values: &[f64], counted: Option<&[bool]>) -> Result<Self, AdvantageError> {
        if let Some(counted) = counted {
            length("marks of what counts", counted.len(), values.len())?;
        }
        finite("value", values, counted)?;
        let counts = |index: usize| counted.is_none_or(|counted| counted[index]);
        let values = values.iter().enumerate().filter(|&(index, _)| counts(index)).map(|(_, &value)| value);
        let one = |value| Self { count: 1.0, sum: value, sum_of_squares: value * value };
        let moments = values.map(one).fold(Self::default(), Self::add);
        finite("sum of squares", &[moments.sum_of_squares], None)?;
        Ok(moments)
    }

    /// Refuses moments that cannot be of these values, among others.
    pub(super) fn cover(self, values: f64) -> Result<(), AdvantageError> {
        finite("moment", &[self.count, self.sum, self.sum_of_squares], None)?;
        let Self { count, .. } = self;
        if values <= count { Ok(()) } else { Err(AdvantageError::Moments { count, values }) }
    }

    /// 0 of no values.
    #[must_use]
    pub fn mean(self) -> f64 {
        if self.count > 0.0 { self.sum / self.count } else { 0.0 }
    }

    /// The standard deviation, divided by `count - 1`. 0 of fewer than two values, and where the sums cannot tell it
    /// from 0: their difference is then rounding.
    #[must_use]
    pub fn std(self) -> f64 {
        let squares = self.sum_of_squares - self.sum * self.mean();
        let rounding = 4.0 * f64::EPSILON * self.count * self.sum_of_squares;
        if self.count > 1.0 && squares > rounding { (squares / (self.count - 1.0)).sqrt() } else { 0.0 }
    }
}

/// Options of [`whiten`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whiten {
    /// Whether the mean is taken off; without, only the spread changes and each value keeps its sign.
    pub centre: bool,
    /// Added to the standard deviation; at least 0.
    pub eps: f64,
}

/// `(value - mean) / (std + eps)` of each value that counts, 0 of each that does not. All are 0 if the standard
/// deviation is, because values without spread carry no signal and to divide by `eps` alone would make rounding huge.
///
/// `moments`: of the values that count, over all ranks.
///
/// # Errors
/// If lengths differ, `eps` is negative or not finite, the moments are of fewer values than count here, or a value that
/// counts, a moment or a result is not finite.
pub fn whiten(
    values: &[f64],
    counted: Option<&[bool]>,
    moments: Moments,
    options: Whiten,
) -> Result<Vec<f64>, AdvantageError> {
    let own = Moments::of(values, counted)?;
    addend("eps", options.eps)?;
    moments.cover(own.count)?;
    let std = moments.std();
    let centre = if options.centre { moments.mean() } else { 0.0 };
    let factor = if std > 0.0 { (std + options.eps).recip() } else { 0.0 };
    let counts = |index: usize| counted.is_none_or(|counted| counted[index]);
    let one = |(index, value): (usize, &f64)| if counts(index) { (value - centre) * factor } else { 0.0 };
    let out: Vec<f64> = values.iter().enumerate().map(one).collect();
    finite("whitened value", &out, None)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Vec<(f64, bool)>> {
        proptest::collection::vec((-3.0..3.0f64, prop::bool::weighted(0.8)), 0..40)
    }

    fn mean_and_std(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
    }

    proptest! {
        #[test]
        fn ranks_that_add_their_moments_whiten_as_one(items in values(), at: prop::sample::Index, centre: bool) {
            let (values, counted): (Vec<f64>, Vec<bool>) = items.iter().copied().unzip();
            let cut = at.index(values.len() + 1);
            let parts = [0..cut, cut..values.len()];
            let moments = parts.clone().map(|p| Moments::of(&values[p.clone()], Some(&counted[p])).unwrap());
            let all = moments[0] + moments[1];
            let options = Whiten { centre, eps: 1e-8 };
            let found: Vec<f64> = parts
                .into_iter()
                .flat_map(|p| whiten(&values[p.clone()], Some(&counted[p]), all, options).unwrap())
                .collect();
            let kept: Vec<f64> = items.iter().filter(|item| item.1).map(|item| item.0).collect();
            prop_assert_eq!(all.count, kept.len() as f64);
            let (mean, std) = mean_and_std(&kept);
            for (found, (value, counts)) in found.into_iter().zip(items) {
                let centre = if centre { mean } else { 0.0 };
                let wanted = if counts && kept.len() > 1 { (value - centre) / (std + 1e-8) } else { 0.0 };
                prop_assert!((found - wanted).abs() < 1e-9, "{found} is not {wanted}");
            }
        }

        #[test]
        fn values_without_spread_become_zero(value in -1e6..1e6f64, n in 0..200usize) {
            let values = vec![value; n];
            let moments = Moments::of(&values, None).unwrap();
            let options = Whiten { centre: true, eps: 0.0 };
            prop_assert_eq!(whiten(&values, None, moments, options).unwrap(), vec![0.0; n]);
        }
    }

    #[test]
    fn wrong_arguments_are_named() {
        let moments = Moments::of(&[1.0, 2.0], None).unwrap();
        let options = Whiten { centre: true, eps: 0.0 };
        let text = |found: Result<Vec<f64>, AdvantageError>| found.unwrap_err().to_string();
        assert_eq!(text(whiten(&[0.0, f64::NAN], None, moments, options)), "value 1 is NaN; it must be finite");
        assert_eq!(
            text(whiten(&[0.0], None, Moments::default(), options)),
            "moments of 0 values cannot scale 1 values; they must be of all values that count, over all ranks"
        );
        assert!(whiten(&[f64::NAN], Some(&[false]), Moments::default(), options).is_ok());
        let wrong = Moments { sum: f64::NAN, ..moments };
        assert_eq!(text(whiten(&[0.0], None, wrong, options)), "moment 1 is NaN; it must be finite");
        let wrong = Whiten { eps: f64::NAN, ..options };
        assert_eq!(
            text(whiten(&[0.0], None, moments, wrong)),
            "the option `eps` is NaN; it must be finite and at least 0"
        );
        assert!(text(whiten(&[0.0], Some(&[]), moments, options)).starts_with("there are 0 marks"));
        let found = Moments::of(&[f64::MAX], None).unwrap_err().to_string();
        assert_eq!(found, "sum of squares 0 is inf; it must be finite");
    }
}
