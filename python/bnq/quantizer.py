"""The front door: one scheme for weights, BitNet's int8 per token for activations, and the way back."""

from typing import Any

from ._arrays import Array, is_array
from .arguments import shown
from .errors import InvalidArgumentError
from .layout import PackedTensor, unpack
from .quantized_tensor import QuantizedTensor, quantize_activations, quantize_as
from .scheme import Scheme, SchemeLike, precision_scheme, warn_of

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

    Raises:
        InvalidArgumentError: no such precision, granularity or scheme, and the message lists what is allowed; both
            `precision` and `scheme`; the scheme of activations.

    Precision 2 warns: it is worse than ternary in the same bits.
    """

    __slots__ = ("_scheme",)
    _scheme: Scheme

    def __init__(
        self, precision: float = _DEFAULT, *, granularity: str | None = None, scheme: SchemeLike | None = None
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
        warn_of(self._scheme, stacklevel=2)

    @property
    def scheme(self) -> Scheme:
        """What is done to weights."""
        return self._scheme

    def quantize_weights(self, weight: Any) -> QuantizedTensor:
        """Codes and scales of a tensor, or of a layer's ``weight``.

        Args:
            weight: a tensor (numpy, torch, or another array; also a Parameter that wants gradients), or anything with
                ``.weight``. Neither is changed.

        Raises what :func:`bnq.quantize` does.
        """
        return quantize_as(_weight_of(weight), self._scheme, "quantize_weights")

    def quantize_activations(self, x: Array) -> QuantizedTensor:
        """int8 codes and one scale a token, which is everything along the last axis. The same for every precision."""
        return quantize_activations(x)

    def dequantize(self, q: QuantizedTensor | PackedTensor) -> Array:
        """code * scale, in the framework, device, dtype and shape of what was quantized."""
        if not isinstance(q, QuantizedTensor | PackedTensor):
            raise InvalidArgumentError(f"dequantize: not quantized (got {type(q).__name__}, need a QuantizedTensor)")
        return (unpack(q) if isinstance(q, PackedTensor) else q).dequantize()

    def __repr__(self) -> str:
        return self._scheme._handle.quantizer_text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BitNetQuantizer) and self._scheme == other._scheme

    def __hash__(self) -> int:
        return hash(self._scheme)


def _weight_of(weight: Any) -> Any:
    """The tensor, or the layer's. A layer that keeps none, or a packed one behind a method, is told apart."""
    found = weight if is_array(weight) else getattr(weight, "weight", None)
    if is_array(found):
        return found
    raise InvalidArgumentError(
        f"quantize_weights: no weights (got {type(weight).__name__}, need a tensor, or a layer whose .weight is one); "
        "for plain numbers use numpy.asarray(values, numpy.float32)"
    )
