//! The numbers of keys and values: in the kernels' pages on a CPU, in tensors elsewhere. Who owns which page is decided elsewhere.

mod tensors;

use galapagos_kernels::{AttentionCall, AttentionSpec, KvPages, KvRows, Pool, attention};
use tch::{Device, Kind, TchError, Tensor};

use super::layout::Layout;
use super::memory::PageCopy;
use crate::inference::{Attend, InferenceModel, Projected};
use crate::profile::{Phase, phase};
use crate::tensors::{f32s, new_f32};
use tensors::TensorPages;

/// Pages of keys and values of all layers.
#[derive(Debug)]
pub(super) enum Store {
    /// Attended to by the kernels.
    Kernels(KvPages),
    /// Attended to with libtorch's operators.
    Tensors(TensorPages),
}

impl Store {
    /// A store without pages, for the rows of `model`.
    pub(super) fn new(model: &InferenceModel) -> Self {
        let geometry = model.kv_geometry();
        if model.is_by_kernels() {
            Self::Kernels(KvPages::new(geometry))
        } else {
            Self::Tensors(TensorPages::new(geometry, model.device()))
        }
    }

    /// Makes pages until there are `pages`.
    pub(super) fn grow(&mut self, pages: usize) -> Result<(), TchError> {
        match self {
            Self::Kernels(store) => {
                while store.len() < pages {
                    store.add();
                }
                Ok(())
            }
            Self::Tensors(store) => store.grow(pages),
        }
    }

    /// Copies the beginning of a page, for all layers.
    pub(super) fn copy(&mut self, copy: PageCopy) -> Result<(), TchError> {
        let PageCopy { from, to, tokens } = copy;
        match self {
            Self::Kernels(store) => {
                store.copy(from, to, tokens);
                Ok(())
            }
            Self::Tensors(store) => store.copy(copy),
        }
    }

    /// The attention of a step's rows, which also writes their keys and values here.
    pub(super) fn attention<'a>(&'a mut self, layout: &'a Layout, pool: &'a Pool) -> StepAttention<'a> {
        StepAttention { store: self, layout, pool }
    }
}

/// See [`Store::attention`].
#[derive(Debug)]
pub(super) struct StepAttention<'a> {
    store: &'a mut Store,
    layout: &'a Layout,
    pool: &'a Pool,
}

impl Attend for StepAttention<'_> {
    fn attend(&mut self, layer: usize, rows: &Projected, spec: &AttentionSpec) -> Result<Tensor, TchError> {
        phase(Phase::Attention, || self.compute(layer, rows, spec))
    }
}

impl StepAttention<'_> {
    fn compute(&mut self, layer: usize, rows: &Projected, spec: &AttentionSpec) -> Result<Tensor, TchError> {
        let pages = match self.store {
            Store::Tensors(pages) => return pages.attend(layer, rows, spec, self.layout),
            Store::Kernels(pages) => pages,
        };
        let written = KvRows { slots: &self.layout.slots, key: f32s(&rows.key)?, value: f32s(&rows.value)? };
        pages.write_rows(self.pool, layer, &written);
        let (count, query_heads, dim) = rows.query.size3()?;
        let call = AttentionCall {
            layer,
            query: f32s(&rows.query)?,
            query_heads: query_heads as usize,
            positions: &self.layout.positions,
            segments: &self.layout.segments,
            spec: *spec,
        };
        new_f32(&[count as usize, query_heads as usize, dim as usize], |out| {
            attention::attend(self.pool, pages, &call, out);
            Ok(())
        })
    }
}

/// Numbers of a tensor of any device, as they are on the CPU.
pub(super) fn on_cpu(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()
}
