//! Rules about searches: settings that cannot be meant, budgets that never end, models that are not there.

use super::Check;
use super::data::MAX_SAMPLES;
use super::scope::Scope;
use crate::ids::Name;
use crate::recipe::Head;
use crate::recipe::path::Path;
use crate::recipe::search::{
    Ballot, BestFirst, Budget, Evaluate, Extra, Extract, Mcts, Merge, Propose, Puct, Search, Select, StepBeam, Uct,
    Unit, Unvisited, When, Width,
};
use crate::recipe::verify::{Exact, List, MultipleChoice, Numeric, Verifier};

/// Deepest tree.
const MAX_DEPTH: u32 = 1000;
/// Most jobs of a wave, and most waves, of a tree that is spread over jobs.
const MAX_SPREAD: u32 = 64;
/// Most of anything that is counted per tree.
const MAX_COUNT: u32 = 1_000_000;
/// Largest value, weight or constant.
pub(super) const MAX_NUMBER: f64 = 1.0e6;

/// What says nothing of a part of an answer, or draws continuations of a whole one.
fn cannot_weigh(verifier: &Verifier) -> bool {
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
        match search {
            Search::Mcts(mcts) => self.mcts(mcts, &path, plays),
            Search::StepBeam(beam) => self.step_beam(beam, &path, plays),
            chain => {
                self.chain(chain, &path);
                self.whole_answers(chain.propose(), &inner);
            }
        }
        let key = if matches!(search, Search::BestOfN(_)) { "by" } else { "evaluate" };
        for (index, evaluate) in search.evaluators().iter().enumerate() {
            self.evaluator(evaluate, &path.key(key).index(index), scope);
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

    fn mcts(&mut self, mcts: &Mcts, path: &Path, plays: bool) {
        self.steps(&mcts.propose, path, plays);
        self.budget(&mcts.budget, path);
        let budget = &mcts.budget;
        if (budget.simulations, budget.nodes, budget.tokens) == (None, None, None) {
            let help = "give `simulations`, `nodes` or `tokens`, for example `{simulations: 48}`";
            self.refuse(&path.key("budget"), "a tree that finds nothing would grow for ever", help);
        }
        let (c, extra) = match &mcts.select {
            Select::Uct(Uct { c, extra, unvisited }) | Select::Puct(Puct { c, extra, unvisited, .. }) => {
                if let Unvisited::Constant(value) = unvisited {
                    self.between(&path.key("select").key("unvisited"), *value, -MAX_NUMBER, MAX_NUMBER);
                }
                (c, extra)
            }
            Select::BestFirst(BestFirst { c, extra }) => (c, extra),
        };
        let select = path.key("select");
        if let Some(c) = self.number(&select.key("c"), c) {
            self.between(&select.key("c"), c, 0.0, MAX_NUMBER);
        }
        for (index, extra) in extra.iter().enumerate() {
            self.extra(*extra, &select.key("extra").index(index));
        }
        match mcts.width {
            Width::Fixed => {}
            Width::UpTo(most) => self.whole(&path.key("width").key("up_to"), most, 1, MAX_SAMPLES),
            Width::Adaptive { alpha, min, max } => {
                let path = path.key("width").key("adaptive");
                self.inside(&path.key("alpha"), alpha, 0.0, MAX_NUMBER);
                self.whole(&path.key("min"), min, 1, MAX_SAMPLES);
                self.whole(&path.key("max"), max, min, MAX_SAMPLES);
            }
        }
        self.whole(&path.key("parallel").key("leaves"), mcts.parallel.leaves, 1, MAX_SAMPLES);
        self.between(&path.key("parallel").key("virtual_loss"), mcts.parallel.virtual_loss, 0.0, MAX_NUMBER);
        if let Some(spread) = mcts.spread {
            let path = path.key("spread");
            self.whole(&path.key("jobs"), spread.jobs, 2, MAX_SPREAD);
            self.whole(&path.key("waves"), spread.waves, 1, MAX_SPREAD);
        }
        self.extract(mcts.extract, path);
        self.knows_right(&mcts.evaluate, (mcts.extract, &mcts.budget), path);
        if mcts.evaluate.is_empty() {
            self.refuse(&path.key("evaluate"), "no node has a value", "leave `evaluate` out for the task's rule");
        }
    }

    fn extra(&mut self, extra: Extra, path: &Path) {
        let numbers = match extra {
            Extra::Depth { alpha, beta, gamma } => vec![alpha, beta, gamma],
            Extra::Diversity(w) | Extra::Finished(w) | Extra::Duplicate(w) | Extra::Hindsight(w) => vec![w],
        };
        for number in numbers {
            self.between(path, number, -MAX_NUMBER, MAX_NUMBER);
        }
    }

    fn step_beam(&mut self, beam: &StepBeam, path: &Path, plays: bool) {
        self.steps(&beam.propose, path, plays);
        self.budget(&beam.budget, path);
        self.whole(&path.key("beam"), beam.beam, 1, MAX_SAMPLES);
        self.extract(beam.extract, path);
        self.knows_right(&beam.evaluate, (beam.extract, &beam.budget), path);
        if !beam.evaluate.iter().any(|evaluate| evaluate.when != When::Terminal) {
            let message = "nothing says which steps are best: no evaluator is asked at steps";
            let help = "add one with `when: every`, for example `{verifier: {prm: critic}, when: every}`";
            self.refuse(&path.key("evaluate"), message, help);
        }
    }

    fn steps(&mut self, propose: &Propose, path: &Path, plays: bool) {
        if !plays && matches!(propose.unit, Unit::Answer | Unit::Turn) {
            let help = "say what a step is, for example `unit: line`; or use `sample_k`";
            self.refuse(&path.key("propose").key("unit"), "a tree of whole answers has one level", help);
        }
    }

    /// What is right is known in a tree only where an evaluator decides on answers.
    fn knows_right(&mut self, evaluate: &[Evaluate], (extract, budget): (Extract, &Budget), path: &Path) {
        let decides = evaluate.iter().any(|evaluate| evaluate.verifier.checks_answers() && evaluate.when != When::Leaf);
        let asks = [
            (path.key("extract"), extract == Extract::Correct),
            (path.key("budget").key("correct_leaves"), budget.correct_leaves.is_some()),
            (path.key("budget").key("escalate_unsolved"), budget.escalate_unsolved.is_some()),
        ];
        for (path, _) in asks.into_iter().filter(|(_, asks)| *asks && !decides) {
            let message = "no evaluator decides which answers are right";
            self.refuse(&path, message, "add `{verifier: rule}` to `evaluate`");
        }
    }

    fn extract(&mut self, extract: Extract, path: &Path) {
        if let Extract::Top(count) = extract {
            self.whole(&path.key("extract").key("top"), count, 1, MAX_COUNT);
        }
    }

    fn budget(&mut self, budget: &Budget, path: &Path) {
        let path = path.key("budget");
        self.whole(&path.key("depth"), budget.depth, 1, MAX_DEPTH);
        for (key, count) in
            [("simulations", budget.simulations), ("nodes", budget.nodes), ("correct_leaves", budget.correct_leaves)]
        {
            if let Some(count) = count {
                self.whole(&path.key(key), count, 1, MAX_COUNT);
            }
        }
        if budget.tokens == Some(0) {
            self.refuse(&path.key("tokens"), "no token may be sampled", "use at least 1, or leave it out");
        }
        if let Some(more) = budget.escalate_unsolved {
            self.whole(&path.key("escalate_unsolved").key("factor"), more.factor, 2, 1000);
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
        if matches!(evaluate.verifier, Verifier::Consistency(_) | Verifier::JudgePair(_)) {
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
            | Verifier::SelfLogProb
            | Verifier::Behaviour(_)
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
            }
            Verifier::Value(model) | Verifier::Orm(model) | Verifier::Prm(model) => {
                self.numbers_role(&path.key(verifier.name()), &model.role, (scope, generation));
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
            Verifier::McRollout(mc) => {
                let path = path.key("mc_rollout");
                self.whole(&path.key("samples"), mc.samples, 1, MAX_SAMPLES);
                self.inside(&path.key("temperature"), mc.temperature, 0.0, 5.0);
                self.max_tokens(mc.max_tokens, &path);
            }
            Verifier::Combine(_) | Verifier::Repeat(_) | Verifier::Uncertainty(_) => {
                self.wrapper(verifier, path, (scope, generation));
            }
        }
    }

    /// A role that gives a number, and was trained to by then.
    pub(super) fn numbers_role(&mut self, path: &Path, name: &Name, (scope, generation): (&Scope, u32)) {
        match self.role(path, name) {
            Some(Head::Scalar | Head::Classes(2)) if !scope.is_trained(name) => {
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
            Some(head @ (Head::Lm | Head::Classes(_))) if head != Head::Classes(2) => {
                let message = format!("the role `{name}` has a head of {head} and gives no number");
                self.refuse(path, message, "name a role with `head: scalar` or `head: {classes: 2}`");
            }
            Some(_) | None => {}
        }
    }

    /// Whether a step of `each` trains the role, so that later generations have it.
    fn trained_later(&self, name: &Name) -> bool {
        use crate::recipe::step::RecipeStep;
        self.recipe.each.iter().any(|step| match step {
            RecipeStep::Train(train) => train.name.is_none() && train.role == *name,
            RecipeStep::Tournament(tournament) => tournament.promote == *name,
            RecipeStep::Rollout(_) | RecipeStep::Curate(_) | RecipeStep::Evaluate(_) => false,
        })
    }

    fn chain(&mut self, search: &Search, path: &Path) {
        let text = |check: &mut Self, key: &str, text: &str| {
            if text.is_empty() {
                check.refuse(&path.key(key), "the text is empty", "write what the policy reads there");
            }
        };
        match search {
            Search::SampleK(_) | Search::Mcts(_) | Search::StepBeam(_) | Search::EnvRollout(_) => {}
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

/// Whether a verifier gives a number to what was written so far, without continuing it.
fn weighs(verifier: &Verifier) -> bool {
    match verifier {
        Verifier::Judge(_) | Verifier::Principles(_) => true,
        Verifier::McRollout(_) | Verifier::Consistency(_) | Verifier::JudgePair(_) => false,
        other => !other.decides(),
    }
}
