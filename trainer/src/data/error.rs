//! Why a dataset cannot be trained on. All of these are faults of the recipe or of the data: another try would fail alike.

use galapagos_domain::recipe::train::Loss;

/// A dataset is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    #[error("the train step's `{field}` is 0; it must be at least 1")]
    Zero { field: &'static str },
    #[error(
        "the train step joins {pack} records to a sequence, but a pointwise loss judges each alone; `pack` must be 1"
    )]
    PointwisePack { pack: u32 },
    #[error(
        "none of the {records_in} records given can be trained on with loss {loss:?}; \
         nll needs at least one record, pointwise at least one with verdict pass or fail"
    )]
    Empty { records_in: usize, loss: Loss },
    #[error("record {task} sample {sample} has no {what}; nothing can be learned from it")]
    Blank { task: String, sample: u32, what: &'static str },
    #[error(
        "record {task} sample {sample} says its first {prefix} tokens are the shared prefix, but its prompt has {prompt}"
    )]
    Prefix { task: String, sample: u32, prefix: u32, prompt: usize },
    #[error(
        "record {task} sample {sample} has token {token}, but the model's vocabulary ends at {vocabulary}; \
         the dataset was made with another tokenizer"
    )]
    Token { task: String, sample: u32, token: u32, vocabulary: usize },
    #[error(
        "a sequence of {pack} records can have {tokens} tokens, but the model ends at {positions}; \
         lower `pack`, set `shots: false` or drop long records"
    )]
    TooLong { pack: usize, tokens: usize, positions: usize },
}
