"""The operators in torch's own operations, from the formulas of docs/schemes.rst: for other devices than the CPU.

Results are the core's to the bit. Each step is one IEEE rounding of float32, or float64 in means, whose sums have the
written order. Products of codes are sums of integers below 2^24, which float32 holds exactly in any order, and codes of
8 bits lose nothing in the tensor cores' short floats. A device divides by a number of Python's by multiplying with its
reciprocal: divisors here are tensors.

What these formulas do not take (empty tensors, other depths and dtypes, NaN, codes out of range) goes to the core on
the CPU, which answers or says what is wrong.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import UnsupportedError
from ...quantized_tensor import QuantizedTensor, quantize_as
from ...scheme import Scheme
from .parts import FLOATS, Parts, bytes_of, layout_of, linear_of, scales_shape

_BLOCK, _LANES = 4096, 16
_EXACT = 1 << 24  # float32 holds every integer up to here


def packed_linear(x: Tensor, *values: Any) -> Tensor:
    """y = x Wᵀ + bias. Tokens that are not finite, and outputs of bytes that are no codes, are NaN."""
    parts = Parts(*values)
    weight, scales, bias, scheme, (outputs, depth) = parts
    if x.dim() == 0 or x.shape[-1] != depth or x.dtype not in FLOATS or x.numel() == 0 or outputs == 0:
        return _by_core(x, parts)
    kind = Scheme(scheme)
    with torch.autocast(x.device.type, enabled=False):  # it would make the integers' sums half-precision floats
        tokens, token_scales = _tokens(x.reshape(-1, depth).float())
        y = _product(tokens, _weights(weight, kind, parts.shape), scales, kind) * token_scales
        y = y if bias is None else y + bias
    y = y.to(x.dtype)
    return torch.where(y.isnan(), torch.nan, y).reshape(*x.shape[:-1], outputs)  # devices have NaNs of their own


def packed_dequantize(weight: Tensor, scales: Tensor, scheme: str, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """W [N, K]."""
    return dequantize(_weights(weight, Scheme(scheme), shape), scales, scheme, dtype)


def quantize(x: Tensor, scheme: str) -> tuple[Tensor, Tensor]:
    """Codes and scales."""
    return _quantized(x, scheme, "bnq::quantize")


def dequantize(codes: Tensor, scales: Tensor, scheme: str, dtype: torch.dtype) -> Tensor:
    """Code * scale, held at the largest finite number of the dtype."""
    kind = Scheme(scheme)
    is_whole = codes.numel() > 0 and dtype in FLOATS and list(scales.shape) == scales_shape(codes.shape, scheme)
    if not (is_whole and _are_of(kind, codes, scales)):
        q = QuantizedTensor.from_parts(codes.to("cpu", torch.int8), scales.cpu(), scheme=scheme, dtype="f32")
        on_cpu: Tensor = q.dequantize(dtype)
        return on_cpu.to(codes.device)
    return _values(codes, scales, kind, dtype)


def fake_quantize(x: Tensor, scheme: str) -> Tensor:
    """Both at once."""
    codes, scales = _quantized(x, scheme, "bnq::fake_quantize")
    if x.numel() == 0:
        return torch.empty(x.shape, dtype=x.dtype, device=x.device)
    return _values(codes, scales, Scheme(scheme), x.dtype)


def pack(codes: Tensor, scales: Tensor, scheme: str) -> Tensor:
    """The layout's bytes. Nobody packs in a loop: the core does it."""
    return bytes_of(codes.cpu(), scales.cpu(), scheme).to(codes.device)


def _are_of(kind: Scheme, codes: Tensor, scales: Tensor) -> bool:
    """Can they be the scheme's? Waits for the device."""
    in_range = ((codes >= kind.min_code) & (codes <= kind.max_code)).all()
    return bool(in_range & (scales >= 0).all() & scales.isfinite().all())


def _values(codes: Tensor, scales: Tensor, kind: Scheme, dtype: torch.dtype) -> Tensor:
    values = _granules(codes.float(), kind) * scales.reshape(-1, 1)
    largest = torch.finfo(dtype).max
    return _in_shape(values.clamp_(-largest, largest), codes.shape).to(dtype)


def _by_core(x: Tensor, parts: Parts) -> Tensor:
    weight, scales, bias, scheme, shape = parts
    on_cpu = Parts(weight.cpu(), scales.cpu(), None if bias is None else bias.cpu(), scheme, shape)
    y: Tensor = linear_of(on_cpu)(x.cpu())
    return y.to(x.device)


def _quantized(x: Tensor, scheme: str, where: str) -> tuple[Tensor, Tensor]:
    kind = Scheme(scheme)
    levels, _, rule_name = kind.rule.partition("-")
    rule = _RULES.get(rule_name if levels.startswith("int") else levels)
    if rule is not None and x.numel() > 0 and x.dtype in FLOATS:
        granules = _granules(x.float(), kind)
        absmax = granules.abs().amax(-1, keepdim=True)
        if bool(absmax.isfinite().all()):
            codes, scales = rule(granules, absmax, kind, functools.partial(_mean, x.shape, kind))
            return _in_shape(codes.to(torch.int8), x.shape), scales.reshape(scales_shape(x.shape, scheme))
    q = quantize_as(x.cpu(), kind, where)
    return q.codes.to(x.device), q.scales.to(x.device)


# Granules: the elements that share a scale, one a row, and zeros behind the last group of an axis where it is shorter.


def _group_size(kind: Scheme, depth: int) -> int:
    return int(kind.granularity[6:-1]) if kind.granularity.startswith("group") else depth


def _granules(values: Tensor, kind: Scheme) -> Tensor:
    if kind.granularity == "tensor":
        return values.reshape(1, -1)
    depth = values.shape[-1] if values.dim() else 1
    size = _group_size(kind, depth)
    rows = values.reshape(-1, depth)
    return torch.nn.functional.pad(rows, (0, -depth % size)).reshape(-1, size)


def _counts(granules: Tensor, shape: Sequence[int], kind: Scheme) -> Tensor:
    """Elements of each, [granules, 1] in float64: zeros behind the last group of an axis do not count."""
    counts = torch.full((granules.shape[0], 1), granules.shape[1], dtype=torch.float64, device=granules.device)
    depth = shape[-1] if len(shape) else 1
    groups = -(-depth // granules.shape[1])
    if kind.granularity.startswith("group") and groups:
        counts[groups - 1 :: groups] -= -depth % granules.shape[1]
    return counts


def _in_shape(granules: Tensor, shape: Sequence[int]) -> Tensor:
    depth = shape[-1] if len(shape) else 1
    rows = max(1, int(np.prod(shape[:-1])))
    return granules.reshape(rows, -1)[:, :depth].reshape(shape).contiguous()  # compilers count on the core's strides


# Schemes: (granules, their max |w| [granules, 1], scheme, means) to codes in float32, and scales [granules, 1].


def _absmax(w: Tensor, absmax: Tensor, kind: Scheme, _: object) -> tuple[Tensor, Tensor]:
    scales = (absmax / torch.full_like(absmax, kind.max_code)).clamp_min(2.0**-126)
    return (w / scales).round().clamp(-kind.max_code, kind.max_code), scales


def _token(x: Tensor, absmax: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    largest = torch.full_like(absmax, 127)
    m = absmax.clamp_min(1e-5)
    return (x * (largest / m)).round().clamp(-128, 127), m / largest


def _ternary(w: Tensor, absmax: Tensor, _: object, mean: "_Means") -> tuple[Tensor, Tensor]:
    magnitudes = w.abs()
    least = magnitudes.masked_fill(magnitudes == 0, torch.inf).amin(-1, keepdim=True)
    is_ternary = (least == absmax) & (absmax > 0)
    g = mean(magnitudes).clamp_min(1e-5)
    codes = (w * (torch.ones_like(g) / g)).round().clamp(-1, 1)
    return torch.where(is_ternary, w.sign(), codes), torch.where(is_ternary, absmax, g)


def _binary(w: Tensor, absmax: Tensor, _: object, mean: "_Means") -> tuple[Tensor, Tensor]:
    del absmax
    return (w - mean(w) > 0).float() * 2 - 1, mean(w.abs())


_Means = Callable[[Tensor], Tensor]
_Rule = Callable[[Tensor, Tensor, Scheme, _Means], tuple[Tensor, Tensor]]
_RULES: Mapping[str, _Rule] = {"absmax": _absmax, "token": _token, "ternary": _ternary, "binary": _binary}


def _mean(shape: Sequence[int], kind: Scheme, values: Tensor) -> Tensor:
    """Of each granule, [granules, 1]."""
    return (_sums(values) / _counts(values, shape, kind)).float()


def _sums(values: Tensor) -> Tensor:
    """Of each granule in float64, [granules, 1], in the written order: lanes of a block, their tree, blocks."""
    granules, size = values.shape
    padded = torch.nn.functional.pad(values, (0, -size % min(_BLOCK, size + -size % _LANES)))
    steps = padded.reshape(granules, -1, min(_BLOCK, padded.shape[1]) // _LANES, _LANES)
    lanes = torch.zeros_like(steps[:, :, 0], dtype=torch.float64)
    for step in range(steps.shape[2]):
        lanes += steps[:, :, step]
    for half in (8, 4, 2, 1):
        lanes = lanes[..., :half] + lanes[..., half : 2 * half]
    blocks = np.add.accumulate(lanes[..., 0].cpu().numpy(), axis=1)  # numpy adds from left to right
    return torch.from_numpy(blocks[:, -1:].copy()).to(values.device)


# The product.


def _tokens(x: Tensor) -> tuple[Tensor, Tensor]:
    absmax = x.abs().amax(-1, keepdim=True)
    codes, scales = _token(x, absmax)
    is_finite = absmax.isfinite()
    return torch.where(is_finite, codes, 0.0), torch.where(is_finite, scales, torch.nan)


def _product(tokens: Tensor, weights: Tensor, scales: Tensor, kind: Scheme) -> Tensor:
    """Without the scales of tokens, [M, N]."""
    if not kind.granularity.startswith("group"):
        return _exact_product(tokens, weights, kind) * scales.reshape(1, -1)
    depth = tokens.shape[1]
    size = _group_size(kind, depth)
    groups = zip((slice(at, at + size) for at in range(0, depth, size)), scales.t(), strict=True)
    scaled = (_exact_product(tokens[:, at], weights[:, at], kind) * scale for at, scale in groups)
    total: Tensor = functools.reduce(Tensor.add, scaled)  # from left to right, one of them in memory at a time
    return total


def _exact_product(tokens: Tensor, weights: Tensor, kind: Scheme) -> Tensor:
    """float32 of the sums of code * code, which the layer's maker found to fit in int32."""
    longest = _EXACT // (128 * max(-kind.min_code, kind.max_code))
    depth = tokens.shape[1]
    if depth <= longest:
        return tokens @ weights.t() + 0.0  # integers have no -0
    total = torch.zeros(tokens.shape[0], weights.shape[0], dtype=torch.float64, device=tokens.device)
    for at in range(0, depth, longest):
        total += tokens[:, at : at + longest] @ weights[:, at : at + longest].t()
    return total.float()


# Layouts: bytes [rows, bytes a row] to codes in float32.


def _weights(weight: Tensor, kind: Scheme, shape: Sequence[int]) -> Tensor:
    """[N, K]; NaN where the bytes are no codes of the scheme."""
    layout = layout_of(kind, shape).name
    if layout not in _LAYOUTS:
        raise UnsupportedError(
            f"bnq::packed_linear: weights in {layout} run on the CPU (got a tensor on {weight.device}); use layer.cpu()"
        )
    codes = _LAYOUTS[layout](weight, kind, shape[1])
    return codes.masked_fill_((codes < kind.min_code) | (codes > kind.max_code), torch.nan)


def _i8(weight: Tensor, kind: Scheme, depth: int) -> Tensor:
    del kind, depth
    return weight.view(torch.int8).float()


def _u2_hf(weight: Tensor, kind: Scheme, depth: int) -> Tensor:
    del kind
    quarters = [(weight >> shift) & 3 for shift in (0, 2, 4, 6)]
    return torch.stack(quarters).reshape(-1, depth).float() - 1


def _u1(weight: Tensor, kind: Scheme, depth: int) -> Tensor:
    del kind
    return _fields(weight, 1, depth).float() * 2 - 1


def _i32_ct(weight: Tensor, kind: Scheme, depth: int) -> Tensor:
    return _fields(weight, kind.code_bits, depth).float() - (1 << (kind.code_bits - 1))


def _fields(weight: Tensor, bits: int, depth: int) -> Tensor:
    """Unsigned fields of 1 to 7 bits without gaps, the first in the lowest bits: one lies in two bytes at most."""
    starts = torch.arange(depth, device=weight.device) * bits
    first, shifts = starts // 8, (starts % 8).int()
    second = (first + 1).clamp_max(weight.shape[1] - 1)
    pairs = weight[:, second].int().bitwise_left_shift_(8)
    pairs |= weight[:, first]
    return pairs.bitwise_right_shift_(shifts).bitwise_and_((1 << bits) - 1)


_Unpack = Callable[[Tensor, Scheme, int], Tensor]
_LAYOUTS: Mapping[str, _Unpack] = {"i8": _i8, "u2_hf": _u2_hf, "u1": _u1, "i32_ct": _i32_ct}
