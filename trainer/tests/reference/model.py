"""A small Llama by transformers, one sequence at a time and without padding, on weights that are given by name."""

import torch
from safetensors.torch import load_file
from torch.func import functional_call
from transformers import LlamaConfig, LlamaModel


class Network:
    """The trunk of transformers, and heads written out."""

    def __init__(self, config):
        llama = LlamaConfig(attn_implementation="eager", use_cache=False, **config)
        self.trunk = LlamaModel(llama).float()

    def hidden(self, weights, tokens, both_sides=False):
        """Hidden states after the last norm, [tokens, hidden]."""
        trunk = {name.removeprefix("model."): w for name, w in weights.items() if name.startswith("model.")}
        inputs = {"input_ids": torch.tensor([tokens])}
        if both_sides:
            # An additive mask that hides nothing.
            inputs["attention_mask"] = torch.zeros(1, 1, len(tokens), len(tokens))
        return functional_call(self.trunk, trunk, (), inputs).last_hidden_state[0]

    def logits(self, weights, tokens, both_sides=False):
        head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
        return self.hidden(weights, tokens, both_sides) @ head.T

    def outputs(self, weights, tokens):
        """What the head of a critic or classifier says at every token, [tokens, outputs]."""
        return self.hidden(weights, tokens) @ weights["score.weight"].T + weights["score.bias"]


def load(folder, name, trained=()):
    """Weights of a file; those in `trained` ask for gradients."""
    weights = load_file(folder / f"{name}.safetensors")
    return {n: w.requires_grad_(n in trained) for n, w in weights.items()}


def adapted(weights, adapter, scale):
    """Weights with `scale B A` added to those that an adapter in PEFT's layout has updates for."""
    out = dict(weights)
    for name, down in adapter.items():
        if name.endswith(".lora_A.weight"):
            module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            up = adapter[name.replace("lora_A", "lora_B")]
            out[f"{module}.weight"] = weights[f"{module}.weight"] + scale * up @ down
    return out
