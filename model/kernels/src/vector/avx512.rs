//! [`Lanes`] in one AVX-512 register.

use std::arch::x86_64::*;

use super::Lanes;

/// One register of sixteen floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(__m512);

/// The register as pairs of bfloat16.
#[inline(always)]
fn pairs(x: __m512) -> __m512bh {
    // SAFETY: both are 64 bytes in which every bit pattern is valid.
    unsafe { std::mem::transmute(x) }
}

// SAFETY of every block: the trait's caller has AVX-512 F, BW, DQ, VL and BF16, and sixteen floats behind a pointer.
impl Lanes for Avx512 {
    const COLUMNS: usize = 4;

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_set1_ps(number) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn fused(self, factor: Self, term: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, term.0) })
    }

    #[inline(always)]
    unsafe fn most(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn least(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
    }

    #[inline(always)]
    unsafe fn scaled(self, exponent: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_scalef_ps(self.0, exponent.0) })
    }

    #[inline(always)]
    unsafe fn unless_below(self, test: Self, least: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NLT_UQ>(test.0, least.0), self.0) })
    }

    #[inline(always)]
    unsafe fn select(self, bits: u16, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_mask_mov_ps(other.0, bits, self.0) })
    }

    #[inline(always)]
    unsafe fn with_sign(self, sign: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe {
            let bit = _mm512_set1_ps(-0.0);
            _mm512_or_ps(_mm512_andnot_ps(bit, self.0), _mm512_and_ps(bit, sign.0))
        })
    }

    #[inline(always)]
    unsafe fn reduce_most(self) -> f32 {
        // SAFETY: see above.
        unsafe {
            let x = _mm512_max_ps(self.0, _mm512_shuffle_f32x4::<0b01_00_11_10>(self.0, self.0));
            let x = _mm512_max_ps(x, _mm512_shuffle_f32x4::<0b10_11_00_01>(x, x));
            let x = _mm512_max_ps(x, _mm512_permute_ps::<0b01_00_11_10>(x));
            _mm512_cvtss_f32(_mm512_max_ps(x, _mm512_permute_ps::<0b10_11_00_01>(x)))
        }
    }

    #[inline(always)]
    unsafe fn dot_pairs(self, a: Self, b: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_dpbf16_ps(self.0, pairs(a.0), pairs(b.0)) })
    }

    #[inline(always)]
    unsafe fn pack_pairs(low: Self, high: Self) -> Self {
        // SAFETY: see above; the transmute is between 64 bytes in which every bit pattern is valid.
        Self(unsafe { std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high.0, low.0)) })
    }

    #[inline(always)]
    unsafe fn mask_pairs(self, keep_low: bool, keep_high: bool) -> Self {
        let mask = (u32::from(keep_low) * 0x0000_ffff) | (u32::from(keep_high) * 0xffff_0000);
        // SAFETY: see above.
        Self(unsafe { _mm512_and_ps(self.0, _mm512_set1_ps(f32::from_bits(mask))) })
    }
}
