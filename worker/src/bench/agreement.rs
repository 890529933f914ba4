//! How far two sides computed the same thing.

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
