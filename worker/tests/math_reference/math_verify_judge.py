"""Judges pairs of answers with math-verify: reads a JSON list of {"gold", "answer"}, prints a JSON list of true and false.

An answer is wrapped in dollars unless it brings its own, as math-verify reads LaTeX only where it is marked.
"""

import json
import logging
import sys

from math_verify import parse, verify

logging.disable(logging.CRITICAL)


def marked(text):
    return text if "$" in text.replace("\\$", "") or "\\(" in text else f"${text}$"


def main():
    pairs = json.load(sys.stdin)
    verdicts = [bool(verify(parse(marked(pair["gold"])), parse(marked(pair["answer"])))) for pair in pairs]
    json.dump(verdicts, sys.stdout)


if __name__ == "__main__":
    main()
