//! Why a dataset cannot be trained on. All of these are faults of the recipe or of the data: another try would fail alike.

use crate::advantage::AdvantageError;

/// A dataset is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DataError {
    #[error("the train step's `{field}` is 0; it must be at least 1")]
    Zero { field: &'static str },
    #[error("the train step joins {pack} records to a sequence, but `{loss}` takes each alone; `pack` must be 1")]
    Pack { pack: u32, loss: &'static str },
    #[error("the train step {what}")]
    Setting { what: String },
    #[error("none of the {records_in} records given can be trained on with `{loss}`: it needs {needs}")]
    Empty { records_in: usize, loss: &'static str, needs: &'static str },
    #[error("record {task} sample {sample} {what}")]
    Record { task: String, sample: u32, what: String },
    #[error(
        "record {task} sample {sample} has token {token}, but the model's vocabulary ends at {vocabulary}; \
         the dataset was made with another tokenizer"
    )]
    Token { task: String, sample: u32, token: u32, vocabulary: usize },
    #[error(
        "a sequence of {records} records can have {tokens} tokens, but the model ends at {positions}; \
         lower `pack`, set `shots: false` or drop long records"
    )]
    TooLong { records: usize, tokens: usize, positions: usize },
    #[error("advantages cannot be computed")]
    Advantage { source: AdvantageError },
    #[error("too few of the records that can be used weigh more than 0; give them a weight")]
    Weightless,
}
