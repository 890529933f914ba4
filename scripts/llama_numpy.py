"""Forward pass of a Llama in plain numpy: slow, small, and independent of every other implementation in this repository.

It serves the converter as a judge of its own output. Weights carry their Hugging Face names, config is the parsed config.json.
"""

import numpy as np


def _rms_norm(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def _rope_tables(length, head_dim, theta):
    """cos and sin, each (length, head_dim): both halves of a head turn by the same angles."""
    frequencies = theta ** (-np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    angles = np.arange(length)[:, None] * frequencies[None, :]
    angles = np.concatenate([angles, angles], axis=-1)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _rotate(x, cos, sin):
    first, second = np.split(x, 2, axis=-1)
    return x * cos + np.concatenate([-second, first], axis=-1) * sin


def _log_softmax(x):
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _attention(x, weight, config, rope):
    heads, kv_heads, head_dim = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    length = x.shape[0]

    def project(name, count):
        return (x @ weight(f"self_attn.{name}").T).reshape(length, count, head_dim).swapaxes(0, 1)

    query = _rotate(project("q_proj", heads), *rope)
    key = _rotate(project("k_proj", kv_heads), *rope).repeat(heads // kv_heads, axis=0)
    value = project("v_proj", kv_heads).repeat(heads // kv_heads, axis=0)
    scores = query @ key.swapaxes(1, 2) / np.sqrt(head_dim)
    scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
    mixed = np.exp(_log_softmax(scores)) @ value
    return mixed.swapaxes(0, 1).reshape(length, heads * head_dim) @ weight("self_attn.o_proj").T


def _feed_forward(x, weight):
    gate, up = x @ weight("mlp.gate_proj").T, x @ weight("mlp.up_proj").T
    return (gate / (1 + np.exp(-gate)) * up) @ weight("mlp.down_proj").T


def logits(tensors, config, ids):
    """(length, vocabulary) logits of one sequence of token ids."""
    eps = config["rms_norm_eps"]
    rope = _rope_tables(len(ids), config["head_dim"], config["rope_theta"])
    x = tensors["model.embed_tokens.weight"][np.asarray(ids)]
    for layer in range(config["num_hidden_layers"]):

        def weight(name, layer=layer):
            return tensors[f"model.layers.{layer}.{name}.weight"]

        x = x + _attention(_rms_norm(x, weight("input_layernorm"), eps), weight, config, rope)
        x = x + _feed_forward(_rms_norm(x, weight("post_attention_layernorm"), eps), weight)
    x = _rms_norm(x, tensors["model.norm.weight"], eps)
    return x @ tensors["model.embed_tokens.weight"].T


def mean_nll(tensors, config, ids):
    """Mean negative log-likelihood, in nats, of each token after the first given those before it."""
    log_probs = _log_softmax(logits(tensors, config, ids)[:-1])
    return float(-log_probs[np.arange(len(ids) - 1), ids[1:]].mean())
