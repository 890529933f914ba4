"""A server in the style of AgentGym for the tests: numbered words to spell letter by letter. Prints its URL; ends with its input."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

WORDS = [f"{a}{b}{c}" for a in "abcd" for b in "efg" for c in "hij"]
GAMES = []


def observation(game):
    return f"Spell {game['word']}; so far: {game['done'] or 'nothing'}."


def step(game, action):
    right = game["word"][len(game["done"])]
    reward = 0.0
    if action == right:
        game["done"] += right
        reward = 1.0
    return {"observation": observation(game), "reward": reward, "done": game["done"] == game["word"]}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        if self.path == "/create":
            GAMES.append({})
            return self.send({"id": len(GAMES) - 1})
        if not 0 <= body.get("id", -1) < len(GAMES):
            return self.send({"error": f"no game {body.get('id')}"})
        game = GAMES[body["id"]]
        if self.path == "/reset":
            game.update(word=WORDS[body["data_idx"]], done="")
            return self.send({"done": False, "reward": 0})
        if self.path == "/step":
            if body["action"] == "overflow":
                return self.send({"error": "the buffer is full"})
            return self.send(step(game, body["action"]))
        self.send_error(404)

    def do_GET(self):
        number = int(parse_qs(urlsplit(self.path).query)["id"][0])
        self.send(observation(GAMES[number]))

    def send(self, answer):
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
sys.stdin.read()
