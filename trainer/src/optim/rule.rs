//! Decides which update a weight gets, from its name and shape, and what state that update keeps. Pure.

use super::settings::{Adamw, Muon, Settings, Sgd};

/// The update of one weight. The decay within is that of this weight: 0 for one that is not decayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rule {
    Adamw { adamw: Adamw, lr_factor: f64 },
    Sgd(Sgd),
    Muon(Muon),
}

/// Last part but one of the names of embeddings and heads, in the families of `galapagos-model` and in Hugging Face's.
const EMBEDDINGS_AND_HEADS: [&str; 7] = ["embed_tokens", "lm_head", "score", "wte", "wpe", "embed_in", "embed_out"];

impl Rule {
    pub(super) fn of(name: &str, shape: &[i64], settings: &Settings) -> Self {
        let decayed = shape.len() > 1;
        let of_weight = |weight_decay: f64| if decayed { weight_decay } else { 0.0 };
        match settings {
            Settings::Adamw(adamw) => Self::adamw(*adamw, of_weight, 1.0),
            Settings::Sgd(sgd) => Self::Sgd(Sgd { weight_decay: of_weight(sgd.weight_decay), ..*sgd }),
            Settings::Muon(muon) if shape.len() == 2 && !is_embedding_or_head(name) => Self::Muon(*muon),
            Settings::Muon(muon) => Self::adamw(muon.adamw, of_weight, muon.adamw_lr_factor),
        }
    }

    fn adamw(adamw: Adamw, of_weight: impl Fn(f64) -> f64, lr_factor: f64) -> Self {
        Self::Adamw { adamw: Adamw { weight_decay: of_weight(adamw.weight_decay), ..adamw }, lr_factor }
    }

    /// Names of the state tensors, each of the weight's shape.
    pub(super) fn state_names(&self) -> &'static [&'static str] {
        match self {
            Self::Adamw { .. } => &["mean", "square"],
            Self::Sgd(Sgd { momentum: 0.0, .. }) => &[],
            Self::Sgd(_) | Self::Muon(_) => &["momentum"],
        }
    }
}

fn is_embedding_or_head(name: &str) -> bool {
    let mut parts = name.rsplit('.').take(2);
    parts.any(|part| EMBEDDINGS_AND_HEADS.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn muon_takes_hidden_matrices_and_adamw_the_rest() {
        let settings = Settings::Muon(Muon { adamw_lr_factor: 0.5, ..Muon::new(0.1) });
        let is_muon = |name, shape: &[i64]| matches!(Rule::of(name, shape, &settings), Rule::Muon(_));
        assert!(is_muon("model.layers.0.mlp.up_proj.weight", &[8, 4]));
        assert!(is_muon("layers.1.attention.q.lora_A.weight", &[2, 4]));
        for (name, shape) in [
            ("model.embed_tokens.weight", [9, 4].as_slice()),
            ("lm_head.weight", [9, 4].as_slice()),
            ("score.weight", [1, 4].as_slice()),
            ("transformer.wte.weight", [9, 4].as_slice()),
            ("model.norm.weight", [4].as_slice()),
            ("model.layers.0.mlp.experts", [2, 8, 4].as_slice()),
        ] {
            match Rule::of(name, shape, &settings) {
                Rule::Adamw { adamw, lr_factor } => {
                    assert_eq!((adamw.weight_decay > 0.0, lr_factor), (shape.len() > 1, 0.5), "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn vectors_are_not_decayed() {
        let sgd = Settings::Sgd(Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.1 });
        let decay = |shape: &[i64]| match Rule::of("w", shape, &sgd) {
            Rule::Sgd(Sgd { weight_decay, .. }) => weight_decay,
            other => panic!("{other:?}"),
        };
        assert_eq!((decay(&[4, 4]), decay(&[4]), decay(&[])), (0.1, 0.0, 0.0));
    }
}
