//! Whether a train step's settings mean something together, before any record is looked at. The recipe's own rules say the same
//! earlier; here they hold for whatever wrote the step, so that no setting is ever ignored.

use galapagos_domain::recipe::train::{
    Baseline, Component, Credit, Loss, Masked, PolicyGradient, Proximal, Reads, Surrogate, Train,
};

use super::{DataError, Limits};

/// Refuses what cannot be computed as asked.
pub(super) fn check(train: &Train, limits: &Limits) -> Result<(), DataError> {
    let positive = [
        ("batch", train.batch),
        ("micro_batch", train.micro_batch),
        ("pack", train.pack),
        ("data_epochs", train.data_epochs),
    ];
    if let Some((field, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
        return Err(DataError::Zero { field });
    }
    if train.pack != 1 && !matches!(train.loss, Loss::Nll | Loss::WeightedNll) {
        return Err(DataError::Pack { pack: train.pack, loss: train.loss.name() });
    }
    let loss = train.loss.name();
    if !penalised(&train.loss) && train.kl.is_some() {
        return wrong(format!("asks for a penalty `kl`, which `{loss}` has no place for"));
    }
    if !penalised(&train.loss) && train.entropy != 0.0 {
        return wrong(format!("rewards `entropy`, which `{loss}` has no place for"));
    }
    match &train.loss {
        Loss::Pg(pg) => policy_gradient(pg),
        Loss::Component(Component::Masked(Masked { rate, token })) => {
            if !(*rate > 0.0 && *rate <= 1.0) {
                return wrong(format!("masks {rate} of the tokens; `rate` must be above 0 and at most 1"));
            }
            if *token as usize >= limits.vocabulary {
                let end = limits.vocabulary;
                return wrong(format!("masks with token {token}, but the model's vocabulary ends at {end}"));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether penalties of single tokens can be added to a loss: those on preferences have their reference inside.
fn penalised(loss: &Loss) -> bool {
    let preference = matches!(loss, Loss::Dpo(_) | Loss::Kto(_) | Loss::DpoRegression(_) | Loss::Cpl(_));
    loss.reads() == Reads::Tokens && !preference
}

fn policy_gradient(pg: &PolicyGradient) -> Result<(), DataError> {
    let critic = matches!(pg.baseline, Baseline::Critic(_));
    let turns = matches!(pg.credit, Credit::PerTurn(_));
    let classes = matches!(pg.credit, Credit::CriticClass(_));
    let start = matches!(pg.proximal, Proximal::Start { .. });
    match pg.surrogate {
        Surrogate::SequenceClip(_) if critic => {
            wrong("has one ratio for each record (`sequence_clip`), but a critic's advantages are of tokens")
        }
        Surrogate::SequenceClip(_) if turns => {
            wrong("has one ratio for each record (`sequence_clip`), but credits each turn on its own (`per_turn`)")
        }
        Surrogate::SequenceClip(_) if classes => {
            wrong("has one ratio for each record (`sequence_clip`), but credits each token on its own (`critic_class`)")
        }
        Surrogate::SequenceClip(_) if start => wrong(
            "has one ratio for each record (`sequence_clip`), which takes no weights of tokens (`proximal: start`)",
        ),
        Surrogate::Reinforce if start => {
            wrong("takes no ratios (`reinforce`), but says what they are against (`proximal`)")
        }
        _ if critic && turns => wrong(
            "credits turns (`per_turn`), but with a critic their rewards already stand at their ends; leave `credit` out",
        ),
        _ if critic && classes => {
            wrong("reads a critic's values (`baseline`) and a critic's classes (`credit`); a round has one critic")
        }
        _ if turns && pg.baseline == Baseline::Greedy => {
            wrong("credits turns (`per_turn`), but a greedy record is compared with as a whole (`baseline: greedy`)")
        }
        _ => Ok(()),
    }
}

fn wrong(what: impl Into<String>) -> Result<(), DataError> {
    Err(DataError::Setting { what: what.into() })
}
