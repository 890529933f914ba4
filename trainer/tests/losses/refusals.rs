//! What is refused: shapes that would broadcast, kinds that would be promoted, indices, labels and options out of their
//! range.

use galapagos_trainer::losses::contrastive::info_nce;
use galapagos_trainer::losses::kl::{KlForm, kl};
use galapagos_trainer::losses::likelihood::{entropy, nll, token_log_probs};
use galapagos_trainer::losses::policy_gradient::{
    Clip, Decoupled, decoupled, ppo_clip, reinforce, sequence_clip, value_clip,
};
use galapagos_trainer::losses::preference::{
    Kto, Margins, Smoothing, cpl, dpo, dpo_regression, ipo, kto, kto_reference_point, robust_dpo,
};
use galapagos_trainer::losses::reward::{bce_soft, bt_pair, classes, huber, mse};
use galapagos_trainer::losses::segments::{max_by, mean_by, sum_by};
use galapagos_trainer::losses::td::{Conservative, td_conservative, td_target};

use super::{Kind, TchError, Tensor};

const CLIP: Clip = Clip { low: 0.2, high: 0.2, dual: None };
const KTO: Kto = Kto { beta: 0.1, weight_desirable: 1.0, weight_undesirable: 1.0 };
const CQL: Conservative = Conservative { alpha: 1.0, calibrated: false };

fn ones(shape: &[i64]) -> Tensor {
    Tensor::ones(shape, (Kind::Float, tch::Device::Cpu))
}

fn text<T: std::fmt::Debug>(found: Result<T, TchError>) -> String {
    found.unwrap_err().to_string()
}

fn shape<T: std::fmt::Debug>(found: Result<T, TchError>) {
    assert!(matches!(found, Err(TchError::Shape(_))), "{found:?}");
}

fn value<T: std::fmt::Debug>(found: Result<T, TchError>) {
    assert!(matches!(found, Err(TchError::Convert(_))), "{found:?}");
}

/// Each argument of each function in turn, in a shape that libtorch would broadcast.
#[test]
fn nothing_broadcasts() {
    let (v, one, column, m) = (&ones(&[3]), &ones(&[1]), &ones(&[3, 1]), &ones(&[3, 2]));
    let index = &Tensor::from_slice(&[0i64, 1, 1]);
    let short = &Tensor::from_slice(&[0i64]);
    shape(token_log_probs(v, index));
    shape(token_log_probs(m, short));
    shape(entropy(v));
    shape(nll(column));
    shape(sum_by(column, index, 2));
    shape(sum_by(v, short, 2));
    shape(mean_by(column, index, 2));
    shape(max_by(v, index, 2));
    for wrong in [one, column] {
        shape(kl(KlForm::K1, v, wrong));
        shape(kl(KlForm::K2, wrong, v));
        shape(reinforce(v, wrong));
        shape(ppo_clip(v, wrong, v, CLIP));
        shape(ppo_clip(v, v, wrong, CLIP));
        let options = Decoupled { clip: CLIP, weight_cap: 2.0 };
        shape(decoupled(v, wrong, v, v, options));
        shape(decoupled(v, v, wrong, v, options));
        shape(decoupled(v, v, v, wrong, options));
        shape(sequence_clip(v, wrong, index, &ones(&[2]), CLIP));
        shape(value_clip(v, wrong, v, None));
        shape(value_clip(v, v, wrong, None));
        for at in 0..3 {
            let mut arguments = [v; 4];
            arguments[at + 1] = wrong;
            let [chosen, rejected, ref_chosen, ref_rejected] = arguments;
            let margins = Margins { chosen, rejected, ref_chosen, ref_rejected };
            shape(dpo(margins, 0.1, Smoothing::All(0.0)));
            shape(robust_dpo(margins, 0.1, 0.1));
            shape(ipo(margins, 0.1));
        }
        let margins = Margins { chosen: v, rejected: v, ref_chosen: v, ref_rejected: v };
        shape(dpo(margins, 0.1, Smoothing::Each(wrong)));
        shape(dpo_regression(margins, 0.1, wrong));
        shape(cpl(v, wrong, 0.1, 1.0));
        shape(kto(v, wrong, &ones(&[]), KTO));
        shape(kto(v, v, wrong, KTO));
        shape(bt_pair(v, wrong, None));
        shape(bt_pair(v, v, Some(wrong)));
        shape(bce_soft(v, wrong));
        shape(mse(v, wrong));
        shape(huber(v, wrong, 1.0));
        shape(td_target(v, wrong, m, None, 1.0));
        shape(td_target(v, v, wrong, None, 1.0).and_then(|_| td_target(v, v, m, Some(wrong), 1.0)));
        shape(td_conservative(m, index, wrong, CQL, None));
        let calibrated = Conservative { calibrated: true, ..CQL };
        shape(td_conservative(m, index, v, calibrated, Some(wrong)));
        shape(info_nce(m, wrong, 1.0, false));
    }
    shape(sequence_clip(v, v, index, column, CLIP));
    shape(kto_reference_point(&ones(&[0])));
    shape(classes(v, index, 0.0));
    shape(classes(m, short, 0.0));
    shape(info_nce(&ones(&[1, 2]), &ones(&[1, 2]), 1.0, false));
}

#[test]
fn other_kinds_are_not_promoted() {
    let (single, double, half) = (ones(&[2]), ones(&[2]).to_kind(Kind::Double), ones(&[2, 2]).to_kind(Kind::BFloat16));
    assert_eq!(text(mse(&single, &double)), "tensor kind error: `targets` holds Double; it must hold Float");
    assert_eq!(text(entropy(&half)), "tensor kind error: `logits` holds BFloat16; it must hold Float");
    assert!(text(token_log_probs(&ones(&[2, 2]), &single)).ends_with("`targets` holds Float; it must hold Int64"));
}

#[test]
fn indices_and_labels_out_of_range_are_named() {
    let (m, v) = (ones(&[2, 3]), ones(&[2]));
    for (index, held) in [([0i64, 3], "0 to 3"), ([-1, 2], "-1 to 2"), ([-100, 0], "-100 to 0")] {
        let index = Tensor::from_slice(&index);
        let wanted = format!("holds {held}; each index must be in 0..3");
        for found in [
            text(token_log_probs(&m, &index)),
            text(classes(&m, &index, 0.0)),
            text(sum_by(&v, &index, 3)),
            text(mean_by(&v, &index, 3)),
            text(max_by(&m, &index, 3)),
            text(td_conservative(&m, &index, &v, CQL, None)),
        ] {
            assert!(found.ends_with(&wanted), "{found}");
        }
    }
    let segment = Tensor::from_slice(&[0i64, 2]);
    let wanted = "segment 1 of 3 has no items; each must have at least one";
    assert!(text(mean_by(&v, &segment, 3)).ends_with(wanted));
    assert!(text(max_by(&m, &segment, 3)).ends_with(wanted));
    assert!(text(sequence_clip(&v, &v, &segment, &ones(&[3]), CLIP)).ends_with(wanted));
    for label in [-0.1f32, 1.1, f32::NAN] {
        let labels = Tensor::from_slice(&[0.5, label]);
        assert!(text(bce_soft(&v, &labels)).ends_with("each must be at least 0 and at most 1"));
        value(kto(&v, &labels, &ones(&[]), KTO));
        value(td_target(&v, &labels, &m, None, 1.0));
        let margins = Margins { chosen: &v, rejected: &v, ref_chosen: &v, ref_rejected: &v };
        value(dpo(margins, 0.1, Smoothing::Each(&labels)));
    }
}

#[test]
fn options_that_mean_nothing_are_named() {
    let (v, m) = (&ones(&[2]), &ones(&[2, 3]));
    let index = &Tensor::from_slice(&[0i64, 1]);
    let margins = Margins { chosen: v, rejected: v, ref_chosen: v, ref_rejected: v };
    let ppo = |clip| ppo_clip(v, v, v, clip);
    assert!(text(ppo(Clip { low: 1.5, ..CLIP })).ends_with("`clip.low` is 1.5; it must be at least 0 and at most 1"));
    assert!(
        text(ppo(Clip { dual: Some(1.0), ..CLIP })).ends_with("`clip.dual` is 1; it must be above 1 and below inf")
    );
    for wrong in [-1.0, f64::NAN] {
        value(ppo(Clip { low: wrong, ..CLIP }));
        value(ppo(Clip { high: wrong, ..CLIP }));
        value(ppo(Clip { dual: Some(wrong), ..CLIP }));
        value(decoupled(v, v, v, v, Decoupled { clip: CLIP, weight_cap: wrong }));
        value(value_clip(v, v, v, Some(wrong)));
        value(dpo(margins, wrong, Smoothing::All(0.0)));
        value(dpo(margins, 0.1, Smoothing::All(wrong)));
        value(robust_dpo(margins, wrong, 0.0));
        value(robust_dpo(margins, 0.1, wrong));
        value(ipo(margins, wrong));
        value(dpo_regression(margins, wrong, v));
        value(cpl(v, v, wrong, 1.0));
        value(cpl(v, v, 0.1, wrong));
        value(kto(v, v, &ones(&[]), Kto { beta: wrong, ..KTO }));
        value(kto(v, v, &ones(&[]), Kto { weight_desirable: wrong, ..KTO }));
        value(kto(v, v, &ones(&[]), Kto { weight_undesirable: wrong, ..KTO }));
        value(huber(v, v, wrong));
        value(classes(m, index, wrong));
        value(td_target(v, v, m, None, wrong));
        value(td_conservative(m, index, v, Conservative { alpha: wrong, ..CQL }, None));
        value(info_nce(m, m, wrong, false));
    }
    // A pair more likely wrong than right, and a rate at which labels say nothing.
    value(dpo(margins, 0.1, Smoothing::All(0.6)));
    value(robust_dpo(margins, 0.1, 0.5));
    value(cpl(v, v, 0.1, 0.0));
    let calibrated = Conservative { calibrated: true, ..CQL };
    assert!(text(td_conservative(m, index, v, calibrated, None)).ends_with("give the observed returns"));
}
