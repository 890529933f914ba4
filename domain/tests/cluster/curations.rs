//! What the jobs of `curate` are brought, and what is told of them.

use galapagos_domain::cluster::view::{Status, Summary};
use galapagos_domain::job::{CurateFrom, CurateSpec, JobKind};
use galapagos_domain::recipe::Number;
use galapagos_domain::recipe::curate::Operator;
use galapagos_domain::recipe::tasks::Split;

use crate::recipes;
use crate::stories::{explain, jobs, limits, view};
use crate::world::World;

#[test]
fn a_curation_is_brought_what_its_operators_need_and_nothing_else() {
    let mut world = World::new(limits());
    (0..2).for_each(|worker| world.register(worker));
    let id = world.submit(recipes::forest());
    world.heal();
    assert_eq!(view(&world, &id).status, Status::Done, "{:?}", explain(&world, id.as_str()));
    let specs: Vec<CurateSpec> = jobs(&world)
        .into_iter()
        .filter_map(|job| match job.spec.kind {
            JobKind::Curate(spec) => Some(spec),
            _ => None,
        })
        .collect();
    let of =
        |word: &str| specs.iter().find(|spec| spec.apply.first().is_some_and(|first| first.word() == word)).unwrap();
    let (pairs, journeys, sure) = (of("pair"), of("linearise"), of("filter"));
    assert!(pairs.trees.len() > 1, "one table for each job of the rollout");
    assert!(pairs.text.is_none() && pairs.tasks.is_empty() && pairs.with.is_empty());
    assert_eq!((journeys.trees.len(), journeys.text.is_some()), (pairs.trees.len(), true));
    assert!(sure.trees.is_empty() && sure.text.is_none());
    assert_eq!(sure.tasks.iter().map(|slice| slice.split).collect::<Vec<_>>(), [Split::Train, Split::Demonstrations]);
    assert_eq!(
        sure.with.iter().map(|(name, files)| (name.as_str(), files.len())).collect::<Vec<_>>(),
        [("journeys", 1)]
    );
    let Operator::Filter(filter) = &sure.apply[0] else { panic!("{sure:?}") };
    assert_eq!(filter.above, Some(Number::Value(0.25)));
}

#[test]
fn a_curation_of_several_datasets_reads_them_in_order_and_tells_what_each_held() {
    let mut world = World::new(limits());
    (0..2).for_each(|worker| world.register(worker));
    let id = world.submit(recipes::forest());
    world.heal();
    let view = view(&world, &id);
    let rows = |name: &str| {
        let made = view.steps.iter().find(|step| step.name.as_str() == name).and_then(|step| step.summary.as_ref());
        match made {
            Some(Summary::Curate { records, .. }) => *records,
            other => panic!("{name}: {other:?}"),
        }
    };
    let both = view.steps.iter().find(|step| step.name.as_str() == "both").unwrap();
    let Some(Summary::Curate { operators, sources, .. }) = &both.summary else { panic!("{both:?}") };
    let held: Vec<_> = sources.iter().map(|held| (held.dataset.as_str(), held.records)).collect();
    assert_eq!(held, [("sure", rows("sure")), ("pairs", rows("pairs"))]);
    assert_eq!(operators[0].records_in, rows("sure") + rows("pairs"));
    let read = jobs(&world).into_iter().find_map(|job| match job.spec.kind {
        JobKind::Curate(spec) if job.spec.id.as_str().contains("/both/") => Some(spec.from),
        _ => None,
    });
    let Some(CurateFrom::Trajectories(files)) = read else { panic!("{read:?}") };
    assert_eq!(files.iter().map(|file| file.rows).collect::<Vec<_>>(), [rows("sure"), rows("pairs")]);
}
