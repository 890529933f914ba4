//! Values of GGUF's number formats as f32.
//!
//! A block is a run of values that share scales. The arithmetic is that of ggml's reference (one product, one sum, no fused
//! multiply-add), so results agree with it to the bit. Tensors are cut into blocks by the caller, who has checked lengths.

use half::{bf16, f16};

use super::GgmlType;

mod k_quants;
mod simple;

/// The values of `bytes`, whole blocks of `kind`, into `out`, which has room for exactly those.
pub(super) fn dequantise(kind: GgmlType, bytes: &[u8], out: &mut [f32]) {
    debug_assert_eq!(bytes.len() / kind.block_bytes() * kind.block_values(), out.len(), "whole blocks");
    let block: fn(&[u8], &mut [f32]) = match kind {
        GgmlType::F32 => |b, v| v[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        GgmlType::F16 => |b, v| v[0] = half_at(b, 0),
        GgmlType::BF16 => |b, v| v[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32(),
        GgmlType::Q4_0 => simple::q4_0,
        GgmlType::Q4_1 => simple::q4_1,
        GgmlType::Q5_0 => simple::q5_0,
        GgmlType::Q5_1 => simple::q5_1,
        GgmlType::Q8_0 => simple::q8_0,
        GgmlType::Q2K => k_quants::q2,
        GgmlType::Q3K => k_quants::q3,
        GgmlType::Q4K => k_quants::q4,
        GgmlType::Q5K => k_quants::q5,
        GgmlType::Q6K => k_quants::q6,
    };
    let blocks = bytes.chunks_exact(kind.block_bytes());
    for (bytes, values) in blocks.zip(out.chunks_exact_mut(kind.block_values())) {
        block(bytes, values);
    }
}

/// The half-precision number at byte `at`.
fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}
