"""Children of a model for the benchmark of deltas: one epoch of AdamW over 80 rows of 128 tokens of this project's own documentation, and the
mean of two such children that saw the rows in other orders. Each in f32 and bf16, as Hugging Face folders:

    children.py MODEL OUT      ->      OUT/{base,tuned,merged}-{f32,bf16}
"""

import pathlib
import signal
import sys

import torch
import transformers

ROWS, LENGTH, BATCH = 80, 128, 4


def main():
    source, out = sys.argv[1], pathlib.Path(sys.argv[2])
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    rows = tokens(tokenizer)
    tuned = [tune(load(source), rows, seed) for seed in (1, 2)]
    merged = load(source)
    first, second = (model.state_dict() for model in tuned)
    merged.load_state_dict({name: (first[name] + second[name]) / 2 for name in first})
    for name, model in [("base", load(source)), ("tuned", tuned[0]), ("merged", merged)]:
        # Wide first: narrowing changes the model in place.
        for form, dtype in [("f32", torch.float32), ("bf16", torch.bfloat16)]:
            folder = out / f"{name}-{form}"
            model.to(dtype).save_pretrained(folder)
            tokenizer.save_pretrained(folder)


def load(source):
    return transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)


def tokens(tokenizer):
    docs = pathlib.Path(__file__).resolve().parents[2] / "docs"
    text = "\n".join(page.read_text() for page in sorted(docs.glob("*.md")))
    ids = tokenizer(text)["input_ids"]
    if len(ids) < ROWS * LENGTH:
        raise ValueError(f"the documentation has {len(ids)} tokens; {ROWS * LENGTH} are needed")
    return torch.tensor(ids[: ROWS * LENGTH]).view(ROWS, LENGTH)


def tune(model, rows, seed):
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(seed))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.0)
    for batch in rows[order].split(BATCH):
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    print(f"one epoch: last loss {loss.item():.3f}", file=sys.stderr)
    return model


if __name__ == "__main__":
    # Ctrl-C ends it without a trace of where it was.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main()
