"""bnq for PyTorch: layers that hold low-bit weights. Importing this imports torch; ``import bnq`` does not."""

try:
    import torch as _torch  # noqa: F401  the one that is installed: imports here are absolute
except ImportError as error:
    raise ImportError("bnq.torch: needs PyTorch, which is not installed; use pip install torch") from error

from .bit_linear import BitLinear
from .coverage import Coverage, CoveredLayer, KeptLayer
from .load import load_
from .model import quantize_
from .optimize import optimize
from .packed_linear import PackedLinear
from .qat import convert_, prepare_qat_

__all__ = [
    "BitLinear",
    "Coverage",
    "CoveredLayer",
    "KeptLayer",
    "PackedLinear",
    "convert_",
    "load_",
    "optimize",
    "prepare_qat_",
    "quantize_",
]

for _public in (
    BitLinear,
    Coverage,
    CoveredLayer,
    KeptLayer,
    PackedLinear,
    convert_,
    load_,
    optimize,
    prepare_qat_,
    quantize_,
):
    _public.__module__ = "bnq.torch"
