"""Schemes: which integers stand for the weights, and how the scale is found."""

import math
import warnings
from typing import Any, TypeAlias

from . import _core
from .arguments import shown, text
from .errors import InvalidArgumentError

__all__ = ["Scheme", "SchemeLike", "schemes"]


class Scheme:
    """Mathematics: levels, scale rule, granularity. No bytes. Immutable, hashable, equal by value.

    Args:
        scheme: a name (``"ternary"``, ``"int4"``, ``"int8-absmax:row"``, ``"4:group(128)"``), a precision (8 … 2,
            1.58, 1), or a Scheme.
        granularity: ``"tensor"``, ``"row"`` or ``"group(n)"``; the scheme's default when left out.

    Raises:
        InvalidArgumentError: there is no such scheme; the message lists what there is.
    """

    __slots__ = ("_handle",)
    _handle: _core.Scheme

    def __init__(self, scheme: "SchemeLike", *, granularity: str | None = None) -> None:
        core = _core_scheme(scheme)
        if granularity is not None:
            chosen = core.with_granularity(_granularity_text(granularity))
            spelled = isinstance(scheme, Scheme) or (isinstance(scheme, str) and ":" in scheme)
            if spelled and chosen.name != core.name:
                raise InvalidArgumentError(
                    f"granularity: given twice (got {core.name} and {granularity!r}, need one); leave one out"
                )
            core = chosen
        self._handle = core

    @classmethod
    def _wrap(cls, core: _core.Scheme) -> "Scheme":
        scheme = cls.__new__(cls)
        scheme._handle = core
        return scheme

    @classmethod
    def activations(cls) -> "Scheme":
        """The scheme of activations: int8 per token, ``int8-token:row``."""
        return cls._wrap(_core.Scheme.activations())

    def with_granularity(self, granularity: str) -> "Scheme":
        """The same rule with ``"tensor"``, ``"row"`` or ``"group(n)"``."""
        return self._wrap(self._handle.with_granularity(_granularity_text(granularity)))

    @property
    def rule(self) -> str:
        """``"int8-absmax"``, ``"ternary-absmean"``, …"""
        return self._handle.rule

    @property
    def granularity(self) -> str:
        """``"tensor"``, ``"row"`` or ``"group(n)"``."""
        return self._handle.granularity

    @property
    def about(self) -> str:
        """One line for people."""
        return self._handle.about

    @property
    def warning(self) -> str:
        """Why this scheme is a poor choice; empty for most."""
        return self._handle.warning

    @property
    def min_code(self) -> int:
        """The smallest code that the scheme produces."""
        return self._handle.min_code

    @property
    def max_code(self) -> int:
        """The largest code that the scheme produces."""
        return self._handle.max_code

    @property
    def has_zero(self) -> bool:
        """False for binary, whose codes are -1 and +1."""
        return self._handle.has_zero

    @property
    def code_bits(self) -> int:
        """Whole bits that hold one code: 8 … 2, and 1 for binary."""
        return self._handle.code_bits

    def __str__(self) -> str:
        return self._handle.name

    def __repr__(self) -> str:
        return f"Scheme({self._handle.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scheme) and self._handle.name == other._handle.name

    def __hash__(self) -> int:
        return hash(self._handle.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return Scheme, (self._handle.name,)


SchemeLike: TypeAlias = Scheme | str | float
"""A Scheme, a scheme's name, or a precision."""


def schemes() -> list[Scheme]:
    """Every scheme with its default granularity."""
    return [Scheme._wrap(core) for core in _core.Scheme.all()]


def precision_scheme(precision: float) -> Scheme:
    """The scheme of a precision: a number that is no bool."""
    return Scheme._wrap(_of_precision(precision))


def warn_of(scheme: Scheme, stacklevel: int) -> None:
    """Says in Python's way what is wrong with a poor scheme. `stacklevel` counts from the caller of this function."""
    if scheme.warning:
        warnings.warn(scheme.warning, UserWarning, stacklevel=stacklevel + 1)


def _core_scheme(scheme: SchemeLike) -> _core.Scheme:
    if isinstance(scheme, Scheme):
        return scheme._handle
    if isinstance(scheme, str):
        return _core.Scheme.parse(text(scheme, "scheme", "a scheme's name"))
    return _of_precision(scheme)


def _of_precision(precision: Any) -> _core.Scheme:
    """numpy's numbers are as good as Python's; a bool is a mistake."""
    allowed = ", ".join(f"{number}" for number in (8, 7, 6, 5, 4, 3, 2, 1.58, 1))
    try:
        bits = math.nan if isinstance(precision, bool | str | bytes) else float(precision)
    except (TypeError, ValueError, OverflowError):
        bits = math.nan
    if not math.isfinite(bits):
        cure = "; for a scheme's name use scheme=" if isinstance(precision, str) else ""
        raise InvalidArgumentError(f"precision: unknown (got {shown(precision)}, need one of {allowed}){cure}")
    return _core.Scheme.of_precision(bits)


def _granularity_text(granularity: Any) -> str:
    return text(granularity, "granularity", "'tensor', 'row' or 'group(n)'")
