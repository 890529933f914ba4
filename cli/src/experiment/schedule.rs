//! Which runs an experiment needs, in order: seed by seed, so that an experiment that is stopped early has whole seeds. Arms
//! with equal recipes are read off one run.

use std::path::Path;

use galapagos_domain::experiment::{Experiment, Measure, PlannedArm, Read, Scale};
use galapagos_domain::ids::Name;
use galapagos_domain::recipe::Base;
use galapagos_domain::recipe::step::RecipeStep;
use galapagos_domain::recipe::tasks::Split;

use super::findings::said;
use crate::error::Error;
use crate::recipe_file::RecipeFile;

/// One run.
#[derive(Debug, Clone)]
pub struct PlannedRun {
    pub seed: u64,
    pub file: RecipeFile,
    /// Places of the arms that are read off it, in the list of arms; never empty.
    pub arms: Vec<usize>,
    /// Name of the run's folder.
    pub folder: String,
}

impl PlannedRun {
    /// The same from the weights in a folder.
    #[must_use]
    pub fn on_base(&self, folder: &Path) -> Self {
        let mut recipe = self.file.recipe.clone();
        recipe.base = Base::Model(folder.display().to_string());
        Self { file: RecipeFile::of(recipe), ..self.clone() }
    }
}

/// All runs in order.
///
/// # Errors
/// [`Error::Usage`] if an arm's recipe does not measure what is read of it: the run would be for nothing.
pub fn schedule(arms: &[PlannedArm], experiment: &Experiment, scale: Scale) -> Result<Vec<PlannedRun>, Error> {
    for arm in arms {
        if let Some(measure) = arm.measures.iter().find(|measure| !measures(arm, measure)) {
            let message = format!(
                "the arm `{}` cannot be compared: no `evaluate` of its recipe measures {} of `{}`; add it to `members` and `metrics` there",
                arm.name,
                said(measure),
                arm.member
            );
            return Err(Error::Usage { message });
        }
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (place, arm) in arms.iter().enumerate() {
        match groups.iter_mut().find(|group| arms[group[0]].recipe == arm.recipe) {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    let run = |seed: u64, group: &Vec<usize>| {
        let names: Vec<&str> = group.iter().map(|&place| arms[place].name.as_str()).collect();
        let file = RecipeFile::of(arms[group[0]].recipe.clone());
        PlannedRun { seed, file, arms: group.clone(), folder: format!("{}-s{seed}", names.join("+")) }
    };
    Ok(experiment
        .seeds(scale)
        .iter()
        .flat_map(|&seed| groups.iter().map(move |group| (seed, group)))
        .map(|(s, g)| run(s, g))
        .collect())
}

/// Whether a step of the arm's recipe makes a score that the experiment can read.
fn measures(arm: &PlannedArm, measure: &Measure) -> bool {
    let (steps, sealed) = match measure.read {
        Read::Finish => (&arm.recipe.finish, true),
        Read::First => (&arm.recipe.first, false),
        Read::Generation(_) | Read::Last | Read::Fall | Read::Mean => (&arm.recipe.each, false),
    };
    let counted = |set: &Name| measure.tasks.as_ref().is_none_or(|tasks| tasks.contains(set));
    steps.iter().any(|step| match step {
        RecipeStep::Evaluate(evaluate) => {
            evaluate.members.contains(&arm.member)
                && evaluate.columns().any(|column| column == measure.metric)
                && evaluate
                    .tasks
                    .iter()
                    .any(|(set, selection)| counted(set) && (!sealed || selection.split == Split::Test))
        }
        RecipeStep::Rollout(_)
        | RecipeStep::Curate(_)
        | RecipeStep::Train(_)
        | RecipeStep::Tournament(_)
        | RecipeStep::Propose(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::shipped::{arms, experiment, planned};

    fn folders(runs: &[PlannedRun]) -> Vec<&str> {
        runs.iter().map(|run| run.folder.as_str()).collect()
    }

    #[test]
    fn arms_with_equal_recipes_share_a_run_and_seeds_go_one_by_one() {
        let (quickstart, arms) = planned("quickstart", Scale::Full);
        let runs = schedule(&arms, &quickstart, Scale::Full).unwrap();
        let pairs = ["baseline+method-s1", "control+ungated-s1", "baseline+method-s2", "control+ungated-s2"];
        assert_eq!(&folders(&runs)[..4], pairs);
        let sharing: Vec<&str> = runs[1].arms.iter().map(|&place| arms[place].name.as_str()).collect();
        assert_eq!(sharing, ["control", "ungated"]);
        assert!(runs[1].file.yaml.contains("shuffle: verdicts") && !runs[0].file.yaml.contains("- shuffle"));
    }

    #[test]
    fn the_long_experiment_has_five_seeds_and_its_quick_form_one() {
        let (tiny, arms) = planned("tiny", Scale::Full);
        assert!(schedule(&arms, &tiny, Scale::Full).unwrap().len() == 3 * tiny.seeds(Scale::Full).len());
        assert!(tiny.seeds(Scale::Full).len() >= 5);
        let (tiny, arms) = planned("tiny", Scale::Quick);
        assert_eq!(schedule(&arms, &tiny, Scale::Quick).unwrap().len(), 3);
    }

    #[test]
    fn what_could_never_be_compared_is_refused_before_it_runs() {
        let unmeasured = experiment("tiny", |text| text.replace("[champion, candidate]", "[champion]"));
        let message = schedule(&arms(&unmeasured, Scale::Full), &unmeasured, Scale::Full).unwrap_err().to_string();
        assert!(message.contains("`ungated`") && message.contains("of `candidate`"), "{message}");
    }

    #[test]
    fn every_shipped_experiment_can_be_run_at_both_scales_and_has_a_control_and_five_seeds() {
        let names = crate::experiment::shipped::names();
        assert!(names.len() >= 5, "{names:?}");
        for name in names {
            let experiment = experiment(&name, str::to_owned);
            for scale in [Scale::Full, Scale::Quick] {
                let arms = arms(&experiment, scale);
                assert!(arms.iter().any(|arm| arm.control), "{name}");
                let runs = schedule(&arms, &experiment, scale).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert!(!runs.is_empty(), "{name}");
            }
            let control =
                |name: &Name| arms(&experiment, Scale::Full).iter().any(|arm| arm.name == *name && arm.control);
            let about_control = experiment.header().expect.iter().any(|expect| expect.arms().any(control));
            assert!(about_control, "{name}: nothing is expected of a control");
            // The quickstart trains a real model: three seeds are what minutes allow.
            assert!(experiment.seeds(Scale::Full).len() >= if name == "quickstart" { 3 } else { 5 }, "{name}");
        }
    }
}
