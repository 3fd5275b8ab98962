"""How good is it? Numbers against the original."""

from dataclasses import dataclass, fields
from typing import Any

from . import _core
from ._arrays import Array, borrow
from .errors import InvalidArgumentError
from .layout import PackedTensor, unpack
from .quantized_tensor import QuantizedTensor

__all__ = ["Report", "report"]


@dataclass(frozen=True, slots=True)
class Report:
    """w is the original, v = code * scale its quantized twin. Sums are float64."""

    elements: int
    """Number of elements."""
    granules: int
    """Number of scales."""
    signal: float
    """Sum of w²."""
    noise: float
    """Sum of (w - v)²."""
    sqnr_db: float
    """10 log10(signal / noise); infinity when lossless."""
    cosine: float
    """<w, v> / (|w| |v|); 1 when lossless, 0 when only one of them is all zero."""
    max_abs_error: float
    """max |w - v|."""
    zero_share: float
    """Share of codes that are 0, in [0, 1]."""
    saturated_share: float
    """Share of elements more than half a scale past the outermost level of their granule."""
    bits_per_weight: float
    """As :attr:`bnq.QuantizedTensor.bits_per_weight`."""
    floored_granules: int
    """Granules whose scale is the floor of their rule."""
    prequantized_granules: int
    """Granules that were ternary already."""
    lossless: bool
    """Every v equals its w."""

    @classmethod
    def _of(cls, core: _core.Report) -> "Report":
        return cls(**{field.name: getattr(core, field.name) for field in fields(cls)})

    def __str__(self) -> str:
        lines = [
            f"SQNR            {'lossless' if self.lossless else f'{self.sqnr_db:.2f} dB'}",
            f"cosine          {self.cosine:.6f}",
            f"max |error|     {self.max_abs_error:.4g}",
            f"zero codes      {self.zero_share:.2%}",
            f"saturated       {self.saturated_share:.2%}",
            f"bits/weight     {self.bits_per_weight:.4g}",
            f"granules        {self.granules}, floored {self.floored_granules}, kept {self.prequantized_granules}",
        ]
        return "\n".join(lines)


def report(original: Array, q: QuantizedTensor | PackedTensor) -> Report:
    """Compares a quantized tensor with the one that it came from.

    Raises:
        InvalidArgumentError: the shapes differ.
        UnsupportedError: `original` is not f32, f16 or bf16.
        BadContentError: NaN or infinity, with the first index.
    """
    quantized: Any = unpack(q) if isinstance(q, PackedTensor) else q
    if not isinstance(quantized, QuantizedTensor):
        raise InvalidArgumentError(
            f"report: not quantized (got {type(q).__name__}, need a QuantizedTensor or PackedTensor)"
        )
    borrowed, _ = borrow(original, "report")
    return Report._of(_core.report(borrowed, quantized._handle))
