#!/usr/bin/env bash
# Compiles and links the worker against libtorch for CUDA (the whole wheel of torch that the tests' Python has) and runs it: without a
# GPU it must say so and compute on the CPU all the same; with one, it must answer on it. Outside CI: it builds everything once
# more. Expects `scripts/setup.sh test` to have run; `make check-cuda` does both.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/env.sh
source scripts/setup/common.sh

fails() { printf 'check-cuda: FAILED: %s\n' "$1" >&2; exit 1; }
says() { printf 'check-cuda: %s\n' "$1"; }

torch=$(echo "$TEST_VENV"/lib/python3*/site-packages/torch)
model=$MODELS/smollm2-135m
[[ -f $torch/lib/libtorch_cuda.so ]] || fails "there is no libtorch_cuda.so in $torch/lib; run make setup"
[[ -f $model/config.json ]] || fails "there is no model in $model; run make setup"

# The wheel says its version to Python alone, so torch-sys cannot check it; setup pinned it.
export LIBTORCH=$torch LIBTORCH_BYPASS_VERSION_CHECK=1 CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/cuda
cargo build --locked -p galapagos-worker --bin galapagos-worker
worker=$CARGO_TARGET_DIR/debug/galapagos-worker
readelf -d "$worker" | grep -q 'NEEDED.*libtorch_cuda' || fails "the worker is not linked with libtorch_cuda.so"
says "compiled and linked with libtorch $TORCH_VERSION for CUDA"

ask() { printf 'Q: What is 2 + 3?\nA:\n' | "$worker" chat "$model" --raw --max-tokens 4 --device "$1"; }
if command -v nvidia-smi >/dev/null && nvidia-smi --list-gpus | grep -q .; then
  answer=$(ask cuda) || fails "the worker did not answer on the CUDA device"
  says "answered on the CUDA device: $answer"
else
  status=0
  answer=$(ask cuda 2>&1) || status=$?
  ((status == 2)) || fails "without a CUDA device the exit code is $status, not 2: $answer"
  [[ $answer == *'no CUDA device'*"this build's libtorch is for CUDA"* ]] || fails "it does not say that there is no device: $answer"
  says "no CUDA device here, and it says so: $(grep -m 1 'no CUDA device' <<<"$answer")"
  answer=$(ask auto) || fails "the worker did not answer on the CPU"
  says "answered on the CPU with the same build: $answer"
fi
says "passed"
