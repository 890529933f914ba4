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
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn neighbours_of_equal_length_are_one_run() {
        assert_eq!(PackedSequences::new(&[5, 5, 3, 5], Sight::Past).runs, [(2, 5), (1, 3), (1, 5)]);
    }

    /// Attention of query row `i` of head `head` by its definition, over the rows that `seen` names.
    fn defined(rows: &Projected, spec: &AttentionSpec, (i, head): (i64, i64), seen: &[i64]) -> Tensor {
        let (query_heads, key_heads) = (rows.query.size()[1], rows.key.size()[1]);
        let of = |tensor: &Tensor, row, head| tensor.select(0, row).select(0, head).to_kind(Kind::Double);
        let key_head = head / (query_heads / key_heads);
        let query = of(&rows.query, i, head);
        let score = |j: i64| {
            let score = query.dot(&of(&rows.key, j, key_head)).double_value(&[]) * f64::from(spec.scale);
            spec.soft_cap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
        };
        let weights: Vec<f64> = seen.iter().map(|j| score(*j).exp()).collect();
        let total: f64 = weights.iter().sum();
        let values = seen.iter().zip(weights).map(|(j, weight)| of(&rows.value, *j, key_head) * (weight / total));
        values.reduce(|a, b| a + b).unwrap()
    }

    #[test]
    fn each_row_sees_its_own_sequence_as_far_as_it_may_and_nothing_else() {
        tch::set_num_threads(1);
        let lengths = [5, 5, 1, 8, 3];
        let rows: i64 = lengths.iter().sum();
        let wave = |heads: i64, step: f64| {
            (Tensor::arange(rows * heads * 8, (Kind::Float, Device::Cpu)) * step).sin().reshape([rows, heads, 8])
        };
        let projected = Projected { query: wave(4, 1.3), key: wave(2, 0.7), value: wave(2, 2.1) };
        for (window, soft_cap, sight) in [None, Some(1), Some(3), Some(20)]
            .into_iter()
            .flat_map(|window| [None, Some(0.8)].map(|cap| (window, cap)))
            .flat_map(|(window, cap)| [Sight::Past, Sight::All].map(|sight| (window, cap, sight)))
        {
            let spec = AttentionSpec { scale: 0.9, window, soft_cap };
            let found = PackedSequences::new(&lengths, sight).attend(0, &projected, &spec).unwrap();
            let mut first = 0;
            for length in lengths {
                for i in first..first + length {
                    let far = |j: &i64| window.is_some_and(|window| (i - j).abs() >= window as i64);
                    let seen: Vec<i64> =
                        (first..first + length).filter(|j| !far(j) && (sight == Sight::All || *j <= i)).collect();
                    for head in 0..4 {
                        let wanted = defined(&projected, &spec, (i, head), &seen);
                        let off = (found.select(0, i).select(0, head) - wanted).abs().max().double_value(&[]);
                        assert!(
                            off < 1e-5,
                            "{spec:?}, {sight:?}: row {i} of the sequence at {first} is off by {off:e}"
                        );
                    }
                }
                first += length;
            }
        }
    }
}
