"""What a packed layer is made of, and the core's layer over it."""

from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple
from weakref import ReferenceType, ref

import torch
from torch import Tensor

from ..._arrays.frameworks import TORCH
from ...layout import Layout, PackedTensor, layouts, pack
from ...linear import Linear
from ...quantized_tensor import QuantizedTensor
from ...scheme import Scheme

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
"""What is quantized, and what products are in."""


class Parts(NamedTuple):
    """What a packed layer is made of, in the order of the operator's arguments."""

    weight: Tensor
    """uint8, a layout's bytes."""
    scales: Tensor
    """float32, one a granule."""
    bias: Tensor | None
    """float32 [N]."""
    scheme: str
    shape: Sequence[int]
    """[N, K]"""

    def version(self) -> tuple[int, ...]:
        """Another one after every write that torch knows of; it counts none into inference tensors, or by ``.data``."""
        weight, scales, bias = self.weight, self.scales, self.bias
        kept = writes(weight), writes(scales), weight.data_ptr(), scales.data_ptr()
        return kept if bias is None else (*kept, writes(bias), bias.data_ptr())


def writes(tensor: Tensor) -> int:
    """How many writes torch has counted; 0 for an inference tensor."""
    return 0 if tensor.is_inference() else tensor._version


class _Made(NamedTuple):
    linear: Linear
    weight: ReferenceType[Tensor]
    scales: Tensor
    bias: ReferenceType[Tensor] | None
    rest: tuple[object, ...]

    def holds(self, parts: Parts) -> bool:
        bias = None if self.bias is None else self.bias()
        return self.weight() is parts.weight and self.scales is parts.scales and bias is parts.bias


def is_elsewhere(tensor: Tensor) -> bool:
    """Has it values, where the core cannot read them?"""
    return not (tensor.is_cpu or tensor.is_meta)


def on_cpu(tensor: Tensor) -> Tensor:
    """Where the core can read it. What has no values stays, for the core to refuse."""
    return tensor.cpu() if is_elsewhere(tensor) else tensor


def layout_of(scheme: Scheme, shape: Sequence[int]) -> Layout:
    """The layout that bnq.pack takes by itself: the first of bnq.layouts() that holds it."""
    return next(layout for layout in layouts() if not layout.refusal(scheme, tuple(shape)))


def weight_shape(scheme: Scheme, shape: Sequence[int]) -> tuple[int, ...]:
    """Of the bytes of that layout."""
    layout = layout_of(scheme, shape)._handle
    *axes, last = layout.storage_shape(scheme._handle, shape)
    return (*axes, last * TORCH.new((0,), layout.storage_dtype)[0].itemsize)


def scales_shape(shape: Sequence[Any], scheme: str) -> list[Any]:
    """That of QuantizedTensor.scales, for sizes that may be symbols."""
    granularity = Scheme(scheme).granularity
    is_empty = any(isinstance(size, int) and size == 0 for size in shape)
    if granularity == "tensor":
        return [0 if is_empty else 1]
    depth = shape[-1] if shape else 1
    size = None if granularity == "row" else int(granularity[6:-1])
    groups = min(1, depth) if size is None else (depth + size - 1) // size
    return [*shape[:-1], groups]


def bytes_of(codes: Tensor, scales: Tensor, scheme: str) -> Tensor:
    """What that layout makes of the codes. Raises what QuantizedTensor.from_parts does."""
    data: Tensor = pack(QuantizedTensor.from_parts(codes, scales, scheme=scheme, dtype="f32")).data
    return data.view(torch.uint8).clone()


def packed(weight: Tensor, scales: Tensor, scheme: str, shape: Sequence[int]) -> PackedTensor:
    """The tensor again over its bytes, which are borrowed. Raises what PackedTensor.from_parts does.

    It keeps another tensor over the same memory, not `weight` itself.
    """
    kind = Scheme(scheme)
    return PackedTensor.from_parts(
        weight, scales, layout=layout_of(kind, shape), scheme=kind, shape=tuple(shape), dtype="f32", copy=False
    )


_lock = Lock()
_made: dict[tuple[int, int], _Made] = {}  # by ids: a kernel's own form of the weights lives as long as they do


def linear_of(parts: Parts) -> Linear:
    """The layer over these tensors: made at the first call and again after a change, which quantizes nothing anew.

    It may read the weight's memory itself (:class:`bnq.Linear`): a write that torch counts, or another address, makes
    another layer before the next call.

    Layers that share a weight and have biases of their own have one each.
    """
    weight, scales, bias, scheme, shape = parts
    key, rest = (id(weight), id(bias)), (parts.version(), scheme, tuple(shape))
    with _lock:  # two threads that come at once make one
        made = _made.get(key)
        if made and made.holds(parts) and made.rest == rest:
            return made.linear
        linear = Linear(packed(weight, scales, scheme, shape), bias)

        def forget(_: object) -> None:
            _made.pop(key, None)

        _made[key] = _Made(linear, ref(weight, forget), scales, None if bias is None else ref(bias, forget), rest)
        return linear
