"""Our own layers, in the same form as the others."""

import bnq

from .protocol import CallableLayers, Layers, Weight


class BnqLinear:
    """bnq.Linear on torch tensors."""

    def __init__(self, scheme: str, bytes_per_weight: float) -> None:
        self.name = f"bnq {scheme}"
        self.bytes_per_weight = bytes_per_weight
        self._scheme = scheme

    def missing(self) -> None:
        return None

    def make(self, weight: Weight, copies: int) -> Layers:
        quantized = bnq.quantize(weight.as_float(), self._scheme)
        return CallableLayers([bnq.Linear(quantized) for _ in range(copies)])
