//! `reproduce --dry-run`: which runs an experiment would make and what each costs at most. Nothing is started or written.

use galapagos_domain::experiment::Scale;
use galapagos_domain::ids::{Digest, Name};
use galapagos_domain::plan::{Cost, Plan};
use serde::Serialize;

use super::{Prepared, laboratory};
use crate::render::table::aligned;

/// What would be run. The object that `--json` prints.
#[derive(Debug, Serialize)]
pub struct Outlook<'a> {
    version: u32,
    name: &'a str,
    claim: &'a str,
    quick: bool,
    seeds: &'a [u64],
    dir: String,
    runs: usize,
    /// Runs that lie there already and would only be read.
    done: usize,
    /// What the base of each seed costs, if the experiment warms one.
    #[serde(skip_serializing_if = "Option::is_none")]
    warm: Option<Cost>,
    recipes: Vec<Shared<'a>>,
}

/// Arms that are read off the same runs.
#[derive(Debug, Serialize)]
struct Shared<'a> {
    arms: Vec<&'a Name>,
    digest: Digest,
    cost: Cost,
}

impl<'a> Outlook<'a> {
    /// Of an experiment that was read and planned.
    pub fn of(prepared: &'a Prepared, scale: Scale) -> Self {
        let Prepared { name, experiment, arms, runs, warm, root } = prepared;
        let seeds = experiment.seeds(scale);
        // Runs go seed by seed, so those of the first one are all there are.
        let one_seed = runs.iter().take_while(|run| run.seed == runs[0].seed);
        let shared = one_seed.map(|run| Shared {
            arms: run.arms.iter().map(|&place| &arms[place].name).collect(),
            digest: run.file.recipe.digest(),
            cost: Plan::of(&run.file.recipe).totals,
        });
        Self {
            version: 1,
            name,
            claim: &experiment.header().claim,
            quick: scale == Scale::Quick,
            seeds,
            dir: root.display().to_string(),
            runs: runs.len(),
            done: laboratory::done(root, runs, warm.is_some()),
            warm: warm.as_ref().map(|warm| Plan::of(warm).totals),
            recipes: shared.collect(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let seeds: Vec<String> = self.seeds.iter().map(ToString::to_string).collect();
        let heads = ["a run of", "completions", "sampled tokens", "optimiser steps"];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        rows.extend(self.warm.iter().map(|cost| row("(the base, once for each seed)".to_owned(), cost)));
        rows.extend(self.recipes.iter().map(|shared| {
            let names: Vec<&str> = shared.arms.iter().map(|name| name.as_str()).collect();
            row(names.join(", "), &shared.cost)
        }));
        format!(
            "{}{}\n  claim    {}\n  runs     {} ({} recipes, seeds {}), {} of them done in {}\n  each at most\n\n{}",
            self.name,
            if self.quick { " (quick)" } else { "" },
            self.claim,
            self.runs,
            self.recipes.len(),
            seeds.join(", "),
            self.done,
            self.dir,
            aligned(&rows),
        )
    }
}

fn row(what: String, cost: &Cost) -> Vec<String> {
    vec![what, cost.completions.to_string(), cost.sampled_tokens.to_string(), cost.optimiser_steps.to_string()]
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{prepare, scale};
    use crate::args::{Args, Command};

    #[test]
    fn it_tells_every_run_and_makes_none() {
        let file = format!("{}/../recipes/experiments/o1-journey.yaml", env!("CARGO_MANIFEST_DIR"));
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("runs");
        let line =
            ["galapagos", "reproduce", &file, "--dry-run", "--dir", &dir.display().to_string()].map(str::to_owned);
        let Command::Reproduce(args) = Args::parse_from(line).command else { panic!("another command") };
        let prepared = prepare(&file, &args).unwrap();
        let outlook = super::Outlook::of(&prepared, scale(&args));
        let text = outlook.text();
        assert!(text.contains("15 (3 recipes, seeds 1, 2, 3, 4, 5)") && text.contains("0 of them done"), "{text}");
        assert!(
            text.contains("(the base, once for each seed)") && text.contains("\nbaseline, solving_shortcut"),
            "{text}"
        );
        let said = serde_json::to_value(&outlook).unwrap();
        let costs: Vec<u64> =
            said["recipes"].as_array().unwrap().iter().map(|r| r["cost"]["sampled_tokens"].as_u64().unwrap()).collect();
        assert!(costs.len() == 3 && costs.iter().all(|&tokens| tokens > 0), "{said}");
        assert!(!dir.exists(), "nothing is written");
    }
}
