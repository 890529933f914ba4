//! Every loss with its options, as recipes write them.

use galapagos_domain::recipe::train::Train;
use serde_json::{Value, json};

/// One train step on a set of records, by a model.
pub struct Case {
    pub name: &'static str,
    /// `plain`: judged completions of one part. `parts`: with turns, labels, actions and named pairs. `graded`: with a class each, and
    /// a greedy one of each task.
    pub records: &'static str,
    pub model: &'static str,
    pub train: Train,
}

type Row = (&'static str, &'static str, &'static str, &'static str);

const LIKELIHOODS: [Row; 13] = [
    ("nll", "plain", "tied", r#"{"loss": "nll"}"#),
    ("nll_parts", "parts", "untied", r#"{"loss": "nll", "shots": false}"#),
    ("nll_packed", "plain", "tied", r#"{"loss": "nll", "pack": 3}"#),
    ("nll_k1", "plain", "tied", r#"{"loss": "nll", "kl": {"weight": 0.3, "form": "k1"}}"#),
    ("nll_k2", "parts", "tied", r#"{"loss": "nll", "kl": {"weight": 0.3, "form": "k2"}}"#),
    ("nll_k3", "plain", "untied", r#"{"loss": "nll", "kl": {"weight": 0.3, "form": "k3"}, "entropy": 0.2}"#),
    ("nll_packed_k3", "plain", "tied", r#"{"loss": "nll", "pack": 4, "kl": {"weight": 0.3}, "entropy": 0.1}"#),
    ("weighted_nll", "parts", "tied", r#"{"loss": "weighted_nll"}"#),
    ("weighted_nll_packed", "plain", "untied", r#"{"loss": "weighted_nll", "pack": 2, "entropy": 0.1}"#),
    ("component_next", "parts", "tied", r#"{"loss": {"component": "next"}}"#),
    ("masked", "plain", "untied", r#"{"loss": {"component": {"masked": {"rate": 0.3, "token": 4}}}}"#),
    (
        "masked_k2",
        "parts",
        "tied",
        r#"{"loss": {"component": {"masked": {"rate": 0.5, "token": 4}}}, "kl": {"weight": 0.3, "form": "k2"}}"#,
    ),
    ("freeze", "plain", "untied", r#"{"loss": "nll", "freeze": {"layers": 1, "embeddings": true}}"#),
];

const GRADIENTS: [Row; 28] = [
    (
        "reinforce",
        "plain",
        "tied",
        r#"{"loss": {"pg": {"baseline": "none", "scale": "none", "surrogate": "reinforce"}}}"#,
    ),
    (
        "rloo",
        "plain",
        "untied",
        r#"{"loss": {"pg": {"baseline": "leave_one_out", "scale": "none", "surrogate": "reinforce"}}}"#,
    ),
    ("reinforce_all", "parts", "tied", r#"{"loss": {"pg": {"scale": "all_std", "surrogate": "reinforce"}}}"#),
    ("clip", "plain", "tied", r#"{"loss": {"pg": {}}}"#),
    ("clip_none", "parts", "tied", r#"{"loss": {"pg": {"baseline": "none", "scale": "group_std"}}}"#),
    ("clip_rloo_all", "plain", "tied", r#"{"loss": {"pg": {"baseline": "leave_one_out", "scale": "all_std"}}}"#),
    ("dual", "plain", "tied", r#"{"loss": {"pg": {"surrogate": {"clip": {"low": 0.05, "high": 0.1, "dual": 1.15}}}}}"#),
    ("by_sequence", "plain", "tied", r#"{"loss": {"pg": {"average": "sequence"}}}"#),
    ("by_constant", "parts", "untied", r#"{"loss": {"pg": {"average": {"constant": 7}}}}"#),
    (
        "per_turn",
        "parts",
        "tied",
        r#"{"loss": {"pg": {"credit": {"per_turn": {"gamma": 0.5}}, "average": "sequence", "baseline": "none", "scale": "none"}}}"#,
    ),
    ("per_turn_group", "parts", "tied", r#"{"loss": {"pg": {"credit": {"per_turn": {"gamma": 1.0}}}}}"#),
    ("stale", "plain", "tied", r#"{"loss": {"pg": {"proximal": {"start": {"weight_cap": 1.05}}}}}"#),
    (
        "sequence_clip",
        "plain",
        "tied",
        r#"{"loss": {"pg": {"surrogate": {"sequence_clip": {"low": 0.01, "high": 0.02}}}}}"#,
    ),
    (
        "sequence_clip_k3",
        "parts",
        "untied",
        r#"{"loss": {"pg": {"surrogate": {"sequence_clip": {"low": 0.01, "high": 0.02, "dual": 1.01}}, "scale": "none"}},
            "kl": {"weight": 0.3, "form": "k3"}, "entropy": 0.2}"#,
    ),
    (
        "greedy",
        "graded",
        "tied",
        r#"{"loss": {"pg": {"baseline": "greedy", "scale": "none", "surrogate": "reinforce"}}}"#,
    ),
    (
        "greedy_group",
        "graded",
        "untied",
        r#"{"loss": {"pg": {"baseline": "greedy", "average": "sequence", "surrogate": {"clip": {"low": 0.03, "high": 0.03}}}}}"#,
    ),
    (
        "critic_class",
        "graded",
        "tied",
        r#"{"loss": {"pg": {"baseline": "none", "scale": "none", "surrogate": {"clip": {"low": 0.03, "high": 0.03}},
            "credit": {"critic_class": {"role": "critic"}}}}}"#,
    ),
    (
        "coderl",
        "graded",
        "untied",
        r#"{"loss": {"pg": {"baseline": "greedy", "scale": "none", "surrogate": "reinforce",
            "credit": {"critic_class": {"role": "critic"}}}}}"#,
    ),
    (
        "per_turn_first_turn_kl",
        "parts",
        "tied",
        r#"{"loss": {"pg": {"credit": {"per_turn": {"gamma": 0.0}}, "surrogate": "reinforce", "baseline": "none", "scale": "none"}},
            "kl": {"weight": 0.1, "first_turn": 0.7, "form": "k2"}}"#,
    ),
    (
        "sequence_clip_first_turn_kl",
        "parts",
        "untied",
        r#"{"loss": {"pg": {"surrogate": {"sequence_clip": {"low": 0.01, "high": 0.02}}, "scale": "none"}},
            "kl": {"weight": 0.1, "first_turn": 0.7, "form": "k3"}}"#,
    ),
    ("clip_k1", "parts", "tied", r#"{"loss": {"pg": {}}, "kl": {"weight": 0.3, "form": "k1"}}"#),
    (
        "clip_k2",
        "plain",
        "tied",
        r#"{"loss": {"pg": {"average": "sequence"}}, "kl": {"weight": 0.3, "form": "k2"}, "entropy": 0.1}"#,
    ),
    (
        "clip_k3",
        "plain",
        "tied",
        r#"{"loss": {"pg": {"average": {"constant": 5}}}, "kl": {"weight": 0.3, "form": "k3"}}"#,
    ),
    (
        "critic",
        "plain",
        "tied",
        r#"{"loss": {"pg": {"baseline": {"critic": {"role": "critic", "gamma": 0.9, "lambda": 0.8}}}}}"#,
    ),
    (
        "critic_raw",
        "parts",
        "tied",
        r#"{"loss": {"pg": {"baseline": {"critic": {"role": "critic"}}, "scale": "none", "average": "sequence"}}}"#,
    ),
    (
        "critic_reward_k1",
        "parts",
        "tied",
        r#"{"loss": {"pg": {"baseline": {"critic": {"role": "critic"}}}}, "kl": {"weight": 0.5, "form": "k1", "in": "reward"}}"#,
    ),
    (
        "critic_reward_k2",
        "plain",
        "tied",
        r#"{"loss": {"pg": {"baseline": {"critic": {"role": "critic"}}}}, "kl": {"weight": 0.5, "form": "k2", "in": "reward"}}"#,
    ),
    (
        "critic_reward_k3",
        "plain",
        "untied",
        r#"{"loss": {"pg": {"baseline": {"critic": {"role": "critic"}}, "scale": "none"}},
            "kl": {"weight": 0.5, "form": "k3", "in": "reward"}, "entropy": 0.1}"#,
    ),
];

const PREFERENCES: [Row; 13] = [
    ("dpo", "plain", "tied", r#"{"loss": {"dpo": {"beta": 0.5}}}"#),
    ("dpo_named", "parts", "untied", r#"{"loss": {"dpo": {"smoothing": 0.2}}}"#),
    ("ipo", "plain", "tied", r#"{"loss": {"dpo": {"form": "ipo", "beta": 0.4}}}"#),
    ("ipo_named", "parts", "tied", r#"{"loss": {"dpo": {"form": "ipo"}}}"#),
    ("dpo_regression", "plain", "tied", r#"{"loss": {"dpo_regression": {"beta": 0.5}}}"#),
    ("dpo_regression_named", "parts", "tied", r#"{"loss": {"dpo_regression": {}}}"#),
    ("cpl", "plain", "tied", r#"{"loss": {"cpl": {"gamma": 0.8}}}"#),
    ("cpl_named", "parts", "untied", r#"{"loss": {"cpl": {"alpha": 0.3, "lambda": 1.0}}}"#),
    ("kto", "plain", "tied", r#"{"loss": {"kto": {}}}"#),
    ("kto_named", "parts", "untied", r#"{"loss": {"kto": {"beta": 0.3, "desirable": 1.5, "undesirable": 0.5}}}"#),
    ("adapter", "plain", "untied", r#"{"loss": "nll", "adapter": {"rank": 2}, "kl": {"weight": 0.2}}"#),
    ("adapter_dpo", "parts", "tied", r#"{"loss": {"dpo": {}}, "adapter": {"rank": 2}}"#),
    ("freeze_dpo", "plain", "tied", r#"{"loss": {"dpo": {}}, "freeze": {"layers": 1}}"#),
];

const HEADS: [Row; 19] = [
    ("bt_pair", "plain", "scalar", r#"{"loss": {"bt_pair": {}}}"#),
    ("bt_pair_margin", "parts", "scalar", r#"{"loss": {"bt_pair": {"margin": true}}}"#),
    ("bce", "plain", "scalar", r#"{"loss": {"pointwise": "bce"}}"#),
    ("mse", "plain", "scalar", r#"{"loss": {"pointwise": "mse"}}"#),
    ("huber", "plain", "scalar", r#"{"loss": {"pointwise": "huber"}, "shots": false}"#),
    ("classes", "plain", "classes", r#"{"loss": {"pointwise": "classes"}}"#),
    ("classes_said", "parts", "classes", r#"{"loss": {"pointwise": "classes"}}"#),
    ("pooled", "parts", "classes", r#"{"loss": {"pointwise": "pooled_classes"}}"#),
    ("steps_bce", "parts", "scalar", r#"{"loss": {"pointwise": {"steps": "bce"}}}"#),
    ("steps_mse", "parts", "scalar", r#"{"loss": {"pointwise": {"steps": "mse"}}}"#),
    ("steps_huber", "parts", "scalar", r#"{"loss": {"pointwise": {"steps": "huber"}}}"#),
    ("steps_classes", "parts", "classes", r#"{"loss": {"pointwise": {"steps": "classes"}}}"#),
    ("value", "parts", "scalar", r#"{"loss": {"value": {"gamma": 0.9, "lambda": 0.7}}}"#),
    ("value_clip", "plain", "scalar", r#"{"loss": {"value": {"clip": 0.05}}}"#),
    ("cal_ql", "parts", "classes", r#"{"loss": {"td_conservative": {"gamma": 0.9, "alpha": 0.7}}}"#),
    ("cql", "parts", "classes", r#"{"loss": {"td_conservative": {"calibrated": false}}, "freeze": {"layers": 1}}"#),
    ("contrast", "plain", "untied", r#"{"loss": {"contrastive_mi": {}}}"#),
    ("contrast_both", "parts", "tied", r#"{"loss": {"contrastive_mi": {"temperature": 0.5, "symmetric": true}}}"#),
    ("contrast_scalar", "plain", "scalar", r#"{"loss": {"contrastive_mi": {"temperature": 0.3}}}"#),
];

/// All cases; `size` records are one batch.
pub fn all(size: u32) -> Vec<Case> {
    let rows = LIKELIHOODS.iter().chain(&GRADIENTS).chain(&PREFERENCES).chain(&HEADS);
    rows.map(|(name, records, model, settings)| {
        let mut train = json!({
            "role": "policy", "on": "samples", "lr": 1e-3, "batch": size, "precision": "f32",
        });
        let settings: Value = serde_json::from_str(settings).unwrap();
        let into = train.as_object_mut().unwrap();
        into.extend(settings.as_object().unwrap().clone());
        let train = serde_json::from_value(train).unwrap_or_else(|error| panic!("{name}: {error}"));
        Case { name, records, model, train }
    })
    .collect()
}
