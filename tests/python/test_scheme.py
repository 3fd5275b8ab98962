"""Scheme: names, values, refusals."""

import pickle

import pytest

import bnq


def test_names_round_trip() -> None:
    for scheme in bnq.schemes():
        assert bnq.Scheme(str(scheme)) == scheme
        assert repr(scheme) == f"Scheme('{scheme}')"
        assert scheme.about


def test_there_is_every_precision() -> None:
    assert {bnq.Scheme(p) for p in (8, 7, 6, 5, 4, 3, 2, 1.58, 1)} | {bnq.Scheme.activations()} == set(bnq.schemes())


def test_value_type() -> None:
    a, b = bnq.Scheme("4"), bnq.Scheme(4, granularity="group(64)")
    assert a == b
    assert hash(a) == hash(b)
    assert a != bnq.Scheme("4:row")
    assert a != "4"
    assert pickle.loads(pickle.dumps(a)) == a
    assert bnq.Scheme(a) == a


def test_immutable() -> None:
    scheme = bnq.Scheme(8)
    with pytest.raises(AttributeError):
        scheme.granularity = "tensor"
    with pytest.raises(AttributeError):
        scheme.new_attribute = 1


def test_properties() -> None:
    scheme = bnq.Scheme("ternary:group(32)")
    assert (scheme.rule, scheme.granularity) == ("ternary-absmean", "group(32)")
    assert (scheme.min_code, scheme.max_code, scheme.code_bits, scheme.has_zero) == (-1, 1, 2, True)
    assert not bnq.Scheme("binary").has_zero
    assert str(scheme.with_granularity("row")) == "ternary-absmean:row"
    assert bnq.Scheme(2).warning
    assert not scheme.warning


@pytest.mark.parametrize("text", ["", "int9", "ternary:", "ternary:column", "8:group(0)", "8:group(-1)", "8:group()"])
def test_unknown_names_are_refused(text: str) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="need"):
        bnq.Scheme(text)


def test_granularity_given_twice() -> None:
    assert bnq.Scheme("8:row", granularity="row") == bnq.Scheme(8)
    for scheme in ("8:row", bnq.Scheme(8)):
        with pytest.raises(bnq.InvalidArgumentError, match="given twice"):
            bnq.Scheme(scheme, granularity="tensor")
