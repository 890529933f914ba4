#!/usr/bin/env bash
# The one gate, the same for people and for CI. Runs every stage even after a failure, then sums up; exits 1 if any failed.
#
#   scripts/check.sh              everything
#   scripts/check.sh --no-tests   without the tests, for when `make test` has just run
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

run_tests=yes
case "${1:-}" in
  '') ;;
  --no-tests) run_tests=no ;;
  *) sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

scripts/setup.sh check
source scripts/env.sh
logs=${CARGO_TARGET_DIR:-target}/check
mkdir -p "$logs"
results=()
failures=0

# stage NAME COMMAND...: quiet when it passes but for warnings, its whole output when it fails. Follow a long one in $logs.
stage() {
  local name=$1 log=$logs/$1.log from=$SECONDS
  shift
  printf 'check: %-14s ' "$name"
  if "$@" >"$log" 2>&1; then
    note ok "$name" $((SECONDS - from))
    grep -E '^(check_files: )?warning' "$log" | sort -u || true
  else
    note FAILED "$name" $((SECONDS - from))
    failures=$((failures + 1))
    cat "$log"
  fi
}

# note RESULT NAME SECONDS [REASON]
note() {
  printf '%s (%s s)%s\n' "$1" "$3" "${4:+: $4}"
  results+=("$(printf '%-8s %-14s %5s s%s' "$1" "$2" "$3" "${4:+  $4}")")
}

# The advisory database is a git repository; without a way to it nothing can be said about advisories.
advisories() {
  local name=advisories from=$SECONDS
  if timeout 120 cargo deny --locked fetch db >"$logs/fetch.log" 2>&1; then
    stage $name cargo deny --locked --offline check advisories
  else
    printf 'check: %-14s ' $name
    note SKIPPED $name $((SECONDS - from)) "the advisory database cannot be fetched from here; see $logs/fetch.log"
  fi
}

stage format cargo fmt --all --check
stage arrows python3 scripts/check_arrows.py
stage files python3 scripts/check_files.py
stage check-scripts python3 -m unittest discover --start-directory scripts
stage clippy cargo clippy --locked --workspace --all-targets -- -D warnings
if [[ $run_tests == yes ]]; then
  stage tests scripts/test.sh
fi
RUSTDOCFLAGS='-D warnings' stage docs cargo doc --locked --workspace --no-deps
stage dependencies cargo deny --locked check bans licenses sources
advisories

echo 'check: summary'
printf '  %s\n' "${results[@]}"
if ((failures)); then
  echo "check: $failures of ${#results[@]} stages FAILED"
  exit 1
fi
echo 'check: passed'
