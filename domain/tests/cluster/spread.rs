//! Trees that are spread over jobs: what is handed out when.

use std::collections::BTreeMap;

use galapagos_domain::cluster::view::{Status, Summary};
use galapagos_domain::cluster::{Job, Limits, Record};
use galapagos_domain::ids::JobId;
use galapagos_domain::job::{JobKind, JobOutput};

use crate::recipes;
use crate::sim_worker::How;
use crate::world::World;

fn jobs(world: &World) -> BTreeMap<JobId, Job> {
    let job = |record: Record| match record {
        Record::Job(job) => Some((job.spec.id.clone(), *job)),
        Record::Mint(_) | Record::Evolution(_) | Record::Round(_) | Record::Worker(_) => None,
    };
    world.state.records().into_iter().filter_map(job).collect()
}

/// The number of a job of the first rollout.
fn number(id: &JobId) -> Option<usize> {
    id.as_str().strip_prefix("spread-1/g1/trees/").map(|number| number.parse().unwrap())
}

#[test]
fn a_wave_is_handed_out_when_the_one_before_is_there_and_the_last_job_reads_all() {
    let mut world = World::new(Limits::default());
    world.register(0);
    let id = world.submit(recipes::spread());
    let mut most = 0;
    // Two groups of a task each: a trunk, two waves of three parts, the job that takes what they found.
    for _ in 0..300 {
        let jobs = jobs(&world);
        let made: Vec<usize> = jobs.keys().filter_map(number).collect();
        for (job, spec) in &jobs {
            let Some(number) = number(job) else { continue };
            let grown = match &spec.spec.kind {
                JobKind::Grow(grow) => &grow.rollout.grown,
                JobKind::Rollout(rollout) => &rollout.grown,
                other => panic!("{other:?}"),
            };
            let (group, place) = (number / 8, number % 8);
            let waves = [0, 1, 1, 1, 2, 2, 2, 3][place];
            assert_eq!(grown.len(), waves, "{job} is of the wrong wave");
            assert_eq!(matches!(spec.spec.kind, JobKind::Rollout(_)), place == 7);
            // What it reads are the outputs of its own group.
            let firsts = [0, 1, 4];
            for (wave, parts) in grown.iter().enumerate() {
                for (part, trees) in parts.iter().enumerate() {
                    let before: JobId =
                        format!("spread-1/g1/trees/{}", group * 8 + firsts[wave] + part).parse().unwrap();
                    let Some(JobOutput::Grow { trees: made, .. }) = jobs[&before].output() else {
                        panic!("{job} was made before {before} had ended");
                    };
                    assert_eq!(trees, made);
                }
            }
        }
        most = most.max(made.len());
        let view = world.state.view(world.now, &id).unwrap();
        if let Some(step) = view.steps.iter().find(|step| step.name.as_str() == "trees") {
            assert_eq!(step.progress.1, 16, "those included that are still to be made");
        }
        if view.status == Status::Done {
            break;
        }
        world.advance(0, 0, How::Well);
    }
    assert_eq!(most, 16);
    let view = world.state.view(world.now, &id).unwrap();
    assert_eq!(view.status, Status::Done);
    let rollout = view.steps.iter().find(|step| step.name.as_str() == "trees").unwrap();
    let Some(Summary::Rollout { counts, .. }) = &rollout.summary else { panic!("{rollout:?}") };
    assert_eq!((counts.total(), rollout.trees.len()), (2, 2), "the trees of the last jobs alone");
    // Fourteen jobs of four tokens that grow, two of seven that verify.
    assert_eq!(rollout.tokens, 14 * 4 + 2 * 7);
    assert_eq!(rollout.progress, (16, 16), "every task of every job");
}
