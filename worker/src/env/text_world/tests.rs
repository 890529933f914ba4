//! Worlds can be solved, by the shortest way and by reading; traps cannot be undone.

use galapagos_domain::seed::Seed;
use serde_json::json;

use super::super::testing::{check, env, options};
use super::super::{End, Taken};
use super::*;

#[test]
fn the_contract_of_small_and_larger_worlds() {
    check("text_world", &options(json!({})), |_, _| String::new());
    check("text_world", &options(json!({"more_rooms": 2})), |_, _| String::new());
}

#[test]
fn the_shortest_solution_is_of_the_wanted_length_and_scores_one() {
    for seed in 0..12 {
        let config = Config { more_rooms: seed as usize % 3 };
        let mut world = TextWorld::draw(&config, &mut Seed(seed).stream()).unwrap();
        let solution = world.map.solve(world.now).unwrap();
        assert!(map::SOLUTION.contains(&solution.len()), "{solution:?}");
        let mut scores = vec![0.0];
        for action in solution {
            let text = world.text(action);
            let read = world.parse(0, &text).unwrap_or_else(|why| panic!("{text}: {why:?}"));
            let played = world.play(vec![Some(read)], &mut Seed(0).stream());
            scores.push(world.score(0));
            assert_eq!(played.over, world.score(0) == 1.0, "{text}");
        }
        assert!(scores.is_sorted() && scores.last() == Some(&1.0), "{scores:?}");
    }
}

#[test]
fn a_lost_key_makes_a_world_unsolvable_and_its_milestone_stays() {
    let mut lost = 0;
    for seed in 0..10 {
        let mut world = TextWorld::draw(&Config::default(), &mut Seed(seed).stream()).unwrap();
        world.map.apply(&mut world.now, Move::Take(Item::Key));
        world.now.at = world.map.well;
        let score = world.score(0);
        let text = world.text(Move::Throw(Item::Key));
        let action = world.parse(0, &format!("Throw the {}.", text.trim_start_matches("throw "))).unwrap();
        world.play(vec![Some(action)], &mut Seed(0).stream());
        assert_eq!(world.score(0), score);
        lost += usize::from(world.map.solve(world.now).is_none() && !world.now.open);
    }
    // Where the well stands behind the door it was walked past, so every world is lost here but none that was opened.
    assert!(lost >= 5, "{lost}");
}

#[test]
fn the_shaft_ends_the_episode() {
    let (mut game, mut start) = env("text_world", &options(json!({})), 3);
    for index in 0.. {
        start.index = index;
        game.reset(&start).unwrap();
        for _ in 0..20 {
            let Legal::These(all) = game.legal(0).unwrap() else { panic!("listed") };
            if all.contains(&"go down".to_owned()) {
                let turn = game.step(&[Some("Go down!")]).unwrap();
                assert_eq!(turn.done, Some(End::Terminated));
                assert!(turn.observations[0].ends_with("There is no way out.") && game.score(0).unwrap() < 1.0);
                return;
            }
            let go = all.iter().find(|action| action.starts_with("go ")).unwrap().clone();
            game.step(&[Some(&go)]).unwrap();
        }
    }
}

#[test]
fn what_cannot_be_done_is_said_with_its_reason() {
    let (mut game, start) = env("text_world", &options(json!({"rules": {"most_illegal": 3}})), 1);
    game.reset(&start).unwrap();
    let unknown = game.step(&[Some("dance")]).unwrap();
    assert!(matches!(unknown.taken[0], Taken::Unparsable(_)));
    let nothing = game.step(&[Some("unlock the door")]).unwrap();
    assert!(nothing.observations[0].starts_with("That cannot be done: "), "{nothing:?}");
    let third = game.step(&[None]).unwrap();
    assert_eq!((third.done, third.info["refused"].clone()), (Some(End::Terminated), json!([3])));
}
