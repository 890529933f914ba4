"""Checks the dependency arrows between our crates, from `cargo metadata`.

Two rules: a crate uses only those of our crates that ARROWS grants it (dev-dependencies included), and no crate reaches, over
any number of steps, a package that UNREACHABLE denies it. Exits 1 and names the path when a rule is broken.
"""

import json
import subprocess
import sys
from collections import deque

ARROWS = {
    "domain": set(),
    "telemetry": set(),
    "proto": {"domain"},
    # Of ours, only what knows nothing of the product: named threads and the clock.
    "collective": {"telemetry"},
    # Plain arithmetic on slices: nothing of the product, no libtorch.
    "kernels": {"telemetry"},
    "model": {"domain", "telemetry", "kernels"},
    "artifacts": {"domain", "telemetry"},
    "coordinator": {"domain", "proto", "artifacts", "telemetry"},
    # Walls around foreign code: nothing of the product, no libtorch, so that its launcher starts in a millisecond.
    "sandbox": {"telemetry"},
    "worker": {"domain", "proto", "model", "artifacts", "sandbox", "telemetry"},
    "trainer": {"domain", "model", "collective", "artifacts", "telemetry"},
    "cli": {"domain", "proto", "coordinator", "artifacts", "telemetry"},
    "tests": {"domain", "proto", "artifacts", "telemetry"},
}

LIBTORCH = {"tch", "torch-sys"}
# What the pure core could wait, listen or roll dice with.
EFFECTS = {"tokio", "mio", "socket2", "rustix", "tempfile", "tracing", "chrono", "time"}
UNREACHABLE = {
    "domain": LIBTORCH | EFFECTS,
    "proto": LIBTORCH,
    "telemetry": LIBTORCH,
    "artifacts": LIBTORCH,
    "kernels": LIBTORCH | EFFECTS,
    "sandbox": LIBTORCH,
    "coordinator": LIBTORCH,
    "cli": LIBTORCH,
    "tests": LIBTORCH,
}

PREFIX = "galapagos-"


class Graph:
    """The resolved dependency graph: package ids as nodes, an edge with the kinds (normal, build, dev) it is used in."""

    def __init__(self, metadata):
        self.names = {package["id"]: package["name"] for package in metadata["packages"]}
        self.ours = {self.names[member].removeprefix(PREFIX): member for member in metadata["workspace_members"]}
        self.edges = {
            node["id"]: [(dep["pkg"], {kind["kind"] or "normal" for kind in dep["dep_kinds"]}) for dep in node["deps"]]
            for node in metadata["resolve"]["nodes"]
        }

    def uses(self, crate):
        """Our crates that `crate` depends on directly, in any kind."""
        members = {member: name for name, member in self.ours.items()}
        return {members[target] for target, _ in self.edges[self.ours[crate]] if target in members}

    def path_to(self, crate, denied):
        """Shortest chain of names from `crate` to a package in `denied` over what ends up in the executable, or None."""
        start = self.ours[crate]
        came_from, queue = {start: None}, deque([start])
        while queue:
            here = queue.popleft()
            if self.names[here] in denied:
                chain = []
                while here is not None:
                    chain.append(self.names[here])
                    here = came_from[here]
                return list(reversed(chain))
            for target, kinds in self.edges[here]:
                if "normal" in kinds and target not in came_from:
                    came_from[target] = here
                    queue.append(target)
        return None


def violations(graph):
    for crate in sorted(graph.ours):
        if crate not in ARROWS:
            yield f"{crate}: a new crate; say in ARROWS of scripts/check_arrows.py what it may use"
            continue
        for used in sorted(graph.uses(crate) - ARROWS[crate]):
            allowed = ", ".join(sorted(ARROWS[crate])) or "none of our crates"
            yield f"{crate} -> {used}: not an arrow of the design; {crate} may use {allowed}"
        path = graph.path_to(crate, UNREACHABLE.get(crate, set()))
        if path:
            yield f"{crate} must not reach {path[-1]}: {' -> '.join(path)}"
    for crate in sorted(ARROWS.keys() - graph.ours.keys()):
        yield f"{crate}: listed in ARROWS but not in the workspace"


def main():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if result.returncode != 0:
        sys.exit(f"check_arrows: `{' '.join(command)}` failed; its message is above")
    found = list(violations(Graph(json.loads(result.stdout))))
    for line in found:
        print(f"check_arrows: {line}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
