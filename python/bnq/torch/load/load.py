"""A quantized checkpoint into a float model."""

from collections.abc import Iterable, Iterator
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InvalidArgumentError
from ...files import load
from ...quantized_tensor import QuantizedTensor
from ..layers import Found, find_layers, is_linear
from ..memory import gives_memory_back
from ..ops import FLOATS
from ..packed_linear import PackedLinear
from ..swap import naming, swap
from ..tied import Tied
from .config import require_same_config
from .fit import in_own_names, require_fit, require_range

__all__ = ["load_"]


@gives_memory_back
def load_(model: nn.Module, path: str | PathLike[str], *, scales: str | None = None) -> nn.Module:
    """Loads a checkpoint that holds low-bit weights into a float model, in place. Nothing is quantized.

    Linear layers whose weights are low-bit in the file become :class:`PackedLinear`; other low-bit tensors (embeddings)
    are dequantized into the parameters that they belong to; the rest is copied, in the parameter's dtype. A parameter
    that several modules hold may stand in the file under any of their names: each takes what stands under its own, and
    else what stands under another's. Linear layers with the same low-bit weight share its codes. Names that
    transformers changes as it saves a model are known.

    Args:
        model: as it was when the checkpoint was made: the same names and shapes, with memory (not on the meta device).
            Changed only if all fits. One with a ``config`` also has to compute as a folder's ``config.json`` says:
            heads, rotary positions, epsilons, activation.
        path: a safetensors file or model folder, as :func:`bnq.load` reads it.
        scales: as for :func:`bnq.load`.

    Returns:
        `model`

    Raises:
        InvalidArgumentError: names, shapes or kinds of numbers that do not fit, all of them named, or a config; numbers
            beyond a parameter's dtype; fused experts that the file holds one by one; no model, or itself a linear
            layer, or one with packed layers.
        UnsupportedError, BadContentError: a low-bit weight or a bias that PackedLinear does not take.
        MissingFileError, IoError, BadContentError: as :func:`bnq.load` raises them.
    """
    layers = find_layers(
        model,
        lambda module: isinstance(module, nn.Linear) and is_linear(module),
        "load_",
        "PackedLinear.from_quantized(bnq.load(path, framework='torch')['weight'], bias)",
    )
    require_same_config(model, path)
    state = model.state_dict(keep_vars=True)
    tensors = in_own_names(model, state, load(path, framework="torch", scales=scales))
    require_fit(model, state, tensors)
    stored = _Stored(state, tensors)
    packed = _packed(layers, stored)
    written = list(_values(model, {id(layer.module) for layer, _ in packed}, state, stored))
    for layer, made in packed:
        swap(model, layer, made)
    for target, value in written:
        with torch.inference_mode(target.is_inference()), torch.no_grad():  # which alone writes into such
            target.copy_(value)
    return model


class _Stored:
    """What the file holds for each parameter and buffer of the model."""

    def __init__(self, state: dict[str, Any], tensors: dict[str, Any]) -> None:
        self.tensors = {
            name: _plain(tensor, torch.float32) if len(tensor.shape) == 1 else tensor
            for name, tensor in tensors.items()
        }  # a bias is never packed
        self.names: dict[int, list[str]] = {}
        for name in tensors:
            self.names.setdefault(id(state[name]), []).append(name)

    def find(self, target: Tensor | None, own_names: Iterable[str]) -> Any:
        """What is under these names, or else under any name of the parameter; None if nothing is.

        Equal tensors of one parameter are the same object. Raises InvalidArgumentError when names contradict another.
        """
        all_names = self.names.get(id(target), [])
        names = [name for name in own_names if name in self.tensors] or all_names
        values = [self.tensors[name] for name in names]
        for name, value in zip(names, values, strict=True):
            if not _is_same(values[0], value):
                raise InvalidArgumentError(
                    f"load_: one parameter of the model has two values in the file (got {names[0]} and {name}, need "
                    "equal ones, for the model has them tied); untie it first; nothing was changed"
                )
        return next(
            (self.tensors[name] for name in all_names if values and _is_same(self.tensors[name], values[0])), None
        )


def _is_same(a: Any, b: Any) -> bool:
    if a is b or not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return a is b or bool(a == b)
    return a.dtype == b.dtype and torch.equal(a, b)


def _packed(layers: list[Found], stored: _Stored) -> list[tuple[Found, PackedLinear]]:
    """Those whose weights are low-bit in the file."""
    tied = Tied()
    made = [(layer, packed) for layer in layers if (packed := _packed_one(layer, stored, tied)) is not None]
    tied.move((packed for _, packed in made), (layer.module.weight.device for layer, _ in made))
    return made


def _packed_one(layer: Found, stored: _Stored, tied: Tied) -> PackedLinear | None:
    names, module = layer
    weight = stored.find(module.weight, [f"{name}.weight" for name in names])
    if not isinstance(weight, QuantizedTensor):
        return None
    bias = stored.find(module.bias, [f"{name}.bias" for name in names])
    with naming("load_", names[0]):
        return tied.layer(id(weight), lambda: weight, bias)


def _values(
    model: nn.Module, swapped: set[int], state: dict[str, Any], stored: _Stored
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each parameter and buffer that a module other than the swapped ones holds, and what belongs into it."""
    staying: dict[int, list[str]] = {}
    going: set[int] = set()
    for path, module in model.named_modules(remove_duplicate=False):
        for key, tensor in (*module._parameters.items(), *module._buffers.items()):
            if id(module) in swapped:
                going.add(id(tensor))
            elif tensor is not None:
                staying.setdefault(id(tensor), []).append(f"{path}.{key}".lstrip("."))
    for name, target in {id(state[name]): (name, state[name]) for name in stored.tensors}.values():
        if id(target) in staying or id(target) not in going:
            value = stored.find(target, staying.get(id(target), []))
            require_range(name, value, target.dtype)
            yield target, _plain(value, target.dtype)


def _plain(value: Any, dtype: torch.dtype) -> Tensor:
    if isinstance(value, QuantizedTensor):
        value = value.dequantize(dtype if dtype in FLOATS else torch.float32)
    plain: Tensor = value
    return plain
