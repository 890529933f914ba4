//! Rules about what a `train` learns and how: settings of losses, the models they compare with, optimiser and guards.

use super::Check;
use super::scope::Scope;
use crate::recipe::Head;
use crate::recipe::path::Path;
use crate::recipe::train::{
    Average, Baseline, Clip, Component, Credit, KlPlace, Loss, On, Optimiser, Policy, PolicyGradient, Proximal, Reads,
    Reference, Schedule, Source, Surrogate, Train,
};

/// Largest rank of an adapter.
const MAX_ADAPTER_RANK: u32 = 1024;

impl Check<'_> {
    /// Everything about `train` but its data, world and learning rate.
    pub(super) fn learning(&mut self, train: &Train, path: &Path, scope: &Scope) {
        self.loss(&train.loss, &path.key("loss"), scope);
        self.penalties(train, path, scope);
        self.optimiser(train, path);
        self.trained_part(train, path);
        self.guard(train, path);
    }

    fn loss(&mut self, loss: &Loss, path: &Path, scope: &Scope) {
        let path = path.key(loss.name());
        match loss {
            Loss::Nll | Loss::WeightedNll | Loss::Pointwise(_) | Loss::BtPair(_) | Loss::Component(Component::Next) => {
            }
            Loss::Pg(pg) => self.policy_gradient(pg, &path, scope),
            Loss::Dpo(dpo) => {
                self.inside(&path.key("beta"), dpo.beta, 0.0, 100.0);
                self.between(&path.key("smoothing"), dpo.smoothing, 0.0, 0.5);
            }
            Loss::Kto(kto) => {
                self.inside(&path.key("beta"), kto.beta, 0.0, 100.0);
                self.inside(&path.key("desirable"), kto.desirable, 0.0, 1.0e3);
                self.inside(&path.key("undesirable"), kto.undesirable, 0.0, 1.0e3);
            }
            Loss::DpoRegression(dpo) => self.inside(&path.key("beta"), dpo.beta, 0.0, 100.0),
            Loss::Cpl(cpl) => {
                self.inside(&path.key("alpha"), cpl.alpha, 0.0, 100.0);
                self.unit(&path.key("lambda"), cpl.lambda);
                self.unit(&path.key("gamma"), cpl.gamma);
            }
            Loss::Value(value) => {
                if let Some(clip) = value.clip {
                    self.inside(&path.key("clip"), clip, 0.0, 1.0e6);
                }
                self.between(&path.key("gamma"), value.gamma, 0.0, 1.0);
                self.between(&path.key("lambda"), value.lambda, 0.0, 1.0);
            }
            Loss::TdConservative(td) => {
                self.between(&path.key("gamma"), td.gamma, 0.0, 1.0);
                self.between(&path.key("alpha"), td.alpha, 0.0, 1.0e3);
                self.between(&path.key("target_rate"), td.target_rate, 0.0, 1.0);
            }
            Loss::ContrastiveMi(mi) => self.inside(&path.key("temperature"), mi.temperature, 0.0, 100.0),
            Loss::Component(Component::Masked(masked)) => {
                self.inside(&path.key("masked").key("rate"), masked.rate, 0.0, 1.0);
            }
        }
    }

    fn policy_gradient(&mut self, pg: &PolicyGradient, path: &Path, scope: &Scope) {
        if let Baseline::Critic(critic) = &pg.baseline {
            let path = path.key("baseline").key("critic");
            self.between(&path.key("gamma"), critic.gamma, 0.0, 1.0);
            self.between(&path.key("lambda"), critic.lambda, 0.0, 1.0);
            let role = path.key("role");
            match self.role(&role, &critic.role) {
                Some(Head::Scalar) if !scope.is_trained(&critic.role) => {
                    let message = format!("the critic `{}` is not trained before this recipe step", critic.role);
                    self.refuse(&role, message, "train it first: `loss: {value: {}}` on earlier samples");
                }
                Some(Head::Lm | Head::Classes(_)) => {
                    let message = format!("the role `{}` gives no value per token", critic.role);
                    self.refuse(&role, message, "name a role with `head: scalar`");
                }
                Some(Head::Scalar) | None => {}
            }
        }
        self.surrogate(pg, path);
        self.credit(pg, path, scope);
        if let Proximal::Start { weight_cap } = pg.proximal {
            self.inside(&path.key("proximal").key("start").key("weight_cap"), weight_cap, 0.0, 1.0e6);
        }
        if let Average::Constant(tokens) = pg.average {
            self.whole(&path.key("average").key("constant"), tokens, 1, u32::MAX);
        }
    }

    fn credit(&mut self, pg: &PolicyGradient, path: &Path, scope: &Scope) {
        let path = path.key("credit");
        match (&pg.baseline, &pg.credit) {
            (Baseline::Critic(_), Credit::PerTurn(_)) => {
                let message = "with a critic the turns' rewards stand at their ends already";
                self.refuse(&path, message, "leave it out");
            }
            (Baseline::Critic(_), Credit::CriticClass(_)) => {
                let message = "a round reads one critic: its values as baseline, or its classes as credit";
                self.refuse(&path, message, "use `baseline: greedy`, or leave `credit` out");
            }
            (Baseline::Greedy, Credit::PerTurn(_)) => {
                let message = "a greedy record is compared with as a whole, and not turn by turn";
                self.refuse(&path, message, "leave it out, or use another `baseline`");
            }
            (Baseline::None | Baseline::Group | Baseline::LeaveOneOut | Baseline::Greedy | Baseline::Critic(_), _) => {}
        }
        match &pg.credit {
            Credit::Whole => {}
            Credit::PerTurn(turn) => self.between(&path.key("per_turn").key("gamma"), turn.gamma, 0.0, 1.0),
            Credit::CriticClass(critic) => {
                let role = path.key("critic_class").key("role");
                match self.role(&role, &critic.role) {
                    Some(Head::Classes(_)) if !scope.is_trained(&critic.role) => {
                        let message = format!("the critic `{}` is not trained before this recipe step", critic.role);
                        self.refuse(&role, message, "train it first: `loss: {pointwise: pooled_classes}`");
                    }
                    Some(Head::Lm | Head::Scalar) => {
                        let message = format!("the role `{}` gives no classes", critic.role);
                        self.refuse(&role, message, "name a role with `head: {classes: 4}`");
                    }
                    Some(Head::Classes(_)) | None => {}
                }
            }
        }
    }

    fn surrogate(&mut self, pg: &PolicyGradient, path: &Path) {
        match pg.surrogate {
            Surrogate::Reinforce => {
                if pg.proximal != Proximal::Behaviour {
                    self.refuse(&path.key("proximal"), "`reinforce` takes no ratios", "leave it out, or use `clip`");
                }
            }
            Surrogate::Clip(clip) => self.clip_range(&path.key("surrogate").key("clip"), clip),
            Surrogate::SequenceClip(clip) => {
                let path = path.key("surrogate").key("sequence_clip");
                self.clip_range(&path, clip);
                if pg.proximal != Proximal::Behaviour {
                    self.refuse(&path, "a ratio of whole records has no weight per token", "use `proximal: behaviour`");
                }
                if matches!(pg.baseline, Baseline::Critic(_)) || pg.credit != Credit::Whole {
                    let message = "a ratio of whole records needs one advantage for each record";
                    self.refuse(
                        &path,
                        message,
                        "use `clip`, or neither a critic nor `credit: per_turn` or `critic_class`",
                    );
                }
            }
        }
    }

    fn clip_range(&mut self, path: &Path, clip: Clip) {
        self.inside(&path.key("low"), clip.low, 0.0, 1.0);
        self.inside(&path.key("high"), clip.high, 0.0, 100.0);
        if let Some(dual) = clip.dual {
            self.inside(&path.key("dual"), dual, 1.0, 1.0e6);
        }
    }

    /// `0 < value <= 1`.
    fn unit(&mut self, path: &Path, value: f64) {
        if !(value > 0.0 && value <= 1.0) {
            self.refuse(path, format!("{value} is out of range"), "use a number greater than 0 and at most 1");
        }
    }

    fn penalties(&mut self, train: &Train, path: &Path, scope: &Scope) {
        let tokens = train.loss.reads() == Reads::Tokens;
        let preference = matches!(train.loss, Loss::Dpo(_) | Loss::Kto(_) | Loss::DpoRegression(_) | Loss::Cpl(_));
        let no_penalty = format!("`{}` has no penalties of single tokens", train.loss.name());
        if let Some(kl) = train.kl {
            let path = path.key("kl");
            self.inside(&path.key("weight"), kl.weight, 0.0, 1.0e3);
            if !tokens {
                self.refuse(&path, no_policy(train), "leave it out");
            }
            if preference {
                self.refuse(&path, no_penalty.clone(), "leave it out");
            }
            if let Some(first) = kl.first_turn {
                let path = path.key("first_turn");
                self.between(&path, first, 0.0, 1.0e3);
                if kl.place == KlPlace::Reward {
                    self.refuse(
                        &path,
                        "it is a weight in the loss, and this penalty is in the reward",
                        "use `in: loss`",
                    );
                }
            }
            if kl.place == KlPlace::Reward && train.loss.value_critic().is_none() {
                let help = "use `in: loss`, or a `pg` with `baseline: {critic: ...}`";
                self.refuse(&path.key("in"), "a penalty in every token's reward needs a critic", help);
            }
        }
        self.between(&path.key("entropy"), train.entropy, 0.0, 1.0e3);
        if train.entropy > 0.0 && !tokens {
            self.refuse(&path.key("entropy"), no_policy(train), "leave it out");
        }
        if train.entropy > 0.0 && preference {
            self.refuse(&path.key("entropy"), no_penalty, "leave it out");
        }
        if let Some(mix) = &train.mix {
            let path = path.key("mix");
            self.whole(&path.key("every"), mix.every, 1, 1_000_000);
            self.sources(&mix.on, &path.key("on"), scope);
            if !tokens {
                self.refuse(&path, no_policy(train), "leave it out");
            }
        }
        if let Reference::Role(name) = &train.reference {
            let path = path.key("reference").key("role");
            if !train.needs_reference() {
                self.refuse(&path, "nothing compares with a reference here", "leave it out, or add `kl`");
            }
            self.lm_role(&path, name);
        }
    }

    /// The datasets a `train` reads.
    pub(super) fn sources(&mut self, on: &On, path: &Path, scope: &Scope) {
        match on {
            On::One(name) => self.dataset(path, name, scope),
            On::Many(sources) => {
                if sources.is_empty() {
                    self.refuse(path, "there is nothing to train on", "name a dataset");
                }
                for (i, source) in sources.iter().enumerate() {
                    match source {
                        Source::Latest(name) => self.dataset(&path.index(i), name, scope),
                        Source::All { all } => self.dataset(&path.index(i).key("all"), all, scope),
                    }
                }
            }
        }
    }

    fn optimiser(&mut self, train: &Train, path: &Path) {
        let optimiser = path.key("optimiser");
        match train.optimiser {
            Optimiser::Adamw(adamw) => {
                let path = optimiser.key("adamw");
                for (i, beta) in adamw.betas.into_iter().enumerate() {
                    if !(0.0..1.0).contains(&beta) {
                        let message = format!("{beta} is out of range");
                        self.refuse(&path.key("betas").index(i), message, "use a number from 0 to below 1");
                    }
                }
                self.inside(&path.key("eps"), adamw.eps, 0.0, 1.0);
            }
            Optimiser::Sgd(sgd) => {
                let path = optimiser.key("sgd");
                if !(0.0..1.0).contains(&sgd.momentum) {
                    let message = format!("{} is out of range", sgd.momentum);
                    self.refuse(&path.key("momentum"), message, "use a number from 0 to below 1");
                }
                if sgd.nesterov && sgd.momentum == 0.0 {
                    self.refuse(&path.key("nesterov"), "there is no momentum to look ahead by", "set `momentum`");
                }
            }
            Optimiser::Muon(muon) => self.inside(&optimiser.key("muon").key("momentum"), muon.momentum, 0.0, 1.0),
        }
        if let Schedule::Wsd { decay } = train.schedule {
            self.between(&path.key("schedule").key("wsd").key("decay"), decay, 0.0, 1.0);
        }
        if let Some(decay) = train.ema {
            self.inside(&path.key("ema"), decay, 0.0, 1.0);
        }
    }

    fn trained_part(&mut self, train: &Train, path: &Path) {
        let Some(adapter) = &train.adapter else { return };
        let path = path.key("adapter");
        self.whole(&path.key("rank"), adapter.rank, 1, MAX_ADAPTER_RANK);
        if train.loss.reads() != Reads::Tokens {
            let help = "train the weights: leave `adapter` out";
            self.refuse(&path, "an adapter has no head of its own, which this loss trains", help);
        }
        if train.freeze != crate::recipe::train::Freeze::default() {
            self.refuse(&path, "beside an adapter every weight is frozen", "leave `freeze` out");
        }
    }

    fn guard(&mut self, train: &Train, path: &Path) {
        let (guard, path) = (train.guard, path.key("guard"));
        if let Some(spike) = guard.spike {
            self.inside(&path.key("spike"), spike, 1.0, 1.0e6);
        }
        let rewinds = [("nonfinite", guard.nonfinite), ("on_spike", guard.on_spike)];
        for (key, policy) in rewinds {
            if policy == Policy::Rewind && train.save_every == 0 {
                let message = "there is no in-round checkpoint to go back to";
                self.refuse(&path.key(key), message, "set `save_every`, or use `skip`");
            }
        }
    }
}

fn no_policy(train: &Train) -> String {
    format!("`{}` trains no policy", train.loss.name())
}
