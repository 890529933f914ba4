//! Rules about trees: budgets that never end, choices that cannot be meant, right answers that nobody knows.

use super::Check;
use super::data::MAX_SAMPLES;
use super::scope::Scope;
use super::search::{MAX_COUNT, MAX_DEPTH, MAX_NUMBER};
use crate::recipe::path::Path;
use crate::recipe::search::{
    BestFirst, Budget, Evaluate, Extra, Extract, Mcts, Propose, Puct, Select, StepBeam, Uct, Unit, Unvisited, When,
    Width,
};

/// Most jobs of a wave, and most waves, of a tree that is spread over jobs.
const MAX_SPREAD: u32 = 64;

impl Check<'_> {
    pub(super) fn mcts(&mut self, mcts: &Mcts, path: &Path, (plays, scope): (bool, &Scope)) {
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
            Width::Adaptive { alpha, min, max, root } => {
                let path = path.key("width").key("adaptive");
                self.inside(&path.key("alpha"), alpha, 0.0, MAX_NUMBER);
                self.whole(&path.key("min"), min, 1, MAX_SAMPLES);
                self.whole(&path.key("max"), max, min, MAX_SAMPLES);
                if let Some(root) = root {
                    self.whole(&path.key("root"), root, min, MAX_SAMPLES);
                }
            }
        }
        self.whole(&path.key("parallel").key("leaves"), mcts.parallel.leaves, 1, MAX_SAMPLES);
        self.between(&path.key("parallel").key("virtual_loss"), mcts.parallel.virtual_loss, 0.0, MAX_NUMBER);
        if let Some(spread) = mcts.spread {
            let path = path.key("spread");
            self.whole(&path.key("jobs"), spread.jobs, 2, MAX_SPREAD);
            self.whole(&path.key("waves"), spread.waves, 1, MAX_SPREAD);
        }
        if let Some(feedback) = &mcts.feedback {
            self.feedback(feedback, mcts.width, &path.key("feedback"));
        }
        if let (Extract::Discriminate(_), Some(_)) = (&mcts.extract, mcts.spread) {
            let message = "nobody looks at the answers of a tree that several jobs grow";
            self.refuse(&path.key("spread"), message, "leave `spread` out, or take `top` answers");
        }
        self.extract(&mcts.extract, path, (plays, scope));
        self.knows_right(&mcts.evaluate, (&mcts.extract, &mcts.budget), path);
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

    pub(super) fn step_beam(&mut self, beam: &StepBeam, path: &Path, (plays, scope): (bool, &Scope)) {
        self.steps(&beam.propose, path, plays);
        self.budget(&beam.budget, path);
        self.whole(&path.key("beam"), beam.beam, 1, MAX_SAMPLES);
        self.extract(&beam.extract, path, (plays, scope));
        self.knows_right(&beam.evaluate, (&beam.extract, &beam.budget), path);
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
    fn knows_right(&mut self, evaluate: &[Evaluate], (extract, budget): (&Extract, &Budget), path: &Path) {
        let decides = evaluate.iter().any(|evaluate| evaluate.verifier.checks_answers() && evaluate.when != When::Leaf);
        let asks = [
            (path.key("extract"), *extract == Extract::Correct),
            (path.key("budget").key("correct_leaves"), budget.correct_leaves.is_some()),
            (path.key("budget").key("escalate_unsolved"), budget.escalate_unsolved.is_some()),
        ];
        for (path, _) in asks.into_iter().filter(|(_, asks)| *asks && !decides) {
            let message = "no evaluator decides which answers are right";
            self.refuse(&path, message, "add `{verifier: rule}` to `evaluate`");
        }
    }

    fn extract(&mut self, extract: &Extract, path: &Path, known: (bool, &Scope)) {
        let path = path.key("extract");
        match extract {
            Extract::Top(count) => self.whole(&path.key("top"), *count, 1, MAX_COUNT),
            Extract::Discriminate(choice) => self.discriminate(choice, &path.key("discriminate"), known),
            Extract::Answers | Extract::Ends | Extract::Correct => {}
        }
    }

    pub(super) fn budget(&mut self, budget: &Budget, path: &Path) {
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
}
