"""Who is timed: one row each."""

import torch

from .ggml import GgmlTernary
from .litespark import LitesparkTernary
from .onnx_runtime import OnnxInt8, OnnxTwoBit
from .ours import BnqLinear
from .protocol import Rival
from .torch_layers import TorchDynamicInt8, TorchFloat
from .torchao_int8 import TorchaoInt8

OURS: tuple[Rival, ...] = (
    BnqLinear("ternary", 0.25),
    BnqLinear("int8", 1.0),
)
RIVALS: tuple[Rival, ...] = (
    TorchFloat("torch fp32", torch.float32),
    TorchFloat("torch bf16", torch.bfloat16),
    TorchDynamicInt8(),
    TorchaoInt8(),
    OnnxInt8(),
    OnnxTwoBit(),
    GgmlTernary(),
    LitesparkTernary(),
)
