"""Tensors by name, in one safetensors file."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from .. import _core
from .._arrays import FILE_DTYPES, Array, Framework, borrow_packed, framework_called
from ..arguments import checked_path, flag, scale_convention, tells_missing_files, text
from ..arguments import gguf_types as checked_types
from ..errors import InvalidArgumentError
from ..layout import PackedTensor, unpack
from ..quantized_tensor import QuantizedTensor

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
        MissingFileError: no such folder.
        IoError: no space, no permission.
    """
    target = checked_path(path, "save path")
    if not isinstance(tensors, Mapping):
        raise InvalidArgumentError(
            f"save: not tensors by name (got {type(tensors).__name__}, need a dict such as {{'weight': q}})"
        )
    stored = {text(name, "save name", "a text"): _stored(name, tensor) for name, tensor in tensors.items()}
    with tells_missing_files(output=target):
        _core.save(target, stored, flag(force, "save force"))


def load(
    path: str | PathLike[str],
    *,
    framework: str = "numpy",
    scales: str | None = None,
    gguf_types: str | Sequence[str] | None = None,
) -> dict[str, Any]:
    """Reads them back: a :class:`bnq.QuantizedTensor` for each low-bit tensor, an array for each other one.

    Args:
        path: a safetensors or GGUF file, or a model folder. A GGUF file gives its own names, and rows in its order. Of
            other files that bnq did not write, folders of compressed-tensors and of transformers' BitNet give low-bit
            tensors too; all else plain arrays only.
        scales: ``"multiply"`` or ``"inverse"``: what the ``weight_scale`` of a BitNet folder is, where neither its
            config nor its values say; an error asks for it.
        gguf_types: what types of a GGUF file are, where it does not say: ``"i2_s"``, ``"i2_s_arm"`` or ``"i2_s_1x4"``;
            ``"q2_0"``, ``"pq2_0"`` or ``"stq1_0"``. An error asks for it.
        framework: ``"numpy"``, ``"torch"`` or ``"jax"``: of the arrays, and of what ``dequantize`` gives.

    Raises:
        MissingFileError: there is no such file.
        IoError: it cannot be read.
        BadContentError: it is broken, or its `bnq` entry and its tensors disagree.
    """
    chosen = framework_called(framework)
    source = checked_path(path, "load path")
    with tells_missing_files(source):
        tensors = _core.load(source, scale_convention(scales, "load"), checked_types(gguf_types, "load"))
    return {name: _loaded(tensor, chosen) for name, tensor in tensors.items()}


def _stored(name: str, tensor: Any) -> _core.QuantizedTensor | _core.Tensor:
    if isinstance(tensor, PackedTensor):
        tensor = unpack(tensor)
    if isinstance(tensor, QuantizedTensor):
        return tensor._handle
    return _core.Tensor(borrow_packed(tensor, f"save {name!r}", need=FILE_DTYPES)[0])


def _loaded(tensor: _core.QuantizedTensor | _core.Tensor, framework: Framework) -> Any:
    if isinstance(tensor, _core.QuantizedTensor):
        return QuantizedTensor._wrap(tensor, framework)
    return framework.view(tensor.bytes(), tensor.shape, tensor.dtype)
