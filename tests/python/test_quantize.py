"""Codes and scales against the formulas of docs/schemes.rst, said again in numpy; and what a QuantizedTensor tells."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import bnq

F32 = np.float32
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def tensors(elements: st.SearchStrategy[float] = FINITE) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, SHAPES, elements=elements)


@pytest.mark.parametrize("bits", [8, 7, 6, 5, 4, 3])
@given(w=tensors())
@settings(max_examples=60, deadline=None)
def test_absmax_by_row(bits: int, w: np.ndarray) -> None:
    q = bnq.quantize(w, f"int{bits}:row")
    top = F32(2 ** (bits - 1) - 1)
    scales = np.maximum(np.abs(w).max(axis=1, keepdims=True) / top, F32(2**-126))
    codes = np.clip(np.rint(w / scales), -top, top)
    assert np.array_equal(q.scales, scales)
    assert np.array_equal(q.codes, codes)
    with np.errstate(over="ignore"):
        values = codes * scales
    assert np.array_equal(q.dequantize(), np.clip(values, -np.finfo(F32).max, np.finfo(F32).max))


@given(x=tensors())
@settings(max_examples=60, deadline=None)
def test_activations(x: np.ndarray) -> None:
    a = bnq.quantize_activations(x)
    largest = np.maximum(np.abs(x).max(axis=1, keepdims=True), F32(1e-5))
    assert np.array_equal(a.codes, np.clip(np.rint(x * (F32(127) / largest)), -128, 127))
    assert np.array_equal(a.scales, largest / F32(127))


@given(w=tensors(st.floats(-4, 4, width=32)))
@settings(max_examples=60, deadline=None)
def test_ternary_given_its_scale(w: np.ndarray) -> None:
    q = bnq.quantize(w, "ternary")
    magnitudes = np.unique(np.abs(w[w != 0]))
    if len(magnitudes) == 1:  # ternary already: kept exactly
        assert q.prequantized_granules == 1
        assert np.array_equal(q.dequantize(), w)
        return
    g = q.scales[0]
    # Both means are float64 sums rounded to float32 once; in another order they differ by at most one rounding.
    assert abs(g - max(np.abs(w).mean(dtype=np.float64), F32(1e-5))) <= np.spacing(g)
    assert np.array_equal(q.codes, np.clip(np.rint(w * (F32(1) / g)), -1, 1))


@given(w=tensors(st.floats(-4, 4, width=32)))
@settings(max_examples=60, deadline=None)
def test_binary_away_from_its_mean(w: np.ndarray) -> None:
    q = bnq.quantize(w, "binary")
    mean = F32(w.mean(dtype=np.float64))
    # As above: the mean may be one rounding off, and then a code next to it differs.
    clear = np.abs(w - mean) > np.spacing(np.abs(mean)) * 2
    assert np.array_equal(q.codes[clear], np.where(w - mean > 0, 1, -1)[clear])
    assert abs(q.scales[0] - np.abs(w).mean(dtype=np.float64)) <= np.spacing(q.scales[0])


@pytest.mark.parametrize("scheme", ["8:group(7)", "4:group(64)", "ternary:group(5)", "binary:group(16)"])
def test_groups_are_rows_of_their_own(scheme: str, weights: np.ndarray) -> None:
    q = bnq.quantize(weights, scheme)
    rule, _, granularity = scheme.partition(":")
    size = int(granularity.removeprefix("group(").removesuffix(")"))
    for group, begin in enumerate(range(0, 96, size)):
        alone = bnq.quantize(np.ascontiguousarray(weights[:, begin : begin + size]), f"{rule}:row")
        assert np.array_equal(q.codes[:, begin : begin + size], alone.codes)
        assert np.array_equal(q.scales[:, group], alone.scales[:, 0])


@pytest.mark.parametrize("scheme", [s for s in bnq.schemes() if s != bnq.Scheme("binary")])
@pytest.mark.filterwarnings("ignore:int2")
def test_quantizing_again_changes_no_code(scheme: bnq.Scheme, weights: np.ndarray) -> None:
    first = bnq.quantize(weights, scheme)
    again = bnq.quantize(first.dequantize(), scheme)
    assert np.array_equal(first.codes, again.codes)


def test_what_it_tells(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, "4")
    assert q.scheme == bnq.Scheme(4)
    assert (q.shape, q.dtype, q.framework) == ((24, 96), "f32", "numpy")
    assert (q.codes.dtype, q.codes.shape) == (np.int8, (24, 96))
    assert (q.scales.dtype, q.scales.shape) == (np.float32, (24, 2))
    assert q.nbytes == 24 * 96 + 4 * 24 * 2
    assert q.bits_per_weight == 4 + 32 * 2 / 96
    assert (q.floored_granules, q.prequantized_granules) == (0, 0)
    assert repr(q) == ("QuantizedTensor(int4-absmax:group(64), shape=(24, 96), from numpy f32, 4.667 bits/weight)")


def test_counts_show() -> None:
    zeros = bnq.quantize(np.zeros((3, 4), np.float32), 8)
    assert zeros.floored_granules == 3
    assert "3 granules floored" in repr(zeros)
    kept = bnq.quantize(np.float32([[0, 2, -2]]), "ternary")
    assert kept.prequantized_granules == 1
    assert "1 granules ternary already" in repr(kept)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (0,), (0, 4), (4, 0), (2, 3, 4), (1, 0, 2)])
@pytest.mark.parametrize("scheme", ["8", "4", "ternary", "binary:row", "8:group(3)"])
def test_any_number_of_axes(shape: tuple[int, ...], scheme: str) -> None:
    w = np.arange(1, 1 + int(np.prod(shape)), dtype=np.float32).reshape(shape)
    q = bnq.quantize(w, scheme)
    assert q.codes.shape == q.dequantize().shape == shape
    assert q.scales.ndim == max(1, len(shape)) or q.scheme.granularity == "tensor"
    assert bnq.unpack(bnq.pack(q)) == q
    assert pickle.loads(pickle.dumps(q)) == q


def test_dequantize_to_another_dtype(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, 8)
    f32 = q.dequantize()
    for dtype in ("f16", "float16", np.float16, np.dtype("float16")):
        out = q.dequantize(dtype)
        assert out.dtype == np.float16
        assert np.array_equal(out, f32.astype(np.float16))
    assert np.array_equal(bnq.dequantize(q, "f16"), q.dequantize("f16"))
    for dtype in ("i8", "f64", np.float64, "single", [], 8):
        with pytest.raises(bnq.InvalidArgumentError, match="f32, f16 or bf16"):
            q.dequantize(dtype)


def test_dequantize_saturates() -> None:
    assert bnq.quantize(np.float32([1e6, -1e6]), 8).dequantize("f16").tolist() == [65504, -65504]


def test_equality(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, 8)
    assert q == bnq.quantize(weights.copy(), 8)
    assert q != bnq.quantize(weights * 2, 8)  # the same codes, other scales
    assert q != bnq.quantize(weights, "8:tensor")
    assert q != bnq.quantize(weights.astype(np.float16).astype(np.float32), 8)
    assert q != weights.tolist()
    with pytest.raises(TypeError, match="unhashable"):
        hash(q)


def test_pickle_and_deepcopy(weights: np.ndarray) -> None:
    q = bnq.quantize(np.concatenate([weights, np.zeros((1, 96), np.float32)]), 8)
    for other in (pickle.loads(pickle.dumps(q)), copy.deepcopy(q), copy.copy(q)):
        assert other == q
        assert other.floored_granules == 1
        assert not np.shares_memory(other.codes, q.codes)


def test_from_parts(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, 4)
    assert bnq.QuantizedTensor.from_parts(q.codes, q.scales, scheme=4) == q
    assert bnq.QuantizedTensor.from_parts(q.codes[:, ::-1][:, ::-1], q.scales, scheme=4, dtype="bf16").dtype == "bf16"
    with pytest.raises(bnq.InvalidArgumentError, match="code that int4"):
        bnq.QuantizedTensor.from_parts(np.full((24, 96), 8, np.int8), q.scales, scheme=4)
    with pytest.raises(bnq.InvalidArgumentError, match="shape"):
        bnq.QuantizedTensor.from_parts(q.codes, q.scales[1:], scheme=4)
    with pytest.raises(bnq.InvalidArgumentError, match="dtype"):
        bnq.QuantizedTensor.from_parts(q.codes.astype(np.int16), q.scales, scheme=4)
    with pytest.raises(bnq.InvalidArgumentError, match="is no scale"):
        bnq.QuantizedTensor.from_parts(q.codes, -q.scales, scheme=4)


def test_is_made_by_functions_only() -> None:
    for kind in (bnq.QuantizedTensor, bnq.PackedTensor):
        with pytest.raises(bnq.InvalidArgumentError, match="made by"):
            kind()


def test_precision_2_warns(weights: np.ndarray) -> None:
    with pytest.warns(UserWarning, match="worse than ternary") as caught:
        bnq.quantize(weights, 2)
    assert caught[0].filename == __file__
