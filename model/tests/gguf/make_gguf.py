"""The independent side of the GGUF tests: files written by the `gguf` package, values computed by its own dequantiser.

Called as `make_gguf.py REQUEST RESPONSE`: REQUEST is a JSON list of {"do": name, ...}, answered in order by a JSON list in
RESPONSE; tensors go through files that the request names.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf.quants import dequantize, quant_shape_to_byte_shape
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

torch.set_num_threads(1)

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "gpt2": gguf.MODEL_ARCH.GPT2,
}


def random_blocks(rng, kind, rows, columns):
    """Random bytes whose half-precision scales are ordinary numbers (random bits would often be infinite)."""
    shape = quant_shape_to_byte_shape((rows, columns), kind)
    data = rng.integers(0, 256, shape, dtype=np.uint8)
    scales = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "Q4_1": (0, 2), "Q5_1": (0, 2)}
    block_bytes = gguf.GGML_QUANT_SIZES[kind][1]
    blocks = data.reshape(-1, block_bytes)
    for at in scales.get(kind.name, (0,)):
        values = rng.standard_normal(len(blocks)).astype(np.float16)
        blocks[:, at : at + 2] = values.view(np.uint8).reshape(-1, 2)
    return data


def quantised(request):
    """A llama of one layer whose embedding is stored in the asked format, and the embedding's values by `gguf`."""
    rng = np.random.default_rng(request["seed"])
    kind = GGMLQuantizationType[request["kind"]]
    rows, columns = request["rows"], 256
    if kind.name in ("F32", "F16", "BF16"):
        values = rng.standard_normal((rows, columns)).astype(np.float32)
        data = gguf.quants.quantize(values, kind)
    else:
        data = random_blocks(rng, kind, rows, columns)
    writer = GGUFWriter(request["file"], "llama")
    write_shape(writer, {"layers": 1, "hidden": columns, "ffn": 8, "heads": 4, "kv": 2, "eps": 1e-5})
    write_byte_tokenizer(writer, rows)
    writer.add_tensor("token_embd.weight", data, raw_dtype=kind)
    ones = np.ones
    for name, shape in {
        "output_norm": (columns,), "blk.0.attn_norm": (columns,), "blk.0.ffn_norm": (columns,),
        "blk.0.attn_q": (columns, columns), "blk.0.attn_k": (columns // 2, columns), "blk.0.attn_v": (columns // 2, columns),
        "blk.0.attn_output": (columns, columns), "blk.0.ffn_gate": (8, columns), "blk.0.ffn_up": (8, columns),
        "blk.0.ffn_down": (columns, 8),
    }.items():
        writer.add_tensor(f"{name}.weight", ones(shape, dtype=np.float32))
    finish(writer)
    stored = next(t for t in GGUFReader(request["file"]).tensors if t.name == "token_embd.weight")
    save_file({"values": np.ascontiguousarray(dequantize(stored.data, kind).reshape(rows, columns))}, request["out"])


def write_shape(writer, shape):
    writer.add_block_count(shape["layers"])
    writer.add_context_length(512)
    writer.add_embedding_length(shape["hidden"])
    writer.add_feed_forward_length(shape["ffn"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv"])
    writer.add_layer_norm_rms_eps(shape["eps"])


def byte_symbols():
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return list(bytes_to_unicode().values())


def write_byte_tokenizer(writer, rows, pre="gpt-2"):
    """256 bytes, two control tokens, one merged piece, then filler as the converter names it."""
    tokens = byte_symbols() + ["<pad>", "<eos>", "ab"]
    kinds = [1] * 256 + [3, 3, 1] + [5] * (rows - 259)
    tokens += [f"[PAD{i}]" for i in range(259, rows)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"])
    writer.add_pad_token_id(256)
    writer.add_eos_token_id(257)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def interleave(weight, heads):
    """Hugging Face's row order of q and k to GGUF's."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def model(request):
    """A random model of `transformers`, saved as a folder and, by the rules of llama.cpp's converter, as GGUF."""
    torch.manual_seed(request["seed"])
    config = AutoConfig.for_model(**request["config"])
    made = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "norm" in name or ".ln_" in name or "bias" in name:
                parameter.uniform_(0.25, 1.5)
    made.save_pretrained(request["folder"])
    config = made.config
    architecture = config.model_type
    names = gguf.get_tensor_name_map(ARCHITECTURES[architecture], config.num_hidden_layers)
    writer = GGUFWriter(request["file"], architecture)
    if architecture == "gpt2":
        write_gpt2(writer, config)
    else:
        write_rotary(writer, config)
    write_byte_tokenizer(writer, config.vocab_size, request["pre"])
    for name, tensor in made.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = tensor.float().numpy()
        if architecture == "llama" and "q_proj" in name:
            values = interleave(values, config.num_attention_heads)
        if architecture == "llama" and "k_proj" in name:
            values = interleave(values, config.num_key_value_heads)
        if architecture == "gemma2" and "norm" in name:
            values = values + 1
        if name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
            values = values.T
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), np.ascontiguousarray(values))
    if architecture != "gpt2" and config.rope_parameters["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(made, config))
    finish(writer)
    return {"parameters": sum(p.numel() for p in made.parameters())}


def write_gpt2(writer, config):
    writer.add_block_count(config.n_layer)
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)


def head_width(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def write_rotary(writer, config):
    write_shape(writer, {
        "layers": config.num_hidden_layers, "hidden": config.hidden_size, "ffn": config.intermediate_size,
        "heads": config.num_attention_heads, "kv": config.num_key_value_heads, "eps": config.rms_norm_eps,
    })
    rope = config.rope_parameters
    writer.add_key_length(head_width(config))
    writer.add_value_length(head_width(config))
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if config.model_type == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
        writer.add_sliding_window(config.sliding_window)


def llama3_factors(made, config):
    """What transformers itself divides the frequencies by."""
    plain = config.rope_parameters["rope_theta"] ** -(np.arange(0, head_width(config), 2) / head_width(config))
    return (plain / made.model.rotary_emb.inv_freq.double().numpy()).astype(np.float32)


def agree(request):
    """Loads both folders with transformers: the configurations' fields that differ, and the greatest difference of logits."""
    a, b = (AutoModelForCausalLM.from_pretrained(request[k], dtype=torch.float32).eval() for k in ("folder", "imported"))
    fields = [a.config.to_dict(), b.config.to_dict()]
    ignored = {"_name_or_path", "initializer_range", "bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "dtype"}
    differ = sorted(k for k in set(fields[0]) | set(fields[1]) if k not in ignored and fields[0].get(k) != fields[1].get(k))
    tokens = torch.arange(0, 240)[None] % a.config.vocab_size
    with torch.no_grad():
        difference = (a(tokens).logits - b(tokens).logits).abs().max().item()
    return {"differ": [[k, str(fields[0].get(k)), str(fields[1].get(k))] for k in differ], "logits": difference}


def sentencepiece(request):
    """A SentencePiece-like vocabulary with scores, as GGUF metadata of a tiny llama."""
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + request["pieces"]
    kinds = [2, 3, 3] + [6] * 256 + [1] * len(request["pieces"])
    scores = [0.0] * 259 + [float(-i) for i in range(len(request["pieces"]))]
    rows, columns = len(pieces), 8
    writer = GGUFWriter(request["file"], "llama")
    write_shape(writer, {"layers": 1, "hidden": columns, "ffn": 8, "heads": 2, "kv": 1, "eps": 1e-5})
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(pieces)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(request["prefix"])
    ones = np.ones
    for name, shape in {
        "token_embd": (rows, columns), "output_norm": (columns,), "blk.0.attn_norm": (columns,), "blk.0.ffn_norm": (columns,),
        "blk.0.attn_q": (8, 8), "blk.0.attn_k": (4, 8), "blk.0.attn_v": (4, 8), "blk.0.attn_output": (8, 8),
        "blk.0.ffn_gate": (8, 8), "blk.0.ffn_up": (8, 8), "blk.0.ffn_down": (8, 8),
    }.items():
        writer.add_tensor(f"{name}.weight", ones(shape, dtype=np.float32))
    finish(writer)
    return [spm_encode(pieces, scores, text, request["prefix"]) for text in request["texts"]]


def spm_encode(pieces, scores, text, prefix):
    """SentencePiece's BPE, written down naively: merge the neighbours whose product scores highest, the leftmost of equals."""
    ids = {piece: i for i, piece in enumerate(pieces)}
    if not text:
        return []
    symbols = list(("▁" if prefix else "") + text.replace(" ", "▁"))
    while True:
        best = None
        for i in range(len(symbols) - 1):
            product = ids.get(symbols[i] + symbols[i + 1])
            if product is not None and product >= 259 and (best is None or scores[product] > best[0]):
                best = (scores[product], i)
        if best is None:
            break
        i = best[1]
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    found = []
    for symbol in symbols:
        found += [ids[symbol]] if symbol in ids else [3 + byte for byte in symbol.encode()]
    return found


def tokenize(request):
    tokenizer = AutoTokenizer.from_pretrained(request["folder"])
    return {
        "ids": [tokenizer(text, add_special_tokens=False)["input_ids"] for text in request["texts"]],
        "with_special": [tokenizer(text)["input_ids"] for text in request["texts"]],
    }


DO = {f.__name__: f for f in (quantised, model, agree, sentencepiece, tokenize)}

if __name__ == "__main__":
    requests = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps([DO[request["do"]](request) for request in requests]))
