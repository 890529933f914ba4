"""Values and gradients of every loss by PyTorch, each written from its formula and, where there is one, with torch's own."""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from cases import case, index, log_prob, near, normal
from torch.distributions import Categorical

folder = Path(sys.argv[1])
N = 200


def each(name, compute, learned, fixed=(), **options):
    case(folder, name, compute, learned, fixed, **options)


def result(loss, **more):
    return {"loss": loss} | more


def flag(condition):
    return condition.double()


# Likelihood, by torch.distributions.
logits, targets = normal(N, 11, scale=2.0), index(N, 11)
each("token_log_probs", lambda i, o: result(Categorical(logits=i["logits"]).log_prob(i["targets"])),
     {"logits": logits}, {"targets": targets})
each("entropy", lambda i, o: result(Categorical(logits=i["logits"]).entropy()), {"logits": logits})
each("nll", lambda i, o: result(-i["log_probs"]), {"log_probs": log_prob(N)})


# Segments, one at a time.
def by_segment(values, segment, count, of):
    return torch.stack([of(values[segment == s]) for s in range(count)])


COUNT = 13
values, columns, segment = normal(N), normal(N, 5), index(N, COUNT)
# Items that share the largest value of a segment.
tied = columns.clone()
first, second = (segment == 4).nonzero().flatten()[:2]
tied[first] = tied[second] = columns[segment == 4].amax(0) + 1
for name, of, held in [
    ("sum_by", torch.sum, values),
    ("mean_by", torch.mean, values),
    ("max_by", lambda v: v.amax(0), columns),
    ("max_by_tied", lambda v: v.amax(0), tied),
]:
    each(name, lambda i, o, of=of: result(by_segment(i["values"], i["segment"], o["count"], of)),
         {"values": held}, {"segment": segment}, count=COUNT)

# KL.
log_probs = log_prob(N)
reference = near(log_probs)
for name, of in [
    ("kl_k1", lambda p, q: p - q),
    ("kl_k2", lambda p, q: (p - q) ** 2 / 2),
    ("kl_k3", lambda p, q: q.exp() / p.exp() - 1 - (q - p)),
]:
    each(name, lambda i, o, of=of: result(of(i["log_probs"], i["reference"])) | {
        "branch.above": flag(i["log_probs"] > i["reference"])}, {"log_probs": log_probs}, {"reference": reference})


# Policy gradient.
def clipped(ratio, advantage, o):
    surrogate = torch.minimum(ratio * advantage, torch.clamp(ratio, 1 - o["low"], 1 + o["high"]) * advantage)
    up, down = (ratio > 1 + o["high"]) & (advantage > 0), (ratio < 1 - o["low"]) & (advantage < 0)
    free_up, free_down = (ratio > 1 + o["high"]) & (advantage < 0), (ratio < 1 - o["low"]) & (advantage > 0)
    out = {"branch.up": up, "branch.down": down, "branch.free_up": free_up, "branch.free_down": free_down,
           "branch.zero": advantage == 0}
    held = up | down
    if "dual" in o:
        dual = (advantage < 0) & (ratio > o["dual"])
        surrogate = torch.where(advantage < 0, torch.maximum(surrogate, o["dual"] * advantage), surrogate)
        held, out["branch.dual"] = held | dual, dual
    return {n: flag(v) for n, v in out.items()} | result(-surrogate, clipped=flag(held), ratio=ratio.detach())


def decoupled(i, o):
    weight = torch.clamp(i["proximal"].exp() / i["behaviour"].exp(), max=o["weight_cap"])
    out = clipped((i["log_probs"] - i["proximal"]).exp(), i["advantages"], o)
    return out | result(weight * out["loss"]) | {"branch.capped": flag(weight == o["weight_cap"])}


old = near(log_probs)
advantages = normal(N)
advantages[::20] = 0.0
policy, against = {"log_probs": log_probs}, {"old": old, "advantages": advantages}
ppo = lambda i, o: clipped((i["log_probs"] - i["old"]).exp(), i["advantages"], o)
each("reinforce", lambda i, o: result(-i["log_probs"] * i["advantages"]), policy, {"advantages": advantages})
each("ppo_clip", ppo, policy, against, low=0.2, high=0.28)
each("ppo_clip_dual", ppo, policy, against, low=0.2, high=0.2, dual=1.5)
each("decoupled", decoupled, policy, {"proximal": old, "behaviour": near(old), "advantages": advantages},
     low=0.2, high=0.2, dual=1.7, weight_cap=1.3)


def sequences(i, o):
    means = by_segment(i["log_probs"] - i["old"], i["segment"], len(i["advantages"]), torch.mean)
    return clipped(means.exp(), i["advantages"], o)


advantages = normal(40)
advantages[::10] = 0.0
each("sequence_clip", sequences, policy, {"old": old, "segment": index(N, 40), "advantages": advantages}, low=0.03, high=0.04)


def value_clip(i, o):
    v, before, returns = i["values"], i["old_values"], i["returns"]
    free = F.mse_loss(v, returns, reduction="none")
    if "clip" not in o:
        return result(free / 2)
    near = F.mse_loss(torch.clamp(v, before - o["clip"], before + o["clip"]), returns, reduction="none")
    moved = (v - before).abs() > o["clip"]
    return result(torch.maximum(free, near) / 2) | {
        "branch.held": flag(moved & (near > free)), "branch.free": flag(moved & (near < free)), "branch.moved": flag(moved)}


critic = {"values": values}, {"old_values": values + normal(N, scale=0.4), "returns": normal(N)}
each("value_clip", value_clip, *critic, clip=0.3)
each("value_clip_none", value_clip, *critic)


# Preferences.
def difference(i):
    return i["chosen"] - i["rejected"] - (i["ref_chosen"] - i["ref_rejected"])


def dpo(i, o):
    """Cross-entropy of the model's preference with the label as it is believed."""
    h = o["beta"] * difference(i)
    wrong = i["smoothing"] if "smoothing" in i else torch.full_like(h, o["smoothing"])
    return result(F.binary_cross_entropy_with_logits(h, 1 - wrong, reduction="none")) | {"branch.right": flag(h > 0)}


def robust_dpo(i, o):
    h, e = o["beta"] * difference(i), o["flip_rate"]
    return result((-(1 - e) * F.logsigmoid(h) + e * F.logsigmoid(-h)) / (1 - 2 * e))


def kto(i, o):
    gain = o["beta"] * (i["log_ratio"] - i["reference_point"])
    good = i["desirable"].bool()
    loss = torch.where(good, o["weight_desirable"] * (1 - torch.sigmoid(gain)),
                       o["weight_undesirable"] * (1 - torch.sigmoid(-gain)))
    return result(loss) | {"branch.desirable": flag(good), "branch.above": flag(gain > 0)}


chosen, rejected = normal(N, scale=8.0) - 20, normal(N, scale=8.0) - 20
pair = {"chosen": chosen, "rejected": rejected}
references = {"ref_chosen": chosen + normal(N, scale=5.0), "ref_rejected": rejected + normal(N, scale=5.0)}
each("dpo", dpo, pair, references, beta=0.1, smoothing=0.0)
each("dpo_smoothed", dpo, pair, references, beta=0.3, smoothing=0.1)
each("dpo_smoothed_each", dpo, pair, references | {"smoothing": torch.rand(N) / 2}, beta=0.2)
each("robust_dpo", robust_dpo, pair, references, beta=0.2, flip_rate=0.2)
each("ipo", lambda i, o: result((difference(i) - 1 / (2 * o["beta"])) ** 2), pair, references, beta=0.1)
each("dpo_regression", lambda i, o: result((o["beta"] * difference(i) - i["target_margin"]) ** 2), pair,
     references | {"target_margin": normal(N, scale=3.0)}, beta=0.5)
for name, bias in [("cpl", 0.5), ("cpl_unbiased", 1.0)]:
    each(name, lambda i, o: result(-torch.stack(
        [o["alpha"] * i["chosen_sum"], o["lambda"] * o["alpha"] * i["rejected_sum"]]).log_softmax(0)[0]),
         {"chosen_sum": chosen, "rejected_sum": rejected}, **{"alpha": 0.1, "lambda": bias})
each("kto", kto, {"log_ratio": normal(N, scale=5.0)},
     {"desirable": torch.randint(0, 2, (N,)).float(), "reference_point": torch.tensor(1.3)},
     beta=0.3, weight_desirable=1.0, weight_undesirable=1.4)
each("kto_reference_point", lambda i, o: {"point": torch.clamp(i["kl_log_ratios"].mean(), min=0)}, {},
     {"kl_log_ratios": normal(N) + 0.5})

# Critics.
each("bt_pair", lambda i, o: result(F.binary_cross_entropy_with_logits(
    i["chosen"] - i["rejected"], torch.ones(N).double(), reduction="none")), {"chosen": values, "rejected": normal(N)})
each("bt_pair_margin", lambda i, o: result(torch.log1p(torch.exp(i["rejected"] - i["chosen"] + i["margin"]))),
     {"chosen": values, "rejected": normal(N)}, {"margin": torch.rand(N)})
labels = torch.rand(N)
labels[:20], labels[20:40] = 0.0, 1.0
each("bce_soft", lambda i, o: result(F.binary_cross_entropy(torch.sigmoid(i["logits"]), i["labels"], reduction="none")),
     {"logits": normal(N, scale=3.0)}, {"labels": labels})
fit = {"values": normal(N)}, {"targets": normal(N)}
each("mse", lambda i, o: result((i["values"] - i["targets"]) ** 2), *fit)


def huber(i, o):
    error, delta = (i["values"] - i["targets"]).abs(), o["delta"]
    return result(torch.where(error <= delta, error**2 / 2, delta * (error - delta / 2))) | {
        "branch.far": flag(error > delta)}


each("huber", huber, *fit, delta=0.7)
classes = {"logits": normal(N, 4, scale=2.0)}, {"classes": index(N, 4)}
for name, smoothing in [("classes", 0.0), ("classes_smoothed", 0.15)]:
    each(name, lambda i, o: result(F.cross_entropy(
        i["logits"], i["classes"], reduction="none", label_smoothing=o["smoothing"])), *classes, smoothing=smoothing)


# Temporal differences, a transition at a time.
def td_target(i, o):
    out, alike = [], []
    for n in range(len(i["rewards"])):
        target = i["next_q_target"][n]
        online = i["next_q_online"][n] if "next_q_online" in i else target
        alike.append(online.argmax() == target.argmax())
        ahead = 0.0 if i["done"][n] == 1 else o["gamma"] * target[online.argmax()]
        out.append(i["rewards"][n] + ahead)
    marks = {"branch.done": i["done"]}
    if "next_q_online" in i:
        marks["branch.alike"] = flag(torch.stack(alike))
    return {"target": torch.stack(out)} | marks


def td_conservative(i, o):
    td, penalty, floored = [], [], []
    for q, action, target, reached in zip(i["q"], i["actions"], i["targets"], i["mc_returns"]):
        pushed = torch.maximum(q, reached) if o["calibrated"] else q
        td.append((q[action] - target) ** 2 / 2)
        penalty.append(o["alpha"] * (pushed.exp().sum().log() - q[action]))
        floored.append(q < reached)
    return {"td": torch.stack(td), "penalty": torch.stack(penalty), "branch.floored": flag(torch.stack(floored))}


transition = {"rewards": normal(N), "done": (torch.rand(N) < 0.3).float(), "next_q_target": normal(N, 4)}
each("td_target", td_target, {}, transition, gamma=0.9)
each("td_target_double", td_target, {}, transition | {"next_q_online": normal(N, 4)}, gamma=0.97)
recorded = {"q": normal(N, 4)}, {"actions": index(N, 4), "targets": normal(N), "mc_returns": normal(N)}
for name, calibrated in [("td_conservative", False), ("td_conservative_calibrated", True)]:
    each(name, td_conservative, *recorded, alpha=0.7, calibrated=calibrated)


# Contrast.
def info_nce(i, o):
    similarity = i["query"] @ i["key"].T / o["temperature"]
    own = torch.arange(len(similarity))
    loss = F.cross_entropy(similarity, own, reduction="none")
    return result((loss + F.cross_entropy(similarity.T, own, reduction="none")) / 2 if o["symmetric"] else loss)


rows = {"query": F.normalize(normal(24, 6), dim=1), "key": F.normalize(normal(24, 6), dim=1)}
for name, symmetric in [("info_nce", False), ("info_nce_symmetric", True)]:
    each(name, info_nce, rows, temperature=0.2, symmetric=symmetric)
