"""BitLinear: what it computes, what it learns, and that the converted layer computes the same."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import bnq
from bnq.torch import BitLinear, PackedLinear, convert_, prepare_qat_

SCHEMES = ["8", "4", "4:group(20)", "ternary", "ternary:row", "binary"]


def layer_of(scheme: str, *, bias: bool = True, norm: bool = False) -> BitLinear:
    torch.manual_seed(5)
    return BitLinear(96, 24, bias, scheme=scheme, norm=norm)


def error_bound(layer: BitLinear, x: torch.Tensor) -> torch.Tensor:
    """BitLinear sums K float32 products in any order, PackedLinear integers; both round scales and bias a few times.

    A sum of K products of floats has an error of at most (K + 2) u times the sum of their magnitudes, u = 2^-24.
    """
    w = bnq.quantize(layer.weight.detach(), layer.scheme).dequantize(torch.float32)
    t = bnq.quantize_activations(x).dequantize(torch.float32)
    magnitudes = t.abs() @ w.abs().T + (0 if layer.bias is None else layer.bias.abs())
    return (96 + 6) * 2.0**-24 * magnitudes


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_equals_its_formula_and_the_converted_layer(scheme: str, bias: bool) -> None:
    layer = layer_of(scheme, bias=bias).eval()
    x = torch.randn(7, 96)
    w = bnq.quantize(layer.weight.detach(), scheme).dequantize(torch.float32)
    t = bnq.quantize_activations(x).dequantize(torch.float32)
    y = layer(x).detach()
    assert torch.equal(y, nn.functional.linear(t, w, layer.bias).detach())
    model = nn.Sequential(layer)
    coverage = convert_(model)
    assert coverage.layers[0].scheme == str(layer.scheme)
    assert isinstance(model[0], PackedLinear)
    assert ((model(x) - y).abs() <= error_bound(layer, x)).all()


def test_norm_comes_before_quantization() -> None:
    layer = layer_of("ternary", norm=True).eval()
    x = torch.randn(7, 96) * 100
    plain = copy.deepcopy(layer)
    plain.norm = False
    normed = nn.functional.rms_norm(x, (96,))
    assert torch.equal(layer(x), plain(normed))
    model = nn.Sequential(layer)
    convert_(model)
    assert ((model(x) - layer(x)).abs() <= error_bound(layer, normed)).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_gradients_go_straight_through(scheme: str) -> None:
    layer = layer_of(scheme)
    x = torch.randn(7, 96, requires_grad=True)
    upstream = torch.randn(7, 24)
    (layer(x) * upstream).sum().backward()
    w = bnq.quantize(layer.weight.detach(), scheme).dequantize(torch.float32)
    t = bnq.quantize_activations(x.detach()).dequantize(torch.float32)
    torch.testing.assert_close(x.grad, upstream @ w)
    torch.testing.assert_close(layer.weight.grad, upstream.T @ t)
    torch.testing.assert_close(layer.bias.grad, upstream.sum(0))


def test_keys_and_parameters_are_those_of_nn_linear() -> None:
    float_layer = nn.Linear(96, 24)
    layer = BitLinear.from_linear(float_layer, "ternary")
    assert layer.weight is float_layer.weight
    assert layer.bias is float_layer.bias
    assert list(layer.state_dict()) == list(float_layer.state_dict())
    assert "ternary-absmean:tensor" in repr(layer)
    assert BitLinear.from_linear(nn.Linear(4, 4, bias=False)).bias is None


def test_prepare_train_convert_save_and_run_elsewhere(tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(16, 64), nn.RMSNorm(64), nn.ReLU(), nn.Linear(64, 4))
    parameters = [id(p) for p in model.parameters()]
    prepare_qat_(model, "ternary")
    assert [id(p) for p in model.parameters()] == parameters
    x = torch.randn(256, 16)
    labels = (x[:, :4] * x[:, 4:8]).argmax(1)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    model.eval()
    trained = model(x).detach()
    convert_(model)
    assert (model(x) - trained).abs().max() < 1e-4 * trained.abs().max()
    torch.save({"model": model, "x": x, "y": model(x)}, tmp_path / "model.pt")
    code = (
        "import torch, bnq.torch; "
        f"d = torch.load({str(tmp_path / 'model.pt')!r}, weights_only=False); "
        "assert torch.equal(d['model'](d['x']), d['y'])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_prepare_keeps_the_head_and_follows_the_filter() -> None:
    def make() -> nn.Module:
        return nn.ModuleDict({"body": nn.Linear(4, 4), "lm_head": nn.Linear(4, 4)})

    assert type(prepare_qat_(make()).lm_head) is nn.Linear
    assert type(prepare_qat_(make(), "ternary", lambda _, name: name == "lm_head").body) is nn.Linear


def test_refusals() -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="no layer is chosen"):
        prepare_qat_(prepare_qat_(nn.Sequential(nn.Linear(4, 4))))
    with pytest.raises(bnq.InvalidArgumentError, match="has no BitLinear"):
        convert_(nn.Sequential(nn.Linear(4, 4)))
    with pytest.raises(bnq.InvalidArgumentError, match="unknown"):
        BitLinear(4, 4, scheme="int9")
    with pytest.raises(bnq.BadContentError, match="not finite"):
        BitLinear(4, 4)(torch.full((1, 4), torch.nan))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(96,), (3, 96), (2, 3, 96), (0, 96)])
@pytest.mark.parametrize("scheme", [*SCHEMES, "8:tensor", "int8-token"])
def test_operators_pass_opcheck(scheme: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    ops: Any = torch.ops.bnq
    x = torch.linspace(-2, 3, max(1, torch.Size(shape).numel()))[: torch.Size(shape).numel()].reshape(shape).to(dtype)
    name = str(bnq.Scheme(scheme))
    torch.library.opcheck(ops.quantize.default, (x, name))
    codes, scales = ops.quantize(x, name)
    torch.library.opcheck(ops.dequantize.default, (codes, scales, name, dtype))
    torch.library.opcheck(ops.fake_quantize.default, (x.clone().requires_grad_(), name))
    assert torch.equal(ops.dequantize(codes, scales, name, dtype), ops.fake_quantize(x, name))


def test_compiles_whole_and_checkpoints() -> None:
    model = nn.Sequential(layer_of("ternary"), nn.ReLU(), BitLinear(24, 8))
    x = torch.randn(5, 96, requires_grad=True)
    wanted = torch.autograd.grad(model(x).sum(), x)[0]
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(torch.autograd.grad(compiled(x).sum(), x)[0], wanted)
    again = torch.utils.checkpoint.checkpoint(model, x, use_reentrant=False)
    assert torch.equal(torch.autograd.grad(again.sum(), x)[0], wanted)
