//! Rules about searches: settings that cannot be meant, budgets that never end, models that are not there.

use super::Check;
use super::data::MAX_SAMPLES;
use super::scope::Scope;
use crate::ids::Name;
use crate::recipe::Head;
use crate::recipe::path::Path;
use crate::recipe::search::{Ballot, Evaluate, Merge, Propose, Search, Unit, When};
use crate::recipe::verify::{Exact, List, McRollout, Model, MultipleChoice, Numeric, Verifier};

/// Deepest tree.
pub(super) const MAX_DEPTH: u32 = 1000;
/// Most of anything that is counted per tree.
pub(super) const MAX_COUNT: u32 = 1_000_000;
/// Most questions behind one continuation.
const MAX_CONTINUED: u64 = 16;
/// Largest value, weight or constant.
pub(super) const MAX_NUMBER: f64 = 1.0e6;

/// What says nothing of a part of an answer, or draws continuations of a whole one.
pub(super) fn cannot_weigh(verifier: &Verifier) -> bool {
    verifier.checks_answers() || matches!(verifier, Verifier::McRollout(_))
}

impl Check<'_> {
    /// The search at `path`, of tasks of `sets`.
    pub(super) fn search<'a>(
        &mut self,
        search: &Search,
        sets: impl Iterator<Item = &'a Name> + Clone,
        path: &Path,
        scope: &Scope,
    ) {
        let plays = self.plays(sets.clone());
        self.fits(search, path, plays);
        let path = path.key(search.name());
        let inner = match search {
            Search::SampleK(_) => path.clone(),
            _ => path.key("propose"),
        };
        self.propose(search.propose(), &inner, sets);
        if search.propose().greedy && !matches!(search, Search::SampleK(_)) {
            let message = "only independent samples are drawn beside the most probable answer";
            self.refuse(&inner.key("greedy"), message, "leave it out, or use `sample_k`");
        }
        match search {
            Search::Mcts(mcts) => self.mcts(mcts, &path, (plays, scope)),
            Search::StepBeam(beam) => self.step_beam(beam, &path, (plays, scope)),
            chain => {
                self.chain(chain, &path, scope);
                self.whole_answers(chain.propose(), &inner);
            }
        }
        for (index, evaluate) in search.evaluators().iter().enumerate() {
            self.evaluator(evaluate, &path.key(search.evaluators_key()).index(index), scope);
        }
    }

    fn propose<'a>(&mut self, propose: &Propose, path: &Path, sets: impl Iterator<Item = &'a Name>) {
        self.whole(&path.key("n"), propose.n, 1, MAX_SAMPLES);
        self.temperature(&path.key("temperature"), &propose.temperature);
        if propose.n > 1 && propose.temperature.resolve(&self.recipe.vars) == Some(0.0) {
            let message = format!("at temperature 0 all {} samples of a task are the same", propose.n);
            self.refuse(&path.key("temperature"), message, "use `n: 1`, or a temperature above 0");
        }
        if let Some(top_p) = self.number(&path.key("top_p"), &propose.top_p)
            && !(top_p > 0.0 && top_p <= 1.0)
        {
            let help = "use a number greater than 0 and at most 1; 1 keeps all";
            self.refuse(&path.key("top_p"), format!("{top_p} is out of range"), help);
        }
        self.max_tokens(propose.max_tokens, path);
        self.cuts(propose, path);
        if let Some(guide) = &propose.guide {
            self.guide(guide, &path.key("guide"), sets);
        }
        match &propose.unit {
            Unit::Step(text) if text.is_empty() => {
                self.refuse(
                    &path.key("unit").key("step"),
                    "the text is empty",
                    "write what ends a step, for example `\";\"`",
                );
            }
            Unit::Tokens(count) => self.whole(&path.key("unit").key("tokens"), *count, 1, MAX_COUNT),
            Unit::Answer | Unit::Line | Unit::Step(_) | Unit::Turn | Unit::CodeBlock => {}
        }
        if let Merge::EditDistance { below, resample } = propose.merge {
            let path = path.key("merge").key("edit_distance");
            self.whole(&path.key("below"), below, 1, MAX_COUNT);
            self.whole(&path.key("resample"), resample, 0, 100);
        }
    }

    /// Only trees have steps.
    fn whole_answers(&mut self, propose: &Propose, path: &Path) {
        if !matches!(propose.unit, Unit::Answer | Unit::Turn) {
            let help = "leave `unit` out, or search a tree: `mcts` or `step_beam`";
            self.refuse(&path.key("unit"), "this search draws whole answers and has no steps", help);
        }
        if matches!(propose.merge, Merge::EditDistance { .. }) {
            let message = "this search has no siblings that could be merged";
            self.refuse(&path.key("merge"), message, "leave `merge` out; datasets have `dedupe`");
        }
    }

    fn evaluator(&mut self, evaluate: &Evaluate, path: &Path, scope: &Scope) {
        self.verifier(&evaluate.verifier, &path.key("verifier"), (scope, evaluate.from_generation));
        self.between(&path.key("weight"), evaluate.weight, -MAX_NUMBER, MAX_NUMBER);
        if let Some(worth) = evaluate.map {
            self.between(&path.key("map").key("pass"), worth.pass, -MAX_NUMBER, MAX_NUMBER);
            self.between(&path.key("map").key("fail"), worth.fail, -MAX_NUMBER, MAX_NUMBER);
        }
        if let Some(count) = evaluate.kill_after {
            self.whole(&path.key("kill_after"), count, 1, MAX_DEPTH);
            if !evaluate.verifier.decides() {
                let message = format!("`{}` gives a number and fails nothing", evaluate.verifier.name());
                self.refuse(&path.key("kill_after"), message, "leave `kill_after` out");
            }
        }
        let at_answers = evaluate.when == When::Terminal;
        if evaluate.verifier.needs_answers() && !at_answers {
            let message = format!("`{}` can only decide on answers", evaluate.verifier.name());
            let help = "write `when: terminal`, or estimate steps by `mc_rollout`";
            self.refuse(&path.key("when"), message, help);
        }
        if speaks_of_all(&evaluate.verifier) {
            let name = evaluate.verifier.name();
            let message = format!("`{name}` speaks of all answers of a task, which are known when the search is over");
            self.refuse(&path.key("verifier"), message, "put it into `verify` beside `rule`");
        }
        if evaluate.verifier.holds(&|verifier| matches!(verifier, Verifier::McRollout(_))) && at_answers {
            let message = "an answer has no continuations";
            self.refuse(&path.key("when"), message, "write `when: leaf`, and `rule` at the answers");
        }
    }

    /// A verifier, wherever it stands, and the first generation that asks it.
    pub(super) fn verifier(&mut self, verifier: &Verifier, path: &Path, (scope, generation): (&Scope, u32)) {
        match verifier {
            Verifier::Rule
            | Verifier::Working
            | Verifier::SelfLogProb
            | Verifier::SequenceLogProb
            | Verifier::Behaviour(_)
            | Verifier::Turns(_)
            | Verifier::Math(_)
            | Verifier::Consistency(_) => {}
            Verifier::Exact(Exact { read, .. })
            | Verifier::Numeric(Numeric { read, .. })
            | Verifier::List(List { read, .. })
            | Verifier::MultipleChoice(MultipleChoice { read }) => {
                let path = path.key(verifier.name());
                if read.is_empty() {
                    let help = "name at least one place, for example `[last_line]`, or leave it out";
                    self.refuse(&path.key("read"), "the answer is looked for nowhere", help);
                }
                if let Verifier::Numeric(numeric) = verifier {
                    self.between(&path.key("absolute"), numeric.absolute, 0.0, MAX_NUMBER);
                    self.between(&path.key("relative"), numeric.relative, 0.0, 1.0);
                }
            }
            Verifier::Regex(regex) if regex.pattern.is_empty() => {
                let help = "write what the completion must match";
                self.refuse(&path.key("regex").key("pattern"), "the pattern is empty", help);
            }
            Verifier::Regex(_) | Verifier::JsonSchema(_) => {}
            Verifier::StepExecutor(executor) => {
                self.whole(&path.key("step_executor").key("seconds"), executor.seconds, 1, 3600);
            }
            Verifier::UnitTests(tests) => {
                let path = path.key("unit_tests");
                self.whole(&path.key("seconds"), tests.seconds, 1, 3600);
                self.whole(&path.key("all_seconds"), tests.all_seconds, tests.seconds, 36_000);
                if let Some(count) = tests.examples {
                    self.whole(&path.key("examples"), count, 1, MAX_COUNT);
                }
            }
            Verifier::Value(model) | Verifier::Orm(model) | Verifier::Prm(model) => {
                self.model(model, &path.key(verifier.name()), (scope, generation));
            }
            Verifier::Rules(rules) => self.rules(rules, &path.key("rules")),
            Verifier::Judge(judge) => self.judge(judge, &path.key("judge")),
            Verifier::JudgePair(pair) => self.judge_pair(pair, &path.key("judge_pair")),
            Verifier::Principles(principles) => self.principles(principles, &path.key("principles")),
            Verifier::FirstError(first) => self.first_error(first, &path.key("first_error"), (scope, generation)),
            Verifier::EnvReturn(rule) => self.env_return(rule, &path.key("env_return")),
            Verifier::SuccessClassifier(classifier) => {
                let path = path.key("success_classifier");
                self.numbers_role(&path.key("role"), &classifier.role, (scope, generation));
                self.between(&path.key("pass_at"), classifier.pass_at, -MAX_NUMBER, MAX_NUMBER);
            }
            Verifier::McRollout(mc) => self.mc_rollout(mc, &path.key("mc_rollout"), (scope, generation)),
            Verifier::Combine(_) | Verifier::Repeat(_) | Verifier::Uncertainty(_) => {
                self.wrapper(verifier, path, (scope, generation));
            }
        }
    }

    fn model(&mut self, model: &Model, path: &Path, at: (&Scope, u32)) {
        self.numbers_role(path, &model.role, at);
        if let Some(least) = model.pass_at {
            self.between(&path.key("pass_at"), least, -MAX_NUMBER, MAX_NUMBER);
        }
    }

    fn mc_rollout(&mut self, mc: &McRollout, path: &Path, at: (&Scope, u32)) {
        self.whole(&path.key("samples"), mc.samples, 1, MAX_SAMPLES);
        self.inside(&path.key("temperature"), mc.temperature, 0.0, 5.0);
        self.max_tokens(mc.max_tokens, path);
        if let Some(role) = &mc.role {
            self.lm_role(&path.key("role"), role);
        }
        if let Some(by) = &mc.by {
            self.continuations(by, &path.key("by"), at);
        }
    }

    /// What judges each of several continuations.
    fn continuations(&mut self, by: &Verifier, path: &Path, at: (&Scope, u32)) {
        let of_one = match by {
            Verifier::Consistency(_)
            | Verifier::JudgePair(_)
            | Verifier::Turns(_)
            | Verifier::McRollout(_)
            | Verifier::FirstError(_)
            | Verifier::EnvReturn(_)
            | Verifier::SuccessClassifier(_) => false,
            other => !other.holds(&|part| matches!(part, Verifier::McRollout(_))),
        };
        if !of_one {
            let message = format!("`{}` cannot judge a continuation by itself", by.name());
            self.refuse(
                path,
                message,
                "use `orm`, `value`, `prm`, `judge` or `combine`; leave it out for the task's rule",
            );
        }
        self.verifier(by, path, at);
        if by.questions() > MAX_CONTINUED {
            let message = format!("{} questions stand behind each continuation", by.questions());
            self.refuse(path, message, format!("ask at most {MAX_CONTINUED}"));
        }
    }

    /// A role that gives a number, and was trained to by then.
    pub(super) fn numbers_role(&mut self, path: &Path, name: &Name, (scope, generation): (&Scope, u32)) {
        match self.role(path, name) {
            Some(Head::Scalar | Head::Classes(2..)) if !scope.is_trained(name) => {
                let later = self.trained_later(name);
                if later && generation < 2 {
                    let message = format!("the role `{name}` has not been trained yet in the first generation");
                    self.refuse(
                        path,
                        message,
                        "ask it in a search with `from_generation: 2`, or put a `train` of it before",
                    );
                } else if !later {
                    let message = format!("the role `{name}` is never trained");
                    self.refuse(path, message, "add a `train` of it (without `as`, so that it takes the role)");
                }
            }
            Some(head @ (Head::Lm | Head::Classes(0 | 1))) => {
                let message = format!("the role `{name}` has a head of {head} and gives no number");
                self.refuse(
                    path,
                    message,
                    "name a role with `head: scalar`, or of classes, of which the last is the best",
                );
            }
            Some(_) | None => {}
        }
    }

    /// Whether a step of `each` trains the role, so that later generations have it.
    fn trained_later(&self, name: &Name) -> bool {
        use crate::recipe::step::RecipeStep;
        self.recipe.each.iter().any(|step| match step {
            RecipeStep::Train(train) => train.takes_role() && train.role == *name,
            RecipeStep::Tournament(tournament) => tournament.promote == *name,
            RecipeStep::Rollout(_) | RecipeStep::Curate(_) | RecipeStep::Evaluate(_) | RecipeStep::Propose(_) => false,
        })
    }

    fn chain(&mut self, search: &Search, path: &Path, scope: &Scope) {
        let text = |check: &mut Self, key: &str, text: &str| {
            if text.is_empty() {
                check.refuse(&path.key(key), "the text is empty", "write what the policy reads there");
            }
        };
        match search {
            Search::SampleK(_) | Search::Mcts(_) | Search::StepBeam(_) | Search::EnvRollout(_) => {}
            Search::CriticSampling(search) => self.critic_sampling(search, path, scope),
            Search::BestOfN(best) if best.by.is_empty() => {
                self.refuse(
                    &path.key("by"),
                    "nothing ranks the answers",
                    "name an evaluator, for example `[{verifier: {orm: critic}}]`",
                );
            }
            Search::BestOfN(_) => {}
            Search::Vote(vote) => {
                if let Ballot::Weighted { verifier, .. } = &vote.by
                    && (!weighs(verifier) || verifier.holds(&cannot_weigh))
                {
                    let message = format!("`{}` cannot weigh votes", verifier.name());
                    self.refuse(
                        &path.key("by").key("weighted").key("verifier"),
                        message,
                        "use `prm`, `orm`, `value`, `judge`, `principles` or `self_log_prob`",
                    );
                }
            }
            Search::IdSampling(deep) => {
                self.whole(&path.key("first"), deep.first, 1, MAX_COUNT);
                self.whole(&path.key("most"), deep.most, deep.first, MAX_COUNT);
                self.between(&path.key("factor"), deep.factor, 1.0, 100.0);
                text(self, "trigger", &deep.trigger);
            }
            Search::MultiTurn(turns) => {
                self.whole(&path.key("turns"), turns.turns, 2, 100);
                text(self, "instruction", &turns.instruction);
            }
            Search::RefineLoop(refine) => {
                self.whole(&path.key("rounds"), refine.rounds, 1, 100);
                text(self, "feedback", &refine.feedback);
                text(self, "revise", &refine.revise);
            }
            Search::Debate(debate) => {
                self.whole(&path.key("speakers"), debate.speakers, 2, 100);
                self.whole(&path.key("rounds"), debate.rounds, 1, 100);
                text(self, "others", &debate.others);
                text(self, "again", &debate.again);
            }
        }
    }
}

/// Whether a verifier compares all that a search left, so that no search can ask it on its way.
pub(super) fn speaks_of_all(verifier: &Verifier) -> bool {
    matches!(verifier, Verifier::Consistency(_) | Verifier::JudgePair(_))
}

/// Whether a verifier gives a number to what was written so far, without continuing it.
pub(super) fn weighs(verifier: &Verifier) -> bool {
    match verifier {
        Verifier::Judge(_) | Verifier::Principles(_) => true,
        Verifier::McRollout(_) | Verifier::Consistency(_) | Verifier::JudgePair(_) => false,
        other => !other.decides(),
    }
}
