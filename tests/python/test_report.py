"""The report against its formulas, said again in numpy float64."""

import math

import numpy as np
import pytest
import torch

import bnq


@pytest.mark.parametrize("scheme", ["8", "4", "ternary", "binary"])
def test_formulas(scheme: str, weights: np.ndarray) -> None:
    q = bnq.quantize(weights, scheme)
    r = bnq.report(weights, q)
    w, v = weights.astype(np.float64), q.dequantize().astype(np.float64)
    # Sums of 2304 float64 terms in another order: relative error below 2304 * 2^-53 each, far below 1e-12.
    assert r.signal == pytest.approx((w * w).sum(), rel=1e-12)
    assert r.noise == pytest.approx(((w - v) ** 2).sum(), rel=1e-12)
    assert r.sqnr_db == pytest.approx(10 * math.log10(r.signal / r.noise), rel=1e-12)
    assert r.cosine == pytest.approx((w * v).sum() / math.sqrt((w * w).sum() * (v * v).sum()), rel=1e-12)
    assert r.max_abs_error == np.abs(w - v).max()
    assert r.zero_share == (q.codes == 0).mean()
    assert (r.elements, r.granules) == (weights.size, q.scales.size)
    assert r.bits_per_weight == q.bits_per_weight
    assert not r.lossless
    assert bnq.report(weights, bnq.pack(q)) == r
    assert bnq.report(torch.from_numpy(weights), q) == r


def test_lossless(weights: np.ndarray) -> None:
    values = bnq.quantize(weights, "ternary").dequantize()
    r = bnq.report(values, bnq.quantize(values, "ternary"))
    assert r.lossless
    assert (r.sqnr_db, r.cosine, r.max_abs_error, r.prequantized_granules) == (math.inf, 1, 0, 1)
    assert "lossless" in str(r)


def test_prints_well(weights: np.ndarray) -> None:
    text = str(bnq.report(weights, bnq.quantize(weights, 8)))
    assert "SQNR" in text
    assert " dB" in text
    assert len(text.splitlines()) == 7


def test_frozen(weights: np.ndarray) -> None:
    with pytest.raises(AttributeError):
        bnq.report(weights, bnq.quantize(weights, 8)).noise = 0


def test_refusals(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, 8)
    with pytest.raises(bnq.InvalidArgumentError, match="another shape"):
        bnq.report(weights.T, q)
    with pytest.raises(bnq.UnsupportedError, match="f64"):
        bnq.report(weights.astype(np.float64), q)
    with pytest.raises(bnq.InvalidArgumentError, match="not quantized"):
        bnq.report(weights, weights)
    weights[1, 2] = np.nan
    with pytest.raises(bnq.BadContentError, match=r"\[1, 2\]"):
        bnq.report(weights, q)
