# The C++ compiler for the collective shim and the tokenizer, Python's venv for everything below (with C headers where a package
# of the tests is compiled: pycosat, of reasoning-gym), and a look for cargo. $SETUP_FOR is what set-up was asked for.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

missing=()
command -v g++ >/dev/null || missing+=(g++)
command -v make >/dev/null || missing+=(make)
command -v pkg-config >/dev/null || missing+=(pkg-config)
if [[ $PYTHON == python3 ]]; then
  python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
  headers='import os, sysconfig, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
  case $SETUP_FOR in
    tiny | run) ;;
    *) python3 -c "$headers" 2>/dev/null || missing+=(python3-dev) ;;
  esac
fi

if ((${#missing[@]})); then
  say "installing system packages: ${missing[*]}"
  hint="install these by hand, then run this again: ${missing[*]}"
  command -v apt-get >/dev/null || fail "missing: ${missing[*]} (and there is no apt-get here)" "$hint"
  apt=(env DEBIAN_FRONTEND=noninteractive apt-get -y)
  if ((EUID != 0)); then
    sudo -n true 2>/dev/null || fail "missing: ${missing[*]}; installing needs root" "sudo apt-get install ${missing[*]}"
    apt=(sudo "${apt[@]}")
  fi
  logged apt-update "apt-get could not update its lists" "$hint" "${apt[@]}" update
  logged apt-install "apt-get could not install ${missing[*]}" "$hint" "${apt[@]}" install --no-install-recommends "${missing[@]}"
fi

command -v cargo >/dev/null ||
  fail "cargo is not on the PATH" "install Rust with rustup; rust-toolchain.toml then picks the version"
