"""Twenty steps of torch.optim's optimisers on matrices and vectors: where they start, every gradient, where they end.

Writes start.safetensors (the weights, by name), gradients.safetensors (as STEP/NAME) and, for each case of `CASES`,
CASE.safetensors with the weights after the last step. Vectors are not decayed. In the cases of Muon, embedding and vectors
go to AdamW.
"""

import sys
from pathlib import Path

import torch
import torch.optim._muon as muon_module
from safetensors.torch import save_file

STEPS, DECAY = 20, 0.1
BETAS, EPS = (0.9, 0.95), 1e-8
SHAPES = {
    "embed_tokens.weight": (30, 12),
    "tall.weight": (400, 90),  # longer than two of the pieces that the optimiser works in
    "wide.weight": (16, 48),
    "square.weight": (24, 24),
    "norm.weight": (40,),
}

folder = Path(sys.argv[1])
torch.set_num_threads(1)
torch.manual_seed(7)
start = {name: torch.randn(shape) for name, shape in SHAPES.items()}
gradients = {}
for step in range(STEPS):
    # Over several orders of magnitude, with zeros among them.
    for name, shape in SHAPES.items():
        scale = 10.0 ** torch.randint(-6, 2, shape)
        gradients[f"{step}/{name}"] = torch.randn(shape) * scale * (torch.rand(shape) > 0.1)


def lr(step):
    return 0.01 / (1 + step)


def groups(weights, decay):
    matrices = [w for w in weights.values() if w.dim() > 1]
    vectors = [w for w in weights.values() if w.dim() < 2]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def adamw(weights, factor=1.0, fused=False):
    optimiser = torch.optim.AdamW(groups(weights, DECAY), lr=1.0, betas=BETAS, eps=EPS, fused=fused)
    return [(optimiser, factor, 0.0)]


def sgd(momentum, nesterov):
    # torch.optim.SGD adds decay to the gradient; decoupled, it is a product before the step.
    return lambda weights: [
        (torch.optim.SGD(groups(weights, 0.0), lr=1.0, momentum=momentum, nesterov=nesterov), 1.0, DECAY)
    ]


def muon(nesterov):
    def build(weights):
        hidden = {n: w for n, w in weights.items() if w.dim() == 2 and "embed" not in n}
        rest = {n: w for n, w in weights.items() if n not in hidden}
        options = {"momentum": 0.95, "nesterov": nesterov, "adjust_lr_fn": "match_rms_adamw", "weight_decay": DECAY}
        return [(torch.optim.Muon(list(hidden.values()), lr=1.0, **options), 1.0, 0.0)] + adamw(rest, 0.5)

    return build


def run(build):
    weights = {name: torch.nn.Parameter(tensor.clone()) for name, tensor in start.items()}
    optimisers = build(weights)
    for step in range(STEPS):
        for name, weight in weights.items():
            weight.grad = gradients[f"{step}/{name}"].clone()
        for optimiser, factor, decay in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = lr(step) * factor
                for weight in group["params"]:
                    if weight.dim() > 1:
                        weight.data.mul_(1 - lr(step) * decay)
            optimiser.step()
    return {name: weight.detach() for name, weight in weights.items()}


def newton_schulz_in_double(gradient, coefficients, steps, eps):
    a, b, c = coefficients
    x = gradient.double()
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        # The quintic on the singular values, by products on the left: a X + (b XX' + c (XX')^2) X.
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.float()


CASES = {
    "adamw": adamw,
    "adamw_fused": lambda weights: adamw(weights, fused=True),
    "sgd": sgd(0.0, False),
    "sgd_momentum": sgd(0.9, False),
    "sgd_nesterov": sgd(0.9, True),
    "muon_bf16": muon(True),
}
save_file(start, folder / "start.safetensors")
save_file(gradients, folder / "gradients.safetensors")
for case, build in CASES.items():
    save_file(run(build), folder / f"{case}.safetensors")
# Once more with torch's Newton-Schulz iteration, which rounds to bfloat16, replaced by one that hardly rounds.
muon_module._zeropower_via_newtonschulz = newton_schulz_in_double
save_file(run(muon(True)), folder / "muon.safetensors")
save_file(run(muon(False)), folder / "muon_without_nesterov.safetensors")

# A running mean of the weights that AdamW makes.
model = torch.nn.Module()
for name, tensor in start.items():
    model.register_parameter(name.replace(".", "_"), torch.nn.Parameter(tensor.clone()))
mean = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.8))
mean.update_parameters(model)  # the first call copies
parameters = dict(zip(SHAPES, model.parameters()))
(optimiser, _, _), = adamw(parameters)
for step in range(STEPS):
    for name, weight in parameters.items():
        weight.grad = gradients[f"{step}/{name}"].clone()
    for group in optimiser.param_groups:
        group["lr"] = lr(step)
    optimiser.step()
    mean.update_parameters(model)
means = dict(zip(SHAPES, (p.detach().clone() for p in mean.module.parameters())))
save_file(means, folder / "ema.safetensors")
