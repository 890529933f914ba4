//! Controllers: what is handed out to measure a grid, and what their decisions change.

use std::collections::{BTreeMap, BTreeSet};

use galapagos_domain::cluster::view::{Decided, EvolutionView, Phase, Status, Summary};
use galapagos_domain::ids::EvolutionId;
use galapagos_domain::job::{JobKind, SweepSpec};
use galapagos_domain::recipe::curate::Operator;
use galapagos_domain::recipe::tasks::Split;
use galapagos_domain::recipe::{Number, Recipe};

use crate::recipes;
use crate::sim_worker::How;
use crate::stories::{explain, jobs, limits, view};
use crate::world::World;

fn ended(recipe: Recipe) -> (World, EvolutionId) {
    let mut world = World::new(limits());
    (0..3).for_each(|worker| world.register(worker));
    let id = world.submit(recipe);
    world.heal();
    assert_eq!(view(&world, &id).status, Status::Done, "{:?}", explain(&world, id.as_str()));
    (world, id)
}

fn decided(view: &EvolutionView) -> BTreeMap<(Phase, String), Decided> {
    let told = view.steps.iter().filter_map(|step| match &step.summary {
        Some(Summary::Control(decided)) => Some(((step.phase, step.name.to_string()), decided.clone())),
        _ => None,
    });
    told.collect()
}

fn sweeps(world: &World, step: &str) -> Vec<SweepSpec> {
    let mut found: Vec<(usize, SweepSpec)> = jobs(world)
        .into_iter()
        .filter_map(|job| {
            let number = job.spec.id.as_str().strip_prefix(step)?.strip_prefix('/')?.parse().ok()?;
            match job.spec.kind {
                JobKind::Sweep(sweep) => Some((number, sweep)),
                _ => None,
            }
        })
        .collect();
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, sweep)| sweep).collect()
}

fn temperature(sweep: &SweepSpec) -> String {
    format!("{:?}", sweep.rollout.search.propose().temperature)
}

#[test]
fn a_generation_begins_with_the_controllers_that_are_due() {
    let (world, id) = ended(recipes::controlled());
    let view = view(&world, &id);
    let steps: Vec<String> =
        view.steps.iter().filter(|step| step.verb == "control").map(|s| format!("{}/{}", s.phase, s.name)).collect();
    assert_eq!(steps, ["g1/tuner", "g1/control-2", "g2/tuner", "g3/tuner", "g3/control-2"]);
    let first: Vec<&str> =
        view.steps.iter().filter(|s| s.phase == Phase::Generation(2)).map(|s| s.name.as_str()).collect();
    assert_eq!(first, ["tuner", "samples", "wild", "good", "train-4"]);
}

#[test]
fn later_recipe_steps_read_what_was_chosen_and_the_recipe_stays() {
    let (world, id) = ended(recipes::controlled());
    let view = view(&world, &id);
    let decided = decided(&view);
    let mut vars = BTreeMap::from([("t", 0.7), ("bound", 0.0), ("hot", 1.0)].map(|(n, v)| (n.to_owned(), v)));
    let mut seen = BTreeSet::new();
    for generation in 1..=3 {
        for controller in ["tuner", "control-2"] {
            let Some(decided) = decided.get(&(Phase::Generation(generation), controller.to_owned())) else { continue };
            for moved in &decided.moves {
                assert_eq!(vars[moved.name.as_str()], moved.from, "{controller} of g{generation}");
                vars.insert(moved.name.to_string(), moved.to);
            }
        }
        seen.insert(format!("{vars:?}"));
        for job in jobs(&world) {
            let at = format!("{id}/g{generation}/");
            let Some(step) = job.spec.id.as_str().strip_prefix(&at) else { continue };
            match &job.spec.kind {
                JobKind::Rollout(rollout) => {
                    let name = if step.starts_with("wild") { "hot" } else { "t" };
                    assert_eq!(rollout.search.propose().temperature, Number::Value(vars[name]), "{step}");
                }
                JobKind::Curate(curate) => {
                    let Operator::Filter(filter) = &curate.apply[0] else { panic!("{curate:?}") };
                    assert_eq!(filter.above, Some(Number::Value(vars["bound"])));
                }
                _ => {}
            }
        }
    }
    assert!(seen.len() > 1, "the variables move");
    for job in jobs(&world) {
        if let JobKind::Evaluate(evaluate) = &job.spec.kind {
            assert_eq!(evaluate.sampling.temperature, vars["t"], "`finish` reads the last values");
        }
    }
    let shown: BTreeMap<String, f64> = view.vars.iter().map(|(name, value)| (name.to_string(), *value)).collect();
    assert_eq!(shown, vars);
    assert_eq!(view.recipe_digest, recipes::controlled().digest().hex());
    let facts = explain(&world, id.as_str()).facts.join("\n");
    assert!(facts.contains(&format!("variable t is {}, by tuner in g3: balance_score 0.", vars["t"])), "{facts}");
}

/// Five temperatures on 9 tasks: all of them on three, three on five, two on nine; what is swept is sampled once.
#[test]
fn halving_measures_all_points_on_a_quarter_the_better_half_on_half_and_the_best_quarter_on_all() {
    let (world, id) = ended(recipes::controlled());
    for generation in 1..=3 {
        let mut tasks: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for sweep in sweeps(&world, &format!("{id}/g{generation}/tuner")) {
            assert_eq!((sweep.rollout.tasks.split, sweep.sweep.count()), (Split::Val, 3));
            tasks.entry(temperature(&sweep)).or_default().extend(&sweep.rollout.tasks.indices);
        }
        let mut counts: Vec<usize> = tasks.values().map(Vec::len).collect();
        counts.sort_unstable();
        assert_eq!(counts, [3, 3, 5, 9, 9], "{tasks:?}");
        for tasks in tasks.values() {
            assert_eq!(*tasks, (0..tasks.len() as u32).collect::<Vec<_>>(), "the first ones, each once, in order");
        }
        let decided = decided(&view(&world, &id));
        let tuner = &decided[&(Phase::Generation(generation), "tuner".to_owned())];
        let chosen = tuner.moves.iter().find(|moved| moved.name.as_str() == "t").unwrap().to;
        assert_eq!(tasks[&format!("{:?}", Number::Value(chosen))].len(), 9, "what is chosen was measured on all");
        assert_eq!((tuner.tasks, tuner.points), (9, 15));
        assert!(tuner.best[0].value >= tuner.best[1].value && tuner.best[0].value == tuner.value);
    }
    let view = view(&world, &id);
    let tuner = view.steps.iter().find(|step| step.name.as_str() == "tuner").unwrap();
    // 5 · 3 + 3 · 2 + 2 · 4 tasks, in jobs of one task each.
    assert_eq!((tuner.progress, tuner.tokens), ((29, 29), 29 * 11));
}

#[test]
fn with_the_full_budget_the_best_of_all_points_is_taken_and_random_samples_as_much() {
    let with = |metric: &str| {
        let text = serde_json::to_string(&recipes::controlled()).unwrap();
        let text = text.replace("successive_halving", "full").replace(r#"{"balance_score":{"n_star":8}}"#, metric);
        let (world, id) = ended(serde_json::from_str(&text).unwrap());
        let sweeps = sweeps(&world, &format!("{id}/g1/tuner"));
        let decided = decided(&view(&world, &id))[&(Phase::Generation(1), "tuner".to_owned())].clone();
        let tokens = view(&world, &id).steps.iter().find(|step| step.name.as_str() == "tuner").unwrap().tokens;
        (sweeps, decided, tokens)
    };
    let (sweeps, best, tokens) = with(r#"{"balance_score":{"n_star":8}}"#);
    assert_eq!(sweeps.iter().map(|sweep| sweep.rollout.tasks.indices.len()).sum::<usize>(), 5 * 9);
    assert!(best.was.unwrap() <= best.value && best.was_tasks == 9);
    let (_, random, as_many) = with(r#""random""#);
    assert_eq!(as_many, tokens);
    assert_ne!(random.best, best.best);
}

#[test]
fn a_coordinator_that_restarts_within_a_controller_decides_the_same() {
    let (calm, id) = ended(recipes::controlled());
    let expected = decided(&view(&calm, &id));
    let mut world = World::new(limits());
    (0..2).for_each(|worker| world.register(worker));
    world.submit(recipes::controlled());
    let mut within = 0;
    for turn in 0..60 {
        world.advance(turn % 2, 0, How::Well);
        if view(&world, &id).steps.last().is_some_and(|step| step.verb == "control" && !step.done) {
            within += 1;
            world.act(&crate::act::Act::Restart);
            (0..2).for_each(|worker| world.register(worker));
        }
    }
    assert!(within > 10, "{within}");
    world.heal();
    assert_eq!(decided(&view(&world, &id)), expected);
}

/// A state that was stored before there were controllers.
#[test]
fn older_evolutions_are_read() {
    let (world, _) = ended(recipes::broad());
    for record in world.state.records() {
        let mut older = serde_json::to_value(&record).unwrap();
        remove(&mut older, &["moved", "list", "controllers"]);
        assert_eq!(serde_json::from_value::<galapagos_domain::cluster::Record>(older).unwrap(), record);
    }
}

fn remove(value: &mut serde_json::Value, keys: &[&str]) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.retain(|key, _| !keys.contains(&key.as_str()));
            fields.values_mut().for_each(|value| remove(value, keys));
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|value| remove(value, keys)),
        _ => {}
    }
}
