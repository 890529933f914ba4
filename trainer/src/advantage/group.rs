//! Advantages of whole answers from one reward each, where several answers to the same task form a group. A baseline is
//! taken off, then the result may be scaled; any of the first goes with any of the second.

use std::collections::BTreeMap;

use super::error::{addend, finite, length};
use super::{AdvantageError, Moments};

/// The answers of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    pub rewards: &'a [f64],
    /// The group of each answer: any numbers, in any order.
    pub groups: &'a [usize],
    /// Whether each answer counts; all do without it. The reward of one that does not is not read, so it may be NaN.
    pub counted: Option<&'a [bool]>,
}

/// What is taken off each reward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Baseline<'a> {
    /// Nothing (Williams, 1992).
    None,
    /// The mean of the group, the answer itself included (GRPO, Shao et al., 2024).
    GroupMean,
    /// The mean of the others in the group, which leaves the gradient unbiased (RLOO, Kool et al., 2019; Ahmadian et
    /// al., 2024): `n / (n - 1)` times the advantage by [`Self::GroupMean`].
    LeaveOneOut,
    /// One for each answer, from elsewhere: a critic, or the reward of the greedy answer (Le et al., `CodeRL`, 2022).
    Given(&'a [f64]),
}

/// What the difference is divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Nothing, so that easy and hard tasks weigh alike (Dr. GRPO, Liu et al., 2025).
    None,
    /// The standard deviation of the group's rewards plus `eps` (GRPO).
    GroupStd { eps: f64 },
    /// The standard deviation of all rewards of the batch plus `eps`; `rewards` are the moments of the rewards that
    /// count, over all ranks.
    BatchStd { rewards: Moments, eps: f64 },
}

/// One advantage for each answer, and how many groups had nothing to compare.
#[derive(Debug, Clone, PartialEq)]
pub struct Advantages {
    /// 0 for an answer that does not count.
    pub values: Vec<f64>,
    /// Groups with one answer that counts.
    pub lone: usize,
    /// Groups of several answers that count, all with the same reward.
    pub flat: usize,
}

/// The advantages of a batch: `(reward - baseline) / (scale + eps)`. Standard deviations divide by `n - 1`.
///
/// A group none of whose answers counts is as if it were not there. In a group of one, [`Baseline::GroupMean`] and
/// [`Baseline::LeaveOneOut`] give 0: there is nothing to compare with, and an answer that lost its siblings to broken
/// verifiers must not stop a round; `lone` tells how many there were. A group whose rewards are all equal gets exactly
/// 0 from the same two baselines. Where a standard deviation is 0 or, of a single reward, undefined, the advantage is 0
/// with any baseline, because to divide by `eps` alone would make it huge.
///
/// # Errors
/// If slices differ in length, a reward that counts or a given baseline for it is not finite, `eps` is negative or not
/// finite, the moments of a batch are not finite or of fewer values than count here, or an advantage overflows.
pub fn advantages(samples: Samples<'_>, baseline: Baseline<'_>, scale: Scale) -> Result<Advantages, AdvantageError> {
    let Samples { rewards, groups, counted } = samples;
    length("groups", groups.len(), rewards.len())?;
    if let Some(counted) = counted {
        length("marks of what counts", counted.len(), rewards.len())?;
    }
    finite("reward", rewards, counted)?;
    if let Baseline::Given(given) = baseline {
        length("given baselines", given.len(), rewards.len())?;
        finite("given baseline", given, counted)?;
    }
    if let Scale::GroupStd { eps } | Scale::BatchStd { eps, .. } = scale {
        addend("eps", eps)?;
    }
    if let Scale::BatchStd { rewards: moments, .. } = scale {
        moments.cover(Moments::of(rewards, counted)?.count)?;
    }

    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, &group) in groups.iter().enumerate() {
        if counted.is_none_or(|counted| counted[index]) {
            members.entry(group).or_default().push(index);
        }
    }
    let mut out = Advantages { values: vec![0.0; rewards.len()], lone: 0, flat: 0 };
    for members in members.values() {
        let group = Group::of(&members.iter().map(|&index| rewards[index]).collect::<Vec<_>>());
        out.lone += usize::from(members.len() == 1);
        out.flat += usize::from(members.len() > 1 && group.flat);
        let factor = group.factor(scale);
        for &index in members {
            let given = if let Baseline::Given(given) = baseline { given[index] } else { 0.0 };
            let difference = match baseline {
                Baseline::None | Baseline::Given(_) => rewards[index] - given,
                Baseline::GroupMean | Baseline::LeaveOneOut if group.flat => 0.0,
                Baseline::GroupMean => rewards[index] - group.sum / group.count,
                Baseline::LeaveOneOut => rewards[index] - (group.sum - rewards[index]) / (group.count - 1.0),
            };
            out.values[index] = difference * factor;
        }
    }
    finite("advantage", &out.values, None)?;
    Ok(out)
}

/// The rewards of one group.
struct Group {
    count: f64,
    sum: f64,
    std: f64,
    /// All equal, or only one.
    flat: bool,
}

impl Group {
    fn of(rewards: &[f64]) -> Self {
        let count = rewards.len() as f64;
        let sum: f64 = rewards.iter().sum();
        let flat = rewards.windows(2).all(|pair| pair[0] == pair[1]);
        let squares: f64 = rewards.iter().map(|reward| (reward - sum / count).powi(2)).sum();
        let std = if flat { 0.0 } else { (squares / (count - 1.0)).sqrt() };
        Self { count, sum, std, flat }
    }

    /// What a difference is multiplied by.
    fn factor(&self, scale: Scale) -> f64 {
        let (std, eps) = match scale {
            Scale::None => return 1.0,
            Scale::GroupStd { eps } => (self.std, eps),
            Scale::BatchStd { rewards, eps } => (rewards.std(), eps),
        };
        if std > 0.0 { (std + eps).recip() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Up to 30 answers with rewards of few kinds, so that equal ones are common, in up to 6 groups; some do not count.
    fn batch() -> impl Strategy<Value = (Vec<f64>, Vec<usize>, Vec<bool>)> {
        let one = ((-4..=4i32).prop_map(|n| f64::from(n) * 0.3), 0..6usize, prop::bool::weighted(0.8));
        proptest::collection::vec(one, 0..30).prop_map(|items| {
            let rewards = items.iter().map(|item| item.0).collect();
            (rewards, items.iter().map(|item| item.1).collect(), items.iter().map(|item| item.2).collect())
        })
    }

    fn sums(groups: &[usize], values: &[f64]) -> BTreeMap<usize, f64> {
        let mut sums = BTreeMap::new();
        for (&group, value) in groups.iter().zip(values) {
            *sums.entry(group).or_insert(0.0) += value;
        }
        sums
    }

    proptest! {
        #[test]
        fn a_baseline_of_the_group_leaves_each_group_with_sum_zero((rewards, groups, counted) in batch()) {
            let samples = Samples { rewards: &rewards, groups: &groups, counted: Some(&counted) };
            for baseline in [Baseline::GroupMean, Baseline::LeaveOneOut] {
                for scale in [Scale::None, Scale::GroupStd { eps: 1e-6 }] {
                    let found = advantages(samples, baseline, scale).unwrap();
                    prop_assert!(sums(&groups, &found.values).values().all(|sum| sum.abs() < 1e-9));
                }
            }
        }

        #[test]
        fn leave_one_out_is_the_group_mean_stretched((rewards, groups, counted) in batch()) {
            let samples = Samples { rewards: &rewards, groups: &groups, counted: Some(&counted) };
            let mean = advantages(samples, Baseline::GroupMean, Scale::None).unwrap().values;
            let loo = advantages(samples, Baseline::LeaveOneOut, Scale::None).unwrap().values;
            for i in 0..rewards.len() {
                let n = (0..rewards.len()).filter(|&j| groups[j] == groups[i] && counted[j]).count() as f64;
                let wanted = if n > 1.0 { mean[i] * n / (n - 1.0) } else { 0.0 };
                prop_assert!((loo[i] - wanted).abs() < 1e-12);
            }
        }

        #[test]
        fn what_does_not_count_is_not_read_and_gets_zero((mut rewards, groups, counted) in batch(), eps in 0.0..0.1) {
            let scale = Scale::GroupStd { eps };
            let run = |rewards: &[f64]| {
                let samples = Samples { rewards, groups: &groups, counted: Some(&counted) };
                advantages(samples, Baseline::LeaveOneOut, scale).unwrap()
            };
            let before = run(&rewards);
            for (reward, counts) in rewards.iter_mut().zip(&counted) {
                if !counts {
                    *reward = f64::NAN;
                }
            }
            let after = run(&rewards);
            prop_assert_eq!(&before, &after);
            prop_assert!(after.values.iter().zip(&counted).all(|(value, counts)| *counts || *value == 0.0));
            // The same as if only what counts were there.
            let kept = |i: &usize| counted[*i];
            let rewards_kept: Vec<f64> = (0..groups.len()).filter(kept).map(|i| rewards[i]).collect();
            let groups_kept: Vec<usize> = (0..groups.len()).filter(kept).map(|i| groups[i]).collect();
            let samples = Samples { rewards: &rewards_kept, groups: &groups_kept, counted: None };
            let alone = advantages(samples, Baseline::LeaveOneOut, scale).unwrap();
            let values: Vec<f64> = (0..groups.len()).filter(kept).map(|i| after.values[i]).collect();
            prop_assert_eq!(alone, Advantages { values, ..after });
        }

        #[test]
        fn grpo_does_not_see_shift_and_scale_of_rewards(
            (rewards, groups, _) in batch(), shift in -10.0..10.0f64, factor in 0.1..10.0f64,
        ) {
            let run = |rewards: &[f64]| {
                let samples = Samples { rewards, groups: &groups, counted: None };
                advantages(samples, Baseline::GroupMean, Scale::GroupStd { eps: 0.0 }).unwrap().values
            };
            let moved: Vec<f64> = rewards.iter().map(|reward| reward * factor + shift).collect();
            for (before, after) in run(&rewards).into_iter().zip(run(&moved)) {
                prop_assert!((before - after).abs() < 1e-9, "{before} is not {after}");
            }
        }

        #[test]
        fn what_is_not_finite_is_named((mut rewards, groups, counted) in batch(), at: prop::sample::Index) {
            prop_assume!(!rewards.is_empty());
            let index = at.index(rewards.len());
            rewards[index] = f64::INFINITY;
            let samples = Samples { rewards: &rewards, groups: &groups, counted: Some(&counted) };
            let found = advantages(samples, Baseline::None, Scale::None);
            let wanted = AdvantageError::NonFinite { what: "reward", index, value: f64::INFINITY };
            prop_assert_eq!(found.err(), counted[index].then_some(wanted));
        }
    }

    fn run(rewards: &[f64], groups: &[usize], baseline: Baseline<'_>, scale: Scale) -> Advantages {
        advantages(Samples { rewards, groups, counted: None }, baseline, scale).unwrap()
    }

    #[test]
    fn lone_flat_and_live_groups_are_told_apart() {
        let rewards = [1.0, 0.1, 0.1, 0.1, 0.0, 1.0];
        let groups = [7, 3, 3, 3, 5, 5];
        for baseline in [Baseline::GroupMean, Baseline::LeaveOneOut] {
            let found = run(&rewards, &groups, baseline, Scale::None);
            let half = if baseline == Baseline::GroupMean { 0.5 } else { 1.0 };
            assert_eq!(found, Advantages { values: vec![0.0, 0.0, 0.0, 0.0, -half, half], lone: 1, flat: 1 });
        }
        let found = run(&rewards, &groups, Baseline::None, Scale::None);
        assert_eq!(found, Advantages { values: rewards.to_vec(), lone: 1, flat: 1 });
        assert_eq!(run(&[], &[], Baseline::GroupMean, Scale::None), Advantages { values: vec![], lone: 0, flat: 0 });
    }

    #[test]
    fn without_spread_nothing_is_divided_by_eps() {
        let given = [0.0; 5];
        let scale = Scale::GroupStd { eps: 1e-6 };
        let found = run(&[1.0, 1.0, 1.0, 0.0, 4.0], &[0, 1, 1, 2, 2], Baseline::Given(&given), scale);
        assert_eq!(found.values[..4], [0.0; 4]);
        assert!((found.values[4] - 4.0 / (8.0f64.sqrt() + 1e-6)).abs() < 1e-12);
        let scale = Scale::BatchStd { rewards: Moments::of(&[1.0, 1.0], None).unwrap(), eps: 1e-6 };
        assert_eq!(run(&[1.0, 1.0], &[0, 1], Baseline::None, scale).values, [0.0; 2]);
    }

    #[test]
    fn the_batch_scale_is_the_deviation_over_all_ranks() {
        let (here, there) = ([0.0, 1.0], [5.0, 2.0, 2.0]);
        let all = Moments::of(&here, None).unwrap() + Moments::of(&there, None).unwrap();
        let found = run(&here, &[0, 0], Baseline::GroupMean, Scale::BatchStd { rewards: all, eps: 0.5 });
        let std = (14.0f64 / 4.0).sqrt();
        for (found, wanted) in found.values.iter().zip([-0.5, 0.5]) {
            assert!((found - wanted / (std + 0.5)).abs() < 1e-12);
        }
    }

    #[test]
    fn wrong_arguments_are_named() {
        let run = |samples, baseline, scale| advantages(samples, baseline, scale).unwrap_err().to_string();
        let samples = Samples { rewards: &[1.0, 0.0], groups: &[0, 0], counted: None };
        let fewer = Samples { groups: &[0], ..samples };
        assert_eq!(
            run(fewer, Baseline::None, Scale::None),
            "there are 1 groups for 2 items; there must be one for each"
        );
        let fewer = Samples { counted: Some(&[true]), ..samples };
        assert!(run(fewer, Baseline::None, Scale::None).starts_with("there are 1 marks of what counts for 2 items"));
        let given = Baseline::Given(&[0.0, f64::NAN]);
        assert_eq!(run(samples, given, Scale::None), "given baseline 1 is NaN; it must be finite");
        assert!(run(samples, Baseline::Given(&[0.0]), Scale::None).starts_with("there are 1 given baselines"));
        let scale = Scale::GroupStd { eps: -1.0 };
        assert_eq!(run(samples, Baseline::None, scale), "the option `eps` is -1; it must be finite and at least 0");
        let scale = Scale::BatchStd { rewards: Moments::default(), eps: 0.0 };
        assert!(run(samples, Baseline::None, scale).starts_with("moments of 0 values cannot scale 2 values"));
        let large = Samples { rewards: &[f64::MAX, -f64::MAX], ..samples };
        assert_eq!(run(large, Baseline::LeaveOneOut, Scale::None), "advantage 0 is inf; it must be finite");
    }
}
