"""What each client computes for a layer, written from its documentation, sharing no line with bnq or the client."""

from collections.abc import Callable
from typing import Any

import torch

import bnq

Product = Callable[[torch.Tensor], torch.Tensor]


def weights_only(q: Any, bias: torch.Tensor | None) -> Product:
    """compressed-tensors pack-quantized: x · dequantized weights."""
    weight = values(q)
    return lambda x: torch.nn.functional.linear(x, weight, bias)


def w8a8(q: Any, bias: torch.Tensor | None) -> Product:
    """compressed-tensors int-quantized: each token divided by absmax / 127.5, rounded, clamped to int8.

    Input of two axes, as a pooler's, has one scale for all of it (seen in compressed-tensors 0.20).
    """
    weight = values(q)

    def product(x: torch.Tensor) -> torch.Tensor:
        absmax = x.abs().amax(-1, keepdim=True) if x.dim() > 2 else x.abs().amax()
        scale = absmax / 127.5
        scale = torch.where(scale == 0, torch.finfo(torch.float32).eps, scale)
        codes = (x / scale).round().clamp(-128, 127)
        return torch.nn.functional.linear(codes * scale, weight, bias)

    return product


def bitnet(q: Any, bias: torch.Tensor | None) -> Product:
    """BitNet b1.58: int8 tokens by 127 / absmax, ternary codes, then scale, then bias."""
    codes = torch.from_numpy(q.codes.copy()).float()
    scale = float(q.scales[0])

    def product(x: torch.Tensor) -> torch.Tensor:
        factor = 127 / x.abs().amax(-1, keepdim=True).clamp(min=1e-5)
        tokens = (x * factor).round().clamp(-128, 127)
        y = torch.nn.functional.linear(tokens, codes) / factor * scale
        return y if bias is None else y + bias

    return product


def values(q: Any) -> torch.Tensor:
    return torch.from_numpy(bnq.dequantize(q, dtype="f32"))


BY_SCHEME = {"8": w8a8, "4": weights_only, "ternary": bitnet}
