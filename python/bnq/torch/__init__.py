"""bnq for PyTorch: layers that hold low-bit weights. Importing this imports torch; ``import bnq`` does not."""

try:
    import torch as _torch  # noqa: F401  the one that is installed: imports here are absolute
except ImportError as error:
    raise ImportError("bnq.torch: needs PyTorch, which is not installed; use pip install torch") from error

from .packed_linear import PackedLinear

__all__ = ["PackedLinear"]

PackedLinear.__module__ = "bnq.torch"
