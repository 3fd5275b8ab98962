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

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ...errors import InvalidArgumentError, UnsupportedError
from ...layout import unpack
from ...quantized_tensor import QuantizedTensor, quantize_as
from ...scheme import Scheme
from . import formulas
from .exact import require_exact
from .parts import Parts, bytes_of, linear_of, packed, scales_shape, weight_shape


def refuse_script(kind: str) -> NoReturn:
    """Raises UnsupportedError for torch.jit.script, which reads Python's source."""
    raise UnsupportedError(
        f"{kind}: torch.jit.script cannot read it (got a layer that calls bnq, need TorchScript); use torch.jit.trace, "
        "torch.export or torch.compile"
    )


def require_no_tangent(x: Tensor, where: str) -> None:
    """Raises UnsupportedError for a dual tensor: torch would drop its tangent in silence."""
    if forward_ad.unpack_dual(x).tangent is not None:  # type: ignore[no-untyped-call]
        raise UnsupportedError(
            f"{where}: has no forward-mode derivative (got a dual tensor, need a plain one); use reverse mode: "
            "torch.autograd.grad, torch.func.jacrev"
        )


def require_one_set(parts: Parts) -> None:
    """Raises UnsupportedError for weights that torch.vmap has stacked, or that a transformation of torch.func has."""
    if any(part is not None and torch._C._functorch.is_functorch_wrapped_tensor(part) for part in parts[:3]):
        raise UnsupportedError(
            "PackedLinear: one set of weights serves all (got weights, scales or a bias that torch.vmap or torch.func "
            "transforms, need plain buffers); call the layers in a loop, and transform the input only"
        )


def _no_tangent(ctx: Any, *tangents: Any) -> Any:
    """What forward mode over reverse mode meets, as in torch.func.hessian: the dual tensor is inside of another one."""
    del ctx, tangents
    raise UnsupportedError(
        "bnq.torch: packed and fake-quantized layers have no forward-mode derivative (got one of a gradient, as "
        "torch.func.hessian takes it, need reverse mode); use torch.func.jacrev(torch.func.jacrev(f))"
    )


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
    return x.new_empty(x.shape, dtype=torch.int8), x.new_empty(scales_shape(x.shape, scheme), dtype=torch.float32)


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
    jvp = staticmethod(_no_tangent)


class _FakeQuantizeOfFunc(torch.autograd.Function):
    """fake_quantize for them."""

    generate_vmap_rule = True
    forward = staticmethod(lambda x, scheme: torch.ops.bnq.fake_quantize(x, scheme))  # noqa: PLW0108  as above
    setup_context = staticmethod(lambda ctx, inputs, output: None)  # noqa: ARG005  torch names them
    backward = staticmethod(_straight_through)
    jvp = staticmethod(_no_tangent)


def _is_transformed() -> bool:
    """By one that asks a function for its rule. functionalize has none for them, and takes operators as they are."""
    if torch.compiler.is_compiling() or not torch._C._are_functorch_transforms_active():
        return False
    top = torch._C._functorch.peek_interpreter_stack()
    return top is not None and top.key() != torch._C._functorch.TransformType.Functionalize


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


def _anywhere(name: str, core: Callable[..., Any], formula: Callable[..., Any]) -> Callable[..., Any]:
    """For devices other than the CPU, and tensors that are not dense, which the core refuses."""

    def run(x: Tensor, *rest: Any) -> Any:
        for tensor in rest:
            if isinstance(tensor, Tensor) and tensor.device != x.device:
                raise UnsupportedError(
                    f"bnq::{name}: tensors on two devices (got {x.device} and {tensor.device}, need one); use .to(...)"
                )
        if x.is_cpu:
            return core(x, *rest)
        require_exact(x.device)
        with torch.no_grad():  # as the core computes; not every operator has a gradient
            return formula(x, *rest)

    return run


def _without_values(name: str, shape: Callable[..., Any]) -> Callable[..., Any]:
    """What torch runs in place of a kernel where one tensor has no values: a result that has some would be made up."""

    def run(x: Tensor, *rest: Any) -> Any:
        if x.device.type != "meta":
            for tensor in rest:
                if isinstance(tensor, Tensor) and tensor.device.type == "meta":
                    raise UnsupportedError(
                        f"bnq::{name}: a tensor without values (got {x.device} and meta, need one device); load its "
                        "values first"
                    )
        return shape(x, *rest)

    return run


def _register() -> None:
    """Kernels for every device: one that cannot do it meets bnq's sentence, not a list of dispatch keys."""
    kernels: tuple[tuple[Any, ...], ...] = (
        (_packed_linear, formulas.packed_linear, _packed_linear_shape),
        (_packed_dequantize, formulas.packed_dequantize, _packed_dequantize_shape),
        (_quantize, formulas.quantize, _quantize_shape),
        (_dequantize, formulas.dequantize, _dequantize_shape),
        (_fake_quantize, formulas.fake_quantize, _fake_quantize_shape),
        (bytes_of, formulas.pack, _pack_shape),
    )
    for schema, (core, formula, shape) in zip(_SCHEMAS, kernels, strict=True):
        name = schema.split("(")[0]
        _library.define(schema)  # type: ignore[no-untyped-call]
        _library.impl(name, core, "CPU")  # type: ignore[no-untyped-call]
        _library.impl(name, _anywhere(name, core, formula), "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
        torch.library.register_fake(f"bnq::{name}", _without_values(name, shape), lib=_library)
    torch.library.register_autograd("bnq::packed_linear", _gradient, setup_context=_keep_for_gradient, lib=_library)
    torch.library.register_autograd("bnq::fake_quantize", _straight_through, lib=_library)
    if hasattr(torch.library, "register_vmap"):  # since torch 2.5; before it vmap calls once for each in the batch
        torch.library.register_vmap("bnq::packed_linear", _each_in_a_batch, lib=_library)


_register()
