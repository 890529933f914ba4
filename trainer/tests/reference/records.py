"""Records as trajectory files have them, and what of them is credited with what: written from the definitions, with plain loops."""

import math
from statistics import stdev


class Record:
    def __init__(self, row, shots):
        prefix, prompt = row["prompt_tokens"][: row["prefix_len"]], row["prompt_tokens"]
        self.prompt = prompt if shots else prompt[len(prefix) :]
        self.prefix = prefix if shots else []
        self.completion = row["completion_tokens"]
        self.task = (row["task_set"], row["task"])
        self.number = row["sample"]
        self.weight = row["credit"]["weight"]
        self.pair = row["credit"]["pair"]
        self.spans = row["credit"]["spans"]
        self.behaviour = row["log_probs"]
        self.greedy = row["credit"]["greedy"]
        outcome, said = row["verdict"]["outcome"], row["credit"]["reward"]
        self.reward = None
        if outcome in ("pass", "fail"):
            self.reward = said if said is not None else float(outcome == "pass")

    @property
    def tokens(self):
        return self.prompt + self.completion

    @property
    def turns(self):
        """Parts that the policy answers for: first and last token, and what is said of it."""
        whole = [{"start": 0, "end": len(self.completion), "learn": True, "value": None, "class": None}]
        return [span for span in self.spans or whole if span["learn"]]

    @property
    def learned(self):
        """Completion tokens that the policy answers for."""
        return [k for turn in self.turns for k in range(turn["start"], turn["end"])]

    @property
    def states(self):
        """Index of the hidden state before each of them."""
        return [len(self.prompt) + k - 1 for k in self.learned]

    @property
    def last(self):
        return len(self.tokens) - 1

    @property
    def desirable(self):
        if self.pair is not None:
            return self.pair["chosen"]
        return None if self.reward is None else self.reward >= 0.5

    @property
    def label(self):
        classes = [span["class"] for span in self.spans if span["class"] is not None]
        if classes:
            return classes[-1]
        return None if self.reward is None else int(self.reward >= 0.5)

    def token_rewards(self):
        """A turn's reward at its last token; where no turn has one, the record's at the last of all."""
        ends = {turn["end"] - 1: turn["value"] for turn in self.turns if turn["value"] is not None}
        if not ends:
            ends = {self.learned[-1]: self.reward}
        return [ends.get(k, 0.0) for k in self.learned]


def kind(setting):
    """Name and settings of what a recipe writes as `name` or `{name: settings}`."""
    return next(iter(setting.items())) if isinstance(setting, dict) else (setting, {})


def advantages(records, pg, greedy):
    """The advantage of each learned token, by record."""
    credit, turn = kind(pg["credit"])
    parts = []
    for record in records:
        if credit != "per_turn":
            parts.append((record, 0, len(record.learned), record.reward))
            continue
        turns = record.turns
        for i, own in enumerate(turns):
            later = sum(turn["gamma"] ** k * t["value"] for k, t in enumerate(turns[i:]))
            parts.append((record, i, own["end"] - own["start"], later))
    found = {record.number: [] for record in records}
    every = [reward for *_, reward in parts]
    for index, (record, turn, tokens, reward) in enumerate(parts):
        group = [(i, p[3]) for i, p in enumerate(parts) if (p[0].task, p[1]) == (record.task, turn)]
        rewards = [r for _, r in group]
        others = [r for i, r in group if i != index]
        match pg["baseline"]:
            case "group":
                baseline = sum(rewards) / len(rewards)
            case "leave_one_out":
                baseline = sum(others) / len(others) if others else reward
            case "none":
                baseline = 0.0
            case "greedy":
                baseline = greedy[record.task]
        compared = {"none": None, "group_std": rewards, "all_std": every}[pg["scale"]]
        advantage = reward - baseline
        if compared is not None:
            deviation = stdev(compared) if len(compared) > 1 else 0.0
            advantage = advantage / (deviation + 1e-6) if deviation > 1e-9 else 0.0
        found[record.number] += [advantage] * tokens
    return found


def gae(rewards, values, gamma, lam):
    """Advantages and returns by the sums that define them."""
    n = len(rewards)
    after = values[1:] + [0.0]
    deltas = [rewards[t] + gamma * after[t] - values[t] for t in range(n)]
    found = [sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, n)) for t in range(n)]
    return found, [a + v for a, v in zip(found, values)]


def whitened(by_record):
    every = [a for values in by_record.values() for a in values]
    mean, deviation = math.fsum(every) / len(every), stdev(every)
    return {n: [(a - mean) / (deviation + 1e-8) for a in values] for n, values in by_record.items()}


def pairs(records):
    """Every pair of a name or task with its weight and margin; all pairs of one count as much as those of another."""
    named = any(record.pair is not None for record in records)
    groups = {}
    for record in records:
        if record.desirable is None or (named and record.pair is None):
            continue
        key = record.pair["pair"] if named else record.task
        groups.setdefault(key, ([], []))[0 if record.desirable else 1].append(record)
    found = []
    for chosen, rejected in groups.values():
        for better in chosen:
            for worse in rejected:
                weight = (better.weight + worse.weight) / 2 / (len(chosen) * len(rejected))
                rewards = [1.0 if better.reward is None else better.reward, worse.reward or 0.0]
                found.append((better, worse, weight, rewards[0] - rewards[1]))
    return found
