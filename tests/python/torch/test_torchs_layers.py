"""Layers of torch that are more than a product: kept with a reason, or what is around them learns of the swap."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

import bnq
from bnq.torch import BitLinear, PackedLinear, convert_, load_, prepare_qat_, quantize_


def linear() -> nn.Linear:
    return nn.Linear(8, 8)


def bias_pruned() -> nn.Linear:
    layer: nn.Linear = nn.utils.prune.l1_unstructured(linear(), "bias", 0.5)  # type: ignore[no-untyped-call]
    return layer


COMPUTED: list[tuple[Callable[[], Any], str]] = [
    (lambda: nn.utils.weight_norm(linear()), "remove_weight_norm"),
    (lambda: nn.utils.spectral_norm(linear()), "remove_spectral_norm"),
    (lambda: nn.utils.prune.l1_unstructured(linear(), "weight", 0.5), "prune.remove"),  # type: ignore[no-untyped-call]
    (bias_pruned, "prune.remove"),
    (lambda: nn.utils.parametrizations.weight_norm(linear()), "remove_parametrizations"),
    (lambda: nn.utils.parametrizations.orthogonal(linear()), "remove_parametrizations"),
]
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype.*:UserWarning"),
]


@pytest.mark.parametrize(("make", "cure"), COMPUTED)
def test_layers_whose_weights_are_computed_are_kept_with_a_cure(make: Callable[[], Any], cure: str) -> None:
    model = nn.Sequential(make(), linear())
    coverage = quantize_(model, 8, lambda *_: True)
    assert [layer.name for layer in coverage.layers] == ["1"]
    assert coverage.kept
    assert all(cure in layer.reason for layer in coverage.kept)
    model(torch.randn(2, 8))
    model = prepare_qat_(nn.Sequential(make(), linear()), filter_fn=lambda *_: True)
    assert not isinstance(model[0], BitLinear)
    assert isinstance(model[1], BitLinear)
    model(torch.randn(2, 8)).sum().backward()


@pytest.mark.parametrize(("make", "cure"), COMPUTED)
def test_they_are_refused_where_they_are_all_that_is_wanted(make: Callable[[], Any], cure: str) -> None:
    calls: list[Callable[[nn.Module], Any]] = [quantize_, prepare_qat_, lambda m: quantize_(m, rules={"0": 8})]
    for call in calls:
        model = nn.Sequential(make())
        with pytest.raises(bnq.InvalidArgumentError, match=cure):
            call(model)
        model(torch.randn(2, 8))
    with pytest.raises(bnq.InvalidArgumentError, match="layer's own"):
        BitLinear.from_linear(make())


def test_a_bit_linear_whose_weight_is_computed_is_not_converted() -> None:
    model = nn.Sequential(nn.utils.weight_norm(BitLinear(8, 8)), BitLinear(8, 8))
    coverage = convert_(model)
    assert [layer.name for layer in coverage.layers] == ["1"]
    model(torch.randn(2, 8))


@pytest.mark.parametrize("plain", [False, True])
def test_attention_keeps_the_layer_that_it_never_calls(plain: bool) -> None:
    model = nn.ModuleDict({"attention": nn.MultiheadAttention(8, 2), "after": linear()})
    if plain:
        model["attention"].out_proj = linear()
    coverage = quantize_(model, 8, lambda *_: True)
    assert [layer.name for layer in coverage.layers] == ["after"]
    kept = {layer.name: layer.reason for layer in coverage.kept}
    assert set(kept) == {"attention.in_proj_weight", "attention.out_proj"}
    assert all("MultiheadAttention" in reason for reason in kept.values())
    x = torch.randn(3, 2, 8)
    model["attention"](x, x, x)


@pytest.mark.skipif(not hasattr(nn, "LinearCrossEntropyLoss"), reason="since torch 2.13")
def test_a_loss_keeps_the_layer_that_it_never_calls() -> None:
    model = nn.ModuleDict({"loss": nn.LinearCrossEntropyLoss(8, 4), "after": linear()})
    coverage = quantize_(model, 8)
    assert [layer.name for layer in coverage.layers] == ["after"]
    assert "LinearCrossEntropyLoss" in coverage.kept[0].reason
    model["loss"](torch.randn(3, 8), torch.tensor([0, 1, 2]))


def test_kept_layers_have_the_reason_that_is_true() -> None:
    model = nn.Sequential(BitLinear(8, 8), linear())
    assert [layer.reason for layer in quantize_(model).kept] == ["a BitLinear, which convert_ packs"]
    model = nn.Sequential(BitLinear(8, 8), linear())
    assert [layer.reason for layer in convert_(model).kept] == ["a float layer"]


def swapped(model: nn.Module, verb: str, tmp_path: Any) -> None:
    if verb == "quantize_":
        quantize_(model, 8)
    elif verb == "load_":
        low = {n: bnq.quantize(t, 8) if t.dim() == 2 else t for n, t in model.state_dict().items()}
        bnq.save(tmp_path / "small.safetensors", low)
        load_(model, tmp_path / "small.safetensors")
    else:
        prepare_qat_(model, 8, norm="norm" in verb)
        if "convert_" in verb:
            convert_(model)


@pytest.mark.parametrize(
    "verb", ["quantize_", "load_", "prepare_qat_", "prepare_qat_ norm", "convert_", "convert_ norm"]
)
def test_torchs_encoder_feeds_no_nested_tensors(verb: str, tmp_path: Any) -> None:
    torch.manual_seed(0)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2).eval()
    model = nn.ModuleDict({"deep": nn.ModuleList([encoder])})
    x, padding = torch.randn(2, 5, 16), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    with torch.no_grad():
        before = encoder(x, src_key_padding_mask=padding)
        swapped(model, verb, tmp_path)
        after = encoder(x, src_key_padding_mask=padding)
        assert "norm" in verb or (after - before)[~padding].abs().max() < 0.1
        assert encoder.layers[1].linear2(x.new_ones(1, 32)).isfinite().all()


MORE: list[Callable[[nn.Module], Any]] = [
    lambda layer: layer.register_parameter("more", nn.Parameter(torch.full((8,), 3.0))),
    lambda layer: layer.register_buffer("more", torch.full((8,), 3.0)),
    lambda layer: layer.register_module("more", linear()),
]


@pytest.mark.parametrize("add", MORE)
@pytest.mark.parametrize("swapped", [quantize_, prepare_qat_])
def test_a_layer_that_holds_more_is_kept_with_all_of_it(swapped: Callable[..., Any], add: Callable[..., Any]) -> None:
    """An adapter by a hook; one that asks whether its tensors are there would be left out in silence."""
    layer = linear()
    add(layer)
    layer.register_forward_hook(lambda module, _, y: y * 3 if hasattr(module, "more") else y)
    model = nn.Sequential(layer, linear())
    keys = [key for key in model.state_dict() if key.startswith("0.")]
    done = swapped(model, 8, lambda _, name: name in ("0", "1"))
    assert model[0] is layer
    assert [key for key in model.state_dict() if key.startswith("0.")] == keys
    assert swapped is prepare_qat_ or "beside weight and bias" in str(done)


class Reads(nn.Module):
    """As T5 does: the input has to have the type of a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleDict({"wi": nn.Linear(16, 32)})
        self.wo = nn.Linear(32, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.wo(self.inner["wi"](x).to(self.wo.weight.dtype))


def test_a_layer_whose_weight_is_read_is_kept_and_said() -> None:
    model = nn.Sequential(Reads())
    x = torch.randn(3, 16)
    coverage = quantize_(model, 8)
    assert [layer.name for layer in coverage.layers] == ["0.inner.wi"]
    assert {kept.name: kept.reason for kept in coverage.kept} == {"0.wo": "Reads reads its weight beside calling it"}
    assert model(x).isfinite().all()


class ReadsByOtherWays(nn.Module):
    """A scale that is computed of weights; of packed bytes it would be a number too."""

    def __init__(self) -> None:
        super().__init__()
        self.by_property, self.by_name, self.by_index = linear(), linear(), nn.ModuleList([linear(), linear()])
        self.in_loop, self.in_dict = nn.ModuleList([linear()]), nn.ModuleDict({"a": linear()})
        self.numbered, self.nested = nn.ModuleList([linear()]), nn.ModuleList([Reads()])
        self.called, self.on_its_device = linear(), linear()

    @property
    def scale(self) -> torch.Tensor:
        return self.by_property.weight.abs().mean()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        layer = self.by_name
        weight = layer.weight
        scale = self.scale + weight.abs().mean() + self.by_index[1].weight.abs().mean()
        for one in self.in_loop:
            scale = scale + one.weight.abs().mean()
        for _, one in enumerate(self.numbered):
            scale = scale + one.weight.abs().mean()
        scale = scale + sum(one.weight.abs().mean() for one in self.in_dict.values())
        scale = scale + self.nested[0].inner["wi"].weight.abs().mean()
        y: torch.Tensor = self.on_its_device(self.called(x).to(self.on_its_device.weight.device))
        return y * scale


def test_weights_that_are_read_by_other_names_are_found() -> None:
    model, x = ReadsByOtherWays(), torch.randn(3, 8)
    want = model(x)
    coverage = quantize_(model, 8)
    assert [layer.name for layer in coverage.layers] == ["called", "on_its_device"]
    assert (model(x) - want).norm() <= 0.05 * want.norm()


def test_forward_mode_is_refused_not_dropped() -> None:
    x, layer = torch.randn(2, 8), BitLinear(8, 8)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, x)  # type: ignore[no-untyped-call]
        with pytest.raises(bnq.UnsupportedError, match="BitLinear: has no forward-mode derivative"):
            layer(dual)
        assert layer(x).shape == (2, 8)


def test_nested_tensors_are_refused_in_words() -> None:
    nested = torch.nested.nested_tensor([torch.randn(2, 8), torch.randn(3, 8)])
    for layer in (BitLinear(8, 8), PackedLinear.from_linear(linear(), 8)):
        with pytest.raises(bnq.UnsupportedError, match="to_padded_tensor"):
            layer(nested)
