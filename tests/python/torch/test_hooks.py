"""Hooks of a layer that is swapped: they run once, in its successor, and their handles still remove them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

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
