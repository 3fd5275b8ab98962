#!/usr/bin/env bash
# Makes a Debian 12 / Ubuntu 24.04 machine (or newer) ready. `tools/setup.sh demo`: compiler and CMake only.
# `tools/setup.sh test`: also test libraries, clang, and tools/requirements.txt in build/venv. `tools/setup.sh bench`: what
# benchmarks need, with the libraries that bnq is held against.
# Installs what is missing with apt, as root or with sudo that asks nothing; otherwise says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

has_python_headers() {
  python3 -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
}

# The runtime of sanitizers and fuzzers is a package of its own, named after the version that `clang` stands for.
clang_runtime() {
  local version
  version=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -1)
  echo "libclang-rt-${version:-14}-dev"
}

has_clang_runtime() { ls "$(clang++ -print-resource-dir)"/lib/linux/libclang_rt.fuzzer-*.a; }

# One line a package: its name, then a command that succeeds once it is there.
needed() {
  cat <<'LIST'
g++ command -v g++
cmake command -v cmake
ninja-build command -v ninja
python3 command -v python3
python3-venv python3 -c "import ensurepip, venv"
libcli11-dev test -e /usr/include/CLI/CLI.hpp
nlohmann-json3-dev test -e /usr/include/nlohmann/json.hpp
libxxhash-dev test -e /usr/include/xxhash.h
LIST
  [ "$1" = demo ] && return
  echo "python3-dev has_python_headers"
  if [ "$1" = bench ]; then
    echo "libbenchmark-dev test -e /usr/include/benchmark/benchmark.h"
    return
  fi
  echo "$(clang_runtime) has_clang_runtime"
  cat <<'LIST'
clang command -v clang++
libgtest-dev test -e /usr/include/gtest/gtest.h
libgmock-dev test -e /usr/include/gmock/gmock.h
qemu-user command -v qemu-x86_64
LIST
}

missing_packages() {
  local package probe
  needed "$1" | while read -r package probe; do
    eval "$probe" >/dev/null 2>&1 </dev/null || printf '%s ' "$package"
  done
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

give_up() {
  {
    echo "setup: $1"
    echo "setup: this machine needs: $2"
    echo "setup: install that by hand, e.g. sudo apt-get install $2; then run the same command again"
  } >&2
  exit 1
}

install_packages() {
  local missing
  missing=$(missing_packages "$1")
  [ -z "$missing" ] && return
  command -v apt-get >/dev/null || give_up "there is no apt-get here" "$missing"
  if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then give_up "not root, and sudo would ask" "$missing"; fi
  echo "setup: installing $missing"
  export DEBIAN_FRONTEND=noninteractive
  as_root apt-get update -qq || give_up "apt-get update failed (no network?)" "$missing"
  # shellcheck disable=SC2086  # a list of words
  as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null || give_up "apt-get install failed" "$missing"
  missing=$(missing_packages "$1")
  [ -z "$missing" ] || give_up "still missing after apt-get install" "$missing"
}

require_versions() {
  local gcc cmake
  gcc=$(g++ -dumpversion)
  cmake=$(cmake --version | sed -n '1s/[^0-9]*//p')
  [ "${gcc%%.*}" -ge 12 ] || give_up "g++ is too old (got $gcc, need 12)" "g++-12"
  printf '3.24\n%s\n' "$cmake" | sort -VC || give_up "cmake is too old (got $cmake, need 3.24)" "cmake"
}

make_venv() {
  [ -x build/venv/bin/pip ] && return
  echo "setup: making build/venv"
  python3 -m venv build/venv
}

# Distributions manage their own Python (PEP 668), so packages go into build/venv. torch goes first: what follows must fit
# it, not the other way round.
install_requirements() {
  local file=$1 stamp=build/venv/$2.installed
  cmp -s "$file" "$stamp" && return
  echo "setup: installing $file into build/venv"
  local torch
  torch=$(grep '^torch==' "$file" || true)
  if { [ -n "$torch" ] && ! build/venv/bin/pip install -q "$torch"; } || ! build/venv/bin/pip install -q -r "$file"; then
    echo "setup: pip could not get everything in $file; it needs a package index (PIP_INDEX_URL) or PIP_FIND_LINKS" >&2
    exit 1
  fi
  cp "$file" "$stamp"
}

test_requirements() { install_requirements tools/requirements.txt requirements; }

bench_requirements() {
  install_requirements benchmarks/requirements.txt benchmark_requirements
  benchmarks/ggml.sh
}

case "${1:-}" in
  demo) install_packages demo; require_versions; make_venv ;;
  test) install_packages test; require_versions; make_venv; test_requirements ;;
  bench) install_packages bench; require_versions; make_venv; test_requirements; bench_requirements ;;
  *) echo "usage: tools/setup.sh demo|test|bench" >&2; exit 2 ;;
esac
