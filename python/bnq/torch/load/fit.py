"""Does a checkpoint fit a model? Looked at whole, before anything is changed."""

import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InvalidArgumentError
from ...quantized_tensor import QuantizedTensor
from ..ops import FLOATS
from ..packed_linear import PackedLinear
from .config import listed


def require_fit(model: nn.Module, state: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
    """Raises InvalidArgumentError unless each tensor of the file can be written and each of the model is in the file.

    Args:
        model: into which they go.
        state: its own tensors by name.
        tensors: those of the file.
    """
    _require_writable(model, state)
    _require_float_arithmetic(model, tensors)
    given = {id(state[name]) for name in tensors if name in state}
    both = [(name, tensor, state[name]) for name, tensor in tensors.items() if name in state]
    problems = {
        "missing in the file": [name for name, value in state.items() if id(value) not in given],
        "not in the model": [name for name in tensors if name not in state],
        "of another shape": [
            f"{name} {tuple(tensor.shape)}, need {tuple(target.shape)}"
            for name, tensor, target in both
            if tuple(tensor.shape) != tuple(target.shape)
        ],
        "of another kind": [
            f"{name} {tensor.dtype}, need {target.dtype}"
            for name, tensor, target in both
            if not _is_held(tensor, target.dtype)
        ],
    }
    texts = [f"{len(names)} {what}: {listed(names)}" for what, names in problems.items() if names]
    if texts:
        raise InvalidArgumentError(f"load_: the file does not fit the model ({'; '.join(texts)}); nothing was changed")


def in_own_names(model: nn.Module, state: Mapping[str, Any], tensors: dict[str, Any]) -> dict[str, Any]:
    """The file's tensors under the model's names: transformers stores those of some models under others.

    Raises InvalidArgumentError where parameters of the model are fused of tensors that the file holds one by one.
    """
    if "transformers" not in sys.modules or all(name in state for name in tensors):
        return tensors
    from ..pretrained import names_in_files  # noqa: PLC0415 - it needs transformers

    names = names_in_files(model, state)
    parts = [name for name in tensors if name not in state and names.get(name) == ""]
    if parts:
        fused = next(name for name in state if name not in names.values())
        owner = type(model.get_submodule(fused.rpartition(".")[0])).__name__
        raise InvalidArgumentError(
            f"load_: {fused}, a parameter of {owner}, is fused of tensors that the file holds one by one (got "
            f"{len(parts)} parts, {parts[0]} first, need fused ones); use bnq.dequantize_checkpoint, from_pretrained "
            "on what it writes, and quantize_, which keeps fused parameters float; nothing was changed"
        )
    own = {name if name in state else names.get(name, name): tensor for name, tensor in tensors.items()}
    return own if len(own) == len(tensors) else tensors


def require_range(name: str, stored: QuantizedTensor | Tensor, dtype: torch.dtype) -> None:
    """Raises InvalidArgumentError where a parameter's dtype has no finite number for a finite one of the file."""
    kind = torch.float32 if isinstance(stored, QuantizedTensor) else stored.dtype
    if dtype not in FLOATS or not kind.is_floating_point or torch.finfo(kind).max <= torch.finfo(dtype).max:
        return
    values: Tensor = stored.dequantize(torch.float32) if isinstance(stored, QuantizedTensor) else stored
    lost = int((values.isfinite() & ~values.to(dtype).isfinite()).sum())
    if lost > 0:
        raise InvalidArgumentError(
            f"load_: {name} has numbers that its parameter cannot hold (got {lost} beyond {torch.finfo(dtype).max:g}, "
            f"need numbers of {dtype}); make the model in bfloat16 or float32; nothing was changed"
        )


def _require_writable(model: nn.Module, state: Mapping[str, Any]) -> None:
    for name, module in model.named_modules():
        if isinstance(module, PackedLinear):
            raise InvalidArgumentError(
                f"load_: the model has packed layers already (got {name}, need a float model); use load_state_dict, or "
                "load_ into a float model; nothing was changed"
            )
    own = dict((*model.named_parameters(), *model.named_buffers()))
    for name, tensor in own.items():
        if tensor.is_meta:  # also one that is in no state_dict, which would stay so
            raise InvalidArgumentError(
                f"load_: a tensor of the model has no memory (got {name} on the meta device, need it on the CPU); make "
                "the model there; nothing was changed"
            )
    ids = {id(tensor) for tensor in own.values()}
    for name, tensor in state.items():
        if (why := _why_not_writable(tensor, id(tensor) in ids)) is not None:
            raise InvalidArgumentError(f"load_: cannot write into {name} (got {why}; nothing was changed")


def _require_float_arithmetic(model: nn.Module, tensors: Mapping[str, Any]) -> None:
    """A layer of transformers that quantizes its weights at each call would find another scale for them."""
    for name, module in model.named_modules():
        is_low_bit = isinstance(tensors.get(f"{name}.weight"), QuantizedTensor)
        if is_low_bit and type(module).__module__ == "transformers.integrations.bitnet":
            raise InvalidArgumentError(
                f"load_: a layer would quantize anew what is low-bit in the file (got {name}, of "
                f"{type(module).__name__}, need torch.nn.Linear); make the model with float layers, or use "
                "from_pretrained and optimize; nothing was changed"
            )


def _why_not_writable(tensor: Any, is_own: bool) -> str | None:
    if not is_own:  # get_extra_state or a hook gave it, and what is written into it may be lost
        return f"{type(tensor).__name__} that state_dict makes, need a parameter or buffer); use load_state_dict"
    if nn.parameter.is_lazy(tensor):
        return "a lazy parameter, need one with a shape); run the model once"
    if tensor.layout is not torch.strided or tensor.is_quantized:
        return f"{tensor.layout} {tensor.dtype}, need a dense tensor); make the model with one"
    if any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True)):
        return "an expanded tensor, need one with memory for each element); clone it"
    return None


def _is_held(tensor: QuantizedTensor | Tensor, dtype: torch.dtype) -> bool:
    """Is it a number of the same kind? An integer is to keep its value too; floats of all widths go into each other."""
    if isinstance(tensor, QuantizedTensor):
        return dtype.is_floating_point
    if _kind(tensor.dtype) != _kind(dtype):
        return False
    return _kind(dtype) != "integer" or torch.equal(tensor.to(dtype).to(tensor.dtype), tensor)


def _kind(dtype: torch.dtype) -> str:
    if dtype.is_floating_point or dtype.is_complex:
        return "complex" if dtype.is_complex else "float"
    return "bool" if dtype == torch.bool else "integer"
