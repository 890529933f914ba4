//! Keys and values of the rows being decoded, and their attention.
//!
//! Each row's own tokens start at column 0, so how far the columns reach (the longest row decides) only adds masked columns
//! at the end. Kernels were seen to round differently for narrow and, in 32-bit floats, for wide products: so columns come in
//! steps of [`COLUMN_STEP`] and are summed in blocks of [`block_columns`]. The shared prefix is stored once and always
//! attended to as a part of its own, whether or not rows share it.

use tch::{Kind, TchError, Tensor};

use super::prefill::KeyValues;
use crate::llama::attention::scores;
use crate::llama::fused::{Attend, FusedModel, Projected};
use crate::llama::linear::{large_enough, padded_rows};

/// Columns attended to are a multiple of this, and as many as make one row's product large (see [`large_enough`]).
const COLUMN_STEP: i64 = 32;

/// Columns of one product of attention weights and values; longer rows are summed block by block, from the left.
fn block_columns(kind: Kind) -> i64 {
    if kind == Kind::Float { 128 } else { i64::MAX }
}

/// A prefix with its columns padded to the step.
#[derive(Debug)]
pub(super) struct SharedPrefix {
    pub(super) key_values: KeyValues,
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
    columns: i64,
}

impl SharedPrefix {
    pub(super) fn new(model: &FusedModel, key_values: KeyValues) -> Result<Self, TchError> {
        let tokens = key_values.tokens as i64;
        let columns = columns_for(tokens, least_columns(model));
        let pad = |tensors: &[Tensor]| {
            tensors.iter().map(|tensor| tensor.f_constant_pad_nd([0, 0, 0, columns - tokens])).collect::<Result<_, _>>()
        };
        Ok(Self { keys: pad(&key_values.keys)?, values: pad(&key_values.values)?, key_values, columns })
    }

    pub(super) fn tokens(&self) -> i64 {
        self.key_values.tokens as i64
    }
}

/// Caches of all layers. Rows keep their order; the owner knows which row is whose.
#[derive(Debug)]
pub(super) struct RowCache {
    /// Per layer [rows, key heads, capacity, `head_dim`].
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
    /// Tokens each row holds.
    lengths: Vec<i64>,
    capacity: i64,
    least_columns: i64,
}

impl RowCache {
    /// Rows for freshly prefilled prompts; each is repeated for its samples.
    pub(super) fn from_prompts(model: &FusedModel, prompts: &[(KeyValues, usize)]) -> Result<Self, TchError> {
        let lengths: Vec<i64> =
            prompts.iter().flat_map(|(prompt, samples)| std::iter::repeat_n(prompt.tokens as i64, *samples)).collect();
        let least_columns = least_columns(model);
        let capacity = columns_for(lengths.iter().copied().max().unwrap_or(0) + 1, least_columns);
        let config = model.config();
        let shape = [lengths.len() as i64, config.num_key_value_heads as i64, capacity, config.head_dim as i64];
        let fill = |of: fn(&KeyValues) -> &[Tensor], layer: usize| {
            let rows = Tensor::f_zeros(shape, (model.kind(), model.device()))?;
            let mut start = 0;
            for (prompt, samples) in prompts {
                let samples = *samples as i64;
                let mut target = rows.f_narrow(0, start, samples)?.f_narrow(2, 0, prompt.tokens as i64)?;
                target.f_copy_(&of(prompt)[layer].f_unsqueeze(0)?)?;
                start += samples;
            }
            Ok(rows)
        };
        let layers = 0..config.num_hidden_layers;
        Ok(Self {
            keys: layers.clone().map(|layer| fill(|p| &p.keys, layer)).collect::<Result<_, TchError>>()?,
            values: layers.map(|layer| fill(|p| &p.values, layer)).collect::<Result<_, TchError>>()?,
            lengths,
            capacity,
            least_columns,
        })
    }

    /// Tokens each row holds.
    pub(super) fn lengths(&self) -> &[i64] {
        &self.lengths
    }

    /// Adds the rows of `other` behind these.
    pub(super) fn append(&mut self, mut other: Self) -> Result<(), TchError> {
        let capacity = self.capacity.max(other.capacity);
        self.grow(capacity)?;
        other.grow(capacity)?;
        for (mine, theirs) in self.tensors().zip(other.keys.iter().chain(&other.values)) {
            *mine = Tensor::f_cat(&[&*mine, theirs], 0)?;
        }
        self.lengths.extend(other.lengths);
        Ok(())
    }

    /// Keeps the rows at `kept` (ascending), drops the others and the columns no row needs any more.
    pub(super) fn keep(&mut self, kept: &[i64]) -> Result<(), TchError> {
        self.lengths = kept.iter().map(|row| self.lengths[*row as usize]).collect();
        self.capacity = self.capacity.min(self.needed());
        let capacity = self.capacity;
        for tensor in self.tensors() {
            let rows = Tensor::f_from_slice(kept)?.f_to_device(tensor.device())?;
            *tensor = tensor.f_narrow(2, 0, capacity)?.f_index_select(0, &rows)?;
        }
        Ok(())
    }

    /// Makes room for one more token in every row.
    pub(super) fn reserve(&mut self) -> Result<(), TchError> {
        self.grow(self.needed())
    }

    /// Columns that hold the longest row and one more token.
    fn needed(&self) -> i64 {
        columns_for(self.lengths.iter().copied().max().unwrap_or(0) + 1, self.least_columns)
    }

    fn grow(&mut self, capacity: i64) -> Result<(), TchError> {
        let more = capacity - self.capacity;
        if more > 0 {
            for tensor in self.tensors() {
                *tensor = tensor.f_constant_pad_nd([0, 0, 0, more])?;
            }
            self.capacity = capacity;
        }
        Ok(())
    }

    fn tensors(&mut self) -> impl Iterator<Item = &mut Tensor> {
        self.keys.iter_mut().chain(&mut self.values)
    }
}

fn columns_for(tokens: i64, least: i64) -> i64 {
    (tokens.max(least) as u64).next_multiple_of(COLUMN_STEP as u64) as i64
}

/// Columns with which the product of a single row is large.
fn least_columns(model: &FusedModel) -> i64 {
    let config = model.config();
    large_enough(COLUMN_STEP, (config.num_attention_heads * config.head_dim) as i64)
}

/// One decoding step: stores each row's new key and value, then attends to the prefix and the row's own tokens.
pub(super) struct DecodeStep<'a> {
    prefix: Option<&'a SharedPrefix>,
    cache: &'a mut RowCache,
    /// Where the new token of each (row, key head) goes in a layer seen as [rows * key heads * capacity, dim].
    targets: Tensor,
    /// [rows, 1, 1, prefix columns + columns]: true where there is no token.
    absent: Tensor,
    columns: i64,
}

impl<'a> DecodeStep<'a> {
    /// Prepares a step; [`DecodeStep::finish`] completes it.
    pub(super) fn new(
        model: &FusedModel,
        prefix: Option<&'a SharedPrefix>,
        cache: &'a mut RowCache,
    ) -> Result<Self, TchError> {
        cache.reserve()?;
        let heads = model.config().num_key_value_heads as i64;
        let targets: Vec<i64> = (0i64..)
            .zip(&cache.lengths)
            .flat_map(|(row, length)| (0..heads).map(move |head| (row * heads + head, *length)))
            .map(|(line, length)| line * cache.capacity + length)
            .collect();
        let columns = cache.needed();
        let beyond = |columns: i64, tokens: &[i64]| {
            let tokens = Tensor::f_from_slice(tokens)?.f_to_device(model.device())?.f_reshape([-1, 1, 1, 1])?;
            Tensor::f_arange(columns, (Kind::Int64, model.device()))?.f_reshape([1, 1, 1, -1])?.f_ge_tensor(&tokens)
        };
        let held: Vec<i64> = cache.lengths.iter().map(|length| length + 1).collect();
        let absent = match prefix {
            None => beyond(columns, &held)?,
            Some(prefix) => {
                let shared = beyond(prefix.columns, &vec![prefix.tokens(); held.len()])?;
                Tensor::f_cat(&[&shared, &beyond(columns, &held)?], -1)?
            }
        };
        let targets = Tensor::f_from_slice(&targets)?.f_to_device(model.device())?;
        Ok(Self { prefix, cache, targets, absent, columns })
    }

    /// Every row now holds one more token.
    pub(super) fn finish(self) {
        for length in &mut self.cache.lengths {
            *length += 1;
        }
    }

    fn store(&self, layer: &Tensor, new: &Tensor) -> Result<Tensor, TchError> {
        let dim = new.size3()?.2;
        let mut lines = layer.f_view([-1, dim])?;
        let _ = lines.f_index_copy_(0, &self.targets, &new.f_reshape([-1, dim])?)?;
        layer.f_narrow(2, 0, self.columns)
    }
}

impl Attend for DecodeStep<'_> {
    fn attend(&mut self, layer: usize, rows: &Projected) -> Result<Tensor, TchError> {
        let key = self.store(&self.cache.keys[layer], &rows.key)?;
        let value = self.store(&self.cache.values[layer], &rows.value)?;
        let (count, query_heads, dim) = rows.query.size3()?;
        let key_heads = key.size()[1];
        let query = rows.query.f_reshape([count, key_heads, query_heads / key_heads, dim])?;
        let own_scores = scores(&query, &key)?;
        let weights = |scores: &Tensor| {
            scores.f_masked_fill(&self.absent, f64::NEG_INFINITY)?.f_softmax(-1, Kind::Float)?.f_to_kind(value.kind())
        };
        let mixed = match self.prefix {
            None => mix_own(&weights(&own_scores)?, &value)?,
            Some(prefix) => {
                let shared = SharedPart { key: &prefix.keys[layer], value: &prefix.values[layer] };
                let weights = weights(&Tensor::f_cat(&[&shared.scores(&query)?, &own_scores], -1)?)?;
                let own = mix_own(&weights.f_narrow(3, prefix.columns, self.columns)?, &value)?;
                shared.mix(&weights.f_narrow(3, 0, prefix.columns)?)?.f_add(&own)?
            }
        };
        mixed.f_reshape([count, query_heads, dim])
    }
}

/// `weights` [rows, key heads, group, columns] times `value` [rows, key heads, columns, dim].
fn mix_own(weights: &Tensor, value: &Tensor) -> Result<Tensor, TchError> {
    let (columns, block) = (value.size()[2], block_columns(value.kind()));
    let part = |start: i64| {
        let length = block.min(columns - start);
        weights.f_narrow(3, start, length)?.f_matmul(&value.f_narrow(2, start, length)?)
    };
    let mut sum = part(0)?;
    let mut start = block;
    while start < columns {
        sum = sum.f_add(&part(start)?)?;
        start += block;
    }
    Ok(sum)
}

/// The prefix, read once for all rows: their queries are the rows of one product per key head.
struct SharedPart<'a> {
    key: &'a Tensor,
    value: &'a Tensor,
}

impl SharedPart<'_> {
    /// `query` [rows, key heads, group, dim] to scores [rows, key heads, group, tokens].
    fn scores(&self, query: &Tensor) -> Result<Tensor, TchError> {
        self.per_head(query, |lines| scores(lines, self.key))
    }

    /// `weights` [rows, key heads, group, tokens] to values [rows, key heads, group, dim].
    fn mix(&self, weights: &Tensor) -> Result<Tensor, TchError> {
        self.per_head(weights, |lines| lines.f_matmul(self.value))
    }

    fn per_head(&self, x: &Tensor, product: impl Fn(&Tensor) -> Result<Tensor, TchError>) -> Result<Tensor, TchError> {
        let (rows, key_heads, group, width) = x.size4()?;
        let lines = rows * group;
        let x = x.f_transpose(0, 1)?.f_reshape([key_heads, lines, width])?;
        let result = padded_rows(&x, self.key.numel() as i64, product)?;
        result.f_reshape([key_heads, rows, group, -1])?.f_transpose(0, 1)
    }
}
