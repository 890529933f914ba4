"""`python -m galapagos_env`: serves an environment and prints `listening on URL`; ends with its standard input if asked to.

    python -m galapagos_env my_module:MyEnvironment
    python -m galapagos_env --reasoning-gym chain_sum --options '{"min_terms": 3}'
    python -m galapagos_env --agentgym http://127.0.0.1:36001 --options '{"instances": 500}'
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys

from .environment import Environment
from .server import Factory, serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="galapagos-env", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("environment", nargs="?", metavar="MODULE:CLASS")
    what.add_argument("--reasoning-gym", metavar="TASK")
    what.add_argument("--agentgym", metavar="URL")
    parser.add_argument("--options", type=json.loads, default={}, metavar="JSON", help="arguments of the class, by name")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when whoever started this is gone")
    arguments = parser.parse_args()
    server = serve(factory(arguments), arguments.port, arguments.host)
    print(f"listening on {server.url}", flush=True)
    if arguments.until_stdin_closes:
        sys.stdin.read()
        server.close()
    server.wait()


def factory(arguments: argparse.Namespace) -> Factory:
    options = arguments.options
    if arguments.reasoning_gym:
        from .adapters.reasoning_gym import ReasoningGym

        return lambda: ReasoningGym(arguments.reasoning_gym, **options)
    if arguments.agentgym:
        from .adapters.agentgym import AgentGym

        return lambda: AgentGym(arguments.agentgym, **options)
    # An installed command does not look into the folder it is called from.
    sys.path.insert(0, os.getcwd())
    module, _, name = arguments.environment.partition(":")
    made = getattr(importlib.import_module(module), name, None)
    if not (isinstance(made, type) and issubclass(made, Environment)):
        sys.exit(f"galapagos-env: `{arguments.environment}` names no subclass of galapagos_env.Environment; give MODULE:CLASS")
    return lambda: made(**options)


if __name__ == "__main__":
    main()
