"""Checks rules of form that no linter knows, over all files git tracks or would track.

Errors: a Rust file over 800 lines, without a `//!` head, or named mod.rs; unfinished or debugging code; a path of somebody's
machine. Long Rust files (over 400 lines) are listed as a warning. Exits 1 on any error.
"""

import re
import subprocess
import sys
from pathlib import Path

AIM_LINES = 400
MAX_LINES = 800

FORBIDDEN_IN_RUST = {
    r"\btodo!": "finish it, or leave it out and say so",
    r"\bunimplemented!": "finish it, or leave it out and say so",
    r"\bdbg!": "remove it, or use tracing",
    r"#\[ignore\b": "make the test run, or delete it",
}
MACHINE_PATH = re.compile(r"(?<![\w./$}~-])/(?:work|root|home|Users)/\w")


def listed_files():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
    return sorted(path for path in map(Path, filter(None, names)) if path.is_file())


def text_of(path):
    """The file's lines, or None if it is binary."""
    data = path.read_bytes()
    if b"\0" in data:
        return None
    return data.decode("utf-8", errors="replace").splitlines()


def rust_errors(path, lines):
    if path.name == "mod.rs":
        yield f"{path}: no mod.rs; put the module's own code in {path.parent}.rs"
    if len(lines) > MAX_LINES:
        yield f"{path}: {len(lines)} lines, {MAX_LINES} is the limit; split it"
    if not lines or not lines[0].startswith("//!"):
        yield f"{path}:1: must start with a `//!` head that says what the file does and what it must not do"
    for number, line in enumerate(lines, start=1):
        for pattern, advice in FORBIDDEN_IN_RUST.items():
            match = re.search(pattern, line)
            if match:
                yield f"{path}:{number}: `{match.group()}` is not allowed; {advice}"


def errors(path, lines):
    if path.suffix == ".rs":
        yield from rust_errors(path, lines)
    for number, line in enumerate(lines, start=1):
        match = MACHINE_PATH.search(line)
        if match:
            yield f"{path}:{number}: a path of one machine: {line[match.start():].split()[0]}"


def main():
    found, long_files = [], []
    for path in listed_files():
        lines = text_of(path)
        if lines is None:
            continue
        found.extend(errors(path, lines))
        if path.suffix == ".rs" and AIM_LINES < len(lines) <= MAX_LINES:
            long_files.append((len(lines), path))
    for count, path in sorted(long_files, reverse=True):
        print(f"check_files: warning: {path}: {count} lines, aim at {AIM_LINES}")
    for line in found:
        print(f"check_files: {line}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
