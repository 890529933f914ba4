"""The line protocol between `galapagos bench` and its peers: one JSON object a line on standard input, one answer a line
on the standard output this process was started with. Everything a library prints goes to standard error. Commands of the engine:

    {"command": "load", "model": DIR, "precision": "bf16" | "f32", "threads": N}
        -> {"ready": true, "versions": {...}, "settings": {...}}
    {"command": "generate", "prompts": [[id, ...], ...], "samples": N, "new_tokens": [N, ...], "temperature": T, "seed": S}
        -> {"seconds", "cpu_seconds", "tokens": [[id, ...], ...]}      prompt by prompt, sample by sample
    {"command": "score", "prompt": [id, ...], "continuations": [[id, ...], ...]}
        -> {"seconds", "cpu_seconds", "log_probs": [[x, ...], ...]}    one natural logarithm per continuation token

Seconds are measured here, around the work alone. `new_tokens` has one count per prompt; a peer makes exactly that many and
stops at no token. A command that fails is answered by {"error": TEXT}; the end of standard input ends the process.
"""

import json
import os
import sys
import time


def seconds_of(work):
    """(result, wall seconds, processor seconds of this process and its threads)."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - processor


def answer_with(work, name):
    """The answer to a measured command; `name` is the field of the result."""
    result, wall, processor = seconds_of(work)
    return {"seconds": wall, "cpu_seconds": processor, name: result}


def check_counts(tokens, wanted):
    """Fails unless completion i has wanted[i] tokens: tokens per second of fewer tokens would be a lie."""
    made = [len(completion) for completion in tokens]
    if made != wanted:
        raise RuntimeError(f"the peer made {made} tokens where {wanted} were asked for")


def serve(commands):
    """Answers commands until standard input ends. `commands` maps a name to a function of the message."""
    # Libraries print; the protocol keeps the real standard output for itself.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        message = json.loads(line)
        try:
            answer = commands[message["command"]](message)
        except Exception as error:  # The other side reports it; this process stays usable.
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
