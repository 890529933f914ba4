"""A task of reasoning-gym (PyPI `reasoning-gym`) as a single-turn environment, scored by the task's own `score_answer`.

An instance is one entry of the task's data set at a seed that follows from the start; entries are sorted into splits by their
question's text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..environment import Environment, EnvironmentFault, Start, Step, in_split, random_of

#: Entries that are drawn before a split counts as empty.
MOST_DRAWS = 500


class ReasoningGym(Environment):
    """`task` is a name of reasoning-gym's registry; `options` go to its data set and may be extended by the start's config."""

    def __init__(self, task: str, **options: Any) -> None:
        import reasoning_gym  # type: ignore[import-not-found, import-untyped, unused-ignore]

        self._create = reasoning_gym.create_dataset
        self._task, self._options = task, options
        self._data: Any = None
        self._entry: dict[str, Any] = {}
        self.name = f"reasoning_gym/{task}"

    def reset(self, start: Start) -> Sequence[str]:
        stream = random_of(start, self.name)
        for _ in range(MOST_DRAWS):
            seed = stream.randrange(1 << 31)
            self._data = self._create(self._task, size=1, seed=seed, **{**self._options, **start.config})
            self._entry = self._data[0]
            if in_split(self.name, self._entry["question"], start.split):
                return [self._entry["question"]]
        raise EnvironmentFault(f"none of {MOST_DRAWS} entries of {self._task} belongs to the {start.split} split")

    def step(self, actions: Sequence[str | None]) -> Step:
        answer = actions[0]
        if answer is None:
            return Step(["No answer was given."], [0.0], "terminated", taken=["missing"])
        score = float(self._data.score_answer(answer=answer, entry=self._entry))
        return Step([f"Score: {score:g}."], [min(max(score, 0.0), 1.0)], "terminated", info={"score_answer": score})

    def legal(self, player: int) -> dict[str, Any]:
        return {"form": "the answer"}
