"""Views keep their owner alive, and nothing is kept longer than that."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

import bnq


def churn() -> None:
    """Gives freed memory other contents."""
    gc.collect()
    for _ in range(8):
        np.full((64, 1024), 85, np.int8)
        bnq.quantize(np.ones((64, 1024), np.float32), 8)


@pytest.mark.parametrize("wrap", [np.asarray, torch.from_numpy])
def test_views_outlive_their_tensor(wrap: object, rng: np.random.Generator) -> None:
    w = rng.standard_normal((64, 1024)).astype(np.float32)
    q = bnq.quantize(wrap(w), "4")
    p = bnq.pack(q)
    held = [q.codes, q.scales, p.data, p.scales, q.codes[3], q.codes.T]
    copies = [np.asarray(view).copy() for view in held]
    del q, p
    churn()
    for view, expected in zip(held, copies, strict=True):
        assert np.array_equal(np.asarray(view), expected)


def test_a_packed_tensor_does_not_need_the_quantized_one(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, "ternary")
    expected = q.dequantize()
    p = bnq.pack(q)
    del q
    churn()
    assert np.array_equal(bnq.unpack(p).dequantize(), expected)


def test_linear_does_not_need_its_weight(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, 8)
    bias = np.arange(24, dtype=np.float32)
    linear = bnq.Linear(q, bias)
    expected = linear(weights)
    del q, bias
    churn()
    assert np.array_equal(linear(weights), expected)


class Owner(np.ndarray):
    """An array that can be referred to weakly."""


def test_inputs_are_not_kept(weights: np.ndarray) -> None:
    w = weights.copy().view(Owner)
    seen = weakref.ref(w)
    q = bnq.quantize(w, 8)
    linear = bnq.Linear(q, w[:, 0])
    del w
    gc.collect()
    assert seen() is None
    assert linear(weights).shape == (24, 24)


def resident_kib() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def test_a_scheme_or_layout_keeps_no_tensor(rng: np.random.Generator) -> None:
    w = rng.standard_normal((512, 2048)).astype(np.float32)

    def schemes() -> list[object]:
        q = bnq.quantize(w, 8)
        p = bnq.pack(q)
        return [q.scheme, p.scheme, p.layout]

    kept = [schemes() for _ in range(3)]
    before = resident_kib()
    kept += [schemes() for _ in range(40)]  # of 1 MiB of codes each, and as much packed
    assert resident_kib() < before + 20 * 1024


def test_results_are_freed(rng: np.random.Generator) -> None:
    w = rng.standard_normal((512, 2048)).astype(np.float32)

    def after_rounds() -> int:
        for _ in range(30):
            q = bnq.quantize(w, 8)
            _ = q.codes, bnq.pack(q).data, q.dequantize(), bnq.Linear(q)(w[:1])
        return resident_kib()

    after_rounds()
    # A leak of one int8 tensor a round would add 30 MiB.
    before = after_rounds()
    assert after_rounds() < before + 20 * 1024


@pytest.mark.parametrize("wrap", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("scheme", ["8", "ternary"])
def test_linear_shares_what_was_packed(wrap: object, scheme: str, weights: np.ndarray) -> None:
    linear = bnq.Linear(bnq.pack(bnq.quantize(wrap(weights), scheme)))
    expected = bnq.Linear(bnq.quantize(weights, scheme))(weights)
    churn()
    assert np.array_equal(linear(weights), expected)


def test_borrowed_bytes_are_kept_and_let_go(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, 8)
    data = Owner(q.shape, np.int8)  # its own memory: of a view, numpy keeps the array that has it
    data[:] = bnq.pack(q).data
    seen = weakref.ref(data)
    p = bnq.PackedTensor.from_parts(data, q.scales, layout="i8", scheme="8", shape=q.shape, copy=False)
    assert p.data.ctypes.data == data.ctypes.data
    in_place = "(i8)" in bnq.Linear(p).explain()
    del data
    gc.collect()
    assert seen() is not None
    linear = bnq.Linear(p)
    assert (linear.own_nbytes < linear.nbytes) == in_place
    del p
    churn()
    assert (seen() is not None) == in_place
    assert np.array_equal(linear(weights), bnq.Linear(q)(weights))
    del linear
    gc.collect()
    assert seen() is None


def test_copied_bytes_are_not_kept(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, 8)
    data = np.array(bnq.pack(q).data)
    p = bnq.PackedTensor.from_parts(data, q.scales, layout="i8", scheme="8", shape=q.shape)
    data[:] = 0
    assert np.array_equal(bnq.unpack(p).codes, q.codes)
