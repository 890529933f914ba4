"""Losses of critics, classifiers, Q-functions and contrasts; as those of `policies`."""

import torch
import torch.nn.functional as F
from records import gae, kind, pairs


def outputs(case, record, weights=None):
    return case.network.outputs(case.weights if weights is None else weights, record.tokens)


def bt_pair(case):
    scores = {record.number: outputs(case, record)[record.last, 0] for record in case.records}
    terms = [
        (weight, -F.logsigmoid(scores[better.number] - scores[worse.number] - margin * case.settings["margin"]))
        for better, worse, weight, margin in pairs(case.records)
    ]
    return sum(w * loss for w, loss in terms) / sum(w for w, _ in terms)


def fit(name, found, label):
    """Loss of outputs [outputs] against a label."""
    match name:
        case "bce":
            return -(label * F.logsigmoid(found[0]) + (1 - label) * F.logsigmoid(-found[0]))
        case "mse":
            return (found[0] - label) ** 2
        case "huber":
            error = (found[0] - label).abs()
            return error**2 / 2 if error <= 1 else error - 0.5
        case "classes":
            return found.logsumexp(0) - found[label]


def pointwise(case):
    name, step = kind(case.settings)
    terms = []
    for record in (r for r in case.records if r.weight > 0):
        found = outputs(case, record)
        if name == "steps":
            for span in record.spans:
                label = span["class"] if step == "classes" else span["value"]
                if label is not None:
                    terms.append((record.weight, fit(step, found[len(record.prompt) + span["end"] - 1], label)))
            continue
        label = record.label if name in ("classes", "pooled_classes") else record.reward
        if label is None:
            continue
        if name == "pooled_classes":
            terms.append((record.weight, fit("classes", found[len(record.prompt) :].amax(0), label)))
        else:
            terms.append((record.weight, fit(name, found[record.last], label)))
    return sum(w * loss for w, loss in terms) / sum(w for w, _ in terms)


def value(case):
    settings, start = case.settings, case.frozen("start")
    terms, bounded = [], 0
    for record in (r for r in case.records if r.weight > 0 and r.reward is not None):
        found = outputs(case, record)[record.states, 0]
        with torch.no_grad():
            old = outputs(case, record, start)[record.states, 0]
        _, returns = gae(record.token_rewards(), old.tolist(), settings["gamma"], settings["lambda"])
        for v, v_old, target in zip(found, old, returns):
            loss = (v - target) ** 2 / 2
            if settings["clip"] is not None:
                near = v_old + (v - v_old).clamp(-settings["clip"], settings["clip"])
                bounded += int(near != v)
                loss = torch.maximum(loss, (near - target) ** 2 / 2)
            terms.append((record.weight, loss))
    assert settings["clip"] is None or bounded > 0, "no value reaches a bound: the case tries nothing"
    return sum(w * loss for w, loss in terms) / sum(w for w, _ in terms)


def td_conservative(case):
    settings, target = case.settings, case.frozen("start")
    gamma, terms = settings["gamma"], []
    for record in (r for r in case.records if r.weight > 0):
        actions = [span for span in record.spans if span["class"] is not None]
        if any(span["value"] is not None for span in actions):
            rewards = [span["value"] or 0.0 for span in actions]
        elif actions and record.reward is not None:
            rewards = [0.0] * (len(actions) - 1) + [record.reward]
        else:
            continue
        states = [len(record.prompt) + span["start"] - 1 for span in actions]
        q = outputs(case, record)[states]
        with torch.no_grad():
            later = outputs(case, record, target)[states].amax(-1).tolist()[1:] + [0.0]
        for i, span in enumerate(actions):
            own = q[i, span["class"]]
            wanted = rewards[i] + gamma * later[i]
            observed = sum(gamma**k * reward for k, reward in enumerate(rewards[i:]))
            floor = torch.full_like(q[i], observed if settings["calibrated"] else -torch.inf)
            penalty = torch.maximum(q[i], floor).exp().sum().log() - own
            terms.append((record.weight, (own - wanted) ** 2 / 2 + settings["alpha"] * penalty))
    return sum(w * loss for w, loss in terms) / sum(w for w, _ in terms)


def contrastive_mi(case):
    used = [record for record in case.records if record.weight > 0]
    hidden = [case.network.hidden(case.weights, record.tokens) for record in used]
    prompts = F.normalize(torch.stack([h[len(r.prompt) - 1] for h, r in zip(hidden, used)]), dim=-1)
    completions = F.normalize(torch.stack([h[-1] for h in hidden]), dim=-1)
    similarity = prompts @ completions.T / case.settings["temperature"]
    own = torch.arange(len(used))
    losses = F.cross_entropy(similarity, own, reduction="none")
    if case.settings["symmetric"]:
        losses = (losses + F.cross_entropy(similarity.T, own, reduction="none")) / 2
    weights = torch.tensor([record.weight for record in used])
    return (weights * losses).sum() / weights.sum()


HEADS = {
    "bt_pair": bt_pair,
    "pointwise": pointwise,
    "value": value,
    "td_conservative": td_conservative,
    "contrastive_mi": contrastive_mi,
}
