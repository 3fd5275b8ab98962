"""Layers that share a weight share its codes when they are packed."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ..quantized_tensor import QuantizedTensor
from .packed_linear import PackedLinear


class Tied:
    """Makes packed layers: a buffer for each weight and bias of the float model, however many layers hold it."""

    def __init__(self) -> None:
        self._codes: dict[object, PackedLinear] = {}
        self._biases: dict[int, Tensor] = {}

    def layer(self, key: object, make: Callable[[], QuantizedTensor], bias: Tensor | None) -> PackedLinear:
        """A new layer.

        Args:
            key: equal for layers that share codes; an id in it is of what outlives this.
            make: gives the codes, where no layer has them yet.
            bias: [N], of any float dtype, or None; outlives this too.

        Raises:
            InvalidArgumentError, UnsupportedError, BadContentError: as `make` and PackedLinear.from_quantized raise.
        """
        first = self._codes.get(key)
        made = PackedLinear.from_quantized(make(), bias) if first is None else first.twin(bias)
        self._codes.setdefault(key, made)
        if bias is not None and made.bias is not None:
            made.bias = self._biases.setdefault(id(bias), made.bias)
        return made

    @staticmethod
    def move(layers: Iterable[PackedLinear], devices: Iterable[torch.device]) -> None:
        """Each to its device, in place. Buffers that they share they share there, too."""
        moved: dict[tuple[int, torch.device], Tensor] = {}
        for layer, device in zip(layers, devices, strict=True):
            for name, buffer in layer._buffers.items():
                if buffer is not None and buffer.device != device:
                    key = id(buffer), device
                    moved[key] = layer._buffers[name] = moved[key] if key in moved else buffer.to(device)
