//! Rules about everything but the recipe steps: names, base, roles, task sets, variables, stop rule.

use std::collections::BTreeSet;

use super::Check;
use super::scope::{BASE, CHAMPION, POLICY, one_of};
use crate::ids::Name;
use crate::image::has_image;
use crate::recipe::evaluate::Metric;
use crate::recipe::parse::FORMAT_VERSION;
use crate::recipe::path::Path;
use crate::recipe::step::RecipeStep;
use crate::recipe::tasks::{Begun, Builtin, Style, TakenBack, TaskSet};
use crate::recipe::{Base, Characters, Head, StopRule};
use crate::task::{check_sizes, most_begun, styles};

/// Priorities of evolutions.
const PRIORITIES: std::ops::RangeInclusive<i32> = -100..=100;

/// Longest names, so that ids made of them stay short.
const MAX_NAME: usize = 60;

impl Check<'_> {
    pub(super) fn header(&mut self) {
        let recipe = self.recipe;
        let root = Path::root();
        if recipe.galapagos != FORMAT_VERSION {
            let message = format!("format version {} is not known here", recipe.galapagos);
            self.refuse(&root.key("galapagos"), message, format!("this build reads version {FORMAT_VERSION}"));
        }
        self.short_name(&root.key("name"), &recipe.name);
        self.whole(&root.key("generations"), recipe.generations, 1, 10_000);
        if !PRIORITIES.contains(&recipe.priority) {
            let (low, high) = (PRIORITIES.start(), PRIORITIES.end());
            let help = format!("use a whole number from {low} to {high}; 0 is the default, more goes first");
            self.refuse(&root.key("priority"), format!("{} is out of range", recipe.priority), help);
        }
        if recipe.each.is_empty() {
            self.refuse(
                &root.key("each"),
                "a generation has no recipe steps",
                "add at least one, for example a `rollout`",
            );
        }
        for (name, value) in &recipe.vars {
            if !value.is_finite() {
                self.refuse(&root.key("vars").key(name), format!("{value} is not a finite number"), "give a number");
            }
        }
        self.governance();
        self.base();
        self.roles();
        self.tasks();
    }

    fn governance(&mut self) {
        let governance = &self.recipe.governance;
        let answers = [
            ("purpose", &governance.purpose),
            ("data", &governance.data),
            ("risks", &governance.risks),
            ("oversight", &governance.oversight),
            ("contact", &governance.contact),
        ];
        for (key, _) in answers.into_iter().filter(|(_, answer)| answer.trim().is_empty()) {
            self.refuse(&Path::root().key("governance").key(key), "the answer is empty", "answer in a few words");
        }
    }

    fn short_name(&mut self, path: &Path, name: &Name) {
        if name.as_str().contains('/') || name.as_str().len() > MAX_NAME {
            let help = format!("use at most {MAX_NAME} letters, digits, `.`, `_` and `-`");
            self.refuse(path, format!("`{name}` cannot be part of an id"), help);
        }
    }

    fn base(&mut self) {
        let path = Path::root().key("base");
        match &self.recipe.base {
            Base::Model(model) if model.trim().is_empty() => {
                self.refuse(
                    &path.key("model"),
                    "the model has no name",
                    "name a model of the store or a Hugging Face folder",
                );
            }
            Base::Model(_) => {}
            Base::Characters(characters) => self.characters(characters, &path.key("characters")),
        }
    }

    fn characters(&mut self, shape: &Characters, path: &Path) {
        self.whole(&path.key("layers"), shape.layers, 1, 64);
        self.whole(&path.key("hidden"), shape.hidden, 2, 4096);
        self.whole(&path.key("heads"), shape.heads, 1, 64);
        self.whole(&path.key("ffn"), shape.ffn, 1, 16_384);
        self.whole(&path.key("context"), shape.context, 2, 8192);
        // Rotary position embedding turns pairs of numbers, so a head is of even width.
        if shape.heads > 0 && !shape.hidden.is_multiple_of(2 * shape.heads) {
            let message =
                format!("hidden width {} does not split into {} heads of even width", shape.hidden, shape.heads);
            let right = shape.hidden.next_multiple_of(2 * shape.heads);
            self.refuse(
                &path.key("hidden"),
                message,
                format!("use a multiple of {}, for example {right}", 2 * shape.heads),
            );
        }
        let mut alphabet: BTreeSet<char> = shape.alphabet.chars().collect();
        if alphabet.len() < shape.alphabet.chars().count() {
            self.refuse(&path.key("alphabet"), "a character stands twice in the alphabet", "list each character once");
        }
        if has_image(&shape.alphabet) {
            let help = "leave it out: patches need no place in the alphabet, they are read by `vision`";
            self.refuse(&path.key("alphabet"), "a patch of an image is no character of a text", help);
        }
        if let Some(vision) = shape.vision {
            let path = path.key("vision");
            self.whole(&path.key("hidden"), vision.hidden, 2, 4096);
            self.whole(&path.key("layers"), vision.layers, 1, 16);
        }
        alphabet.insert('\n');
        for (name, set) in &self.recipe.tasks {
            let missing: String = set.characters().difference(&alphabet).collect();
            if !missing.is_empty() {
                let message = format!("the tasks `{name}` ({}) use characters that the alphabet lacks", set.label());
                self.refuse(&path.key("alphabet"), message, format!("add {missing:?}"));
            }
            if set.has_images() && shape.vision.is_none() {
                let message = format!("the tasks `{name}` ({}) show images, which this model cannot read", set.label());
                self.refuse(path, message, "add `vision: {hidden: 64, layers: 2}`");
            }
            let needed = set.longest_sequence();
            if needed > u64::from(shape.context) {
                let message = format!("a context of {} is too short for the tasks `{name}`", shape.context);
                self.refuse(&path.key("context"), message, format!("use at least {needed}"));
            }
        }
    }

    fn roles(&mut self) {
        let recipe = self.recipe;
        let roles = Path::root().key("roles");
        match recipe.roles.get(&policy()) {
            None => self.refuse(&roles, "there is no role `policy`", "add `policy: {init: base}`"),
            Some(role) if role.head != Head::Lm => {
                self.refuse(&roles.key(POLICY).key("head"), "the policy must generate", "use `head: lm`");
            }
            Some(_) => {}
        }
        for (name, role) in &recipe.roles {
            let path = roles.key(name);
            self.short_name(&path, name);
            if [BASE, CHAMPION].contains(&name.as_str()) {
                self.refuse(&path, format!("`{name}` is a reserved name"), "give the role another name");
            }
            if role.init.as_str() == BASE {
                continue;
            }
            let Some(parent) = recipe.roles.get(&role.init) else {
                let mut known = vec![BASE];
                known.extend(recipe.roles.keys().map(Name::as_str).filter(|k| *k != name.as_str()));
                self.refuse(&path.key("init"), format!("no role is named `{}`", role.init), one_of("possible", &known));
                continue;
            };
            if role.head == Head::Lm && parent.head != Head::Lm {
                let message =
                    format!("an lm role cannot start from `{}`, whose scalar head cannot generate", role.init);
                self.refuse(&path.key("init"), message, "start from `base` or another lm role");
            }
            if let Some(circle) = self.init_circle(name) {
                let help = "one role of the circle must start from `base`";
                self.refuse(&path.key("init"), format!("the roles start from each other: {circle}"), help);
            }
        }
    }

    /// The circle of `init`s that `name` is part of.
    fn init_circle(&self, name: &Name) -> Option<String> {
        let mut chain = vec![name];
        loop {
            let last = chain.last()?;
            let next = &self.recipe.roles.get(*last)?.init;
            if next == name {
                chain.push(name);
                return Some(chain.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(" -> "));
            }
            if chain.contains(&next) {
                return None;
            }
            chain.push(next);
        }
    }

    fn tasks(&mut self) {
        let recipe = self.recipe;
        let tasks = Path::root().key("tasks");
        if recipe.tasks.is_empty() {
            self.refuse(&tasks, "there are no tasks", "add a task set");
        }
        for (name, set) in &recipe.tasks {
            let path = tasks.key(name).key(set.word());
            self.short_name(&tasks.key(name), name);
            self.whole(&path.key("shots"), set.shots(), 0, 32);
            match set {
                TaskSet::Env(env) => self.env(env, &path),
                TaskSet::Builtin(source) => self.builtin(source, &path),
                TaskSet::Files(files) => self.files(files, &path),
            }
        }
    }

    fn builtin(&mut self, source: &Builtin, path: &Path) {
        let faults = source.family.faults();
        for fault in &faults {
            let path = path.key("family").key(source.family).key(fault.field);
            self.refuse(&path, fault.message.clone(), fault.help.clone());
        }
        self.shown(source, path);
        // Of a shape out of range nothing can be drawn, so nothing can be counted either.
        if faults.is_empty() {
            for error in check_sizes(source) {
                self.refuse(path, error.to_string(), "ask for fewer");
            }
        }
    }

    /// How problems are shown and demonstrated.
    fn shown(&mut self, source: &Builtin, path: &Path) {
        let (family, styles) = (source.family, styles(source.family));
        if !styles.contains(&source.style) {
            let message = format!("{family} has no demonstrations of the style `{}`", source.style.name());
            let known: Vec<&str> = styles.iter().map(|style| style.name()).collect();
            self.refuse(&path.key("style"), message, one_of("styles of this family", &known));
        }
        if source.taken_back != TakenBack::default() && !styles.contains(&Style::Search) {
            let message = format!("{family} has no demonstrations with dead ends");
            self.refuse(&path.key("taken_back"), message, "leave it out, or use countdown_steps");
        }
        if let Begun::WrongSteps(steps) = source.begun {
            let path = path.key("begun").key("wrong_steps");
            match most_begun(family) {
                None => {
                    let help = "leave it out, or use arithmetic_steps or countdown_steps";
                    self.refuse(&path, format!("{family} has no working that could be begun"), help);
                }
                // The fewest operations that a problem has.
                Some(most) => self.whole(&path, steps, 1, most),
            }
        }
    }

    pub(super) fn stop(&mut self) {
        if let Some(rule) = &self.recipe.stop {
            self.stop_rule(rule, &Path::root().key("stop"));
        }
    }

    fn stop_rule(&mut self, rule: &StopRule, path: &Path) {
        match rule {
            StopRule::Any(rules) => {
                let path = path.key("any");
                if rules.is_empty() {
                    self.refuse(&path, "there is no rule to stop by", "add one, or leave `stop` out");
                }
                for (i, rule) in rules.iter().enumerate() {
                    self.stop_rule(rule, &path.index(i));
                }
            }
            StopRule::Plateau { metric, generations } => {
                let path = path.key("plateau");
                self.whole(&path.key("generations"), *generations, 1, 10_000);
                if !self.last_metrics().contains(metric) {
                    let help = "the last `evaluate` of `each` must measure it";
                    self.refuse(&path.key("metric"), "no generation measures this metric", help);
                }
            }
        }
    }

    fn last_metrics(&self) -> &[Metric] {
        let last = self.recipe.each.iter().rev().find_map(|step| match step {
            RecipeStep::Evaluate(evaluate) => Some(evaluate.metrics.as_slice()),
            RecipeStep::Rollout(_)
            | RecipeStep::Curate(_)
            | RecipeStep::Train(_)
            | RecipeStep::Tournament(_)
            | RecipeStep::Propose(_) => None,
        });
        last.unwrap_or(&[])
    }
}

fn policy() -> Name {
    #[expect(clippy::expect_used, reason = "a constant of letters is a name")]
    Name::new(POLICY).expect("`policy` is a name")
}
