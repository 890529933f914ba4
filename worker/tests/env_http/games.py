"""Small environments for the tests: a game of several turns, one of two players, and one that misbehaves on request."""

import time

from galapagos_env import Environment, Start, Step, in_split, random_of


class HigherLower(Environment):
    """Guess a number from 1 to 4096; the score is 1 when it is found."""

    name = "higher_lower"
    max_turns = 14

    def reset(self, start: Start):
        stream = random_of(start)
        self.number = stream.randint(1, 4096)
        while not in_split(self.name, str(self.number), start.split):
            self.number = stream.randint(1, 4096)
        self.turns = 0
        return ["I think of a number from 1 to 4096. Guess."]

    def legal(self, player):
        return {"form": "a number from 1 to 4096"}

    def step(self, actions):
        self.turns += 1
        end = "truncated" if self.turns >= self.max_turns else None
        try:
            guess = int(actions[0] or "")
        except ValueError:
            return Step(["That is no number."], [0.0], end, taken=[{"unparsable": "no number"}])
        if guess == self.number:
            return Step(["Found."], [1.0], "terminated", info={"turns": self.turns})
        return Step(["Higher." if guess < self.number else "Lower."], [0.0], end)


class Pass(Environment):
    """Two players in turn; who is not asked may not act."""

    name = "pass"
    players = 2
    max_turns = 4

    def reset(self, start: Start):
        self.turn = 0
        return self.texts()

    def texts(self):
        return ["Your turn." if player == self.turn % 2 else "Wait." for player in range(2)]

    def legal(self, player):
        return {"these": ["pass"]} if player == self.turn % 2 else "not_asked"

    def step(self, actions):
        taken = ["not_asked", "not_asked"]
        for player, action in enumerate(actions):
            asked = player == self.turn % 2
            if action is not None:
                taken[player] = "played" if asked else {"illegal": "wait"}
            elif asked:
                taken[player] = "missing"
        self.turn += 1
        end = "truncated" if self.turn >= self.max_turns else None
        return Step(self.texts(), [0.25, -0.25], end, scores=[self.turn / 4, 0.0], taken=taken)


class Unruly(Environment):
    """Counts its steps; `hang` hangs, `raise` raises, `score` gives a score beyond 1."""

    name = "unruly"
    max_turns = 9

    def reset(self, start: Start):
        if start.config.get("refuse"):
            raise RuntimeError("no such instance")
        self.steps = 0
        return ["0"]

    def step(self, actions):
        if actions[0] == "hang":
            time.sleep(3600)
        if actions[0] == "raise":
            raise RuntimeError("the engine overheated")
        self.steps += 1
        scores = [2.0] if actions[0] == "score" else [0.0]
        return Step([str(self.steps)], [0.0], scores=scores)
