//! Rules about `propose`, and about searches of tasks whose answers nobody knows: who may decide there.

use super::Check;
use super::data::MAX_SAMPLES;
use super::scope::Scope;
use crate::ids::Name;
use crate::recipe::Base;
use crate::recipe::path::Path;
use crate::recipe::proposals::Proposals;
use crate::recipe::search::{Amount, Ballot, JudgedTurns, MultiTurn, Rollout, Search, Vote};
use crate::recipe::tasks::{Split, TaskSet};
use crate::recipe::verify::{TurnNumber, Verifier};
use crate::task::MAX_SPLIT;
use crate::task::proposed::Form;

/// Who can decide on answers of proposed questions.
pub(super) const DECIDERS: &str = "let one decide that knows no answers: `working` where the family has lines that can be done, `rules`, `judge`, \
     `principles`, or a critic from a score on: `{orm: {role: critic, squash: sigmoid, pass_at: 0.5}}`";

/// Why a verifier cannot.
const NO_ANSWER: &str = "of proposed questions nobody knows it";

impl Check<'_> {
    pub(super) fn proposals(&mut self, proposals: &Proposals, path: &Path) {
        self.lm_role(&path.key("role"), &proposals.role);
        self.whole(&path.key("n"), proposals.n, 1, MAX_SPLIT);
        self.whole(&path.key("tries"), proposals.tries(), proposals.n, MAX_SPLIT.saturating_mul(10));
        self.whole(&path.key("at_least"), proposals.at_least(), 1, proposals.n);
        self.temperature(&path.key("temperature"), &proposals.temperature);
        if let Some(top_p) = self.number(&path.key("top_p"), &proposals.top_p)
            && !(top_p > 0.0 && top_p <= 1.0)
        {
            let help = "use a number greater than 0 and at most 1; 1 keeps all";
            self.refuse(&path.key("top_p"), format!("{top_p} is out of range"), help);
        }
        self.max_tokens(proposals.max_tokens, path);
        self.asked_like(&proposals.like, proposals.seeds, (&path.key("like"), &path.key("seeds")));
    }

    /// The task set whose training questions are shown, `seeds` of them at a time.
    pub(super) fn asked_like(&mut self, set: &Name, seeds: u32, (path, seeds_path): (&Path, &Path)) {
        let Some(source) = self.task_set(path, set) else { return };
        if let Err(formless) = Form::of(&source) {
            let help = "name a set of single questions: a family whose questions can be read back (`galapagos help recipe propose`), or \
                        `files` whose `template` is one `{prompt}` with texts around it";
            return self.refuse(path, format!("no questions like `{set}` can be proposed: {formless}"), help);
        }
        let available = source.size(Split::Train);
        self.whole(seeds_path, seeds, 1, MAX_SAMPLES.min(available.saturating_sub(1).max(1)));
        self.room_for_questions(&source, seeds, seeds_path);
    }

    /// A model of characters reads the shown questions and writes one more.
    fn room_for_questions(&mut self, source: &TaskSet, seeds: u32, path: &Path) {
        let (Base::Characters(shape), TaskSet::Builtin(builtin)) = (&self.recipe.base, source) else { return };
        let line = u64::from(builtin.family.longest().0) + 1;
        let needed = (u64::from(seeds) + 1) * line;
        if needed > u64::from(shape.context) {
            let message = format!(
                "{seeds} questions and one more have up to {needed} characters, and the base reads {}",
                shape.context
            );
            self.refuse(path, message, "show fewer, or make the base's `context` longer");
        }
    }

    /// How many proposed tasks a `rollout` takes.
    pub(super) fn some_proposed(
        &mut self,
        path: &Path,
        (name, proposals): (&Name, &Proposals),
        amount: Amount,
        scope: &Scope,
    ) {
        self.tasks_made(path, name, scope);
        let Amount::Count(count) = amount else { return };
        let sure = proposals.at_least();
        if count == 0 || count > sure {
            let message = format!("{count} tasks are asked for; of `{name}` at least {sure} are there");
            self.refuse(path, message, format!("use 1 to {sure}, or `all` for those that are there"));
        }
    }

    /// Where tasks are proposed, nothing may ask for the right answer.
    pub(super) fn unanswered(&mut self, rollout: &Rollout, path: &Path) {
        let proposed = rollout.tasks.keys().find(|name| self.recipe.proposals(name).is_some());
        let Some(source) = proposed.and_then(|name| self.recipe.task_source(name)).cloned() else { return };
        for (index, verifier) in rollout.verify.iter().enumerate() {
            self.knows_nothing(verifier, &source, &path.key("verify").index(index));
        }
        let search = path.key("search").key(rollout.search.name());
        let evaluators = search.key(rollout.search.evaluators_key());
        for (index, evaluate) in rollout.search.evaluators().iter().enumerate() {
            self.knows_nothing(&evaluate.verifier, &source, &evaluators.index(index).key("verifier"));
        }
        match &rollout.search {
            Search::Vote(Vote { by: Ballot::Weighted { verifier, .. }, .. }) => {
                self.knows_nothing(verifier, &source, &search.key("by").key("weighted").key("verifier"));
            }
            Search::MultiTurn(MultiTurn { judge: JudgedTurns::Every, .. }) => {
                let message = format!("every turn is judged by the right answer, and {NO_ANSWER}");
                self.refuse(&search.key("judge"), message, "judge the last turn alone, by a critic");
            }
            _ => {}
        }
    }

    fn knows_nothing(&mut self, verifier: &Verifier, source: &TaskSet, path: &Path) {
        let name = verifier.name();
        let within = path.key(name);
        match verifier {
            Verifier::Working => {
                let works = matches!(source, TaskSet::Builtin(source) if source.family.works_without_answer());
                if !works {
                    let message =
                        format!("`working` of {} compares with the right answer, and {NO_ANSWER}", source.label());
                    self.refuse(path, message, DECIDERS);
                }
            }
            Verifier::Judge(judge) => self.knows_no_answer(verifier, &judge.ask, &within, NO_ANSWER),
            Verifier::JudgePair(pair) => self.knows_no_answer(verifier, &pair.ask, &within, NO_ANSWER),
            Verifier::Principles(listed) => self.knows_no_answer(verifier, &listed.ask, &within, NO_ANSWER),
            Verifier::FirstError(first) => self.knows_nothing(&first.by, source, &within.key("by")),
            Verifier::Combine(combine) => {
                for (index, member) in combine.of.iter().enumerate() {
                    self.knows_nothing(&member.verify, source, &within.key("of").index(index).key("verify"));
                }
            }
            Verifier::Repeat(_) | Verifier::Uncertainty(_) => {
                for member in verifier.members() {
                    self.knows_nothing(member, source, &within.key("verify"));
                }
            }
            Verifier::Turns(TurnNumber::Edit) => {}
            Verifier::McRollout(mc) => match &mc.by {
                Some(by) => self.knows_nothing(by, source, &within.key("by")),
                None => self.asks_for_answers(name, path),
            },
            Verifier::Turns(_) => self.asks_for_answers(name, path),
            // What looks at the form alone compares with nothing.
            Verifier::Regex(_) | Verifier::JsonSchema(_) if !verifier.knows_answers() => {}
            other if other.checks_answers() => self.asks_for_answers(name, path),
            _ => {}
        }
    }

    fn asks_for_answers(&mut self, name: &str, path: &Path) {
        self.refuse(path, format!("`{name}` asks for the right answer, and {NO_ANSWER}"), DECIDERS);
    }
}
