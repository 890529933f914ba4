# libtorch for CPU: headers and the few shared libraries it needs, taken out of the PyPI wheel of torch. The wheel is built for
# CUDA, but its CPU part stands alone; without libtorch_cuda.so beside it, torch-sys links the CPU part only (0.5 GB, not 5).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Every checkout sees the cache through one link, which .cargo/config.toml names.
link_checkout() {
  local link=$CHECKOUT/.libtorch
  [[ $(readlink "$link") == "$LIBTORCH_DIR" ]] && return
  if [[ -e $link && ! -L $link ]]; then
    fail "$link is a folder of your own, not the link to $LIBTORCH_DIR" "move it away, then run this again"
  fi
  ln -s "$LIBTORCH_DIR" "$link.$$" && mv -T "$link.$$" "$link"
}

# build FROM TO: FROM is a site-packages folder with the wheels of TORCH_WHEELS.
build() {
  local from=$1 to=$2 lib
  mkdir -p "$to/lib"
  cp -a "$from/torch/include" "$to/"
  for lib in torch/lib/{libc10.so,libtorch_cpu.so,libgomp.so.1} nvidia/cu13/lib/{libcudart.so.13,libcupti.so.13}; do
    cp -L "$from/$lib" "$to/lib/"
  done
  ln -s libgomp.so.1 "$to/lib/libgomp.so"
  # The real libtorch.so pulls in CUDA. This one has the same name and only leads the linker to the CPU libraries; they find
  # each other at run time because the wheel's libraries look in their own folder.
  echo 'int torch_cpu_only_stub = 1;' | g++ -shared -fPIC -x c - -x none -o "$to/lib/libtorch.so" -Wl,-soname,libtorch.so \
    -L"$to/lib" -Wl,--no-as-needed -ltorch_cpu -lc10 -Wl,-rpath,'$ORIGIN' -Wl,--unresolved-symbols=ignore-all
  "$PYTHON" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$to/lib/libtorch.so"
  echo "$TORCH_VERSION+cpu" >"$to/build-version"
}

if [[ ! -f $LIBTORCH_DIR/build-version ]]; then
  work=$(mktemp -d "$CACHE/.libtorch-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  from=$(echo "$TEST_VENV"/lib/python3*/site-packages)
  if [[ -f $TEST_VENV/.installed && -d $from/torch-$TORCH_VERSION.dist-info ]]; then
    say "libtorch $TORCH_VERSION for CPU, copied from $TEST_VENV"
    need_space 2 "libtorch"
  else
    say "libtorch $TORCH_VERSION for CPU, from the torch wheel (about 0.6 GB to download, 0.5 GB kept)"
    need_space 5 "libtorch"
    make_venv "$TOOLS_VENV"
    from=$work/wheels
    pip_install "$TOOLS_VENV" libtorch-download --no-deps --no-compile --target "$from" "${TORCH_WHEELS[@]}"
  fi
  export -f build
  export TORCH_VERSION PYTHON
  logged libtorch-build "could not build libtorch from $from" "delete $TEST_VENV if it is damaged, then run this again" \
    bash -euc 'build "$@"' build "$from" "$work/libtorch"
  rm -rf "$LIBTORCH_DIR"
  mv -T "$work/libtorch" "$LIBTORCH_DIR"
fi
link_checkout
