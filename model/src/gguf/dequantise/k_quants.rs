//! The K formats: 256 values, in groups of 16 or 32 whose scales are themselves small integers times a half-precision
//! scale. Value `i` lies in 32-byte stretches by bit planes; the comments at each function give the block's parts in order.

use super::half_at;

const VALUES: usize = 256;

/// 16 bytes of scales and least values (4 bits each), 64 bytes of 2-bit values, scale, scale of least values.
pub(super) fn q2(block: &[u8], out: &mut [f32]) {
    let (groups, values) = (&block[..16], &block[16..80]);
    let (scale, least) = (half_at(block, 80), half_at(block, 82));
    for i in 0..VALUES {
        let group = groups[i / 16];
        let value = plane(values, i, 2) & 3;
        out[i] = scale * f32::from(group & 15) * f32::from(value) - least * f32::from(group >> 4);
    }
}

/// 32 bytes of third bits, 64 bytes of lower bits, 12 bytes of 6-bit scales, scale. A third bit of 0 means minus 4.
pub(super) fn q3(block: &[u8], out: &mut [f32]) {
    let (high, low, packed) = (&block[..32], &block[32..96], &block[96..108]);
    let scale = half_at(block, 108);
    let scales: [f32; 16] = std::array::from_fn(|group| {
        let lower = packed[group % 8] >> (group / 8 * 4) & 15;
        let upper = packed[8 + group % 4] >> (group / 4 * 2) & 3;
        scale * (f32::from(lower | upper << 4) - 32.0)
    });
    for i in 0..VALUES {
        let third = high[i % 32] >> (i / 32) & 1;
        let value = f32::from(plane(low, i, 2) & 3) - if third == 0 { 4.0 } else { 0.0 };
        out[i] = scales[i / 16] * value;
    }
}

/// Scale, scale of least values, 12 bytes of 6-bit pairs, 128 bytes of 4-bit values.
pub(super) fn q4(block: &[u8], out: &mut [f32]) {
    let pairs = scales_and_least(block);
    let values = &block[16..144];
    for i in 0..VALUES {
        let (scale, least) = pairs[i / 32];
        out[i] = scale * f32::from(plane(values, i, 4) & 15) - least;
    }
}

/// As [`q4`], with 32 bytes of fifth bits before the values.
pub(super) fn q5(block: &[u8], out: &mut [f32]) {
    let pairs = scales_and_least(block);
    let (high, values) = (&block[16..48], &block[48..176]);
    for i in 0..VALUES {
        let (scale, least) = pairs[i / 32];
        let fifth = (high[i % 32] >> (i / 32) & 1) << 4;
        out[i] = scale * f32::from(plane(values, i, 4) & 15 | fifth) - least;
    }
}

/// 128 bytes of lower 4 bits (in stretches of 64), 64 bytes of upper 2 bits, 16 scales of 8 bits, scale.
pub(super) fn q6(block: &[u8], out: &mut [f32]) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let scale = half_at(block, 208);
    for i in 0..VALUES {
        let lower = low[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
        let upper = plane(high, i, 2) & 3;
        let value = f32::from(lower | upper << 4) - 32.0;
        out[i] = scale * f32::from(i8::from_le_bytes([scales[i / 16]])) * value;
    }
}

/// The byte that holds value `i`, shifted so that it is lowest: stretches of 32 bytes, in each first all values of the
/// lowest `bits`, then of the next.
fn plane(bytes: &[u8], i: usize, bits: usize) -> u8 {
    let planes = 8 / bits;
    bytes[i / (32 * planes) * 32 + i % 32] >> (i / 32 % planes * bits)
}

/// Scale and least value of the eight groups of 32, multiplied out; 6 bits each, packed into bytes 4 to 15.
fn scales_and_least(block: &[u8]) -> [(f32, f32); 8] {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    let packed = &block[4..16];
    std::array::from_fn(|group| {
        let lane = group % 4;
        let (first, second, rest) = (packed[lane], packed[4 + lane], packed[8 + lane]);
        let (s, m) = match group {
            0..4 => (first & 63, second & 63),
            _ => (rest & 15 | first >> 2 & 48, rest >> 4 | second >> 2 & 48),
        };
        (scale * f32::from(s), least * f32::from(m))
    })
}
