//! Attention for training on sequences that lie one after another without padding: each sees itself alone.
//!
//! Neighbours of equal length are computed together. Nothing is masked and nothing padded, so the work is that of the tokens.

use galapagos_kernels::AttentionSpec;
use tch::{TchError, Tensor};

use super::{Attend, Projected, Sight, mix};

/// Sequences one after another.
#[derive(Debug)]
pub(crate) struct PackedSequences {
    /// Neighbours of equal length: how many, and how long.
    runs: Vec<(i64, i64)>,
    sight: Sight,
}

impl PackedSequences {
    /// Of these lengths, in order; none is 0.
    pub(crate) fn new(lengths: &[i64], sight: Sight) -> Self {
        let mut runs: Vec<(i64, i64)> = Vec::new();
        for length in lengths {
            match runs.last_mut() {
                Some((count, same)) if same == length => *count += 1,
                _ => runs.push((1, *length)),
            }
        }
        Self { runs, sight }
    }
}

impl Attend for PackedSequences {
    fn attend(&mut self, _: usize, rows: &Projected, spec: &AttentionSpec) -> Result<Tensor, TchError> {
        let Projected { query, key, value } = rows;
        if let [run] = self.runs.as_slice() {
            return mix((query, key, value), *run, (spec, self.sight));
        }
        let sizes: Vec<i64> = self.runs.iter().map(|(count, length)| count * length).collect();
        // Split in one call: its backward joins the gradients, where that of a slice would fill a whole tensor for each sequence.
        let parts = |rows: &Tensor| rows.f_split_with_sizes(&sizes, 0);
        let (queries, keys, values) = (parts(query)?, parts(key)?, parts(value)?);
        let mut mixed = Vec::with_capacity(self.runs.len());
        for (i, run) in self.runs.iter().enumerate() {
            mixed.push(mix((&queries[i], &keys[i], &values[i]), *run, (spec, self.sight))?);
        }
        Tensor::f_cat(&mixed, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_equal_length_are_one_run() {
        assert_eq!(PackedSequences::new(&[5, 5, 3, 5], Sight::Past).runs, [(2, 5), (1, 3), (1, 5)]);
    }
}
