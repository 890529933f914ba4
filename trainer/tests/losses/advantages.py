"""Advantages by NumPy, each from its definition: an answer, a step or a value at a time."""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

random = np.random.default_rng(23)
N, T, EPS = 60, 25, 1e-4
rewards = random.integers(-1, 3, N) * 0.5 + 0.1
groups = random.integers(0, 12, N)
groups[0], groups[groups == 3] = 99, 4  # a group of one; an empty one
rewards[groups == 5] = 0.1  # a flat one
counted = random.random(N) < 0.85
counted[0] = True
given = random.normal(size=N)
out = {"rewards": rewards, "groups": groups, "counted": counted.astype(np.int64), "given": given, "eps": np.array([EPS])}


def answers(baseline, scale):
    found = np.zeros(N)
    for i in np.flatnonzero(counted):
        own = rewards[counted & (groups == groups[i])]
        others = rewards[counted & (groups == groups[i]) & (np.arange(N) != i)]
        taken = {"none": 0.0, "mean": own.mean(), "loo": others.mean() if len(others) else rewards[i], "given": given[i]}
        spread = {"none": 1.0, "group": own.std(ddof=1) if len(own) > 1 else 0.0, "batch": rewards[counted].std(ddof=1)}
        # Without spread (but for rounding) there is nothing to measure with.
        if spread[scale] > 1e-9:
            found[i] = (rewards[i] - taken[baseline]) / (spread[scale] + (0 if scale == "none" else EPS))
    return found


for baseline in ("none", "mean", "loo", "given"):
    for scale in ("none", "group", "batch"):
        out[f"{baseline}.{scale}"] = answers(baseline, scale)

steps, values, last, gamma, decay = random.normal(size=T), random.normal(size=T), 0.7, 0.95, 0.9
out |= {"steps": steps, "values": values, "gae": np.array([last, gamma, decay])}
for end, after in (("terminated", 0.0), ("truncated", last)):
    ahead = np.append(values[1:], after)
    deltas = steps + gamma * ahead - values
    credit = [sum((gamma * decay) ** (k - t) * deltas[k] for k in range(t, T)) for t in range(T)]
    out[f"advantages.{end}"], out[f"returns.{end}"] = np.array(credit), np.array(credit) + values
out["turns"] = np.array([sum(gamma ** (k - t) * steps[k] for k in range(t, T)) for t in range(T)])

kept = rewards[counted]
for name, centre in (("whitened", kept.mean()), ("scaled", 0.0)):
    out[name] = np.where(counted, (rewards - centre) / (kept.std(ddof=1) + EPS), 0.0)
save_file({name: np.ascontiguousarray(value) for name, value in out.items()}, Path(sys.argv[1]) / "advantages.safetensors")
