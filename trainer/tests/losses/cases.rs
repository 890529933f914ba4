//! Which function answers which reference case. Options come from the script, so that each is written once.

use galapagos_trainer::losses::contrastive::info_nce;
use galapagos_trainer::losses::kl::{KlForm, kl};
use galapagos_trainer::losses::likelihood::{entropy, nll, token_log_probs};
use galapagos_trainer::losses::policy_gradient::{
    Clip, Clipped, Decoupled, decoupled, ppo_clip, reinforce, sequence_clip, value_clip,
};
use galapagos_trainer::losses::preference::{
    Kto, Margins, Smoothing, cpl, dpo, dpo_regression, ipo, kto, kto_reference_point, robust_dpo,
};
use galapagos_trainer::losses::reward::{bce_soft, bt_pair, classes, huber, mse};
use galapagos_trainer::losses::segments::{max_by, mean_by, sum_by};
use galapagos_trainer::losses::td::{Conservative, td_conservative, td_target};

use super::{Case, Results, TchError, Tensor};

type Compute = fn(&Case) -> Result<Results, TchError>;

pub const ALL: &[(&str, Compute)] = &[
    ("token_log_probs", |c| loss(token_log_probs(c.input("logits"), c.input("targets")))),
    ("entropy", |c| loss(entropy(c.input("logits")))),
    ("nll", |c| loss(nll(c.input("log_probs")))),
    ("sum_by", |c| loss(sum_by(c.input("values"), c.input("segment"), count(c)))),
    ("mean_by", |c| loss(mean_by(c.input("values"), c.input("segment"), count(c)))),
    ("max_by", |c| loss(max_by(c.input("values"), c.input("segment"), count(c)))),
    ("max_by_tied", |c| loss(max_by(c.input("values"), c.input("segment"), count(c)))),
    ("kl_k1", |c| loss(kl(KlForm::K1, c.input("log_probs"), c.input("reference")))),
    ("kl_k2", |c| loss(kl(KlForm::K2, c.input("log_probs"), c.input("reference")))),
    ("kl_k3", |c| loss(kl(KlForm::K3, c.input("log_probs"), c.input("reference")))),
    ("reinforce", |c| loss(reinforce(c.input("log_probs"), c.input("advantages")))),
    ("ppo_clip", ppo),
    ("ppo_clip_dual", ppo),
    ("decoupled", |c| {
        let options = Decoupled { clip: clip(c), weight_cap: c.option("weight_cap") };
        let [policy, proximal, behaviour] = ["log_probs", "proximal", "behaviour"].map(|name| c.input(name));
        clipped(decoupled(policy, proximal, behaviour, c.input("advantages"), options))
    }),
    ("sequence_clip", |c| {
        let [policy, old, segment] = ["log_probs", "old", "segment"].map(|name| c.input(name));
        clipped(sequence_clip(policy, old, segment, c.input("advantages"), clip(c)))
    }),
    ("value_clip", value),
    ("value_clip_none", value),
    ("dpo", smoothed_dpo),
    ("dpo_smoothed", smoothed_dpo),
    ("dpo_smoothed_each", |c| loss(dpo(margins(c), c.option("beta"), Smoothing::Each(c.input("smoothing"))))),
    ("robust_dpo", |c| loss(robust_dpo(margins(c), c.option("beta"), c.option("flip_rate")))),
    ("ipo", |c| loss(ipo(margins(c), c.option("beta")))),
    ("dpo_regression", |c| loss(dpo_regression(margins(c), c.option("beta"), c.input("target_margin")))),
    ("cpl", contrastive_preference),
    ("cpl_unbiased", contrastive_preference),
    ("kto", |c| {
        let options = Kto {
            beta: c.option("beta"),
            weight_desirable: c.option("weight_desirable"),
            weight_undesirable: c.option("weight_undesirable"),
        };
        loss(kto(c.input("log_ratio"), c.input("desirable"), c.input("reference_point"), options))
    }),
    ("kto_reference_point", |c| Ok(vec![("point", kto_reference_point(c.input("kl_log_ratios"))?)])),
    ("bt_pair", |c| loss(bt_pair(c.input("chosen"), c.input("rejected"), None))),
    ("bt_pair_margin", |c| loss(bt_pair(c.input("chosen"), c.input("rejected"), Some(c.input("margin"))))),
    ("bce_soft", |c| loss(bce_soft(c.input("logits"), c.input("labels")))),
    ("mse", |c| loss(mse(c.input("values"), c.input("targets")))),
    ("huber", |c| loss(huber(c.input("values"), c.input("targets"), c.option("delta")))),
    ("classes", |c| loss(classes(c.input("logits"), c.input("classes"), c.option("smoothing")))),
    ("classes_smoothed", |c| loss(classes(c.input("logits"), c.input("classes"), c.option("smoothing")))),
    ("td_target", |c| target(c, None)),
    ("td_target_double", |c| target(c, Some(c.input("next_q_online")))),
    ("td_conservative", conservative),
    ("td_conservative_calibrated", conservative),
    ("info_nce", contrast),
    ("info_nce_symmetric", contrast),
];

fn loss(found: Result<Tensor, TchError>) -> Result<Results, TchError> {
    Ok(vec![("loss", found?)])
}

fn clipped(found: Result<Clipped, TchError>) -> Result<Results, TchError> {
    let Clipped { loss, clipped, ratio } = found?;
    Ok(vec![("loss", loss), ("clipped", clipped), ("ratio", ratio)])
}

fn count(case: &Case) -> i64 {
    case.option("count") as i64
}

fn clip(case: &Case) -> Clip {
    Clip { low: case.option("low"), high: case.option("high"), dual: case.try_option("dual") }
}

fn margins(case: &Case) -> Margins<'_> {
    let [chosen, rejected] = ["chosen", "rejected"].map(|name| case.input(name));
    Margins { chosen, rejected, ref_chosen: case.input("ref_chosen"), ref_rejected: case.input("ref_rejected") }
}

fn ppo(case: &Case) -> Result<Results, TchError> {
    clipped(ppo_clip(case.input("log_probs"), case.input("old"), case.input("advantages"), clip(case)))
}

fn value(case: &Case) -> Result<Results, TchError> {
    let [values, old, returns] = ["values", "old_values", "returns"].map(|name| case.input(name));
    loss(value_clip(values, old, returns, case.try_option("clip")))
}

fn smoothed_dpo(case: &Case) -> Result<Results, TchError> {
    loss(dpo(margins(case), case.option("beta"), Smoothing::All(case.option("smoothing"))))
}

fn contrastive_preference(case: &Case) -> Result<Results, TchError> {
    let (chosen, rejected) = (case.input("chosen_sum"), case.input("rejected_sum"));
    loss(cpl(chosen, rejected, case.option("alpha"), case.option("lambda")))
}

fn target(case: &Case, online: Option<&Tensor>) -> Result<Results, TchError> {
    let [rewards, done, next] = ["rewards", "done", "next_q_target"].map(|name| case.input(name));
    Ok(vec![("target", td_target(rewards, done, next, online, case.option("gamma"))?)])
}

fn conservative(case: &Case) -> Result<Results, TchError> {
    let options = Conservative { alpha: case.option("alpha"), calibrated: case.option("calibrated") > 0.0 };
    let [q, actions, targets] = ["q", "actions", "targets"].map(|name| case.input(name));
    let found = td_conservative(q, actions, targets, options, Some(case.input("mc_returns")))?;
    Ok(vec![("td", found.td), ("penalty", found.penalty)])
}

fn contrast(case: &Case) -> Result<Results, TchError> {
    let symmetric = case.option("symmetric") > 0.0;
    loss(info_nce(case.input("query"), case.input("key"), case.option("temperature"), symmetric))
}
