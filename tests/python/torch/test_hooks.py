"""Hooks of a layer that is swapped: they run once, in its successor, and their handles still remove them."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import bnq
from bnq.torch import BitLinear, PackedLinear, convert_, prepare_qat_, quantize_

X = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))


def to_packed(model: nn.Module) -> None:
    quantize_(model, 8)


def to_normed(model: nn.Module) -> None:
    prepare_qat_(model, norm=True)
    convert_(model)


SWAPS: list[Callable[[nn.Module], Any]] = [to_packed, prepare_qat_, to_normed]


def watched(seen: list[str]) -> tuple[nn.Module, list[Any]]:
    layer = nn.Linear(8, 8)
    handles = [
        layer.register_forward_pre_hook(lambda *_: seen.append("before")),
        layer.register_forward_pre_hook(lambda *_: seen.append("before with kwargs"), with_kwargs=True),
        layer.register_forward_hook(lambda *_: seen.append("after")),
        layer.register_forward_hook(lambda *_: seen.append("after with kwargs"), with_kwargs=True),
        layer.register_forward_hook(lambda *_: seen.append("always"), always_call=True),
        layer.register_full_backward_pre_hook(lambda *_: seen.append("before backward")),
        layer.register_full_backward_hook(lambda *_: seen.append("after backward")),
    ]
    return nn.Sequential(layer), handles


FORWARD = ["before", "before with kwargs", "after", "after with kwargs", "always"]


@pytest.mark.parametrize("swapped", SWAPS)
def test_each_runs_once_and_its_handle_removes_it(swapped: Callable[[nn.Module], Any]) -> None:
    seen: list[str] = []
    model, handles = watched(seen)
    swapped(model)
    assert not isinstance(model[0], nn.Linear) or isinstance(model[0], BitLinear)  # type: ignore[index]
    model(X.clone().requires_grad_()).sum().backward()
    assert seen == [*FORWARD, "before backward", "after backward"]
    for handle in handles:
        handle.remove()
    seen.clear()
    model(X.clone().requires_grad_()).sum().backward()
    assert not seen


@pytest.mark.parametrize("swapped", SWAPS)
def test_those_that_are_always_called_run_after_an_error(swapped: Callable[[nn.Module], Any]) -> None:
    seen: list[str] = []
    model, _ = watched(seen)
    swapped(model)
    with pytest.raises((ValueError, RuntimeError)):
        model(X[:, :3])
    assert seen == ["before", "before with kwargs", "always"]


@pytest.mark.parametrize("training", [True, False])
def test_the_norm_of_a_converted_layer_is_in_its_mode(training: bool) -> None:
    model: Any = nn.Sequential(BitLinear(8, 8, norm=True)).train(training)
    convert_(model)
    assert isinstance(model[0][1], PackedLinear)
    assert [module.training for module in model.modules()] == [training] * 4


def test_hooks_of_states_stay_behind() -> None:
    """They know the keys of a float layer."""
    seen: list[str] = []
    layer = nn.Linear(8, 8)
    layer.register_state_dict_pre_hook(lambda *_: seen.append("saved"))
    layer.register_load_state_dict_pre_hook(lambda *_: seen.append("loaded"))
    model = nn.Sequential(layer)
    quantize_(model, 8)
    model.load_state_dict(model.state_dict())
    assert not seen


def test_layers_take_their_input_by_the_name_that_linear_gives_it() -> None:
    model: Any = nn.Sequential(nn.Linear(8, 8))
    quantize_(model, 8)
    assert torch.equal(model[0](input=X), model[0](X))
    bit_linear = BitLinear(8, 8)
    assert torch.equal(bit_linear(input=X), bit_linear(X))


def by_absmax(module: Any, _: Any, y: torch.Tensor) -> torch.Tensor:
    limit = module.weight.abs().max()
    return y / limit


def times(factor: float, module: Any, _: Any, y: torch.Tensor) -> torch.Tensor:
    return y * factor * module.weight.mean()


class Reader:
    weight = 2.0

    def reads(self, layer: Any, *_: Any) -> None:
        self.seen = layer.weight.clone()

    def __call__(self, layer: Any, *_: Any) -> None:
        self.seen = layer.weight.clone()

    def reads_its_own(self, _: Any, __: Any, y: torch.Tensor) -> torch.Tensor:
        return y * self.weight


no_source: dict[str, Any] = {}
exec("def scaled(m, i, o): return o * m.weight.mean()", no_source)  # as a hook that is made at run time
READERS: dict[str, Callable[..., Any]] = {
    "function": by_absmax,
    "partial": functools.partial(times, 2.0),
    "method": Reader().reads,
    "object": Reader(),
    "no source": no_source["scaled"],
    "a part of a line": (lambda m, _, o: o
        * m.weight.mean()),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_a_layer_whose_weight_a_hook_reads_is_kept(name: str) -> None:
    """It would read packed bytes, in silence."""
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    model[0].register_forward_hook(READERS[name])
    y = model[0](X)
    kept = quantize_(model, 8).kept
    assert [(layer.name, layer.reason) for layer in kept] == [("0", "a hook on it reads its weight")]
    assert torch.equal(model[0](X), y)


def test_a_layer_whose_weight_a_hook_around_it_reads_is_kept() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(8, 8)), nn.Linear(8, 8))
    model[0].register_forward_pre_hook(lambda block, inputs: (inputs[0].to(block[0].weight.dtype),))
    assert [layer.name for layer in quantize_(model, 8).layers] == ["1"]
    model(X)


def test_hooks_that_read_something_else_keep_nothing() -> None:
    model = nn.Sequential(nn.Linear(8, 8))
    model[0].register_forward_hook(Reader().reads_its_own)
    model[0].register_forward_hook(lambda m, _, y: y.to(m.weight.device))
    quantize_(model, 8)
    assert torch.equal(model(X), 2 * PackedLinear.forward(model[0], X))  # type: ignore[arg-type]


def test_training_layers_have_the_weight_that_a_hook_reads() -> None:
    model = nn.Sequential(nn.Linear(8, 8))
    model[0].register_forward_hook(by_absmax)
    prepare_qat_(model)
    assert isinstance(model[0], BitLinear)
    with pytest.raises(bnq.InvalidArgumentError, match="0 is kept: a hook on it reads its weight"):
        convert_(model)


def test_children_are_found_by_any_name_that_a_method_gives_its_module() -> None:
    class Odd(nn.Module):
        def __init__(this) -> None:  # noqa: N805
            super().__init__()
            this.first, this.second = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(this, x: torch.Tensor) -> Any:  # noqa: N805
            return this.second(x.to(this.first.weight.dtype)) + this.first(x)

    assert [layer.name for layer in quantize_(Odd(), 8).layers] == ["second"]
