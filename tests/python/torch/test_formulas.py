"""The operators in torch's own operations, which other devices run, against the core: the same bits, here on the CPU.

They share no line with the core, so each is the other's twin. With a CUDA device the same is run there.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import bnq
from bnq.torch import PackedLinear
from bnq.torch.ops import formulas

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of low-bit schemes

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
GRANULARITIES = ("tensor", "row", "group(64)", "group(7)")
SCHEMES = [str(s.with_granularity(g)) for s in bnq.schemes() for g in GRANULARITIES] + ["int8-token:row"]
DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
SHAPES = ((), (1,), (37,), (3, 64), (5, 130), (2, 3, 70), (4, 4100), (17, 1000))


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    with torch.no_grad():
        yield request.param


def operator(name: str, device: str) -> Any:
    """On CUDA through torch's dispatcher, as users call it; on the CPU the function itself."""
    return getattr(torch.ops.bnq if device == "cuda" else formulas, name)


def same(got: Tensor, want: Tensor) -> None:
    """Bit for bit: -0 is not +0, and NaNs are equal. Dense, as compilers are told that it is."""
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    assert got.is_contiguous()
    kind = {1: torch.int8, 2: torch.int16, 4: torch.int32}[want.element_size()]
    assert torch.equal(got.cpu().contiguous().view(kind), want.contiguous().view(kind))


def values(shape: tuple[int, ...], dtype: torch.dtype) -> Iterator[Tensor]:
    random = torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + 1))
    yield (random * 0.05).to(dtype)
    yield (random.round().clamp(-1, 1) * 0.37).to(dtype)  # ternary already
    yield (random * 1e-6).to(dtype)  # below the floors
    yield torch.full(shape, -0.0, dtype=dtype)
    yield (random * random.pow(8).exp()).clamp(-6e4, 6e4).to(dtype)  # of all sizes


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_codes_scales_and_values_are_the_cores(scheme: str, dtype: torch.dtype, device: str) -> None:
    for shape in SHAPES:
        for w in values(shape, dtype):
            want = bnq.quantize(w, scheme)
            codes, scales = operator("quantize", device)(w.to(device), scheme)
            same(codes, want.codes)
            same(scales, want.scales)
            same(operator("dequantize", device)(codes, scales, scheme, dtype), want.dequantize())
            same(operator("fake_quantize", device)(w.to(device), scheme), want.dequantize())


def layers(scheme: str) -> Iterator[PackedLinear]:
    for outputs, depth in ((24, 96), (5, 130), (8, 1), (12, 2300)):
        torch.manual_seed(depth)
        for bias in (False, True):
            yield PackedLinear.from_linear(torch.nn.Linear(depth, outputs, bias=bias), scheme)


def tokens(depth: int, dtype: torch.dtype) -> Tensor:
    x = torch.randn(6, depth, generator=torch.Generator().manual_seed(depth)) * 3
    x[1] = 0
    x[2, depth // 2] = torch.nan
    x[3, 0] = torch.inf
    x[4] *= 1e-7
    return x.to(dtype).reshape(2, 3, depth)


@pytest.mark.parametrize("scheme", SCHEMES[:-1])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_products_are_the_cores(scheme: str, dtype: torch.dtype, device: str) -> None:
    for layer in layers(scheme):
        x, there = tokens(layer.in_features, dtype), layer._parts()
        weight, scales, bias = (None if t is None else t.to(device) for t in there[:3])
        same(operator("packed_linear", device)(x.to(device), weight, scales, bias, *there[3:]), layer(x))
        same(operator("packed_dequantize", device)(weight, scales, *there[3:], dtype), layer.dequantize(dtype))


@pytest.mark.parametrize("scheme", ["int8-given:row", "int4-given:group(8)", "8:tensor"])
def test_longest_sums_are_exact(scheme: str, device: str) -> None:
    """All codes at their ends: float32 alone would round."""
    kind = bnq.Scheme(scheme)
    codes = torch.full((4, 5000), kind.min_code, dtype=torch.int8)
    codes[1, ::2] = kind.max_code
    codes[2, 7] = kind.max_code
    scales = torch.full(kind._handle.scales_shape(codes.shape), 0.37)
    q = bnq.QuantizedTensor.from_parts(codes, scales, scheme=scheme)
    layer = PackedLinear.from_quantized(q)
    x = torch.full((3, 5000), -1.0)
    x[1, ::3] = 0.993
    weight, scale, _, *rest = layer._parts()
    same(operator("packed_linear", device)(x.to(device), weight.to(device), scale.to(device), None, *rest), layer(x))


@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0)])
@pytest.mark.parametrize("scheme", ["8", "ternary", "4"])
def test_empty_tensors(shape: tuple[int, ...], scheme: str, device: str) -> None:
    want = bnq.quantize(torch.empty(shape), scheme)
    codes, scales = operator("quantize", device)(torch.empty(shape, device=device), scheme)
    same(codes, want.codes)
    same(scales, want.scales)
    same(operator("dequantize", device)(codes, scales, scheme, torch.bfloat16), want.dequantize(torch.bfloat16))


def test_what_the_core_refuses_is_refused_in_its_words(device: str) -> None:
    x = torch.ones(3, 4, device=device)
    for call, words in (
        (lambda: operator("quantize", device)(x / 0, "8"), r"not finite.*\[0, 0\]"),
        (lambda: operator("fake_quantize", device)(x * torch.nan, "ternary"), r"not finite.*\[0, 0\]"),
        (lambda: operator("quantize", device)(x.double(), "8"), "f64"),
        (lambda: operator("quantize", device)(x, "int8-given"), "int8-given"),
        (lambda: operator("dequantize", device)(x.char() * 2, x[0, :1], "ternary", torch.float32), "code"),
        (lambda: operator("dequantize", device)(x.char(), x[:, :1], "ternary", torch.float32), "scale"),
        (lambda: operator("dequantize", device)(x.char(), -x[0, :1], "ternary", torch.float32), "scale"),
    ):
        with pytest.raises(bnq.Error, match=words):
            call()


def test_bytes_that_are_no_codes_give_nan(device: str) -> None:
    layer = PackedLinear.from_linear(torch.nn.Linear(8, 8), "ternary")
    weight, scales, bias, *rest = layer._parts()
    broken = weight.clone()
    broken[0, 3] |= 0b1100  # of row 2
    y = operator("packed_linear", device)(
        torch.ones(2, 8, device=device), broken.to(device), scales.to(device), bias.to(device), *rest
    )
    assert y.isnan().nonzero()[:, 1].tolist() == [2, 2]
    layer.weight.copy_(broken)
    with pytest.raises(bnq.BadContentError):  # the core looks first
        layer(torch.ones(2, 8))


def test_every_layout_of_packed_layers_has_its_formula() -> None:
    layouts = {
        formulas.layout_of(bnq.Scheme(scheme), shape).name for scheme in SCHEMES for shape in ((8, 64), (5, 3), (1, 1))
    }
    assert layouts == set(formulas._LAYOUTS)
