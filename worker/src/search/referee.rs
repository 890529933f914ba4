//! The referee: turns a verifier and a path into what must be computed, and what was computed into a verdict. What needs nothing is
//! decided at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_domain::ids::Name;
use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::Head;
use galapagos_domain::recipe::verify::{Dropout, McRollout, Model, Over, Spread, Uncertainty, UnitTests, Verifier};
use galapagos_domain::task::TaskRule;
use galapagos_domain::trajectory::{Outcome, Verdict};
use galapagos_domain::tree::TreeTurn;

use super::composite;
use super::court::inquiry::Inquiry;
use super::court::locate::{self, Locate};
use super::court::{Case, Court};
use super::strategy::{Draw, Drawn, Question};
use super::tree::{Path, Tree};
use crate::engine::CheckpointDir;
use crate::jobs::tasks::Tasks;
use crate::verify::Panel;
use crate::verify::checks::check;
use crate::verify::episode::env_return;
use crate::verify::programs::{self, Tested, code};

/// A role that gives numbers.
#[derive(Debug, Clone)]
pub struct Critic {
    pub checkpoint: Arc<CheckpointDir>,
    pub head: Head,
    /// Whether it reads the few-shot prefix.
    pub shots: bool,
}

/// What a question needs.
pub(super) enum Need {
    /// Nothing.
    Decided(Verdict),
    /// What a critic says behind these tokens.
    Number { critic: Critic, tokens: Vec<u32>, model: Model, pass_at: Option<f64> },
    /// The same under masks, and what the numbers come to.
    Spread { critic: Critic, tokens: Vec<u32>, model: Model, dropout: Dropout, uncertainty: Uncertainty },
    /// Verdicts of others, which the question's verifier combines.
    Parts(Vec<Question>),
    /// Answers to go on from there, of the policy or of another model.
    Answers(Draw, Option<Arc<CheckpointDir>>),
    /// Something that takes a while, on another thread.
    Check(Check),
    /// What all trajectories of the task say; asked at the end of a search only.
    Group,
    /// The same, and more answers of an engine: asked when all of them are there.
    Later,
    /// Several answers of an engine.
    Inquire(Box<dyn Inquiry>),
}

/// A check that runs code.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Check {
    Steps(Steps),
    /// An answer that is a program, against its task's tests.
    Program(Tested),
    /// Continuations that are programs, of which the share that passes is asked; they cost so many tokens.
    Share(Vec<Tested>, u64),
}

/// Steps that must run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Steps {
    /// The Python of every step.
    pub(super) steps: Vec<String>,
    pub(super) seconds: u32,
}

/// Who decides, for the tasks of one job.
#[derive(Debug)]
pub(super) struct Referee<'a> {
    pub(super) tasks: &'a Tasks,
    pub(super) critics: &'a BTreeMap<Name, Critic>,
    pub(super) rule: Panel,
    /// The language models that judge.
    pub(super) court: &'a Court,
}

impl Referee<'_> {
    /// What must be known to answer `question` about the task at `place`. Only where the tree is given can steps be told apart.
    pub(super) fn needs(&self, place: usize, question: &Question, tree: Option<&Tree>) -> Need {
        // Where the environment failed, nobody knows anything of the policy.
        if let Some(TreeTurn::Failed(verdict)) = question.path.turns.last() {
            return Need::Decided(verdict.clone());
        }
        match &*question.verifier {
            verifier @ (Verifier::Rule | Verifier::UnitTests(_)) if !question.answered => {
                let reason = format!("`{}` was asked about an unfinished answer", verifier.name());
                Need::Decided(Verdict::new(Outcome::Error, reason))
            }
            Verifier::UnitTests(options) => self.program(place, *options, &question.path.answer),
            Verifier::Rule => match self.tasks.rule.unit_tests() {
                Some(options) => self.program(place, options, &question.path.answer),
                None => Need::Decided(self.rule(place, &question.path.answer)),
            },
            Verifier::Working => Need::Decided(self.working(place, &question.path.answer)),
            Verifier::SelfLogProb => Need::Decided(self_log_prob(&question.path)),
            Verifier::SequenceLogProb => Need::Decided(sequence_log_prob(&question.path)),
            Verifier::Consistency(_) => Need::Group,
            Verifier::Rules(rules) => {
                Need::Decided(crate::verify::rules::judge(rules, text(question), &question.path.steps))
            }
            Verifier::Judge(_) | Verifier::Principles(_) => self.opinion(place, question),
            Verifier::JudgePair(_) => Need::Later,
            Verifier::FirstError(first) => {
                let prefixes = tree.map(|tree| locate::prefixes(question, &first.by, tree)).unwrap_or_default();
                Need::Inquire(Box::new(Locate::new(first, place, prefixes)))
            }
            Verifier::StepExecutor(executor) => Need::Check(Check::Steps(Steps {
                steps: question.path.steps.iter().map(|step| code(step)).collect(),
                seconds: executor.seconds,
            })),
            Verifier::Value(model) | Verifier::Orm(model) | Verifier::Prm(model) => {
                self.asked(place, question, model.clone(), model.pass_at)
            }
            Verifier::EnvReturn(rule) => Need::Decided(env_return(rule, &question.path.turns)),
            Verifier::SuccessClassifier(classifier) => {
                let model = Model { role: classifier.role.clone(), squash: classifier.squash, pass_at: None };
                self.asked(place, question, model, Some(classifier.pass_at))
            }
            Verifier::Uncertainty(uncertainty) => self.doubt(place, question, uncertainty),
            Verifier::Combine(_) | Verifier::Repeat(_) => Need::Parts(composite::parts(question)),
            Verifier::Turns(number) => match composite::edited(*number, &question.path.steps) {
                Some(verdict) => Need::Decided(verdict),
                None => Need::Parts(composite::turns(question)),
            },
            Verifier::McRollout(mc) => self.continued(mc, question),
            Verifier::Exact(_)
            | Verifier::Numeric(_)
            | Verifier::List(_)
            | Verifier::MultipleChoice(_)
            | Verifier::Regex(_)
            | Verifier::JsonSchema(_)
            | Verifier::Math(_)
            | Verifier::Behaviour(_) => {
                let expected = self.tasks.items[place].problem.answer.trim();
                let verdict = check(&question.verifier, expected, text(question));
                let none = || Verdict::new(Outcome::Error, "the verifier checks no answers");
                Need::Decided(verdict.unwrap_or_else(none))
            }
        }
    }

    /// The tests of the task at `place` on the program in an answer.
    fn program(&self, place: usize, options: UnitTests, answer: &str) -> Need {
        match self.tested(place, options, answer) {
            Some(tested) => Need::Check(Check::Program(tested)),
            None => Need::Decided(Verdict::new(Outcome::Error, "the task brings no tests").by(programs::BY)),
        }
    }

    /// `None` if the task brings no tests.
    fn tested(&self, place: usize, options: UnitTests, answer: &str) -> Option<Tested> {
        let item = &self.tasks.items[place];
        let program = programs::program(options, &item.problem.prompt, answer);
        let all = item.given.tests.as_ref()?;
        let tests = match options.examples {
            Some(count) => Arc::new(all.first(count as usize)),
            None => Arc::clone(all),
        };
        Some(Tested { program, tests, options })
    }

    /// Continuations of a path that must run before anything is known of them.
    pub(super) fn share_of_programs(&self, place: usize, path: &Path, drawn: &[Drawn]) -> Option<Check> {
        let options = self.tasks.rule.unit_tests()?;
        let tested = |drawn: &Drawn| self.tested(place, options, &format!("{}{}", path.answer, drawn.text));
        Some(Check::Share(drawn.iter().map(tested).collect::<Option<_>>()?, sampled(drawn)))
    }

    /// What a judge is shown of a path: the answer, or all of an episode.
    pub(super) fn shown(&self, path: &Path) -> String {
        if self.tasks.stage.is_some() { path.text.clone() } else { path.answer.clone() }
    }

    fn opinion(&self, place: usize, question: &Question) -> Need {
        let problem = &self.tasks.items[place].problem;
        let case = Case {
            prompt: problem.prompt.clone(),
            expected: problem.answer.clone(),
            answer: self.shown(&question.path),
            step: question.path.steps.last().cloned().unwrap_or_default(),
        };
        match self.court.opinion(&question.verifier, case, question.seed) {
            Some(inquiry) => Need::Inquire(inquiry),
            None => Need::Decided(Verdict::new(Outcome::Error, "the job brought no such judge")),
        }
    }

    /// What the rule says of a whole answer, as a share of continuations.
    pub(super) fn share_of_whole(&self, place: usize, question: &Question) -> Verdict {
        let verdict = self.rule(place, &question.path.answer);
        match verdict.outcome {
            Outcome::Pass => verdict.scored(1.0),
            Outcome::Fail => verdict.scored(0.0),
            Outcome::Error | Outcome::Timeout | Outcome::Suspect => verdict,
        }
    }

    /// Continuations of the policy, or of the role that the recipe names.
    fn continued(&self, mc: &McRollout, question: &Question) -> Need {
        let Some(role) = &mc.role else { return Need::Answers(answers(mc, question), None) };
        match self.critics.get(role) {
            Some(speaker) => Need::Answers(answers(mc, question), Some(Arc::clone(&speaker.checkpoint))),
            None => Need::Decided(no_weights(role)),
        }
    }

    /// The critic of a role, and what it reads.
    fn number(&self, place: usize, question: &Question, model: &Model) -> Result<(Critic, Vec<u32>), Verdict> {
        let Some(critic) = self.critics.get(&model.role) else {
            return Err(no_weights(&model.role));
        };
        let prompt = if critic.shots { self.tasks.full_prompt(place) } else { self.tasks.items[place].prompt.clone() };
        Ok((critic.clone(), [prompt, question.path.tokens.clone()].concat()))
    }

    /// What a critic is asked behind the path; `pass_at` decides by its number.
    fn asked(&self, place: usize, question: &Question, model: Model, pass_at: Option<f64>) -> Need {
        match self.number(place, question, &model) {
            Ok((critic, tokens)) => Need::Number { critic, tokens, model, pass_at },
            Err(verdict) => Need::Decided(verdict),
        }
    }

    fn doubt(&self, place: usize, question: &Question, uncertainty: &Uncertainty) -> Need {
        let dropout = match uncertainty.how {
            Spread::Ensemble(_) => return Need::Parts(composite::parts(question)),
            Spread::McDropout(dropout) => dropout,
        };
        let (Verifier::Value(model) | Verifier::Orm(model) | Verifier::Prm(model)) = &*uncertainty.verify else {
            let reason = format!("`{}` is no role that gives a number", uncertainty.verify.name());
            return Need::Decided(Verdict::new(Outcome::Error, reason));
        };
        match self.number(place, question, model) {
            Ok((critic, tokens)) => {
                Need::Spread { critic, tokens, model: model.clone(), dropout, uncertainty: uncertainty.clone() }
            }
            Err(verdict) => Need::Decided(verdict),
        }
    }

    /// The rule on an answer.
    pub(super) fn rule(&self, place: usize, answer: &str) -> Verdict {
        self.rule.judge(self.tasks.claim(place, answer))
    }

    /// Whether the lines of an answer so far can be done.
    fn working(&self, place: usize, so_far: &str) -> Verdict {
        let checked = match &self.tasks.rule {
            TaskRule::Family(family) => family.check_working(&self.tasks.items[place].problem, so_far),
            TaskRule::Unanswered(rule) => match **rule {
                TaskRule::Family(family) if family.works_without_answer() => {
                    family.check_working(&self.tasks.items[place].problem, so_far)
                }
                _ => None,
            },
            TaskRule::Check(_) | TaskRule::Played => None,
        };
        let unknown = || {
            let reason = "`working` knows the families whose answers have steps: arithmetic_steps, countdown_steps, rendered_sums, list_program, sum_review and those that sort";
            Verdict::new(Outcome::Error, reason)
        };
        checked.unwrap_or_else(unknown).by("working/1")
    }

    /// The share of continuations that the rule passes.
    pub(super) fn share(&self, place: usize, path: &Path, drawn: &[Drawn]) -> Verdict {
        let verdict = |drawn: &Drawn| self.rule(place, &format!("{}{}", path.answer, drawn.text));
        share_of(&drawn.iter().map(verdict).collect::<Vec<_>>(), sampled(drawn))
    }
}

fn no_weights(role: &Name) -> Verdict {
    Verdict::new(Outcome::Error, format!("the job brought no weights for the role `{role}`"))
}

fn sampled(drawn: &[Drawn]) -> u64 {
    drawn.iter().map(|drawn| drawn.tokens.len() as u64).sum()
}

/// The share of continuations that pass, by the verdicts on them. Those that were not decided do not count; if there is no other,
/// nothing is known: a timeout if all were too slow, else an error.
pub(super) fn share_of(verdicts: &[Verdict], cost: u64) -> Verdict {
    let decided = || verdicts.iter().filter(|verdict| verdict.outcome.is_decided());
    let (passed, all) = (decided().filter(|verdict| verdict.outcome == Outcome::Pass).count(), decided().count());
    if all == 0 {
        let late = !verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.outcome == Outcome::Timeout);
        let outcome = if late { Outcome::Timeout } else { Outcome::Error };
        let reason = format!("none of {} continuations could be judged", verdicts.len());
        return Verdict { cost, ..Verdict::new(outcome, reason).by("mc_rollout/1") };
    }
    let share = passed as f32 / all as f32;
    let reason = format!("{passed} of {all} continuations pass");
    Verdict { cost, ..graded(share > 0.0, reason).scored(share).by("mc_rollout/1") }
}

/// What a verifier of texts reads.
fn text(question: &Question) -> &str {
    match question.verifier.over() {
        Over::Answer => &question.path.answer,
        Over::Episode => &question.path.text,
    }
}

fn graded(pass: bool, reason: String) -> Verdict {
    if pass { Verdict::pass(reason) } else { Verdict::fail(reason) }
}

/// The sum of the log-probabilities of the tokens that the policy sampled, and how many they are.
fn sampled_log_probs(path: &Path) -> (f64, u32) {
    let sampled = path.log_probs.iter().zip(&path.sampled).filter(|(_, sampled)| **sampled);
    sampled.fold((0.0, 0), |(sum, count), (log_prob, _)| (sum + f64::from(*log_prob), count + 1))
}

/// The log-probability of all that the policy sampled.
fn sequence_log_prob(path: &Path) -> Verdict {
    let (sum, count) = sampled_log_probs(path);
    Verdict::pass(format!("log-probability {sum:.4} of {count} tokens")).scored(sum as f32).by("sequence_log_prob/1")
}

/// The mean log-probability of the tokens that the policy sampled.
fn self_log_prob(path: &Path) -> Verdict {
    let (sum, count) = sampled_log_probs(path);
    let mean = sum / f64::from(count.max(1));
    Verdict::pass(format!("mean log-probability {mean:.4}")).scored(mean as f32).by("self_log_prob/1")
}

fn answers(mc: &McRollout, question: &Question) -> Draw {
    Draw {
        behind: question.path.tokens.clone(),
        samples: mc.samples,
        seed: question.seed,
        sampling: Arc::new(Sampling::at(mc.temperature)),
        unit: galapagos_domain::recipe::search::Unit::Answer,
        max_tokens: mc.max_tokens,
    }
}

/// What a critic's numbers mean: that of a scalar head squashed, or the probability of the last class, the best one.
pub(super) fn read(numbers: &[f32], critic: &Critic, model: &Model, word: &str) -> Verdict {
    let score = match (critic.head, numbers) {
        (Head::Scalar, [number]) => Some(model.squash.of(f64::from(*number))),
        (Head::Classes(count), [others @ .., last]) if others.len() + 1 == count as usize => {
            let odds: f64 = others.iter().map(|other| (f64::from(*other) - f64::from(*last)).exp()).sum();
            Some(1.0 / (1.0 + odds))
        }
        _ => None,
    };
    let by = format!("{word}/{}", critic.checkpoint.checkpoint.short());
    match score {
        Some(score) if score.is_finite() => Verdict::pass(format!("{score:.4}")).scored(score as f32).by(by),
        _ => Verdict::new(Outcome::Error, format!("the head of {} gave {numbers:?}", critic.head)).by(by),
    }
}

/// What a critic's numbers under masks mean; the doubtful number of the role that `uncertainty` asks.
pub(super) fn read_masked(numbers: &[f32], critic: &Critic, model: &Model, uncertainty: &Uncertainty) -> Verdict {
    let width = match critic.head {
        Head::Classes(count) => count as usize,
        Head::Scalar | Head::Lm => 1,
    };
    let word = uncertainty.verify.name();
    let said: Vec<Verdict> = numbers.chunks(width.max(1)).map(|numbers| read(numbers, critic, model, word)).collect();
    composite::spread(uncertainty, &said).by("uncertainty/1")
}

/// A number as a decision.
pub(super) fn at_least(verdict: Verdict, pass_at: Option<f64>) -> Verdict {
    match (pass_at, verdict.score) {
        (Some(least), Some(score)) if verdict.outcome.is_decided() => {
            let passes = f64::from(score) >= least;
            let sign = if passes { ">=" } else { "<" };
            Verdict { reason: format!("{score:.4} {sign} {least}"), ..graded(passes, String::new()) }
                .scored(score)
                .by(verdict.verifier)
        }
        (Some(_) | None, _) => verdict,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use galapagos_domain::ids::Digest;
    use galapagos_domain::recipe::verify::Squash;

    use super::*;

    fn critic(head: Head) -> Critic {
        let checkpoint = Digest::of(b"critic");
        let folder = CheckpointDir { checkpoint, weights: checkpoint, path: PathBuf::new(), base: None };
        Critic { checkpoint: Arc::new(folder), head, shots: false }
    }

    #[test]
    fn what_was_not_decided_is_no_part_of_a_share() {
        let (pass, fail, gone) = (Verdict::pass(""), Verdict::fail(""), Verdict::new(Outcome::Timeout, ""));
        let share = share_of(&[pass, fail.clone(), gone.clone(), fail], 7);
        assert_eq!((share.outcome, share.score, share.cost), (Outcome::Pass, Some(1.0 / 3.0), 7));
        let none = share_of(&[gone.clone(), gone.clone()], 4);
        assert_eq!(
            (none.outcome, none.score, none.cost),
            (Outcome::Timeout, None, 4),
            "the policy writes endless loops"
        );
        let lost = share_of(&[gone, Verdict::new(Outcome::Error, "")], 4);
        assert_eq!((lost.outcome, share_of(&[], 0).outcome), (Outcome::Error, Outcome::Error));
    }

    #[test]
    fn numbers_are_read_by_the_head() {
        let model = |squash| Model { role: Name::new("critic").unwrap(), squash, pass_at: None };
        let score = |numbers: &[f32], head, squash| read(numbers, &critic(head), &model(squash), "prm").score;
        assert_eq!(score(&[2.5], Head::Scalar, Squash::None), Some(2.5));
        assert_eq!(score(&[0.0], Head::Scalar, Squash::Sigmoid), Some(0.5));
        assert_eq!(score(&[0.0], Head::Scalar, Squash::Tanh), Some(0.0));
        assert_eq!(score(&[1.0, 1.0], Head::Classes(2), Squash::None), Some(0.5));
        let likely = score(&[0.0, 3.0], Head::Classes(2), Squash::None).unwrap();
        assert!((likely - 0.952_574).abs() < 1e-6, "{likely}");
        // Of four classes the last: e / (1 + 1 + 1 + e).
        let passed = score(&[0.0, 0.0, 0.0, 1.0], Head::Classes(4), Squash::None).unwrap();
        assert!((passed - 0.475_367).abs() < 1e-6, "{passed}");
        for (numbers, head) in [
            (vec![1.0, 2.0], Head::Scalar),
            (vec![f32::NAN], Head::Scalar),
            (vec![], Head::Classes(2)),
            (vec![0.0, 1.0], Head::Classes(3)),
        ] {
            let verdict = read(&numbers, &critic(head), &model(Squash::None), "prm");
            assert_eq!((verdict.outcome, verdict.score), (Outcome::Error, None), "{numbers:?}");
        }
        assert!(read(&[1.0], &critic(Head::Scalar), &model(Squash::None), "prm").verifier.starts_with("prm/"));
        let at =
            |number, pass_at| at_least(read(&[number], &critic(Head::Scalar), &model(Squash::Sigmoid), "c"), pass_at);
        assert_eq!((at(0.0, Some(0.5)).outcome, at(-0.1, Some(0.5)).outcome), (Outcome::Pass, Outcome::Fail));
        assert_eq!((at(-0.1, None).outcome, at(f32::NAN, Some(0.5)).outcome), (Outcome::Pass, Outcome::Error));
        assert_eq!(at(0.0, Some(0.75)).reason, "0.5000 < 0.75");
    }
}
