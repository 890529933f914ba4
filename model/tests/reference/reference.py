"""The independent side of the reference tests: what `transformers` says about the same folders.

Each line of the input is a JSON list of {"do": name, ...}, answered in order by a JSON list on one line of the output; tensors go
through safetensors files that the request names.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

torch.set_num_threads(1)


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def make_model(request):
    """A random model, saved the way transformers saves; norms and biases are not at their trivial initial values."""
    torch.manual_seed(request["seed"])
    config = getattr(transformers, request.get("config_class", "LlamaConfig"))(**request["config"])
    model = getattr(transformers, request.get("class", "LlamaForCausalLM"))(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 and name.endswith("weight"):
                parameter.add_(torch.empty_like(parameter).uniform_(-0.5, 0.5))
            elif parameter.dim() == 1:
                parameter.normal_(0.0, 0.2)
    model.to(getattr(torch, request["dtype"])).save_pretrained(request["folder"])
    return None


def logits(request):
    model = load(request["folder"])
    with torch.no_grad():
        found = {str(i): model(torch.tensor([s])).logits[0].contiguous() for i, s in enumerate(request["sequences"])}
    save_file(found, request["out"])
    return None


def gradients(request):
    """Gradients of the mean next-token loss over one batch of equal lengths, with or without bfloat16 autocast."""
    model = load(request["folder"])
    tokens = torch.tensor(request["tokens"])
    with torch.autocast("cpu", torch.bfloat16, enabled=request["autocast"]):
        found = model(tokens).logits[:, :-1].reshape(-1, model.config.vocab_size)
    loss = torch.nn.functional.cross_entropy(found.float(), tokens[:, 1:].reshape(-1))
    loss.backward()
    save_file({name: p.grad.contiguous() for name, p in model.named_parameters()}, request["out"])
    return loss.item()


FIRST_PATCH, PATCH_PIXELS = 0xF0000, 16


def see(request):
    """Logits, and gradients of the summed log-probability of token 3 at the last positions, of a model that reads images: encoder and
    projector are written out here, and their output is given to Llama in place of embeddings."""
    folder = Path(request["folder"])
    config = json.loads((folder / "config.json").read_text())
    vision = config.pop("vision_config")
    weights = {name: weight.requires_grad_() for name, weight in load_file(folder / "model.safetensors").items()}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config)).eval()
    model.load_state_dict({name: weight for name, weight in weights.items() if not name.startswith("model.vision.")})

    def linear(name, x):
        return F.linear(x, weights[f"model.vision.{name}.weight"], weights[f"model.vision.{name}.bias"])

    def norm(name, x):
        weight, bias = (weights[f"model.vision.{name}.{part}"] for part in ("weight", "bias"))
        return F.layer_norm(x, (vision["hidden_size"],), weight, bias, config["rms_norm_eps"])

    def patch(code, row, column):
        pixels = torch.tensor([1.0 if code >> bit & 1 else -1.0 for bit in range(PATCH_PIXELS)])
        x = linear("patch", pixels) + weights["model.vision.rows.weight"][row] + weights["model.vision.columns.weight"][column]
        for block in (f"blocks.{index}" for index in range(vision["num_hidden_layers"])):
            x = x + linear(f"{block}.down", F.gelu(linear(f"{block}.up", norm(f"{block}.norm", x))))
        return linear("projector", norm("norm", x))

    def embed(sequence):
        row = column = 0
        for token in sequence:
            if token < FIRST_PATCH:
                row = column = 0
                yield model.model.embed_tokens.weight[token]
                continue
            code = token - FIRST_PATCH
            yield patch(code % (1 << PATCH_PIXELS), row, column)
            row, column = (row + 1, 0) if code >> PATCH_PIXELS else (row, column + 1)

    sequences = request["sequences"]
    logits = [model(inputs_embeds=torch.stack(list(embed(sequence)))[None]).logits[0] for sequence in sequences]
    sum(each[-1].log_softmax(-1)[3] for each in logits).backward()
    found = {f"logits.{index}": each.detach().contiguous() for index, each in enumerate(logits)}
    found |= {f"gradient.{name}": weight.grad for name, weight in weights.items() if name.startswith("model.vision.")}
    found |= {f"gradient.{name}": weight.grad.contiguous() for name, weight in model.named_parameters()}
    save_file(found, request["out"])
    return None


def greedy(request):
    model = load(request["folder"])
    found = []
    for prompt in request["prompts"]:
        tokens = torch.tensor([prompt])
        settings = {"max_new_tokens": request["new_tokens"], "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        with torch.no_grad():
            made = model.generate(tokens, attention_mask=torch.ones_like(tokens), **settings)
        found.append(made[0, len(prompt):].tolist())
    return found


def scores(request):
    model = AutoModelForSequenceClassification.from_pretrained(request["folder"], dtype=torch.float32).eval()
    with torch.no_grad():
        return [model(torch.tensor([s])).logits[0].tolist() for s in request["sequences"]]


def make_base(request):
    """A random model of any family, no tensor at its trivial initial value."""
    torch.manual_seed(request["seed"])
    config = AutoConfig.for_model(**request["config"])
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(request["folder"])
    return None


def make_adapter(request):
    """A random adapter of a base, neither half zero, saved by PEFT."""
    import peft

    torch.manual_seed(request["seed"])
    config = peft.LoraConfig(task_type="CAUSAL_LM", **request["config"])
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(request["base"]), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.2)
    model.save_pretrained(request["folder"])
    return None


def adapted(request):
    """Logits with an adapter, and the weights that PEFT merges. Every tensor of the file has to be one PEFT uses."""
    import peft

    model = peft.PeftModel.from_pretrained(load(request["base"]), request["adapter"]).eval()
    used, stored = peft.get_peft_model_state_dict(model), load_file(request["adapter"] + "/adapter_model.safetensors")
    assert used.keys() == stored.keys(), used.keys() ^ stored.keys()
    assert all(torch.equal(used[name], stored[name].float()) for name in used)
    with torch.no_grad():
        found = {str(i): model(torch.tensor([s])).logits[0].contiguous() for i, s in enumerate(request["sequences"])}
    save_file(found, request["out"])
    merged = model.merge_and_unload()
    save_file({name: p.detach().clone() for name, p in merged.named_parameters()}, request["merged"])
    return None


def classify(request):
    """Logits of a classifier: for each batch {tokens, mask, types} those of the sequences or of their tokens."""
    model = getattr(transformers, request["class"]).from_pretrained(request["folder"], dtype=torch.float32)
    model.eval()
    found = {}
    with torch.no_grad():
        for index, batch in enumerate(request["batches"]):
            inputs = {"input_ids": torch.tensor(batch["tokens"]), "attention_mask": torch.tensor(batch["mask"])}
            if batch.get("types"):
                inputs["token_type_ids"] = torch.tensor(batch["types"])
            found[str(index)] = model(**inputs).logits.contiguous()
    save_file(found, request["out"])
    return None


def tokenize(request):
    tokenizer = AutoTokenizer.from_pretrained(request["folder"])
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in request["texts"]]
    return {
        "ids": ids,
        "decoded": [tokenizer.decode(each, skip_special_tokens=True) for each in ids],
        "vocab_size": len(tokenizer),
        "eos": tokenizer.eos_token_id,
        "pad": tokenizer.pad_token_id,
        "class": type(tokenizer).__name__,
    }


def chat(request):
    """Each conversation by each template (null: the tokenizer's own), with and without the prompt for the assistant."""
    tokenizer = AutoTokenizer.from_pretrained(request["folder"])
    return [
        tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=prompt)
        for template in request["templates"]
        for messages in json.loads(request["conversations"])
        for prompt in (False, True)
    ]


def processors(request):
    """The probabilities that the logits processors leave, in the order in which `generate` applies them."""
    left = []
    for case in request["cases"]:
        steps = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(case["repetition_penalty"])])
        steps.append(TemperatureLogitsWarper(case["temperature"]))
        if case["top_k"] is not None:
            steps.append(TopKLogitsWarper(case["top_k"]))
        if case["top_p"] < 1:
            steps.append(TopPLogitsWarper(case["top_p"]))
        if case["min_p"] > 0:
            steps.append(MinPLogitsWarper(case["min_p"]))
        row = steps(torch.tensor([case["history"]]), torch.tensor([case["logits"]]))[0]
        tokens = row.isfinite().nonzero().flatten()
        left.append({"tokens": tokens.tolist(), "probabilities": row.softmax(-1)[tokens].tolist()})
    return left


DO = {
    f.__name__: f
    for f in (
        make_model, make_base, make_adapter, adapted, logits, gradients, see, greedy, scores, classify, tokenize, chat, processors,
    )
}

if __name__ == "__main__":
    # What libraries print must not get between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps([DO[request["do"]](request) for request in json.loads(line)]), file=answers, flush=True)
