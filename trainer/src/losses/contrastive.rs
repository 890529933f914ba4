//! Contrast between a pair that belongs together and the pairs that the rest of the batch makes. The batch is all that
//! is given: gathering keys of other ranks, and dropping rows that are equal to the positive, is the caller's.

use tch::{Kind, TchError, Tensor};

use super::check;

/// InfoNCE (van den Oord et al., 2018, equation 4): `-ln (exp(s[i, i]) / sum_j exp(s[i, j]))` with
/// `s[i, j] = dot(query[i], key[j]) / temperature`; the other rows of `key` are the negatives. `symmetric` takes the
/// mean with the same loss from keys to queries (Radford et al., CLIP, 2021). `ln n` minus the mean is a lower bound on
/// the mutual information.
///
/// `query`, `key`: both learned, `[n, d]`, `n > 1`; detach `key` to train the side of the queries alone, and scale rows
/// to length 1 for cosine similarity. `temperature`: above 0. Returns `[n]`.
///
/// # Errors
/// See the head of [`losses`](super); also for fewer than two rows, which have no negatives.
pub fn info_nce(query: &Tensor, key: &Tensor, temperature: f64, symmetric: bool) -> Result<Tensor, TchError> {
    check::positive("temperature", temperature)?;
    let (n, width) = check::matrix("query", query)?;
    check::shape("key", key, &[n, width])?;
    if n < 2 {
        return Err(TchError::Shape(format!("`query` is [{n}, {width}]; without a second row there are no negatives")));
    }
    let similarity = query.f_matmul(&key.f_transpose(0, 1)?)?.f_div_scalar(temperature)?;
    let loss = |dim| similarity.f_log_softmax(dim, Kind::Float)?.f_diagonal(0, 0, 1)?.f_neg();
    let from_queries: Tensor = loss(1)?;
    if !symmetric {
        return Ok(from_queries);
    }
    from_queries.f_add(&loss(0)?)?.f_mul_scalar(0.5)
}
