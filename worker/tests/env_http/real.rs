//! Real environments: three tasks of reasoning-gym, a text game of several turns, one of two players, and one behind AgentGym's API.

use galapagos_domain::recipe::tasks::Split;
use galapagos_domain::seed::Seed;
use galapagos_worker::env::{End, EnvError, Environment, Episode, Legal, Restore, Start, Taken};
use serde_json::json;

use crate::process::{HERE, Server, connect, runtime};

fn start(split: Split, index: u64) -> Start {
    Start { split, index, ..Start::new(Seed(7)) }
}

/// Answers a task right in three splits, and wrong.
fn single_turn(task: &str, options: &str, solve: impl Fn(&str) -> String) {
    let runtime = runtime();
    let server = Server::start(&["--reasoning-gym", task, "--options", options]);
    let client = connect(&server.url, &runtime);
    assert_eq!(client.name(), format!("reasoning_gym/{task}"));
    let mut seen = Vec::new();
    for (split, index) in [(Split::Train, 0), (Split::Train, 1), (Split::Val, 0), (Split::Test, 0)] {
        let mut episode = Episode::begin(Box::new(client.environment()), start(split, index)).unwrap();
        let question = episode.observations()[0].clone();
        let turn = episode.step(&[Some(&solve(&question))]).unwrap();
        assert_eq!((turn.rewards[0], turn.done), (1.0, Some(End::Terminated)), "{question}: {turn:?}");
        assert_eq!(episode.environment().score(0).unwrap(), 1.0);
        episode.prove(&mut client.environment()).unwrap();
        let mut wrong = Episode::begin(Box::new(client.environment()), start(split, index)).unwrap();
        assert!(wrong.step(&[Some("no idea")]).unwrap().rewards[0] < 1.0);
        seen.push(question);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4, "{seen:?}");
}

fn numbers(text: &str) -> Vec<i64> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    digits.map(|part| part.parse().unwrap()).collect()
}

#[test]
fn reasoning_gyms_sums() {
    single_turn("chain_sum", r#"{"min_digits": 2, "max_digits": 3}"#, |question| {
        let sum = question.split_once(": ").unwrap().1.trim_end_matches(" =").replace("- ", "-").replace("+ ", "");
        sum.split_whitespace().map(|part| part.parse::<i64>().unwrap()).sum::<i64>().to_string()
    });
}

#[test]
fn reasoning_gyms_greatest_common_divisors() {
    fn gcd(a: i64, b: i64) -> i64 {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    single_turn("gcd", "{}", |question| {
        numbers(question.split_once("numbers: ").unwrap().1).into_iter().fold(0, gcd).to_string()
    });
}

#[test]
fn reasoning_gyms_backward_words() {
    single_turn("spell_backward", r#"{"min_word_len": 5}"#, |question| {
        question.rsplit_once(": ").unwrap().1.chars().rev().collect()
    });
}

/// Halves the range until the number is found.
fn bisect(episode: &mut Episode) -> End {
    let (mut low, mut high) = (1, 4096);
    loop {
        let guess = (low + high) / 2;
        let turn = episode.step(&[Some(&guess.to_string())]).unwrap();
        match turn.observations[0].as_str() {
            "Higher." => low = guess + 1,
            "Lower." => high = guess - 1,
            text => {
                assert_eq!(text, "Found.");
                return turn.done.unwrap();
            }
        }
    }
}

#[test]
fn a_game_of_several_turns_alone_and_in_a_batch() {
    let runtime = runtime();
    let server = Server::start(&["games:HigherLower"]);
    let client = connect(&server.url, &runtime);
    let mut lengths = Vec::new();
    for index in 0..6 {
        let mut episode = Episode::begin(Box::new(client.environment()), start(Split::Val, index)).unwrap();
        assert_eq!(episode.environment().legal(0).unwrap(), Legal::Form("a number from 1 to 4096".to_owned()));
        let odd = episode.step(&[Some("many")]).unwrap();
        assert_eq!(odd.taken, [Taken::Unparsable("no number".to_owned())]);
        assert_eq!(bisect(&mut episode), End::Terminated);
        assert_eq!((episode.total_reward(0), episode.environment().score(0).unwrap()), (1.0, 1.0));
        assert_eq!(episode.save().unwrap().state, Restore::Replay);
        episode.prove(&mut client.environment()).unwrap();
        lengths.push(episode.log().len());
    }
    assert!(lengths.iter().any(|length| *length > 4), "{lengths:?}");

    let mut environments: Vec<_> = (0..5).map(|_| client.environment()).collect();
    for (index, environment) in (0..).zip(&mut environments).take(4) {
        environment.reset(&start(Split::Train, index)).unwrap();
    }
    let mut turns: Vec<_> = environments.iter_mut().map(|environment| (environment, vec![Some("2048")])).collect();
    turns[1].1 = vec![None, None];
    let results = client.step_all(&mut turns);
    let told: Vec<&str> = results
        .iter()
        .map(|result| match result {
            Ok(turn) if turn.observations[0] == "Higher." || turn.observations[0] == "Lower." => "played",
            Err(EnvError::Players { .. }) => "players",
            Err(EnvError::Order { .. }) => "order",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["played", "players", "played", "played", "order"], "each has its own end");
}

#[test]
fn two_players_in_turn() {
    let runtime = runtime();
    let server = Server::start(&["games:Pass"]);
    let mut episode =
        Episode::begin(Box::new(connect(&server.url, &runtime).environment()), start(Split::Train, 0)).unwrap();
    assert_eq!(episode.observations(), ["Your turn.", "Wait."]);
    assert_eq!(episode.environment().legal(1).unwrap(), Legal::NotAsked);
    assert_eq!(episode.step(&[Some("pass"), None]).unwrap().taken, [Taken::Played, Taken::NotAsked]);
    let turn = episode.step(&[Some("pass"), None]).unwrap();
    assert_eq!(turn.taken, [Taken::Illegal("wait".to_owned()), Taken::Missing]);
    assert_eq!(turn.rewards, [0.25, -0.25]);
    episode.step(&[None, None]).unwrap();
    assert_eq!(episode.step(&[None, Some("pass")]).unwrap().done, Some(End::Truncated));
    assert_eq!(episode.environment().score(0).unwrap(), 1.0);
    assert!(matches!(episode.step(&[None, None]), Err(EnvError::Order { .. })));
}

#[test]
fn a_server_of_agentgyms_kind() {
    let runtime = runtime();
    let theirs = Server::run(&[&format!("{HERE}/agentgym_server.py")]);
    let options = json!({"instances": 36, "best": 3.0, "max_turns": 6}).to_string();
    let server = Server::start(&["--agentgym", &theirs.url, "--options", &options]);
    let client = connect(&server.url, &runtime);
    let mut episode = Episode::begin(Box::new(client.environment()), start(Split::Test, 0)).unwrap();
    let word = episode.observations()[0].strip_prefix("Spell ").unwrap()[..3].to_owned();
    let wrong = episode.step(&[Some("z")]).unwrap();
    assert_eq!((wrong.rewards[0], wrong.done), (0.0, None));
    for letter in word.chars() {
        episode.step(&[Some(&letter.to_string())]).unwrap();
    }
    assert_eq!((episode.done(), episode.environment().score(0).unwrap()), (Some(End::Terminated), 1.0));
    assert!((episode.total_reward(0) - 1.0).abs() < 1e-9);
    episode.prove(&mut client.environment()).unwrap();

    let mut other = Episode::begin(Box::new(client.environment()), start(Split::Train, 0)).unwrap();
    assert!(!other.observations()[0].contains(&word), "another split has other words");
    let failed = other.step(&[Some("overflow")]).unwrap_err();
    assert!(matches!(&failed, EnvError::Failed { problem, .. } if problem.contains("the buffer is full")), "{failed}");
}
