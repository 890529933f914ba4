//! The negative control of a recipe: the same recipe with the evidence shuffled, so that the method must fail.

use std::collections::{BTreeMap, BTreeSet};

use super::curate::{Curate, From, LabelSource, Operator};
use super::step::RecipeStep;
use super::train::{On, Source};
use super::{Control, Recipe, Shuffled};
use crate::ids::Name;

impl Recipe {
    /// The recipe that `reproduce` runs beside this one at the same budget: every dataset that a rollout made is
    /// shuffled before its first use. `None` if the recipe declares no control.
    #[must_use]
    pub fn with_control(&self) -> Option<Self> {
        let Control::Shuffle(what) = self.control?;
        let mut recipe = self.clone();
        recipe.control = None;
        let rollouts: BTreeSet<Name> = self.steps().filter_map(rollout_name).cloned().collect();
        let stand_ins = stand_ins(&rollouts, self);
        for list in [&mut recipe.first, &mut recipe.each] {
            let steps = std::mem::take(list);
            for step in steps {
                let generations = step.given_generations();
                let inserted = rollout_name(&step).and_then(|name| Some((name.clone(), stand_ins.get(name)?.clone())));
                list.push(shuffled(step, &rollouts, &stand_ins, Operator::Shuffle(what)));
                if let Some((from, name)) = inserted {
                    let apply = vec![Operator::Shuffle(what)];
                    list.push(RecipeStep::Curate(Curate {
                        name,
                        from: From::Datasets(vec![from]),
                        apply,
                        generations,
                    }));
                }
            }
        }
        Some(recipe)
    }

    /// All recipe steps in order of their first run.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &RecipeStep> {
        self.first.iter().chain(&self.each).chain(&self.finish)
    }
}

fn rollout_name(step: &RecipeStep) -> Option<&Name> {
    match step {
        RecipeStep::Rollout(rollout) => Some(&rollout.name),
        RecipeStep::Curate(_)
        | RecipeStep::Train(_)
        | RecipeStep::Tournament(_)
        | RecipeStep::Evaluate(_)
        | RecipeStep::Propose(_) => None,
    }
}

/// The datasets that a `curate` reads beside another: those that it mixes in, and all of several that it reads one behind the other.
fn read_beside(curate: &Curate) -> Vec<Source> {
    let several = curate.from.datasets().iter().filter(|_| curate.from.datasets().len() > 1);
    let with = curate.apply.iter().filter_map(|operator| match operator {
        Operator::Mix(mix) => Some(mix.with.keys().cloned().map(Source::Latest)),
        _ => None,
    });
    with.flatten().chain(several.cloned().map(Source::Latest)).collect()
}

/// For each rollout dataset that is read as it is, by a `train` or by a `curate` beside others: the name of its shuffled copy.
fn stand_ins(rollouts: &BTreeSet<Name>, recipe: &Recipe) -> BTreeMap<Name, Name> {
    let taken: BTreeSet<&Name> = recipe.steps().filter_map(RecipeStep::given_name).collect();
    let read = recipe.steps().flat_map(|step| match step {
        RecipeStep::Train(train) => train.on.sources(),
        RecipeStep::Curate(curate) => read_beside(curate),
        RecipeStep::Rollout(_) | RecipeStep::Tournament(_) | RecipeStep::Evaluate(_) | RecipeStep::Propose(_) => {
            Vec::new()
        }
    });
    let direct = read.map(|source| source.name().clone()).filter(|name| rollouts.contains(name));
    direct
        .filter_map(|name| {
            let free = (0..).map(|i| format!("shuffled-{i}-{name}")).find_map(|text| {
                let copy = Name::new(text).ok()?;
                (!taken.contains(&copy)).then_some(copy)
            })?;
            Some((name, free))
        })
        .collect()
}

/// Puts the shuffling in front of all operators. What one makes of search trees owes nothing to the records' verdicts: it is destroyed
/// behind that operator, preferences by making them random, labels by shuffling them, and journeys, which all end right, by putting each
/// behind another's prompt.
fn destroy(apply: &mut Vec<Operator>, shuffle: Operator) {
    match apply.first() {
        Some(first @ Operator::Pair(_)) if first.reads_trees() => apply.insert(1, Operator::Noise { flip: 0.5 }),
        Some(Operator::LabelFrom(label)) if label.from == LabelSource::Trees => {
            apply.insert(1, Operator::Shuffle(Shuffled::Labels));
        }
        Some(Operator::Linearise(_)) => apply.insert(1, Operator::Shuffle(Shuffled::Prompts)),
        Some(_) | None => apply.insert(0, shuffle),
    }
}

/// The recipe step with every direct reading of a rollout dataset shuffled.
fn shuffled(
    step: RecipeStep,
    rollouts: &BTreeSet<Name>,
    stand_ins: &BTreeMap<Name, Name>,
    shuffle: Operator,
) -> RecipeStep {
    match step {
        RecipeStep::Curate(mut curate) => {
            match &mut curate.from {
                From::Datasets(names) if names.len() == 1 => {
                    if rollouts.contains(&names[0]) {
                        destroy(&mut curate.apply, shuffle);
                    }
                }
                From::Datasets(several) => {
                    for name in several {
                        if let Some(copy) = stand_ins.get(name) {
                            name.clone_from(copy);
                        }
                    }
                }
                From::Demonstrations { .. } | From::Questions { .. } => {}
            }
            for operator in &mut curate.apply {
                if let Operator::Mix(mix) = operator {
                    let with = std::mem::take(&mut mix.with).into_iter();
                    mix.with =
                        with.map(|(name, ratio)| (stand_ins.get(&name).cloned().unwrap_or(name), ratio)).collect();
                }
            }
            RecipeStep::Curate(curate)
        }
        RecipeStep::Train(mut train) => {
            let renamed = |name: Name| stand_ins.get(&name).cloned().unwrap_or(name);
            train.on = match train.on {
                On::One(name) => On::One(renamed(name)),
                On::Many(sources) => On::Many(
                    sources
                        .into_iter()
                        .map(|source| match source {
                            Source::Latest(name) => Source::Latest(renamed(name)),
                            Source::All { all } => Source::All { all: renamed(all) },
                        })
                        .collect(),
                ),
            };
            RecipeStep::Train(train)
        }
        RecipeStep::Rollout(_) | RecipeStep::Tournament(_) | RecipeStep::Evaluate(_) | RecipeStep::Propose(_) => step,
    }
}
