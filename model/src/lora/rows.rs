//! Adapters in a forward: which rows of a pass have which adapter, and what that adds to a product's output.
//!
//! One definition for all: `out[rows of a] += scale_a * (x[rows of a] A_a^T) B_a^T`. In training and on other devices it runs on
//! libtorch tensors, in inference on the CPU as one kernel call for all adapters of the pass. A row's result depends neither on
//! the other rows nor on the other adapters, bit for bit in the kernel.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use galapagos_kernels::{Format, LowRank, LowRankPart, LowRankRows, Pool, add_low_rank};
use tch::{Device, Kind, TchError, Tensor};

use super::targets::products;
use super::{Adapter, AdapterError, LowRankUpdate};
use crate::blocks::linear::Part;
use crate::family::plan::LinearPlan;
use crate::profile::{Phase, phase};
use crate::tensors::{f32s, f32s_mut};
use crate::weights::tensor_error;
use crate::{ModelConfig, family};

/// An adapter in the form in which a forward applies it.
#[derive(Debug)]
pub(crate) struct AppliedAdapter(Form);

#[derive(Debug)]
enum Form {
    /// By module.
    Tensors(HashMap<String, LowRankUpdate>),
    /// By the first module of a product of a model made for inference.
    Packed { products: HashMap<String, LowRank>, pool: Arc<Pool> },
}

/// Consecutive rows with one adapter.
#[derive(Clone, Debug)]
pub(crate) struct AdapterRange<'a> {
    pub(crate) rows: Range<usize>,
    pub(crate) adapter: &'a AppliedAdapter,
}

/// Which rows of a pass have which adapter: ranges that ascend and do not overlap. The other rows have none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AdapterRows<'a>(pub(crate) &'a [AdapterRange<'a>]);

impl AppliedAdapter {
    /// Second handles on the adapter's weights: gradients flow to those that are trainable.
    ///
    /// # Errors
    /// [`AdapterError`] when the adapter is not one of this base.
    pub(crate) fn shared(adapter: &Adapter, base: &ModelConfig) -> Result<Self, AdapterError> {
        adapter.check_base(base)?;
        let share = |(module, update): (&String, &LowRankUpdate)| (module.clone(), update.share());
        Ok(Self(Form::Tensors(adapter.updates.iter().map(share).collect())))
    }

    /// A copy in format `kind` on `device`, for inference with libtorch's operators.
    ///
    /// # Errors
    /// [`AdapterError`] when the adapter is not one of this base, or libtorch fails.
    pub(crate) fn copied(
        adapter: &Adapter,
        base: &ModelConfig,
        (kind, device): (Kind, Device),
    ) -> Result<Self, AdapterError> {
        adapter.check_base(base)?;
        let copy = |(module, update): (&String, &LowRankUpdate)| {
            let copy = update.copy_to(kind, device).map_err(|source| failed(module, source))?;
            Ok((module.clone(), copy))
        };
        Ok(Self(Form::Tensors(adapter.updates.iter().map(copy).collect::<Result<_, AdapterError>>()?)))
    }

    /// A copy in `format` for inference with the kernels, which `pool` runs.
    ///
    /// # Errors
    /// As [`AppliedAdapter::copied`].
    pub(crate) fn packed(
        adapter: &Adapter,
        base: &ModelConfig,
        format: Format,
        pool: &Arc<Pool>,
    ) -> Result<Self, AdapterError> {
        adapter.check_base(base)?;
        let mut packed = HashMap::new();
        for plans in family::plan(base).layers.iter().flat_map(products) {
            let Some(first) = plans.first() else { continue };
            if let Some(update) = pack(adapter, &plans, format).map_err(|source| failed(&first.module, source))? {
                packed.insert(first.module.clone(), update);
            }
        }
        Ok(Self(Form::Packed { products: packed, pool: Arc::clone(pool) }))
    }
}

fn failed(module: &str, source: TchError) -> AdapterError {
    AdapterError::Weights { place: "the adapter".to_owned(), source: Box::new(tensor_error("copying", module, source)) }
}

impl AppliedAdapter {
    fn has(&self, parts: &[Part]) -> bool {
        match &self.0 {
            Form::Tensors(updates) => parts.iter().any(|part| updates.contains_key(&part.module)),
            Form::Packed { products, .. } => parts.first().is_some_and(|part| products.contains_key(&part.module)),
        }
    }
}

/// The updates of the projections of one product, if there is any.
fn pack(adapter: &Adapter, plans: &[&LinearPlan], format: Format) -> Result<Option<LowRank>, TchError> {
    let (mut weights, mut column) = (Vec::new(), 0);
    for plan in plans {
        if let Some(update) = adapter.update(&plan.module) {
            weights.push((update.copy_to(Kind::Float, Device::Cpu)?, column));
        }
        column += plan.outputs;
    }
    let parts = weights.iter().map(|(update, column)| part(update, *column));
    let parts = parts.collect::<Result<Vec<_>, TchError>>()?;
    let inputs = plans.first().map_or(0, |plan| plan.inputs);
    Ok((!parts.is_empty()).then(|| LowRank::pack(inputs, &parts, format)))
}

fn part(update: &LowRankUpdate, column: usize) -> Result<LowRankPart<'_>, TchError> {
    let rank = update.down.size2()?.0 as usize;
    Ok(LowRankPart { down: f32s(&update.down)?, up: f32s(&update.up)?, rank, column, scale: update.scale as f32 })
}

impl AdapterRows<'_> {
    /// Checks that the ranges ascend, do not overlap, and are rows of a pass of that many.
    pub(crate) fn check(&self, rows: usize) -> Result<(), TchError> {
        let mut done = 0;
        for range in self.0.iter().map(|range| &range.rows) {
            if range.start < done || range.end < range.start || range.end > rows {
                return Err(TchError::Shape(format!(
                    "rows {range:?} of an adapter overlap others or exceed {rows} rows"
                )));
            }
            done = range.end;
        }
        Ok(())
    }

    /// Whether an adapter of some row has an update for one of the modules.
    pub(crate) fn have(&self, parts: &[Part]) -> bool {
        self.0.iter().any(|AdapterRange { rows, adapter }| !rows.is_empty() && adapter.has(parts))
    }

    /// `out` [rows, outputs], which nobody else has a handle on, with the updates of the rows' adapters for `x`
    /// [rows, inputs]. `parts` are the modules whose outputs stand side by side; `kind` is the format of products on tensors.
    pub(crate) fn add(&self, parts: &[Part], x: &Tensor, out: Tensor, kind: Kind) -> Result<Tensor, TchError> {
        if self.0.is_empty() {
            return Ok(out);
        }
        phase(Phase::Adapters, || {
            let out = self.add_packed(parts, x, out)?;
            self.add_tensors(parts, x, out, kind)
        })
    }

    fn add_packed(&self, parts: &[Part], x: &Tensor, out: Tensor) -> Result<Tensor, TchError> {
        let Some(product) = parts.first().map(|part| &part.module) else { return Ok(out) };
        let (mut groups, mut threads) = (Vec::new(), None);
        for AdapterRange { rows, adapter } in self.0 {
            let Form::Packed { products, pool } = &adapter.0 else { continue };
            if let Some(update) = products.get(product) {
                groups.push(LowRankRows { rows: rows.clone(), update });
                threads = Some(pool);
            }
        }
        let Some(pool) = threads else { return Ok(out) };
        let (kind, width) = (out.f_kind()?, out.size2()?.1 as usize);
        let x = x.f_to_kind(Kind::Float)?.f_contiguous()?;
        let mut wide = out.f_to_kind(Kind::Float)?.f_contiguous()?;
        drop(out);
        add_low_rank(pool, &groups, f32s(&x)?, width, f32s_mut(&mut wide)?);
        wide.f_to_kind(kind)
    }

    fn add_tensors(&self, parts: &[Part], x: &Tensor, out: Tensor, kind: Kind) -> Result<Tensor, TchError> {
        let total = out.size2()?.0;
        let (mut pieces, mut done) = (Vec::new(), 0);
        for AdapterRange { rows, adapter } in self.0 {
            let Form::Tensors(updates) = &adapter.0 else { continue };
            let (start, count) = (rows.start as i64, rows.len() as i64);
            let Some(delta) = delta(updates, parts, &x.f_narrow(0, start, count)?, kind)? else { continue };
            pieces.push(out.f_narrow(0, done, start - done)?);
            pieces.push(out.f_narrow(0, start, count)?.f_add(&delta)?);
            done = start + count;
        }
        if pieces.is_empty() {
            return Ok(out);
        }
        pieces.push(out.f_narrow(0, done, total - done)?);
        Tensor::f_cat(&pieces, 0)
    }
}

/// The updates of the modules side by side, [rows, outputs], if any module has one.
fn delta(
    updates: &HashMap<String, LowRankUpdate>,
    parts: &[Part],
    x: &Tensor,
    kind: Kind,
) -> Result<Option<Tensor>, TchError> {
    if !parts.iter().any(|part| updates.contains_key(&part.module)) {
        return Ok(None);
    }
    let column = |part: &Part| match updates.get(&part.module) {
        Some(update) => update.apply(x, kind),
        None => Tensor::f_zeros([x.size2()?.0, part.outputs as i64], (kind, x.device())),
    };
    match parts {
        [part] => column(part).map(Some),
        parts => Tensor::f_cat(&parts.iter().map(column).collect::<Result<Vec<_>, _>>()?, -1).map(Some),
    }
}
