"""Greedy pass@1 of an exported model, by transformers alone: `evaluate.py EXPORT` prints {"passes", "tasks"} as JSON.

The tasks are those of EXPORT/evaluation/*.jsonl. An answer is right when the first line of the completion is the expected one.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

BATCH = 20
MAX_NEW_TOKENS = 48


def tasks_of(export):
    files = sorted((export / "evaluation").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def completions(model, tokenizer, prompts):
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    newline = tokenizer("\n", add_special_tokens=False).input_ids[-1]
    room = model.config.max_position_embeddings - inputs["input_ids"].shape[1]
    out = model.generate(
        **inputs,
        do_sample=False,
        max_new_tokens=min(MAX_NEW_TOKENS, room),
        eos_token_id=newline,
        pad_token_id=tokenizer.pad_token_id,
    )
    return tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def main():
    export = Path(sys.argv[1])
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(export, padding_side="left")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)
    model = AutoModelForCausalLM.from_pretrained(export, dtype=torch.float32).eval()
    tasks = tasks_of(export)
    passes = 0
    with torch.no_grad():
        for start in range(0, len(tasks), BATCH):
            batch = tasks[start : start + BATCH]
            for task, completion in zip(batch, completions(model, tokenizer, [t["prompt"] for t in batch]), strict=True):
                passes += completion.split("\n")[0].strip() == task["answer"]
    print(json.dumps({"passes": passes, "tasks": len(tasks)}))


if __name__ == "__main__":
    main()
