"""The collectives of tests/ranks/torch_distributed.rs by torch.distributed over Gloo, each rank a process.

Usage: collectives.py FOLDER. For each world size N it reads FOLDER/inputs-N.safetensors (`name.RANK`) and writes
FOLDER/theirs-N-RANK.safetensors, with the names that the Rust ranks give to the same results.
"""
import datetime
import multiprocessing
import pathlib
import sys

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file


def mean(tensor, world_size):
    # torch.distributed has no mean over Gloo (ReduceOp.AVG is NCCL's), so it is a sum divided, as everywhere.
    return tensor.div_(world_size)


def results(mine, rank, world_size):
    out = {}
    for name in ("f32", "f64", "bf16", "i64", "large", "scalar"):
        out[f"all_reduce_sum.{name}"] = mine[name].clone()
        dist.all_reduce(out[f"all_reduce_sum.{name}"])
        if mine[name].is_floating_point():
            out[f"all_reduce_mean.{name}"] = mean(out[f"all_reduce_sum.{name}"].clone(), world_size)
        gathered = torch.empty(world_size * mine[name].numel(), dtype=mine[name].dtype)
        dist.all_gather_into_tensor(gathered, mine[name].flatten())
        out[f"all_gather.{name}"] = gathered.view(world_size, *mine[name].shape)
        out[f"broadcast.{name}"] = mine[name].clone()
        dist.broadcast(out[f"broadcast.{name}"], src=world_size - 1)
        out[f"broadcast_from.{name}"] = mine[name].clone()
    for i, name in enumerate(("f32", "f64", "bf16", "i64", "large", "scalar")):
        dist.broadcast(out[f"broadcast_from.{name}"], src=i % world_size)
    for name in ("parts_f32", "parts_bf16", "parts_i64", "parts_scalar"):
        part = torch.empty_like(mine[name][0]).flatten()
        dist.reduce_scatter_tensor(part, mine[name].clone().flatten())
        out[f"reduce_scatter_sum.{name}"] = part.view(mine[name].shape[1:]).clone()
        if part.is_floating_point():
            out[f"reduce_scatter_mean.{name}"] = mean(part, world_size).view(mine[name].shape[1:])
    dist.barrier()
    return out


def run(folder, rank, world_size):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous-{world_size}",
        rank=rank,
        world_size=world_size,
        timeout=datetime.timedelta(seconds=60),
    )
    inputs = load_file(folder / f"inputs-{world_size}.safetensors")
    mine = {name.rsplit(".", 1)[0]: t for name, t in inputs.items() if name.endswith(f".{rank}")}
    out = {name: t.contiguous() for name, t in results(mine, rank, world_size).items()}
    save_file(out, folder / f"theirs-{world_size}-{rank}.safetensors")
    dist.destroy_process_group()


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1]).resolve()
    fork = multiprocessing.get_context("fork")  # torch is imported once, not in every rank
    for world_size in (1, 2, 4):
        (folder / f"rendezvous-{world_size}").unlink(missing_ok=True)
        ranks = [fork.Process(target=run, args=(folder, rank, world_size)) for rank in range(world_size)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join()
        if any(rank.exitcode != 0 for rank in ranks):
            sys.exit(f"world size {world_size}: exit codes {[rank.exitcode for rank in ranks]}")
