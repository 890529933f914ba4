"""Environments for Galapagos in Python: write one class with `reset` and `step`, and `serve` it.

The protocol is documented in docs/environments.md; this package needs the standard library only.
"""

from .environment import EnvironmentFault, Environment, Start, Step, in_split, random_of
from .server import PROTOCOL, Server, serve

__all__ = ["PROTOCOL", "Environment", "EnvironmentFault", "Server", "Start", "Step", "in_split", "random_of", "serve"]
