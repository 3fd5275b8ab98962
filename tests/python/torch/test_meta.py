"""Tensors without values, on torch's meta device: where one meets others, no number is made up."""

import re
from typing import Any

import pytest
import torch
from torch import nn

import bnq
from bnq.torch import PackedLinear

SCHEMES = ("8", "4", "ternary", "binary")
X = torch.linspace(-2, 3, 3 * 96).reshape(3, 96)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of low-bit schemes


@pytest.fixture(params=SCHEMES)
def layer(request: pytest.FixtureRequest) -> PackedLinear:
    torch.manual_seed(7)
    return PackedLinear.from_linear(nn.Linear(96, 24), request.param)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_layer_without_weights_refuses_tokens(layer: PackedLinear, requires_grad: bool) -> None:
    x = X.clone().requires_grad_(requires_grad)
    with pytest.raises(bnq.UnsupportedError, match=r"meta.*load its values first"):
        layer.to("meta")(x)


def test_operators_refuse_parts_without_values(layer: PackedLinear) -> None:
    ops: Any = torch.ops.bnq
    weight, scales, bias, *rest = layer._parts()
    codes, code_scales = ops.quantize(X, "8")
    for name, call in (
        ("packed_linear", lambda: ops.packed_linear(X, weight.to("meta"), scales, bias, *rest)),
        ("packed_linear", lambda: ops.packed_linear(X, weight, scales, bias.to("meta"), *rest)),
        ("packed_dequantize", lambda: ops.packed_dequantize(weight, scales.to("meta"), *rest, torch.float32)),
        ("dequantize", lambda: ops.dequantize(codes, code_scales.to("meta"), "8", torch.float32)),
        ("pack", lambda: ops.pack(codes, code_scales.to("meta"), "8")),
    ):
        with pytest.raises(
            bnq.UnsupportedError, match=f"^bnq::{name}: {re.escape('a tensor without values (got cpu')}"
        ):
            call()


def test_to_empty_gives_a_layer_that_knows_it_has_no_weights(layer: PackedLinear) -> None:
    state = layer.state_dict()
    empty = nn.Sequential(PackedLinear(96, 24, layer.scheme)).to("meta").to_empty(device="cpu")
    assert isinstance(empty[0], PackedLinear)
    with pytest.raises(bnq.InvalidArgumentError, match="has no weights yet"):
        empty(X)
    assert torch.equal(empty.state_dict()["0.scheme_text"], state["scheme_text"])
    empty.load_state_dict({f"0.{name}": tensor for name, tensor in state.items()})
    assert torch.equal(empty(X), layer(X))


def test_to_empty_keeps_what_half_keeps(layer: PackedLinear) -> None:
    empty = layer.to("meta").half().to_empty(device="cpu")
    assert empty.scales.dtype == torch.float32
    assert empty.scales.isnan().all()
