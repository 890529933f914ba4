//! Tables of search trees: Parquet, one row a node, columns named as the fields of [`TreeNode`]; a verdict is spread over columns that
//! are null where there is none.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `job`, `tree`, `task_set`, `task` | utf8 | where it comes from; `tree` is task set and task |
//! | `policy` | utf8 | checkpoint digest, 64 hexadecimal digits |
//! | `node` | uint32 | number within the tree, the root 0 |
//! | `parent` | uint32, null: the root | parent's number, lower than the node's |
//! | `depth` | uint32 | steps from the root |
//! | `part` | utf8 | `step`, `aside` or `shown` |
//! | `guidance` | utf8, null: none | what the policy was shown before it wrote the node; absent in older tables |
//! | `guidance_tokens` | list of uint32 | its tokens, which stand before the node's own; absent in older tables |
//! | `tokens` | list of uint32 | what the node adds; of the root the prompt |
//! | `prefix_len` | uint32 | of the root: tokens that are the few-shot prefix |
//! | `log_probs` | list of float32 | of sampled tokens, natural, at temperature 1 |
//! | `text` | utf8 | the tokens decoded |
//! | `turn` | utf8, null: none | JSON: what an environment made of the action; absent in older tables |
//! | `end` | utf8, null: none | `answered`, `killed`, `cut`, `empty` or `failed` |
//! | `closed`, `found` | bool | nothing left to try; a trajectory ends here |
//! | `visits`, `sum`, `q` | float64 | N, W, Q |
//! | `own` | float64, null: none | value of the node itself |
//! | `outcome`, `reason`, `verifier` | utf8, null: not judged | verdict of an answer; of the root `suspect` if the tree is not believed |
//! | `verdict_score`, `confidence` | float32, null | what the verdict says beyond the outcome |
//! | `class` | uint32, null: none | the class that the verdict tells apart; absent in older tables |
//! | `cost` | uint64, null | tokens sampled to decide it |
//! | `score_by`, `score_value` | list of utf8, of float32 | what each evaluator gave |
//! | `errors`, `asked`, `again`, `batch` | uint32 | see [`TreeNode`] |

use std::fs::File;
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float32Array, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use galapagos_domain::trajectory::{Score, Verdict};
use galapagos_domain::tree::{Guidance, NodeEnd, NodePart, TreeNode, TreeTurn};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::Error;
use crate::trajectories::{Cause, list, lists, outcome_name, outcome_of, typed_column};

/// Nodes that are read at once.
const READ_NODES: usize = 256;

/// The key of a note in a table's metadata.
const NOTE: &str = "galapagos.note";

/// Columns that may hold null.
const NULLABLE: [&str; 12] = [
    "class",
    "parent",
    "guidance",
    "turn",
    "end",
    "own",
    "outcome",
    "reason",
    "verifier",
    "verdict_score",
    "confidence",
    "cost",
];

/// Encodes nodes as one Parquet file, with a note for whoever goes on from there. Equal nodes give equal bytes.
///
/// # Errors
/// [`Error::Table`] if the writer refuses.
pub fn encode(nodes: &[TreeNode], note: Option<&str>) -> Result<Bytes, Error> {
    write(nodes, note).map_err(|source| Error::Table { what: "encode", source })
}

/// Decodes a file made by [`encode`]: the nodes and the note.
///
/// # Errors
/// [`Error::Table`] if the bytes are not such a file; the cause names the column.
pub fn decode(bytes: Bytes) -> Result<(Vec<TreeNode>, Option<String>), Error> {
    read(bytes).map_err(|source| Error::Table { what: "decode", source })
}

/// The trees of a file, one at a time, in order: runs of nodes of the same job and tree.
#[derive(Debug)]
pub struct Reader {
    batches: ParquetRecordBatchReader,
    /// Last node first.
    read: Vec<TreeNode>,
}

impl Reader {
    /// Opens a file made by [`encode`].
    ///
    /// # Errors
    /// [`Error::Table`] if it is no such file.
    pub fn open(file: File) -> Result<Self, Error> {
        let open = || -> Result<_, Cause> {
            Ok(ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(READ_NODES).build()?)
        };
        let batches = open().map_err(|source| Error::Table { what: "decode", source })?;
        Ok(Self { batches, read: Vec::new() })
    }

    fn fill(&mut self) -> Result<bool, Cause> {
        let Some(batch) = self.batches.next() else { return Ok(false) };
        let batch = batch?;
        let nodes: Result<Vec<_>, _> = (0..batch.num_rows()).map(|row| Row { batch: &batch, row }.node()).collect();
        self.read = nodes?;
        self.read.reverse();
        Ok(true)
    }

    fn tree(&mut self) -> Result<Option<Vec<TreeNode>>, Cause> {
        let mut tree: Vec<TreeNode> = Vec::new();
        loop {
            if self.read.is_empty() && !self.fill()? {
                return Ok((!tree.is_empty()).then_some(tree));
            }
            while let Some(node) = self.read.pop() {
                if tree.first().is_some_and(|first| (&first.job, &first.tree) != (&node.job, &node.tree)) {
                    self.read.push(node);
                    return Ok(Some(tree));
                }
                tree.push(node);
            }
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Vec<TreeNode>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.tree().map_err(|source| Error::Table { what: "decode", source }).transpose()
    }
}

fn write(nodes: &[TreeNode], note: Option<&str>) -> Result<Bytes, Cause> {
    let columns: Vec<_> = places(nodes).into_iter().chain(values(nodes)).collect();
    let field =
        |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), NULLABLE.contains(name));
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect())?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by("galapagos".to_owned())
        .set_key_value_metadata(note.map(|note| vec![KeyValue::new(NOTE.to_owned(), note.to_owned())]))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    Ok(Bytes::from(writer.into_inner()?))
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn texts<'a>(nodes: &'a [TreeNode], of: impl Fn(&'a TreeNode) -> Option<String>) -> ArrayRef {
    Arc::new(nodes.iter().map(of).collect::<StringArray>())
}

fn wholes(nodes: &[TreeNode], of: impl Fn(&TreeNode) -> u32) -> ArrayRef {
    Arc::new(UInt32Array::from_iter_values(nodes.iter().map(of)))
}

/// Where a node stands and what it adds.
fn places(nodes: &[TreeNode]) -> Columns {
    vec![
        ("job", texts(nodes, |n| Some(n.job.to_string()))),
        ("tree", texts(nodes, |n| Some(n.tree.clone()))),
        ("task_set", texts(nodes, |n| Some(n.task_set.to_string()))),
        ("task", texts(nodes, |n| Some(n.task.clone()))),
        ("policy", texts(nodes, |n| Some(n.policy.hex()))),
        ("node", wholes(nodes, |n| n.node)),
        ("parent", Arc::new(nodes.iter().map(|n| n.parent).collect::<UInt32Array>())),
        ("depth", wholes(nodes, |n| n.depth)),
        ("part", texts(nodes, |n| Some(part_name(n.part).to_owned()))),
        ("guidance", texts(nodes, |n| n.guidance.as_ref().map(|shown| shown.text.clone()))),
        (
            "guidance_tokens",
            lists::<UInt32Type, _>(nodes, |n| n.guidance.as_ref().map_or(&[][..], |shown| shown.tokens.as_slice())),
        ),
        ("tokens", lists::<UInt32Type, _>(nodes, |n| &n.tokens)),
        ("prefix_len", wholes(nodes, |n| n.prefix_len)),
        ("log_probs", lists::<Float32Type, _>(nodes, |n| &n.log_probs)),
        ("text", texts(nodes, |n| Some(n.text.clone()))),
        ("turn", texts(nodes, |n| n.turn.as_ref().and_then(|turn| serde_json::to_string(turn).ok()))),
        ("end", texts(nodes, |n| n.end.map(|end| end_name(end).to_owned()))),
    ]
}

/// What is known of a node.
fn values(nodes: &[TreeNode]) -> Columns {
    let item = |kind| Field::new("item", kind, false);
    let mut by = ListBuilder::new(StringBuilder::new()).with_field(item(DataType::Utf8));
    let mut value = ListBuilder::new(Float32Builder::new()).with_field(item(DataType::Float32));
    for node in nodes {
        for score in &node.scores {
            by.values().append_value(&score.by);
            value.values().append_value(score.value);
        }
        by.append(true);
        value.append(true);
    }
    let floats =
        |of: fn(&TreeNode) -> f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values(nodes.iter().map(of))) };
    let flags = |of: fn(&TreeNode) -> bool| -> ArrayRef {
        Arc::new(nodes.iter().map(|n| Some(of(n))).collect::<BooleanArray>())
    };
    let verdicts = || nodes.iter().map(|n| n.verdict.as_ref());
    vec![
        ("closed", flags(|n| n.closed)),
        ("found", flags(|n| n.found)),
        ("visits", floats(|n| n.visits)),
        ("sum", floats(|n| n.sum)),
        ("q", floats(|n| n.q)),
        ("own", Arc::new(nodes.iter().map(|n| n.own).collect::<Float64Array>())),
        ("outcome", texts(nodes, |n| n.verdict.as_ref().map(|v| outcome_name(v.outcome).to_owned()))),
        ("reason", texts(nodes, |n| n.verdict.as_ref().map(|v| v.reason.clone()))),
        ("verifier", texts(nodes, |n| n.verdict.as_ref().map(|v| v.verifier.clone()))),
        ("verdict_score", Arc::new(verdicts().map(|v| v.and_then(|v| v.score)).collect::<Float32Array>())),
        ("confidence", Arc::new(verdicts().map(|v| v.and_then(|v| v.confidence)).collect::<Float32Array>())),
        ("class", Arc::new(verdicts().map(|v| v.and_then(|v| v.class)).collect::<UInt32Array>())),
        ("cost", Arc::new(verdicts().map(|v| v.map(|v| v.cost)).collect::<UInt64Array>())),
        ("score_by", Arc::new(by.finish())),
        ("score_value", Arc::new(value.finish())),
        ("errors", wholes(nodes, |n| n.errors)),
        ("asked", wholes(nodes, |n| n.asked)),
        ("again", wholes(nodes, |n| n.again)),
        ("batch", wholes(nodes, |n| n.batch)),
    ]
}

fn part_name(part: NodePart) -> &'static str {
    NodePart::NAMES.iter().find(|(known, _)| *known == part).map_or("", |(_, name)| name)
}

fn end_name(end: NodeEnd) -> &'static str {
    NodeEnd::NAMES.iter().find(|(known, _)| *known == end).map_or("", |(_, name)| name)
}

fn read(bytes: Bytes) -> Result<(Vec<TreeNode>, Option<String>), Cause> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let metadata = reader.metadata().file_metadata().key_value_metadata();
    let note = metadata.and_then(|pairs| pairs.iter().find(|pair| pair.key == NOTE)?.value.clone());
    let mut nodes = Vec::new();
    for batch in reader.build()? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            nodes.push(Row { batch: &batch, row }.node()?);
        }
    }
    Ok((nodes, note))
}

struct Row<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

impl Row<'_> {
    fn maybe_text(&self, name: &str) -> Result<Option<String>, Cause> {
        let column = typed_column(self.batch, name, &DataType::Utf8)?.as_string::<i32>();
        Ok(column.is_valid(self.row).then(|| column.value(self.row).to_owned()))
    }

    fn text(&self, name: &str) -> Result<String, Cause> {
        self.maybe_text(name)?.ok_or_else(|| format!("the column `{name}` is null").into())
    }

    fn maybe_whole(&self, name: &str) -> Result<Option<u32>, Cause> {
        let column = typed_column(self.batch, name, &DataType::UInt32)?.as_primitive::<UInt32Type>();
        Ok(column.is_valid(self.row).then(|| column.value(self.row)))
    }

    fn whole(&self, name: &str) -> Result<u32, Cause> {
        self.maybe_whole(name)?.ok_or_else(|| format!("the column `{name}` is null").into())
    }

    fn maybe_float(&self, name: &str) -> Result<Option<f64>, Cause> {
        let column = typed_column(self.batch, name, &DataType::Float64)?.as_primitive::<Float64Type>();
        Ok(column.is_valid(self.row).then(|| column.value(self.row)))
    }

    fn float(&self, name: &str) -> Result<f64, Cause> {
        self.maybe_float(name)?.ok_or_else(|| format!("the column `{name}` is null").into())
    }

    fn flag(&self, name: &str) -> Result<bool, Cause> {
        Ok(typed_column(self.batch, name, &DataType::Boolean)?.as_boolean().value(self.row))
    }

    fn verdict(&self) -> Result<Option<Verdict>, Cause> {
        let Some(outcome) = self.maybe_text("outcome")? else { return Ok(None) };
        let small = |name: &str| -> Result<Option<f32>, Cause> {
            let column = typed_column(self.batch, name, &DataType::Float32)?.as_primitive::<Float32Type>();
            Ok(column.is_valid(self.row).then(|| column.value(self.row)))
        };
        let cost = typed_column(self.batch, "cost", &DataType::UInt64)?.as_primitive::<UInt64Type>();
        Ok(Some(Verdict {
            score: small("verdict_score")?,
            confidence: small("confidence")?,
            cost: cost.value(self.row),
            class: self.class()?,
            ..Verdict::new(outcome_of(&outcome)?, self.text("reason")?).by(self.text("verifier")?)
        }))
    }

    /// Older tables have no such column.
    fn class(&self) -> Result<Option<u32>, Cause> {
        if self.batch.column_by_name("class").is_none() { Ok(None) } else { self.maybe_whole("class") }
    }

    /// Older tables have no such columns.
    fn guidance(&self) -> Result<Option<Guidance>, Cause> {
        if self.batch.column_by_name("guidance").is_none() {
            return Ok(None);
        }
        let Some(text) = self.maybe_text("guidance")? else { return Ok(None) };
        Ok(Some(Guidance { text, tokens: list::<UInt32Type>(self.batch, "guidance_tokens", self.row)? }))
    }

    /// Older tables have no such column.
    fn turn(&self) -> Result<Option<TreeTurn>, Cause> {
        if self.batch.column_by_name("turn").is_none() {
            return Ok(None);
        }
        let Some(text) = self.maybe_text("turn")? else { return Ok(None) };
        Ok(Some(serde_json::from_str(&text).map_err(|error| format!("the column `turn` holds `{text}`: {error}"))?))
    }

    fn scores(&self) -> Result<Vec<Score>, Cause> {
        let item = Arc::new(Field::new("item", DataType::Utf8, false));
        let by = typed_column(self.batch, "score_by", &DataType::List(item))?.as_list::<i32>().value(self.row);
        let values = list::<Float32Type>(self.batch, "score_value", self.row)?;
        if by.len() != values.len() {
            return Err("the columns `score_by` and `score_value` are of unequal length".into());
        }
        let by = by.as_string::<i32>();
        Ok(values.into_iter().enumerate().map(|(i, value)| Score { by: by.value(i).to_owned(), value }).collect())
    }

    fn node(&self) -> Result<TreeNode, Cause> {
        let part = self.text("part")?;
        let known = NodePart::NAMES.iter().find(|(_, name)| *name == part);
        let (part, _) = known.ok_or_else(|| format!("the column `part` holds `{part}`"))?;
        let end = |name: String| -> Result<NodeEnd, Cause> {
            let known = NodeEnd::NAMES.iter().find(|(_, known)| *known == name);
            Ok(known.ok_or_else(|| format!("the column `end` holds `{name}`"))?.0)
        };
        Ok(TreeNode {
            job: self.text("job")?.parse()?,
            tree: self.text("tree")?,
            task_set: self.text("task_set")?.parse()?,
            task: self.text("task")?,
            policy: self.text("policy")?.parse()?,
            node: self.whole("node")?,
            parent: self.maybe_whole("parent")?,
            depth: self.whole("depth")?,
            part: *part,
            guidance: self.guidance()?,
            tokens: list::<UInt32Type>(self.batch, "tokens", self.row)?,
            prefix_len: self.whole("prefix_len")?,
            log_probs: list::<Float32Type>(self.batch, "log_probs", self.row)?,
            text: self.text("text")?,
            turn: self.turn()?,
            end: self.maybe_text("end")?.map(end).transpose()?,
            closed: self.flag("closed")?,
            found: self.flag("found")?,
            visits: self.float("visits")?,
            sum: self.float("sum")?,
            q: self.float("q")?,
            own: self.maybe_float("own")?,
            verdict: self.verdict()?,
            scores: self.scores()?,
            errors: self.whole("errors")?,
            asked: self.whole("asked")?,
            again: self.whole("again")?,
            batch: self.whole("batch")?,
        })
    }
}

#[cfg(test)]
mod tests;
