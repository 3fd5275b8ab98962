"""What each client computes for a layer, written from its documentation, sharing no line with bnq or the client."""

from collections.abc import Callable
from typing import Any

import torch
from models import quantized_modules

import bnq

MOST_ERROR = 1e-5
"""Relative, of a layer's output: sums of at most 128 float32 products in another order, 128 · 2⁻²⁴ = 7.6e-6."""

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


def require_layers_agree(model: Any, tensors: dict[str, Any], scheme: str, run: Callable[[], Any]) -> None:
    """Every layer that is low-bit in the files computes what its client's own arithmetic gives, and all are run."""
    layers = quantized_modules(tensors)
    seen: set[str] = set()

    def compare(name: str, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        bias = tensors.get(f"{name}.bias")
        want = BY_SCHEME[scheme](layers[name], None if bias is None else torch.from_numpy(bias))(inputs[0].float())
        assert (output - want).norm() <= MOST_ERROR * want.norm(), name
        seen.add(name)

    for name, module in model.named_modules():
        if name in layers:
            module.register_forward_hook(lambda _, i, o, name=name: compare(name, i, o))
    with torch.no_grad():
        run()
    assert seen == set(layers)
