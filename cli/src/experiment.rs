//! Running an experiment: which runs it needs, what is read off them, and how the findings look. What must come out, and
//! whether it did, is decided in the domain; nothing here knows an experiment's or a recipe's name.

mod catalogue;
mod coverage;
mod drawing;
pub mod evidence;
mod findings;
mod machine;
mod reading;
mod schedule;
mod sources;
mod table;

pub use catalogue::{Entry, listing};
pub use coverage::Coverage;
pub use evidence::Evidence;
pub use findings::{Findings, Subject};
pub use reading::Reading;
pub use schedule::{PlannedRun, schedule};
pub use sources::Sources;
pub use table::text;

/// The shipped experiments, for tests.
#[cfg(test)]
mod shipped {
    use galapagos_domain::experiment::{Experiment, PlannedArm, Scale};

    use super::Sources;

    fn sources(name: &str) -> Sources {
        let file = format!("{}/../recipes/experiments/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        Sources::find(&file).unwrap()
    }

    /// The names of all.
    pub fn names() -> Vec<String> {
        let folder = format!("{}/../recipes/experiments", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let yaml = files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml"));
        let runs = |path: &std::path::PathBuf| !std::fs::read_to_string(path).unwrap().contains("\nconformance:");
        yaml.filter(runs).map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    }

    /// A shipped experiment, changed.
    pub fn experiment(name: &str, change: impl Fn(&str) -> String) -> Experiment {
        let sources = sources(name);
        let text = change(&std::fs::read_to_string(sources.path()).unwrap());
        Experiment::parse("experiment.yaml", &text, &|recipe| sources.load(recipe)).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Its arms.
    pub fn arms(experiment: &Experiment, scale: Scale) -> Vec<PlannedArm> {
        experiment.arms(scale, &|recipe| sources("tiny").load(recipe)).unwrap_or_else(|e| panic!("{e}"))
    }

    /// A shipped experiment as it is.
    pub fn planned(name: &str, scale: Scale) -> (Experiment, Vec<PlannedArm>) {
        let experiment = experiment(name, str::to_owned);
        let arms = arms(&experiment, scale);
        (experiment, arms)
    }
}
