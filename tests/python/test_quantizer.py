"""BitNetQuantizer: precision, options, what it takes and gives back."""

import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import bnq


def test_repr_spells_the_scheme() -> None:
    assert repr(bnq.BitNetQuantizer(precision=8)) == (
        "BitNetQuantizer(weights=int8-absmax:row, activations=int8-token:row)"
    )


def test_default_is_int8_and_not_ternary() -> None:
    assert bnq.BitNetQuantizer() == bnq.BitNetQuantizer(precision=8) == bnq.BitNetQuantizer(scheme="int8")
    assert bnq.BitNetQuantizer().scheme.max_code == 127


@pytest.mark.parametrize(
    ("precision", "scheme"),
    [
        (8, "int8-absmax:row"),
        (8.0, "int8-absmax:row"),
        (5, "int5-absmax:row"),
        (4, "int4-absmax:group(64)"),
        (3, "int3-absmax:group(64)"),
        (1.58, "ternary-absmean:tensor"),
        (1, "binary-absmean:tensor"),
        (np.int64(4), "int4-absmax:group(64)"),
        (np.float64(1.58), "ternary-absmean:tensor"),
    ],
)
def test_precision(precision: float, scheme: str) -> None:
    assert str(bnq.BitNetQuantizer(precision).scheme) == scheme


@pytest.mark.parametrize("precision", [True, False, "8", "ternary", b"8", None, [8]])
def test_what_is_no_number_is_refused(precision: object) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match=r"8, 7, 6, 5, 4, 3, 2, 1\.58, 1"):
        bnq.BitNetQuantizer(precision)


@pytest.mark.parametrize("precision", [0, 9, 16, 1.5, -8, float("nan"), float("inf")])
def test_unknown_precision_lists_what_is_allowed(precision: float) -> None:
    with pytest.raises(ValueError, match=r"8, 7, 6, 5, 4, 3, 2, 1\.58, 1") as caught:
        bnq.BitNetQuantizer(precision)
    assert isinstance(caught.value, bnq.Error)
    assert not re.search(r"got \S*(nan|inf)\b", str(caught.value))  # spelled NaN and infinity, as the core does


def test_options_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        bnq.BitNetQuantizer(8, "row")


def test_granularity() -> None:
    assert str(bnq.BitNetQuantizer(4, granularity="row").scheme) == "int4-absmax:row"
    assert str(bnq.BitNetQuantizer(scheme="ternary", granularity="group(128)").scheme) == "ternary-absmean:group(128)"
    with pytest.raises(bnq.InvalidArgumentError, match=r"tensor, row or group\(n\)"):
        bnq.BitNetQuantizer(4, granularity="column")
    with pytest.raises(bnq.InvalidArgumentError, match="'tensor', 'row' or"):
        bnq.BitNetQuantizer(4, granularity=64)


@pytest.mark.parametrize("precision", [8, 8.0, 4, 1.58])
def test_precision_and_scheme_are_one_thing(precision: float) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="leave one out"):
        bnq.BitNetQuantizer(precision, scheme="4")
    assert str(bnq.BitNetQuantizer(scheme="4").scheme) == "int4-absmax:group(64)"


@pytest.mark.parametrize("scheme", ["int8-token", "int8-token:row", bnq.Scheme.activations()])
def test_the_scheme_of_activations_is_not_for_weights(scheme: object) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="is for activations"):
        bnq.BitNetQuantizer(scheme=scheme)


def test_contradictions_are_refused() -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="given twice"):
        bnq.BitNetQuantizer(scheme="ternary:row", granularity="tensor")


def test_precision_2_warns_where_it_was_asked_for() -> None:
    with pytest.warns(UserWarning, match="worse than ternary") as caught:
        quantizer = bnq.BitNetQuantizer(2)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantizer.quantize_weights(np.ones((2, 4), np.float32))  # once is enough


def test_takes_a_layer_or_a_tensor() -> None:
    layer = torch.nn.Linear(8, 4)
    quantizer = bnq.BitNetQuantizer(scheme="ternary")
    before = layer.weight.detach().clone()
    assert quantizer.quantize_weights(layer) == quantizer.quantize_weights(layer.weight)
    assert torch.equal(layer.weight, before)
    plain = SimpleNamespace(weight=np.ones((2, 4), np.float32))
    assert quantizer.quantize_weights(plain).shape == (2, 4)


@pytest.mark.parametrize("bad", [torch.nn.ReLU(), SimpleNamespace(weight=None), SimpleNamespace(weight=print), [1.0]])
def test_a_layer_without_weights_is_refused(bad: object) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="no weights"):
        bnq.BitNetQuantizer().quantize_weights(bad)


def test_activations_do_not_depend_on_the_precision(weights: np.ndarray) -> None:
    a, b = (bnq.BitNetQuantizer(precision).quantize_activations(weights) for precision in (8, 1.58))
    assert a == b == bnq.quantize_activations(weights)
    assert a.scheme == bnq.Scheme.activations()


def test_dequantize_takes_both_forms(weights: np.ndarray) -> None:
    quantizer = bnq.BitNetQuantizer()
    q = quantizer.quantize_weights(weights)
    assert np.array_equal(quantizer.dequantize(q), quantizer.dequantize(bnq.pack(q)))
    with pytest.raises(bnq.InvalidArgumentError, match="not quantized"):
        quantizer.dequantize(weights)


def test_equal_by_value() -> None:
    assert len({bnq.BitNetQuantizer(8), bnq.BitNetQuantizer(scheme="int8"), bnq.BitNetQuantizer(1.58)}) == 2
