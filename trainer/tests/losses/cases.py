"""How a reference case is computed and written.

A case computes in float64, so that its own rounding does not count, on inputs that float32 holds exactly. NAME.safetensors holds
`in.X` (inputs), `option.X` (float64 scalars), `out.X` (results), and for results with gradients `weight.X` (random weights) and
`grad.Y`, the gradient of the sum of weight * result in each learned input Y. `branch.X` are 0/1 marks of which side of a branch
each item is on; a case that does not hold both sides is refused.
"""

import torch
from safetensors.torch import save_file

torch.set_num_threads(1)
torch.manual_seed(17)


def normal(*shape, scale=1.0):
    return torch.randn(*shape) * scale


def log_prob(n):
    """Log-probabilities of plausible tokens."""
    return -torch.rand(n) * 3 - 0.01


def near(log_probs, scale=0.4):
    """Log-probabilities of another policy, so far away that ratios cross every bound in use."""
    return torch.clamp(log_probs + normal(*log_probs.shape, scale=scale), max=-0.001)


def index(n, below):
    """Indices in random order, of which each occurs."""
    assert n >= below
    return torch.cat([torch.arange(below), torch.randint(0, below, (n - below,))])[torch.randperm(n)]


def case(folder, name, compute, learned, fixed=(), **options):
    """Runs `compute(inputs, options)`, a dict of results, and writes the case."""
    inputs = dict(learned) | dict(fixed)
    exact = {n: t.double() if t.is_floating_point() else t for n, t in inputs.items()}
    leaves = {n: exact[n].requires_grad_() for n in dict(learned)}
    results = compute(exact, options)
    written = {f"in.{n}": t.detach().float() if t.is_floating_point() else t for n, t in inputs.items()}
    written |= {f"option.{n}": torch.tensor(float(value), dtype=torch.float64) for n, value in options.items()}
    total = 0.0
    for key, value in results.items():
        if key.startswith("branch."):
            assert set(value.flatten().tolist()) == {0.0, 1.0}, f"{name}: {key} has one side only"
            written[key] = value.float()
            continue
        assert value.isfinite().all() and value.norm() > 0, f"{name}: {key} says nothing"
        written[f"out.{key}"] = value.detach().float()
        if value.requires_grad:
            weight = torch.rand(value.shape, dtype=torch.float32) + 0.5
            written[f"weight.{key}"] = weight
            total = total + (weight.double() * value).sum()
    if leaves:
        for leaf, gradient in zip(leaves, torch.autograd.grad(total, list(leaves.values()))):
            assert gradient.norm() > 0, f"{name}: no gradient in {leaf}"
            written[f"grad.{leaf}"] = gradient.float()
    save_file({n: t.contiguous() for n, t in written.items()}, folder / f"{name}.safetensors")
