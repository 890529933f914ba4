//! The training forward of sequences that lie one after another without padding, whole or piece by piece.
//!
//! Piece by piece is for callers that compute layers again in the backward pass instead of keeping what they made. A sequence's
//! result depends on no other sequence.

use std::ops::Range;

use tch::Tensor;

use super::Decoder;
use crate::Precision;
use crate::blocks::rope::Rotation;
use crate::blocks::{PackedSequences, Pass, Products, Rows, Sight};
use crate::compute::{ComputeError, Doing};
use crate::lora::{Adapter, AdapterRange, AdapterRows, AppliedAdapter};
use crate::vision::{self, RowPatch};

/// What a forward computes with, beside the weights.
#[derive(Clone, Copy, Debug)]
pub struct PackedOptions<'a> {
    pub precision: Precision,
    /// Added to the projections it has updates for.
    pub adapter: Option<&'a Adapter>,
    /// Tokens see their whole sequence and not only what stands before them, as for predicting masked ones.
    pub both_sides: bool,
}

impl PackedOptions<'_> {
    /// Causal, without an adapter.
    #[must_use]
    pub fn new(precision: Precision) -> Self {
        Self { precision, adapter: None, both_sides: false }
    }
}

/// A forward pass over packed sequences, ready to run.
#[derive(Debug)]
pub struct PackedPass<'a> {
    model: &'a Decoder,
    tokens: Vec<u32>,
    positions: Vec<u32>,
    patches: Vec<RowPatch>,
    lengths: Vec<i64>,
    rotation: Option<Rotation>,
    adapter: Option<AppliedAdapter>,
    options: PackedOptions<'a>,
}

impl Decoder {
    /// A forward pass over sequences of `lengths`, whose `tokens` lie one after another.
    ///
    /// # Errors
    /// [`ComputeError`] for a sequence without tokens, ids outside the vocabulary, too many positions, lengths that are not those
    /// of the tokens, or an adapter of another base.
    pub fn packed<'a>(
        &'a self,
        tokens: &[u32],
        lengths: &[usize],
        options: PackedOptions<'a>,
    ) -> Result<PackedPass<'a>, ComputeError> {
        let limit = self.config.max_position_embeddings;
        if let Some(index) = lengths.iter().position(|length| *length == 0) {
            return Err(ComputeError::Empty { index });
        }
        if let Some(length) = lengths.iter().copied().find(|length| *length > limit) {
            return Err(ComputeError::TooLong { length, limit });
        }
        if lengths.iter().sum::<usize>() != tokens.len() || tokens.is_empty() {
            return Err(ComputeError::Lengths { tokens: tokens.len(), lengths: lengths.iter().sum() });
        }
        let sequences = lengths.iter().scan(0, |start, length| {
            let sequence = &tokens[*start..*start + length];
            *start += length;
            Some(sequence)
        });
        let patches = vision::patches(&self.config, sequences)?;
        let positions: Vec<u32> = lengths.iter().flat_map(|length| 0..*length as u32).collect();
        let products = Products::new(options.precision.kind());
        let rotation = self.network.rotation(&positions, products).doing("the rotations")?;
        let applied = options.adapter.map(|adapter| AppliedAdapter::shared(adapter, &self.config)).transpose();
        Ok(PackedPass {
            model: self,
            tokens: tokens.to_vec(),
            positions,
            patches,
            lengths: lengths.iter().map(|length| *length as i64).collect(),
            rotation,
            adapter: applied.map_err(|source| ComputeError::Adapter { source: Box::new(source) })?,
            options,
        })
    }
}

impl PackedPass<'_> {
    /// Hidden states after the last norm, [tokens, hidden], in 32-bit floats; gradients flow if the weights are trainable.
    ///
    /// # Errors
    /// A failing kernel.
    pub fn hidden_states(&self) -> Result<Tensor, ComputeError> {
        self.normed(&self.through(self.embedded()?, 0..self.layers())?)
    }

    /// Number of layers.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.model.network.layers()
    }

    /// The residual stream before the first layer, [tokens, hidden].
    ///
    /// # Errors
    /// A failing kernel.
    pub fn embedded(&self) -> Result<Tensor, ComputeError> {
        let Self { tokens, positions, patches, .. } = self;
        let rows = Rows { tokens, positions, patches, ..Rows::default() };
        self.model.network.embedded(&rows, self.options.precision.kind()).doing("the embeddings")
    }

    /// The residual stream after `layers`, of which `x` is that before.
    ///
    /// # Errors
    /// A failing kernel.
    pub fn through(&self, x: Tensor, layers: Range<usize>) -> Result<Tensor, ComputeError> {
        let range = self.adapter.as_ref().map(|adapter| AdapterRange { rows: 0..self.tokens.len(), adapter });
        let products =
            Products { adapters: AdapterRows(range.as_slice()), ..Products::new(self.options.precision.kind()) };
        let sight = if self.options.both_sides { Sight::All } else { Sight::Past };
        let mut attend = PackedSequences::new(&self.lengths, sight);
        let mut pass = Pass { products, rotation: self.rotation.as_ref(), attend: &mut attend };
        self.model.network.through(x, layers, &mut pass).doing("the layers")
    }

    /// Hidden states after the last norm, of the residual stream after the last layer.
    ///
    /// # Errors
    /// A failing kernel.
    pub fn normed(&self, x: &Tensor) -> Result<Tensor, ComputeError> {
        self.model.network.normed(x).doing("the last norm")
    }
}
