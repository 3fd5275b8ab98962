"""Devices other than the CPU have to show that their arithmetic is the CPU's, before they are used."""

import functools

import torch
from torch import Tensor

from ...errors import UnsupportedError
from ...linear import Linear
from ...quantized_tensor import quantize_as
from ...scheme import Scheme
from . import formulas
from .parts import bytes_of

_VALUES = ("int8-token:row", "int8-absmax:row", "int4-absmax:group(64)", "ternary-absmean:tensor", "binary-absmean:row")
_PRODUCTS = ("int8-absmax:row", "int4-absmax:group(64)", "ternary-absmean:tensor")
_TOKENS, _OUTPUTS, _DEPTH = 33, 48, 4160  # what tiles of tensor cores do not divide; more than one block of a mean


@functools.cache
def require_exact(device: torch.device) -> None:
    """Raises UnsupportedError unless `device` computes some telling tensors as the core does, to the bit.

    It may lack a dtype (float64), divide by reciprocals, flush small numbers to zero or contract a product and a sum.
    Once a device, in milliseconds; one that fails is asked again at the next call.
    """
    try:
        with torch.no_grad(), torch.device("cpu"):  # also where another device is the default
            wrong = _first_difference(device)
    except (RuntimeError, TypeError, AssertionError) as error:  # torch's, for what a device cannot do
        wrong = str(error).splitlines()[0]
    if wrong:
        raise UnsupportedError(
            f"bnq: computes on the CPU, and elsewhere where torch gives the same bits (got {device}: {wrong}); use "
            "tensor.cpu()"
        )


def _first_difference(device: torch.device) -> str:
    random = torch.Generator().manual_seed(1)
    w = torch.randn(_OUTPUTS, _DEPTH, generator=random, dtype=torch.float32)
    w *= torch.randn(_OUTPUTS, 1, generator=random, dtype=torch.float32).exp()
    w[1] *= 1e-39  # subnormal
    x = torch.randn(_TOKENS, _DEPTH, generator=random, dtype=torch.float32).bfloat16()
    for scheme in _VALUES:
        q = quantize_as(w, Scheme(scheme), "exact")
        codes, scales = formulas.quantize(w.to(device), scheme)
        if not _same(codes, q.codes) or not _same(scales, q.scales):
            return f"other codes or scales in {scheme}"
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            if not _same(formulas.dequantize(codes, scales, scheme, dtype), q.dequantize(dtype)):
                return f"other {dtype} values in {scheme}"
    for scheme in _PRODUCTS:
        q = quantize_as(w, Scheme(scheme), "exact")
        weight = bytes_of(q.codes, q.scales, scheme).to(device)
        y = formulas.packed_linear(x.to(device), weight, q.scales.to(device), None, scheme, w.shape)
        if not _same(y, Linear(q)(x)):
            return f"another product in {scheme}"
    return ""


def _same(there: Tensor, here: Tensor) -> bool:
    """To the bit: -0 is not +0."""
    bits = {1: torch.int8, 2: torch.int16, 4: torch.int32}[here.element_size()]
    return torch.equal(there.cpu().contiguous().view(bits), here.contiguous().view(bits))
