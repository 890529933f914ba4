//! Whole sequences through the decoding forward: many sequences are packed into one pass, row by row, and each attends to
//! the shared prefix and itself only.
//!
//! A sequence's attention is computed alone and over its exact length, so its result does not depend on what it is packed
//! with.

use tch::{Kind, TchError, Tensor};

use crate::llama::attention::scores;
use crate::llama::fused::{Attend, FusedModel, Projected};

/// Tokens of one pass; more sequences than fit go into further passes. Bounds memory, not results.
const PASS_TOKENS: usize = 512;

/// Query tokens whose attention scores are held at a time. A sequence is always cut at the same places.
const QUERY_BLOCK: i64 = 256;

/// Keys and values of one token sequence: per layer, [key heads, tokens, `head_dim`].
#[derive(Debug, Default)]
pub(crate) struct KeyValues {
    pub(crate) keys: Vec<Tensor>,
    pub(crate) values: Vec<Tensor>,
    pub(crate) tokens: usize,
}

/// What a prefill gives.
#[derive(Debug)]
pub(crate) struct Prefilled {
    /// The trunk's output at each sequence's last token, [sequences, hidden].
    pub(crate) last: Tensor,
    /// Each sequence's own keys and values.
    pub(crate) key_values: Vec<KeyValues>,
}

/// Runs `sequences`, none of them empty, each behind `prefix`.
pub(crate) fn prefill(
    model: &FusedModel,
    prefix: Option<&KeyValues>,
    sequences: &[impl AsRef<[u32]>],
) -> Result<Prefilled, TchError> {
    let mut lasts = Vec::new();
    let mut key_values = Vec::new();
    let mut rest = sequences;
    while !rest.is_empty() {
        let (pass, after) = rest.split_at(pass_length(rest));
        let (last, computed) = run_pass(model, prefix, pass)?;
        lasts.push(last);
        key_values.extend(computed);
        rest = after;
    }
    Ok(Prefilled { last: Tensor::f_cat(&lasts, 0)?, key_values })
}

/// How many of `sequences` go into the next pass: at least one.
fn pass_length(sequences: &[impl AsRef<[u32]>]) -> usize {
    let mut tokens = 0;
    let fitting = sequences.iter().take_while(|sequence| {
        tokens += sequence.as_ref().len();
        tokens <= PASS_TOKENS
    });
    fitting.count().max(1)
}

fn run_pass(
    model: &FusedModel,
    prefix: Option<&KeyValues>,
    sequences: &[impl AsRef<[u32]>],
) -> Result<(Tensor, Vec<KeyValues>), TchError> {
    let offset = prefix.map_or(0, |prefix| prefix.tokens) as i64;
    let lengths: Vec<i64> = sequences.iter().map(|sequence| sequence.as_ref().len() as i64).collect();
    let tokens: Vec<i64> =
        sequences.iter().flat_map(|sequence| sequence.as_ref()).map(|token| i64::from(*token)).collect();
    let positions: Vec<i64> = lengths.iter().flat_map(|length| offset..offset + length).collect();
    let ends: Vec<i64> = lengths
        .iter()
        .scan(0, |end, length| {
            *end += length;
            Some(*end - 1)
        })
        .collect();
    let key_values = lengths.iter().map(|length| KeyValues { tokens: *length as usize, ..KeyValues::default() });
    let mut attend = PackedSequences { prefix, key_values: key_values.collect() };
    let on_device = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(model.device());
    let x = model.trunk(&on_device(&tokens)?, &on_device(&positions)?, &mut attend)?;
    Ok((x.f_index_select(0, &on_device(&ends)?)?, attend.key_values))
}

/// Attention of packed sequences; collects their keys and values.
struct PackedSequences<'a> {
    prefix: Option<&'a KeyValues>,
    key_values: Vec<KeyValues>,
}

impl Attend for PackedSequences<'_> {
    fn attend(&mut self, layer: usize, rows: &Projected) -> Result<Tensor, TchError> {
        let mut outputs = Vec::with_capacity(self.key_values.len());
        let mut start = 0;
        for sequence in &mut self.key_values {
            let length = sequence.tokens as i64;
            let own = |tensor: &Tensor| tensor.f_narrow(0, start, length);
            let key = own(&rows.key)?.f_transpose(0, 1)?.f_contiguous()?;
            let value = own(&rows.value)?.f_transpose(0, 1)?.f_contiguous()?;
            outputs.push(match self.prefix {
                Some(prefix) => causal(
                    &own(&rows.query)?,
                    &Tensor::f_cat(&[&prefix.keys[layer], &key], 1)?,
                    &Tensor::f_cat(&[&prefix.values[layer], &value], 1)?,
                )?,
                None => causal(&own(&rows.query)?, &key, &value)?,
            });
            sequence.keys.push(key);
            sequence.values.push(value);
            start += length;
        }
        Tensor::f_cat(&outputs, 0)
    }
}

/// `query` [time, query heads, dim] against `key` and `value` [key heads, earlier + time, dim]; token `t` sees keys up to
/// `earlier + t`. Gives [time, query heads, dim].
fn causal(query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Tensor, TchError> {
    let (time, query_heads, dim) = query.size3()?;
    let (key_heads, seen, _) = key.size3()?;
    let group = query_heads / key_heads;
    let columns = Tensor::f_arange(seen, (Kind::Int64, query.device()))?;
    let mut outputs = Vec::new();
    for start in (0..time).step_by(QUERY_BLOCK as usize) {
        let length = QUERY_BLOCK.min(time - start);
        let block = query.f_narrow(0, start, length)?.f_reshape([length, key_heads, group, dim])?;
        let block = block.f_permute([1, 2, 0, 3])?.f_reshape([key_heads, group * length, dim])?;
        let last_seen = Tensor::f_arange(length, (Kind::Int64, query.device()))?.f_add_scalar(seen - time + start)?;
        let hidden = columns.f_unsqueeze(0)?.f_gt_tensor(&last_seen.f_unsqueeze(1)?)?;
        let scores = scores(&block, key)?.f_reshape([key_heads, group, length, seen])?;
        let weights = scores.f_masked_fill(&hidden, f64::NEG_INFINITY)?.f_softmax(-1, Kind::Float)?;
        let weights = weights.f_to_kind(value.kind())?.f_reshape([key_heads, group * length, seen])?;
        let mixed = weights.f_matmul(value)?.f_reshape([key_heads, group, length, dim])?;
        outputs.push(mixed.f_permute([2, 0, 1, 3])?.f_reshape([length, query_heads, dim])?);
    }
    Tensor::f_cat(&outputs, 0)
}
