"""Where a tensor comes from is where results go back to: numpy, torch, or any framework with the array API (jax, …).

A framework says how its arrays are made and filled. None is imported before one of its arrays has come in.
"""

import sys
from functools import cache
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..arguments import text
from ..errors import InvalidArgumentError
from .dtypes import numpy_dtype, torch_dtype

ByteArray = npt.NDArray[np.uint8]


class Framework(Protocol):
    """How results are handed over. One object a framework, found by its name."""

    name: str
    wants_writable: bool

    def new(self, shape: tuple[int, ...], dtype: str) -> tuple[Any, int]:
        """An array to be filled, without gaps, and its address."""

    def finished(self, array: Any) -> Any:
        """What the caller gets for an array that `new` made and that has been filled."""

    def view(self, data: ByteArray, shape: tuple[int, ...], dtype: str) -> Any:
        """The elements in `data`, without a copy where the framework can."""


@cache
def _torch() -> Any:
    """Imported already, unless a tensor that came from torch was unpickled, or asked for by name."""
    return import_module("torch")


class _Numpy:
    name = "numpy"
    wants_writable = False

    def new(self, shape: tuple[int, ...], dtype: str) -> tuple[Any, int]:
        array = np.empty(shape, numpy_dtype(dtype))
        return array, array.ctypes.data

    def finished(self, array: Any) -> Any:
        return array

    def view(self, data: ByteArray, shape: tuple[int, ...], dtype: str) -> Any:
        return data.view(numpy_dtype(dtype)).reshape(shape)


class _Torch:
    name = "torch"
    wants_writable = True  # torch has no read-only tensors, and warns when it is given read-only memory

    def new(self, shape: tuple[int, ...], dtype: str) -> tuple[Any, int]:
        torch = _torch()
        tensor = torch.empty(shape, dtype=torch_dtype(torch, dtype))
        return tensor, tensor.data_ptr()

    def finished(self, array: Any) -> Any:
        return array

    def view(self, data: ByteArray, shape: tuple[int, ...], dtype: str) -> Any:
        torch = _torch()
        return torch.from_numpy(data).view(torch_dtype(torch, dtype)).reshape(shape)


class _ArrayApi:
    """Made in numpy, handed over by the framework's own asarray."""

    wants_writable = False

    def __init__(self, name: str) -> None:
        self.name = name

    def new(self, shape: tuple[int, ...], dtype: str) -> tuple[Any, int]:
        return NUMPY.new(shape, dtype)

    def finished(self, array: Any) -> Any:
        return import_module(self.name).asarray(array)

    def view(self, data: ByteArray, shape: tuple[int, ...], dtype: str) -> Any:
        return self.finished(NUMPY.view(data, shape, dtype))


NUMPY: Framework = _Numpy()
TORCH: Framework = _Torch()
_KNOWN = {"numpy": NUMPY, "torch": TORCH}
_ALIASES = {"jax": "jax.numpy", "np": "numpy", "pt": "torch"}


def framework_called(name: str) -> Framework:
    """The framework called "numpy", "torch", "jax", or by the module name of an array API."""
    full_name = _ALIASES.get(text(name, "framework", "numpy, torch or jax"), name)
    if full_name not in _KNOWN:
        try:
            has_arrays = hasattr(import_module(full_name), "asarray")
        except (ImportError, ValueError, TypeError):  # the last two: no name of a module
            has_arrays = False
        if not has_arrays:
            raise InvalidArgumentError(f"framework: unknown or not installed (got {name!r}, need numpy, torch or jax)")
        _KNOWN[full_name] = _ArrayApi(full_name)
    return _KNOWN[full_name]


def framework_of(array: Any) -> Framework:
    """The framework of an array that is not torch's; numpy unless it has an array API of its own."""
    if isinstance(array, np.ndarray | np.generic) or not hasattr(array, "__array_namespace__"):
        return NUMPY
    return framework_called(array.__array_namespace__().__name__)


def is_torch_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)
