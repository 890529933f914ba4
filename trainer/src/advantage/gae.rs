//! Generalised advantage estimation over the steps of one trajectory: values are given, and a batch is a loop over
//! trajectories.

use super::AdvantageError;
use super::error::{finite, length, share};

/// How a trajectory ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// By itself: nothing follows the last step.
    Terminated,
    /// By a limit: the value of the state after the last step stands for what would have followed.
    Truncated(f64),
}

/// Options of [`gae`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gae {
    /// Discount, in 0 to 1.
    pub gamma: f64,
    /// From one-step errors at 0 (little variance) to whole returns at 1 (no bias from the values), in 0 to 1.
    pub lambda: f64,
}

/// Advantages and returns of each step (Schulman et al., 2016, equation 16): with
/// `delta[t] = rewards[t] + gamma values[t + 1] - values[t]`,
/// `advantage[t] = sum over k of (gamma lambda)^k delta[t + k]` and `return[t] = advantage[t] + values[t]`, the target
/// of the value loss. The value after the last step is 0 or what `end` says.
///
/// # Errors
/// If the slices differ in length, an option is out of its range, or something is not finite.
pub fn gae(rewards: &[f64], values: &[f64], end: End, options: Gae) -> Result<(Vec<f64>, Vec<f64>), AdvantageError> {
    let Gae { gamma, lambda } = options;
    share("gamma", gamma)?;
    share("lambda", lambda)?;
    length("values", values.len(), rewards.len())?;
    finite("reward", rewards, None)?;
    finite("value", values, None)?;
    let mut next_value = match end {
        End::Terminated => 0.0,
        End::Truncated(value) => {
            finite("last value", &[value], None)?;
            value
        }
    };
    let mut advantages = vec![0.0; rewards.len()];
    let mut next_advantage = 0.0;
    for t in (0..rewards.len()).rev() {
        let delta = rewards[t] + gamma * next_value - values[t];
        next_advantage = delta + gamma * lambda * next_advantage;
        next_value = values[t];
        advantages[t] = next_advantage;
    }
    finite("advantage", &advantages, None)?;
    let returns: Vec<f64> = advantages.iter().zip(values).map(|(advantage, value)| advantage + value).collect();
    finite("return", &returns, None)?;
    Ok((advantages, returns))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn steps() -> impl Strategy<Value = (Vec<f64>, Vec<f64>, f64)> {
        (proptest::collection::vec((-2.0..2.0f64, -2.0..2.0f64), 0..20), -2.0..2.0f64)
            .prop_map(|(steps, last)| (steps.iter().map(|s| s.0).collect(), steps.iter().map(|s| s.1).collect(), last))
    }

    fn near(found: &[f64], wanted: &[f64]) -> bool {
        found.len() == wanted.len() && found.iter().zip(wanted).all(|(f, w)| (f - w).abs() < 1e-9)
    }

    proptest! {
        #[test]
        fn it_equals_its_definition(
            (rewards, values, last) in steps(), gamma in 0.0..=1.0f64, lambda in 0.0..=1.0f64, cut: bool,
        ) {
            let end = if cut { End::Truncated(last) } else { End::Terminated };
            let (advantages, returns) = gae(&rewards, &values, end, Gae { gamma, lambda }).unwrap();
            let n = rewards.len();
            let after = |t: usize| if t + 1 < n { values[t + 1] } else if cut { last } else { 0.0 };
            let delta = |t: usize| rewards[t] + gamma * after(t) - values[t];
            let wanted: Vec<f64> =
                (0..n).map(|t| (t..n).map(|k| (gamma * lambda).powi((k - t) as i32) * delta(k)).sum()).collect();
            prop_assert!(near(&advantages, &wanted));
            let wanted: Vec<f64> = wanted.iter().zip(&values).map(|(a, v)| a + v).collect();
            prop_assert!(near(&returns, &wanted));
        }

        #[test]
        fn with_lambda_one_returns_do_not_depend_on_values((rewards, values, last) in steps(), gamma in 0.0..=1.0f64) {
            let options = Gae { gamma, lambda: 1.0 };
            let (_, returns) = gae(&rewards, &values, End::Truncated(last), options).unwrap();
            let zeros = vec![0.0; values.len()];
            prop_assert!(near(&returns, &gae(&rewards, &zeros, End::Truncated(last), options).unwrap().1));
        }

        #[test]
        fn exact_values_leave_no_advantage((rewards, _, last) in steps(), gamma in 0.0..=1.0f64, lambda in 0.0..=1.0f64) {
            let mut values = vec![0.0; rewards.len()];
            let mut next = last;
            for t in (0..rewards.len()).rev() {
                next = rewards[t] + gamma * next;
                values[t] = next;
            }
            let (advantages, _) = gae(&rewards, &values, End::Truncated(last), Gae { gamma, lambda }).unwrap();
            prop_assert!(near(&advantages, &vec![0.0; rewards.len()]));
        }

        #[test]
        fn what_is_not_finite_is_named((mut rewards, mut values, _) in steps(), at: prop::sample::Index, reward: bool) {
            prop_assume!(!rewards.is_empty());
            let index = at.index(rewards.len());
            *(if reward { &mut rewards[index] } else { &mut values[index] }) = f64::NEG_INFINITY;
            let found = gae(&rewards, &values, End::Terminated, Gae { gamma: 1.0, lambda: 1.0 }).unwrap_err();
            let what = if reward { "reward" } else { "value" };
            prop_assert_eq!(found, AdvantageError::NonFinite { what, index, value: f64::NEG_INFINITY });
        }
    }

    #[test]
    fn wrong_arguments_are_named() {
        let options = Gae { gamma: 1.0, lambda: 1.0 };
        let run = |end, options| gae(&[1.0], &[0.0], end, options).unwrap_err().to_string();
        assert_eq!(run(End::Truncated(f64::INFINITY), options), "last value 0 is inf; it must be finite");
        let wrong = Gae { gamma: 1.5, ..options };
        assert_eq!(run(End::Terminated, wrong), "the option `gamma` is 1.5; it must be in 0 to 1");
        let wrong = Gae { lambda: f64::NAN, ..options };
        assert_eq!(run(End::Terminated, wrong), "the option `lambda` is NaN; it must be in 0 to 1");
        let found = gae(&[1.0], &[], End::Terminated, options).unwrap_err();
        assert_eq!(found, AdvantageError::Length { what: "values", found: 0, expected: 1 });
        let found = gae(&[f64::MAX, f64::MAX], &[0.0; 2], End::Terminated, options).unwrap_err();
        assert_eq!(found, AdvantageError::NonFinite { what: "advantage", index: 0, value: f64::INFINITY });
    }
}
