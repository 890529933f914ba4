//! [`Lanes`] in two AVX2 registers. Products of bfloat16 are made of 32-bit ones.

use std::arch::x86_64::*;

use super::Lanes;

/// Two registers of eight floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(__m256, __m256);

/// Bits of eight numbers rounded to bfloat16, in the upper half of each lane.
#[inline(always)]
unsafe fn rounded(x: __m256) -> __m256i {
    // SAFETY: AVX2 by the trait's contract.
    unsafe {
        let bits = _mm256_castps_si256(x);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
        // Adding could carry a NaN into the sign.
        let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000));
        let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(x, x));
        _mm256_blendv_epi8(up, quiet, nan)
    }
}

#[inline(always)]
unsafe fn pack(low: __m256, high: __m256) -> __m256 {
    // SAFETY: AVX2 by the trait's contract.
    unsafe {
        let low = _mm256_srli_epi32::<16>(rounded(low));
        let high = _mm256_srli_epi32::<16>(rounded(high));
        _mm256_castsi256_ps(_mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high)))
    }
}

/// The lower and the upper numbers of pairs of bfloat16.
#[inline(always)]
unsafe fn halves(pairs: __m256) -> (__m256, __m256) {
    // SAFETY: AVX2 by the trait's contract.
    unsafe {
        let bits = _mm256_castps_si256(pairs);
        let high = _mm256_and_si256(bits, _mm256_set1_epi32(0xffff_0000_u32 as i32));
        (_mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits)), _mm256_castsi256_ps(high))
    }
}

#[inline(always)]
unsafe fn dot(sum: __m256, a: __m256, b: __m256) -> __m256 {
    // SAFETY: AVX2 and FMA by the trait's contract.
    unsafe {
        let ((a_low, a_high), (b_low, b_high)) = (halves(a), halves(b));
        _mm256_fmadd_ps(a_high, b_high, _mm256_fmadd_ps(a_low, b_low, sum))
    }
}

#[inline(always)]
unsafe fn select(bits: u8, yes: __m256, no: __m256) -> __m256 {
    // SAFETY: AVX2 by the trait's contract.
    unsafe {
        let lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        let set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(i32::from(bits)), lane), lane);
        _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(set))
    }
}

#[inline(always)]
unsafe fn scale(x: __m256, exponent: __m256) -> __m256 {
    // SAFETY: AVX2 by the trait's contract.
    unsafe {
        // Two steps: 2^128 has no bits of its own, but infinity must come out where the result overflows.
        let whole = _mm256_cvtps_epi32(_mm256_min_ps(exponent, _mm256_set1_ps(254.0)));
        let first = _mm256_srai_epi32::<1>(whole);
        let second = _mm256_sub_epi32(whole, first);
        let bias = _mm256_set1_epi32(127);
        let first = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(first, bias)));
        let second = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(second, bias)));
        _mm256_mul_ps(_mm256_mul_ps(x, first), second)
    }
}

// SAFETY of every block: the trait's caller has AVX2 and FMA, and sixteen floats behind a pointer.
impl Lanes for Avx2 {
    const COLUMNS: usize = 2;

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        // SAFETY: see above.
        unsafe { Self(_mm256_set1_ps(number), _mm256_set1_ps(number)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see above.
        unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see above.
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Self(_mm256_div_ps(self.0, other.0), _mm256_div_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn fused(self, factor: Self, term: Self) -> Self {
        // SAFETY: see above.
        unsafe { Self(_mm256_fmadd_ps(self.0, factor.0, term.0), _mm256_fmadd_ps(self.1, factor.1, term.1)) }
    }

    #[inline(always)]
    unsafe fn most(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn least(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { Self(_mm256_min_ps(self.0, other.0), _mm256_min_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        const TO_EVEN: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: see above.
        unsafe { Self(_mm256_round_ps::<TO_EVEN>(self.0), _mm256_round_ps::<TO_EVEN>(self.1)) }
    }

    #[inline(always)]
    unsafe fn scaled(self, exponent: Self) -> Self {
        // SAFETY: see above.
        unsafe { Self(scale(self.0, exponent.0), scale(self.1, exponent.1)) }
    }

    #[inline(always)]
    unsafe fn unless_below(self, test: Self, least: Self) -> Self {
        // SAFETY: see above.
        unsafe {
            Self(
                _mm256_and_ps(self.0, _mm256_cmp_ps::<_CMP_NLT_UQ>(test.0, least.0)),
                _mm256_and_ps(self.1, _mm256_cmp_ps::<_CMP_NLT_UQ>(test.1, least.1)),
            )
        }
    }

    #[inline(always)]
    unsafe fn select(self, bits: u16, other: Self) -> Self {
        let [low, high] = bits.to_le_bytes();
        // SAFETY: see above.
        unsafe { Self(select(low, self.0, other.0), select(high, self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn with_sign(self, sign: Self) -> Self {
        // SAFETY: see above.
        unsafe {
            let bit = _mm256_set1_ps(-0.0);
            Self(
                _mm256_or_ps(_mm256_andnot_ps(bit, self.0), _mm256_and_ps(bit, sign.0)),
                _mm256_or_ps(_mm256_andnot_ps(bit, self.1), _mm256_and_ps(bit, sign.1)),
            )
        }
    }

    #[inline(always)]
    unsafe fn reduce_most(self) -> f32 {
        // SAFETY: see above.
        unsafe {
            let x = _mm256_max_ps(self.0, self.1);
            let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)))
        }
    }

    #[inline(always)]
    unsafe fn dot_pairs(self, a: Self, b: Self) -> Self {
        // SAFETY: see above.
        unsafe { Self(dot(self.0, a.0, b.0), dot(self.1, a.1, b.1)) }
    }

    #[inline(always)]
    unsafe fn pack_pairs(low: Self, high: Self) -> Self {
        // SAFETY: see above.
        unsafe { Self(pack(low.0, low.1), pack(high.0, high.1)) }
    }

    #[inline(always)]
    unsafe fn mask_pairs(self, keep_low: bool, keep_high: bool) -> Self {
        let mask = (u32::from(keep_low) * 0x0000_ffff) | (u32::from(keep_high) * 0xffff_0000);
        // SAFETY: see above.
        unsafe {
            let mask = _mm256_castsi256_ps(_mm256_set1_epi32(mask as i32));
            Self(_mm256_and_ps(self.0, mask), _mm256_and_ps(self.1, mask))
        }
    }
}
