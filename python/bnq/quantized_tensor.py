"""Values: codes and scales, and the two functions between them and float tensors."""

from typing import Any

from . import _core
from ._arrays import NUMPY, Array, Framework, borrow, borrow_packed, framework_called, output_name
from .errors import InvalidArgumentError
from .scheme import Scheme, SchemeLike, warn_of

__all__ = ["QuantizedTensor", "dequantize", "quantize", "quantize_activations"]


class QuantizedTensor:
    """One int8 code an element, and float32 scales that **multiply** codes. Made by :func:`bnq.quantize`.

    ``codes`` and ``scales`` are views of the tensor's own memory, in the framework that was quantized: read-only in
    numpy; in torch, which has no read-only tensors, not to be written; copies in jax.
    """

    __hash__ = None  # type: ignore[assignment]  # equal by value, and values are large
    __slots__ = ("_framework", "_handle")
    _handle: _core.QuantizedTensor
    _framework: Framework

    def __init__(self) -> None:
        raise InvalidArgumentError("QuantizedTensor: made by bnq.quantize, or QuantizedTensor.from_parts")

    @classmethod
    def _wrap(cls, core: _core.QuantizedTensor, framework: Framework) -> "QuantizedTensor":
        q = cls.__new__(cls)
        q._handle = core
        q._framework = framework
        return q

    @classmethod
    def from_parts(cls, codes: Array, scales: Array, *, scheme: SchemeLike, dtype: Any = "f32") -> "QuantizedTensor":
        """A tensor from codes and scales that came from elsewhere. They are copied.

        Args:
            codes: int8, in the range of the scheme.
            scales: float32, one a granule, that multiply codes: ``[1]`` for tensor, ``shape[:-1] + [1]`` for row,
                ``shape[:-1] + [groups]`` for group.
            scheme: what codes and scales mean.
            dtype: what ``dequantize`` gives.

        Raises:
            InvalidArgumentError: shapes do not fit, a code is none of the scheme's, a scale is negative or not finite.
        """
        codes_view, framework = borrow_packed(codes, "QuantizedTensor codes", need="i8")
        scales_view, _ = borrow_packed(scales, "QuantizedTensor scales", need="f32")
        counts = _core.QuantizeCounts(0, 0)
        handle = _core.QuantizedTensor.from_parts(
            Scheme(scheme)._handle, output_name(dtype), codes_view, scales_view, counts
        )
        return cls._wrap(handle, framework)

    @property
    def codes(self) -> Array:
        """int8, in the shape of the tensor."""
        data = self._handle.codes(self._framework.wants_writable)
        return self._framework.view(data, self._handle.shape, "i8")

    @property
    def scales(self) -> Array:
        """float32, one a granule: ``[1]``, ``shape[:-1] + [1]`` or ``shape[:-1] + [groups]``."""
        data = self._handle.scales(self._framework.wants_writable)
        return self._framework.view(data, self._handle.scales_shape, "f32")

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
        """Where results go: ``"numpy"``, ``"torch"``, or the name of an array API such as ``"jax.numpy"``."""
        return self._framework.name

    @property
    def nbytes(self) -> int:
        """Bytes in memory: one a code, four a scale. :func:`bnq.pack` makes it small."""
        return self._handle.nbytes

    @property
    def bits_per_weight(self) -> float:
        """Bits an element when every code takes as many bits as its scheme needs, scales counted."""
        return self._handle.bits_per_weight

    @property
    def floored_granules(self) -> int:
        """Granules too small for a scale of their own: theirs is the floor of the rule. 0 when read from a file."""
        return self._handle.counts.floored_granules

    @property
    def prequantized_granules(self) -> int:
        """Granules that were ternary already and are kept exactly. 0 when read from a file."""
        return self._handle.counts.prequantized_granules

    def dequantize(self, dtype: Any = None) -> Array:
        """code * scale, in the framework, shape and dtype of what was quantized.

        Args:
            dtype: another dtype: ``"f32"``, ``"f16"``, ``"bf16"``, or the framework's own (``torch.bfloat16``).
                Values past its largest finite number become that number.
        """
        name = self._handle.dtype if dtype is None else output_name(dtype)
        out, address = self._framework.new(self._handle.shape, name)
        _core.dequantize_to(self._handle, name, address)
        return self._framework.finished(out)

    def __repr__(self) -> str:
        counted = [
            f", {count} {what}"
            for count, what in (
                (self.floored_granules, "granules floored"),
                (self.prequantized_granules, "granules ternary already"),
            )
            if count
        ]
        return (
            f"QuantizedTensor({self._handle.scheme.name}, shape={self.shape}, from {self.framework} {self.dtype}, "
            f"{self.bits_per_weight:.4g} bits/weight{''.join(counted)})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QuantizedTensor) and _core.is_equal(self._handle, other._handle)

    def __reduce__(self) -> tuple[Any, ...]:
        codes = NUMPY.view(self._handle.codes(False), self.shape, "i8")
        scales = NUMPY.view(self._handle.scales(False), self._handle.scales_shape, "f32")
        counts = self.floored_granules, self.prequantized_granules
        return _restore, (str(self.scheme), self.dtype, (codes, scales), counts, self.framework)


def _restore(scheme: str, dtype: str, arrays: tuple[Array, Array], counts: tuple[int, int], framework: str) -> Any:
    """What pickle and deepcopy call. Everything is checked again."""
    codes, scales = (borrow_packed(array, "QuantizedTensor", need="i8 and f32")[0] for array in arrays)
    handle = _core.QuantizedTensor.from_parts(
        _core.Scheme.parse(scheme), dtype, codes, scales, _core.QuantizeCounts(*counts)
    )
    return QuantizedTensor._wrap(handle, framework_called(framework))


def quantize(values: Array, scheme: SchemeLike) -> QuantizedTensor:
    """Float tensor to codes and scales.

    Args:
        values: f32, f16 or bf16, any shape and strides, on the CPU; read in place. Parameters that want gradients are
            fine; no gradient flows through.
        scheme: a precision (``8``, ``1.58``), a name (``"ternary"``, ``"4:group(128)"``) or a :class:`bnq.Scheme`.

    Raises:
        InvalidArgumentError: no such scheme, or `values` is no tensor.
        UnsupportedError: another dtype or device, not dense.
        BadContentError: NaN or infinity, with the first index.
    """
    chosen = Scheme(scheme)
    warn_of(chosen, stacklevel=2)
    return quantize_as(values, chosen, "quantize")


def quantize_as(values: Array, scheme: Scheme, where: str) -> QuantizedTensor:
    borrowed, framework = borrow(values, where)
    return QuantizedTensor._wrap(_core.quantize(borrowed, scheme._handle), framework)


def quantize_activations(x: Array) -> QuantizedTensor:
    """Activations to int8, one scale a token: everything along the last axis. BitNet b1.58's rule.

    Takes and raises what :func:`bnq.quantize` does.
    """
    return quantize_as(x, Scheme.activations(), "quantize_activations")


def dequantize(q: QuantizedTensor, dtype: Any = None) -> Array:
    """The same as ``q.dequantize(dtype)``."""
    if not isinstance(q, QuantizedTensor):
        raise InvalidArgumentError(
            f"dequantize: not quantized (got {type(q).__name__}, need a QuantizedTensor); bnq.unpack makes one of a "
            "PackedTensor"
        )
    return q.dequantize(dtype)
