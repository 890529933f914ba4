#!/usr/bin/env bash
# Compiles and links the collectives (with NCCL), the trainer and the worker against libtorch for CUDA (the whole wheel of torch that the tests'
# Python has) and runs them. Without a GPU both must say so, and compute on the CPU all the same; with one, they must use it.
# Outside CI: it builds everything once more. Expects `scripts/setup.sh test` to have run; `make check-cuda` does both.
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
has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi --list-gpus | grep -q .; }

if [[ ! -f $CUDA_HEADERS/.installed ]]; then
  says "headers of CUDA that torch does not bring (20 MB): ${CUDA_HEADER_WHEELS[*]}"
  mkdir -p "$CACHE/logs"
  pip_install "$TEST_VENV" cuda-headers --no-deps --no-compile --upgrade --target "$CUDA_HEADERS" "${CUDA_HEADER_WHEELS[@]}"
  touch "$CUDA_HEADERS/.installed"
fi
export GALAPAGOS_CUDA_INCLUDE=$CUDA_HEADERS/nvidia/cu13/include

cargo build --locked -p galapagos-collective --features cuda --example backends
backends=$CARGO_TARGET_DIR/debug/examples/backends
readelf -d "$backends" | grep -q 'NEEDED.*libtorch_cuda' || fails "the collectives are not linked with libtorch_cuda.so"
nm --undefined-only --demangle "$backends" | grep 'c10d::ProcessGroupNCCL::ProcessGroupNCCL(' >/dev/null || fails "the collectives have no NCCL"
answer=$("$backends") || fails "the collectives ended with an error: $answer"
grep -q '^Gloo: joined; .* add up to 2$' <<<"$answer" || fails "Gloo does not work in this build: $answer"
if has_gpu; then
  grep -q '^NCCL: joined; .* add up to 2$' <<<"$answer" || fails "NCCL does not work on the CUDA device: $answer"
else
  grep -q '^NCCL: cannot be joined: no CUDA device' <<<"$answer" || fails "NCCL does not say that there is no device: $answer"
fi
while read -r line; do says "collectives: $line"; done <<<"$answer"

cargo build --locked -p galapagos-worker --bin galapagos-worker
worker=$CARGO_TARGET_DIR/debug/galapagos-worker
readelf -d "$worker" | grep -q 'NEEDED.*libtorch_cuda' || fails "the worker is not linked with libtorch_cuda.so"
says "worker: compiled and linked with libtorch $TORCH_VERSION for CUDA"

cargo build --locked -p galapagos-trainer --features cuda --bin galapagos-trainer
trainer=$CARGO_TARGET_DIR/debug/galapagos-trainer
readelf -d "$trainer" | grep -q 'NEEDED.*libtorch_cuda' || fails "the trainer is not linked with libtorch_cuda.so"
says "trainer: compiled and linked with libtorch $TORCH_VERSION for CUDA, with NCCL"
if ! has_gpu; then
  status=0
  answer=$("$trainer" --artifacts /nowhere --cache /nowhere --device cuda </dev/null 2>&1) || status=$?
  ((status == 2)) || fails "without a CUDA device the trainer's exit code is $status, not 2: $answer"
  [[ $answer == *'no CUDA device'* ]] || fails "the trainer does not say that there is no device: $answer"
  says "trainer: $(grep -m 1 'no CUDA device' <<<"$answer")"
fi

ask() { printf 'Q: What is 2 + 3?\nA:\n' | "$worker" chat "$model" --raw --max-tokens 4 --device "$1"; }
if has_gpu; then
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
