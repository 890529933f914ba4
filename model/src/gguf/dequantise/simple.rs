//! Formats with one scale for 32 values: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. Byte j of 4-bit values holds value j in its lower
//! half and value j + 16 in its upper half; fifth bits lie in a 32-bit word, bit j for value j.

use super::half_at;

const HALF: usize = 16;

pub(super) fn q4_0(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    for j in 0..HALF {
        let byte = block[2 + j];
        out[j] = scale * (f32::from(byte & 15) - 8.0);
        out[j + HALF] = scale * (f32::from(byte >> 4) - 8.0);
    }
}

pub(super) fn q4_1(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    for j in 0..HALF {
        let byte = block[4 + j];
        out[j] = scale * f32::from(byte & 15) + least;
        out[j + HALF] = scale * f32::from(byte >> 4) + least;
    }
}

pub(super) fn q5_0(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    for (j, value) in five_bits(&block[2..]).into_iter().enumerate() {
        out[j] = scale * (value - 16.0);
    }
}

pub(super) fn q5_1(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    for (j, value) in five_bits(&block[4..]).into_iter().enumerate() {
        out[j] = scale * value + least;
    }
}

/// 32 five-bit values: 4 bytes of fifth bits, then 16 bytes of the lower four.
fn five_bits(bytes: &[u8]) -> [f32; 2 * HALF] {
    let high = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    std::array::from_fn(|j| {
        let byte = bytes[4 + j % HALF];
        let low = if j < HALF { byte & 15 } else { byte >> 4 };
        let fifth = u8::from(high >> j & 1 == 1) << 4;
        f32::from(low | fifth)
    })
}

pub(super) fn q8_0(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    for j in 0..2 * HALF {
        out[j] = f32::from(i8::from_le_bytes([block[2 + j]])) * scale;
    }
}
