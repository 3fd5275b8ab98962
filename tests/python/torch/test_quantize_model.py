"""bnq.torch.quantize_ and load_ on whole models: what is swapped, what is kept, and what is refused."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import bnq
from bnq.torch import Coverage, PackedLinear, load_, quantize_


class Net(nn.Module):
    def __init__(self, *, tied: bool = True) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embed = nn.Embedding(24, 32)
        self.up = nn.Linear(32, 64)
        self.down = nn.Linear(64, 32, bias=False)
        self.again = self.up
        self.twin = nn.Linear(32, 64)
        self.twin.weight, self.twin.bias = self.up.weight, self.up.bias
        self.experts = nn.Parameter(torch.randn(2, 32, 32))
        self.lm_head = nn.Linear(32, 24, bias=False)
        if tied:
            self.lm_head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        x = x + self.down(torch.relu(self.up(x))) + self.down(self.twin(x)) + x @ self.experts[0]
        y: torch.Tensor = self.lm_head(x)
        return y


IDS = torch.arange(12).reshape(2, 6)


def names_of(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, PackedLinear)]


def state_of(model: nn.Module) -> list[tuple[str, int]]:
    return [(name, id(tensor)) for name, tensor in model.state_dict(keep_vars=True).items()]


@pytest.mark.parametrize("scheme", [8, 4, "ternary"])
def test_swaps_linear_layers_and_keeps_the_rest(scheme: Any) -> None:
    model, original = Net(), Net()
    coverage = quantize_(model, scheme)
    assert names_of(model) == ["up", "down", "twin"], "each object once"
    assert model.again is model.up is not model.twin
    assert model.up.weight is model.twin.weight, "shared weights stay shared"
    assert model.lm_head.weight is model.embed.weight
    expected = bnq.Linear(bnq.quantize(original.up.weight, scheme), original.up.bias)
    x = torch.randn(3, 32)
    assert torch.equal(model.up(x), expected(x))
    assert {layer.name for layer in coverage.layers} == {"up", "down", "twin"}
    kept = {layer.name: layer.reason for layer in coverage.kept}
    assert kept["embed"] == "embedding"
    assert "3-d" in kept["experts"]
    assert coverage.bytes_after < coverage.bytes_before


def test_coverage_prints_well() -> None:
    text = str(quantize_(Net(tied=False), 8))
    assert "quantized  3 layers int8-absmax:row" in text
    assert "lm_head: output head" in text
    assert "experts: a 3-d parameter of Net, as fused experts are" in text
    assert "%" in text


def test_filter_and_rules_choose() -> None:
    model = Net(tied=False)
    coverage = quantize_(model, 8, lambda _, name: name != "down", rules={"*": "keep", "down": 4, "lm*": "8:tensor"})
    assert {layer.name: layer.scheme for layer in coverage.layers} == {
        "down": "int4-absmax:group(64)",
        "lm_head": "int8-absmax:tensor",
    }
    assert {layer.reason for layer in coverage.kept if layer.name == "up"} == {"rule '*'"}
    model = Net(tied=False)
    quantize_(model, 8, lambda module, name: isinstance(module, nn.Linear) and name == "lm_head")
    assert names_of(model) == ["lm_head"]


def test_a_tied_head_is_swapped_only_by_name() -> None:
    model = Net()
    quantize_(model, 8, rules={"lm_head": 8})
    assert isinstance(model.lm_head, PackedLinear)
    assert isinstance(model.embed.weight, nn.Parameter)


@pytest.mark.parametrize(
    ("change", "call", "message"),
    [
        (lambda m: quantize_(m, 8), {}, r"quantized already \(got 3 PackedLinear"),
        (lambda _: None, {"filter_fn": lambda *_: False}, "no layer is chosen .* up kept: filter_fn"),
        (lambda _: None, {"rules": {"nothing*": 4}}, "matches no linear layer"),
        (lambda _: None, {"scheme": 9}, "precision"),
        (lambda _: None, {"device": "cuda:99"}, r"torch has no such device here .got 'cuda:99'"),
        (lambda _: None, {"rules": ["up"]}, "rules are no dict"),
        (lambda _: None, {"filter_fn": "up"}, "filter_fn is no function"),
        (lambda m: m.down.double(), {}, "down: .*f64.*nothing was changed"),
        (lambda m: m.down.weight.data.fill_(torch.nan), {}, "down: .*NaN.*nothing was changed"),
        (lambda m: m.down.to("meta"), {}, "down: .*meta"),
    ],
)
def test_refuses_and_leaves_the_model(change: Any, call: dict[str, Any], message: str) -> None:
    model = Net()
    change(model)
    before = state_of(model)
    with pytest.raises(bnq.Error, match=message):
        quantize_(model, **({"scheme": 8} | call))
    assert state_of(model) == before


def test_refuses_what_is_no_model_or_one_layer() -> None:
    for wrong, message in ((3, "not a model"), (nn.Linear(4, 4), "from_linear"), (nn.ReLU(), "no linear layer")):
        with pytest.raises(bnq.InvalidArgumentError, match=message):
            quantize_(wrong)  # type: ignore[arg-type]


def test_torchs_transformer_takes_no_fast_path_around_packed_layers() -> None:
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval()
    x = torch.randn(2, 5, 32)
    with torch.no_grad():
        before = model(x)
        coverage = quantize_(model, 8)
        after = model(x)
    assert {layer.name.rpartition(".")[2] for layer in coverage.layers} == {"linear1", "linear2"}
    assert 0 < (after - before).abs().max() < 0.1, "another result, and a near one"
    assert any("out_proj" in layer.name for layer in coverage.kept), "attention reads its weight itself"


def test_layers_that_are_no_plain_linear_ones_stay() -> None:
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
    model = nn.Sequential(nn.LazyLinear(8), normed, nn.LSTM(8, 8), nn.Linear(8, 8))
    coverage = quantize_(model, 8)
    assert [layer.name for layer in coverage.layers] == ["3"]
    assert {"2.weight_ih_l0", "2.weight_hh_l0"} < {layer.name for layer in coverage.kept}


def test_hooks_move_along() -> None:
    model, seen = Net(), []
    model.up.register_forward_hook(lambda *_: seen.append("after"))
    model.up.register_forward_pre_hook(lambda *_: seen.append("before"))
    quantize_(model, 8)
    model.up(torch.randn(1, 32))
    assert seen == ["before", "after"]


def test_an_adapter_on_top_trains() -> None:
    """LoRA: low-rank matrices beside frozen packed weights."""
    torch.manual_seed(0)
    base = PackedLinear.from_linear(nn.Linear(16, 16), 4)
    a, b = nn.Parameter(torch.randn(2, 16) * 0.1), nn.Parameter(torch.zeros(16, 2))
    first = nn.Linear(16, 16)
    x, y = torch.randn(64, 16), torch.randn(64, 16)
    optimizer = torch.optim.Adam([a, b, *first.parameters()], 0.02)
    losses = []
    for _ in range(60):
        h = first(x)
        loss = ((base(h) + h @ a.T @ b.T - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def checkpoint(tmp_path: Path, **options: Any) -> tuple[Path, Net]:
    model = Net(tied=False)
    del model.again, model.twin
    bnq.save(tmp_path / "float.safetensors", {name: tensor.detach() for name, tensor in model.state_dict().items()})
    bnq.quantize_checkpoint(tmp_path / "float.safetensors", tmp_path / "small.safetensors", **options)
    return tmp_path / "small.safetensors", model


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_load_takes_what_the_command_line_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, model = checkpoint(tmp_path, scheme=8, embeddings=8)
    wanted = copy.deepcopy(model)
    quantize_(wanted, 8)
    monkeypatch.setattr("bnq._core.quantize", None)  # nothing is quantized anew
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.zero_()
    assert load_(model, path) is model
    assert names_of(model) == names_of(wanted)
    x = torch.randn(2, 32)
    assert torch.equal(model.up(x), wanted.up(x))
    assert torch.equal(model.experts, wanted.experts)
    table = bnq.load(path, framework="torch")["embed.weight"]
    assert torch.equal(model.embed.weight, table.dequantize(torch.float32))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_load_names_what_does_not_fit(tmp_path: Path) -> None:
    path, model = checkpoint(tmp_path, scheme=8)
    model.more = nn.Linear(2, 2)  # type: ignore[assignment]
    model.down = nn.Linear(64, 16)
    del model.experts
    before = state_of(model)
    with pytest.raises(bnq.InvalidArgumentError, match="load_") as error:
        load_(model, path)
    for part in (
        "3 missing in the file: down.bias, more.weight",
        "1 not in the model: experts",
        "down.weight (32, 64)",
    ):
        assert part in str(error.value)
    assert state_of(model) == before


def test_coverage_is_public() -> None:
    assert Coverage.__module__ == "bnq.torch"
