"""Bytes: pack, unpack, refusals."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import bnq

SCHEMES = [s for s in bnq.schemes() if s != bnq.Scheme.activations()]
pytestmark = pytest.mark.filterwarnings("ignore:int2")


@pytest.mark.parametrize("scheme", SCHEMES)
@given(
    w=hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=21),
                 elements=st.floats(-2, 2, width=32)),
    granularity=st.sampled_from(["tensor", "row", "group(8)", "group(5)"]),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_every_layout_gives_back_what_it_took(scheme: bnq.Scheme, w: np.ndarray, granularity: str) -> None:
    q = bnq.quantize(w, scheme.with_granularity(granularity))
    held = [layout for layout in bnq.layouts() if not layout.is_read_only and not layout.refusal(q.scheme, q.shape)]
    assert held
    for layout in held:
        p = bnq.pack(q, layout)
        assert np.array_equal(bnq.unpack(p).codes, q.codes)
        assert layout.holds_scales or bnq.unpack(p) == q
        assert p.nbytes == p.data.nbytes + p.scales.nbytes
    assert bnq.pack(q).layout == held[0]


def test_what_it_tells(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, "ternary")
    p = bnq.pack(q, "u2_hf")
    assert (p.layout, p.scheme, p.shape, p.dtype, p.framework) == (
        bnq.Layout("u2_hf"),
        q.scheme,
        (24, 96),
        "f32",
        "numpy",
    )
    assert (p.data.dtype, p.data.shape) == (np.uint8, (6, 96))
    assert (p.scales.dtype, p.scales.shape) == (np.float32, (1,))
    assert p.nbytes == 6 * 96 + 4
    assert p.bits_per_weight == 8 * p.nbytes / (24 * 96)
    assert repr(p) == "PackedTensor(u2_hf, ternary-absmean:tensor, shape=(24, 96), 580 bytes, 2.014 bits/weight)"


def test_u2_hf_bytes() -> None:
    """Row r + j * N/4 lies in bits 2j of byte row r, as code + 1: the form of Transformers' BitNet."""
    q = bnq.quantize(np.float32([[1, -1], [0, 1], [-1, 0], [1, 1]]), "ternary")
    assert bnq.pack(q, "u2_hf").data.tolist() == [[2 | 1 << 2 | 0 << 4 | 2 << 6, 0 | 2 << 2 | 1 << 4 | 2 << 6]]


def test_i32_holds_what_compressed_tensors_expects(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, "4:group(32)")
    words = bnq.pack(q, "i32_ct").data
    assert (words.dtype, words.shape) == (np.int32, (24, 12))
    fields = words.view(np.uint32)[:, :, None] >> np.arange(0, 32, 4, dtype=np.uint32) & 15
    assert np.array_equal(fields.reshape(24, 96).astype(np.int32) - 8, q.codes)


def test_refusals_name_the_layouts_that_can(weights: np.ndarray) -> None:
    with pytest.raises(bnq.UnsupportedError, match="layouts that can: i32_ct, i8"):
        bnq.pack(bnq.quantize(weights[:23], "ternary"), "u2_hf")
    assert bnq.Layout("u2_hf").refusal("ternary", (23, 96))
    assert not bnq.Layout("u2_hf").refusal("ternary", (24, 96))


@pytest.mark.parametrize("name", ["u3", "", None, 2])
def test_unknown_layouts_are_refused(name: object) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="one of u1, u2_hf, i32_ct, i8"):
        bnq.Layout(name)


def test_only_quantized_tensors_are_packed(weights: np.ndarray) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match=r"use bnq\.quantize"):
        bnq.pack(weights)
    with pytest.raises(bnq.InvalidArgumentError, match="need a PackedTensor"):
        bnq.unpack(bnq.quantize(weights, 8))


def test_layout_is_a_value() -> None:
    layout = bnq.Layout("i8")
    assert layout == bnq.Layout(layout) == pickle.loads(pickle.dumps(layout))
    assert len({layout, bnq.Layout("i8"), bnq.Layout("u1")}) == 2
    assert (str(layout), repr(layout), layout.name) == ("i8", "Layout('i8')", "i8")
    assert all(other.about for other in bnq.layouts())


def test_from_parts(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, "ternary")
    p = bnq.pack(q, "u2_hf")
    parts = {"layout": "u2_hf", "scheme": "ternary", "shape": (24, 96)}
    assert bnq.unpack(bnq.PackedTensor.from_parts(p.data, p.scales, **parts)) == q
    with pytest.raises(bnq.InvalidArgumentError, match="wrong number of bytes"):
        bnq.PackedTensor.from_parts(p.data[1:], p.scales, **parts)
    with pytest.raises(bnq.UnsupportedError, match="cannot hold"):
        bnq.PackedTensor.from_parts(p.data, p.scales, **{**parts, "scheme": 8})
    broken = bnq.PackedTensor.from_parts(np.full((6, 96), 255, np.uint8), p.scales, **parts)
    with pytest.raises(bnq.BadContentError, match="does not have"):
        bnq.unpack(broken)


def test_pickle(weights: np.ndarray) -> None:
    for scheme in SCHEMES:
        p = bnq.pack(bnq.quantize(weights, scheme))
        again = pickle.loads(pickle.dumps(p))
        assert repr(again) == repr(p)
        assert np.array_equal(again.data, p.data)
        assert bnq.unpack(again) == bnq.unpack(p)


def test_scales_among_the_codes() -> None:
    q = bnq.quantize(np.full((2, 256), 0.1, np.float32), "ternary:row")
    p = bnq.pack(q, "tq2_0")
    assert (p.data.shape, p.scales.shape, p.nbytes) == ((2, 66), (0,), 2 * 66)
    stored = np.float32(np.float16(0.1))
    assert p.scale_error == abs(float(stored) - float(np.float32(0.1))) / float(np.float32(0.1))
    assert repr(p).endswith("2.062 bits/weight, scales moved by up to 0.00024)")
    assert np.array_equal(bnq.unpack(p).codes, q.codes)
    assert (bnq.unpack(p).scales == stored).all()
    assert bnq.pack(bnq.unpack(p), "tq2_0").scale_error == 0
    assert bnq.Layout("tq2_0").holds_scales
    assert not bnq.Layout("i8").holds_scales


def test_from_parts_without_scales() -> None:
    q = bnq.quantize(np.full((2, 256), 0.5, np.float32), "ternary:row")
    p = bnq.pack(q, "tq2_0")
    parts = {"layout": "tq2_0", "scheme": "ternary:row", "shape": (2, 256)}
    again = bnq.PackedTensor.from_parts(p.data, **parts)
    assert bnq.unpack(again) == q == bnq.unpack(pickle.loads(pickle.dumps(p)))
    with pytest.raises(bnq.InvalidArgumentError, match="leave the scales out"):
        bnq.PackedTensor.from_parts(p.data, q.scales, **parts)
    with pytest.raises(bnq.InvalidArgumentError, match="scales are missing"):
        bnq.PackedTensor.from_parts(np.zeros((2, 256), np.int8), **{**parts, "layout": "i8"})


def test_some_orders_are_only_read() -> None:
    q = bnq.quantize(np.ones((4, 64), np.float32), "ternary")
    assert bnq.Layout("i2_s_arm").is_read_only
    with pytest.raises(bnq.UnsupportedError, match="read, not written"):
        bnq.pack(q, "i2_s_arm")
    data = np.frombuffer(bytes([0xAA] * 64) + np.float32(1).tobytes() + bytes(28), np.uint8)
    for layout in ("i2_s_arm", "i2_s_1x4"):
        read = bnq.PackedTensor.from_parts(data, layout=layout, scheme="ternary", shape=(4, 64))
        assert bnq.unpack(read) == q


@pytest.mark.parametrize("layout", ["tq1_0", "q8_0", "iq2_bn", "i2_s"])
def test_a_layer_of_such_a_layout(layout: str) -> None:
    rng = np.random.default_rng(1)
    q = bnq.quantize(rng.integers(-1, 2, (8, 256)).astype(np.float32), "ternary")
    x = rng.standard_normal((3, 256)).astype(np.float32)
    layer = bnq.Linear(bnq.pack(q, layout))
    assert np.array_equal(layer(x), bnq.Linear(q)(x))
    assert f"weights: unpacked from {layout}" in layer.explain()
