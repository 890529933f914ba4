#!/usr/bin/env bash
# What storing and sending a child as a delta saves and costs, beside storing it whole, on children of SmolLM2 that it makes first: a table
# for each of the four pairs. Outside CI. Expects `scripts/setup.sh test` to have run; `make bench-weights` does both. Argument: how many rounds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/env.sh
source scripts/setup/common.sh

rounds=${1:-3}
if [[ ! $rounds =~ ^[1-9][0-9]*$ || $# -gt 1 ]]; then
  printf 'bench-weights: `%s` is no number of rounds; give one from 1, as in: make bench-weights ARGS=5\n' "$*" >&2
  exit 2
fi
if [[ ! -f $MODELS/smollm2-135m/config.json ]]; then
  printf 'bench-weights: there is no model in %s; run make setup\n' "$MODELS/smollm2-135m" >&2
  exit 1
fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/galapagos-weights-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
OMP_NUM_THREADS=$(nproc) "$TEST_VENV/bin/python" scripts/bench/children.py "$MODELS/smollm2-135m" "$scratch"
cargo build --release --locked -p galapagos-artifacts --example delta
mkdir "$scratch/work"
for pair in "base-f32 tuned-f32" "base-bf16 tuned-bf16" "tuned-f32 merged-f32" "tuned-bf16 merged-bf16"; do
  read -r parent child <<<"$pair"
  printf '%s, child of %s\n' "$child" "$parent"
  "${CARGO_TARGET_DIR:-target}/release/examples/delta" "$scratch/$parent" "$scratch/$child" "$scratch/work" "$rounds"
done
