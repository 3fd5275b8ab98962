"""What callers give besides tensors: paths, texts, numbers, switches; refused in words before the extension looks."""

import errno
import math
import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InvalidArgumentError, IoError, MissingFileError

__all__ = [
    "checked_path",
    "count",
    "flag",
    "gguf_types",
    "number",
    "progress_callback",
    "scale_convention",
    "shape_of",
    "shown",
    "tells_missing_files",
    "text",
]

_LONGEST = 80


def shown(value: Any) -> str:
    """A value as messages print it: short, and numbers that are not finite as the core spells them."""
    if isinstance(value, float) and not math.isfinite(value):  # numpy.float64 is a float too
        return "NaN" if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    whole = repr(value)
    return whole if len(whole) <= _LONGEST else whole[: _LONGEST - 1] + "…"


def text(value: Any, what: str, need: str) -> str:
    """A text that UTF-8 can hold; half of a surrogate pair is none."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgumentError(f"{what}: not Unicode text (got {shown(value)}, need {need})") from error
        return value
    raise InvalidArgumentError(f"{what}: not a text (got {shown(value)}, need {need})")


def checked_path(path: Any, what: str) -> str:
    """What `open` takes as a path."""
    need = "a text or a pathlib.Path"
    try:
        name = os.fsdecode(os.fsencode(path))
    except (TypeError, UnicodeEncodeError) as error:
        raise InvalidArgumentError(f"{what}: not a path (got {shown(path)}, need {need})") from error
    if "\0" in name:
        raise InvalidArgumentError(f"{what}: has a NUL character (got {shown(path)}, need a path without)")
    if not name:
        raise InvalidArgumentError(f"{what}: names no file (got {shown(path)}, need {need})")
    return name


def flag(value: Any, what: str) -> bool:
    """A switch. "no" is true in Python, and a file would be replaced."""
    if isinstance(value, bool):
        return value
    raise InvalidArgumentError(f"{what}: not a switch (got {shown(value)}, need True or False)")


def number(value: Any, what: str) -> float:
    """A number that can be compared with: no bool, no NaN; numpy's are as good as Python's."""
    try:
        chosen = math.nan if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        chosen = math.nan
    if math.isnan(chosen):
        raise InvalidArgumentError(f"{what}: not a number (got {shown(value)}, need a number)")
    return chosen


def count(value: Any, what: str) -> int:
    """A whole number of 1 or more that 63 bits hold."""
    try:
        chosen = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        chosen = 0
    if not 0 < chosen < 2**63:
        raise InvalidArgumentError(f"{what}: not a number of bytes (got {shown(value)}, need a whole number from 1)")
    return chosen


def progress_callback(value: Any, what: str) -> Any:
    """A function, or None."""
    if value is None or callable(value):
        return value
    raise InvalidArgumentError(f"{what}: not a function (got {shown(value)}, need one of two numbers, or None)")


def scale_convention(value: Any, what: str) -> str:
    """What the core calls a scale convention; None is the stated one."""
    return "" if value is None else text(value, f"{what} scales", "'multiply' or 'inverse'")


def gguf_types(value: Any, what: str) -> list[str]:
    """What types of a GGUF file are: a name, several, or None."""
    names = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise InvalidArgumentError(f"{what} gguf_types: not names (got {shown(value)}, need a text or a list of texts)")
    return [text(name, f"{what} gguf_types", "a name such as 'i2_s'") for name in names]


def shape_of(shape: Any, what: str) -> tuple[int, ...]:
    """Whole numbers, one an axis; the core says which are too small or too large."""
    try:
        axes = tuple(operator.index(size) for size in shape)
    except TypeError as error:
        raise InvalidArgumentError(f"{what}: not a shape (got {shown(shape)}, need whole numbers)") from error
    if any(abs(size) >= 2**63 for size in axes):
        raise InvalidArgumentError(f"{what}: an axis is too long (got {shown(shape)}, need sizes below 2**63)")
    return axes


@contextmanager
def tells_missing_files(*inputs: str, output: str | None = None) -> Iterator[None]:
    """Around a call of the core that opens these: an IoError becomes a MissingFileError where a file is missing.

    An output is missing when its folder is.
    """
    opened = [(path, Path(path)) for path in inputs] + ([] if output is None else [(output, Path(output).parent)])
    try:
        yield
    except IoError as error:
        for path, needed in opened:
            if type(error) is IoError and _is_missing(needed):
                raise MissingFileError(str(error), path) from None
        raise


def _is_missing(path: Path) -> bool:
    """Only what is surely not there; a folder that may not be searched says nothing."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ENOENT
    return False
