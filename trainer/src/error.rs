//! Why a rank could not do its work, and whether another try could.

use std::error::Error as _;
use std::io;

use galapagos_collective::Error as CollectiveError;
use galapagos_domain::ids::{Digest, RoundId};
use galapagos_domain::job::{FailureClass, JobFailure};
use galapagos_domain::recipe::Head;
use galapagos_model::{ComputeError, FolderError, ModelKind, WeightsError};
use tch::TchError;

use crate::advantage::AdvantageError;
use crate::commands::CommandError;
use crate::data::DataError;
use crate::ledger::LedgerError;
use crate::optim::OptimError;

/// A rank failed.
#[derive(Debug, thiserror::Error)]
pub enum RankError {
    #[error("could not take commands from the worker")]
    Command { source: CommandError },
    #[error("could not report to the worker")]
    Report { source: io::Error },
    #[error("the rank spec of round {round} is wrong: {wrong}")]
    Spec { round: RoundId, wrong: String },
    #[error("`{text}` is not a rendezvous address; it must be like 127.0.0.1:4000")]
    Rendezvous { text: String },
    #[error("could not {what}")]
    Artifact { what: String, source: Box<galapagos_artifacts::Error> },
    #[error("could not {what}")]
    Folder { what: String, source: Box<FolderError> },
    #[error("could not {what}")]
    Weights { what: &'static str, source: WeightsError },
    #[error("the weights of checkpoint {checkpoint} hash to {found}, but its manifest says {expected}")]
    WrongWeights { checkpoint: Digest, found: Digest, expected: Digest },
    #[error("checkpoint {checkpoint} has a {have} head; a role with head {head:?} cannot start from it")]
    Start { checkpoint: Digest, have: ModelKind, head: Head },
    #[error("the loss `{loss}` cannot train a {head} head")]
    Loss { loss: &'static str, head: Head },
    #[error("{what}")]
    Setting { what: String },
    #[error("could not {what}")]
    Adapter { what: &'static str, source: Box<galapagos_model::lora::AdapterError> },
    #[error("could not {what}")]
    Optimiser { what: &'static str, source: OptimError },
    #[error("advantages cannot be computed")]
    Advantage { source: AdvantageError },
    #[error("the round's saved state: could not {what}")]
    State { what: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the sample ledger does not add up")]
    Ledger { source: LedgerError },
    #[error("the ranks hold different weights after step {step}: {told}")]
    Apart { step: u64, told: String },
    #[error("{what} differs from what was recorded when the checkpoint was made: {told}")]
    Probe { what: String, told: String },
    #[error("could not write the run log")]
    RunLog { source: crate::runlog::RunLogError },
    #[error("the data of round {round} cannot be trained on")]
    Data { round: RoundId, source: DataError },
    #[error("could not {what} with the other ranks")]
    Collective { what: &'static str, source: CollectiveError },
    #[error("could not run {what}")]
    Forward { what: &'static str, source: ComputeError },
    #[error("could not {what}")]
    Tensor { what: &'static str, source: TchError },
    #[error(
        "training diverged at step {step}: loss {loss}, gradient norm {grad_norm}, learning rate {lr:e}{limit}; \
         its records: {records}; lower `lr` or raise `warmup`, or let `guard` skip such steps"
    )]
    Diverged { step: u64, loss: f64, grad_norm: f64, lr: f64, limit: String, records: String },
    #[error("could not {what}")]
    Io { what: String, source: io::Error },
}

impl RankError {
    /// What the failure means for the next try of the round.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Spec { .. }
            | Self::Rendezvous { .. }
            | Self::WrongWeights { .. }
            | Self::Start { .. }
            | Self::Loss { .. }
            | Self::Setting { .. }
            | Self::Adapter { .. }
            | Self::Advantage { .. }
            | Self::Ledger { .. }
            | Self::Probe { .. }
            | Self::Data { .. }
            | Self::Diverged { .. } => FailureClass::Invalid,
            Self::Command { .. } | Self::Report { .. } | Self::Weights { .. } => FailureClass::Transient,
            Self::Tensor { source, .. } => tensor_class(source),
            Self::Io { .. } | Self::RunLog { .. } => FailureClass::Transient,
            // A rank that computed something else once may not again; the vote names it.
            Self::Apart { .. } | Self::State { .. } => FailureClass::Transient,
            Self::Optimiser { source, .. } => match source {
                OptimError::Tensor { source, .. } => tensor_class(source),
                OptimError::Fused { source, .. } => collective_class(source),
                _ => FailureClass::Invalid,
            },
            Self::Artifact { source, .. } if source.is_transient() => FailureClass::Transient,
            Self::Artifact { .. } => FailureClass::Invalid,
            Self::Folder { source, .. } => folder_class(source),
            Self::Collective { source, .. } => collective_class(source),
            Self::Forward { source, .. } => forward_class(source),
        }
    }

    /// The failure as the coordinator gets it.
    #[must_use]
    pub fn failure(&self) -> JobFailure {
        let mut chain = vec![self.to_string()];
        let mut next = self.source();
        while let Some(cause) = next {
            chain.push(cause.to_string());
            next = cause.source();
        }
        JobFailure { class: self.class(), chain }
    }
}

/// What libtorch reports is memory most of the time; a shape, kind or value that was refused would be again.
fn tensor_class(error: &TchError) -> FailureClass {
    match error {
        TchError::Shape(_) | TchError::Kind(_) | TchError::Convert(_) => FailureClass::Invalid,
        _ => FailureClass::Transient,
    }
}

/// A disk may be full now and not later; a folder that is wrong stays wrong.
fn folder_class(error: &FolderError) -> FailureClass {
    match error {
        FolderError::File(_) => FailureClass::Transient,
        FolderError::Weights { source, .. } => match **source {
            WeightsError::File(_) | WeightsError::Tensor { .. } | WeightsError::Build { .. } => FailureClass::Transient,
            WeightsError::Missing { .. }
            | WeightsError::Shape { .. }
            | WeightsError::Unknown { .. }
            | WeightsError::NotADecoder { .. }
            | WeightsError::NotAnEncoder { .. }
            | WeightsError::Untied { .. }
            | WeightsError::Index { .. }
            | WeightsError::Dtype { .. }
            | WeightsError::Length { .. }
            | WeightsError::Header { .. } => FailureClass::Invalid,
        },
        FolderError::NoFolder { .. }
        | FolderError::NoFile { .. }
        | FolderError::Config { .. }
        | FolderError::GenerationConfig { .. }
        | FolderError::Tokenizer { .. }
        | FolderError::WrongTokenizer { .. } => FailureClass::Invalid,
    }
}

/// Ranks that disagree or ask for the impossible would do so again; a deadline may not come again; a lost peer is a loss.
fn collective_class(error: &CollectiveError) -> FailureClass {
    match error {
        CollectiveError::Argument { .. }
        | CollectiveError::Mismatch { .. }
        | CollectiveError::Unfinished { .. }
        | CollectiveError::NotBuilt { .. }
        | CollectiveError::NoDevice { .. } => FailureClass::Invalid,
        CollectiveError::Bind { .. }
        | CollectiveError::KeysMissing { .. }
        | CollectiveError::RankTaken { .. }
        | CollectiveError::Timeout { .. }
        | CollectiveError::Backend { .. }
        | CollectiveError::Tensor { .. }
        | CollectiveError::Watchdog { .. } => FailureClass::Transient,
        // The process that was at the other end is gone: its own worker knows why.
        CollectiveError::Rendezvous { .. }
        | CollectiveError::Store { .. }
        | CollectiveError::PeerLost { .. }
        | CollectiveError::Broken { .. } => FailureClass::Lost,
    }
}

fn forward_class(error: &ComputeError) -> FailureClass {
    match error {
        ComputeError::Torch { source, .. } => tensor_class(source),
        ComputeError::TokenOutOfRange { .. }
        | ComputeError::Image(_)
        | ComputeError::TooLong { .. }
        | ComputeError::Lengths { .. }
        | ComputeError::Empty { .. }
        | ComputeError::WrongHead { .. }
        | ComputeError::Adapter { .. } => FailureClass::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_loss_refuses_is_invalid_and_what_torch_reports_may_pass() {
        let refused = [
            TchError::Shape("`chosen` is [2]".to_owned()),
            TchError::Kind("`labels` holds Int64".to_owned()),
            TchError::Convert("`labels` holds 2".to_owned()),
        ];
        for source in refused {
            assert_eq!(RankError::Tensor { what: "compute the loss", source }.class(), FailureClass::Invalid);
        }
        let source = TchError::Torch("out of memory".to_owned());
        assert_eq!(RankError::Tensor { what: "compute the loss", source }.class(), FailureClass::Transient);
        let source = ComputeError::Torch { doing: "the layers", source: TchError::Shape("[2]".to_owned()) };
        assert_eq!(RankError::Forward { what: "the forward pass", source }.class(), FailureClass::Invalid);
    }
}
