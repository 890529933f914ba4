//! Proposed tasks: who writes, who puts together, what later recipe steps are brought.

use galapagos_domain::cluster::view::{Status, Summary};
use galapagos_domain::job::{JobKind, JobOutput, ProposePart};
use galapagos_domain::recipe::step::RecipeStep;
use galapagos_domain::recipe::tasks::Split;

use crate::recipes;
use crate::stories::{explain, jobs, limits, view};
use crate::world::World;

#[test]
fn shares_are_put_together_when_all_are_there_and_the_newest_set_is_searched() {
    let mut world = World::new(limits());
    (0..3).for_each(|worker| world.register(worker));
    let id = world.submit(recipes::imagined());
    world.heal();
    let view = view(&world, &id);
    assert_eq!(view.status, Status::Done, "{:?}", explain(&world, id.as_str()));
    let jobs = jobs(&world);
    for generation in ["g1", "g2"] {
        let of = |step: &str| {
            let prefix = format!("imagined-1/{generation}/{step}/");
            let mut all: Vec<_> = jobs.iter().filter(|job| job.spec.id.as_str().starts_with(&prefix)).collect();
            all.sort_by_key(|job| job.spec.id.as_str()[prefix.len()..].parse::<u32>().unwrap());
            all
        };
        let proposed = of("dreams");
        assert_eq!(proposed.len(), 9, "eight shares of three tries, and the one that gathers");
        let (mut written, mut next) = (Vec::new(), 0);
        for job in &proposed {
            let JobKind::Propose(spec) = &job.spec.kind else { panic!("{job:?}") };
            let Some(JobOutput::Propose { questions, .. }) = job.output() else { panic!("{job:?}") };
            assert_eq!((spec.keys.as_str(), spec.tasks.set.as_str(), spec.n, spec.seeds), (generation, "sort", 9, 2));
            let held: Vec<_> = spec.held_out.iter().map(|slice| (slice.set.as_str(), slice.split)).collect();
            assert_eq!(held, [("sort", Split::Val), ("sort", Split::Test)]);
            match &spec.part {
                ProposePart::Write { from, to } => {
                    assert_eq!((*from, *to), (next, next + 3));
                    next = *to;
                    written.push(questions.clone());
                }
                ProposePart::Gather(tables) => assert_eq!(*tables, written, "in order of their numbers"),
            }
        }
        let gathered = match proposed[8].output() {
            Some(JobOutput::Propose { questions, .. }) => questions.clone(),
            other => panic!("{other:?}"),
        };
        for job in of("samples") {
            let JobKind::Rollout(spec) = &job.spec.kind else { panic!("{job:?}") };
            assert_eq!((spec.tasks.set.as_str(), spec.tasks.split), ("dreams", Split::Train));
            assert_eq!(spec.tasks.proposed.as_ref(), Some(&gathered));
            assert!(spec.tasks.indices.iter().all(|index| *index < 9));
        }
        let step =
            view.steps.iter().find(|step| step.phase.to_string() == generation && step.name.as_str() == "dreams");
        let step = step.unwrap();
        let Some(Summary::Propose { sifted, at_least: 6 }) = &step.summary else { panic!("{step:?}") };
        // Of each three tries one is malformed: 16 are good, 9 are kept.
        assert_eq!((sifted.tries, sifted.malformed, sifted.surplus, sifted.kept), (24, 8, 7, 9));
        assert_eq!((step.progress, step.tokens), ((24, 24), 18));
    }
}

#[test]
fn too_few_questions_end_the_evolution_with_what_became_of_them() {
    let mut recipe = recipes::imagined();
    for step in &mut recipe.each {
        if let RecipeStep::Propose(proposals) = step {
            (proposals.n, proposals.at_least) = (20, Some(17));
        }
    }
    let mut world = World::new(limits());
    (0..2).for_each(|worker| world.register(worker));
    let id = world.submit(recipe);
    world.heal();
    let view = view(&world, &id);
    assert_eq!(view.status, Status::Failed);
    let told = view.failure.join("\n");
    for part in [
        "recipe step g1/dreams failed",
        "`dreams` of g1 has too few questions: 16 are new and good, 17 are wanted",
        "the role `policy` wrote 24; refused: malformed 8",
        "`tries`",
    ] {
        assert!(told.contains(part), "want {part:?} in\n{told}");
    }
}
