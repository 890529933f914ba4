#!/usr/bin/env bash
# The remote engine against a real vLLM server on CPU: SmolLM2, adapters loaded while it runs, wrong versions, and a server that
# dies (worker/examples/check_vllm). Outside CI: the install is heavy. Expects `scripts/setup.sh vllm` to have run; `make
# check-vllm` does both. The server's log and the adapters stay when a check
# fails, and always in GALAPAGOS_CHECK_VLLM_FOLDER=DIR.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/env.sh
source scripts/setup/common.sh

missing() {
  printf 'check-vllm: FAILED: %s is not installed (looked for %s)\n  what to do: make setup-vllm\n' "$1" "$2" >&2
  exit 1
}
python=$VLLM_VENV/bin/python
model=$MODELS/smollm2-135m
[[ -x $python && -f $VLLM_VENV/.installed ]] || missing "vLLM for CPU" "$VLLM_VENV/.installed"
[[ -f $model/config.json ]] || missing "the SmolLM2 model" "$model"

folder=${GALAPAGOS_CHECK_VLLM_FOLDER:-}
if [[ -n $folder ]]; then
  mkdir -p "$folder"
else
  folder=$(mktemp -d)
fi
check=
clean_up() {
  local status=$?
  # The check ends its server itself; the rest is for one that was interrupted.
  [[ -z $check ]] || kill "$check" 2>/dev/null || true
  if [[ -f $folder/vllm.pid ]]; then
    kill -KILL -- "-$(<"$folder/vllm.pid")" 2>/dev/null || true
    rm -f "$folder/vllm.pid"
  fi
  if [[ -z ${GALAPAGOS_CHECK_VLLM_FOLDER:-} && ($status -eq 0 || $status -eq 130) ]]; then
    rm -rf "$folder"
  fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM

cargo build --locked -p galapagos-worker --example check_vllm
"${CARGO_TARGET_DIR:-target}/debug/examples/check_vllm" "$python" "$model" "$folder" &
check=$!
wait "$check"
