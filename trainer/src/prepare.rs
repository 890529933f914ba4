//! Fetches what a round starts from: the checkpoint, checked against its digests and its probe, the frozen models that its loss compares
//! with, and the trajectory files. Gives the model the head that the role asks for. Trains nothing.

use std::path::Path;

use galapagos_artifacts::{ArtifactStore, checkpoint, trajectories};
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::Head;
use galapagos_domain::recipe::train::{AdapterTargets, Loss, Train};
use galapagos_domain::round::{RankSpec, RoundSpec};
use galapagos_domain::trajectory::Trajectory;
use galapagos_model::lora::{Adapter, AdapterConfig, ModuleNames};
use galapagos_model::probe::Probe;
use galapagos_model::{Decoder, ModelConfig, ModelFolder, ModelKind, Tokenizer, weights_digest};
use tch::{Device, Kind};

use crate::RankError;
use crate::data::{Dataset, Limits};
use crate::plan::{Mixed, Plan};
use crate::step::Frozen;
use crate::subject::Subject;

/// A rank that is ready to join.
#[derive(Debug)]
pub struct Prepared {
    /// With f32 weights and the role's head.
    pub subject: Subject,
    pub frozen: Frozen,
    pub tokenizer: Tokenizer,
    pub plan: Plan,
    /// The whole model that an adapter stands on; the start itself, if that is one.
    pub base: Digest,
}

/// A checkpoint in memory.
struct Loaded {
    subject: Subject,
    tokenizer: Tokenizer,
    base: Digest,
}

/// Where checkpoints come from.
struct Source<'a> {
    store: &'a ArtifactStore,
    cache: &'a Path,
    device: Device,
}

/// Checks the spec, loads weights and data. Weights go to `device`.
///
/// # Errors
/// [`RankError`] says what is missing, damaged or impossible.
pub async fn prepare(
    spec: &RankSpec,
    store: &ArtifactStore,
    (cache, device): (&Path, Device),
) -> Result<Prepared, RankError> {
    check(spec)?;
    let round = &spec.round;
    let source = Source { store, cache, device };
    let loaded = source.load(&round.start).await?;
    let Loaded { subject, tokenizer, base } = loaded;
    let subject = with_adapter(with_head(subject, round)?, round)?;
    let plan = plan(round, store, subject.model.config()).await?;
    let frozen = source.frozen(round, &subject).await?;
    Ok(Prepared { subject, frozen, tokenizer, plan, base })
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
    if !train.loss.fits(round.head) {
        return Err(RankError::Loss { loss: train.loss.name(), head: round.head });
    }
    Ok(())
}

/// The data of a round, main and mixed in.
async fn plan(round: &RoundSpec, store: &ArtifactStore, config: &ModelConfig) -> Result<Plan, RankError> {
    let classes = if let Head::Classes(classes) = round.head { classes } else { 0 };
    let (positions, vocabulary) = (config.max_position_embeddings, config.vocab_size);
    let images = config.vision.is_some();
    let limits = Limits { positions, vocabulary, images, classes, start: round.start };
    let refused = |source| RankError::Data { round: round.id.clone(), source };
    let rows = read(&round.datasets, store).await?;
    let main = Dataset::new(&rows, &round.train, limits, round.seed).map_err(refused)?;
    let mix = match &round.train.mix {
        None => None,
        Some(mix) => {
            let rows = read(&round.mix, store).await?;
            let train = Train { loss: Loss::Nll, pack: 1, ..round.train.clone() };
            let data = Dataset::new(&rows, &train, limits, round.seed.derive("mix")).map_err(refused)?;
            Some(Mixed { data, every: u64::from(mix.every.max(1)) })
        }
    };
    Ok(Plan { main, mix })
}

impl Source<'_> {
    /// The checkpoint, and proof that its tensors are those its manifest names and that they compute what they did when it was made:
    /// the cache outlives the process that filled it.
    async fn load(&self, digest: &Digest) -> Result<Loaded, RankError> {
        let cached = self.open(digest).await?;
        let manifest = cached.manifest;
        match manifest.base {
            None => {
                let (model, tokenizer) = whole(digest, &cached.path, &manifest.weights, self.device)?;
                let subject = Subject { model, adapter: None };
                probe(digest, &cached.path, &subject)?;
                Ok(Loaded { subject, tokenizer, base: *digest })
            }
            Some(base) => {
                let below = self.open(&base).await?;
                let (model, tokenizer) = whole(&base, &below.path, &below.manifest.weights, self.device)?;
                let failed = |source| RankError::Adapter { what: "open the start's adapter", source: Box::new(source) };
                let adapter = Adapter::open(&cached.path, model.config(), self.device).map_err(failed)?;
                let found = adapter_digest(&adapter)?;
                if found != manifest.weights {
                    return Err(RankError::WrongWeights { checkpoint: *digest, found, expected: manifest.weights });
                }
                let subject = Subject { model, adapter: Some(adapter) };
                probe(digest, &cached.path, &subject)?;
                Ok(Loaded { subject, tokenizer, base })
            }
        }
    }

    async fn open(&self, digest: &Digest) -> Result<checkpoint::Cached, RankError> {
        checkpoint::open(self.store, digest, self.cache).await.map_err(|source| RankError::Artifact {
            what: format!("fetch the checkpoint {digest}"),
            source: Box::new(source),
        })
    }

    /// The models that nothing moves.
    async fn frozen(&self, round: &RoundSpec, subject: &Subject) -> Result<Frozen, RankError> {
        let own = round.reference.is_none_or(|reference| reference == round.start);
        let reference = match round.reference.filter(|_| !own) {
            Some(reference) => Some(self.load(&reference).await?.subject),
            None => None,
        };
        let critic = match &round.critic {
            Some(critic) => Some(self.load(critic).await?.subject),
            None => None,
        };
        let start = Frozen::needs_start(&round.train, own).then(|| subject.frozen_copy()).transpose()?;
        Ok(Frozen { reference, start, critic, reward_kl: Frozen::reward_kl(&round.train) })
    }
}

/// A whole model in 32-bit floats.
fn whole(
    checkpoint: &Digest,
    path: &Path,
    expected: &Digest,
    device: Device,
) -> Result<(Decoder, Tokenizer), RankError> {
    let open =
        |source| RankError::Folder { what: format!("load the checkpoint {checkpoint}"), source: Box::new(source) };
    let folder = ModelFolder::open(path).map_err(open)?;
    let model = folder.load(device).map_err(open)?;
    let found = digest(&model)?;
    if found != *expected {
        return Err(RankError::WrongWeights { checkpoint: *checkpoint, found, expected: *expected });
    }
    let is_f32 = model.parameters().iter().all(|(_, weight)| weight.kind() == Kind::Float);
    let widen = |source| RankError::Weights { what: "convert the weights to 32-bit floats", source };
    let model = if is_f32 { model } else { model.copy_to(Kind::Float, device).map_err(widen)? };
    Ok((model, folder.into_tokenizer()))
}

/// Compares with the probe that was recorded when the checkpoint was made, if one was.
fn probe(checkpoint: &Digest, path: &Path, subject: &Subject) -> Result<(), RankError> {
    let wrong = |told: String| RankError::Probe { what: format!("what checkpoint {checkpoint} computes"), told };
    let Some(probe) = Probe::read(path).map_err(|source| wrong(source.to_string()))? else { return Ok(()) };
    let found =
        probe.outputs_of(&subject.model, subject.adapter.as_ref()).map_err(|source| wrong(source.to_string()))?;
    probe.check(&found, Probe::EXACT).map_err(|source| wrong(source.to_string()))
}

/// A role with a head of its own that starts from a language model gets a new one, drawn from the round's seed: the same on all ranks.
fn with_head(subject: Subject, round: &RoundSpec) -> Result<Subject, RankError> {
    let seed = round.seed.derive("head").0;
    let headed = |source| RankError::Weights { what: "put the role's head on the start checkpoint", source };
    let (have, labels) = (subject.model.config().kind, subject.model.config().labels.len());
    let refused = || Err(RankError::Start { checkpoint: round.start, have, head: round.head });
    match (round.head, have) {
        (Head::Lm, ModelKind::CausalLm) | (Head::Scalar, ModelKind::Scalar) => Ok(subject),
        (Head::Classes(classes), ModelKind::TokenClassifier) if labels == classes as usize => Ok(subject),
        (Head::Scalar | Head::Classes(_), ModelKind::CausalLm) if subject.adapter.is_some() => refused(),
        (Head::Scalar, ModelKind::CausalLm) => {
            let model = subject.model.to_scalar(seed).map_err(headed)?;
            Ok(Subject { model, adapter: None })
        }
        (Head::Classes(classes), ModelKind::CausalLm) => {
            let labels = (0..classes).map(|class| format!("LABEL_{class}")).collect();
            let model = subject.model.with_head(ModelKind::TokenClassifier, labels, seed).map_err(headed)?;
            Ok(Subject { model, adapter: None })
        }
        (Head::Lm, ModelKind::Scalar)
        | (Head::Lm | Head::Scalar, ModelKind::SequenceClassifier | ModelKind::TokenClassifier)
        | (Head::Classes(_), ModelKind::Scalar | ModelKind::SequenceClassifier | ModelKind::TokenClassifier) => {
            refused()
        }
    }
}

/// A round that trains an adapter goes on with that of its start, or begins a new one, which changes nothing yet.
fn with_adapter(subject: Subject, round: &RoundSpec) -> Result<Subject, RankError> {
    let Some(wanted) = &round.train.adapter else {
        return match subject.adapter {
            None => Ok(subject),
            Some(_) => Err(RankError::Setting {
                what: format!("checkpoint {} is an adapter; `adapter` must say how it is trained on", round.start),
            }),
        };
    };
    let alpha = f64::from(wanted.alpha.unwrap_or(2 * wanted.rank));
    if let Some(adapter) = &subject.adapter {
        let config = adapter.config();
        if config.rank != wanted.rank as usize || config.alpha != alpha {
            let (rank, have) = (config.rank, config.alpha);
            let what = format!(
                "the start's adapter has rank {rank} and alpha {have}; the recipe asks for {} and {alpha}",
                wanted.rank
            );
            return Err(RankError::Setting { what });
        }
        return Ok(subject);
    }
    let failed = |source| RankError::Adapter { what: "make a new adapter", source: Box::new(source) };
    let config = AdapterConfig {
        task_type: Some("CAUSAL_LM".to_owned()),
        ..AdapterConfig::new(wanted.rank as usize, alpha, targets(wanted.on, subject.model.config()))
    };
    let seed = round.seed.derive("adapter").0;
    let adapter = Adapter::init(config, subject.model.config(), seed, subject.device()).map_err(failed)?;
    Ok(Subject { adapter: Some(adapter), ..subject })
}

/// The modules of the model's family that get an update.
fn targets(on: AdapterTargets, config: &ModelConfig) -> ModuleNames {
    let attention = ["q_proj", "k_proj", "v_proj", "o_proj", "attn.c_attn", "attn.c_proj"];
    let mlp = ["gate_proj", "up_proj", "down_proj", "mlp.c_fc", "mlp.c_proj"];
    let chosen = match on {
        AdapterTargets::All => return ModuleNames::AllLinear,
        AdapterTargets::Attention => attention.as_slice(),
        AdapterTargets::Mlp => mlp.as_slice(),
    };
    let fused = config.family == galapagos_model::Family::Gpt2;
    let of_family = chosen.iter().filter(|name| name.contains("c_") == fused);
    ModuleNames::List(of_family.map(|name| (*name).to_owned()).collect())
}

/// All trajectories of files, in order.
async fn read(files: &[ArtifactRef], store: &ArtifactStore) -> Result<Vec<Trajectory>, RankError> {
    let mut rows = Vec::new();
    for file in files {
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

/// Digest of an adapter, as ranks vote it.
///
/// # Errors
/// As [`digest`].
pub fn adapter_digest(adapter: &Adapter) -> Result<Digest, RankError> {
    let hash = adapter
        .digest()
        .map_err(|source| RankError::Adapter { what: "compute the digest of the adapter", source: Box::new(source) })?;
    Ok(Digest::from_bytes(*hash.as_bytes()))
}
