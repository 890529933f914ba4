#!/usr/bin/env bash
# The long fault test: kills processes of small runs at random moments until KILLS were killed; every run must end with the result
# of an undisturbed one. `make test` does a sample of it. Expects `scripts/setup.sh test` to have run; `make faults` does both.
#
#   scripts/faults.sh [KILLS]     100 by default; GALAPAGOS_FAULT_SEED=N repeats the schedule that the test printed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/env.sh

kills=${1:-100}
seed=${GALAPAGOS_FAULT_SEED:-$RANDOM}
[[ $kills =~ ^[1-9][0-9]*$ ]] || { sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

echo "faults: $kills kills, GALAPAGOS_FAULT_SEED=$seed"
cargo build --locked --workspace
GALAPAGOS_FAULT_SEED=$seed GALAPAGOS_FAULT_KILLS=$kills \
  cargo nextest run --locked --profile faults -p galapagos-tests --no-capture killed_processes_do_not_change_the_result
