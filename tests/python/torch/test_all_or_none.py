"""The verbs change a model whole or not at all, and say in a sentence that begins with the verb why not."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import bnq
from bnq.torch import BitLinear, PackedLinear, convert_, load_, optimize, prepare_qat_, quantize_

VERBS: dict[str, Callable[[Any], Any]] = {
    "quantize_": quantize_,
    "load_": lambda model: load_(model, "nothing.safetensors"),
    "optimize": optimize,
    "prepare_qat_": prepare_qat_,
    "convert_": convert_,
}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(6, 8)
        self.linear = nn.Linear(8, 4)
        self.register_buffer("count", torch.tensor(3, dtype=torch.int32))
        self.register_buffer("mask", torch.ones(2), persistent=False)


def tensors() -> dict[str, Any]:
    torch.manual_seed(1)
    q = bnq.quantize(torch.randn(4, 8), 8)
    table = torch.randn(6, 8)
    return {"table.weight": table, "linear.weight": q, "linear.bias": torch.randn(4), "count": torch.tensor(5)}


def loaded(model: Any, tmp_path: Path, **changed: Any) -> Any:
    bnq.save(tmp_path / "small.safetensors", tensors() | changed, force=True)
    return load_(model, tmp_path / "small.safetensors")


def test_load_copies_numbers_of_the_same_kind(tmp_path: Path) -> None:
    model = loaded(Net(), tmp_path, **{"table.weight": tensors()["table.weight"].to(torch.bfloat16)})
    assert model.table.weight.dtype == torch.float32
    assert torch.equal(model.table.weight, tensors()["table.weight"].to(torch.bfloat16).float())
    assert model.count.dtype == torch.int32
    assert model.count == 5
    assert isinstance(model.linear, PackedLinear)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"table.weight": torch.ones(6, 8, dtype=torch.int8)}, "table.weight torch.int8, need torch.float32"),
        ({"linear.bias": torch.ones(4, dtype=torch.int64)}, "linear.bias torch.int64, need torch.float32"),
        ({"count": torch.tensor(5.0)}, "count torch.float32, need torch.int32"),
        ({"count": torch.tensor(2**40)}, "count torch.int64, need torch.int32"),
        ({"count": torch.tensor(True)}, "count torch.bool, need torch.int32"),
        ({"linear.bias": torch.full((4,), torch.nan)}, "linear: .*finite"),
    ],
)
def test_load_refuses_what_a_tensor_cannot_hold(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    refused(Net(), lambda model: loaded(model, tmp_path, **changed), f"^load_: .*{message}.*nothing was changed$")


def test_load_refuses_numbers_that_become_infinite(tmp_path: Path) -> None:
    large = torch.full((6, 8), 1e5)
    for table in (large, bnq.quantize(large, 8)):
        message = r"table\.weight .*got 48 beyond 65504, need numbers of torch\.float16.*nothing was changed$"
        refused(Net().half(), lambda model, t=table: loaded(model, tmp_path, **{"table.weight": t}), message)
        assert loaded(Net().bfloat16(), tmp_path, **{"table.weight": table}).table.weight.isfinite().all()
    large[0, 0] = torch.inf  # was so before
    large[:] = large.clamp_min(1e5) / 1e5
    assert loaded(Net().half(), tmp_path, **{"table.weight": large}).table.weight[0, 0] == torch.inf


def refused(model: nn.Module, call: Callable[[Any], Any], message: str) -> None:
    """By an error of bnq, after which the model is what it was."""
    before, children = copy.deepcopy(model.state_dict()), list(model.modules())
    with pytest.raises(bnq.Error, match=message):
        call(model)
    assert list(map(id, model.modules())) == list(map(id, children))
    for name, tensor in model.state_dict().items():
        assert tensor.is_meta or torch.equal(tensor.nan_to_num(7), before[name].nan_to_num(7))


def test_load_refuses_a_model_without_memory(tmp_path: Path) -> None:
    whole, table, mask = Net().to("meta"), Net(), Net()
    table.table.to("meta")
    mask.mask = mask.mask.to("meta")
    for model, name in ((whole, "table.weight"), (table, "table.weight"), (mask, "mask")):
        refused(model, lambda m: loaded(m, tmp_path), rf"got {name} on the meta device.*nothing was changed$")


def test_load_refuses_what_cannot_be_written(tmp_path: Path) -> None:
    expanded, lazy, packed = Net(), Net(), Net()
    expanded.table.weight = nn.Parameter(torch.zeros(1, 8).expand(6, 8))
    lazy.table = nn.LazyLinear(4)  # type: ignore[assignment]
    quantize_(packed, 8)
    for model, message in ((expanded, "table.weight .*expanded"), (packed, "packed layers already")):
        refused(model, lambda m: loaded(m, tmp_path), message + ".*nothing was changed$")
    with pytest.raises(bnq.InvalidArgumentError, match="lazy"):
        loaded(lazy, tmp_path)


@pytest.mark.parametrize("extra", [torch.ones(2), {"step": 1}])
def test_load_refuses_what_state_dict_makes(extra: Any, tmp_path: Path) -> None:
    """A tensor that get_extra_state gives is a copy: what is written into it is lost."""

    class Extra(Net):
        def get_extra_state(self) -> Any:
            return extra

        def set_extra_state(self, state: Any) -> None: ...

    with pytest.raises(bnq.InvalidArgumentError, match=r"_extra_state .*load_state_dict; nothing was changed"):
        loaded(Extra(), tmp_path, _extra_state=torch.zeros(2))


@pytest.mark.parametrize("outside", [True, False])
def test_load_writes_into_inference_tensors(outside: bool, tmp_path: Path) -> None:
    with torch.inference_mode(outside):
        model = Net()
    with torch.inference_mode(not outside):
        loaded(model, tmp_path)
    assert torch.equal(model.table.weight, tensors()["table.weight"])
    assert torch.equal(model.linear.bias, tensors()["linear.bias"])


@pytest.mark.parametrize("verb", VERBS)
def test_refuses_what_is_no_model(verb: str) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match=rf"^{verb}: not a model \(got int"):
        VERBS[verb](3)


@pytest.mark.parametrize(
    ("verb", "layer", "instead"),
    [
        ("quantize_", nn.Linear(4, 4), "PackedLinear.from_linear"),
        ("load_", nn.Linear(4, 4), "PackedLinear.from_quantized"),
        ("prepare_qat_", nn.Linear(4, 4), "BitLinear.from_linear"),
        ("convert_", BitLinear(4, 4), "PackedLinear.from_linear"),
    ],
)
def test_refuses_a_layer_that_nothing_holds(verb: str, layer: nn.Module, instead: str) -> None:
    refused(layer, VERBS[verb], rf"^{verb}: .*nothing holds it.*{instead}.*nothing was changed$")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: quantize_(m, device="foo"), r"^quantize_: no device \(got 'foo'"),
        (lambda m: quantize_(m, device=3.5), r"^quantize_: no device \(got 3.5"),  # type: ignore[arg-type]
        (lambda m: quantize_(m, rules={3: 8}), r"^quantize_: .*rule.*got 3"),  # type: ignore[dict-item]
        (lambda m: prepare_qat_(m, 8, 3), "^prepare_qat_: filter_fn is no function"),  # type: ignore[arg-type]
        (lambda m: prepare_qat_(m, 8, lambda *_: False), "^prepare_qat_: no layer is chosen.*0 is kept"),
        (lambda m: prepare_qat_(m, norm="no"), "norm: not a switch"),  # type: ignore[arg-type]
    ],
)
def test_arguments_are_refused_in_words(call: Callable[[Any], Any], message: str) -> None:
    refused(nn.Sequential(nn.Linear(4, 4)), call, message)


@pytest.mark.parametrize("verb", ["quantize_", "convert_"])
def test_errors_name_the_verb_and_the_layer(verb: str) -> None:
    kind = BitLinear if verb == "convert_" else nn.Linear
    model = nn.Sequential(kind(4, 4), kind(4, 4))
    with torch.no_grad():
        model[1].weight[0, 0] = torch.nan
    refused(model, VERBS[verb], rf"^{verb}: 1: .*NaN.*nothing was changed$")


def test_a_parent_that_takes_no_other_layers_gets_them_all() -> None:
    class Strict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "second" and not isinstance(value, nn.Linear):
                raise TypeError(name)
            super().__setattr__(name, value)

    model = Strict()
    quantize_(model, 8)
    assert isinstance(model.first, PackedLinear)
    assert isinstance(model.second, PackedLinear)


def test_a_state_whose_scheme_is_no_text_is_refused_in_words() -> None:
    layer = PackedLinear.from_linear(nn.Linear(4, 4), 8)
    state = layer.state_dict()
    for wrong in (state["scheme_text"].float(), state["scheme_text"][None]):
        with pytest.raises(RuntimeError, match="of another scheme"):
            layer.load_state_dict(state | {"scheme_text": wrong})


def test_a_norm_is_not_left_out() -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="has no norm"):
        PackedLinear.from_linear(BitLinear(4, 4, norm=True), "ternary")
