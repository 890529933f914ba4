"""Talks to `galapagos serve` with OpenAI's own client and prints what it saw as one JSON object; an assertion that fails ends it.

Usage: openai_client.py BASE_URL MODEL
"""

import asyncio
import json
import sys

import openai

PROMPT = "1 2 3"


def texts(completion):
    return [choice.text for choice in completion.choices]


def check_models(client, model):
    ids = [entry.id for entry in client.models.list()]
    assert ids[0] == model, ids
    return ids


def check_chat(client, model):
    messages = [{"role": "user", "content": "1 2"}]
    ask = dict(model=model, messages=messages, max_tokens=12, temperature=1.0, seed=5)
    whole = client.chat.completions.create(**ask, logprobs=True, top_logprobs=3)
    choice = whole.choices[0]
    assert choice.message.role == "assistant" and choice.finish_reason in ("stop", "length"), choice
    listed = choice.logprobs.content
    assert len(listed) == whole.usage.completion_tokens, (len(listed), whole.usage)
    for token in listed:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3, token
        assert token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob
    pieces, usage = [], None
    for chunk in client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        pieces += [choice.delta.content or "" for choice in chunk.choices]
    assert "".join(pieces) == choice.message.content, (pieces, choice.message.content)
    assert usage.completion_tokens == whole.usage.completion_tokens, (usage, whole.usage)
    return choice.message.content


def check_completions(client, model):
    ask = dict(model=model, prompt=[PROMPT, "4 5"], n=3, max_tokens=10, temperature=1.0, seed=7)
    first, again = client.completions.create(**ask), client.completions.create(**ask)
    assert texts(first) == texts(again) and len(first.choices) == 6, (texts(first), texts(again))
    alone = client.completions.create(**{**ask, "prompt": "4 5"})
    assert texts(alone) == texts(first)[3:], "a prompt's answers do not depend on the other prompts"
    assert len(set(texts(first))) > 1, "samples differ"
    by_tokens = client.completions.create(model=model, prompt=[5, 6, 7], max_tokens=4, extra_body={"return_token_ids": True})
    assert len(by_tokens.choices[0].token_ids) == by_tokens.usage.completion_tokens
    return texts(first)


def check_echo(client, model):
    echoed = client.completions.create(model=model, prompt=[5, 6, 7, 8], max_tokens=1, temperature=0, echo=True, logprobs=1)
    listed = echoed.choices[0].logprobs.token_logprobs
    assert listed[0] is None and len(listed) == 5 and all(value <= 0 for value in listed[1:]), listed
    return listed[1:]


def check_stop(client, model):
    free = client.completions.create(model=model, prompt=PROMPT, max_tokens=24, temperature=1.0, seed=3, extra_body={"ignore_eos": True})
    text = free.choices[0].text
    stop = text[6:8]
    ask = dict(model=model, prompt=PROMPT, max_tokens=24, temperature=1.0, seed=3, stop=[stop], extra_body={"ignore_eos": True})
    cut = client.completions.create(**ask).choices[0]
    assert cut.text == text[: text.index(stop)] and cut.finish_reason == "stop", (text, stop, cut)
    streamed = "".join(chunk.choices[0].text for chunk in client.completions.create(**ask, stream=True))
    assert streamed == cut.text, (streamed, cut.text)
    return [text, stop, cut.text]


def check_guided(client, model):
    made = client.completions.create(model=model, prompt=PROMPT, max_tokens=20, seed=1, extra_body={"guided_regex": "[0-3]{4}x"})
    text = made.choices[0].text
    assert len(text) == 5 and text[4] == "x" and set(text[:4]) <= set("0123"), text
    return text


def refused(kind, status, call):
    try:
        call()
    except kind as error:
        assert error.status_code == status, error
        return error.message
    raise AssertionError(f"not refused: {kind}")


def check_errors(client, model):
    create = client.completions.create
    bad, missing = openai.BadRequestError, openai.NotFoundError
    return {
        "model": refused(missing, 404, lambda: create(model="nobody", prompt="1")),
        "address": refused(missing, 404, lambda: client.embeddings.create(model=model, input="1")),
        "temperature": refused(bad, 400, lambda: create(model=model, prompt="1", temperature=-1)),
        "length": refused(bad, 400, lambda: create(model=model, prompt="1", max_tokens=10**6)),
        "token": refused(bad, 400, lambda: create(model=model, prompt=[9 * 10**5])),
        "image": refused(bad, 400, lambda: create(model=model, prompt=[0xF0001])),
        "unknown": refused(bad, 400, lambda: create(model=model, prompt="1", extra_body={"beams": 4})),
        "grammar": refused(bad, 400, lambda: create(model=model, prompt="1", extra_body={"guided_regex": "("})),
        "schema": refused(bad, 400, lambda: create(model=model, prompt="1", extra_body={"guided_json": {"type": 3}})),
    }


async def check_together(url, model):
    """Many at once answer as each alone."""
    async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:

        async def ask(seed):
            made = await client.completions.create(model=model, prompt=PROMPT, max_tokens=16, temperature=1.0, seed=seed)
            return made.choices[0].text

        alone = [await ask(seed) for seed in range(12)]
        together = await asyncio.gather(*(ask(seed) for seed in range(12)))
        assert alone == list(together), (alone, together)
        return len(set(alone))


def main():
    url, model = sys.argv[1:]
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=60)
    checks = [check_models, check_chat, check_completions, check_echo, check_stop, check_guided, check_errors]
    seen = {check.__name__: check(client, model) for check in checks}
    seen["check_together"] = asyncio.run(check_together(url, model))
    print(json.dumps(seen))


main()
