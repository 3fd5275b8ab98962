"""Weights and biases that several layers hold: each layer keeps its own hooks, and none keeps old values."""

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import bnq
from bnq.torch import PackedLinear, convert_, load_, prepare_qat_, quantize_


class Tied(nn.Module):
    """a, b and c share a weight, a and b a bias; again is a; table is an embedding of the same weight, if wanted."""

    def __init__(self, *, table: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(32, 16), nn.Linear(32, 16), nn.Linear(32, 16)
        self.b.weight = self.c.weight = self.a.weight
        self.b.bias = self.a.bias
        self.again = self.a
        if table:
            self.table = nn.Embedding(16, 32)
            self.table.weight = self.a.weight


X = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))


def file_of(tmp_path: Path, tensors: dict[str, Any]) -> Path:
    bnq.save(tmp_path / "small.safetensors", tensors, force=True)
    return tmp_path / "small.safetensors"


def new_values(scheme: str = "8") -> tuple[bnq.QuantizedTensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return bnq.quantize(torch.randn(16, 32), scheme), torch.randn(16), torch.randn(16)


def assert_shares(model: Any) -> None:
    assert model.a.weight.data_ptr() == model.b.weight.data_ptr() == model.c.weight.data_ptr()
    assert model.a.scales.data_ptr() == model.b.scales.data_ptr() == model.c.scales.data_ptr()
    assert model.a.bias.data_ptr() == model.b.bias.data_ptr() != model.c.bias.data_ptr()


def test_quantize_gives_each_layer_its_own_packed_one_over_the_same_codes() -> None:
    model, seen = Tied(), []
    for name in "abc":
        getattr(model, name).register_forward_hook(lambda *_, name=name: seen.append(name))
    model.b.eval()
    float_model = copy.deepcopy(model)
    coverage = quantize_(model, 8)
    assert model.a is model.again is not model.b
    assert (model.a.training, model.b.training) == (True, False)
    assert_shares(model)
    for name in "abc":
        layer = getattr(float_model, name)
        expected = bnq.Linear(bnq.quantize(layer.weight, 8), layer.bias)(X)
        assert torch.equal(getattr(model, name)(X), expected)
    assert seen == ["a", "b", "c"]
    # codes and scales, two biases, and the scheme's name for each
    assert coverage.bytes_after == 16 * 32 + 4 * 16 + 2 * 4 * 16 + 3 * len("int8-absmax:row")


def through_torch_save(model: Any) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    "copied",
    [
        copy.deepcopy,
        lambda m: pickle.loads(pickle.dumps(m)),
        through_torch_save,
        lambda m: m.half(),
        lambda m: m.to("cpu"),
    ],
)
def test_copies_and_casts_keep_codes_shared(copied: Any) -> None:
    model = Tied()
    quantize_(model, 4)
    expected = model.b(X)
    again = copied(model)
    assert_shares(again)
    assert torch.equal(again.b(X), expected)


def test_states_load_into_shared_codes(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    model, other = Tied(), Tied()
    with torch.no_grad():
        other.a.weight.mul_(2)
        other.c.bias.add_(1)
    quantize_(model, 8)
    quantize_(other, 8)
    safetensors.save_model(model, str(tmp_path / "state.safetensors"))
    safetensors.load_model(other, str(tmp_path / "state.safetensors"))
    assert_shares(other)
    for name in "abc":
        assert torch.equal(getattr(other, name)(X), getattr(model, name)(X))


def test_layers_with_other_biases_do_not_repack_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    model, made = Tied(), []
    quantize_(model, 8)
    linear = bnq.torch.ops.parts.Linear
    monkeypatch.setattr("bnq.torch.ops.parts.Linear", lambda *parts: made.append(parts) or linear(*parts))
    for _ in range(2):
        for layer in (model.a, model.b, model.c):
            layer(X.clone().requires_grad_()).sum().backward()  # through the operator
    assert not made


def test_a_weight_that_another_layer_reads_transposed_is_packed_twice() -> None:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + self.bias

    conv1d = type("Conv1D", (nn.Module,), {"__module__": "transformers.pytorch_utils", "forward": forward})
    model: Any = nn.ModuleDict({"a": nn.Linear(32, 32), "b": conv1d()})
    model["b"].weight, model["b"].bias = model["a"].weight, model["a"].bias
    weight = model["a"].weight.detach()
    quantize_(model, 8)
    for layer, expected in ((model["a"], weight), (model["b"], weight.t())):
        assert torch.equal(layer.dequantize(), bnq.quantize(expected, 8).dequantize())


def test_convert_shares_too() -> None:
    model = Tied()
    prepare_qat_(model, "8")
    assert model.a.weight is model.b.weight
    convert_(model)
    assert_shares(model)
    assert model.a is model.again


@pytest.mark.parametrize("name", ["a", "again", "b", "c"])
def test_load_reaches_every_layer_whichever_name_is_stored(name: str, tmp_path: Path) -> None:
    q, bias, other_bias = new_values()
    bias_name = {"a": "b", "again": "a", "b": "again", "c": "b"}[name]
    path = file_of(tmp_path, {f"{name}.weight": q, f"{bias_name}.bias": bias, "c.bias": other_bias})
    model = load_(Tied(), path)
    assert model.a is model.again
    assert_shares(model)
    for layer, wanted in ((model.a, bias), (model.b, bias), (model.c, other_bias)):
        assert torch.equal(layer(X), bnq.Linear(q, wanted)(X))


@pytest.mark.parametrize("name", ["b", "table"])
def test_load_reaches_an_embedding_that_is_tied_to_linear_layers(name: str, tmp_path: Path) -> None:
    q, bias, other_bias = new_values()
    model = Tied(table=True)
    load_(model, file_of(tmp_path, {f"{name}.weight": q, "a.bias": bias, "c.bias": other_bias}))
    assert torch.equal(model.table.weight, q.dequantize())
    assert isinstance(model.c, PackedLinear)
    assert torch.equal(model.c(X), bnq.Linear(q, other_bias)(X))
    assert_shares(model)


def test_load_gives_a_tied_bias_to_a_layer_that_stays(tmp_path: Path) -> None:
    q, bias, _ = new_values()
    float_weight = torch.randn(16, 32)
    model: Any = nn.ModuleDict({"a": nn.Linear(32, 16), "b": nn.Linear(32, 16)})
    model["b"].bias = model["a"].bias
    load_(model, file_of(tmp_path, {"a.weight": q, "a.bias": bias, "b.weight": float_weight}))
    assert torch.equal(model["a"].bias, bias)
    assert torch.equal(model["b"].bias, bias)
    assert torch.equal(model["b"].weight, float_weight)


def test_load_takes_what_stands_under_a_modules_own_name_first(tmp_path: Path) -> None:
    """A folder that stores both: the head low-bit, the embeddings it was tied to as they were."""
    q, bias, other_bias = new_values()
    table = torch.randn(16, 32)
    model = Tied(table=True)
    biases = {"a.bias": bias, "c.bias": other_bias}
    load_(model, file_of(tmp_path, {"a.weight": q, "b.weight": q, "c.weight": q, "table.weight": table} | biases))
    assert torch.equal(model.table.weight, table)
    assert torch.equal(model.b(X), bnq.Linear(q, bias)(X))
    assert model.b.weight is model.c.weight, "equal codes of one parameter are shared"


def test_load_refuses_two_values_for_one_parameter(tmp_path: Path) -> None:
    q, bias, other_bias = new_values()
    model = Tied()
    before = copy.deepcopy(model.state_dict())
    tensors = {"a.weight": q, "again.weight": new_values("4")[0], "a.bias": bias, "c.bias": other_bias}
    with pytest.raises(
        bnq.InvalidArgumentError, match=r"two values .*a\.weight and again\.weight.*nothing was changed"
    ):
        load_(model, file_of(tmp_path, tensors))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Listed(nn.Module):
    """Calls its layers by ways that no swap reaches."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.fc, self.other = nn.Linear(8, 8), nn.Linear(8, 8)
        self.way = way
        self.held: Any = {
            "list": [self.fc],
            "dict": {"fc": self.fc},
            "method": self.fc.forward,
            "methods": (self.fc.forward,),
        }.get(way)
        if way == "unregistered":
            object.__setattr__(self, "held", self.fc)

    def forward(self, x: torch.Tensor) -> Any:
        layer = (
            self.held["fc"] if self.way == "dict" else self.held[0] if self.way in ("list", "methods") else self.held
        )
        return self.other(layer(x))


@pytest.mark.parametrize("way", ["list", "dict", "method", "methods", "unregistered"])
def test_a_layer_that_is_held_where_no_swap_reaches_is_kept(way: str, tmp_path: Path) -> None:
    """The model would go on with the float layer; after load_ with one whose weights were never loaded."""
    model = Listed(way)
    coverage = quantize_(model, 8)
    assert [layer.name for layer in coverage.layers] == ["other"]
    assert [layer.reason for layer in coverage.kept] == [
        "Listed.held holds it too, and would go on with the float layer"
    ]
    tensors = {f"{name}.weight": bnq.quantize(torch.randn(8, 8), 8) for name in ("fc", "other")}
    bnq.save(tmp_path / "small.safetensors", tensors | {"fc.bias": torch.ones(8), "other.bias": torch.ones(8)})
    loaded = load_(Listed(way), tmp_path / "small.safetensors")
    x = torch.randn(2, 8)
    by_hand = loaded.other(x @ tensors["fc.weight"].dequantize(torch.float32).t() + 1)  # type: ignore[operator]
    torch.testing.assert_close(loaded(x), by_hand)
