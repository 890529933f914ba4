//! Rules about `tournament` and `evaluate`: who is judged, on what, by whom.

use super::data::MAX_SAMPLES;
use super::scope::{CHAMPION, POLICY, Scope};
use super::search::speaks_of_all;
use super::{Check, Phase};
use crate::ids::Name;
use crate::recipe::Head;
use crate::recipe::evaluate::{Evaluate, Metric, Rerank};
use crate::recipe::path::Path;
use crate::recipe::search::Search;
use crate::recipe::tasks::Split;
use crate::recipe::tournament::{Gate, Tournament};

impl Check<'_> {
    pub(super) fn tournament(&mut self, tournament: &Tournament, path: &Path, scope: &Scope) {
        self.lm_role(&path.key("promote"), &tournament.promote);
        self.contestants(tournament, path, scope);
        if tournament.tasks.is_empty() {
            self.refuse(
                &path.key("tasks"),
                "no tasks are played on",
                "name a task set, for example `{numbers: {split: val}}`",
            );
        }
        for (name, selection) in &tournament.tasks {
            let path = path.key("tasks").key(name);
            self.selection(&path, name, *selection, Phase::Each);
            if self.recipe.tasks.get(name).is_some_and(|set| set.env().is_some()) {
                let message = format!("`{name}` is played turn by turn, and bouts compare answers");
                self.refuse(&path, message, "compare by `evaluate`, or name a task set that is answered");
            }
            if matches!(selection.split, Split::Train | Split::Demonstrations) {
                let message = format!("a gate on the {} split would reward memory", selection.split);
                self.refuse(&path.key("split"), message, "use `val`");
            }
        }
        let Gate::Sprt(sprt) = &tournament.gate;
        let gate = path.key("gate").key("sprt");
        let [null, alternative] = sprt.elo;
        if !(null < alternative && null.abs() <= 1000.0 && alternative.abs() <= 1000.0) {
            let message = format!("the hypotheses [{null}, {alternative}] are not in order");
            self.refuse(&gate.key("elo"), message, "give two Elo differences from -1000 to 1000, the smaller first");
        }
        self.inside(&gate.key("alpha"), sprt.alpha, 0.0, 0.5);
        self.inside(&gate.key("beta"), sprt.beta, 0.0, 0.5);
        self.whole(&path.key("max_pairs"), tournament.max_pairs, 1, 1_000_000);
        self.temperature(&path.key("temperature"), &tournament.temperature);
        self.max_tokens(tournament.max_tokens, path);
        if let Some(guide) = &tournament.guide {
            self.guide(guide, &path.key("guide"), tournament.tasks.keys());
        }
    }

    /// The holder holds the role that is at stake; the challenger was trained for it.
    fn contestants(&mut self, tournament: &Tournament, path: &Path, scope: &Scope) {
        let [holder, challenger] = &tournament.between;
        let promote = &tournament.promote;
        let holds = holder == promote || (holder.as_str() == CHAMPION && promote.as_str() == POLICY);
        if !holds {
            let right = if promote.as_str() == POLICY { CHAMPION } else { promote.as_str() };
            let message = format!("`{holder}` does not hold the role `{promote}` that is at stake");
            self.refuse(&path.key("between").index(0), message, format!("the first is the holder: `{right}`"));
        }
        match scope.role_of(challenger) {
            Some(role) if role == promote => self.member_made(&path.key("between").index(1), challenger, scope),
            Some(role) => {
                let message = format!("`{challenger}` was trained for the role `{role}`, not `{promote}`");
                self.refuse(&path.key("between").index(1), message, "let one role's candidate challenge for that role");
            }
            None => {
                let message = format!("`{challenger}` is not made by an earlier `train`");
                let help = format!("name a candidate: `train: {{as: {challenger}, role: {promote}, ...}}` before this");
                self.refuse(&path.key("between").index(1), message, help);
            }
        }
    }

    pub(super) fn evaluate(&mut self, evaluate: &Evaluate, path: &Path, phase: Phase, scope: &Scope) {
        if evaluate.members.is_empty() {
            self.refuse(&path.key("members"), "nobody is evaluated", "name members, for example `[base, champion]`");
        }
        for (i, member) in evaluate.members.iter().enumerate() {
            self.lm_member(&path.key("members").index(i), member, scope);
            if evaluate.members[..i].contains(member) {
                self.refuse(&path.key("members").index(i), format!("`{member}` stands twice"), "name each member once");
            }
        }
        if evaluate.tasks.is_empty() {
            self.refuse(
                &path.key("tasks"),
                "there are no tasks",
                "name a task set, for example `{numbers: {split: val}}`",
            );
        }
        for (name, selection) in &evaluate.tasks {
            self.selection(&path.key("tasks").key(name), name, *selection, phase);
        }
        self.metrics(evaluate, path, scope);
        self.searches(evaluate, path, scope);
        self.numbers(evaluate, path, scope);
        self.temperature(&path.key("temperature"), &evaluate.temperature);
        self.max_tokens(evaluate.max_tokens, path);
        if let Some(guide) = &evaluate.guide {
            self.guide(guide, &path.key("guide"), evaluate.tasks.keys());
        }
    }

    fn metrics(&mut self, evaluate: &Evaluate, path: &Path, scope: &Scope) {
        let metrics = path.key("metrics");
        if evaluate.columns().next().is_none() {
            let help = "name a metric, for example `pass_at_1`, `searches` or `numbers`";
            self.refuse(&metrics, "nothing is measured", help);
        }
        for (i, metric) in evaluate.metrics.iter().enumerate() {
            let path = metrics.index(i);
            match metric {
                Metric::PassAt1 => {}
                Metric::PassAt(k) => self.whole(&path.key("pass_at"), *k, 1, MAX_SAMPLES),
                Metric::BestOf(best) => {
                    self.whole(&path.key("best_of").key("n"), best.n, 1, MAX_SAMPLES);
                    self.critic(&path.key("best_of").key("by"), &best.by, scope);
                }
                Metric::PairAccuracy(pairs) => {
                    self.whole(&path.key("pair_accuracy").key("n"), pairs.n, 2, MAX_SAMPLES);
                    self.critic(&path.key("pair_accuracy").key("by"), &pairs.by, scope);
                }
                Metric::Search(_) | Metric::Rerank(_) | Metric::Number(_) => {
                    let message = "searches and numbers are measured without being listed here";
                    self.refuse(&path, message, "leave it out, and name it in `searches` or `numbers`");
                }
            }
        }
    }

    /// What is measured is what was sampled.
    pub(super) fn without_greedy(&mut self, search: &Search, path: &Path) {
        if search.draws_greedy() {
            let message = "the most probable answer would be measured as one of the samples";
            self.refuse(&path.key(search.name()).key("greedy"), message, "leave it out; `pass_at_1` is greedy");
        }
    }

    fn numbers(&mut self, evaluate: &Evaluate, path: &Path, scope: &Scope) {
        let plays = self.plays(evaluate.tasks.keys());
        for (name, number) in &evaluate.numbers {
            let path = path.key("numbers").key(name);
            let search = number.search();
            self.search(&search, evaluate.tasks.keys(), &path, scope);
            self.without_greedy(&search, &path.key("search"));
            let asked = path.key("verifier");
            self.verifier(&number.verifier, &asked, (scope, 1));
            self.knows(&number.verifier, &asked, plays);
            self.asked_roles(search.roles().into_iter().chain(number.verifier.roles()), None, &path);
            if search.spread().is_some() {
                let help = "leave `spread` out";
                self.refuse(&path.key("search"), "a search that is measured is that of one job", help);
            }
        }
    }

    fn searches(&mut self, evaluate: &Evaluate, path: &Path, scope: &Scope) {
        if !evaluate.searches.is_empty() {
            self.one_kind(evaluate.tasks.keys(), &path.key("tasks"), "write an `evaluate` with `searches` for each");
        }
        for (name, search) in &evaluate.searches {
            let path = path.key("searches").key(name);
            self.search(search, evaluate.tasks.keys(), &path, scope);
            self.without_greedy(search, &path);
            self.asked_roles(search.roles(), None, &path);
            if search.extract().is_some_and(|extract| !extract.is_one()) {
                let message = "a measured tree must choose one answer";
                let help = "write `extract: {top: 1}`, or `discriminate`";
                self.refuse(&path.key(search.name()).key("extract"), message, help);
            }
            if search.spread().is_some() {
                let message =
                    "a measured tree is grown by one job, which sees what it would have answered for fewer tokens";
                self.refuse(&path.key(search.name()).key("spread"), message, "leave `spread` out");
            }
        }
        self.rerank(evaluate, &path.key("rerank"), scope);
    }

    /// The baseline: a user of the model must be able to rank so.
    fn rerank(&mut self, evaluate: &Evaluate, path: &Path, scope: &Scope) {
        self.whole(&path.key("n"), evaluate.rerank.n, 1, MAX_SAMPLES);
        if evaluate.searches.is_empty() && evaluate.rerank != Rerank::default() {
            let help = "add `searches`, or use the metrics `pass_at` and `best_of`";
            self.refuse(path, "there are no searches beside which it could stand", help);
        }
        let Some(verifier) = &evaluate.rerank.by else { return };
        let (path, name) = (path.key("by"), verifier.name());
        let plays = self.plays(evaluate.tasks.keys());
        self.verifier(verifier, &path, (scope, 1));
        if verifier.is_told() {
            let (what, role) =
                if plays { ("outcome", "success_classifier: {role: critic}") } else { ("right answer", "orm: critic") };
            let message = format!("`{name}` knows the {what}, which a user of the model does not");
            self.refuse(&path, message, format!("rank by a role, for example `{{{role}}}`, or by `self_log_prob`"));
        } else if speaks_of_all(verifier) {
            let message = format!("`{name}` compares all answers of a task, and the baseline ranks each by itself");
            self.refuse(&path, message, "rank by a role, for example `{orm: critic}`, or by `self_log_prob`");
        } else {
            self.knows(verifier, &path, plays);
        }
    }

    fn critic(&mut self, path: &Path, name: &Name, scope: &Scope) {
        match self.role(path, name) {
            Some(Head::Scalar) if !scope.is_trained(name) => {
                let message = format!("the role `{name}` has not been trained yet at this point");
                self.refuse(path, message, "put a `train` of it before (without `as`, so that it takes the role)");
            }
            Some(head @ (Head::Lm | Head::Classes(_))) => {
                let message = format!("the role `{name}` has a {head} head and cannot rank");
                self.refuse(path, message, "name a role with `head: scalar`");
            }
            Some(Head::Scalar) | None => {}
        }
    }
}
