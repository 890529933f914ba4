//! What the documentation of the losses promises beyond a formula: what a KL estimate's gradient descends, which losses
//! are the same in a special case, and that extreme inputs stay finite where a bound holds.

use galapagos_trainer::losses::kl::{KlForm, kl};
use galapagos_trainer::losses::likelihood::token_log_probs;
use galapagos_trainer::losses::policy_gradient::{
    Clip, Decoupled, decoupled, ppo_clip, reinforce, sequence_clip, value_clip,
};
use galapagos_trainer::losses::preference::{Margins, Smoothing, cpl, dpo, kto_reference_point};
use galapagos_trainer::losses::reward::bt_pair;
use galapagos_trainer::losses::segments::{max_by, mean_by, sum_by};
use galapagos_trainer::losses::td::{Conservative, td_conservative, td_target};

use super::{Kind, Tensor, distance};

const CLIP: Clip = Clip { low: 0.2, high: 0.2, dual: None };

fn floats(values: &[f32]) -> Tensor {
    Tensor::from_slice(values)
}

fn learned(values: &[f32]) -> Tensor {
    floats(values).set_requires_grad(true)
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).view([-1])).unwrap()
}

/// The gradient in `of` of the sum of `loss`.
fn gradient(loss: &Tensor, of: &Tensor) -> Tensor {
    let found = Tensor::run_backward(&[loss.sum(Kind::Float)], &[of], true, false);
    found.into_iter().next().unwrap()
}

#[test]
fn each_kl_estimate_descends_what_its_documentation_says() {
    let logits = learned(&[0.3, -0.5, 1.1, 0.0, -1.2]);
    let reference = floats(&[-0.2, 0.4, 0.5, -1.0, 0.9]).log_softmax(-1, Kind::Float);
    // Every token once, weighted by its probability: the expectation itself.
    let tokens = Tensor::arange(5, (Kind::Int64, tch::Device::Cpu));
    let expected = |form| {
        let rows = logits.unsqueeze(0).expand([5, 5], false);
        let log_probs = token_log_probs(&rows, &tokens).unwrap();
        let estimate = kl(form, &log_probs, &reference).unwrap();
        let value = numbers(&(log_probs.detach().exp() * &estimate).sum(Kind::Float))[0];
        (value, gradient(&(log_probs.detach().exp() * estimate), &logits))
    };
    let policy = logits.log_softmax(-1, Kind::Float);
    let forward = policy.exp() * (&policy - &reference);
    let backward = reference.exp() * (&reference - &policy);
    let size = numbers(&gradient(&forward, &logits).norm())[0];

    let (value, found) = expected(KlForm::K1);
    assert!((value - numbers(&forward.sum(Kind::Float))[0]).abs() < 1e-6);
    assert!(numbers(&found.norm())[0] < 1e-6 * size, "K1 moves the policy");
    let (_, found) = expected(KlForm::K2);
    assert!(distance(&found, &gradient(&forward, &logits)) < 1e-5);
    let (value, found) = expected(KlForm::K3);
    assert!((value - numbers(&forward.sum(Kind::Float))[0]).abs() < 1e-6);
    assert!(distance(&found, &gradient(&backward, &logits)) < 1e-5);
    assert!(distance(&gradient(&backward, &logits), &gradient(&forward, &logits)) > 0.1);
}

#[test]
fn cpl_with_log_ratios_and_without_bias_is_dpo() {
    let (chosen, rejected) = (floats(&[-3.0, -9.0, -4.5]), floats(&[-4.0, -2.0, -4.5]));
    let (ref_chosen, ref_rejected) = (floats(&[-3.5, -7.0, -5.0]), floats(&[-3.0, -2.5, -6.5]));
    let margins =
        Margins { chosen: &chosen, rejected: &rejected, ref_chosen: &ref_chosen, ref_rejected: &ref_rejected };
    let wanted = dpo(margins, 0.3, Smoothing::All(0.0)).unwrap();
    let (chosen, rejected) = (&chosen - &ref_chosen, &rejected - &ref_rejected);
    assert!(distance(&cpl(&chosen, &rejected, 0.3, 1.0).unwrap(), &wanted) < 1e-6);
    assert!(distance(&cpl(&chosen, &rejected, 0.3, 0.5).unwrap(), &wanted) > 1e-2);
}

#[test]
fn special_cases_agree() {
    let policy = learned(&[-0.5, -1.0, -2.0, -0.1]);
    let (old, advantages) = (floats(&[-0.9, -1.0, -1.5, -0.1]), floats(&[1.0, -0.5, 2.0, -1.5]));
    // Where no policy moved, the clipped loss has the gradient of REINFORCE.
    let still = ppo_clip(&policy, &policy, &advantages, CLIP).unwrap();
    let plain = reinforce(&policy, &advantages).unwrap();
    assert!(distance(&gradient(&still.loss, &policy), &gradient(&plain, &policy)) < 1e-6);
    assert_eq!(numbers(&still.clipped), [0.0; 4]);
    // Sampled by the proximal policy: weight 1.
    let options = Decoupled { clip: CLIP, weight_cap: f64::INFINITY };
    let weighted = decoupled(&policy, &old, &old, &advantages, options).unwrap();
    let clipped = ppo_clip(&policy, &old, &advantages, CLIP).unwrap();
    assert_eq!(numbers(&weighted.loss), numbers(&clipped.loss));
    // Sequences of one token.
    let own = Tensor::arange(4, (Kind::Int64, tch::Device::Cpu));
    let single = sequence_clip(&policy, &old, &own, &advantages, CLIP).unwrap();
    assert_eq!(numbers(&single.loss), numbers(&clipped.loss));
    // An absent margin is a margin of zero.
    let zero = floats(&[0.0; 4]);
    let with_margin = bt_pair(&policy, &old, Some(&zero)).unwrap();
    assert_eq!(numbers(&bt_pair(&policy, &old, None).unwrap()), numbers(&with_margin));
    // A bound that no value reaches.
    let free = value_clip(&policy, &old, &advantages, None).unwrap();
    assert_eq!(numbers(&value_clip(&policy, &old, &advantages, Some(1e3)).unwrap()), numbers(&free));
}

#[test]
fn clipped_losses_by_hand() {
    // Ratios 2, 2, 1/2, 1/2 and 8 with both signs of the advantage, and 2 without any.
    let two = std::f32::consts::LN_2;
    let policy = learned(&[two, two, -two, -two, 3.0 * two, two]);
    let advantages = floats(&[1.0, -1.0, 1.0, -1.0, -1.0, 0.0]);
    let clip = Clip { low: 0.2, high: 0.3, dual: Some(3.0) };
    let found = ppo_clip(&policy, &floats(&[0.0; 6]), &advantages, clip).unwrap();
    let wanted = floats(&[-1.3, 2.0, -0.5, 0.8, 3.0, 0.0]);
    assert!(distance(&found.loss, &wanted) < 1e-6);
    assert_eq!(numbers(&found.clipped), [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
    assert!(distance(&found.ratio, &floats(&[2.0, 2.0, 0.5, 0.5, 8.0, 2.0])) < 1e-6);
    let wanted = floats(&[0.0, 2.0, -0.5, 0.0, 0.0, 0.0]);
    assert!(distance(&gradient(&found.loss, &policy), &wanted) < 1e-6);
}

#[test]
fn a_ratio_too_large_for_f32_is_still_clipped() {
    let policy = learned(&[0.0, 0.0, 0.0, -200.0]);
    let (old, advantages) = (floats(&[-200.0, -200.0, -200.0, 0.0]), floats(&[1.0, -1.0, 0.0, -1.0]));
    let clip = Clip { dual: Some(3.0), ..CLIP };
    let found = ppo_clip(&policy, &old, &advantages, clip).unwrap();
    assert!(distance(&found.loss, &floats(&[-1.2, 3.0, 0.0, 0.8])) < 1e-6);
    assert_eq!(numbers(&gradient(&found.loss, &policy)), [0.0; 4]);
    // Without the dual bound the loss is infinite, and says so.
    let found = ppo_clip(&policy, &old, &advantages, CLIP).unwrap();
    assert_eq!(numbers(&found.loss)[1..3], [f64::INFINITY, 0.0]);
    // A weight too large for f32 is capped.
    let options = Decoupled { clip, weight_cap: 2.0 };
    let found = decoupled(&old, &floats(&[0.0; 4]), &old, &advantages, options).unwrap();
    assert!(numbers(&found.loss).into_iter().all(f64::is_finite));
}

#[test]
fn what_is_not_a_number_comes_out() {
    let (bad, good) = (floats(&[f32::NAN, -1.0]), floats(&[-1.0, -1.0]));
    let ppo =
        |policy, old, advantages| ppo_clip(policy, old, advantages, Clip { dual: Some(3.0), ..CLIP }).unwrap().loss;
    for loss in [ppo(&bad, &good, &good), ppo(&good, &bad, &good), ppo(&good, &good, &bad)] {
        assert!(numbers(&loss)[0].is_nan() && numbers(&loss)[1].is_finite());
    }
    let all = Tensor::from_slice(&[0i64, 1]);
    assert!(numbers(&sum_by(&bad, &all, 2).unwrap())[0].is_nan());
    assert!(numbers(&max_by(&bad.view([2, 1]), &all, 2).unwrap())[0].is_nan());
    assert!(numbers(&value_clip(&bad, &good, &good, Some(0.1)).unwrap())[0].is_nan());
}

#[test]
fn calibration_never_adds_to_the_push() {
    let q = learned(&[0.5, -2.0, 3.0, 1.0]).view([2, 2]);
    let (actions, targets) = (Tensor::from_slice(&[0i64, 1]), floats(&[0.0, 0.0]));
    let run = |calibrated, returns: &Tensor| {
        let options = Conservative { alpha: 1.0, calibrated };
        td_conservative(&q, &actions, &targets, options, Some(returns)).unwrap().penalty
    };
    // Returns under every value change nothing; returns over them all leave nothing to push down.
    let low = floats(&[-9.0, -9.0]);
    assert_eq!(numbers(&run(true, &low)), numbers(&run(false, &low)));
    let pushed = gradient(&run(true, &floats(&[9.0, 9.0])), &q);
    assert_eq!(numbers(&pushed), [-1.0, 0.0, 0.0, -1.0]);
    let without =
        td_conservative(&q, &actions, &targets, Conservative { alpha: 0.0, calibrated: false }, None).unwrap();
    assert_eq!(numbers(&without.penalty), [0.0; 2]);
}

#[test]
fn what_follows_a_finished_episode_is_not_read() {
    let (rewards, done) = (floats(&[1.0, 2.0]), floats(&[1.0, 0.0]));
    let next = floats(&[f32::NAN, f32::NAN, 3.0, 4.0]).view([2, 2]);
    for online in [None, Some(&next)] {
        assert_eq!(numbers(&td_target(&rewards, &done, &next, online, 0.5).unwrap()), [1.0, 4.0]);
    }
}

#[test]
fn a_reference_point_is_never_below_zero() {
    assert_eq!(numbers(&kto_reference_point(&floats(&[-3.0, 1.0])).unwrap()), [0.0]);
    assert_eq!(numbers(&kto_reference_point(&floats(&[3.0, -1.0])).unwrap()), [1.0]);
}

#[test]
fn no_items_make_no_loss() {
    let none = floats(&[]);
    let segment = Tensor::from_slice::<i64>(&[]);
    assert_eq!(ppo_clip(&none, &none, &none, CLIP).unwrap().loss.size(), [0]);
    assert_eq!(kl(KlForm::K3, &none, &none).unwrap().size(), [0]);
    assert_eq!(numbers(&sum_by(&none, &segment, 3).unwrap()), [0.0; 3]);
    assert_eq!(mean_by(&none, &segment, 0).unwrap().size(), [0]);
}
