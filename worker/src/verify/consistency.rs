//! What several answers to one question say together: classes of equal answers, their shares of the vote, the majority, the entropy.
//! Which answers are equal is the caller's function; nothing here reads an answer.

use galapagos_domain::recipe::search::Pool;

/// Answers that are equal, by the places of their members.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Places in the list of answers, ascending; the first stands for the class.
    pub members: Vec<usize>,
    pub weight: f64,
    /// `weight` as a part of all weights.
    pub share: f64,
}

/// The classes of a list of answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Consistency {
    /// In the order of their first members.
    pub classes: Vec<Class>,
    /// Place in `classes` of the one with the most weight; of several, the earliest.
    pub majority: usize,
    /// −Σ share·ln(share), in nats.
    pub entropy: f64,
    /// Whether there is more than one class.
    pub contradiction: bool,
}

/// Why answers have no vote.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum VoteError {
    #[error("there are no answers to vote")]
    Nothing,
    #[error("{answers} answers have {weights} weights")]
    Lengths { answers: usize, weights: usize },
    #[error("the weight {weight} of answer {place} is not 0 or more")]
    Weight { place: usize, weight: f64 },
    #[error("all weights are zero")]
    Zero,
}

impl Consistency {
    /// The classes of `answers`, each of weight 1 unless `weights` says otherwise. An answer joins the first class whose first member
    /// `same` calls equal to it.
    ///
    /// # Errors
    /// If there are no answers, or the weights are not one for each, finite, 0 or more and not all 0.
    pub fn of<T>(
        answers: &[T],
        weights: Option<&[f64]>,
        mut same: impl FnMut(&T, &T) -> bool,
    ) -> Result<Self, VoteError> {
        check(answers.len(), weights)?;
        let mut classes: Vec<Class> = Vec::new();
        for (place, answer) in answers.iter().enumerate() {
            let weight = weights.and_then(|weights| weights.get(place)).copied().unwrap_or(1.0);
            let first = |class: &Class| class.members.first().and_then(|first| answers.get(*first));
            match classes.iter().position(|class| first(class).is_some_and(|first| same(first, answer))) {
                Some(known) => {
                    classes[known].members.push(place);
                    classes[known].weight += weight;
                }
                None => classes.push(Class { members: vec![place], weight, share: 0.0 }),
            }
        }
        let total: f64 = classes.iter().map(|class| class.weight).sum();
        let mut majority = 0;
        let mut entropy = 0.0;
        for place in 0..classes.len() {
            classes[place].share = classes[place].weight / total;
            let share = classes[place].share;
            if share > 0.0 {
                entropy -= share * share.ln();
            }
            if classes[place].weight > classes[majority].weight {
                majority = place;
            }
        }
        let contradiction = classes.len() > 1;
        Ok(Self { classes, majority, entropy: entropy.max(0.0), contradiction })
    }

    /// The place of the answer that stands for the majority.
    #[must_use]
    pub fn chosen(&self) -> Option<usize> {
        self.classes.get(self.majority).and_then(|class| class.members.first().copied())
    }
}

fn check(answers: usize, weights: Option<&[f64]>) -> Result<(), VoteError> {
    if answers == 0 {
        return Err(VoteError::Nothing);
    }
    let Some(weights) = weights else { return Ok(()) };
    if weights.len() != answers {
        return Err(VoteError::Lengths { answers, weights: weights.len() });
    }
    if let Some((place, weight)) =
        weights.iter().copied().enumerate().find(|(_, weight)| !(weight.is_finite() && *weight >= 0.0))
    {
        return Err(VoteError::Weight { place, weight });
    }
    if weights.iter().all(|weight| *weight == 0.0) {
        return Err(VoteError::Zero);
    }
    Ok(())
}

/// The score of a solution from those of its steps, also the weight of its vote; `None` without steps.
#[must_use]
pub fn pool(steps: &[f64], how: Pool) -> Option<f64> {
    let last = *steps.last()?;
    Some(match how {
        Pool::Sum => steps.iter().sum(),
        Pool::Mean => steps.iter().sum::<f64>() / steps.len() as f64,
        Pool::Product => steps.iter().product(),
        Pool::Min => steps.iter().copied().fold(last, f64::min),
        Pool::Last => last,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn shares_entropy_and_majority_by_hand() {
        let seen = Consistency::of(&["a", "b", "A", "b", "a"], None, |x, y| x.eq_ignore_ascii_case(y)).unwrap();
        assert_eq!(seen.classes.len(), 2);
        assert_eq!(seen.classes[0].members, [0, 2, 4]);
        assert!(close(seen.classes[0].share, 0.6) && close(seen.classes[1].share, 0.4));
        // −0.6·ln 0.6 − 0.4·ln 0.4
        assert!(close(seen.entropy, 0.673_011_667_009_256_4));
        assert_eq!((seen.majority, seen.chosen(), seen.contradiction), (0, Some(0), true));
        let one = Consistency::of(&[1, 1], None, |x, y| x == y).unwrap();
        assert_eq!((one.entropy, one.contradiction), (0.0, false));
    }

    #[test]
    fn ties_go_to_the_earliest_and_weights_count() {
        let tie = Consistency::of(&["b", "a", "a", "b"], None, |x, y| x == y).unwrap();
        assert_eq!(tie.chosen(), Some(0));
        let weighted = Consistency::of(&["b", "a", "b"], Some(&[0.2, 0.7, 0.3]), |x, y| x == y).unwrap();
        assert_eq!(weighted.chosen(), Some(1));
        assert!(close(weighted.classes[0].share, 0.5 / 1.2));
    }

    #[test]
    fn folds_of_step_scores_by_hand() {
        let scores = [0.5, 0.2, 0.4];
        for (how, value) in
            [(Pool::Sum, 1.1), (Pool::Mean, 1.1 / 3.0), (Pool::Product, 0.04), (Pool::Min, 0.2), (Pool::Last, 0.4)]
        {
            assert!(close(pool(&scores, how).unwrap(), value), "{how:?}");
        }
        assert_eq!(pool(&[], Pool::Min), None);
        // One sure solution outvotes two weak ones by product, but not by the sum of all steps.
        let steps = [vec![0.9, 0.9], vec![0.6, 0.6, 0.6], vec![0.6, 0.6, 0.6]];
        let vote = |how: Pool| {
            let weights: Vec<f64> = steps.iter().filter_map(|steps| pool(steps, how)).collect();
            Consistency::of(&["a", "b", "b"], Some(&weights), |x, y| x == y).unwrap().chosen()
        };
        assert_eq!((vote(Pool::Product), vote(Pool::Sum)), (Some(0), Some(1)));
    }

    #[test]
    fn votes_without_meaning_are_refused() {
        let of =
            |answers: &[i32], weights: Option<&[f64]>| Consistency::of(answers, weights, |x, y| x == y).unwrap_err();
        assert_eq!(of(&[], None), VoteError::Nothing);
        assert_eq!(of(&[1], Some(&[1.0, 2.0])), VoteError::Lengths { answers: 1, weights: 2 });
        assert_eq!(of(&[1, 2], Some(&[1.0, -1.0])), VoteError::Weight { place: 1, weight: -1.0 });
        assert_eq!(of(&[1, 2], Some(&[0.0, 0.0])), VoteError::Zero);
        assert!(matches!(of(&[1], Some(&[f64::NAN])), VoteError::Weight { place: 0, .. }));
    }
}
