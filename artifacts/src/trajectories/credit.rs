//! The columns of [`Credit`]: what operators and environments said of a row. Spans are parallel lists, so that any reader can
//! unnest them.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float32Builder, ListBuilder, UInt32Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float32Array, ListArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field};
use galapagos_domain::trajectory::{Credit, Side, Span, Trajectory};

use super::{Cause, typed_column};

/// Columns that may hold null.
pub(super) const NULLABLE: [&str; 3] = ["reward", "pair", "chosen"];

pub(super) fn columns(rows: &[Trajectory]) -> Vec<(&'static str, ArrayRef)> {
    let sides = || rows.iter().map(|row| row.credit.pair.as_ref());
    let numbers = |of: fn(&Span) -> u32| {
        let mut lists = ListBuilder::new(UInt32Builder::new()).with_field(item(DataType::UInt32, false));
        fill(&mut lists, rows, |values, span| values.append_value(of(span)))
    };
    let mut learn = ListBuilder::new(BooleanBuilder::new()).with_field(item(DataType::Boolean, false));
    let mut value = ListBuilder::new(Float32Builder::new()).with_field(item(DataType::Float32, true));
    let mut class = ListBuilder::new(UInt32Builder::new()).with_field(item(DataType::UInt32, true));
    vec![
        ("reward", Arc::new(rows.iter().map(|row| row.credit.reward).collect::<Float32Array>())),
        ("weight", Arc::new(Float32Array::from_iter_values(rows.iter().map(|row| row.credit.weight)))),
        ("span_start", numbers(|span| span.start)),
        ("span_end", numbers(|span| span.end)),
        ("span_learn", fill(&mut learn, rows, |values, span| values.append_value(span.learn))),
        ("span_value", fill(&mut value, rows, |values, span| values.append_option(span.value))),
        ("span_class", fill(&mut class, rows, |values, span| values.append_option(span.class))),
        ("pair", Arc::new(sides().map(|side| side.map(|side| side.pair.as_str())).collect::<StringArray>())),
        ("chosen", Arc::new(sides().map(|side| side.map(|side| side.chosen)).collect::<BooleanArray>())),
        ("greedy", Arc::new(rows.iter().map(|row| Some(row.credit.greedy)).collect::<BooleanArray>())),
    ]
}

fn item(kind: DataType, nullable: bool) -> Field {
    Field::new("item", kind, nullable)
}

fn fill<B: arrow_array::builder::ArrayBuilder>(
    lists: &mut ListBuilder<B>,
    rows: &[Trajectory],
    append: impl Fn(&mut B, &Span),
) -> ArrayRef {
    for row in rows {
        for span in &row.credit.spans {
            append(lists.values(), span);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

/// One credit for each row.
pub(super) fn read(batch: &RecordBatch) -> Result<Vec<Credit>, Cause> {
    if batch.column_by_name("reward").is_none() {
        return Ok(vec![Credit::default(); batch.num_rows()]);
    }
    let reward = typed_column(batch, "reward", &DataType::Float32)?.as_primitive::<Float32Type>();
    let weight = typed_column(batch, "weight", &DataType::Float32)?.as_primitive::<Float32Type>();
    let pair = typed_column(batch, "pair", &DataType::Utf8)?.as_string::<i32>();
    let chosen = typed_column(batch, "chosen", &DataType::Boolean)?.as_boolean();
    // Older tables have no such column.
    let greedy = match batch.column_by_name("greedy") {
        Some(_) => Some(typed_column(batch, "greedy", &DataType::Boolean)?.as_boolean()),
        None => None,
    };
    let spans = Spans::of(batch)?;
    let credit = |row: usize| {
        let pair = match (pair.is_valid(row), chosen.is_valid(row)) {
            (true, true) => Some(Side { pair: pair.value(row).to_owned(), chosen: chosen.value(row) }),
            (false, false) => None,
            _ => return Err(format!("row {row} has one of `pair` and `chosen` without the other").into()),
        };
        let reward = reward.is_valid(row).then(|| reward.value(row));
        Ok(Credit {
            reward,
            weight: weight.value(row),
            spans: spans.at(row)?,
            pair,
            greedy: greedy.is_some_and(|greedy| greedy.value(row)),
        })
    };
    (0..batch.num_rows()).map(credit).collect()
}

struct Spans<'a> {
    start: &'a ListArray,
    end: &'a ListArray,
    learn: &'a ListArray,
    value: &'a ListArray,
    class: &'a ListArray,
}

impl<'a> Spans<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, Cause> {
        let lists = |name: &str, kind: DataType, nullable: bool| -> Result<&'a ListArray, Cause> {
            Ok(typed_column(batch, name, &DataType::List(Arc::new(item(kind, nullable))))?.as_list::<i32>())
        };
        Ok(Self {
            start: lists("span_start", DataType::UInt32, false)?,
            end: lists("span_end", DataType::UInt32, false)?,
            learn: lists("span_learn", DataType::Boolean, false)?,
            value: lists("span_value", DataType::Float32, true)?,
            class: lists("span_class", DataType::UInt32, true)?,
        })
    }

    fn at(&self, row: usize) -> Result<Vec<Span>, Cause> {
        let [start, end, learn, value, class] =
            [self.start, self.end, self.learn, self.value, self.class].map(|lists| lists.value(row));
        let length = start.len();
        if [end.len(), learn.len(), value.len(), class.len()] != [length; 4] {
            return Err(format!("the span columns of row {row} are of unequal length").into());
        }
        let (start, end) = (start.as_primitive::<UInt32Type>(), end.as_primitive::<UInt32Type>());
        let (value, class) = (value.as_primitive::<Float32Type>(), class.as_primitive::<UInt32Type>());
        let learn = learn.as_boolean();
        let span = |i: usize| Span {
            start: start.value(i),
            end: end.value(i),
            learn: learn.value(i),
            value: value.is_valid(i).then(|| value.value(i)),
            class: class.is_valid(i).then(|| class.value(i)),
        };
        Ok((0..length).map(span).collect())
    }
}
