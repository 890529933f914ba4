#!/usr/bin/env bash
# Installs what Galapagos needs that cargo does not bring, into a cache that all checkouts share. Safe to run again and to run
# twice at once; a part that is there already costs nothing.
#
#   scripts/setup.sh tiny    compiler and libtorch: enough to build, and to run recipes/tiny.yaml
#   scripts/setup.sh run     tiny + the SmolLM2 weights: what `make run` needs
#   scripts/setup.sh test    run + test runner and a Python with torch, the reference of the numeric tests (default)
#   scripts/setup.sh check   test + cargo-deny: what the gate needs
#   scripts/setup.sh vllm    test + vLLM for CPU in a Python of its own: a peer of the benchmarks, outside CI
#
# The cache is $GALAPAGOS_CACHE, by default ~/.cache/galapagos; delete it to start over. $PYTHON chooses the Python to start from.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/setup/common.sh"

case "${1:-test}" in
  tiny)  parts=(system libtorch) ;;
  run)   parts=(system libtorch model) ;;
  test)  parts=(system nextest python libtorch model) ;;
  check) parts=(system nextest deny python libtorch model) ;;
  vllm)  parts=(system nextest python libtorch model vllm) ;;
  *)     sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

mkdir -p "$CACHE/bin" "$CACHE/logs"
exec {lock}>"$CACHE/.setup.lock"
if ! flock --nonblock "$lock"; then
  say "another set-up is filling $CACHE; waiting for it (an hour at most)"
  flock --timeout 3600 "$lock" || fail "the other set-up did not end within an hour" "end it (see 'fuser $CACHE/.setup.lock'), then run this again"
fi

for part in "${parts[@]}"; do
  SETUP_FOR=${1:-test} bash "$here/setup/$part.sh"
done
say "ready for '${1:-test}' (${SECONDS} s)"
