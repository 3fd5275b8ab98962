"""torch's own view of a packed layer: operators, which compilers, exporters and autograd understand.

    bnq::packed_linear(x, weight, scales, bias, scheme, shape)           y = x Wᵀ + bias, in x's dtype
    bnq::packed_dequantize(weight, scales, scheme, shape, dtype)         W [N, K]
    bnq::quantize(x, scheme)                                             codes, scales
    bnq::dequantize(codes, scales, scheme, dtype)                        code x scale
    bnq::fake_quantize(x, scheme)                                        both at once, with a straight-through gradient
    bnq::pack(codes, scales, scheme)                                     weight

`weight` is the bytes of the first of bnq.layouts() that holds (scheme, shape = [N, K]); scales and bias are float32.
They are registered with Library and not with custom_op, whose call takes twice the time.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, NamedTuple
from weakref import ReferenceType, ref

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .._arrays.frameworks import TORCH
from ..errors import InvalidArgumentError, UnsupportedError
from ..layout import Layout, PackedTensor, layouts, pack, unpack
from ..linear import Linear
from ..quantized_tensor import QuantizedTensor, quantize_as
from ..scheme import Scheme


class Parts(NamedTuple):
    """What a packed layer is made of, in the order of the operator's arguments."""

    weight: Tensor
    """uint8, a layout's bytes."""
    scales: Tensor
    """float32, one a granule."""
    bias: Tensor | None
    """float32 [N]."""
    scheme: str
    shape: Sequence[int]
    """[N, K]"""

    def version(self) -> tuple[int, ...]:
        """Another one after every write that torch knows of; it counts none into inference tensors, or by ``.data``."""
        weight, scales, bias = self.weight, self.scales, self.bias
        kept = writes(weight), writes(scales), weight.data_ptr(), scales.data_ptr()
        return kept if bias is None else (*kept, writes(bias), bias.data_ptr())


def writes(tensor: Tensor) -> int:
    """How many writes torch has counted; 0 for an inference tensor."""
    return 0 if tensor.is_inference() else tensor._version


class _Made(NamedTuple):
    linear: Linear
    weight: ReferenceType[Tensor]
    scales: Tensor
    bias: ReferenceType[Tensor] | None
    rest: tuple[object, ...]

    def holds(self, parts: Parts) -> bool:
        bias = None if self.bias is None else self.bias()
        return self.weight() is parts.weight and self.scales is parts.scales and bias is parts.bias


def layout_of(scheme: Scheme, shape: Sequence[int]) -> Layout:
    """The layout that bnq.pack takes by itself: the first of bnq.layouts() that holds it."""
    return next(layout for layout in layouts() if not layout.refusal(scheme, tuple(shape)))


def weight_shape(scheme: Scheme, shape: Sequence[int]) -> tuple[int, ...]:
    """Of the bytes of that layout."""
    layout = layout_of(scheme, shape)._handle
    *axes, last = layout.storage_shape(scheme._handle, shape)
    return (*axes, last * TORCH.new((0,), layout.storage_dtype)[0].itemsize)


def packed(weight: Tensor, scales: Tensor, scheme: str, shape: Sequence[int]) -> PackedTensor:
    """The tensor again over its bytes, which are borrowed. Raises what PackedTensor.from_parts does.

    It keeps another tensor over the same memory, not `weight` itself.
    """
    kind = Scheme(scheme)
    return PackedTensor.from_parts(
        weight, scales, layout=layout_of(kind, shape), scheme=kind, shape=tuple(shape), dtype="f32", copy=False
    )


def require_no_tangent(x: Tensor, where: str) -> None:
    """Raises UnsupportedError for a dual tensor: torch would drop its tangent in silence."""
    if forward_ad.unpack_dual(x).tangent is not None:  # type: ignore[no-untyped-call]
        raise UnsupportedError(
            f"{where}: has no forward-mode derivative (got a dual tensor, need a plain one); use reverse mode: "
            "torch.autograd.grad, torch.func.jacrev"
        )


_lock = Lock()
_made: dict[tuple[int, int], _Made] = {}  # by ids: a kernel's own form of the weights lives as long as they do


def linear_of(parts: Parts) -> Linear:
    """The layer over these tensors: made at the first call and again after a change, which quantizes nothing anew.

    It may read the weight's memory itself (:class:`bnq.Linear`): a write that torch counts, or another address, makes
    another layer before the next call.

    Layers that share a weight and have biases of their own have one each.
    """
    weight, scales, bias, scheme, shape = parts
    key, rest = (id(weight), id(bias)), (parts.version(), scheme, tuple(shape))
    with _lock:  # two threads that come at once make one
        made = _made.get(key)
        if made and made.holds(parts) and made.rest == rest:
            return made.linear
        linear = Linear(packed(weight, scales, scheme, shape), bias)

        def forget(_: object) -> None:
            _made.pop(key, None)

        _made[key] = _Made(linear, ref(weight, forget), scales, None if bias is None else ref(bias, forget), rest)
        return linear


_library = torch.library.Library("bnq", "FRAGMENT")  # type: ignore[no-untyped-call]  # its end would unregister
_SCHEMAS = (
    "packed_linear(Tensor x, Tensor weight, Tensor scales, Tensor? bias, str scheme, SymInt[] shape) -> Tensor",
    "packed_dequantize(Tensor weight, Tensor scales, str scheme, SymInt[] shape, ScalarType dtype) -> Tensor",
    "quantize(Tensor x, str scheme) -> (Tensor, Tensor)",
    "dequantize(Tensor codes, Tensor scales, str scheme, ScalarType dtype) -> Tensor",
    "fake_quantize(Tensor x, str scheme) -> Tensor",
    "pack(Tensor codes, Tensor scales, str scheme) -> Tensor",
)


def _packed_linear(x: Tensor, *parts: Any) -> Tensor:
    y: Tensor = linear_of(Parts(*parts))(x)
    return y


def _packed_linear_shape(x: Tensor, *parts: Any) -> Tensor:
    outputs, depth = Parts(*parts).shape
    torch._check(  # type: ignore[no-untyped-call]
        x.dim() > 0 and x.shape[-1] == depth,
        lambda: f"bnq::packed_linear: x has another depth (got {tuple(x.shape)}, need [..., {depth}])",
    )
    return x.new_empty((*x.shape[:-1], outputs))


def _packed_dequantize(weight: Tensor, scales: Tensor, scheme: str, shape: list[int], dtype: torch.dtype) -> Tensor:
    w: Tensor = unpack(packed(weight, scales, scheme, shape)).dequantize(dtype)
    return w


def _packed_dequantize_shape(weight: Tensor, *rest: Any) -> Tensor:
    _, _, shape, dtype = rest
    return weight.new_empty(shape, dtype=dtype)


def _keep_for_gradient(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001  torch names them
    _, weight, scales, _, ctx.scheme, ctx.shape = inputs
    ctx.save_for_backward(weight, scales)


def _gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Straight through the rounding of x: what y = x Wᵀ has with the dequantized W. Weights and bias are frozen."""
    if any(ctx.needs_input_grad[1:]):
        raise UnsupportedError(
            "bnq::packed_linear: packed weights are frozen (got scales or a bias that require grad, need buffers); "
            "detach them"
        )
    weight, scales = ctx.saved_tensors
    w = torch.ops.bnq.packed_dequantize(weight, scales, ctx.scheme, ctx.shape, gradient.dtype)
    return gradient @ w, None, None, None, None, None


def _quantize(x: Tensor, scheme: str) -> tuple[Tensor, Tensor]:
    q = quantize_as(x, Scheme(scheme), "bnq::quantize")
    return q.codes.clone(), q.scales.clone()


def _quantize_shape(x: Tensor, scheme: str) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape, dtype=torch.int8), x.new_empty(_scales_shape(x.shape, scheme), dtype=torch.float32)


def _scales_shape(shape: Sequence[Any], scheme: str) -> list[Any]:
    """That of QuantizedTensor.scales, for sizes that may be symbols."""
    granularity = Scheme(scheme).granularity
    is_empty = any(isinstance(size, int) and size == 0 for size in shape)
    if granularity == "tensor":
        return [0 if is_empty else 1]
    depth = shape[-1] if shape else 1
    size = None if granularity == "row" else int(granularity[6:-1])
    groups = min(1, depth) if size is None else (depth + size - 1) // size
    return [*shape[:-1], groups]


def _dequantize(codes: Tensor, scales: Tensor, scheme: str, dtype: torch.dtype) -> Tensor:
    values: Tensor = QuantizedTensor.from_parts(codes, scales, scheme=scheme, dtype="f32").dequantize(dtype)
    return values


def _dequantize_shape(codes: Tensor, scales: Tensor, scheme: str, dtype: torch.dtype) -> Tensor:
    del scales, scheme
    return codes.new_empty(codes.shape, dtype=dtype)


def _fake_quantize(x: Tensor, scheme: str) -> Tensor:
    y: Tensor = quantize_as(x, Scheme(scheme), "bnq::fake_quantize").dequantize(x.dtype)
    return y


def _fake_quantize_shape(x: Tensor, scheme: str) -> Tensor:
    del scheme
    return x.new_empty(x.shape)


def _pack(codes: Tensor, scales: Tensor, scheme: str) -> Tensor:
    data: Tensor = pack(QuantizedTensor.from_parts(codes, scales, scheme=scheme, dtype="f32")).data
    return data.view(torch.uint8).clone()


def _pack_shape(codes: Tensor, scales: Tensor, scheme: str) -> Tensor:
    """The sizes have to be known: which layout holds a tensor depends on them."""
    del scales
    return codes.new_empty(weight_shape(Scheme(scheme), tuple(int(size) for size in codes.shape)), dtype=torch.uint8)


def _straight_through(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ARG001  torch names them
    return gradient, None


def _each_in_a_batch(info: Any, batched: tuple[int | None, ...], x: Tensor, *parts: Any) -> tuple[Tensor, int]:
    """torch.vmap: one more axis of tokens."""
    if any(axis is not None for axis in batched[1:4]):
        raise UnsupportedError(
            "bnq::packed_linear: one set of weights serves all (got a batch of weights, scales or biases); use a loop"
        )
    if x.dim() < 2:  # the axis of the batch would be read as the depth
        raise InvalidArgumentError(
            "bnq::packed_linear: x has another depth (got scalars in a batch, need [..., K]); give vmap whole tokens"
        )
    del info
    return torch.ops.bnq.packed_linear(x.movedim(batched[0] or 0, 0), *parts), 0


class _LinearOfFunc(torch.autograd.Function):
    """packed_linear for the transformations of torch.func, which do not take an operator's own gradient."""

    generate_vmap_rule = True
    forward = staticmethod(lambda *parts: torch.ops.bnq.packed_linear(*parts))  # noqa: PLW0108  not registered yet
    setup_context = staticmethod(_keep_for_gradient)
    backward = staticmethod(_gradient)


class _FakeQuantizeOfFunc(torch.autograd.Function):
    """fake_quantize for them."""

    generate_vmap_rule = True
    forward = staticmethod(lambda x, scheme: torch.ops.bnq.fake_quantize(x, scheme))  # noqa: PLW0108  as above
    setup_context = staticmethod(lambda ctx, inputs, output: None)  # noqa: ARG005  torch names them
    backward = staticmethod(_straight_through)


def _is_transformed() -> bool:
    return not torch.compiler.is_compiling() and bool(torch._C._are_functorch_transforms_active())


def packed_linear(x: Tensor, parts: Parts) -> Tensor:
    """The operator, also under torch.func.grad, jacrev and vmap of them."""
    run: Any = _LinearOfFunc.apply if _is_transformed() else torch.ops.bnq.packed_linear
    y: Tensor = run(x, *parts)
    return y


def fake_quantize(x: Tensor, scheme: str) -> Tensor:
    """The operator, also under them."""
    run: Any = _FakeQuantizeOfFunc.apply if _is_transformed() else torch.ops.bnq.fake_quantize
    y: Tensor = run(x, scheme)
    return y


def _register() -> None:
    """Kernels for every device: one that bnq does not compute on meets bnq's sentence, not a list of dispatch keys."""
    kernels: tuple[tuple[Callable[..., Any], Callable[..., Any]], ...] = (
        (_packed_linear, _packed_linear_shape),
        (_packed_dequantize, _packed_dequantize_shape),
        (_quantize, _quantize_shape),
        (_dequantize, _dequantize_shape),
        (_fake_quantize, _fake_quantize_shape),
        (_pack, _pack_shape),
    )
    for schema, (kernel, shape) in zip(_SCHEMAS, kernels, strict=True):
        name = schema.split("(")[0]
        _library.define(schema)  # type: ignore[no-untyped-call]
        _library.impl(name, kernel, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
        torch.library.register_fake(f"bnq::{name}", shape, lib=_library)
    torch.library.register_autograd("bnq::packed_linear", _gradient, setup_context=_keep_for_gradient, lib=_library)
    torch.library.register_autograd("bnq::fake_quantize", _straight_through, lib=_library)
    if hasattr(torch.library, "register_vmap"):  # since torch 2.5; before it vmap calls once for each in the batch
        torch.library.register_vmap("bnq::packed_linear", _each_in_a_batch, lib=_library)


_register()
