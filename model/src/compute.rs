//! What every computation shares: the number format of a forward pass and the error of a failed libtorch call.
//!
//! Only the fallible `f_*` calls of `tch` are used in this crate, so a failing kernel is a value, never a panic.

use galapagos_domain::image::Patch;
use galapagos_kernels::Format;
use tch::{Device, Kind, TchError, Tensor};

use crate::vision::UnreadableToken;

/// Number format of the matrix products. Weights may be stored in another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Everything in 32-bit floats.
    F32,
    /// Matrix products and attention in bfloat16; norms, softmax and losses in 32-bit floats.
    Bf16,
}

impl Precision {
    /// The tensor kind of the matrix products.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        }
    }

    /// The format of packed weights and of cached keys and values.
    #[must_use]
    pub fn format(self) -> Format {
        match self {
            Precision::F32 => Format::F32,
            Precision::Bf16 => Format::Bf16,
        }
    }
}

/// A libtorch call failed, or its input broke a limit of the model.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// libtorch refused or failed; `doing` says at what.
    #[error("computing {doing} failed")]
    Torch {
        /// The part of the model, for people.
        doing: &'static str,
        /// What libtorch said.
        #[source]
        source: TchError,
    },
    /// A token id the model has no embedding for.
    #[error("token id {token} is outside the model's vocabulary of {vocab_size}")]
    TokenOutOfRange {
        /// The offending id.
        token: i64,
        /// Number of rows of the embedding.
        vocab_size: usize,
    },
    /// An image that the model cannot read.
    #[error(transparent)]
    Image(UnreadableToken),
    /// A sequence longer than the model was made for.
    #[error("a sequence of {length} tokens is longer than the model's {limit} positions")]
    TooLong {
        /// Tokens asked for, prompt and new ones together.
        length: usize,
        /// `max_position_embeddings` of the model.
        limit: usize,
    },
    /// A sequence without tokens has no last position to look at.
    #[error("sequence {index} has no tokens")]
    Empty {
        /// Its index in the call.
        index: usize,
    },
    /// Lengths of sequences that are not those of their tokens.
    #[error("{tokens} tokens lie one after another, but the sequences' lengths add up to {lengths}")]
    Lengths {
        /// Tokens given.
        tokens: usize,
        /// Sum of the lengths.
        lengths: usize,
    },
    /// The adapter is not one of this model.
    #[error("the adapter cannot be applied to this model")]
    Adapter {
        /// Why.
        #[source]
        source: Box<crate::lora::AdapterError>,
    },
    /// The model's head cannot do this.
    #[error("the model has a {have} head; this needs a {need} head")]
    WrongHead {
        /// Head of the model at hand.
        have: crate::ModelKind,
        /// Head that is needed.
        need: crate::ModelKind,
    },
}

impl From<UnreadableToken> for ComputeError {
    fn from(error: UnreadableToken) -> Self {
        match error {
            UnreadableToken::Unknown { token, vocab_size } => {
                Self::TokenOutOfRange { token: i64::from(token), vocab_size }
            }
            UnreadableToken::Blind | UnreadableToken::Large { .. } => Self::Image(error),
        }
    }
}

/// The ids of a tensor of 64-bit integers, row after row, each below `limit` or, if these may be there, a patch of an image.
pub(crate) fn ids(tensor: &Tensor, limit: usize, patches: bool) -> Result<Vec<u32>, ComputeError> {
    if tensor.numel() == 0 {
        return Err(ComputeError::Empty { index: 0 });
    }
    let flat = tensor.f_reshape([-1]).and_then(|flat| flat.f_to_device(Device::Cpu));
    let ids = flat.and_then(|flat| Vec::<i64>::try_from(&flat)).doing("the token ids")?;
    let id = |token: i64| match u32::try_from(token) {
        Ok(id) if (id as usize) < limit || patches && Patch::is_code(id) => Ok(id),
        Ok(_) | Err(_) => Err(ComputeError::TokenOutOfRange { token, vocab_size: limit }),
    };
    ids.into_iter().map(id).collect()
}

/// Names the part of the model in which a libtorch call failed.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, ComputeError>;
}

impl<T> Doing<T> for Result<T, TchError> {
    fn doing(self, doing: &'static str) -> Result<T, ComputeError> {
        self.map_err(|source| ComputeError::Torch { doing, source })
    }
}
