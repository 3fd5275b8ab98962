"""torch.func, torch.fx and TorchScript around the layers: what they give is right, or refused in one sentence."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import bnq
from bnq.torch import BitLinear, PackedLinear

X = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))


def packed() -> PackedLinear:
    return PackedLinear.from_linear(nn.Linear(8, 8), 8)


LAYERS: list[Callable[[], Any]] = [packed, lambda: BitLinear(8, 8), lambda: BitLinear(8, 8, norm=True)]


@pytest.mark.parametrize("make", LAYERS)
def test_symbolic_trace_gives_a_graph_that_computes_the_same(make: Callable[[], Any]) -> None:
    model = nn.Sequential(nn.ReLU(), make(), nn.Linear(8, 2))
    graph = torch.fx.symbolic_trace(model)
    assert "torch.ops.bnq." in graph.code
    for traced in (graph, copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert torch.equal(traced(X), model(X))
    (got,) = torch.autograd.grad(graph(x := X.clone().requires_grad_()).sum(), x)
    (want,) = torch.autograd.grad(model(x).sum(), x)
    assert torch.equal(got, want)
    assert torch.equal(torch.fx.symbolic_trace(model[1])(X), model[1](X))


@pytest.mark.parametrize("make", LAYERS[:2])
def test_second_derivatives_go_by_reverse_mode_alone(make: Callable[[], Any]) -> None:
    layer = make()

    def loss(x: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = layer(x).pow(2).sum()
        return total

    with pytest.raises(bnq.UnsupportedError, match=r"no forward-mode derivative.*use torch\.func\.jacrev\("):
        torch.func.hessian(loss)(X[0])
    w = PackedLinear.from_linear(layer, layer.scheme).dequantize() if isinstance(layer, nn.Linear) else None
    w = layer.dequantize() if w is None else w
    torch.testing.assert_close(torch.func.jacrev(torch.func.jacrev(loss))(X[0]), 2 * w.t() @ w)


def test_stacked_weights_are_refused_and_stacked_inputs_are_not() -> None:
    layers: list[nn.Module] = [packed() for _ in range(3)]
    _, buffers = torch.func.stack_module_state(layers)
    one = layers[0]

    def call(state: dict[str, torch.Tensor], x: torch.Tensor) -> Any:
        return torch.func.functional_call(one, state, (x,))

    with pytest.raises(bnq.UnsupportedError, match=r"^PackedLinear: one set of weights serves all .*in a loop"):
        torch.vmap(call, in_dims=(0, None))(buffers, X)
    with pytest.raises(bnq.UnsupportedError, match="one set of weights serves all"):
        torch.func.grad(lambda bias: call(dict(one.named_buffers()) | {"bias": bias}, X).sum())(torch.zeros(8))
    assert torch.equal(torch.vmap(call, in_dims=(None, 0))(dict(one.named_buffers()), X), one(X))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_stacked_bit_linear_layers_are_quantized_each_by_itself() -> None:
    layers: list[nn.Module] = [BitLinear(8, 8) for _ in range(3)]
    parameters, _ = torch.func.stack_module_state(layers)
    y = torch.vmap(lambda p, x: torch.func.functional_call(layers[0], p, (x,)), in_dims=(0, None))(parameters, X)
    torch.testing.assert_close(y, torch.stack([layer(X) for layer in layers]))


@pytest.mark.parametrize("make", LAYERS[:2])
def test_functionalize(make: Callable[[], Any]) -> None:
    layer = make()
    assert torch.equal(torch.func.functionalize(layer)(X), layer(X))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", LAYERS[:2])
def test_torchscript_is_refused_and_a_trace_is_not(make: Callable[[], Any]) -> None:
    model = nn.Sequential(make())
    with pytest.raises(bnq.UnsupportedError, match=r"Linear: torch\.jit\.script cannot read it.*torch\.jit\.trace"):
        torch.jit.script(model)
    assert torch.equal(torch.jit.trace(model, X)(-X), model(-X))
