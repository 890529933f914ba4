# Shared by scripts/setup.sh and its parts: where things go, which versions, and how success and failure are told.

CACHE=${GALAPAGOS_CACHE:-$HOME/.cache/galapagos}
MODELS=${GALAPAGOS_MODELS:-$CACHE/models}
CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PYTHON=${PYTHON:-python3}

# libtorch's version is bound to the `tch` crate in Cargo.toml and to the size check in collective/; change all together.
TORCH_VERSION=2.13.0
TORCH_WHEELS=(torch==$TORCH_VERSION nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)
# Headers of CUDA beyond those that come with torch, for NCCL in collective/ (scripts/check_cuda.sh): of the CUDA that torch has.
CUDA_HEADER_WHEELS=(nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85)
CUDA_HEADERS=$CACHE/cuda-headers-13.0
LIBTORCH_DIR=$CACHE/libtorch-$TORCH_VERSION-cpu

TOOLS_VENV=$CACHE/venv-tools
TEST_VENV=$CACHE/venv
VLLM_VENV=$CACHE/venv-vllm

say() { printf 'setup: %s\n' "$*"; }

# fail WHAT HINT [LOG]: says what went wrong and what to do, shows the end of the log, and ends the set-up.
fail() {
  printf 'setup: FAILED: %s\n' "$1" >&2
  if [[ -n ${3:-} ]]; then
    tail -n 15 "$3" | sed 's/^/  | /' >&2
    printf '  whole log: %s\n' "$3" >&2
  fi
  printf '  what to do: %s\n' "$2" >&2
  exit 1
}

# logged LOG WHAT HINT COMMAND...: runs the command with its output in $CACHE/logs/LOG.log; fails with WHAT and HINT.
logged() {
  local log=$CACHE/logs/$1.log what=$2 hint=$3
  shift 3
  printf '$ %s\n' "$*" >"$log"
  "$@" >>"$log" 2>&1 || fail "$what" "$hint" "$log"
}

# need_space GIGABYTES WHAT: fails early instead of in the middle of a download.
need_space() {
  local free
  free=$(df --output=avail -BG "$CACHE" | tail -n 1 | tr -dc 0-9)
  ((free >= $1)) || fail "$2 needs $1 GB in $CACHE, $free GB are free" "free some space, or set GALAPAGOS_CACHE to a folder on a larger disk"
}

# make_venv DIR: a virtual environment with pip, made once.
make_venv() {
  [[ -x $1/bin/pip ]] && return
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "'$PYTHON' is not a Python of 3.11 or newer" "install one and name it: PYTHON=python3.12 make ..."
  rm -rf "$1"
  logged venv "could not make the virtual environment $1" "install Python's venv module (Debian: apt-get install python3-venv)" \
    "$PYTHON" -m venv "$1"
}

# pip_install VENV LOG PACKAGE...: at the versions of scripts/constraints.txt.
pip_install() {
  local venv=$1 log=$2
  shift 2
  logged "$log" "pip could not install: $*" "check that this machine reaches its Python package index ('pip download six'), then run this again" \
    "$venv/bin/pip" install --disable-pip-version-check --constraint "$CHECKOUT/scripts/constraints.txt" "$@"
}
