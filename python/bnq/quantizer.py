"""The front door: one scheme for weights, BitNet's int8 per token for activations, and the way back."""

from typing import Any

from . import _core
from ._arrays import Array, is_array
from .arguments import shape_of, shown
from .errors import InvalidArgumentError
from .layout import PackedTensor, pack, unpack
from .quantized_tensor import QuantizedTensor, quantize_activations, quantize_as
from .scheme import Scheme, SchemeLike, precision_scheme, warn_of
from .target import Target

__all__ = ["BitNetQuantizer"]


class _LeftOut(int):
    """A default that is told apart from the same number given by the caller."""

    __slots__ = ()


_DEFAULT = _LeftOut(8)


class BitNetQuantizer:
    """Quantizes weights and activations, and turns them back.

    Args:
        precision: bits a weight code takes: 8 … 2 (integers by absmax), 1.58 (ternary, BitNet b1.58) or 1 (binary,
            BitNet v1). **Precision 8 means int8, not ternary**; printing a quantizer spells out what it does.
        granularity: which weights share a scale: ``"tensor"``, ``"row"`` or ``"group(n)"``; the scheme's default when
            left out.
        scheme: a scheme's name or a :class:`bnq.Scheme`, in place of `precision`; giving both is an error.
        target: the program that is to run the result, a name or a :class:`bnq.Target`: nothing is made that it cannot
            load or compute.

    Raises:
        InvalidArgumentError: no such precision, granularity, scheme or target, and the message lists what is allowed;
            both `precision` and `scheme`; the scheme of activations.
        UnsupportedError: the target takes no such weights, whatever their shape.

    Precision 2 warns: it is worse than ternary in the same bits.
    """

    __slots__ = ("_scheme", "_target")
    _scheme: Scheme
    _target: Target | None

    def __init__(
        self,
        precision: float = _DEFAULT,
        *,
        granularity: str | None = None,
        scheme: SchemeLike | None = None,
        target: str | Target | None = None,
    ) -> None:
        if scheme is None:
            chosen = precision_scheme(precision)
            self._scheme = chosen if granularity is None else chosen.with_granularity(granularity)
        else:
            if not isinstance(precision, _LeftOut):
                raise InvalidArgumentError(
                    f"BitNetQuantizer: precision and scheme are two names for one thing (got {shown(precision)} and "
                    f"{shown(scheme)}, need one); leave one out"
                )
            self._scheme = Scheme(scheme, granularity=granularity)
            if self._scheme.rule == Scheme.activations().rule:
                raise InvalidArgumentError(
                    f"BitNetQuantizer: {self._scheme.rule} is for activations (got {shown(scheme)}, need a scheme of "
                    "weights); leave it out: quantize_activations uses it always"
                )
        self._target = None if target is None else Target(target)
        if self._target is not None:
            self._target._handle.require("BitNetQuantizer", self._scheme._handle, None)
        warn_of(self._scheme, stacklevel=2)

    @property
    def scheme(self) -> Scheme:
        """What is done to weights."""
        return self._scheme

    @property
    def target(self) -> Target | None:
        """The program that is to run the result; None: nobody in particular."""
        return self._target

    def quantize_weights(self, weight: Any) -> QuantizedTensor:
        """Codes and scales of a tensor, or of a layer's ``weight``.

        Args:
            weight: a tensor (numpy, torch, or another array; also a Parameter that wants gradients), or anything with
                ``.weight``. Neither is changed.

        Raises what :func:`bnq.quantize` does, and UnsupportedError for a tensor that the target does not take.
        """
        values = _weight_of(weight)
        if self._target is not None:
            shape = shape_of(values.shape, "quantize_weights")
            self._target._handle.require("quantize_weights", self._scheme._handle, shape)
        return quantize_as(values, self._scheme, "quantize_weights")

    def quantize_activations(self, x: Array) -> QuantizedTensor:
        """int8 codes and one scale a token, which is everything along the last axis. The same for every precision."""
        return quantize_activations(x)

    def pack(self, q: QuantizedTensor) -> PackedTensor:
        """Codes to bytes, in the layout that the target takes; without one, as :func:`bnq.pack` chooses.

        Raises:
            UnsupportedError: the target does not take it, or its layout cannot hold one of its scales.
        """
        if self._target is None or not isinstance(q, QuantizedTensor):
            return pack(q)
        self._target._handle.require("pack", q.scheme._handle, q.shape)
        return pack(q, self._target.layout(q.scheme, q.shape))

    def dequantize(self, q: QuantizedTensor | PackedTensor) -> Array:
        """code * scale, in the framework, device, dtype and shape of what was quantized."""
        if not isinstance(q, QuantizedTensor | PackedTensor):
            raise InvalidArgumentError(f"dequantize: not quantized (got {type(q).__name__}, need a QuantizedTensor)")
        return (unpack(q) if isinstance(q, PackedTensor) else q).dequantize()

    def __repr__(self) -> str:
        return _core.quantizer_text(self._scheme._handle, None if self._target is None else self._target._handle)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BitNetQuantizer):
            return False
        return self._scheme == other._scheme and self._target == other._target

    def __hash__(self) -> int:
        return hash((self._scheme, self._target))


def _weight_of(weight: Any) -> Any:
    """The tensor, or the layer's. A layer that keeps none, or a packed one behind a method, is told apart."""
    found = weight if is_array(weight) else getattr(weight, "weight", None)
    if is_array(found):
        return found
    raise InvalidArgumentError(
        f"quantize_weights: no weights (got {type(weight).__name__}, need a tensor, or a layer whose .weight is one); "
        "for plain numbers use numpy.asarray(values, numpy.float32)"
    )
