"""PackedLinear against bnq.Linear, to the bit; its buffers through every way that torch has of keeping a module."""

import copy
import io
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

import bnq
from bnq.torch import PackedLinear

FLOATS = [torch.float32, torch.float16, torch.bfloat16]
SCHEMES = [*map(str, bnq.schemes()), "8:tensor", "4:group(32)", "ternary:row", "ternary:group(40)", "binary:row"]
X = torch.linspace(-2, 3, 3 * 96).reshape(3, 96)


def float_layer(*, bias: bool = True, dtype: torch.dtype = torch.float32) -> nn.Linear:
    torch.manual_seed(7)
    return nn.Linear(96, 24, bias=bias).to(dtype)


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().view(torch.uint8).numpy().tobytes()


@pytest.fixture
def packed() -> PackedLinear:
    return PackedLinear.from_linear(float_layer(), "ternary")


@pytest.fixture
def never_quantizes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("quantized again")

    monkeypatch.setattr("bnq._core.quantize", fail)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_equals_linear(scheme: str, bias: bool, dtype: torch.dtype) -> None:
    layer = float_layer(bias=bias, dtype=dtype)
    expected = bnq.Linear(bnq.quantize(layer.weight, scheme), layer.bias)
    packed = PackedLinear.from_linear(layer, scheme)
    for x_dtype in FLOATS:
        x = X.to(x_dtype)
        y = packed(x)
        assert (y.dtype, y.requires_grad) == (x_dtype, False)
        assert bits(y) == bits(expected(x))
        assert bits(torch.ops.bnq.packed_linear(x, *packed._parts())) == bits(y)
    w = bnq.quantize(layer.weight, scheme).dequantize("f32")
    assert bits(packed.dequantize()) == bits(w)
    assert packed.dequantize(torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(96,), (1, 96), (2, 3, 96), (0, 96), (2, 0, 96), (2, 1, 2, 96)])
def test_shapes(shape: tuple[int, ...], packed: PackedLinear) -> None:
    assert packed(torch.ones(shape)).shape == (*shape[:-1], 24)


def test_strides(packed: PackedLinear) -> None:
    x = torch.arange(2 * 3 * 96.0).reshape(2, 3, 96).sin()
    for view in (x.transpose(0, 1), x[..., ::2].repeat_interleave(2, -1).flip(-1), x[:1].expand(4, 3, 96), x[:, ::2]):
        assert bits(packed(view)) == bits(packed(view.contiguous()))
    negated = torch.view_as_complex(torch.stack([X, X], -1)).conj().imag
    assert negated.is_neg()
    assert bits(packed(negated)) == bits(packed(-X))


@pytest.mark.usefixtures("never_quantizes")
def test_a_state_goes_into_a_fresh_layer() -> None:
    for scheme in ("8", "3", "ternary", "binary:row", "4:group(40)"):
        for bias in (True, False):
            state = ready(scheme, bias=bias).state_dict()
            assert {type(value) for value in state.values()} == {torch.Tensor}
            for assign in (False, True):
                fresh = PackedLinear(96, 24, scheme, bias=bias)
                with pytest.raises(bnq.InvalidArgumentError, match="no weights yet"):
                    fresh(X)
                fresh.load_state_dict(state, assign=assign)
                assert bits(fresh(X)) == bits(ready(scheme, bias=bias)(X))


READY: dict[tuple[str, bool], PackedLinear] = {}


def ready(scheme: str, *, bias: bool) -> PackedLinear:
    return READY[scheme, bias]


@pytest.fixture(autouse=True, scope="module")
def make_ready() -> None:
    for scheme in ("8", "3", "ternary", "binary:row", "4:group(40)"):
        for bias in (True, False):
            READY[scheme, bias] = PackedLinear.from_linear(float_layer(bias=bias), scheme)


@pytest.mark.usefixtures("never_quantizes")
def test_copies(packed_ready: PackedLinear) -> None:
    y = bits(packed_ready(X))
    file = io.BytesIO()
    torch.save(packed_ready, file)
    file.seek(0)
    for other in (
        copy.deepcopy(packed_ready),
        pickle.loads(pickle.dumps(packed_ready)),
        torch.load(file, weights_only=False),
    ):
        assert bits(other(X)) == y
        assert other.weight.data_ptr() != packed_ready.weight.data_ptr()
        other.scales.mul_(2)
        assert bits(other(X)) != y
    assert bits(packed_ready(X)) == y


@pytest.fixture
def packed_ready() -> PackedLinear:
    return ready("ternary", bias=True)


ANOTHER_PROCESS = """
import pickle, sys, bnq, torch
bnq._core.quantize = None  # nothing is quantized here
layer, state, x, y = pickle.load(open(sys.argv[1], "rb"))
assert torch.equal(layer(x), y)
fresh = bnq.torch.PackedLinear(96, 24, "ternary")
fresh.load_state_dict(state)
assert torch.equal(fresh(x), y)
"""


def test_another_process(packed: PackedLinear, tmp_path: Path) -> None:
    path = tmp_path / "layer.pickle"
    path.write_bytes(pickle.dumps((packed, packed.state_dict(), X, packed(X))))
    subprocess.run([sys.executable, "-c", ANOTHER_PROCESS, path], check=True)


def test_a_write_into_a_buffer_counts(packed: PackedLinear) -> None:
    y = packed(X)
    assert packed.bias is not None
    packed.bias.add_(1)
    assert torch.allclose(packed(X), y + 1)
    packed.bias = None
    without = packed(X)
    packed.scales.mul_(2)
    assert torch.equal(packed(X), without * 2)
    packed.scales = packed.scales / 2
    assert torch.equal(packed(X), without)
    parts = packed._parts()
    packed.scales.mul_(2)
    assert torch.equal(torch.ops.bnq.packed_linear(X, *parts), without * 2)


def test_another_memory_of_a_buffer_counts(packed: PackedLinear) -> None:
    x = torch.randn(3, packed.in_features)
    before = packed(x)
    packed.scales.data = packed.scales.data * 2
    assert not torch.equal(packed(x), before)
    assert torch.equal(packed(x), copy.deepcopy(packed)(x))


def test_buffers_do_not_follow_torchs_defaults() -> None:
    layer = nn.Linear(8, 4)
    torch.set_default_dtype(torch.float64)
    try:
        fresh = PackedLinear(8, 4, 8)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        made = PackedLinear.from_linear(layer, 8)
    assert not any(buffer.is_meta for buffer in made.buffers())
    fresh.load_state_dict(made.state_dict())
    x = torch.randn(2, 8)
    assert torch.equal(fresh(x), made(x))


def test_forward_mode_derivatives_are_refused(packed: PackedLinear) -> None:
    x = torch.randn(3, packed.in_features)
    for derive in (lambda: torch.func.jvp(packed, (x,), (x,)), lambda: torch.func.jacfwd(packed)(x)):
        with pytest.raises(bnq.UnsupportedError, match="no forward-mode derivative"):
            derive()
    with forward_ad.dual_level():
        assert torch.equal(packed(x), packed(x))  # no dual tensor, nothing to derive
        with pytest.raises(bnq.UnsupportedError, match="no forward-mode derivative"):
            packed(forward_ad.make_dual(x, x))


def test_the_form_of_the_kernel_goes_with_the_weights() -> None:
    from bnq.torch.ops import parts

    before = len(parts._made)
    packed = PackedLinear.from_linear(float_layer(), 8)
    packed(X)
    assert len(parts._made) == before + 1
    del packed
    assert len(parts._made) == before


def holds_once(packed: PackedLinear) -> bool:
    return "where they lie" in packed.explain()


@pytest.mark.parametrize("scheme", ["8", "ternary"])
def test_weights_are_in_memory_once(scheme: str) -> None:
    packed = PackedLinear.from_linear(nn.Linear(512, 256), scheme)
    if "avx512vnni" not in packed.explain().split("passed over")[0]:
        assert not holds_once(packed)
        return
    x = torch.randn(3, 512)
    for layer in (packed, copy.deepcopy(packed), packed.twin(torch.ones(256))):
        layer(x)
        assert holds_once(layer)
        linear = layer._linear()
        assert linear.nbytes - linear.own_nbytes == layer.weight.nbytes
        assert linear.own_nbytes < layer.weight.nbytes / 8
    unaligned = torch.empty(packed.weight.nbytes + 1, dtype=torch.uint8)[1:].view(packed.weight.shape)
    y = packed(x)
    packed.weight = unaligned.copy_(packed.weight)
    assert torch.equal(packed(x), y)


@pytest.mark.parametrize("scheme", ["8", "ternary"])
def test_a_write_into_the_codes_is_seen_and_checked(scheme: str) -> None:
    packed = PackedLinear.from_linear(nn.Linear(512, 256), scheme)
    other = PackedLinear.from_linear(nn.Linear(512, 256), scheme)
    x = torch.randn(3, 512)
    before = packed(x)
    packed.load_state_dict(other.state_dict())
    assert torch.equal(packed(x), other(x))
    assert not torch.equal(packed(x), before)
    packed.weight[-1, -1] = 128 if scheme == "8" else 0b11000000
    for call in (packed, torch.vmap(packed)):
        with pytest.raises(bnq.BadContentError, match="does not have"):
            call(x)
    packed.load_state_dict(other.state_dict())
    assert torch.equal(packed(x), other(x))


@pytest.mark.parametrize("scheme", ["8", "ternary"])
def test_memory_that_torch_takes_away_is_not_read(scheme: str) -> None:
    packed = PackedLinear.from_linear(nn.Linear(512, 256), scheme)
    x = torch.randn(3, 512)
    y = packed(x)
    packed.weight = packed.weight.clone()
    assert torch.equal(packed(x), y)
    packed.share_memory()
    assert torch.equal(packed(x), y)
    kept = packed.weight.clone()
    packed.weight.untyped_storage().resize_(0)
    packed.weight = kept
    assert torch.equal(packed(x), y)
    assert torch.equal(packed.to("cpu")(x), y)


def test_layers_end_on_any_thread() -> None:
    layers = [PackedLinear.from_linear(nn.Linear(512, 256), "ternary") for _ in range(8)]
    x = torch.randn(3, 512)

    def work() -> None:
        while layers:
            layers.pop()(x)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_other_dtypes_leave_the_buffers(packed: PackedLinear) -> None:
    y = packed(X)
    for convert in (nn.Module.half, nn.Module.bfloat16, nn.Module.double):
        assert bits(convert(packed)(X)) == bits(y)
        assert packed.bias is not None
        assert (packed.weight.dtype, packed.scales.dtype, packed.bias.dtype) == (
            torch.uint8,
            torch.float32,
            torch.float32,
        )


def test_an_inference_layer() -> None:
    with torch.inference_mode():
        packed = PackedLinear.from_linear(float_layer(), 8)
        y = packed(X)
        assert bits(packed(X.clone())) == bits(y)
    assert bits(packed(X)) == bits(y)
    packed.load_state_dict(PackedLinear.from_linear(float_layer(bias=True).to(torch.bfloat16), 8).state_dict())
    assert bits(packed(X)) != bits(y)
    with torch.inference_mode():
        state = {name: value.clone() for name, value in READY["8", True].state_dict().items()}
    packed.load_state_dict(state, assign=True)
    for _ in range(2):
        assert bits(packed(X)) == bits(READY["8", True](X))


def test_gradient_of_the_input(packed: PackedLinear) -> None:
    x = X.clone().requires_grad_()
    y = packed(x)
    assert bits(y) == bits(packed(X))
    weights = torch.linspace(-1, 1, y.numel()).reshape(y.shape)
    (y * weights).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, weights @ packed.dequantize())
    with torch.no_grad():
        assert not packed(x).requires_grad
    with torch.inference_mode():
        assert bits(packed(x)) == bits(y)
    assert not [name for name, _ in packed.named_parameters()]
    with pytest.raises(bnq.UnsupportedError, match="frozen"):
        torch.ops.bnq.packed_linear(
            X, packed.weight, packed.scales.clone().requires_grad_(), None, "ternary", (24, 96)
        ).sum().backward()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("scheme", ["8", "ternary"])
def test_opcheck(scheme: str, dtype: torch.dtype) -> None:
    parts = ready(scheme, bias=True)._parts()
    for x in (X, X[0], X[:, None], X.t().contiguous().t(), X.clone().requires_grad_()):
        torch.library.opcheck(
            torch.ops.bnq.packed_linear.default, (x.detach().to(dtype).requires_grad_(x.requires_grad), *parts)
        )
    torch.library.opcheck(
        torch.ops.bnq.packed_dequantize.default, (parts.weight, parts.scales, parts.scheme, parts.shape, dtype)
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, about its own use of itself
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compile(backend: str, packed: PackedLinear) -> None:
    """Some seconds with a C++ compiler, which inductor calls for its own part."""
    torch.compiler.reset()
    model = torch.compile(nn.Sequential(packed, nn.ReLU()), fullgraph=True, backend=backend)
    for tokens in (3, 5):
        x = X[:1].expand(tokens, 96).clone().requires_grad_()
        y = model(x)
        assert torch.equal(y, packed(x).relu())
        (expected,) = torch.autograd.grad(packed(x).relu().sum(), x)
        y.sum().backward()
        torch.testing.assert_close(x.grad, expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_transformations(packed: PackedLinear) -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    x = torch.arange(4 * 2 * 96.0).reshape(4, 2, 96).cos()
    assert torch.equal(torch.vmap(packed)(x), packed(x))
    assert torch.equal(torch.vmap(packed, in_dims=1)(x), packed(x.movedim(1, 0)))
    assert "packed_linear" in make_fx(packed)(X).code
    assert "packed_linear" in str(torch.export.export(packed, (X,)).graph)
    traced = torch.jit.trace(packed, X, check_trace=False)
    assert torch.equal(traced(-X), packed(-X))


def test_a_batch_of_scalars_is_no_token(packed: PackedLinear) -> None:
    """As many of them as the depth, or the outputs, would fit."""
    weight, scales, _, *rest = packed._parts()
    with pytest.raises(bnq.InvalidArgumentError, match="got scalars in a batch"):
        torch.vmap(packed)(torch.ones(packed.in_features))
    with pytest.raises(bnq.UnsupportedError, match="biases"):
        torch.vmap(lambda bias: torch.ops.bnq.packed_linear(X, weight, scales, bias, *rest))(
            torch.ones(packed.out_features)
        )


def test_a_bad_token_stays_alone(packed: PackedLinear) -> None:
    x = X.clone()
    x[1, 7] = torch.nan
    assert packed(x)[1].isnan().all()
    assert torch.equal(packed(x)[::2], packed(X)[::2])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_inputs_that_are_refused(packed: PackedLinear) -> None:
    for x in (torch.ones(2, 95), torch.tensor(1.0), torch.ones(96, 1), torch.ones(0, 95), X.numpy()):
        with pytest.raises(bnq.InvalidArgumentError, match=r"\(got .*need"):
            packed(x)
    quantized = torch.quantize_per_tensor(X, 1.0, 0, torch.qint8)
    for x in (X.double(), X.int(), X.to_sparse(), quantized, X.to_mkldnn(), torch.nested.nested_tensor([X, X])):
        with pytest.raises(bnq.UnsupportedError, match=r"\(got .*need"):
            packed(x)
    assert packed(X.to("meta")).device.type == "meta"  # no numbers were asked for
    with pytest.raises(bnq.UnsupportedError, match="bnq computes on the CPU"):
        packed.to("meta")(X)
    with pytest.raises(RuntimeError, match="another depth"):
        torch.ops.bnq.packed_linear(torch.ones(2, 95, device="meta"), *packed._parts())


def test_layers_that_are_refused() -> None:
    with pytest.raises(bnq.InvalidArgumentError, match=r"need a torch\.nn\.Linear"):
        PackedLinear.from_linear(nn.Conv2d(1, 1, 1), 8)  # type: ignore[arg-type]
    with pytest.raises(bnq.UnsupportedError, match="CPU"):
        PackedLinear.from_linear(nn.Linear(4, 4, device="meta"), 8)
    with pytest.raises(bnq.InvalidArgumentError, match="scheme"):
        PackedLinear.from_linear(nn.Linear(4, 4), "nine")
    layer = nn.Linear(4, 4)
    layer.bias.data[2] = torch.inf
    with pytest.raises(bnq.InvalidArgumentError, match="bias is not finite"):
        PackedLinear.from_linear(layer, 8)
    with pytest.warns(UserWarning, match="levels|ternary|scheme") as caught:
        PackedLinear.from_linear(nn.Linear(4, 4), 2)
    assert caught[0].filename == __file__


def test_states_that_are_refused() -> None:
    state = PackedLinear.from_linear(float_layer(), "4:group(64)").state_dict()
    with pytest.raises(RuntimeError, match=r"'int4-absmax:group\(64\)', need 'int4-absmax:group\(48\)'"):
        PackedLinear(96, 24, "4:group(48)").load_state_dict(state)
    with pytest.raises(RuntimeError, match="size mismatch"):
        PackedLinear(96, 24, 8).load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"not packed \(got torch\.float32"):
        PackedLinear(96, 24, 8).load_state_dict(float_layer().state_dict(), strict=False)
    packed = PackedLinear.from_linear(float_layer(), "ternary")
    packed.weight.fill_(255)
    with pytest.raises(bnq.BadContentError, match="code"):
        packed(X)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing it now fails
import bnq
try:
    import bnq.torch
except ImportError as error:
    print(error)
"""


def test_without_torch_the_import_says_what_is_missing() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], check=True, capture_output=True, text=True)
    assert done.stdout == "bnq.torch: needs PyTorch, which is not installed; use pip install torch\n"


def test_autocast_and_default_devices_change_nothing(packed: PackedLinear) -> None:
    y = bits(packed(X))
    with torch.autocast("cpu", torch.bfloat16):
        assert packed(X).dtype == torch.float32
        assert bits(packed(X)) == y
    with torch.device("meta"):
        assert bits(packed(X)) == y
        assert PackedLinear(96, 24, 8).weight.device.type == "meta"


def test_what_it_says(packed: PackedLinear) -> None:
    assert repr(packed) == (
        "PackedLinear(in_features=96, out_features=24, bias=True, scheme='ternary-absmean:tensor', 2.014 bits/weight)"
    )
    assert "kernel:" in packed.explain()
    assert PackedLinear.from_linear(float_layer().eval(), 8).training is False


def test_many_threads_at_once(rng: np.random.Generator) -> None:
    x = torch.from_numpy(rng.standard_normal((3, 512), np.float32))
    layer = PackedLinear.from_linear(nn.Linear(512, 300), "ternary")
    y = layer(x)
    for _ in range(10):
        fresh = copy.deepcopy(layer)
        gate = threading.Barrier(4)
        wrong: list[object] = []

        def work(fresh: PackedLinear = fresh, gate: threading.Barrier = gate, wrong: list[object] = wrong) -> None:
            gate.wait()
            wrong.extend(i for i in range(20) if not torch.equal(fresh(x), y))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


@pytest.mark.parametrize("shape", [(0, 8), (8, 0), (0, 0), (1, 1), (7, 13)])
@pytest.mark.parametrize("scheme", ["8", "ternary", "4"])
@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_odd_sizes(scheme: str, shape: tuple[int, int]) -> None:
    outputs, depth = shape
    layer = nn.Linear(depth, outputs)
    packed = PackedLinear.from_linear(layer, scheme)
    x = torch.ones(3, depth)
    assert bits(packed(x)) == bits(bnq.Linear(bnq.quantize(layer.weight, scheme), layer.bias)(x))
    fresh = PackedLinear(depth, outputs, scheme)
    fresh.load_state_dict(packed.state_dict())
    assert bits(fresh(x)) == bits(packed(x))
