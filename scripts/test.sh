#!/usr/bin/env bash
# Builds everything and runs every test that needs no GPU. Expects `scripts/setup.sh test` to have run; `make test` does both.
# Arguments go to nextest, e.g. scripts/test.sh -p galapagos-domain.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/env.sh

# The whole-system tests start the executables, which a plain test build leaves out.
cargo build --locked --workspace
cargo nextest run --locked --workspace "$@"
# Executables and tests find libtorch by the rpath that our build scripts give them; doc tests are linked without.
LD_LIBRARY_PATH=$PWD/.libtorch/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} cargo test --locked --workspace --doc --quiet
