"""The package itself: what it imports, its errors, its types, its stubs."""

import contextlib
import importlib.metadata
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bnq
import layers

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(bnq.__file__).parent


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout


NUMPY_ONLY = """
import sys
for name in ("torch", "jax", "ml_dtypes", "safetensors", "scipy"):
    sys.modules[name] = None  # importing it now fails
import bnq, numpy as np
from layers.bitnet_quantizer import BitNetQuantizer
w = np.ones((4, 8), np.float32)
q = BitNetQuantizer(precision=1.58).quantize_weights(w)
bnq.Linear(bnq.pack(q))(w), bnq.report(w, q), q.dequantize()
print(repr(q))
"""


def test_numpy_is_enough() -> None:
    assert python(NUMPY_ONLY).startswith("QuantizedTensor(ternary-absmean:tensor")


def test_import_brings_no_framework() -> None:
    loaded = python("import sys, bnq; print(*sorted({m.split('.')[0] for m in sys.modules}))").split()
    assert not {"torch", "jax", "ml_dtypes", "safetensors"} & set(loaded)


def test_import_is_quick() -> None:
    code = "import numpy, time; t = time.perf_counter(); import bnq; print(time.perf_counter() - t)"
    # About 15 ms beyond numpy's; a framework would take a second.
    assert min(float(python(code)) for _ in range(3)) < 0.25


def test_nothing_is_printed() -> None:
    code = "import bnq, numpy as np; q = bnq.quantize(np.ones((2, 4), np.float32), 8); bnq.Linear(q); bnq.pack(q)"
    assert python(code) == ""


def test_version_is_the_one_of_cmake() -> None:
    version = re.search(r"project\(bnq VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))
    assert version
    assert bnq.__version__ == version[1]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # not installed: the build folder is on the path
        assert importlib.metadata.version("bitnet-quantizer") == version[1]


def test_stubs_are_fresh(tmp_path: Path) -> None:
    fresh = tmp_path / "_core.pyi"
    subprocess.run([sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "bnq._core", "-o", fresh], check=True)
    cure = "run: cmake --build build/dev --target bnq_stub"
    assert (PACKAGE / "_core.pyi").read_text(encoding="utf-8") == fresh.read_text(encoding="utf-8"), cure


def test_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()


def test_public_names() -> None:
    assert sorted(bnq.__all__) == bnq.__all__
    for name in bnq.__all__:
        thing = getattr(bnq, name)
        assert name == "__version__" or (thing.__module__ == "bnq" and thing.__doc__)


def test_layers_is_a_namespace() -> None:
    assert layers.__file__ is None  # a folder `layers` of the user's merges with it
    from layers import bitnet_quantizer

    assert bitnet_quantizer.__all__ == ["BitNetQuantizer"]
    assert bitnet_quantizer.BitNetQuantizer is bnq.BitNetQuantizer


def test_a_folder_of_the_users_merges_with_layers(tmp_path: Path) -> None:
    (tmp_path / "layers").mkdir()
    (tmp_path / "layers/mine.py").write_text("here = True\n", encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import layers.mine\n"
    code += "from layers import bitnet_quantizer; print(bitnet_quantizer.__all__)"
    assert python(code) == "['BitNetQuantizer']\n"


@pytest.mark.parametrize(
    ("error", "kind", "also"),
    [
        (bnq.InvalidArgumentError, "invalid_argument", ValueError),
        (bnq.UnsupportedError, "unsupported", NotImplementedError),
        (bnq.BadContentError, "bad_content", ValueError),
        (bnq.IoError, "io", OSError),
        (bnq.MissingFileError, "io", FileNotFoundError),
        (bnq.ExistsError, "exists", FileExistsError),
        (bnq.Interrupted, "interrupted", Exception),
    ],
)
def test_errors(error: type[bnq.Error], kind: str, also: type[BaseException]) -> None:
    assert issubclass(error, bnq.Error)
    assert issubclass(error, also)
    assert error.kind == kind
    again = pickle.loads(pickle.dumps(error("where: what (got X, need Y); do this")))
    assert (type(again), str(again)) == (error, "where: what (got X, need Y); do this")
    assert error.__module__ == "bnq"


def test_cpu_info() -> None:
    info = bnq.cpu_info()
    assert "scalar" in info.isas
    assert info.active_isa in info.isas
    assert info.kernels
    code = "import os; os.environ['BNQ_ISA'] = 'scalar'; import bnq; print(bnq.cpu_info().active_isa)"
    assert python(code) == "scalar\n"


def test_unknown_isa_is_refused() -> None:
    code = "import os; os.environ['BNQ_ISA'] = 'mmx'; import bnq\n"
    code += "try: bnq.cpu_info()\nexcept bnq.Error as error: print(error.kind)"
    assert python(code) == "invalid_argument\n"
