//! Which vector instructions this CPU has, found once.
//!
//! An [`Isa`] in somebody's hands is the proof that this CPU can run the form it names: it comes only from detection.

use std::sync::OnceLock;

/// A form of the kernels that this CPU can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Isa(Form);

/// The forms there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// AVX-512 F, BW, DQ and VL with the bfloat16 dot product.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every CPU has.
    Portable,
}

impl Isa {
    /// The forms this CPU can run, the fastest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut forms = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bf16")
                && is_x86_feature_detected!("fma")
            {
                forms.push(Self(Form::Avx512));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                forms.push(Self(Form::Avx2));
            }
        }
        forms.push(Self(Form::Portable));
        forms
    }

    /// The fastest form this CPU can run.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().first().copied().unwrap_or(Self(Form::Portable)))
    }

    /// For logs and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 => "avx512-bf16",
            #[cfg(target_arch = "x86_64")]
            Form::Avx2 => "avx2",
            Form::Portable => "portable",
        }
    }

    pub(crate) fn form(self) -> Form {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_form_is_available_and_the_portable_one_always() {
        let forms = Isa::available();
        assert_eq!(forms.first(), Some(&Isa::best()));
        assert_eq!(forms.last().map(|isa| isa.name()), Some("portable"));
    }
}
