//! Credit of the turns of a conversation, and from turns to tokens. What a turn's reward is, shaped or not, is the
//! caller's.

use super::AdvantageError;
use super::error::{finite, share};

/// The return of each turn: `sum over k >= 0 of gamma^k turn_rewards[turn + k]`. At `gamma` 0 each turn is credited
/// with its own reward alone, so that the first of two turns cannot earn the second's bonus (Kumar et al., `SCoRe`,
/// 2024); at 1 with all that follows.
///
/// # Errors
/// If `gamma` is not in 0 to 1, or a reward or a return is not finite.
pub fn turn_returns(turn_rewards: &[f64], gamma: f64) -> Result<Vec<f64>, AdvantageError> {
    share("gamma", gamma)?;
    finite("turn reward", turn_rewards, None)?;
    let mut returns = turn_rewards.to_vec();
    for turn in (1..returns.len()).rev() {
        returns[turn - 1] += gamma * returns[turn];
    }
    finite("turn return", &returns, None)?;
    Ok(returns)
}

/// Gives each token the value of its turn, whole and not divided among them: the log-probability of a turn is a sum
/// over its tokens. A token of no turn (a prompt, an observation) gets 0, and a turn without tokens credits nothing.
///
/// `turn_of`: the turn of each token, counted from 0.
///
/// # Errors
/// If a turn does not exist or its value is not finite.
pub fn spread(turn_values: &[f64], turn_of: &[Option<usize>]) -> Result<Vec<f64>, AdvantageError> {
    finite("turn value", turn_values, None)?;
    let turns = turn_values.len();
    let value = |(token, turn): (usize, &Option<usize>)| match *turn {
        None => Ok(0.0),
        Some(turn) => turn_values.get(turn).copied().ok_or(AdvantageError::Turn { token, turn, turns }),
    };
    turn_of.iter().enumerate().map(value).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn returns_equal_their_definition(
            rewards in proptest::collection::vec(-2.0..2.0f64, 0..8), gamma in 0.0..=1.0f64,
        ) {
            let wanted = |from: usize| -> f64 {
                rewards[from..].iter().enumerate().map(|(k, reward)| gamma.powi(k as i32) * reward).sum()
            };
            for (turn, found) in turn_returns(&rewards, gamma).unwrap().into_iter().enumerate() {
                prop_assert!((found - wanted(turn)).abs() < 1e-9);
            }
            prop_assert_eq!(&turn_returns(&rewards, 0.0).unwrap(), &rewards);
            let first = turn_returns(&rewards, 1.0).unwrap().first().copied().unwrap_or_default();
            prop_assert!((first - rewards.iter().sum::<f64>()).abs() < 1e-9);
        }

        #[test]
        fn each_token_gets_its_turns_value(
            values in proptest::collection::vec(-2.0..2.0f64, 1..6),
            turns in proptest::collection::vec(proptest::option::of(any::<prop::sample::Index>()), 0..30),
        ) {
            let turns: Vec<Option<usize>> = turns.iter().map(|turn| turn.map(|at| at.index(values.len()))).collect();
            let found = spread(&values, &turns).unwrap();
            prop_assert_eq!(found.len(), turns.len());
            for (found, turn) in found.iter().zip(&turns) {
                prop_assert_eq!(*found, turn.map_or(0.0, |turn| values[turn]));
            }
        }
    }

    #[test]
    fn a_shaped_second_turn_does_not_reach_the_first_at_gamma_zero() {
        let (first, second) = (0.0, 1.0);
        let shaped = [first, second + 10.0 * (second - first)];
        assert_eq!(turn_returns(&shaped, 0.0).unwrap(), [0.0, 11.0]);
        assert_eq!(turn_returns(&shaped, 1.0).unwrap(), [11.0, 11.0]);
    }

    #[test]
    fn wrong_arguments_are_named() {
        let text = |error: AdvantageError| error.to_string();
        assert_eq!(
            text(spread(&[1.0], &[None, Some(0), Some(1)]).unwrap_err()),
            "token 2 belongs to turn 1, but there are 1 turns, counted from 0"
        );
        assert_eq!(text(spread(&[f64::NAN], &[]).unwrap_err()), "turn value 0 is NaN; it must be finite");
        assert_eq!(text(turn_returns(&[0.0, f64::NAN], 1.0).unwrap_err()), "turn reward 1 is NaN; it must be finite");
        assert_eq!(text(turn_returns(&[], -0.1).unwrap_err()), "the option `gamma` is -0.1; it must be in 0 to 1");
        assert_eq!(text(turn_returns(&[f64::MAX; 2], 1.0).unwrap_err()), "turn return 0 is inf; it must be finite");
    }
}
