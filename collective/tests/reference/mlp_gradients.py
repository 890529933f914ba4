"""Gradients of the network in tests/ranks/mlp.rs by PyTorch, on the whole batch: problem.safetensors -> g0..g5."""
import sys

import torch
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
problem = load_file(sys.argv[1])
params = [problem[name].requires_grad_() for layer in range(3) for name in (f"w{layer}", f"b{layer}")]
h = problem["x"]
for layer in range(3):
    h = torch.nn.functional.linear(h, params[2 * layer], params[2 * layer + 1])
    if layer < 2:
        h = torch.nn.functional.gelu(h)
torch.nn.functional.mse_loss(h, problem["y"]).backward()
save_file({f"g{i}": param.grad for i, param in enumerate(params)}, sys.argv[2])
