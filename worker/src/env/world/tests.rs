//! Worlds of built-in environments: what a turn brings does not depend on who asked for what before.

use galapagos_domain::seed::Seed;
use serde_json::json;

use super::*;

fn world(name: &str) -> World {
    // Built-in environments need no runtime; a handle has to come from somewhere.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    World::new(Place::Here(name.to_owned()), Wording::default(), 0, runtime.handle().clone())
}

fn slippery(replica: u32) -> Start {
    let config = json!({"slippery": 1.0, "slip": 0.9, "rows": 8, "columns": 8, "walls": 0.0});
    Start { replica, config: config.as_object().cloned().unwrap(), ..Start::new(Seed(4)) }
}

/// The same actions in an environment of their own.
fn plain(name: &str, start: &Start, actions: &[&str]) -> Vec<(f64, String)> {
    let mut episode = Episode::begin(builtin(name).unwrap(), start.clone()).unwrap();
    let play = |action: &&str| {
        let turn = episode.step(&[Some(action)]).unwrap();
        (turn.rewards[0], turn.observations[0].clone())
    };
    actions.iter().map(play).collect()
}

#[test]
fn branches_and_playings_see_what_a_single_episode_sees() {
    let world = world("grid");
    let lines: [&[&str]; 3] = [&["up", "up", "left"], &["up", "down", "nonsense", "up"], &["left", "up"]];
    let starts = [slippery(0), slippery(1)];
    // All turns of all lines, the shortest first, so that every line is left and taken up again.
    for length in 1..=4 {
        for (start, line) in starts.iter().flat_map(|start| lines.map(|line| (start, line))) {
            let Some(actions) = line.get(..length) else { continue };
            let first = world.open(start).unwrap().observation;
            let given: Vec<String> = actions.iter().map(|action| (*action).to_owned()).collect();
            let moved = world.act(start, &first, &given).unwrap();
            let (reward, observation) = plain("grid", start, actions).pop().unwrap();
            assert_eq!((moved.reward, &moved.seen.observation), (reward, &observation), "{start:?} {actions:?}");
            assert_eq!(moved.refused.is_some(), actions[length - 1] == "nonsense");
        }
    }
    let ways = starts.map(|start| plain("grid", &start, lines[0]));
    assert_ne!(ways[0], ways[1], "the playings differ, or nothing was shown");
}

#[test]
fn what_is_read_ends_with_the_question_until_the_end() {
    let wording = Wording { instruction: String::new(), ask: "\n> ".to_owned(), legal: true };
    let seen = Seen { observation: "Here.".to_owned(), legal: Some("You can: go.".to_owned()) };
    assert_eq!(wording.show(&seen, false), "Here.\nYou can: go.\n> ");
    assert_eq!(wording.show(&seen, true), "Here.");
    assert_eq!(Wording { legal: false, ..wording }.show(&seen, false), "Here.\n> ");
    let legal = world("grid").open(&slippery(0)).unwrap().legal;
    assert_eq!(legal.as_deref(), Some("You can: up, right, down, left."));
}

#[test]
fn what_cannot_be_played_alone_or_shows_something_else_first_is_said() {
    let error = world("matrix").open(&Start::new(Seed(1))).unwrap_err();
    assert_eq!(error.to_string(), "`matrix` has 2 players; a policy plays alone");
    let verdict = world("grid").act(&slippery(0), "another map", &["up".to_owned()]).unwrap_err();
    assert!(verdict.reason.contains("`grid` is not deterministic: turn 0"), "{}", verdict.reason);
}

#[test]
fn the_built_in_environments_of_recipes_are_played_alone() {
    for name in super::super::NAMES {
        let alone = world(name).open(&Start::new(Seed(1))).is_ok();
        assert_eq!(alone, galapagos_domain::recipe::tasks::env::SINGLE_PLAYER.contains(&name), "{name}");
    }
}
