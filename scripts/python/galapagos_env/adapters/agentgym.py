"""A server in the style of AgentGym (POST /create, /reset, /step; GET /observation) as an environment.

Such servers number their instances; a split takes the numbers that fall into its part. Their errors come as `{"error": text}` and
become faults here, never rewards.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

from ..environment import End, Environment, EnvironmentFault, Start, Step, in_split, random_of


class AgentGym(Environment):
    """`url` is the server's, `instances` how many it has.

    `rewards` says what the server's `reward` is: `"step"` for what a step brought, `"total"` for what was reached so far. `best` is
    the total that scores 1. Servers that call things otherwise: `id_key`, `index_key`, and `create` for the body of /create.
    """

    def __init__(
        self,
        url: str,
        instances: int,
        *,
        max_turns: int = 30,
        rewards: str = "step",
        best: float = 1.0,
        id_key: str = "id",
        index_key: str = "data_idx",
        create: dict[str, Any] | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        if rewards not in ("step", "total"):
            raise ValueError(f"rewards is 'step' or 'total', not {rewards!r}")
        self.name = f"agentgym/{urllib.parse.urlsplit(url).netloc}"
        self.max_turns = max_turns
        self._url, self._instances, self._rewards, self._best = url.rstrip("/"), instances, rewards, best
        self._id_key, self._index_key, self._create, self._timeout_s = id_key, index_key, create or {}, timeout_s
        self._id: Any = None
        self._total, self._turn = 0.0, 0

    def reset(self, start: Start) -> Sequence[str]:
        mine = [n for n in range(self._instances) if in_split("agentgym", str(n), start.split)]
        if not mine:
            raise EnvironmentFault(f"none of {self._instances} instances belongs to the {start.split} split")
        if self._id is None:
            made = self._post("/create", self._create)
            self._id = made.get(self._id_key) if isinstance(made, dict) else made
            if self._id is None:
                raise EnvironmentFault(f"{self._url}/create gave no `{self._id_key}`: {made!r}")
        # All instances of the split come up before one comes up again.
        order = random_of(Start(start.seed, start.split), "agentgym").sample(mine, len(mine))
        body = {self._id_key: self._id, self._index_key: order[start.index % len(order)]}
        answer = self._post("/reset", body)
        self._total, self._turn = 0.0, 0
        text = _text(answer)
        return [self._get("/observation") if text is None else text]

    def step(self, actions: Sequence[str | None]) -> Step:
        if actions[0] is None:
            self._turn += 1
            return Step(["Nothing was done: an action was expected."], [0.0], self._end(False), [self._score()], ["missing"])
        answer = self._post("/step", {self._id_key: self._id, "action": actions[0]})
        text = _text(answer)
        if not isinstance(answer, dict) or text is None or "reward" not in answer or "done" not in answer:
            raise EnvironmentFault(f"{self._url}/step must give observation, reward and done, not {answer!r}")
        before, reward = self._total, float(answer["reward"])
        self._total = reward if self._rewards == "total" else before + reward
        self._turn += 1
        rewards = [(self._total - before) / self._best]
        return Step([text], rewards, self._end(bool(answer["done"])), [self._score()], info={"reward": reward})

    def _end(self, done: bool) -> End | None:
        if done:
            return "terminated"
        return "truncated" if self._turn >= self.max_turns else None

    def _score(self) -> float:
        return min(max(self._total / self._best, 0.0), 1.0)

    def close(self) -> None:
        if self._id is None:
            return
        try:
            self._post("/close", {self._id_key: self._id})
        except EnvironmentFault:
            pass  # Many of these servers know no /close.

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"})
        return self._ask(request)

    def _get(self, path: str) -> str:
        query = urllib.parse.urlencode({self._id_key: self._id})
        text = _text(self._ask(urllib.request.Request(f"{self._url}{path}?{query}")))
        if text is None:
            raise EnvironmentFault(f"{self._url}{path} gave no text")
        return text

    def _ask(self, request: urllib.request.Request) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as response:
                answer = json.load(response)
        except (OSError, ValueError) as error:
            raise EnvironmentFault(f"{request.full_url}: {error}") from error
        if isinstance(answer, dict) and answer.get("error"):
            raise EnvironmentFault(f"{request.full_url}: {answer['error']}")
        return answer


def _text(answer: Any) -> str | None:
    """The observation in an answer: the answer itself, or one of the names that these servers use."""
    if isinstance(answer, str):
        return answer
    named = (answer.get(key) for key in ("observation", "state", "obs")) if isinstance(answer, dict) else ()
    return next((text for text in named if isinstance(text, str)), None)
