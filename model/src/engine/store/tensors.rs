//! Pages as tensors, for devices that have no kernels of ours: the same segments, each gathered and attended to as one masked
//! dense product, joined by the logarithms of their sums.
//!
//! Right on every device; the same bits in every batch only where the device's products are.

use galapagos_kernels::{AttentionSpec, KvFormat, KvGeometry, PAGE_TOKENS, Segment};
use tch::{Device, Kind, TchError, Tensor};

use crate::engine::layout::Layout;
use crate::engine::memory::PageCopy;
use crate::inference::Projected;

/// Per layer keys and values, each [pages x tokens, heads, `head_dim`].
#[derive(Debug)]
pub(in crate::engine) struct TensorPages {
    geometry: KvGeometry,
    device: Device,
    layers: Vec<[Tensor; 2]>,
    pages: usize,
}

/// What rows attended to so far: weighted sums of values [rows, heads, `head_dim`], the greatest scores and the sums of weights
/// relative to those, both [rows, heads].
struct Sums {
    values: Tensor,
    greatest: Tensor,
    weights: Tensor,
}

impl TensorPages {
    pub(in crate::engine) fn new(geometry: KvGeometry, device: Device) -> Self {
        Self { geometry, device, layers: Vec::new(), pages: 0 }
    }

    fn kind(&self) -> Kind {
        match self.geometry.format {
            KvFormat::F32 => Kind::Float,
            KvFormat::Bf16 => Kind::BFloat16,
        }
    }

    /// Makes room for `pages`, at least doubling what there is.
    pub(super) fn grow(&mut self, pages: usize) -> Result<(), TchError> {
        if pages <= self.pages {
            return Ok(());
        }
        let pages = pages.max(self.pages * 2);
        let shape =
            [((pages - self.pages) * PAGE_TOKENS) as i64, self.geometry.heads as i64, self.geometry.head_dim as i64];
        let more = || Tensor::f_zeros(shape, (self.kind(), self.device));
        let grown = (0..self.geometry.layers)
            .map(|layer| match self.layers.get(layer) {
                Some([key, value]) => Ok([Tensor::f_cat(&[key, &more()?], 0)?, Tensor::f_cat(&[value, &more()?], 0)?]),
                None => Ok([more()?, more()?]),
            })
            .collect::<Result<Vec<_>, TchError>>()?;
        (self.layers, self.pages) = (grown, pages);
        Ok(())
    }

    pub(super) fn copy(&mut self, copy: PageCopy) -> Result<(), TchError> {
        let start = |page: u32| i64::from(page) * PAGE_TOKENS as i64;
        for numbers in self.layers.iter().flatten() {
            let from = numbers.f_narrow(0, start(copy.from), copy.tokens as i64)?;
            let mut to = numbers.f_narrow(0, start(copy.to), copy.tokens as i64)?;
            to.f_copy_(&from)?;
        }
        Ok(())
    }

    /// Writes the rows' keys and values and gives [rows, query heads, `head_dim`].
    pub(super) fn attend(
        &mut self,
        layer: usize,
        rows: &Projected,
        spec: &AttentionSpec,
        layout: &Layout,
    ) -> Result<Tensor, TchError> {
        let slots: Vec<i64> =
            layout.slots.iter().map(|at| i64::from(at.page) * PAGE_TOKENS as i64 + i64::from(at.slot)).collect();
        let slots = self.indices(&slots)?;
        let kind = self.kind();
        for (numbers, new) in self.layers[layer].iter_mut().zip([&rows.key, &rows.value]) {
            let _ = numbers.f_index_copy_(0, &slots, &new.f_to_kind(kind)?)?;
        }
        let (count, heads, dim) = rows.query.size3()?;
        let float = (Kind::Float, self.device);
        let mut sums = Sums {
            values: Tensor::f_zeros([count, heads, dim], float)?,
            greatest: Tensor::f_full([count, heads], f64::NEG_INFINITY, float)?,
            weights: Tensor::f_zeros([count, heads], float)?,
        };
        let positions: Vec<i64> = layout.positions.iter().map(|position| i64::from(*position)).collect();
        let positions = self.indices(&positions)?;
        for segment in &layout.segments {
            self.add(layer, segment, (&rows.query, &positions, spec), &mut sums)?;
        }
        sums.values.f_div(&sums.weights.f_unsqueeze(-1)?)
    }

    /// Adds one segment to the sums of its rows.
    fn add(
        &self,
        layer: usize,
        segment: &Segment,
        (query, positions, spec): (&Tensor, &Tensor, &AttentionSpec),
        sums: &mut Sums,
    ) -> Result<(), TchError> {
        let [keys, values] = &self.layers[layer];
        let page = |page: &u32| i64::from(*page) * PAGE_TOKENS as i64..(i64::from(*page) + 1) * PAGE_TOKENS as i64;
        let tokens = self.indices(&segment.pages.iter().flat_map(page).collect::<Vec<_>>())?;
        let rows = self.indices(&segment.rows.iter().map(|row| i64::from(*row)).collect::<Vec<_>>())?;
        // [heads, tokens, dim], in 32-bit floats, each for its group of query heads.
        let gather = |numbers: &Tensor| -> Result<Tensor, TchError> {
            let group = query.size()[1] / numbers.size()[1];
            let numbers = numbers.f_index_select(0, &tokens)?.f_to_kind(Kind::Float)?;
            numbers.f_repeat_interleave_self_int(group, 1, None)?.f_transpose(0, 1)
        };
        let query = query.f_index_select(0, &rows)?.f_transpose(0, 1)?;
        let mut scores = query.f_matmul(&gather(keys)?.f_transpose(1, 2)?)?.f_mul_scalar(f64::from(spec.scale))?;
        if let Some(cap) = spec.soft_cap.map(f64::from) {
            scores = scores.f_div_scalar(cap)?.f_tanh()?.f_mul_scalar(cap)?;
        }
        let (start, end) = (segment.start as i64, (segment.start + segment.pages.len() * PAGE_TOKENS) as i64);
        let columns = Tensor::f_arange_start(start, end, (Kind::Int64, self.device))?.f_unsqueeze(0)?;
        let own = positions.f_index_select(0, &rows)?.f_unsqueeze(1)?;
        let mut hidden = columns.f_gt_tensor(&own)?;
        if let Some(window) = spec.window {
            hidden = hidden.f_logical_or(&columns.f_le_tensor(&own.f_sub_scalar(window as i64)?)?)?;
        }
        let scores = scores.f_masked_fill(&hidden, f64::NEG_INFINITY)?;

        // [rows, heads]
        let before = sums.greatest.f_index_select(0, &rows)?;
        let greatest = scores.f_amax([-1i64].as_slice(), false)?.f_transpose(0, 1)?.f_maximum(&before)?;
        // Rows that see nothing yet have no greatest score; any number serves them.
        let finite = greatest.f_clamp_min(f64::from(f32::MIN))?;
        let weights = scores.f_sub(&finite.f_transpose(0, 1)?.f_unsqueeze(-1)?)?.f_exp()?;
        let shrink = before.f_sub(&finite)?.f_exp()?;
        let mixed = weights.f_matmul(&gather(values)?)?.f_transpose(0, 1)?;
        let total = weights.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)?.f_transpose(0, 1)?;
        let join =
            |old: &Tensor, shrink: &Tensor, new: &Tensor| old.f_index_select(0, &rows)?.f_mul(shrink)?.f_add(new);
        let values = join(&sums.values, &shrink.f_unsqueeze(-1)?, &mixed)?;
        let total = join(&sums.weights, &shrink, &total)?;
        let _ = sums.values.f_index_copy_(0, &rows, &values)?;
        let _ = sums.weights.f_index_copy_(0, &rows, &total)?;
        let _ = sums.greatest.f_index_copy_(0, &rows, &greatest)?;
        Ok(())
    }

    fn indices(&self, values: &[i64]) -> Result<Tensor, TchError> {
        Tensor::f_from_slice(values)?.f_to_device(self.device)
    }
}

#[cfg(test)]
mod tests;
