//! Verifiers of episodes that need nothing but what was played: the return.

use galapagos_domain::recipe::verify::EnvReturn;
use galapagos_domain::trajectory::{Outcome, Verdict};
use galapagos_domain::tree::TreeTurn;

/// How near to 1 a score must be to count as 1: sums of rewards are.
const NEAR: f64 = 1.0e-9;

/// The return of an episode, and whether it passes. What the environment failed says nothing about the policy.
#[must_use]
pub fn env_return(rule: &EnvReturn, turns: &[TreeTurn]) -> Verdict {
    let (mut sum, mut factor, mut refused, mut last) = (0.0, 1.0, 0, None);
    for turn in turns {
        match turn {
            TreeTurn::Failed(verdict) => return verdict.clone(),
            TreeTurn::Played(played) => {
                sum += factor * played.reward;
                factor *= rule.gamma;
                refused += u32::from(played.refused.is_some());
                last = Some(played);
            }
        }
    }
    let Some(last) = last else {
        return Verdict::new(Outcome::Error, "`env_return` was asked about what no environment played").by(BY);
    };
    let passes = match rule.pass_at {
        Some(least) => sum >= least,
        None => last.score >= 1.0 - NEAR,
    };
    let over = if last.over { "" } else { ", not over" };
    let refused = if refused > 0 { format!(", {refused} of them refused") } else { String::new() };
    let reason = format!("return {sum:.4} after {} turns{refused}{over}; score {:.4}", turns.len(), last.score);
    let verdict = if passes { Verdict::pass(reason) } else { Verdict::fail(reason) };
    verdict.scored(sum as f32).by(BY)
}

const BY: &str = "env_return/1";

#[cfg(test)]
mod tests {
    use galapagos_domain::tree::PlayedTurn;

    use super::*;

    fn turn(reward: f64, score: f64) -> TreeTurn {
        let refused = (reward < 0.0).then(|| "a wall".to_owned());
        TreeTurn::Played(PlayedTurn { reward, score, refused, over: score == 1.0, shown: String::new() })
    }

    #[test]
    fn rewards_are_discounted_by_their_turn_and_the_environment_says_what_is_solved() {
        let turns = [turn(0.25, 0.25), turn(-0.5, 0.25), turn(0.75, 1.0)];
        let plain = env_return(&EnvReturn::default(), &turns);
        assert_eq!((plain.outcome, plain.score), (Outcome::Pass, Some(0.5)));
        assert_eq!(plain.reason, "return 0.5000 after 3 turns, 1 of them refused; score 1.0000");
        // 0.25 - 0.5 x 0.5 + 0.25 x 0.75
        let half = env_return(&EnvReturn { gamma: 0.5, pass_at: None }, &turns);
        assert_eq!(half.score, Some(0.1875));
        let open = env_return(&EnvReturn::default(), &turns[..1]);
        assert_eq!(
            (open.outcome, open.reason.as_str()),
            (Outcome::Fail, "return 0.2500 after 1 turns, not over; score 0.2500")
        );
    }

    #[test]
    fn a_least_return_decides_where_the_recipe_has_one() {
        let of = |pass_at| env_return(&EnvReturn { gamma: 1.0, pass_at: Some(pass_at) }, &[turn(0.25, 0.25)]).outcome;
        assert_eq!((of(0.25), of(0.26)), (Outcome::Pass, Outcome::Fail));
    }

    #[test]
    fn a_failed_environment_is_no_zero() {
        let silent = Verdict::new(Outcome::Timeout, "http://there is silent").by("env/1");
        let turns = [turn(0.25, 0.25), TreeTurn::Failed(silent.clone())];
        assert_eq!(env_return(&EnvReturn { gamma: 1.0, pass_at: Some(0.0) }, &turns), silent);
        let nothing = env_return(&EnvReturn::default(), &[]);
        assert_eq!((nothing.outcome, nothing.score), (Outcome::Error, None));
    }
}
