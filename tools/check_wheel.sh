#!/usr/bin/env bash
# Builds the wheel, installs it with numpy alone in a fresh environment, and uses it there. Needs `tools/setup.sh test`.
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/wheel_check
venv=build/venv

fail() { echo "check_wheel: $*" >&2; exit 1; }

# Compiler, warnings and the depth of the build folder (pyproject.toml) are those of `make dev`, so that ccache has
# every object already.
build() {
  rm -rf "$out"
  CXX=${CXX:-c++} PATH="$PWD/$venv/bin:$PATH" "$venv/bin/python" -m pip wheel . -q --no-deps --no-build-isolation \
    -w "$out/dist" -C cmake.define.BNQ_WERROR=ON
  wheel=$(echo "$out"/dist/bitnet_quantizer-*.whl)
  [ -e "$wheel" ] || fail "no wheel in $out/dist"
}

# What is in it, and what must not be.
check_contents() {
  "$venv/bin/python" - "$wheel" <<'PYTHON'
import re, sys, zipfile
names = zipfile.ZipFile(sys.argv[1]).namelist()
wanted = [r"bnq/__init__\.py", r"bnq/_core\.[^/]*so", r"bnq/_core\.pyi", r"bnq/py\.typed", r"bnq/_arrays/borrow\.py",
          r"bnq/files/checkpoint\.py", r"bnq/torch/packed_linear\.py",
          r"layers/bitnet_quantizer\.py", r"[^/]*\.data/scripts/bnq", r"[^/]*/licenses/LICENSE"]
missing = [w for w in wanted if not any(re.fullmatch(w, n) for n in names)]
foreign = [n for n in names if re.search(r"\.(h|hpp|a|cpp|cmake)$|layers/__init__|__pycache__", n)
           or not re.match(r"(bnq|layers)/|bitnet_quantizer-[^/]*\.(data/scripts/bnq$|dist-info/)", n)]
if missing or foreign:
    sys.exit(f"check_wheel: missing {missing}, not wanted {foreign}")
PYTHON
}

# numpy from the test environment: the new one sees nothing else of it.
install() {
  "$venv/bin/python" -m venv "$out/fresh"
  "$out/fresh/bin/python" -m pip install -q --no-deps --no-index "$wheel"
  local site there
  site=$("$out/fresh/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  there=$("$venv/bin/python" -c 'import numpy, pathlib; print(pathlib.Path(numpy.__file__).parent)')
  ln -s "$there" "$site/numpy"
  if [ -d "$there.libs" ]; then ln -s "$there.libs" "$site/numpy.libs"; fi
}

use() {
  local version
  version=$(sed -n 's/^project(bnq VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
  (cd "$out" && fresh/bin/python -W error - "$version" <<'PYTHON'
import importlib.metadata, sys
from importlib.util import find_spec
import numpy as np
from layers.bitnet_quantizer import BitNetQuantizer
import bnq
assert not find_spec("torch") and "fresh" in bnq.__file__, bnq.__file__
assert bnq.__version__ == importlib.metadata.version("bitnet-quantizer") == sys.argv[1]
rng = np.random.default_rng(0)
weight, x = rng.standard_normal((256, 512), np.float32), rng.standard_normal((1, 512), np.float32)
quantizer = BitNetQuantizer(precision=8)
quantized_weights = quantizer.quantize_weights(weight)
quantized_activations = quantizer.quantize_activations(x @ weight.T)
original_weights = quantizer.dequantize(quantized_weights)
assert original_weights.shape == weight.shape and original_weights.dtype == weight.dtype
assert np.abs(original_weights - weight).max() <= quantized_weights.scales.max()
assert bnq.Linear(bnq.pack(quantized_weights))(x).shape == (1, 256)
PYTHON
  )
  [[ $("$out/fresh/bin/bnq" --version) == *"$version"* ]] || fail "the command bnq does not say version $version"
}

check_links() {
  local binary
  for binary in "$out"/fresh/lib/python*/site-packages/bnq/_core.*.so "$out/fresh/bin/bnq"; do
    if readelf -d "$binary" | grep NEEDED | grep -Ev '\[(lib(stdc\+\+|m|gcc_s|c|pthread)\.so|ld-linux)'; then
      fail "$binary needs the library above"
    fi
  done
}

# Printed, not tested: time is the machine's.
import_seconds() {
  (cd "$out" && fresh/bin/python - <<'PYTHON'
import statistics, subprocess, sys
code = "import numpy, time; t = time.perf_counter(); import bnq; print(time.perf_counter() - t)"
times = [float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) for _ in range(7)]
print(f"{statistics.median(times):.3f}")
PYTHON
  )
}

build
check_contents
install
use
check_links
kib=$(du -k "$wheel" | cut -f1)
[ "$kib" -le 5000 ] || fail "the wheel has $kib KiB, at most 5000 are wanted"
echo "check_wheel: $(basename "$wheel"), $kib KiB, works with numpy alone; import bnq takes $(import_seconds) s after numpy"
