"""Twenty steps of torch.optim.AdamW on a matrix and a vector: where they start, every gradient, where they end."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.set_num_threads(1)
torch.manual_seed(7)
matrix = torch.nn.Parameter(torch.randn(40, 50))
vector = torch.nn.Parameter(torch.randn(60))
tensors = {"matrix": matrix.detach().clone(), "vector": vector.detach().clone()}
groups = [{"params": [matrix], "weight_decay": 0.1}, {"params": [vector], "weight_decay": 0.0}]
optimiser = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.95), eps=1e-8)
for step in range(20):
    # Gradients over several orders of magnitude, with zeros among them.
    for name, weight in (("matrix", matrix), ("vector", vector)):
        scale = 10.0 ** torch.randint(-6, 2, weight.shape)
        weight.grad = torch.randn(weight.shape) * scale * (torch.rand(weight.shape) > 0.1)
        tensors[f"{name}.{step}"] = weight.grad.clone()
    for group in optimiser.param_groups:
        group["lr"] = 0.01 / (1 + step)
    optimiser.step()
tensors["matrix.end"] = matrix.detach().clone()
tensors["vector.end"] = vector.detach().clone()
save_file(tensors, Path(sys.argv[1]) / "adamw.safetensors")
