"""A quantized checkpoint into a float model."""

from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidArgumentError
from ..files import load
from ..quantized_tensor import QuantizedTensor
from .packed_linear import PackedLinear
from .swap import swap, weight_of

__all__ = ["load_"]

_SHOWN = 5


def load_(model: nn.Module, path: str | PathLike[str], *, scales: str | None = None) -> nn.Module:
    """Loads a checkpoint that holds low-bit weights into a float model, in place. Nothing is quantized.

    Linear layers whose weights are low-bit in the file become :class:`PackedLinear`; other low-bit tensors (embeddings)
    are dequantized into the parameters that they belong to; the rest is copied.

    Args:
        model: as it was when the checkpoint was made: the same names and shapes. Changed only if all fits.
        path: a safetensors file or model folder, as :func:`bnq.load` reads it.
        scales: as for :func:`bnq.load`.

    Returns:
        `model`

    Raises:
        InvalidArgumentError: names or shapes that do not fit, all of them named.
        MissingFileError, IoError, BadContentError: as :func:`bnq.load` raises them.
    """
    if not isinstance(model, nn.Module):
        raise InvalidArgumentError(f"load_: not a model (got {type(model).__name__}, need a torch.nn.Module)")
    tensors = load(path, framework="torch", scales=scales)
    state = model.state_dict(keep_vars=True)
    _require_fit(state, tensors)
    packed: dict[str, PackedLinear] = {}
    rest: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, QuantizedTensor):
            rest[name] = tensor
            continue
        path_of, _, leaf = name.rpartition(".")
        layer = model.get_submodule(path_of)
        if leaf == "weight" and weight_of(layer) is not None and isinstance(layer, nn.Linear):
            packed[path_of] = PackedLinear.from_quantized(tensor, tensors.get(f"{path_of}.bias")).train(layer.training)
        else:
            rest[name] = tensor.dequantize(state[name].dtype)
    for path_of, layer in packed.items():
        swap(model, [path_of], layer)
        rest.pop(f"{path_of}.bias", None)
    with torch.no_grad():
        for name, tensor in rest.items():
            state[name].copy_(tensor)
    return model


def _require_fit(state: dict[str, Any], tensors: dict[str, Any]) -> None:
    given = {id(state[name]) for name in tensors if name in state}
    problems = {
        "missing in the file": [name for name, value in state.items() if id(value) not in given],
        "not in the model": [name for name in tensors if name not in state],
        "of another shape": [
            f"{name} {tuple(tensor.shape)}, need {tuple(state[name].shape)}"
            for name, tensor in tensors.items()
            if name in state and tuple(tensor.shape) != tuple(state[name].shape)
        ],
    }
    texts = [f"{len(names)} {what}: {_list(names)}" for what, names in problems.items() if names]
    if texts:
        raise InvalidArgumentError(f"load_: the file does not fit the model ({'; '.join(texts)}); nothing was changed")


def _list(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
