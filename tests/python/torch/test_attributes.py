"""Attributes of layers: what says how a layer computes is true, and what users set on a layer is not lost."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import bnq
from bnq.torch import BitLinear, PackedLinear, convert_

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
