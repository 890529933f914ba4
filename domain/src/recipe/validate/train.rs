//! Rules about `train`: data, loss and head, world size and batch.

use super::Check;
use super::scope::Scope;
use crate::recipe::Head;
use crate::recipe::path::Path;
use crate::recipe::train::{Loss, On, Source, Train};

/// Largest world size.
const MAX_RANKS: u32 = 1024;

impl Check<'_> {
    pub(super) fn train(&mut self, train: &Train, path: &Path, scope: &Scope) {
        self.training_data(train, path, scope);
        self.head_of_loss(train, path);
        self.world(train, path);
        self.whole(&path.key("data_epochs"), train.data_epochs, 1, 10_000);
        self.inside(&path.key("lr"), train.lr, 0.0, 1.0);
        self.between(&path.key("warmup"), train.warmup, 0.0, 1.0);
        self.between(&path.key("floor"), train.floor, 0.0, 1.0);
        self.between(&path.key("weight_decay"), train.weight_decay, 0.0, 1.0);
        self.inside(&path.key("clip"), train.clip, 0.0, 1.0e6);
    }

    fn training_data(&mut self, train: &Train, path: &Path, scope: &Scope) {
        let path = path.key("on");
        match &train.on {
            On::One(name) => self.dataset(&path, name, scope),
            On::Many(sources) => {
                if sources.is_empty() {
                    self.refuse(&path, "there is nothing to train on", "name a dataset");
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

    fn head_of_loss(&mut self, train: &Train, path: &Path) {
        let Some(head) = self.role(&path.key("role"), &train.role) else { return };
        match (train.loss, head) {
            (Loss::Nll, Head::Lm) | (Loss::Pointwise(_), Head::Scalar) => {}
            (Loss::Nll, Head::Scalar) => {
                let message = format!("`nll` needs next-token logits; the role `{}` has a scalar head", train.role);
                self.refuse(&path.key("loss"), message, "use `loss: {pointwise: bce}`, or a role with `head: lm`");
            }
            (Loss::Pointwise(_), Head::Lm) => {
                let message =
                    format!("`pointwise` needs one number per record; the role `{}` has an lm head", train.role);
                self.refuse(&path.key("loss"), message, "use `loss: nll`, or a role with `head: scalar`");
            }
        }
        self.whole(&path.key("pack"), train.pack, 1, 64);
        if matches!(train.loss, Loss::Pointwise(_)) && train.pack > 1 {
            let message = format!("`pointwise` judges one record per sequence, not {}", train.pack);
            self.refuse(&path.key("pack"), message, "use `pack: 1`");
        }
    }

    /// The batch must split into equal whole micro-batches on every rank.
    fn world(&mut self, train: &Train, path: &Path) {
        let Train { ranks, batch, micro_batch, .. } = *train;
        if ranks == 0 || ranks > MAX_RANKS {
            let message = format!("a world size of {ranks} ranks is impossible");
            return self.refuse(&path.key("ranks"), message, format!("use 1 to {MAX_RANKS} ranks"));
        }
        if batch == 0 || !batch.is_multiple_of(ranks) {
            let message = format!("a batch of {batch} does not split evenly over {ranks} ranks");
            let below = batch / ranks * ranks;
            let right = batch.max(1).next_multiple_of(ranks);
            let help =
                if below > 0 { format!("use {below} or {right}") } else { format!("use {right}, or fewer ranks") };
            return self.refuse(&path.key("batch"), message, help);
        }
        let share = batch / ranks;
        if micro_batch == 0 || !share.is_multiple_of(micro_batch) {
            let message = format!(
                "each rank has {share} sequences of the batch ({batch} over {ranks} ranks), which is no multiple of {micro_batch}"
            );
            let right = (1..=micro_batch.clamp(1, share)).rev().find(|m| share.is_multiple_of(*m)).unwrap_or(1);
            self.refuse(&path.key("micro_batch"), message, format!("use a divisor of {share}, for example {right}"));
        }
    }
}
