//! Disturbed runs, one after the other, until enough processes of every kind were killed; each must end as the undisturbed one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::faults::{Faults, Kill, Target};
use crate::run::{END_LIMIT, RunCommand};
use crate::sandbox::Sandbox;

/// What is to be done, and what every run must come to.
#[derive(Debug)]
pub struct Hunt {
    pub faults: Faults,
    pub kills: usize,
    pub kills_per_run: usize,
    pub run_seed: u64,
    pub expected: Value,
}

impl Hunt {
    /// Goes on until at least `kills` processes were killed, each kind among them.
    ///
    /// # Panics
    /// If a run does not end well, ends with another result, or too few kills fit into `max_runs` runs.
    #[track_caller]
    pub fn go(mut self, max_runs: usize) {
        let mut done: Vec<Kill> = Vec::new();
        for number in 1..=max_runs {
            let sandbox = Sandbox::new();
            let mut run = RunCommand::micro(&sandbox.join("run")).seed(self.run_seed).start();
            let kills = self.faults.strike(&mut run, self.kills_per_run);
            tell(number, &kills);
            done.extend(kills);
            let ended = run.wait(END_LIMIT);
            assert_eq!(ended.result(), self.expected, "after kills the result differs\n{}", ended.report());
            let counts = count(&done);
            if done.len() >= self.kills && counts.len() == Target::ALL.len() {
                eprintln!("{} kills over {number} runs: {counts:?}", done.len());
                return;
            }
        }
        panic!("only {} of {} kills fitted into {max_runs} runs: {:?}", done.len(), self.kills, count(&done));
    }
}

fn tell(number: usize, kills: &[Kill]) {
    for kill in kills {
        eprintln!("run {number}: killed {:?} (pid {}) after {}", kill.role, kill.pid, kill.after);
    }
}

fn count(kills: &[Kill]) -> BTreeMap<Target, usize> {
    let mut counts = BTreeMap::new();
    for kill in kills {
        *counts.entry(kill.target).or_default() += 1;
    }
    counts
}
