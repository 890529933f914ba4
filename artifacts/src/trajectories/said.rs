//! The columns of what verifiers said beyond outcome and reason, and of the place in a search tree.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, Float32Array, ListArray, PrimitiveArray, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field};
use galapagos_domain::trajectory::{Leaf, Score, Trajectory, Verdict};

use super::{Cause, typed_column};

/// Columns that may hold null.
pub(super) const NULLABLE: [&str; 5] = ["score", "confidence", "tree", "node", "class"];

pub(super) fn columns(rows: &[Trajectory]) -> Vec<(&'static str, ArrayRef)> {
    let mut by = ListBuilder::new(StringBuilder::new()).with_field(item(DataType::Utf8));
    let mut value = ListBuilder::new(Float32Builder::new()).with_field(item(DataType::Float32));
    for row in rows {
        for score in &row.scores {
            by.values().append_value(&score.by);
            value.values().append_value(score.value);
        }
        by.append(true);
        value.append(true);
    }
    let verdicts = || rows.iter().map(|row| &row.verdict);
    let leaves = || rows.iter().map(|row| row.leaf.as_ref());
    vec![
        ("score", Arc::new(verdicts().map(|verdict| verdict.score).collect::<Float32Array>())),
        ("confidence", Arc::new(verdicts().map(|verdict| verdict.confidence).collect::<Float32Array>())),
        ("cost", Arc::new(UInt64Array::from_iter_values(verdicts().map(|verdict| verdict.cost)))),
        ("verifier", Arc::new(StringArray::from_iter_values(verdicts().map(|verdict| verdict.verifier.as_str())))),
        ("score_by", Arc::new(by.finish())),
        ("score_value", Arc::new(value.finish())),
        ("tree", Arc::new(leaves().map(|leaf| leaf.map(|leaf| leaf.tree.as_str())).collect::<StringArray>())),
        ("node", Arc::new(leaves().map(|leaf| leaf.map(|leaf| leaf.node)).collect::<UInt32Array>())),
        ("class", Arc::new(verdicts().map(|verdict| verdict.class).collect::<UInt32Array>())),
    ]
}

fn item(kind: DataType) -> Field {
    Field::new("item", kind, false)
}

/// The columns of a batch; `None` for a file from before there were any.
pub(super) struct Columns<'a>(Option<Said<'a>>);

struct Said<'a> {
    score: &'a Float32Array,
    confidence: &'a Float32Array,
    cost: &'a UInt64Array,
    verifier: &'a StringArray,
    by: &'a ListArray,
    value: &'a ListArray,
    tree: &'a StringArray,
    node: &'a UInt32Array,
    /// Older tables have no such column.
    class: Option<&'a UInt32Array>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Self, Cause> {
        if batch.column_by_name("score").is_none() {
            return Ok(Self(None));
        }
        let floats = |name: &str| -> Result<&'a PrimitiveArray<Float32Type>, Cause> {
            Ok(typed_column(batch, name, &DataType::Float32)?.as_primitive())
        };
        let texts = |name: &str| -> Result<&'a StringArray, Cause> {
            Ok(typed_column(batch, name, &DataType::Utf8)?.as_string::<i32>())
        };
        let lists = |name: &str, kind: DataType| -> Result<&'a ListArray, Cause> {
            Ok(typed_column(batch, name, &DataType::List(Arc::new(item(kind))))?.as_list::<i32>())
        };
        let wholes = |name: &str| -> Result<&'a UInt32Array, Cause> {
            Ok(typed_column(batch, name, &DataType::UInt32)?.as_primitive::<UInt32Type>())
        };
        Ok(Self(Some(Said {
            score: floats("score")?,
            confidence: floats("confidence")?,
            cost: typed_column(batch, "cost", &DataType::UInt64)?.as_primitive::<UInt64Type>(),
            verifier: texts("verifier")?,
            by: lists("score_by", DataType::Utf8)?,
            value: lists("score_value", DataType::Float32)?,
            tree: texts("tree")?,
            node: wholes("node")?,
            class: batch.column_by_name("class").is_some().then(|| wholes("class")).transpose()?,
        })))
    }

    /// `plain` with what the row says beside it.
    pub(super) fn verdict(&self, row: usize, plain: Verdict) -> Verdict {
        let Some(said) = &self.0 else { return plain };
        let number = |column: &Float32Array| column.is_valid(row).then(|| column.value(row));
        Verdict {
            score: number(said.score),
            confidence: number(said.confidence),
            cost: said.cost.value(row),
            class: said.class.filter(|class| class.is_valid(row)).map(|class| class.value(row)),
            ..plain.by(said.verifier.value(row))
        }
    }

    pub(super) fn scores(&self, row: usize) -> Result<Vec<Score>, Cause> {
        let Some(said) = &self.0 else { return Ok(Vec::new()) };
        let (by, value) = (said.by.value(row), said.value.value(row));
        if by.len() != value.len() {
            return Err(format!("the columns `score_by` and `score_value` of row {row} are of unequal length").into());
        }
        let (by, value) = (by.as_string::<i32>(), value.as_primitive::<Float32Type>());
        Ok((0..by.len()).map(|i| Score { by: by.value(i).to_owned(), value: value.value(i) }).collect())
    }

    pub(super) fn leaf(&self, row: usize) -> Result<Option<Leaf>, Cause> {
        let Some(said) = &self.0 else { return Ok(None) };
        match (said.tree.is_valid(row), said.node.is_valid(row)) {
            (true, true) => Ok(Some(Leaf { tree: said.tree.value(row).to_owned(), node: said.node.value(row) })),
            (false, false) => Ok(None),
            _ => Err(format!("row {row} has one of `tree` and `node` without the other").into()),
        }
    }
}
