//! Rules about `train`: data, loss and head, world size and batch.

use super::Check;
use super::scope::Scope;
use crate::recipe::path::Path;
use crate::recipe::train::{Loss, Reads, Train};

/// Largest world size.
const MAX_RANKS: u32 = 1024;

impl Check<'_> {
    pub(super) fn train(&mut self, train: &Train, path: &Path, scope: &Scope) {
        self.sources(&train.on, &path.key("on"), scope);
        self.head_of_loss(train, path);
        self.learning(train, path, scope);
        self.world(train, path);
        self.whole(&path.key("data_epochs"), train.data_epochs, 1, 10_000);
        self.inside(&path.key("lr"), train.lr, 0.0, 1.0);
        self.between(&path.key("warmup"), train.warmup, 0.0, 1.0);
        self.between(&path.key("floor"), train.floor, 0.0, 1.0);
        self.between(&path.key("weight_decay"), train.weight_decay, 0.0, 1.0);
        self.inside(&path.key("clip"), train.clip, 0.0, 1.0e6);
    }

    fn head_of_loss(&mut self, train: &Train, path: &Path) {
        let Some(head) = self.role(&path.key("role"), &train.role) else { return };
        if !train.loss.fits(head) {
            let name = train.loss.name();
            let (needs, example) = match train.loss.reads() {
                Reads::Tokens => ("next-token logits", "`head: lm`"),
                Reads::Scalar => ("one number per position", "`head: scalar`"),
                Reads::Classes => ("one output per class", "`head: {classes: 4}`"),
                Reads::Hidden => ("hidden states", "any head"),
            };
            let message = format!("`{name}` needs {needs}; the role `{}` has a {head} head", train.role);
            self.refuse(&path.key("loss"), message, format!("use a role with {example}, or another loss"));
        }
        self.whole(&path.key("pack"), train.pack, 1, 64);
        if !matches!(train.loss, Loss::Nll | Loss::WeightedNll) && train.pack > 1 {
            let message = format!("`{}` takes one record per sequence, not {}", train.loss.name(), train.pack);
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
