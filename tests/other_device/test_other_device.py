"""Layers and models on another device give the bits that they give on the CPU. Operators alone: test_formulas.py."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bnq
from bnq.torch import BitLinear, PackedLinear, convert_, load_, prepare_qat_, quantize_
from bnq.torch.ops import formulas, require_exact

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # of low-bit schemes
]

SCHEMES = ("8", "4", "3:row", "ternary", "binary", "int8-given:tensor")
X = torch.linspace(-2, 3, 5 * 96).reshape(5, 96)


def model() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(96, 64), nn.ReLU(), nn.Linear(64, 32, bias=False), nn.ReLU(), nn.Linear(32, 8))


def same(a: Tensor, b: Tensor) -> None:
    assert a.dtype == b.dtype
    assert torch.equal(a.cpu(), b.cpu())


@pytest.fixture(params=SCHEMES[:-1])
def layer(request: pytest.FixtureRequest) -> PackedLinear:
    torch.manual_seed(7)
    return PackedLinear.from_linear(nn.Linear(96, 24), request.param)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_moved_layer_gives_the_same_bits(layer: PackedLinear, dtype: torch.dtype, device: str) -> None:
    x = X.to(dtype)
    want = layer(x)
    there = copy.deepcopy(layer).to(device)
    same(there(x.to(device)), want)
    same(there.dequantize(), layer.dequantize())
    same(there.cpu()(x), want)


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_short_floats_of_tensor_cores_lose_nothing(layer: PackedLinear, precision: str, device: str) -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        big = PackedLinear.from_linear(nn.Linear(4096, 512), layer.scheme)
        x = torch.randn(64, 4096)
        same(copy.deepcopy(big).to(device)(x.to(device)), big(x))
    finally:
        torch.set_float32_matmul_precision(before)


def test_autocast_changes_nothing(layer: PackedLinear, device: str) -> None:
    want, there = layer(X), copy.deepcopy(layer).to(device)
    with torch.autocast(device):
        same(there(X.to(device)), want)


def test_a_layer_is_made_where_its_float_layer_is(device: str) -> None:
    float_layer = nn.Linear(96, 24).to(device)
    packed = PackedLinear.from_linear(float_layer, 8)
    assert {buffer.device.type for buffer in packed.buffers()} == {device}
    same(packed(X.to(device)), PackedLinear.from_linear(copy.deepcopy(float_layer).cpu(), 8)(X))
    assert "torch's own operations" in packed.explain()


def test_models(device: str) -> None:
    here, there = model(), model().to(device)
    assert str(quantize_(here, "ternary")) == str(quantize_(there, "ternary"))
    same(there(X.to(device)), here(X))
    moved = model()
    quantize_(moved, "ternary", device=device)
    assert moved[0].weight.device.type == device
    brought = model().to(device)
    quantize_(brought, "ternary", device="cpu")
    same(brought(X), here(X))


def test_tied_layers_stay_tied(device: str) -> None:
    tied = nn.ModuleList([nn.Linear(96, 96), nn.Linear(96, 96)]).to(device)
    tied[1].weight = tied[0].weight
    quantize_(tied, 8)
    assert tied[0].weight is tied[1].weight
    assert tied[0].weight.device.type == device


def test_states_go_between_devices(layer: PackedLinear, device: str) -> None:
    there = copy.deepcopy(layer).to(device)
    fresh = PackedLinear(96, 24, layer.scheme)
    fresh.load_state_dict(there.state_dict())
    same(fresh(X), layer(X))
    empty = PackedLinear(96, 24, layer.scheme).to(device)
    empty.load_state_dict(layer.state_dict())
    same(empty(X.to(device)), layer(X))


def test_the_gradient_of_the_input(layer: PackedLinear, device: str) -> None:
    gradients = []
    for place in ("cpu", device):
        x = X.clone().to(place).requires_grad_()
        copy.deepcopy(layer).to(place)(x).square().sum().backward()
        assert x.grad is not None
        gradients.append(x.grad.cpu())
    assert torch.allclose(*gradients, rtol=1e-5, atol=1e-5 * float(gradients[0].abs().max()))  # torch's own product


def test_operators(device: str) -> None:
    packed = PackedLinear.from_linear(nn.Linear(96, 24), "ternary").to(device)
    ops: Any = torch.ops.bnq
    x = X.clone().to(device).requires_grad_()
    for operator, arguments in (
        (ops.packed_linear.default, (x, *packed._parts())),
        (ops.fake_quantize.default, (x, "int8-token")),
        (ops.quantize.default, (X.to(device), "ternary")),
    ):
        torch.library.opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))
    run = torch.compile(packed, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        same(run(X.to(device)), packed(X.to(device)))


def test_training_is_that_of_the_cpu(device: str) -> None:
    """One step; float sums of torch's products differ, so the loss is close and not equal."""
    losses = []
    for place in ("cpu", device):
        torch.manual_seed(5)
        trained = prepare_qat_(model()).to(place)
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss = (trained(X.to(place)) - 1).square().mean()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
        trained.eval()
        with torch.no_grad():
            want = trained(X.to(place))
            convert_(trained)
            assert (trained(X.to(place)) - want).abs().max() <= 1e-4 * want.abs().max()
    assert abs(losses[0] - losses[1]) <= 1e-3 * losses[0]


def test_what_is_trained_is_what_is_packed(device: str) -> None:
    bit = BitLinear(96, 24).to(device)
    there = torch.ops.bnq.fake_quantize(bit.weight, "ternary-absmean:tensor")
    same(PackedLinear.from_linear(bit, "ternary").dequantize(), there)


def test_load(tmp_path: Path, device: str) -> None:
    source = model()
    state: dict[str, Any] = {
        name: bnq.quantize(value.detach(), "ternary") if value.dim() == 2 else value.detach()
        for name, value in source.state_dict().items()
    }
    bnq.save(tmp_path / "model.safetensors", state)
    here, there = model(), model().to(device)
    load_(here, tmp_path / "model.safetensors")
    load_(there, tmp_path / "model.safetensors")
    same(there(X.to(device)), here(X))


def test_the_first_check_does_not_depend_on_torchs_defaults(device: str) -> None:
    want, moved = model(), model().to(device)
    quantize_(want, 8)
    try:
        require_exact.cache_clear()
        with torch.device(device):
            quantize_(moved, 8)
        same(moved(X.to(device)), want(X))
        require_exact.cache_clear()
        torch.set_default_dtype(torch.float64)
        same(copy.deepcopy(want).to(device)(X.to(device)), want(X))
    finally:
        torch.set_default_dtype(torch.float32)
        require_exact.cache_clear()


def test_to_empty_gives_no_numbers(layer: PackedLinear, device: str) -> None:
    empty = copy.deepcopy(layer).to("meta").to_empty(device=device)
    assert empty(X.to(device)).isnan().all()
    empty.load_state_dict(layer.state_dict())
    same(empty(X.to(device)), layer(X))


def test_a_layer_without_weights_refuses_tokens(layer: PackedLinear, device: str) -> None:
    with pytest.raises(bnq.UnsupportedError, match=rf"got {device}:0 and meta.*load its values first"):
        layer.to("meta")(X.to(device))


def test_two_devices_are_refused(layer: PackedLinear, device: str) -> None:
    there = copy.deepcopy(layer).to(device)
    with pytest.raises(bnq.UnsupportedError, match=rf"on {device}:0.*use layer\.to"):
        there(X)
    with pytest.raises(bnq.UnsupportedError, match=rf"got {device}:0 and cpu, need one"):
        layer(X.to(device))


def test_mistakes_have_the_sentences_of_the_cpu(layer: PackedLinear, device: str) -> None:
    there = layer.to(device)
    with pytest.raises(bnq.InvalidArgumentError, match="another depth"):
        there(torch.ones(2, 95, device=device))
    with pytest.raises(bnq.UnsupportedError, match="f64"):
        there(X.to(device).double())
    with pytest.raises(bnq.BadContentError, match="not finite"):
        BitLinear(96, 4).to(device)(X.to(device) / 0)


def test_a_device_with_other_bits_is_refused(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that divides by multiplying with a reciprocal, or that has no float64."""
    require_exact.cache_clear()
    divide = Tensor.__truediv__
    try:
        with monkeypatch.context() as patched:
            patched.setattr(Tensor, "__truediv__", lambda a, b: a * (1 / b) if isinstance(b, Tensor) else divide(a, b))
            with pytest.raises(bnq.UnsupportedError, match=rf"{device}:0: other codes or scales in int8.*tensor\.cpu"):
                torch.ops.bnq.quantize(X.to(device), "8")
        with monkeypatch.context() as patched:
            patched.setattr(formulas, "_sums", lambda values: values.to("no float64"))
            twin, float_model = model().to(device), model().to(device)
            with pytest.raises(bnq.UnsupportedError, match=rf"got {device}:0: .*tensor\.cpu"):
                quantize_(twin, 8)
            same(twin(X.to(device)), float_model(X.to(device)))
    finally:
        require_exact.cache_clear()
    torch.ops.bnq.quantize(X.to(device), "8")
