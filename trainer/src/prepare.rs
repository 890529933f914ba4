//! Fetches what a round starts from: the checkpoint, checked against its digests, and the trajectory files. Gives the model the
//! head that the role asks for. Trains nothing.

use std::path::Path;

use galapagos_artifacts::{ArtifactStore, checkpoint, trajectories};
use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::Head;
use galapagos_domain::recipe::train::Loss;
use galapagos_domain::round::{RankSpec, RoundSpec};
use galapagos_domain::trajectory::Trajectory;
use galapagos_model::{Decoder, ModelFolder, ModelKind, Tokenizer, weights_digest};
use tch::{Device, Kind};

use crate::RankError;
use crate::data::{Dataset, Limits};

/// A rank that is ready to join.
#[derive(Debug)]
pub struct Prepared {
    /// With f32 weights and the role's head.
    pub model: Decoder,
    pub tokenizer: Tokenizer,
    pub data: Dataset,
}

/// Checks the spec, loads weights and data.
///
/// # Errors
/// [`RankError`] says what is missing, damaged or impossible.
pub async fn prepare(spec: &RankSpec, store: &ArtifactStore, cache: &Path) -> Result<Prepared, RankError> {
    check(spec)?;
    let round = &spec.round;
    let (model, tokenizer) = load(&round.start, store, cache).await?;
    let model = with_head(model, round)?;
    let rows = read(round, store).await?;
    let config = model.config();
    let limits = Limits { positions: config.max_position_embeddings, vocabulary: config.vocab_size };
    let data = Dataset::new(&rows, &round.train, limits)
        .map_err(|source| RankError::Data { round: round.id.clone(), source })?;
    Ok(Prepared { model, tokenizer, data })
}

fn check(spec: &RankSpec) -> Result<(), RankError> {
    let RankSpec { round, rank, world_size, .. } = spec;
    let wrong = |wrong| Err(RankError::Spec { round: round.id.clone(), wrong });
    if rank >= world_size {
        return wrong(format!("rank {rank} is not below the world size {world_size}"));
    }
    let train = &round.train;
    if !(train.lr.is_finite() && train.lr > 0.0 && train.clip > 0.0) {
        return wrong(format!("lr {} and clip {} must be positive", train.lr, train.clip));
    }
    match (train.loss, round.head) {
        (Loss::Nll, Head::Lm) | (Loss::Pointwise(_), Head::Scalar) => Ok(()),
        (loss @ Loss::Nll, head @ Head::Scalar) | (loss @ Loss::Pointwise(_), head @ Head::Lm) => {
            Err(RankError::Loss { loss, head })
        }
    }
}

/// The checkpoint, and proof that its tensors are those its manifest names: the cache outlives the process that filled it.
async fn load(start: &Digest, store: &ArtifactStore, cache: &Path) -> Result<(Decoder, Tokenizer), RankError> {
    let failed =
        |source| RankError::Artifact { what: format!("fetch the start checkpoint {start}"), source: Box::new(source) };
    let manifest = checkpoint::manifest(store, start).await.map_err(failed)?;
    let path = checkpoint::materialise(store, start, cache).await.map_err(failed)?;
    let open =
        |source| RankError::Folder { what: format!("load the start checkpoint {start}"), source: Box::new(source) };
    let folder = ModelFolder::open(&path).map_err(open)?;
    let model = folder.load(Device::Cpu).map_err(open)?;
    let found = digest(&model)?;
    if found != manifest.weights {
        return Err(RankError::WrongWeights { checkpoint: *start, found, expected: manifest.weights });
    }
    let is_f32 = model.parameters().iter().all(|(_, weight)| weight.kind() == Kind::Float);
    let model = if is_f32 { model } else { model.copy_to(Kind::Float, Device::Cpu).map_err(widen)? };
    Ok((model, folder.into_tokenizer()))
}

fn widen(source: galapagos_model::WeightsError) -> RankError {
    RankError::Weights { what: "convert the weights to 32-bit floats", source }
}

/// A scalar role that starts from a language model gets a new head, drawn from the round's seed: the same on all ranks.
fn with_head(model: Decoder, round: &RoundSpec) -> Result<Decoder, RankError> {
    match (round.head, model.config().kind) {
        (Head::Lm, ModelKind::CausalLm) | (Head::Scalar, ModelKind::Scalar) => Ok(model),
        (Head::Scalar, ModelKind::CausalLm) => model
            .to_scalar(round.seed.derive("scalar-head").0)
            .map_err(|source| RankError::Weights { what: "put a scalar head on the start checkpoint", source }),
        (head @ Head::Lm, have @ ModelKind::Scalar)
        | (head @ (Head::Lm | Head::Scalar), have @ (ModelKind::SequenceClassifier | ModelKind::TokenClassifier)) => {
            Err(RankError::Start { checkpoint: round.start, have, head })
        }
    }
}

/// All trajectories of the round, in order.
async fn read(round: &RoundSpec, store: &ArtifactStore) -> Result<Vec<Trajectory>, RankError> {
    let mut rows = Vec::new();
    for file in &round.datasets {
        let failed = |source| RankError::Artifact {
            what: format!("read the trajectory file {}", file.digest),
            source: Box::new(source),
        };
        let bytes = store.get(&file.digest).await.map_err(failed)?;
        rows.extend(trajectories::decode(bytes).map_err(failed)?);
    }
    Ok(rows)
}

/// Digest of a model's tensors, as ranks vote it.
///
/// # Errors
/// If libtorch cannot hand out a tensor's bytes.
pub fn digest(model: &Decoder) -> Result<Digest, RankError> {
    let hash = weights_digest(model.parameters())
        .map_err(|source| RankError::Weights { what: "compute the digest of the weights", source })?;
    Ok(Digest::from_bytes(*hash.as_bytes()))
}
