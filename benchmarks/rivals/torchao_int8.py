"""torchao: int8 weights, int8 tokens quantized on the way, compiled."""

import torch

from .protocol import CallableLayers, Layers, Weight, missing_modules
from .torch_layers import float_linear


class TorchaoInt8:
    """quantize_(…, Int8DynamicActivationInt8WeightConfig()) and torch.compile."""

    name = "torchao int8 compiled"
    bytes_per_weight = 1.0

    def missing(self) -> str | None:
        return missing_modules("torchao")

    def make(self, weight: Weight, copies: int) -> Layers:
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_  # noqa: PLC0415, slow import

        layers = [torch.nn.Sequential(float_linear(weight)) for _ in range(copies)]
        for layer in layers:
            quantize_(layer, Int8DynamicActivationInt8WeightConfig())
        return CallableLayers([torch.compile(layer, dynamic=True) for layer in layers])
