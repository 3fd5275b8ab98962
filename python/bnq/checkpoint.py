"""Whole checkpoints: one safetensors file into another, tensor by tensor, in the memory of the largest tensor."""

import warnings
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, TypeAlias

from . import _core
from ._arrays import output_name
from .checkpoint_results import DequantizeResult, Inspection, Plan, Verification
from .scheme import Scheme, SchemeLike

__all__ = [
    "dequantize_checkpoint",
    "inspect",
    "plan_checkpoint",
    "quantize_checkpoint",
    "verify",
]

Path: TypeAlias = str | PathLike[str]
Rules: TypeAlias = Mapping[str, SchemeLike | None]
Progress: TypeAlias = Callable[[int, int], bool | None]
"""Called between tensors with the bytes of input done so far and in all; returns False to stop."""


def plan_checkpoint(
    src: Path,
    scheme: SchemeLike = 8,
    *,
    rules: Rules | None = None,
    embeddings: SchemeLike | None = None,
    head: SchemeLike | None = None,
    strict: bool = False,
) -> Plan:
    """What :func:`bnq.quantize_checkpoint` would do, from the header alone: reads no tensor and writes nothing.

    Takes and raises what it does before it starts; the plan's warnings are in the plan.
    """
    options = _options(scheme, rules or {}, embeddings, head)
    options.strict = strict
    return Plan._of(_core.plan_checkpoint(src, options))


def quantize_checkpoint(
    src: Path,
    dst: Path,
    scheme: SchemeLike = 8,
    *,
    rules: Rules | None = None,
    embeddings: SchemeLike | None = None,
    head: SchemeLike | None = None,
    strict: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Quantizes one safetensors file into another.

    Args:
        src: the input. f64 and integer tensors in it are copied.
        dst: the output; it appears under its name only when whole.
        scheme: for linear weights that no rule names.
        rules: scheme by pattern of tensor names (``*``, ``?``, ``[…]``), ``"keep"`` or None to copy; the last pattern
            that matches wins.
        embeddings: scheme for embedding tables; None keeps them.
        head: scheme for the output head; None keeps it.
        strict: a rule that names nothing is an error, not a warning.
        force: replace an existing output.
        progress: called with the bytes of input done and in all; returns False to stop.

    Returns:
        The plan that was carried out. Its warnings are also given in Python's way.

    Raises:
        InvalidArgumentError: unknown scheme, `src` and `dst` are one file, a rule that names f64 or integer tensors
            only.
        BadContentError: a broken file, NaN or infinity, or packed already.
        ExistsError: `dst` is there, and `force` was not given.
        IoError: missing, no space, no permission.
        Interrupted: `progress` returned False. What it raises comes through; no file is left in either case.
    """
    options = _options(scheme, rules or {}, embeddings, head)
    options.strict = strict
    options.replace = force
    plan = Plan._of(_core.quantize_checkpoint(src, dst, options, progress))
    for warning in plan.warnings:
        warnings.warn(warning, UserWarning, stacklevel=2)
    return plan


def dequantize_checkpoint(
    src: Path, dst: Path, *, dtype: Any = None, force: bool = False, progress: Progress | None = None
) -> DequantizeResult:
    """Turns every low-bit tensor of a file that bnq wrote back into floats, and copies the rest.

    Args:
        src: the quantized file.
        dst: the output.
        dtype: ``"f32"``, ``"f16"`` or ``"bf16"``; None gives each tensor its original dtype.
        force: replace an existing output.
        progress: as for :func:`bnq.quantize_checkpoint`.

    Raises what :func:`bnq.quantize_checkpoint` does; BadContentError also when nothing in the file is low-bit.
    """
    name = None if dtype is None else output_name(dtype)
    return DequantizeResult._of(_core.dequantize_checkpoint(src, dst, name, force, progress))


def inspect(path: Path, *, progress: Progress | None = None) -> Inspection:
    """What each tensor of a file looks like. NaN is reported, not refused.

    Raises:
        IoError: the file cannot be read.
        BadContentError: it is broken.
    """
    return Inspection._of(_core.inspect(path, progress))


def verify(
    original: Path,
    quantized: Path,
    *,
    min_sqnr_db: float | None = None,
    min_cosine: float | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Recomputes every tensor of `quantized` from `original` and compares.

    Args:
        original: the file that was quantized.
        quantized: what came out.
        min_sqnr_db: gate for each quantized tensor; a missed one shows in the result and raises nothing.
        min_cosine: the same.
        progress: as for :func:`bnq.quantize_checkpoint`.

    Raises:
        IoError: a file cannot be read.
        BadContentError: a file is broken or holds NaN, or names and shapes do not fit.
    """
    gates = _core.Gates(min_sqnr_db, min_cosine)
    return Verification._of(_core.verify(original, quantized, gates, progress))


def _options(
    scheme: SchemeLike, rules: Rules, embeddings: SchemeLike | None, head: SchemeLike | None
) -> _core.QuantizeOptions:
    options = _core.QuantizeOptions()
    options.scheme = str(Scheme(scheme))
    options.embeddings = "" if embeddings is None else str(Scheme(embeddings))
    options.head = "" if head is None else str(Scheme(head))
    for pattern, rule in rules.items():
        options.add_rule(pattern, "keep" if rule is None or rule == "keep" else str(Scheme(rule)))
    return options
