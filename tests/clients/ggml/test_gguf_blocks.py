"""The block layouts of ggml against the `gguf` package of llama.cpp: the same bytes, and the same values of them."""

from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

import bnq

# layout, a scheme that it holds, and the one that reads every block of it
TYPES = {
    "tq1_0": ("ternary:tensor", "ternary:group(256)"),
    "tq2_0": ("ternary:tensor", "ternary:group(256)"),
    "q4_0": ("4:group(64)", "int5-given:group(32)"),
    "q8_0": ("8:row", "int8-given:group(32)"),
}


def type_of(layout: str) -> GGMLQuantizationType:
    return GGMLQuantizationType[layout.upper()]


def weights(kind: str, shape: tuple[int, ...] = (6, 512)) -> np.ndarray:
    rng = np.random.default_rng(len(kind))
    if kind == "ternary":
        return rng.integers(-1, 2, shape).astype(np.float32) * np.float32(0.75)
    w = rng.standard_normal(shape).astype(np.float32)
    if kind == "tiny":
        w *= np.float32(2e-6)  # scales are subnormal in f16, or 0
    if kind == "holes":
        w[:, :256] = 0
        w[2] = 0
    return w


def read(layout: str, data: np.ndarray, shape: tuple[int, ...], scheme: str) -> Any:
    return bnq.unpack(bnq.PackedTensor.from_parts(data, layout=layout, scheme=scheme, shape=shape))


@pytest.mark.parametrize("kind", ["gaussian", "ternary", "holes"])
@pytest.mark.parametrize("layout", TYPES)
def test_gguf_dequantizes_our_bytes_to_our_values(layout: str, kind: str) -> None:
    p = bnq.pack(bnq.quantize(weights(kind), TYPES[layout][0]), layout)
    theirs = quants.dequantize(np.asarray(p.data), type_of(layout))
    assert theirs.dtype == np.float32
    assert np.array_equal(theirs, bnq.unpack(p).dequantize())


@pytest.mark.parametrize("kind", ["gaussian", "ternary", "holes", "tiny"])
@pytest.mark.parametrize("layout", TYPES)
def test_we_read_what_gguf_quantized(layout: str, kind: str) -> None:
    w = weights(kind)
    data = quants.quantize(w, type_of(layout))
    q = read(layout, data, w.shape, TYPES[layout][1])
    assert np.array_equal(q.dequantize(), quants.dequantize(data, type_of(layout)))
    again = bnq.pack(q, layout)
    assert again.scale_error == 0
    assert np.array_equal(quants.dequantize(np.asarray(again.data), type_of(layout)), q.dequantize())


@pytest.mark.parametrize("layout", ["tq1_0", "tq2_0"])
def test_ternary_weights_become_the_same_bytes(layout: str) -> None:
    """Of weights that are ternary already, in every block: ggml's scale is the block's largest, and so is bnq's."""
    w = weights("ternary")
    ours = bnq.pack(bnq.quantize(w, "ternary"), layout)
    assert np.asarray(ours.data).tobytes() == quants.quantize(w, type_of(layout)).tobytes()
    assert read(layout, quants.quantize(w, type_of(layout)), w.shape, "ternary") == bnq.quantize(w, "ternary")


def test_int8_is_the_same_bytes_away_from_ties() -> None:
    """Integers under a power of two divide exactly by either order, and have no halves."""
    rng = np.random.default_rng(5)
    w = rng.integers(-126, 127, (4, 256)).astype(np.float32)
    w[:, ::32] = 127
    ours = bnq.pack(bnq.quantize(w / 64, "8:group(32)"), "q8_0")
    assert np.asarray(ours.data).tobytes() == quants.quantize(w / 64, type_of("q8_0")).tobytes()


def test_blocks_have_the_sizes_of_gguf() -> None:
    for layout in TYPES:
        elements, size = quants.GGML_QUANT_SIZES[type_of(layout)]
        p = bnq.pack(bnq.quantize(np.ones((2, 3 * elements), np.float32), TYPES[layout][0]), layout)
        assert p.data.shape == (2, 3 * size)
