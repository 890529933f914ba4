"""Peer `hf`: transformers on CPU as its documentation has people use it. `generate` in inference mode with scaled-dot-product
attention and the default (dynamic, concatenating) key/value cache; samples of one prompt by `num_return_sequences`. Speaks
peer_protocol.py's protocol.
"""

import platform

import torch
import transformers
from peer_protocol import answer_with, check_counts, serve

PRECISIONS = {"bf16": torch.bfloat16, "f32": torch.float32}


class Peer:
    def __init__(self):
        self.model = None

    def load(self, message):
        torch.set_num_threads(message["threads"])
        transformers.utils.logging.set_verbosity_error()
        dtype = PRECISIONS[message["precision"]]
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            message["model"], dtype=dtype, attn_implementation="sdpa"
        ).eval()
        # Exactly the asked number of tokens, and no cut-offs that the model's folder may ask for.
        self.model.generation_config = transformers.GenerationConfig(pad_token_id=0, use_cache=True)
        return {
            "ready": True,
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            "settings": {"threads": torch.get_num_threads(), "attention": "sdpa", "cache": "dynamic"},
        }

    def generate(self, message):
        samples, new_tokens = message["samples"], message["new_tokens"]
        if len(set(new_tokens)) != 1:
            raise ValueError("transformers makes equally many tokens for all prompts of a batch")
        how = {"max_new_tokens": new_tokens[0], "num_return_sequences": samples}
        if message["temperature"] > 0:
            torch.manual_seed(message["seed"])
            how.update(do_sample=True, temperature=message["temperature"], top_k=0, top_p=1.0)
        else:
            how.update(do_sample=False)

        def work():
            ids, mask = self.padded(message["prompts"], left=True)
            with torch.inference_mode():
                made = self.model.generate(input_ids=ids, attention_mask=mask, **how)
            return made[:, ids.shape[1] :].tolist()

        answer = answer_with(work, "tokens")
        check_counts(answer["tokens"], [count for count in new_tokens for _ in range(samples)])
        return answer

    def score(self, message):
        prompt, continuations = message["prompt"], message["continuations"]

        def work():
            sequences = [prompt + continuation for continuation in continuations]
            ids, mask = self.padded(sequences, left=False)
            keep = ids.shape[1] - len(prompt) + 1
            with torch.inference_mode():
                logits = self.model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=keep).logits
                log_probs = torch.log_softmax(logits[:, :-1].float(), dim=-1)
                chosen = log_probs.gather(2, ids[:, len(prompt) :, None]).squeeze(2)
            return [row[: len(c)] for row, c in zip(chosen.tolist(), continuations)]

        return answer_with(work, "log_probs")

    def padded(self, sequences, left):
        longest = max(map(len, sequences))
        ids = torch.zeros(len(sequences), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            place = slice(longest - len(sequence), None) if left else slice(len(sequence))
            ids[row, place] = torch.tensor(sequence)
            mask[row, place] = 1
        return ids, mask


def main():
    peer = Peer()
    serve({"load": peer.load, "generate": peer.generate, "score": peer.score})


if __name__ == "__main__":
    main()
