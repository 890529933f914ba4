//! Episodes and trees of actions in a world of three places on a line, by hand: `r` goes right, `l` left, `f` breaks the world.

use galapagos_domain::recipe::search::{Evaluate, Mcts};
use galapagos_domain::recipe::verify::{EnvReturn, Verifier};
use galapagos_domain::trajectory::Outcome;

use super::super::choice::{Choose, Chosen};
use super::super::growth::{Advice, Growth};
use super::super::strategy::Drawn;
use super::super::tree::Path;
use super::*;
use crate::engine::mock::CharacterCodec;
use crate::verify::episode::env_return;

fn tokens(text: &str) -> Vec<u32> {
    text.chars().map(u32::from).collect()
}

fn text(tokens: &[u32]) -> String {
    tokens.iter().filter_map(|token| char::from_u32(*token)).collect()
}

/// What the last action brings: half a point for each place that is new, the end at the third.
fn play(act: &Act) -> Result<Acted, Verdict> {
    let (mut at, mut farthest, mut before, mut refused) = (0i32, 0, 0, None);
    for action in &act.actions {
        (before, refused) = (farthest, None);
        match action.as_str() {
            "r" => at += 1,
            "l" if at > 0 => at -= 1,
            "l" => refused = Some("a wall".to_owned()),
            _ => return Err(Verdict::new(Outcome::Timeout, "http://there is silent").by("env/1")),
        }
        farthest = farthest.max(at);
    }
    let (over, reward) = (at == 2, f64::from(farthest - before) / 2.0);
    let shown = if over { "at 2".to_owned() } else { format!("at {at}\n> ") };
    let score = f64::from(farthest) / 2.0;
    Ok(Acted { reward, score, refused, over, text: format!("\n{shown}"), tokens: tokens(&shown) })
}

fn answer(want: &Want, says: &[(&str, &[&str])]) -> Answer {
    match want {
        Want::Draw(draw) => {
            let behind = text(&draw.behind);
            let known = says.iter().find(|(at, _)| *at == behind);
            let (_, actions) = known.unwrap_or_else(|| panic!("nobody says what follows {behind:?}"));
            assert_eq!((draw.samples as usize, draw.unit.clone()), (actions.len(), Unit::Turn));
            let drawn = |action: &&str| {
                let tokens = tokens(&format!("{action}\n"));
                let log_probs = vec![-0.5; tokens.len()];
                Drawn { tokens, log_probs, text: (*action).to_owned(), answered: true }
            };
            Answer::Drawn(actions.iter().map(drawn).collect())
        }
        Want::Act(act) => Answer::Acted(play(act)),
        Want::Write(_) => panic!("{want:?}"),
        Want::Judge(question) => match &*question.verifier {
            Verifier::EnvReturn(rule) => Answer::Judged(env_return(rule, &question.path.turns)),
            other => panic!("{other:?}"),
        },
    }
}

/// Runs a search to its end; gives all actions that were asked for.
fn run(strategy: &mut dyn Strategy, says: &[(&str, &[&str])]) -> Vec<Act> {
    let (mut acts, mut answers) = (Vec::new(), Vec::new());
    loop {
        let wants = strategy.next(answers).unwrap();
        if wants.is_empty() {
            return acts;
        }
        acts.extend(wants.iter().filter_map(|want| match want {
            Want::Act(act) => Some(act.clone()),
            Want::Draw(_) | Want::Judge(_) | Want::Write(_) => None,
        }));
        answers = wants.iter().map(|want| answer(want, says)).collect();
    }
}

fn episodes(n: u32, turns: u32, tokens: u32) -> Episodes {
    Episodes::new(n, Limits { turns, action: 4, tokens }, Arc::new(Sampling::at(1.0)), Seed(1))
}

fn paths(strategy: &dyn Strategy) -> Vec<Path> {
    strategy.found().into_iter().map(|node| strategy.tree().path(node)).collect()
}

#[test]
fn every_episode_goes_its_own_way_behind_the_tokens_that_were_sampled() {
    let says: &[(&str, &[&str])] =
        &[("", &["r", "l"]), ("r\nat 1\n> ", &["r"]), ("l\nat 0\n> ", &["r"]), ("l\nat 0\n> r\nat 1\n> ", &["l"])];
    let mut episodes = episodes(2, 3, 100);
    let acts = run(&mut episodes, says);
    let first = replica(Seed(1));
    let asked: Vec<(u32, String)> =
        acts.iter().map(|act| (act.replica.wrapping_sub(first), act.actions.concat())).collect();
    let expected = [(0, "r"), (1, "l"), (0, "rr"), (1, "lr"), (1, "lrl")];
    assert_eq!(asked, expected.map(|(replica, actions)| (replica, actions.to_owned())));
    assert!(acts.iter().all(|act| act.last == Some(u32::from('\n'))));

    let [won, lost] = &paths(&episodes)[..] else { panic!() };
    assert_eq!(text(&won.tokens), "r\nat 1\n> r\nat 2");
    assert_eq!(won.text, "r\nat 1\n> r\nat 2");
    let marks: String = won.sampled.iter().map(|sampled| if *sampled { 's' } else { '.' }).collect();
    assert_eq!(marks, "ss.......ss....");
    let log_probs: Vec<f32> = won.sampled.iter().map(|sampled| if *sampled { -0.5 } else { 0.0 }).collect();
    assert_eq!(won.log_probs, log_probs);
    assert_eq!((won.answer.as_str(), won.steps.concat().as_str()), ("r", "rr"), "the last action alone");
    assert_eq!(text(&lost.tokens), "l\nat 0\n> r\nat 1\n> l\nat 0\n> ");
    let ends = episodes.found().into_iter().map(|node| episodes.tree()[node].end);
    assert_eq!(ends.collect::<Vec<_>>(), [Some(End::Answered), Some(End::Cut)]);

    let verdicts = [won, lost].map(|path| env_return(&EnvReturn { gamma: 0.5, pass_at: None }, &path.turns));
    // 0.5 + 0.5 x 0.5 and 0 + 0.5 x 0.5 + 0.25 x 0
    assert_eq!(verdicts.each_ref().map(|verdict| verdict.score), [Some(0.75), Some(0.25)]);
    assert_eq!(verdicts.each_ref().map(|verdict| verdict.outcome), [Outcome::Pass, Outcome::Fail]);
    assert!(verdicts[1].reason.contains("3 turns, 1 of them refused, not over"), "{}", verdicts[1].reason);
}

#[test]
fn fewer_episodes_would_have_left_the_first_of_them() {
    let says: &[(&str, &[&str])] =
        &[("", &["r", "l"]), ("r\nat 1\n> ", &["r"]), ("l\nat 0\n> ", &["r"]), ("l\nat 0\n> r\nat 1\n> ", &["l"])];
    let mut two = episodes(2, 3, 100);
    run(&mut two, says);
    let [won, lost] = two.found()[..] else { panic!() };
    // Two actions of two tokens, and three; what was shown is not sampled.
    let moments = [Moment { tokens: 4, found: vec![won] }, Moment { tokens: 4 + 6, found: vec![won, lost] }];
    assert_eq!(two.moments().unwrap(), moments, "by number, though the other one is longer");

    let seeds = |n: usize| {
        let (mut episodes, mut seeds, mut answers) = (episodes(n as u32, 3, 100), Vec::new(), Vec::new());
        loop {
            let wants = episodes.next(answers).unwrap();
            let drawn = wants.iter().filter_map(|want| match want {
                Want::Draw(draw) => Some((text(&draw.behind), draw.seed)),
                Want::Act(_) | Want::Judge(_) | Want::Write(_) => None,
            });
            seeds.extend(drawn);
            if wants.is_empty() {
                return seeds;
            }
            let first = ["r", "l", "l"];
            let says: [(&str, &[&str]); 5] = [
                ("", &first[..n]),
                ("r\nat 1\n> ", &["l"]),
                ("r\nat 1\n> l\nat 0\n> ", &["l"]),
                ("l\nat 0\n> ", &["l"]),
                ("l\nat 0\n> l\nat 0\n> ", &["l"]),
            ];
            answers = wants.iter().map(|want| answer(want, &says)).collect();
        }
    };
    let (one, three) = (seeds(1), seeds(3));
    assert!(one.iter().all(|drawn| three.contains(drawn)), "{one:?} and {three:?}");
    let different: std::collections::BTreeSet<u64> = three.iter().map(|(_, seed)| seed.0).collect();
    assert_eq!((three.len(), different.len()), (1 + 3 + 3, 7), "each action draws from a stream of its own");
}

/// Of three episodes the best is kept, and the one that the environment failed is told beside it.
#[test]
fn one_of_several_episodes_is_chosen_and_never_one_that_failed_before_one_that_was_played() {
    let says: &[(&str, &[&str])] = &[("", &["f", "l", "r"]), ("l\nat 0\n> ", &["r"]), ("r\nat 1\n> ", &["r"])];
    let by = vec![Evaluate::terminal(Verifier::EnvReturn(EnvReturn::default()))];
    let mut chosen = Chosen::new(episodes(3, 2, 100), Choose::Best(by), Seed(1));
    run(&mut chosen, says);
    let found: Vec<String> = paths(&chosen).iter().map(|path| path.steps.concat()).collect();
    assert_eq!(found, ["rr", "f"]);
    let way: Vec<(u64, String)> = chosen
        .moments()
        .unwrap()
        .into_iter()
        .map(|moment| {
            let [node] = moment.found[..] else { panic!("{moment:?}") };
            (moment.tokens, chosen.tree().path(node).steps.concat())
        })
        .collect();
    let expected = [(2, "f"), (2 + 4, "lr"), (2 + 4 + 4, "rr")];
    assert_eq!(way, expected.map(|(tokens, steps)| (tokens, steps.to_owned())));
}

#[test]
fn an_episode_ends_where_no_further_action_fits() {
    let says: &[(&str, &[&str])] = &[("", &["r"]), ("r\nat 1\n> ", &["l"])];
    // The action of two tokens and what is shown take 9; another action may take 4.
    let mut short = episodes(1, 9, 12);
    run(&mut short, says);
    assert_eq!(text(&paths(&short)[0].tokens), "r\nat 1\n> ");
    let mut longer = episodes(1, 9, 13);
    run(&mut longer, says);
    let path = &paths(&longer)[0];
    assert_eq!(text(&path.tokens), "r\nat 1\n> l\n", "what does not fit is not shown");
    assert_eq!((path.turns.len(), path.text.as_str()), (2, "r\nat 1\n> l"));
}

#[test]
fn an_environment_that_fails_ends_its_own_episode_alone() {
    let mut episodes = episodes(2, 2, 100);
    run(&mut episodes, &[("", &["f", "r"]), ("r\nat 1\n> ", &["r"])]);
    let verdicts: Vec<_> = paths(&episodes).iter().map(|path| env_return(&EnvReturn::default(), &path.turns)).collect();
    assert_eq!((verdicts[0].outcome, verdicts[0].score), (Outcome::Timeout, None), "no zero");
    assert_eq!(verdicts[0].reason, "http://there is silent");
    assert_eq!(verdicts[1].outcome, Outcome::Pass);
    let failed = Episodes::failed(3, &Verdict::new(Outcome::Error, "gone"));
    let paths = paths(&failed);
    assert_eq!(paths.len(), 3);
    assert!(paths.iter().all(|path| env_return(&EnvReturn::default(), &path.turns).reason == "gone"));
}

#[test]
fn a_tree_of_actions_by_hand() {
    let search = r#"{"propose": {"n": 2, "unit": "turn"}, "select": {"uct": {"c": 1.0}},
        "evaluate": [{"verifier": {"env_return": {}}}], "budget": {"simulations": 3, "depth": 4}}"#;
    let search: Mcts = serde_json::from_str(search).unwrap();
    let limits = Limits { turns: 4, action: 4, tokens: 100 };
    let mut growth = Growth::mcts(&search, Arc::new(Sampling::at(1.0)), Seed(1)).playing(limits);
    let acts = run(&mut growth, &[("", &["r", "l"]), ("r\nat 1\n> ", &["r", "f"])]);
    assert!(acts.iter().all(|act| act.replica == replica(Seed(1))), "one playing for the whole tree");
    let tree = growth.tree();
    let of = |wanted: &str| tree.iter().find(|(id, _)| tree.path(*id).steps.concat() == wanted).unwrap().1;
    let shape = |wanted| (of(wanted).end, of(wanted).visits, of(wanted).q);
    assert_eq!(shape(""), (None, 1.0, 1.0));
    assert_eq!(shape("r"), (None, 1.0, 1.0));
    assert_eq!(shape("l"), (Some(End::Killed), 0.0, 0.0), "refused: no child, no visit");
    assert_eq!(of("l").verdict.as_ref().unwrap().reason, "refused: a wall");
    assert_eq!(shape("rr"), (Some(End::Answered), 1.0, 1.0));
    assert_eq!(shape("rf"), (Some(End::Failed), 0.0, 0.0), "an error is no value and no visit");
    let found = paths(&growth).iter().map(|path| path.steps.concat()).collect::<Vec<_>>();
    assert_eq!(found, ["rr", "rf"], "what the environment failed is told");
}

#[test]
fn a_path_of_a_tree_is_cut_at_its_depth_and_a_dense_return_is_asked_on_the_way() {
    let search = r#"{"propose": {"n": 1, "unit": "turn"}, "select": {"uct": {"c": 1.0}}, "simulate": "one_growth",
        "evaluate": [{"verifier": {"env_return": {}}, "when": "every"}], "budget": {"simulations": 5, "depth": 2}}"#;
    let search: Mcts = serde_json::from_str(search).unwrap();
    let limits = Limits { turns: 2, action: 4, tokens: 100 };
    let mut growth = Growth::mcts(&search, Arc::new(Sampling::at(1.0)), Seed(1)).playing(limits);
    run(&mut growth, &[("", &["r"]), ("r\nat 1\n> ", &["l"])]);
    let ends: Vec<_> = growth.tree().iter().map(|(_, node)| (node.end, node.own)).collect();
    assert_eq!(ends, [(None, None), (None, Some(0.5)), (Some(End::Cut), Some(0.5))]);
    assert!(growth.tree()[NodeId(1)].verdict.is_none(), "an episode under way is neither right nor wrong");
}

/// What a measured tree would have answered is read when all of a batch is there: its actions, their turns and their values.
#[test]
fn a_tree_is_settled_between_its_batches_alone() {
    let search = r#"{"propose": {"n": 2, "unit": "turn"}, "select": {"uct": {"c": 1.0}},
        "evaluate": [{"verifier": {"env_return": {}}, "when": "every"}], "budget": {"simulations": 3, "depth": 4}}"#;
    let search: Mcts = serde_json::from_str(search).unwrap();
    let limits = Limits { turns: 4, action: 4, tokens: 100 };
    let mut growth = Growth::mcts(&search, Arc::new(Sampling::at(1.0)), Seed(1)).playing(limits);
    let says: &[(&str, &[&str])] = &[("", &["r", "l"]), ("r\nat 1\n> ", &["r", "f"])];
    let (mut answers, mut seen) = (Vec::new(), String::new());
    loop {
        let wants = growth.next(answers).unwrap();
        let kind = wants.first().map_or('.', |want| match want {
            Want::Draw(_) => 'd',
            Want::Act(_) => 'a',
            Want::Judge(_) => 'j',
            Want::Write(_) => 'w',
        });
        seen.push(kind);
        assert_eq!(growth.is_settled(), matches!(kind, 'd' | '.'), "{seen}");
        if wants.is_empty() {
            break;
        }
        answers = wants.iter().map(|want| answer(want, says)).collect();
    }
    assert_eq!(seen, "dajdaj.");
}

/// What is shown before a second action is no action, and what leaves no room for one is not shown.
#[test]
fn a_second_action_is_advised_by_what_came_of_the_first() {
    let search = r#"{"propose": {"n": 1, "unit": "turn"}, "width": {"up_to": 2}, "simulate": "one_growth",
        "evaluate": [{"verifier": {"env_return": {}}, "when": "every"}], "budget": {"simulations": 2, "depth": 1},
        "feedback": {"show": "Tried: {siblings}\n> "}}"#;
    let search: Mcts = serde_json::from_str(search).unwrap();
    let grown = |tokens: u32, says: &[(&str, &[&str])]| {
        let feedback = search.feedback.as_ref().unwrap();
        let advice = Advice::new(feedback, Arc::new(CharacterCodec), "\n> ").unwrap();
        let limits = Limits { turns: 1, action: 4, tokens };
        let growth = Growth::mcts(&search, Arc::new(Sampling::at(1.0)), Seed(1)).advised_by(advice);
        let mut growth = growth.playing(limits);
        let acts: Vec<Vec<String>> = run(&mut growth, says).into_iter().map(|act| act.actions).collect();
        assert_eq!(acts[0], ["r"]);
        (acts[1].clone(), growth.tree().path(NodeId(2)))
    };
    let shown = "Tried: r -> at 1 (value 0.50)\n> ";
    let (acts, path) = grown(100, &[("", &["r"]), (shown, &["l"])]);
    assert_eq!(acts, ["l"]);
    assert_eq!(path.text, format!("{shown}l\nat 0\n> "));
    assert_eq!((text(&path.tokens), path.spent()), (format!("{shown}l\nat 0\n> "), 2));
    let (acts, path) = grown(12, &[("", &["r"])]);
    assert_eq!((acts, path.text.starts_with('r')), (vec!["r".to_owned()], true));
}
