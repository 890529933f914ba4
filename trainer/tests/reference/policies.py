"""Losses of language models: likelihoods, policy gradients, preferences, judgements. Each takes a case and returns the loss that is
minimised, a mean over all records in use."""

import torch
import torch.nn.functional as F
from records import advantages, gae, kind, pairs, whitened


def predictions(case, weights, record):
    """Log-softmax of the logits before each learned token, [learned, vocabulary], and those tokens."""
    targets = torch.tensor([record.completion[k] for k in record.learned])
    return case.network.logits(weights, record.tokens)[record.states].log_softmax(-1), targets


def log_probs(case, weights, record):
    found, targets = predictions(case, weights, record)
    return found[torch.arange(len(targets)), targets]


def frozen_log_probs(case, which, record):
    with torch.no_grad():
        return log_probs(case, case.frozen(which), record)


def divergence(form, log_prob, reference):
    difference = log_prob - reference
    return {
        "k1": lambda: difference,
        "k2": lambda: difference**2 / 2,
        "k3": lambda: torch.exp(reference - log_prob) - 1 + difference,
    }[form]()


def penalty_weights(kl, record):
    """The weight of each learned token's divergence: that of the first learned part may be another."""
    first = record.turns[0]
    inside = [first["start"] <= k < first["end"] for k in record.learned]
    return torch.tensor([kl["first_turn"] if own else kl["weight"] for own in inside])


def penalised(case, record, of_token, found, targets, reference):
    """`of_token(log_prob)` with the penalties of a case, token by token."""
    log_prob = found[torch.arange(len(targets)), targets]
    losses = of_token(log_prob)
    kl = case.train["kl"]
    if kl is not None and kl["in"] == "loss":
        weights = kl["weight"] if kl.get("first_turn") is None else penalty_weights(kl, record)
        losses = losses + weights * divergence(kl["form"], log_prob, reference())
    return losses + case.train["entropy"] * (found.exp() * found).sum(-1)


def tokens(case, record, of_token):
    found, targets = predictions(case, case.weights, record)
    return penalised(case, record, of_token, found, targets, lambda: frozen_log_probs(case, "reference", record))


def averaged(parts, average="token"):
    """One number of (record weight, losses of its tokens)."""
    name, constant = kind(average)
    if name == "token":
        return sum(w * l.sum() for w, l in parts) / sum(w * len(l) for w, l in parts)
    if name == "sequence":
        return sum(w * l.mean() for w, l in parts) / sum(w for w, _ in parts)
    return sum(w * l.sum() for w, l in parts) / sum(w * constant for w, _ in parts)


def likelihood(case):
    """`nll` and `weighted_nll`, alone or joined behind one prefix."""
    weighted = case.name == "weighted_nll"
    by_number = {record.number: record for record in case.records}
    parts = []
    for numbers in case.case["items"]:
        group = [by_number[n] for n in numbers]
        sequence = list(group[0].prefix)
        at = []
        for record in group:
            body = len(sequence) - len(record.prefix)
            at.append([body + state for state in record.states])
            sequence += record.tokens[len(record.prefix) :]
        found = case.network.logits(case.weights, sequence).log_softmax(-1)
        for record, states in zip(group, at):
            factor = record.reward if weighted else 1.0
            targets = torch.tensor([record.completion[k] for k in record.learned])

            def reference(sequence=sequence, states=states, targets=targets):
                with torch.no_grad():
                    logits = case.network.logits(case.frozen("reference"), sequence)
                return logits[states].log_softmax(-1)[torch.arange(len(targets)), targets]

            of_token = lambda log_prob, factor=factor: -factor * log_prob
            parts.append((record.weight, penalised(case, record, of_token, found[states], targets, reference)))
    return averaged(parts)


def component(case):
    parts = []
    for record in (r for r in case.records if r.weight > 0):
        sequence = list(record.tokens)
        if case.both_sides:
            at, targets = case.masks[record.number], [sequence[i] for i in case.masks[record.number]]
            for i in at:
                sequence[i] = case.settings["masked"]["token"]
        else:
            at, targets = list(range(len(sequence) - 1)), sequence[1:]

        def found(weights, sequence=sequence, at=at):
            return case.network.logits(weights, sequence, case.both_sides)[at].log_softmax(-1)

        def reference(found=found, targets=targets):
            with torch.no_grad():
                return found(case.frozen("reference"))[torch.arange(len(targets)), torch.tensor(targets)]

        losses = penalised(case, record, lambda p: -p, found(case.weights), torch.tensor(targets), reference)
        parts.append((record.weight, losses))
    return averaged(parts)


def surrogate(ratio, advantage, clip):
    bounded = torch.clamp(ratio, 1 - clip["low"], 1 + clip["high"])
    gain = torch.minimum(ratio * advantage, bounded * advantage)
    if clip["dual"] is not None:
        gain = torch.where(advantage < 0, torch.maximum(gain, clip["dual"] * advantage), gain)
    return -gain


def critic_advantages(case, records, critic):
    weights, kl = case.critic(), case.train["kl"]
    found = {}
    for record in records:
        with torch.no_grad():
            values = case.network.outputs(weights, record.tokens)[record.states, 0].tolist()
        rewards = record.token_rewards()
        if kl is not None and kl["in"] == "reward":
            behaviour = torch.tensor([record.behaviour[k] for k in record.learned])
            penalty = divergence(kl["form"], behaviour, frozen_log_probs(case, "reference", record)).tolist()
            rewards = [r - kl["weight"] * p for r, p in zip(rewards, penalty)]
        found[record.number], _ = gae(rewards, values, critic["gamma"], critic["lambda"])
    return found


def greedy_rewards(case):
    return {r.task: r.reward for r in case.records if r.greedy and r.reward is not None}


def sampled(case):
    """Judged records that a policy gradient learns from: none that is greedy, and none that misses the one it is compared with."""
    judged = [record for record in case.records if record.reward is not None and not record.greedy]
    if case.settings["baseline"] == "greedy":
        judged = [record for record in judged if record.task in greedy_rewards(case)]
    return judged


def class_credit(case, record, advantages):
    """Each advantage times the critic's probability of the record's class, read at the token itself."""
    with torch.no_grad():
        outputs = case.network.outputs(case.critic("classes"), record.tokens)
    found = []
    for k, advantage in zip(record.learned, advantages):
        logits = outputs[len(record.prompt) + k]
        of_class = (logits[record.label] - logits.logsumexp(0)).exp().item()
        found.append(advantage * of_class)
    return found


def policy_gradient(case):
    pg = case.settings
    judged = sampled(case)
    used = [record for record in judged if record.weight > 0]
    baseline, critic = kind(pg["baseline"])
    if baseline == "critic":
        found = critic_advantages(case, used, critic)
        found = found if pg["scale"] == "none" else whitened(found)
    else:
        found = advantages(judged, pg, greedy_rewards(case))
    if kind(pg["credit"])[0] == "critic_class":
        found = {r.number: class_credit(case, r, found[r.number]) for r in used}
    name, clip = kind(pg["surrogate"])
    proximal, stale = kind(pg["proximal"])
    parts, clipped = [], 0
    for record in used:
        advantage = torch.tensor(found[record.number])
        behaviour = torch.tensor([record.behaviour[k] for k in record.learned])

        def of_token(log_prob, record=record, advantage=advantage, behaviour=behaviour):
            nonlocal clipped
            if name == "reinforce":
                return -advantage * log_prob
            old, weight = behaviour, 1.0
            if proximal == "start":
                old = frozen_log_probs(case, "start", record)
                weight = torch.exp(old - behaviour).clamp(max=stale["weight_cap"])
                clipped += int((torch.exp(old - behaviour) > stale["weight_cap"]).sum())
            ratio = torch.exp(log_prob - old)
            if name == "sequence_clip":
                ratio = torch.exp((log_prob - old).mean())
                losses = surrogate(ratio, advantage[0], clip).expand(len(log_prob))
            else:
                losses = weight * surrogate(ratio, advantage, clip)
            clipped += int(((ratio < 1 - clip["low"]) | (ratio > 1 + clip["high"])).sum())
            return losses

        parts.append((record.weight, tokens(case, record, of_token)))
    assert name == "reinforce" or clipped > 0, "no ratio reaches a bound: the case tries nothing"
    return averaged(parts, "sequence" if name == "sequence_clip" else pg["average"])


def preference(case):
    """Losses on pairs of answers."""
    own, reference = {}, {}

    def answer(record):
        if record.number not in own:
            own[record.number] = log_probs(case, case.weights, record)
            reference[record.number] = frozen_log_probs(case, "reference", record)
        return own[record.number], reference[record.number]

    settings, terms, weights = case.settings, [], []
    for better, worse, weight, margin in pairs(case.records):
        (chosen, ref_chosen), (rejected, ref_rejected) = answer(better), answer(worse)
        if case.name == "cpl":
            gamma, alpha = settings["gamma"], settings["alpha"]
            chosen, rejected = (
                sum(gamma**k * p for k, p in enumerate(log_prob)) * alpha for log_prob in (chosen, rejected)
            )
            loss = torch.logsumexp(torch.stack([chosen, settings["lambda"] * rejected]), 0) - chosen
        else:
            join = torch.mean if settings.get("form") == "ipo" else torch.sum
            beta = settings["beta"]
            gap = (join(chosen) - join(ref_chosen)) - (join(rejected) - join(ref_rejected))
            if case.name == "dpo_regression":
                loss = (beta * gap - margin) ** 2
            elif settings["form"] == "ipo":
                loss = (gap - 1 / (2 * beta)) ** 2
            else:
                wrong = settings["smoothing"]
                loss = -(1 - wrong) * F.logsigmoid(beta * gap) - wrong * F.logsigmoid(-beta * gap)
        terms.append(weight * loss)
        weights.append(weight)
    return sum(terms) / sum(weights)


def kto(case):
    judged = [record for record in case.records if record.desirable is not None]
    used = [(i, record) for i, record in enumerate(judged) if record.weight > 0]
    apart = []
    for i, record in used:
        other = next(r for r in judged[i:] + judged[:i] if r.task != record.task)
        tokens = record.prompt + other.completion
        states = [len(record.prompt) + k - 1 for k in other.learned]
        targets = [other.completion[k] for k in other.learned]
        with torch.no_grad():
            ours, theirs = (
                case.network.logits(weights, tokens).log_softmax(-1)[states, targets].sum()
                for weights in (case.weights, case.frozen("reference"))
            )
        apart.append(ours - theirs)
    point = torch.stack(apart).mean().clamp(min=0)
    # One case has the mean above 0, the other below.
    assert (point > 0.01) == (case.case["name"] == "kto"), f"the reference point of {apart} tries nothing"
    settings, terms = case.settings, []
    for _, record in used:
        gain = log_probs(case, case.weights, record).sum() - frozen_log_probs(case, "reference", record).sum() - point
        if record.desirable:
            loss = settings["desirable"] * (1 - torch.sigmoid(settings["beta"] * gain))
        else:
            loss = settings["undesirable"] * (1 - torch.sigmoid(-settings["beta"] * gain))
        terms.append(record.weight * loss)
    return sum(terms) / sum(record.weight for _, record in used)


POLICIES = {
    "nll": likelihood,
    "weighted_nll": likelihood,
    "component": component,
    "pg": policy_gradient,
    "dpo": preference,
    "dpo_regression": preference,
    "cpl": preference,
    "kto": kto,
}
