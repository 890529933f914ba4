//! What every built-in environment must keep, tested over random play; and short ways to play by hand.

use galapagos_domain::recipe::tasks::Split;
use galapagos_domain::seed::Seed;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};

use super::{End, Environment, Episode, Legal, Restore, Start, Taken, Turn, builtin};

/// Options of a start.
pub(super) fn options(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

/// An environment and a start of a seed.
pub(super) fn env(name: &str, config: &Map<String, Value>, seed: u64) -> (Box<dyn Environment>, Start) {
    (builtin(name).unwrap(), Start { config: config.clone(), ..Start::new(Seed(seed)) })
}

/// Plays one player's actions.
pub(super) fn play(name: &str, config: &Map<String, Value>, seed: u64, actions: &[&str]) -> Vec<Turn> {
    let (mut game, start) = env(name, config, seed);
    game.reset(&start).unwrap();
    actions.iter().map(|action| game.step(&[Some(action)]).unwrap()).collect()
}

/// Plays some random episodes of `name` and checks the contract of [`Environment`] all along. `answer` gives a text where actions cannot be
/// listed, from what the player reads.
pub(super) fn check(name: &str, config: &Map<String, Value>, answer: impl Fn(&mut ChaCha8Rng, &str) -> String) {
    for seed in 0..8u64 {
        let split = [Split::Train, Split::Val, Split::Test][seed as usize % 3];
        let start =
            Start { split, index: seed, replica: seed as u32, config: config.clone(), ..Start::new(Seed(seed)) };
        let mut rng = Seed(seed).derive("play").stream();
        let mut episode = Episode::begin(builtin(name).unwrap(), start.clone()).unwrap();
        let (players, max_turns) = (episode.environment().players(), episode.environment().max_turns());
        assert!(players > 0 && max_turns > 0);
        let mut halves = Vec::new();
        while episode.done().is_none() {
            assert!(episode.log().len() < max_turns as usize, "{name}: not over after {max_turns} turns");
            halves.push(episode.save().unwrap());
            let actions: Vec<Option<String>> =
                (0..players).map(|player| act(&episode, player, &mut rng, &answer)).collect();
            let given: Vec<Option<&str>> = actions.iter().map(Option::as_deref).collect();
            let listed = (0..players).map(|player| is_listed(&episode, player, given[player])).collect::<Vec<_>>();
            let turn = episode.step(&given).unwrap();
            assert_eq!([turn.rewards.len(), turn.observations.len(), turn.taken.len()], [players; 3]);
            for (player, listed) in listed.into_iter().enumerate() {
                assert!(!listed || turn.taken[player] == Taken::Played, "{name}: {given:?} {turn:?}");
            }
            let truncated = turn.done == Some(End::Truncated);
            assert!(!truncated || episode.log().len() == max_turns as usize);
            for player in 0..players {
                let score = episode.environment().score(player).unwrap();
                assert!((0.0..=1.0).contains(&score), "{name}: score {score}");
                assert_eq!(episode.environment().observe(player).unwrap(), episode.observations()[player]);
            }
        }
        assert!(builtin(name).unwrap().step(&vec![None; players]).is_err(), "no step before a reset");
        episode.prove(&mut *builtin(name).unwrap()).unwrap();
        for saved in halves {
            go_on(name, saved, &episode);
        }
    }
}

/// Restored either way, the rest of the episode is the same.
fn go_on(name: &str, saved: super::Saved, whole: &Episode) {
    assert!(matches!(saved.state, Restore::Snapshot(_)), "{name} has snapshots");
    let text = serde_json::to_string(&saved).unwrap();
    let saved: super::Saved = serde_json::from_str(&text).unwrap();
    for state in [saved.state.clone(), Restore::Replay] {
        let mut other = Episode::resume(builtin(name).unwrap(), super::Saved { state, ..saved.clone() }).unwrap();
        for logged in &whole.log()[saved.log.len()..] {
            let given: Vec<Option<&str>> = logged.actions.iter().map(Option::as_deref).collect();
            assert_eq!(*other.step(&given).unwrap(), logged.turn, "{name}");
        }
    }
}

fn act(
    episode: &Episode,
    player: usize,
    rng: &mut ChaCha8Rng,
    answer: &impl Fn(&mut ChaCha8Rng, &str) -> String,
) -> Option<String> {
    let garbage = ["", "é\u{0}(", "dance", "99999999999999999999"];
    let odd = rng.random_range(0..12);
    match episode.environment().legal(player).unwrap() {
        _ if odd == 0 => Some(garbage[rng.random_range(0..garbage.len())].to_owned()),
        _ if odd == 1 => None,
        Legal::NotAsked => None,
        Legal::These(all) => {
            assert!(!all.is_empty(), "an asked player has something to do");
            Some(all[rng.random_range(0..all.len())].clone())
        }
        Legal::Form(form) => {
            assert!(!form.is_empty());
            Some(answer(rng, &episode.observations()[player]))
        }
    }
}

fn is_listed(episode: &Episode, player: usize, action: Option<&str>) -> bool {
    match (episode.environment().legal(player).unwrap(), action) {
        (Legal::These(all), Some(action)) => all.iter().any(|legal| legal == action),
        (Legal::These(_) | Legal::NotAsked | Legal::Form(_), _) => false,
    }
}
