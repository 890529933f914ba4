"""Peer `torch` of `galapagos bench train`: transformers' model in PyTorch eager, trained as its documentation has people do it. The
model's own loss, autocast for bfloat16 over 32-bit weights, `clip_grad_norm_`, fused AdamW; several ranks by DistributedDataParallel
over gloo. Sequences of mixed lengths are padded at the right, so many to a pass in the order they come, and their gradients added up:
what its Trainer does. Speaks trainer/src/bench/protocol.rs's commands over peer_protocol.py's lines; the batch of each step is the same.

    {"command": "listen"} -> {"address": "127.0.0.1:PORT"}                                       rank 0 of several
    {"command": "load", "model": DIR, "precision": "bf16" | "f32", "threads": N, "rank": R, "world_size": W,
     "rendezvous": ADDRESS | null, "micro_batch": N, "sequences": [[id, ...], ...], "answer": N, "lr", "betas", "eps", "clip", ...}
        -> {"versions": {...}, "settings": {...}}
    {"command": "step"} -> {"seconds", "cpu_seconds", "loss", "grad_norm", "time": {"forward", "backward", "optimiser"}}
    {"command": "memory"} -> {"start_bytes", "peak_bytes"}
"""

import datetime
import platform
import time

import torch
import torch.distributed as dist
import transformers
from peer_protocol import seconds_of, serve

TIMEOUT = datetime.timedelta(seconds=600)


class Peer:
    def __init__(self):
        self.store = None
        self.model = None

    def listen(self, message):
        self.store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=TIMEOUT)
        return {"address": f"127.0.0.1:{self.store.port}"}

    def load(self, message):
        self.start_bytes = status_bytes("VmRSS")
        torch.set_num_threads(message["threads"])
        transformers.utils.logging.set_verbosity_error()
        rank, world_size = message["rank"], message["world_size"]
        self.autocast = message["precision"] == "bf16"
        self.clip = message["clip"]
        model = transformers.AutoModelForCausalLM.from_pretrained(
            message["model"], dtype=torch.float32, attn_implementation="sdpa"
        ).train()
        self.parameters = list(model.parameters())
        if world_size > 1:
            if self.store is None:
                host, port = message["rendezvous"].split(":")
                self.store = dist.TCPStore(host, int(port), is_master=False, timeout=TIMEOUT)
            dist.init_process_group("gloo", store=self.store, rank=rank, world_size=world_size, timeout=TIMEOUT)
            model = torch.nn.parallel.DistributedDataParallel(model)
        self.model = model
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=message["lr"],
            betas=tuple(message["betas"]),
            eps=message["eps"],
            weight_decay=0.0,
            fused=True,
        )
        self.passes = passes(message["sequences"], message["answer"], (rank, world_size), message["micro_batch"])
        # The mean over the whole batch; without it each pass would count the same, however many tokens it has.
        learned = sum(int((one["labels"][:, 1:] != -100).sum()) for one in self.passes)
        self.normal = {"num_items_in_batch": learned} if len(self.passes) > 1 else {}
        return {
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            "settings": {
                "threads": torch.get_num_threads(),
                "attention": "sdpa",
                "optimiser": "torch.optim.AdamW(fused=True)",
                "bf16": "autocast over f32 weights",
                "ranks": "DistributedDataParallel, gloo" if world_size > 1 else "one process",
            },
        }

    def step(self, message):
        (loss, grad_norm, spent), wall, processor = seconds_of(self.update)
        return {"seconds": wall, "cpu_seconds": processor, "loss": loss, "grad_norm": grad_norm, "time": spent}

    def update(self):
        total, spent = 0.0, {"forward": 0.0, "backward": 0.0}
        for one in self.passes:
            begin = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
                loss = self.model(**one, **self.normal, use_cache=False).loss
            forward = time.perf_counter()
            loss.backward()
            backward = time.perf_counter()
            spent["forward"] += forward - begin
            spent["backward"] += backward - forward
            total += loss.item()
        grad_norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        spent["optimiser"] = time.perf_counter() - backward
        return total, grad_norm.item(), spent

    def memory(self, message):
        return {"start_bytes": self.start_bytes, "peak_bytes": status_bytes("VmHWM")}


def passes(sequences, answer, part, size):
    """This rank's part, `size` sequences to a pass: ids, labels (the ids, but for padding and what stands before the last `answer`, which
    are ignored) and, where there is padding, the mask of what is none."""
    rank, world_size = part
    if len(sequences) % world_size != 0:
        raise ValueError("the peer trains on as many sequences on each rank")
    each = len(sequences) // world_size
    mine = sequences[rank * each : (rank + 1) * each]
    made = [padded(mine[start : start + size], answer) for start in range(0, each, size)]
    if world_size > 1 and len(made) > 1:
        raise ValueError("the peer does one pass a step on each of several ranks")
    return made


def padded(sequences, answer):
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    width = int(lengths.max())
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
    places = torch.arange(width)
    here = places < lengths[:, None]
    learned = here & (places >= (lengths - answer).clamp(min=1)[:, None])
    one = {"input_ids": ids, "labels": ids.masked_fill(~learned, -100)}
    return one if bool(here.all()) else {**one, "attention_mask": here.long()}


def status_bytes(field):
    with open("/proc/self/status") as status:
        for line in status:
            name, value = line.split(":", 1)
            if name == field:
                return int(value.split()[0]) * 1024
    raise RuntimeError(f"the system does not say {field}")


def main():
    peer = Peer()
    serve({"listen": peer.listen, "load": peer.load, "step": peer.step, "memory": peer.memory})


if __name__ == "__main__":
    main()
