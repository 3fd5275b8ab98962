"""litespark-inference's AVX-512 ternary kernel, called as its own runtime calls it, through ctypes."""

import ctypes
import itertools
from ctypes import c_float, c_int, c_void_p
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from timing import Call

import bnq

from .protocol import Bound, Layers, RefusedError, Weight, missing_modules

MOST_TOKENS = 64


def library_file() -> Path | None:
    spec = find_spec("litespark_inference")
    assert spec
    assert spec.origin
    return next(iter((Path(spec.origin).parent / "torchless").glob("_matmul_lut_avx512*.so")), None)


@cache
def kernels() -> Any:
    library = ctypes.CDLL(str(library_file()))
    library.quantize_activation_avx512.restype = c_float
    library.quantize_activation_avx512.argtypes = [c_void_p, c_void_p, c_int]
    library.quantize_activation_batched_avx512.argtypes = [c_void_p, c_void_p, c_void_p, c_int, c_int]
    library.matmul_lut_avx512_m1.argtypes = [c_void_p, c_void_p, c_float, c_float, c_void_p, c_int, c_int]
    library.matmul_lut_avx512_mT.argtypes = [
        *(c_void_p, c_void_p, c_void_p, c_float, c_void_p),
        *(c_int, c_int, c_int),
    ]
    return library


class LitesparkLayers:
    """The kernels see addresses: what is called keeps alive what they point to."""

    def __init__(self, weight: Weight, copies: int) -> None:
        self._shape = weight.shape
        self._scale = weight.scale
        fields = (weight.codes + 1).astype(np.uint8).reshape(weight.shape[0], -1, 4)
        packed = fields[..., 0] | fields[..., 1] << 2 | fields[..., 2] << 4 | fields[..., 3] << 6
        self._packed: list[NDArray[np.uint8]] = [packed.copy() for _ in range(copies)]

    def bind(self, x: torch.Tensor, *, ring: bool) -> Bound:
        y = np.full((x.shape[0], self._shape[0]), np.nan, np.float32)
        product = self._one_token(x, y) if x.shape[0] == 1 else self._many_tokens(x, y)
        addresses = [w.ctypes.data for w in (self._packed if ring else self._packed[:1])]
        turn = itertools.cycle(addresses).__next__

        def result() -> torch.Tensor:
            y.fill(np.nan)
            product(addresses[0])
            return torch.from_numpy(y.copy())

        if x.shape[0] > MOST_TOKENS and result().isnan().all():
            raise RefusedError(f"returns at once above {MOST_TOKENS} tokens, without an error and without a result")
        return Bound(Call(lambda: product(turn()), lap=len(addresses)), result)

    def _one_token(self, x: torch.Tensor, y: NDArray[np.float32]) -> Any:
        (n, k), scale = self._shape, self._scale
        quantize, multiply = kernels().quantize_activation_avx512, kernels().matmul_lut_avx512_m1
        codes = np.empty(k, np.int8)
        x_at, codes_at, y_at = x.data_ptr(), codes.ctypes.data, y.ctypes.data

        def product(weights: int, _keep: object = (self, x, y, codes)) -> None:
            multiply(codes_at, weights, scale, quantize(x_at, codes_at, k), y_at, n, k)

        return product

    def _many_tokens(self, x: torch.Tensor, y: NDArray[np.float32]) -> Any:
        (n, k), scale, tokens = self._shape, self._scale, x.shape[0]
        quantize, multiply = kernels().quantize_activation_batched_avx512, kernels().matmul_lut_avx512_mT
        codes, scales = np.empty((tokens, k), np.int8), np.empty(tokens, np.float32)
        x_at, codes_at, scales_at, y_at = x.data_ptr(), codes.ctypes.data, scales.ctypes.data, y.ctypes.data

        def product(weights: int, _keep: object = (self, x, y, codes, scales)) -> None:
            quantize(x_at, codes_at, scales_at, tokens, k)
            multiply(codes_at, scales_at, weights, scale, y_at, tokens, n, k)

        return product


class LitesparkTernary:
    """Its kernels take at most 64 tokens; its runtime splits more before it calls them."""

    name = "litespark ternary"
    bytes_per_weight = 0.25

    def missing(self) -> str | None:
        lacking = missing_modules("litespark_inference")
        if lacking:
            return lacking
        if "avx512vnni" not in bnq.cpu_info().features:
            return "needs AVX-512 VNNI"
        return None if library_file() else "litespark-inference was installed without its AVX-512 kernel"

    def make(self, weight: Weight, copies: int) -> Layers:
        return LitesparkLayers(weight, copies)
