"""Everything that torch does to a layer, by every kind of layer: one table."""

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from bnq.torch import BitLinear, PackedLinear

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of low-bit schemes

OUTPUTS, DEPTH = 24, 96
X = torch.linspace(-2, 3, 5 * DEPTH).reshape(5, DEPTH)


def packed(scheme: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        torch.manual_seed(7)
        return PackedLinear.from_linear(nn.Linear(DEPTH, OUTPUTS), scheme).eval()

    return make


def bit_linear() -> nn.Module:
    torch.manual_seed(7)
    return BitLinear(DEPTH, OUTPUTS).eval()


COLUMNS: dict[str, Callable[[], nn.Module]] = {
    **{scheme: packed(scheme) for scheme in ("8", "4", "3:row", "ternary", "binary")},
    "BitLinear": bit_linear,
}


def fresh(layer: nn.Module) -> nn.Module:
    """Another one, with other weights or none."""
    if isinstance(layer, PackedLinear):
        return PackedLinear(DEPTH, OUTPUTS, layer.scheme)
    return BitLinear(DEPTH, OUTPUTS).eval()


def same(a: Tensor, b: Tensor) -> None:
    assert a.dtype == b.dtype
    assert torch.equal(a, b)


def same_rows(layer: nn.Module, a: Tensor, b: Tensor) -> None:
    """Of other arrangements of the same tokens. BitLinear's product is torch's, which sums in an order of its own."""
    if isinstance(layer, PackedLinear):
        return same(a, b)
    assert (a - b).abs().max() <= DEPTH * torch.finfo(torch.float32).eps * b.abs().max()
    return None


def operators(layer: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    ops = torch.ops.bnq
    x = X.clone().requires_grad_()
    if isinstance(layer, BitLinear):
        yield ops.fake_quantize.default, (x, "int8-token")
        yield ops.fake_quantize.default, (layer.weight.detach().clone().requires_grad_(), str(layer.scheme))
        return
    scheme = str(layer.scheme)
    codes, scales = ops.quantize(layer.dequantize(), scheme)
    yield ops.quantize.default, (layer.dequantize(), scheme)
    yield ops.dequantize.default, (codes, scales, scheme, torch.float32)
    yield ops.packed_linear.default, (x, *layer._parts())
    yield ops.packed_dequantize.default, (layer.weight, layer.scales, scheme, (OUTPUTS, DEPTH), torch.float32)


def opcheck(layer: Any) -> None:
    for operator, arguments in operators(layer):
        torch.library.opcheck(operator, arguments)


def opcheck_pack(layer: Any) -> None:
    scheme = str(layer.scheme)
    codes, scales = torch.ops.bnq.quantize(torch.randn(OUTPUTS, DEPTH), scheme)
    torch.library.opcheck(torch.ops.bnq.pack.default, (codes, scales, scheme), test_utils=STATIC)
    weight = torch.ops.bnq.pack(codes, scales, scheme)
    values = torch.ops.bnq.packed_dequantize(weight, scales, scheme, codes.shape, torch.float32)
    same(values, torch.ops.bnq.dequantize(codes, scales, scheme, torch.float32))


STATIC = ("test_schema", "test_autograd_registration", "test_faketensor")  # which layout it is depends on the sizes


def compiled(layer: nn.Module, dynamic: bool) -> None:
    torch.compiler.reset()
    run = torch.compile(layer, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for count in (5, 3):
        same(run(X[:count]), layer(X[:count]))


def through_deepcopy(layer: nn.Module) -> None:
    same(copy.deepcopy(layer)(X), layer(X))


def through_pickle(layer: nn.Module) -> None:
    same(pickle.loads(pickle.dumps(layer))(X), layer(X))


def through_torch_save(layer: nn.Module) -> None:
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    same(torch.load(file, weights_only=False)(X), layer(X))


def through_state_dict(layer: nn.Module) -> None:
    other = fresh(layer)
    other.load_state_dict(layer.state_dict())
    same(other(X), layer(X))


def through_safetensors(layer: nn.Module) -> None:
    other = fresh(layer)
    other.load_state_dict(load_safetensors(save_safetensors(layer.state_dict())))
    same(other(X), layer(X))


def on_meta(layer: nn.Module) -> None:
    shadow = copy.deepcopy(layer).to("meta")
    y = shadow(X.to("meta"))
    assert y.device.type == "meta"
    assert y.shape == (5, OUTPUTS)
    shadow.load_state_dict(layer.state_dict(), assign=True)
    same(shadow(X), layer(X))


def in_dtype(layer: nn.Module, dtype: torch.dtype) -> None:
    moved = layer.to(dtype)
    y = moved(X.to(dtype))
    assert y.dtype == dtype
    want = layer.to(torch.float32)(X.to(dtype).float())
    assert (y.float() - want).norm() <= 0.02 * want.norm()


def strided(layer: nn.Module) -> None:
    want = layer(X)
    same_rows(layer, layer(X.t().contiguous().t()), want)
    same_rows(layer, layer(torch.stack([X, X], dim=-1)[..., 1]), want)
    same_rows(layer, layer(X[:, None, :].expand(5, 3, DEPTH)), want[:, None, :].expand(5, 3, OUTPUTS))


def ranks(layer: nn.Module) -> None:
    for shape in ((DEPTH,), (1, DEPTH), (2, 3, DEPTH), (2, 1, 2, DEPTH)):
        x = torch.randn(shape)
        same_rows(layer, layer(x).reshape(-1, OUTPUTS), layer(x.reshape(-1, DEPTH)))


def empty(layer: nn.Module) -> None:
    assert layer(X[:0]).shape == (0, OUTPUTS)
    assert layer(torch.ones(2, 0, DEPTH)).shape == (2, 0, OUTPUTS)


def flush_denormal(layer: nn.Module) -> None:
    """torch's switch of this thread changes no bit of ours."""
    tiny = X * 1e-39
    want = layer(tiny)
    torch.set_flush_denormal(True)
    try:
        got = layer(tiny)
    finally:
        torch.set_flush_denormal(False)
    if isinstance(layer, PackedLinear):
        same(got, want)
    else:  # the product between two of ours is torch's own
        assert (got - want).abs().max() <= DEPTH * torch.finfo(torch.float32).tiny


def autocast(layer: nn.Module) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(X)
    want = layer(X)
    assert (y.float() - want).norm() <= 0.02 * want.norm()


def gradient(layer: nn.Module) -> None:
    x = X.clone().requires_grad_()
    layer(x).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def func(layer: nn.Module) -> None:
    """torch.func's reverse mode: what autograd gives, also for each in a batch."""

    def loss(x: Tensor) -> Tensor:
        y: Tensor = layer(x)
        return y.square().sum()

    x = X.clone().requires_grad_()
    (want,) = torch.autograd.grad(loss(x), x)
    torch.testing.assert_close(torch.func.grad(loss)(X), want)
    torch.testing.assert_close(torch.vmap(torch.func.grad(loss))(X), want)
    x = X[0].clone().requires_grad_()
    rows = [torch.autograd.grad(y, x, retain_graph=True)[0] for y in layer(x)]
    torch.testing.assert_close(torch.func.jacrev(layer)(X[0]), torch.stack(rows))


def in_threads_of_inference(layer: nn.Module) -> None:
    want = layer(X)
    with torch.inference_mode():
        same(layer(X), want)


ROWS: dict[str, Callable[[Any], None]] = {
    "opcheck": opcheck,
    "opcheck of pack": opcheck_pack,
    "compile, fullgraph=True": lambda layer: compiled(layer, False),
    "compile, dynamic shapes": lambda layer: compiled(layer, True),
    "deepcopy": through_deepcopy,
    "pickle": through_pickle,
    "torch.save": through_torch_save,
    "state_dict": through_state_dict,
    "safetensors": through_safetensors,
    "meta device": on_meta,
    "float16": lambda layer: in_dtype(layer, torch.float16),
    "bfloat16": lambda layer: in_dtype(layer, torch.bfloat16),
    "strided input": strided,
    "ranks 1 to 4": ranks,
    "empty batch": empty,
    "set_flush_denormal": flush_denormal,
    "autocast": autocast,
    "gradient of the input": gradient,
    "gradient by torch.func": func,
    "inference_mode": in_threads_of_inference,
}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("row", ROWS)
def test_cell(row: str, column: str, record_property: Callable[[str, object], None]) -> None:
    record_property("cell", (row, column))
    with torch.set_grad_enabled(row.startswith(("opcheck", "gradient"))):
        ROWS[row](COLUMNS[column]())
