//! Trajectory tables: Parquet, one row a completion, columns named as the fields of
//! [`Trajectory`], so that DuckDB, polars and pandas read them as they are.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `job` | utf8 | job that made the row |
//! | `task_set`, `task` | utf8 | task set and task key, for example `numbers`, `train/17` |
//! | `sample` | uint32 | sample number within the task |
//! | `policy` | utf8 | checkpoint digest, 64 hexadecimal digits |
//! | `prompt_tokens` | list of uint32 | few-shot prefix, then question |
//! | `prefix_len` | uint32 | tokens of `prompt_tokens` that are the few-shot prefix |
//! | `completion_tokens` | list of uint32 | sampled tokens, with the stop token |
//! | `log_probs` | list of float32 | natural log-probabilities at temperature 1; empty for demonstrations |
//! | `completion` | utf8 | decoded completion without the stop token |
//! | `outcome` | utf8 | `pass`, `fail`, `error`, `timeout` or `suspect` |
//! | `reason` | utf8 | why |
//! | `reward` | float32, null: the verdict stands for it | reward of the completion |
//! | `weight` | float32 | how much the row counts |
//! | `span_start`, `span_end` | list of uint32 | parts of the completion: their tokens |
//! | `span_learn` | list of bool | whether the policy answers for the part |
//! | `span_value`, `span_class` | list of float32, of uint32, with nulls | label or reward, class or action of the part |
//! | `pair`, `chosen` | utf8, bool, null: none | the preference that the row is one side of |
//! | `greedy` | bool | most probable completion, drawn beside the samples; absent in older tables |
//! | `score`, `confidence` | float32, null: not said | what the verifier says beyond the outcome |
//! | `cost` | uint64 | tokens that verifying took |
//! | `verifier` | utf8 | who decided, with the version |
//! | `score_by`, `score_value` | list of utf8, of float32 | what each verifier gave |
//! | `class` | uint32, null: none | the class that the verifier tells apart; absent in older tables |
//! | `tree`, `node` | utf8, uint32, null: none | the place in a search tree that the row ends at |
//!
//! Files without the columns from `reward` on are read as if nothing had been said there.
//!
//! Equal rows give equal bytes: the writer's settings and its name in the file are fixed.

mod credit;
mod said;
mod stream;

pub use stream::{Reader, Writer, weight};

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, PrimitiveBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, UInt32Type};
use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use galapagos_domain::trajectory::{Outcome, Trajectory, Verdict};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::Error;

/// Encodes rows as one Parquet file.
///
/// # Errors
/// [`Error::Table`] if the writer refuses, which only a row count beyond its limits could cause.
pub fn encode(rows: &[Trajectory]) -> Result<Bytes, Error> {
    let mut writer = Writer::new(Vec::new())?;
    for row in rows {
        writer.push(row.clone())?;
    }
    Ok(Bytes::from(writer.finish()?.0))
}

/// Decodes a file made by [`encode`].
///
/// # Errors
/// [`Error::Table`] if the bytes are not such a file; the cause names the column.
pub fn decode(bytes: Bytes) -> Result<Vec<Trajectory>, Error> {
    decode_rows(bytes).map_err(|source| Error::Table { what: "decode", source })
}

fn strings<'a>(rows: &'a [Trajectory], column: impl Fn(&'a Trajectory) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(column)))
}

fn numbers(rows: &[Trajectory], column: impl Fn(&Trajectory) -> u32) -> ArrayRef {
    Arc::new(UInt32Array::from_iter_values(rows.iter().map(column)))
}

pub(crate) fn lists<T: ArrowPrimitiveType, R>(rows: &[R], column: impl Fn(&R) -> &[T::Native]) -> ArrayRef {
    let item = Field::new("item", T::DATA_TYPE, false);
    let mut builder = ListBuilder::new(PrimitiveBuilder::<T>::new()).with_field(item);
    for row in rows {
        builder.values().append_slice(column(row));
        builder.append(true);
    }
    Arc::new(builder.finish())
}

fn to_batch(rows: &[Trajectory]) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("job", strings(rows, |r| r.job.to_string())),
        ("task_set", strings(rows, |r| r.task_set.to_string())),
        ("task", strings(rows, |r| r.task.clone())),
        ("sample", numbers(rows, |r| r.sample)),
        ("policy", strings(rows, |r| r.policy.hex())),
        ("prompt_tokens", lists::<UInt32Type, _>(rows, |r| &r.prompt_tokens)),
        ("prefix_len", numbers(rows, |r| r.prefix_len)),
        ("completion_tokens", lists::<UInt32Type, _>(rows, |r| &r.completion_tokens)),
        ("log_probs", lists::<Float32Type, _>(rows, |r| &r.log_probs)),
        ("completion", strings(rows, |r| r.completion.clone())),
        ("outcome", strings(rows, |r| outcome_name(r.verdict.outcome).to_owned())),
        ("reason", strings(rows, |r| r.verdict.reason.clone())),
    ];
    let columns: Vec<_> = columns.into_iter().chain(credit::columns(rows)).chain(said::columns(rows)).collect();
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), is_nullable(name))).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect())
}

pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

fn decode_rows(bytes: Bytes) -> Result<Vec<Trajectory>, Cause> {
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
        from_batch(&batch?, &mut rows)?;
    }
    Ok(rows)
}

fn from_batch(batch: &RecordBatch, rows: &mut Vec<Trajectory>) -> Result<(), Cause> {
    let text = |name: &str, i: usize| -> Result<String, Cause> {
        let column = typed_column(batch, name, &DataType::Utf8)?.as_string::<i32>();
        Ok(column.value(i).to_owned())
    };
    let number = |name: &str, i: usize| -> Result<u32, Cause> {
        Ok(typed_column(batch, name, &DataType::UInt32)?.as_primitive::<UInt32Type>().value(i))
    };
    let said = said::Columns::of(batch)?;
    let credits = credit::read(batch)?;
    for (i, credit) in (0..batch.num_rows()).zip(credits) {
        rows.push(Trajectory {
            job: text("job", i)?.parse()?,
            task_set: text("task_set", i)?.parse()?,
            task: text("task", i)?,
            sample: number("sample", i)?,
            policy: text("policy", i)?.parse()?,
            prompt_tokens: list::<UInt32Type>(batch, "prompt_tokens", i)?,
            prefix_len: number("prefix_len", i)?,
            completion_tokens: list::<UInt32Type>(batch, "completion_tokens", i)?,
            log_probs: list::<Float32Type>(batch, "log_probs", i)?,
            completion: text("completion", i)?,
            verdict: said.verdict(i, Verdict::new(outcome_of(&text("outcome", i)?)?, text("reason", i)?)),
            scores: said.scores(i)?,
            leaf: said.leaf(i)?,
            credit,
        });
    }
    Ok(())
}

fn is_nullable(column: &str) -> bool {
    credit::NULLABLE.contains(&column) || said::NULLABLE.contains(&column)
}

pub(crate) fn typed_column<'a>(batch: &'a RecordBatch, name: &str, expected: &DataType) -> Result<&'a ArrayRef, Cause> {
    let column = batch.column_by_name(name).ok_or_else(|| format!("the column `{name}` is missing"))?;
    if column.data_type() == expected {
        Ok(column)
    } else {
        Err(format!("the column `{name}` has type {}, expected {expected}", column.data_type()).into())
    }
}

pub(crate) fn list<T: ArrowPrimitiveType>(
    batch: &RecordBatch,
    name: &str,
    row: usize,
) -> Result<Vec<T::Native>, Cause> {
    let item = Field::new("item", T::DATA_TYPE, false);
    let column = typed_column(batch, name, &DataType::List(Arc::new(item)))?.as_list::<i32>();
    Ok(column.value(row).as_primitive::<T>().values().to_vec())
}

const OUTCOMES: [Outcome; 5] = [Outcome::Pass, Outcome::Fail, Outcome::Error, Outcome::Timeout, Outcome::Suspect];

pub(crate) fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::Error => "error",
        Outcome::Timeout => "timeout",
        Outcome::Suspect => "suspect",
    }
}

pub(crate) fn outcome_of(name: &str) -> Result<Outcome, Cause> {
    OUTCOMES
        .into_iter()
        .find(|outcome| outcome_name(*outcome) == name)
        .ok_or_else(|| format!("the column `outcome` holds `{name}`").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use galapagos_domain::ids::Digest;
    use galapagos_domain::trajectory::{Credit, Leaf, Score, Side, Span};

    pub(super) fn row(sample: u32, outcome: Outcome) -> Trajectory {
        Trajectory {
            job: "quickstart-1/g1/samples/0".parse().unwrap(),
            task_set: "numbers".parse().unwrap(),
            task: "train/17".to_owned(),
            sample,
            policy: Digest::of(b"policy"),
            prompt_tokens: vec![1, 2, 3, 49_151],
            prefix_len: 2,
            completion_tokens: (0..sample).collect(),
            log_probs: (0..sample).map(|i| -0.5 * i as f32).collect(),
            completion: "94 \u{1F426}".to_owned(),
            verdict: verdict(sample, outcome),
            scores: (0..sample).map(|i| Score { by: format!("prm/{i}"), value: i as f32 / 4.0 }).collect(),
            leaf: (sample > 2).then(|| Leaf { tree: "numbers/train/17/0".to_owned(), node: sample }),
            credit: credit(sample),
        }
    }

    fn verdict(sample: u32, outcome: Outcome) -> Verdict {
        let plain = Verdict::new(outcome, "first integer 94, expected 94");
        match sample {
            0 => plain,
            1 => Verdict { confidence: Some(0.5), cost: u64::MAX, class: Some(2), ..plain.scored(0.25).by("rule/1") },
            _ => plain.by("rule/1"),
        }
    }

    /// Nothing said, everything said, and something between.
    fn credit(sample: u32) -> Credit {
        let span = |start, value, class| Span { start, end: start + 1, learn: start == 0, value, class };
        match sample {
            0 => Credit::default(),
            1 => Credit {
                reward: Some(-0.25),
                weight: 0.0,
                spans: vec![span(0, Some(0.5), None), span(1, None, Some(3))],
                pair: Some(Side { pair: "train/17/a".to_owned(), chosen: false }),
                greedy: true,
            },
            _ => Credit { pair: Some(Side { pair: "train/17/a".to_owned(), chosen: true }), ..Credit::default() },
        }
    }

    #[test]
    fn rows_round_trip_with_every_outcome_and_empty_lists() {
        let rows: Vec<_> = OUTCOMES.into_iter().zip(0..).map(|(outcome, i)| row(i, outcome)).collect();
        assert_eq!(decode(encode(&rows).unwrap()).unwrap(), rows);
        assert_eq!(decode(encode(&[]).unwrap()).unwrap(), []);
    }

    #[test]
    fn a_table_of_an_older_version_says_nothing_of_what_it_has_not() {
        let rows = [row(0, Outcome::Pass), row(0, Outcome::Fail)];
        let whole = to_batch(&rows).unwrap();
        for (columns, last) in [(12, "reason"), (21, "chosen")] {
            let old = whole.project(&(0..columns).collect::<Vec<_>>()).unwrap();
            assert_eq!(old.schema().fields().last().unwrap().name(), last);
            let mut back = Vec::new();
            from_batch(&old, &mut back).unwrap();
            assert_eq!(back, rows);
        }
        let classless = to_batch(&[row(1, Outcome::Fail)]).unwrap();
        let columns = classless.num_columns() - 1;
        assert_eq!(classless.schema().fields().last().unwrap().name(), "class");
        let mut back = Vec::new();
        from_batch(&classless.project(&(0..columns).collect::<Vec<_>>()).unwrap(), &mut back).unwrap();
        let mut expected = row(1, Outcome::Fail);
        expected.verdict.class = None;
        assert_eq!(back, [expected]);
    }

    #[test]
    fn equal_rows_give_equal_bytes() {
        let rows = [row(4, Outcome::Pass)];
        assert_eq!(encode(&rows).unwrap(), encode(&rows).unwrap());
    }

    #[test]
    fn bytes_that_are_no_table_are_refused() {
        assert!(decode(Bytes::from_static(b"not parquet")).is_err());
    }
}
