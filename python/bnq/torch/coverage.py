"""What quantizing a model did to it, layer by layer."""

from collections import Counter
from dataclasses import dataclass

__all__ = ["Coverage", "CoveredLayer", "KeptLayer"]

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class CoveredLayer:
    """A layer that is low-bit now."""

    name: str
    """Its path in the model, "encoder.layer.0.output.dense"."""
    scheme: str
    """"int8-absmax:row"."""
    weights: int
    """Elements of its weight."""
    bytes_before: int
    """Of weight and bias."""
    bytes_after: int
    """Of codes, scales and bias."""


@dataclass(frozen=True, slots=True)
class KeptLayer:
    """A layer, or a parameter with more than one axis, that stays as it was."""

    name: str
    reason: str
    weights: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which layers became low-bit, which did not and why. ``print`` shows it whole."""

    layers: tuple[CoveredLayer, ...]
    """In the order of the model."""
    kept: tuple[KeptLayer, ...]
    """What could be thought to be a linear layer and is not low-bit, and all other matrices."""
    bytes_before: int
    """Of the whole model's parameters and buffers, shared ones once."""
    bytes_after: int
    """The same, after."""

    @property
    def share(self) -> float:
        """Share of all weights in matrices that is low-bit, in [0, 1]."""
        return sum(layer.weights for layer in self.layers) / max(1, self.weights)

    @property
    def weights(self) -> int:
        """Elements of all matrices."""
        return sum(layer.weights for layer in self.layers) + sum(layer.weights for layer in self.kept)

    def __str__(self) -> str:
        schemes = Counter(layer.scheme for layer in self.layers)
        done = ", ".join(f"{count} {_plural('layer', count)} {scheme}" for scheme, count in schemes.items())
        lines = [
            f"quantized  {done}",
            f"weights    {100 * self.share:.1f} % of {self.weights:,} in matrices",
            f"bytes      {self.bytes_before:,} -> {self.bytes_after:,} ({_percent(self)})",
        ]
        reasons: dict[str, list[KeptLayer]] = {}
        for layer in self.kept:
            reasons.setdefault(layer.reason, []).append(layer)
        for number, (reason, layers) in enumerate(reasons.items()):
            names = ", ".join(layer.name for layer in layers[:_SHOWN]) + (", …" if len(layers) > _SHOWN else "")
            size = sum(layer.nbytes for layer in layers)
            lines.append(f"{'kept' if number == 0 else '':11}{names}: {reason} ({size:,} bytes)")
        return "\n".join(lines)


def _plural(word: str, count: int) -> str:
    return word if count == 1 else word + "s"


def _percent(coverage: Coverage) -> str:
    return f"{100 * coverage.bytes_after / max(1, coverage.bytes_before):.1f} %"
