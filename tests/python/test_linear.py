"""Linear against its formula, said again in numpy; shapes, dtypes, refusals."""

import copy
import pickle

import numpy as np
import pytest
import torch

import bnq

F32 = np.float32


def expected(q: bnq.QuantizedTensor, x: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """docs/schemes.rst, "Product", for one scale a row or tensor: integers exact, then float32 in this order."""
    a = bnq.quantize_activations(x)
    acc = a.codes.astype(np.int64) @ q.codes.astype(np.int64).T
    y = (acc.astype(F32) * q.scales.reshape(-1)) * a.scales
    return y if bias is None else y + bias


@pytest.mark.parametrize("scheme", ["8", "8:tensor", "4:row", "ternary", "ternary:row", "binary"])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_formula(scheme: str, with_bias: bool, packed: bool, rng: np.random.Generator) -> None:
    w, x = (rng.standard_normal(shape).astype(F32) for shape in ((19, 50), (7, 50)))
    bias = rng.standard_normal(19).astype(F32) if with_bias else None
    q = bnq.quantize(w, scheme)
    y = bnq.Linear(bnq.pack(q) if packed else q, bias)(x)
    assert (y.dtype, y.shape) == (np.float32, (7, 19))
    assert y.tobytes() == expected(q, x, bias).tobytes()


def test_groups_are_added_left_to_right(rng: np.random.Generator) -> None:
    w, x = (rng.standard_normal(shape).astype(F32) for shape in ((5, 40), (3, 40)))
    q, a = bnq.quantize(w, "4:group(16)"), bnq.quantize_activations(x)
    y = np.zeros((3, 5), F32)
    for group, begin in enumerate(range(0, 40, 16)):
        codes = slice(begin, begin + 16)
        acc = a.codes[:, codes].astype(np.int64) @ q.codes[:, codes].astype(np.int64).T
        term = acc.astype(F32) * q.scales[:, group]
        y = term if group == 0 else y + term
    assert bnq.Linear(q)(x).tobytes() == (y * a.scales).tobytes()


@pytest.mark.parametrize("shape", [(96,), (1, 96), (2, 3, 96), (0, 96), (2, 0, 96)])
def test_shapes(shape: tuple[int, ...], weights: np.ndarray) -> None:
    linear = bnq.Linear(bnq.quantize(weights, 8))
    assert (linear.in_features, linear.out_features) == (96, 24)
    x = np.ones(shape, np.float16)
    y = linear(x)
    assert (y.shape, y.dtype) == ((*shape[:-1], 24), np.float16)
    t = linear(torch.from_numpy(x))
    assert isinstance(t, torch.Tensor)
    assert np.array_equal(t.numpy(), y)


def test_bias_of_any_float_type(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, 8)
    bias = np.arange(24, dtype=np.float16)
    forms = [bias, bias.astype(np.float32), np.repeat(bias, 2)[::2], torch.from_numpy(bias).to(torch.bfloat16),
             torch.nn.Parameter(torch.from_numpy(bias))]  # fmt: skip
    results = {bnq.Linear(q, form)(weights).tobytes() for form in forms}
    assert len(results) == 1
    not_finite = np.full(24, np.nan, F32)
    for bad in (np.ones(23, F32), not_finite, [1.0] * 24):
        with pytest.raises(bnq.InvalidArgumentError, match="bias"):
            bnq.Linear(q, bad)
    with pytest.raises(bnq.UnsupportedError, match="bias"):
        bnq.Linear(q, np.ones(24))


def test_a_bad_token_stays_alone(weights: np.ndarray) -> None:
    linear = bnq.Linear(bnq.quantize(weights, 8))
    x = weights.copy()
    x[3, 5], x[7, 0] = np.nan, np.inf
    y = linear(x)
    good = [row for row in range(24) if row not in (3, 7)]
    assert np.isnan(y[[3, 7]]).all()
    assert np.array_equal(y[good], linear(weights)[good])


@pytest.mark.parametrize("bad", [np.ones(95, F32), np.ones((96, 1), F32), np.float32(1), torch.ones(2, 95)])
def test_another_depth_is_refused(bad: object, weights: np.ndarray) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match=r"need \[\.\.\., 96\]"):
        bnq.Linear(bnq.quantize(weights, 8))(bad)


def test_what_cannot_be_a_weight(weights: np.ndarray) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match=r"use bnq\.quantize"):
        bnq.Linear(weights)
    with pytest.raises(bnq.UnsupportedError, match="number of axes"):
        bnq.Linear(bnq.quantize(weights[0], 8))
    with pytest.raises(bnq.UnsupportedError, match=r"group\(n\)"):
        bnq.Linear(bnq.quantize(np.ones((1, 140_000), F32), 8))


def test_a_copy_is_itself_and_pickle_is_refused_in_words(weights: np.ndarray) -> None:
    linear = bnq.Linear(bnq.quantize(weights, 8))
    assert copy.copy(linear) is linear
    assert copy.deepcopy([linear])[0] is linear
    with pytest.raises(bnq.UnsupportedError, match=r"pickle those, .* bnq\.Linear\(weight, bias\)"):
        pickle.dumps(linear)


def test_explain(weights: np.ndarray) -> None:
    linear = bnq.Linear(bnq.quantize(weights, "ternary"))
    assert "kernel:" in linear.explain()
    assert 24 * 96 / 4 < linear.nbytes < 24 * 96 * 3
    assert repr(linear) == "<bnq.Linear [24, 96] ternary-absmean:tensor x int8 activations>"


@pytest.mark.parametrize("shape", [(0,), (23,), (25,), (24, 1), (1, 24), ()])
def test_a_bias_of_another_shape_is_refused(weights: np.ndarray, shape: tuple[int, ...]) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match=r"Linear bias: another shape .*need \[24\]"):
        bnq.Linear(bnq.quantize(weights, 8), np.zeros(shape, np.float32))
