"""Bytes: how codes lie in memory or in a file. The same on every CPU; docs/formats has a byte picture of each."""

from typing import Any

from . import _core
from ._arrays import NUMPY, Array, Framework, borrow_packed, framework_called, output_name
from .arguments import shape_of, text
from .errors import InvalidArgumentError
from .quantized_tensor import QuantizedTensor
from .scheme import Scheme, SchemeLike

__all__ = ["Layout", "PackedTensor", "layouts", "pack", "unpack"]


class Layout:
    """One way of storing codes. Immutable, hashable, equal by value.

    Args:
        name: ``"i8"``, ``"i32_ct"``, ``"u2_hf"``, ``"u1"`` or the name of another program's layout, such as
            ``"tq2_0"``, or a Layout.

    Raises:
        InvalidArgumentError: there is no such layout; the message lists what there is.
    """

    __slots__ = ("_handle",)
    _handle: _core.Layout

    def __init__(self, name: "str | Layout") -> None:
        self._handle = name._handle if isinstance(name, Layout) else _core.Layout.parse(_name_of(name))

    @classmethod
    def _wrap(cls, handle: _core.Layout) -> "Layout":
        layout = cls.__new__(cls)
        layout._handle = handle
        return layout

    @property
    def name(self) -> str:
        """``"u2_hf"``, …"""
        return self._handle.name

    @property
    def about(self) -> str:
        """One line for people."""
        return self._handle.about

    @property
    def holds_scales(self) -> bool:
        """Whether the scales lie among the codes. Otherwise they are float32 numbers beside them."""
        return self._handle.holds_scales

    @property
    def is_read_only(self) -> bool:
        """Whether bnq reads this order of bytes, and writes another."""
        return self._handle.is_read_only

    def refusal(self, scheme: SchemeLike, shape: tuple[int, ...]) -> str:
        """Why this layout cannot hold such a tensor; empty when it can."""
        return self._handle.refusal(Scheme(scheme)._handle, shape_of(shape, "refusal"))

    def __str__(self) -> str:
        return self._handle.name

    def __repr__(self) -> str:
        return f"Layout({self._handle.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self._handle.name == other._handle.name

    def __hash__(self) -> int:
        return hash(self._handle.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return Layout, (self._handle.name,)


def layouts() -> list[Layout]:
    """Every layout: those that :func:`bnq.pack` chooses from, smallest codes first, then those of other programs."""
    return [Layout._wrap(handle) for handle in _core.Layout.all()]


class PackedTensor:
    """Bytes that say what they are: layout, scheme, shape, and float32 scales. Made by :func:`bnq.pack`.

    Scales lie beside the bytes, or, where ``layout.holds_scales``, among the codes.

    ``data`` and ``scales`` are views, as those of :class:`bnq.QuantizedTensor`.
    """

    __slots__ = ("_framework", "_handle")
    _handle: _core.PackedTensor
    _framework: Framework

    def __init__(self) -> None:
        raise InvalidArgumentError("PackedTensor: made by bnq.pack, or PackedTensor.from_parts")

    @classmethod
    def _wrap(cls, handle: _core.PackedTensor, framework: Framework) -> "PackedTensor":
        p = cls.__new__(cls)
        p._handle = handle
        p._framework = framework
        return p

    @classmethod
    def from_parts(
        cls,
        data: Array,
        scales: Array | None = None,
        *,
        layout: str | Layout,
        scheme: SchemeLike,
        shape: tuple[int, ...],
        dtype: Any = "f32",
        copy: bool = True,
    ) -> "PackedTensor":
        """A tensor from bytes that came from elsewhere, such as another program's file. They are copied, or borrowed.

        Args:
            data: the layout's bytes, in any integer dtype.
            scales: float32, one a granule, that multiply codes. Left out when the layout holds them.
            layout: how the codes lie in `data`.
            scheme: what codes and scales mean.
            shape: of the tensor, not of `data`.
            dtype: what ``dequantize`` gives after :func:`bnq.unpack`.
            copy: False keeps `data` itself, if it has no gaps. Its bytes must not change while the tensor, or a
                :class:`bnq.Linear` that was made of it, is in use.

        Raises:
            UnsupportedError: the layout cannot hold such a tensor.
            InvalidArgumentError: sizes do not fit, a scale is negative or not finite. Codes are checked by ``unpack``.
        """
        data_view, framework = borrow_packed(data, "PackedTensor data", need="an integer dtype")
        scales_view = None if scales is None else borrow_packed(scales, "PackedTensor scales", need="f32")[0]
        axes = shape_of(shape, "PackedTensor shape")
        handle = _core.PackedTensor.from_parts(
            Layout(layout)._handle, Scheme(scheme)._handle, output_name(dtype), axes, data_view, scales_view, bool(copy)
        )
        return cls._wrap(handle, framework)

    @property
    def data(self) -> Array:
        """The codes as they lie in a file, in the layout's own dtype and shape, e.g. uint8 ``[N/4, K]``."""
        layout, data = self._handle.layout, self._handle.data(self._framework.wants_writable)
        shape = layout.storage_shape(self._handle.scheme, self._handle.shape)
        return self._framework.view(data, shape, layout.storage_dtype)

    @property
    def scales(self) -> Array:
        """float32, one a granule. Empty when the layout holds them: ``bnq.unpack(p).scales`` has them."""
        data = self._handle.scales(self._framework.wants_writable)
        return self._framework.view(data, self._handle.scales_shape, "f32")

    @property
    def layout(self) -> Layout:
        """How the codes lie in ``data``."""
        return Layout._wrap(self._handle.layout)

    @property
    def scheme(self) -> Scheme:
        """What codes and scales mean."""
        return Scheme._wrap(self._handle.scheme)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what was quantized."""
        return self._handle.shape

    @property
    def dtype(self) -> str:
        """The dtype of what was quantized: ``"f32"``, ``"f16"`` or ``"bf16"``."""
        return self._handle.dtype

    @property
    def framework(self) -> str:
        """Where results go."""
        return self._framework.name

    @property
    def scale_error(self) -> float:
        """How far packing moved a scale: the largest ``abs(stored - scale) / scale`` where codes are not all 0.

        0.0 when every scale is exact, and for bytes that came from elsewhere. Layouts that hold f16 scales round them.
        """
        return self._handle.scale_error

    @property
    def nbytes(self) -> int:
        """Bytes of ``data`` and ``scales``."""
        return self._handle.nbytes

    @property
    def bits_per_weight(self) -> float:
        """True bits an element: padding and scales counted."""
        return self._handle.bits_per_weight

    def __repr__(self) -> str:
        moved = f", scales moved by up to {self.scale_error:.2g}" if self.scale_error else ""
        return (
            f"PackedTensor({self.layout}, {self.scheme}, shape={self.shape}, {self.nbytes} bytes, "
            f"{self.bits_per_weight:.4g} bits/weight{moved})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        data = NUMPY.view(self._handle.data(False), (-1,), "u8")
        held = self._handle.layout.holds_scales
        scales = None if held else NUMPY.view(self._handle.scales(False), self._handle.scales_shape, "f32")
        return _restore, (str(self.layout), (str(self.scheme), self.shape, self.dtype), data, scales, self.framework)


def _restore(
    layout: str, kind: tuple[str, tuple[int, ...], str], data: Array, scales: Array | None, framework: str
) -> Any:
    """What pickle and deepcopy call. Everything is checked again."""
    scheme, shape, dtype = kind
    p = PackedTensor.from_parts(data, scales, layout=layout, scheme=scheme, shape=shape, dtype=dtype)
    return PackedTensor._wrap(p._handle, framework_called(framework))


def pack(q: QuantizedTensor, layout: str | Layout | None = None) -> PackedTensor:
    """Codes to bytes.

    Args:
        q: what to pack.
        layout: left out, the first of :func:`bnq.layouts` that holds it. Named, it may be one that holds f16 scales:
            ``PackedTensor.scale_error`` says how far they were rounded.

    Raises:
        UnsupportedError: this layout cannot hold it, or one of its scales; the message says what can.
    """
    _require_quantized("pack", q)
    chosen = None if layout is None else Layout(layout)._handle
    return PackedTensor._wrap(_core.pack(q._handle, chosen), q._framework)


def unpack(p: PackedTensor) -> QuantizedTensor:
    """Bytes to codes: ``unpack(pack(q))`` has the codes of ``q``, and its scales as the layout holds them.

    Raises:
        BadContentError: the bytes hold a code that the scheme does not have, no scale where one should be, or several
            where the scheme has one.
    """
    if not isinstance(p, PackedTensor):
        raise InvalidArgumentError(f"unpack: not packed (got {type(p).__name__}, need a PackedTensor)")
    return QuantizedTensor._wrap(_core.unpack(p._handle), p._framework)


def _require_quantized(where: str, q: Any) -> None:
    if not isinstance(q, QuantizedTensor):
        raise InvalidArgumentError(
            f"{where}: not quantized (got {type(q).__name__}, need a QuantizedTensor); use bnq.quantize(values, scheme)"
        )


def _name_of(layout: Any) -> str:
    return text(layout, "layout", f"one of {', '.join(map(str, layouts()))}")
