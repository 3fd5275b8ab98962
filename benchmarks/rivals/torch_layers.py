"""What PyTorch itself offers: float layers, and dynamic int8."""

import warnings

import torch
from torch import nn

from .protocol import CallableLayers, Layers, Weight


def float_linear(weight: Weight, dtype: torch.dtype = torch.float32) -> nn.Linear:
    linear = nn.Linear(1, 1, bias=False)
    linear.out_features, linear.in_features = weight.shape
    linear.weight = nn.Parameter(weight.as_float().to(dtype), requires_grad=False)
    return linear.eval()


class TorchFloat:
    """nn.Linear as it is."""

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        self.name = name
        self.bytes_per_weight = float(dtype.itemsize)
        self._dtype = dtype

    def missing(self) -> None:
        return None

    def make(self, weight: Weight, copies: int) -> Layers:
        return CallableLayers([float_linear(weight, self._dtype) for _ in range(copies)], self._dtype)


class TorchDynamicInt8:
    """torch.ao.quantization.quantize_dynamic(…, dtype=torch.qint8)."""

    name = "torch dynamic int8"
    bytes_per_weight = 1.0

    def missing(self) -> None:
        return None

    def make(self, weight: Weight, copies: int) -> Layers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that torchao is to take its place
            quantize = torch.ao.quantization.quantize_dynamic
            first = quantize(nn.Sequential(float_linear(weight)), {nn.Linear}, dtype=torch.qint8)[0]
        layers = [first] + [type(first)(first.in_features, first.out_features, False) for _ in range(copies - 1)]
        for layer in layers[1:]:
            layer.set_weight_bias(first.weight(), first.bias())  # packs anew: quantizing again would change nothing
        return CallableLayers(layers)
