"""Tensors on their way in: memory that stays the caller's, read in place whatever its strides."""

import sys
from typing import Any, TypeAlias

import numpy as np

from .. import _core
from ..errors import InvalidArgumentError, UnsupportedError
from .dtypes import name_of
from .frameworks import NUMPY, TORCH, Framework, framework_of, is_torch_tensor
from .plain_torch import PLAIN_TORCH

Array: TypeAlias = Any
"""A numpy array, a torch tensor, or any array on the CPU that speaks DLPack or ``__array__`` (jax, …)."""

_CPU_DEVICES = (1, 3)  # DLPack's kDLCPU and kDLCUDAHost: memory that the CPU reads


def borrow(values: Array, where: str) -> tuple[_core.BorrowedTensor, Framework]:
    """The tensor as the core reads it, and the framework that results go back to. `where` starts error messages."""
    need = "f32, f16 or bf16"
    if is_torch_tensor(values):
        PLAIN_TORCH.meet()
        return _borrow_torch(values, where, need), TORCH
    framework = framework_of(values)
    return _borrow_numpy(_as_numpy(values, where), where, need), framework


def borrow_packed(
    values: Array, where: str, *, need: str, dtype: str | None = None
) -> tuple[_core.BorrowedTensor, Framework]:
    """The same without gaps, and converted to `dtype` if one is named: for what is kept and not only read.

    `need` says in messages which dtypes are taken.
    """
    if is_torch_tensor(values):
        tensor = _on_cpu(values, where).detach().contiguous()
        if dtype is not None:
            tensor = tensor.to(TORCH.new((0,), dtype)[0].dtype)
        return _borrow_torch(tensor, where, need), TORCH
    array = _as_numpy(values, where)
    array = np.ascontiguousarray(array).reshape(array.shape)
    if dtype is not None:
        array = array.astype(NUMPY.new((0,), dtype)[0].dtype, copy=False)
    return _borrow_numpy(array, where, need), framework_of(values)


def is_array(value: Any) -> bool:
    """Does this claim to hold numbers? (A layer does not.)"""
    return is_torch_tensor(value) or any(
        hasattr(value, protocol) for protocol in ("__array_interface__", "__dlpack__", "__array__")
    )


def _borrow_torch(tensor: Any, where: str, need: str) -> _core.BorrowedTensor:
    tensor = _on_cpu(tensor, where)
    dtype = name_of(tensor.dtype)
    if dtype is None:
        raise _foreign_dtype(tensor.dtype, where, need)
    try:
        return _core.BorrowedTensor(tensor.data_ptr(), dtype, tuple(tensor.shape), tensor.stride(), tensor)
    except RuntimeError as error:  # under torch.func and torch.compile
        raise _without_memory(tensor, where) from error


def _without_memory(tensor: Any, where: str) -> UnsupportedError:
    return UnsupportedError(
        f"{where}: the tensor has no memory of its own (got {type(tensor).__name__}, need a plain torch.Tensor); "
        "take its values out first"
    )


def _on_cpu(tensor: Any, where: str) -> Any:
    """The tensor itself when its elements lie in memory as its strides say; a pending negation is carried out."""
    if tensor.device.type != "cpu":
        cure = "load its values first" if tensor.device.type == "meta" else "use tensor.cpu()"
        raise UnsupportedError(f"{where}: bnq computes on the CPU (got a tensor on {tensor.device}, need cpu); {cure}")
    if type(tensor).__torch_dispatch__ is not sys.modules["torch"].Tensor.__torch_dispatch__:  # wraps other tensors
        raise _without_memory(tensor, where)
    if tensor.is_quantized or tensor.is_nested or tensor.layout is not sys.modules["torch"].strided:
        kind = "quantized" if tensor.is_quantized else "nested" if tensor.is_nested else str(tensor.layout)
        cure = "tensor.dequantize()" if tensor.is_quantized else "tensor.to_dense()"
        raise UnsupportedError(f"{where}: not a dense tensor (got {kind}, need torch.strided); use {cure}")
    return tensor.resolve_neg() if tensor.is_neg() else tensor


def _as_numpy(values: Array, where: str) -> np.ndarray[Any, Any]:
    if isinstance(values, np.ma.MaskedArray):
        raise UnsupportedError(f"{where}: a masked array has values that do not count; use array.filled(0)")
    if isinstance(values, np.ndarray | np.generic):
        return np.asarray(values)
    if not is_array(values):
        raise InvalidArgumentError(
            f"{where}: not a tensor (got {type(values).__name__}, need a numpy array or a torch tensor); "
            "use numpy.asarray(values, numpy.float32)"
        )
    if hasattr(values, "__dlpack_device__") and values.__dlpack_device__()[0] not in _CPU_DEVICES:
        raise UnsupportedError(
            f"{where}: bnq computes on the CPU (got an array on {values.__dlpack_device__()}); copy it there first"
        )
    try:
        return np.asarray(values) if hasattr(values, "__array__") else np.from_dlpack(values)
    except (TypeError, BufferError, RuntimeError) as error:
        raise UnsupportedError(
            f"{where}: {type(values).__name__} gives no numbers: {str(error).splitlines()[0]}"
        ) from error


def _borrow_numpy(array: np.ndarray[Any, Any], where: str, need: str) -> _core.BorrowedTensor:
    dtype = name_of(array.dtype)
    if dtype is None:
        raise _foreign_dtype(array.dtype, where, need)
    item = array.itemsize
    if any(stride % item for stride in array.strides):  # a field of a record array
        array = np.ascontiguousarray(array).reshape(array.shape)
    strides = tuple(stride // item for stride in array.strides)
    return _core.BorrowedTensor(array.__array_interface__["data"][0], dtype, array.shape, strides, array)


def _foreign_dtype(dtype: Any, where: str, need: str) -> UnsupportedError:
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return UnsupportedError(
            f"{where}: the bytes are in another machine's order (got dtype {dtype.str!r}); "
            'use array.astype(array.dtype.newbyteorder("="))'
        )
    return UnsupportedError(f"{where}: unknown dtype (got {dtype}, need {need}); convert the tensor first")
