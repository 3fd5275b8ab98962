"""Tensors by name, in one safetensors file."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

from . import _core
from ._arrays import Array, Framework, borrow_packed, framework_called
from .layout import PackedTensor, unpack
from .quantized_tensor import QuantizedTensor

__all__ = ["load", "save"]


def save(
    path: str | PathLike[str],
    tensors: Mapping[str, QuantizedTensor | PackedTensor | Array],
    *,
    force: bool = False,
) -> None:
    """Writes tensors to one safetensors file: low-bit ones in the file form of their scheme, others as they are.

    Args:
        path: appears under this name only when whole.
        tensors: low-bit tensors and plain ones (any dtype that safetensors has) by name.
        force: replace an existing file.

    Raises:
        ExistsError: `path` is there, and `force` was not given.
        UnsupportedError: a tensor of a dtype that safetensors does not have.
        IoError: no such folder, no space, no permission.
    """
    stored = {name: _stored(name, tensor) for name, tensor in tensors.items()}
    _core.save(path, stored, force)


def load(path: str | PathLike[str], *, framework: str = "numpy") -> dict[str, Any]:
    """Reads them back: a :class:`bnq.QuantizedTensor` for each low-bit tensor, an array for each other one.

    Args:
        path: a safetensors file; one that bnq did not write gives plain arrays only.
        framework: ``"numpy"``, ``"torch"`` or ``"jax"``: of the arrays, and of what ``dequantize`` gives.

    Raises:
        IoError: the file cannot be read.
        BadContentError: it is broken, or its `bnq` entry and its tensors disagree.
    """
    chosen = framework_called(framework)
    return {name: _loaded(tensor, chosen) for name, tensor in _core.load(path).items()}


def _stored(name: str, tensor: Any) -> _core.QuantizedTensor | _core.Tensor:
    if isinstance(tensor, PackedTensor):
        tensor = unpack(tensor)
    if isinstance(tensor, QuantizedTensor):
        return tensor._handle
    return _core.Tensor(borrow_packed(tensor, f"save {name!r}")[0])


def _loaded(tensor: _core.QuantizedTensor | _core.Tensor, framework: Framework) -> Any:
    if isinstance(tensor, _core.QuantizedTensor):
        return QuantizedTensor._wrap(tensor, framework)
    return framework.view(tensor.bytes(), tensor.shape, tensor.dtype)
