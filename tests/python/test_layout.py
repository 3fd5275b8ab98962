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
    held = [layout for layout in bnq.layouts() if not layout.refusal(q.scheme, q.shape)]
    assert held
    for layout in held:
        p = bnq.pack(q, layout)
        assert bnq.unpack(p) == q
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
