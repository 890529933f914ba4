//! Growing a part of trees that are spread over jobs, and putting the parts together.

use std::collections::BTreeMap;

use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::Digest;
use galapagos_domain::job::{GrowSpec, JobOutput, JobSpec, RolloutSpec};
use galapagos_domain::recipe::search::Search;

use super::kept::{self, KeptError};
use super::meter::Meter;
use super::progress::{Progress, forget};
use super::rollout::search_failed;
use super::scene::Scene;
use super::{JobError, Workshop, store_failed};
use crate::search::{Forest, Kept, Portion, SpreadError, Spreading};

/// Why the trees of other jobs cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum GrownError {
    #[error("the search is not spread over jobs")]
    NotSpread,
    #[error("the trees {0} are not those of this search")]
    Table(Digest, #[source] KeptError),
    #[error("the trees {trees} have no tree of task {task}")]
    Missing { trees: Digest, task: String },
    #[error("the parts of the tree of task {task} do not fit together")]
    Parts { task: String, source: SpreadError },
}

/// Grows one part of every tree.
pub(super) fn run(shop: &Workshop, job: &JobSpec, spec: &GrowSpec, meter: &Meter) -> Result<JobOutput, JobError> {
    let scene = Scene::set(shop, job, &spec.rollout)?;
    let spreading = spreading(&spec.rollout)?;
    let units = scene.tasks.items.len() as u64;
    meter.expect(units, units);
    let (mut begun, portions) = match whole(shop, &scene, &spreading)? {
        None => (BTreeMap::new(), vec![spreading.trunk(); scene.tasks.items.len()]),
        Some(trees) => {
            let parts = trees.iter().map(|whole| spreading.part(whole, spec.wave(), spec.part));
            let (starts, portions): (Vec<Kept>, _) = parts.unzip();
            ((0..).zip(starts).collect(), portions)
        }
    };
    // Trajectories are taken and verified by the job behind: their judges need not be tried here.
    let forest = Forest { verify: &[], ..scene.forest(&portions, meter) };
    let mut progress = Progress::new(shop, job, &scene.origins);
    begun.extend(progress.begun());
    let court = forest.court().map_err(search_failed)?;
    let grown = forest.grow(&court, begun, &mut progress).map_err(search_failed)?;
    let failed = store_failed("store the trees that were grown");
    let table = kept::encode(kin(&scene), &scene.origins, grown.iter().enumerate());
    let (bytes, nodes) = table.map_err(|source| failed(*source))?;
    let trees = shop.runtime.block_on(shop.store.put(bytes, nodes)).map_err(failed)?;
    forget(shop, &job.id);
    Ok(JobOutput::Grow { trees, tokens: meter.tokens() })
}

/// What the jobs before a rollout grew, by the place of their task, with portions that let nothing grow further.
pub(super) struct Grown {
    pub(super) trees: BTreeMap<usize, Kept>,
    pub(super) portions: Vec<Portion>,
}

/// What the jobs before a rollout grew; `None` where it grows its own trees.
///
/// # Errors
/// [`JobError`] if they are not to be had, or do not fit together.
pub(super) fn ended(shop: &Workshop, scene: &Scene<'_>) -> Result<Option<Grown>, JobError> {
    if scene.spec.grown.is_empty() {
        return Ok(None);
    }
    let spreading = spreading(scene.spec)?;
    let trees = whole(shop, scene, &spreading)?.unwrap_or_default();
    let portions = trees.iter().map(|whole| spreading.end(whole)).collect();
    Ok(Some(Grown { trees: (0..).zip(trees).collect(), portions }))
}

fn spreading(spec: &RolloutSpec) -> Result<Spreading<'_>, JobError> {
    let spreading = match &*spec.search {
        Search::Mcts(mcts) => Spreading::of(mcts),
        _ => None,
    };
    spreading.ok_or_else(|| failed(GrownError::NotSpread))
}

/// The trees of all waves before, put together, in order of the tasks; `None` before the first.
fn whole(shop: &Workshop, scene: &Scene<'_>, spreading: &Spreading<'_>) -> Result<Option<Vec<Kept>>, JobError> {
    let mut trees: Option<Vec<Kept>> = None;
    for wave in &scene.spec.grown {
        // Of every part, in order of the tasks.
        let parts = wave.iter().map(|table| read(shop, scene, table)).collect::<Result<Vec<_>, _>>()?;
        trees = Some(match trees {
            None => parts.into_iter().next().unwrap_or_default(),
            Some(before) => {
                let mut parts: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
                let merged = before.iter().zip(&scene.origins).map(|(whole, origin)| {
                    let parts: Vec<Kept> = parts.iter_mut().filter_map(Iterator::next).collect();
                    let task = || origin.task.clone();
                    let merged = spreading.merge(whole, &parts);
                    merged.map_err(|source| failed(GrownError::Parts { task: task(), source }))
                });
                merged.collect::<Result<_, _>>()?
            }
        });
    }
    Ok(trees)
}

/// The trees of a table, in order of the tasks.
fn read(shop: &Workshop, scene: &Scene<'_>, table: &ArtifactRef) -> Result<Vec<Kept>, JobError> {
    let bytes = shop.runtime.block_on(shop.store.get(&table.digest)).map_err(store_failed("read what was grown"))?;
    let mut trees = kept::decode(bytes, kin(scene), &scene.origins)
        .map_err(|source| failed(GrownError::Table(table.digest, source)))?;
    let missing = |task: &str| failed(GrownError::Missing { trees: table.digest, task: task.to_owned() });
    let tree =
        |(place, origin): (usize, &crate::search::Origin)| trees.remove(&place).ok_or_else(|| missing(&origin.task));
    scene.origins.iter().enumerate().map(tree).collect()
}

/// What all jobs of a group have in common.
fn kin(scene: &Scene<'_>) -> Digest {
    let spec = RolloutSpec { grown: Vec::new(), ..scene.spec.clone() };
    Digest::of(&serde_json::to_vec(&(spec, scene.job.seed)).unwrap_or_default())
}

fn failed(source: GrownError) -> JobError {
    JobError::Grown { source: Box::new(source) }
}
