"""A linear layer that runs on packed low-bit weights."""

from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from .._arrays import PLAIN_TORCH
from .._arrays.frameworks import TORCH
from ..arguments import shown
from ..errors import InvalidArgumentError, UnsupportedError
from ..layout import PackedTensor, pack, unpack
from ..linear import Linear
from ..quantized_tensor import QuantizedTensor, quantize_as
from ..scheme import Scheme, SchemeLike, warn_of
from .bit_linear import BitLinear, require_linear
from .ops import (
    Parts,
    is_elsewhere,
    layout_of,
    linear_of,
    on_cpu,
    packed,
    packed_linear,
    refuse_script,
    require_no_tangent,
    require_one_set,
)

__all__ = ["PackedLinear"]


class PackedLinear(nn.Module):
    """y = x Wᵀ + bias as :class:`bnq.Linear` computes it, to the bit, from plain buffers.

    ``state_dict``, ``deepcopy``, ``pickle`` and ``torch.save`` carry the packed bytes, and loading quantizes nothing
    anew. Where a kernel reads the packed bytes as they lie, they are the layer's only copy; else a form of its own is
    made of them. Either happens at the first call, and again after the buffers have changed. Writes that torch does not
    count (into inference tensors, through ``.data`` or ``.numpy()``) are excepted: they may count in part, unchecked.

    Weights and bias are frozen. The gradient of the input goes straight through the rounding of activations: it is
    that of a float layer with the dequantized weights; forward-mode derivatives are refused. Computes in x's dtype also
    under autocast; ``half()`` and the like leave the buffers as they are, for scales in another dtype would be another
    layer.

    Runs on the CPU, by bnq's kernels, and on devices such as CUDA by torch's own operations, with the same bits, or not
    at all. There it saves memory and no time, for each call unpacks the weights anew.

    Attributes:
        weight: uint8, the bytes of ``bnq.pack(q)``.
        scales: float32, one a granule.
        bias: float32 [N], or None.
        scheme_text: uint8, the scheme's name, so that a state of another scheme is refused and not read as this one's.

    Args:
        in_features: K
        out_features: N
        scheme: what codes and scales mean.
        bias: has it one?

    Raises:
        InvalidArgumentError: there is no such scheme.
    """

    weight: Tensor
    scales: Tensor
    bias: Tensor | None
    scheme_text: Tensor
    _made: tuple[Linear, Parts, tuple[int, ...]] | None

    def __init__(self, in_features: int, out_features: int, scheme: SchemeLike, *, bias: bool = True) -> None:
        """Without weights, for a state that is loaded. :meth:`from_linear` makes one with weights."""
        kind, shape = Scheme(scheme), (out_features, in_features)
        layout, handle = layout_of(kind, shape)._handle, kind._handle
        data = torch.zeros(layout.storage_shape(handle, shape), dtype=TORCH.new((0,), layout.storage_dtype)[0].dtype)
        scales = torch.full(handle.scales_shape(shape), torch.nan, dtype=torch.float32)
        zeros = torch.zeros(out_features, dtype=torch.float32) if bias else None
        self._hold(kind, shape, (data.view(torch.uint8), scales, zeros))

    def _hold(self, scheme: Scheme, shape: tuple[int, int], buffers: tuple[Tensor, Tensor, Tensor | None]) -> None:
        super().__init__()
        self.out_features, self.in_features = shape
        self._scheme_name = str(scheme)  # plain, so that compilers can read it
        for name, buffer in zip(("weight", "scales", "bias"), buffers, strict=True):
            self.register_buffer(name, buffer)
        self.register_buffer("scheme_text", torch.tensor(list(self._scheme_name.encode()), dtype=torch.uint8))
        self._made = None

    @property
    def scheme(self) -> Scheme:
        """What codes and scales mean. It goes with them, and cannot be set."""
        return Scheme(self._scheme_name)

    @scheme.setter
    def scheme(self, value: object) -> None:
        raise InvalidArgumentError(
            f"PackedLinear: the scheme says what the codes are, and is not set (got {shown(value)}, need "
            f"{self._scheme_name!r}); use PackedLinear.from_linear(layer, scheme) on the float layer"
        )

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuses a parameter in a buffer's place, as ``tie_weights`` of transformers puts it there."""
        if isinstance(value, nn.Parameter) and name in ("weight", "scales", "bias", "scheme_text"):
            raise InvalidArgumentError(
                f"PackedLinear: {name} is a buffer and is not trained (got a parameter in {value.dtype}, need a plain "
                f"tensor{' of packed bytes' if name == 'weight' else ''}); use PackedLinear.from_linear, or do not tie "
                "it to a float weight"
            )
        super().__setattr__(name, value)

    @classmethod
    def _over(cls, scheme: Scheme, shape: tuple[int, int], codes: tuple[Tensor, Tensor], bias: Any) -> "PackedLinear":
        """The layer over weight and scales, and a copy of the bias. None are made first: they would be as large."""
        made = cls.__new__(cls)
        copied = None if bias is None else on_cpu(bias.detach()).to(torch.float32, copy=True)
        made._hold(scheme, shape, (*codes, copied))
        made._linear()  # what is wrong with the bias or the depth is said here
        return made

    @classmethod
    def from_linear(cls, layer: nn.Linear, scheme: SchemeLike) -> "PackedLinear":
        """The layer with its weights quantized. `layer` is not changed.

        Args:
            layer: with weights [N, K] and bias in f32, f16 or bf16. The result is on its device.
            scheme: a precision (``8``, ``1.58``), a name (``"ternary"``, ``"4:group(128)"``) or a :class:`bnq.Scheme`.

        Raises:
            InvalidArgumentError: no such scheme, or `layer` is no ``nn.Linear``, is lazy, a BitLinear with norm, has a
                forward of its own, or a weight that a hook computes.
            UnsupportedError: another dtype or device, or so deep that sums might not fit in int32.
            BadContentError: a weight is NaN or infinite.
        """
        if not isinstance(layer, nn.Linear):
            raise InvalidArgumentError(
                f"PackedLinear: not a linear layer (got {type(layer).__name__}, need a torch.nn.Linear); "
                "pack its linear layers one by one"
            )
        if isinstance(layer, BitLinear) and layer.norm:
            raise InvalidArgumentError(
                "PackedLinear: has no norm (got a BitLinear with norm=True, need one without); use "
                "convert_(nn.Sequential(layer))"
            )
        require_linear(layer, "PackedLinear")
        if nn.parameter.is_lazy(layer.weight):
            raise InvalidArgumentError(
                f"PackedLinear: the layer has no weights yet (got {type(layer).__name__}, need weights [N, K]); run it "
                "once"
            )
        chosen = Scheme(scheme)
        warn_of(chosen, stacklevel=2)
        made = cls.from_quantized(quantize_as(on_cpu(layer.weight), chosen, "PackedLinear"), layer.bias)
        return made.train(layer.training).to(layer.weight.device)

    @classmethod
    def from_quantized(cls, q: QuantizedTensor, bias: Tensor | None = None) -> "PackedLinear":
        """The layer over weights that are quantized already, as :func:`bnq.load` gives them.

        Args:
            q: two axes, [N, K], any scheme.
            bias: [N] in f32, f16 or bf16, or None; copied.

        Raises:
            InvalidArgumentError: a bias of another length, or one that is not finite.
            UnsupportedError: another number of axes, or so deep that sums might not fit in int32.
        """
        if len(q.shape) != 2:
            raise UnsupportedError(f"PackedLinear: weights of two axes are needed (got {q.shape}, need [N, K])")
        with torch.inference_mode(False), torch.device("cpu"):  # buffers whose writes are counted
            p = PackedTensor._wrap(pack(q)._handle, TORCH)  # its memory becomes the buffers'
            return cls._over(q.scheme, q.shape, (p.data.view(torch.uint8), p.scales), bias)

    def twin(self, bias: Tensor | None) -> "PackedLinear":
        """Another layer over the very same codes and scales: its `weight` and `scales` are this layer's tensors.

        Args:
            bias: as for :meth:`from_quantized`.

        Raises:
            InvalidArgumentError: a bias of another length, or one that is not finite.
        """
        with torch.inference_mode(False), torch.device("cpu"):
            return PackedLinear._over(self.scheme, self._shape(), (self.weight, self.scales), bias)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  as nn.Linear names it
        """Input [..., K] in f32, f16 or bf16, any strides, to output [..., N] in its dtype.

        Callable from many threads at once.

        Raises:
            InvalidArgumentError: the input has another depth.
            UnsupportedError: another dtype or device, not dense.
        """
        x = input
        if not isinstance(x, Tensor):
            if isinstance(x, torch.fx.Proxy):  # of symbolic_trace: one call of the operator in its graph
                return packed_linear(x, self._parts())
            raise InvalidArgumentError(
                f"PackedLinear: not a tensor (got {type(x).__name__}, need a torch.Tensor); use torch.as_tensor(x)"
            )
        # An operator's way through torch's dispatcher takes several microseconds; only who is listening needs it.
        if not (
            torch.compiler.is_compiling()
            or not x.is_cpu
            or (x.requires_grad and torch.is_grad_enabled())
            or torch._C._len_torch_dispatch_stack()
            or torch._C._is_tracing()
            or forward_ad._current_level >= 0
        ):
            y: Tensor | None = PLAIN_TORCH.product(self._linear()._handle, x)
            if y is not None:
                return y
        if not torch.compiler.is_compiling() and forward_ad._current_level >= 0:
            require_no_tangent(x, "PackedLinear")
        if x.is_nested:
            raise UnsupportedError(
                "PackedLinear: not a dense tensor (got nested, need torch.strided); use tensor.to_padded_tensor(0.0)"
            )
        return packed_linear(x, self._parts())

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The weights as they count, [N, K]: code * scale."""
        parts = self.weight, self.scales, self._scheme_name, self._shape()
        w: Tensor
        if is_elsewhere(self.weight):
            w = torch.ops.bnq.packed_dequantize(*parts, dtype)
        else:
            w = unpack(packed(*parts)).dequantize(dtype)
        return w

    def explain(self) -> str:
        """The kernel that runs, its instruction set and tile, its memory, and why each better one was passed over."""
        if is_elsewhere(self.weight):
            return (
                f"PackedLinear [{self.out_features}, {self.in_features}] {self._scheme_name} on {self.weight.device}\n"
                "  kernel: torch's own operations, the bits of bnq's kernels, of which none is for this device\n"
                f"  memory: {self.weight.nbytes} bytes packed; each call unpacks them to float32 for itself\n"
            )
        return self._linear().explain()

    def __prepare_scriptable__(self) -> NoReturn:
        """What torch.jit.script calls first."""
        refuse_script("PackedLinear")

    def extra_repr(self) -> str:
        """What ``repr`` says between the brackets."""
        size = self.weight.nbytes + self.scales.nbytes
        bits = 8 * size / max(1, self.in_features * self.out_features)
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}, "
            f"scheme={self._scheme_name!r}, {bits:.4g} bits/weight"
        )

    def _shape(self) -> tuple[int, int]:
        return self.out_features, self.in_features

    def _parts(self) -> Parts:
        return Parts(self.weight, self.scales, self.bias, self._scheme_name, self._shape())

    def _linear(self) -> Linear:
        """The layer over the buffers as they are now."""
        if self._made is not None:
            linear, parts, version = self._made
            buffers = self._buffers  # nn.Module's way to an attribute is several times longer
            weight, scales, bias, _, _ = parts
            if buffers["weight"] is weight and buffers["scales"] is scales and buffers["bias"] is bias:
                try:  # what Parts.version() says, without its loops: this is on every call's way
                    now = weight._version, scales._version, weight.data_ptr(), scales.data_ptr()
                    unchanged = now == version[:4] and (bias is None or (bias._version, bias.data_ptr()) == version[4:])
                except RuntimeError:  # inference tensors have no version
                    unchanged = parts.version() == version
                if unchanged:
                    return linear
        parts = self._parts()
        require_one_set(parts)
        version = parts.version()
        if is_elsewhere(self.weight):
            raise UnsupportedError(
                f"PackedLinear: the layer is on {self.weight.device}, and x is not (need one device); use "
                "layer.to(x.device)"
            )
        if self.scales.device.type == "cpu" and self.scales.numel() > 0 and self.scales.isnan().all():
            raise InvalidArgumentError(
                "PackedLinear: has no weights yet (got a new layer, need a loaded one); use load_state_dict, or "
                "PackedLinear.from_linear"
            )
        linear = linear_of(parts)
        self._made = linear, parts, version
        return linear

    def _apply(self, fn: Any, recurse: bool = True) -> "PackedLinear":
        """What ``to``, ``half``, ``cuda``, ``to_empty`` and the like call: devices change, dtypes do not."""
        before = dict(self._buffers)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, tensor in self._buffers.items():
            old = before[name]
            if tensor is not None and old is not None and tensor.dtype != old.dtype:
                self._buffers[name] = old.to(tensor.device)
        old = before["scales"]
        if old is not None and old.is_meta and not self.scales.is_meta:  # by to_empty: what the memory held is no layer
            with torch.no_grad():
                self.scales.fill_(torch.nan)
                self.scheme_text.copy_(torch.tensor(list(self._scheme_name.encode()), dtype=torch.uint8))
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Refuses the state of another scheme, or of a float layer; torch itself compares sizes only."""
        messages: list[str] = rest[-1]
        where = prefix.rstrip(".") or "the state"
        weight = state_dict.get(prefix + "weight")
        if isinstance(weight, Tensor) and weight.dtype != torch.uint8:
            messages.append(
                f"PackedLinear: {where} has weights that are not packed (got {weight.dtype}, need torch.uint8); "
                "use PackedLinear.from_linear on the layer that they belong to"
            )
        text = state_dict.get(prefix + "scheme_text")
        if isinstance(text, Tensor) and text.device.type != "meta":
            is_text = text.dtype == torch.uint8 and text.dim() == 1
            name = bytes(text.tolist()).decode(errors="replace") if is_text else f"{text.dtype} {tuple(text.shape)}"
            if name != self._scheme_name:
                messages.append(
                    f"PackedLinear: {where} is of another scheme (got {shown(name)}, need "
                    f"{self._scheme_name!r}); make the layer with that scheme"
                )
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles carry the buffers; a copy makes its own form of them."""
        return {**self.__dict__, "_made": None}
