//! Many inputs through an encoder without padding: their tokens are laid end to end as rows, and only attention looks at where each
//! begins. Inputs are taken in order of length, so that those of one length attend in one call.

use std::ops::Range;

use galapagos_kernels::AttentionSpec;
use tch::{Device, Kind, TchError, Tensor};

use super::{Encoder, attend_both_ways};
use crate::blocks::{Attend, Products, Projected, Rows};
use crate::compute::{ComputeError, Doing};
use crate::{ModelKind, Precision};

/// A sequence to be classified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncoderInput {
    /// Token ids with the special ones the model is used to (BERT: `[CLS]` in front, `[SEP]` behind each text); not empty.
    pub tokens: Vec<u32>,
    /// Segment of each token; empty for all 0.
    pub types: Vec<u32>,
}

impl Encoder {
    /// What the head says of each input, in their order, in 32-bit floats: one number for each label of the sequence or, of a token
    /// classifier, of each token, token after token. `most_tokens` bounds the memory: so many are computed at a time, but always a
    /// whole input.
    ///
    /// Nothing is padded. An input's numbers do not depend on the others but for rounding: in [`Precision::F32`] they agree
    /// within 1e-5 whatever else is classified.
    ///
    /// # Errors
    /// [`ComputeError`] for ids or segments the model has no embedding for, too many positions, an input without tokens, or a
    /// failing kernel. Everything is checked before anything is computed.
    pub fn classify(
        &self,
        inputs: &[EncoderInput],
        most_tokens: usize,
        precision: Precision,
    ) -> Result<Vec<Vec<f32>>, ComputeError> {
        for (index, input) in inputs.iter().enumerate() {
            self.check(index, input)?;
        }
        let _no_gradients = tch::no_grad_guard();
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        order.sort_by_key(|index| inputs[*index].tokens.len());
        let mut said = vec![Vec::new(); inputs.len()];
        for batch in batches(&order, |index| inputs[index].tokens.len(), most_tokens) {
            let batch = &order[batch];
            let found = self.classify_batch(batch.iter().map(|index| &inputs[*index]), precision);
            for (index, numbers) in batch.iter().zip(found.doing("the classes")?) {
                said[*index] = numbers;
            }
        }
        Ok(said)
    }

    fn check(&self, index: usize, input: &EncoderInput) -> Result<(), ComputeError> {
        let config = self.config();
        let (length, limit) = (input.tokens.len(), config.max_position_embeddings);
        if length == 0 {
            return Err(ComputeError::Empty { index });
        }
        if length > limit {
            return Err(ComputeError::TooLong { length, limit });
        }
        if !(input.types.is_empty() || input.types.len() == length) {
            let text = format!("input {index} has {length} tokens and segments for {}", input.types.len());
            return Err(TchError::Shape(text)).doing("the segments");
        }
        for (ids, vocab_size) in [(&input.tokens, config.vocab_size), (&input.types, config.type_vocab_size)] {
            if let Some(id) = ids.iter().find(|id| **id as usize >= vocab_size) {
                return Err(ComputeError::TokenOutOfRange { token: i64::from(*id), vocab_size });
            }
        }
        Ok(())
    }

    /// The numbers of inputs that are checked and sorted by length.
    fn classify_batch<'a>(
        &self,
        inputs: impl Iterator<Item = &'a EncoderInput> + Clone,
        precision: Precision,
    ) -> Result<Vec<Vec<f32>>, TchError> {
        let tokens: Vec<u32> = inputs.clone().flat_map(|input| input.tokens.iter().copied()).collect();
        let positions: Vec<u32> = inputs.clone().flat_map(|input| 0..input.tokens.len() as u32).collect();
        let types = inputs.clone().flat_map(|input| {
            let absent = input.tokens.len() - input.types.len();
            input.types.iter().copied().chain(std::iter::repeat_n(0, absent))
        });
        let types: Vec<u32> = types.collect();
        let lengths: Vec<usize> = inputs.map(|input| input.tokens.len()).collect();
        let rows = Rows { tokens: &tokens, positions: &positions, ..Rows::default() };
        let mut attend = EndToEnd::new(&lengths);
        let hidden = self.network.typed_trunk((&rows, &types), &mut attend, Products::new(precision.kind()))?;
        let (states, rows_each) = match self.config.kind {
            ModelKind::TokenClassifier => (hidden, lengths),
            ModelKind::CausalLm | ModelKind::Scalar | ModelKind::SequenceClassifier => {
                let firsts = lengths.iter().scan(0, |start, length| {
                    let first = *start;
                    *start += *length as i64;
                    Some(first)
                });
                let firsts = Tensor::f_from_slice(&firsts.collect::<Vec<i64>>())?.f_to_device(self.device())?;
                (hidden.f_index_select(0, &firsts)?, vec![1; lengths.len()])
            }
        };
        let said = self.network.labels(&states)?;
        let said = said.ok_or_else(|| TchError::Shape("the model has no classifier".to_owned()))?;
        let flat = Vec::<f32>::try_from(&said.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_reshape([-1])?)?;
        let mut rest = flat.as_slice();
        let mut take = |rows: &usize| {
            let (own, others) = rest.split_at(rows * self.config.label_count());
            rest = others;
            own.to_vec()
        };
        Ok(rows_each.iter().map(&mut take).collect())
    }
}

/// Neighbours in `order` that have at most `most` tokens together; one that is longer is alone.
fn batches(order: &[usize], length: impl Fn(usize) -> usize, most: usize) -> Vec<Range<usize>> {
    let (mut batches, mut start, mut tokens) = (Vec::new(), 0, 0);
    for (place, index) in order.iter().enumerate() {
        if place > start && tokens + length(*index) > most {
            batches.push(start..place);
            (start, tokens) = (place, 0);
        }
        tokens += length(*index);
    }
    if start < order.len() {
        batches.push(start..order.len());
    }
    batches
}

/// Every row sees all rows of its sequence. Sequences follow each other, in order of length.
struct EndToEnd {
    /// How many sequences of which length come next.
    runs: Vec<(i64, i64)>,
}

impl EndToEnd {
    fn new(lengths: &[usize]) -> Self {
        let runs = lengths.chunk_by(|a, b| a == b).map(|run| (run.len() as i64, run[0] as i64));
        Self { runs: runs.collect() }
    }
}

impl Attend for EndToEnd {
    fn attend(&mut self, _: usize, rows: &Projected, spec: &AttentionSpec) -> Result<Tensor, TchError> {
        let mut start = 0;
        let mut mixed = Vec::with_capacity(self.runs.len());
        for (count, length) in &self.runs {
            let own = |tensor: &Tensor| tensor.f_narrow(0, start, count * length);
            let run = Projected { query: own(&rows.query)?, key: own(&rows.key)?, value: own(&rows.value)? };
            mixed.push(attend_both_ways(&run, (*count, *length), None, spec)?);
            start += count * length;
        }
        Tensor::f_cat(&mixed, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::batches;

    #[test]
    fn batches_hold_neighbours_up_to_the_budget() {
        let lengths = [3, 3, 4, 9, 9, 30];
        let cut = |most| batches(&[0, 1, 2, 3, 4, 5], |index| lengths[index], most);
        assert_eq!(cut(10), [0..3, 3..4, 4..5, 5..6]);
        assert_eq!(cut(18), [0..3, 3..5, 5..6]);
        assert_eq!(cut(32), [0..5, 5..6]);
        assert_eq!(cut(0), [0..1, 1..2, 2..3, 3..4, 4..5, 5..6]);
        assert!(batches(&[], |_| 1, 10).is_empty());
    }
}
