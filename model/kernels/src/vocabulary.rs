//! Passes over one row of logits for the choice of a token: what is in it, the exponentials summed, which entries are large.
//!
//! A row is cut into blocks of [`BLOCK`] entries, whose maxima and sums are kept, so that a token is found without sorting
//! the row or writing its probabilities out. The arithmetic is written without fused operations and in a fixed order of
//! additions: the compiler vectorises it, and every CPU gives the same bits. Nothing here draws random numbers.

/// Entries of one block of a row.
pub const BLOCK: usize = 128;
/// Partial sums and maxima of one block: a register of 16 floats, or parts of it on smaller CPUs.
const LANES: usize = 16;

/// What a pass over a row found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scan {
    /// The greatest entry; negative infinity if all are (or there is none).
    pub max: f32,
    /// Whether no entry is NaN or infinite.
    pub finite: bool,
}

/// Runs `$body` compiled for the widest vectors the CPU has.
macro_rules! widest {
    ($name:ident, $body:ident, ($($argument:ident: $kind:ty),*) -> $result:ty) => {
        fn $name($($argument: $kind),*) -> $result {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
                fn on_avx512($($argument: $kind),*) -> $result { $body($($argument),*) }
                #[target_feature(enable = "avx2")]
                fn on_avx2($($argument: $kind),*) -> $result { $body($($argument),*) }
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("avx512dq") {
                    // SAFETY: the CPU has these instructions, as just asked.
                    return unsafe { on_avx512($($argument),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: as above.
                    return unsafe { on_avx2($($argument),*) };
                }
            }
            $body($($argument),*)
        }
    };
}

widest!(scan_blocks, scan_body, (logits: &[f32], maxima: &mut Vec<f32>) -> Scan);
widest!(sum_blocks, sum_body, (logits: &[f32], scale: Scale, sums: &mut Vec<f32>) -> ());
widest!(mask_words, mask_body, (logits: &mut [f32], allowed: &[u32]) -> ());

/// The greatest entry, and into `maxima` (cleared) that of each block. NaN counts as not finite and is no maximum.
pub fn scan(logits: &[f32], maxima: &mut Vec<f32>) -> Scan {
    scan_blocks(logits, maxima)
}

#[inline(always)]
fn scan_body(logits: &[f32], maxima: &mut Vec<f32>) -> Scan {
    const INFINITE: u32 = 0x7f80_0000;
    maxima.clear();
    let mut most_bits = [0u32; LANES];
    for block in logits.chunks(BLOCK) {
        let mut most = [f32::NEG_INFINITY; LANES];
        let (lines, rest) = block.as_chunks::<LANES>();
        for line in lines {
            for lane in 0..LANES {
                most[lane] = if line[lane] > most[lane] { line[lane] } else { most[lane] };
                most_bits[lane] = most_bits[lane].max(line[lane].to_bits() & !(1 << 31));
            }
        }
        for (lane, x) in rest.iter().enumerate() {
            most[lane] = if *x > most[lane] { *x } else { most[lane] };
            most_bits[lane] = most_bits[lane].max(x.to_bits() & !(1 << 31));
        }
        maxima.push(most.into_iter().fold(f32::NEG_INFINITY, f32::max));
    }
    let max = maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    Scan { max, finite: most_bits.into_iter().all(|bits| bits < INFINITE) }
}

/// How a logit becomes a weight: `exp((logit - max) * inverse_temperature)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The greatest logit of the row.
    pub max: f32,
    /// One over the temperature, finite and above 0.
    pub inverse_temperature: f32,
}

impl Scale {
    /// The weight of one logit, at most 1; the same bits as in [`block_sums`]. Negative infinity weighs exactly 0.
    #[must_use]
    #[inline(always)]
    pub fn weight(self, logit: f32) -> f32 {
        exp((logit - self.max) * self.inverse_temperature)
    }
}

/// Weights of each block summed, into `sums` (cleared), and their sum in 64 bits in order.
pub fn block_sums(logits: &[f32], scale: Scale, sums: &mut Vec<f32>) -> f64 {
    sum_blocks(logits, scale, sums);
    sums.iter().map(|sum| f64::from(*sum)).sum()
}

#[inline(always)]
fn sum_body(logits: &[f32], scale: Scale, sums: &mut Vec<f32>) {
    sums.clear();
    for block in logits.chunks(BLOCK) {
        let mut lanes = [0.0f32; LANES];
        let (lines, rest) = block.as_chunks::<LANES>();
        for line in lines {
            for lane in 0..LANES {
                lanes[lane] += scale.weight(line[lane]);
            }
        }
        for (lane, x) in rest.iter().enumerate() {
            lanes[lane] += scale.weight(*x);
        }
        sums.push(lanes.into_iter().sum());
    }
}

/// `log(sum(exp(logits)))` of one row whose greatest entry is `max`, from the sums of its blocks at temperature 1.
#[must_use]
pub fn log_sum_exp(max: f32, total: f64) -> f64 {
    f64::from(max) + total.ln()
}

/// Indices of the entries that are at least `threshold`, rising, into `found` (cleared). `maxima` is what [`scan`] gave.
pub fn at_least(logits: &[f32], maxima: &[f32], threshold: f32, found: &mut Vec<u32>) {
    found.clear();
    for (index, (block, _)) in logits.chunks(BLOCK).zip(maxima).enumerate().filter(|(_, (_, max))| **max >= threshold) {
        let first = index * BLOCK;
        found.extend(block.iter().enumerate().filter(|(_, x)| **x >= threshold).map(|(at, _)| (first + at) as u32));
    }
}

/// Sets the entries to negative infinity whose bit in `allowed` (32 to a word, lowest first) is 0 or missing.
pub fn mask(logits: &mut [f32], allowed: &[u32]) {
    mask_words(logits, allowed);
}

#[inline(always)]
fn mask_body(logits: &mut [f32], allowed: &[u32]) {
    let (blocks, rest) = logits.as_chunks_mut::<32>();
    let mut words = allowed.iter().copied().chain(std::iter::repeat(0));
    for (block, word) in blocks.iter_mut().zip(words.by_ref()) {
        for (bit, x) in block.iter_mut().enumerate() {
            *x = if word & (1 << bit) == 0 { f32::NEG_INFINITY } else { *x };
        }
    }
    let word = words.next().unwrap_or(0);
    for (_, x) in rest.iter_mut().enumerate().filter(|(bit, _)| word & (1 << bit) == 0) {
        *x = f32::NEG_INFINITY;
    }
}

/// `e^x` for `x <= 0` to about 1e-7 relative; exactly 0 below -87. Range reduction by `ln 2` in two parts and the polynomial of
/// Cephes' `expf`.
#[inline(always)]
#[expect(clippy::excessive_precision, clippy::approx_constant, reason = "the constants as their source gives them")]
fn exp(x: f32) -> f32 {
    const LEAST: f32 = -87.0;
    /// Adding it rounds to an integer in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    let bounded = if x > LEAST { x } else { LEAST };
    let shifted = bounded * 1.442_695_04 + ROUND;
    let n = shifted - ROUND;
    let r = bounded - n * 0.693_359_375 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_15e-4;
    for coefficient in [1.398_199_95e-3, 8.333_451_9e-3, 4.166_579_6e-2, 1.666_666_55e-1, 5.000_000_1e-1] {
        p = p * r + coefficient;
    }
    let mantissa = p * r * r + r + 1.0;
    let power = f32::from_bits((shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23);
    if x > LEAST { mantissa * power } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exponentials_are_close_and_exact_at_the_ends() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-87.5), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        for step in 0..870_000u32 {
            let x = -(step as f32) * 1e-4;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) / expected - 1.0).abs() < 2e-7, "exp({x}) is {} and not {expected}", exp(x));
        }
    }

    #[test]
    fn infinities_and_nan_are_seen_wherever_they_are() {
        for length in [1, 15, 16, 127, 128, 129, 300] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN] {
                for at in [0, length / 2, length - 1] {
                    let mut row = vec![-1.0f32; length];
                    assert_eq!(scan(&row, &mut Vec::new()), Scan { max: -1.0, finite: true });
                    row[at] = bad;
                    assert!(!scan(&row, &mut Vec::new()).finite, "{bad} at {at} of {length}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn blocks_agree_with_the_plain_sums(row in prop::collection::vec(-60.0f32..60.0, 1..1000), inverse in 0.1f32..3.0) {
            let (mut maxima, mut sums) = (Vec::new(), Vec::new());
            let max = scan(&row, &mut maxima).max;
            prop_assert_eq!(max, row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            for (block, most) in row.chunks(BLOCK).zip(&maxima) {
                prop_assert!(block.contains(most) && block.iter().all(|x| x <= most));
            }
            let total = block_sums(&row, Scale { max, inverse_temperature: inverse }, &mut sums);
            let plain: f64 = row.iter().map(|x| (f64::from(x - max) * f64::from(inverse)).exp()).sum();
            prop_assert!((total / plain - 1.0).abs() < 1e-5, "{} and {}", total, plain);
            // The vectorised forms and the plain one give the same bits.
            let (mut plain_maxima, mut plain_sums) = (Vec::new(), Vec::new());
            scan_body(&row, &mut plain_maxima);
            sum_body(&row, Scale { max, inverse_temperature: inverse }, &mut plain_sums);
            prop_assert_eq!((maxima.clone(), sums), (plain_maxima, plain_sums));
            let mut found = Vec::new();
            at_least(&row, &maxima, max - 20.0, &mut found);
            let expected: Vec<u32> = (0..row.len() as u32).filter(|at| row[*at as usize] >= max - 20.0).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn masks_take_their_bits(length in 1usize..200, words in prop::collection::vec(prop_oneof![Just(0), Just(u32::MAX), any::<u32>()], 0..6)) {
            let mut row = vec![1.0; length];
            mask(&mut row, &words);
            for (at, x) in row.iter().enumerate() {
                let kept = words.get(at / 32).is_some_and(|word| word >> (at % 32) & 1 == 1);
                prop_assert_eq!(*x, if kept { 1.0 } else { f32::NEG_INFINITY });
            }
        }
    }
}
