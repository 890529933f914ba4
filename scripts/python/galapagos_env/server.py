"""Serves environments over HTTP: protocol version 1, standard library only.

One thread a connection, one lock a session. The last answer of each session is kept, so that a step that is sent again is not applied
again. What an environment raises becomes an error of kind `environment`; it is never a reward.
"""

from __future__ import annotations

import json
import math
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .environment import Environment, Start, Step

PROTOCOL = 1
MAX_BODY_BYTES = 8 << 20
MAX_BATCH = 256
STATUS = {"bad_request": 400, "protocol": 400, "no_session": 404, "wrong_turn": 409, "busy": 503, "environment": 500}

Json = dict[str, Any]
Factory = Callable[[], Environment]


class Refusal(Exception):
    """A call that is answered by an error of this kind."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def as_json(self) -> Json:
        return {"error": {"kind": self.kind, "message": str(self)}}


@dataclass
class Session:
    env: Environment
    lock: threading.Lock = field(default_factory=threading.Lock)
    used_at: float = 0.0
    turn: int = 0
    actions: list[str | None] | None = None
    totals: list[float] = field(default_factory=list)
    answer: Json | None = None


class Server:
    """A running server. `url` is where it is; `close` ends it; as a context manager it closes itself."""

    def __init__(self, factory: Factory, host: str, port: int, max_sessions: int, idle_s: float) -> None:
        self.factory = factory
        self.max_sessions = max_sessions
        self.idle_s = idle_s
        self.sessions: dict[str, Session] = {}
        self.lock = threading.Lock()
        self.name = factory().name
        self.pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="batch")
        self.http = ThreadingHTTPServer((host, port), _handler(self))
        self.http.daemon_threads = True
        self.url = f"http://{host}:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, name="galapagos-env", daemon=True)
        self.thread.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self) -> None:
        """Blocks until the server ends."""
        self.thread.join()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.pool.shutdown(wait=False)
        for session in self.sessions.values():
            session.env.close()

    def call(self, name: str, body: Json) -> Json:
        """One call of the protocol; raises `Refusal`."""
        calls: dict[str, Callable[[Json], Json]] = {
            "info": self._info,
            "create": self._create,
            "reset": self._reset,
            "step": self._step,
            "observe": self._observe,
            "close": self._close,
            "batch": self._batch,
        }
        if name not in calls:
            raise Refusal("bad_request", f"no call is named {name!r}; known are {', '.join(calls)}")
        return calls[name](body)

    def _info(self, _: Json) -> Json:
        return {"protocol": PROTOCOL, "environment": self.name, "max_batch": MAX_BATCH}

    def _create(self, body: Json) -> Json:
        if body.get("protocol") != PROTOCOL:
            raise Refusal("protocol", f"this server speaks protocol {PROTOCOL}, the client {body.get('protocol')!r}")
        with self.lock:
            now = time.monotonic()
            # A session whose lock is held is at work, however long ago it was asked.
            idle = [key for key, s in self.sessions.items() if now - s.used_at > self.idle_s and not s.lock.locked()]
            for key in idle:
                self.sessions.pop(key).env.close()
            if len(self.sessions) >= self.max_sessions:
                raise Refusal("busy", f"all {self.max_sessions} sessions are in use")
            key = uuid.uuid4().hex
            self.sessions[key] = Session(self.factory(), used_at=now)
        return {"session": key}

    def _session(self, body: Json) -> Session:
        key = body.get("session")
        with self.lock:
            session = self.sessions.get(key) if isinstance(key, str) else None
            if session is None:
                raise Refusal("no_session", f"no session {key!r}: it was closed, was idle too long, or the server is a new one")
            session.used_at = time.monotonic()
        return session

    def _held(self, body: Json) -> _Held:
        deadline = body.get("deadline_ms", 60_000)
        if not isinstance(deadline, int) or isinstance(deadline, bool) or deadline <= 0:
            raise Refusal("bad_request", f"deadline_ms is a whole number above 0, not {deadline!r}")
        return _Held(self._session(body), deadline / 1000)

    def _reset(self, body: Json) -> Json:
        start = _start(body.get("start"))
        with self._held(body) as session:
            # Until the reset is through there is no episode to step in.
            session.answer = None
            observations = _texts("observations", session.env.reset(start), session.env.players)
            session.turn, session.actions, session.totals = 0, None, [0.0] * session.env.players
            step = Step(observations, session.totals, scores=[0.0] * session.env.players)
            answer = self._answer(session, step, ["not_asked"] * session.env.players)
            answer |= {"players": session.env.players, "max_turns": session.env.max_turns}
            session.answer = answer
            return answer

    def _step(self, body: Json) -> Json:
        turn, actions = body.get("turn"), body.get("actions")
        with self._held(body) as session:
            if session.answer is None:
                raise Refusal("bad_request", "no episode to step in: it was not reset, or broke off in an earlier step")
            if not isinstance(actions, list) or not all(a is None or isinstance(a, str) for a in actions):
                raise Refusal("bad_request", "actions is a list of a text or null for each player")
            if turn == session.turn and actions == session.actions:
                return session.answer
            if turn != session.turn + 1:
                raise Refusal("wrong_turn", f"turn {session.turn} was played last, turn {turn!r} was asked for")
            if len(actions) != session.env.players:
                raise Refusal("bad_request", f"{len(actions)} actions for {session.env.players} players")
            if session.answer["done"] is not None:
                raise Refusal("bad_request", "step after the end of the episode")
            # An episode that breaks off in a step is over: nobody knows how much of the step was done.
            session.answer = None
            step = session.env.step(list(actions))
            _numbers("rewards", step.rewards, session.env.players)
            totals = [total + reward for total, reward in zip(session.totals, step.rewards)]
            taken = list(step.taken) if step.taken is not None else ["not_asked" if a is None else "played" for a in actions]
            answer = self._answer(session, step, taken, totals, turn)
            session.turn, session.actions, session.totals, session.answer = turn, list(actions), totals, answer
            return answer

    def _answer(
        self, session: Session, step: Step, taken: list[Any], totals: list[float] | None = None, turn: int = 0
    ) -> Json:
        players = session.env.players
        scores = totals if step.scores is None and totals is not None else step.scores
        scores = _numbers("scores", scores or [], players)
        if not all(0.0 <= score <= 1.0 for score in scores):
            raise Refusal("environment", f"scores lie between 0 and 1, not {scores}; give `scores` where rewards add up to others")
        if step.done not in (None, "terminated", "truncated"):
            raise Refusal("environment", f"done is None, 'terminated' or 'truncated', not {step.done!r}")
        over = step.done is not None
        return {
            "turn": turn,
            "observations": _texts("observations", step.observations, players),
            "rewards": _numbers("rewards", step.rewards, players),
            "scores": scores,
            "legal": ["not_asked" if over else session.env.legal(player) for player in range(players)],
            "taken": taken,
            "done": step.done,
            "info": step.info,
        }

    def _observe(self, body: Json) -> Json:
        with self._held(body) as session:
            if session.answer is None:
                raise Refusal("bad_request", "observe before reset")
            return session.answer

    def _close(self, body: Json) -> Json:
        key = body.get("session")
        with self.lock:
            session = self.sessions.pop(key, None) if isinstance(key, str) else None
        # One that is at work is left to its thread: environments are called from one thread at a time.
        if session is not None and session.lock.acquire(blocking=False):
            session.env.close()
            session.lock.release()
        return {}

    def _batch(self, body: Json) -> Json:
        calls = body.get("calls")
        if not isinstance(calls, list) or len(calls) > MAX_BATCH or not all(isinstance(call, dict) for call in calls):
            raise Refusal("bad_request", f"calls is a list of at most {MAX_BATCH} objects")

        def one(call: Json) -> Json:
            name = call.get("call")
            if name in ("batch", "info"):
                return Refusal("bad_request", f"no {name} inside a batch").as_json()
            return answer_of(self, str(name), call)

        return {"results": list(self.pool.map(one, calls))}


class _Held:
    """A session with its lock, which is waited for until the deadline."""

    def __init__(self, session: Session, timeout_s: float) -> None:
        self.session, self.timeout_s = session, timeout_s

    def __enter__(self) -> Session:
        if not self.session.lock.acquire(timeout=self.timeout_s):
            raise Refusal("busy", f"the session was at work on another call for {self.timeout_s} s")
        return self.session

    def __exit__(self, *_: object) -> None:
        self.session.lock.release()


def answer_of(server: Server, name: str, body: Json) -> Json:
    """The answer of a call, or its error."""
    try:
        return server.call(name, body)
    except Refusal as refusal:
        return refusal.as_json()
    except Exception as error:
        traceback.print_exc()
        return Refusal("environment", f"{type(error).__name__}: {error}").as_json()


def _start(value: Any) -> Start:
    if not isinstance(value, dict):
        raise Refusal("bad_request", "start is an object with seed, split, index, replica and config")
    unknown = set(value) - {"seed", "split", "index", "replica", "config"}
    numbers = [value.get("seed"), value.get("index", 0), value.get("replica", 0)]
    right = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers)
    if unknown or not right or not isinstance(value.get("config", {}), dict):
        raise Refusal("bad_request", f"start is an object with seed, split, index, replica and config, not {value!r}")
    if value.get("split", "train") not in ("train", "val", "test", "demonstrations"):
        raise Refusal("bad_request", f"split is train, val, test or demonstrations, not {value['split']!r}")
    return Start(**value)


def _texts(what: str, values: Any, players: int) -> list[str]:
    # A bare string is a sequence of strings, too.
    texts = list(values)
    if isinstance(values, str) or len(texts) != players or not all(isinstance(text, str) for text in texts):
        raise Refusal("environment", f"{what} must be {players} texts, one a player, not {values!r}")
    return texts


def _numbers(what: str, values: Any, players: int) -> list[float]:
    numbers = [float(value) for value in values]
    if len(numbers) != players or not all(math.isfinite(number) for number in numbers):
        raise Refusal("environment", f"{what} must be {players} numbers, one a player, not {values!r}")
    return numbers


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer is one small write after the head; waiting for more to send would cost 40 ms a call.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("Content-Length", ""))
            except ValueError:
                length = -1
            if not 0 <= length <= MAX_BODY_BYTES:
                self.close_connection = True
                return self._send(Refusal("bad_request", f"a body of 0 to {MAX_BODY_BYTES} bytes is needed").as_json())
            try:
                body = json.loads(self.rfile.read(length) or b"{}")
            except ValueError as error:
                return self._send(Refusal("bad_request", f"the body is no JSON: {error}").as_json())
            if not isinstance(body, dict):
                return self._send(Refusal("bad_request", "the body must be an object").as_json())
            self._answer(body)

        def _answer(self, body: Json) -> None:
            prefix = f"/v{PROTOCOL}/"
            if not self.path.startswith(prefix):
                return self._send(Refusal("protocol", f"this server speaks protocol {PROTOCOL}: {prefix}CALL").as_json())
            self._send(answer_of(server, self.path.removeprefix(prefix), body))

        def _send(self, answer: Json) -> None:
            status = STATUS[answer["error"]["kind"]] if "error" in answer else 200
            try:
                data = json.dumps(answer, allow_nan=False).encode()
            except (TypeError, ValueError) as error:
                status = 500
                data = json.dumps(Refusal("environment", f"the answer is no JSON: {error}").as_json()).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Calls are not logged: the client knows what it asked."""

    return Handler


def serve(
    factory: Factory, port: int = 0, host: str = "127.0.0.1", *, max_sessions: int = 256, idle_s: float = 3600.0
) -> Server:
    """Serves the environments that `factory` makes, one a session, until the server is closed. Port 0 takes a free one."""
    return Server(factory, host, port, max_sessions, idle_s)
