# A Python with torch and transformers: the independent reference that numeric tests compare with. No part of the product.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

requirements=$CHECKOUT/scripts/requirements-test.txt
stamp=$TEST_VENV/.installed
wanted=$(cat "$requirements" "$CHECKOUT/scripts/constraints.txt" | sha256sum)
[[ -f $stamp && $(<"$stamp") == "$wanted" ]] && exit

say "Python with torch $TORCH_VERSION and transformers for the numeric tests (about 3 GB to download when new, 5 GB on disk)"
need_space 1 "updating the tests' Python"
[[ -d $TEST_VENV/lib ]] || need_space 10 "the tests' Python"
make_venv "$TEST_VENV"
pip_install "$TEST_VENV" python --requirement "$requirements"
logged python-check "torch does not start in $TEST_VENV" "delete $TEST_VENV and run this again" \
  "$TEST_VENV/bin/python" -c "import torch, transformers; assert torch.__version__.startswith('$TORCH_VERSION'), torch.__version__"
printf '%s\n' "$wanted" >"$stamp"
