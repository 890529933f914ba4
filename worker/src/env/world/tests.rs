//! Worlds of built-in environments: what a turn brings does not depend on who asked for what before.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Condvar;

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

/// How many resets are at the door.
type Door = Arc<(Mutex<usize>, Condvar)>;

/// Answers one call; a reset only once `together` of them wait, and that of index 3 never.
fn serve(mut stream: TcpStream, door: &Door, together: usize) {
    let (mut read, mut buffer) = (String::new(), [0; 4096]);
    let body = loop {
        let length = |head: &str| {
            let line = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            line.map_or(0, |length| length.parse::<usize>().unwrap())
        };
        if let Some((head, body)) = read.split_once("\r\n\r\n")
            && body.len() >= length(head)
        {
            break body.to_owned();
        }
        let count = stream.read(&mut buffer).unwrap();
        if count == 0 {
            return;
        }
        read.push_str(&String::from_utf8_lossy(&buffer[..count]));
    };
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let answer = match read.split_whitespace().nth(1).unwrap() {
        "/v1/info" => json!({"protocol": 1, "environment": "door", "max_batch": 1}),
        "/v1/create" => json!({"session": "s"}),
        "/v1/reset" => {
            let (waiting, all) = &**door;
            let mut waiting = waiting.lock().unwrap();
            *waiting += 1;
            all.notify_all();
            drop(all.wait_while(waiting, |waiting| *waiting < together).unwrap());
            if body["start"]["index"] == 3 {
                return;
            }
            json!({"turn": 0, "players": 1, "max_turns": 3, "observations": [format!("room {}", body["start"]["index"])],
                "legal": [{"form": "text"}], "rewards": [0.0], "scores": [0.0], "taken": ["not_asked"], "done": null, "info": {}})
        }
        _ => json!({}),
    };
    let answer = answer.to_string();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
    drop(stream.write_all(format!("{head}{answer}").as_bytes()));
}

#[test]
fn episodes_begin_at_the_same_time_in_their_order_and_one_that_fails_fails_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let listen = move || {
        let door = Door::default();
        for stream in listener.incoming() {
            let (stream, door) = (stream.unwrap(), Arc::clone(&door));
            // One by one none of them would ever be answered.
            drop(spawn_thread("test-serve", move || serve(stream, &door, SERVED)).unwrap());
        }
    };
    drop(spawn_thread("test-listener", listen).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let place = Place::There { url, deadline: Duration::from_secs(20) };
    let world = Arc::new(World::new(place, Wording::default(), 0, runtime.handle().clone()));
    let starts: Vec<Start> = (0..SERVED as u64).map(|index| Start { index, ..Start::new(Seed(1)) }).collect();
    for (index, opened) in world.open_together(&starts).into_iter().enumerate() {
        match opened {
            Ok(opened) => assert_eq!((index != 3, opened.first.observation), (true, format!("room {index}"))),
            Err(error) => assert!(index == 3 && error.may_pass(), "{index}: {error}"),
        }
    }
    assert_eq!(world.lost.load(Ordering::Relaxed), 0, "those behind it began");
}

#[test]
fn a_server_that_nobody_reaches_is_given_up_behind_the_first_that_are_asked_together() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let place = Place::There { url: format!("http://{closed}"), deadline: Duration::from_secs(20) };
    let world = Arc::new(World::new(place, Wording::default(), 0, runtime.handle().clone()));
    let starts: Vec<Start> = (0..5).map(|index| Start { index, ..Start::new(Seed(1)) }).collect();
    let said = |opened: Vec<Result<Opened, EnvError>>| opened.into_iter().map(|one| one.unwrap_err().to_string());
    assert!(said(world.open_together(&starts)).all(|why| !why.contains("not asked any more")));
    assert!(said(world.open_together(&starts)).all(|why| why.contains("5 episodes in a row were lost to it")));
}

#[test]
fn an_episode_begins_behind_actions_that_bring_nothing_and_goes_on_from_there() {
    let start = Start { config: json!({"rows": 4, "columns": 4}).as_object().cloned().unwrap(), ..Start::new(Seed(4)) };
    let world = Arc::new(world("grid").begun(3));
    let opened = world.open_together(std::slice::from_ref(&start)).remove(0).unwrap();
    assert_eq!(opened.first, world.open(&start).unwrap(), "the start itself is as ever");
    let begun: Vec<&str> = opened.begun.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(begun.len(), 3);
    let alone = plain("grid", &start, &begun);
    for ((_, seen), (reward, observation)) in opened.begun.iter().zip(&alone) {
        assert_eq!((&seen.observation, *reward <= 0.0), (observation, true));
    }
    assert_eq!(world.open_together(std::slice::from_ref(&start)).remove(0).unwrap(), opened, "the same in every job");
    let actions: Vec<String> = begun.iter().chain(&["up"]).map(|action| (*action).to_owned()).collect();
    let moved = world.act(&start, &opened.first.observation, &actions).unwrap();
    let (_, observation) = plain("grid", &start, &[&begun[..], &["up"]].concat()).pop().unwrap();
    assert_eq!(moved.seen.observation, observation);
    let world = Arc::new(self::world("arithmetic").begun(1));
    let error = world.open_together(&[Start::new(Seed(4))]).remove(0).unwrap_err();
    assert!(error.to_string().contains("this environment does not list them"), "{error}");
}
