"""What an environment in Python is: one class with `reset` and `step`. Everything must follow from the start and the actions."""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Literal, Sequence

Split = Literal["train", "val", "test", "demonstrations"]
End = Literal["terminated", "truncated"]
# "not_asked", "played", "missing", or {"illegal": why}, {"unparsable": why}.
Taken = str | dict[str, str]
# "not_asked", {"these": [texts]} or {"form": description}.
Legal = str | dict[str, Any]


class EnvironmentFault(Exception):
    """The environment itself failed. The client gets an error with this text and never a reward."""


@dataclass(frozen=True)
class Start:
    """What an episode starts from: instance number `index` of `split`; replicas of one instance differ in chance only."""

    seed: int
    split: Split = "train"
    index: int = 0
    replica: int = 0
    config: dict[str, Any] = field(default_factory=dict)


@dataclass
class Step:
    """What one turn brought; lists hold one entry a player.

    `scores` (0 to 1) may be left out where they are the sums of all rewards so far. `taken` may be left out where every action that
    was given was played.
    """

    observations: Sequence[str]
    rewards: Sequence[float]
    done: End | None = None
    scores: Sequence[float] | None = None
    taken: Sequence[Taken] | None = None
    info: dict[str, Any] = field(default_factory=dict)


class Environment(ABC):
    """One episode at a time. The server makes one object a session and calls it from one thread at a time."""

    name: str = "environment"
    #: Both may be set in `reset`.
    players: int = 1
    max_turns: int = 1

    @abstractmethod
    def reset(self, start: Start) -> Sequence[str]:
        """Begins an episode; what each player reads first."""

    @abstractmethod
    def step(self, actions: Sequence[str | None]) -> Step:
        """Plays one turn with an action, or none, of each player."""

    def legal(self, player: int) -> Legal:
        """What the player may do now."""
        return {"form": "any text"}

    def close(self) -> None:
        """The episode is not needed any more."""


def random_of(start: Start, *labels: object) -> random.Random:
    """A random stream of the start's instance; other labels give another stream. Without the replica: add it for chance."""
    text = "/".join(map(str, (start.seed, start.split, start.index, *labels)))
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


def in_split(space: str, canonical: str, split: Split) -> bool:
    """Whether an instance with this canonical form belongs to the split: of ten equal buckets two are test, two val, six train.

    A fixed function of the form, so that no seed brings a test instance into training. Draw until it holds.
    """
    bucket = int.from_bytes(hashlib.sha256(f"{space}:{canonical}".encode()).digest()[:8], "little") % 10
    part = "test" if bucket < 2 else "val" if bucket < 4 else "train"
    return part == ("train" if split == "demonstrations" else split)
