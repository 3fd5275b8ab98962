"""One section in this process."""

import platform
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from rivals.ggml import ggml, library_folder
from sections import Settings, alternation, products, quantizing, single_layer

import bnq

SECTIONS = {
    "products": products.measure,
    "avx2": products.measure_avx2,
    "quantizing": quantizing.measure,
    "alternation": alternation.measure,
    "single_layer": single_layer.measure,
}
PACKAGES = ("torch", "torchao", "onnxruntime", "litespark-inference", "transformers", "numpy")


def measure(section: str, threads: int, *, rounds: int, quick: bool) -> dict[str, Any]:
    torch.set_num_threads(threads)
    bnq.set_num_threads(threads)
    warnings.filterwarnings("ignore", category=UserWarning, module="torch")
    with torch.no_grad():
        rows = SECTIONS[section](Settings(threads, rounds, quick))
    return {"machine": machine(), "rows": rows}


def machine() -> dict[str, Any]:
    info = bnq.cpu_info()
    return {
        "cpu": info.name,
        "features": list(info.features),
        "system": platform.system(),
        "python": platform.python_version(),
        "bnq": bnq.__version__,
        "packages": {name: installed(name) for name in PACKAGES} | {"ggml": ggml_version()},
    }


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def ggml_version() -> str | None:
    return ggml().ggml_version().decode() if library_folder() else None
