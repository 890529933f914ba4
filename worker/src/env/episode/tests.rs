//! A replay that gives something else is found out, and so is a snapshot of another moment; splits share no instance.

use std::collections::BTreeMap;

use galapagos_domain::recipe::tasks::Split;
use galapagos_domain::seed::Seed;

use super::super::{Legal, Taken, builtin};
use super::*;

/// Counts turns; shows how often it was reset if it is `leaky`, as an environment with hidden state does.
#[derive(Debug, Default)]
struct Counter {
    leaky: bool,
    resets: u32,
    turn: u32,
}

impl Environment for Counter {
    fn name(&self) -> &str {
        "counter"
    }
    fn reset(&mut self, _start: &Start) -> Result<Vec<String>, EnvError> {
        (self.resets, self.turn) = (self.resets + 1, 0);
        self.observe(0).map(|text| vec![text])
    }
    fn players(&self) -> usize {
        1
    }
    fn max_turns(&self) -> u32 {
        9
    }
    fn observe(&self, _player: usize) -> Result<String, EnvError> {
        let leak = if self.leaky && self.turn == 2 { self.resets } else { 0 };
        Ok(format!("{} {leak}", self.turn))
    }
    fn legal(&self, _player: usize) -> Result<Legal, EnvError> {
        Ok(Legal::Form("anything".to_owned()))
    }
    fn step(&mut self, _actions: &[Option<&str>]) -> Result<Turn, EnvError> {
        self.turn += 1;
        let observations = vec![self.observe(0)?];
        let info = serde_json::Map::new();
        Ok(Turn { rewards: vec![0.0], observations, taken: vec![Taken::Played], done: None, info })
    }
    fn score(&self, _player: usize) -> Result<f64, EnvError> {
        Ok(0.0)
    }
    fn snapshot(&self) -> Result<Option<Vec<u8>>, EnvError> {
        Ok(None)
    }
    fn restore(&mut self, _snapshot: &[u8]) -> Result<(), EnvError> {
        Err(EnvError::Snapshot { environment: "counter".to_owned(), problem: "it has none".to_owned() })
    }
}

fn played(leaky: bool) -> Episode {
    let counter = Counter { leaky, ..Counter::default() };
    let mut episode = Episode::begin(Box::new(counter), Start::new(Seed(1))).unwrap();
    (0..3).for_each(|_| drop(episode.step(&[Some("go")]).unwrap().clone()));
    episode
}

#[test]
fn an_environment_with_hidden_state_does_not_pass_for_deterministic() {
    let used = |leaky| Counter { leaky, resets: 4, turn: 0 };
    played(false).prove(&mut used(false)).unwrap();
    let error = played(true).prove(&mut used(true)).unwrap_err();
    assert_eq!(error.to_string(), "`counter` is not deterministic: turn 2 gave other observations than before");
    let saved = played(true).save().unwrap();
    assert_eq!(saved.state, Restore::Replay, "without snapshots the log is played again");
    assert!(matches!(Episode::resume(Box::new(used(true)), saved), Err(EnvError::Diverged { turn: 2, .. })));
}

#[test]
fn a_snapshot_of_another_moment_or_game_is_refused() {
    let begin = |name: &str| Episode::begin(builtin(name).unwrap(), Start::new(Seed(1))).unwrap();
    let mut episode = begin("chain");
    let early = episode.save().unwrap();
    episode.step(&[Some("left")]).unwrap();
    let late = Saved { state: early.state.clone(), ..episode.save().unwrap() };
    assert!(matches!(Episode::resume(builtin("chain").unwrap(), late), Err(EnvError::Diverged { turn: 1, .. })));
    let foreign = Episode::resume(builtin("grid").unwrap(), early).unwrap_err();
    assert!(foreign.to_string().contains("it is of \"chain\""), "{foreign}");
    let mut grid = begin("grid");
    let before = grid.observations().to_vec();
    assert!(grid.environment.restore(b"{}").is_err() && grid.environment.restore(b"\xff").is_err());
    assert_eq!(grid.environment.observe(0).unwrap(), before[0], "a bad snapshot changes nothing");
}

#[test]
fn splits_share_no_instance_even_of_two_runs() {
    for name in ["countdown", "arithmetic", "list_program", "repository", "text_world", "grid", "life", "chain"] {
        let mut home: BTreeMap<String, Split> = BTreeMap::new();
        for (split, seed, index) in [Split::Train, Split::Val, Split::Test]
            .into_iter()
            .flat_map(|split| (0..16).map(move |i| (split, i / 8, i % 8)))
        {
            let start = Start { split, index, ..Start::new(Seed(seed)) };
            let text = builtin(name).unwrap().reset(&start).unwrap().remove(0);
            assert_eq!(*home.entry(text.clone()).or_insert(split), split, "{name}: {text}");
        }
        assert!(home.len() > 30, "{name}: {} different instances of 48", home.len());
    }
}
