//! The search trees of an evolution's rollouts, read from the artifact store.

use galapagos_artifacts::{ArtifactStore, trees};
use galapagos_domain::cluster::view::{EvolutionView, StepView};
use galapagos_domain::tree::TreeNode;

use crate::error::Error;

/// Recipe steps that searched trees, the newest last.
pub fn steps(view: &EvolutionView) -> impl DoubleEndedIterator<Item = &StepView> {
    view.steps.iter().filter(|step| !step.trees.is_empty())
}

/// `g1/forest`: how a recipe step is called.
#[must_use]
pub fn step_name(step: &StepView) -> String {
    format!("{}/{}", step.phase, step.name)
}

/// All nodes of a recipe step's trees; those of one tree stand together.
///
/// # Errors
/// [`Error::Artifact`] if a table is missing or damaged.
pub async fn read(store: &ArtifactStore, step: &StepView) -> Result<Vec<TreeNode>, Error> {
    let failed = |source| Error::Artifact { source: Box::new(source) };
    let mut nodes = Vec::new();
    for table in &step.trees {
        let bytes = store.get(&table.digest).await.map_err(failed)?;
        nodes.extend(trees::decode(bytes).map_err(failed)?.0);
    }
    Ok(nodes)
}

/// Some trees of the newest recipe step that has any, for the report; none if they cannot be read.
pub async fn newest(store: &str, view: &EvolutionView, most: usize) -> Vec<Vec<TreeNode>> {
    let (Some(step), Ok(store)) = (steps(view).next_back(), ArtifactStore::open(store)) else { return Vec::new() };
    match read(&store, step).await {
        Ok(nodes) => nodes.chunk_by(|a, b| a.tree == b.tree).take(most).map(<[TreeNode]>::to_vec).collect(),
        Err(error) => {
            tracing::warn!("the report has no search trees: {error}");
            Vec::new()
        }
    }
}
