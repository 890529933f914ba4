"""Loss and gradients of every case of `cases.json`, from its records and weights alone. Writes `losses.json`, the loss by case,
`mismatches.json`, how far the recorded log-probabilities are from those of the weights, and `gradients.safetensors`, the gradients as
CASE/WEIGHT."""

import json
import sys
from pathlib import Path

import torch
from heads import HEADS
from model import Network, adapted, load
from policies import POLICIES, log_probs, sampled
from records import Record, kind
from safetensors.torch import save_file

folder = Path(sys.argv[1])
torch.set_num_threads(1)


class Case:
    """What a loss is computed from. `weights` are those in training, with gradients; `frozen` those of other models by name."""

    def __init__(self, case, network, weights):
        self.case, self.train, self.network, self.weights = case, case["train"], network, weights
        rows = json.loads((folder / f"{case['records']}.json").read_text())
        self.records = [Record(row, self.train["shots"]) for row in rows]
        self.name, self.settings = kind(self.train["loss"])
        self.both_sides = self.name == "component" and self.settings != "next"
        self.masks = {int(n): at for n, at in case["masks"].items()}

    def frozen(self, which):
        return load(folder, f"{self.case['model']}-{which}")

    def critic(self, head="scalar"):
        return load(folder, f"{head}-critic")


def mismatch(case):
    """Mean distance over all tokens that are learned from."""
    apart = []
    for record in case.records if case.name == "nll" else sampled(case):
        if record.weight > 0:
            recorded = [record.behaviour[k] for k in record.learned]
            apart.append((log_probs(case, case.weights, record) - torch.tensor(recorded)).abs())
    return torch.cat(apart).mean().item()


def compute(case, networks):
    model = case["model"]
    trained = case["trained"]
    weights = load(folder, f"{model}-policy", trained)
    leaves = {name: weights[name] for name in trained if name in weights}
    if case["adapter"] is not None:
        adapter = load(folder, "adapter", trained)
        leaves = {name: adapter[name] for name in trained}
        weights = adapted(weights, adapter, case["adapter"])
    case = Case(case, networks, weights)
    loss = (POLICIES | HEADS)[case.name](case)
    if case.name in ("nll", "pg"):
        mismatches[case.case["name"]] = mismatch(case)
    loss.backward()
    gradients = {n: torch.zeros_like(w) if w.grad is None else w.grad for n, w in leaves.items()}
    return loss.item(), gradients


config, cases = json.loads((folder / "config.json").read_text()), json.loads((folder / "cases.json").read_text())
network = Network(config)
losses, mismatches, gradients = {}, {}, {}
for case in cases:
    name = case["name"]
    losses[name], found = compute(case, network)
    gradients |= {f"{name}/{weight}": g.contiguous() for weight, g in found.items()}
save_file(gradients, folder / "gradients.safetensors")
(folder / "mismatches.json").write_text(json.dumps(mismatches))
(folder / "losses.json").write_text(json.dumps(losses))
