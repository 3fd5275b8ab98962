"""Attributes of layers: what says how a layer computes is true, and what users set on a layer is not lost."""

import copy
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import bnq
from bnq.torch import BitLinear, PackedLinear, convert_, load_, prepare_qat_, quantize_

X = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))


def saved(module: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    loaded: nn.Module = torch.load(file, weights_only=False)
    return loaded


def test_the_scheme_of_a_packed_layer_is_read_only() -> None:
    packed = PackedLinear.from_linear(nn.Linear(8, 8), "ternary")
    y = packed(X)
    for other in (packed, copy.deepcopy(packed), pickle.loads(pickle.dumps(packed)), saved(packed)):
        with pytest.raises(bnq.InvalidArgumentError, match=r"is not set \(got 8, need 'ternary-absmean:tensor'\)"):
            other.scheme = 8
        assert other.scheme == bnq.Scheme("ternary")
        assert torch.equal(other(X), y)


@pytest.mark.parametrize("name", ["weight", "scales", "bias"])
def test_a_parameter_takes_no_buffers_place(name: str) -> None:
    """As transformers' tie_weights would have it."""
    packed = PackedLinear.from_linear(nn.Linear(8, 8), 8)
    y = packed(X)
    with pytest.raises(bnq.InvalidArgumentError, match=rf"^PackedLinear: {name} is a buffer.*got a parameter in torch"):
        setattr(packed, name, nn.Parameter(torch.ones(8, 8)))
    assert torch.equal(packed(X), y)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, about its own use of itself
def test_the_scheme_of_a_bit_linear_is_the_one_that_it_trains_and_is_packed_with() -> None:
    layer = BitLinear(8, 8, scheme="ternary")
    ternary = layer(X)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(X), ternary)
    layer.scheme = 8
    for other in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), saved(layer), compiled):
        assert torch.equal(other(X), BitLinear.from_linear(layer, 8)(X))
        assert not torch.equal(other(X), ternary)
    with pytest.raises(bnq.InvalidArgumentError, match="scheme"):
        layer.scheme = "nine"
    model = nn.Sequential(layer)
    assert [row.scheme for row in convert_(model).layers] == ["int8-absmax:row"]
    assert "int8-absmax:row" in repr(model)


def times_alpha(module: Any, _: Any, y: torch.Tensor) -> torch.Tensor:
    return y * getattr(module, "alpha", 1)


def loaded(model: nn.Module, tmp_path: Path) -> None:
    q = bnq.quantize(torch.randn(8, 8), 8)
    bnq.save(tmp_path / "small.safetensors", {"0.weight": q, "0.bias": torch.randn(8)})
    load_(model, tmp_path / "small.safetensors")


def converted(model: nn.Module, *, norm: bool) -> None:
    prepare_qat_(model, norm=norm)
    convert_(model)


VERBS: dict[str, Callable[[nn.Module, Path], Any]] = {
    "quantize_": lambda model, _: quantize_(model, 8),
    "load_": loaded,
    "prepare_qat_": lambda model, _: prepare_qat_(model),
    "convert_": lambda model, _: converted(model, norm=False),
    "convert_ norm": lambda model, _: converted(model, norm=True),
}


@pytest.mark.parametrize("verb", VERBS)
def test_what_was_set_on_a_layer_goes_along(verb: str, tmp_path: Path) -> None:
    """A hook that reads it would else compute something else, in silence."""
    layer: Any = nn.Linear(8, 8)
    layer.alpha, layer.note = 5, {"by": "somebody"}
    model: Any = nn.Sequential(layer)
    VERBS[verb](model, tmp_path)
    plain = model[0](X)
    model[0].register_forward_hook(times_alpha)
    assert torch.equal(model[0](X), 5 * plain)
    assert model[0].note is layer.note
    assert torch.equal(copy.deepcopy(model)(X), 5 * plain)


@pytest.mark.parametrize("name", ["scales", "scheme", "norm", "_made", "dequantize", "_apply"])
def test_a_name_that_a_successor_has_for_itself_keeps_the_layer(name: str) -> None:
    layer = nn.Linear(8, 8)
    object.__setattr__(layer, name, 5)
    model = nn.Sequential(layer, nn.Linear(8, 8))
    kept = quantize_(model, 8).kept
    assert [(row.name, f"somebody set {name} on it" in row.reason) for row in kept] == [("0", True)]
    assert model[0] is layer


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_layer_compiled_in_place_leaves_nothing_of_it() -> None:
    layer = nn.Linear(8, 8)
    layer.compile(backend="aot_eager")
    layer(X)
    model = nn.Sequential(layer)
    quantize_(model, 8)
    assert torch.equal(model(X), PackedLinear.from_linear(layer, 8)(X))


class Doubled(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
        return 2 * super().forward(input)


def patched() -> nn.Linear:
    layer = nn.Linear(8, 8)
    linear = layer.forward
    layer.forward = lambda x: 2 * linear(x)  # type: ignore[assignment,method-assign,misc]
    return layer


NOT_LINEAR: dict[str, tuple[Callable[[], Any], str]] = {
    "a class": (lambda: Doubled(8, 8), "a forward of its own"),
    "another forward": (patched, "a forward of its own"),
    "weight_norm": (lambda: nn.utils.weight_norm(nn.Linear(8, 8)), "a hook computes the weight|weight and bias must"),
    "prune": (
        lambda: nn.utils.prune.l1_unstructured(nn.Linear(8, 8), "bias", 0.5),
        "a hook computes the bias|weight and bias must",
    ),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("name", NOT_LINEAR)
@pytest.mark.parametrize("kind", [PackedLinear, BitLinear])
def test_from_linear_takes_what_computes_as_linear_does(kind: Any, name: str) -> None:
    """The weight that a hook left is older than the parameters; a forward would be lost in silence."""
    make, message = NOT_LINEAR[name]
    with pytest.raises(bnq.InvalidArgumentError, match=rf"^{kind.__name__}: .*({message})"):
        kind.from_linear(make(), "ternary")


def test_from_linear_takes_what_a_parametrization_computes_now() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
    with torch.no_grad():
        layer.parametrizations.weight.original0.mul_(3)  # type: ignore[union-attr]
    packed = PackedLinear.from_linear(layer, 8)
    assert (packed(X) - layer(X)).norm() < 0.02 * layer(X).norm()
