#!/usr/bin/env bash
# Runs the built command on an emulated CPU without AVX: it must start, say which kernels it passes over, and write the
# bytes that this machine's own CPU writes. tools/check_emulated.sh build/dev/cli/bnq
set -euo pipefail
cd "$(dirname "$0")/.."

bnq=$1
if [ "$(uname -m)" != x86_64 ]; then
  echo "check_emulated: this machine is no x86-64; nothing to emulate"
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# A CPU of 2008: SSE 4.2, no AVX.
old() { qemu-x86_64 -cpu Nehalem "$bnq" "$@"; }

build/venv/bin/python - "$folder/model.safetensors" <<'PYTHON'
import sys

import numpy as np
from safetensors.numpy import save_file

rng = np.random.default_rng(0)
layers = {f"layers.{i}.weight": rng.normal(size=(67, 130)).astype(np.float32) for i in range(3)}
save_file(layers, sys.argv[1])
PYTHON

old --version
old cpu | tee "$folder/cpu"
grep -q '^active  *scalar$' "$folder/cpu"
for scheme in 8 4 ternary 1; do
  "$bnq" quantize "$folder/model.safetensors" "$folder/here" --scheme "$scheme" --force >/dev/null 2>&1
  old quantize "$folder/model.safetensors" "$folder/there" --scheme "$scheme" --force >/dev/null 2>&1
  cmp "$folder/here" "$folder/there"
  old verify "$folder/model.safetensors" "$folder/there" >/dev/null
  old dequantize "$folder/there" "$folder/floats" --force >/dev/null
done
echo "check_emulated: the same bytes without AVX, four schemes"
