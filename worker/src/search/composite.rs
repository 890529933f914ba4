//! Verifiers that are made of others: a question becomes questions to the members, and their verdicts become one. Pure: who asks the
//! members, and whether they are made of others again, is the forest's business.
//!
//! What a member does not decide (error, timeout, suspect) never counts as a fail: if the outcome depends on it, the whole is undecided
//! in the same way. Tokens that members sampled add up.

mod combine;
mod spread;
mod turns;

use std::sync::Arc;

use galapagos_domain::recipe::verify::{McRollout, Model, Spread, Uncertainty, Verifier};
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::strategy::{Drawn, Question};

pub(super) use spread::spread;
pub(super) use turns::{edited, turns};

/// What the members of the question's verifier are asked, in order; nothing for verifiers that answer for themselves.
pub(super) fn parts(question: &Question) -> Vec<Question> {
    let asked = |(place, verifier): (usize, Verifier)| Question {
        verifier: Arc::new(verifier),
        seed: question.seed.derive(&format!("part/{place}")),
        ..question.clone()
    };
    members(&question.verifier).into_iter().enumerate().map(asked).collect()
}

fn members(verifier: &Verifier) -> Vec<Verifier> {
    match verifier {
        Verifier::Combine(combine) => combine.of.iter().map(|member| member.verify.clone()).collect(),
        Verifier::Repeat(repeat) => vec![(*repeat.verify).clone(); repeat.times as usize],
        Verifier::Uncertainty(Uncertainty { verify, how: Spread::Ensemble(others), .. }) => {
            let other = |role: &galapagos_domain::ids::Name| {
                let model = |model: &Model| Model { role: role.clone(), ..model.clone() };
                match &**verify {
                    Verifier::Value(of) => Verifier::Value(model(of)),
                    Verifier::Orm(of) => Verifier::Orm(model(of)),
                    Verifier::Prm(of) => Verifier::Prm(model(of)),
                    same => same.clone(),
                }
            };
            std::iter::once((**verify).clone()).chain(others.iter().map(other)).collect()
        }
        _ => Vec::new(),
    }
}

/// What is asked about each continuation of an unfinished answer; `None` where the task's rule judges them.
pub(super) fn continuations(question: &Question, drawn: &[Drawn]) -> Option<Vec<Question>> {
    let Verifier::McRollout(McRollout { by: Some(by), .. }) = &*question.verifier else { return None };
    let by = Arc::new((**by).clone());
    let continued = |(place, drawn): (usize, &Drawn)| {
        let mut path = question.path.clone();
        path.tokens.extend(&drawn.tokens);
        path.log_probs.extend(&drawn.log_probs);
        path.sampled.extend(drawn.tokens.iter().map(|_| true));
        path.text.push_str(&drawn.text);
        path.answer.push_str(&drawn.text);
        path.steps.push(drawn.text.clone());
        let seed = question.seed.derive(&format!("continuation/{place}"));
        Question { verifier: Arc::clone(&by), path, answered: true, seed }
    };
    Some(drawn.iter().enumerate().map(continued).collect())
}

/// What the verdicts on [`parts`] come to.
pub(super) fn fold(verifier: &Verifier, said: &[Verdict]) -> Verdict {
    let verdict = match verifier {
        Verifier::Combine(combine) => combine::combine(combine, said),
        Verifier::Repeat(repeat) => spread::repeat(repeat, said),
        Verifier::Uncertainty(uncertainty) => spread(uncertainty, said),
        Verifier::Turns(number) => turns::compare(*number, said),
        Verifier::McRollout(_) => spread::continued(said),
        other => Verdict::new(Outcome::Error, format!("`{}` is not made of others", other.name())),
    };
    let cost = said.iter().map(|verdict| verdict.cost).sum();
    Verdict { cost, ..verdict.by(format!("{}/1", verifier.name())) }
}

/// The whole where it depends on what was not decided: an error if there is one, else a timeout, else a suspicion.
fn undecided(said: &[Verdict]) -> Verdict {
    for outcome in [Outcome::Error, Outcome::Timeout, Outcome::Suspect] {
        if let Some((place, verdict)) = said.iter().enumerate().find(|(_, verdict)| verdict.outcome == outcome) {
            let by = if verdict.verifier.is_empty() { String::new() } else { format!(" ({})", verdict.verifier) };
            return Verdict::new(outcome, format!("part {}{by} decided nothing: {}", place + 1, verdict.reason));
        }
    }
    Verdict::new(Outcome::Error, "there are no verdicts to combine")
}

fn passed(pass: bool, reason: String) -> Verdict {
    if pass { Verdict::pass(reason) } else { Verdict::fail(reason) }
}

/// What a verdict is worth as a number: its score, else 1 for a pass and 0 for a fail. Only of decided ones.
fn number(verdict: &Verdict) -> f64 {
    match (verdict.score, verdict.outcome) {
        (Some(score), _) => f64::from(score),
        (None, Outcome::Pass) => 1.0,
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::seed::Seed;

    use super::super::tree::{NodeId, Tree};
    use super::*;

    pub(super) fn verifier(text: &str) -> Verifier {
        serde_json::from_str(text).unwrap()
    }

    pub(super) fn said(outcome: Outcome) -> Verdict {
        Verdict::new(outcome, "so")
    }

    fn question(text: &str) -> Question {
        let path = Tree::default().path(NodeId::ROOT);
        Question { verifier: Arc::new(verifier(text)), path, answered: true, seed: Seed(5) }
    }

    /// Asks a question down to verifiers that answer for themselves, which say what `leaf` says.
    fn ask(question: &Question, leaf: &mut dyn FnMut(&Question) -> Verdict) -> Verdict {
        let parts = parts(question);
        if parts.is_empty() {
            return leaf(question);
        }
        let said: Vec<Verdict> = parts.iter().map(|part| ask(part, leaf)).collect();
        fold(&question.verifier, &said)
    }

    #[test]
    fn nested_wrappers_ask_every_leaf_with_its_own_seed_and_costs_add_up() {
        let nested = question(
            r#"{"combine": {"how": "all", "of": [{"verify": "rule"},
                {"verify": {"combine": {"how": "mean", "pass_at": 0.5,
                    "of": [{"verify": {"repeat": {"times": 3, "how": "mean", "verify": {"mc_rollout": {"samples": 2}}}}, "weight": 3},
                           {"verify": {"uncertainty": {"verify": {"orm": "a"}, "how": {"ensemble": ["b", "c"]}, "penalty": 0}}}]}}}]}}"#,
        );
        assert_eq!(nested.verifier.questions(), 1 + 3 + 3);
        let mut asked = Vec::new();
        let verdict = ask(&nested, &mut |leaf| {
            asked.push((
                leaf.verifier.name(),
                leaf.verifier.roles().into_iter().cloned().collect::<Vec<_>>(),
                leaf.seed,
            ));
            let draws = asked.iter().filter(|(name, ..)| *name == "mc_rollout").count();
            match &*leaf.verifier {
                Verifier::Rule => Verdict::pass("right"),
                Verifier::McRollout(_) => {
                    Verdict { cost: 10, ..Verdict::pass("some").scored([0.0, 1.0, 0.5][draws - 1]) }
                }
                _ => Verdict::pass("a number").scored(1.0),
            }
        });
        // mean of 3 × (0 + 1 + 1/2)/3 and 1 × 1: 2.5/4
        assert_eq!((verdict.outcome, verdict.cost), (Outcome::Pass, 30), "{verdict:?}");
        assert_eq!(verdict.verifier, "combine/1");
        let roles: Vec<_> = asked.iter().flat_map(|(_, roles, _)| roles).map(|role| role.as_str()).collect();
        assert_eq!(roles, ["a", "b", "c"]);
        let mut seeds: Vec<Seed> = asked.iter().map(|(_, _, seed)| *seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 7, "{asked:?}");
        let broken = ask(&nested, &mut |leaf| match &*leaf.verifier {
            Verifier::Orm(model) if model.role.as_str() == "b" => Verdict::new(Outcome::Timeout, "late").by("orm/b"),
            _ => Verdict::pass("").scored(0.0),
        });
        assert_eq!(broken.outcome, Outcome::Timeout);
        let reason = "part 2 (combine/1) decided nothing: part 2 (uncertainty/1) decided nothing: part 2 (orm/b) decided nothing: late";
        assert_eq!(broken.reason, reason);
    }

    #[test]
    fn continuations_are_whole_answers_and_come_to_the_mean_of_those_that_are_decided() {
        let drawn = |text: &str, tokens: &[u32]| Drawn {
            tokens: tokens.to_vec(),
            log_probs: vec![-0.5; tokens.len()],
            text: text.to_owned(),
            answered: true,
        };
        let mc = question(r#"{"mc_rollout": {"samples": 2, "by": {"orm": "critic"}}}"#);
        let asked = continuations(&mc, &[drawn("12", &[1, 2]), drawn("3", &[3])]).unwrap();
        assert_eq!(asked.iter().map(|asked| asked.path.answer.as_str()).collect::<Vec<_>>(), ["12", "3"]);
        assert_eq!((asked[0].path.tokens.as_slice(), asked[0].path.sampled.len()), ([1, 2].as_slice(), 2));
        assert!(asked.iter().all(|asked| asked.answered && asked.verifier.name() == "orm"));
        assert_ne!(asked[0].seed, asked[1].seed);
        assert!(continuations(&question(r#"{"mc_rollout": {"samples": 2}}"#), &[drawn("1", &[1])]).is_none());
        let scored = [0.25, 0.75].map(|score| Verdict::pass("").scored(score));
        let mean = fold(&mc.verifier, &[scored[0].clone(), said(Outcome::Error), scored[1].clone()]);
        assert_eq!((mean.outcome, mean.score, mean.verifier.as_str()), (Outcome::Pass, Some(0.5), "mc_rollout/1"));
        assert_eq!(fold(&mc.verifier, &[said(Outcome::Error)]).outcome, Outcome::Error);
    }

    #[test]
    fn the_gravest_of_what_was_not_decided_is_said() {
        let all = [Outcome::Pass, Outcome::Suspect, Outcome::Timeout, Outcome::Error].map(said);
        assert_eq!(undecided(&all).outcome, Outcome::Error);
        assert_eq!(undecided(&all[..3]).outcome, Outcome::Timeout);
        assert_eq!(undecided(&all[..2]).outcome, Outcome::Suspect);
        assert_eq!(fold(&Verifier::Rule, &all).outcome, Outcome::Error);
    }
}
