"""The Python package of environments by itself: what its server answers, without a client of ours."""

import json
import sys
import threading
import unittest
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "python"))

from galapagos_env import Environment, Start, Step, in_split, random_of, serve  # noqa: E402


class Count(Environment):
    """Counts steps; `hold` waits until it is let go."""

    name = "count"
    max_turns = 3
    go = threading.Event()
    held = threading.Event()
    closed = 0

    def reset(self, start):
        self.steps = 0
        return "bare" if start.config.get("bare") else ["0"]

    def step(self, actions):
        if actions[0] == "hold":
            Count.held.set()
            Count.go.wait(30)
        self.steps += 1
        return Step([str(self.steps)], [0.5 if actions[0] == "score" else 0.0], "truncated" if self.steps == 3 else None)

    def close(self):
        Count.closed += 1


class Calls(unittest.TestCase):
    def setUp(self):
        self.serve(idle_s=3600.0)

    def serve(self, idle_s):
        self.server = serve(Count, max_sessions=2, idle_s=idle_s)
        self.addCleanup(self.server.close)

    def call(self, name, /, **body):
        request = urllib.request.Request(f"{self.server.url}/v1/{name}", json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            answer = json.load(error)
            return error.code, answer["error"]["kind"], answer["error"]["message"]

    def begin(self, **config):
        session = self.call("create", protocol=1)["session"]
        return session, self.call("reset", session=session, start={"seed": 1, "config": config})

    def test_a_step_is_applied_once_however_often_it_is_sent(self):
        session, first = self.begin()
        self.assertEqual((first["observations"], first["players"], first["max_turns"]), (["0"], 1, 3))
        answers = [self.call("step", session=session, turn=1, actions=["a"]) for _ in range(3)]
        self.assertEqual([answer["observations"] for answer in answers], [["1"]] * 3)
        self.assertEqual(self.call("observe", session=session), answers[0])
        self.assertEqual(self.call("step", session=session, turn=1, actions=["b"])[:2], (409, "wrong_turn"))
        self.assertEqual(self.call("step", session=session, turn=3, actions=["a"])[:2], (409, "wrong_turn"))
        self.call("step", session=session, turn=2, actions=["a"])
        self.assertEqual(self.call("step", session=session, turn=3, actions=["a"])["done"], "truncated")
        self.assertEqual(self.call("step", session=session, turn=4, actions=["a"])[:2], (400, "bad_request"))

    def test_rewards_add_up_to_scores_and_no_further_than_one(self):
        session, _ = self.begin()
        self.assertEqual(self.call("step", session=session, turn=1, actions=["score"])["scores"], [0.5])
        self.assertEqual(self.call("step", session=session, turn=2, actions=["score"])["scores"], [1.0])
        code, kind, message = self.call("step", session=session, turn=3, actions=["score"])
        self.assertEqual((code, kind), (500, "environment"))
        self.assertIn("between 0 and 1", message)

    def test_bad_calls_are_refused_by_kind(self):
        session, _ = self.begin()
        cases = [
            (("create",), {"protocol": 2}, "protocol"),
            (("reset",), {"session": "x", "start": {"seed": 1}}, "no_session"),
            (("reset",), {"session": session, "start": {"seed": -1}}, "bad_request"),
            (("reset",), {"session": session, "start": {"seed": 1, "split": "all"}}, "bad_request"),
            (("reset",), {"session": session, "start": {"seed": 1, "extra": 1}}, "bad_request"),
            (("step",), {"session": session, "turn": 1, "actions": "a"}, "bad_request"),
            (("step",), {"session": session, "turn": 1, "actions": ["a", "b"]}, "bad_request"),
            (("step",), {"session": session, "turn": 1, "actions": ["a"], "deadline_ms": 0}, "bad_request"),
            (("dance",), {}, "bad_request"),
            (("batch",), {"calls": [1]}, "bad_request"),
        ]
        for (name,), body, kind in cases:
            self.assertEqual(self.call(name, **body)[1], kind, (name, body))
        self.assertEqual(self.begin(bare=True)[1][1], "environment", "a bare text is no list of texts")
        self.assertEqual(self.call("step", session=session, turn=1, actions=["a"])["observations"], ["1"])

    def test_a_batch_answers_each_call(self):
        one, _ = self.begin()
        two, _ = self.begin()
        calls = [{"call": "step", "session": key, "turn": 1, "actions": ["a"]} for key in (one, "lost", two)]
        results = self.call("batch", calls=[*calls, {"call": "batch"}])["results"]
        kinds = [result.get("error", {}).get("kind", "ok") for result in results]
        self.assertEqual(kinds, ["ok", "no_session", "ok", "bad_request"])

    def test_a_full_server_is_busy(self):
        self.begin()
        self.begin()
        self.assertEqual(self.call("create", protocol=1)[:2], (503, "busy"))

    def test_idle_sessions_make_room_and_those_at_work_do_not(self):
        self.serve(idle_s=0.0)
        one, _ = self.begin()
        before = Count.closed
        hold = threading.Thread(target=self.call, args=("step",), kwargs={"session": one, "turn": 1, "actions": ["hold"]})
        hold.start()
        self.addCleanup(hold.join)
        self.addCleanup(Count.go.set)
        self.assertTrue(Count.held.wait(30))
        self.begin()
        self.begin()
        self.assertEqual(Count.closed - before, 1, "the idle one made room")
        busy = self.call("observe", session=one, deadline_ms=20)
        self.assertEqual(busy[:2], (503, "busy"), "the other is still at work")

    def test_other_versions_are_told(self):
        request = urllib.request.Request(f"{self.server.url}/v2/info")
        with self.assertRaises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(request, timeout=30)
        self.assertEqual(json.load(raised.exception)["error"]["kind"], "protocol")


class Instances(unittest.TestCase):
    def test_splits_are_disjoint_and_of_the_right_sizes(self):
        splits = ("train", "val", "test")
        homes = [[split for split in splits if in_split("x", str(n), split)] for n in range(1000)]
        self.assertTrue(all(len(home) == 1 for home in homes))
        shares = Counter(home[0] for home in homes)
        self.assertTrue(550 < shares["train"] < 650 and 150 < shares["val"] < 250, shares)

    def test_streams_follow_from_start_and_labels(self):
        start = Start(7, "val", 3)
        self.assertEqual(random_of(start).random(), random_of(Start(7, "val", 3, replica=9)).random())
        others = [random_of(Start(7, "val", 4)), random_of(Start(8, "val", 3)), random_of(start, "chance", 1)]
        self.assertNotIn(random_of(start).random(), [other.random() for other in others])


if __name__ == "__main__":
    unittest.main()
