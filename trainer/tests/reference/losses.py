"""Losses and gradients of a small random Llama by transformers, on records read from `records.json`.

Writes `config.json` and, for each of `nll` and `bce`, NAME.safetensors (weights, and gradients as grad.WEIGHT) and NAME.json (the loss).
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

folder = Path(sys.argv[1])
records = json.loads((folder / "records.json").read_text())
torch.set_num_threads(1)
torch.manual_seed(11)
config = LlamaConfig(
    vocab_size=50,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    initializer_range=0.2,
    tie_word_embeddings=True,
    attn_implementation="eager",
    bos_token_id=None,
    eos_token_id=1,
    pad_token_id=0,
)
config.architectures = ["LlamaForCausalLM"]
config.save_pretrained(folder)
model = LlamaForCausalLM(config).float()


def write(name, loss, extra):
    model.zero_grad()
    for weight in extra.values():
        weight.grad = None
    loss.backward()
    weights = dict(model.named_parameters()) | extra
    tensors = {n: w.detach().clone() for n, w in weights.items()}
    tensors |= {f"grad.{n}": w.grad.clone() for n, w in weights.items()}
    save_file(tensors, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps({"loss": loss.item()}))


# One row for each record, labels on completion tokens only; the loss is transformers' own, a mean over all labels.
length = max(len(r["prompt"]) + len(r["completion"]) for r in records)
rows, labels = [], []
for r in records:
    padding = length - len(r["prompt"]) - len(r["completion"])
    rows.append(r["prompt"] + r["completion"] + [0] * padding)
    labels.append([-100] * len(r["prompt"]) + r["completion"] + [-100] * padding)
write("nll", model(input_ids=torch.tensor(rows), labels=torch.tensor(labels)).loss, {})

# Each judged record alone, without padding; a linear head at its last token.
head = torch.nn.Linear(32, 1)
scores, wanted = [], []
for r in records:
    if r["outcome"] in ("pass", "fail"):
        hidden = model.model(torch.tensor([r["prompt"] + r["completion"]])).last_hidden_state
        scores.append(head(hidden[0, -1])[0])
        wanted.append(1.0 if r["outcome"] == "pass" else 0.0)
loss = torch.nn.functional.binary_cross_entropy_with_logits(torch.stack(scores), torch.tensor(wanted))
write("bce", loss, {"score.weight": head.weight, "score.bias": head.bias})
