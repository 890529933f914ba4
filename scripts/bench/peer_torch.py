"""Peer `torch` of `galapagos bench train`: transformers' model in PyTorch eager, trained as its documentation has people do it. The
model's own loss, autocast for bfloat16 over 32-bit weights, `clip_grad_norm_`, fused AdamW; several ranks by DistributedDataParallel
over gloo. Speaks trainer/src/bench/protocol.rs's commands over peer_protocol.py's lines; the batch of each step is the same.

    {"command": "listen"} -> {"address": "127.0.0.1:PORT"}                                       rank 0 of several
    {"command": "load", "model": DIR, "precision": "bf16" | "f32", "threads": N, "rank": R, "world_size": W,
     "rendezvous": ADDRESS | null, "sequences": [[id, ...], ...], "answer": N, "lr", "betas", "eps", "clip", ...}
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
        self.ids, self.labels = batch(message["sequences"], message["answer"], rank, world_size)
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
        begin = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            loss = self.model(input_ids=self.ids, labels=self.labels, use_cache=False).loss
        forward = time.perf_counter()
        loss.backward()
        backward = time.perf_counter()
        grad_norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        end = time.perf_counter()
        spent = {"forward": forward - begin, "backward": backward - forward, "optimiser": end - backward}
        return loss.item(), grad_norm.item(), spent

    def memory(self, message):
        return {"start_bytes": self.start_bytes, "peak_bytes": status_bytes("VmHWM")}


def batch(sequences, answer, rank, world_size):
    """Ids and labels of this rank's part: labels are the ids, but for those before the last `answer`, which are ignored."""
    if len({len(sequence) for sequence in sequences}) != 1 or len(sequences) % world_size != 0:
        raise ValueError("the peer trains on sequences of one length, as many on each rank")
    each = len(sequences) // world_size
    ids = torch.tensor(sequences[rank * each : (rank + 1) * each])
    labels = ids.clone()
    labels[:, : ids.shape[1] - answer] = -100
    return ids, labels


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
