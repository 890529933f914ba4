//! Medians, extremes and ratios of repeated measurements.

/// The middle value, or the mean of the two middle ones; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The least value; `None` of nothing.
#[must_use]
pub fn least(values: &[f64]) -> Option<f64> {
    values.iter().copied().min_by(f64::total_cmp)
}

/// Mean share of each pair's tokens before the first that differs; 1 when all pairs are equal, `None` of nothing.
#[must_use]
pub fn agreement(ours: &[Vec<u32>], theirs: &[Vec<u32>]) -> Option<f64> {
    if ours.len() != theirs.len() || ours.is_empty() {
        return None;
    }
    let share = |(ours, theirs): (&Vec<u32>, &Vec<u32>)| {
        let equal = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
        equal as f64 / ours.len().max(theirs.len()).max(1) as f64
    };
    Some(ours.iter().zip(theirs).map(share).sum::<f64>() / ours.len() as f64)
}

/// Mean and largest absolute difference; `None` where the shapes differ, a value is not finite, or there is none.
#[must_use]
pub fn difference(ours: &[Vec<f32>], theirs: &[Vec<f32>]) -> Option<(f64, f64)> {
    if ours.len() != theirs.len() || ours.iter().zip(theirs).any(|(a, b)| a.len() != b.len()) {
        return None;
    }
    let all = ours.iter().flatten().zip(theirs.iter().flatten());
    let gaps: Vec<f64> = all.map(|(a, b)| f64::from((a - b).abs())).collect();
    if gaps.is_empty() || gaps.iter().any(|gap| !gap.is_finite()) {
        return None;
    }
    Some((gaps.iter().sum::<f64>() / gaps.len() as f64, gaps.iter().copied().fold(0.0, f64::max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_sorted_values() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(least(&[4.0, 1.0, 3.0]), Some(1.0));
    }

    #[test]
    fn agreement_ends_at_the_first_different_token() {
        assert_eq!(agreement(&[vec![1, 2, 3, 4]], &[vec![1, 2, 9, 4]]), Some(0.5));
        assert_eq!(agreement(&[vec![1], vec![1]], &[vec![1], vec![2]]), Some(0.5));
        assert_eq!(agreement(&[vec![1, 2]], &[vec![1]]), Some(0.5));
        assert_eq!(agreement(&[], &[]), None);
        assert_eq!(agreement(&[vec![1]], &[]), None);
    }

    #[test]
    fn differences_are_of_equal_shapes_and_finite_numbers_only() {
        assert_eq!(difference(&[vec![1.0, 2.0]], &[vec![1.5, 2.0]]), Some((0.25, 0.5)));
        assert_eq!(difference(&[vec![1.0]], &[vec![1.0, 2.0]]), None);
        assert_eq!(difference(&[vec![f32::NAN]], &[vec![1.0]]), None);
        assert_eq!(difference(&[], &[]), None);
    }
}
